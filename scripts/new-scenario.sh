#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make new-scenario NAME=<name>: a scenario of "make stress" to begin with.
. "$(dirname "$0")/lib.sh"
no_arguments "$@"

name=${NAME:-}
[[ $name =~ ^[a-z][a-z0-9]*$ ]] || die "NAME='$name' is no name of a scenario: use NAME=<lower-case letters and digits>"
file=$top/tests/stress/$name
[ ! -e "$file" ] || die "tests/stress/$name is there already: use another NAME"
cat >"$file" <<EOF
# SPDX-License-Identifier: GPL-2.0
# What happens here, and what it is to show. Arguments: seconds.

guest cc cc cc,force -n 2 -t 300 -- stress-$name seconds=10
report
holds 'no failed maps' "\$(cc map_failures) == 0"

### guest
# shellcheck source=stress-lib.sh
. /tests/stress-lib.sh

# shellcheck disable=SC2046,SC2086,SC2154 # lists of words; kernel arguments
disk_io $name --rw=randrw --bsrange=4k-128k --iodepth=16 --time_based --runtime="\$seconds" --size=64m \\
	--verify=crc32c --verify_fatal=0 --verify_backlog=64 \$(per_disk \$disks)
emit map_failures "\$(cat \$cc/map_failures)" maps
send_stats end
EOF
echo "tests/stress/$name: run it with make stress SCENARIO=$name"
