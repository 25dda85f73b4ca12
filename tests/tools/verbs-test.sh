#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The verbs when something goes wrong under them: what has not been measured passes
# nothing, and what ends with an error is no success. In a copy of the repository; what
# installs, builds and boots is a fake. TAP on stdout.
# shellcheck disable=SC2016 # expressions are those of the fakes
set -eu

. "$(dirname "$0")/tap.sh"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
unset KVER KSRC MUTANT SCENARIO MINUTES SANITIZER LITMUS GUESTS BUILDS FROM ALL QUICK JOBS ROUNDS
export XDG_CACHE_HOME=$tmp/cache FAKE='' REPO=$tmp/repo PATH=$tmp/bin:$PATH
repo=$tmp/repo out=$tmp/repo/out
mkdir -p "$repo/tests/tools" "$out/demo" "$tmp/bin"
cp -r "$top/scripts" "$repo/"
for v in 6.12 7.3; do
	tree=$tmp/cache/cc-swiotlb/src/linux-$v
	mkdir -p "$tree/kernel/dma" "$tree/scripts"
	touch "$tree"/{Kbuild,kernel/dma/swiotlb.c}
	printf 'VERSION = %s\nPATCHLEVEL = %s\nSUBLEVEL = 99\n' ${v/./ } >"$tree/Makefile"
done

status=0
run() { # command...
	status=0
	"$@" >"$tmp/said" 2>&1 || status=$?
}
ended() { # description, status, [what was said]
	local bad=1
	[ $status != "$2" ] || ! { [ -z "${3:-}" ] || grep -q -- "$3" "$tmp/said"; } || bad=0
	tap $bad "$1" "$tmp/said"
}
ok() { # description, command...
	local bad=0
	"${@:2}" >>"$tmp/said" 2>&1 || bad=1
	tap $bad "$1" "$tmp/said"
}
program() { # file: its body from stdin
	{ echo '#!/bin/bash' && cat; } >"$1"
	chmod +x "$1"
}
fake() { # name of a script: its body from stdin
	program "$repo/scripts/$1.sh"
}
verb() { # body
	{ echo '. "$(dirname "$0")/lib.sh"' && echo "$1"; } | fake verb
	run "$repo/scripts/verb.sh"
}
fake deps </dev/null

# lib.sh
verb 'record_to verb; emit a cc n null x; must null "$(value a cc n) <= 1"; must none "$(value a "" m) <= 1"; must one "$(value a cc n) >= 0"; conclude'
ended 'what was not measured meets no bound' 1 '^0 passed, 3 failed$'
echo '{"metric":"some","value":2,"unit":"x"} {"metric":"nothing","value":null,"unit":"x"}' >"$tmp/results.jsonl"
verb 'record_to verb; judge() { judge_emitted "'"$tmp"'" a "$1" "$2" && echo "passed: $*" || true; }
	judge some ". <= 3"; judge some ". > 3"; judge nothing ". <= 3"; judge none ". <= 3"; judge none ". == null or . == 0"'
ok 'nor does what a guest has not emitted' diff <(printf '%s\n' 'a some: 2' 'passed: some . <= 3' 'a some: 2' 'a nothing: null' 'a none: null' 'a none: null') "$tmp/said"
MINUTES=ten verb 'whole_number MINUTES 1'
ended 'what is no number is refused' 1 '^error: MINUTES=ten: set it to a whole number from 1 on'
MINUTES=0 verb 'whole_number MINUTES 1'
ended 'and what is too small' 1 '^error: MINUTES=0: '
MINUTES=08 verb 'whole_number MINUTES 1'
ended 'and what the shell takes for octal' 1 '^error: MINUTES=08: '
verb 'whole_number MINUTES 1'
ended 'unset is no error' 0
ALL=yes verb 'switch ALL'
ended 'a switch is on or off' 1 '^error: ALL=yes: set it to 1, or leave it out'
QUICK=0 verb 'switch QUICK; echo "<$QUICK>"'
ended 'and 0 is off' 0 '^<>$'
for names in 'stress SCENARIO' 'litmus LITMUS' 'mutants MUTANT' 'sanitize SANITIZER' 'cvm GUESTS' 'series-check BUILDS'; do
	read -r s names <<<"$names"
	run env "$names= " "$repo/scripts/$s.sh"
	ended "$s: no name is not a name" 1 "^error: $names is blank"
done
for s in apply,pristine bench bench-{fio,icount,native} checkpatch-run coverage cvm cvm-build,cc demo doc-tables get-kernel \
	initramfs iommu litmus new-scenario sanitize smoke static-full stress test test-all trace; do
	IFS=, read -r s a <<<"$s"
	run "$repo/scripts/$s.sh" ${a:+"$a"} hotplug
	ended "$s: what it would ignore is an error" 1 "^error: $s.sh .*'hotplug'"
