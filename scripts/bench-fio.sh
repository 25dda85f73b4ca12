#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make bench-fio: fio in x86_64 guests, one with each allocator, on 1 and on 21 NVMe
# disks, and iperf3 through virtio-net with the host. All guests are up all the time,
# one works: a job is done by each in turn, $ROUNDS (3) times by legacy and cc, once by
# the others; 2 * $ROUNDS - 1 times if these disagree on who is faster; on the network,
# which varies more, four times $ROUNDS. QUICK=1: few sizes, one round; SECONDS_PER_JOB=n (1);
# JOBS=regex: only jobs whose name matches, such as ^net-. Per disk 1 or 256 requests are
# in flight, never more than 512 MiB in all. Medians, and the ratio of cc and legacy in
# each round; writes out/bench-fio.json.
. "$(dirname "$0")/lib.sh"

"$top/scripts/deps.sh" iperf3
need jq iperf3 tar
record_to bench-fio
dir=$out/bench-fio
mkdir -p "$dir"
rounds=${ROUNDS:-3} seconds=${SECONDS_PER_JOB:-1} jobs=0
[[ "$rounds $seconds" =~ ^[1-9][0-9]*\ [1-9][0-9]*$ ]] || die "ROUNDS=$rounds SECONDS_PER_JOB=$seconds: take whole numbers from 1 on"
sizes='512 4k 16k 64k 128k 512k mixed' depths='1 256' ways='randread randwrite randrw'
runs='none legacy cc legacy-1g dynamic'
if [ "${QUICK:-}" ]; then
	sizes='4k 64k mixed' depths=256 ways=randrw runs='none legacy cc' rounds=1
fi

images=$("$top/scripts/build.sh" legacy dynamic cc)
{ read -r legacy && read -r dynamic && read -r cc; } <<<"$images"

# For the guest: iperf3 and its libraries, as a disk.
mapfile -t libs < <(ldd "$(command -v iperf3)" | grep -o '/[^ :]*\.so[^ :]*' | sort -u)
tar -chf "$dir/iperf3.tar" -C / "$(command -v iperf3 | sed 's|^/||')" "${libs[@]#/}" 2>/dev/null
truncate -s %512 "$dir/iperf3.tar"
iperf3 -s -B 127.0.0.1 -p 5201 >"$dir/iperf3.log" 2>&1 &
server=$! pids=''
declare -A pid to from
trap 'kill -- $server $pids' EXIT

# start <run> <bzImage> <swiotlb argument>
start() {
	local d=$dir/$1 q in out
	rm -rf "$d"
	mkdir -p "$d"
	mkfifo "$d/ctl.in" "$d/ctl.out"
	q="-drive file=$dir/iperf3.tar,format=raw,if=none,id=tar,readonly=on -device virtio-blk-pci,drive=tar,iommu_platform=on,disable-legacy=on"
	q+=" -netdev user,id=net -device virtio-net-pci,netdev=net,iommu_platform=on,disable-legacy=on,romfile="
	q+=" -chardev pipe,id=ctl,path=$d/ctl -serial chardev:ctl"
	setsid "$top/scripts/qemu.sh" -m 4G -n 21 -s 256M -t 14400 -q "$q" "$2" "$d" bench-fio \
		"seconds=$seconds" io_mib=512 "swiotlb=$3" &
	pid[$1]=$!
	pids+=" -$!"
	exec {in}<>"$d/ctl.in" {out}<>"$d/ctl.out"
	to[$1]=$in from[$1]=$out
}

# answer <run> <word>: wait until the guest says that
answer() {
	local line
	read -r -t 180 -u "${from[$1]}" line || die "the guest of $1 does not answer: see $dir/$1"
	[ "$line" = "$2" ] || die "the guest of $1 says '$line', not '$2': see $dir/$1"
}

# undecided <job name>: was cc faster than legacy in some rounds, and slower in others?
undecided() {
	jq -en --arg m "$1:mib_s" --slurpfile cc "$dir/cc/results.jsonl" --slurpfile legacy "$dir/legacy/results.jsonl" '
		[$cc, $legacy | map(select(.metric == $m).value)] | transpose | map(.[0] >= .[1])
		| any and (all | not)' >/dev/null
}

