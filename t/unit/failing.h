/* SPDX-License-Identifier: MIT */
/*
 * A case that runs in one child after the other, in each with another call of the system failing, or all from that one
 * on, until a child makes no such call any more.
 */
#ifndef T_UNIT_FAILING_H
#define T_UNIT_FAILING_H

#include <errno.h>

#include "model.h"

static enum fake_op failing_op;
static long failing_nth;
static bool failing_forever;

#define NOT_REACHED 42

/* Where the case begins to make calls, with the fake system put below. */
TAP_UNUSED void failing_begin(void)
{
	fake_os_fail(failing_op, failing_nth, failing_forever, ENOMEM);
}

/* From here on no call fails; has one? If not, the case ends by _exit(NOT_REACHED). */
TAP_UNUSED bool failing_end(void)
{
	bool reached = fake_os_calls(failing_op) >= (unsigned long)failing_nth;

	fake_os_reset();
	return reached;
}

/* Each of the first calls, then by steps that become larger. */
TAP_UNUSED void fail_each(enum fake_op op, bool forever, void (*fn)(void), const char *name)
{
	/* valgrind may or may not let the window be planned, which says whether these are ever called. */
	bool may_be_none = on_valgrind() && (op == FAKE_MUNMAP || op == FAKE_MPROTECT);
	int status = 0, scale = (int)(30000 / steps(30000));
	char said[1024] = "";
	long runs = 0;

	failing_op = op;
	failing_forever = forever;
	for (failing_nth = 1; status == 0;
	     failing_nth += forever || failing_nth > 25 ? failing_nth / 6 + scale : scale) {
		status = fake_os_child(fn, said, sizeof(said));
		runs++;
	}
	if (!ok(WIFEXITED(status) && WEXITSTATUS(status) == NOT_REACHED && (runs > 1 || may_be_none) && !*said,
		"%s fails %s", name, forever ? "from the nth call on" : "at the nth call"))
		diag("run %ld: status %#x, said: %s", runs, (unsigned int)status, said);
	else
		diag("%ld runs", runs - 1);
}

#endif
