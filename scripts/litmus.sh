#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make litmus: the arguments for what is done without a lock, as litmus tests of
# tests/litmus. herd7 tries all executions that the kernel's memory model allows, and
# must not find the one that a test names. Each test says what may not be left out: of
# each such mutant the bad outcome must be found. What an interrupt on the same CPU can do
# is no matter of that model, and spin tries it. The model is that of KVER or KSRC.
# LITMUS='<name>...': these only, by the names of their files or parts of them.
# Writes out/litmus.json.
. "$(dirname "$0")/lib.sh"
no_arguments "$@"

some_names LITMUS
shopt -s nullglob
tests=()
for name in "${given[@]:-.}"; do
	found=("$top/tests/litmus"/*"$name"*)
	[ ${#found[@]} -gt 0 ] || die "tests/litmus has no '$name': take a name from there"
	tests+=("${found[@]}")
done
"$top/scripts/deps.sh" spin
"$top/scripts/get-kernel.sh" >/dev/null
model=$src/tools/memory-model
[ -f "$model/linux-kernel.cfg" ] || die "$src has no tools/memory-model: set KSRC to a complete tree"
record_to litmus
tmp=$(mktemp -d "$cache/litmus.XXXXXX") # programs run there
trap 'rm -rf "$tmp"' EXIT

# A test, and with a number the mutant of that line.
name_of() { # file [number]
	local n=${1##*/}
	printf %s "${n%.*}${2:+-mutant-$2}"
}

# The expressions stay as they are, or each would have changed something: itself.
mutate() { # file number expression
	local to text changed
	to=$(name_of "$1" "$2")
	text=$(<"$1")
	changed=$(sed -e '/ mutant: /b' -e "$3" "$1")
	[ "$text" != "$changed" ] || die "${1#"$top"/}: the mutant $3 changes nothing: mend it"
	printf '%s\n' "${changed/#C $(name_of "$1")/C $to}" >"$tmp/$to.${1##*.}"
}

# What a test stands for is still there: lines "code: <file> <function>...".
stands_for() { # file
	local path functions f source lines=0
	while read -r path functions; do
		lines=$((lines + 1))
		source=$(<"$top/$path")
		for f in $functions; do
			[[ $source = *[!a-z_]"$f("* ]] || {
				echo "stands for $f() of $path, which is not there: does the argument still hold?"
				return 1
			}
		done
	done < <(sed -n 's/^ \* code: //p' "$1")
	[ $lines -gt 0 ] || {
		echo "does not say what it stands for"
		return 1
	}
}

# What herd7 says of each test: Never, Sometimes or Always is the bad outcome found; with
# the flags that it raises, above all for data races.
declare -A observation
observe() {
	local word name said flags=
	while read -r word name said _; do
		case $word in
		Test) flags= ;;
		Flag) flags+=" $name" ;;
		Observation) observation[$name]=$said$flags ;;
		esac
	done <"$tmp/herd7"
}

# No assertion fails in any state: the same word for spin.
searched() { # name
	local dir=$tmp/$1-spin
	mkdir "$dir"
	(cd "$dir" && spin -a "$tmp/$1.pml" && gcc -O0 -w -DSAFETY -DNOREDUCE -o pan pan.c && ./pan -m10000 -w20) >"$dir/log" 2>&1
	if ! grep -q 'Search not completed' "$dir/log" && grep -q 'errors: 0' "$dir/log"; then
		echo Never
	elif grep -q 'assertion violated' "$dir/log"; then
		echo Sometimes
	else
		cat "$dir/log" >&2
	fi
}

# Into $said.
look() { # file [number]
	local n
	n=$(name_of "$@")
	case $1 in
	*.pml) said=$(searched "$n") ;;
	*) said=${observation[$n]-} ;;
	esac
	[ "$said" ] || {
		echo "$n has no result"
		[ ! -f "$tmp/herd7.err" ] || cat "$tmp/herd7.err"
		return 1
	}
}

holds() { # file number of mutants
	local i said failed=0
	stands_for "$1" || return 1
	look "$1" || return 1
	echo "the code: $said"
	[ "$said" = Never ] || failed=1
	[ "$2" -gt 0 ] || {
		echo "has no mutant"
		return 1
	}
	for ((i = 1; i <= $2; i++)); do
		look "$1" $i || return 1
		echo "mutant $i: $said"
		case $said in
		Sometimes* | Always*) ;;
		*) failed=1 ;;
		esac
	done
	return $failed
}

declare -A mutants
herd=0
for t in "${tests[@]}"; do
	cp "$t" "$tmp"
	mutants[$t]=0
	while read -r expression; do
		mutants[$t]=$((mutants[$t] + 1))
		mutate "$t" "${mutants[$t]}" "$expression"
	done < <(sed -n 's/^ \* mutant: //p' "$t")
	[[ $t != *.litmus ]] || herd=$((herd + 1))
done

# All of them in one run: it is the start that takes time.
status=0
if [ $herd -gt 0 ]; then
	needs=$(grep -o 'Version [0-9.]* or higher' "$model/README" | cut -d' ' -f2)
	why=$("$top/scripts/herd7.sh" -needs "$needs") || status=$?
	case $status in
	0)
		step "$herd tests with their mutants, by the model of Linux $(tree_version "$src")"
		(cd "$model" && "$top/scripts/herd7.sh" -conf linux-kernel.cfg "$tmp"/*.litmus) >"$tmp/herd7" 2>"$tmp/herd7.err" || true
		observe
		;;
	"$gone")
		skipped=$herd
		emit herd7 cc unavailable $herd tests
		step "${why/#skipped:/skipped $herd tests:}"
		;;
	*) exit 1 ;;
	esac
fi
for t in "${tests[@]}"; do
	[[ $t = *.litmus && $status != 0 ]] || check "$(name_of "$t")" holds "$t" "${mutants[$t]}"
done
if [ -f "$tmp/herd7" ]; then
	emit all herd7 time "$(awk '$1 == "Time" { sum += $3 } END { printf "%.2f", sum }' "$tmp/herd7")" s
	awk '$1 == "Time" && $2 !~ /-mutant-/ { print $2, $3 }' "$tmp/herd7" | while read -r name seconds; do
		emit "$name" herd7 time "$seconds" s
	done
fi
conclude
