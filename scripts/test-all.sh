#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make test-all: every verb that can fail, those about the kernel for both of them.
# Takes hours. Writes out/test-all.json; last line "N passed, M failed".
. "$(dirname "$0")/lib.sh"

"$top/scripts/deps.sh"
record_to test-all

for v in 6.12 7.2; do
	for s in static-full kunit demo trace stress; do
		KVER=$v check "$s-$v" "$top/scripts/$s.sh"
	done
done
for s in coverage mutants cvm bench; do
	check "$s" "$top/scripts/$s.sh"
done
check soak env SCENARIO=soak "$top/scripts/stress.sh"

conclude
