#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# build.sh [-n] [variant...]: build, or with -n only configure, the guest kernels of these
# variants, which are configs/x86-guest.config + configs/<version>.config +
# configs/<variant>.config; cc-debug, cc-faults, cc-numa, cc-trace, iommu and luks with
# configs/x86-small.config before the last one. unpatched is legacy of the kernel as it
# came. legacy and dynamic are of the kernel without the series, but for the patch that
# counts what is copied; cc, cc-off, cc-debug, cc-stress, cc-trace, cc-numa, iommu and luks are of
# the patched one; cc-seam is cc without the last, optional patch. A warning is an error.
# Prints the path of each image.
. "$(dirname "$0")/lib.sh"

# The first build of a variant begins with the objects of the one that was built last.
begin_with_objects() {
	local found d
	found=$(find "$src"{-pristine,-cc,-seam,-peer}/build-{legacy,dynamic,cc,cc-off,cc-stress}/vmlinux -printf '%T@ %p\n' 2>/dev/null |
		sort -rn | sed -n '1s/[^ ]* //p')
	[ "$found" ] || return 0
	d=${found%/vmlinux}
	step "$variant begins with the objects of ${d##*/build-}"
	# When nobody builds them
	(
		lock "build-$(basename "${d%/*}")-${d##*/build-}"
		take_over "${d%/*}" "${d##*/}" "$t" "build-$variant"
	)
}

# The tree of each kind is brought up to date once.
declare -A trees=()
tree_for() { # variant: into $t
	local kind=patched
	case $1 in
	legacy | dynamic) kind=peer ;;
	unpatched) kind=pristine ;;
	cc-seam) kind=seam ;;
	cc-faults) kind=faults ;;
	cc | cc-off | cc-debug | cc-stress | cc-trace | cc-numa | iommu | luks) ;;
	*) die "no variant '$1': use unpatched, legacy, dynamic, cc, cc-seam, cc-off, cc-debug, cc-stress, cc-trace, cc-numa, cc-faults, iommu or luks" ;;
	esac
	[ "${trees[$kind]:-}" ] || trees[$kind]=$("$top/scripts/apply.sh" ${kind#patched})
	t=${trees[$kind]}
}

build() {
	local variant=${1/cc-seam/cc} patched='' b fragments key
	variant=${variant/unpatched/legacy}
	[ ! -s "$t/.cc-swiotlb-files" ] || patched=1
	b=$t/build-$variant
	[ -z "$only_configure" ] || b=$t/build-configure/$variant
	lock "build-$(basename "$t")-$variant"
	fragments=("$top/configs/x86-guest.config" "$top/configs/$kver.config" "$top/configs/$variant.config")
	case $variant in
	cc-debug | cc-faults | cc-trace | cc-numa | iommu | luks) fragments=("${fragments[@]:0:2}" "$top/configs/x86-small.config" "${fragments[2]}") ;;
	*) [ -f "$b/vmlinux" ] || [ "$only_configure" ] || begin_with_objects ;;
	esac
	mkdir -p "$b"

	# Configure only when a fragment or one of our Kconfig files has changed.
	key=$(
		cat "${fragments[@]}"
		[ -z "$patched" ] || sed -n "s|^/\(.*Kconfig.*\)|$t/\1|p" "$t/.cc-swiotlb-files" | xargs -r cat
	)
	if [ "$key" != "$(cat "$b/.config-key" 2>/dev/null)" ]; then
		configure_kernel "$t" "$b" "${fragments[@]}"
		printf '%s\n' "$key" >"$b/.config-key"
	fi

	[ -z "$only_configure" ] || return 0
	step "building $variant"
	kmake "$t" "$b" bzImage >"$b/build.log" 2>&1 || {
		build_errors "$b/build.log" >&2
		die "building $variant failed: see $b/build.log"
	}
	echo "$b/arch/x86/boot/bzImage"
}

"$top/scripts/deps.sh"
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
