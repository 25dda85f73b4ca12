#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make smoke: boot the patched kernel with lockdep and DMA debugging, and run a
# short verified I/O through cc-swiotlb on the demo's devices. Writes out/smoke.json.
. "$(dirname "$0")/lib.sh"
no_arguments "$@"

"$top/scripts/deps.sh"
record_to smoke
dir=$out/smoke
mkdir -p "$dir"
rm -rf "$dir"/{console.log,results.jsonl,files}
file=$dir/file
random_file "$file" 16M
sum=$(sha256sum <"$file" | cut -d' ' -f1)
kernel=$("$top/scripts/build.sh" cc-debug)

# The reserve holds all that the file system can have in flight, so that a map which
# fails is an error however late kccd runs.
boot() {
	NET_FILE=$file "$top/scripts/qemu.sh" -c 2,sockets=2 -N -n 4 -b 1 "$kernel" "$dir" demo io=2m settle=0 "sum=$sum" \
		swiotlb=cc,force cc_swiotlb=reserve=64M
}
is_zero() { # metric
	[ "$(emitted "$dir" "$1")" = 0 ]
}
disk_errors() {
	[ -f "$dir/files/fio.err" ] && ! grep . "$dir/files/fio.err" && [ "$(jq '.jobs[0].total_err' "$dir/files/fio.json")" = 0 ]
}

check boot boot
check two-cpus grep -a 'Brought up .* 2 CPUs' "$dir/console.log"
check disk-io-verified disk_errors
check network-verified is_zero net_errors
check file-system-verified is_zero fs_errors
check no-failed-map is_zero map_failures
check quiet-log quiet_log "$dir"
conclude
