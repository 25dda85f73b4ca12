#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make doc-tables: write the measurements in out/ into the tables of
# Documentation/core-api/cc-swiotlb.rst, between ".. begin <name>" and ".. end <name>".
# What was not measured here stays as it is. The same out/ gives the same text.
# shellcheck disable=SC2016 # the variables are jq's
. "$(dirname "$0")/lib.sh"

need jq
doc=$top/Documentation/core-api/cc-swiotlb.rst
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# rows <verb> <jq program>: an array per row; the results of that verb are $r.
rows() {
	jq -r '.results as $r | .kernel as $kernel
		| def v($name; $backend; $metric):
			[$r[] | select(.name == $name and .backend == $backend and .metric == $metric) | .value][0];
		def text: if . == null then "" elif type == "number" then . * 10 | round / 10 | tostring else . end;
		def percent: if . == null then "" else "\(. * 100 | round) %" end;
		def ratio: if . == null then "" else . * 100 | round / 100 | tostring end;
		def human: if . >= 1024 then "\(. / 1024)K" else tostring end;
		'"$2"' | map(text) | @tsv' "$out/$1.json" 2>/dev/null || : >"$tmp/incomplete"
}

# A simple table of reStructuredText; the first row is its head.
table() {
	awk -F'\t' '
		{
			for (i = 1; i <= NF; i++) {
				cell[NR, i] = $i
				if (length($i) > width[i])
					width[i] = length($i)
			}
			if (NF > columns)
				columns = NF
		}
		function line(  i, s, bar) {
			for (i = 1; i <= columns; i++) {
				bar = sprintf("%" width[i] "s", "")
				gsub(/ /, "=", bar)
				s = s (i > 1 ? "  " : "") bar
			}
			print s
		}
		END {
			line()
			for (n = 1; n <= NR; n++) {
				s = ""
				for (i = 1; i <= columns; i++)
					s = s sprintf("%-" width[i] + 2 "s", cell[n, i])
				sub(/ +$/, "", s)
				print s
				if (n == 1)
					line()
			}
			line()
			print ""
		}'
}

kernel() { # verb
	jq -r .kernel "$out/$1.json"
}

# section <name> <verb...>: what the function of that name prints, if these have run.
section() {
	local name=$1 f=$tmp/$1 v
	for v in "${@:2}"; do
		[ -s "$out/$v.json" ] || {
			step "$name: stays as it is, no out/$v.json"
			return
		}
	done
	grep -q "^\.\. begin $name$" "$doc" || die "$doc has no '.. begin $name': put it where the table belongs"
	"${name//-/_}" >"$f"
	[ ! -e "$tmp/incomplete" ] || {
		rm "$tmp/incomplete"
		step "$name: stays as it is, a result is missing in out/: run make ${*:2}"
		return
	}
	awk -v name="$name" -v new="$f" '
		$0 == ".. end " name { skip = 0 }
		!skip
		$0 == ".. begin " name {
			skip = 1
			print ""
			while ((getline s <new) > 0)
				print s
		}' "$doc" >"$tmp/doc"
	cmp -s "$tmp/doc" "$doc" || cat "$tmp/doc" >"$doc"
}

magazine_head() {
	echo "Linux $(kernel bench-native) on UML:"
	echo
	rows bench-native '["head of a magazine", "pop and push, ns"],
		(["list", "one word and a list, cmpxchg"], ["array", "array and a busy byte"],
		 ["locked", "one word and a list, LOCK cmpxchg"]
		| [.[1], v("scheme-" + .[0]; "cc"; "ns_per_pop_and_push")])' | table
}

magazine_size() {
	echo "Linux $(kernel bench-native) on UML, 4 KiB, mapped on one CPU and unmapped on the other:"
	echo
	rows bench-native '["slots in a magazine", "mappings per ms", "writes to inboxes", "depot locks, per 1000 mappings"],
		((8, 16, 32, 64, 128) as $m
		| [$m, (("ops_per_ms", "inbox_writes_per_1000_maps", "depot_locks_per_1000_maps") as $c
			| v("magazine-\($m)"; "cc"; $c))])' | table
}

lookup() {
	echo "Linux $(kernel bench-native) on UML, $(rows bench-native '[v("lookup"; "cc"; "chunks")]') chunks, ns:"
	echo
	rows bench-native '["lookup", "16 addresses", "4096 addresses at random"],
		(["table", "table of two levels"], ["xarray", "xarray"], ["page", "page flag and struct page"]
		| . as $how | [$how[1], v("lookup-" + $how[0]; "cc"; "hot_ns"), v("lookup-" + $how[0]; "cc"; "random_ns")])' | table
	echo "The table, Linux $(kernel bench-icount) on x86_64:"
	echo
	rows bench-icount '["chunks", "instructions"],
		(("cc", "cc-10000-chunks") as $n | [v($n; "cc"; "chunks"), v($n; "cc"; "find_pool_instructions")])' | table
}

slot_index() {
	echo "Linux $(kernel bench-native) on UML, everything in the first-level cache:"
	echo
	rows bench-native '["from an index to the slot", "ns"],
		(["array", "one array"], ["table", "table of two levels"] | [.[1], v("index-" + .[0]; "cc"; "ns")])' | table
}

