#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A disk that a guest unpacks with "tools": these programs with their libraries, and
# files of the host under other names. Prints the options of QEMU that attach it.
#
#   tools-disk.sh <tar> program|name=file...
. "$(dirname "$0")/lib.sh"

[ $# -ge 2 ] || die "tools-disk.sh: too few arguments: tools-disk.sh <tar> program|name=file..."
tar=$1
shift
root=$(mktemp -d "$cache/tools.XXXXXX")
trap 'rm -rf "$root"' EXIT
for f; do
	case $f in
	*=*) install -D "${f#*=}" "$root/${f%%=*}" ;;
	*)
		need "$f"
		p=$(command -v "$f")
		install -D "$p" "$root/usr/bin/$f"
		ldd "$p" | grep -o '/[^ :]*\.so[^ :]*' | while read -r f; do
			install -D "$f" "$root/usr/lib${f#*/lib}"
		done
		;;
	esac
done
tar -cf "$tar" -C "$root" . || die "cannot write $tar: is the disk full?"
echo "-drive file=$tar,format=raw,if=none,id=tools,readonly=on -device virtio-blk-pci,drive=tools,iommu_platform=on,disable-legacy=on"
