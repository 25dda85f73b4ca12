# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# Common to all scripts: . "$(dirname "$0")/lib.sh"
#
#   KVER=6.12|7.3   the kernel to work on (default 6.12, or what KSRC is)
#   KSRC=dir        take the kernel from this tree instead of from Debian. Of a
#                   version that is not known it gets the series for the newest
#                   one that is, or that of KVER.
#
# An x86_64 machine with Debian, and paths without white space, which make and the kernel's
# scripts do not know, or , : | & which QEMU's options, PATH and sed take for their own.
#
# Sets $top, $out, $cache, $kver, and the kernel trees that get-kernel.sh and apply.sh
# keep: $src (as it came), $src_cc (with this repository in it), and $src_peer (as it
# came, but that it counts the bytes that swiotlb copies).
# A build lives in $tree/build-<variant>, so that every tree is compiled by the
# same relative paths and ccache knows the objects of one configuration in all of them.
set -eu
shopt -s inherit_errexit # an error in $(...) is one
export LC_ALL=C
# The kernel's make takes them from the environment; each script says what it builds for.
unset ARCH CROSS_COMPILE
unset CDPATH # with it, cd prints where it goes
# mke2fs and others are there, where a user does not look.
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=$top/out
cache=${XDG_CACHE_HOME:-${HOME:-}/.cache}/cc-swiotlb
asked=${KVER:-}${KSRC:-} # nothing, if a script is to run for each version
versions=(6.12 7.3) # the versions that the series is for, the newest last
gone=77 # exit status: no Debian suite has this version any more
# The architectures other than x86, and the prefix of their compilers in Debian.
# shellcheck disable=SC2034 # for the scripts
declare -A triplet=([arm64]=aarch64-linux-gnu [powerpc]=powerpc64le-linux-gnu
	[riscv]=riscv64-linux-gnu [s390]=s390x-linux-gnu)
started=${CC_STARTED:-$(date +%s)}
export CC_STARTED=$started
# A file that ccache does not know is then not preprocessed twice: a third of the
# time of a cold build. In return, a change of the configuration misses everywhere.
export CCACHE_DEPEND=1

die() { # <thing>: <remedy>
	printf 'error: %s\n' "$*" >&2
	exit 1
}

[ "${XDG_CACHE_HOME:-${HOME:-}}" ] || die "neither HOME nor XDG_CACHE_HOME is set: set one, for the caches"
[[ $cache = /* ]] || die "'$cache' is relative: set XDG_CACHE_HOME to an absolute path"
case $top$cache${KSRC:-} in
*[[:space:]]* | *[,:\|\&]*) die "white space or one of , : | & in '$top', '$cache' or KSRC='${KSRC:-}': move the repository, or set XDG_CACHE_HOME=<directory without>" ;;
esac
[ "$(uname -m)" = x86_64 ] || die "this machine is $(uname -m): the guests and compilers are those of an x86_64 machine"

step() {
	local t=$(($(date +%s) - started))
	printf '[%3d:%02d] %s\n' $((t / 60)) $((t % 60)) "$*" >&2
}

# One of $steps, which takes long; how long, is said the next time.
nth=0 steps=0
begin_step() { # what, name under which the time is kept
	step_time=$cache/times/$2 step_began=$(date +%s)
	step "$((nth += 1)) of $steps: $1$([ ! -f "$step_time" ] || echo "; took $(<"$step_time") s the last time")"
}
end_step() { # into $took, seconds
	took=$(($(date +%s) - step_began))
	mkdir -p "$cache/times"
	echo $took >"$step_time"
}

need() { # command...
	local c package
	for c; do
		! command -v "$c" >/dev/null || continue
		case $c in # what 'make deps' does not install
		aarch64-linux-gnu-*) package=gcc-aarch64-linux-gnu ;;
		kexec) package=kexec-tools ;;
		perf) package=linux-perf ;;
		bpftrace | iperf3 | mmdebstrap | trace-cmd) package=$c ;;
		*) die "$c is not installed: run 'make deps'" ;;
		esac
		die "$c is not installed: run 'scripts/deps.sh $package'"
	done
}

# A number that the user may set: its name, and the least that makes sense.
whole_number() {
	local v=${!1:-$2}
	[[ $v =~ ^(0|[1-9][0-9]{0,8})$ && $v -ge $2 ]] || die "$1=$v: set it to a whole number from $2 on"
}

# What a verb is to do it is told by variables.
no_arguments() { # argument...
	[ $# = 0 ] || die "${0##*/} takes no arguments, and would ignore '$*': its first comment has the variables that it takes"
}

