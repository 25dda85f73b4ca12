#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make bench-native: what a bounced mapping costs in real time, on User Mode Linux
# with two CPUs (tests/bench/swiotlb-bench), by size and by how full the pool is;
# two CPUs at once, completion on the other CPU, partial sync. The backends take
# turns, $ROUNDS (5) times; medians. Always of Linux 7.3: older UML has one CPU.
# Writes out/bench-native.json; fails if a run lacks figures.
[ -n "${KSRC:-}" ] || export KVER=${KVER:-7.3}
. "$(dirname "$0")/lib.sh"
no_arguments "$@"
only_newest
. "$(dirname "$0")/stage.sh"

"$top/scripts/deps.sh"
export ARCH=um
whole_number ROUNDS 1
rounds=${ROUNDS:-5}
dir=$out/bench-native
mkdir -p "$dir"
record_to bench-native
testbed='User Mode Linux'

# A tree with the benchmark in it, with the series or without
bench_tree() { # directory, stage_series or nothing
	lock "bench-${1##*/}"
	stage_begin
	${2-}
	stage_dir tests/bench/swiotlb-bench kernel/dma/swiotlb-bench
	stage_patch_file "$top/tests/bench/uml-$kver.patch"
	make_tree "$1" --link
}

build() { # tree variant [config line...]
	local t=$1 b=$1/build-$2 variant=$2
	shift 2
	mkdir -p "$b"
	printf '%s\n' "$@" | cat "$top/configs/bench-uml.config" - >"$b/fragment"
	if ! cmp -s "$b/fragment" "$b/fragment.done"; then
		configure_kernel "$t" "$b" "$b/fragment"
		cp "$b/fragment" "$b/fragment.done"
	fi
	step "building UML, $variant"
	kmake "$t" "$b" linux >"$b/build.log" 2>&1 || {
		build_errors "$b/build.log" >&2
		die "building $variant failed: see $b/build.log"
	}
	echo "$b/linux"
}

# native <backend-run> <linux> <argument...>: one run; its lines go to a log
native() {
	local log=$dir/$1.log n=$1
	shift
	timeout --foreground 300 "$@" seccomp=on ncpus=2 mem=4G con=null con0=fd:0,fd:1 quiet loglevel=7 </dev/null >"$log.new" 2>&1 || true
	grep -aq 'BENCH end' "$log.new" || {
		mv "$log.new" "$log.failed"
		die "$n did not end: see $log.failed"
	}
	sed -n "s/.*BENCH \([a-z]\)/$n \1/p" "$log.new" | tr -d '\r' | awk 'NF == 4' >>"$dir/lines"
	mv "$log.new" "$log"
}

# Each part that a run was to do has given each of its figures in every round, or failed.
complete() { # run, what the names of a part begin with...
	local part
	for part in "${@:2}"; do
		must "$1: lines of $part in $rounds rounds" "$(jq -cRn --arg part "$1 $part" \
			'[inputs | select(startswith($part)) | split(" ")] | group_by(.[1]) | map(map(.[2])
				| (map(select(startswith("failed"))) | length) as $failed
				| map(select(startswith("failed") | not)) | group_by(.) | map(length) | $failed + (min // 0))' "$dir/lines") | length > 0 and all(. >= $rounds)"
	done
}

plain=$src-bench patched=$src_cc-bench
"$top/scripts/get-kernel.sh" >/dev/null
bench_tree "$plain"
bench_tree "$patched" stage_series
legacy=$(build "$plain" bench-legacy)
dynamic=$(build "$plain" bench-dynamic CONFIG_SWIOTLB_DYNAMIC=y)
cc=$(build "$patched" bench-cc CONFIG_CC_SWIOTLB=y)

: >"$dir/lines"
small='swiotlb_bench.pool=64' large='swiotlb_bench.pool=1024 swiotlb_bench.run=map'
# shellcheck disable=SC2086 # lists of words
for ((round = 1; round <= rounds; round++)); do
	step "round $round of $rounds"
	native legacy "$legacy" swiotlb=32768,force $small
	native dynamic "$dynamic" swiotlb=32768,force $small
	native cc "$cc" swiotlb=cc,force cc_swiotlb=max=2G $small
	native legacy-1g "$legacy" swiotlb=524288,force $large
	native cc-1g "$cc" swiotlb=cc,force cc_swiotlb=max=2G $large
	native alternatives "$cc" swiotlb=cc,force cc_swiotlb=max=2G swiotlb_bench.pool=1024 swiotlb_bench.run=magazine,scheme,lookup,index,depot,block
done

# The median of each figure over the rounds, as a record.
jq -cR '
	split(" ") | {run: .[0], name: .[1], metric: .[2], value: (.[3] | tonumber)}' "$dir/lines" |
	jq -cs '
	def backend: {legacy: "legacy", dynamic: "dynamic"}[sub("-1g"; "")] // "cc";
	group_by([.run, .name, .metric])[]
	| (map(.value) | sort | .[length / 2 | floor]) as $v
	| {name: (if .[0].run | endswith("-1g") then .[0].name + "-1GiB" else .[0].name end),
	   backend: (.[0].run | backend), metric: .[0].metric, value: $v,
	   unit: (.[0].metric | if test("ns") then "ns" elif test("ops") then "1/ms"
		elif test("bytes") then "B" elif . == "failed" then "%" else "" end)}' >>"$records"
fills='fill0- fill50- fill90- fill99-'
# shellcheck disable=SC2086 # lists of words
{
	for run in legacy dynamic cc; do
		complete $run $fills threads1- threads2- remote1- remote2- sync-
	done
	complete legacy-1g $fills
	complete cc-1g $fills
}
complete alternatives magazine- scheme- lookup- index- depot- block-
step "wrote out/bench-native.json"
status=0
conclude || status=1
"$top/scripts/bench-report.py"
exit $status
