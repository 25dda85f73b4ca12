#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make luks: dm-crypt on NVMe disks in a guest with lockdep and DMA debugging, every byte
# bounced but what goes by way of loans. What is copied for each byte, for ciphers,
# implementations, arguments and disks that may have loans and for those that must not;
# verified I/O on all of them and a raw disk at once, while the disk below one of them
# changes, and while requests fail or are lost; reads of bad sectors under resets, which
# must leave a poisoned buffer poisoned, once more with so little memory that there are few
# loans; odd buffers, splice, a file system, dm-crypt removed under load, a disk that goes
# away. Writes out/luks.json.
. "$(dirname "$0")/lib.sh"

"$top/scripts/deps.sh"
record_to luks
dir=$out/luks
rm -rf "$dir"
mkdir -p "$dir"
kernel=$("$top/scripts/build.sh" luks)
mib=32
truncate -s ${mib}M "$dir/disk" "$dir/tagged"
tagged="-drive file=$dir/tagged,if=none,id=tagged,format=raw,cache=unsafe -device nvme,id=tagged,serial=tagged"
tagged+=' -device nvme-ns,drive=tagged,bus=tagged,ms=16'

boot() { # name, kernel argument...
	"$top/scripts/qemu.sh" -t 2400 -n 3 -b 1 -s 512M -q "$(bad_disk "$dir/disk" $mib) $tagged" "$kernel" \
		"$dir/$1" luks "mib=$mib" seconds=20 "${@:2}"
}
says() { # name metric, what it must be
	judge_emitted "$dir/$1" "$@"
}
judge_guest() { # name: what the guest has judged itself
	local right what
	check "$1-judged" test -s "$dir/$1/files/judged"
	[ -s "$dir/$1/files/judged" ] || return 0
	while read -r right what; do
		check "$1-$what" "$right"
	done <"$dir/$1/files/judged"
}
# Of each device: is what it says of itself what was asked for, and do its reads behave
# like that? Writes are bounced in any case. Who reads from virtio-blk is bounced twice,
# in and out; who has tags, has them bounced besides, and dm-integrity by the block.
judge_copies() {
	local name way status errors written read bytes at_most at_least most_written
	check usual-copies test -s "$dir/usual/files/copies"
	[ -s "$dir/usual/files/copies" ] || return 0
	while read -r name way status errors written read bytes; do
		written=$(jq -n "$written / $bytes * 1000 | round / 1000")
		read=$(jq -n "$read / $bytes * 1000 | round / 1000")
		emit "$name" cc written_copied_bytes_per_byte "$written" ratio
		emit "$name" cc read_copied_bytes_per_byte "$read" ratio
		most_written=1.05
		case $way in
		shared) at_least=0 at_most=0.02 way=cc_shared_reads ;;
		private) at_least=0.98 at_most=1.05 way=- ;;
		tagged) at_least=0.98 at_most=2 way=- most_written=4 ;;
		twice) at_least=1.96 at_most=2.1 way=- ;;
		esac
		must "$name-verified" "$errors == 0"
		must "$name-status" "\"$status\" == \"$way\""
		must "$name-reads" "$read >= $at_least and $read <= $at_most"
		must "$name-writes" "$written >= 0.98 and $written <= $most_written"
	done <"$dir/usual/files/copies"
}
# What Linux 6.12 says by itself: that two requests have metadata in one cache line, which it
# says with swiotlb=force, too, and that a timeout freezes a queue that another thread thaws,
# in nvme_start_freeze(), which the series does not touch.
quiet() { # directory that qemu.sh was given
	[ "$kver" = 6.12 ] || { quiet_log "$1"; return; }
	awk '/BUG: workqueue leaked atomic|DMA-API: .* cacheline tracking EEXIST/ { part = ""; inside = 1 }
		inside { part = part $0 "\n" }
		!inside
		inside && /<\/TASK>/ { if (part !~ /nvme_start_freeze|EEXIST/) printf "%s", part; inside = 0 }
		END { if (inside) printf "%s", part }' "$1/console.log" >"$1/console.own"
	[ -s "$1/console.own" ] && ! bad_lines "$1/console.own"
}
file_system_reads() {
	says usual file_system_read '. > 0' &&
		says usual file_system_copied ". <= $(value usual cc file_system_read) / 20"
}

check usual-boot boot usual "swiotlb=cc,force" "cc_swiotlb=reserve=64M"
judge_guest usual
judge_copies
check usual-implementations grep -q '^xts-aes-aesni shared ' "$dir/usual/files/copies"
check usual-not-in-the-list grep -q '^xts_ecb-aes-aesni_ private ' "$dir/usual/files/copies"
check usual-file-system-reads file_system_reads
check usual-moves says usual moves '. > 1'
check usual-loans-under-io says usual loans_under_io '. > 0'
check usual-rounds-with-errors says usual rounds_with_errors '. > 0'
check usual-failed-requests says usual failed_requests '. > 10'
check usual-fio-errors says usual fio_errors '. > 0'
check usual-lost-interrupts says usual lost_interrupts '. > 0'
check usual-timeouts grep -qa 'timeout, reset controller' "$dir/usual/console.log"
check usual-lent-with-errors says usual lent_with_errors '. > 100'
for m in faulty forced inline; do
	check usual-$m-reads says usual ${m}_reads '. > 10'
	check usual-$m-failed says usual ${m}_failed '. > 0'
	check usual-$m-right says usual ${m}_wrong '. == 0'
	check usual-$m-poisoned says usual ${m}_leaked '. == 0'
done
for m in forced inline; do
	check usual-$m-lent says usual ${m}_lent '. > 0'
done
for m in shifted s4096; do
	check usual-$m-reads says usual ${m}_reads '. > 10'
	check usual-$m-failed says usual ${m}_failed '. == 0'
	check usual-$m-right says usual ${m}_wrong '. == 0'
done
check usual-cut-reads says usual cut_reads '. == 0'
check usual-cut-failed says usual cut_failed '. > 10'
check usual-cut-poisoned says usual cut_leaked '. == 0'

# 1 MiB of swiotlb's own pool is all there is to fall back to.
check small-boot boot small "swiotlb=512,cc,force" "cc_swiotlb=max=2M,reserve=1M" small=1
judge_guest small
check small-refused says small refused '. > 10'
for run in usual small; do
	check $run-reads says $run bad_reads '. > 100'
	check $run-failed says $run bad_failed '. > 10'
	check $run-right says $run bad_wrong '. == 0'
	check $run-poisoned says $run bad_leaked '. == 0'
	check $run-resets says $run resets '. > 3'
	check $run-quiet-log quiet "$dir/$run"
done
conclude
