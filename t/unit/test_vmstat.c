/* SPDX-License-Identifier: MIT */
/*
 * The reports on zones: their figures are those of the zones, pages that were allocated are counted, no lock is taken,
 * and nothing of it minds what other threads do meanwhile.
 */
#include <pthread.h>

#include "mm/balance.h"
#include "mm/internal.h"
#include "mm/kswapd.h"
#include "mm/page_isolation.h"
#include "mm/pcp.h"
#include "mm/vmstat.h"
#include "fake_sys.h"
#include "model.h"
#include "procfs.h"

#define TEXT_MAX (1 << 20)
static char text[TEXT_MAX];

/* What a report says. */
static const char *report(void (*print)(struct out *o))
{
	static FILE *file;
	struct out o;
	ssize_t n;

	if (!file)
		file = tmpfile();
	must(file && !ftruncate(fileno(file), 0) && lseek(fileno(file), 0, SEEK_SET) == 0);
	out_init(&o, fileno(file));
	print(&o);
	out_flush(&o);
	n = pread(fileno(file), text, TEXT_MAX - 1, 0);
	must(n >= 0 && n < TEXT_MAX - 1);
	text[n] = '\0';
	return text;
}

static struct proc_item items[PROCFS_ITEMS];
static int nr_items;

static unsigned long vmstat(const char *name)
{
	unsigned long value;

	nr_items = parse_vmstat(report(print_vmstat), items);
	must(nr_items > 0, "%s", procfs_error);
	value = item_value(items, nr_items, name);
	must(value != ~0UL, "no %s", name);
	return value;
}

/* Blocks of all orders and migratetypes in use, some of them freed again. */
static void make_a_mess(void)
{
	static const gfp_t mobility[] = { GFP_KERNEL, GFP_KERNEL | GFP_RECLAIMABLE };
	static struct page *page[400];
	unsigned int order[400], i;

	for (i = 0; i < 400; i++) {
		order[i] = rnd(rnd(4) ? 5 : MAX_ORDER);
		page[i] = alloc_pages(mobility[rnd(2)], order[i]);
		must(page[i]);
	}
	for (i = 0; i < 400; i++)
		if (rnd(2))
			free_pages(page[i], order[i]);
}

/* Free blocks of a type and order by their list. */
static unsigned long list_length(const struct zone *zone, unsigned int order, unsigned int mt)
{
	unsigned long nr = 0;
	uint32_t pfn;

	for (pfn = zone->free_area[order].free_list[mt]; pfn != NO_PFN; pfn = pfn_to_page(pfn)->next)
		nr++;
	return nr;
}

static unsigned long nr_pageblocks(const struct zone *zone, unsigned int mt)
{
	unsigned long nr = 0, pfn;

	for (pfn = zone->zone_start_pfn; pfn < zone->zone_end_pfn; pfn += PAGEBLOCK_PAGES) {
		const struct pageblock *block = pfn_to_block(pfn);

		nr += block->state == PB_ZONE && block->zone_id == zone->zone_id && block->migratetype == mt;
	}
	return nr;
}

static void pagetypeinfo(void)
{
	struct zone *zone = model_start();
	static struct proc_pagetypeinfo t;
	unsigned int order, mt, kinds = 0;

	make_a_mess();
	must(parse_pagetypeinfo(report(print_pagetypeinfo), &t) == MIGRATE_TYPES, "%s", procfs_error);
	must(t.block_order == PAGEBLOCK_ORDER && t.block_pages == PAGEBLOCK_PAGES && t.orders == MAX_ORDER);
	must(t.zones == 1 && t.types == MIGRATE_TYPES && t.blocks[0].node == 0 && !strcmp(t.blocks[0].zone, "Normal"));
	for (mt = 0; mt < MIGRATE_TYPES; mt++) {
		must(!strcmp(t.free[mt].type, migratetype_names[mt]) && !strcmp(t.type[mt], migratetype_names[mt]));
		must(!strcmp(t.free[mt].zone, "Normal"));
		for (order = 0; order < MAX_ORDER; order++) {
			must(t.free[mt].nr[order] == list_length(zone, order, mt),
			     "order %u type %u: %lu, in the list %lu", order, mt, t.free[mt].nr[order],
			     list_length(zone, order, mt));
			kinds += t.free[mt].nr[order] != 0;
		}
		must(t.blocks[0].nr[mt] == nr_pageblocks(zone, mt));
		kinds += t.blocks[0].nr[mt] > 1;
	}
	must(kinds > 10, "hardly anything was there to count");
}

