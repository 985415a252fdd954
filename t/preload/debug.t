#!/bin/sh
# SPDX-License-Identifier: MIT
# The page allocator's debug options find a program's errors, and none where there are none.

. "${top_srcdir:-.}/t/preload/preload.sh"

compile stale stale.c

# with CONF COMMAND…: stdout in said, stderr in warned; a core of a crash is not wanted
ulimit -c 0
with() {
	with_conf=$1
	shift
	LD_PRELOAD=$BM_LIB BUDDYMALLOC_CONF=$with_conf "$@" >said 2>warned
}

with verbose:false ./stale after
is "$? $(cat said warned)" "0 done" "without options a write after free goes unseen"
with page_poison:true ./stale after
is "$? $(cat said)" "0 done" "page_poison: the program goes on"
grep -q '^buddymalloc: pagealloc: memory corruption: written to after it was freed: page 0x.*, offset 904 to 904$' warned
ok $? "page_poison: where it was written to" || diag <warned
with page_poison:true,page_owner:true ./stale after
grep -q '^page last free by tid [0-9]*, ' warned && grep -q '^ ./stale+0x[0-9a-f]*$' warned
ok $? "page_owner: who freed it" || diag <warned
if need_program addr2line binutils; then
	sed -n '/^page last free by/,$s/^ .\/stale+//p' warned | head -n 1 | xargs addr2line -f -e stale | head -n 1 >function
	is "$(cat function)" main "page_owner: the call's address is that of a line in main"
else
	skip 1 "no addr2line"
fi

with debug_guardpage_minorder:7 sh -c './stale past; echo $?'
is "$(tail -n 1 said)" 139 "debug_guardpage_minorder: a write past the end is a fault" || diag <warned
with debug_guardpage_minorder:6 ./stale past
is "$? $(cat said)" "0 done" "but not of a block of that order"

with verbose:false ./stale fresh
is "$(cat said)" dirty "without options a block is as it was left"
with init_on_alloc:true ./stale fresh
is "$(cat said)" zero "init_on_alloc: a new one is zero"
with init_on_free:true ./stale fresh
is "$(cat said)" zero "init_on_free: a freed one is zero"

all=init_on_alloc:true,page_poison:true,debug_guardpage_minorder:3,page_owner:true
with $all ./stale fine
is "$? $(cat said warned)" "0 done" "all of them find nothing where there is nothing"
BUDDYMALLOC_CONF=$all alike "perl under all of them" perl perl -e \
	'my %h; $h{$_ % 1000} .= "x" x ($_ % 300) for 1 .. 100000; print length(join "", values %h), "\n"'
is "$(cat ours.err)" "" "and say nothing"

done_testing
