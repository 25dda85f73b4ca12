#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Bring the patched tree up to date: pristine + this repository's files
# + patches/$KVER/series. Touches only files whose content changes, so that
# make stays incremental; a hunk that does not apply leaves the tree as it was.
# Prints the directory.
. "$(dirname "$0")/lib.sh"

need patch
"$top/scripts/get-kernel.sh" >/dev/null
lock "apply-$tree"
patches=$top/patches/$kver
manifest=$src_cc/.cc-swiotlb-files
stage=$(mktemp -d "$cache/stage.XXXXXX")
trap 'rm -rf "$stage" "$stage.files"' EXIT

stage_patches() {
	local p f log
	[ -f "$patches/series" ] || die "$patches/series is missing: restore it from git"
	grep -v -e '^#' -e '^$' "$patches/series" | while read -r p; do
		[ -f "$patches/$p" ] || die "$patches/$p is in the series but missing: restore it from git"
		sed -n 's/^--- a\///p' "$patches/$p" | cut -f1 | while read -r f; do
			[ ! -f "$stage/$f" ] || continue
			[ -f "$src/$f" ] || die "patches/$kver/$p: Linux $(tree_version "$src") has no $f: new files belong outside patches/"
			install -D -m "$(stat -c %a "$src/$f")" "$src/$f" "$stage/$f"
		done
		log=$(patch -d "$stage" -p1 -F0 -f --no-backup-if-mismatch -r - -i "$patches/$p") ||
			die "patches/$kver/$p: $(awk '/^patching file/ { f = $3 } /^Hunk.*FAILED|malformed/ { printf "%s%s: %s", s, f, $0; s = "; " }' <<<"$log"): refresh the patch for Linux $(tree_version "$src")"
	done
}

stage_dir() { # from in the repository, to in the kernel
	local f
	[ -d "$top/$1" ] || return 0
	(cd "$top/$1" && find . -type f ! -name '.*.sw?') | while read -r f; do
		f=${f#./}
		[ ! -e "$src/$2/$f" ] || die "$1/$f: Linux $(tree_version "$src") has this file: make it a patch"
		install -D -m "$(stat -c %a "$top/$1/$f")" "$top/$1/$f" "$stage/$2/$f"
	done
}

stage_patches
stage_dir kernel kernel
stage_dir lib lib
stage_dir include include
stage_dir Documentation Documentation
stage_dir tests/kunit kernel/dma/cc-swiotlb/tests
stage_dir tools/ccstat tools/ccstat

if [ ! -d "$src_cc" ]; then
	step "copying the tree"
	rm -rf "$src_cc.new"
	mkdir "$src_cc.new"
	find "$src" -mindepth 1 -maxdepth 1 ! -name 'build-*' -exec cp -a -t "$src_cc.new" {} +
	mv "$src_cc.new" "$src_cc"
	touch "$manifest"
elif [ -n "${KSRC:-}" ]; then
	rsync -a --delete --exclude='/build-*' --exclude="/${manifest##*/}" --exclude-from="$manifest" \
		--exclude=/kernel/dma/cc-swiotlb --exclude=/tools/ccstat "$src/" "$src_cc/"
fi

n=0
(cd "$stage" && find . -type f -printf '/%P\n' | sort) >"$stage.files"
while read -r f; do
	cmp -s "$stage$f" "$src_cc$f" && continue
	n=$((n + 1))
	install -D -m "$(stat -c %a "$stage$f")" "$stage$f" "$src_cc$f"
done <"$stage.files"
while read -r f; do
	n=$((n + 1))
	rm -f "$src_cc$f"
	[ ! -f "$src$f" ] || install -m "$(stat -c %a "$src$f")" "$src$f" "$src_cc$f"
done < <(comm -23 "$manifest" "$stage.files")
mv "$stage.files" "$manifest"
step "patched tree: $n files changed"
echo "$src_cc"