static void buddyinfo(void)
{
	struct zone *zone = model_start();
	static struct proc_buddy b[PROCFS_ZONES];
	unsigned int order;

	must(!*report(print_buddyinfo), "a zone without pages is not listed");
	make_a_mess();
	must(parse_buddyinfo(report(print_buddyinfo), b) == 1, "%s", procfs_error);
	for (order = 0; order < MAX_ORDER; order++)
		must(b->nr[order] == zone->free_area[order].nr_free);
}

/* A zone that is full, and one of 256 free pages of which none has a free buddy. */
static void indices(void)
{
	static struct proc_index x[PROCFS_ZONES];
	struct zone *zone = model_start();
	static struct page *page[PAGEBLOCK_PAGES];
	unsigned int i;

	must(!*report(print_extfrag_index) && !*report(print_unusable_index), "a zone without pages is not listed");
	page[0] = alloc_pages(GFP_USER, PAGEBLOCK_ORDER);
	must(page[0] && zone->nr_grown == 1 && parse_index(report(print_unusable_index), x) == 1, "%s", procfs_error);
	must(zone->nr_free_pages == 0 && x->orders == MAX_ORDER && x->index[0] == 1000, "no memory at all is unusable");
	must(parse_index(report(print_extfrag_index), x) == 1 && x->index[0] == 0 && x->index[10] == 0);
	split_page(page[0], PAGEBLOCK_ORDER);
	for (i = 0; i < PAGEBLOCK_PAGES; i += 2)
		free_pages(page[0] + i, 0);
	drain_all_pages();
	must(zone->free_area[0].nr_free == PAGEBLOCK_PAGES / 2);
	must(parse_index(report(print_unusable_index), x) == 1, "%s", procfs_error);
	must(!strcmp(x->zone, "Normal") && x->node == 0 && x->index[0] == 0 && x->index[1] == 1000 &&
	     x->index[10] == 1000);
	must(parse_index(report(print_extfrag_index), x) == 1, "%s", procfs_error);
	must(x->index[0] == -1000, "a single page can be had: %ld", x->index[0]);
	/* 256 free pages would be 8 blocks of order 5: the want is of large ones, not of memory. */
	must(x->index[5] == 1000 - (1000 + 256 * 1000 / 32) / 256, "%ld", x->index[5]);
	must(x->index[10] == 1000 - (1000 + 256 * 1000 / 1024) / 256, "%ld", x->index[10]);
	must(!strncmp(text, "Node 0, zone   Normal -1.000  0.", 32), "%s", text);
}

/* The zone's item of zoneinfo. */
static unsigned long zone_item(const struct proc_zone *z, const char *name)
{
	unsigned long value = item_value(z->item, z->nr_items, name);

	must(value != ~0UL, "no %s", name);
	return value;
}

static struct proc_zone zones[PROCFS_ZONES];

static struct proc_zone *find_zone(int nr, int node, const char *name)
{
	for (int i = 0; i < nr; i++)
		if (zones[i].node == node && !strcmp(zones[i].zone, name))
			return &zones[i];
	return NULL;
}

