#!/bin/sh
# SPDX-License-Identifier: MIT
# One node, which the kernel names all the same.

. "${top_srcdir:-.}/t/numa/guest.sh"

node 1 192 10
run numa/test_topology
run numa/test_place
boot

done_testing
