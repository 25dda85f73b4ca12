#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Put the kernel of KVER, as Debian ships it, or a copy of KSRC, into the cache.
# Prints the directory. The system's own apt set-up is read, never changed. Exits
# with 77 if the archive can be reached and no suite has this version any more.
. "$(dirname "$0")/lib.sh"
no_arguments "$@"

case $kver in
6.12) suites='bookworm-security trixie' ;;
7.3) suites='trixie-backports experimental' ;;
esac
pkg=linux-source-$kver

# apt with one suite of one mirror and a state directory of its own
private_apt() { # mirror suite command...
	local uri=$1 suite=$2
	shift 2
	mkdir -p "$tmp/lists/partial" "$tmp/cache"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $suite main" >"$tmp/sources.list"
	apt-get -qq -o Dir::Etc::SourceList="$tmp/sources.list" -o Dir::Etc::SourceParts=- \
		-o Dir::State::Lists="$tmp/lists" -o Dir::Cache="$tmp/cache" \
		-o APT::Update::Error-Mode=any -o Acquire::Languages=none -o APT::Sandbox::User=root -o Acquire::Retries=2 "$@"
}

# From the first suite and mirror that has it. $absent lists the suites that a mirror
# has and the package is not in, or that no mirror has; $silent those of which it is
# not known, because a mirror does not answer.
download() {
	local uri suite answer
	absent='' silent=''
	cd "$tmp" || return
	for suite in $suites; do
		answer=''
		for uri in $(mirrors); do
			if private_apt "$uri" "$suite" update 2>"$tmp/log"; then
				! private_apt "$uri" "$suite" download "$pkg" 2>"$tmp/log" || return 0
				if grep -qE 'Unable to locate package|no installation candidate' "$tmp/log"; then
					answer=absent
					break
				fi
			elif grep -qE '404 +Not Found|does not have a Release file' "$tmp/log"; then
				answer=${answer:-absent}
				continue
			fi
			answer=silent
			cat "$tmp/log" >>"$tmp/error"
		done
		case $answer in
		absent) absent+=" $suite" ;;
		*) silent+=" $suite" ;;
		esac
	done
	return 1
}

from_debian() {
	[ ! -d "$src" ] || return 0
	need apt-get dpkg-deb xz
	step "fetching $pkg"
	tmp=$(mktemp -d "$cache/fetch.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	if ! download; then
		[ -z "$silent" ] ||
			die "cannot fetch the Debian package $pkg from$silent ($(grep -m1 '^[EW]:' "$tmp/error" || echo "no apt source is a mirror of Debian")): check the network and the apt sources, or set KSRC=<kernel tree>"
		printf 'skipped: Linux %s is not in Debian any more (%s in none of%s): set KSRC=<a tree of Linux %s>\n' \
			"$kver" "$pkg" "$absent" "$kver" >&2
		exit "$gone"
	fi
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
