/* SPDX-License-Identifier: MIT */
/*
 * Huge blocks: sizes, alignment, resizing, moving; and the heap above all layers over a system that fails at every call
 * in turn, where each NULL comes with ENOMEM and no block loses its contents.
 */
#include <errno.h>

#include "base/tunables.h"
#include "malloc/block.h"
#include "malloc/heap.h"
#include "malloc/huge.h"
#include "mm/budget.h"
#include "mm/current.h"
#include "mm/owner.h"
#include "mm/pcp.h"
#include "mm/touched.h"
#include "mm/vmstat.h"
#include "slab/run.h"
#include "blocks.h"
#include "failing.h"

static void start(void)
{
	must(heap_init());
	model_native();
	heap_watched = false; /* by memcheck, so that realloc would look for an owner */
}

static void sizes(void)
{
	static const size_t size[] = { MiB + 1, 2 * MiB, 2 * MiB + 1, 7 * MiB - 100, 33 * MiB };
	unsigned long used = arena_stats.used;
	bool zeroed;

	start();
	for (unsigned int i = 0; i < ARRAY_SIZE(size); i++) {
		unsigned long blocks = (size[i] + PAGEBLOCK_SIZE - 1) / PAGEBLOCK_SIZE;
		char *p = huge_alloc(size[i], PAGEBLOCK_SIZE, &zeroed);
		struct block b = block_of(p);

		must(p && is_aligned((uintptr_t)p, PAGEBLOCK_SIZE));
		must(b.kind == BLOCK_HUGE && b.start == p && b.size == align_up(size[i], PAGE_SIZE));
		must(arena_stats.huge == blocks && arena_stats.used == used + blocks);
		must(!zeroed || (all_zero(p, PAGE_SIZE) && all_zero(p + b.size - PAGE_SIZE, PAGE_SIZE)));
		memset(p, 1, b.size);
		huge_free(b.page);
		must(!arena_stats.huge && arena_stats.used == used && block_of(p).kind == BLOCK_FOREIGN);
		check_arena();
	}
	must(!huge_alloc((size_t)PTRDIFF_MAX, 0, &zeroed) && !huge_alloc(1UL << 45, 0, &zeroed));
	must(!huge_alloc(2 * MiB, 1UL << 46, &zeroed));
	check_arena();
}

static void alignment(void)
{
	size_t align;
	bool zeroed;

	start();
	for (align = MiB; align <= 128 * MiB; align *= 2) {
		char *p = huge_alloc(5 * MiB, align, &zeroed);

		must(p && is_aligned((uintptr_t)p, align), "%zu", align);
		p[0] = p[5 * MiB - 1] = 1;
	}
	check_arena();
}

static void fill(uint64_t *p, size_t bytes, uint64_t with)
{
	for (size_t i = 0; i < bytes / 8; i += 64)
		p[i] = with + i;
}

static void verify(const uint64_t *p, size_t bytes, uint64_t with)
{
	for (size_t i = 0; i < bytes / 8; i += 64)
		must(p[i] == with + i, "at %zu of %zu", i * 8, bytes);
}

static void resizing(void)
{
	unsigned long used;
	bool zeroed;
	void *p, *next;

	start();
	tunables.dirty_max = GiB;
	p = huge_alloc(20 * MiB, 0, &zeroed);
	fill(p, 20 * MiB, 5);
	used = arena_stats.used;
	must(huge_resize(page_of(p), 9 * MiB) && arena_stats.used == used - 5 && arena_stats.huge == 5);
	verify(p, 9 * MiB, 5);
	must(block_of(p).size == 9 * MiB);
	must(huge_resize(page_of(p), 20 * MiB), "what was given back is free");
	verify(p, 9 * MiB, 5);
	must(arena_stats.used == used);
	must(huge_resize(page_of(p), 19 * MiB + 5) && arena_stats.used == used);
	must(block_of(p).size == 19 * MiB + PAGE_SIZE);
	must(huge_resize(page_of(p), 8 * MiB));
	next = huge_alloc(2 * MiB, 0, &zeroed);
	if ((char *)next == (char *)p + 8 * MiB)
		must(!huge_resize(page_of(p), 9 * MiB), "a neighbour is in the way");
	verify(p, 8 * MiB, 5);
	check_arena();
	huge_free(page_of(p));
	huge_free(page_of(next));
	check_arena();
	must(!arena_stats.huge);
}

