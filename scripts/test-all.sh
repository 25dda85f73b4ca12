#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make test-all: every verb that can fail, on both kernels but for those at the end, and
# the tests of the tools. Takes hours. Writes out/test-all.json; last line "N passed, M
# failed". What the verbs recorded is in out/test-all/, by version.
. "$(dirname "$0")/lib.sh"

"$top/scripts/deps.sh"
record_to test-all
rm -rf "$out/test-all"
newest=${versions[-1]}
[ -z "$asked" ] || versions=("$kver")

# What a verb records, its next run or one of another version replaces.
keep() { # verb, version
	mkdir -p "$out/test-all"
	[ ! -f "$out/$1.json" ] || cp "$out/$1.json" "$out/test-all/$1-$2.json"
}

tool_tests
for v in "${versions[@]}"; do
	for s in static-full series-check litmus kunit sanitize smoke demo trace iommu nvme-errors luks stress; do
		KVER=$v ALL=1 check "$s-$v" "$top/scripts/$s.sh"
		keep "$s" "$v"
	done
done
# Of the newest kernel: UML has two CPUs there, and some mutants are for it alone.
if [ "${versions[-1]}" = "$newest" ]; then
	for s in coverage mutants cvm bench; do
		KVER=$newest check "$s" "$top/scripts/$s.sh"
	done
	# What only another kernel tells: pages of another size.
	check kunit-64k-pages env KVER="$newest" KUNIT_ARGS='--kconfig_add=CONFIG_ARM64_4K_PAGES=n --kconfig_add=CONFIG_ARM64_64K_PAGES=y' \
		"$top/scripts/kunit.sh" arm64
fi
KVER=${versions[-1]} SCENARIO=soak check soak "$top/scripts/stress.sh"
keep stress soak

conclude
