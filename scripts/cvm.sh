#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A confidential VM without special hardware: an arm64 Linux 7.3 under TCG is a
# protected KVM host, whose EL2 keeps the memory of protected guests from it.
# Guests with each allocator do verified I/O; then the host tries to look.
#
#   GUESTS='control cc'   only these (default: all)
#
# Evidence goes to out/cvm/<guest>/, figures to out/cvm.json.
[ -n "${KSRC:-}" ] || export KVER=${KVER:-7.3}
. "$(dirname "$0")/lib.sh"
no_arguments "$@"
only_newest

some_names GUESTS
"$top/scripts/deps.sh" gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-system-arm mmdebstrap
mkdir -p "$cache/cvm" "$out"
lock cvm
dir=$cache/cvm
evidence=$out/cvm

# name, backend, kernel, mode, kernel arguments
all='control cc 7.3-cc control
legacy legacy 7.3-legacy io crypt=nvme1n1
cc cc 7.3-cc io swiotlb=cc crypt=nvme1n1
dynamic dynamic 7.3-dynamic io crypt=nvme1n1
cc-6.12 cc 6.12-cc io swiotlb=cc crypt=nvme1n1
hostile cc 7.3-cc hostile swiotlb=cc
probe-before legacy 7.3-cc probe
kexec cc 7.3-cc kexec swiotlb=cc next=vde
probe cc 7.3-cc probe swiotlb=cc'
guests=${GUESTS:-$(cut -d' ' -f1 <<<"$all")}

image() { # <kver>-<variant>: build it and put it where the host can take it
	local i
	if [ "${1%-*}" = 7.3 ]; then
		i=$("$top/scripts/cvm-build.sh" "${1#*-}")
	else
		i=$(KSRC='' KVER=${1%-*} "$top/scripts/cvm-build.sh" "${1#*-}")
	fi
	cp "$i" "$work/Image-$1"
}

# Those of one version one after the other, because they take over objects; but two
# versions at once, for one alone leaves a CPU idle when it fetches, copies or links.
images_of() { # kver, <kver>-<variant>..., cc first
	local k
	for k in "${@:2}"; do
		[ "${k%-*}" != "$1" ] || image "$k"
	done
}
images() { # <kver>-<variant>..., cc first
	local v p pids=()
	for v in 7.3 6.12; do
		background images_of $v "$@"
		pids+=($!)
	done
	for p in "${pids[@]}"; do
		wait "$p" || exit $?
	done
}

make_disk() { # directory in $work, size
	mke2fs -q -t ext2 -d "$work/$1" "$work/$1.ext2" "$2" >/dev/null ||
		die "mke2fs cannot make $work/$1.ext2: is the disk full?"
}

# Guests are dealt out to two hosts of one CPU each. Two CPUs of one host would stop
# each other at every flush of a TLB, of which each entry and exit of a protected
# guest makes some; and one that sleeps wakes up late, so it polls. Each host has a
# file system with its plan and room for what it finds, and another one with what a guest
# executes by kexec.
prepare() {
	local name backend kernel mode args i=0 h kernels=(7.3-cc)
	work=$(mktemp -d "$dir/work.XXXXXX")
	trap 'end_background; rm -rf "$work"' EXIT
	mkdir "$work/1" "$work/2"
	for name in $guests; do
		read -r name backend kernel mode args < <(grep "^$name " <<<"$all") ||
			die "no guest '$name': use $(cut -d' ' -f1 <<<"$all" | tr '\n' ' ')"
		h=$((i++ % 2 + 1))
		echo "$name Image-$kernel $mode $args" >>"$work/$h/plan"
		[[ " ${kernels[*]} " = *" $kernel "* ]] || kernels+=("$kernel")
	done
	images "${kernels[@]}"
	mapfile -t root < <("$top/scripts/cvm-root.sh")
	for name in shim view; do
		aarch64-linux-gnu-gcc -O2 -Wall -shared -fPIC -o "$work/cvm-$name.so" "$top/tools/cvm-$name/cvm-$name.c" -ldl -lpthread
	done
	mkdir "$work/next"
	cp -l "$work/Image-7.3-cc" "$work/next/Image"
	cp -l "${root[1]}" "$work/next/guest.cpio"
	make_disk next 150M
	for h in 1 2; do
		[ -f "$work/$h/plan" ] || continue
		cp "${root[1]}" "$work"/cvm-*.so "$top/tests/cvm/host.sh" "$work/$h/"
		cut -d' ' -f2 "$work/$h/plan" | sort -u | sed "s|^|$work/|" | xargs cp -t "$work/$h"
		make_disk $h 200M
	done
}