done
for names in 'stress SCENARIO no.scenario' 'litmus LITMUS tests/litmus.has.no' 'sanitize SANITIZER no.sanitizer'; do
	read -r s names said <<<"$names"
	run env -C "$repo" "$names=s*" "$repo/scripts/$s.sh"
	ended "$s: a name is no pattern of files" 1 "^error: $said 's\*'"
done
verb 'need no-such-command'
ended 'what is not installed is in the packages of make deps' 1 "^error: no-such-command is not installed: run 'make deps'"
verb 'command() { false; }; need perf'
ended 'or in one that is named' 1 "^error: perf is not installed: run 'scripts/deps.sh linux-perf'"
verb 'record_to verb; conclude'
ended 'where nothing was judged, nothing has passed' 1 '^not ok 1 verb # nothing was judged'
echo 'echo some; exit 1' | program "$tmp/bin/head"
verb 'random_file "$out/random" 8M || true'
ok 'a file that could not be made whole is not there' test ! -e "$out/random"
rm "$tmp/bin/head"
verb 'f() { false; echo "went on"; }; x=$(f); echo "$x"'
ended 'an error ends what stands in $(...), too' 1
ARCH=arm64 CROSS_COMPILE=arm- verb 'echo "<${ARCH-}${CROSS_COMPILE-}>"'
ended 'what the kernel is made for does not come from outside' 0 '^<>$'
mkdir -p "$tmp/mine"
stage=$tmp/mine leave_out=9 verb '. "$top/scripts/stage.sh"; read_series() { patch_files=(); }; stage_begin; echo "$leave_out"'
ended 'nor how a tree is made' 0 '^0$'
ok 'and nothing there is removed' test -d "$tmp/mine"
: >"$tmp/empty"
for f in '' '{"jobs": [{}]' '{"jobs": []}'; do
	printf %s "$f" >"$tmp/fio.json"
	verb 'of_fio "'"$tmp"'/fio.json" "[.jobs[].total_err] | add"; of_fio "'"$tmp"'/none" .'
	ok "fio's '$f' has nothing" diff <(printf '%s\n' null null) "$tmp/said"
done
mkdir "$tmp/a b"
cp -r "$repo/scripts" "$tmp/a b/"
run "$tmp/a b/scripts/verb.sh"
ended 'a path with a space is refused with the remedy' 1 "^error: .* in '$tmp/a b.*: move the repository"
for c in ',' : '|' '&'; do
	XDG_CACHE_HOME=$tmp/a${c}b verb true
	ended "and so is one with $c" 1 "^error: .* in .*'$tmp/a${c}b/.*: move the repository"
done
XDG_CACHE_HOME=caches verb true
ended 'a relative directory for caches is refused' 1 "^error: 'caches/cc-swiotlb' is relative: set XDG_CACHE_HOME"
(cd "$tmp" && CDPATH=$tmp repo/scripts/verb.sh) >"$tmp/said" 2>&1 && status=0 || status=$?
ended 'CDPATH is no matter' 0
echo 'echo sparc64' | program "$tmp/bin/uname"
verb true
ended 'another machine is refused' 1 '^error: this machine is sparc64'
rm "$tmp/bin/uname"
# The first waits until the second says that it waits.
verb 'lock a; set -m; (lock a) 2>"$out/waits" & for ((i = 0; i < 500; i++)); do [ ! -s "$out/waits" ] || break; sleep 0.01; done; cat "$out/waits"; kill -- -$!'
ended 'a lock says who holds it' 0 'waiting for the end of verb.sh, process [0-9]*, which holds .*lock-a'
# The first goes on when the second waits or has begun, the second when the first has ended.
echo '. "$(dirname "$0")/lib.sh"
await() { local i; for ((i = 0; i < 500; i++)); do [ ! -s "$out/$1" ] || break; sleep 0.01; done; }
record_to verb
echo begun >"$out/$FAKE.said"
[ $FAKE != one ] || await two.said
emit $FAKE cc n 1 x
[ $FAKE = one ] || await one.json
finish true
cp "$out/verb.json" "$out/$FAKE.json"' | fake verb
FAKE=one "$repo/scripts/verb.sh" >"$tmp/one" 2>&1 &
for ((i = 0; i < 500; i++)); do [ ! -e "$out/one.said" ] || break; sleep 0.01; done
FAKE=two "$repo/scripts/verb.sh" >"$tmp/said" 2>"$out/two.said" || true
wait $! || true
ok 'two runs of a verb do not mix what they record' jq -es 'map(.results | map(.name)) == [["one"], ["two"]]' "$out"/{one,two}.json
verb 'record_to verb; emit a cc n 1 x; rm "$records"; finish true'
ended 'no record is written of what was removed meanwhile' 1 '^error: .*verb.jsonl is gone'
for k in 6.12 7.3; do
	echo 'die "no, this is no perl"' >"$tmp/cache/cc-swiotlb/src/linux-$k/scripts/checkpatch.pl"
