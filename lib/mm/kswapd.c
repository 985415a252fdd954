/* SPDX-License-Identifier: MIT */
/*
 * kswapd, one for each node that has memory.
 *
 * The thread is made when a zone first falls below its low mark; or, in a program of several threads, when much memory
 * lies free, to give that back in place of those who free, and while nobody does anything. It ends when it was not
 * needed for a while, or was forked away. It is nobody's child: no signal of the program's is delivered to it, it has
 * no lists of free blocks, and what it allocates comes from the reserve. It calls the application's shrinkers with no
 * lock held, as everybody does.
 *
 * pgdat->kswapd says whether there is one; who wakes it changes kswapd_wakeups first and looks at that then, and it
 * looks at kswapd_wakeups again after it has said that it is gone: so no waking is lost.
 */
#include "mm/kswapd.h"

#include "base/annotate.h"
#include "base/host.h"
#include "base/message.h"
#include "mm/arena.h"
#include "mm/balance_inner.h"
#include "mm/budget.h"
#include "mm/compaction.h"
#include "mm/current.h"
#include "mm/internal.h"
#include "mm/shrinker.h"
#include "mm/vmscan.h"
#include "mm/vmstat.h"
#include "os/os.h"

#define KSWAPD_STACK (64 * KiB) /* beyond what libc needs */
#define PAUSE_MS 1000U		/* after it could not be made */
#define RETRY_MS 10U		/* after a run that freed nothing */
#define NAP_MS 100U		/* woken within: that was too early to sleep */
#define IDLE_MS 10000U		/* then it ends */
#define WORTH_BYTES (4 * MiB)	/* dirty: more than its stack and its making cost */
#define LEFT_PAGES 256UL	/* dirty in a zone: not worth waking for */

enum { KSWAPD_NONE, KSWAPD_STARTING, KSWAPD_RUNNING, KSWAPD_PAUSING };

void (*kswapd_before_start)(void);
void (*kswapd_idle_work)(void);

bool kswapd_wanted;
/* Somebody left it to kswapd to come to what may be dirty. */
static bool over_limit;

/* The process that its threads belong to, since there were marks, or several threads; 0: there were none. */
static int kswapd_pid;

bool pgdat_balanced(pg_data_t *pgdat, unsigned int order, enum zone_type highest_zoneidx)
{
	/* What lies below 4 GiB is no help to malloc. */
	enum zone_type z = highest_zoneidx < ZONE_NORMAL ? highest_zoneidx : ZONE_NORMAL;
	bool any = false;

	for (; z <= highest_zoneidx; z++) {
		const struct zone *zone = &pgdat->node_zones[z];

		if (!populated_zone(zone))
			continue;
		any = true;
		if (zone_watermark_ok(zone, order, READ_ONCE(zone->watermark[WMARK_HIGH]), highest_zoneidx,
				      ALLOC_WMARK_LOW))
			return true;
	}
	return !any;
}

/* The same for each highest zone in the mask, a bit each. */
static bool balanced_for(pg_data_t *pgdat, unsigned int order, unsigned int zones)
{
	int z;

	for (z = 0; z < MAX_NR_ZONES; z++)
		if (zones >> z & 1 && !pgdat_balanced(pgdat, order, (enum zone_type)z))
			return false;
	return true;
}

/* Pages by which the marks were raised. */
static unsigned long pgdat_watermark_boost(const pg_data_t *pgdat)
{
	unsigned long boost = 0;
	int z;

	for (z = 0; z < MAX_NR_ZONES; z++)
		boost += READ_ONCE(pgdat->node_zones[z].watermark_boost);
	return boost;
}

/* It could not be made a moment ago. */
static bool making_waits(const pg_data_t *pgdat)
{
	uint32_t retry = READ_ONCE(pgdat->kswapd_retry);

	return retry && (int32_t)((uint32_t)os_clock_ms() - retry) < 0;
}

/* Is there, or could there be, a thread that takes care of the zone? Nobody has marks while no limit is in force. */
static bool kswapd_allowed(const pg_data_t *pgdat, const struct zone *zone)
{
	unsigned int mode = READ_ONCE(tunables.kswapd);

	if (mode == KSWAPD_OFF || !READ_ONCE(zone->watermark[WMARK_LOW]))
		return false;
	if (READ_ONCE(pgdat->kswapd) != KSWAPD_NONE)
		return true;
	if (making_waits(pgdat))
		return false;
	return mode == KSWAPD_ON || (READ_ONCE(limits_in_force) && READ_ONCE(nr_heap_threads) >= 2);
}