/* Behind the ends of blocks there is memory that nobody can use: it does not make the process the largest owner. */
static void tails(void)
{
	const struct owner *process = owner_next(NULL), *own;
	unsigned long before;
	bool zeroed;
	void *p;

	start();
	owner_accounting_enable();
	own = own_owner();
	before = owner_usage(process);
	p = huge_alloc(5 * MiB, PAGEBLOCK_SIZE, &zeroed);
	must(owner_usage(own) == 5 * MiB / PAGE_SIZE && owner_usage(process) == before);
	must(huge_resize(page_of(p), 4 * MiB + PAGE_SIZE) && owner_usage(process) == before);
	must(huge_resize(page_of(p), 4 * MiB) && owner_usage(process) == before);
	p = huge_move(page_of(p), 6 * MiB + 1);
	must(p && owner_usage(own) == 6 * MiB / PAGE_SIZE + 1 && owner_usage(process) == before);
	huge_free(page_of(p));
	must(!owner_usage(own) && owner_usage(process) == before && !arena_stats.huge_tails);
}

static void moving(void)
{
	size_t size = 5 * MiB + 3 * PAGE_SIZE;
	bool zeroed;
	void *p, *moved;

	start();
	tunables.dirty_max = GiB;
	p = huge_alloc(size, 0, &zeroed);
	fill(p, size, 9);
	moved = huge_move(page_of(p), 40 * MiB);
	must(moved && moved != p && arena_stats.huge == 20);
	must(arena_stats.dirty == 0, "nothing stays in the old place");
	verify(moved, size, 9);
	must(block_of(p).kind == BLOCK_FOREIGN && block_of(moved).size == 40 * MiB);
	fill(moved, 40 * MiB, 1);
	check_arena();
	/* The old place is good for others, all of it. */
	p = huge_alloc(6 * MiB, 0, &zeroed);
	must(!zeroed || all_zero(p, 6 * MiB));
	fill(p, 6 * MiB, 2);
	verify(moved, 40 * MiB, 1);
	/* A refused move changes nothing. */
	fake_os_fail(FAKE_MREMAP, 1, true, ENOMEM);
	must(!huge_move(page_of(p), 10 * MiB));
	verify(p, 6 * MiB, 2);
	must(arena_stats.huge == 23);
	must(!huge_move(page_of(p), 1UL << 45));
	check_arena();
	huge_free(page_of(p));
	huge_free(page_of(moved));
	must(!arena_stats.huge);
}

/* Of a place in which only a part is dirty that alone is cleared: what was never touched stays so. */
static void clearing(void)
{
	unsigned long pb;
	bool zeroed;
	char *p;

	start();
	tunables.dirty_max = GiB;
	tunables.thp_threshold = GiB;
	pb = arena_alloc(5, 1, PB_HUGE, 0, &zeroed);
	must(pb && zeroed);
	fill(block_to_addr(pb + 1), PAGEBLOCK_SIZE, 4);
	arena_free(pb, 1, false);
	arena_free(pb + 1, 1, true);
	arena_free(pb + 2, 3, false);
	p = heap_calloc(1, 5 * PAGEBLOCK_SIZE - 100);
	must(p == block_to_addr(pb));
	must(os_resident(p, PAGEBLOCK_SIZE) == 0 && os_resident(p + 2 * PAGEBLOCK_SIZE, 3 * PAGEBLOCK_SIZE) == 0);
	must(all_zero(p, 5 * PAGEBLOCK_SIZE - 104));
	heap_free(p);
}

/* Parts were advised to be hugepages and parts not: the system's mappings differ along the block. */
static void moving_advised(void)
{
	size_t size = 9 * MiB;
	void *p, *q;

	start();
	tunables.thp_threshold = 0;
	p = heap_malloc(size);
	fill(p, size, 3);
	for (unsigned int i = 0; i < 8; i++) {
		q = heap_realloc(p, size * 2);
		must(q);
		verify(q, size, 3);
		fill(q, size * 2, 3);
		p = q;
		heap_memalign(PAGEBLOCK_SIZE, MiB + 1);
		q = heap_realloc(p, size);
		must(q);
		p = q;
	}
	check_arena();
}

#define NR_PACKED 16UL
#define PACKED_PAGES (PAGEBLOCK_PAGES / 2 + 1)

