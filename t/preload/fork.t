#!/bin/sh
# SPDX-License-Identifier: MIT
# fork, vfork and posix_spawn out of threads; a deadlock is ended by the program's own alarm, and fails.

. "${top_srcdir:-.}/t/preload/preload.sh"

compile fork-threads fork-threads.c
compile spawn spawn.c

alike "fork storm out of threads" fork-threads ./fork-threads
alike "vfork, posix_spawn, popen, system out of threads" spawn ./spawn

done_testing
