#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Build a TCG plugin that counts instructions, for the API version of this QEMU.
#
#   icount-plugin.sh <file.so> [icount|irqsoff]
. "$(dirname "$0")/lib.sh"

need gcc qemu-system-x86_64
so=$1
for api in 1 2 3 4 5 6; do
	gcc -shared -fPIC -fvisibility=hidden -O2 -Wall -Wextra -DAPI=$api -o "$so" "$top/tests/bench/${2:-icount}.c"
	echo '0 - none' >"$so.no-symbols"
	echo quit | timeout 20 qemu-system-x86_64 -accel tcg -M none -display none -monitor stdio \
		-plugin "$so,syms=$so.no-symbols,out=/dev/null" >/dev/null 2>&1 || continue
	exit
done
die "this QEMU loads no TCG plugin: use a build with plugins (Debian's has them)"
