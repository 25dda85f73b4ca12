# shellcheck shell=dash
# SPDX-License-Identifier: GPL-2.0
# Common to the guest's tests: . /tests/lib.sh
# shellcheck disable=SC2034 # used by the tests

dbg=/sys/kernel/debug
cc=/sys/kernel/mm/cc_swiotlb

emit() { # metric value unit
	echo "{\"metric\":\"$1\",\"value\":${2:-null},\"unit\":\"$3\"}" >/dev/ttyS1
}

# A whole file to the host, which finds it under this name.
send() { # name file
	echo "{\"file\":\"$1\",\"data\":\"$(base64 -w0 "$2")\"}" >/dev/ttyS1
}

fail() { # what went wrong
	echo "FAIL: $*"
	exit 1
}
