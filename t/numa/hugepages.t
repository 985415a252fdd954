#!/bin/sh
# SPDX-License-Identifier: MIT
# Hugepages, on a machine where a test may set some aside and say how they are given. 1 GiB in one piece must be among them.

. "${top_srcdir:-.}/t/numa/guest.sh"

guest_options="hugepagesz=1G hugepages=1"
node 1 4096 10 21
node 1 192 21 10
run numa/test_hugetlb
run numa/test_thp
run BUDDYMALLOC_CONF=thp:always numa/test_mixed
boot

done_testing
