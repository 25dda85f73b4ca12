#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The list of the series: what does not fit it is refused by name; and no series goes
# out without its sender's name. In copies of the repository. TAP on stdout.
set -eu

. "$(dirname "$0")/tap.sh"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
unset KVER KSRC GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL
export XDG_CACHE_HOME=$tmp/cache GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null HOME=$tmp

# What looks like a kernel; no hunk is tried before the list is in order.
mkdir -p "$tmp/linux/kernel/dma"
touch "$tmp/linux/Kbuild" "$tmp/linux/kernel/dma/swiotlb.c"
printf 'VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 1\n' >"$tmp/linux/Makefile"

fresh() {
	rm -rf "$tmp/repo"
	mkdir -p "$tmp/repo/tests" "$tmp/repo/tools"
	cp -r "$top"/{Documentation,include,kernel,lib,patches,scripts} "$tmp/repo/"
	cp -r "$top/tests/kunit" "$tmp/repo/tests/"
	mkdir "$tmp/repo/tools/ccstat"
	sed -n "s|^\ttools/|$top/tools/|p" "$top/patches/series" | xargs cp -t "$tmp/repo/tools/ccstat"
}

refused() { # description, what is said of it, [script]
	local status=0 bad=1
	KSRC=$tmp/linux "$tmp/repo/scripts/${3:-apply}.sh" >"$tmp/said" 2>&1 || status=$?
	[ $status != 1 ] || ! grep -q -- "^error: $2" "$tmp/said" || bad=0
	tap $bad "$1" "$tmp/said"
}

fresh
refused 'hunks that do not fit' 'Linux 7.3.1 differs'
touch "$tmp/repo/kernel/dma/cc-swiotlb/more.c"
refused 'a file in no patch' 'patches/series: kernel/dma/cc-swiotlb/more.c in no patch'
rm "$tmp/repo/kernel/dma/cc-swiotlb"/{more,core}.c
refused 'a file that is listed and not there' 'patches/series:[0-9]*: there is no kernel/dma/cc-swiotlb/core.c'
fresh
printf '\tlib/genalloc-ext.c\n' >>"$tmp/repo/patches/series"
refused 'a file in two patches' 'patches/series: lib/genalloc-ext.c in more than one patch'
fresh
touch "$tmp/repo/patches/7.3/more.patch"
refused 'hunks in no patch' 'patches/7.3: more.patch in no patch'
rm "$tmp/repo/patches/7.3"/{more,genalloc-ext}.patch
refused 'hunks that are listed and not there' 'patches/series:[0-9]*: patches/7.3/genalloc-ext.patch is missing'
: >"$tmp/repo/patches/7.3/genalloc-ext.patch"
refused 'hunks that are empty' 'patches/series:[0-9]*: patches/7.3/genalloc-ext.patch is missing or empty'
fresh
rm "$tmp/repo/patches/messages/genalloc-ext"
refused 'a patch without a message' 'patches/series:[0-9]*: genalloc-ext has no message'
fresh
touch "$tmp/repo/patches/messages/more"
refused 'a message without a patch' 'patches/messages: more of no patch'
fresh
touch "$tmp/repo/Documentation/core-api/more.rst"
refused 'a document in no patch' 'patches/series: Documentation/core-api/more.rst in no patch'
fresh
[ -f "$tmp/repo/Documentation/benchmarks.rst" ]
refused 'the benchmarks are in no patch, and need not be' 'Linux 7.3.1 differs'
fresh
refused 'a sender without a name' 'git does not know who sends this' series

# A hook that one version lost would be missed by no build.
hooks() { # kernel version
	sed -n 's/^+.*\(\<cc_swiotlb_[a-z_]*\)(.*/\1/p' "$top/patches/$1"/*.patch | sort -u
}
status=0
diff <(hooks 6.12) <(hooks 7.3) >"$tmp/said" || status=1
tap $status 'both kernels call the same functions' "$tmp/said"
tap_end
