#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make doc-tables: write the measurements in out/ where documents have room for them,
# between "begin <name>" and "end <name>": all tables of Documentation/benchmarks.rst, that
# of README.md, and two paragraphs of Documentation/core-api/cc-swiotlb.rst. Each says what
# it was measured on, and when. What was not measured here, or by a run that failed, stays
# as it is. The same out/ gives the same text.
# shellcheck disable=SC2016 # the variables are jq's
. "$(dirname "$0")/lib.sh"
no_arguments "$@"

"$top/scripts/deps.sh" --only jq
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# rows <verb> <jq program>: an array per row; the results of that verb are $r. What was not
# measured is an error; that a mapping failed is a measurement.
rows() {
	jq -r '.results as $r | .kernel as $kernel
		| def recorded($name; $backend; $metric):
			[$r[] | select(.name == $name and .backend == $backend and .metric == $metric) | .value];
		def v($name; $backend; $metric): recorded($name; $backend; $metric)[0] // error("not measured");
		def or_fails($name; $backend; $metric):
			if recorded($name; $backend; "failed") != [] then "fails" else v($name; $backend; $metric) | round end;
		def text: if . == null then "" elif type == "number" then . * 10 | round / 10 | tostring else . end;
		def percent: "\(. * 100 | round) %";
		def ratio: . * 100 | round / 100 | tostring;
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

# A table of Markdown; the first row is its head.
markdown() {
	awk -F'\t' '
		{
			s = "|"
			for (i = 1; i <= NF; i++)
				s = s " " $i " |"
			gsub(/  +/, " ", s)
			print s
		}
		NR == 1 {
			gsub(/[^|]+/, "---", s)
			print s
		}'
}

kernel() { # verb
	jq -r .kernel "$out/$1.json"
}

# What the results of a verb are of.
of() { # verb
	jq -er 'if .date and .commit and .machine then "Linux \(.kernel), \(.machine), \(.date), commit \(.commit)"
		else empty end' "$out/$1.json" || : >"$tmp/incomplete"
}

caption() { # verb
	echo "*$(of "$1")*"
	echo
}

# section <document> <name> <verb...>: what the function of that name prints, if these
# have run. With "-<version>" at the end of the name, of that version of Linux alone.
section() {
	local doc=$top/$1 name=$2 f=$tmp/$2 v mark
	shift
	for v in "${@:2}"; do
		[ -s "$out/$v.json" ] || {
			step "$name: stays as it is, no out/$v.json"
			return
		}
		jq -e '.pass == true' "$out/$v.json" >/dev/null || {
			step "$name: stays as it is, out/$v.json is of a run that failed"
			return
		}
	done
	case $name in
	*-[0-9]*.*)
		[ "$(jq -r .kver "$out/$2.json")" = "${name##*-}" ] || {
			step "$name: stays as it is, out/$2.json is of another version of Linux"
			return
		}
		;;
	esac
	# Without its end, the rest of the document would be in between.
	for mark in begin end; do
		grep -qE "^(\.\.|<!--) $mark $name( -->)?$" "$doc" || die "${doc#"$top/"} has no '$mark $name': put it where the table belongs"
	done
	v=${name%-[0-9]*.*}
	"${v//-/_}" >"$f"
	[ ! -e "$tmp/incomplete" ] || {
		rm "$tmp/incomplete"
		step "$name: stays as it is, a result is missing in out/: run make ${*:2}"
		return
	}
	awk -v name="$name" -v new="$f" '
		$2 == "end" && $3 == name { skip = 0 }
		!skip
		$2 == "begin" && $3 == name {
			skip = 1
			print ""
			while ((getline s <new) > 0)
				print s
			if (s != "")
				print ""
		}' "$doc" >"$tmp/doc"
	cmp -s "$tmp/doc" "$doc" || cat "$tmp/doc" >"$doc"
}

magazine_head() {
	caption bench-native
	rows bench-native '["head of a magazine", "pop and push, ns"],
		(["list", "one word and a list, cmpxchg"], ["array", "array and a busy byte"],
		 ["locked", "one word and a list, LOCK cmpxchg"]
		| [.[1], v("scheme-" + .[0]; "cc"; "ns_per_pop_and_push")])' | table
}

magazine_size() {
	echo "Mappings of 4 KiB, made on one CPU and unmapped on the other."
	echo
	caption bench-native
	rows bench-native '["slots in a magazine", "mappings per ms", "writes to inboxes", "depot locks, per 1000 mappings"],
		((8, 16, 32, 64, 128) as $m
		| [$m, (("ops_per_ms", "inbox_writes_per_1000_maps", "depot_locks_per_1000_maps") as $c
			| v("magazine-\($m)"; "cc"; $c))])' | table
}

