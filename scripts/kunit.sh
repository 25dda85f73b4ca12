#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Run the KUnit suites of the patched tree with the kernel's own kunit.py.
# kunit.sh [architecture...]: uml (two CPUs where the kernel can), and in QEMU with
# four CPUs x86_64, arm64, riscv, s390 (big endian) and powerpc (big endian, pages of
# 64 KiB); without an argument all, which are those that Kconfig lets choose it.
# Without KVER and KSRC for both kernels. Writes out/kunit.json. Each argument of
# kunit.py in $KUNIT_ARGS is passed on. Last line "N passed, M failed", of all cases.
. "$(dirname "$0")/lib.sh"

"$top/scripts/deps.sh"
[ "$asked" ] || for_each_version "$@"
[ $# -gt 0 ] || set -- uml x86_64 "${!triplet[@]}"
for arch; do
	[[ " uml x86_64 ${!triplet[*]} " = *" $arch "* ]] ||
		die "no KUnit for '$arch': use uml, x86_64, $(sed 's/ /, /g; s/\(.*\),/\1 or/' <<<"${!triplet[*]}")"
done
t=$("$top/scripts/apply.sh")
[ -d "$t/kernel/dma/cc-swiotlb/tests" ] || die "tests/kunit is missing: restore it from git"
record_to kunit

# kunit.py takes KVM where /dev/kvm opens; let it only where a guest boots.
without_kvm() {
	local kernel
	kernel=$(find "$cache"/src/*/build-*/arch/x86/boot/ -name bzImage 2>/dev/null | grep -v kunit | head -1)
	if [ "$kernel" ] && [ "$("$top/scripts/accel.sh" "$kernel" "$("$top/scripts/initramfs.sh")")" = kvm ]; then
		return
	fi
	shim=$(mktemp -d "$cache/shim.XXXXXX")
	trap 'rm -rf "$shim"' EXIT
	cat >"$shim/qemu-system-x86_64" <<-EOF
		#!/bin/bash
		exec $(command -v qemu-system-x86_64) -accel tcg "\${@/#kvm/tcg}"
	EOF
	chmod +x "$shim/qemu-system-x86_64"
	PATH=$shim:$PATH
}

cases() { # status: how many, of architecture $arch
	jq "[.. | .test_cases? // empty | .[] | select(.status == \"$1\")] | length" "$out/kunit-$kver-$arch.json"
}

for arch; do
	args=(--kunitconfig=kernel/dma/cc-swiotlb/tests --build_dir="build-kunit-$arch" --jobs="$(nproc)" --json="$out/kunit-$kver-$arch.json" --timeout=900)
	# What the kernel's configuration of the machine lacks, and what takes long to compile.
	config=() emulator=
	case $arch in
	uml) args+=("${uml_config[@]}" "${uml_run[@]}") ;;
	x86_64)
		without_kvm
		# Every fifth object is of ACPI, and objtool takes as long for mitigations. NUMA
		# has one node, and functions that other machines do not have. With CMA, devices
		# can have memory of their own.
		config=(ACPI=n CPU_MITIGATIONS=n NUMA=y CMA=y DMA_CMA=y)
		;;
	arm64) emulator=qemu-system-arm ;;
	riscv)
		emulator=qemu-system-misc
		config=(COMPAT=n RISCV_IOMMU=n)
		;;
	s390)
		emulator=qemu-system-misc
		config=(AP=n HVC_IUCV=n IUCV=n KVM=n S390_HYPFS=n SCM_BUS=n)
		;;
	powerpc)
		emulator=qemu-system-ppc
		config=(CPU_BIG_ENDIAN=y PPC_64K_PAGES=y PPC_PSERIES=y)
		config+=(COMPAT=n NUMA=n PCIEASPM=n PCI_QUIRKS=n PPC_PMAC=n PPC_POWERNV=n SERIAL_8250_PCI=n)
		;;
	esac
	if [ "$arch" != uml ]; then
		config+=(SMP=y SWIOTLB_DYNAMIC=y)
		args+=(--arch="$arch" --qemu_args '-smp 4')
	fi
	prefix=
	if [ "$emulator" ]; then
		prefix=${triplet[$arch]}-
		"$top/scripts/deps.sh" "gcc-${triplet[$arch]}" "$emulator"
		args+=(--cross_compile="$prefix")
	fi
	args+=(--make_options "CC=ccache ${prefix}gcc" "${config[@]/#/--kconfig_add=CONFIG_}")
	lock "kunit-$tree-$arch"
	step "KUnit on $arch"
	log=$out/kunit-$kver-$arch.log
	rm -f "$out/kunit-$kver-$arch.json"
	status=0
	# shellcheck disable=SC2086 # a list of words
	kunit_py "$t" run "${args[@]}" ${KUNIT_ARGS:-} >"$log" 2>&1 || status=$?
	[ -s "$out/kunit-$kver-$arch.json" ] || {
		tail -20 "$log" >&2
		judge failed "$arch" "KUnit did not run: see $log"
		continue
	}
	grep -E '\[(FAILED|CRASHED)\]|^# .*(FAIL|EXPECT|ASSERT)' "$log" >&2 || true
	bad=$(($(cases FAIL) + $(cases ERROR)))
	[ $status = 0 ] || [ $bad != 0 ] || bad=1 # a kernel that did not get to its end
	judge_sums "$arch" "$(cases PASS)" $bad 0 "$(cases SKIP) skip themselves"
	emit "$arch" cc skipped "$(cases SKIP)" tests
done
conclude
