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
LD_PRELOAD=$BM_LIB BUDDYMALLOC_CONF=stats_file:/nonexistent/file "$(command -v env)" echo hello >/dev/null 2>shown
grep -q '^buddymalloc [^ ]* pid [0-9]* echo: summary' shown
ok $? "and so does a stats_file that cannot be written, in a program that closes stderr"

# Shells (dash ends by _exit, bash does not) wait for somebody to open the gate, and then all end at once.
rm -f "$STATS_FILE"
mkfifo gate
for _ in $(seq 1 200); do preloaded bash -c ': <gate' & done
sleep 1
exec 3<>gate
wait
is "$(grep -c '^buddymalloc [^ ]* pid [0-9]* bash: summary' "$STATS_FILE")" 200 \
	"programs that end at the same time do not write into each other's summaries"

# Where libraries lie decides how much of them the kernel maps at a fault, so single runs differ by 64 kB and more, and
# medians jump as much: the mean of many, taken in turn.
compile rss rss.c
: >plain.kb
: >ours.kb
for _ in $(seq 101); do
	./rss >>plain.kb
	LD_PRELOAD="$BM_LIB" ./rss >>ours.kb
done
mean() {
	awk '{ sum += $1 } END { printf "%d", sum / NR }' "$1"
}
plain_kb=$(mean plain.kb)
ours_kb=$(mean ours.kb)
[ "$ours_kb" -le $((plain_kb + 307)) ]
ok $? "resident memory: at most 0.3 MiB more" || diag "$plain_kb kB without, $ours_kb kB with the library"

# Of some 240 kB of code what programs run lies in the first 118 (lib/layout.ld), and the rest is a mapping of its own
# (os/text.c), as the kernel maps 64 at a fault. A function that has no place there yet brings another such piece, or two.
compile text text.c
for _ in $(seq 32); do
	LD_PRELOAD="$BM_LIB" ./text >>text.kb
done
text_kb=$(mean text.kb)
if readelf -SW "$BM_LIB" | grep -q ' \.rodata\.start '; then
	[ "$text_kb" -le 128 ]
	ok $? "resident code: at most 128 kB" || diag "$text_kb kB"
else
	skip 1 "this linker has a layout of its own"
fi

done_testing