done
verb 'checkpatch a.patch'
ended 'a checkpatch that dies is not silent' 0 '^checkpatch.pl ended with status'
echo 'print ":1: WARNING:X: x", $/, "include/trace/events/x.h:1: CHECK:OPEN_ENDED_LINE: x", $/; exit 1' >"$tmp/cache/cc-swiotlb/src/linux-6.12/scripts/checkpatch.pl"
verb 'checkpatch a.patch | grep -c .'
ended 'it is asked about style, but for trace events' 0 '^1$'
mkdir "$repo"/{kernel,lib,include,tests/kunit,tools,patches}
touch "$repo"/{lib/a.c,patches/b.patch}
KVER=6.12 run "$repo/scripts/checkpatch-run.sh"
ended 'checkpatch-run: it fails on what is reported' 1 '^0 passed, 2 failed$'
ok 'checkpatch-run: and says what it is of' grep -q '^# .*/b.patch:1: WARNING:X: x' "$tmp/said"
: >"$tmp/cache/cc-swiotlb/src/linux-6.12/scripts/checkpatch.pl"
KVER=6.12 run "$repo/scripts/checkpatch-run.sh"
ended 'checkpatch-run: and on nothing else' 0 '^2 passed, 0 failed$'

# Both versions
echo '. "$(dirname "$0")/lib.sh"
[ "$asked" ] || for_each_version "$@"
case $FAKE-$kver in
first-6.12) exit 1 ;;
*-7.3 | none-*) exit 77 ;;
esac
record_to verb
emit n cc passed 1 tests
finish true' | fake verb
echo '{"results": [{"name": "stale"}], "pass": true}' >"$out/verb.json"
FAKE=first run "$repo/scripts/verb.sh"
ended 'an error of the first version outlives that the second cannot be had' 1
ok 'and no old record does' test ! -e "$out/verb.json"
FAKE=none run "$repo/scripts/verb.sh"
ended 'neither version can be had' 77
FAKE='' run "$repo/scripts/verb.sh"
ended 'one can' 0
ok 'and is in the record' jq -e '.pass and .kver == "6.12" and [.results[].name] == ["n-6.12"]' "$out/verb.json"

# KVM
sed -i "s|/dev/kvm|$tmp/kvm|" "$repo/scripts/accel.sh"
touch "$tmp/kvm" "$tmp/empty"
program "$tmp/bin/qemu-system-x86_64" <<'EOF'
[ "$1" != --version ] || exit 0
echo "qemu: $FAKE" >&2
exit 1
EOF
accel() { # what QEMU says, kernel
	FAKE=$1 run "$repo/scripts/accel.sh" "$2" "$0"
}
accel '' "$tmp/empty"
ended 'KVM: an empty kernel is refused' 1 'empty. is missing or empty'
accel 'out of memory' "$0"
ended 'KVM: a QEMU that fails for another reason says nothing about it' 0 '^tcg$'
ok 'KVM: which is not kept' test ! -e "$tmp/cache/cc-swiotlb/accel"
accel 'failed to initialize kvm' "$0"
ended 'KVM: not here' 0 '^tcg$'
ok 'KVM: which is' test -s "$tmp/cache/cc-swiotlb/accel"

# demo
touch "$out/demo"/file.{64M,8M}
fake build <<'EOF'
case $FAKE in
no-build) exit 1 ;;
gone) exit 77 ;;
esac
EOF
fake qemu <<'EOF'
while getopts c:m:n:b:Ns:t:q:D:V:P: o; do :; done
shift $((OPTIND - 1))
mkdir -p "$2/files"
: >"$2/console.log"
echo '{"metric": "maps", "value": 1, "unit": ""}' >"$2/results.jsonl"
EOF
FAKE=no-build run "$repo/scripts/demo.sh"
ended 'demo: a kernel that does not build ends it' 1
ok 'demo: at once, and without a record' test ! -e "$out/demo.json" -a "$(grep -c 'swiotlb=' "$tmp/said")" = 1
mkdir -p "$tmp/cache/cc-swiotlb/times"
echo 17 >"$tmp/cache/cc-swiotlb/times/demo-legacy-6.12"
run "$repo/scripts/demo.sh"
ended 'demo: which step of how many, and how long it took' 1 '3 of 3: legacy, swiotlb=32768,force; took 17 s the last time$'
ok 'demo: how long it takes now is kept' grep -qx '[0-9]' "$tmp/cache/cc-swiotlb/times/demo-legacy-6.12"
ALL=1 run "$repo/scripts/demo.sh"
ended 'demo: all kernels' 1 '6 of 6: configured-off, '
FAKE=gone run "$repo/scripts/demo.sh"
ended 'demo: a kernel that cannot be had skips it' 77
mkdir -p "$out/demo/cc/files"
: >"$out/demo/cc/console.log"
echo 'verify: bad' >"$out/demo/cc/files/fio.err"
cat >"$out/demo/cc/files/fio.json" <<'EOF'
{"jobs": [{"read": {"iops": 10.4, "io_bytes": 1000, "bw_bytes": 1}, "write": {"iops": 1, "io_bytes": 1000, "bw_bytes": 1}, "total_err": 1}]}
EOF
for m in net_errors:0 fs_errors:0 map_failures:0 net_bytes:200 fs_bytes:200 copied_in:1300 copied_out:1300 shared_peak_bytes:8192; do
	echo "{\"metric\": \"${m%:*}\", \"value\": ${m#*:}}"
