#!/bin/sh
# SPDX-License-Identifier: MIT
# One node, which the kernel names all the same. And groups of processes, and what strict systems allow, for which nodes
# do not matter.

. "${top_srcdir:-.}/t/numa/guest.sh"

node 2 256 10
disk 80
run numa/test_topology
run numa/test_place
run numa/test_cgroup
run numa/test_strict
boot

done_testing
