#!/bin/sh
# SPDX-License-Identifier: MIT
# A thousand threads, created, each allocating and exiting, leave resident memory where it was.

. "${top_srcdir:-.}/t/preload/preload.sh"

compile threads threads.c

for run in 1 2 3; do
	said=$(preloaded ./threads)
	is "$? $said" "0 kept" "resident memory stays within 10 % (run $run)"
done
said=$(preloaded ./threads 3)
is "$? $said" "0 kept" "so it does with three at a time"
served threads
ok $? "malloc was ours"

compile detached detached.c
alike "detached threads that never allocate" detached ./detached

done_testing