static void zoneinfo(void)
{
	struct zone *zone = model_start();
	struct proc_zone *z;
	unsigned long in_lists = 0;
	int nr;

	nr = parse_zoneinfo(report(print_zoneinfo), zones);
	must(nr == MAX_NR_ZONES, "%d zones: %s", nr, procfs_error);
	for (int i = 0; i < nr; i++)
		must(!zones[i].managed && !zones[i].nr_items && !zones[i].node_stats, "nothing is said of empty zones");
	make_a_mess();
	min_free_kbytes = 512;
	sysctl_lowmem_reserve_ratio[ZONE_DMA32] = 32;
	setup_per_zone_wmarks();
	zone->watermark_boost = 5;
	NODE_DATA(0)->kswapd_failures = MAX_RECLAIM_RETRIES;
	nr = parse_zoneinfo(report(print_zoneinfo), zones);
	must(find_zone(nr, 0, "Normal")->unreclaimable == 1, "kswapd has given up on the node");
	NODE_DATA(0)->kswapd_failures = 0;
	nr = parse_zoneinfo(report(print_zoneinfo), zones);
	must(find_zone(nr, 0, "Normal")->unreclaimable == 0, "and has not");
	must(nr == MAX_NR_ZONES && find_zone(nr, 0, "DMA32") && find_zone(nr, 0, "Movable"), "%s", procfs_error);
	z = find_zone(nr, 0, "Normal");
	must(z && z->node_stats && z->free == zone->nr_free_pages && z->free);
	must(z->min == zone->watermark[WMARK_MIN] + 5 && z->low == zone->watermark[WMARK_LOW] + 5 &&
	     z->high == zone->watermark[WMARK_HIGH] + 5 && z->min > 5);
	must(z->spanned == zone->zone_end_pfn - zone->zone_start_pfn && z->start_pfn == zone->zone_start_pfn);
	must(z->managed == zone->managed_pages && z->present == z->managed && z->managed <= z->spanned);
	must(z->nr_protection == MAX_NR_ZONES && z->protection[0] == 0);
	must(find_zone(nr, 0, "DMA32")->protection[1] == (long)zone->managed_pages / 32);
	must(zone_item(z, "nr_free_pages") == z->free);
	must(zone_item(z, "nr_free_pages_blocks") == zone->nr_free_blocks << PAGEBLOCK_ORDER);
	must(zone_item(z, "nr_grown") == zone->nr_grown && zone->nr_grown);
	must(z->nr_cpus == (int)topology.nr_cpus);
	for (int i = 0; i < z->nr_cpus; i++) {
		must(z->cpu[i].cpu == (unsigned int)i && z->cpu[i].high >= z->cpu[i].batch);
		/* Lists that were never used are not open yet. */
		must(z->cpu[i].batch > 1 || !z->cpu[i].count);
		in_lists += z->cpu[i].count;
	}
	must(in_lists == nr_pcp_pages(zone) && in_lists, "%lu in per-CPU lists", in_lists);
}

/* Pages allocated and freed since the last time. */
static void count_pages(unsigned long allocated, unsigned long freed, const char *what)
{
	static unsigned long alloc_before, free_before;
	unsigned long a = vmstat("pgalloc_normal"), f = vmstat("pgfree");

	must(a - alloc_before == allocated && f - free_before == freed,
	     "%s: allocated %lu, not %lu; freed %lu, not %lu", what, a - alloc_before, allocated, f - free_before,
	     freed);
	must(vmstat("pgalloc_movable") == 0 && vmstat("pgalloc_dma32") == 0);
	alloc_before = a;
	free_before = f;
}

