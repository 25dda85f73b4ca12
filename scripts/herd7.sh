#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# herd7.sh [argument...]: run herd7, that of the system, or else that of Debian sid from
# a root of its own in the cache, through the loader that is there, so that it needs no
# privilege. herd7.sh -needs <version>: fetch it unless it is at least that one. Exits
# with 77 if it cannot be had.
. "$(dirname "$0")/lib.sh"

suite=sid # no stable release has it
dir=$cache/herd7

of_system() { # version
	command -v herd7 >/dev/null && at_least "$1" "$(herd7 -version)"
}

at_least() { # version, what there is
	[ "$(printf '%s\n' "$1" "${2%%[,+]*}" | sort -V | head -n 1)" = "$1" ]
}

# What is signed is signed, also if a mirror is some weeks behind.
fetch() {
	fetch_packages "$suite" "$dir/root.tar" herdtools7 --aptopt='Acquire::Check-Valid-Until "false"' &&
		mkdir "$dir/root.new" &&
		tar -xf "$dir/root.tar" -C "$dir/root.new" --wildcards './usr/bin/herd7' './usr/lib*' './usr/share/herdtools7/herd' &&
		rm "$dir/root.tar" &&
		mv "$dir/root.new" "$dir/root"
}

of_sid() {
	local loader
	loader=$(echo "$dir"/root/usr/lib*/ld-linux*.so.*)
	"${loader%% *}" --library-path "$(echo "$dir"/root/usr/lib/*-linux-gnu*)" "$dir/root/usr/bin/herd7" \
		-set-libdir "$dir/root/usr/share/herdtools7/herd" "$@"
}

if [ "${1:-}" != -needs ]; then
	if [ -d "$dir/root" ]; then
		of_sid "$@"
	else
		herd7 "$@"
	fi
	exit
fi

of_system "$2" && exit
mkdir -p "$dir"
lock herd7
if [ ! -d "$dir/root" ]; then
	"$top/scripts/deps.sh" mmdebstrap
	rm -rf "$dir"/root*
	step "fetching herdtools7 of Debian $suite"
	if ! fetch; then
		echo "skipped: herdtools7 of Debian $suite cannot be fetched ($(grep -m1 '^E:' "$dir/mmdebstrap.log" || tail -n 1 "$dir/mmdebstrap.log")): check the network and the apt sources, or install herd7 $2 or newer"
		exit $gone
	fi
fi
v=$(of_sid -version)
at_least "$2" "$v" || {
	echo "skipped: the model of Linux $kver needs herd7 $2, and $dir has $v: remove that directory to fetch it again"
	exit $gone
}
