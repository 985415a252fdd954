/* SPDX-License-Identifier: MIT */
/*
 * Hugepages that must first be made are borne as long as those at hand have saved as much.
 */
#include "base/bits.h"
#include "base/tunables.h"
#include "mm/thp.h"
#include "os/os.h"
#include "tap.h"

#define FAST 90000UL
#define SLOW 5500000UL

static uint64_t clock_now, probe_takes;

/* Each look at the clock is as long after the one before as a probe takes. */
static uint64_t stub_clock(void)
{
	return clock_now += probe_takes;
}

static bool wanted_after(uint64_t takes, unsigned int nr)
{
	char page = 1;

	for (probe_takes = takes; nr; nr--)
		thp_probe(&page);
	return !page && thp_wanted(64 * MiB);
}

int main(void)
{
	struct os_ops ops = *os;
	int i;

	ops.thread_clock_ns = stub_clock;
	os = &ops;
	ok(thp_wanted(64 * MiB) && !thp_wanted(16 * MiB), "from the threshold on");
	ok(wanted_after(SLOW, 2), "two that must be made are borne");
	ok(!wanted_after(SLOW, 1), "a third is not");
	ok(wanted_after(FAST, 1), "one at hand makes up for it");
	ok(!wanted_after(SLOW, 1), "but nothing is left to lose");
	wanted_after(FAST, 8);
	for (i = 0; i < 100 && wanted_after(FAST, 8) && wanted_after(SLOW, 1); i++)
		;
	ok(i == 100, "one in nine pays");
	for (i = 0; i < 100 && wanted_after(FAST, 3) && wanted_after(SLOW, 1); i++)
		;
	ok(i < 100, "one in four does not");
	return done_testing();
}
