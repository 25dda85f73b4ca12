#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Put the kernel of KVER, as Debian ships it, or a copy of KSRC, into the cache.
# Prints the directory. The system's own apt set-up is read, never changed.
. "$(dirname "$0")/lib.sh"

case $kver in
6.12) suites='bookworm-security trixie' ;;
7.2) suites='sid trixie-backports' ;;
esac
pkg=linux-source-$kver

# Debian's mirrors among the system's apt sources, those known to be Debian's first.
# shellcheck disable=SC2016 # the format is apt's
mirrors() {
	apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' |
		sort -u | sed -n 's/^Debian //p; s/^\$(ORIGIN) //p'
}

# apt with one suite of one mirror and a state directory of its own
private_apt() { # mirror suite command...
	local uri=$1 suite=$2
	shift 2
	mkdir -p "$tmp/lists/partial" "$tmp/cache"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $suite main" >"$tmp/sources.list"
	apt-get -qq -o Dir::Etc::SourceList="$tmp/sources.list" -o Dir::Etc::SourceParts=- \
		-o Dir::State::Lists="$tmp/lists" -o Dir::Cache="$tmp/cache" \
		-o Acquire::Languages=none -o APT::Sandbox::User=root -o Acquire::Retries=2 "$@"
}

download() {
	local uri suite
	cd "$tmp" || return
	for suite in $suites; do
		for uri in $(mirrors); do
			private_apt "$uri" "$suite" update 2>>"$tmp/log" || continue
			private_apt "$uri" "$suite" download "$pkg" 2>>"$tmp/log" || continue
			return 0
		done
	done
	return 1
}

from_debian() {
	[ ! -d "$src" ] || return 0
	need apt-get dpkg-deb xz
	step "fetching $pkg"
	tmp=$(mktemp -d "$cache/fetch.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	download || die "cannot fetch the Debian package $pkg: check the network and the apt sources, or set KSRC=<kernel tree>"
	step "unpacking $(basename "$tmp"/"$pkg"_*.deb)"
	mkdir "$tmp/tree"
	dpkg-deb --fsys-tarfile "$tmp"/"$pkg"_*.deb |
		tar -xO "./usr/src/$pkg.tar.xz" | tar -xJ -C "$tmp/tree" --strip-components=1
	mv "$tmp/tree" "$src"
	step "kernel is Linux $(tree_version "$src")"
}

# A copy, because a tree that was built in place cannot be built out of place.
from_user() {
	rsync -a --delete --exclude=.git --exclude='/build-*' --exclude='*.o' --exclude='*.a' \
		--exclude='.*.cmd' --exclude='/vmlinux*' "$KSRC/" "$src/"
	if [ -e "$src/.config" ] || [ -d "$src/include/config" ]; then
		make -s -C "$src" mrproper
	fi
}

mkdir -p "$cache/src"
lock "src-$tree"
if [ -n "${KSRC:-}" ]; then
	need rsync
	step "copying $KSRC, Linux $(tree_version "$KSRC")"
	from_user
else
	from_debian
fi
echo "$src"