/* What a pageblock has left is used by the next block, which may begin in one and end in another. */
static void packed(void)
{
	size_t size = PACKED_PAGES * PAGE_SIZE;
	void *p[NR_PACKED];
	unsigned long i;

	start();
	for (i = 0; i < NR_PACKED; i++) {
		must(p[i] = heap_malloc(size));
		must(block_of(p[i]).kind == BLOCK_HUGE && heap_usable_size(p[i]) == size);
		fill(p[i], size, i);
	}
	must(arena_stats.used <= NR_PACKED * PACKED_PAGES / PAGEBLOCK_PAGES + 2, "%lu pageblocks", arena_stats.used);
	must(huge_stats.packed == NR_PACKED * PACKED_PAGES);
	for (i = 0; i < NR_PACKED; i += 2)
		heap_free(p[i]);
	check_zone(&NODE_DATA(0)->node_zones[ZONE_NORMAL]);
	for (i = 1; i < NR_PACKED; i += 2) {
		verify(p[i], size, i);
		heap_free(p[i]);
	}
	heap_trim(0);
	must(!huge_stats.packed && !huge_stats.nr && !arena_stats.used, "%lu pageblocks", arena_stats.used);
}

/* calloc takes dirty pages of a zone that lie side by side, and clears them; but not where blocks are half empty. */
static void packed_zeroed(void)
{
	size_t size = PACKED_PAGES * PAGE_SIZE;
	char *p, *q;

	start();
	must(p = heap_calloc(1, size));
	must(!huge_stats.packed, "there are none yet");
	heap_free(p);
	must(p = heap_malloc(size));
	must(q = heap_malloc(size)); /* so that the zone keeps the pageblocks */
	must(huge_stats.packed == 2 * PACKED_PAGES);
	memset(p, 1, size);
	heap_free(p);
	drain_all_pages();
	must(p = heap_calloc(1, size));
	must(huge_stats.packed == 2 * PACKED_PAGES && all_zero(p, size), "from the zone");
	memset(p, 1, size);
	heap_free(p);
	must(p = heap_calloc(1, size));
	must(huge_stats.packed == 2 * PACKED_PAGES && all_zero(p, size), "from the lists");
	memset(p, 1, size);
	heap_free(p);
	touched.pages = TOUCHED_TO_PACK - 1;
	must(p = heap_calloc(1, size));
	must(huge_stats.packed == PACKED_PAGES && all_zero(p, size));
	heap_free(p);
	heap_free(q);
}

/* What doubles comes to whole pageblocks, and fills the second half of them later: they are its own, on small pages,
 * and leave nothing over at their end. */
static void whole_not_packed(void)
{
	unsigned long hugepages;
	char *p, *q;

	start();
	must(heap_malloc(tunables.thp_threshold)); /* from here on hugepages are asked for */
	hugepages = arena_stats.thp;
	must((p = heap_malloc(PAGEBLOCK_SIZE)) && (q = heap_malloc(2 * PAGEBLOCK_SIZE)));
	must(is_aligned((uintptr_t)p, PAGEBLOCK_SIZE) && is_aligned((uintptr_t)q, PAGEBLOCK_SIZE));
	must(!huge_stats.packed && arena_stats.thp == hugepages, "%lu on hugepages", arena_stats.thp - hugepages);
	heap_free(p);
	heap_free(q);
}

/* What else lies free grows old meanwhile. */
static void packed_ages(void)
{
	unsigned long given_back;
	void *p, *old;

	start();
	threads_follow = true; /* all of dirty_max counts */
	must((p = heap_malloc(PACKED_PAGES << PAGE_SHIFT)) && (old = heap_malloc(6 * MiB)));
	heap_free(old);
	must(arena_stats.dirty == 3, "%lu pageblocks", arena_stats.dirty);
	given_back = arena_stats.given_back;
	tunables.dirty_decay = 1;
	usleep(150000);
	heap_free(p);
	must(arena_stats.given_back == given_back + 3, "%lu pageblocks", arena_stats.given_back - given_back);
}

