#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make stress: bounce buffers under pressure, in x86_64 guests. SCENARIO=<name> for
# one of: boot burst decay starve fragment lowmem shrinker hotplug mkfs21 suspend scale soak;
# without it all but the soak, with two minutes of mkfs21 instead of five.
#
#   MINUTES=n       duration of mkfs21 (each allocator) and of soak
#   BURST_MIB=n     in flight in burst (2560); decay takes 1024
#
# Writes out/stress.json; fails if something that must hold with cc does not. What
# legacy and dynamic do is recorded beside it.
. "$(dirname "$0")/lib.sh"

all='boot burst decay starve fragment lowmem shrinker hotplug suspend mkfs21 scale'
read -r -a scenarios <<<"${SCENARIO:-$all}"
for s in "${scenarios[@]}"; do
	case " $all soak " in
	*" $s "*) ;;
	*) die "no scenario '$s': use one of $all soak" ;;
	esac
done

"$top/scripts/deps.sh" kexec-tools util-linux
step "kernel $kver${KSRC:+ of $KSRC}"
dir=$out/stress
mkdir -p "$dir"
record_to stress
[ -f "$dir/file" ] || head -c 8M /dev/urandom >"$dir/file"

declare -A images
image() { # variant: built on first use
	[ "${images[$1]:-}" ] || images[$1]=$("$top/scripts/build.sh" "$1")
}

# More memory than the host has; only what the guest touches is taken.
sparse_memory() { # size
	echo "-machine memory-backend=m -object memory-backend-ram,id=m,size=$1,reserve=off"
}

