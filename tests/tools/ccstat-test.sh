#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# ccstat on the sample files in tests/tools/ccstat: tables, rates, JSON, the live
# screen, and what it says when something is wrong. TAP on stdout.
set -eu

. "$(dirname "$0")/tap.sh"
samples=$top/tests/tools/ccstat
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cp -r "$top/tools/ccstat" "$tmp/build"
make -s -C "$tmp/build" clean all CFLAGS='-O1 -Werror' LDFLAGS="${LDFLAGS:-}"
ccstat=$tmp/build/ccstat
unset LC_ALL LC_CTYPE LANG

ok() { # what <command...>
	local what=$1 status=0
	shift
	"$@" >"$tmp/log" 2>&1 || status=$?
	tap $status "$what" "$tmp/log"
}

# Two samples: $samples, and half a second later one in which 1000 slots of 4096
# bytes more have been mapped for 2 MiB, 900 of them hits, and CPU 1 did it all.
# The class of 16384 was reset in between, and 10 have been mapped since.
two_samples() { # option...
	rm -rf "$tmp/now" "$tmp/later"
	cp -r "$samples" "$tmp/now"
	cp -r "$samples" "$tmp/later"
	awk '$1 == 4096 { $7 += 1000; $8 += 2097152; $9 += 4096000; $10 += 900; $12 += 100 }
		$1 == 16384 { $7 = 10 } 1' \
		"$samples/stats" >"$tmp/later/stats"
	awk '$1 == 1 && $2 == 4096 { $6 += 1000; $7 += 990; $8 += 900; $10 += 100 } 1' \
		"$samples/percpu" >"$tmp/later/percpu"
	sed 's/^shared_bytes .*/shared_bytes 67108864/' "$samples/kccd" >"$tmp/later/kccd"
	(sleep 0.5 && mv "$tmp/now" "$tmp/before" && mv "$tmp/later" "$tmp/now") &
	"$ccstat" -p "$tmp/now" -d 1.5 "$@"
	wait
	rm -rf "$tmp/before"
}

json() { # expression that must be true
	jq -es "$1" "$tmp/out"
}

table() { # awk program that sets ok
	awk "$1 END { exit !ok }" "$tmp/out"
}

says() { # <text> <ccstat option...>: fails, and its message has the text
	local text=$1
	shift
	! "$ccstat" "$@" 2>"$tmp/err" </dev/null || return
	cat "$tmp/err"
	grep -qF -- "$text" "$tmp/err"
}

