#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Kernels that move on: what the scripts do with a version that the archive does not
# have any more, without a network, and with a tree of a version that is not known.
# apt-get is a fake, and so are the trees. TAP on stdout.
set -eu

. "$(dirname "$0")/tap.sh"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
unset KVER KSRC
export XDG_CACHE_HOME=$tmp/cache PATH=$tmp/bin:$PATH
mkdir -p "$tmp/bin"

# A mirror of Debian and one of its security archive; $FAKE says what they answer.
cat >"$tmp/bin/apt-get" <<'EOF'
#!/bin/bash
for last; do :; done
case " $* " in *SourceList=*) sources=$(cat "$(printf '%s\n' "$@" | sed -n 's/^Dir::Etc::SourceList=//p')") ;; esac
not_found() { echo "E: The repository '$1' does not have a Release file." >&2; exit 100; }
case $last in
*Packages*) printf 'Debian http://archive.test/debian/\nDebian http://archive.test/debian-security/\n' ;;
update)
	case $FAKE in
	down) echo "E: Failed to fetch http://archive.test/ Temporary failure resolving 'archive.test'" >&2; exit 100 ;;
	security-down)
		case $sources in *security/*) echo 'E: Failed to fetch, connection timed out' >&2; exit 100 ;; esac
		case $sources in *-security*) not_found suite ;; esac ;;
	absent)
		case $sources in *"/debian-security/ trixie "* | *"/debian/ bookworm-security "*) not_found suite ;; esac ;;
	no-suite) not_found suite ;;
	esac ;;
linux-source-*)
	case $FAKE in broken) echo 'E: Failed to fetch linux-source, 404 Not Found' >&2; exit 100 ;; esac
	echo "E: Unable to locate package $last" >&2
	exit 100 ;;
esac
EOF
chmod +x "$tmp/bin/apt-get"

ok() { # description, condition...
	local what=$1 bad=0
	shift
	"$@" || bad=1
	tap $bad "$what" "$tmp/said"
}

status=0
run() { # fake answer, command...
	local fake=$1
	shift
	status=0
	FAKE=$fake "$@" >"$tmp/said" 2>&1 || status=$?
}
said() {
	grep -q -- "$1" "$tmp/said"
}
ended() { # status, line that was said
	[ $status = "$1" ] && said "$2"
}

for kver in 6.12 7.3; do
	export KVER=$kver
	run absent "$top/scripts/get-kernel.sh"
	ok "$kver is in no suite: skipped, by name and with the remedy" ended 77 "^skipped: Linux $kver is not in Debian any more.*KSRC="
	run no-suite "$top/scripts/get-kernel.sh"
	ok "$kver: the suites are gone: skipped" ended 77 "^skipped: Linux $kver "
	run down "$top/scripts/get-kernel.sh"
	ok "$kver: without a network: an error" ended 1 '^error: .*Temporary failure resolving.*check the network'
	run broken "$top/scripts/get-kernel.sh"
	ok "$kver: is there, but cannot be downloaded: an error" ended 1 '^error: .*404'
done
export KVER=6.12
run security-down "$top/scripts/get-kernel.sh"
ok 'one of the mirrors is down: an error' ended 1 '^error: .*timed out'
run absent "$top/scripts/apply.sh"
ok 'the scripts above it end in the same way' ended 77 '^skipped: Linux 6.12 '
unset KVER

# A verb that counts. It wants its own copy of scripts/, to have its own out/.
mkdir "$tmp/repo"
cp -r "$top/scripts" "$tmp/repo/"
cat >"$tmp/repo/scripts/verb.sh" <<'EOF'
. "$(dirname "$0")/lib.sh"
record_to verb
check works true
[ -z "${FAKE:-}" ] || check needs-kernel "$top/scripts/get-kernel.sh"
conclude
EOF
run absent bash "$tmp/repo/scripts/verb.sh"
ok 'counted as skipped, and not as failed' ended 0 '^1 passed, 0 failed, 1 skipped$'
run '' bash "$tmp/repo/scripts/verb.sh"
ok 'nothing is said of skipping when nothing was' ended 0 '^1 passed, 0 failed$'
run down bash "$tmp/repo/scripts/verb.sh"
ok 'without a network it has failed' ended 1 '^1 passed, 1 failed$'

tree() { # version patchlevel sublevel: makes what looks like a kernel
	mkdir -p "$tmp/linux-$1.$2/kernel/dma"
	touch "$tmp/linux-$1.$2/Kbuild"
	printf 'VERSION = %s\nPATCHLEVEL = %s\nSUBLEVEL = %s\n' "$1" "$2" "$3" >"$tmp/linux-$1.$2/Makefile"
	# As long as the real one, so that every hunk is looked for.
	seq 4000 >"$tmp/linux-$1.$2/kernel/dma/swiotlb.c"
}
cat >"$tmp/series" <<'EOF'
. "$(dirname "$0")/lib.sh"
echo "series $kver"
EOF
cp "$tmp/series" "$tmp/repo/scripts/series-of.sh"

tree 7 4 0
KSRC=$tmp/linux-7.4 run '' bash "$tmp/repo/scripts/series-of.sh"
ok 'a tree of a version that is not known: the newest series' ended 0 '^series 7.3$'
KVER=6.12 KSRC=$tmp/linux-7.4 run '' bash "$tmp/repo/scripts/series-of.sh"
ok 'a tree of a version that is not known: the series that KVER names' ended 0 '^series 6.12$'
tree 6 12 999
KSRC=$tmp/linux-6.12 run '' bash "$tmp/repo/scripts/series-of.sh"
ok 'a tree of a newer point release: the series of its version' ended 0 '^series 6.12$'
KVER=7.3 KSRC=$tmp/linux-6.12 run '' bash "$tmp/repo/scripts/series-of.sh"
ok 'a tree that is not of KVER: an error' ended 1 '^error: .*6.12.999, not 7.3'

hunks() { # hunks of the series in this file
	cat "$top/patches/7.3"/*.patch | awk -v f="$1" '/^--- a/ { n = $2 == "a/" f } /^@@/ && n { c++ } END { print c }'
}
export GIT_AUTHOR_NAME='A U Thor' GIT_AUTHOR_EMAIL=author@example.com
for script in apply.sh "series.sh $tmp/patches"; do
	# shellcheck disable=SC2086 # with its argument
	KSRC=$tmp/linux-7.4 run '' "$top/scripts"/$script
	what=${script%.sh*}
	ok "$what: hunks that fail are named, with patch and file" ended 1 'patches/7.3/.*\.patch: hunk .* of kernel/dma/swiotlb.c$'
	ok "$what: and so is the version" ended 1 '^error: Linux 7.4.0 '
	ok "$what: all of them" [ "$(grep -c 'hunk .* of kernel/dma/swiotlb.c' "$tmp/said")" = "$(hunks kernel/dma/swiotlb.c)" ]
done

tap_end
