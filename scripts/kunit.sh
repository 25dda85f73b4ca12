#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Run the KUnit suites of the patched tree with the kernel's own kunit.py.
# kunit.sh [uml|x86_64|arm64...]: on UML (two CPUs where the kernel can) and in
# QEMU with four CPUs; without an argument on all, on arm64 only with Linux 7.3;
# without KVER and KSRC for both kernels. Writes out/kunit.json. Each argument of
# kunit.py in $KUNIT_ARGS is passed on. Fails if a case failed.
both=
[ "${KVER:-}${KSRC:-}" ] || both=1
. "$(dirname "$0")/lib.sh"

if [ "$both" ]; then
	need jq
	rm -f "$out"/.kunit-*.json
	for v in "${versions[@]}"; do
		status=0
		KVER=$v "$0" "$@" || status=$?
		case $status in
		0) ;;
		"$gone") skipped=$((skipped + 1)) ;;
		*) failed=1 ;;
		esac
		[ ! -f "$out/kunit.json" ] || mv "$out/kunit.json" "$out/.kunit-$v.json"
	done
	[ $skipped -lt ${#versions[@]} ] || exit "$gone"
	jq -s '{verb: "kunit", kver: (map(.kver) | join(" ")), kernel: (map(.kernel) | join(" ")),
		results: [.[] | .kver as $v | .results[] | .name += "-" + $v],
		pass: (length == '$((${#versions[@]} - skipped))' and all(.pass))}' "$out"/.kunit-*.json >"$out/kunit.json"
	rm -f "$out"/.kunit-*.json
	exit $failed
fi

if [ $# = 0 ]; then
	set -- uml x86_64
	[ "$kver" = 6.12 ] || set -- "$@" arm64
fi
need python3 gcc ccache jq
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

cases() { # status: how many
	jq "[.. | .test_cases? // empty | .[] | select(.status == \"$1\")] | length" "$out/kunit-$kver-$arch.json"
}

for arch; do
	args=(--kunitconfig=kernel/dma/cc-swiotlb/tests --build_dir="build-kunit-$arch" --jobs="$(nproc)" --json="$out/kunit-$kver-$arch.json" --timeout=900)
	case $arch-$kver in
	uml-6.12) ;;
	uml-*)
		args+=(--kconfig_add CONFIG_SMP=y --kernel_args seccomp=on --kernel_args ncpus=2)
		;;
	x86_64-*)
		need qemu-system-x86_64
		without_kvm
		args+=(--arch=x86_64 --kconfig_add CONFIG_SMP=y --kconfig_add CONFIG_SWIOTLB_DYNAMIC=y --qemu_args '-smp 4')
		# Every fifth object is of ACPI, and objtool takes as long for mitigations.
		args+=(--kconfig_add CONFIG_ACPI=n --kconfig_add CONFIG_CPU_MITIGATIONS=n)
		;;
	arm64-*)
		"$top/scripts/deps.sh" gcc-aarch64-linux-gnu qemu-system-arm
		args+=(--arch=arm64 --cross_compile=aarch64-linux-gnu- --make_options 'CC=ccache aarch64-linux-gnu-gcc'
			--kconfig_add CONFIG_SMP=y --kconfig_add CONFIG_SWIOTLB_DYNAMIC=y --qemu_args '-smp 4')
		;;
	*) die "no KUnit for '$arch': use uml, x86_64 or arm64" ;;
	esac
	[ "$arch" = arm64 ] || args+=(--make_options 'CC=ccache gcc')
	lock "kunit-$tree-$arch"
	step "KUnit on $arch"
	log=$out/kunit-$kver-$arch.log
	rm -f "$out/kunit-$kver-$arch.json"
	# shellcheck disable=SC2086 # a list of words
	(cd "$t" && KBUILD_BUILD_TIMESTAMP='1970-01-01' python3 tools/testing/kunit/kunit.py run "${args[@]}" ${KUNIT_ARGS:-}) >"$log" 2>&1 || failed=1
	[ -s "$out/kunit-$kver-$arch.json" ] || {
		tail -20 "$log" >&2
		die "KUnit did not run on $arch: see $log"
	}
	grep -E '\[(FAILED|CRASHED)\]|^# .*(FAIL|EXPECT|ASSERT)' "$log" >&2 || true
	emit "$arch" cc passed "$(cases PASS)" tests
	emit "$arch" cc failed "$(($(cases FAIL) + $(cases ERROR)))" tests
	emit "$arch" cc skipped "$(cases SKIP)" tests
	step "KUnit on $arch: $(grep -o 'Testing complete.*' "$log")"
done
if [ $failed != 0 ]; then
	finish false
	exit 1
fi
finish true
