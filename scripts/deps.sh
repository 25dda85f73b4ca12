#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Install what is missing of the Debian packages that the other scripts need.
# deps.sh [package...]: the basic set, and these. deps.sh --only <package>...: no others.
. "$(dirname "$0")/lib.sh"

base=(gcc make bc bison flex libelf-dev libssl-dev ccache patch xz-utils cpio
	rsync git python3 python3-matplotlib perl jq qemu-system-x86 busybox-static fio e2fsprogs dmsetup
	xfsprogs sparse shellcheck bsdextrautils)

if [ "${1:-}" = --only ]; then
	shift
else
	set -- "${base[@]}" "$@"
fi
command -v dpkg-query >/dev/null || {
	step "not a Debian system: if something is missing, install by hand what these packages have: $*"
	exit 0
}
# shellcheck disable=SC2046 # a list of words
set -- $(comm -23 <(printf '%s\n' "$@" | sort -u) \
	<(dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' | sort -u))
[ $# -gt 0 ] || exit 0

as_root=
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null || die "packages are missing: as root, apt-get install $*"
	as_root=sudo
fi
step "installing $*"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
{
	$as_root apt-get update &&
		$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
} >"$log" 2>&1 ||
	die "cannot install $* ($(grep -m1 -o 'Temporary failure.*\|Unable to locate.*\|[^:]*: Permission.*' "$log" || tail -1 "$log")): check the network and the apt sources"
