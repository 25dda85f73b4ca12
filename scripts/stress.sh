#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make stress: bounce buffers under pressure, in x86_64 guests. Each scenario is a file in
# tests/stress/: what it is about, what the host does and what must hold, and what the
# guest does. SCENARIO='<name>...' for some; without it all but those that say so.
#
#   MINUTES=n       duration of mkfs21, for each allocator (5 by its name, 2 among all), and
#                   of soak (30)
#   BURST_MIB=n     in flight in burst (2560); decay takes 1024
#
# Writes out/stress.json; fails if something that must hold with cc does not. What
# legacy and dynamic do is recorded beside it.
. "$(dirname "$0")/lib.sh"
no_arguments "$@"

whole_number MINUTES 1
whole_number BURST_MIB 1
some_names SCENARIO
scenarios=()
[ ${#given[@]} -gt 0 ] || mapfile -t given < <(cd "$top/tests/stress" && grep -L '^# Only by its name' -- *)
for s in "${given[@]}"; do
	[ -f "$top/tests/stress/$s" ] ||
		die "no scenario '$s': use one of $(cd "$top/tests/stress" && echo *), or make new-scenario NAME=$s"
	scenarios+=("$s")
done

"$top/scripts/deps.sh" kexec-tools util-linux
step "kernel $kver${KSRC:+ of $KSRC}"
dir=$out/stress
mkdir -p "$dir"
record_to stress
random_file "$dir/file" 8M

declare -A images
image() { # variant: built on first use
	[ "${images[$1]:-}" ] || images[$1]=$("$top/scripts/build.sh" "$1")
}

# More memory than the host has; only what the guest touches is taken.
sparse_memory() { # size
	echo "-machine memory-backend=m -object memory-backend-ram,id=m,size=$1,reserve=off"
}

# guest <backend> <variant> <swiotlb argument> [option of qemu.sh...] -- <test> [argument...]
guest() {
	local name=$s backend=$1 variant=$2 swiotlb=$3 run=$dir/$s-$1 opts=() completed=1 f
	shift 3
	while [ "$1" != -- ]; do
		opts+=("$1")
		shift
	done
	shift
	image "$variant"
	step "$name: $backend"
	rm -rf "$run"/{results.jsonl,files}
	NET_FILE=$dir/file "$top/scripts/qemu.sh" "${opts[@]}" "${images[$variant]}" "$run" "$@" "swiotlb=$swiotlb" || completed=0
	testbed=$(qemu_of "$run")
	[ -f "$run/results.jsonl" ] || return 0
	# The last line may be cut off, if the guest was.
	jq -cR --arg n "$name" --arg b "$backend" \
		'fromjson? | select(.metric) | {name: $n, backend: $b, metric, value, unit}' "$run/results.jsonl" >>"$records"
	emit "$name" "$backend" completed $completed ''
	emit "$name" "$backend" log_errors "$(bad_lines "$run/console.log" | wc -l)" lines
	for f in "$run"/files/*.json; do
		[ -f "$f" ] || continue
		emit "$name" "$backend" "io_errors_$(basename "$f" .json)" "$(of_fio "$f" '[.jobs[].total_err] | add')" errors
		emit "$name" "$backend" "iops_$(basename "$f" .json)" "$(of_fio "$f" '[.jobs[] | .read.iops + .write.iops] | add | round')" 1/s
	done
}

cc() { # metric
	value "$s" cc "$1"
}
legacy() { # metric
	value "$s" legacy "$1"
}
dynamic() { # metric
	value "$s" dynamic "$1"
}
holds() { # what expression
	must "$s: $1" "$2"
}

# What was recorded, and what must hold in every scenario
report() {
	metrics_table "$s"
	echo
	holds 'completed' "$(cc completed) == 1"
	holds 'no I/O errors' "$(jq -cs --arg n "$s" \
		'map(select(.name == $n and .backend == "cc" and (.metric | startswith("io_errors"))).value)' "$records") | length > 0 and all(. == 0)"
	holds 'no lockup, hung task or warning in the log' "$(cc log_errors) == 0"
}

bursts() { # MiB, seconds of pause, backend...
	local mib=$1 b
	local opts=(-m "$((mib * 4 + 2048))M" -n 21 -D throttling.iops-total=20 -t 600)
	local args=(stress-burst bs=256k "depth=$((mib * 4 / 21 + 1))" "seconds=$((5 + mib / 100))" "pause=$2")
	for b in "${@:3}"; do
		case $b in
		legacy) guest legacy legacy 32768,force "${opts[@]}" -- "${args[@]}" ;;
		dynamic) guest dynamic dynamic 32768,force "${opts[@]}" -- "${args[@]}" ;;
		cc) guest cc cc cc,force "${opts[@]}" -- "${args[@]}" ;;
		esac
	done
	report
}

trap end_background EXIT
for s in "${scenarios[@]}"; do
	# shellcheck source=/dev/null
	. <(sed '/^### guest$/,$d' "$top/tests/stress/$s")
done
step "wrote out/stress.json"
conclude
