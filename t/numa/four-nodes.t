#!/bin/sh
# SPDX-License-Identifier: MIT
# Four nodes, some further away than they are near.

. "${top_srcdir:-.}/t/numa/guest.sh"

node 1 160 10 15 30 20
node 1 160 25 10 20 20
node 1 160 15 40 10 30
node 1 160 20 30 25 10
run numa/test_topology
run numa/test_place
run numa/test_threads
run numa/test_numastat
run numa/test_exhaust
boot

done_testing
