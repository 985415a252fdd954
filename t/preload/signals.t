#!/bin/sh
# SPDX-License-Identifier: MIT
# Allocation in a handler on an alternate stack of the least size. Without the library the stack may be too small.

. "${top_srcdir:-.}/t/preload/preload.sh"

compile altstack altstack.c -Wl,-z,now

said=$(preloaded ./altstack)
is "$? $said" "0 handled 42 signals" "handlers allocate on a minimal alternate stack"
served altstack
ok $? "malloc was ours"

done_testing
