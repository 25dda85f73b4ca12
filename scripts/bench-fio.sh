#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make bench-fio: fio in x86_64 guests, one with each allocator, on 1 and on 21 NVMe
# disks, and iperf3 through virtio-net with the host. All guests are up all the time,
# one works: a job is done by each in turn, $ROUNDS (3) times by legacy and cc, once by
# the others; on the network, which varies more, four times $ROUNDS. Medians, and the
# ratio of cc and legacy in each round. Then legacy and cc do the jobs of fio once more,
# on one CPU, whose instructions are counted. Jobs named raw- and luks- are about what is
# copied, without and with dm-crypt; their instructions are counted for each allocator,
# and luks-bounced is dm-crypt without cc_shared_reads. Jobs named seq- do 1 MiB at a time
# from huge pages, for which cc-2m, cc with slots of 2 MiB kept, takes one or two slots. QUICK=1: few sizes, one round;
# SECONDS_PER_JOB=n (1); JOBS=regex: only jobs whose name matches, such as ^net-;
# ROUNDS=0: only count. Per disk 1 or 256 requests are in flight, never more than 512 MiB
# in all. Writes out/bench-fio.json.
. "$(dirname "$0")/lib.sh"
no_arguments "$@"

"$top/scripts/deps.sh" iperf3
switch QUICK
whole_number ROUNDS 0
whole_number SECONDS_PER_JOB 1
record_to bench-fio
dir=$out/bench-fio
mkdir -p "$dir"
rounds=${ROUNDS:-3} seconds=${SECONDS_PER_JOB:-1}
sizes='512 4k 16k 64k 128k 512k mixed' depths='1 256' ways='randread randwrite randrw'
runs='none legacy cc legacy-1g dynamic'
if [ "$QUICK" ]; then
	sizes='4k 64k mixed' depths=256 ways=randrw runs='none legacy cc' rounds=${ROUNDS:-1}
fi
[ "$rounds" != 0 ] || runs=

# What is to be done.
jobs=()
add() { # name verb argument...
	if [[ $1 =~ ${JOBS:-.} ]]; then
		jobs+=("$*")
	fi
}
for way in $ways; do
	for size in $sizes; do
		for depth in $depths; do
			for disks in 1 21; do
				add "${disks}disks-$way-$size-$depth" job "$way" "$size" "$depth" "$disks"
			done
		done
	done
done
for way in randread randwrite; do
	for size in $([ "$QUICK" ] || echo 4k 512k) 64k; do
		for on in raw luks; do
			add "$on-$way-$size-16" job "$way" "$size" 16 "$on"
		done
	done
done
add luks-bounced-randread-64k-16 job randread 64k 16 luks-bounced
for way in read write; do
	add "seq-$way-1m-8" job "$way" 1m 8 seq
done
for way in send receive; do
	r=$([ $way = send ] || echo -R)
	add "net-$way-64" iperf -u -b 0 -l 64 "$r"
	add "net-$way-1500" iperf -u -b 0 -l 1472 "$r"
	add "net-$way-64k" iperf -l 64K "$r"