# Names that the user may give: if it is set, there is one in it at least. They are then in
# $given, as they are: a * in them means no file.
some_names() { # variable
	[[ -z ${!1:-} || ${!1} = *[![:space:]]* ]] || die "$1 is blank: give a name, or leave it out"
	# shellcheck disable=SC2034 # for the scripts
	read -r -d '' -a given <<<"${!1:-}" || true
}

# A switch that the user may set; then it is 1 or nothing.
switch() { # variable
	case ${!1:-} in
	1) ;;
	'' | 0) printf -v "$1" '' ;;
	*) die "$1=${!1}: set it to 1, or leave it out" ;;
	esac
}

# Debian's mirrors among the system's apt sources, those known to be Debian's first.
# shellcheck disable=SC2016 # the format is apt's
mirrors() {
	apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' |
		sort -u | sed -n 's/^Debian //p; s/^\$(ORIGIN) //p'
}

# Packages of a Debian suite in a tar file, from the first mirror that has them.
fetch_packages() { # suite, tar file, packages, [option of mmdebstrap...]
	local uri log=${2%/*}/mmdebstrap.log mode=root
	# To unpack needs no privilege.
	[ "$(id -u)" = 0 ] || mode=chrootless
	for uri in $(mirrors); do
		mmdebstrap --quiet --mode=$mode --variant=extract --include="$3" --format=tar "${@:4}" "$1" "$2.new" \
			"deb $uri $1 main" 2>"$log" || continue
		mv "$2.new" "$2"
		return 0
	done
	[ -s "$log" ] || echo 'E: no apt source is a mirror of Debian' >"$log"
	return 1
}

# One at a time per name; held until the script and what it has started end.
lock() { # name, [directory, if it is not about the caches]
	local fd file=${2:-$cache}/.lock-$1
	mkdir -p "${file%/*}"
	exec {fd}>>"$file"
	flock -n "$fd" || {
		step "waiting for the end of $(<"$file"), which holds $file"
		flock "$fd"
	}
	echo "${0##*/}, process $$" >"$file"
}

# Beside this script, as a process group of its own, so that all of it can be ended with the
# script, which needs: trap end_background EXIT. (By itself a command in the background
# outlives an error, and ignores an interrupt.)
background() { # command...: $! is the group
	set -m
	"$@" </dev/null &
	set +m
}
end_background() {
	local p groups
	groups=$(jobs -p)
	for p in $groups; do
		kill -- "-$p" 2>/dev/null || true
		# What waits for a terminal does not end by itself.
		kill -CONT -- "-$p" 2>/dev/null || true
	done
	wait
	# What bash was just about to start.
	for p in $groups; do
		kill -- "-$p" 2>/dev/null || true
	done
}

# The first fields of the tree's Makefile: version and whether it is a kernel.
tree_version() {
	[ -f "$1/Kbuild" ] && [ -f "$1/kernel/dma/swiotlb.c" ] || return 1
	awk '$2 == "=" && /^(VERSION|PATCHLEVEL|SUBLEVEL)/ { v[$1] = $3 }
	     END { print v["VERSION"] "." v["PATCHLEVEL"] "." v["SUBLEVEL"] }' "$1/Makefile"
}

