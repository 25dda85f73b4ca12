#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make bench-fio: fio in the x86_64 guest with each allocator in turn, on 1 and on
# 21 NVMe disks, and iperf3 through virtio-net with the host. QUICK=1: few sizes;
# ROUNDS=n: repeat, medians; SECONDS_PER_JOB=n. Per disk 1 or 256 requests are in flight, never
# more than 512 MiB in all. Writes out/bench-fio.json.
. "$(dirname "$0")/lib.sh"

"$top/scripts/deps.sh" iperf3
need jq iperf3 tar
record_to bench-fio
dir=$out/bench-fio
mkdir -p "$dir"
rounds=${ROUNDS:-1} ramp=1 seconds=${SECONDS_PER_JOB:-2}
bs=512,4k,16k,64k,128k,512k,mixed depth=1,256 ways='randread randwrite randrw'
if [ "${QUICK:-}" ]; then
	bs=4k,64k,mixed depth=256 ways=randrw
fi

images=$("$top/scripts/build.sh" legacy dynamic cc)
{ read -r legacy && read -r dynamic && read -r cc; } <<<"$images"

# For the guest: iperf3 and its libraries, as a disk.
mapfile -t libs < <(ldd "$(command -v iperf3)" | grep -o '/[^ :]*\.so[^ :]*' | sort -u)
tar -chf "$dir/iperf3.tar" -C / "$(command -v iperf3 | sed 's|^/||')" "${libs[@]#/}" 2>/dev/null
truncate -s %512 "$dir/iperf3.tar"
iperf3 -s -B 127.0.0.1 -p 5201 >"$dir/iperf3.log" 2>&1 &
server=$!
trap 'kill $server' EXIT

# guest <run> <bzImage> <swiotlb argument> <rw> <round> yes|no (network too)
guest() {
	local d=$dir/$1-$4-$5 f n
	local q="-drive file=$dir/iperf3.tar,format=raw,if=none,id=tar,readonly=on -device virtio-blk-pci,drive=tar,iommu_platform=on,disable-legacy=on -netdev user,id=net -device virtio-net-pci,netdev=net,iommu_platform=on,disable-legacy=on,romfile="
	step "round $5, $4: $1"
	"$top/scripts/qemu.sh" -m 4G -n 21 -s 256M -t 1200 -q "$q" "$2" "$d" bench-fio \
		"rw=$4" "bs=$bs" "depth=$depth" "ramp=$ramp" "seconds=$seconds" io_mib=512 "net=$6" "swiotlb=$3"
	bad_lines "$d/console.log" >"$d/bad" || true
	jq -c --arg run "$1" 'select(.metric) | {run: $run} + .' "$d/results.jsonl" >>"$dir/lines"
	jq -cn --arg run "$1" --arg n "log-$4" --argjson v "$(wc -l <"$d/bad")" \
		'{run: $run, metric: "\($n):log_errors", value: $v, unit: "lines"}' >>"$dir/lines"
	for f in "$d"/files/iperf-*.json; do
		[ -s "$f" ] || continue
		n=${f##*/iperf-}
		jq -c --arg run "$1" --arg n "net-${n%.json}" '
			(.end.sum_received // .end.sum) as $s
			| {run: $run, metric: "\($n):mib_s", value: (($s.bits_per_second // 0) / 8388608 * 10 | round / 10), unit: "MiB/s"},
			  (select(.end.sum.packets) | {run: $run, metric: "\($n):packets_s",
				value: ((.end.sum.packets - (.end.sum.lost_packets // 0)) / .end.sum.seconds | round), unit: "1/s"})' "$f" >>"$dir/lines"
	done
}

: >"$dir/lines"
for ((round = 1; round <= rounds; round++)); do
	net=yes
	for way in $ways; do
		guest none "$legacy" noforce "$way" "$round" "$net"
		guest legacy "$legacy" 32768,force "$way" "$round" "$net"
		[ "${QUICK:-}" ] || guest legacy-1g "$legacy" 524288,force "$way" "$round" "$net"
		[ "${QUICK:-}" ] || guest dynamic "$dynamic" 32768,force "$way" "$round" "$net"
		guest cc "$cc" cc,force "$way" "$round" "$net"
		net=no
	done
done

jq -cs '
	def backend: {none: "none", dynamic: "dynamic", cc: "cc"}[.] // "legacy";
	group_by([.run, .metric])[]
	| (map(.value) | sort | .[length / 2 | floor]) as $v
	| (.[0].metric | split(":")) as $m
	| {name: (if .[0].run == "legacy-1g" then $m[0] + "-1GiB" else $m[0] end),
	   backend: (.[0].run | backend), metric: $m[1], value: $v, unit: .[0].unit}' "$dir/lines" >>"$records"
finish true
"$top/scripts/bench-report.py"
step "wrote out/bench-fio.json"
