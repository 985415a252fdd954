#!/bin/sh
# SPDX-License-Identifier: MIT
# A filter that forbids each system call the library does not need once it has started.

. "${top_srcdir:-.}/t/preload/preload.sh"

compile seccomp seccomp.c -ldl

for otherwise in kill eperm; do
	said=$(LD_PRELOAD=$BM_LIB ./seccomp $otherwise 2>said.err)
	status=$?
	if [ $status -eq 77 ]; then
		skip 2 "no seccomp filters here"
		continue
	fi
	is "$status $said" "0 served" "allocation in all sizes, other calls: $otherwise"
	is "$(cat said.err)" "" "and nothing is said about it"
done

done_testing
