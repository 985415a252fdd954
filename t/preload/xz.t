#!/bin/sh
# SPDX-License-Identifier: MIT
# xz -T2: the same bytes out of several threads, and back.

. "${top_srcdir:-.}/t/preload/preload.sh"

require xz xz-utils

seq 1 1500000 >input
alike "xz -T2" xz xz -T2 -2 --block-size=1MiB -c input
cp ours.out input.xz
alike "xz -d -T2" xz xz -d -T2 -c input.xz
cmp ours.out input
ok $? "the round trip gives the input back"

done_testing
