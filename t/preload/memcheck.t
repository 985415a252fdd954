#!/bin/sh
# SPDX-License-Identifier: MIT
# memcheck under our malloc, not its own, finds a program's bugs; and none where there are none.

. "${top_srcdir:-.}/t/preload/preload.sh"

require valgrind valgrind

compile buggy buggy.c

# memcheck BUG SIZE: valgrind's report in report
memcheck() {
	preloaded valgrind --soname-synonyms=somalloc=nouserintercepts --leak-check=full --show-leak-kinds=definite \
		--errors-for-leak-kinds=definite --log-file=report --error-exitcode=99 ./buggy "$@" >said 2>&1
	status=$?
}

# finds BUG SIZE PATTERN…: each of the patterns is in the report.
finds() {
	bug=$1 size=$2
	shift 2
	memcheck "$bug" "$size"
	found=0
	for pattern; do grep -Eq "$pattern" report || found=1; done
	ok $found "$bug in $size bytes is found" || {
		diag "exit status $status, wanted:"
		printf '%s\n' "$@" | diag
		cat report said | diag
	}
}

# A number the way valgrind writes it: 5,000
grouped() {
	echo "$1" | sed -E ':again; s/([0-9])([0-9]{3})($|,)/\1,\2\3/; t again'
}

memcheck none
is "$status" 0 "a program without bugs has none"
grep -q 'ERROR SUMMARY: 0 errors' report
ok $? "zero errors" || diag <report
served buggy
ok $? "malloc was ours, not valgrind's"

# Blocks that die with their owner are a leak to memcheck, which wants each to be freed.
compile memcheck-owner memcheck-owner.c -I"$top_srcdir/include" "$BM_LIB" -Wl,-rpath,"${BM_LIB%/*}"
preloaded valgrind --soname-synonyms=somalloc=nouserintercepts --leak-check=full --log-file=report --error-exitcode=99 \
	./memcheck-owner >said 2>&1
is "$? $(tail -n 1 said)" "0 done" "blocks allocated inside of a named owner outlive it" || head -n 30 report | diag

for size in 13 100 5000 40000 300000 3000000; do
	said_size=$(grouped $size)
	finds use-after-free $size 'Invalid read of size 1' "inside a block of size $said_size free'd"
	finds overflow $size 'Invalid write of size 1' "is 0 bytes after a block of size $said_size alloc'd"
	finds underflow $size 'Invalid write of size 1' "is 1 bytes before a block of size $said_size alloc'd"
	finds uninitialised $size 'Conditional jump or move depends on uninitialised'
	finds leak $size "$said_size bytes in 1 blocks are definitely lost"
done

done_testing
