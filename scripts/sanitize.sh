#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make sanitize: the KUnit suites in kernels that find what passes unnoticed otherwise.
# What they report is listed, and none is allowed. Without KVER and KSRC for all versions.
# Writes out/sanitize.json.
#
#   SANITIZER='<name>...'   only these (default: all)
#
#   kasan   memory that is not allocated, and undefined behaviour; UML
#   debug   locks, RCU, sleeping where that is not allowed, objects in a wrong state, DMA
#           mappings; x86_64
#   kcsan   accesses that race, with weak memory; x86_64, without the slow tests
#   rt      a kernel of which every part can be preempted, with the lock debugging that
#           tells raw spinlocks from others; x86_64, without the slow tests
. "$(dirname "$0")/lib.sh"
no_arguments "$@"

some_names SANITIZER
"$top/scripts/deps.sh"
declare -A config=(
	[kasan]='KASAN=y KASAN_VMALLOC=y UBSAN=y'
	[debug]='PROVE_LOCKING=y DEBUG_ATOMIC_SLEEP=y DEBUG_OBJECTS=y DEBUG_OBJECTS_FREE=y DEBUG_OBJECTS_WORK=y
		DEBUG_OBJECTS_RCU_HEAD=y DEBUG_OBJECTS_PERCPU_COUNTER=y DMA_API_DEBUG=y DMA_API_DEBUG_SG=y DEBUG_PREEMPT=y
		DEBUG_LIST=y DEBUG_VM=y DEBUG_KERNEL=y'
	[kcsan]='DEBUG_KERNEL=y KCSAN=y KCSAN_STRICT=y KCSAN_WEAK_MEMORY=y KCSAN_REPORT_ONCE_IN_MS=0'
	[rt]='PREEMPT_RT=y PROVE_LOCKING=y PROVE_RAW_LOCK_NESTING=y DEBUG_ATOMIC_SLEEP=y DEBUG_KERNEL=y'
)
declare -A arch=([kasan]=uml [debug]=x86_64 [kcsan]=x86_64 [rt]=x86_64)
names=("${given[@]}")
[ ${#names[@]} -gt 0 ] || names=(kasan debug kcsan rt)
for s in "${names[@]}"; do
	[ "${config[$s]:-}" ] || die "no sanitizer '$s': use kasan, debug, kcsan or rt"
done
[ "$asked" ] || for_each_version "$@"
t=$("$top/scripts/apply.sh")
record_to sanitize

run() { # name
	local args="--build_dir=build-$1 --timeout=2400" c
	case $1 in
	kcsan | rt) args+=" --filter=speed>slow" ;;
	esac
	for c in ${config[$1]}; do
		args+=" --kconfig_add=CONFIG_$c"
	done
	# Of another run
	rm -f "$t/build-$1/test.log" "$out/kunit-$kver-${arch[$1]}.json"
	KVER=$kver KUNIT_ARGS=$args "$top/scripts/kunit.sh" "${arch[$1]}"
}

# Tests that make the kernel warn keep that from the console.
no_reports() { # name
	[ -s "$t/build-$1/test.log" ] && ! bad_lines "$t/build-$1/test.log"
}

for s in "${names[@]}"; do
	check "$s" run "$s"
	emit "$s" cc tests "$(jq '[.. | .test_cases? // empty | .[] | select(.status == "PASS")] | length' \
		"$out/kunit-$kver-${arch[$s]}.json" 2>/dev/null || echo 0)" tests
	check "$s-reports" no_reports "$s"
	emit "$s" cc reports "$(bad_lines "$t/build-$s/test.log" 2>/dev/null | wc -l)" reports
done
step "wrote out/sanitize.json"
conclude
