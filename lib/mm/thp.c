/* SPDX-License-Identifier: MIT */
/*
 * A hugepage is the cheapest memory there is when the system has one at hand, and the dearest when it must first be
 * made: by compaction, or, in a virtual machine, by the host, which may have taken it away. Small pages do not pay
 * that. So pageblocks that are advised are touched once with a look at the thread's own clock, and books are kept of
 * what that saved or cost against their small pages; when they are overdrawn, no more are asked for during a while,
 * which doubles each time.
 */
#include "mm/thp.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/annotate.h"
#include "base/atomic.h"
#include "base/bits.h"
#include "base/tunables.h"
#include "mm/page.h"
#include "os/os.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

#define THP_SMALL_NS 700000L	/* what 512 faults of small pages take; a hugepage at hand takes 90000 */
#define THP_CREDIT_NS 10000000L /* lent at the start, and the most that is kept: two that must be made */
#define THP_BACKOFF_MIN_MS 1000U
#define THP_BACKOFF_MAX_MS 64000U

/* Changed without a lock: a lost update costs a probe. */
static struct {
	long credit;	  /* ns saved */
	uint32_t backoff; /* ms; 0: hugepages pay */
	uint32_t since;	  /* when they last did not */
	bool no_collapse; /* the system has never heard of it */
} thp = { .credit = THP_CREDIT_NS };

bool thp_wanted(size_t mapped)
{
	uint32_t backoff = READ_ONCE(thp.backoff);

	if (READ_ONCE(tunables.thp) != THP_AUTO || mapped < tunables.thp_threshold || annotate_listening)
		return false;
	return !backoff || (uint32_t)os_clock_ms() - READ_ONCE(thp.since) >= backoff;
}

void thp_probe(volatile char *addr)
{
	uint32_t backoff = READ_ONCE(thp.backoff);
	uint64_t begin = os->thread_clock_ns();
	long credit;

	*addr = 0;
	credit = READ_ONCE(thp.credit) + THP_SMALL_NS - (long)(os->thread_clock_ns() - begin);
	WRITE_ONCE(thp.credit, credit < 0 ? 0 : (long)min_ul((unsigned long)credit, THP_CREDIT_NS));
	if (credit >= 0) {
		WRITE_ONCE(thp.backoff, 0);
		return;
	}
	backoff = backoff ? (uint32_t)min_ul(2UL * backoff, THP_BACKOFF_MAX_MS) : THP_BACKOFF_MIN_MS;
	WRITE_ONCE(thp.since, (uint32_t)os_clock_ms());
	WRITE_ONCE(thp.backoff, backoff);
}

bool thp_collapse_wanted(size_t mapped)
{
	if (READ_ONCE(thp.no_collapse) || annotate_listening)
		return false;
	return READ_ONCE(tunables.thp) == THP_ALWAYS || thp_wanted(mapped);
}

int thp_collapse(void *addr)
{
	long err = 0;

	if (READ_ONCE(tunables.thp) != THP_ALWAYS) /* else it was never forbidden */
		err = os->madvise(addr, PAGEBLOCK_SIZE, MADV_HUGEPAGE);
	if (!err)
		err = os->madvise(addr, PAGEBLOCK_SIZE, MADV_COLLAPSE);
	if (err == -EINVAL)
		WRITE_ONCE(thp.no_collapse, true);
	return (int)err;
}
