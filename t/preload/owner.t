#!/bin/sh
# SPDX-License-Identifier: MIT
# Named owners and what libc allocates inside of them: it is the thread's, and nothing dangles when they are destroyed.

. "${top_srcdir:-.}/t/preload/preload.sh"

compile owner owner.c -I"$top_srcdir/include" -D_GNU_SOURCE "$BM_LIB"
compile owner-names owner-names.cc -I"$top_srcdir/include" "$BM_LIB"

said=$(preloaded ./owner 2>&1)
status=$?
is "$status $said" "0 printf for the first time
and again, for the locale C.UTF-8
the thread goes on: what was its argument
nothing dangles" "printf, getaddrinfo, pthread_create, dlopen, setlocale and more inside of an owner that is destroyed"
served owner
ok $? "malloc was ours"

said=$(preloaded ./owner-names 2>&1)
is "$? $said" "0 right" "the same through every name of malloc, and operator new"

done_testing
