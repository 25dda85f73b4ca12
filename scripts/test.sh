#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make test: what must pass before a commit. Static checks, the series against the
# patched tree, the litmus tests, and KUnit on UML and on x86_64, for both kernels;
# the tests of the tools, as of ccstat on sample files; the demo's guest with a short
# verified I/O on the kernel with lockdep and DMA debugging. Last line "N passed, M
# failed", and how many were skipped because Debian has the kernel no more, or no herd7
# can be had; out/test.json.
. "$(dirname "$0")/lib.sh"
no_arguments "$@"

# Some of it is needed by what runs in the background, which cannot ask for a password.
# shellcheck disable=SC2046 # a word or none
"$top/scripts/deps.sh" spin $(command -v herd7 >/dev/null || echo mmdebstrap)
record_to test
[ -z "$asked" ] || versions=("$kver")

# Run a verb and add up what it recorded: a line of KTAP, above which stand those of the
# verb. One that died counts as one failure, one that has no kernel to run on as skipped.
# How long each takes is in the records.
verb() { # name kver script [argument...]
	local name=$1 v=$2 script=$3 p f u=0 status record=$out/.test-$1-$2.json
	shift 3
	begin_step "$name, Linux $v" "$name-$v"
	(
		status=0
		# Until the record is read, it is of this run.
		lock "$script" "$out"
		rm -f "$out/$script.json" "$record"
		KVER=$v CC_LOCKED=$script "$top/scripts/$script.sh" "$@" || status=$?
		[ ! -f "$out/$script.json" ] || cp "$out/$script.json" "$record"
		exit $status
	) | subtest
	status=${PIPESTATUS[0]}
	end_step
	emit "$name-$v" cc seconds "$took" s
	if [ "$status" = "$gone" ]; then
		p=0 f=0 u=1
	elif [ -f "$record" ]; then
		p=$(recorded passed "$record") f=$(recorded failed "$record") u=$(recorded unavailable "$record")
		rm "$record"
		[ "$status" = 0 ] || [ "$f" != 0 ] || f=1
	else
		p=0 f=1
	fi
	judge_sums "$name-$v" "$p" "$f" "$u" "$took s"
}
# The plan of a verb is known when it ends, and belongs to the head.
subtest() {
	awk '{ line[NR] = $0 }
		$0 == "KTAP version 1" { head = NR }
		head && /^1\.\.[0-9]+$/ { line[head] = line[head] "\n  " $0; delete line[NR] }
		END { for (i = 1; i <= NR; i++) if (i in line) print "  " line[i] }'
}
recorded() { # passed|failed|unavailable, record
	jq --arg m "$1" '[.results[] | select(.metric == $m) | .value] | add // 0' "$2"
}

# These run beside KUnit, most of whose time one CPU waits for the other; what they
# print is shown when they have ended.
beside_kunit() {
	local v only='' tools=("$top"/tests/tools/*-test.sh) steps=$((3 * ${#versions[@]} + 1))
	ktap_plan $((steps + ${#tools[@]}))
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
steps=$((2 * ${#versions[@]}))
ktap_plan $((steps + 1))
for v in "${versions[@]}"; do
	verb kunit-uml "$v" kunit uml
	verb kunit-x86_64 "$v" kunit x86_64
done
how=passed
wait $beside || {
	emit beside-kunit cc failed 1 tests
	how=failed
}
! grep -q '^not ok' "$out/test-beside.log" || how=failed
sed 's/^/  /' "$out/test-beside.log"
ktap $how 'static checks, series, litmus, tools and smoke' "$out/test-beside.log"

# What ran beside is in the records alone.
total() { # passed|failed|unavailable
	jq -s --arg m "$1" '[.[] | select(.metric == $m) | .value] | add // 0' "$records"
}
passed=$(total passed) failed=$(total failed) skipped=$(total unavailable)
conclude