/* Up to a limit, too: nothing is reclaimed so that a block can be packed, and what is kept for emergencies stays. */
static void packed_limited(void)
{
	unsigned long nr, most = (256 * MiB >> PAGE_SHIFT) / PACKED_PAGES;
	unsigned int saved;
	bool zeroed;

	start();
	tunables.limit = 256 * MiB;
	budget_limit_changed();
	for (nr = 0; huge_alloc(PACKED_PAGES << PAGE_SHIFT, 0, &zeroed); nr++)
		;
	must(nr <= most && nr > most - 8, "%lu of %lu blocks", nr, most);
	must(owner_usage(current_owner()) == nr * PACKED_PAGES);
	must(!vm_events[ALLOCSTALL], "reclaim");
	must(budget_reserve() > PACKED_PAGES << PAGE_SHIFT);
	saved = memalloc_flags_save(PF_MEMALLOC);
	must(!huge_alloc(PACKED_PAGES << PAGE_SHIFT, 0, &zeroed), "out of the reserve");
	memalloc_flags_restore(saved);
	check_zone(&NODE_DATA(0)->node_zones[ZONE_NORMAL]);
	check_arena();
}

/* In place as far as there is room, also in the next pageblock; what moves has whole pageblocks then. */
static void packed_resizing(void)
{
	size_t size = PACKED_PAGES * PAGE_SIZE;
	void *p, *next;

	start();
	p = heap_malloc(3 * size);
	next = heap_malloc(size);
	must(next == (char *)p + 3 * size, "side by side");
	fill(p, 3 * size, 1);
	fill(next, size, 2);
	must(heap_realloc(p, size) == p && huge_stats.packed == 2 * PACKED_PAGES);
	must(heap_realloc(p, 3 * size) == p && huge_stats.packed == 4 * PACKED_PAGES);
	verify(p, size, 1);
	fill(p, 3 * size, 1);
	p = heap_realloc(p, 3 * size + PAGE_SIZE);
	must(p && is_aligned((uintptr_t)p, PAGEBLOCK_SIZE) && huge_stats.packed == PACKED_PAGES,
	     "a neighbour is in the way");
	verify(p, 3 * size, 1);
	verify(next, size, 2);
	check_zone(&NODE_DATA(0)->node_zones[ZONE_NORMAL]);
	check_arena();
}

/* Not beyond what its lists are for, though there is room. */
static void packed_growing(void)
{
	size_t size = PACKED_PAGES * PAGE_SIZE;
	void *p, *next[4];
	struct zone *zone;
	int i;

	start();
	zone = &NODE_DATA(0)->node_zones[ZONE_NORMAL];
	p = heap_malloc(size);
	for (i = 0; i < 4; i++)
		must(next[i] = heap_malloc(size));
	for (i = 0; i < 4; i++)
		heap_free(next[i]);
	drain_exact_lists(zone, false);
	must(huge_resize(page_of(p), EXACT_PAGES_MAX << PAGE_SHIFT) && huge_stats.packed == EXACT_PAGES_MAX);
	mutex_lock(&zone->lock);
	must(take_free_range(zone, page_to_pfn(page_of(p)) + EXACT_PAGES_MAX, 1), "there is room");
	free_page_range(zone, page_to_pfn(page_of(p)) + EXACT_PAGES_MAX, 1, false);
	mutex_unlock(&zone->lock);
	must(!huge_resize(page_of(p), (EXACT_PAGES_MAX + 1) << PAGE_SHIFT));
	heap_free(p);
	must(!huge_stats.packed && !huge_stats.nr);
	check_zone(zone);
}

#define NR_ITEMS 60

static struct {
	unsigned char *p;
	size_t size;
	unsigned char fill;
} items[NR_ITEMS];

static size_t random_size(void)
{
	switch (rnd(8)) {
	case 0:
	case 1:
	case 2:
		return MiB + rnd(6 * MiB);
	case 3:
	case 4:
		return 32 * KiB + rnd(MiB);
	default:
		return 1 + rnd(40 * KiB);
	}
}

static void check_item(unsigned int i, size_t size)
{
	must(items[i].p[0] == items[i].fill, "the first of %zu bytes", size);
	must(size < items[i].size || items[i].p[size - 1] == items[i].fill, "the last of %zu bytes", size);
	must(items[i].p[min_ul(size, items[i].size) / 2] == items[i].fill, "in the middle of %zu bytes", size);
}

static void fill_item(unsigned int i)
{
	items[i].fill = (unsigned char)(1 + rnd(255));
	items[i].p[0] = items[i].p[items[i].size - 1] = items[i].p[items[i].size / 2] = items[i].fill;
	if (items[i].size > 4 * PAGE_SIZE)
		return;
	memset(items[i].p, items[i].fill, items[i].size);
}

