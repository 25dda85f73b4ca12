#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# build.sh [-n] [variant...]: build, or with -n only configure, the guest kernels of these variants, which are
# configs/x86-guest.config + configs/<version>.config + configs/<variant>.config; cc-debug,
# cc-trace, iommu and luks with configs/x86-small.config before the last one. legacy and dynamic
# are of the kernel without the series, but for the patch that counts what is copied; cc,
# cc-off, cc-debug, cc-stress, cc-trace, iommu and luks are of the patched one; cc-seam is cc
# without the last, optional patch. A warning is an error. Prints the path of each image.
. "$(dirname "$0")/lib.sh"

# Every symbol that a fragment asks for must have come out as asked; the last wins.
configure() {
	local asked missing
	(cd "$t" && ARCH=x86_64 scripts/kconfig/merge_config.sh -n -O "$b" "${fragments[@]}") >"$b/config.log" 2>&1 ||
		die "configuring $variant failed: see $b/config.log"
	asked=$(awk '/^(# )?CONFIG_/ { split($0, f, /^# |[= ]/); v[f[1] == "" ? f[2] : f[1]] = $0 }
		END { for (s in v) print v[s] }' "${fragments[@]}")
	missing=$(grep '^CONFIG_' <<<"$asked" | grep -vxF -f "$b/.config" || true)
	missing+=$(sed -n 's/^# \(CONFIG_.*\) is not set/\1=/p' <<<"$asked" | grep -F -f - "$b/.config" || true)
	[ -z "$missing" ] || die "Linux $(tree_version "$t") does not configure as asked: ${missing//$'\n'/ }: correct configs/"
}

# The first build of a variant begins with the objects of the one that was built last.
begin_with_objects() {
	local found d
	found=$(find "$src"{,-cc,-seam,-peer}/build-{legacy,dynamic,cc,cc-off,cc-stress}/vmlinux -printf '%T@ %p\n' 2>/dev/null |
		sort -rn | sed -n '1s/[^ ]* //p')
	[ "$found" ] || return 0
	d=${found%/vmlinux}
	step "$variant begins with the objects of ${d##*/build-}"
	take_over "${d%/*}" "${d##*/}" "$t" "build-$variant"
}

# The tree of each kind is brought up to date once.
declare -A trees=()
tree_for() { # variant: into $t
	local kind=patched
	case $1 in
	legacy | dynamic) kind=peer ;;
	cc-seam) kind=seam ;;
	cc | cc-off | cc-debug | cc-stress | cc-trace | iommu | luks) ;;
	*) die "no variant '$1': use legacy, dynamic, cc, cc-seam, cc-off, cc-debug, cc-stress, cc-trace, iommu or luks" ;;
	esac
	[ "${trees[$kind]:-}" ] || trees[$kind]=$("$top/scripts/apply.sh" ${kind#patched})
	t=${trees[$kind]}
}

build() {
	local variant=${1/cc-seam/cc} patched='' b fragments key
	[ "$t" = "$src_peer" ] || patched=1
	b=$t/build-$variant
	[ -z "$only_configure" ] || b=$t/build-configure/$variant
	lock "build-$(basename "$t")-$variant"
	fragments=("$top/configs/x86-guest.config" "$top/configs/$kver.config" "$top/configs/$variant.config")
	case $variant in
	cc-debug | cc-trace | iommu | luks) fragments=("${fragments[@]:0:2}" "$top/configs/x86-small.config" "${fragments[2]}") ;;
	*) [ -f "$b/vmlinux" ] || [ "$only_configure" ] || begin_with_objects ;;
	esac
	mkdir -p "$b"

	# Configure only when a fragment or one of our Kconfig files has changed.
	key=$(
		cat "${fragments[@]}"
		[ -z "$patched" ] || sed -n "s|^/\(.*Kconfig.*\)|$t/\1|p" "$t/.cc-swiotlb-files" | xargs -r cat
	)
	if [ "$key" != "$(cat "$b/.config-key" 2>/dev/null)" ]; then
		configure
		printf '%s\n' "$key" >"$b/.config-key"
	fi

	[ -z "$only_configure" ] || return 0
	step "building $variant"
	kmake "$t" "$b" bzImage >"$b/build.log" 2>&1 || {
		grep -m5 -A4 -E 'error:|undefined|\*\*\*' "$b/build.log" >&2
		die "building $variant failed: see $b/build.log"
	}
	echo "$b/arch/x86/boot/bzImage"
}

need gcc ccache bc bison flex
only_configure=
if [ "${1:-}" = -n ]; then
	only_configure=1
	shift
fi
[ $# -gt 0 ] || set -- legacy dynamic cc
for v; do
	tree_for "$v"
	(build "$v") # a subshell, so that each lock ends with its build
done
