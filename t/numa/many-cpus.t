#!/bin/sh
# SPDX-License-Identifier: MIT
# More CPUs than it is worth to keep lists for, where a quota does not let them run at once.

. "${top_srcdir:-.}/t/numa/guest.sh"

node 6 160 10 20
node 6 160 20 10
run numa/test_quota
boot

done_testing