depot() {
	echo "Linux $(kernel bench-native) on UML, 1024 slots taken and given back without a copy, one CPU:"
	echo
	rows bench-native '["behind the magazines", "ns per slot"],
		(["list", "depot, a list of magazines"], ["none", "no depot, back to the gen_pool"]
		| [.[1], v("depot-" + .[0]; "cc"; "ns")])' | table
}

block_size() {
	echo "Linux $(kernel bench-native) on UML, where converting costs nothing, us per MiB:"
	echo
	rows bench-native '["size of a block", "to share", "to return", "conversions per MiB"],
		(65536, 524288, 2097152 | . as $b
		| ["\($b / 1024) KiB", (("grow_ns_per_mib", "shrink_ns_per_mib") as $m | v("block-\($b)"; "cc"; $m) / 1000),
		   1048576 / $b])' | table
}

classes() {
	echo "Bytes of the slots over bytes asked for, computed for the sizes of mappings that the"
	echo "first proposal reports, and for the power of two that each table serves worst:"
	echo
	rows bench '["classes", "its sizes", "worst power of two"],
		(["default", "all powers of two"], ["rfc", "512, 2K, 4K, 16K, 512K"]
		| . as $c | [$c[1], (("waste", "waste_power_of_two") as $m
			| v("waste-\($c[0])-classes"; "cc"; $m) | ratio)])' | table
}

backends() {
	echo "Map and unmap without the copy, ns, Linux $(kernel bench-native) on UML. The pool is as full"
	echo "as the second column says, with free space all over it:"
	echo
	rows bench-native '[512, 2048, 4096, 16384, 65536, 131072, 262144, 524288] as $sizes
		| ["allocator", "full", ($sizes[] | human)],
		(["legacy", "", "legacy, 64 MiB"], ["legacy", "-1GiB", "legacy, 1 GiB"], ["dynamic", "", "dynamic, from 64 MiB"],
		 ["cc", "", "cc, 64 MiB in use"], ["cc", "-1GiB", "cc, 1 GiB in use"]
		| . as $b | (0, 50, 90, 99) as $full
		| [$b[2], "\($full) %", ($sizes[] | "fill\($full)-\(.)\($b[1])" as $n
			| if v($n; $b[0]; "failed") then "fails" else v($n; $b[0]; "ns") | round end)])' | table
	echo "Instructions of map and unmap without the copy and the path that does not bounce, Linux"
	echo "$(kernel bench-icount) on x86_64:"
	echo
	rows bench-icount '[4096, 16384, 65536, 131072, 262144, 524288] as $sizes
		| ["allocator", ($sizes[] | human)],
		(["legacy", "legacy", "legacy"], ["not-selected", "legacy", "legacy, patched kernel"], ["cc", "cc", "cc"]
		| . as $b | [$b[2], ($sizes[] | v("\($b[0])-\(human)"; $b[1]; "overhead_instructions")
			| if . == null then "fails" else . | round end)])' | table
}

memory() {
	echo "Memory in the demo (verified I/O on five disks at once, network, ext4), Linux $(kernel demo), MiB:"
	echo
	rows demo '["shared with the host", "none", "legacy", "dynamic", "cc"],
		(["boot", "at boot"], ["peak", "at most"], ["after", "10 s after the I/O"]
		| . as $m | [$m[1], (("none", "legacy", "dynamic", "cc") as $b
			| v("demo"; $b; "shared_\($m[0])_bytes") | . / 1048576)])' | table
}

# A table with a row for each kind of job of fio, and a column for each block size.
fio_table() { # jq filter: value of job $n
	rows bench-fio 'def gain($n): v($n; "legacy"; "instructions_per_io") as $l | v($n; "cc"; "instructions_per_io")
			| if $l and . then $l / . else null end;
		["512", "4k", "16k", "64k", "128k", "512k", "mixed"] as $sizes
		| ["disks", "", "depth", $sizes[]],
		((1, 21) as $disks | ("randread", "randwrite", "randrw") as $rw | (1, 256) as $depth
		| [$disks, $rw, $depth, ($sizes[] | "\($disks)disks-\($rw)-\(.)-\($depth)" as $n | '"$1"' | ratio)])' | table
}

fio_jobs() { # condition [_min|_max]: how many of the ratios on disks meet it
	rows bench-fio '[[$r[] | select((.name | test("disks-")) and .metric == "mib_s_over_legacy'"${2:-}"'") | .value]
		| [.[] | select('"$1"')] | length]'
}

counted_jobs() { # what to say of the ratios of instructions
	rows bench-fio '[[$r[] | select(.metric == "instructions_per_io")] | group_by(.name)
		| map({name: .[0].name, v: ((map(select(.backend == "legacy"))[0].value) / (map(select(.backend == "cc"))[0].value))})
		| '"$1"']'
}

