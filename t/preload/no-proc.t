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

# A /sys that is there, but makes no sense, or speaks of a machine beyond what is counted.
mkdir -p root/sys/devices/system/node root/sys/devices/system/cpu
with_sys() {
	echo "$1" >root/sys/devices/system/node/online
	echo "$2" >root/sys/devices/system/cpu/possible
	said=$(in_root "$TEST_DIR/root" "$TEST_DIR/no-proc" 2>said.err)
	is "$? $said$(cat said.err)" "0 proc absent, sys there" "with nodes '$1' and CPUs '$2' it runs, too"
}
with_sys '' ''
with_sys rubbish rubbish
with_sys 0-1,7 0-4095
with_sys 5000-9000 9000-9999

STATS_FILE=$TEST_DIR/root$STATS_FILE
served no-proc
ok $? "malloc was ours"

done_testing
