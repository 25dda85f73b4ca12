#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make bench-icount: instructions per map and per unmap, counted in QEMU while the
# kernel's own dma_map_benchmark runs (tests/bench/icount.c), so exact and the
# same on every machine. Sizes 4 KiB to 512 KiB, to the device, one CPU; then two
# CPUs, to see which cache lines both write. Two runs of each must agree within
# 1 %. Then the same on arm64. At the end, how long interrupts are off at most
# (tests/bench/irqsoff.c) while 2 GiB are shared and returned. Writes
# out/bench-icount.json; fails if a run fails, does not repeat, or exceeds a bound.
. "$(dirname "$0")/lib.sh"
no_arguments "$@"

"$top/scripts/deps.sh" gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-system-arm mmdebstrap
record_to bench-icount
direction=1
testbed='QEMU TCG'
dir=$out/bench-icount
mkdir -p "$dir"

# The tool of this kernel, static, in a small initramfs of its own.
make_initrd() { # file compiler busybox
	local root=$dir/root t
	for t in tools/dma tools/testing/selftests/dma; do
		[ ! -f "$src/$t/dma_map_benchmark.c" ] || break
	done
	rm -rf "$root"
	mkdir -p "$root"/{bin,dev,proc,sys,tmp,tests} "$dir/include/linux"
	find "$src/include/uapi/linux/map_benchmark.h" "$src/include/linux/map_benchmark.h" 2>/dev/null |
		head -1 | xargs -I{} cp {} "$dir/include/linux/"
	"$2" -static -O2 -w -I"$dir/include" -o "$root/bin/dma_map_benchmark" "$src/$t/dma_map_benchmark.c"
	cp "$3" "$root/bin/busybox"
	cp "$top"/tests/guest/{init,lib.sh,bench-icount,bench-irqsoff} "$root/tests/"
	ln -s tests/init "$root/init"
	(cd "$root" && find . | cpio -o -H newc -R 0:0 --quiet) >"$1"
}

# A kernel for arm64, and busybox.
arm64_image() { # legacy|cc
	local t b fragments=("$top"/configs/{cvm-arm64,"$kver",icount-arm64,"$1"}.config)
	# Later kernels have no option for what is chosen at boot.
	[ "$kver" != 6.12 ] || fragments+=("$top/configs/lse-6.12.config")
	if [ "$1" = cc ]; then
		t=$("$top/scripts/apply.sh")
	else
		t=$("$top/scripts/apply.sh" pristine)
	fi
	b=$t/build-arm64-$1
	lock "build-arm64-$(basename "$t")"
	mkdir -p "$b"
	step "building $1 for arm64"
	(
		export ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- CC='ccache aarch64-linux-gnu-gcc'
		configure_kernel "$t" "$b" "${fragments[@]}"
		kmake "$t" "$b" Image >"$b/build.log" 2>&1
	) || die "building $1 for arm64 failed: see $b/build.log"
	echo "$b/arch/arm64/boot/Image"
}
arm64_busybox() {
	local tar=$cache/busybox-arm64.tar
	[ -f "$tar" ] || fetch_packages trixie "$tar" busybox-static --architectures=arm64 ||
		die "cannot fetch busybox-static for arm64: check the network and the apt sources: $(tail -1 "$cache/mmdebstrap.log")"
	tar -xOf "$tar" ./usr/bin/busybox >"$dir/busybox-arm64"
	chmod +x "$dir/busybox-arm64"
	echo "$dir/busybox-arm64"
}

# What the plugin must know of a kernel's symbols.
symbols() { # vmlinux
	# Without the marks of code and data that arm64 has.
	nm "$1" | grep -i ' [tw] [^$]' | sort -u -k1,1 | awk '
		{ k = "-" }
		$3 == "dma_map_page_attrs" { k = "m" }
		$3 == "dma_unmap_page_attrs" { k = "u" }
		$3 ~ /^(__|__pi_)?memcpy(_orig|_generic)?$/ { k = "c" }
		$3 ~ /^(map_benchmark_thread|dma_single_map_benchmark_)/ { k = "o" }
		$3 ~ /^(asm_(exc|sysvec|common)_|el[01][ht]?_64_|vectors$)/ { k = "i" }
		{ print $1, k, $3 }'
}