/* What the node has, and could grow by. */
static unsigned long pgdat_free_pages(const pg_data_t *pgdat)
{
	unsigned long nr = budget_growable_pages(true, true);
	int z;

	for (z = 0; z < MAX_NR_ZONES; z++)
		nr += READ_ONCE(pgdat->node_zones[z].nr_free_pages);
	return nr;
}

/* A round at a priority: our own caches, and if that is not enough the application's. Pages freed. */
static unsigned long kswapd_shrink_node(pg_data_t *pgdat, unsigned int order, unsigned int zones, int priority)
{
	unsigned long scanned = 0, freed, before, after;

	freed = shrink_slab(GFP_KERNEL, pgdat->node_id, priority, &scanned);
	count_vm_events(SLABS_SCANNED, scanned);
	count_vm_events(PGSCAN_KSWAPD, scanned);
	count_vm_events(PGSTEAL_KSWAPD, freed);
	if (balanced_for(pgdat, order, zones))
		return freed;
	/* What they say they freed are objects: what counts is whether that made pages free. */
	before = pgdat_free_pages(pgdat);
	count_vm_events(KSWAPD_INODESTEAL, shrink_slab_app_at(GFP_KERNEL, pgdat->node_id, priority));
	after = pgdat_free_pages(pgdat);
	return freed + (after > before ? after - before : 0);
}

/* Take back what the marks were raised by when the run began. */
static void unboost(pg_data_t *pgdat, const unsigned long *boosts)
{
	int z;

	for (z = 0; z < MAX_NR_ZONES; z++) {
		struct zone *zone = &pgdat->node_zones[z];
		unsigned long boost;

		if (!boosts[z])
			continue;
		mutex_lock(&zone->lock);
		boost = READ_ONCE(zone->watermark_boost); /* set to 0 without the lock, too */
		WRITE_ONCE(zone->watermark_boost, boost - min_ul(boost, boosts[z]));
		mutex_unlock(&zone->lock);
	}
}

/* In the child of a fork, which a shrinker may have made, this is a thread like others. */
static bool is_kswapd(void)
{
	return current->flags & PF_KSWAPD;
}

/* Reclaim until a zone is at its high mark; for the sake of a boost alone as much as that is. True: it is. */
static bool balance_pgdat(pg_data_t *pgdat, unsigned int order, unsigned int zones)
{
	unsigned long boosts[MAX_NR_ZONES], reclaimed = 0, boost = pgdat_watermark_boost(pgdat);
	int z, priority;
	bool balanced;

	count_vm_event(PAGEOUTRUN);
	pressure_signal();
	for (z = 0; z < MAX_NR_ZONES; z++)
		boosts[z] = READ_ONCE(pgdat->node_zones[z].watermark_boost);
	for (priority = DEF_PRIORITY; priority >= 0 && is_kswapd(); priority--) {
		unsigned long freed;

		balanced = balanced_for(pgdat, order, zones);
		if (balanced && reclaimed >= boost)
			break;
		/* Other things come first than the mixing of pageblocks. */
		if (!balanced)
			boost = 0;
		freed = kswapd_shrink_node(pgdat, order, zones, priority);
		reclaimed += freed;
		if (boost && !freed)
			break;
		/* What compaction needs is there: the rest is its business. */
		if (order && reclaimed >= compact_gap(order))
			order = 0;
	}
	unboost(pgdat, boosts);
	balanced = balanced_for(pgdat, order, zones);
	if (reclaimed || balanced)
		WRITE_ONCE(pgdat->kswapd_failures, 0);
	else
		WRITE_ONCE(pgdat->kswapd_failures, READ_ONCE(pgdat->kswapd_failures) + 1);
	reclaim_unthrottle(pgdat);
	return balanced;
}

/* Sleep until it is woken, for so long at most. *seen: of kswapd_wakeups. */
static bool kswapd_sleep(pg_data_t *pgdat, uint32_t seen, unsigned int ms)
{
	return os_futex_wait_ms(&pgdat->kswapd_wakeups, seen, ms) || READ_ONCE(pgdat->kswapd_wakeups) != seen;
}

/* After a run that freed nothing nobody wakes it: those who wait for memory see to themselves, and each waking would
 * take the CPU from one of them. */
static void kswapd_pause(pg_data_t *pgdat)
{
	if (!READ_ONCE(pgdat->kswapd_failures))
		return;
	smp_store_release(&pgdat->kswapd, KSWAPD_PAUSING);
	kswapd_sleep(pgdat, READ_ONCE(pgdat->kswapd_wakeups), RETRY_MS);
	smp_store_release(&pgdat->kswapd, KSWAPD_RUNNING);
}

