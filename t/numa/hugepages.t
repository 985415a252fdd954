#!/bin/sh
# SPDX-License-Identifier: MIT
# Hugetlb pages, on a machine where a test may set some aside.

. "${top_srcdir:-.}/t/numa/guest.sh"

node 1 192 10 21
node 1 192 21 10
run numa/test_hugetlb
boot

done_testing