static void page_events(void)
{
	static struct page *page[1000];
	struct zone *zone = model_start();
	unsigned long hits;
	struct page *p;
	unsigned int order;

	count_pages(0, 0, "at the start");
	for (unsigned int i = 0; i < 1000; i++)
		page[i] = alloc_pages(GFP_USER, 0);
	count_pages(1000, 0, "single pages");
	must(vmstat("nr_free_pages") == zone->nr_free_pages);
	for (unsigned int i = 0; i < 1000; i++)
		free_pages(page[i], 0);
	count_pages(0, 1000, "their free");
	drain_all_pages();
	count_pages(0, 0, "the draining of per-CPU lists");
	hits = vmstat("numa_hit");
	must(hits == 1000 && vmstat("numa_local") == hits && !vmstat("numa_miss") && !vmstat("numa_other"));
	for (order = 0; order < MAX_ORDER; order++) {
		p = alloc_pages(GFP_USER, order);
		count_pages(1UL << order, 0, "a block");
		free_pages(p, order);
		count_pages(0, 1UL << order, "its free");
	}
	must(vmstat("numa_hit") == hits + MAX_ORDER);
	p = alloc_pages_exact(GFP_USER, 37, 0);
	count_pages(37, 0, "an exact length");
	must(resize_pages_exact(p, 37, 20));
	count_pages(0, 17, "made shorter");
	must(resize_pages_exact(p, 20, 50));
	count_pages(30, 0, "made longer");
	free_pages_exact(p, 50);
	count_pages(0, 50, "freed");
	p = alloc_pages_exact(GFP_USER, 250, 8);
	count_pages(256, 6, "an exact length, cut from a block");
	free_pages_exact(p, 250);
	count_pages(0, 250, "freed");
	p = alloc_pages_exact(GFP_USER, 500, 0);
	count_pages(500, 0, "a large one");
	free_pages_exact(p, 500);
	count_pages(0, 500, "freed");
	p = alloc_contig_pages(700, GFP_KERNEL, 0, NULL);
	must(p);
	count_pages(700, 0, "contiguous pages");
	free_contig_range(page_to_pfn(p), 700);
	count_pages(0, 700, "freed");
	mm_trim(0);
	count_pages(0, 0, "giving back");
	/* Pages that are taken off the lists for a while are not counted back. */
	p = alloc_pages(GFP_USER, 4);
	free_pages(p, 4);
	count_pages(16, 16, "a block");
	ADD_ONCE(zone->nr_free_pages, -100UL);
	count_pages(0, 0, "free pages in somebody's hands");
	ADD_ONCE(zone->nr_free_pages, 100UL);
}

static void events(void)
{
	unsigned int i;

	model_start();
	must(vmstat("pgsteal_direct") == 0 && vmstat("nr_grown") == 0);
	for (i = 0; i < NR_VM_EVENT_ITEMS; i++)
		count_vm_events((enum vm_event_item)i, 100 + i);
	must(vmstat("allocstall_normal") == 100 + ALLOCSTALL && vmstat("compact_fail") == 100 + COMPACTFAIL &&
	     vmstat("faults_injected") == 100 + FAULTS_INJECTED);
	alloc_pages(GFP_USER, 3);
	must(vmstat("nr_grown") > 0 && vmstat("arena_mapped") > 0);
}

