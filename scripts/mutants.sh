#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Test the tests: build the patched tree with each bug of tests/mutants in turn
# and run KUnit on UML, which must notice. A bug that survives is a missing test.
# MUTANT='<name>...': these only, by the names of their files or parts of them.
# The suite that tests/mutants/noticed-by names for a mutant is tried first, by itself. What
# has noticed them in this run is in out/mutants-noticed-by, to be copied there.
# Works in copies of the tree, as many at once as there are CPUs, since KUnit waits
# half of the time. Always of Linux 7.3: some mutants are of code that is only there, and
# it has two CPUs on UML.
# Writes out/mutants.json.
[ -n "${KSRC:-}" ] || export KVER=${KVER:-7.3}
. "$(dirname "$0")/lib.sh"
only_newest
no_arguments "$@"
some_names MUTANT
"$top/scripts/deps.sh"
shopt -s nullglob
mutants=()
for name in "${given[@]:-.patch}"; do
	found=("$top/tests/mutants"/*"${name%.patch}"*.patch)
	[ ${#found[@]} -gt 0 ] || die "tests/mutants has no '$name': take a name from there"
	mutants+=("${found[@]}")
done
t=$("$top/scripts/apply.sh")
lock "mutants-$tree"
b=build-kunit-uml
record_to mutants

files_of() { # patch...
	sed -n 's/^--- a\///p' "$@" | sort -u
}

# Fresh time stamps, so that make sees the file change both ways.
restore() { # file...
	local f
	for f; do
		cp --remove-destination "$t/$f" "$m/$f" || die "$f is not in the patched tree: refresh the mutants that change it"
	done
}

configure() {
	kunit_py "$m" config --build_dir=$b --kunitconfig=kernel/dma/cc-swiotlb/tests --make_options 'CC=ccache gcc' \
		--kconfig_add CONFIG_KALLSYMS=n "${uml_config[@]}" >"$log.build" 2>&1
}

build() {
	ARCH=um kmake "$m" $b linux >"$log.build" 2>&1
}

# All cases pass; else the file that is left says which did not. The first that fails is
# enough: the kernel, which is known by an argument, is killed then.
run() { # seconds, quick|all, [suite]
	local only=() copy=mutants.copy=${m##*-} said=$m/$b/test.log
	[ "$2" = all ] || only=(--filter 'speed>slow')
	rm -f "$json" "$said"
	kunit_py "$m" exec --build_dir=$b --timeout="$1" --json="$json" "${uml_run[@]}" --kernel_args "$copy" \
		"${only[@]}" "${@:3}" >>"$log" 2>&1 &
	while kill -0 $! 2>/dev/null; do
		! grep -qs '^ *not ok' "$said" || pkill -9 -f "^$b/linux .*$copy" || true
		sleep 0.2
	done
	wait $!
}

# How long it may take, if it takes that long without a mutant: what takes several times as
# long hangs.
limit_of() { # quick|all, [suite]
	local t
	t=$(date +%s)
	run 900 "$@" || return 1
	limits[$*]=$((20 + 5 * ($(date +%s) - t)))
}

# A case that ran to its end has failed; or twice, the kernel has crashed or hung. If
# kunit.py itself fails, as on a full disk, that says nothing.
noticed() { # quick|all, [suite]
	local tries=2
	while ((tries--)); do
		! run "${limits[$*]}" "$@" || return 1
		! jq -es 'any(.. | .test_cases? // empty | .[]; .status == "FAIL")' "$json" >/dev/null 2>&1 || return 0
	done
	jq -es 'length == 1' "$json" >/dev/null 2>&1 || die "$name: KUnit gives no result: see $log"
}

# The first of the cases that failed, or did not end.
culprits() {
	[ -s "$json" ] || { echo "no result" && return; }
	jq -r 'def bad: .status == "FAIL" or .status == "ERROR";
	       [.sub_groups[] | .name as $s | (.test_cases[]? | select(bad) | .name),
	        (.sub_groups[]? | select(any(.test_cases[]?; bad)) | .name) | "\($s).\(.)"]
	       | map(select(endswith(".") | not)) | if length == 0 then "a crash or hang" else .[:3] + if length > 3 then ["..."] else [] end | join(" ") end' "$json"
}

# What noticed it: quick or all, and the suite of the first of the culprits.
noticed_by() { # quick|all
	local suite=
	[ ! -s "$json" ] || suite=$(jq -r '[.sub_groups[] | select(any(.. | .test_cases? // empty | .[]; .status | IN("FAIL", "ERROR")))
		| .name] | first // empty' "$json")
	[ -z "$suite" ] || echo "$name $1 $suite" >>"$seen"
}

mapfile -t all < <(sed -n 's|^/\(.*\.c\)$|\1|p' "$t/.cc-swiotlb-files"; files_of "${mutants[@]}")
declare -A hints
while read -r name hint; do
	hints[$name]=$hint
done <"$top/tests/mutants/noticed-by"
seen=$out/.mutants-seen
: >"$seen"
workers=$(nproc)
[ "$workers" -le ${#mutants[@]} ] || workers=${#mutants[@]}

# Every mutant whose number is this one's modulo the number of workers, in its copy.
worker() { # number
	local i p name how suite changed
	local -A limits
	m=$cache/src/linux-$tree-mutants-$1
	log=$out/mutants-$1.log
	json=$out/.mutants-kunit-$1.json
	: >"$log"
	rsync -a --delete --exclude='/build-*' --link-dest="$t" "$t/" "$m/"
	# Whatever a run that was cut short has left in the objects is compiled again.
	restore "${all[@]}"
	trap 'restore "${all[@]}"; rm -f "$json"' EXIT

	step "without a mutant, copy $1"
	{ configure && build; } || die "the kernel does not build without a mutant: see $log.build"
	limit_of quick || die "KUnit fails without a mutant ($(culprits)): see $log; 'make kunit' must pass first"
	# Few need all cases, which take minutes.
	limits[all]=900
	for ((i = $1; i < ${#mutants[@]}; i += workers)); do
		read -r how suite <<<"${hints[$(basename "${mutants[i]}" .patch)]:-}"
		[ -z "$suite" ] || [ "${limits[$how $suite]:-}" ] || limit_of "$how" "$suite" ||
			die "$suite fails by itself without a mutant ($(culprits)): see $log"
	done

	for ((i = $1; i < ${#mutants[@]}; i += workers)); do
		p=${mutants[i]}
		name=$(basename "$p" .patch)
		mapfile -t changed < <(files_of "$p")
		patch -d "$m" -p1 -F0 -f --dry-run -i "$p" >>"$log" ||
			die "$name does not apply: refresh tests/mutants/$name.patch for what ${changed[*]} is now"
		restore "${changed[@]}"
		patch -d "$m" -p1 -F0 -f -s --no-backup-if-mismatch -i "$p" >>"$log"
		build || die "$name does not compile: mend tests/mutants/$name.patch, see $log.build"
		# What noticed it before, then the quick cases; only all together can say that it
		# survives.
		read -r how suite <<<"${hints[$name]:-}"
		if { [ "$suite" ] && noticed "$how" "$suite"; } || { how=quick && noticed quick; } ||
			{ how=all && noticed all; }; then
			noticed_by "$how"
			emit "$name" cc killed 1 mutants
			step "killed $name: $(culprits)"
		else
			emit "$name" cc survived 1 mutants
			step "SURVIVED $name: $(head -1 "$p")"
		fi
		restore "${changed[@]}"
	done
}

trap end_background EXIT
for ((w = 0; w < workers; w++)); do
	background worker $w
done
for ((w = 0; w < workers; w++)); do
	wait -n || die "not all mutants were tried: see above"
done
killed=$(jq -s 'map(select(.metric == "killed")) | length' "$records")
emit all cc killed "$killed" mutants
emit all cc survived $((${#mutants[@]} - killed)) mutants
sort -n "$seen" >"$out/mutants-noticed-by"
rm "$seen"
pass=false
[ "$killed" != ${#mutants[@]} ] || pass=true
finish $pass
echo "$killed of ${#mutants[@]} mutants killed"
$pass