choose_kernel() {
	local v
	kver=${KVER:-}
	case " ${versions[*]} " in
	*" ${kver:-${versions[0]}} "*)
		[[ $kver != *[[:space:]]* ]] || die "KVER='$kver' is more than one version: use one of ${versions[*]}"
		;;
	*) die "KVER=$kver is not supported: use ${versions[*]/#/KVER=}" ;;
	esac
	if [ -z "${KSRC:-}" ]; then
		kver=${kver:-${versions[0]}}
		tree=$kver
	else
		v=$(tree_version "$KSRC") || die "KSRC=$KSRC is not a Linux source tree: give its top directory"
		case " ${versions[*]} " in
		*" ${v%.*} "*)
			[ "${kver:-${v%.*}}" = "${v%.*}" ] ||
				die "KSRC=$KSRC is Linux $v, not $kver: use KVER=${v%.*} or none"
			kver=${v%.*}
			;;
		*) kver=${kver:-${versions[-1]}} ;;
		esac
		KSRC=$(cd "$KSRC" && pwd -P)
		tree=$kver-$(printf %s "$KSRC" | sha256sum | cut -c1-8)
		export KSRC
	fi
	export KVER=$kver
	src=$cache/src/linux-$tree
	# shellcheck disable=SC2034 # for the scripts
	src_cc=$cache/src/linux-$tree-cc src_peer=$cache/src/linux-$tree-peer
}
choose_kernel

# Kernel make: kmake <tree> <build directory below it> [argument...]
kmake() {
	local t=$1 b=$2
	shift 2
	KBUILD_BUILD_TIMESTAMP='1970-01-01' KBUILD_BUILD_USER=cc KBUILD_BUILD_HOST=cc \
		make -C "$t" O="$b" ARCH="${ARCH:-x86_64}" CC="${CC:-ccache gcc}" -j"$(nproc)" --no-print-directory "$@"
}

# What a build failed of
build_errors() { # log
	grep -m5 -A4 -E 'error:|undefined|\*\*\*' "$1" || tail "$1"
}

# Configure as fragments ask. Every symbol must come out as asked; the last one wins.
configure_kernel() { # tree, build directory, fragment...
	local t=$1 b=$2 asked missing
	shift 2
	(cd "$t" && ARCH="${ARCH:-x86_64}" scripts/kconfig/merge_config.sh -n -O "$b" "$@") >"$b/config.log" 2>&1 ||
		die "configuring ${b##*/} failed: see $b/config.log"
	asked=$(awk '/^(# )?CONFIG_/ { split($0, f, /^# |[= ]/); v[f[1] == "" ? f[2] : f[1]] = $0 }
		END { for (s in v) print v[s] }' "$@")
	missing=$(grep '^CONFIG_' <<<"$asked" | grep -vxF -f "$b/.config" || true)
	missing+=$(sed -n 's/^# \(CONFIG_.*\) is not set/\1=/p' <<<"$asked" | grep -F -f - "$b/.config" || true)
	[ -z "$missing" ] || die "Linux $(tree_version "$t") does not configure as asked: ${missing//$'\n'/ }: correct configs/"
}

# kunit.py of a tree; for UML, a block layer, which takes long to compile; two CPUs where the
# kernel can; and there swiotlb's own pools that grow, so that UML has both kinds of them.
kunit_py() { # tree, argument...
	(cd "$1" && KBUILD_BUILD_TIMESTAMP='1970-01-01' python3 tools/testing/kunit/kunit.py "${@:2}")
}
# shellcheck disable=SC2034 # for the scripts
if [ "$kver" = 6.12 ]; then
	uml_config=() uml_run=()
else
	uml_config=(--kconfig_add CONFIG_SMP=y --kconfig_add CONFIG_SWIOTLB_DYNAMIC=y)
	uml_run=(--kernel_args seccomp=on --kernel_args ncpus=2)
fi
uml_config+=(--kconfig_add CONFIG_BLOCK=y --kconfig_add CONFIG_BLK_DEV_INTEGRITY=y)

# The kernel's checkpatch --strict: prints what it reports, or that it failed.
# FILE_PATH_CHANGES asks about MAINTAINERS, of which the cover letter says why it stays as
# it is; commits are unknown without a git repository; it does not know how TRACE_EVENT()
# is indented.
checkpatch() { # argument...
	local said status=0
	said=$(GIT_DIR=none perl "$src/scripts/checkpatch.pl" --root="$src" --strict --no-summary --terse --show-types \
		--showfile --ignore FILE_PATH_CHANGES,UNKNOWN_COMMIT_ID "$@") || status=$?
	case $status${said:+ reported} in
	0) ;;
	'1 reported') grep -vE '^include/trace/events/.* CHECK:(OPEN_ENDED_LINE|PARENTHESIS_ALIGNMENT):' <<<"$said" || true ;;
	*) printf '%s\n' "$said" "checkpatch.pl ended with status $status: $*" ;;
	esac
}

