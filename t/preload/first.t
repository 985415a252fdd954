#!/bin/sh
# SPDX-License-Identifier: MIT
# The heap is made when something is first asked of it, whatever that is: a process that asks for nothing has none.

. "${top_srcdir:-.}/t/preload/preload.sh"

compile first first.c -I"$top_srcdir/include"

LD_PRELOAD=$BM_LIB BUDDYMALLOC_SHOW_STATS=1 ./first none 2>&1 | grep -q '^budget' && limited=y
for call in $(./first); do
	if [ "$call" = none ] && [ "$limited" ]; then
		skip 1 "a limit is in force, whose marks the heap needs at the start"
		continue
	fi
	LD_PRELOAD=$BM_LIB ./first "$call" >first.out 2>&1
	is $? 0 "the first call: $call" || diag <first.out
done

done_testing
