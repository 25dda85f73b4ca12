#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The documents against the sources: every file in sysfs and debugfs with its columns,
# every message, every trace event with its fields and every field that an example uses,
# every litmus test; every column of ccstat. TAP on stdout.
set -eu

. "$(dirname "$0")/tap.sh"
guide=$top/Documentation/admin-guide/cc-swiotlb.rst
abi=$top/Documentation/ABI/testing/sysfs-kernel-mm-cc_swiotlb
events=$top/include/trace/events/cc_swiotlb.h
source=$top/kernel/dma/cc-swiotlb

# Every line of stdin is somewhere in the file; with "explained", between double backticks
# or in the first column of a table, since many are words that stand there anyway.
documented() { # what, file, [explained]
	local line lines=0
	while read -r line; do
		lines=$((lines + 1))
		if [ "${3:-}" ]; then
			grep -qE "\`\`$line\`\`|^([^ ]+, )*$line(, [^ ]+)*  " "$2"
		else
			grep -qF -- "$line" "$2"
		fi || echo "missing: $line"
	done >"$tmp/missing"
	[ $lines -gt 0 ] || echo 'found nothing to look for' >"$tmp/missing"
	tap "$(wc -l <"$tmp/missing")" "$1 ($lines)" "$tmp/missing"
}

# Names of the events with their fields, as "event field".
fields() {
	awk -F'[(,)]' '
		/^(TRACE_EVENT|DECLARE_EVENT_CLASS)\(/ { event = $2; class[event] = "" }
		/__(field|string)\(/ {
			name = /__string/ ? $(NF > 4 ? 3 : 2) : $(NF - 1)
			if (match($0, /__string\([a-z_]+/))
				name = substr($0, RSTART + 9, RLENGTH - 9)
			else if (match($0, /, [a-z_]+\)/))
				name = substr($0, RSTART + 2, RLENGTH - 3)
			class[event] = class[event] " " name
		}
		/^DEFINE_EVENT\(/ { gsub(/ /, "", $3); class[$3] = class[$2] }
		END {
			for (event in class) {
				count = split(class[event], f, " ")
				for (i = 1; i <= count; i++)
					print event, f[i]
			}
		}' "$events" | grep -v '^cc_swiotlb_block ' | sort
}

# The same by the guide's table.
told_fields() {
	awk '/^=====================  =+  =+$/ { on = !on; next }
		on && /^cc_swiotlb_/ { event = $1 }
		on {
			count = split(substr($0, 60), f, /[ ,]+/)
			for (i = 1; i <= count; i++)
				print event, f[i]
		}' "$guide"
}

# What the examples for bpftrace use, as "event field".
used() {
	awk '{
		while (match($0, /t:[a-z_]+:[a-z_]+|args->[a-z_]+/)) {
			word = substr($0, RSTART, RLENGTH)
			$0 = substr($0, RSTART + RLENGTH)
			if (word ~ /^t:/)
				event = substr(word, 3)
			else if (event ~ /^cc_swiotlb:/)
				print substr(event, 12), substr(word, 7)
		}
	}' "$guide" | sort -u
}

# Of each message the longest part without a number in it.
messages() {
	grep -ho '"[^"]*\\n"' "$source"/*.c | tr -d '"' | sed 's/\\n//; s/%%/ /g' |
		awk -F'%(pa|[0-9.*]*(l|ll|z)?[a-z])' '{ best = ""
			for (i = 1; i <= NF; i++) if (length($i) > length(best)) best = $i
			gsub(/^ +| +$/, "", best)
			if (length(best) > 8) print best }' | cut -c1-24 | sed 's/^cc-swiotlb: //' | grep -v 'slots are still mapped' | sort -u
}

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
sed -n 's/.*__ATTR(\([a-z_]*\),.*/\1/p' "$source/stats.c" |
	sed 's|^mark$|slots-<bytes>/mark|' >"$tmp/sysfs"
fields >"$tmp/fields"
documented 'sysfs: every file is in the ABI' "$abi" < <(sed 's|^|/sys/kernel/mm/cc_swiotlb/|' "$tmp/sysfs")
documented 'sysfs: every file is in the guide' "$guide" explained <"$tmp/sysfs"
documented 'debugfs: every file' "$guide" explained < <(sed -n 's/.*debugfs_create_file[a-z_]*("\([a-z]*\)".*/\1/p' "$source/stats.c")
documented 'debugfs: every column' "$guide" explained < <(sed -n '/seq_printf(m, "%-*[0-9]*s /,/;/p' "$source/stats.c" |
	grep -o '"[a-z_]*"' | tr -d '"')
documented 'debugfs: every line' "$guide" explained < <(sed -n 's/.*seq_printf(m, "\([a-z_]*\) %.*/\1/p' "$source/stats.c")
documented 'log: every message' "$guide" < <(messages)
documented 'events: each is in the guide' "$guide" explained < <(cut -d' ' -f1 "$tmp/fields" | uniq)
told_fields >"$tmp/told"
documented 'events: every field is in the guide' "$tmp/told" <"$tmp/fields"
documented 'events: the examples use fields that exist' "$tmp/fields" < <(used)
documented 'events: the examples use events that exist' "$tmp/fields" < <(grep -o 'cc_swiotlb:[a-z_]*' "$guide" | cut -d: -f2 | sort -u)
documented 'litmus: every test' "$top/Documentation/core-api/cc-swiotlb.rst" < <(printf '%s\n' "$top"/tests/litmus/* |
	sed "s|.*/\(.*\)\..*|\`\`\1\`\`|")

sed -n '/^\.SH COLUMNS/,/^\.PP/s/^\.BR\? //p' "$top/tools/ccstat/ccstat.8" >"$tmp/columns"
documented 'ccstat: every column is in the man page' "$tmp/columns" < <(sed -n 's/^\t{ "\([A-Z_/%]*\)", [0-9]*, [A-Z].*/\1/p' "$top/tools/ccstat/ccstat.c")

# What only this repository has is no use to the reader of a kernel, and that kernel is of
# one version.
(cd "$top/Documentation" && grep -n '``make [a-z]\|tests/\|\<series\>\|Linux [67]\.[0-9]* \|\<[67]\.[0-9][0-9]*\>\($\|[^.]\)' ./*/*.rst | sed 's|^\./||') >"$tmp/missing" || true
tap "$(wc -l <"$tmp/missing")" 'in the kernel: no command, series or two versions of this repository' "$tmp/missing"
tap_end
