#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The kernel's checkpatch --strict over this repository's kernel sources and tools, as
# files, and over its hunks, as patches (series-check.sh does it with what is made of
# them). Prints what is reported and a summary; fails on anything reported.
. "$(dirname "$0")/lib.sh"

"$top/scripts/deps.sh"
src=$("$top/scripts/get-kernel.sh")
log=$(mktemp)
# checkpatch leaves a cache of names behind in the directory it runs in.
trap 'rm -f "$log" "$top"/.checkpatch-camelcase.*' EXIT

cd "$top"
mapfile -t files < <(find kernel lib include tests/kunit tools -name '*.[ch]' -o -name Kconfig -o -name Makefile | sort)
mapfile -t series < <(find patches -name '*.patch' | sort)
{
	for f in "${files[@]}"; do
		checkpatch -f "$f"
	done
	for f in "${series[@]}"; do
		checkpatch --ignore MISSING_SIGN_OFF,COMMIT_MESSAGE "$f" | sed "s|^:|$f:|"
	done
} >"$log"
cat "$log"
n=$(wc -l <"$log")
echo "checkpatch: ${#files[@]} files, ${#series[@]} patches, $n reports"
[ "$n" = 0 ]
