#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Run one test of tests/guest/ in an x86_64 guest, or as stress-<name> one of tests/stress/.
#
#   qemu.sh [option...] <bzImage> <directory> <test> [kernel argument...]
#
#   -c cpus (2)    -m memory (2G)     -n NVMe disks (0)  -b virtio-blk disks (0)
#   -N virtio-net  -s disk size (1G)  -t timeout in seconds (300)
#   -q 'more arguments of QEMU'           -D 'more options of every -drive'
#   -V 'more properties of every NVMe'    -P 'TCG plugin with arguments': emulate
#
# Leaves in the directory: console.log, results.jsonl (what the test emitted),
# files/ (what it sent) and accel (tcg or kvm). Succeeds if the test did. With -N the guest finds at
# 10.0.2.100 port 1 that sends $NET_FILE and port 2 that answers with the sha256
# of what it got. Every virtio device goes through the DMA API.
. "$(dirname "$0")/lib.sh"

cpus=2 mem=2G nvme=0 vblk=0 net='' size=1G timeout=300 extra=() drive='' nvme_props='' plugin=''
while getopts c:m:n:b:Ns:t:q:D:V:P: o; do
	case $o in
	c) cpus=$OPTARG ;;
	m) mem=$OPTARG ;;
	n) nvme=$OPTARG ;;
	b) vblk=$OPTARG ;;
	N) net=1 ;;
	s) size=$OPTARG ;;
	t) timeout=$OPTARG ;;
	q) read -r -a extra <<<"$OPTARG" ;;
	D) drive=,$OPTARG ;;
	V) nvme_props=,$OPTARG ;;
	P) plugin=$OPTARG ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
[ $# -ge 3 ] || die "qemu.sh: too few arguments: qemu.sh [option...] <bzImage> <directory> <test>"
kernel=$1 dir=$2 test=$3
shift 3
[ -f "$top/tests/guest/$test" ] || grep -qs '^### guest$' "$top/tests/stress/${test#stress-}" ||
	die "no guest test '$test': see tests/guest/ and tests/stress/"
need qemu-system-x86_64 jq
initrd=$("$top/scripts/initramfs.sh")
mkdir -p "$dir"
disks=$(mktemp -d "$cache/disks.XXXXXX")
trap 'rm -rf "$disks"' EXIT

disk() { # name device
	truncate -s "$size" "$disks/$1"
	args+=(-drive "file=$disks/$1,if=none,id=$1,format=raw,cache=unsafe,discard=unmap$drive" -device "$2,drive=$1")
}

accel=tcg
[ "$plugin" ] || accel=$("$top/scripts/accel.sh" "$kernel" "$initrd")
case $accel in
kvm) args=(-accel kvm -cpu host) ;;
tcg) args=(-accel 'tcg,thread=multi' -cpu max ${plugin:+-plugin "$plugin"}) ;;
esac
args+=(-machine q35 -smp "$cpus" -m "$mem" -nodefaults -no-user-config -no-reboot -display none
	-serial "file:$dir/console.log" -serial "file:$dir/results.jsonl")
for ((i = 0; i < nvme; i++)); do
	disk "nvme$i" "nvme,serial=nvme$i$nvme_props"
done
for ((i = 0; i < vblk; i++)); do
	disk "vblk$i" virtio-blk-pci,iommu_platform=on,disable-legacy=on
done
if [ "$net" ]; then
	fwd=guestfwd=tcp:10.0.2.100
	# shellcheck disable=SC2054 # the commas are QEMU's
	args+=(-netdev "user,id=net,restrict=on,$fwd:1-cmd:cat ${NET_FILE:-/dev/null},$fwd:2-cmd:sha256sum"
		-device virtio-net-pci,netdev=net,iommu_platform=on,disable-legacy=on,romfile=)
fi

run() {
	rm -rf "$dir/console.log" "$dir/results.jsonl" "$dir/files"
	mkdir "$dir/files"
	echo "$accel" >"$dir/accel"
	timeout --foreground "$timeout" qemu-system-x86_64 "${args[@]}" "${extra[@]}" -kernel "$kernel" -initrd "$initrd" \
		-append "console=ttyS0 panic=-1 cctest=$test $*" 2>"$dir/qemu.err" || {
		rc=$?
		[ $rc = 124 ] || die "QEMU ended with status $rc: $(tail -1 "$dir/qemu.err"), see $dir"
		die "guest test $test did not end within $timeout s: see $dir/console.log"
	}
}

# TCG with several CPUs now and then executes the breakpoint of a patched branch
# after it has gone, whichever kernel that is: what it did not survive tells nothing.
for ((i = 0; i < 3; i++)); do
	run "$@"
	grep -qa 'Oops: int3' "$dir/console.log" || break
	step "the emulator lost a race with the kernel's code patching: once more"
done
while read -r name data; do
	base64 -d <<<"$data" >"$dir/files/$name"
done < <(jq -r 'select(.file) | "\(.file) \(.data)"' "$dir/results.jsonl")
[ "$(jq -s 'last.exit' "$dir/results.jsonl")" = 0 ] || die "guest test $test failed: see $dir/console.log"
