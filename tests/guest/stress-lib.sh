# shellcheck shell=dash
# SPDX-License-Identifier: GPL-2.0
# Common to the guest's part of "make stress": . /tests/stress-lib.sh
# shellcheck source=lib.sh
. /tests/lib.sh

mount -t tracefs tracing $tracing
# shellcheck disable=SC2034 # used by the tests
disks=$(cd /dev && ls -d nvme?n1 nvme??n1 2>/dev/null)

emit_shared() { # when
	emit "shared_$1_bytes" "$(shared)" B
}

# A column of the row "total" of cc's table, or of all rows times the slot size.
stat_total() { # column
	awk -v c="$1" 'FNR == 1 { for (i = 1; i <= NF; i++) if ($i == c) n = i }
		$1 == "total" { print $n }' $dbg/swiotlb/cc/stats
}

stat_bytes() { # column
	awk -v c="$1" 'FNR == 1 { for (i = 1; i <= NF; i++) if ($i == c) n = i }
		FNR > 1 && $1 != "total" { s += $1 * $n } END { print s + 0 }' $dbg/swiotlb/cc/stats
}

kccd() { # key
	sed -n "s/^$1 //p" $dbg/swiotlb/cc/kccd
}

# A column of the row of one class
stat_class() { # slot size, column
	awk -v s="$1" -v c="$2" 'FNR == 1 { for (i = 1; i <= NF; i++) if ($i == c) n = i }
		$1 == s { print $n }' $dbg/swiotlb/cc/stats
}

# Processor time that kccd has used so far, in ms
kccd_cpu_ms() {
	awk '{ print ($14 + $15) * 10 }' "/proc/$(pidof kccd)/stat"
}

# Uptime in 1/100 s
now() {
	local up
	read -r up _ </proc/uptime
	echo "${up%.*}${up#*.}"
}

# Milliseconds until a command succeeds, or nothing if it does not within so many seconds
ms_until() { # seconds command...
	local start end
	start=$(now)
	end=$((start + $1 * 100))
	shift
	until "$@"; do
		[ "$(now)" -lt $end ] || return 0
		sleep 0.1
	done
	echo $((($(now) - start) * 10))
}

# kccd looks for something to return until it says for three seconds that there is nothing.
kccd_rests() {
	local ticks
	ticks=$(kccd ticks)
	sleep 3
	[ "$(kccd ticks)" = "$ticks" ]
}

# What kccd does in 10 s without I/O, once it rests
emit_idle() { # when
	local passes ticks cpu
	emit "rests_$1_ms" "$(ms_until 90 kccd_rests)" ms
	passes=$(kccd passes) ticks=$(kccd ticks) cpu=$(kccd_cpu_ms)
	sleep 10
	emit "idle_$1_passes" $(($(kccd passes) - passes)) passes
	emit "idle_$1_ticks" $(($(kccd ticks) - ticks)) ticks
	emit "idle_$1_cpu_ms" $(($(kccd_cpu_ms) - cpu)) ms
}

send_stats() { # when
	local f
	[ -d $dbg/swiotlb/cc ] || return 0
	for f in stats kccd chunks; do
		send "$f.$1" $dbg/swiotlb/cc/$f
	done
}

mib_of() { # field of /proc/meminfo
	awk -v f="$1:" '$1 == f { print int($2 / 1024) }' /proc/meminfo
}

# Job options of fio, one job per disk.
per_disk() { # disk...
	local d
	for d; do
		echo "--name=$d --filename=/dev/$d"
	done
}

# fio on raw disks; the host reads files/<name>.json.
disk_io() { # name argument...
	local name=$1
	shift
	fio --output="/tmp/$name.json" --output-format=json --group_reporting --ioengine=libaio --direct=1 \
		--randrepeat=1 --continue_on_error=all --eta=never "$@" 2>"/tmp/$name.err"
	cat "/tmp/$name.err"
	# What fio says when it is stopped by a signal is in the same file.
	sed -i -n '/^{/,$p' "/tmp/$name.json"
	send "$name.json" "/tmp/$name.json"
	send "$name.err" "/tmp/$name.err"
}

# Ten times a second until /tmp/sampling is gone, into /tmp/samples: time in
# 1/100 s, bytes shared, bytes in use, requests done and in flight.
sample() {
	local up shared used finished flying name r w f
	: >/tmp/sampling
	while [ -e /tmp/sampling ]; do
		read -r up _ </proc/uptime
		finished=0 flying=0
		read_memory
		while read -r _ _ name r _ _ _ w _ _ _ f _; do
			case $name in
			nvme*n1) finished=$((finished + r + w)) flying=$((flying + f)) ;;
			esac
		done </proc/diskstats
		echo "${up%.*}${up#*.} $shared $used $finished $flying"
		sleep 0.1
	done >/tmp/samples
}

sample_end() { # [prefix]
	rm /tmp/sampling
	sleep 1
	awk -v p="${1:+$1_}" '{
		if ($2 > shared) shared = $2
		if ($3 > used) used = $3
		if ($5 > flying) flying = $5
		if ($4 != last || !$5) { last = $4; since = $1 }
		if ($1 - since > stall) stall = $1 - since
	} END {
		f = "{\"metric\":\"%s\",\"value\":%s,\"unit\":\"%s\"}\n"
		printf f, p "shared_peak_bytes", shared, "B"
		printf f, p "used_peak_bytes", used, "B"
		printf f, p "in_flight_peak", flying, "requests"
		printf f, p "longest_stall_ms", stall * 10, "ms"
	}' /tmp/samples >/dev/ttyS1
	send samples /tmp/samples
}
