#!/bin/sh
# SPDX-License-Identifier: MIT
# Real programs whose allocations are made to fail: they start, meet ENOMEM, and say so.

. "${top_srcdir:-.}/t/preload/preload.sh"

# faulty CONF COMMAND…: stdout in said, stderr without our own lines in complained, ours in injected
faulty() {
	faulty_conf=$1
	shift
	LD_PRELOAD=$BM_LIB BUDDYMALLOC_CONF=$faulty_conf "$@" >said 2>all
	faulty_status=$?
	grep '^buddymalloc: FAULT_INJECTION: ' all >injected
	grep -v '^buddymalloc: FAULT_INJECTION: ' all >complained
	return $faulty_status
}

seq 1000 -1 1 >numbers
sort=$(command -v sort)

faulty failslab:1/0/0/-1 "$sort" -n numbers
is "$? $(sed -n 1p said) $(grep -c '' said) $(cat all)" "0 1 1000 " "probability 0: sort sorts"

faulty failslab:1/100/0/-1 "$sort" -n numbers
is "$?" 2 "every malloc fails: sort gives up, and does not crash"
grep -qi 'memory exhausted\|cannot allocate' complained
ok $? "and says that memory is exhausted" || diag <all
grep -q 'name failslab, interval 1, probability 100' injected
ok $? "because we made it fail" || diag <all

# Each of a program's calls in turn fails once, until there are no more: how it ends is the program's affair, but it
# must not be by a signal.
export LC_ALL=C
call=0 failed=0 bad=0
echo more >injected
while [ -s injected ] && [ $call -lt 200 ]; do
	call=$((call + 1))
	faulty "failslab:$call/100/0/1" "$sort" -n numbers
	status=$?
	[ $status -lt 126 ] && [ "$(grep -c '' injected)" -le 1 ] || {
		bad=$((bad + 1))
		diag "call $call: status $status"
	}
	[ $status -eq 0 ] || failed=$((failed + 1))
done
is "$bad" 0 "each of sort's calls fails in turn, once, and sort ends by itself"
is "$status $(grep -c '' said)" "0 1000" "the run after its last call is undisturbed"
[ $failed -gt 0 ] && [ $call -gt 5 ]
ok $? "at some of them it gave up" || diag "$failed of $call"

# No page, and so no memory for malloc beyond what it has.
faulty fail_page_alloc:1/100/0/-1 "$sort" -n --parallel=1 -S 8m numbers
is "$?" 2 "every page allocation fails: sort gives up"
grep -qi 'memory exhausted\|cannot allocate' complained
ok $? "and says that memory is exhausted" || diag <all
grep -q 'name fail_page_alloc, ' injected
ok $? "because we made it fail" || diag <all

if need_program python3 python3; then
	cat >oom.py <<-'END'
		seen = 0
		for i in range(100):
		    try:
		        b = bytearray(100000)
		    except MemoryError:
		        seen += 1
		print(seen)
	END
	# Past what the interpreter takes for itself; then each tenth.
	faulty failslab:10/100/30000000/-1 python3 oom.py
	is "$?" 0 "python3 goes on before its space is used up"
	# What is as large as the array alone eats the space: the first hundred calls of 100000 bytes.
	sed -i 's/range(100)/range(1000)/' oom.py
	faulty failslab:10/100/30000000/50 python3 oom.py
	status=$?
	[ $status -eq 0 ] && [ "$(cat said)" -gt 0 ]
	ok $? "python3 raises MemoryError, and catches it" || { diag "status $status"; head -5 all | diag; }
else
	skip 2 "no python3"
fi

done_testing
