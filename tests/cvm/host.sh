# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# Runs in the pKVM host: starts one protected guest after the other as the file
# plan says ("name image mode initial-arguments..." per line), plays the host's
# part in their checks and leaves what it saw in out/<name>/:
#
#	console, report	what the guest wrote	status	how QEMU ended, or "running"
#	qemu		QEMU's own words	scan.*	state of each page, see cvm-view
#	found.*		searches in all that the host can read

mkdir -p out /tmp/disks
dmesg >out/dmesg
head -c 67108864 /dev/urandom >/tmp/net

# The other end of the guest's NIC
nc -ll -p 1 -e cat /tmp/net &
nc -ll -p 2 -e sh -c 'dd bs=64k count=1024 iflag=fullblock 2>/dev/null | md5sum' &
tap_up() {
	while alive && ! ip link set $tap up 2>/dev/null; do sleep 0.2; done
	ip addr add 10.0.2.100/24 dev $tap 2>/dev/null
}

start_qemu() { # image, kernel arguments
	local args='' its='' virtio=iommu_platform=on,disable-legacy=on d nvme=2
	# Indirect descriptors are bounced like data. Spoilt ones make the device
	# refuse to go on, which says nothing about the guest.
	case $2 in
	mode=hostile*) virtio=$virtio,indirect_desc=off ;;
	# A driver that believes it talks to such a device shares nothing with it.
	mode=control*) virtio=disable-legacy=on ;;
	esac
	for d in vd0 vd1 vd2 vd3; do
		rm -f /tmp/disks/$d
		truncate -s 128M /tmp/disks/$d
		args="$args -drive file=/tmp/disks/$d,if=none,id=$d,format=raw,cache=unsafe"
		args="$args -device virtio-blk-pci,drive=$d,$virtio"
	done
	# One of them for encrypted data; or as many as a probe is to find.
	case $2 in
	mode=probe*) nvme=8 ;;
	esac
	for d in $(seq $nvme); do
		rm -f "/tmp/disks/nvme$d"
		truncate -s 128M "/tmp/disks/nvme$d"
		args="$args -drive file=/tmp/disks/nvme$d,if=none,id=nvme$d,format=raw,cache=unsafe"
		args="$args -device nvme,drive=nvme$d,serial=$d"
	done
	# The kernel that comes next
	case $2 in
	mode=kexec*)
		args="$args -drive file=/dev/vdc,if=none,id=next,format=raw,readonly=on"
		args="$args -device virtio-blk-pci,drive=next,$virtio"
		;;
	esac
	# 6.12 does not share the tables of the ITS with the hypervisor. After kexec the
	# interrupt controller still has those of the first kernel, and the second kernel
	# writes to them, although without EFI nobody has kept its own text from there.
	case "$1 $2" in
	*6.12* | *' mode=kexec'*) its=,its=off ;;
	esac
	# shellcheck disable=SC2086 # a list of words
	CVM_VIEW=/tmp/view.fifo LD_PRELOAD=/run/cvm/cvm-shim.so:/run/cvm/cvm-view.so \
		qemu-system-aarch64 -accel kvm -M virt,gic-version=3$its -cpu host -smp 2 -m 384M \
		-nodefaults -no-user-config -no-reboot -display none \
		-chardev pipe,id=con,path=/tmp/con -serial chardev:con -serial "file:$dir/report" \
		-kernel "$1" -initrd guest.cpio -append "console=ttyAMA0 loglevel=5 panic=-1 $2" $args \
		-netdev tap,id=net,ifname=$tap,script=no,downscript=no \
		-device virtio-net-pci,netdev=net,$virtio,romfile= \
		>"$dir/qemu" 2>&1 &
	qemu=$!
}

alive() {
	kill -0 "$qemu" 2>/dev/null
}

await_phase() { # name, seconds
	local left=$2
	while ! grep -q "\"phase\":\"$1\"" "$dir/report" 2>/dev/null; do
		alive || return 1
		! grep -q 'Kernel panic' "$dir/console" || return 1
		[ "$left" -gt 0 ] || { echo "no phase $1 within $2 s" >>"$dir/qemu"; return 1; }
		left=$((left - 1))
		sleep 1 # to look costs the guest time
	done
	echo "$(cut -d. -f1 /proc/uptime) $1" >>"$dir/phases"
}

view() { # command, file, argument
	rm -f "$dir/$2"
	echo "$1 $dir/$2 ${3:-}" >&3
	while [ ! -e "$dir/$2" ] && alive; do sleep 0.2; done
}

reported() { # the file that the guest sent last under this name
	sed -n "s/.*\"file\":\"$1\",\"data\":\"\(.*\)\".*/\1/p" "$dir/report" | tail -n 1 | base64 -d | gunzip
}

go() {
	echo >&4
}

look() { # when: at a guest that is quiet
	local i=0 secret
	view scan "scan.$1"
	for secret in $(sed -n 's/.*"secrets":\["\(.*\)"\].*/\1/p' "$dir/report" | tr -d '"' | tr , ' '); do
		i=$((i + 1))
		view find "found.$1.secret$i" "$secret"
	done
}

play() { # mode
	case $1 in
	control)
		await_phase alive 120
		;;
	io)
		await_phase burst 600 || return
		look burst
		go
		await_phase quiet 600 || return
		look end
		view find found.end.marker "$(sed -n 's/.*"marker":"\([^"]*\)".*/\1/p' "$dir/report")"
		go
		;;
	probe)
		await_phase 'done' 300
		;;
	kexec)
		await_phase loaded 600 || return
		view scan scan.before
		go
		await_phase again 600 || return
		view scan scan.after
		go
		;;
	hostile)
		await_phase scribble 300 || return
		# What devices and the interrupt controller own is theirs to write
		# anyway, and to spoil it only stops the machine.
		reported other >"$dir/spare"
		view spare spared "$dir/spare"
		view scribble scribbling
		go
		await_phase 'done' 400
		view stop scribbled
		;;
	esac
}

n=0
while read -r name image mode args; do
	n=$((n + 1))
	tap=tap$n
	dir=/run/cvm/out/$name
	mkdir -p "$dir"
	rm -f /tmp/con.in /tmp/con.out /tmp/view.fifo
	mkfifo /tmp/con.in /tmp/con.out /tmp/view.fifo
	# Open for both, so that nothing waits for a QEMU that has gone.
	exec 3<>/tmp/view.fifo 4<>/tmp/con.in
	md5sum </tmp/net | cut -c1-32 >"$dir/net.md5"
	echo "$(cut -d. -f1 /proc/uptime) start" >"$dir/phases"
	echo "guest $name: $mode"
	cat /tmp/con.out >"$dir/console" &
	start_qemu "$image" "mode=$mode $args"
	tap_up
	play "$mode"
	if alive; then
		# Taking its pages back lasts a while: not waited for.
		echo running >"$dir/status"
		kill -9 "$qemu"
	else
		wait "$qemu"
		echo $? >"$dir/status"
	fi
	ip addr flush dev $tap 2>/dev/null
	echo "$(cut -d. -f1 /proc/uptime) end" >>"$dir/phases"
	dmesg -c | tail -n 40 >"$dir/host-dmesg"
done <plan
