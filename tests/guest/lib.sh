# shellcheck shell=dash
# SPDX-License-Identifier: GPL-2.0
# Common to the guest's tests: . /tests/lib.sh
# shellcheck disable=SC2034 # used by the tests

dbg=/sys/kernel/debug
cc=/sys/kernel/mm/cc_swiotlb

emit() { # metric value unit
	echo "{\"metric\":\"$1\",\"value\":${2:-null},\"unit\":\"$3\"}" >/dev/ttyS1
}

# Memory that the host can see, in bytes.
shared() {
	echo $(($(cat $cc/shared_bytes 2>/dev/null || echo 0) +
		$(cat $dbg/swiotlb/io_tlb_nslabs 2>/dev/null || echo 0) * 2048))
}

# A whole file to the host, which finds it under this name.
send() { # name file
	echo "{\"file\":\"$1\",\"data\":\"$(base64 -w0 "$2")\"}" >/dev/ttyS1
}

fail() { # what went wrong
	echo "FAIL: $*"
	exit 1
}

tools() { # unpack programs that the host gave as a disk
	tar xf /dev/vda -C / || fail 'no programs on /dev/vda'
}

# Give the edu device to the kernel's dma_map_benchmark.
bind_edu() {
	local d
	for d in /sys/bus/pci/devices/*; do
		[ "$(cat "$d/vendor")$(cat "$d/device")" = 0x12340x11e8 ] || continue
		echo dma_map_benchmark >"$d/driver_override"
		echo "${d##*/}" >/sys/bus/pci/drivers/dma_map_benchmark/bind
		[ -e "$d/driver" ] || fail 'dma_map_benchmark does not take the device'
		echo on >"$d/power/control" 2>/dev/null
	done
	[ -e $dbg/dma_map_benchmark ] || fail 'no edu device or no CONFIG_DMA_MAP_BENCHMARK'
}