lookup() {
	echo "With $(rows bench-native '[v("lookup"; "cc"; "chunks")]') chunks, ns."
	echo
	caption bench-native
	rows bench-native '["lookup", "16 addresses", "4096 addresses at random"],
		(["table", "table of two levels"], ["xarray", "xarray"], ["page", "page flag and struct page"]
		| . as $how | [$how[1], v("lookup-" + $how[0]; "cc"; "hot_ns"), v("lookup-" + $how[0]; "cc"; "random_ns")])' | table
	echo "The table of two levels, instructions."
	echo
	caption bench-icount
	rows bench-icount '["chunks", "instructions"],
		(("cc", "cc-10000-chunks") as $n | [v($n; "cc"; "chunks"), v($n; "cc"; "find_pool_instructions")])' | table
}

slot_index() {
	echo "Everything is in the first-level cache."
	echo
	caption bench-native
	rows bench-native '["from an index to the slot", "ns"],
		(["array", "one array"], ["table", "table of two levels"] | [.[1], v("index-" + .[0]; "cc"; "ns")])' | table
}

depot() {
	echo "1024 slots are taken and given back without a copy, on one CPU."
	echo
	caption bench-native
	rows bench-native '["behind the magazines", "ns per slot"],
		(["list", "depot, a list of magazines"], ["none", "no depot, back to the gen_pool"]
		| [.[1], v("depot-" + .[0]; "cc"; "ns")])' | table
}

block_size() {
	echo "Microseconds per MiB."
	echo
	caption bench-native
	rows bench-native '["size of a block", "to share", "to return", "conversions per MiB"],
		(65536, 524288, 2097152 | . as $b
		| ["\($b / 1024) KiB", (("grow_ns_per_mib", "shrink_ns_per_mib") as $m | v("block-\($b)"; "cc"; $m) / 1000),
		   1048576 / $b])' | table
}

classes() {
	echo "Bytes of the slots over bytes asked for. The first column is computed for the sizes of"
	echo "mappings that the first proposal reports, the second for the power of two that each table"
	echo "serves worst."
	echo
	rows bench '["classes", "its sizes", "worst power of two"],
		(["default", "all powers of two"], ["rfc", "512, 2K, 4K, 16K, 512K"]
		| . as $c | [$c[1], (("waste", "waste_power_of_two") as $m
			| v("waste-\($c[0])-classes"; "cc"; $m) | ratio)])' | table
}

backends() {
	echo "Map and unmap without the copy, ns. The pool is as full as the second column says, with"
	echo "free space all over it."
	echo
	caption bench-native
	rows bench-native '[512, 2048, 4096, 16384, 65536, 131072, 262144, 524288] as $sizes
		| ["allocator", "full", ($sizes[] | human)],
		(["legacy", "", "legacy, 64 MiB"], ["legacy", "-1GiB", "legacy, 1 GiB"], ["dynamic", "", "dynamic, from 64 MiB"],
		 ["cc", "", "cc, 64 MiB in use"], ["cc", "-1GiB", "cc, 1 GiB in use"]
		| . as $b | (0, 50, 90, 99) as $full
		| [$b[2], "\($full) %", ($sizes[] | or_fails("fill\($full)-\(.)\($b[1])"; $b[0]; "ns"))])' | table
	echo "Instructions of map and unmap without the copy and without what an unbounced mapping"
	echo "takes."
	echo
	caption bench-icount
	rows bench-icount '[4096, 16384, 65536, 131072, 262144, 524288] as $sizes
		| ["allocator", ($sizes[] | human)],
		(["legacy", "legacy", "legacy"], ["not-selected", "legacy", "legacy, patched kernel"], ["cc", "cc", "cc"]
		| . as $b | [$b[2], ($sizes[] | or_fails("\($b[0])-\(human)"; $b[1]; "overhead_instructions"))]),
		["cc, without the last patch", (v("seam-4K"; "cc"; "overhead_instructions") | round)]' | table
}

backends_arm64() {
	caption bench-icount
	rows bench-icount '[4096, 16384, 65536, 131072, 262144, 524288] as $sizes
		| ["allocator", ($sizes[] | human)],
		(("legacy", "cc") as $b | [$b, ($sizes[] | or_fails("arm64-\($b)-\(human)"; $b; "overhead_instructions"))])' | table
}

