/* SPDX-License-Identifier: MIT */
/*
 * kswapd: when there is one, how far it works, and when it ends.
 */
#include "malloc/heap.h"
#include "mm/balance.h"
#include "mm/balance_inner.h"
#include "mm/pressure.h"
#include "kswapd.h"

/* From low to high, and nobody had to reclaim himself. */
static void works(void)
{
	start(NR_HELD);
	down_to(LOW);
	must(!starts && !has_kswapd() && (TSAN || threads_named("", NULL) == 1), "not needed yet");
	must(alloc_pages(GFP_KERNEL, 0));
	until(balanced);
	must(starts == 1 && !vm_events[ALLOCSTALL] && has_kswapd() && (TSAN || threads_named("", NULL) == 2));
	until(stolen);
	must(READ_ONCE(vm_events[PAGEOUTRUN]) >= 1);
	must(READ_ONCE(nr_held) >= NR_HELD - 2 * 32, "no more than needed: %lu", nr_held);
	/* The same thread, the next time. */
	down_to(LOW - 1);
	until(balanced);
	must(starts == 1 && !vm_events[ALLOCSTALL] && has_kswapd() && (TSAN || threads_named("", NULL) == 2));
	must(!(current->flags & PF_SCOPES));
}

static void modes(void)
{
	start(NR_HELD);
	hurry = 100;
	tunables.kswapd = KSWAPD_OFF;
	nr_heap_threads = 2;
	down_to(LOW - 5);
	must(!starts && READ_ONCE(nr_held) == NR_HELD);
	tunables.kswapd = KSWAPD_AUTO;
	nr_heap_threads = 1;
	down_to(LOW - 10);
	must(!starts, "a process of one thread stays one");
	nr_heap_threads = 2;
	must(alloc_pages(GFP_KERNEL, 0) && !starts, "nor is there a limit");
	limits_in_force = true;
	must(alloc_pages(GFP_KERNEL, 0));
	until(balanced);
	must(starts == 1);
	/* Switched off, it goes. */
	WRITE_ONCE(tunables.kswapd, KSWAPD_OFF);
	until(gone);
	set_marks(zone, 0, 0, 0);
	WRITE_ONCE(tunables.kswapd, KSWAPD_ON);
	down_to(5);
	must(starts == 1, "no marks, no thread");
}

/* Who may not wait does not make a thread, but wakes one. */
static void rights(void)
{
	unsigned int scopes;
	uint32_t seen;

	start(NR_HELD);
	down_to(LOW + 1);
	must(alloc_pages(GFP_NOWAIT, 0) && alloc_pages(GFP_ATOMIC, 0) && !starts);
	scopes = memalloc_flags_save(PF_MEMALLOC);
	must(alloc_pages(GFP_KERNEL, 0) && !starts);
	memalloc_flags_restore(scopes);
	mutex_hold_for_fork(true);
	must(alloc_pages(GFP_KERNEL, 0) && !starts);
	mutex_hold_for_fork(false);
	must(alloc_pages(GFP_KERNEL & ~GFP_KSWAPD_RECLAIM, 0) && !starts);
	must(alloc_pages(GFP_KERNEL, 0) && starts == 1);
	until(balanced);
	/* It may have done its work before this thread goes on: a number of free pages may never be seen. */
	seen = READ_ONCE(pgdat->kswapd_wakeups);
	while (READ_ONCE(pgdat->kswapd_wakeups) == seen)
		must(alloc_pages(GFP_NOWAIT, 0));
	until(balanced);
	must(starts == 1 && !vm_events[ALLOCSTALL]);
}

/* What comes from elsewhere than the zones counts as much: a huge block takes from the same limit. */
static void elsewhere(void)
{
	start(NR_HELD);
	kswapd_poll();
	must(!starts);
	while (zone->nr_free_pages >= LOW)
		must(take(zone, 0, MIGRATE_UNMOVABLE));
	kswapd_poll();
	until(balanced);
	must(starts == 1 && !vm_events[ALLOCSTALL]);
}

/* It cannot be made: the next try comes later, and meanwhile all goes on as without. */
static void no_thread(void)
{
	start(NR_HELD);
	no_threads = true;
	stopped = 1000000;
	down_to(LOW - 1);
	must(starts == 1);
	zone->watermark_boost = 10;
	must(alloc_pages(GFP_KERNEL, 0));
	must(zone->watermark_boost == 0 && starts == 1);
	WRITE_ONCE(stopped, 1000999);
	must(alloc_pages(GFP_KERNEL, 0) && starts == 1);
	WRITE_ONCE(stopped, 1002000);
	must(alloc_pages(GFP_KERNEL, 0) && starts == 2);
	no_threads = false;
	WRITE_ONCE(stopped, 1004000);
	must(alloc_pages(GFP_KERNEL, 0) && starts == 3);
	until(balanced);
}

