#!/bin/sh
# SPDX-License-Identifier: MIT
# Each memory call failing once, or from some time on: a program that takes NULL for an answer never dies by a signal.
# Calls made by the loader before main are failed too, so a clean failure to start is allowed; a signal only where
# the program without the library gets one as well.

. "${top_srcdir:-.}/t/preload/preload.sh"

require strace strace

compile inject inject.c
LD_PRELOAD=$BM_LIB strace -f -o strace.out -e inject=mmap:error=ENOMEM:when=1000 ./inject >said 2>&1
is "$? $(cat said)" "0 worked" "the program runs under strace" || { tail -n 5 strace.out | diag; done_testing; }

# Stops at the calls in question alone where this strace can.
fast=
! strace --seccomp-bpf -f -o strace.out true 2>/dev/null || fast=--seccomp-bpf

# injected CALL WHEN LIBRARY: status of the program; strace ends by the signal that ended it.
injected() {
	LD_PRELOAD=$3 timeout -k 5 300 strace $fast -f -o strace.out -e trace="$1" -e inject="$1:error=ENOMEM:when=$2" \
		./inject >said 2>said.err
}

# One result for every 40 failures of CALL; WHEN is a pattern with N in it.
fail_each() {
	bad=''
	hits=0
	for n in $(seq 1 40); do
		when=$(echo "$2" | sed "s/N/$n/")
		injected "$1" "$when" "$BM_LIB"
		status=$?
		grep -q INJECTED strace.out || continue
		hits=$((hits + 1))
		[ $status -ge 124 ] && [ $status -ne 127 ] || [ $status -eq 3 ] || continue
		tail -n 3 said.err >bad.err
		injected "$1" "$when" ""
		[ $? -ge 128 ] && [ $status -ge 128 ] && continue
		bad="$bad $when:$status"
		diag <bad.err
	done
	if [ $hits -eq 0 ]; then
		skip 1 "no $1 was made, nothing to fail"
		return
	fi
	is "$bad" "" "$1 failing ($2): no crash in $hits cases"
}

for call in mmap munmap mremap mprotect madvise; do
	fail_each $call N
	fail_each $call N+
done

done_testing
