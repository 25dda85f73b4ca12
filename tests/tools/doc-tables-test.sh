#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make doc-tables on results that are made up: what is measured gets into the documents
# with date, commit, machine and kernel; what is not measured stays as it is. In a copy
# of the repository. TAP on stdout.
set -eu

. "$(dirname "$0")/tap.sh"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
unset KVER KSRC
export XDG_CACHE_HOME=$tmp/cache
repo=$tmp/repo out=$tmp/repo/out
mkdir -p "$out"
cp -r "$top"/{scripts,Documentation,README.md} "$repo/"
benchmarks=$repo/Documentation/benchmarks.rst
core=$repo/Documentation/core-api/cc-swiotlb.rst

ok() { # description, command...
	local what=$1 status=0
	shift
	"$@" >"$tmp/log" 2>&1 || status=$?
	cat "$tmp/said" >>"$tmp/log"
	tap $status "$what" "$tmp/log"
}

result() { # verb: its lines "name backend metric value" from stdin
	jq -R 'split(" ") | {name: .[0], backend: .[1], metric: .[2], value: (.[3] | tonumber), unit: ""}' |
		jq -s --arg verb "$1" '{verb: $verb, kver: "6.12", kernel: "6.12.999", date: "2031-02-03", commit: "c0ffee0",
			machine: ($verb + " bed on 7 cores of Z80"), results: ., pass: true}' >"$out/$1.json"
}

write() {
	"$repo/scripts/doc-tables.sh" >"$tmp/said" 2>&1
}

part() { # document name: what is between its marks
	awk -v n="$2" '$2 == "end" && $3 == n { exit } on; $2 == "begin" && $3 == n { on = 1 }' "$1"
}

has() { # document name pattern
	part "$1" "$2" | tee "$tmp/part"
	grep -qE -- "$3" "$tmp/part"
}

unchanged() { # document...
	local f
	for f; do
		diff -u "$tmp/before/${f##*/}" "$f"
	done
}

remember() {
	mkdir -p "$tmp/before"
	cp "$repo/README.md" "$benchmarks" "$core" "$tmp/before/"
}

said() {
	grep -q -- "$1" "$tmp/said"
}

remember
ok 'nothing was measured' write
ok 'every document stays as it is' unchanged "$repo/README.md" "$benchmarks" "$core"
ok 'and it says so' said 'results: stays as it is, no out/demo.json'

result bench-icount <<-END
	irqsoff cc max 1234
	legacy-4K legacy overhead_instructions 4000.4
	legacy-256K legacy overhead_instructions 6000
	cc-4K cc overhead_instructions 111
	cc-256K cc overhead_instructions 112
	seam-4K cc overhead_instructions 133.4
	$(for size in 16 64 128 512; do
		printf "%s-${size}K %s overhead_instructions 1$size\n" legacy legacy cc cc
	done
	printf 'not-selected-%sK legacy overhead_instructions 7\n' 4 16 64 128 256 512)
	cc-2cpus cc locked_instructions 0
	cc-2cpus cc irq_flag_instructions 0
	$(for size in 4 16 64 128 256 512; do
		[ $size = 512 ] || echo "arm64-legacy-${size}K legacy overhead_instructions 3$size"
		echo "arm64-cc-${size}K cc overhead_instructions 4$size"
	done)
END
# Of the disks one kind of job, what the tables about copies have, and nothing of the network
{
	for size in 512 4k 16k 64k 128k 512k mixed; do
		printf "1disks-randread-$size-1 %s 1\n" 'legacy instructions_per_io' 'cc instructions_per_io' \
			'cc mib_s_over_legacy' 'cc mib_s_over_legacy_max' 'cc magazine_hit_rate' 'cc waste'
	done
	for job in {raw,luks}-rand{read,write}-{4k,64k,512k}; do
		for backend in none legacy dynamic cc; do
			printf "$job-16 $backend %s\n" 'copied_bytes_per_byte 1' 'instructions_per_io 100' 'mib_s 12.34'
		done
	done
	printf 'luks-randread-%s cc mib_s_over_legacy %s\n' 4k-16 0.904 64k-16 1.2 512k-16 0.5
	echo 'luks-bounced-randread-64k-16 cc instructions_per_io 125'
} | result bench-fio
# A scenario that measures, of others than the one in a document
result stress <<-END
	decay cc shared_after_bytes 1
END
result bench-native <<-END
	depot-list cc ns 13.14
	depot-none cc ns 21
	$(for backend in legacy legacy:-1GiB dynamic cc cc:-1GiB; do
		printf "%s${backend#"${backend%:*}"} ${backend%:*} ns 25\n" fill{0,50,90,99}-{512,2048,4096,16384,65536,131072,262144,524288} | tr -d :
	done)
END
ok 'some was measured' write
ok 'a table' has "$benchmarks" depot '^depot, a list of magazines +13\.1$'
ok 'it has kernel, machine, date and commit' \
	has "$benchmarks" depot '^\*Linux 6\.12\.999, bench-native bed on 7 cores of Z80, 2031-02-03, commit c0ffee0\*$'
ok 'instructions without the last patch' has "$benchmarks" backends '^cc, without the last patch +133$'
ok 'beside those with it' has "$benchmarks" backends '^cc +111 +116 +164 +1128 +112 +1512$'
ok 'what is copied, and how fast' test "$(part "$benchmarks" copies-6.12 | grep -cE '^luks, randread +64k +(1|100|12.34) +.* (1|100|12.34)$')" = 3
ok 'where cc is slower, that is said' bash -c "$(declare -f part); part '$benchmarks' copies-6.12 | tr '\n' ' ' |
	grep -F 'takes 0.8 of the instructions' | grep -qF '0.9 at 4k, 1.2 at 64k, 0.5 at 512k. So cc is the slower one at 4k and 512k.'"