# shellcheck disable=SC2016 # awk's and jq's
{
	"$ccstat" -p "$samples" --once -d 0 >"$tmp/out"
	ok 'once: a row per class and a total' table '$1 ~ /^([0-9]+K?|total)$/ { n++ } END { ok = n == 12 }'
	ok 'once: slots, in use, high, cached, depot' table '/^ +4K +1024 +200 +700 +180 +96 / { ok = 1 }'
	ok 'once: hit rate and waste since the last reset' table '$1 == "4K" { ok = $8 == 99.6 && $10 == 1.07 }'
	ok 'once -d 0: no rates' table '$1 == "4K" { ok = $7 == "-" && $9 == "-" }'
	ok 'once: fallbacks of all classes' grep -q 'larger class 3, to the legacy pool 2; failed 1' "$tmp/out"
	ok 'once: shared memory' grep -q '^shared *32.0 MiB  peak *64.0 MiB  max *512.0 MiB' "$tmp/out"
	ok 'once: bytes in use, in magazines and in the depot' grep -q '^in use *2.0 MiB  cached *2.1 MiB  depot *0.7 MiB' "$tmp/out"
	ok 'once: kccd' grep -q '^kccd *grown 64.0, returned 32.0, lost 0.0 MiB; failures 1, backoff 20 ms; drains 3' "$tmp/out"
	ok 'once: a line per NUMA node' table '$1 == "node" && $2 == 1 { ok = $3 == 8 && $6 == 0.5 && $9 == 4 }'
	ok 'once: devices, who holds most first' table '$1 == "DEVICE" { n = NR } $1 == "0000:00:05.0" { ok = NR == n + 1 && $2 == 4000 && $3 == 11.7 && $4 == 15.6 && $5 == 4096 }'
	ok 'once: no escape sequences' bash -c "! grep $'\033' '$tmp/out'"

	"$ccstat" -p "$samples" --once -d 0 --sort in_use >"$tmp/out"
	ok 'sort: the most first, total last' table '$1 ~ /^[0-9]+K?$/ { r = r $1 " "; ok = 0 } $1 == "total" { ok = r ~ /^4K 2K 512 16K 128K 512K .*256K/ }'
	"$ccstat" -p "$samples" --once -d 0 --sort class --reverse >"$tmp/out"
	ok 'sort: reversed' table '$1 ~ /^[0-9]+K?$/ { print $1; ok = $1 == "512K"; exit }'
	"$ccstat" -p "$samples" --once -d 0 --sort hit% --reverse >"$tmp/out"
	ok 'sort: what is not known is last' table '$1 ~ /^[0-9]+K?$/ { r = r $1 " " } END { ok = r ~ /^512K 128K 16K 2K 512 4K 1K / }'
	"$ccstat" -p "$samples" --once -d 0 --percpu --sort loaded >"$tmp/out"
	ok 'percpu: a row per CPU and class' table '$1 ~ /^[01]$/ { n++ } END { ok = n == 12 }'
	ok 'percpu: sorted' table '$1 ~ /^[01]$/ { print; ok = $2 == "4K" && $3 == 45; exit }'

	two_samples --once --json --percpu >"$tmp/out"
	ok 'json: one object with all columns of the kernel' json 'length == 1 and (.[0].classes | length == 11 and .[3].reserve == 8 and .[3].slot_bytes == 1681817600)'
	ok 'json: rates' json '.[0] | (.classes[3].maps_per_second * .seconds | round == 1000) and (.classes[3].mib_per_second * .seconds * 100 | round == 200)'
	ok 'json: hit rate and waste of the interval' json '.[0].classes[3] | .hit_percent == 90 and (.waste * 1000 | round == 1953)'
	ok 'json: null where nothing was mapped' json '.[0].classes[2] | .maps_per_second == 0 and .hit_percent == null and .waste == null'
	ok 'json: rates of a CPU' json '.[0] | .seconds as $s | [.percpu[] | select(.class == 4096) | .unmaps_per_second * $s | round] == [0, 990]'
	ok 'json: a reset is no negative rate' json '.[0] | .classes[5].maps_per_second * .seconds | round == 10'
	ok 'json: kccd' json '.[0].kccd | .shared_bytes == 67108864 and .max_bytes == 536870912'
	ok 'json: bytes in use' json '.[0].used_bytes == 2136064'
	ok 'json: nodes' json '.[0].nodes | length == 2 and .[1].shared_bytes == 8388608'
	ok 'json: devices' json '.[0].devices | length == 2 and .[0].device == "0000:00:05.0" and .[1].slot_bytes == 12582912 and .[1].largest == 131072'
	ok 'json: histogram' json '.[0].histogram | .up_to["4096"] == 409600 and .share_up_to["2048"] == 19.3'
	two_samples --once >"$tmp/out"
	ok 'once: rates' table '$1 == "4K" { ok = $7 > 500 && $7 < 1000 && $8 == "90.0" && $9 > 1 && $9 < 2 && $10 == 1.95 }'

	"$ccstat" -p "$samples" -d 0.05 -n 3 --json >"$tmp/out"
	ok 'count: three samples, one line each' sh -c "[ \$(wc -l <'$tmp/out') = 3 ]"
	ok 'count: three objects' json 'length == 3'
	"$ccstat" -p "$samples" -d 0.05 -n 3 </dev/null >"$tmp/out"
	ok 'not a terminal: three tables below each other' sh -c "[ \$(grep -c ^CLASS '$tmp/out') = 3 ]"

	# A kernel with a column more, and with counters that were reset
	cp -r "$samples" "$tmp/wider"
	sed -e '1s/$/ new/' -e '2,$s/$/ 7/' "$samples/stats" >"$tmp/wider/stats"
	"$ccstat" -p "$tmp/wider" --once -d 0 --json >"$tmp/out"
	ok 'a column that is not known is passed on' json '.[0].classes[0].new == 7'
}