static void change_item(unsigned int i, bool all_must_work)
{
	size_t size = random_size(), align = 16UL << rnd(18);
	void *p;

	errno = 0;
	if (items[i].p && rnd(2)) {
		heap_free(items[i].p);
		items[i].p = NULL;
		must(errno == 0);
		return;
	}
	if (items[i].p) {
		memset(items[i].p, items[i].fill, min_ul(items[i].size, 4 * PAGE_SIZE));
		items[i].p[min_ul(size, items[i].size) / 2] = items[i].p[min_ul(size, items[i].size) - 1] =
			items[i].fill;
		p = heap_realloc(items[i].p, size);
		items[i].size = p ? min_ul(size, items[i].size) : items[i].size;
		items[i].p = p ? p : items[i].p;
		check_item(i, items[i].size);
		items[i].size = p ? size : items[i].size;
	} else {
		unsigned int how = rnd(3);

		p = how == 0 ? heap_malloc(size) : how == 1 ? heap_calloc(1, size) : heap_memalign(align, size);
		must(!p || how != 1 || (!((char *)p)[0] && !((char *)p)[size - 1] && !((char *)p)[size / 2]));
		must(how != 2 || is_aligned((uintptr_t)p, align));
		items[i].p = p;
		items[i].size = size;
	}
	must(errno == (p ? 0 : ENOMEM), "errno %d", errno);
	must(p || !all_must_work);
	if (items[i].p)
		fill_item(i);
}

/* The random steps may move nothing at all. */
static void move_once(void)
{
	bool zeroed;
	uint64_t *p = huge_alloc(3 * MiB, PAGEBLOCK_SIZE, &zeroed), *moved;

	if (!p)
		return;
	fill(p, 3 * MiB, 8);
	moved = huge_move(page_of(p), 5 * MiB);
	p = moved ? moved : p;
	verify(p, 3 * MiB, 8);
	huge_free(page_of(p));
}

static void workload(bool all_must_work)
{
	unsigned int i, n;

	move_once();
	for (n = 0; n < 250; n++)
		change_item(rnd(NR_ITEMS), all_must_work);
	heap_trim(0);
	for (i = 0; i < NR_ITEMS; i++)
		if (items[i].p) {
			check_item(i, items[i].size);
			must(heap_usable_size(items[i].p) >= items[i].size);
		}
	check_arena();
	check_zone(&NODE_DATA(0)->node_zones[ZONE_NORMAL]);
}

static void fail_nth(void)
{
	bool reached;

	start();
	tunables.dirty_max = 4 * MiB;
	tunables.thp_threshold = 16 * MiB;
	failing_begin();
	workload(false);
	reached = failing_end();
	workload(true);
	for (unsigned int i = 0; i < NR_ITEMS; i++)
		heap_free(items[i].p);
	heap_trim(0);
	must(!run_stats_read().nr && !arena_stats.huge && !arena_stats.used, "%lu runs, %lu huge, %lu used",
	     run_stats_read().nr, arena_stats.huge, arena_stats.used);
	if (!reached)
		_exit(NOT_REACHED);
}

int main(void)
{
	model_init();
	run_case("sizes", sizes);
	run_case("alignment", alignment);
	run_case("resizing in place", resizing);
	run_case("tails", tails);
	run_case("moving", moving);
	run_case("clearing no more than is dirty", clearing);
	run_case("side by side in pageblocks of a zone", packed);
	run_case("calloc, too, where dirty pages lie side by side", packed_zeroed);
	run_case("but of whole pageblocks they are its own", whole_not_packed);
	run_case("and giving back by age goes on", packed_ages);
	run_case("up to a limit", packed_limited);
	run_case("resizing what is packed", packed_resizing);
	run_case("but not beyond 4 MiB", packed_growing);
	run_case("moving what is partly advised", moving_advised);
	for (int forever = 0; forever < 2; forever++) {
		fail_each(CAN_PLAN ? FAKE_MMAP : FAKE_MPROTECT, forever, fail_nth, CAN_PLAN ? "mmap" : "mprotect");
		fail_each(FAKE_MADVISE, forever, fail_nth, "madvise");
		fail_each(FAKE_MREMAP, forever, fail_nth, "mremap");
		fail_each(FAKE_ANY, forever, fail_nth, "any call");
	}
	return done_testing();
}