done >"$out/demo/cc/results.jsonl"
collect='. <(sed -n "/^metric() /,/^bounced() /{/^bounced() /d; p}" "$top/scripts/demo.sh")
record_to demo; collect cc demo cc; finish true'
cp "$out/demo/cc/results.jsonl" "$tmp/all"
sed -i '/fs_errors/d' "$out/demo/cc/results.jsonl"
verb "$collect"
ok 'demo: what a guest does not send is an error' jq -e '.results | map([.name, .metric]) == [["demo: the guest of cc reports fs_errors", "failed"]]' "$out/demo.json"
mv "$tmp/all" "$out/demo/cc/results.jsonl"
mv "$out/demo/cc/files/fio.json" "$tmp/fio.json"
: >"$out/demo/cc/files/fio.json"
verb "$collect"
ok 'demo: nor is it one of jq if fio has not ended' jq -e '.results | map([.name, .metric]) == [["demo: fio of cc gets to its end", "failed"]]' "$out/demo.json"
mv "$tmp/fio.json" "$out/demo/cc/files/fio.json"
verb "$collect"
ended 'demo: what a guest sends is collected' 0
ok 'demo: and is in the record' jq -e '.results | map({(.metric): .value}) | add | .iops_read == 10 and .io_errors == 0
	and .verify_errors == 1 and .read_bytes == 1200 and .copied_bytes_per_byte == 1.083 and .shared_peak_bytes == 8192' "$out/demo.json"

# series
cat >"$tmp/message" <<'EOF'
One figure:
~{demo:demo:cc:iops_read} IOPS of Linux {demo}
|  | cc
|  IOPS | {demo:demo:cc:iops_read}
~{demo:demo:cc:nothing} and {demo:demo:cc:iops_read}
EOF
text='stage=$top/out/x; . <(sed -n "/^figure() /,/^commit() /{/^commit() /d; p}" "$top/scripts/series.sh"); text "'$tmp/message'"'
verb "$text"
ok 'series: figures are filled in, and what is not measured left out' diff "$tmp/said" <(printf '%s\n' 'One figure:' \
	'10 IOPS of Linux 6.12.99' "$(printf '%26scc' '')" "$(printf '%-26s10' '  IOPS')" '')
jq '.pass = false' "$out/demo.json" >"$tmp/demo" && mv "$tmp/demo" "$out/demo.json"
verb "$text"
ok 'series: none of a run that failed' diff "$tmp/said" <(printf '%s\n' 'One figure:' '')

mkdir "$tmp/photos"
touch "$tmp/photos"/{0001-a.patch,cat.jpg}
KVER=7.3 run "$repo/scripts/series.sh" "$tmp/photos"
ended 'series: not into a directory that has other things' 1 '^error: series.sh .*photos: .*cat.jpg is no patch'
run "$repo/scripts/series.sh" "$tmp/new"
ended 'series: nor two versions into one' 1 '^error: series.sh .*new: .*set KVER'

# The guest of demo and smoke: a file system that cannot be written is not a full one
program "$tmp/bin/file-system" <<EOF
. <(sed -n '/^file_system() {/,/^}/p' "$top/tests/guest/demo" | sed 's|/tmp/|$tmp/|g; s|/mnt/|$tmp/mnt/|g')
emit() { echo "\$*"; }
fail() { echo "FAIL: \$*" && exit 1; }
mkfs.ext4() { :; }
mount() { :; }
umount() { :; }
e2fsck() { :; }
room=\$1 said=\$2
cp() {
	if [ "\${2##*/}" -lt "\$room" ]; then
		command cp "\$@"
	else
		echo "cp: \$said" >&2
		return 1
	fi
}
disks=vda sum=\$(sha256sum <"$tmp/file" | cut -d' ' -f1)
file_system
EOF
mkdir "$tmp/mnt"
echo text >"$tmp/file"
run "$tmp/bin/file-system" 2 'write error: No space left on device'
ended 'guest: as many files as fit' 0 '^fs_errors 0 errors$'
run "$tmp/bin/file-system" 2 'write error: Input/output error'
ended 'guest: an error is not want of space' 1 '^FAIL: ext4 has 2 files: .*Input/output error'
run "$tmp/bin/file-system" 0 'write error: No space left on device'
ended 'guest: and no file at all is an error' 1 '^FAIL: ext4 has 0 files'