done
[ ${#jobs[@]} != 0 ] || die "JOBS=$JOBS matches no job: names are as 21disks-randrw-4k-256, luks-randread-64k-16, seq-read-1m-8 and net-send-64"

sequential=''
if [[ " ${jobs[*]%% *} " = *' seq-'* ]]; then
	sequential='cc-2m'
	[ ! "$runs" ] || runs+=" $sequential"
fi

[ "$runs" ] || [[ ${jobs[*]} = *' job '* ]] ||
	die "ROUNDS=0 only counts, and JOBS=$JOBS has only jobs of iperf3, which are not counted: set another one of them"

images=$("$top/scripts/build.sh" legacy dynamic cc)
{ read -r legacy && read -r dynamic && read -r cc; } <<<"$images"
tools=$("$top/scripts/tools-disk.sh" "$dir/tools.tar" iperf3)
"$top/scripts/icount-plugin.sh" "$dir/icount.so"
trap end_background EXIT
background iperf3 -s -B 127.0.0.1 -p 5201 >"$dir/iperf3.log" 2>&1
sleep 1
kill -0 $! 2>/dev/null || die "iperf3 does not listen on port 5201: $(tail -n 1 "$dir/iperf3.log"): end what uses the port"
declare -A pid to from

# Two slots of 512 KiB are kept anyway.
with_2m='cc,force cc_swiotlb=0,0,0,0,2,4'

# start <run> <bzImage> <swiotlb argument> [option of qemu.sh...]
start() {
	local d=$dir/$1 q=$tools in out
	rm -rf "$d"
	mkdir -p "$d"
	mkfifo "$d/ctl.in" "$d/ctl.out"
	q+=" -netdev user,id=net -device virtio-net-pci,netdev=net,iommu_platform=on,disable-legacy=on,romfile="
	q+=" -chardev pipe,id=ctl,path=$d/ctl -serial chardev:ctl"
	background "$top/scripts/qemu.sh" -m 4G -n 21 -V mdts=9 -s 256M -t 14400 -q "$q" "${@:4}" "$2" "$d" bench-fio \
		"seconds=$seconds" io_mib=512 "swiotlb=$3"
	pid[$1]=$!
	exec {in}<>"$d/ctl.in" {out}<>"$d/ctl.out"
	to[$1]=$in from[$1]=$out
}

# answer <run> <word>: wait until the guest says that; tell it what it has executed
answer() {
	local line
	while read -r -t 600 -u "${from[$1]}" line; do
		case $line in
		"$2") return ;;
		executed) od -An -tu8 "$dir/$1.executed" >&"${to[$1]}" ;;
		*) die "the guest of $1 says '$line', not '$2': see $dir/$1" ;;
		esac
	done
	die "the guest of $1 does not answer: see $dir/$1"
}

# Ends the guest of a run; its records, with the name of the run, go to a file.
end() { # run
	local d=$dir/$1
	echo end >&"${to[$1]}"
	wait "${pid[$1]}"
	bad_lines "$d/console.log" >"$d/bad" || true
	jq -c --arg run "$1" 'select(.metric) | {run: $run} + .' "$d/results.jsonl" >>"$dir/lines"
	jq -cn --arg run "$1" --argjson v "$(wc -l <"$d/bad")" \
		'{run: $run, metric: "log:log_errors", value: $v, unit: "lines"}' >>"$dir/lines"
}

# turn <name> <verb> <argument>...: by each guest; the name of what iperf sends tells
# its round.
turn() {
	local name=$1 verb=$2 n=$rounds round run turns=$runs
	shift 2
	step "$name"
	[ "$verb" = job ] || n=$((4 * rounds))
	for ((round = 1; round <= n; round++)); do
		for run in $turns; do
			[ "$run" != cc-2m ] || [[ $name = seq-* ]] || continue
			[ "$verb" = job ] && echo "job $*" >&"${to[$run]}" || echo "iperf ${name#net-}.$round $*" >&"${to[$run]}"
			answer "$run" "done"
		done
		[ $((round % 2)) = 1 ] && turns="$sequential cc legacy" || turns="legacy cc $sequential"
	done
}

# count <run> <regex>: count the instructions of the jobs of fio whose names match
count() {
	local job name verb args
	for job in "${jobs[@]}"; do
		read -r name verb args <<<"$job"
		if [ "$verb" != job ] || ! [[ $name =~ $2 ]]; then
			continue
		fi
		step "$name, $1"
		echo "count $args" >&"${to[$1]}"
		answer "$1" "done"
	done
}

: >"$dir/lines"
for run in $runs; do
	case $run in
	none) start none "$legacy" noforce ;;
	legacy) start legacy "$legacy" 32768,force ;;
	legacy-1g) start legacy-1g "$legacy" 524288,force ;;
	dynamic) start dynamic "$dynamic" 32768,force ;;
	cc) start cc "$cc" cc,force ;;
	cc-2m) start cc-2m "$cc" "$with_2m" ;;
	esac
	step "booting the guest of $run"
	answer "$run" ready
done
for job in ${runs:+"${jobs[@]}"}; do
	# shellcheck disable=SC2086 # a list of words
	turn $job
done
for run in $runs; do
	end "$run"
	d=$dir/$run
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

# An emulator of one CPU that could have two emulates barriers.
start_counted() { # as start
	head -c 8 /dev/zero >"$dir/$1.executed"
	step "booting the guest of $1"
	start "$@" -c 1,maxcpus=2 -P "$dir/icount.so,total=$dir/$1.executed"
	answer "$1" ready
}
count_both() { # run run regex
	background count "$1" "$3"
	count "$2" "$3"
	wait $!
	end "$1"
	end "$2"
}
start_counted legacy-counted "$legacy" 32768,force
start_counted cc-counted "$cc" cc,force
count_both legacy-counted cc-counted .
if [[ " ${jobs[*]%% *} " =~ \ (raw|luks)- ]]; then
	start_counted none-counted "$legacy" noforce
	start_counted dynamic-counted "$dynamic" 32768,force
	count_both none-counted dynamic-counted '^(raw|luks)-'
