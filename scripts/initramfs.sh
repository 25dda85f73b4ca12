#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Make the guest's initramfs of this machine's programs, tests/guest/, the guest's parts
# of tests/stress/, ccstat and poison.
# Rebuilt only when one of them changed. Prints the path.
. "$(dirname "$0")/lib.sh"
no_arguments "$@"

need busybox fio mke2fs e2fsck mkfs.xfs dmsetup cpio gzip make gcc
programs=(fio mke2fs e2fsck mkfs.xfs dmsetup)

paths=()
for p in "${programs[@]}"; do
	paths+=("$(command -v "$p")")
done
mapfile -t libs < <(ldd "${paths[@]}" | grep -o '/[^ :]*\.so[^ :]*' | sort -u)
busybox=$(command -v busybox)
! ldd "$busybox" >/dev/null 2>&1 || die "$busybox is not static: install busybox-static"

lock initramfs
image=$cache/initramfs.cpio.gz
key=$({
	stat -L -c '%n %s %Y' "$busybox" "${paths[@]}" "${libs[@]}"
	stat -c '%n %a' "$top"/tests/{guest,stress}/*
	cat "$0" "$top"/tests/{guest,stress}/* "$top"/tools/ccstat/{Makefile,*.[ch]} "$top/tests/tools/poison/poison.c"
} | sha256sum)
if [ "$key" != "$(cat "$image.key" 2>/dev/null)" ]; then
	step "building the initramfs"
	root=$(mktemp -d "$cache/initramfs.XXXXXX")
	trap 'rm -rf "$root"' EXIT
	mkdir -p "$root"/{bin,sbin,lib64,usr/bin,usr/sbin,usr/lib,dev,proc,sys,tmp,mnt,etc,tests}
	ln -s usr/lib "$root/lib"
	cp "$busybox" "$root/bin/busybox"
	cp -L "${paths[@]}" "$root/usr/bin/"
	for l in "${libs[@]}"; do
		cp -L --parents "$l" "$root"
	done
	ln -s mke2fs "$root/usr/bin/mkfs.ext4"
	make -s -C "$root/usr/bin" -f "$top/tools/ccstat/Makefile" VPATH="$top/tools/ccstat" \
		CFLAGS='-O2 -Werror' LDFLAGS=-static ccstat >&2 || die "ccstat does not build: see above"
	gcc -O2 -static -pthread -o "$root/usr/bin/poison" "$top/tests/tools/poison/poison.c"
	cp "$top"/tests/guest/* "$root/tests/"
	for s in "$top"/tests/stress/*; do
		! grep -q '^### guest$' "$s" || sed '1,/^### guest$/d' "$s" >"$root/tests/stress-${s##*/}"
	done
	ln -s tests/init "$root/init"
	find "$root" -exec touch -h -d @0 {} +
	set -o pipefail
	(cd "$root" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --reproducible --quiet) | gzip -n -1 >"$image.new"
	mv "$image.new" "$image"
	printf '%s\n' "$key" >"$image.key"
fi
echo "$image"
