#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make bench: all benchmarks, then out/bench.json, out/bench.md and out/plots/. bench-native
# is always of the newest Linux, the others of KVER or KSRC.
. "$(dirname "$0")/lib.sh"
no_arguments "$@"

whole_number ROUNDS 1
rm -f "$out"/bench{,-native,-icount,-fio}.json # of another run
if [ -z "${KSRC:-}" ]; then
	[ "$kver" = "${versions[-1]}" ] || step "bench-native measures Linux ${versions[-1]}, the others $kver"
	KVER=${versions[-1]} "$top/scripts/bench-native.sh"
elif [ "$kver" = "${versions[-1]}" ]; then
	"$top/scripts/bench-native.sh"
else
	step "no bench-native: it works on Linux ${versions[-1]}, not on $kver"
fi
"$top/scripts/bench-icount.sh"
"$top/scripts/bench-fio.sh"
cat "$out/bench.md"
