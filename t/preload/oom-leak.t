#!/bin/sh
# SPDX-License-Identifier: MIT
# A program of several threads that knows nothing of owners, under a limit: the thread that ate the memory ends, not the
# one that asked last, whatever the program does with SIGABRT.

. "${top_srcdir:-.}/t/preload/preload.sh"

compile oom-leak oom-leak.c
ulimit -c 0

# leak MODE [CONF]: status and output, the report in err.
leak() {
	LD_PRELOAD=$BM_LIB BUDDYMALLOC_CONF=limit:64m,$2 ./oom-leak $1 2>err | cat
}
status() {
	LD_PRELOAD=$BM_LIB BUDDYMALLOC_CONF=limit:64m,$2 ./oom-leak $1 >/dev/null 2>err
	echo $?
}
right="SIGABRT in the eater, tid right, stack right, malloc serves"

is "$(leak handler)" "starts
$right" "SIGABRT goes to the thread that ate the memory"
is "$(grep -c 'invoked oom-killer' err)" 1 "one report" || diag <err
first=$(grep -A 2 'Owners state' err | tail -n 1)
victim=$(sed -n 's/.*aborting owner oom-leak (thread \([0-9]*\)).*/\1/p' err)
case $first in
*"$victim] thread "*) ok 0 "which names the eater first" ;;
*) ok 1 "which names the eater first" || diag <err ;;
esac
grep -q 'slabs:[0-9]*kB runs:[0-9]*kB huge:[0-9]*kB in_use:[1-9]' err
ok $? "and says what malloc has"

is "$(status)" 134 "without a handler it dies of it"
is "$(status handler)" 134 "a handler that raises it again"
is "$(leak returns oom_wait_ms:200)" "starts
$right" "a handler that returns"
is "$(status returns oom_wait_ms:200)" 134 "does not help: after a while the process ends"
grep -q 'SIGABRT has not ended oom-leak for 200 ms' err
ok $? "and that is said" || diag <err
is "$(status blocked oom_wait_ms:200)" 134 "SIGABRT blocked does not help either"
grep -q 'SIGABRT has not ended oom-leak for 200 ms' err
ok $? "and that is said" || diag <err
is "$(leak frees)" "starts
$right
all had what they wanted" "a handler that has the memory freed"
is "$(status frees)" 0 "lets the program live"

is "$(leak '' oom:enomem)" "starts
the asker got NULL" "oom:enomem: no abort"
is "$(cat err)" "" "and nothing is said"
is "$(leak '' oom:report)" "starts
the asker got NULL" "oom:report: no abort"
is "$(grep -c 'invoked oom-killer' err)" 1 "but the report"
status '' "oom_report_file:$TEST_DIR/report" >/dev/null
grep '^buddymalloc: ' err | cmp -s - report
ok $? "oom_report_file has the same"
status '' "oom_report_file:$TEST_DIR/none/report" >/dev/null
is "$(grep -c "cannot open oom_report_file $TEST_DIR/none/report: error 2" err)" 1 "one that cannot be opened is said, once"

# The backtrace is that of the eater.
if need_program gdb gdb && gdb -q -batch -ex 'set debuginfod enabled off' -ex "set environment LD_PRELOAD $BM_LIB" \
	-ex 'set environment BUDDYMALLOC_CONF limit:64m' -ex run -ex bt ./oom-leak >bt 2>&1 && ! grep -q 'ptrace' bt; then
	grep -q 'received signal SIGABRT' bt && grep -q 'eat_memory' bt && ! grep -q 'in asker' bt
	ok $? "its backtrace shows who ate the memory" || tail -n 20 bt | diag
else
	skip 1 "no gdb that could run a program here"
fi

done_testing
