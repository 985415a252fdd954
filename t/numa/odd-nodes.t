#!/bin/sh
# SPDX-License-Identifier: MIT
# A node without memory, and one without CPUs.

. "${top_srcdir:-.}/t/numa/guest.sh"

node 1 192 10 20 30
node 1 0 20 10 15
node 0 192 30 15 10
run numa/test_topology
run numa/test_place
run numa/test_threads
run numa/test_mixed
run numa/test_numastat
run numa/test_exhaust
boot

done_testing
