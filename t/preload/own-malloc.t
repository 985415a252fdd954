#!/bin/sh
# SPDX-License-Identifier: MIT
# A program that defines malloc itself keeps it: the library stays idle, and what the program lacks forwards to it.

. "${top_srcdir:-.}/t/preload/preload.sh"

compile own-malloc own-malloc.c -ldl

said=$(LD_PRELOAD=$BM_LIB ./own-malloc 2>&1)
is "$? $said" "0 own malloc, operator new too" "the program's own malloc serves all of the family"

done_testing