# What guests say of memory: with swiotlb's own pool, in lib.sh and in cvm-run
mkdir -p "$tmp/guest/cc" "$tmp/guest/swiotlb"
for f in cc/shared_bytes:1000 cc/shared_peak_bytes:5000 cc/used_bytes:100 swiotlb/io_tlb_{nslabs:3,used:1,copied_in:7,copied_out:8}; do
	echo "${f#*:}" >"$tmp/guest/${f%:*}"
done
{
	sed 's|^dbg=.*|dbg=$guest|; s|^cc=.*|cc=$guest/cc|' "$top/tests/guest/lib.sh"
	echo 'read_memory; echo $shared $used $(shared) $(shared_peak) $(copied_bytes in) $(copied_bytes both) $(map_failures)'
	sed -n '/^shared() {/,/^}/p' "$top/tests/guest/cvm-run"
	echo 'echo $(shared) $(shared shared_peak_bytes)'
} >"$tmp/bin/memory"
echo 4 >"$tmp/guest/cc/map_failures"
guest=$tmp/guest run sh "$tmp/bin/memory"
ok 'guest: memory of both pools' diff "$tmp/said" <(printf '%s\n' '7144 2148 7144 11144 7 15 4' '7144 11144')
rm -r "$tmp/guest/cc"
sed -i 's/ $(shared_peak)//; s/ $(map_failures)//' "$tmp/bin/memory"
guest=$tmp/guest run sh "$tmp/bin/memory"
ok 'guest: and without cc-swiotlb' diff "$tmp/said" <(printf '%s\n' '6144 2048 6144 7 15' '6144 6144')

# luks
mkdir -p "$out/luks/usual"
printf '{"metric": "file_system_%s", "value": 0, "unit": ""}\n' read copied >"$out/luks/usual/results.jsonl"
verb 'record_to verb; dir=$out/luks; . <(sed -n "/^says() /,/^}/p; /^file_system_reads() /,/^}/p" "$top/scripts/luks.sh"); check reads file_system_reads; conclude'
ended 'luks: nothing that was read is not little that was copied' 1 '^not ok 1 reads'

# stress
mkdir -p "$repo/tests/stress"
echo 'guest cc cc cc,force -- stress-nothing
report' >"$repo/tests/stress/nothing"
run "$repo/scripts/stress.sh"
ended 'stress: no I/O is not I/O without errors' 1 'not ok .* nothing: no I/O errors'
sed -i 's|^: >"$2/console.log"|&; : >"$2/files/fio.json"|' "$repo/scripts/qemu.sh"
run "$repo/scripts/stress.sh"
ended 'stress: nor is one that has not ended, and the others go on' 1 '^2 passed, 1 failed$'

cp "$top/tests/stress/numa" "$repo/tests/stress/"
SCENARIO=numa run "$repo/scripts/stress.sh"
ended 'stress: a guest that does not say how many nodes it has' 1 '^2 passed, [0-9]* failed$'

# bench-native
printf '%s\n' 'cc sync-64 ns 1' 'cc sync-256 ns 1' 'cc fill0-512 ns 1' 'cc fill0-512 ns 1' 'cc sync-64 ns 1' >"$tmp/lines"
verb 'record_to verb; dir='"$tmp"' rounds=2; . <(sed -n "/^complete() /,/^}/p" "$top/scripts/bench-native.sh"); complete cc fill0- sync- remote1-; conclude'
ended 'bench-native: figures that a round lacks' 1 '^not ok 2 cc: lines of sync- in 2 rounds'
ok 'bench-native: or all rounds' grep -q '^1 passed, 2 failed$' "$tmp/said"

# bench-fio
cp "$repo/scripts/build.sh" "$tmp/build.sh"
fake build <<<'printf "%s\n" legacy dynamic cc'
program "$tmp/bin/iperf3" </dev/null
program "$tmp/bin/tar" <<<'echo "tar: no space" >&2; exit 2'
run "$repo/scripts/bench-fio.sh"
ended 'bench-fio: what cannot be packed is an error' 1 '^error: cannot write .*tools.tar: is the disk full?'
rm "$tmp/bin/tar"
fake icount-plugin </dev/null
program "$tmp/bin/iperf3" <<<'echo "iperf3: error - unable to start listener: Address already in use"; exit 1'
run "$repo/scripts/bench-fio.sh"
ended 'bench-fio: a port that is taken is an error' 1 '^error: iperf3 does not listen .*already in use'
ROUNDS=0 JOBS=^net- run "$repo/scripts/bench-fio.sh"
ended 'bench-fio: what is to be counted has to be there' 1 '^error: ROUNDS=0 only counts'
mv "$tmp/build.sh" "$repo/scripts/build.sh"