static bool lies_dirty(void)
{
	struct zone *zone;
	int i;

	if (!READ_ONCE(tunables.dirty_decay))
		return false;
	for_each_populated_zone (zone, i)
		if (READ_ONCE(zone->nr_dirty) > LEFT_PAGES)
			return true;
	return READ_ONCE(arena_stats.dirty);
}

/* There is nothing to reclaim: what lies idle for longer than dirty_decay goes back to the system. False: it was not
 * needed for so long that it may end. */
static bool kswapd_idle(pg_data_t *pgdat, uint32_t seen)
{
	unsigned long never = READ_ONCE(tunables.dirty_decay) ? 0 : IDLE_MS,
		      decay = max_ul(min_ul(READ_ONCE(tunables.dirty_decay) + never, IDLE_MS), NAP_MS);
	unsigned int slept = NAP_MS;

	if (kswapd_sleep(pgdat, seen, NAP_MS)) {
		count_vm_event(KSWAPD_LOW_WMARK_HIT_QUICKLY);
		return true;
	}
	for (;;) {
		bool dirty = lies_dirty();
		/* Who frees less than would be given back does not wake it. */
		unsigned int ms = (unsigned int)(dirty ? decay / KSWAPD_LOOKS : decay);

		if (kswapd_sleep(pgdat, seen, ms))
			return true;
		slept = dirty ? 0 : slept + ms;
		/* Slabs may have what is to go while nothing is dirty. */
		if (READ_ONCE(tunables.dirty_decay) && kswapd_idle_work)
			kswapd_idle_work();
		if (slept >= IDLE_MS)
			return false;
	}
}

/* False if somebody has just woken it: then it stays. */
static bool kswapd_end(pg_data_t *pgdat, uint32_t seen)
{
	xchg(&pgdat->kswapd, KSWAPD_NONE);
	if (__atomic_load_n(&pgdat->kswapd_wakeups, __ATOMIC_SEQ_CST) == seen)
		return true;
	return !try_cmpxchg(&pgdat->kswapd, KSWAPD_NONE, KSWAPD_RUNNING);
}

static void *kswapd(void *arg)
{
	pg_data_t *pgdat = arg;
	unsigned int zones = 0;
	struct out name;

	out_init(&name, -1);
	out_printf(&name, "kswapd%d", pgdat->node_id);
	os_thread_name(name.buf);
	current->flags |= PF_MEMALLOC | PF_KSWAPD;
	while (is_kswapd()) {
		uint32_t seen = __atomic_load_n(&pgdat->kswapd_wakeups, __ATOMIC_SEQ_CST);
		unsigned int order = xchg(&pgdat->kswapd_order, 0U);

		zones |= xchg(&pgdat->kswapd_zones, 0U);
		if (!kswapd_welcome() && kswapd_end(pgdat, seen))
			break;
		if (xchg(&over_limit, false))
			mm_balance();
		if (READ_ONCE(pgdat->kswapd_failures) >= MAX_RECLAIM_RETRIES ||
		    (balanced_for(pgdat, order, zones) && !pgdat_watermark_boost(pgdat))) {
			zones = 0;
			if (!kswapd_idle(pgdat, seen) && kswapd_end(pgdat, seen))
				break;
		} else if (balance_pgdat(pgdat, order, zones)) {
			zones = 0;
		} else if (is_kswapd()) {
			kswapd_pause(pgdat);
		}
	}
	return NULL;
}

void kswapd_belongs_here(void)
{
	if (unlikely(!READ_ONCE(kswapd_pid)))
		WRITE_ONCE(kswapd_pid, os_getpid());
}

/* Make the thread. What libc allocates for that must not end up here again. */
static void kswapd_run(pg_data_t *pgdat)
{
	unsigned int scopes;
	int pid = os_getpid();

	/* A child of vfork shares our memory, but not our threads. */
	if (READ_ONCE(kswapd_pid) && READ_ONCE(kswapd_pid) != pid)
		return;
	if (!try_cmpxchg(&pgdat->kswapd, KSWAPD_NONE, KSWAPD_STARTING))
		return;
	WRITE_ONCE(kswapd_pid, pid);
	scopes = memalloc_flags_save(PF_MEMALLOC);
	if (kswapd_before_start)
		kswapd_before_start();
	smp_store_release(&pgdat->kswapd, KSWAPD_RUNNING);
	WRITE_ONCE(pgdat->kswapd_retry, 0);
	if (os_thread_start(kswapd, pgdat, KSWAPD_STACK)) {
		WRITE_ONCE(pgdat->kswapd_retry, ((uint32_t)os_clock_ms() + PAUSE_MS) | 1);
		smp_store_release(&pgdat->kswapd, KSWAPD_NONE);
	}
	memalloc_flags_restore(scopes);
}

