#!/bin/sh
# SPDX-License-Identifier: MIT
# The heap is made when something is first asked of it, whatever that is: a process that asks for nothing has none.

. "${top_srcdir:-.}/t/preload/preload.sh"

compile first first.c -I"$top_srcdir/include"

unset BUDDYMALLOC_CONF BUDDYMALLOC_SHOW_STATS BUDDYMALLOC_VERBOSE
early=
[ -s /etc/buddymalloc.conf ] && early="there is a configuration, which is that of a heap"
[ -d /sys/devices/system/node/node1 ] && early="there are several nodes, and what the heap may have of them is read at once"
LD_PRELOAD=$BM_LIB BUDDYMALLOC_SHOW_STATS=1 ./first none 2>&1 | grep -q '^budget' &&
	early="a limit is in force, whose marks the heap needs at the start"
for call in $(./first); do
	if [ "$call" = none ] && [ "$early" ]; then
		skip 1 "$early"
		continue
	fi
	LD_PRELOAD=$BM_LIB ./first "$call" >first.out 2>&1
	is $? 0 "the first call: $call" || diag <first.out
done

done_testing
