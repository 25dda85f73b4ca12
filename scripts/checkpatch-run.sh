#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The kernel's checkpatch --strict over this repository's kernel sources and tools, as
# files, and over its hunks, as patches (series-check.sh does it with what is made of
# them). Nothing must be reported. Writes out/checkpatch-run.json.
. "$(dirname "$0")/lib.sh"
no_arguments "$@"

"$top/scripts/deps.sh"
src=$("$top/scripts/get-kernel.sh")
record_to checkpatch-run
# checkpatch leaves a cache of names behind in the directory it runs in.
trap 'rm -f "$top"/.checkpatch-camelcase.*' EXIT

cd "$top"
mapfile -t files < <(find kernel lib include tests/kunit tools -name '*.[ch]' -o -name Kconfig -o -name Makefile | sort)
mapfile -t series < <(find patches -name '*.patch' | sort)
nothing_in_files() {
	local f
	! for f in "${files[@]}"; do
		checkpatch -f "$f"
	done | grep .
}
nothing_in_patches() {
	local f
	! for f in "${series[@]}"; do
		checkpatch --ignore MISSING_SIGN_OFF,COMMIT_MESSAGE "$f" | sed "s|^:|$f:|"
	done | grep .
}
check files nothing_in_files
check patches nothing_in_patches
emit files cc checked ${#files[@]} files
emit patches cc checked ${#series[@]} patches
conclude