ok 'a sentence' has "$core" irqs-off '1234 instructions at most \(Linux 6\.12\.999\)'
ok 'another one' has "$core" fast-path '4000'
ok 'what lacks a result stays' said 'block-size: stays as it is, a result is missing'
ok 'and so does its old text' has "$benchmarks" block-size "$(part "$tmp/before/benchmarks.rst" block-size | grep 2048)"
ok 'that nothing was measured is no failed map' said 'backends-arm64: stays as it is, a result is missing'
ok 'a scenario that did not run ends nothing' said 'held: stays as it is, a result is missing'
ok 'nor does a part of the jobs of fio replace all' said 'fio: stays as it is, a result is missing'
jq '.results += [{name: "arm64-legacy-512K", backend: "legacy", metric: "failed", value: 100}]' "$out/bench-icount.json" >"$tmp/icount"
mv "$tmp/icount" "$out/bench-icount.json"
ok 'a failed map was recorded' write
ok 'and is one' has "$benchmarks" backends-arm64 '^legacy +34 +316 +364 +3128 +3256 +fails$'
remember
ok 'once more' write
ok 'the same results give the same text' unchanged "$repo/README.md" "$benchmarks" "$core"

# All that demo.sh records, and only that
demo_metrics() {
	# shellcheck disable=SC2016 # it is demo.sh's text
	sed -nE 's/.*emit (demo cc|"\$2" "\$3") ([a-z_]+) .*/\2/p; s/.*for m in ((shared_[a-z]+_bytes ?)+);.*/\1/p' \
		"$repo/scripts/demo.sh" | tr ' ' '\n' | sort -u
}
for backend in none legacy dynamic cc; do
	demo_metrics | grep . | sed "s/.*/demo $backend & 3145728/"
done | result demo
for backend in legacy dynamic cc; do
	for name in fill0-4096 fill99-4096 fill0-524288; do
		echo "$name $backend ns 2$n"
	done
	echo "fill50-65536 $backend failed 100"
done | result bench-native
ok 'the demo was measured' write
ok 'the table of README' has "$repo/README.md" results '^\| failed maps \| 3145728 \| 3145728 \| 3145728 \| 3145728 \|$'
ok 'memory in MiB' has "$repo/README.md" results '^\| MiB shared at peak \| 3 \| 3 \| 3 \| 3 \|$'
ok 'what is copied' has "$repo/README.md" results '^\| bytes copied per byte of I/O \| [0-9]'
ok 'no metric that the demo does not record' \
	test "$(part "$repo/README.md" results | grep -cE '^\| (I/O|failed|bytes|MiB|magazine).*\|  ?\|$')" = 0
ok 'instructions as whole numbers' has "$repo/README.md" results 'instructions, 4 KiB.* 4000 \| \| 111 \|$'
ok 'what fails' has "$repo/README.md" results '^\| ns, 64 KiB, pool half full \| \| fails \| fails \| fails \|$'
ok 'kernel, machine, date and commit of the demo' \
	bash -c "tr '\n' ' ' <'$repo/README.md' | grep -qF 'Linux 6.12.999, demo bed on 7 cores of Z80, 2031-02-03, commit c0ffee0'"

remember
jq 'del(.date) | .results[].value = 99' "$out/demo.json" >"$tmp/demo" && mv "$tmp/demo" "$out/demo.json"
ok 'results without a date' write
ok 'stay out of the documents' unchanged "$repo/README.md" "$benchmarks"

result demo <<<'demo cc io_errors 1'
jq '.pass = false' "$out/demo.json" >"$tmp/demo" && mv "$tmp/demo" "$out/demo.json"
ok 'a run that failed' write
ok 'stays out of the documents' unchanged "$repo/README.md" "$benchmarks"
ok 'and that is said' said 'results: stays as it is, out/demo.json is of a run that failed'

sed -i '/^\.\. end depot$/d' "$benchmarks"
remember
status=0
"$repo/scripts/doc-tables.sh" >"$tmp/said" 2>&1 || status=$?
ok 'a table without an end is an error' test $status = 1
ok 'that names it' said "^error: Documentation/benchmarks.rst has no 'end depot'"
ok 'and the rest of the document stays' unchanged "$benchmarks"

# What a verb writes
cat >"$repo/scripts/verb.sh" <<'END'
. "$(dirname "$0")/lib.sh"
record_to verb
testbed='a bed'
emit name cc metric 1 ''
finish true
END
mkdir -p "$tmp/cache/cc-swiotlb/src/linux-6.12/kernel/dma"
cd "$tmp/cache/cc-swiotlb/src/linux-6.12"
touch Kbuild kernel/dma/swiotlb.c
printf 'VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 999\n' >Makefile
ok 'a verb ends' bash "$repo/scripts/verb.sh"
# shellcheck disable=SC2016 # the variable is jq's
ok 'its results have kernel, date, commit and machine' jq -e --arg today "$(date -u +%F)" \
	'.kernel == "6.12.999" and .date == $today and .commit != "" and (.machine | test("^a bed on [0-9]+ cores of ."))' "$out/verb.json"

tap_end