fi
if [ "$sequential" ]; then
	start_counted cc-2m-counted "$cc" "$with_2m"
	count cc-2m-counted ^seq-
	end cc-2m-counted
fi

jq -cs '
	def backend: rtrimstr("-counted") | if . == "legacy-1g" then "legacy" else . end;
	def median: sort | (.[length / 2 | floor] + .[(length - 1) / 2 | floor]) / 2;
	(group_by(.metric)[] | select(.[0].metric | test(":(packets_s|mib_s)$"))
	| ("cc", "cc-2m") as $b
	| [.[] | select(.run == $b) | .value] as $cc | [.[] | select(.run == "legacy") | .value] as $legacy
	| select($cc != [])
	| [range($cc | length) as $i | select($legacy[$i] > 0) | $cc[$i] / $legacy[$i] * 1000 | round / 1000] as $ratios
	| (.[0].metric | split(":")) as $m
	| (["", ($ratios | median * 1000 | round / 1000)], ["_min", ($ratios | min)], ["_max", ($ratios | max)])
	| {name: $m[0], backend: $b, metric: "\($m[1])_over_legacy\(.[0])", value: .[1], unit: "ratio"}),
	(group_by([.run, .metric])[]
	| (map(.value) | median) as $v
	| (.[0].metric | split(":")) as $m
	| {name: ($m[0] + if .[0].run == "legacy-1g" then "-1GiB" elif .[0].metric == "log:log_errors" and (.[0].run | endswith("counted")) then "-counted" else "" end),
	   backend: (.[0].run | backend), metric: $m[1], value: $v, unit: .[0].unit})' "$dir/lines" >>"$records"
# What is counted is emulated in any case.
testbed=$(qemu_of "$dir/$([ "$runs" ] && echo cc || echo cc-counted)")
errors() { # regex, [run]: metrics of cc, in each round of all jobs
	jq -cs --arg m "$1" --arg run "${2:-}" \
		'map(select((if $run == "" then .run | startswith("cc") else .run == $run end) and (.metric | test($m))).value)' "$dir/lines"
}
if [ "$runs" ] && [[ ${jobs[*]} = *' job '* ]]; then
	must 'cc: no I/O errors' "$(errors ':io_errors$' cc) | length >= $rounds * $(grep -c ' job ' < <(printf '%s\n' "${jobs[@]}")) and all(. == 0)"
	[ ! "$sequential" ] || must 'cc-2m: no I/O errors' "$(errors ':io_errors$' cc-2m) | length >= $rounds and all(. == 0)"
fi
# What is copied is judged, and not how long it takes.
for job in "${jobs[@]%% *}"; do
	case $job in
	luks-rand*read-*) most=0.02 ;;
	raw-* | luks-*) most=1.05 ;;
	*) continue ;;
	esac
	[ -z "$runs" ] || must "cc: $job copies $most bytes per byte at most" "$(value "$job" cc copied_bytes_per_byte) <= $most"
done
if [[ " ${jobs[*]%% *} " = *' luks-randread-64k-16 '*' luks-bounced-'* ]]; then
	must 'cc: reads of an encrypted disk take 0.9 of the instructions that they take bounced' \
		"$(value luks-randread-64k-16 cc instructions_per_io) <= 0.9 * $(value luks-bounced-randread-64k-16 cc instructions_per_io)"
fi
if [ "$sequential" ] && [ "$runs" ]; then
	for job in seq-read-1m-8 seq-write-1m-8; do
		[[ " ${jobs[*]%% *} " = *" $job "* ]] || continue
		must "cc-2m: $job has requests of 1 MiB" "$(value $job cc-2m request_kib) >= 1000"
		# Half of the buffers lie across two huge pages.
		must "cc-2m: $job has mappings of more than 512 KiB" "$(value $job cc-2m bytes_per_map) > 524288"
	done
fi
must 'cc: no lockup, hung task or warning in the log' "$(errors ':log_errors$') | length > 0 and all(. == 0)"
step "wrote out/bench-fio.json"
status=0
conclude || status=1
"$top/scripts/bench-report.py"
exit $status
