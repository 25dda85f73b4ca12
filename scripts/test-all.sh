#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make test-all: every verb that can fail, on both kernels but for those at the end, and
# the tests of the tools. Takes hours. Writes out/test-all.json; last line "N passed, M
# failed". What the verbs recorded is in out/test-all/, under the names of the checks.
. "$(dirname "$0")/lib.sh"
no_arguments "$@"

"$top/scripts/deps.sh"
record_to test-all
rm -rf "$out/test-all"
mkdir "$out/test-all"
newest=${versions[-1]}
[ -z "$asked" ] || versions=("$kver")

# What a verb records, its next run replaces; what an earlier one has left is not of this one.
run() { # name, which begins with that of the verb; verb, [argument...]
	local f files=("$out/$2.json")
	[ "$2" != bench ] || files+=("$out"/bench-{native,icount,fio}.json)
	rm -f "${files[@]}"
	check "$1" "$top/scripts/$2.sh" "${@:3}"
	for f in "${files[@]}"; do
		[ ! -f "$f" ] || cp "$f" "$out/test-all/$(basename "$f" .json)${1#"$2"}.json"
	done
}

tool_tests
for v in "${versions[@]}"; do
	for s in static-full series-check litmus kunit sanitize smoke demo trace iommu nvme-errors luks stress; do
		KVER=$v ALL=1 run "$s-$v" "$s"
	done
done
# Of the newest kernel: UML has two CPUs there, and some mutants are for it alone.
if [ "${versions[-1]}" = "$newest" ]; then
	for s in coverage mutants cvm bench; do
		KVER=$newest run "$s-$newest" "$s"
	done
	# What only another kernel tells: pages of another size.
	KVER=$newest KUNIT_ARGS='--kconfig_add=CONFIG_ARM64_4K_PAGES=n --kconfig_add=CONFIG_ARM64_64K_PAGES=y' \
		run kunit-64k-pages kunit arm64
	# A hundred times as many random histories.
	KVER=$newest KUNIT_ARGS='cc_swiotlb_loop* --kernel_args=cc_swiotlb_loop.histories=100000 --timeout=7200' \
		run kunit-histories kunit uml
fi
KVER=${versions[-1]} SCENARIO=soak run stress-soak stress

conclude
