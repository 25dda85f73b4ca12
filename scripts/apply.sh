#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Bring the patched tree up to date: pristine + the series. Touches only files whose
# content changes; if hunks do not apply, the tree stays as it was and each of them is
# named. Prints the directory. apply.sh peer: the tree of what cc-swiotlb is compared
# with: pristine + the one patch that counts what is copied.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/stage.sh"

"$top/scripts/get-kernel.sh" >/dev/null
lock "apply-$tree"
stage_begin
if [ "${1:-}" = peer ]; then
	stage_patch "$(patch_number swiotlb-count-what-is-copied)"
	make_tree "$src_peer" --link
	echo "$src_peer"
	exit
fi
stage_series
make_tree "$src_cc"
step "patched tree: $changed files changed"
echo "$src_cc"
