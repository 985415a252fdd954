#!/bin/sh
# SPDX-License-Identifier: MIT
# The ways out of a process, with handlers and destructors that allocate.

. "${top_srcdir:-.}/t/preload/preload.sh"

compile exit-paths exit-paths.c
compile exit-static exit-static.cc

alike "return from main" exit-paths ./exit-paths return
alike "exit called by a thread" exit-paths ./exit-paths thread
alike "pthread_exit by main" exit-paths ./exit-paths pthread_exit
alike "static and thread_local objects" exit-static ./exit-static
alike "exit by a thread with thread_local objects" exit-static ./exit-static thread

# Ways that run no exit handlers leave no summary: just the same end. (134 is SIGABRT.)
for way in _exit:3 quick_exit:4 abort:134; do
	./exit-paths ${way%:*} >plain.out 2>/dev/null
	plain_status=$?
	LD_PRELOAD=$BM_LIB ./exit-paths ${way%:*} >ours.out 2>ours.err
	ours_status=$?
	is "$plain_status $ours_status" "${way#*:} ${way#*:}" "${way%:*}: the exit status"
	cmp plain.out ours.out && ! grep -q buddymalloc: ours.err
	ok $? "${way%:*}: the same output" || diag <ours.err
done

done_testing
