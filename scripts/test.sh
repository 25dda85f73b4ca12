#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make test: what must pass before a commit. Static checks, the series against the
# patched tree, the litmus tests, and KUnit on UML and on x86_64, for both kernels;
# the tests of the tools, as of ccstat on sample files; the demo's guest with a short
# verified I/O on the kernel with lockdep and DMA debugging. Last line "N passed, M
# failed", and how many were skipped because Debian has the kernel no more, or no herd7
# can be had; out/test.json.
. "$(dirname "$0")/lib.sh"

# Some of it is needed by what runs in the background, which cannot ask for a password.
# shellcheck disable=SC2046 # a word or none
"$top/scripts/deps.sh" spin $(command -v herd7 >/dev/null || echo mmdebstrap)
record_to test
[ -z "$asked" ] || versions=("$kver")

# Run a verb and add up what it recorded; a verb that died counts as one failure, one
# that has no kernel to run on as skipped. How long each takes is said the next time, and
# is in the records.
verb() { # name kver script [argument...]
	local name=$1 v=$2 script=$3 n p f status=0 t0 last="$cache/times/$1-$2" record=$out/.test-$1-$2.json
	shift 3
	t0=$(date +%s)
	step "$((nth += 1)) of $verbs: $name, Linux $v$([ ! -f "$last" ] || echo "; took $(<"$last") s the last time")"
	(
		# Until the record is read, it is of this run.
		lock "$script" "$out"
		rm -f "$out/$script.json" "$record"
		KVER=$v CC_LOCKED=$script "$top/scripts/$script.sh" "$@" || status=$?
		[ ! -f "$out/$script.json" ] || cp "$out/$script.json" "$record"
		exit $status
	) || status=$?
	t0=$(($(date +%s) - t0))
	mkdir -p "$cache/times"
	echo $t0 >"$last"
	emit "$name-$v" cc seconds $t0 s
	if [ $status = "$gone" ]; then
		emit "$name-$v" cc unavailable 1 tests
		return
	elif [ -f "$record" ]; then
		n=$(jq '[.results[] | select(.metric == "unavailable") | .value] | add // 0' "$record")
		[ "$n" = 0 ] || emit "$name-$v" cc unavailable "$n" tests
		p=$(jq '[.results[] | select(.metric == "passed") | .value] | add // 0' "$record")
		f=$(jq '[.results[] | select(.metric == "failed") | .value] | add // 0' "$record")
		rm "$record"
	else
		p=0 f=1
	fi
	[ $status = 0 ] || [ "$f" != 0 ] || f=1
	emit "$name-$v" cc passed "$p" tests
	emit "$name-$v" cc failed "$f" tests
}

# These run beside KUnit, most of whose time one CPU waits for the other; what they
# print is shown when they have ended.
beside_kunit() {
	local v only='' nth=0 verbs=$((3 * ${#versions[@]} + 1))
	for v in "${versions[@]}"; do
		verb static "$v" static
		verb series "$v" series-check quick
		# What spin tries is the same for all kernels.
		LITMUS=$only verb litmus "$v" litmus
		only=.litmus
	done
	tool_tests
	verb smoke "$kver" smoke
}
step "static checks and smoke, into $out/test-beside.log"
trap end_background EXIT
background beside_kunit >"$out/test-beside.log" 2>&1
beside=$!
nth=0 verbs=$((2 * ${#versions[@]}))
for v in "${versions[@]}"; do
	verb kunit-uml "$v" kunit uml
	verb kunit-x86_64 "$v" kunit x86_64
done
wait $beside || emit beside-kunit cc failed 1 tests
cat "$out/test-beside.log"

total() { # passed|failed|unavailable
	jq -s --arg m "$1" '[.[] | select(.metric == $m) | .value] | add // 0' "$records"
}
passed=$(total passed) failed=$(total failed) skipped=$(total unavailable)
conclude