# herd7
mkdir "$tmp/herd7"
echo 'no tar' >"$tmp/herd7/root.tar"
verb 'dir='"$tmp"'/herd7 suite=sid; fetch_packages() { :; }; . <(sed -n "/^fetch() /,/^}/p" "$top/scripts/herd7.sh"); fetch || echo "has nothing"'
ended 'herd7: what cannot be unpacked is an error' 0 '^has nothing$'
ok 'herd7: and is not there' test ! -e "$tmp/herd7/root"

# kunit and coverage
tree=$tmp/kunit
mkdir -p "$tree/kernel/dma/cc-swiotlb/tests"
touch "$tree/kernel/dma/cc-swiotlb/core.c"
mv "$repo/scripts/apply.sh" "$tmp/apply.sh"
echo "echo '$tree'" | fake apply
program "$tmp/bin/python3" <<'EOF'
cases() { echo "{\"test_cases\": [$(printf '{"status": "%s"}\n' "$@" | paste -sd,)]}" >"$json"; }
for a; do
	case $a in --json=*) json=${a#*=} ;; esac
done
mkdir -p build-coverage/{kernel/dma/cc-swiotlb,lib}
touch build-coverage/{kernel/dma/cc-swiotlb/core,lib/genalloc-ext}.gcda
case $FAKE in
passes) cases PASS SKIP PASS ;;
fails) cases PASS FAIL ERROR && exit 1 ;;
ends) cases PASS && exit 1 ;;
none) exit 1 ;;
esac
EOF
program "$tmp/bin/gcov" <<'EOF'
f=${3%.gcda}.c
jq -n --arg f "$f" --argjson n "$([ "$FAKE" = all ] && echo 0 || echo -3)" '{files: [{file: $f, lines: [range(10) | {line_number: ., count: ([$n + 10 - ., 0] | max)}]}]}'
EOF
for f in 'passes 0 2 0' 'fails 1 1 2' 'ends 1 1 1' 'none 1 0 1'; do
	read -r FAKE wanted p f <<<"$f"
	KVER=7.3 run "$repo/scripts/kunit.sh" uml
	ended "kunit: $FAKE" "$wanted" "^$p passed, $f failed$"
	ok "kunit: $FAKE, as a line of KTAP" grep -qE "^$([ "$wanted" = 0 ] || echo 'not ')ok 1 uml # ($p passed, $f failed|KUnit did not run)" "$tmp/said"
done
FAKE=''
KVER=7.3 FAKE=all run "$repo/scripts/coverage.sh"
ended 'coverage: all lines' 0 '^2 passed, 0 failed$'
KVER=7.3 run "$repo/scripts/coverage.sh"
ended 'coverage: too few' 1 '^not ok 1 kernel/dma/cc-swiotlb/core.c # 70 % of 10 lines, not 7 8 9: add the tests'
ok 'coverage: which is recorded' jq -e '.pass == false and ([.results[] | select(.metric == "line_coverage").value] == [0.7, 0.7])' "$out/coverage.json"
rm "$tmp/bin/python3" "$tmp/bin/gcov"
mv "$tmp/apply.sh" "$repo/scripts/apply.sh"

# test
program "$repo/tests/tools/some-test.sh" </dev/null
for s in static series-check litmus smoke kunit; do
	fake $s <<-'EOF'
		[ "$FAKE $(basename "$0")" != 'ended static.sh' ] || { touch "$REPO/out/begun" && exec sleep 20; }
		[ "$FAKE $(basename "$0")" != 'gone litmus.sh' ] || exit 77
		echo '{"results": [{"metric": "passed", "value": 2}]}' >"$REPO/out/$(basename "$0" .sh).json"
		printf '%s\n' 'KTAP version 1' 'ok 1 one' 'ok 2 two' 1..2 '2 passed, 0 failed'
		[ "$FAKE" != "$(basename "$0" .sh)" ]
	EOF