# The live screen: p and q are typed, each after a screen
live() { # environment...
	{ sleep 0.7 && printf p && sleep 0.7 && printf q; } |
		env "$@" timeout 20 script -qec "stty rows 24 cols 120; $ccstat -p $samples -d 0.2" /dev/null >"$tmp/out"
}
if command -v script >/dev/null; then
	live LANG=C.UTF-8
	ok 'live: both views' sh -c "grep -q LEGACY '$tmp/out' && grep -q UNMAPS/S '$tmp/out'"
	ok 'live: history' grep -q '█' "$tmp/out"
	ok 'live: the terminal is given back' sh -c "tail -c 30 '$tmp/out' | grep -qF '[?1049l'"
	live LANG=C
	ok 'live: history without UTF-8' sh -c "grep -q 'MiB  *@' '$tmp/out' && ! grep -q '█' '$tmp/out'"
fi

ok 'a bad number is named' says '--delay=x: not a number' -d x
for count in -1 0 0.5 1e3 x 99999999999999999999; do
	ok "a count of $count is refused" says "--count=$count: not a whole number from 1" -n $count -p "$samples"
done
ok 'one table is one table' sh -c "timeout 5 '$ccstat' -p '$samples' -o -n 3 -d 0 | grep -c ^CLASS | grep -qx 1"
ok 'a full disk is an error' sh -c "! '$ccstat' -p '$samples' -o -d 0 2>'$tmp/err' >/dev/full && grep 'cannot write: No space' '$tmp/err'"
ok 'at once' sh -c "timeout 5 '$ccstat' -p '$samples' -d 0.1 2>'$tmp/err' >/dev/full; test \$? = 1"
ok 'delay 0 is for --once' says 'for --once only' -d 0
ok 'an unknown column is named' says '--sort=nothing: no such column' -p "$samples" -s nothing
ok 'an unknown option is refused' says 'nothing' --nothing
ok 'an argument is refused' says 'extra: not an option' extra
ok 'help' sh -c "'$ccstat' --help | grep -q -- --percpu"
ok 'a missing file is named' says "$tmp/none/stats: No such file" -p "$tmp/none"
mkdir "$tmp/broken"
cp "$samples"/* "$tmp/broken"
sed -i '1s/ in_use/ used/' "$tmp/broken/stats"
ok 'a missing column is named' says 'no column "in_use": not of cc-swiotlb' -p "$tmp/broken" -o -d 0
: >"$tmp/broken/stats"
ok 'an empty file is no crash' says 'no column "class"' -p "$tmp/broken" -o -d 0
if [ ! -e /sys/kernel/debug/swiotlb/cc ]; then
	ok 'no cc-swiotlb: the remedy' says "$(mountpoint -q /sys/kernel/debug && echo swiotlb=cc || echo 'mount -t debugfs')"
fi
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	cp -r "$samples" "$tmp/secret"
	chmod 755 "$tmp" "$tmp/build" "$tmp/secret"
	chmod 400 "$tmp/secret/stats"
	# shellcheck disable=SC2016 # $1 is the inner shell's
	ok 'no permission: the remedy' sh -c 'setpriv --reuid=65534 --clear-groups "$1" -p "$2" -o 2>&1 | grep "run ccstat as root"' - "$ccstat" "$tmp/secret"
fi

tap_end
