#!/bin/sh
# SPDX-License-Identifier: MIT
# Pointers that malloc never gave out: named and the program ended, or warned of, or ignored.

. "${top_srcdir:-.}/t/preload/preload.sh"

compile foreign foreign.c

# hand POLICY WHERE CALL: stdout in said, stderr in warned, exit status in $status, the pointer in $pointer
hand() {
	BUDDYMALLOC_CONF=${1:+foreign_free:$1} LD_PRELOAD=$BM_LIB ./foreign "$2" "$3" >said 2>warned
	status=$?
	pointer=$(head -n 1 said)
}

# warned_of COUNT: that many lines of the library, all of them name the pointer's digits
warned_of() {
	[ "$(grep -c '^buddymalloc: ' warned)" -eq "$1" ] &&
		[ "$(grep -c "^buddymalloc: .*${pointer#0x}" warned)" -eq "$1" ]
}

outside='stack static mmap null-page kernel'

for call in free realloc malloc_usable_size; do
	for where in $outside middle-100 middle-1000 middle-20000 middle-300000 middle-20000000; do
		hand abort $where $call
		[ "$status" -eq 134 ] && grep -q "^buddymalloc: .*${pointer#0x}" warned
		ok $? "$call of $where: the pointer is named and the program ends by SIGABRT" ||
			{ echo "exit status $status, pointer $pointer"; cat warned; } | diag
	done
	for where in $outside; do
		hand warn $where $call
		[ "$status" -eq 0 ] && grep -q 'goes on' said && warned_of 1
		ok $? "$call of $where, foreign_free:warn: named once, and it goes on" ||
			{ echo "exit status $status, pointer $pointer"; cat warned; } | diag
		hand ignore $where $call
		[ "$status" -eq 0 ] && grep -q 'goes on' said && [ ! -s warned ]
		ok $? "$call of $where, foreign_free:ignore: silence, and it goes on" ||
			{ echo "exit status $status, pointer $pointer"; cat warned; } | diag
	done
done

hand abort untouched realloc
[ "$status" -eq 134 ] && grep -q "^buddymalloc: realloc(${pointer}): invalid pointer" warned
ok $? "realloc of what lies in a slab, but was never given out" ||
	{ echo "exit status $status, pointer $pointer"; cat warned; } | diag

LD_PRELOAD=$BM_LIB ./foreign stack free >said 2>warned
is $? 134 "to abort is the default"

done_testing
