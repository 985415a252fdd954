# SPDX-License-Identifier: MIT
# Test Anything Protocol for shell tests, and what they need to run programs under the library. A test sources this
# file first and ends with "done_testing". TEST_DIR is a directory of its own, removed at the end; a test that wants
# more at its end defines cleanup().

: "${top_srcdir:?is not set: run this test by make check}" "${top_builddir:?is not set}" "${BM_LIB:?is not set}"

tap_planned=
tap_run=0
tap_failed=0

TEST_DIR=$(mktemp -d "${TMPDIR:-/tmp}/buddymalloc-test.XXXXXX") || exit 99
STATS_FILE=$TEST_DIR/stats

cleanup() { :; }

tap_end() {
	tap_status=$?
	trap - EXIT
	cleanup
	rm -rf "$TEST_DIR"
	exit $tap_status
}
trap tap_end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

plan() {
	tap_planned=$1
	echo "1..$1"
}

# Comments; with no arguments, those of stdin.
diag() {
	if [ $# -gt 0 ]; then echo "$*"; else cat; fi | sed 's/^/# /'
}

# ok STATUS DESCRIPTION: passed if STATUS is 0. Typically: cmp a b; ok $? "they agree"
ok() {
	tap_run=$((tap_run + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $tap_run - $2"
	else
		tap_failed=$((tap_failed + 1))
		echo "not ok $tap_run - $2"
	fi
	return "$1"
}

# is GOT WANTED DESCRIPTION
is() {
	[ "$1" = "$2" ] && ok 0 "$3" && return
	ok 1 "$3"
	diag "got: $1"
	diag "wanted: $2"
	return 1
}

# skip COUNT REASON
skip() {
	tap_left=$1
	while [ "$tap_left" -gt 0 ]; do
		tap_run=$((tap_run + 1)) tap_left=$((tap_left - 1))
		echo "ok $tap_run # SKIP $2"
	done
}

# The whole test has nothing to do here; before the first result.
skip_all() {
	echo "1..0 # SKIP $1"
	exit 0
}

bail_out() {
	echo "Bail out! $1"
	exit 255
}

done_testing() {
	[ -n "$tap_planned" ] || plan "$tap_run"
	if [ "$tap_planned" -ne "$tap_run" ]; then
		diag "planned $tap_planned tests, ran $tap_run"
		exit 1
	fi
	[ "$tap_failed" -eq 0 ] || diag "failed $tap_failed of $tap_run tests"
	[ "$tap_failed" -eq 0 ]
	exit
}

# need_program NAME PACKAGE: true if NAME can be run, if need be after installing Debian's PACKAGE. The places where
# daemons live count too, as do the versioned ones of PostgreSQL.
need_program() {
	for tap_dir in /usr/sbin /sbin /usr/local/sbin /usr/lib/postgresql/*/bin; do
		case :$PATH: in
		*:"$tap_dir":*) ;;
		*) [ ! -d "$tap_dir" ] || PATH=$PATH:$tap_dir ;;
		esac
	done
	command -v "$1" >/dev/null && return
	"$top_srcdir/quickstart" install "$2" 2>&1 </dev/null | diag
	for tap_dir in /usr/lib/postgresql/*/bin; do
		[ ! -d "$tap_dir" ] || PATH=$PATH:$tap_dir
	done
	command -v "$1" >/dev/null
}

# preloaded COMMAND…: run it under the library, each process of it that exits normally adding its summary to
# STATS_FILE. What BUDDYMALLOC_CONF already says stays.
preloaded() {
	LD_PRELOAD=$BM_LIB BUDDYMALLOC_CONF=${BUDDYMALLOC_CONF:+$BUDDYMALLOC_CONF,}show_stats:true,stats_file:$STATS_FILE "$@"
}

# served [PROGRAM]: did the library serve a process (of this name) that has ended? Forgets what it was asked about.
served() {
	grep -q "^buddymalloc [^ ]* pid [0-9]* ${1:-.*}: summary" "$STATS_FILE" 2>/dev/null
	tap_served=$?
	rm -f "$STATS_FILE"
	return $tap_served
}