# guest <scenario> <backend> <variant> <swiotlb argument> [option of qemu.sh...] -- <test> [argument...]
guest() {
	local name=$1 backend=$2 variant=$3 swiotlb=$4 run=$dir/$1-$2 opts=() completed=1 f
	shift 4
	while [ "$1" != -- ]; do
		opts+=("$1")
		shift
	done
	shift
	image "$variant"
	step "$name: $backend"
	rm -rf "$run"/{results.jsonl,files}
	NET_FILE=$dir/file "$top/scripts/qemu.sh" "${opts[@]}" "${images[$variant]}" "$run" "$@" "swiotlb=$swiotlb" || completed=0
	testbed=$(qemu_of "$run")
	[ -f "$run/results.jsonl" ] || return 0
	jq -c --arg n "$name" --arg b "$backend" \
		'select(.metric) | {name: $n, backend: $b, metric, value, unit}' "$run/results.jsonl" >>"$records"
	emit "$name" "$backend" completed $completed ''
	emit "$name" "$backend" log_errors "$(bad_lines "$run/console.log" | wc -l)" lines
	for f in "$run"/files/*.json; do
		[ -f "$f" ] || continue
		emit "$name" "$backend" "io_errors_$(basename "$f" .json)" "$(jq '[.jobs[].total_err] | add' "$f" || echo null)" errors
		emit "$name" "$backend" "iops_$(basename "$f" .json)" "$(jq '[.jobs[] | .read.iops + .write.iops] | add | round' "$f" || echo null)" 1/s
	done
}

pass=true
# must <scenario> <what> <expression>: on the metrics of the backends, as .cc.<metric>
must() {
	local v
	v=$(jq -s --arg n "$1" 'map(select(.name == $n)) | group_by(.backend)
		| map({(.[0].backend): (map({(.metric): .value}) | add)}) | add
		| '"$3" "$records" 2>&1) || true
	if [ "$v" = true ]; then
		echo "  ok      $1: $2"
	else
		echo "  NOT OK  $1: $2: $3"
		pass=false
	fi
}

# What must hold in every scenario
clean() { # scenario
	must "$1" 'completed' '.cc.completed == 1'
	must "$1" 'no I/O errors' '[.cc | to_entries[] | select(.key | startswith("io_errors")) | .value == 0] | all'
	must "$1" 'no lockup, hung task or warning in the log' '.cc.log_errors == 0'
}

table() { # scenario
	jq -rs --arg n "$1" '
		def text: if . == null then "-" else tostring end;
		map(select(.name == $n)) as $r
		| ($r | map(.backend) | reduce .[] as $b ([]; if index($b) then . else . + [$b] end)) as $backends
		| (["", $backends[]]),
		  (($r | map(.metric) | reduce .[] as $m ([]; if index($m) then . else . + [$m] end) | .[]) as $m
		  | [$m, ($backends[] as $b
			| $r | map(select(.backend == $b and .metric == $m)) | last
			| if . == null then "-"
			  elif .unit == "B" and .value != null then (.value / 1048576 * 10 | round / 10 | tostring) + " MiB"
			  else .value | text end)])
		| @tsv' "$records" | column -t -s "$(printf '\t')"
	echo
}

boot() {
	local root=$dir/root
	rm -rf "$root"
	mkdir "$root"
	(cd "$root" && zcat "$("$top/scripts/initramfs.sh")" | cpio -idm --quiet)
	rm -f "$root.img"
	mke2fs -q -F -t ext4 -d "$root" "$root.img" 256M >/dev/null
	rm -rf "$root"
	local q
	q="$(sparse_memory 32G) -drive file=$root.img,format=raw,if=none,id=root,readonly=on -device nvme,serial=root,drive=root"
	guest boot legacy legacy force -c 8 -m 32G -N -q "$q" -- stress-boot
	guest boot cc cc cc,force -c 8 -m 32G -N -q "$q" -- stress-boot
	table boot
	clean boot
	must boot 'no failed maps' '.cc.map_failures == 0'
	must boot 'shared at the end of boot <= 16 MiB' '.cc.shared_end_bytes <= 16777216'
}

bursts() { # MiB, seconds of pause, backend...
	local mib=$1 b
	local opts=(-m "$((mib * 4 + 2048))M" -n 21 -D throttling.iops-total=20 -t 600)
	local args=(stress-burst bs=256k "depth=$((mib * 4 / 21 + 1))" "seconds=$((5 + mib / 100))" "pause=$2")
	for b in "${@:3}"; do
		case $b in
		legacy) guest "$s" legacy legacy 32768,force "${opts[@]}" -- "${args[@]}" ;;
		dynamic) guest "$s" dynamic dynamic 32768,force "${opts[@]}" -- "${args[@]}" ;;
		cc) guest "$s" cc cc cc,force "${opts[@]}" -- "${args[@]}" ;;
		esac
	done
	table "$s"
	clean "$s"
}

burst() {
	local mib=${BURST_MIB:-2560}
	bursts "$mib" 0 legacy cc
	must burst 'all of it was in flight at once' ".cc.used_peak_bytes >= $mib * 1048576 * 0.9"
	must burst 'no stall over 1 s' '.cc.longest_stall_ms <= 1000'
	must burst 'no failed maps up to the stated reserve' \
		'.cc | .map_failures == 0 or .reserve_given_before_failure_bytes >= .reserve_bytes'
}

decay() {
	bursts 1024 30 dynamic cc
	must decay 'after 30 s idle within 25 % of before' '.cc.shared_after_bytes <= .cc.shared_before_bytes * 1.25'
	must decay 'less than dynamic' '.cc.shared_after_bytes < .dynamic.shared_after_bytes'
	must decay 'up again at the next burst' '.cc.shared_again_bytes > .cc.shared_after_bytes * 2'
	must decay 'no huge mapping was split' '.cc.direct_map_4k_after_mib <= .cc.direct_map_4k_before_mib'
}

starve() {
	local q
	q=$("$top/scripts/tools-disk.sh" "$dir/starve.tar" chrt taskset)
	guest starve cc cc cc,force -n 4 -D throttling.iops-total=40 -t 240 -q "$q" -- \
		stress-starve seconds=8 bs=32k depth=512
	table starve
	clean starve
	must starve 'kccd did not run' '.cc.grown_while_starved_bytes == 0'
	must starve 'every fallback was used and counted' \
		'[.cc | .fallback_reserve, .fallback_larger, .fallback_legacy, .fallback_failed] | all(. > 0)'
	must starve 'reserve, larger class, legacy pool, failure: in this order' \
		'.cc | [.first_reserve_us, .first_reserve_empty_us, .first_larger_us, .first_legacy_us, .first_failed_us] | all(. != null) and . == sort'
	must starve 'recovers' '.cc.map_failures_after_recovery == 0 and .cc.iops_recovered > 0'
}

fragment() {
	local when
	guest fragment cc cc cc,force -m 1G -n 4 -D throttling.iops-total=200 -t 900 -- \
		stress-fragment bs=64k depth=128 seconds=5 mark=64
	table fragment
	clean fragment
	must fragment 'no page of order 9 was free' '.cc.order_9_free == 0 and .cc.scattered_order_9_free == 0'
	must fragment 'works on smaller chunks' '.cc.small_chunks > 0 and .cc.large_blocks_pinned <= 10'
	must fragment 'the mark of 512 KiB could not be kept, so that kccd wants what it cannot get' '.cc.large_free_pinned < 64'
	for when in pinned free scattered; do
		must fragment "idle, $when: at most one pass per second" ".cc.idle_${when}_passes <= 10"
		must fragment "idle, $when: no tick" ".cc.idle_${when}_ticks == 0"
		must fragment "idle, $when: kccd uses at most 1 % of a CPU" ".cc.idle_${when}_cpu_ms <= 100"
	done
	# The longest backoff is 10 s.
	for when in free scattered; do
		must fragment "$when: slots of 512 KiB are there within 12 s" ".cc.mark_${when}_ms != null and .cc.mark_${when}_ms <= 12000"
		must fragment "$when: mappings of 508 KiB get them" ".cc.large_maps_$when > 0 and .cc.large_lost_$when == 0"
		must fragment "$when: again in blocks of 2 MiB" ".cc.large_blocks_$when >= 90"
	done
}

lowmem() {
	guest lowmem cc cc cc,force -m 1G -n 4 -s 2G -D throttling.iops-total=400 -t 300 -- stress-lowmem hog=1200 seconds=40
	table lowmem
	clean lowmem
	must lowmem 'memory was swapped out' '.cc.swapped_out_bytes > 100 * 1048576'
	must lowmem 'nothing was killed' '.cc.oom_kills == 0'
	must lowmem 'without pressure, what the bursts need stays' '.cc.shared_least_without_pressure_bytes >= .cc.warm_shared_peak_bytes * 0.6'
	must lowmem 'the shrinker gave memory back' '.cc.shared_least_pressed_bytes < .cc.warm_shared_peak_bytes / 2'
}

shrinker() {
	guest shrinker cc cc cc,force -c 4 -m 512M -n 2 -D throttling.iops-total=2000 -t 600 -- stress-shrinker seconds=60
	table shrinker
	clean shrinker
	must shrinker 'CPUs held idle slots' '.cc.cached_before_bytes > 1048576'
	must shrinker 'CPUs are told to empty their magazines at most once a second' '.cc.drains > 0 and .cc.drains <= .cc.pressed_ms / 1000 + 1'
	# Most of these are not for us: the loops make some by themselves.
	must shrinker 'CPUs are interrupted less than eight times a second, for whatever reason' '.cc.function_calls < 8 * .cc.cpus * (.cc.pressed_ms / 1000 + 1)'
	must shrinker 'at most two ticks per second' '.cc.ticks <= .cc.pressed_ms / 500 + 1'
	must shrinker 'memory is back within 5 s, and in half the time it takes without pressure' '.cc.returned_under_pressure_ms != null and .cc.returned_under_pressure_ms <= ([5000, .cc.returned_by_decay_ms / 2] | min)'
	must shrinker 'one call is enough for that' '.cc.returned_by_one_call_ms != null and .cc.returned_by_one_call_ms <= ([5000, .cc.returned_by_decay_ms / 2] | min)'
	must shrinker 'I/O right after the pressure: no failed map' '.cc.map_failures_after == 0'
	must shrinker 'nothing was killed' '.cc.oom_kills == 0'
}

# Say one line to QEMU; its answers go to a log.
qmp() { # command argument (JSON)
	printf '{"execute":"%s","arguments":%s}\n' "$1" "$2" >"$run/qmp.in"
}

# Keep what QEMU says, and greet back each QEMU that qemu.sh starts.
listen() {
	local line
	while :; do
		while read -r line; do
			printf '%s\n' "$line"
			case $line in
			'{"QMP"'*) qmp qmp_capabilities '{}' ;;
			esac
		done <"$run/qmp.out"
	done >"$run/qmp.log"
}

disks_here() {
	jq -s 'map(select(.metric == "disks")) | last.value // 0' "$run/results.jsonl" 2>/dev/null || echo 0
}

unplugged() {
	grep -c 'DEVICE_DELETED.*"device": "d' "$run/qmp.log" || true
}

await() { # pid of the guest, what says a number, which number
	local t=0
	until [ "$("$2")" = "$3" ]; do
		kill -0 "$1" 2>/dev/null && [ $((t += 1)) -lt 90 ] || return 1
		sleep 1
	done
}

# Add and remove so many disks in turn, while the guest runs.
plug() { # pid of the guest, number that stays, rounds...
	local pid=$1 stay=$2 n i gone=0
	for n in "${@:3}"; do
		await "$pid" disks_here "$stay" || return 1
		for ((i = 0; i < n; i++)); do
			qmp device_add "{\"driver\":\"nvme\",\"id\":\"d$i\",\"serial\":\"plugged$i\",\"drive\":\"b$i\",\"bus\":\"p$i\"}"
		done
		await "$pid" disks_here $((stay + n)) || return 1
		sleep 3
		for ((i = 0; i < n; i++)); do
			qmp device_del "{\"id\":\"d$i\"}"
		done
		await "$pid" unplugged $((gone += n)) || return 1
	done
}

hotplug() {
	local run=$dir/hotplug-cc q i counts=(1 5 20 50) pid listener
	rm -rf "$run"
	mkdir -p "$run"
	mkfifo "$run/qmp.in" "$run/qmp.out"
	q="-chardev pipe,id=qmp,path=$run/qmp -mon chardev=qmp,mode=control -global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"
	for ((i = 0; i < 50; i++)); do
		q+=" -blockdev driver=null-co,node-name=b$i,size=1073741824,read-zeroes=on"
		q+=" -device pcie-root-port,id=p$i,chassis=$i,multifunction=on,io-reserve=0,addr=$(printf '%#x.%d' $((16 + i / 8)) $((i % 8)))"
	done
	image cc
	guest hotplug cc cc cc,force -n 2 -t 500 -q "$q" -- stress-hotplug "rounds=${#counts[@]}" \
		pcie_ports=native &
	pid=$!
	listen &
	listener=$!
	plug $pid 2 "${counts[@]}" || {
		echo "  hotplug: the guest stays at $(disks_here) disks: see $run" >&2
		qmp quit '{}'
	}
	wait $pid || true
	kill $listener
	table hotplug
	clean hotplug
	must hotplug 'no slot was lost' '.cc.used_after_bytes == .cc.used_before_bytes'
	must hotplug 'no memory was lost' '.cc.quarantined_bytes == 0 and .cc.shared_after_bytes <= .cc.shared_before_bytes * 1.25'
	must hotplug 'no failed maps' '.cc.map_failures == 0'
}

suspend() {
	local q
	image cc
	q=$("$top/scripts/tools-disk.sh" "$dir/suspend.tar" kexec "kexec/bzImage=${images[cc]}" \
		"kexec/initrd=$("$top/scripts/initramfs.sh")")
	guest suspend cc cc cc,force -n 2 -t 300 -q "$q" -- stress-suspend phase=1
	table suspend
	clean suspend
	must suspend 'freeze and thaw' '.cc.suspend_freezer_ok == 1'
	must suspend 'suspend and resume of devices' '.cc.suspend_devices_ok == 1'
	must suspend 'kexec' '.cc.kexec_ok == 1'
	must suspend 'all memory is there after it' '.cc.mem_total_after_mib >= .cc.mem_total_before_mib - 1 and .cc.mem_filled_mib > 0'
}

mkfs21() {
	local seconds=$((${MINUTES:-$([ "${SCENARIO:-}" ] && echo 5 || echo 2)} * 60))
	guest mkfs21 legacy legacy 32768,force -n 21 -t $((seconds + 300)) -- stress-mkfs21 seconds=$seconds
	guest mkfs21 cc cc cc,force -n 21 -t $((seconds + 300)) -- stress-mkfs21 seconds=$seconds
	table mkfs21
	clean mkfs21
	must mkfs21 'no failed maps' '.cc.map_failures == 0'
	must mkfs21 'at least as many loops as legacy' '.cc.loops_per_min >= (.legacy.loops_per_min // 0)'
}

scale() {
	guest scale cc cc-stress cc,force -c 96 -m 384G -n 20 -V max_ioqpairs=8 -t 900 -q "$(sparse_memory 384G)" -- \
		stress-scale bs=4k,64k,256k depth=1,64 jobs=4 seconds=5 \
		tsc=reliable lpj=2600000 nowatchdog rcupdate.rcu_cpu_stall_suppress=1
	table scale
	clean scale
	must scale '96 CPUs and 384 GiB' '.cc.cpus == 96 and .cc.mem_total_mib > 370000'
	must scale 'with the CPUs at most 64 MiB' '.cc.cached_peak_bytes <= 67108864'
}

soak() {
	local minutes=${MINUTES:-30} sum
	sum=$(sha256sum <"$dir/file" | cut -d' ' -f1)
	guest soak cc cc cc,force -N -n 6 -t $((minutes * 60 + 600)) -- stress-soak "minutes=$minutes" "sum=$sum"
	table soak
	clean soak
	must soak 'no errors of mkfs and network' '.cc.other_errors == 0'
	# shellcheck disable=SC2016 # jq's variables
	must soak 'shared memory shows no trend' \
		'[.cc | to_entries[] | select(.key | startswith("shared_round")) | .value] | (length / 2 | floor) as $h
		| (.[:$h] | add / length) as $a | (.[$h:] | add / length) as $b | $b <= $a * 1.25'
}

for s in "${scenarios[@]}"; do
	"$s"
done
finish $pass
step "wrote out/stress.json"
[ $pass = true ]