/* Nothing to be had: it gives up, and is left alone until somebody has freed something. */
static void hopeless(void)
{
	unsigned long runs;

	start(NR_HELD);
	hurry = 100;
	WRITE_ONCE(nr_held, 0);
	down_to(LOW - 1);
	until(given_up);
	runs = READ_ONCE(vm_events[PAGEOUTRUN]);
	must(runs == MAX_RECLAIM_RETRIES, "%lu", runs);
	must(alloc_pages(GFP_KERNEL, 0));
	until(gone);
	must(alloc_pages(GFP_KERNEL, 0) && starts == 1 && READ_ONCE(vm_events[PAGEOUTRUN]) == runs);
	WRITE_ONCE(nr_held, NR_HELD);
	must(try_to_free_pages(pgdat->node_zonelists[ZONELIST_FALLBACK], 0, GFP_KERNEL, NULL) >= 32);
	must(!given_up());
	down_to(LOW - 1);
	until(balanced);
	must(starts == 2);
}

static bool pauses(void)
{
	return READ_ONCE(waits) != 0;
}

/* After a run in vain it is left alone for a while: who wakes it would lose his CPU to it for nothing. */
static void in_vain(void)
{
	int i;

	start(NR_HELD);
	hurry = 0;
	WRITE_ONCE(nr_held, 0);
	down_to(LOW - 1);
	until(pauses);
	must(READ_ONCE(vm_events[PAGEOUTRUN]) == 1 && READ_ONCE(pgdat->kswapd_failures) == 1);
	wakes = 0;
	for (i = 0; i < 10; i++)
		must(alloc_pages(GFP_KERNEL, 0));
	must(!wakes && starts == 1 && READ_ONCE(vm_events[PAGEOUTRUN]) == 1);
}

static bool unboosted(void)
{
	return !READ_ONCE(zone->watermark_boost);
}

/* What the marks were raised by is taken back, with as much reclaim as that was. */
static void boost(void)
{
	start(NR_HELD);
	down_to(HIGH + 5);
	zone->watermark_boost = 40;
	wakeup_kswapd(zone, 0, 0, ZONE_NORMAL);
	must(!starts && zone->watermark_boost == 40, "a lock may be held there");
	must(alloc_pages(GFP_KERNEL, 0));
	until(unboosted);
	must(starts == 1 && READ_ONCE(zone->nr_free_pages) >= HIGH + 40 && !vm_events[ALLOCSTALL]);
	WRITE_ONCE(zone->watermark_boost, 30);
	wakeup_kswapd(zone, 0, 0, ZONE_NORMAL);
	until(unboosted);
	must(READ_ONCE(vm_events[PAGEOUTRUN]) >= 2);
}

/* What came while it worked is taken back by the next run. */
static void boosted_meanwhile(void)
{
	start(NR_HELD);
	down_to(HIGH + 5);
	zone->watermark_boost = 40;
	boost_meanwhile = 7;
	must(alloc_pages(GFP_KERNEL, 0));
	until(unboosted);
	must(!READ_ONCE(boost_meanwhile) && READ_ONCE(vm_events[PAGEOUTRUN]) == 2 && !vm_events[ALLOCSTALL]);
}

/* For the sake of a boost nobody is asked twice. */
static void boost_in_vain(void)
{
	start(NR_HELD);
	nr_held = 0;
	down_to(HIGH + 5);
	zone->watermark_boost = 40;
	must(alloc_pages(GFP_KERNEL, 0));
	until(unboosted);
	must(READ_ONCE(held_counts) == 1 && READ_ONCE(vm_events[PAGEOUTRUN]) == 1 && !vm_events[ALLOCSTALL]);
}

/* Each kind of request has its zones: what one of them has is no help to the other. */
static void zones(void)
{
	struct zone *movable;

	start(NR_HELD);
	movable = zone_at(0, ZONE_MOVABLE);
	must(pgdat_balanced(pgdat, 0, ZONE_MOVABLE) && pgdat_balanced(pgdat, 0, ZONE_NORMAL));
	set_marks(zone, HUGE_MARK, HUGE_MARK, HUGE_MARK);
	must(!pgdat_balanced(pgdat, 0, ZONE_MOVABLE) && !pgdat_balanced(pgdat, 0, ZONE_NORMAL));
	must(pgdat_balanced(pgdat, 0, ZONE_DMA32), "there is none");
	movable->managed_pages = movable->nr_free_pages = 1000;
	must(pgdat_balanced(pgdat, 0, ZONE_MOVABLE) && !pgdat_balanced(pgdat, 0, ZONE_NORMAL));
	movable->managed_pages = movable->nr_free_pages = 0;
}

/* Idle: what lies dirty goes back in time, and after some time the thread goes, too. */
static int idle_calls;
static void idle_work(void)
{
	atomic_add_return(&idle_calls, 1);
	arena_purge(~0UL, 0, false);
}

static bool idled(void)
{
	return READ_ONCE(idle_calls) >= 3;
}

static void idle(void)
{
	int calls;

	start(NR_HELD);
	hurry = 100;
	kswapd_idle_work = idle_work;
	arena_stats.dirty = 1;
	down_to(LOW - 1);
	until(balanced);
	until(idled);
	must(running());
	arena_lock_all();
	WRITE_ONCE(arena_stats.dirty, 0);
	arena_unlock_all();
	calls = READ_ONCE(idle_calls);
	until(gone);
	must(starts == 1 && READ_ONCE(idle_calls) > calls + 3, "slabs may hold what is idle");
	down_to(LOW - 1);
	until(balanced);
	must(starts == 2);
}

