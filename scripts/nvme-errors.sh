#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make nvme-errors: direct reads through cc-swiotlb that fail must leave a poisoned
# buffer poisoned, and those that succeed must be right: of a disk with bad sectors
# (QEMU's blkdebug) whose controller is reset under load; and once more with so little
# memory to bounce that requests are mapped in part and given up. Writes
# out/nvme-errors.json.
. "$(dirname "$0")/lib.sh"

"$top/scripts/deps.sh"
record_to nvme-errors
dir=$out/nvme-errors
rm -rf "$dir"
mkdir -p "$dir"
kernel=$("$top/scripts/build.sh" cc)
mib=64
gcc -O2 -static -pthread -o "$dir/poison" "$top/tests/tools/poison/poison.c"
truncate -s ${mib}M "$dir/disk"
"$dir/poison" fill "$dir/disk" $mib

boot() { # name, kernel argument...
	local d=$dir/$1
	"$top/scripts/qemu.sh" -t 600 -n 1 -q "$(bad_disk "$dir/disk" $mib)" "$kernel" "$d" nvme-errors \
		"mib=$mib" seconds=20 "${@:2}"
}
says() { # name metric, what it must be
	judge_emitted "$dir/$1" "$@"
}

# In the small one, 1 MiB of swiotlb's own pool is all there is to fall back to.
for run in usual small; do
	args=(threads=32 "swiotlb=cc,force")
	[ $run = usual ] || args=(threads=64 "swiotlb=512,cc,force" "cc_swiotlb=max=2M,reserve=1M")
	check $run-boot boot $run "${args[@]}"
	check $run-reads says $run reads '. > 1000'
	check $run-failed says $run failed '. > 10'
	check $run-right says $run wrong '. == 0'
	check $run-poisoned says $run leaked '. == 0'
	check $run-resets says $run resets '. > 3'
	check $run-quiet-log quiet_log "$dir/$run"
done
check small-failed-maps says small map_failures '. > 10'
conclude
