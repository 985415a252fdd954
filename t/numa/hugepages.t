#!/bin/sh
# SPDX-License-Identifier: MIT
# Hugepages, on a machine where a test may set some aside and say how they are given.

. "${top_srcdir:-.}/t/numa/guest.sh"

node 1 192 10 21
node 1 192 21 10
run numa/test_hugetlb
run numa/test_thp
boot

done_testing