/* A block of 128 KiB of each two: what lies between them cannot become whole pageblocks. */
static unsigned long free_every_other(void)
{
	static struct page *page[512];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(page); i++)
		must(page[i] = alloc_pages(GFP_KERNEL, 5));
	for (i = 0; i < ARRAY_SIZE(page); i += 2)
		free_pages(page[i], 5);
	return READ_ONCE(zone->nr_dirty);
}

static void look(void)
{
	zones_decay((uint32_t)tunables.dirty_decay);
}

/* No marks, and several threads. */
static void start_dirty(void)
{
	zone = model_start();
	pgdat = NODE_DATA(0);
	kswapd_before_start = fork_handlers_register;
	tunables.thp = THP_NEVER;
	tunables.dirty_max = 256 * MiB;
	tunables.kswapd = KSWAPD_AUTO;
	nr_heap_threads = 2;
	kswapd_belongs_here();
	kswapd_idle_work = look;
	alarm(900);
}

static bool clean(void)
{
	return READ_ONCE(zone->nr_dirty) <= 256;
}

/* No marks: it is made where several threads are and much is dirty, gives that back when it is old, and goes. */
static void decay(void)
{
	unsigned long dirty;

	start_dirty();
	hurry = 20;
	dirty = free_every_other();
	must(dirty >= 256 << 5);
	nr_heap_threads = 1;
	kswapd_note_dirty(64 * MiB);
	must(!kswapd_wanted && !kswapd_gives_back(dirty, dirty - 1) && !kswapd_wanted, "one thread");
	nr_heap_threads = 2;
	kswapd_note_dirty(MiB);
	must(!kswapd_wanted, "little");
	tunables.kswapd = KSWAPD_OFF;
	kswapd_note_dirty(64 * MiB);
	must(!kswapd_wanted, "off");
	tunables.kswapd = KSWAPD_AUTO;
	kswapd_note_dirty(64 * MiB);
	must(kswapd_wanted && !starts);
	kswapd_start_wanted();
	must(starts == 1 && running() && !kswapd_wanted);
	until(clean);
	until(gone);
	check_zone(zone);
}

static unsigned long dirty_before;
static bool less_dirty(void)
{
	return READ_ONCE(zone->nr_dirty) <= dirty_before * 3 / 4;
}

/* Who frees leaves giving back to it. */
static void in_place_of_frees(void)
{
	start_dirty();
	hurry = 0;
	dirty_before = free_every_other();
	kswapd_note_dirty(64 * MiB);
	kswapd_start_wanted();
	must(running());
	WRITE_ONCE(tunables.dirty_max, (dirty_before << PAGE_SHIFT) / 4);
	balance_zone(zone);
	until(less_dirty);
	check_zone(zone);
	/* Where it cannot keep up it is not waited for. */
	must(!kswapd_gives_back(1000, 499) && kswapd_gives_back(1000, 501));
	/* And with the last thread but one it ends. */
	WRITE_ONCE(nr_heap_threads, 1);
	kswapd_threads_ended();
	until(gone);
}

/* It cannot be made: frees give back as they did. */
static void decay_without_thread(void)
{
	unsigned long dirty;

	start_dirty();
	no_threads = true;
	stopped = 1000000;
	dirty = free_every_other();
	kswapd_note_dirty(64 * MiB);
	kswapd_start_wanted();
	must(starts == 1 && !running());
	must(!kswapd_gives_back(dirty, dirty - 1) && kswapd_wanted);
	kswapd_start_wanted();
	must(starts == 1, "not at once again");
	WRITE_ONCE(tunables.dirty_max, MiB);
	balance_zone(zone);
	must(READ_ONCE(zone->nr_dirty) < dirty);
	WRITE_ONCE(stopped, 1002000);
	no_threads = false;
	kswapd_note_dirty(64 * MiB);
	kswapd_start_wanted();
	must(starts == 2 && running());
	WRITE_ONCE(stopped, 0);
	WRITE_ONCE(tunables.kswapd, KSWAPD_OFF);
	kswapd_threads_ended();
	until(gone);
}

int main(void)
{
	run_case("works from the low mark to the high one, and nobody stalls", works);
	run_case("kswapd:auto, on and off", modes);
	run_case("who may not wait makes no thread", rights);
	run_case("huge blocks wake it too", elsewhere);
	run_case("where no thread can be made", no_thread);
	run_case("gives up where nothing is to be had", hopeless);
	run_case("nor is it woken after a run in vain, for a while", in_vain);
	run_case("takes a boost back", boost);
	run_case("but not what came meanwhile", boosted_meanwhile);
	run_case("in vain: one round", boost_in_vain);
	run_case("balanced, for which requests", zones);
	run_case("idle: gives back in time, then ends", idle);
	run_case("no marks: the same, where there are threads", decay);
	run_case("who frees leaves giving back to it", in_place_of_frees);
	run_case("no marks, and no thread can be made", decay_without_thread);
	return done_testing();
}