start_host() { # number
	background timeout 3000 qemu-system-aarch64 \
		-M virt,virtualization=on,gic-version=3 -accel tcg \
		-cpu max,pauth-impdef=on,sve=off -smp 1 -m 3G \
		-nodefaults -no-user-config -no-reboot -display none -serial "file:$evidence/host$1/console" \
		-kernel "$work/Image-7.3-cc" \
		-append 'console=ttyAMA0 root=/dev/vda ro init=/init kvm-arm.mode=protected nohlt panic=-1' \
		-drive "file=${root[0]},if=none,id=root,format=raw,snapshot=on" -device virtio-blk-pci,drive=root \
		-drive "file=$work/$1.ext2,if=none,id=work,format=raw,cache=unsafe" -device virtio-blk-pci,drive=work \
		-drive "file=$work/next.ext2,if=none,id=next,format=raw,readonly=on" -device virtio-blk-pci,drive=next \
		2>"$evidence/host$1/qemu.err"
}

run() {
	local h d pids=()
	rm -rf "$evidence"
	step "starting protected KVM hosts; their guests: ${guests//$'\n'/ }"
	for h in 1 2; do
		[ -f "$work/$h/plan" ] || continue
		mkdir -p "$evidence/host$h"
		start_host $h
		pids[h]=$!
	done
	for h in "${!pids[@]}"; do
		d=$evidence/host$h
		wait "${pids[h]}" || die "QEMU of host $h ended with status $?: $(tail -1 "$d/qemu.err"), see $d/console"
		debugfs -R "rdump /out $d" "$work/$h.ext2" 2>/dev/null
		[ -f "$d/out/dmesg" ] || die "host $h did not get to its script: see $d/console"
		mv "$d/out/dmesg" "$d/"
		mv "$d"/out/* "$evidence/"
		rmdir "$d/out"
		grep -q 'kvm.*Protected.*mode initialized\|Protected hVHE mode initialized' "$d/dmesg" ||
			die "host $h did not start in protected mode: see $d/dmesg"
	done
}

reported() { # file that the guest sent last under this name
	jq -r "select(.file == \"$1\").data" "$g/report" | tail -n 1 | base64 -d | gunzip
}

metric() { # name: value in the guest's report, or nothing
	jq -r "select(.metric == \"$1\").value" "$g/report" | tail -n 1
}

# What two files of ordered ranges have in common
common() {
	local s e lo hi i=0
	local -a from=() to=()
	while read -r s e _; do
		from+=($((s))) to+=($((e)))
	done <"$2"
	while read -r s e _; do
		s=$((s)) e=$((e))
		while ((i < ${#from[@]} && to[i] <= s)); do i=$((i + 1)); done
		while ((i < ${#from[@]} && from[i] < e)); do
			lo=$((from[i] > s ? from[i] : s)) hi=$((to[i] < e ? to[i] : e))
			((lo >= hi)) || printf '%#x %#x\n' $lo $hi
			((to[i] <= e)) || break
			i=$((i + 1))
		done
	done <"$1"
}

pages() { # [file of ranges]
	local s e n=0
	while read -r s e _; do
		n=$((n + (e - s) / 4096))
	done <"${1:-/dev/stdin}"
	echo $n
}

common_pages() {
	common "$@" | pages
}

# System RAM only: the first page of another slot is the host's own
host_saw() { # state, when
	awk -v s="$1" '$3 == s && length($1) >= 10' "$g/scan.$2"
}

expect() { # metric value relation wanted: part of what decides about success
	must "$name: $1" "${2:-none} $3 $4"
}

measured() { # metric relation wanted value unit: recorded, too
	emit "$name" "$backend" "$1" "${4:-null}" "$5"
	expect "$1" "$4" "$2" "$3"
}

check_control() {
	local status
	status=$(cat "$g/status")
	measured vmm_killed_by_sigsegv == 1 "$([ "$status" = 139 ] && echo 1 || echo 0)" ''
}

# What the host could read against what the guest says that it shared
check_isolation() {
	local state n
	for state in shared private absent; do
		host_saw $state end >"$g/host-$state"
	done
	reported shared >"$g/guest-shared"
	reported returned >"$g/guest-returned"
	reported bounce | sort >"$g/guest-bounce-end"
	jq -r 'select(.file == "bounce").data' "$g/report" | head -n 1 | base64 -d | gunzip | sort >"$g/guest-bounce-burst"
	n=$(common_pages "$g/host-shared" "$g/guest-shared")
	emit "$name" "$backend" pages_private "$(pages "$g/host-private")" ''
	emit "$name" "$backend" pages_shared_by_guest "$(pages "$g/guest-shared")" ''
	measured pages_readable_by_host '>' 0 "$(pages "$g/host-shared")" ''
	measured pages_readable_but_not_shared == 0 $(($(pages "$g/host-shared") - n)) ''
	measured pages_shared_but_not_readable == 0 $(($(pages "$g/guest-shared") - n)) ''
	measured pages_never_touched == 0 "$(pages "$g/host-absent")" ''
	measured returned_pages_readable == 0 "$(common_pages "$g/host-shared" "$g/guest-returned")" ''
	awk '$3 == "shared"' "$g/scan.burst" >"$g/host-shared-burst"
	emit "$name" "$backend" returned_pages_readable_before "$(common_pages "$g/host-shared-burst" "$g/guest-returned")" ''
	check_secrets
	measured marker_found '>' 0 "$(occurrences end.marker)" ''
}

occurrences() { # of a search
	awk '/^found/ { print $2 }' "$g/found.$1"
}

# Secrets 1 and 2 are in memory that somebody owns and must never be found. The third
# is in free pages, from which the shared ones are taken. After the disks' I/O it must
# not be found either. After the NIC's it may be in bounce buffers: swiotlb has to copy
# the buffer of a receiver into them, for a device may write only a part of it, and
# drivers do not clear those before. Kernels without the series leak it through the
# atomic DMA pools too, which is reported and not judged. The fourth is on an encrypted
# disk, has been written and read, and must never be found.
check_secrets() {
	local when n all bounced
	for when in burst end; do
		for n in 1 2 3 4; do
			sed 1d "$g/found.$when.secret$n" >"$g/found"
			all=$(pages "$g/found")
			bounced=$(common_pages "$g/found" "$g/guest-bounce-$when")
			rm "$g/found"
			if [ $n != 3 ]; then
				measured "pages_with_secret${n}_$when" == 0 "$all" ''
				continue
			fi
			emit "$name" "$backend" "bounce_pages_with_secret3_$when" "$bounced" ''
			emit "$name" "$backend" "other_pages_with_secret3_$when" $((all - bounced)) ''
			[ "$backend" = cc ] || continue
			expect "other_pages_with_secret3_$when" $((all - bounced)) == 0
			[ $when = end ] || expect "bounce_pages_with_secret3_$when" "$bounced" == 0
		done
	done
}

check_fio() { # what the names end with
	reported "fio.json$1" | sed -n '/^{/,$p' >"$g/fio$1.json"
	measured "io_errors$1" == 0 "$(of_fio "$g/fio$1.json" '[.jobs[].total_err] | add')" ''
	expect "fio_status$1" "$(metric "fio_status$1")" == 0
	expect "verify_errors$1" "$(metric "verify_errors$1")" == 0
	expect "kernel_complaints$1" "$(metric "kernel_complaints$1")" == 0
}

check_io() {
	local sum
	sum=$(cat "$g/net.md5")
	check_fio ''
	emit "$name" "$backend" iops_read "$(of_fio "$g/fio.json" '[.jobs[].read.iops] | add | round')" 1/s
	emit "$name" "$backend" iops_write "$(of_fio "$g/fio.json" '[.jobs[].write.iops] | add | round')" 1/s
	emit "$name" "$backend" mib_s "$(of_fio "$g/fio.json" '[.jobs[] | .read.bw + .write.bw] | add / 1024 * 10 | round / 10')" MiB/s
	emit "$name" "$backend" io_bytes "$(of_fio "$g/fio.json" '[.jobs[] | .read.io_bytes + .write.io_bytes] | add')" B
	measured net_receive_errors == 0 "$([ "$(jq -r 'select(.net_received).net_received' "$g/report")" = "$sum" ] && echo 0 || echo 1)" ''
	measured net_send_errors == 0 "$([ "$(jq -r 'select(.net_sent).net_sent' "$g/report")" = "$sum" ] && echo 0 || echo 1)" ''
	expect net_bytes "$(metric net_bytes)" == 67108864
	if [ "$backend" = cc ]; then
		expect map_failures "$(metric map_failures)" == 0
		expect conversions_io_waited_for_burst "$(metric conversions_io_waited_for_burst)" == 0
		expect returned_pages "$(metric returned_pages)" '>' 0
		expect returned_pages_reused "$(metric returned_pages_reused)" '>' 0
		expect returned_pages_bad "$(metric returned_pages_bad)" == 0
	fi
}

# What is written and read through dm-crypt; with cc without a copy of what is read.
check_crypt() {
	expect crypt_wrong_bytes "$(metric crypt_wrong_bytes)" == 0
	[ "$backend" = cc ] || return 0
	must "$name: reads of the encrypted disk are not copied" \
		"\"$(metric crypt_status)\" == \"cc_shared_reads\" and $(metric crypt_read_copied) <= 4194304 / 50"
}

# NVMe disks are probed by kworkers: what these convert, without coherent memory from
# chunks and with it
check_probe() {
	expect nvme_disks "$(metric nvme_disks)" == 8
	expect kernel_complaints "$(metric kernel_complaints)" == 0
	[ "$name" = probe ] || return 0
	[[ " ${guests//$'\n'/ } " = *' probe-before '* ]] || return 0
	must "probe: a tenth of the conversions, if coherent memory is from chunks" \
		"$(value probe-before legacy conversions_of_probes) | . > 0 and $(metric conversions_of_probes) <= . / 10"
}

# Memory that the first kernel's chunks were in: the host may read what the second kernel
# shares itself, and no other.
check_kexec() {
	local all left
	host_saw shared before >"$g/host-shared-before"
	host_saw shared after >"$g/host-shared-after"
	reported chunks | sort >"$g/chunks-before"
	reported shared >"$g/shared-before"
	reported shared_after_kexec >"$g/shared-after"
	common "$g/host-shared-after" "$g/chunks-before" >"$g/chunks-readable-after"
	measured chunk_pages_readable_before '>' $(($(metric shared_boot_bytes) / 4096)) \
		"$(common_pages "$g/host-shared-before" "$g/chunks-before")" ''
	measured chunk_pages_not_shared_again '>' 0 \
		$(($(pages "$g/chunks-before") - $(common_pages "$g/chunks-before" "$g/shared-after"))) ''
	all=$(($(pages "$g/host-shared-after") - $(common_pages "$g/host-shared-after" "$g/shared-after")))
	left=$(($(pages "$g/chunks-readable-after") - $(common_pages "$g/chunks-readable-after" "$g/shared-after")))
	measured chunk_pages_left_shared == 0 $left ''
	emit "$name" "$backend" other_pages_left_shared $((all - left)) ''
	measured pages_readable_after '>' 0 "$(common_pages "$g/host-shared-after" "$g/shared-after")" ''
	check_fio ''
	check_fio _after_kexec
	expect map_failures_after_kexec "$(metric map_failures_after_kexec)" == 0
	expect complaints_on_console "$(bad_lines "$g/console" | wc -l)" == 0
}

check_hostile() {
	measured pages_scribbled '>' 0 "$(awk '{ print $2 }' "$g/scribbled")" ''
	expect verify_errors "$(metric verify_errors)" '>' 0
	expect kernel_complaints "$(metric kernel_complaints)" == 0
	expect lived_to_the_end "$(grep -c '"phase":"done"' "$g/report")" '>' 0
}

evaluate() {
	local name backend kernel mode
	for name in $guests; do
		read -r name backend kernel mode _ < <(grep "^$name " <<<"$all")
		g=$evidence/$name
		jq -cR --arg n "$name" --arg b "$backend" 'fromjson? | select(.metric) | {name: $n, backend: $b, metric, value, unit}' \
			"$g/report" >>"$records"
		case $mode in
		control)
			check_control
			continue
			;;
		io)
			if [ ! -f "$g/found.end.marker" ]; then
				judge failed "$name: the guest gets through" "see $g/console and $g/qemu"
				continue
			fi
			check_io
			check_crypt
			check_isolation
			;;
		probe) check_probe ;;
		kexec)
			if [ ! -f "$g/scan.after" ]; then
				judge failed "$name: the second kernel gets through" "see $g/console and $g/qemu"
				continue
			fi
			check_kexec
			;;
		hostile) check_hostile ;;
		esac
		must "$name: QEMU runs to the end, see $g/qemu" "\"$(cat "$g/status")\" == \"running\""
	done
}

record_to cvm
prepare
run
testbed='QEMU TCG'
evaluate
read -r -a columns <<<"${guests//$'\n'/ }"
metrics_table '' "${columns[@]}"
step "the evidence is in $evidence"
conclude
