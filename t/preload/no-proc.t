#!/bin/sh
# SPDX-License-Identifier: MIT
# Containers without /proc and /sys.

. "${top_srcdir:-.}/t/preload/preload.sh"

can_chroot || skip_all "neither root nor allowed to make a user namespace"

compile no-proc no-proc.c
make_root "$TEST_DIR/root" "$TEST_DIR/no-proc"

said=$(in_root "$TEST_DIR/root" "$TEST_DIR/no-proc" 2>said.err)
is "$? $said" "0 proc absent, sys absent" "a threaded program runs without /proc and /sys"
is "$(cat said.err)" "" "and the library says nothing about it"
STATS_FILE=$TEST_DIR/root$STATS_FILE
served no-proc
ok $? "malloc was ours"

done_testing
