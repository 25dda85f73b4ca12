#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The fast static checks: checkpatch --strict, shellcheck, sparse and W=1 on our
# objects and on the files in kernel/ and lib/ that we patch, kernel-doc, and calls
# between our files that go the wrong way; whether the guests' kernels configure as
# they are to; and how much the allocator adds to swiotlb.c before it is called.
# Writes out/static.json.
. "$(dirname "$0")/lib.sh"

"$top/scripts/deps.sh"
t=$("$top/scripts/apply.sh")
record_to static

mapfile -t ours < <(sed 's|^/||' "$t/.cc-swiotlb-files" | grep -E '\.[ch]$')
mapfile -t new < <(for f in "${ours[@]}"; do [ -e "$src/$f" ] || echo "$f"; done)

shell() {
	local f
	shellcheck "$top"/scripts/*.sh "$top"/tests/{tools,cvm}/*.sh "$top/.ci/run" &&
		shellcheck -x -s dash "$top"/tests/guest/* "$top/tests/cvm/host-init" || return
	# The host's and the guest's part of each scenario, with their line numbers
	for f in "$top"/tests/stress/*; do
		echo "in $f:"
		sed '/^### guest$/,$s/.*//' "$f" | shellcheck -s bash -e SC2034,SC2154 - || return
		sed '1,/^### guest$/s/.*//' "$f" | shellcheck -x -s dash -P "$top/tests/guest" - || return
	done
}

kernel_doc() {
	local tool=$t/tools/docs/kernel-doc said
	[ -x "$tool" ] || tool=$t/scripts/kernel-doc
	said=$(cd "$t" && "$tool" -none -Wall "${new[@]}" 2>&1) || said+="kernel-doc ended with status $?"
	[ -z "$said" ] || { printf '%s\n' "$said" && return 1; }
}

# gcc W=1 and sparse; what they say of other files is not ours to mend.
objects() {
	local b=$t/build-static targets
	mkdir -p "$b"
	{
		(cd "$t" && ARCH=x86_64 scripts/kconfig/merge_config.sh -n -O "$b" "$top"/configs/{x86-guest,cc}.config \
			"$top/tests/kunit/.kunitconfig" \
			<(printf '%s\n' '# CONFIG_WERROR is not set' CONFIG_BLOCK=y CONFIG_BLK_DEV_INTEGRITY=y)) && kmake "$t" "$b" prepare
	} >"$b/build.log" 2>&1 || {
		tail "$b/build.log"
		return 1
	}
	mapfile -t targets < <(printf '%s\n' "${ours[@]}" | sed -nE 's/^((kernel|lib)\/.*)\.c$/\1.o/p')
	(cd "$b" && rm -f "${targets[@]}")
	kmake "$t" "$b" -k W=1 C=2 "${targets[@]}" >"$b/build.log" 2>&1 || true
	# sparse cannot expand the flags of the kernel's own trace events.
	! grep -E -e "^(\.\./)?($(IFS='|' && echo "${ours[*]}")):.*(warning|error):" -e '\*\*\*' "$b/build.log" |
		grep -v ': error: too long token expansion$'
}

# The benchmark that make bench-native builds in: it compiles, which nothing else sees. Its
# sources look for the allocator's beside them.
bench() {
	local b=$t/build-static m=$t/build-static/bench
	rm -rf "$m"
	mkdir "$m"
	cp -r "$top/tests/bench/swiotlb-bench" "$m/"
	ln -s "$t/kernel/dma/cc-swiotlb" "$m/cc-swiotlb"
	kmake "$t" "$b" M="$m/swiotlb-bench" W=1 KCFLAGS=-Werror swiotlb_bench.o alternatives.o
}

# The guests' kernels have the options that are asked for, by the names of this version.
configurations() {
	"$top/scripts/build.sh" -n dynamic cc cc-off cc-debug cc-stress cc-trace cc-numa iommu luks
}

# What the hunks for two versions have in common is there twice.
duplicates() {
	local first=${versions[0]} last=${versions[-1]}
	lines() { # version
		(cd "$top/patches/$1" && grep -E '^[+-]' ./*.patch | grep -vE ':(\+\+\+|---) ' | sort)
	}
	comm -12 <(lines "$first") <(lines "$last") | wc -l
}

# What swiotlb.c gets so that it calls the allocator: without the command line, and without
# the shorter way, which is optional.
seam() { # version
	(cd "$top/patches/$1" && cat cc-swiotlb-structures.patch swiotlb-let-cc-swiotlb-allocate.patch) |
		awk '/^--- / { ours = $2 == "a/kernel/dma/swiotlb.c" } /^\+/ && !/^\+\+\+ / && ours { n++ } END { print n + 0 }'
}

check shellcheck shell
check checkpatch "$top/scripts/checkpatch-run.sh"
check kernel-doc kernel_doc
check sparse-and-W1 objects
[ "$kver" != "${versions[-1]}" ] || check bench bench
check configurations configurations
check layers "$top/scripts/layers.sh" "$t/build-static"
check order "$top/scripts/series-order.sh" "$t/build-static"
n=$(duplicates)
emit patches cc lines_in_both_versions "$n" lines
for v in "${versions[@]}"; do
	n_seam=$(seam "$v")
	emit "seam-$v" cc added_lines "$n_seam" lines
	must "seam-$v" "0 < $n_seam and $n_seam <= 80"
done
step "patches/${versions[0]} and patches/${versions[-1]} have $n changed lines in common"
conclude