/* False: there is none, or it does not want to be woken. */
static bool wake(pg_data_t *pgdat)
{
	__atomic_add_fetch(&pgdat->kswapd_wakeups, 1, __ATOMIC_SEQ_CST);
	if (smp_load_acquire(&pgdat->kswapd) != KSWAPD_RUNNING)
		return false;
	host_futex_wake(&pgdat->kswapd_wakeups, 1);
	return true;
}

void wakeup_kswapd(struct zone *zone, gfp_t gfp, unsigned int order, enum zone_type highest_zoneidx)
{
	pg_data_t *pgdat = NODE_DATA(zone->nid);
	unsigned long high = READ_ONCE(zone->watermark[WMARK_HIGH]) + READ_ONCE(zone->watermark_boost);

	if (!kswapd_allowed(pgdat, zone)) {
		/* gfp 0: the boost is new, and who allocates now makes the zone grow. Else that is over. */
		if (gfp || zone_watermark_ok(zone, order, high, highest_zoneidx, ALLOC_WMARK_LOW))
			WRITE_ONCE(zone->watermark_boost, 0);
		return;
	}
	if (READ_ONCE(pgdat->kswapd_failures) >= MAX_RECLAIM_RETRIES ||
	    (pgdat_balanced(pgdat, order, highest_zoneidx) && !pgdat_watermark_boost(pgdat)))
		return;
	__atomic_fetch_or(&pgdat->kswapd_zones, 1U << highest_zoneidx, __ATOMIC_RELAXED);
	if (READ_ONCE(pgdat->kswapd_order) < order)
		WRITE_ONCE(pgdat->kswapd_order, order);
	if (!wake(pgdat) && gfp & GFP_DIRECT_RECLAIM && !(current->flags & PF_MEMALLOC) && !mutex_held_for_fork())
		kswapd_run(pgdat);
}

static pg_data_t *first_node(void)
{
	int nid = 0;

	while (!NODE_DATA(nid))
		nid++;
	return NODE_DATA(nid);
}

/* Beyond twice the limit it is too slow, or the child of a fork that nobody told us of has none. */
cold bool kswapd_gives_back_slow(unsigned long dirty, unsigned long limit)
{
	pg_data_t *pgdat = first_node();

	if (is_kswapd() || READ_ONCE(limits_in_force))
		return false;
	if (READ_ONCE(pgdat->kswapd) != KSWAPD_RUNNING) {
		WRITE_ONCE(kswapd_wanted, true);
		return false;
	}
	if (dirty > 2 * limit)
		return false;
	if (!READ_ONCE(over_limit) && !xchg(&over_limit, true))
		wake(pgdat);
	return true;
}

cold void kswapd_note_dirty(size_t bytes)
{
	if (bytes >= WORTH_BYTES && kswapd_welcome() && READ_ONCE(first_node()->kswapd) == KSWAPD_NONE)
		WRITE_ONCE(kswapd_wanted, true);
}

cold void kswapd_start_wanted(void)
{
	pg_data_t *pgdat = first_node();

	WRITE_ONCE(kswapd_wanted, false);
	/* Whose pid is not known may be a child of vfork. */
	if (!READ_ONCE(kswapd_pid) || !kswapd_welcome() || annotate_listening || READ_ONCE(limits_in_force) ||
	    current->flags & PF_MEMALLOC || mutex_held_for_fork() || making_waits(pgdat))
		return;
	kswapd_run(pgdat);
}

cold void kswapd_threads_ended(void)
{
	int nid;

	for_each_online_node (nid)
		wake(NODE_DATA(nid));
}

void kswapd_poll(void)
{
	int nid;

	for_each_online_node (nid) {
		struct zone *zone = &NODE_DATA(nid)->node_zones[ZONE_NORMAL];

		if (populated_zone(zone) &&
		    !zone_watermark_ok(zone, 0, READ_ONCE(zone->watermark[WMARK_LOW]), ZONE_NORMAL, ALLOC_WMARK_LOW))
			wakeup_kswapd(zone, current_gfp_context(GFP_MALLOC), 0, ZONE_NORMAL);
	}
}

void kswapd_reinit_after_fork(void)
{
	int nid;

	if (kswapd_pid)
		kswapd_pid = os_getpid();
	current->flags &= ~PF_KSWAPD;
	kswapd_wanted = over_limit = false;
	for_each_online_node (nid) {
		NODE_DATA(nid)->kswapd = KSWAPD_NONE;
		NODE_DATA(nid)->kswapd_failures = 0;
		NODE_DATA(nid)->kswapd_retry = 0;
		NODE_DATA(nid)->kswapd_order = 0;
		NODE_DATA(nid)->kswapd_zones = 0;
	}
}
