#!/bin/sh
# SPDX-License-Identifier: MIT
# Two sockets, as most servers have them.

. "${top_srcdir:-.}/t/numa/guest.sh"

node 1 192 10 21
node 1 192 21 10
run numa/test_topology
run numa/test_place
run numa/test_threads
run numa/test_numastat
run numa/test_cpuset
run numa/test_cpuset v1
run numa/test_cpuset v1-migrate
run numa/test_exhaust
run numa/test_hotplug
run api/test_policy
run api/test_pages
run stress/test_queues
boot

done_testing
