#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make series: the series as one sends it to a list, made by git format-patch on a
# scratch repository, into out/series/<version>/. "git am" applies it to a tree of that
# version. Author and sign-off are git's identity of whoever runs this. The cover letter
# is patches/cover; its figures and those of the messages come from out/*.json, and what
# was not measured, or by a run that failed, is left out. Without KVER and KSRC for all
# versions. Prints the directories.
# series.sh [directory]: there instead and to nobody, for a check of it; for one version,
# and what is there may only be patches, which it replaces.
. "$(dirname "$0")/lib.sh"

"$top/scripts/deps.sh" --only git perl jq patch rsync xz-utils
if [ $# -gt 0 ]; then
	[ "$asked" ] || die "series.sh $1: it would get the patches for ${versions[*]} in turn: set KVER or KSRC"
	other=$(find "$1" -mindepth 1 ! -name '[0-9]*.patch' -print -quit 2>/dev/null || true)
	[ -z "$other" ] || die "series.sh $1: $other is no patch of a series: give a directory for them alone"
fi
[ "$asked" ] || for_each_version "$@"
. "$(dirname "$0")/stage.sh"
ident=$(git -C "$top" -c user.useConfigOnly=true var GIT_AUTHOR_IDENT 2>/dev/null) ||
	die "git does not know who sends this: git config --global user.name '<name>' and user.email '<address>'"
GIT_AUTHOR_NAME=${ident%% <*}
GIT_AUTHOR_EMAIL=${ident#*<}
GIT_AUTHOR_EMAIL=${GIT_AUTHOR_EMAIL%%>*}
export GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_COMMITTER_NAME=$GIT_AUTHOR_NAME GIT_COMMITTER_EMAIL=$GIT_AUTHOR_EMAIL
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null

"$top/scripts/get-kernel.sh" >/dev/null
version=$(tree_version "$src")
dir=${1:-$out/series/${version%.*}}
lock "series-$tree"
# All at once, so that a kernel that differs has each hunk named that fails; then one by one.
stage_begin
stage_series
stage_end
stage_begin
repo=$stage.git

scratch() { # git command...
	git --git-dir="$repo" --work-tree="$stage" -c advice.addIgnoredFile=false "$@"
}

: >"$stage.unmeasured"

# Has what was measured changed since? Of a commit that is not known, or whose checkout
# had changes, nobody can tell.
outdated() { # verb
	local commit v vers paths=(include kernel lib patches/series)
	read -r commit vers < <(jq -r '"\(.commit // "") \(.kver // "")"' "$out/$1.json" 2>/dev/null) || return 1
	[ -n "$commit" ] || return 1
	for v in $vers; do
		paths+=("patches/$v")
	done
	! git -C "$top" diff --quiet "$commit" -- "${paths[@]}" 2>/dev/null
}

# A figure of out/*.json: <verb>:<name>:<backend>:<metric>, or <verb> for the kernel
# that it is of; of a run for both versions, that of this one. Fails if it was not
# measured, or by a run that failed.
figure() {
	local verb name backend metric value
	IFS=: read -r verb name backend metric <<<"$1"
	[ "$verb" != version ] || { echo "$version" && return; }
	value=$(jq -r --arg n "$name" --arg v "$kver" --arg b "$backend" --arg m "$metric" '
		def of($metric): [.results[] | select((.name == $n or .name == $n + "-" + $v)
			and .backend == $b and .metric == $metric) | .value][0];
		if .pass != true then empty
		elif $n == "" then .kernel // empty | ((split(" ")[] | select(startswith($v + "."))) // .)
		elif $m == "ns" and of("failed") then "fails"
		else of($m) | if . == null then empty elif type != "number" then .
			elif $m | endswith("_bytes") then "\(. / 1048576 | round) MiB"
			elif $m | endswith("instructions") then round
			else . * 10 | round / 10 end
		end' "$out/$verb.json" 2>/dev/null) || true
	[ -n "$value" ] || { echo "$verb" >>"$stage.unmeasured" && return 1; }
	echo "$value"
}

# With the figures in the place of {...}
filled() { # text
	local text=$1 value
	while [[ $text =~ \{([^{}]+)\} ]]; do
		value=$(figure "${BASH_REMATCH[1]}") || return
		text=${text/"${BASH_REMATCH[0]}"/$value}
	done
	printf '%s\n' "$text"
}

# The row of a table
row() { # cells, with "|" between them
	local cells cell
	IFS='|' read -r -a cells <<<"$1"
	printf '%-26s' "${cells[0]% }"
	for cell in "${cells[@]:1}"; do
		cell=${cell# }
		printf '%-10s' "${cell% }"
	done
	echo
}

# The cover letter or a message. Lines that start with "~" are a block, and one that
# starts with "|" is the row of a table, that are left out if a figure in them was not
# measured. The head of a table goes with its last row.
text() { # file
	local line block='' head=''
	while IFS= read -r line; do
		if [[ $line = '~'* ]]; then
			block+=${line#'~'}$'\n'
			continue
		fi
		[ -z "$block" ] || filled "${block%$'\n'}" || true
		block=''
		case $line in
		'|'*'{'*)
			line=$(filled "${line#|}") || continue
			[ -z "$head" ] || row "$head"
			head=''
			row "$line"
			;;
		'|'*) head=${line#|} ;;
		*) filled "$line" || true ;;
		esac
	done < <(cat "$1" && echo) | sed 's/ *$//' | cat -s
}

commit() { # i
	stage_patch "$1"
	stage_end
	scratch add -Af .
	scratch diff --cached --quiet && die "patches/series: ${patch_name[$1]} changes nothing: take it out of the list"
	text "$top/patches/messages/${patch_name[$1]}" | scratch commit -q -s --no-verify -F -
}

# The kernel's own files that the series changes; git am looks at no others.
scratch init -q
for p in "${patch_hunks[@]}"; do
	[ -z "$p" ] || stage_originals "$hunks_dir/$p"
done
scratch add -Af .
scratch commit -q --allow-empty -m "Linux $version"
base=$(scratch rev-parse HEAD)
for ((i = 0; i < ${#patch_name[@]}; i++)); do
	commit $i
done

# Who has to see it, by the kernel's own list: maintainers, and whom to copy
recipients() {
	scratch diff "$base" HEAD >"$stage.diff"
	(cd "$src" && perl scripts/get_maintainer.pl --no-git --no-git-fallback --roles "$stage.diff") |
		grep -vF "<$GIT_AUTHOR_EMAIL>" >"$stage.people" || true
	mapfile -t to < <(sed -nE 's/ \((maintainer|supporter)[:)].*//p' "$stage.people" | sort -u | sed 's/^/--to=/')
	mapfile -t cc < <(grep -vE ' \((maintainer|supporter)[:)]' "$stage.people" | sed 's/ (.*//' | sort -u | sed 's/^/--cc=/')
	[ ${#to[@]} -gt 0 ] || die "scripts/get_maintainer.pl of Linux $version names nobody: is its MAINTAINERS complete?"
}
to=() cc=()
[ $# -gt 0 ] || recipients
scratch config branch."$(scratch branch --show-current)".description "$(text "$top/patches/cover")"
rm -f "$dir"/[0-9]*.patch
scratch format-patch -q -o "$dir" --base="$base" --cover-letter --cover-from-description=subject \
	"${to[@]}" "${cc[@]}" "$base"

# The commit that a maintainer has, if the tree is one's own clone; else what it is called.
base="base: Linux $version"
if [ -z "${KSRC:-}" ]; then
	base+=" (linux-source-$kver of Debian)"
elif [ "$(git -C "$KSRC" rev-parse --show-toplevel 2>/dev/null)" = "$(realpath "$KSRC")" ]; then
	base="base-commit: $(git -C "$KSRC" rev-parse HEAD)"
fi
sed -i "s/^base-commit: .*/$base/" "$dir"/*.patch
mapfile -t old < <(sed -n 's/.*{\([a-z-]*\)[:}].*/\1/p' "$top/patches/cover" "$top"/patches/messages/* | sort -u |
	while read -r verb; do ! outdated "$verb" || echo "$verb"; done)
[ ${#old[@]} -eq 0 ] ||
	step "figures of make ${old[*]} may be of other patches than these: run that again before you send them"
[ ! -s "$stage.unmeasured" ] ||
	step "left out of cover letter and messages, because not measured here: lines with figures of make $(sort -u "$stage.unmeasured" | tr '\n' ' ')"
step "${#patch_name[@]} patches for Linux $version"
echo "$dir"
