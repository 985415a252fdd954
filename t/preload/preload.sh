# SPDX-License-Identifier: MIT
# What the tests of this directory share, on top of t/lib/tap.sh: a program compared with its own run without the
# library, programs compiled on the spot, servers waited for and ended. Every test runs in TEST_DIR.

top_srcdir=$(cd "$top_srcdir" && pwd)
. "$top_srcdir/t/lib/tap.sh"

src=$top_srcdir/t/preload
cd "$TEST_DIR" || exit 99
export LC_ALL=C.UTF-8

# alike WHAT PROGRAM COMMAND…: COMMAND ends with ALIKE_STATUS (0) and prints the same with and without the library,
# and processes named PROGRAM, a word for each, were served by it. Two results.
alike() {
	alike_what=$1 alike_program=$2
	shift 2
	"$@" >plain.out 2>plain.err </dev/null
	plain_status=$?
	rm -f "$STATS_FILE"
	preloaded "$@" >ours.out 2>ours.err </dev/null
	ours_status=$?
	[ $plain_status -eq "${ALIKE_STATUS:-0}" ] && [ $ours_status -eq $plain_status ] && cmp -s plain.out ours.out
	ok $? "$alike_what: the same output and exit status as without the library" || {
		diag "exit status $plain_status without, $ours_status with, ${ALIKE_STATUS:-0} wanted"
		diff plain.out ours.out 2>&1 | head -n 5 | diag
		tail -n 5 plain.err ours.err | diag
	}
	alike_missing=
	set -f # they are patterns, but not of files
	for alike_name in $alike_program; do
		has_served "$alike_name" || alike_missing="$alike_missing $alike_name"
	done
	set +f
	is "$alike_missing" "" "$alike_what: malloc of $alike_program was ours"
	rm -f "$STATS_FILE"
}

# has_served PROGRAM: like served, but the question can be asked again.
has_served() {
	grep -q "^buddymalloc [^ ]* pid [0-9]* $1: summary" "$STATS_FILE" 2>/dev/null
}

# succeeds WHAT COMMAND…: one result, with what COMMAND said if it fails.
succeeds() {
	succeeds_what=$1
	shift
	"$@" >succeeds.out 2>&1
	succeeds_status=$?
	ok $succeeds_status "$succeeds_what" || {
		diag "exit status $succeeds_status"
		tail -n 10 succeeds.out | diag
	}
}

# require PROGRAM PACKAGE: the whole test is skipped without it.
require() {
	need_program "$1" "$2" || skip_all "no $1, and the package $2 could not be installed"
}

# compile OUTPUT SOURCE FLAGS…: a program of this directory; builtins off, so that no malloc is optimised away.
compile() {
	compile_out=$1 compile_src=$src/$2
	shift 2
	case $compile_src in
	*.cc) compile_cc=${CXX:-g++} ;;
	*) compile_cc=${CC:-gcc} ;;
	esac
	need_program "${compile_cc%% *}" "${compile_cc%% *}" || bail_out "no ${compile_cc%% *} to compile $compile_src"
	$compile_cc -O1 -g -fno-builtin -Wall -pthread -o "$compile_out" "$compile_src" "$@" >compile.err 2>&1 && return
	diag <compile.err
	bail_out "cannot compile $compile_src"
}

# wait_for COMMAND…: true as soon as COMMAND is; false only where that will not be any more: after two minutes.
wait_for() {
	wait_left=1200
	until "$@" >/dev/null 2>&1; do
		wait_left=$((wait_left - 1))
		[ $wait_left -gt 0 ] || return 1
		sleep 0.1
	done
}

# Zombies of ours count as gone.
gone() {
	! grep -q '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$1/status" 2>/dev/null
}

# stop SIGNAL PID: end a process that this test started, by force if it does not listen.
stop() {
	kill -s "$1" "$2" 2>/dev/null
	wait_for gone "$2" || kill -s KILL "$2" 2>/dev/null
	wait "$2" 2>/dev/null
}

# The library is mapped in process PID, and nothing there comes from brk.
serves_pid() {
	grep -qF "$BM_LIB" "/proc/$1/maps" && [ "$(heap_kb <"/proc/$1/smaps")" -eq 0 ]
}

# Resident kB of the brk heap in the smaps on stdin.
heap_kb() {
	awk '/^[0-9a-f]+-[0-9a-f]+ / { heap = / \[heap\]$/ } heap && /^Rss:/ { kb += $2 } END { print kb + 0 }'
}

free_port() {
	perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport'
}

# Other users may read the test's directory and write its statistics, and they reach the library wherever the build is.
# A server writes over its argv, so that its name in a summary may be its title.
open_to_others() {
	chmod 755 "$TEST_DIR"
	mkdir -m 777 "$TEST_DIR/summaries"
	STATS_FILE=$TEST_DIR/summaries/stats
	cp "$BM_LIB" "$TEST_DIR/libbuddymalloc.so" && chmod 755 "$TEST_DIR/libbuddymalloc.so"
	BM_LIB=$TEST_DIR/libbuddymalloc.so
}

# make_root DIRECTORY PROGRAM…: a file tree with the programs, the library and what they link against, each under its
# own path, and TEST_DIR; no /proc, no /sys.
make_root() {
	root=$1
	shift
	mkdir -p "$root$TEST_DIR"
	for root_file in "$@" "$BM_LIB"; do
		{ echo "$root_file"; ldd "$root_file" | grep -o '/[^ ]*'; } | while read -r root_part; do
			mkdir -p "$root${root_part%/*}"
			cp -L "$root_part" "$root$root_part"
		done
	done
}

# in_root DIRECTORY COMMAND…: run it there; unprivileged users do it by a user namespace.
in_root() {
	if [ "$(id -u)" -eq 0 ]; then
		preloaded chroot "$@"
	else
		preloaded unshare -r chroot "$@"
	fi
}

can_chroot() {
	[ "$(id -u)" -eq 0 ] || unshare -r true 2>/dev/null
}
