#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make series-check: what "make series" makes, patch by patch: git am applies it,
# checkpatch --strict has nothing to say, UML and x86_64 build without a new warning with
# CC_SWIOTLB on and off where the patch can matter, and the KUnit tests that are there by
# then pass on UML, but for the slow ones. In the end the tree is that of "make apply".
# Last, as somebody does who has only the patches: git am on a repository of that kernel,
# and kunit.py as the cover letter says. "series-check.sh quick" builds nothing and leaves
# that out. Without KVER and KSRC for all versions. Writes out/series-check.json.
#
#   BUILDS='uml-on x86_64-on'   only these (and uml-off x86_64-off: default all, and am,
#                               which is the last check: alone, no patch is built by itself)
#   FROM=<part of a file name>  what comes before that patch is applied, and not built;
#                               not with quick
. "$(dirname "$0")/lib.sh"

"$top/scripts/deps.sh"
[ "$asked" ] || for_each_version "$@"

need git perl jq python3 gcc ccache
. "$(dirname "$0")/stage.sh"
quick=${1:-}
case $quick in
'') ;;
quick) [ -z "${FROM:-}" ] || die "FROM=$FROM: quick builds no patch, so none is left out: leave FROM out" ;;
*) die "series-check.sh: no '$quick': use quick or nothing" ;;
esac
some_names BUILDS
all_builds='uml-on x86_64-on uml-off x86_64-off am'
for b in ${BUILDS:-}; do
	[[ " $all_builds " = *" $b "* ]] || die "no build '$b': use some of $all_builds"
done
all_builds=${BUILDS:-$all_builds}
# These patches are not sent, so anybody may be the author.
git -C "$top" -c user.useConfigOnly=true var GIT_AUTHOR_IDENT >/dev/null 2>&1 ||
	export GIT_AUTHOR_NAME='A U Thor' GIT_AUTHOR_EMAIL=author@example.com

