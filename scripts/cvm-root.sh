#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Make what the pKVM host and its guest run from, of Debian's arm64 packages:
# an ext2 image with QEMU (the host's root) and an initramfs (the guest's).
# Both are kept in the cache. Prints the two paths.
. "$(dirname "$0")/lib.sh"
no_arguments "$@"

suite=trixie # its QEMU, 10.0, drives protected guests; bookworm's does not
packages=qemu-system-arm,busybox-static,dmsetup,fio,kexec-tools
need mmdebstrap mke2fs cpio gzip aarch64-linux-gnu-gcc aarch64-linux-gnu-readelf
lock cvm-root
dir=$cache/cvm
tar=$dir/debian-$suite-${packages//,/-}.tar
mkdir -p "$dir"

# Libraries of programs in a root of another architecture, by name: the loader
# there would search the same two directories.
closure() { # root program...
	local root=$1 lib=usr/lib/aarch64-linux-gnu queue f n
	shift
	queue=("$@")
	declare -A seen=()
	while [ ${#queue[@]} -gt 0 ]; do
		f=${queue[0]}
		queue=("${queue[@]:1}")
		[ -z "${seen[$f]:-}" ] || continue
		seen[$f]=1
		echo "$f"
		for n in $(aarch64-linux-gnu-readelf -d "$root/$f" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
			if [ -e "$root/$lib/$n" ]; then
				queue+=("$lib/$n")
			elif [ -e "$root/$lib/ceph/$n" ]; then
				queue+=("$lib/ceph/$n")
			else
				die "$f needs $n, which the packages $packages do not have: remove $tar and try again"
			fi
		done
	done
}

if [ ! -f "$tar" ]; then
	step "fetching $packages of Debian $suite arm64"
	fetch_packages "$suite" "$tar" "$packages" --architectures=arm64 ||
		die "cannot fetch $packages for arm64: check the network and the apt sources: $(tail -1 "$dir/mmdebstrap.log")"
fi

key=$(sha256sum "$0" "$top"/tests/cvm/host-init "$top"/tests/guest/cvm* "$top"/tools/cvm-mem/*; stat -c '%s %Y' "$tar")
if [ "$key" != "$(cat "$dir/root.key" 2>/dev/null)" ]; then
	step "making the host's root and the guest's initramfs"
	tmp=$(mktemp -d "$dir/root.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	mkdir "$tmp/host" "$tmp/guest"
	tar -xf "$tar" -C "$tmp/host" --exclude=./dev --exclude=./usr/share/doc --exclude=./usr/share/locale
	for r in host guest; do
		mkdir -p "$tmp/$r"/{dev,proc,sys,tmp,run/cvm,mnt,etc,usr/bin,usr/lib,usr/sbin}
		ln -sfn usr/bin "$tmp/$r/bin"
		ln -sfn usr/sbin "$tmp/$r/sbin"
		ln -sfn usr/lib "$tmp/$r/lib"
	done
	closure "$tmp/host" usr/bin/fio usr/sbin/dmsetup usr/sbin/kexec >"$tmp/list"
	(cd "$tmp/host" && xargs cp -L --parents -t "$tmp/guest" usr/bin/busybox usr/lib/ld-linux-aarch64.so.1) <"$tmp/list"
	aarch64-linux-gnu-gcc -O2 -Wall -static -o "$tmp/guest/usr/bin/cvm-mem" "$top/tools/cvm-mem/cvm-mem.c"
	install -m 755 "$top/tests/cvm/host-init" "$tmp/host/init"
	mkdir "$tmp/guest/tests"
	install -m 755 -t "$tmp/guest/tests" "$top"/tests/guest/cvm*
	ln -s tests/cvm-init "$tmp/guest/init"
	(cd "$tmp/guest" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet) >"$dir/guest.cpio"
	rm -f "$dir/host.ext2"
	mke2fs -q -t ext2 -d "$tmp/host" "$dir/host.ext2" 400M >/dev/null ||
		die "mke2fs cannot make $dir/host.ext2: is the disk full?"
	printf '%s\n' "$key" >"$dir/root.key"
fi
echo "$dir/host.ext2"
echo "$dir/guest.cpio"
