#!/bin/sh
# SPDX-License-Identifier: MIT
# Destructors of thread-specific data that allocate when the allocator's own have run.

. "${top_srcdir:-.}/t/preload/preload.sh"

compile keys keys.c

said=$(preloaded ./keys)
is "$? $said" "0 leaves nothing" "destructors of thread-specific data may allocate in every round"
served keys
ok $? "malloc was ours"

done_testing