memory() {
	echo "Memory shared with the host, MiB."
	echo
	caption demo
	rows demo '["shared with the host", "none", "legacy", "dynamic", "cc"],
		(["boot", "at boot"], ["peak", "at most"], ["after", "10 s after the I/O"]
		| . as $m | [$m[1], (("none", "legacy", "dynamic", "cc") as $b
			| v("demo"; $b; "shared_\($m[0])_bytes") | . / 1048576)])' | table
}

# A table with a row for each kind of job of fio, and a column for each block size.
fio_table() { # jq filter: value of job $n
	rows bench-fio 'def gain($n): v($n; "legacy"; "instructions_per_io") / v($n; "cc"; "instructions_per_io");
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
	rows bench-fio '[[$r[] | select(.metric == "instructions_per_io" and (.name | test("disks-")))] | group_by(.name)
		| map({name: .[0].name, v: ((map(select(.backend == "legacy"))[0].value) / (map(select(.backend == "cc"))[0].value))})
		| '"$1"']'
}

fio() {
	echo "Instructions of one I/O, legacy with 64 MiB over cc. All I/O bounces."
	echo
	caption bench-fio
	fio_table 'gain($n)'
	echo "Of these $(counted_jobs length) jobs, cc takes fewer instructions in $(counted_jobs 'map(select(.v > 1)) | length'); lowest" \
		"$(counted_jobs 'map(.v) | min * 1000 | round / 1000 | tostring'), geometric mean $(counted_jobs 'map(.v | log) | add / length | exp | ratio')."
	echo
	echo "Bytes per second of the same, cc over legacy, with two CPUs:"
	echo
	fio_table 'v($n; "cc"; "mib_s_over_legacy")'
	echo "Of these $(fio_jobs 'true') jobs, cc did at least as much as legacy in $(fio_jobs '. >= 1'), and less in every round in $(fio_jobs '. < 1' _max)."
	echo
	echo "iperf3 through virtio-net, cc over legacy:"
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
			| if $m[2] == 1 then max else min end * $m[2] | ratio)])' | table
}

# A table with a row for each kind of job about copies, and a column for each allocator.
copies_table() { # metric
	rows bench-fio '["none", "legacy", "dynamic", "cc"] as $backends
		| ["", "block", $backends[]],
		(("raw", "luks") as $on | ("randread", "randwrite") as $rw | ("4k", "64k", "512k") as $size
		| ["\($on), \($rw)", $size, ($backends[] | v("\($on)-\($rw)-\($size)-16"; .; "'"$1"'") | ratio)])' | table
}

copies() {
	echo "Bytes that swiotlb copies for each byte that is read or written:"
	echo
	caption bench-fio
	copies_table copied_bytes_per_byte
	echo "Instructions of one I/O:"
	echo
	copies_table instructions_per_io
	echo "MiB per second, with two CPUs. Of legacy and cc it is the median of the rounds; the others had"
	echo "one."
	echo
	copies_table mib_s
	rows bench-fio '(["4k", "64k", "512k"] | map([., v("luks-randread-\(.)-16"; "cc"; "mib_s_over_legacy")])) as $reads
		| [(v("luks-randread-64k-16"; "cc"; "instructions_per_io")
			/ v("luks-bounced-randread-64k-16"; "cc"; "instructions_per_io") | ratio),
		($reads | map("\(.[1] | ratio) at \(.[0])") | join(", ")),
		($reads | map(select(.[1] < 1)[0]) | join(" and "))]' >"$tmp/copies"
	{
		IFS=$'\t' read -r bounced reads slower <"$tmp/copies" || return 0
		echo "With cc_shared_reads, a read of 64 KiB takes $bounced of the instructions that it takes without." \
			"Bytes per second of encrypted reads, cc over legacy, with two CPUs, as the median of the ratios:" \
			"$reads.${slower:+ So cc is the slower one at $slower.}"
	} | fmt -w 88
}

sequential() {
	caption bench-fio
	rows bench-fio '["legacy", "dynamic", "cc", "cc-2m"] as $backends
		| ["", "", $backends[]],
		(("read", "write") as $rw | "seq-\($rw)-1m-8" as $n
		| [$rw, "KiB in a request", ($backends[] | v($n; .; "request_kib"))],
		  ["", "bytes per second, over legacy", "", "", (("cc", "cc-2m") as $b | v($n; $b; "mib_s_over_legacy") | ratio)],
		  ["", "instructions per MiB", ($backends[] | if . == "dynamic" then "" else v($n; .; "instructions_per_io") end)])' | table
}

