#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Bring the patched tree up to date: pristine + the series. Touches only files whose
# content changes; if hunks do not apply, the tree stays as it was and each of them is
# named. Prints the directory. "apply.sh seam": a tree without the last patch of the
# series, which is optional, to measure what that one is worth. "apply.sh peer": the
# tree that cc-swiotlb is compared with, without the series but for the patch that
# counts what is copied. "apply.sh faults": with the test bed's patch of tests/faults/,
# which lets functions fail, and that of $FAULTS_MUTANT, if it is set. "apply.sh pristine": the kernel as it came.
. "$(dirname "$0")/lib.sh"
[ $# -le 1 ] || die "apply.sh makes one tree, and would ignore '${*:2}': call it once for each"
. "$(dirname "$0")/stage.sh"

"$top/scripts/deps.sh" --only patch rsync xz-utils
"$top/scripts/get-kernel.sh" >/dev/null
lock "apply-$tree"
stage_begin
case ${1:-} in
'')
	t=$src_cc
	stage_series
	make_tree "$t"
	;;
seam)
	t=$src-seam
	leave_out=1 stage_series
	make_tree "$t" --link
	;;
faults)
	t=$src-faults
	stage_series
	stage_patch_file "$top/tests/faults/$kver.patch" ${FAULTS_MUTANT:+"$FAULTS_MUTANT"}
	make_tree "$t" --link
	;;
peer)
	t=$src_peer
	stage_patch "$(patch_number swiotlb-count-what-is-copied)"
	make_tree "$t" --link
	;;
pristine)
	t=$src-pristine
	make_tree "$t" --link
	;;
*) die "apply.sh: no '$1': use seam, faults, peer, pristine or nothing" ;;
esac
step "${t##*/}: $changed files changed"
echo "$t"