# A first build takes over the objects of another configuration, maybe of another tree,
# but those made of a file that differs: without their .cmd files make takes them for
# out of date, as it does those that the configuration changes.
take_over() { # tree, its build directory, tree and build directory to come
	local to=$3/$4 new=$3/$4.new f
	rm -rf "$new"
	cp -a "$1/$2" "$new"
	rm -f "$new"/{.built,.config-key}
	for f in {"$1","$3"}/.cc-swiotlb-files; do
		[ ! -f "$f" ] || sed 's|^|..|' "$f"
	done >"$new/differ"
	find "$new" -name '.*.cmd' -exec grep -lZF -f "$new/differ" {} + | xargs -0 -r rm -f
	# objtool's say where the trees are, and all objects depend on it.
	[ ! -d "$new/tools" ] ||
		find "$new/tools" -name '.*.cmd' -exec sed -i "s|$1/$2/|$to/|g; s|$1/|$3/|g" {} +
	rm -rf "$to"
	mv "$new" "$to"
}

# Where this runs: "2 cores of AMD EPYC"
host() {
	local model
	model=$(sed -n '/^model name[[:space:]]*: /{s///p;q}' /proc/cpuinfo)
	echo "$(nproc) cores of ${model:-$(uname -m)}"
}

# How QEMU has run a guest: "QEMU TCG" or "QEMU KVM"
qemu_of() { # directory that qemu.sh was given
	local accel=''
	[ ! -f "$1/accel" ] || accel=$(tr '[:lower:]' '[:upper:]' <"$1/accel")
	echo "QEMU${accel:+ $accel}"
}

# Of random bytes; one that is there stays.
random_file() { # file size
	[ -f "$1" ] || { head -c "$2" /dev/urandom >"$1.new" && mv "$1.new" "$1"; }
}

# Records of a verb, of which one run at a time writes some. emit appends one, finish writes
# out/<verb>.json, with the day, the commit, and the machine: that of $testbed, if a verb
# sets it, on this one.
records=
testbed=
record_to() { # verb
	verb=$1
	[ "${CC_LOCKED:-}" = "$verb" ] || lock "$verb" "$out" # else for_each_version holds it
	rm -f "$out/$verb.json" # of another run
	records=$out/.$verb.jsonl
	: >"$records"
}

emit() { # name backend metric value unit
	jq -cn --arg n "$1" --arg b "$2" --arg m "$3" --argjson v "$4" --arg u "$5" \
		'{name: $n, backend: $b, metric: $m, value: $v, unit: $u}' >>"$records"
}

finish() { # true|false
	[ -f "$records" ] || die "$records is gone: leave out/ alone while 'make $verb' runs, and run it again"
	jq -s --arg verb "$verb" --arg kver "$kver" --arg kernel "$(tree_version "$src")" --argjson pass "$1" \
		--arg date "$(date -u +%F)" --arg machine "${testbed:+$testbed on }$(host)" \
		--arg commit "$(git -C "$top" describe --always --dirty --exclude='*' 2>/dev/null || echo unknown)" \
		'{verb: $verb, kver: $kver, kernel: $kernel, date: $date, commit: $commit, machine: $machine,
		  results: ., pass: $pass}' "$records" >"$out/$verb.json.new"
	mv "$out/$verb.json.new" "$out/$verb.json"
	rm "$records"
}

