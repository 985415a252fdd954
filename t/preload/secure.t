#!/bin/sh
# SPDX-License-Identifier: MIT
# A setuid program ignores what its caller says in the environment.

. "${top_srcdir:-.}/t/preload/preload.sh"

[ "$(id -u)" -eq 0 ] || skip_all "needs root, to make a program setuid"
require setpriv util-linux

open_to_others
compile plain secure.c "$BM_LIB" -Wl,-rpath,"$TEST_DIR"
cp plain setuid && chmod 755 plain && chmod 4755 setuid

# as_nobody COMMAND…: with a configuration that writes a file, and one key too many.
as_nobody() {
	rm -f "$STATS_FILE"
	BUDDYMALLOC_CONF=show_stats:true,stats_file:$STATS_FILE,no_such_key:7 BUDDYMALLOC_SHOW_STATS=1 BUDDYMALLOC_VERBOSE=1 \
		setpriv --reuid=65534 --regid=65534 --clear-groups "$@" >said 2>warned
}

as_nobody ./plain
is "$? $(cat said)" "0 AT_SECURE 0, version known" "the program runs"
grep -q no_such_key warned && has_served plain
ok $? "and obeys the environment" || diag <warned

as_nobody ./setuid
status=$?
case $(cat said) in
*"AT_SECURE 0"*)
	skip 3 "$TEST_DIR is mounted nosuid, or the kernel lets no program be setuid here" ;;
*)
	is "$status $(cat said)" "0 AT_SECURE 1, version known" "setuid, it runs in secure mode"
	is "$(cat warned)" "" "and says nothing"
	[ ! -e "$STATS_FILE" ]
	ok $? "nor does it write the file that the environment names" ;;
esac

done_testing
