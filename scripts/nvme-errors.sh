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

# A sector in each 4 MiB cannot be read.
drive="driver=raw,if=none,id=bad,file.driver=blkdebug,file.image.driver=file,file.image.filename=$dir/disk"
for ((i = 0; i < mib / 4; i++)); do
	drive+=",file.inject-error.$i.event=none,file.inject-error.$i.iotype=read,file.inject-error.$i.sector=$((i * 8192 + 4321))"
done

boot() { # name, kernel argument...
	local d=$dir/$1
	"$top/scripts/qemu.sh" -t 600 -n 1 -q "-drive $drive -device nvme,serial=bad,drive=bad" "$kernel" "$d" nvme-errors \
		"mib=$mib" seconds=20 "${@:2}"
}
measured() { # name metric, what it must be
	local v
	v=$(emitted "$dir/$1" "$2")
	echo "$1 $2: $v"
	emit "$1" cc "$2" "$v" "$(jq -rs --arg m "$2" 'map(select(.metric == $m)) | last.unit' "$dir/$1/results.jsonl")"
	[ "$(jq -n "$v | $3")" = true ]
}

# In the small one, 1 MiB of swiotlb's own pool is all there is to fall back to.
for run in usual small; do
	args=(threads=32 "swiotlb=cc,force")
	[ $run = usual ] || args=(threads=64 "swiotlb=512,cc,force" "cc_swiotlb=max=2M,reserve=1M")
	check $run-boot boot $run "${args[@]}"
	check $run-reads measured $run reads '. > 1000'
	check $run-failed measured $run failed '. > 10'
	check $run-right measured $run wrong '. == 0'
	check $run-poisoned measured $run leaked '. == 0'
	check $run-resets measured $run resets '. > 3'
	check $run-quiet-log quiet_log "$dir/$run"
done
check small-failed-maps measured small map_failures '. > 10'
conclude