/* Zones of several nodes, and who served whom. */
static void nodes(void)
{
	static struct proc_buddy b[PROCFS_ZONES];
	struct proc_zone *z;
	struct page *page;
	int nr;

	fake_sys_nodes(3, 1);
	model_start();
	must(topology.nr_nodes == 3);
	must(alloc_pages_nodemask(GFP_USER, 0, 1, NULL));
	must(alloc_pages_nodemask(GFP_USER, 5, 2, NULL) && alloc_pages_nodemask(GFP_USER, 1, 2, NULL));
	must(parse_buddyinfo(report(print_buddyinfo), b) == 2, "%s", procfs_error);
	must(b[0].node == 1 && b[1].node == 2, "nodes that have pages");
	nr = parse_zoneinfo(report(print_zoneinfo), zones);
	must(nr == 3 * MAX_NR_ZONES, "%s", procfs_error);
	must(find_zone(nr, 1, "Normal")->managed && find_zone(nr, 1, "Normal")->node_stats);
	must(find_zone(nr, 2, "Normal")->managed && !find_zone(nr, 0, "Normal")->managed);
	must(zone_item(find_zone(nr, 1, "Normal"), "numa_local") == 1, "this thread is on node 1");
	z = find_zone(nr, 2, "Normal");
	must(zone_item(z, "numa_hit") == 2 && zone_item(z, "numa_other") == 2 && zone_item(z, "numa_local") == 0);
	must(vmstat("numa_hit") == 3 && vmstat("numa_local") == 1 && vmstat("numa_other") == 2);
	must(!vmstat("numa_miss") && !vmstat("numa_foreign"));
	/* Node 1 has no more, and cannot grow. */
	fake_os_fail(FAKE_ANY, 1, true, ENOMEM);
	do {
		page = alloc_pages_nodemask(GFP_USER, 0, 1, NULL);
		must(page);
	} while (pfn_to_zone(page_to_pfn(page))->nid == 1);
	must(vmstat("numa_miss") == 1 && vmstat("numa_foreign") == 1 && vmstat("numa_other") == 3);
	must(vmstat("numa_hit") + 1 == vmstat("numa_local") + 3);
	must(parse_zoneinfo(report(print_zoneinfo), zones) == nr);
	must(zone_item(find_zone(nr, 1, "Normal"), "numa_foreign") == 1 &&
	     zone_item(find_zone(nr, 1, "Normal"), "numa_miss") == 0);
}

static const char *mask(nodemask_t nodes_set)
{
	static struct out o;

	out_init(&o, -1);
	print_nodemask(&o, nodes_set);
	return o.buf;
}

static void nodemasks(void)
{
	must(!strcmp(mask(0), "") && !strcmp(mask(1), "0") && !strcmp(mask(0xb), "0-1,3"));
	must(!strcmp(mask(~0UL), "0-63") && !strcmp(mask(1UL << 63 | 6), "1-2,63"));
}

/* Everything is locked, by this thread: who waits, waits for ever. */
static void no_locks(void)
{
	model_start();
	make_a_mess();
	alarm(600);
	zones_lock_all();
	report(print_buddyinfo);
	report(print_pagetypeinfo);
	report(print_zoneinfo);
	report(print_vmstat);
	zones_unlock_all();
}

static bool stop;

static void *churn(void *arg)
{
	while (!READ_ONCE(stop)) {
		unsigned int order = (unsigned int)(uintptr_t)arg;
		struct page *page = alloc_pages(GFP_USER, order);

		if (page)
			free_pages(page, order);
		mm_trim(0);
	}
	return NULL;
}

static void torn(void)
{
	static struct proc_pagetypeinfo t;
	static struct proc_buddy b[PROCFS_ZONES];
	pthread_t thread[2];
	unsigned long i;

	model_start();
	make_a_mess();
	for (i = 0; i < 2; i++)
		must(!pthread_create(&thread[i], NULL, churn, (void *)(i * 9)));
	for (i = 0; i < steps(200); i++) {
		must(parse_pagetypeinfo(report(print_pagetypeinfo), &t) > 0, "%s", procfs_error);
		must(parse_buddyinfo(report(print_buddyinfo), b) > 0, "%s", procfs_error);
		must(parse_zoneinfo(report(print_zoneinfo), zones) == MAX_NR_ZONES, "%s", procfs_error);
		vmstat("pgfree");
	}
	WRITE_ONCE(stop, true);
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
}

int main(void)
{
	model_init();
	fake_sys_init();
	run_case("buddyinfo has the zone's free blocks", buddyinfo);
	run_case("pagetypeinfo has the lists' lengths and the pageblocks of each type", pagetypeinfo);
	run_case("extfrag_index and unusable_index", indices);
	run_case("zoneinfo has the zone's figures", zoneinfo);
	run_case("vmstat counts pages allocated and freed", page_events);
	run_case("vmstat has every event", events);
	run_case("zones of several nodes", nodes);
	run_case("sets of nodes", nodemasks);
	run_case("no lock is taken", no_locks);
	run_case("reports while threads allocate", torn);
	fake_sys_remove();
	return done_testing();
}
