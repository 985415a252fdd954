#!/bin/sh
# SPDX-License-Identifier: MIT
# examples/pages.c, the example of the page API, does what it says.

. "${top_srcdir:-.}/t/preload/preload.sh"

"$top_builddir/examples/pages" >said 2>err
is $? 0 "the example runs" || diag <err
is "$(cat err)" "" "and complains of nothing"
is "$(sed -n '1s/on node [0-9]*,/on node N,/p' said)" \
	"a block of order 4 on node N, aligned to its size: yes, first byte 0" "a compound block, found by an inner address"
is "$(sed -n 2p said)" "5 pages side by side, not 8: the last has order 0" "an exact number of pages"

# compaction moved N pages: N of 2048 are elsewhere now, 0 damaged
set -- $(sed -n 's/^compaction moved \([0-9]*\) pages: \([0-9]*\) of 2048 are elsewhere now, 0 damaged$/\1 \2/p' said)
[ "${1:-0}" -gt 0 ] && [ "${2:-0}" -gt 0 ] && [ "$1" -ge "$2" ]
ok $? "compaction moves movable pages, whole" || sed -n 3p said | diag
is "$(sed -n 4p said)" "vm.min_free_kbytes is 1024 now" "a setting is changed and read"
grep -Eq '^Node 0, zone +Normal( +[0-9]+){11} *$' said
ok $? "and buddyinfo reported" || diag <said

done_testing
