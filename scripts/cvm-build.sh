#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# cvm-build.sh <variant>: build the arm64 Image of a variant for "make cvm".
# As build.sh, but cross-built, with the log of conversions that the isolation
# check needs, and legacy and dynamic have the one arm64 patch without which no
# protected guest does DMA. Prints the path of the image.
. "$(dirname "$0")/lib.sh"
[ $# -le 1 ] || die "cvm-build.sh builds one variant, and would ignore '${*:2}': call it once for each"

variant=${1:-}
case $variant in
legacy | dynamic) base=$src ;;
cc) base=$src_cc ;;
*) die "no variant '$variant': use legacy, dynamic or cc" ;;
esac
need aarch64-linux-gnu-gcc ccache bc bison flex
. "$(dirname "$0")/stage.sh"

"$top/scripts/get-kernel.sh" >/dev/null
t=$base-cvm
b=$t/build-$variant
lock "cvm-$(basename "$t")"
stage_begin
if [ "$variant" = cc ]; then
	stage_series
else
	i=$(patch_number arm64-share-dma-memory-in-protected-guests)
	[ -z "$i" ] || stage_patch "$i"
fi
stage_patch_file "$top/tests/cvm/log-conversions.patch"
make_tree "$t" --link
[ "$changed" = 0 ] || rm -f "$t"/build-*/.built
mkdir -p "$b"

export ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- CC='ccache aarch64-linux-gnu-gcc'
fragments=("$top/configs/cvm-arm64.config" "$top/configs/$kver.config" "$top/configs/$variant.config")
# The host is of 7.3; what takes over its objects has the same configuration.
[ "$kver" != 7.3 ] || fragments+=("$top/configs/cvm-host.config")

if [ "$variant" != cc ] && [ ! -e "$b/vmlinux" ] && [ -e "$src_cc-cvm/build-cc/.built" ]; then
	take_over "$src_cc-cvm" build-cc "$t" "build-$variant"
fi
key=$(cat "${fragments[@]}"; find "$t/kernel/dma" "$t/arch/arm64/Kconfig" -name 'Kconfig*' -exec cat {} +; aarch64-linux-gnu-gcc --version)
if [ "$key" != "$(cat "$b/.config-key" 2>/dev/null)" ]; then
	rm -f "$b/.built"
	configure_kernel "$t" "$b" "${fragments[@]}"
	printf '%s\n' "$key" >"$b/.config-key"
fi

# make takes as long to see that there is nothing to do as a guest takes to boot.
if [ ! -f "$b/.built" ]; then
	step "building $variant of Linux $(tree_version "$t") for arm64"
	kmake "$t" "$b" Image >"$b/build.log" 2>&1 || {
		build_errors "$b/build.log" >&2
		die "building $variant failed: see $b/build.log"
	}
	touch "$b/.built"
fi
echo "$b/arch/arm64/boot/Image"
