#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make bench: all benchmarks, then out/bench.json, out/bench.md and out/plots/.
. "$(dirname "$0")/lib.sh"

"$top/scripts/bench-native.sh"
"$top/scripts/bench-icount.sh"
"$top/scripts/bench-fio.sh"
cat "$out/bench.md"
