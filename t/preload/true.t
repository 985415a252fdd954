#!/bin/sh
# SPDX-License-Identifier: MIT
# The smallest programs: they are served, say nothing, and cost at most 0.3 MiB more of resident memory.

. "${top_srcdir:-.}/t/preload/preload.sh"

require bash bash

alike "true" true env true
alike "echo" echo env echo hello

said=$(LD_PRELOAD=$BM_LIB env true 2>&1)
is "$said" "" "nothing is said unasked"
LD_PRELOAD=$BM_LIB env false
is $? 1 "false stays false"
LD_PRELOAD=$BM_LIB BUDDYMALLOC_SHOW_STATS=1 env true 2>shown
grep -q '^buddymalloc [^ ]* pid [0-9]* true: summary' shown
ok $? "BUDDYMALLOC_SHOW_STATS=1 shows the summary on stderr"

# Shells (dash ends by _exit, bash does not) wait for somebody to open the gate, and then all end at once.
rm -f "$STATS_FILE"
mkfifo gate
for _ in $(seq 1 200); do preloaded bash -c ': <gate' & done
sleep 1
exec 3<>gate
wait
is "$(grep -c '^buddymalloc [^ ]* pid [0-9]* bash: summary' "$STATS_FILE")" 200 \
	"programs that end at the same time do not write into each other's summaries"

# Where libc lies decides how much of it the kernel maps at a fault, so single runs differ by 64 kB and more: the median
# of many, taken in turn.
compile rss rss.c
: >plain.kb
: >ours.kb
for _ in $(seq 31); do
	./rss >>plain.kb
	LD_PRELOAD="$BM_LIB" ./rss >>ours.kb
done
plain_kb=$(sort -n plain.kb | sed -n 16p)
ours_kb=$(sort -n ours.kb | sed -n 16p)
[ "$ours_kb" -le $((plain_kb + 307)) ]
ok $? "peak resident memory: at most 0.3 MiB more" || diag "$plain_kb kB without, $ours_kb kB with the library"

done_testing
