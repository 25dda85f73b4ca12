#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# series-order.sh <build directory>: each file of the series uses only what has entered
# with its own patch or before, or the patches between would not link. From the objects of
# the build. Prints what comes too late; fails on it.
. "$(dirname "$0")/lib.sh"

need nm
symbols() {
	local n=0 patch='' word rest o
	while read -r word rest; do
		case $word in
		patch) n=$((n + 1)) patch=$rest ;;
		*.c)
			o=$1/${word/#tests\/kunit\//kernel/dma/cc-swiotlb/tests/}
			[ ! -f "${o%.c}.o" ] || nm "${o%.c}.o" | sed "s|^|$n $patch $word |"
			;;
		esac
	done <"$top/patches/series"
}

symbols "$1" | awk '
	{ symbol = $NF; type = $(NF - 1) }
	type == "U" { uses[++n] = $0 }
	type ~ /[TDBRCV]/ { since[symbol] = $1; with[symbol] = $2 }
	END {
		for (i = 1; i <= n; i++) {
			split(uses[i], u, " ")
			symbol = u[5]
			if (since[symbol] > u[1]) {
				print u[3] " enters with " u[2] ", and uses " symbol "() of " with[symbol] ", which comes later"
				bad = 1
			}
		}
		if (!n) {
			print "no objects of the series"
			bad = 1
		}
		exit bad
	}'
