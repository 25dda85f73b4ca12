# shellcheck shell=dash
# SPDX-License-Identifier: GPL-2.0
# Common to the guest's tests: . /tests/lib.sh
# shellcheck disable=SC2034 # used by the tests

dbg=/sys/kernel/debug
cc=/sys/kernel/mm/cc_swiotlb

emit() { # metric value unit
	echo "{\"metric\":\"$1\",\"value\":${2:-null},\"unit\":\"$3\"}" >/dev/ttyS1
}

# Memory that the host can see, into $shared, and what of it is in use, into $used, in bytes:
# of cc-swiotlb and of swiotlb's own pool.
read_memory() {
	local slabs=0 slabs_used=0
	shared=0 used=0
	[ ! -r $cc/used_bytes ] || { read -r shared <$cc/shared_bytes && read -r used <$cc/used_bytes; }
	[ ! -r $dbg/swiotlb/io_tlb_used ] || {
		read -r slabs <$dbg/swiotlb/io_tlb_nslabs && read -r slabs_used <$dbg/swiotlb/io_tlb_used
	}
	shared=$((shared + slabs * 2048)) used=$((used + slabs_used * 2048))
}
shared() {
	local shared used
	read_memory
	echo "$shared"
}
# At most since boot. swiotlb's own pool has one size beside cc-swiotlb.
shared_peak() {
	echo $(($(cat $cc/shared_peak_bytes) + $(cat $dbg/swiotlb/io_tlb_nslabs 2>/dev/null || echo 0) * 2048))
}

# Bytes that swiotlb has copied since boot: to its buffers (out), from them (in), or both.
copied_bytes() { # in|out|both
	case $1 in
	both) echo $(($(copied_bytes in) + $(copied_bytes out))) ;;
	*) cat "$dbg/swiotlb/io_tlb_copied_$1" ;;
	esac
}

# Count the maps that fail: cc does by itself, the others are probed.
tracing=/sys/kernel/tracing
watch_failures() {
	[ ! -r $cc/map_failures ] || return 0
	[ -d $tracing/events ] || mount -t tracefs tracing $tracing
	# shellcheck disable=SC2016 # $retval is the kernel's
	echo 'r:guest/map swiotlb_map ret=$retval:x64' 2>/dev/null >$tracing/kprobe_events ||
		fail 'failed maps cannot be counted: no kretprobe on swiotlb_map'
	echo 'hist:keys=ret if ret == 0xffffffffffffffff' >$tracing/events/guest/map/trigger
}
map_failures() {
	cat $cc/map_failures 2>/dev/null ||
		sed -n 's/.* hitcount: *\([0-9]*\).*/\1/p' $tracing/events/guest/map/hist | awk '{ s += $1 } END { print s + 0 }'
}

# A device of device-mapper. Without udev nobody makes a node in /dev/mapper.
map_device() { # name table
	dmsetup create "$1" --noudevrules --noudevsync --table "$2" >&2 || fail "no device of $2" >&2
	# shellcheck disable=SC2046 # two words
	[ -b "/dev/mapper/$1" ] ||
		mknod "/dev/mapper/$1" b $(dmsetup info -c --noheadings --separator ' ' -o major,minor "$1") ||
		fail "no node of $1" >&2
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