# Run a test in a guest with an edu device.
#   boot <name> <bzImage> <plugin> <test and kernel arguments> [option of QEMU...]
boot() {
	local d=$dir/$1
	timeout --foreground 900 qemu-system-x86_64 -accel tcg,thread=single -cpu max -machine q35 \
		-nodefaults -no-user-config -no-reboot -display none -device edu "${@:5}" \
		-plugin "$3" -serial "file:$d/console.log" -serial "file:$d/results.jsonl" \
		-kernel "$2" -initrd "$dir/initrd" -append "console=ttyS0 panic=-1 tsc=reliable cctest=$4" \
		2>"$d/qemu.err" || die "$1: QEMU failed: $(tail -1 "$d/qemu.err")"
	[ "$(jq -s 'last.exit' "$d/results.jsonl")" = 0 ] || die "$1: the test failed: see $d/console.log"
}

# guest <name> <bzImage> <cpus> <granules> <swiotlb argument> [option of QEMU...]
guest() {
	local d=$dir/$1 args opts=(-m 2G -smp "$3")
	step "$1: swiotlb=$5"
	rm -rf "$d"
	mkdir -p "$d"
	symbols "${2%/arch/*}/vmlinux" >"$d/syms"
	args="syms=$d/syms,out=$d/counts"
	if [ "$3" = 1 ]; then
		opts+=(-icount "shift=0,sleep=off")
	else
		args+=,lines=on
	fi
	boot "$1" "$2" "$dir/icount.so,$args" \
		"bench-icount granules=$4 threads=$3 direction=$direction swiotlb=$5" "${opts[@]}" "${@:6}"
}

# The same on arm64. The console there is no 8250, so the second PCI one is ttyS1.
guest_arm64() { # name Image granules swiotlb-argument
	local d=$dir/$1
	step "$1: swiotlb=$4"
	rm -rf "$d"
	mkdir -p "$d"
	symbols "${2%/arch/*}/vmlinux" >"$d/syms"
	timeout --foreground 900 qemu-system-aarch64 -accel tcg,thread=single -cpu max,pauth-impdef=on -machine virt \
		-nodefaults -no-user-config -no-reboot -display none -device edu -m 2G -smp 1 -icount shift=0,sleep=off \
		-plugin "$dir/icount.so,syms=$d/syms,out=$d/counts" -serial "file:$d/console.log" \
		-chardev null,id=none -device pci-serial,chardev=none \
		-chardev "file,id=results,path=$d/results.jsonl" -device pci-serial,chardev=results \
		-kernel "$2" -initrd "$dir/initrd-arm64" \
		-append "console=ttyAMA0 panic=-1 cctest=bench-icount granules=$3 threads=1 direction=1 swiotlb=$4" \
		2>"$d/qemu.err" || die "$1: QEMU failed: $(tail -1 "$d/qemu.err")"
	[ "$(jq -s 'last.exit' "$d/results.jsonl")" = 0 ] || die "$1: the test failed: see $d/console.log"
	counts "$1" "$3"
}