done
# At each depth a head with a plan, and as many results, in order; above a result those that
# it is of.
ktap_holds() { # file
	awk '
		{ match($0, /^ */); d = RLENGTH / 2; s = substr($0, RLENGTH + 1) }
		s == "KTAP version 1" { bad += head || left[d]; head = 1; next }
		s ~ /^1\.\.[0-9]+$/ { bad += !head; left[d] = substr(s, 4); n[d] = 0; plans++ }
		s ~ /^(not )?ok [0-9]+ / {
			split(s, w)
			bad += left[d]-- < 1 || left[d + 1] || (w[1] == "not" ? w[3] : w[2]) != ++n[d]
		}
		{ bad += head && s !~ /^1\.\./; head = 0 }
		END { exit bad || plans != '"$2"' || left[0] }' "$1"
}
FAKE=smoke KSRC=$tmp/cache/cc-swiotlb/src/linux-6.12 run "$repo/scripts/test.sh"
ended 'test: a verb that fails after it has recorded has failed' 1 '^13 passed, 1 failed$'
ok 'test: and says so' grep -q '^  not ok 5 smoke-6.12 # 2 passed, 1 failed; ' "$tmp/said"
grep -v '^\[' "$tmp/said" >"$tmp/ktap"
ok 'test: it speaks KTAP' ktap_holds "$tmp/ktap" 8
ok 'test: the sum is the last line' bash -c 'tail -n 1 "$1" | grep -qx "13 passed, 1 failed"' - "$tmp/said"
ok 'test: and in the record' jq -e '[.results[] | select(.metric == "passed").value] | add == 13' "$out/test.json"
FAKE=gone KVER=6.12 run "$repo/scripts/test.sh"
ended 'test: a verb that cannot be had is skipped' 0 '^11 passed, 0 failed, 1 skipped$'
ok 'test: by a line of KTAP, too' grep -q '^  ok 3 litmus-6.12 # SKIP ' "$tmp/said"
FAKE=ended KVER=7.3 "$repo/scripts/test.sh" >"$tmp/said" 2>&1 &
for ((i = 0; i < 500; i++)); do [ ! -e "$out/begun" ] || break; sleep 0.01; done
kill $!
wait $! || true
ok 'test: what it has started ends with it' flock -w 2 "$out/.lock-test" true

# mutants
tree=$tmp/tree
mkdir -p "$tree" "$repo/tests/mutants" "$tree/tools/testing/kunit"
echo good >"$tree/code.c"
echo /code.c >"$tree/.cc-swiotlb-files"
printf '%s\n' 'a bug' '' '--- a/code.c' '+++ b/code.c' '@@ -1 +1 @@' '-good' '+bad' >"$repo/tests/mutants/1-bug.patch"
: >"$repo/tests/mutants/noticed-by"
echo "echo '$tree'" | fake apply
program "$tmp/bin/make" </dev/null
program "$tmp/bin/python3" <<'EOF'
verb=$2
for a; do
	case $a in --json=*) json=${a#*=} ;; esac
done
[ "$verb" = exec ] && grep -q bad code.c || FAKE=''
cases() { echo "{\"sub_groups\": [{\"name\": \"s\", \"test_cases\": [{\"name\": \"c\", \"status\": \"$1\"}]}]}" >"$json"; }
case $FAKE in
fail) cases FAIL && exit 1 ;;
alone) case "$*" in *' s') cases FAIL && exit 1 ;; esac ;;
crash) cases ERROR && exit 1 ;;
once) [ -e once ] || { touch once && cases ERROR && exit 1; } ;;
error) [ -z "$json" ] || : >"$json" && exit 1 ;;
others)
	case $PWD in *-0) exit 1 ;; esac
	exec sleep 60
	;;
esac
EOF
for f in 'fail 0 ^killed' 'crash 0 ^killed' 'once 1 SURVIVED' 'error 1 KUnit.gives.no.result'; do
	read -r FAKE wanted said <<<"$f"
	run "$repo/scripts/mutants.sh"
	ended "mutants: ${FAKE}" "$wanted" "${said/^/ }"
done
echo 1-bug quick s >"$repo/tests/mutants/noticed-by"
FAKE=alone run "$repo/scripts/mutants.sh"
ended 'mutants: the suite that noticed it comes first' 0 ' killed 1-bug: s.c'
ok 'mutants: which is written down' cmp "$repo/tests/mutants/noticed-by" "$out/mutants-noticed-by"
KVER=6.12 run "$repo/scripts/mutants.sh"
ended 'mutants: not of a version that some are not for' 1 '^error: mutants.sh works on Linux 7.3, not 6.12'
cp "$repo/tests/mutants"/{1,2}-bug.patch
FAKE=others run "$repo/scripts/mutants.sh"
ended 'mutants: where one cannot be tried' 1 'not all mutants were tried'
ok 'mutants: the others do not go on' flock -n "$tmp/cache/cc-swiotlb/.lock-mutants-7.3" true

# sanitize
fake kunit <<<'exit 1'
mkdir "$tree/build-kasan"
echo fine >"$tree/build-kasan/test.log"
SANITIZER=kasan KVER=7.3 run "$repo/scripts/sanitize.sh"
ended 'sanitize: the log of another run tells nothing' 1 '^not ok 2 kasan-reports'

# static-full
mkdir -p "$tree"/{scripts/kconfig,tools/docs,kernel/dma,lib,Documentation} "$repo/Documentation/ABI/testing"
touch "$tree/Documentation/conf.py" "$repo/Documentation"/{benchmarks.rst,tested.rst,ABI/testing/file}
echo /kernel/dma/swiotlb.c >"$tree/.cc-swiotlb-files"
touch "$tree/kernel/dma/swiotlb.c"
for f in tools/docs/{get_abi.py,kernel-doc}; do
	program "$tree/$f" </dev/null
