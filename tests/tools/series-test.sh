#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The list of the series: what does not fit it is refused by name; no series goes out
# without its sender's name; and each figure that the cover letter or a message asks for is
# one that a script records. In copies of the repository. TAP on stdout.
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
seq 400 >>"$tmp/repo/kernel/dma/cc-swiotlb/chunk.c"
refused 'a patch that is too long' 'patches/series: more than 650 lines: cc-swiotlb-chunks ([0-9]*)'
sed -i 's|^	kernel/dma/cc-swiotlb/chunk.c|&\n	long|' "$tmp/repo/patches/series"
refused 'but for one that says so' 'Linux 7.3.1 differs'
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

# Would a script record that, by that name? By what its source says.
has() { # file, extended regular expression that a line must contain, for each further one, too
	local file=$top/$1
	for pattern in "${@:2}"; do
		grep -qsE -- "$pattern" "$file" || return
	done
}
# shellcheck disable=SC2016 # what scripts have in them
recorded() { # verb:name:backend:metric, or verb
	local verb name backend metric rest
	IFS=: read -r verb name backend metric rest <<<"$1"
	[ "$1" != version ] || return 0
	[ -z "$rest" ] && has "scripts/$verb.sh" "^record_to $verb\\>" || return
	[ "$1" != "$verb" ] || return 0
	[ "$metric" ] || return
	case $verb in
	bench-icount)
		[[ $metric != overhead_* ]] || name=${name%-4K}
		case $name in
		*-2cpus) [ "$name" = "$backend-2cpus" ] && has scripts/bench-icount.sh "emit \\\$n-2cpus \\\$n $metric " "^for n in ([a-z]+ )*$backend( |;)" ;;
		*) has scripts/bench-icount.sh "^twice $name " "rec\\(\\\$s; \"$metric\";" && case $backend in
			cc) has scripts/bench-icount.sh "^collect $name cc\$" ;;
			legacy) has scripts/bench-icount.sh "^for n in ([a-z-]+ )*$name( |;)" '^	collect \$n legacy$' ;;
			*) false ;;
			esac ;;
		esac
		;;
	bench-native)
		# "fill99-4096-1GiB"
		[[ $name =~ ^(fill[0-9]+-)([0-9]+)(-1GiB)?$ ]] || return
		has scripts/bench-native.sh "^fills='(.* )?${BASH_REMATCH[1]}( .*)?'\$" &&
			has scripts/bench-native.sh "^	native $backend${BASH_REMATCH[3]:+-1g} " || return
		[[ " 512 2048 4096 16384 65536 131072 262144 524288 " = *" ${BASH_REMATCH[2]} "* ]] &&
			has tests/bench/swiotlb-bench/swiotlb_bench.c "print10\\(name, sizes\\[i\\], \"$metric\","
		;;
	demo)
		[ "$name" = demo ] && has scripts/demo.sh "collect $backend demo $backend(;|$)" \
			"emit (demo cc|\"\\\$2\" \"\\\$3\") $metric |for m in ([a-z_]+ )*$metric( |;)"
		;;
	iommu)
		[ "$name" = iommu ] && [ "$backend" = cc ] &&
			has scripts/iommu.sh "for d in (.* )?${metric%%_*}( |;)" "is \"\\\$\\{d\\}_${metric#*_}\""
		;;
	kunit)
		{ [[ " uml x86_64 " = *" $name "* ]] || has scripts/lib.sh "\\[$name\\]=[a-z0-9]+-linux-gnu"; } &&
			has scripts/kunit.sh 'judge_sums "\$arch" ' && has scripts/lib.sh "emit \"\\\$1\" $backend $metric "
		;;
	mutants) has scripts/mutants.sh "^emit $name $backend $metric " ;;
	series-check) has scripts/series-check.sh "emit $name $backend $metric " ;;
	static) has scripts/static.sh "emit \"$name-\\\$v\" $backend $metric " ;;
	stress)
		has "tests/stress/$name" "\\($backend $metric\\)" || return
		case $metric in
		shared_*_bytes) has tests/guest/stress-lib.sh '^	emit "shared_\$1_bytes"' ;;
		*) has "tests/stress/$name" "emit $metric " ;;
		esac
		;;
	*) false ;; # say here how to find its figures
	esac
}
status=0
grep -oh '{[^{}]*}' "$top/patches/cover" "$top"/patches/messages/* | tr -d '{}' | sort -u >"$tmp/figures"
while read -r f; do
	recorded "$f" || { status=1 && echo "{$f}: no script records that"; }
done <"$tmp/figures" >"$tmp/said"
tap $status "each figure of cover letter and messages is recorded ($(wc -l <"$tmp/figures"))" "$tmp/said"
# A letter more in any part of one is noticed.
status=0
while IFS=: read -r verb name backend metric; do
	for f in "${verb}x:$name:$backend:$metric" "$verb:x$name:$backend:$metric" "$verb:$name:${backend}x:$metric" \
		"$verb:$name:$backend:${metric}x" "$verb:$name:$backend"; do
		! recorded "$f" || { status=1 && echo "$f"; }
	done
done < <(grep : "$tmp/figures") >"$tmp/said"
tap $status 'and a wrong one is noticed' "$tmp/said"
tap_end
