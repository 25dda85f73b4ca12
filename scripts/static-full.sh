#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make static-full: the fast static checks, then our objects with clang, with the
# compilers of five architectures, with each Kconfig option that matters on and off,
# coccinelle, and the documents with sphinx. Writes out/static-full.json.
. "$(dirname "$0")/lib.sh"
no_arguments "$@"

"$top/scripts/deps.sh" clang-19 lld-19 llvm-19 coccinelle ocaml python3-sphinx "${triplet[@]/#/gcc-}"
t=$("$top/scripts/apply.sh")
record_to static-full

mapfile -t ours < <(sed 's|^/||' "$t/.cc-swiotlb-files" | grep -E '\.[ch]$')
warning="^(\.\./)?($(IFS='|' && echo "${ours[*]}")):.*(warning|error):"

# objects <build> <make arguments> <symbol...>: kernel/dma and the genalloc extension
objects() {
	local b=$t/build-static-$1 arguments targets s
	read -r -a arguments <<<"$2"
	shift 2
	mkdir -p "$b"
	printf 'CONFIG_%s\n' EXPERT=y SMP=y PCI=y VIRTIO_MENU=y DEBUG_FS=y CC_SWIOTLB=y "$@" >"$b/fragment"
	(cd "$t" && env "${arguments[@]}" scripts/kconfig/merge_config.sh -n -O "$b" "$b/fragment") >"$b/config.log" 2>&1 || return
	for s in CC_SWIOTLB=y "$@"; do
		case " $* " in *" ${s%=y}=n "*) continue ;; esac
		case $s in
		*=n) ! grep -q "^CONFIG_${s%n}y" "$b/.config" ;;
		*) grep -q "^CONFIG_$s" "$b/.config" ;;
		esac || {
			echo "$s is not in the configuration" && return 1
		}
	done
	rm -rf "$b/kernel/dma" "$b/lib/genalloc-ext.o"
	targets=(kernel/dma/)
	! grep -q ^CONFIG_CC_SWIOTLB=y "$b/.config" || targets+=(lib/genalloc-ext.o)
	{
		kmake "$t" "$b" "${arguments[@]}" prepare && kmake "$t" "$b" "${arguments[@]}" W=1 "${targets[@]}"
	} >"$b/build.log" 2>&1 || {
		tail -20 "$b/build.log"
		return 1
	}
	! grep -E "$warning" "$b/build.log"
}

# All of our files in a directory of their own, so that each rule is applied once.
cocci() {
	local b=$t/build-static-cocci f
	rm -rf "$b"
	for f in "${ours[@]}"; do
		install -D "$t/$f" "$b/$f" || return
	done
	make -C "$t" coccicheck "M=$b" MODE=report "J=$(nproc)" "DEBUG_FILE=$b/debug.log" >"$b/report.log" 2>&1 || {
		tail -20 "$b/report.log"
		return 1
	}
	# Linux 6.12 reports paths as M= has them.
	! grep -E '^(\./|/)[^ ]*:[0-9]+:' "$b/report.log"
}

# Our documents by themselves, as the tree's own sphinx configuration reads them, and
# the ABI file; without what is said of the tree's other files and of missing tools.
documents() {
	local d=$t/build-static-docs f tool options=()
	rm -rf "$d"
	mkdir -p "$d/Documentation" "$d/abi"
	cp "$t/Documentation/conf.py" "$d/Documentation"
	for f in MAINTAINERS Documentation/{sphinx,sphinx-static,images}; do
		ln -s "$t/$f" "$d/$f"
	done
	printf '%s\n\n' cc-swiotlb ========== '.. toctree::' >"$d/Documentation/index.rst"
	while read -r f; do
		install -D "$t$f" "$d$f"
		f=${f#/Documentation/}
		echo "   ${f%.rst}" >>"$d/Documentation/index.rst"
	done < <(grep '/cc-swiotlb.*\.rst$' "$t/.cc-swiotlb-files")
	# Not of the series.
	cp "$top"/Documentation/{benchmarks,tested}.rst "$d/Documentation"
	printf '   %s\n' benchmarks tested >>"$d/Documentation/index.rst"
	cp "$top"/Documentation/ABI/testing/* "$d/abi" || return
	tool=$t/tools/docs/get_abi.py
	[ -x "$tool" ] || tool=$t/scripts/get_abi.pl
	! "$tool" --dir "$d/abi" validate 2>&1 | grep . || return
	[ -x "$t/tools/docs/kernel-doc" ] || options=(-D "kerneldoc_bin=$t/scripts/kernel-doc")
	(cd "$d/Documentation" && srctree=$t sphinx-build -q -D "kerneldoc_srctree=$t" "${options[@]}" . "$d/html") >"$d/log" 2>&1 || {
		cat "$d/log"
		return 1
	}
	! grep -v -e 'dot(1) not found' -e '^Using .* theme' -e ' is defined [0-9]* times: .*/ABI/' "$d/log"
}

cross() { # architecture
	echo "ARCH=$1 CROSS_COMPILE=${triplet[$1]}- CC=${triplet[$1]}-gcc"
}

check fast "$top/scripts/static.sh"
x86='ARCH=x86_64'
check gcc objects gcc "$x86" 64BIT=y
check clang objects clang "$x86 LLVM=-19 CC=clang-19" 64BIT=y
for arch in "${!triplet[@]}"; do
	symbols=()
	# KUnit runs the other endianness.
	[ "$arch" != powerpc ] || symbols=(PPC64=y CPU_LITTLE_ENDIAN=y PPC_PSERIES=y PPC_SVM=y)
	check "$arch" objects "$arch" "$(cross "$arch")" "${symbols[@]}"
done
check off objects config "$x86" 64BIT=y CC_SWIOTLB=n
check no-smp objects config "$x86" 64BIT=y SMP=n
check no-debugfs objects config "$x86" 64BIT=y DEBUG_FS=n
check dynamic objects config "$x86" 64BIT=y SWIOTLB_DYNAMIC=y
# On x86 it cannot be left out.
check no-cpu-hotplug objects arm64 "$(cross arm64)" HOTPLUG_CPU=n
[ "$kver" = 6.12 ] || check preempt-rt objects config "$x86" 64BIT=y PREEMPT_RT=y
check coccinelle cocci
check documents documents
conclude