held() {
	local nics burst after reserve gone before
	caption stress
	rows stress '[("held_bytes", "used_peak_bytes", "shared_after_bytes", "reserve_bytes", "shared_gone_bytes",
			"shared_before_bytes") as $m | v("nic"; "cc"; $m) / 1048576]' >"$tmp/nic"
	read -r nics burst after reserve gone before <"$tmp/nic" || return 0
	echo "The rings of eight NICs hold $nics MiB. They are filled in the middle of a burst that takes" \
		"$burst MiB at most. Afterwards $after MiB are shared, with a reserve of $reserve MiB. When the NICs" \
		"are gone it is $gone MiB, as before them ($before MiB)." | fmt -w 88
}

confidential() {
	caption cvm
	rows cvm '["legacy", "dynamic", "cc", "cc-6.12"] as $guests | {legacy: "legacy", dynamic: "dynamic"} as $own
		| ["", $guests[]],
		(["pages that the host can read", "pages_readable_by_host"], ["of these, not shared by the guest", "pages_readable_but_not_shared"],
		 ["shared by the guest, but not readable", "pages_shared_but_not_readable"],
		 ["returned, but readable", "returned_pages_readable"], ["I/O errors", "io_errors"]) as $m
		| [$m[0], ($guests[] | v(.; $own[.] // "cc"; $m[1]))]' | table
	rows cvm '[v("probe-before"; "legacy"; "conversions_of_probes"), v("probe"; "cc"; "conversions_of_probes")]' >"$tmp/probes"
	read -r before after <"$tmp/probes" || return 0
	echo "While eight NVMe disks are probed, kworkers convert memory $before times without chunks for" \
		"coherent allocations, and $after times with them." | fmt -w 88
}

model() { # parameter
	rows bench '[v("model"; "cc"; "'"$1"'")]'
}

scaling() {
	echo "Two CPUs, one map and unmap of 4 KiB:"
	echo
	caption bench-icount
	rows bench-icount '["allocator", "LOCK prefixes", "cli, sti, pushf, popf", "cache lines that both CPUs write"],
		(("legacy", "cc") as $b | [$b, (("locked_instructions", "irq_flag_instructions", "shared_lines_written") as $m
			| v("\($b)-2cpus"; $b; $m))])' | table
	echo "What two CPUs get done, over what one does:"
	echo
	caption bench-native
	rows bench-native '[512, 4096, 16384] as $sizes
		| ["allocator", ($sizes[] | human), ($sizes[] | human + ", other CPU unmaps")],
		(("legacy", "dynamic", "cc") as $b
		| [$b, ($sizes[] | 2 * v("threads1-\(.)"; $b; "ns_with_copy") / v("threads2-\(.)"; $b; "ns_with_copy") | ratio),
		   ($sizes[] | v("remote2-\(.)"; $b; "ops_per_ms") / v("remote1-\(.)"; $b; "ops_per_ms") | ratio)]),
		(def ns($n; $size): $n * 1000000 / v("remote\($n)-\($size)"; "cc"; "ops_per_ms");
		(ns(2; 0) - ns(1; 0)) as $pass
		| ["limit of cc", "", "", "", ($sizes[] | ns(1; .) as $t | 2 * $t / ($t + $pass) | ratio)])' | table
	echo "The limit is what cc would reach if another CPU cost nothing but to pass 32 bytes there"
	echo "and back, as much as is noted of a mapping. That alone takes $(rows bench-native '[(2000000 / v("remote2-0"; "cc"; "ops_per_ms")
		- 1000000 / v("remote1-0"; "cc"; "ops_per_ms")) | round]') ns on this machine."
	echo
	echo "A model, not a measurement, of the worst case: $(model cpus) CPUs make $(model maps_per_second) mappings a second"
	echo "each, all of one size. All are unmapped on CPUs that do so for many others, so that every"
	echo "magazine passes the depot. The columns have the share of the time in which the lock of"
	echo "the depot is held, if a cache line comes from another CPU in $(model line_ns_same_socket) ns within a socket, and"
	echo "in $(model line_ns_other_socket) ns from the other socket:"
	echo
	rows bench '["slots in a magazine", "depot locks per mapping", "one socket", "two sockets"],
		((8, 16, 32, 64, 128) as $m | "model-\($m)" as $n
		| [$m, (v($n; "cc"; "locks_per_map") | . * 10000 | round / 10000 | tostring),
		   (v($n; "cc"; "depot_busy_same_socket") | percent), (v($n; "cc"; "depot_busy_other_socket") | percent)])' | table
}

# README.md: what "make demo" prints, and what a mapping costs beside it.
results() {
	{
		echo "\`make demo\`: $(of demo). Instructions of map and unmap, without the copy and without what an"
		echo "unbounced mapping takes: $(of bench-icount). Nanoseconds, without the copy: $(of bench-native)."
	} | fmt -w 90
	echo
	{
		rows demo '["none", "legacy", "dynamic", "cc"] as $backends
			| ["", $backends[]],
			["I/O and verify errors", ($backends[] as $b | v("demo"; $b; "io_errors") + v("demo"; $b; "verify_errors"))],
			["failed maps", ($backends[] as $b | v("demo"; $b; "map_failures"))],
			["bytes copied per byte of I/O", ($backends[] as $b | v("demo"; $b; "copied_bytes_per_byte") | ratio)],
			(["at boot", "shared_boot_bytes"], ["at peak", "shared_peak_bytes"], ["10 s after", "shared_after_bytes"]
			| . as $m | ["MiB shared " + $m[0], ($backends[] as $b | v("demo"; $b; $m[1]) / 1048576)]),
			["magazine hit rate, %", "", "", "", v("demo"; "cc"; "magazine_hit_rate") * 100]'
		rows bench-icount '(["**instructions, 4 KiB**", "4K"], ["instructions, 256 KiB", "256K"]
			| . as $s | [$s[0], 0, (v("legacy-" + $s[1]; "legacy"; "overhead_instructions") | round), "",
				(v("cc-" + $s[1]; "cc"; "overhead_instructions") | round)])'
		rows bench-native '(["**ns, 4 KiB**, empty pool", "fill0-4096"], ["ns, 4 KiB, pool 99 % full", "fill99-4096"],
			["ns, 64 KiB, pool half full", "fill50-65536"], ["ns, 512 KiB, empty pool", "fill0-524288"]
			| . as $n | [$n[0], "", (("legacy", "dynamic", "cc") as $b | or_fails($n[1]; $b; "ns"))])'
	} >"$tmp/rows"
	markdown <"$tmp/rows"
}

