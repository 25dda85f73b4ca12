#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make trace: the examples for perf, trace-cmd and bpftrace in the administrator's
# guide, each run in a guest under load: it has to work and to see what happens.
# Writes out/trace.json and a log of each; last line "N passed, M failed".
. "$(dirname "$0")/lib.sh"

"$top/scripts/deps.sh"
"$top/scripts/deps.sh" bpftrace linux-perf trace-cmd
step "kernel $kver${KSRC:+ of $KSRC}"
record_to trace
dir=$out/trace
mkdir -p "$dir"
rm -rf "$dir"/{console.log,results.jsonl,files}

# A command a line; what a bpftrace program has on further lines is indented more.
awk '/^Without any tool/ { exit }
	/^\t(bpftrace|perf|trace-cmd) / { if (line) print line; line = substr($0, 2); next }
	/^\t\t/ && line { sub(/^\t+/, " "); line = line $0; next }
	line { print line; line = "" }' "$top/Documentation/admin-guide/cc-swiotlb.rst" >"$dir/examples"
[ -s "$dir/examples" ] || die "no example in Documentation/admin-guide/cc-swiotlb.rst: correct how trace.sh finds them"

kernel=$("$top/scripts/build.sh" cc-trace)
# Where bpftrace finds no type information of the kernel, it includes this header.
for t in 8 16 32 64; do
	echo "typedef __UINT${t}_TYPE__ u$t, __u$t; typedef __INT${t}_TYPE__ s$t, __s$t;"
done >"$dir/types.h"
echo 'typedef __SIZE_TYPE__ size_t; typedef _Bool bool; typedef u64 dma_addr_t, phys_addr_t;' >>"$dir/types.h"
q=$("$top/scripts/tools-disk.sh" "$dir/tools.tar" bpftrace perf trace-cmd "examples=$dir/examples" \
	"usr/include/linux/types.h=$dir/types.h")
step "running $(wc -l <"$dir/examples") examples"
"$top/scripts/qemu.sh" -c 2,sockets=2 -m 3G -n 2 -D throttling.iops-total=100 -t 1200 -q "$q" "$kernel" "$dir" trace \
	swiotlb=cc,force cc_swiotlb=max=16M,reserve=1M || true

seen() { # number, example
	echo "$2"
	cat "$dir/files/$1"
	[ "$(jq -rs --arg n "$1" 'map(select(.metric == $n)) | last.unit' "$dir/results.jsonl")" = ok ]
}
n=0
while read -r example; do
	n=$((n + 1))
	check "$n-${example%% *}" seen $n "$example"
done <"$dir/examples"
conclude
