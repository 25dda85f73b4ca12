#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make nvme-errors: direct reads through cc-swiotlb that fail must leave a poisoned
# buffer poisoned, and those that succeed must be right; commands of user space that
# transfer less than they have memory for must leave the rest poisoned, and so with
# metadata. All that while a disk has bad sectors (QEMU's blkdebug) and its controller is
# reset under load, and in one guest each:
#
#   usual	nothing else
#   small	with so little memory to bounce that requests are mapped in part and given up
#   maps	mappings, and what describes them to the device, fail by fault injection
#   requests	requests fail in the block layer, and mappings
#   interrupts	completions get lost, so that requests time out
#   format	a disk is formatted, with smaller blocks, and the driver does not hear of it
#   shared	with swiotlb=cc only, of devices that take nothing but shared memory (Linux 7.3)
#   direct-map	such devices again, without errors: no page of the direct map is split
#
# RUN='<name>...': these only. MUTANT='<name>...' puts each of these bugs of
# tests/mutants-guest/ into the kernel instead (Linux 7.3), which the guest that it names
# must notice; MUTANT=all, all of them. Writes out/nvme-errors.json.
[ -z "${MUTANT:-}" ] || [ -n "${KSRC:-}" ] || export KVER=${KVER:-7.3}
. "$(dirname "$0")/lib.sh"

some_names RUN
some_names MUTANT
runs=(usual small maps requests interrupts format)
# In 6.12, x86 forces it in every confidential guest.
[ "$kver" = 6.12 ] || runs+=(shared direct-map)
if [ "${RUN:-}" ]; then
	for run in $RUN; do
		[[ " ${runs[*]} " = *" $run "* ]] || die "RUN=$run: Linux $kver has ${runs[*]}: take one of these"
	done
	read -r -a runs <<<"$RUN"
fi
mutants=()
if [ "${MUTANT:-}" ]; then
	[ "$kver" = "${versions[-1]}" ] || die "MUTANT is for Linux ${versions[-1]}: use KVER=${versions[-1]}"
	for name in ${MUTANT/#all/}; do
		[ -f "$top/tests/mutants-guest/$name.patch" ] || die "tests/mutants-guest has no '$name': take a name from there, or all"
		mutants+=("$name")
	done
	[ ${#mutants[@]} -gt 0 ] || mapfile -t mutants < <(cd "$top/tests/mutants-guest" && printf '%s\n' *.patch | sed 's/\.patch$//')
fi

"$top/scripts/deps.sh"
record_to nvme-errors
dir=$out/nvme-errors
rm -rf "$dir"
mkdir -p "$dir"
[ ${#mutants[@]} -gt 0 ] || kernel=$("$top/scripts/build.sh" cc-faults)
mib=64 beyond=16
gcc -O2 -static -pthread -o "$dir/poison" "$top/tests/tools/poison/poison.c"
truncate -s $((mib + beyond))M "$dir/disk"
"$dir/poison" fill "$dir/disk" $mib
# Metadata is behind the data there.
cp --sparse=always "$dir/disk" "$dir/meta"
truncate -s ${mib}M "$dir/dead"

disks="$(bad_disk "$dir/disk" $((mib + beyond)))"
disks+=" -drive driver=raw,if=none,id=dead,file.driver=blkdebug,file.image.driver=file,file.image.filename=$dir/dead"
disks+=,file.inject-error.0.event=none,file.inject-error.0.iotype=read
disks+=" -device nvme,serial=dead,drive=dead"
disks+=" -drive file=$dir/meta,if=none,id=meta-disk,format=raw,cache=unsafe"
disks+=" -device nvme,serial=meta,id=meta -device nvme-ns,drive=meta-disk,bus=meta,ms=8"

truncate -s ${mib}M "$dir/blocks"
blocks="-drive file=$dir/blocks,if=none,id=blocks-disk,format=raw,cache=unsafe -device nvme,serial=blocks,id=blocks"
blocks+=" -device nvme-ns,drive=blocks-disk,bus=blocks,logical_block_size=4096,physical_block_size=4096"

boot() { # name of the run
	local args=(threads=32 "swiotlb=cc,force") devices=$disks test=nvme-errors
	case $1 in
	# 1 MiB of swiotlb's own pool is all there is to fall back to. The disk is slow, so that
	# requests pile up, however fast the guest is.
	small)
		args=(threads=64 "swiotlb=512,cc,force" "cc_swiotlb=max=2M,reserve=1M")
		devices=${disks/,id=bad,/,id=bad,throttling.iops-total=50,}
		;;
	# What has once failed is not tried again: it would overwrite what has leaked.
	maps) args+=(nvme_core.max_retries=0 faults=maps) ;;
	requests) args+=(nvme_core.max_retries=0 nvme.sgl_threshold=4096 "faults=maps,requests") ;;
	interrupts) args+=(nvme_core.io_timeout=2 faults=interrupts) ;;
	format) test=nvme-format devices=$blocks ;;
	shared) args=(threads=32 swiotlb=cc dma_unencrypted) ;;
	direct-map-none) test=direct-map args=() ;;
	direct-map-legacy) test=direct-map args=(dma_unencrypted) ;;
	direct-map-cc) test=direct-map args=(swiotlb=cc dma_unencrypted) ;;
	esac
	# The kernel's test of the timer fails if the emulator gets too little of the CPU.
	"$top/scripts/qemu.sh" -t 300 -n 1 -q "$devices" "$kernel" "$dir/$1" $test "mib=$mib" seconds=20 no_timer_check "${args[@]}"
}
says() { # name metric, what it must be
	judge_emitted "$dir/$1" "$@"
}
split() { # backend: KiB of the direct map in pages of 4 KiB
	emitted "$dir/direct-map-$1" direct_map_4k
}
timed_out() { # name
	local n
	n=$(grep -ac 'QID .* timeout, ' "$dir/$1/console.log")
	echo "$1: $n requests timed out"
	emit "$1" cc timeouts "$n" requests
	[ "$n" -gt 3 ]
}
read_back() { # name: fio has read back what it wrote, and all of it was that
	local v
	# Before the record, fio says which reads and writes failed.
	sed -n '/^{/,$p' "$dir/$1/files/fio.json" >"$dir/$1/fio.json"
	v=$(of_fio "$dir/$1/fio.json" '.jobs[0].read.io_bytes')
	echo "$1: fio has read back $v bytes"
	emit "$1" cc verified "$v" B
	cat "$dir/$1/files/fio.log"
	[ "$v" != null ] && [ "$v" -gt 100000 ] && ! grep -E 'verify:|verify failed' "$dir/$1/files"/fio.*
}

