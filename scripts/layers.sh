#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# layers.sh <build directory>: the files of the allocator call one way only, and no
# other file of the kernel includes a header of theirs. From the objects of the build,
# so that what a header makes of a call counts, too. Prints what goes up; fails on it.
. "$(dirname "$0")/lib.sh"

need nm
dir=kernel/dma/cc-swiotlb
# Each uses only what stands to its left. Those of one place do not use each other.
order=(state memory class depot table chunk block holders magazine drain held coherent 'map grow' loan kccd fast options stats core)

level=0
declare -A level_of file_of
for files in "${order[@]}"; do
	level=$((level + 1))
	for f in $files; do
		level_of[$f]=$level
	done
done

failed=0
say() {
	echo "$*"
	failed=1
}

objects=("$1/$dir"/*.o)
[ -e "${objects[0]}" ] || die "$1 has no objects of $dir: build them"
for o in "${objects[@]}"; do
	f=$(basename "$o" .o)
	[ "${level_of[$f]-}" ] || say "$dir/$f.c is in no layer: give it a place in scripts/layers.sh"
	while read -r symbol; do
		file_of[$symbol]=$f
	done < <(nm --defined-only -g "$o" | awk '{ print $3 }')
done
for o in "${objects[@]}"; do
	f=$(basename "$o" .o)
	while read -r symbol; do
		to=${file_of[$symbol]-}
		if [ -z "$to" ] || [ "${level_of[$f]-0}" -gt "${level_of[$to]-0}" ]; then
			continue
		fi
		say "$dir/$f.c uses $symbol of $to.c, which stands above it"
	done < <(nm -u "$o" | awk '{ print $2 }')
done

while read -r f; do
	case $f in
	/"$dir"/*) ;;
	*)
		! grep -nH '^#[[:space:]]*include.*cc-swiotlb/' "$src_cc$f" | sed "s|^$src_cc/||" | grep . ||
			say "the above is outside of $dir and includes a header of it"
		;;
	esac
done < <(grep '\.[chS]$' "$src_cc/.cc-swiotlb-files")
exit $failed