# Run the script once for each version, and make one record of theirs. Ends it: with 77 if
# no version can be had.
for_each_version() { # argument...
	local v status parts=()
	verb=$(basename "$0" .sh)
	lock "$verb" "$out"
	for v in "${versions[@]}"; do
		rm -f "$out/$verb.json"
		status=0
		CC_LOCKED=$verb KVER=$v "$0" "$@" || status=$?
		case $status in
		0) ;;
		"$gone") skipped=$((skipped + 1)) ;;
		*) failed=1 ;;
		esac
		[ -f "$out/$verb.json" ] || continue
		mv "$out/$verb.json" "$out/.$verb-$v.json"
		parts+=("$out/.$verb-$v.json")
	done
	if [ ${#parts[@]} -gt 0 ]; then
		jq -s --argjson n $((${#versions[@]} - skipped)) '.[0] + {kver: (map(.kver) | join(" ")), kernel: (map(.kernel) | join(" ")),
			results: [.[] | .kver as $v | .results[] | .name += "-" + $v],
			pass: (length == $n and all(.pass))}' "${parts[@]}" >"$out/$verb.json.new"
		mv "$out/$verb.json.new" "$out/$verb.json"
		rm "${parts[@]}"
	fi
	[ $skipped -lt ${#versions[@]} ] || exit $gone
	exit $failed
}

# What only the newest version can do, or is of interest there. Before lib.sh it is the default.
only_newest() {
	[ "$kver" = "${versions[-1]}" ] ||
		die "${0##*/} works on Linux ${versions[-1]}, not $kver: use KVER=${versions[-1]} or none, and no KSRC of another version"
}

# What a guest has emitted, the last of a name; null if nothing.
emitted() { # directory that qemu.sh was given, metric
	jq -s --arg m "$2" 'map(select(.metric == $m)) | last.value' "$1/results.jsonl"
}

# Of what fio has written; null if that is not complete, as when fio did not end.
of_fio() { # file, jq expression
	local v
	v=$(jq -s "last | $2" "$1" 2>/dev/null) || v=null
	echo "$v"
}

# Judges what a guest has emitted, and records it. What was not emitted meets no bound, though
# null is less than any number for jq.
judge_emitted() { # directory that qemu.sh was given, name metric, what it must be
	local v
	v=$(emitted "$1" "$3")
	echo "$2 $3: $v"
	emit "$2" cc "$3" "$v" "$(jq -rs --arg m "$3" 'map(select(.metric == $m)) | last.unit' "$1/results.jsonl")"
	[ "$(jq -n "$v | . != null and ($4)")" = true ]
}

# An NVMe disk for qemu.sh -q, of which a sector in each 4 MiB cannot be read.
bad_disk() { # file MiB
	local drive="driver=raw,if=none,id=bad,file.driver=blkdebug,file.image.driver=file,file.image.filename=$1" i
	for ((i = 0; i < $2 / 4; i++)); do
		drive+=",file.inject-error.$i.event=none,file.inject-error.$i.iotype=read,file.inject-error.$i.sector=$((i * 8192 + 4321))"
	done
	echo "-drive $drive -device nvme,serial=bad,drive=bad"
}

quiet_log() { # directory that qemu.sh was given
	[ -s "$1/console.log" ] && ! bad_lines "$1/console.log"
}

# Lines of a guest's console that must never appear: those of tests/guest/cvm-run, too.
bad_lines() { # console.log
	grep -aE 'WARNING:|BUG:|Oops|Call [Tt]race|general protection|soft lockup|hard LOCKUP|hung task|rcu.*detected.*stall|blocked for more than|sleeping function|scheduling while atomic|possible .* (deadlock|dependency)|suspicious RCU|Kernel panic|corruption' "$1"
}

# What is judged: for each thing a line of KTAP and a record, with a reason where there
# is one to give. The number of those that failed decides about the verb.
passed=0 failed=0 skipped=0 judged=0 planned=
ktap_plan() { # how many lines there will be, where that is known before the first one
	planned=1
	printf '%s\n' 'KTAP version 1' "1..$1"
}
ktap() { # passed|failed|unavailable, what, reason: the line
	[ "$planned$judged" != 0 ] || echo 'KTAP version 1'
	judged=$((judged + 1))
	case $1 in
	passed) echo "ok $judged $2 # $3" ;;
	failed) echo "not ok $judged $2 # $3" ;;
	unavailable) echo "ok $judged $2 # SKIP $3" ;;
	esac
}
judge() { # passed|failed|unavailable, what, reason
	ktap "$@"
	case $1 in
	passed) passed=$((passed + 1)) ;;
	failed) failed=$((failed + 1)) ;;
	unavailable) skipped=$((skipped + 1)) ;;
	esac
	emit "$2" cc "$1" 1 tests
}