"$top/scripts/apply.sh" >/dev/null
record_to series-check # before the next lock, as for_each_version
lock "series-check-$tree"
stage_begin
repo=$stage.git
patches=$stage.patches
t=$src-series
"$top/scripts/series.sh" "$patches" >/dev/null
# All but the cover letter
sent=("$patches"/[0-9]*.patch)
sent=("${sent[@]:1}")
for ((first = 0; first < ${#sent[@]}; first++)); do
	[[ ${sent[first]##*/} != *"${FROM:-}"*.patch ]] || break
done
[ $first -lt ${#sent[@]} ] || die "no patch '$FROM': take a part of one of these names:"$'\n'"$(printf '    %s\n' "${sent[@]##*/}")"

scratch() { # git command...
	git --git-dir="$repo" --work-tree="$stage" "$@"
}

# What is staged is what git am makes of the files that the series changes.
pristine() {
	local p
	export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
	export GIT_AUTHOR_NAME='A U Thor' GIT_AUTHOR_EMAIL=author@example.com
	export GIT_COMMITTER_NAME=$GIT_AUTHOR_NAME GIT_COMMITTER_EMAIL=$GIT_AUTHOR_EMAIL
	scratch init -q
	for p in "$patches"/[0-9]*.patch; do
		stage_originals "$p"
	done
	scratch add -Af .
	scratch commit -q --allow-empty -m "$src"
}

am() { # patch
	(cd "$stage" && git --git-dir="$repo" --work-tree=. am -q --whitespace=error-all --keep-non-patch "$1")
}

same_tree() {
	local f
	(cd "$stage" && find . -type f -printf '/%P\n' | sort) | diff - "$src_cc/.cc-swiotlb-files" || return
	while read -r f; do
		cmp "$stage$f" "$src_cc$f" || return
	done <"$src_cc/.cc-swiotlb-files"
}

# The configurations. Symbols that have not entered yet are left out.
configure() { # build
	local b=$t/build-$1 arch=${1%-*} ours=$t/kernel/dma/cc-swiotlb/Kconfig has=''
	[ ! -f "$ours" ] || has=$(sed -n 's/^config //p' "$ours")
	mkdir -p "$b"
	{
		if [ "$arch" = uml ]; then
			grep -v CC_SWIOTLB "$top/tests/kunit/.kunitconfig"
		else
			printf 'CONFIG_%s=y\n' 64BIT EXPERT SMP PCI VIRTIO_MENU DEBUG_FS SYSFS FTRACE ENABLE_DEFAULT_TRACERS \
				SHRINKER_DEBUG KEXEC_FILE KUNIT SWIOTLB_DYNAMIC BLOCK BLK_DEV BLK_DEV_INTEGRITY BLK_DEV_NVME MD \
				BLK_DEV_DM CRYPTO DM_CRYPT
		fi
		echo '# CONFIG_KALLSYMS is not set'
		# On UML only the tests need swiotlb.
		if [ "${1#*-}" = off ]; then
			:
		elif grep -q CC_SWIOTLB_KUNIT_TEST <<<"$has"; then
			printf 'CONFIG_%s=y\n' CC_SWIOTLB CC_SWIOTLB_KUNIT_SWIOTLB CC_SWIOTLB_KUNIT_TEST
		elif [ "$has" ] && [ "$arch" = x86_64 ]; then
			echo CONFIG_CC_SWIOTLB=y
		fi
	} >"$b/wanted"
	cmp -s "$b/wanted" "$b/.kunitconfig" && [ -f "$b/.config" ] && return
	if [ "$arch" = uml ]; then
		kunit_py "$t" config --kunitconfig="$b/wanted" --build_dir="$b" --make_options 'CC=ccache gcc' "${uml_config[@]}"
	else
		(cd "$t" && ARCH=x86_64 scripts/kconfig/merge_config.sh -n -O "$b" "$b/wanted")
	fi || return
	cp "$b/wanted" "$b/.kunitconfig"
	grep CC_SWIOTLB "$b/wanted" | grep -vxF -f "$b/.config" && return 1
	return 0
}

# Warnings that are new since the tree was pristine
build() { # uml-on|uml-off|x86_64-on|x86_64-off
	local b=$t/build-$1 arch=${1%-*} target=vmlinux
	[ "$arch" != uml ] || arch=um target=linux
	configure "$1" >"$b.config.log" 2>&1 || {
		cat "$b.config.log"
		return 1
	}
	ARCH=$arch kmake "$t" "build-$1" $target >"$b/build.log" 2>&1 || {
		build_errors "$b/build.log"
		return 1
	}
	grep -E 'warning: |WARNING: ' "$b/build.log" | sed 's/:[0-9]*:[0-9]*:/:/' | sort -u >"$b/warnings"
	[ -f "$b/warnings-before" ] || cp "$b/warnings" "$b/warnings-before"
	! comm -23 "$b/warnings" "$b/warnings-before" | grep .
}

kunit() {
	local b=$t/build-uml-on
	rm -f "$b/kunit.json"
	kunit_py "$t" exec --build_dir="$b" --timeout=600 \
		--filter 'speed>slow' --json="$b/kunit.json" "${uml_run[@]}" >"$b/kunit.log" 2>&1 || {
		grep -E '\[(FAILED|CRASHED)\]|^# .*(FAIL|EXPECT|ASSERT)' "$b/kunit.log" || tail "$b/kunit.log"
		return 1
	}
	grep -o 'Testing complete.*' "$b/kunit.log"
	# What was left out of the build would pass, too.
	[ "$(jq '[.. | .test_cases? // empty | .[]] | length' "$b/kunit.json")" -gt 0 ]
}

# What the files of a patch can change: nothing, what is built with CC_SWIOTLB, or all
builds_for() { # patch
	local f b want=''
	while read -r f; do
		case $f in
		Documentation/* | MAINTAINERS | tools/*) ;;
		kernel/dma/cc-swiotlb/* | include/trace/events/cc_swiotlb.h) want+=-on ;;
		*) want+=-off-on ;;
		esac
	done < <(sed -n 's|^diff --git a/[^ ]* b/||p' "$1")
	for b in $all_builds; do
		[[ $want != *"-${b#*-}"* ]] || printf '%s ' "$b"
	done
}

# The builds of one architecture, one after the other, and the tests
builds_of() { # uml|x86_64 build...
	local b
	for b in "${@:2}"; do
		[ "${b%-*}" = "$1" ] || continue
		build "$b" || {
			echo "$b: see above"
			return 1
		}
		[ "$b" != uml-on ] || [ ! -f "$t/kernel/dma/cc-swiotlb/tests/Makefile" ] || kunit || return
	done
}

# Most of the time is that of linking and of tests, on one CPU: two architectures at once.
one() { # patch
	local builds uml status=0
	am "$1" || return
	! checkpatch "$1" | grep . || return
	make_tree "$t" --link
	read -r -a builds < <(builds_for "$1")
	background builds_of uml "${builds[@]}" >"$t.uml.log" 2>&1
	uml=$!
	builds_of x86_64 "${builds[@]}" || status=1
	wait $uml || status=1
	cat "$t.uml.log"
	return $status
}

builds_but_am() {
	local b
	for b in $all_builds; do
		[ "$b" = am ] || echo "$b"
	done
}

# Before the series, on and off are the same: the objects of one do for the other.
before() {
	local b other
	make_tree "$t" --link
	for b in $(builds_but_am); do
		for other in "$t/build-${b%-*}"-*; do
			[ -d "$t/build-$b" ] || [ ! -f "$other/warnings-before" ] || cp -a "$other" "$t/build-$b"
		done
		build "$b" || true
		sort -u -o "$t/build-$b/warnings-before" "$t/build-$b"/warnings{,-before}
		build "$b" || return
	done
}

# With no script of this repository. Hard links to $src do: git writes files anew.
git_am_kunit() (
	d=$src-am log=$out/series-check-am-$kver.log
	copy_kernel "$d" --link
	cd "$d" || return
	# The objects are thrown away, and to compress them takes most of the time.
	git init -q
	git config core.compression 0
	git add -Af .
	git commit -q -m "Linux $(tree_version "$d")"
	git am -q --empty=drop "$patches"/[0-9]*.patch || return
	[ "$(git rev-list --count HEAD)" = $((1 + ${#sent[@]})) ] || {
		echo "git am has made $(git rev-list --count HEAD) commits of ${#sent[@]} patches and the kernel"
		return 1
	}
	env -i PATH="$PATH" HOME="${HOME:-/}" ${CCACHE_DIR:+CCACHE_DIR="$CCACHE_DIR"} CCACHE_DEPEND=1 tools/testing/kunit/kunit.py run \
		--kunitconfig=kernel/dma/cc-swiotlb/tests --timeout=900 --make_options 'CC=ccache gcc' >"$log" 2>&1 || {
		grep -E '\[(FAILED|CRASHED)\]|^# .*(FAIL|EXPECT|ASSERT)' "$log" || tail -n 20 "$log"
		return 1
	}
	said=$(grep -o 'Testing complete.*' "$log")
	echo "$said"
	# What was left out of the build would pass, too.
	[[ $said =~ passed:\ [1-9] ]] && rm -rf "$d"
)

apply_all() {
	local p
	for p in "${sent[@]}"; do
		am "$p" || return
	done
}

style() {
	! checkpatch "${sent[@]}" | grep .
}

pristine
if [ "$quick" ]; then
	check applies apply_all
	check checkpatch style
elif [ -z "$(builds_but_am)" ]; then
	check applies apply_all
else
	check unpatched before
	for p in "${sent[@]:0:first}"; do
		am "$p" || die "$(basename "$p" .patch) cannot be applied"
	done
	n=$passed
	for p in "${sent[@]:first}"; do
		check "$(basename "$p" .patch)" one "$p"
	done
	# For the cover letter, only if nothing was left out
	[ "${BUILDS:-}${FROM:-}" ] || emit series cc patches_passed $((passed - n)) patches
fi
check same-tree same_tree
[ "$quick" ] || [[ " $all_builds " != *' am '* ]] || check git-am-and-kunit git_am_kunit
conclude
