#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make trace: the examples for perf, trace-cmd and bpftrace in the administrator's
# guide, each run in a guest under load: it has to work and to see what happens. And
# tools/ccstat/cc-addr.py in gdb, which looks into that guest.
# Writes out/trace.json and a log of each; last line "N passed, M failed".
. "$(dirname "$0")/lib.sh"
no_arguments "$@"

"$top/scripts/deps.sh" bpftrace linux-perf trace-cmd gdb
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

# The kernel has no debug information: one object that knows all types is enough.
types() { # build directory
	local command
	command=$(sed -n 's/^savedcmd_[^ ]* := //p' "$1/kernel/dma/cc-swiotlb/.core.o.cmd" |
		sed "s/ ;.*//; s/-Wp,-MMD,[^ ]*//; s|-c -o [^ ]*|-g -fno-eliminate-unused-debug-types -c -o $dir/types.o|")
	(cd "$1" && sh -c "$command") || die "compiling for debug information failed: $command"
}

# All mappings in the guest, when the first example has run, and one of them by its address
addresses() { # build directory
	local t
	for ((t = 0; t < 900; t++)); do
		! grep -qs '"metric":"1"' "$dir/results.jsonl" || break
		sleep 1
	done
	# shellcheck disable=SC2016 # $_ is gdb's
	gdb -nx -batch "$1/vmlinux" -ex "add-symbol-file $dir/types.o 0" -ex "target remote $dir/gdb" \
		-ex "source $top/tools/ccstat/cc-addr.py" -ex 'echo all\n' -ex cc-addr -ex 'echo one\n' -ex 'cc-addr $_ + 511' \
		-ex 'echo none\n' -ex 'cc-addr 0x1000' -ex detach </dev/null >"$dir/addresses" 2>&1
}

types "${kernel%/arch/*}"
rm -f "$dir/results.jsonl" "$dir/addresses"
trap end_background EXIT
background addresses "${kernel%/arch/*}"
gdb=$!
step "running $(wc -l <"$dir/examples") examples"
"$top/scripts/qemu.sh" -c 2,sockets=2 -m 3G -n 2 -D throttling.iops-total=100 -t 1200 \
	-q "$q -gdb unix:$dir/gdb,server=on,wait=off" "$kernel" "$dir" trace \
	swiotlb=cc,force cc_swiotlb=max=16M,reserve=1M || true
kill -- -$gdb 2>/dev/null || true

seen() { # number, example
	echo "$2"
	cat "$dir/files/$1"
	[ "$(jq -rs --arg n "$1" 'map(select(.metric == $n)) | last.unit' "$dir/results.jsonl")" = ok ]
}
# The last of all mappings is found by its address, and is one of the disk.
found() {
	cat "$dir/addresses"
	awk '/^(all|one|none)$/ { part = $0; next }
		part == "all" && /mapped by [0-9a-f:.]+ for/ { last = $0 }
		part == "one" { one = $0 }
		part == "none" { none = $0 }
		part == "none" { part = "" }
		END { exit !(last ~ /slot of (512|4096|131072): mapped by 0000:/ && one == last && none ~ /not in cc-swiotlb/) }' "$dir/addresses"
}
check cc-addr found
n=0
while read -r example; do
	n=$((n + 1))
	check "$n-${example%% *}" seen $n "$example"
done <"$dir/examples"
conclude