# turn <job name> <verb> <argument>...: by each guest; the name of what iperf sends
# tells its round.
turn() {
	local name=$1 verb=$2 n=$rounds round run turns=$runs
	shift 2
	[[ $name =~ ${JOBS:-.} ]] || return 0
	step "$name"
	jobs=$((jobs + 1))
	[ "$verb" = job ] || n=$((4 * rounds))
	for ((round = 1; round <= n; round++)); do
		for run in $turns; do
			[ "$verb" = job ] && echo "job $*" >&"${to[$run]}" || echo "iperf ${name#net-}.$round $*" >&"${to[$run]}"
			answer "$run" "done"
		done
		[ $((round % 2)) = 1 ] && turns='cc legacy' || turns='legacy cc'
		[ $round != "$rounds" ] || [ "$verb" != job ] || ! undecided "$name" || n=$((2 * rounds - 1))
	done
}

for run in $runs; do
	case $run in
	none) start none "$legacy" noforce ;;
	legacy) start legacy "$legacy" 32768,force ;;
	legacy-1g) start legacy-1g "$legacy" 524288,force ;;
	dynamic) start dynamic "$dynamic" 32768,force ;;
	cc) start cc "$cc" cc,force ;;
	esac
	step "booting the guest of $run"
	answer "$run" ready
done
for way in $ways; do
	for size in $sizes; do
		for depth in $depths; do
			for disks in 1 21; do
				turn "${disks}disks-$way-$size-$depth" job "$way" "$size" "$depth" "$disks"
			done
		done
	done
done
for way in send receive; do
	r=$([ $way = send ] || echo -R)
	turn "net-$way-64" iperf -u -b 0 -l 64 "$r"
	turn "net-$way-1500" iperf -u -b 0 -l 1472 "$r"
	turn "net-$way-64k" iperf -l 64K "$r"
done
[ $jobs != 0 ] || die "JOBS=$JOBS matches no job: names are as 21disks-randrw-4k-256 and net-send-64"

: >"$dir/lines"
for run in $runs; do
	d=$dir/$run
	echo end >&"${to[$run]}"
	wait "${pid[$run]}"
	pids=${pids/ -${pid[$run]}/}
	bad_lines "$d/console.log" >"$d/bad" || true
	jq -c --arg run "$run" 'select(.metric) | {run: $run} + .' "$d/results.jsonl" >>"$dir/lines"
	jq -cn --arg run "$run" --argjson v "$(wc -l <"$d/bad")" \
		'{run: $run, metric: "log:log_errors", value: $v, unit: "lines"}' >>"$dir/lines"
	for f in "$d"/files/iperf-*.json; do
		[ -s "$f" ] || continue
		n=${f##*/iperf-}
		jq -c --arg run "$run" --arg n "net-${n%.*.json}" '
			(.end.sum_received // error("iperf3: \(.error)")) as $s
			| {run: $run, metric: "\($n):mib_s", value: ($s.bytes / $s.seconds / 104857.6 | round / 10), unit: "MiB/s"},
			  (select(.end.sum.packets) | {run: $run, metric: "\($n):packets_s",
				value: ($s.bytes / .start.test_start.blksize / $s.seconds | round), unit: "1/s"})' "$f" >>"$dir/lines"
	done
done

jq -cs '
	def backend: {none: "none", dynamic: "dynamic", cc: "cc"}[.] // "legacy";
	def median: sort | (.[length / 2 | floor] + .[(length - 1) / 2 | floor]) / 2;
	(group_by(.metric)[] | select(.[0].metric | test(":(packets_s|mib_s)$"))
	| [.[] | select(.run == "cc") | .value] as $cc | [.[] | select(.run == "legacy") | .value] as $legacy
	| [range($cc | length) as $i | select($legacy[$i] > 0) | $cc[$i] / $legacy[$i] * 1000 | round / 1000] as $ratios
	| (.[0].metric | split(":")) as $m
	| (["", ($ratios | median * 1000 | round / 1000)], ["_min", ($ratios | min)], ["_max", ($ratios | max)], ["_rounds", ($ratios | length)])
	| {name: $m[0], backend: "cc", metric: "\($m[1])_over_legacy\(.[0])", value: .[1],
	   unit: (if .[0] == "_rounds" then "" else "ratio" end)}),
	(group_by([.run, .metric])[]
	| (map(.value) | median) as $v
	| (.[0].metric | split(":")) as $m
	| {name: (if .[0].run == "legacy-1g" then $m[0] + "-1GiB" else $m[0] end),
	   backend: (.[0].run | backend), metric: $m[1], value: $v, unit: .[0].unit})' "$dir/lines" >>"$records"
finish true
"$top/scripts/bench-report.py"
step "wrote out/bench-fio.json"