notices() { # mutant
	local patch=$top/tests/mutants-guest/$1.patch run metric
	read -r run metric < <(sed -n 's/^Run: //p' "$patch")
	kernel=$(FAULTS_MUTANT=$patch "$top/scripts/build.sh" cc-faults) || return 1
	boot "$run" || true
	judge_emitted "$dir/$run" "$1" "$metric" '. > 0'
}
for mutant in "${mutants[@]}"; do
	check "$mutant-noticed" notices "$mutant"
done
[ ${#mutants[@]} = 0 ] || runs=()

for run in "${runs[@]}"; do
	if [ "$run" = direct-map ]; then
		for backend in none legacy cc; do
			check "direct-map-$backend-boot" boot "direct-map-$backend"
			emit direct-map "$backend" direct_map_4k "$(split "$backend")" KiB
			emit direct-map "$backend" direct_map_4k_io "$(emitted "$dir/direct-map-$backend" direct_map_4k_io)" KiB
		done
		check direct-map-split-without test "$(split legacy)" -gt $(($(split none) + 2048))
		# A huge page is split for the atomic pools, which dma-direct shares at boot.
		check direct-map-whole test "$(split cc)" -le $(($(split none) + 2048))
		check direct-map-io test "$(emitted "$dir/direct-map-cc" direct_map_4k_io)" = 0
		continue
	fi
	check "$run-boot" boot "$run"
	if [ "$run" = format ]; then
		check format-before says format before_short '. == 0'
		check format-short says format short '. > 30'
		check format-poisoned says format leaked '. == 0'
		check format-known says format after_reads '. > 30'
		check format-after says format after_short '. == 0'
		check format-bounced says format copied_out '. > 10000000'
		check format-quiet-log quiet_log "$dir/format"
		continue
	fi
	check "$run-reads" says "$run" reads '. > 300'
	check "$run-failed" says "$run" failed '. > 2'
	check "$run-right" says "$run" wrong '. == 0'
	check "$run-poisoned" says "$run" leaked '. == 0'
	check "$run-dead-failed" says "$run" dead_failed '. > 30'
	check "$run-dead-poisoned" says "$run" dead_leaked '. == 0'
	check "$run-meta-reads" says "$run" meta_reads '. > 20'
	check "$run-meta-right" says "$run" meta_wrong '. == 0'
	check "$run-meta-poisoned" says "$run" meta_leaked '. == 0'
	check "$run-command-short" says "$run" command_short '. > 30'
	check "$run-command-right" says "$run" command_wrong '. == 0'
	check "$run-command-poisoned" says "$run" command_leaked '. == 0'
	check "$run-metadata-short" says "$run" metadata_short '. > 30'
	check "$run-metadata-right" says "$run" metadata_wrong '. == 0'
	check "$run-metadata-poisoned" says "$run" metadata_leaked '. == 0'
	check "$run-verified" read_back "$run"
	check "$run-bounced" says "$run" copied_out '. > 10000000'
	[ "$run" = interrupts ] || check "$run-resets" says "$run" resets '. > 1'
	check "$run-quiet-log" quiet_log "$dir/$run"
	case $run in
	small) check small-failed-maps says small map_failures '. > 10' ;;
	maps) check maps-injected says maps maps_injected '. > 100' ;;
	requests) check requests-injected says requests requests_injected '. > 30' ;;
	interrupts)
		check interrupts-injected says interrupts interrupts_injected '. > 3'
		check interrupts-timeouts timed_out interrupts
		;;
	esac
done
conclude
