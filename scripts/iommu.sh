#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make iommu: verified I/O on three untrusted disks behind an IOMMU (of Intel, as QEMU
# emulates it): NVMe, virtio, and a SCSI controller that addresses 32 bits, all with
# memory above 4 GiB. Buffers that do not fill their pages are bounced, so that the
# device does not see what else is there. Writes out/iommu.json.
. "$(dirname "$0")/lib.sh"
no_arguments "$@"

"$top/scripts/deps.sh" acpica-tools
record_to iommu
dir=$out/iommu
rm -rf "$dir"
mkdir -p "$dir"
kernel=$("$top/scripts/build.sh" iommu)
iasl -p "$dir/external" "$top/tests/iommu/external.asl" >"$dir/iasl.log" 2>&1 || die "iasl failed: see $dir/iasl.log"

# This SCSI controller has no memory of its own, where QEMU would look for the driver's
# program through the IOMMU.
q="-acpitable file=$dir/external.aml -device intel-iommu,intremap=off"
q+=" -machine memory-backend=m -object memory-backend-ram,id=m,size=6G,reserve=off"
slot=4
for d in nvme,serial=d4 virtio-blk-pci,iommu_platform=on,disable-legacy=on lsi53c810; do
	id=d$slot
	truncate -s 64M "$dir/$id"
	q+=" -drive file=$dir/$id,if=none,id=$id,format=raw,cache=unsafe -device pcie-root-port,id=p$slot,chassis=$slot,addr=$slot"
	case $d in
	lsi*) q+=" -device $d,id=scsi,bus=p$slot -device scsi-hd,bus=scsi.0,drive=$id" ;;
	*) q+=" -device $d,bus=p$slot,drive=$id" ;;
	esac
	slot=$((slot + 1))
done
boot() {
	"$top/scripts/qemu.sh" -m 6G -q "$q" "$kernel" "$dir" iommu swiotlb=cc,force intel_iommu=on iommu.strict=1
}
is() { # metric, what it must be
	judge_emitted "$dir" iommu "$@"
}
verified() { # disk
	! grep . "$dir/files/$1.err" && [ "$(jq '[.jobs[].total_err] | add' "$dir/files/$1.json")" = 0 ] &&
		[ "$(jq '[.jobs[].write.total_ios] | add > 100' "$dir/files/$1.json")" = true ]
}
no_complaint() {
	quiet_log "$dir" && ! grep -a 'DMAR: .*fault\|DMA-API:.*error' "$dir/console.log"
}

check boot boot
check chunks-above-4g is above_4g_chunks '. > 0'
for d in nvme0n1 vda sda; do
	check "$d-untrusted" is "${d}_untrusted" '. == 1'
	check "$d-translated" is "${d}_translated" '. == 1'
	check "$d-verified" verified "$d"
	check "$d-bounced" is "${d}_maps" '. > 100'
	check "$d-no-legacy-pool" is "${d}_legacy" '. == 0'
	check "$d-no-failed-map" is "${d}_failed" '. == 0'
done
check nvme0n1-64-bits is nvme0n1_dma_mask '. == 64'
check sda-32-bits is sda_dma_mask '. == 32'
check quiet-log no_complaint
conclude
