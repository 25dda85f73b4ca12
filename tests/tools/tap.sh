# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# Common to the tests of tools: . "$(dirname "$0")/tap.sh". Sets $top.

unset CDPATH # with it, cd prints where it goes
# shellcheck disable=SC2034 # for the tests
top=$(cd "$(dirname "$0")/../.." && pwd)
n=0 failed=0
tap() { # status, what, file that says why it failed
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n $2"
	else
		failed=$((failed + 1))
		echo "not ok $n $2"
		sed 's/^/# /' "$3"
	fi
}

tap_end() {
	echo "1..$n"
	[ $failed = 0 ]
}
