#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Which lines of the allocator and of genalloc-ext KUnit runs through, on UML:
# these files alone are compiled for gcov. 90 % of each file must be reached; says which
# lines were not, and writes out/coverage.json. KVER=7.3 by default, which has two CPUs
# on UML.
[ -n "${KSRC:-}" ] || export KVER=${KVER:-7.3}
. "$(dirname "$0")/lib.sh"
no_arguments "$@"

"$top/scripts/deps.sh"
least=90
t=$("$top/scripts/apply.sh")
lock "coverage-$tree"
b=build-coverage
log=$out/coverage.log
record_to coverage
cd "$t"
mapfile -t sources < <(find kernel/dma/cc-swiotlb -maxdepth 1 -name '*.c' | sort; echo lib/genalloc-ext.c)

# Flags for one object are make variables, by name. Other directories have
# objects of the same name: the directory decides. core.o has a flag already.
# libgcov and fs/seq_file.c each have a mangle_path(), which only the latter uses.
args=(--kunitconfig=kernel/dma/cc-swiotlb/tests --build_dir="$b" --jobs="$(nproc)" --timeout=900
	--make_options 'CC=ccache gcc' --make_options 'LD_FLAGS_CMDLINE=--coverage -Wl,--allow-multiple-definition,-fini=__gcov_exit'
	"${uml_config[@]}" "${uml_run[@]}" --kernel_args 'swiotlb=cc' --kernel_args 'cc_swiotlb=max=64M')
for f in "${sources[@]}"; do
	o=$(basename "$f" .c)
	flags="--coverage -fprofile-update=atomic"
	[ "$o" != core ] || flags+=" -I\$(src)"
	args+=(--make_options "CFLAGS_$o.o=\$(if \$(filter ${f%/*},\$(obj)),$flags)")
done

step "KUnit with gcov"
find $b -name '*.gcda' -delete 2>/dev/null || true
kunit_py "$t" run "${args[@]}" >"$log" 2>&1 ||
	die "KUnit fails: see $log; 'make kunit' must pass first"

# Lines of a file by gcov, those of inlined headers apart: {line, count}.
lines() { # source
	(cd $b && gcov --json-format --stdout "${1%.c}.gcda" 2>/dev/null) |
		jq --arg f "/$1" '[.files[] | select(("/" + .file) | endswith($f)) | .lines[] | {line: .line_number, count}]
		                  | group_by(.line) | map({line: .[0].line, count: (map(.count) | add)})'
}

for f in "${sources[@]}"; do
	[ -f "$b/${f%.c}.gcda" ] || die "$b/${f%.c}.gcda was not written: the kernel did not exit cleanly, see $log"
	l=$(lines "$f")
	[ "$(jq length <<<"$l")" != 0 ] || die "gcov finds no line of $f: see $log"
	ratio=$(jq '(map(select(.count > 0)) | length) / length' <<<"$l")
	emit "$f" cc line_coverage "$ratio" ratio
	missed=$(jq -r 'map(select(.count == 0) | .line) | join(" ")' <<<"$l")
	said="$(jq '. * 1000 | floor / 10' <<<"$ratio") % of $(jq length <<<"$l") lines${missed:+, not $missed}"
	if [ "$(jq --argjson least $least '. * 100 >= $least' <<<"$ratio")" = true ]; then
		judge passed "$f" "$said"
	else
		judge failed "$f" "$said: add the tests that are missing"
	fi
done
conclude