# All functions of cc-swiotlb, and where interrupts and exceptions enter: of the
# symbols that have a name of an object of ours, those that are no namesakes, since
# they stand in one row with names that only we have.
irqsoff_symbols() { # build directory
	nm "$1"/kernel/dma/cc-swiotlb/*.o "$1"/lib/genalloc-ext.o | awk 'tolower($2) == "t" { print $3 }' | sort -u >"$dir/ours"
	nm "$1/vmlinux" | grep -i ' [tw] ' | sort -u -k1,1 | awk '
		NR == FNR { ours[$1] = 1; next }
		{ addr[++n] = $1; name[n] = $3; kind[n] = "-" }
		$3 in ours { kind[n] = "s" }
		$3 ~ /^(cc|gen_pool)_/ && $3 in ours { sure[n] = 1 }
		$3 ~ /^asm_(sysvec|common)_/ { kind[n] = "i" }
		$3 ~ /^asm_exc_/ { kind[n] = "x" }
		END {
			for (i = 1; i <= n; i = j) {
				found = 0
				for (j = i; j <= n && kind[j] == "s"; j++)
					found += sure[j]
				for (k = i; k < j; k++)
					if (!found && name[k] !~ /\.cold$/)
						kind[k] = "-"
				if (j == i)
					j++
			}
			for (i = 1; i <= n; i++)
				print addr[i], kind[i], name[i]
		}' "$dir/ours" -
}

# Interrupts off: one record per function of ours that is answerable for it.
irqsoff() { # bzImage
	local d=$dir/irqsoff
	step "interrupts off while 2 GiB are shared and returned"
	rm -rf "$d"
	mkdir -p "$d"
	truncate -s 1G "$d/disk"
	irqsoff_symbols "${1%/arch/*}" >"$d/syms"
	boot irqsoff "$1" "$dir/irqsoff.so,syms=$d/syms,out=$d/counts" \
		"bench-irqsoff mib=2048 swiotlb=cc,force cc_swiotlb=max=3G" \
		-smp 1 -icount shift=0,sleep=off -machine memory-backend=m -m 9G \
		-object memory-backend-ram,id=m,size=9G,reserve=off \
		-drive "file=$d/disk,if=none,id=disk,format=raw,cache=unsafe" -device nvme,serial=disk,drive=disk
	rm "$d/disk"
	jq -c 'select(.function) | ("max", "mean") as $m
		| {name: "irqsoff-\(.function)", backend: "cc", metric: $m, value: .[$m], unit: "instructions"}' "$d/counts" >>"$records"
	emit irqsoff cc max "$(jq -s 'map(.max // 0) | max' "$d/counts")" instructions
	emit irqsoff cc sections "$(jq -s 'map(.sections // 0) | add' "$d/counts")" ''
	emit irqsoff cc lost_track "$(jq -s 'map(.stale // empty) | add' "$d/counts")" interrupts
	emit irqsoff cc grown_mib "$(jq -s 'map(select(.metric == "grown_mib"))[0].value' "$d/results.jsonl")" MiB
}

# The sizes that a run could not map, in granules.
failed_sizes() { # name
	jq -r 'select(.metric // "" | startswith("failed_")).metric | ltrimstr("failed_")' "$dir/$1/results.jsonl"
}

# The counts of a run, one line per size: map and unmap beside each other. The
# plugin tells sizes apart by the length of the copy, so they are in order.
counts() { # name granules
	jq -s --arg granules "$2" --arg failed "$(failed_sizes "$1")" '
		map(select(.call and .calls > 100)) as $all
		| (($granules | split(",")) - ($failed | split("\n")) | map(tonumber)) as $g
		| ($all | map(.copy_key) | unique) as $keys
		| if ($keys | length) != ($g | length) then error("copies of \($keys) bytes, not of \($g) pages") else . end
		| [($keys | to_entries[]) | .value as $k
			| {size: ($g[.key] * 4096), copy: $k,
			   map: ($all | map(select(.call == "map" and .copy_key == $k))[0]),
			   unmap: ($all | map(select(.call == "unmap" and .copy_key == $k))[0])}]' \
		"$dir/$1/counts" >"$dir/$1/counts.json" || die "$1: not each size was counted: see $dir/$1"
}

# One CPU, twice: the two must agree within 1 %.
twice() { # name bzImage granules swiotlb-argument
	local again
	guest "$1-again" "$2" 1 "$3" "$4"
	counts "$1-again" "$3"
	guest "$1" "$2" 1 "$3" "$4"
	counts "$1" "$3"
	again=$(jq -n --slurpfile a "$dir/$1/counts.json" --slurpfile b "$dir/$1-again/counts.json" '
		def total: .map.instructions + .unmap.instructions;
		[$a[0], $b[0]] | transpose
		| map((.[0] | total) / (.[1] | total) - 1 | fabs) | max * 10000 | round / 100')
	emit "$1" "${5:-legacy}" repeat_difference "$again" %
	must "$1: two runs differ by less than 1 %" "$again < 1"
}

# Records of a run; what is left without copy and unbounced path is the overhead.
collect() { # name backend [name of the unbounced run]
	local g
	for g in $(failed_sizes "$1"); do
		emit "$1-$((g * 4))K" "$2" failed 100 %
	done
	jq -c --arg n "$1" --arg b "$2" --slurpfile none "$dir/${3:-none}/counts.json" '
		def r: . * 100 | round / 100;
		def rec($s; $m; $v; $u): {name: "\($n)-\($s / 1024)K", backend: $b, metric: $m, value: ($v | r), unit: $u};
		($none[0][0] | .map.instructions + .unmap.instructions) as $unbounced
		| .[] | .size as $s
		| rec($s; "map_instructions"; .map.instructions; "instructions"),
		  rec($s; "unmap_instructions"; .unmap.instructions; "instructions"),
		  rec($s; "copy_instructions"; .map.copy + .unmap.copy; "instructions"),
		  rec($s; "overhead_instructions"; .map.instructions + .unmap.instructions - .map.copy - .unmap.copy - $unbounced; "instructions"),
		  rec($s; "nops"; .map.nops + .unmap.nops; "instructions"),
		  rec($s; "irq_flag_instructions"; .map.irq_flag + .unmap.irq_flag; "instructions"),
		  rec($s; "locked_instructions"; .map.locked + .unmap.locked; "instructions")' "$dir/$1/counts.json" >>"$records"
}

# Instructions in one call of a function, at the first size.
in_function() { # name function
	jq --arg f "$2" '.[0] | [.map, .unmap | .functions[$f] // empty] | (map(.[0]) | add) / (map(.[1]) | add)' "$dir/$1/counts.json"
}

of() { # name metric: what was recorded of it, whatever the backend
	value "$1" '' "$2"
}

images=$("$top/scripts/build.sh" unpatched cc cc-seam)
{ read -r legacy && read -r cc && read -r seam; } <<<"$images"
sizes=1,4,16,32,64,128 # of which legacy cannot map the last
make_initrd "$dir/initrd" gcc "$(command -v busybox)"
"$top/scripts/icount-plugin.sh" "$dir/icount.so"
"$top/scripts/icount-plugin.sh" "$dir/irqsoff.so" irqsoff

twice none "$legacy" 1 noforce none
twice legacy "$legacy" $sizes 32768,force
twice not-selected "$cc" $sizes 32768,force
twice not-selected-none "$cc" 1 noforce none
twice cc "$cc" $sizes cc,force cc
twice seam "$seam" 1 cc,force cc
for n in none not-selected-none; do
	collect $n none
done
for n in legacy not-selected; do
	collect $n legacy
done
collect cc cc
collect seam cc

# What booting takes, up to the first process: the run is the same but for swiotlb.
for n in legacy not-selected cc; do
	b=legacy
	[ $n != cc ] || b=cc
	for m in boot_us boot_free_kib; do
		emit $n $b $m "$(jq -s --arg m $m 'map(select(.metric == $m))[0].value' "$dir/$n/results.jsonl")" "${m##*_}"
	done
done

# The lookup by address, with few chunks and with more than 10,000.
guest cc-10000-chunks "$cc" 1 1 'cc,force cc_swiotlb=max=6G,min=5200M,reserve=5200M' -m 9G
counts cc-10000-chunks 1
for n in cc cc-10000-chunks; do
	emit $n cc chunks "$(jq -s 'map(select(.metric == "chunks"))[0].value' "$dir/$n/results.jsonl")" chunks
	emit $n cc find_pool_instructions "$(in_function $n cc_swiotlb_find_pool)" instructions
done

# From the device, an unmap copies.
for n in legacy not-selected cc; do
	b=legacy image=$legacy arg=32768,force
	[ $n = legacy ] || image=$cc
	[ $n != cc ] || b=cc arg=cc,force
	direction=2 guest $n-from "$image" 1 1 $arg
	counts $n-from 1
	collect $n-from $b
done

# Two CPUs: with one, the kernel patches its LOCK prefixes away.
for n in legacy cc; do
	arg=32768,force
	[ $n != cc ] || arg=cc,force
	guest $n-2cpus "${!n}" 2 1 $arg
	counts $n-2cpus 1
	emit $n-2cpus $n locked_instructions "$(jq '.[0] | .map.locked + .unmap.locked' "$dir/$n-2cpus/counts.json")" instructions
	emit $n-2cpus $n irq_flag_instructions "$(jq '.[0] | .map.irq_flag + .unmap.irq_flag' "$dir/$n-2cpus/counts.json")" instructions
	emit $n-2cpus $n shared_lines_written "$(jq -s 'map(select(.shared_line)) | length' "$dir/$n-2cpus/counts")" lines
done

arm64_legacy=$(arm64_image legacy)
arm64_cc=$(arm64_image cc)
busybox=$(arm64_busybox)
make_initrd "$dir/initrd-arm64" aarch64-linux-gnu-gcc "$busybox"
guest_arm64 arm64-none "$arm64_legacy" 1 noforce
guest_arm64 arm64-legacy "$arm64_legacy" $sizes 32768,force
guest_arm64 arm64-cc "$arm64_cc" $sizes cc,force
collect arm64-none none arm64-none
collect arm64-legacy legacy arm64-none
collect arm64-cc cc arm64-none

irqsoff "$cc"

echo
echo "Linux $(tree_version "$src"), instructions per map + unmap, without copy and unbounced path ($(of none-4K map_instructions) + $(of none-4K unmap_instructions))"
jq -rs '
	["size", "copy", "legacy", "not selected", "cc", "legacy / cc"],
	(. as $r
	| def v($n; $m): $r | map(select(.name == $n and .metric == $m))[0].value;
	def or_fails($n): if v($n; "failed") then "fails" else v($n; "overhead_instructions") end;
	$r | map(select(.backend == "cc" and .metric == "overhead_instructions" and (.name | startswith("cc-"))) | .name | sub("cc-"; ""))[] as $s
	| v("legacy-" + $s; "overhead_instructions") as $l
	| v("cc-" + $s; "overhead_instructions") as $c
	| [$s, v("cc-" + $s; "copy_instructions"), or_fails("legacy-" + $s), or_fails("not-selected-" + $s), $c,
	   if $l then $l / $c * 10 | round / 10 else "-" end])
	| @tsv' "$records" | column -t -s "$(printf '\t')"
echo
echo "4 KiB by function:"
for n in none legacy not-selected-none not-selected seam cc; do
	jq -r --arg n $n '
		def list: .functions | to_entries | map(select(.value[0] >= 1 and (.key | test("memcpy") | not))
			| "\(.key) \(.value[0] | round)") | join(", ");
		.[0] | "  \($n)  map: \(.map | list); unmap: \(.unmap | list)"' "$dir/$n/counts.json"
done
echo
echo "arm64, 4 KiB: legacy $(of arm64-legacy-4K overhead_instructions), cc $(of arm64-cc-4K overhead_instructions)"
echo
echo "Interrupts off, instructions at most, mean, and how often, while $(of irqsoff grown_mib) MiB are shared and returned:"
jq -rs 'map(select(.function)) | sort_by(-.max)[] | "  \(.function) \(.max), \(.mean), \(.sections)"' "$dir/irqsoff/counts"
echo
must 'cc: interrupts are off for 20000 instructions at most while memory is shared and returned' \
	"$(of irqsoff sections) > 0 and $(of irqsoff max) <= 20000"
must 'cc: no interrupt came when interrupts were thought to be off' "$(of irqsoff lost_track) == 0"
for n in cc arm64-cc; do
	must "$n: mappings of all sizes succeed" "$(of $n-512K overhead_instructions) > 0"
done
must 'cc: map and unmap of 4 KiB take 200 instructions at most' "$(of cc-4K overhead_instructions) <= 200"
must 'cc: the last patch of the series, which is optional, saves a tenth of them' \
	"$(of cc-4K overhead_instructions) <= 0.9 * $(of seam-4K overhead_instructions)"
must 'cc on arm64: a fifth of the instructions of legacy at most' \
	"$(of arm64-cc-4K overhead_instructions) <= $(of arm64-legacy-4K overhead_instructions) / 5"
# A static key that is off is a NOP, and counts as an instruction here. What an unmap
# is spared is more than they are.
for pair in 'legacy not-selected' 'none not-selected-none' 'legacy-from not-selected-from'; do
	read -r n s <<<"$pair"
	more=$(jq -n "$(of "$s-4K" overhead_instructions) - $(of "$n-4K" overhead_instructions) | . * 100 | round / 100")
	nops=$(jq -n "$(of "$s-4K" nops) - $(of "$n-4K" nops)")
	emit "$s-4K" "${n%-from}" more_nops "$nops" instructions
	emit "$s-4K" "${n%-from}" more_instructions "$more" instructions
	must "$s: no more instructions than unpatched, with $nops more NOPs among them" "$more <= 0"
done
must 'cc: to boot takes no more instructions than with legacy' "$(of cc boot_us) <= $(of legacy boot_us)"
must 'cc: after boot no less memory is free than with legacy' "$(of cc boot_free_kib) >= $(of legacy boot_free_kib)"
must 'cc, two CPUs: no LOCK prefix' "$(of cc-2cpus locked_instructions) == 0"
must 'cc, two CPUs: no cli, sti, pushf or popf' "$(of cc-2cpus irq_flag_instructions) == 0"
must 'legacy, two CPUs: cache lines that both write are found' "$(of legacy-2cpus shared_lines_written) > 0"
must 'cc, two CPUs: no cache line that both write' "$(of cc-2cpus shared_lines_written) == 0"
must 'cc_swiotlb_find_pool takes 25 instructions at most' "$(of cc find_pool_instructions) <= 25"
must "cc_swiotlb_find_pool with $(of cc-10000-chunks chunks) chunks takes as many" "$(of cc-10000-chunks find_pool_instructions) == $(of cc find_pool_instructions)"

step "wrote out/bench-icount.json"
conclude