fio() {
	echo "Instructions of one I/O, legacy with 64 MiB over cc, all I/O bounced, NVMe disks, Linux"
	echo "$(kernel bench-fio) on x86_64:"
	echo
	fio_table 'gain($n)'
	echo "Of these $(counted_jobs length) jobs, cc takes fewer instructions in $(counted_jobs 'map(select(.v > 1)) | length'); lowest"
	echo "$(counted_jobs 'map(.v) | min * 1000 | round / 1000 | tostring'), geometric mean $(counted_jobs 'map(.v | log) | add / length | exp | ratio')."
	echo
	echo "Bytes per second, cc over legacy, of the same under TCG with two CPUs:"
	echo
	fio_table 'v($n; "cc"; "mib_s_over_legacy")'
	echo "Of these $(fio_jobs 'true') jobs, cc did at least as much as legacy in $(fio_jobs '. >= 1'), and less in"
	echo "every round in $(fio_jobs '. < 1' _max)."
	echo
	echo "The same of what the network gets done, iperf3 through virtio-net:"
	echo
	rows bench-fio '["", "64 bytes, UDP", "1500 bytes, UDP", "TCP"],
		(("send", "receive") as $way
		| [$way, (["64", "packets_s"], ["1500", "packets_s"], ["64k", "mib_s"]
			| . as $m | "net-\($way)-\($m[0])" as $n
			| v($n; "cc"; $m[1] + "_over_legacy") | ratio)])' | table
	echo "Of all these jobs with cc, by block size:"
	echo
	rows bench-fio '["512", "4k", "16k", "64k", "128k", "512k", "mixed"] as $sizes
		| ["", $sizes[]],
		(["magazine_hit_rate", "lowest hit rate of the magazines, %", 100], ["waste", "slot bytes over requested bytes", 1]
		| . as $m | [$m[1], ($sizes[] as $size
			| [$r[] | select(.backend == "cc" and .metric == $m[0] and (.name | test("disks-[a-z]+-\($size)-"))) | .value]
			| if $m[2] == 1 then max else min end | . * $m[2] | ratio)])' | table
}

model() { # parameter
	rows bench '[v("model"; "cc"; "'"$1"'")]'
}

scaling() {
	echo "Two CPUs, one map and unmap of 4 KiB, Linux $(kernel bench-icount) on x86_64:"
	echo
	rows bench-icount '["allocator", "LOCK prefixes", "cli, sti, pushf, popf", "cache lines that both CPUs write"],
		(("legacy", "cc") as $b | [$b, (("locked_instructions", "irq_flag_instructions", "shared_lines_written") as $m
			| v("\($b)-2cpus"; $b; $m))])' | table
	echo "What two CPUs get done, over what one does, Linux $(kernel bench-native) on UML:"
	echo
	rows bench-native '[512, 4096, 16384] as $sizes
		| ["allocator", ($sizes[] | human), ($sizes[] | human + ", other CPU unmaps")],
		(("legacy", "dynamic", "cc") as $b
		| [$b, ($sizes[] | 2 * v("threads1-\(.)"; $b; "ns_with_copy") / v("threads2-\(.)"; $b; "ns_with_copy") | ratio),
		   ($sizes[] | v("remote2-\(.)"; $b; "ops_per_ms") / v("remote1-\(.)"; $b; "ops_per_ms") | ratio)]),
		(def ns($n; $size): $n * 1000000 / v("remote\($n)-\($size)"; "cc"; "ops_per_ms");
		(ns(2; 0) - ns(1; 0)) as $pass
		| ["limit of cc", "", "", "", ($sizes[] | ns(1; .) as $t | 2 * $t / ($t + $pass) | ratio)])' | table
	echo "The limit: what cc would reach if another CPU cost nothing but to pass 32 bytes there and back,"
	echo "as much as is noted of a mapping, which alone takes $(rows bench-native '[(2000000 / v("remote2-0"; "cc"; "ops_per_ms")
		- 1000000 / v("remote1-0"; "cc"; "ops_per_ms")) | round]') ns on this machine."
	echo
	echo "A model, not a measurement, of the worst case: $(model cpus) CPUs that make $(model maps_per_second)"
	echo "mappings a second each, all of one size and all unmapped on CPUs that do so for many others, so"
	echo "that every magazine passes the depot. Where each CPU unmaps for one other, none does, and"
	echo "inboxes are written four times per magazine by two CPUs each. Share of the time in which"
	echo "the lock of the depot is held, if a cache line comes from another CPU in $(model line_ns_same_socket) ns"
	echo "within a socket, and in $(model line_ns_other_socket) ns from the other socket:"
	echo
	rows bench '["slots in a magazine", "depot locks per mapping", "one socket", "two sockets"],
		((8, 16, 32, 64, 128) as $m | "model-\($m)" as $n
		| [$m, (v($n; "cc"; "locks_per_map") | . * 10000 | round / 10000 | tostring),
		   (v($n; "cc"; "depot_busy_same_socket") | percent), (v($n; "cc"; "depot_busy_other_socket") | percent)])' | table
}

section magazine-head bench-native
section magazine-size bench-native
section lookup bench-native bench-icount
section slot-index bench-native
section depot bench-native
section block-size bench-native
section classes bench
section backends bench-native bench-icount
section memory demo
section fio bench-fio
section scaling bench-native bench-icount bench
