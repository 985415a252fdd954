#!/bin/sh
# SPDX-License-Identifier: MIT
# Two sockets, as most servers have them.

. "${top_srcdir:-.}/t/numa/guest.sh"

node 1 192 10 21
node 1 192 21 10
run numa/test_topology
run numa/test_place
boot

done_testing
