# shellcheck shell=bash disable=SC2154 # lib.sh sets the variables
# SPDX-License-Identifier: GPL-2.0
# How kernel trees are made: . "$(dirname "$0")/stage.sh", after lib.sh.
#
# A tree is the kernel as it came, $src, and on top of it what has been staged: the
# patches of the series, in the order and with the files that patches/series says, and
# patches or directories of a test bed. Nothing else knows how to make one.
#
#	stage_begin; stage_series; stage_patch_file <patch>...; make_tree <directory>

need patch
hunks_dir=$top/patches/$kver
stage='' leave_out=0 # not what the environment says
patch_lines=650

# Where a file of this repository goes in the kernel: sets $to
kernel_path() {
	case $1 in
	tests/kunit/*) to=kernel/dma/cc-swiotlb/tests/${1#tests/kunit/} ;;
	*) to=$1 ;;
	esac
}

# The files of this repository that belong into the kernel. What is in Documentation/
# itself does not.
kernel_files() {
	local dirs=(Documentation/{ABI,admin-guide,core-api} include kernel lib tests/kunit tools/ccstat) f
	{
		git -C "$top" ls-files -co --exclude-standard -- "${dirs[@]}" 2>/dev/null ||
			(cd "$top" && find "${dirs[@]}" -type f ! -name '.*.sw?')
	} | while read -r f; do
		[ ! -f "$top/$f" ] || echo "$f"
	done | sort -u
}

# The list: patch i is ${patch_name[i]}, with ${patch_hunks[i]} (a file name or
# nothing) and ${patch_files[i]} (of this repository, one a line). A patch of which
# nothing is for this version is not in it. $long_patches may have any number of lines.
read_series() {
	local list=$top/patches/series what rest i=-1 n=0
	long_patches=''
	local -a name=() hunk=() file=()
	[ -f "$list" ] || die "patches/series is missing: restore it from git"
	while read -r what rest; do
		n=$((n + 1))
		case $what in
		'' | '#'*) ;;
		patch)
			i=$((i + 1))
			name[i]=$rest hunk[i]='' file[i]=''
			[ -f "$top/patches/messages/$rest" ] ||
				die "patches/series:$n: $rest has no message: write patches/messages/$rest"
			;;
		hunks)
			[ -z "$rest" ] || [[ " $rest " = *" $kver "* ]] || continue
			hunk[i]=${name[i]}.patch
			[ -s "$hunks_dir/${hunk[i]}" ] ||
				die "patches/series:$n: patches/$kver/${hunk[i]} is missing or empty: restore it from git"
			;;
		long) long_patches+=" ${name[i]} " ;;
		*)
			[ -f "$top/$what" ] || die "patches/series:$n: there is no $what: correct the list"
			file[i]+=$what$'\n'
			;;
		esac
	done <"$list"
	patch_name=() patch_hunks=() patch_files=()
	for ((n = 0; n <= i; n++)); do
		[ "${hunk[n]}${file[n]}" ] || continue
		patch_name+=("${name[n]}") patch_hunks+=("${hunk[n]}") patch_files+=("${file[n]}")
	done
	check_series
}

# The patches with more lines than somebody reads at once, but for those that say so
too_long() {
	local i args=()
	for ((i = 0; i < ${#patch_name[@]}; i++)); do
		[[ $long_patches != *" ${patch_name[i]} "* ]] || continue
		mapfile -t -O ${#args[@]} args < <(echo "name=${patch_name[i]}" && printf %s "${patch_files[i]}" &&
			{ [ -z "${patch_hunks[i]}" ] || echo "patches/$kver/${patch_hunks[i]}"; })
	done
	(cd "$top" && awk -v most=$patch_lines '
		FILENAME !~ /\.patch$/ || /^[-+]/ && !/^(---|\+\+\+) / { lines[name]++ }
		END { for (name in lines) if (lines[name] > most) print name " (" lines[name] ")" }' "${args[@]}" | sort)
}

# Every file is in exactly one patch of the list, and the patches are not too long.
check_series() {
	local wrong
	wrong=$(printf '%s' "${patch_files[@]}" | sort | uniq -d)
	[ -z "$wrong" ] || die "patches/series: ${wrong//$'\n'/, } in more than one patch: leave one"
	wrong=$(comm -13 <(printf '%s' "${patch_files[@]}" | sort) <(kernel_files))
	[ -z "$wrong" ] || die "patches/series: ${wrong//$'\n'/, } in no patch: say with which one it enters"
	wrong=$(comm -13 <(printf '%s\n' "${patch_hunks[@]}" | sort) <(cd "$hunks_dir" && printf '%s\n' *.patch))
	[ -z "$wrong" ] || die "patches/$kver: ${wrong//$'\n'/, } in no patch of patches/series: say where it belongs"
	wrong=$(comm -13 <(sed -n 's/^patch //p' "$top/patches/series" | sort) <(cd "$top/patches/messages" && printf '%s\n' *))
	[ -z "$wrong" ] || die "patches/messages: ${wrong//$'\n'/, } of no patch in patches/series: correct one of them"
	wrong=$(too_long)
	[ -z "$wrong" ] || die "patches/series: more than $patch_lines lines: ${wrong//$'\n'/, }: split it, or say 'long' there"
}

stage_begin() {
	[ -z "$stage" ] || rm -rf "$stage" "$stage".*
	stage=$(mktemp -d "$cache/stage.XXXXXX")
	trap 'end_background; rm -rf "$stage" "$stage".*' EXIT
	declare -gA entered=()
	declare -ga partial=()
	read_series
	# By these the build files know what is still to come.
	to_come=$(printf '%s' "${patch_files[@]}" | sed 's|^tests/kunit/|kernel/dma/cc-swiotlb/tests/|')
}

# What the kernel has of each file that a patch changes
stage_originals() { # patch
	local f
	sed -n 's/^--- a\///p' "$1" | cut -f1 | while read -r f; do
		[ ! -f "$stage/$f" ] || continue
		[ ! -f "$src/$f" ] || install -D -m "$(stat -c %a "$src/$f")" "$src/$f" "$stage/$f"
	done
}

# Apply a patch to what is staged; every hunk that fails is named in $stage.failed.
stage_patch_file() { # patch...
	local p log
	for p; do
		stage_originals "$p"
		log=$(patch -d "$stage" -p1 -F0 -f --no-backup-if-mismatch -r - -i "$p") && continue
		awk -v p="${p#"$top/"}" '
			/^patching file|^checking file/ { f = $3; seen = 1 }
			/can.t find file to patch/ { f = "" }
			/^\|--- a\// { if (f == "") f = substr($2, 3) }
			/^Hunk.*FAILED/ { printf "%s: hunk %s of %s\n", p, $2, f; seen = 2 }
			/hunks? ignored/ { printf "%s: all hunks of %s, which is not there\n", p, f; seen = 2 }
			/malformed/ { printf "%s: %s\n", p, $0; seen = 2 }
			END { if (seen < 2) printf "%s: cannot be applied\n", p }' <<<"$log" >>"$stage.failed"
	done
}

# After all patches, so that one run names all hunks that fail
stage_end() {
	local f
	[ ! -s "$stage.failed" ] ||
		die "Linux $(tree_version "$src") differs from what patches/$kver is for:"$'\n'"$(sed 's/^/    /' "$stage.failed")"$'\n'"refresh these hunks"
}

# Copy a directory of the repository to one of the kernel, for a test bed.
stage_dir() { # from, to
	local f
	(cd "$top/$1" && find . -type f ! -name '.*.sw?' -printf '%P\n') | while read -r f; do
		install -D -m 644 "$top/$1/$f" "$stage/$2/$f"
	done
}

# The lines of a build file whose objects have entered. A line enters with the
# source that it names; a comment with the line that follows it; a Kconfig symbol
# for KUnit with the tests' Makefile.
entered_lines() { # file of the repository, its directory in the kernel
	local f
	for f in $to_come; do
		[ "${entered[$f]-}" ] || echo "$f"
	done | awk -v dir="$2/" '
		FILENAME == "-" { missing[$1]; next }
		/^config / { later = /KUNIT/ && (dir "tests/Makefile") in missing }
		/^#|^$/ { held = held $0 "\n"; next }
		{
			drop = later
			n = split($0, word, /[^A-Za-z0-9_\/.-]+/)
			for (i = 1; i <= n; i++) {
				w = word[i]
				sub(/^CFLAGS_/, "", w)
				if (sub(/\.o$/, ".c", w) || sub(/\/$/, "/Makefile", w))
					drop = drop || (dir w) in missing
			}
			if (!drop)
				print held $0
			held = ""
		}' - "$1"
}

stage_file() { # file of the repository
	local to
	kernel_path "$1"
	[ ! -e "$src/$to" ] || die "$1: Linux $(tree_version "$src") has this file: make it a patch"
	entered[$to]=1
	case $to in
	kernel/*/Makefile | kernel/*/Kconfig)
		partial+=("$1")
		return
		;;
	esac
	install -D -m "$(stat -c %a "$top/$1")" "$top/$1" "$stage/$to"
}

# Go from patch i - 1 of the series to patch i.
stage_patch() { # i
	local f to
	while read -r f; do
		[ -z "$f" ] || stage_file "$f"
	done <<<"${patch_files[$1]}"
	for f in "${partial[@]}"; do
		kernel_path "$f"
		mkdir -p "$stage/${to%/*}"
		entered_lines "$top/$f" "${to%/*}" >"$stage/$to"
	done
	[ -z "${patch_hunks[$1]}" ] || stage_patch_file "$hunks_dir/${patch_hunks[$1]}"
}

stage_series() { # leave_out: how many patches at its end
	local i
	for ((i = 0; i < ${#patch_name[@]} - leave_out; i++)); do
		stage_patch $i
	done
}

# The number of a patch that is in the list for this version
patch_number() { # name
	local i
	for ((i = 0; i < ${#patch_name[@]}; i++)); do
		[ "${patch_name[i]}" != "$1" ] || echo $i
	done
}

# The kernel without what is built in it, into a new directory
copy_kernel() { # directory, --link or nothing
	rm -rf "$1.new"
	mkdir "$1.new"
	find "$src" -mindepth 1 -maxdepth 1 ! -name 'build-*' -exec cp -a ${2:+"$2"} -t "$1.new" {} +
	rm -rf "$1"
	mv "$1.new" "$1"
}

# What has changed in a tree of the user's since then; of directories that the
# kernel has not, nothing.
update_kernel() { # directory, --link or nothing
	local d manifest=$1/.cc-swiotlb-files
	sed 's|/[^/]*$||' "$manifest" | sort -u | while read -r d; do
		[ -d "$src$d" ] || echo "$d"
	done >"$stage.dirs"
	rsync -a --delete ${2:+--link-dest="$src"} --exclude='/build-*' --exclude=/.cc-swiotlb-files \
		--exclude-from="$manifest" --exclude-from="$stage.dirs" "$src/" "$1/"
}

# Make a directory the kernel with what is staged. Touches only files whose content
# changes, so that make stays incremental; $changed says how many. A directory that
# nobody edits can have --link: files that are the kernel's own are links to it.
make_tree() { # directory [--link]
	local t=$1 manifest=$1/.cc-swiotlb-files f
	stage_end
	if [ ! -f "$manifest" ]; then
		step "copying the tree to ${t##*/}"
		copy_kernel "$t" "${2:-}"
		: >"$manifest"
	elif [ -n "${KSRC:-}" ]; then
		need rsync
		update_kernel "$t" "${2:-}"
	fi
	changed=0
	(cd "$stage" && find . -type f -printf '/%P\n' | sort) >"$stage.files"
	# What was there goes at the end: a run that is cut short forgets nothing.
	mv "$manifest" "$stage.before"
	sort -u "$stage.before" "$stage.files" >"$manifest"
	while read -r f; do
		cmp -s "$stage$f" "$t$f" && continue
		changed=$((changed + 1))
		install -D -m "$(stat -c %a "$stage$f")" "$stage$f" "$t$f"
	done <"$stage.files"
	while read -r f; do
		changed=$((changed + 1))
		rm -f "$t$f"
		[ ! -f "$src$f" ] || install -m "$(stat -c %a "$src$f")" "$src$f" "$t$f"
	done < <(comm -23 "$stage.before" "$stage.files")
	mv "$stage.files" "$manifest"
}
