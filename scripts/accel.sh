#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Print how QEMU shall run x86_64 guests: kvm or tcg. /dev/kvm may exist and
# still not run a guest, so only a guest that boots counts; found out once per
# boot of this machine, unless QEMU fails for another reason. accel.sh <bzImage> <initramfs>
. "$(dirname "$0")/lib.sh"

known=$cache/accel
id="$(cat /proc/sys/kernel/random/boot_id) $(qemu-system-x86_64 --version | head -1)"
if [ ! -w /dev/kvm ]; then
	echo tcg
	exit
fi
for f in "$1" "$2"; do
	[ -s "$f" ] || die "accel.sh: '$f' is missing or empty: give a kernel and an initramfs"
done
lock accel
if [ "$(head -1 "$known" 2>/dev/null)" != "$id" ]; then
	step "probing KVM"
	tmp=$(mktemp -d "$cache/probe.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	status=0
	timeout 30 qemu-system-x86_64 -accel kvm -cpu host -machine q35 -m 1G -nodefaults -no-reboot -display none \
		-serial "file:$tmp/console" -serial "file:$tmp/results" \
		-kernel "$1" -initrd "$2" -append 'console=ttyS0 panic=-1 cctest=true' 2>"$tmp/err" || status=$?
	if grep -qs '"exit":0' "$tmp/results"; then
		printf '%s\nkvm\n' "$id" >"$known"
	elif [ $status = 0 ] || [ $status = 124 ] || grep -qi kvm "$tmp/err"; then
		printf '%s\ntcg\n' "$id" >"$known"
	else
		step "QEMU ended with status $status, which says nothing about KVM: $(tail -n 1 "$tmp/err")"
		echo tcg
		exit
	fi
fi
tail -1 "$known"