# Documentation/core-api/cc-swiotlb.rst: figures that a sentence there rests on.
fast_path() {
	rows bench-icount '[v("cc-2cpus"; "cc"; "locked_instructions"), v("cc-2cpus"; "cc"; "irq_flag_instructions"),
		(v("cc-4K"; "cc"; "overhead_instructions"), v("legacy-4K"; "legacy"; "overhead_instructions") | round)]' >"$tmp/counted"
	{
		read -r locked flags cc legacy <"$tmp/counted"
		echo "Counted on Linux $(kernel bench-icount), x86_64: a map and an unmap of 4 KiB from the magazine" \
			"execute $locked instructions with a LOCK prefix, and $flags that touch the interrupt flag." \
			"With \`\`fast.c\`\` they take $cc instructions besides the copy and what a mapping takes" \
			"that does not bounce. With the pool at boot they take $legacy."
	} | fmt -w 80
}

irqs_off() {
	echo "While 2 GiB are shared and returned with mappings of all sizes, interrupts are off for" \
		"$(rows bench-icount '[v("irqsoff"; "cc"; "max")]') instructions at most (Linux $(kernel bench-icount))." | fmt -w 80
}

benchmarks=Documentation/benchmarks.rst
section $benchmarks backends bench-native bench-icount
section $benchmarks backends-arm64 bench-icount
section $benchmarks memory demo
section $benchmarks held stress
section $benchmarks confidential cvm
section $benchmarks fio bench-fio
for kernel in "${versions[@]}"; do
	section $benchmarks "copies-$kernel" bench-fio
	section $benchmarks "sequential-$kernel" bench-fio
done
section $benchmarks scaling bench-native bench-icount bench
section $benchmarks magazine-head bench-native
section $benchmarks magazine-size bench-native
section $benchmarks lookup bench-native bench-icount
section $benchmarks slot-index bench-native
section $benchmarks depot bench-native
section $benchmarks block-size bench-native
section $benchmarks classes bench
section README.md results demo bench-icount bench-native
section Documentation/core-api/cc-swiotlb.rst fast-path bench-icount
section Documentation/core-api/cc-swiotlb.rst irqs-off bench-icount