# What something else has judged: one line for all of it, and its numbers.
judge_sums() { # what, passed, failed, unavailable, [what else there is to say]
	local how=passed said="$2 passed, $3 failed"
	[ "$4" = 0 ] || said+=", $4 skipped"
	[ "$2" != 0 ] || [ "$4" = 0 ] || how=unavailable
	[ "$3" = 0 ] || how=failed
	ktap $how "$1" "$said${5:+; $5}"
	passed=$((passed + $2)) failed=$((failed + $3)) skipped=$((skipped + $4))
	emit "$1" cc passed "$2" tests
	emit "$1" cc failed "$3" tests
	[ "$4" = 0 ] || emit "$1" cc unavailable "$4" tests
}

# check <name> <command...>: judge by whether it succeeds; its output goes to a log and
# is shown when it fails. Skipped if its kernel cannot be had any more.
check() {
	local name=$1 log=$out/$verb-$1.log t0 status=0
	shift
	t0=$(date +%s)
	"$@" >"$log" 2>&1 || status=$?
	case $status in
	0) judge passed "$name" "$(($(date +%s) - t0)) s" ;;
	"$gone") judge unavailable "$name" "$(sed -n 's/^skipped: //p' "$log" | tail -n 1)" ;;
	*)
		judge failed "$name" "see $log"
		tail -n 40 "$log" | sed 's/^/# /'
		;;
	esac
}

# What was recorded last, by any backend if none is given; or none, which no expression
# for "must" can have in it.
value() { # name backend metric
	jq -rs --arg n "$1" --arg b "$2" --arg m "$3" \
		'map(select(.name == $n and ($b == "" or .backend == $b) and .metric == $m)) | last.value // "none"' "$records"
}

# Judge by a jq expression, which has the values in it.
must() { # what expression
	if [ "$(jq -n "$2" 2>/dev/null)" = true ]; then
		judge passed "$1" "$2"
	else
		judge failed "$1" "$2"
	fi
}

tool_tests() {
	local t
	for t in "$top"/tests/tools/*-test.sh; do
		check "$(basename "$t" -test.sh)" "$t"
	done
}

# Everything that was recorded of a name by backend, or of all names: a line for each
# metric, a column for each backend or name, those given or all.
metrics_table() { # name or nothing, [column...]
	# shellcheck disable=SC2016 # jq's variables
	jq -rs --arg n "$1" '
		def text: if .value == null then "-"
			elif .unit == "B" then .value / 1048576 * 10 | round / 10 | tostring + " MiB"
			else .value | tostring end;
		def column: if $n == "" then .name else .backend end;
		map(select($n == "" or .name == $n))
		| ($ARGS.positional | if . == [] then null else . end) as $given
		| ($given // reduce (.[] | column) as $c ([]; if index($c) then . else . + [$c] end)) as $columns
		| map(select(IN(column; $columns[]))) as $r
		| (["", $columns[]]),
		  (($r | map(.metric) | reduce .[] as $m ([]; if index($m) then . else . + [$m] end) | .[]) as $m
		  | [$m, ($columns[] as $c
			| $r | map(select(column == $c and .metric == $m)) | last
			| if . == null then "-" else text end)])
		| @tsv' --args "${@:2}" <"$records" | column -t -s "$(printf '\t')"
}

# The end of a verb that judges: its record, and the line that sums up.
conclude() {
	[ $((passed + failed + skipped)) != 0 ] || judge failed "$verb" 'nothing was judged'
	if [ $failed = 0 ]; then
		finish true
	else
		finish false
	fi
	[ "$planned" ] || [ $judged = 0 ] || echo "1..$judged"
	printf '%s passed, %s failed' $passed $failed
	if [ $skipped = 0 ]; then
		echo
	else
		echo ", $skipped skipped"
	fi
	[ $failed = 0 ]
}