done
program "$tmp/bin/sphinx-build" </dev/null
# As Kconfig, the last one wins; but of hotplug it does as FAKE says.
program "$tree/scripts/kconfig/merge_config.sh" <<'EOF'
awk -F= -v hotplug="$FAKE" '{ v[$1] = $2 }
	END { for (s in v) if (v[s] != "n" || (s ~ /HOTPLUG/ && hotplug == "y")) print s "=y" }' "$4" >"$3/.config"
EOF
program "$tmp/bin/make" <<'EOF'
for a; do
	case $FAKE-$a in cocci*-M=*) echo "${FAKE#cocci}${a#M=}/kernel/dma/swiotlb.c:1:2-3: WARNING: bad" ;; esac
done
EOF
fake static </dev/null
FAKE='' KVER=6.12 run "$repo/scripts/static-full.sh"
ended 'static-full: all is well' 0
FAKE=cocci KVER=6.12 run "$repo/scripts/static-full.sh"
ended 'static-full: what coccinelle says by an absolute path' 1 '^not ok .* coccinelle '
FAKE=cocci. KVER=6.12 run "$repo/scripts/static-full.sh"
ended 'static-full: or by a relative one' 1 '^not ok .* coccinelle '
FAKE=y KVER=6.12 run "$repo/scripts/static-full.sh"
ended 'static-full: an option that cannot be left out was not' 1 '^not ok .* no-cpu-hotplug '

# series-check
cp "$top/scripts/series-check.sh" "$repo/scripts/"
fake stage <<<'stage_begin() { stage=$out/stage; mkdir -p "$stage"; }'
fake series <<<'mkdir -p "$1"; touch "$1"/000{0-cover-letter,1-one,2-two}.patch'
program "$tmp/bin/ccache" </dev/null
FROM=three KVER=7.3 run "$repo/scripts/series-check.sh"
ended 'series-check: where it begins has to be there' 1 "^error: no patch 'three'"
ok 'series-check: and it says what is' grep -q '^ *0002-two.patch$' "$tmp/said"
FROM=two KVER=7.3 run "$repo/scripts/series-check.sh" quick
ended 'series-check: quick begins nowhere' 1 '^error: FROM=two: '

# cvm
fake cvm-build <<'EOF'
[ "$FAKE" != gone-7.3 ] || exit 77
exit 1
EOF
for f in 'gone-7.3 77' 'fails 1'; do
	read -r FAKE wanted <<<"$f"
	GUESTS=control run "$repo/scripts/cvm.sh"
	ended "cvm: a kernel that ${FAKE%-*}" "$wanted"
done
FAKE=''
# What is in cvm's guest is one file, which also runs where lib.sh is not.
bad_of() { # file, function
	sed -n "/^$2() {/,/^}/s/.* -[a-z]*E '\(.*\)'.*/\1/p" "$top/$1"
}
ok 'cvm: what no log of a kernel may have is there twice, the same' test -n "$(bad_of scripts/lib.sh bad_lines)" -a \
	"$(bad_of scripts/lib.sh bad_lines)" = "$(bad_of tests/guest/cvm-run kernel_complaints)"

# bench
for s in bench-native bench-icount bench-fio; do
	fake $s <<<'echo "$KVER $(basename "$0")" >"$REPO/out/bench.md"'
done
KVER=6.12 run "$repo/scripts/bench.sh"
ended 'bench: says that one of them measures another version' 0 'bench-native measures Linux 7.3, the others 6.12'
KVER=7.3 run "$repo/scripts/bench.sh"
ok 'bench: and only then' bash -c '! grep -q "the others" "$1"' - "$tmp/said"

# test-all
for s in static-full series-check litmus kunit sanitize smoke demo trace iommu nvme-errors luks stress coverage mutants cvm bench; do
	fake "$s" <<-'EOF'
		[ "$FAKE $KVER" != "$(basename "$0" .sh) 7.3" ] || exit 1
		echo "{\"kver\": \"$KVER\"}" >"$REPO/out/$(basename "$0" .sh).json"
	EOF
done
echo '{"kver": "old"}' >"$out/bench-native.json"
FAKE=luks run "$repo/scripts/test-all.sh"
ended 'test-all: a verb that ends before it has begun to record' 1 ' 1 failed$'
ok 'test-all: has no record' test ! -e "$out/test-all/luks-7.3.json"
ok 'test-all: nor has one that was not run' test ! -e "$out/test-all/bench-native-7.3.json"
ok 'test-all: the others have' jq -es 'map(.kver) == ["6.12", "7.3", "7.3", "7.3", "7.3"]' \
	"$out/test-all"/{luks-6.12,mutants-7.3,bench-7.3,kunit-64k-pages,stress-soak}.json

tap_end
