/* SPDX-License-Identifier: MIT */
/*
 * The zone DMA32 through the page API: every order below 4 GiB, what else may and may not come from there, a zone that
 * cannot grow, giving back, and random operations beside the other zones. malloc never serves from it, and takes its
 * addresses for foreign.
 */
#include <errno.h>

#include "base/tunables.h"
#include "buddymalloc.h"
#include "malloc/heap.h"
#include "mm/balance.h"
#include "mm/balance_inner.h"
#include "mm/lowmem.h"
#include "mm/pcp.h"
#include "fake_sys.h"
#include "model.h"

#define DMA32 (BM_GFP_KERNEL | BM_GFP_NOWARN | BM_GFP_DMA32)

static struct zone *dma32, *normal;

static void start(void)
{
	normal = model_start();
	must(heap_init());
	dma32 = &NODE_DATA(normal->nid)->node_zones[ZONE_DMA32];
}

static bool is_low(const void *p, unsigned long pages)
{
	return (uintptr_t)p + (pages << PAGE_SHIFT) <= LOW_END && pfn_is_low(virt_to_pfn(p));
}

static struct page *low_page(const void *p)
{
	return pfn_to_page(virt_to_pfn(p));
}

static void check_all(void)
{
	check_zone(dma32);
	check_zone(normal);
	check_lowmem();
	check_arena();
	must(lowmem_used() << PAGEBLOCK_ORDER == dma32->managed_pages);
}

/* All that was taken is free again: nothing is left. */
static void must_be_empty(void)
{
	drain_all_pages();
	must(dma32->nr_free_pages == dma32->managed_pages, "%lu pages of %lu are free", dma32->nr_free_pages,
	     dma32->managed_pages);
	zone_trim(dma32, 0);
	must(!dma32->managed_pages && !lowmem_mapped());
	check_all();
}

static void orders(void)
{
	unsigned int order;
	void *p[MAX_ORDER];

	start();
	for (order = 0; order < MAX_ORDER; order++) {
		p[order] = bm_alloc_pages(DMA32, order);
		must(p[order] && is_low(p[order], 1UL << order) && is_aligned((uintptr_t)p[order], PAGE_SIZE << order));
		must(pfn_to_zone(virt_to_pfn(p[order])) == dma32 && page_to_addr(low_page(p[order])) == p[order]);
		must(bm_page_order(p[order]) == (int)order && bm_page_node(p[order]) == dma32->nid);
		must(all_zero(p[order], PAGE_SIZE << order), "fresh from the system");
		memset(p[order], (int)order + 1, PAGE_SIZE << order);
		check_all();
	}
	must(!bm_alloc_pages(DMA32, MAX_ORDER) && errno == EINVAL);
	for (order = 0; order < MAX_ORDER; order++) {
		must(*(char *)p[order] == (char)(order + 1) &&
		     ((char *)p[order])[(PAGE_SIZE << order) - 1] == (char)(order + 1));
		bm_free_pages(p[order], order);
		check_all();
	}
	must(dma32->nr_free_blocks <= 2, "two pageblocks are kept at most, the others went back");
	must_be_empty();
}

/* Everything that the API does with a page finds it by its address. */
static void api(void)
{
	void *array[40], *p, *q;
	unsigned long i;

	start();
	p = bm_alloc_pages(DMA32, 3);
	memset(p, 1, PAGE_SIZE << 3);
	bm_free_pages(p, 3);
	q = bm_alloc_pages(DMA32 | BM_GFP_ZERO, 3);
	must(q == p && all_zero(q, PAGE_SIZE << 3), "the same pages, and zeroed");
	bm_split_page(q, 3);
	for (i = 0; i < 8; i++)
		bm_free_pages((char *)q + i * PAGE_SIZE, 0);
	p = bm_alloc_pages(DMA32 | BM_GFP_COMP, 4);
	must(bm_page_order((char *)p + 5 * PAGE_SIZE + 7) == 4 && bm_page_node((char *)p + PAGE_SIZE) == dma32->nid);
	bm_get_page((char *)p + 9 * PAGE_SIZE);
	bm_put_page(p);
	must(bm_page_order(p) == 4);
	bm_put_page((char *)p + 15 * PAGE_SIZE);
	must(bm_page_order(p) == -EINVAL && bm_page_node((char *)p + PAGE_SIZE) == -EINVAL);
	p = bm_alloc_pages_exact(5 * PAGE_SIZE, DMA32);
	must(p && is_low(p, 5));
	bm_free_pages_exact(p, 5 * PAGE_SIZE);
	must(bm_alloc_pages_bulk(DMA32, 40, array) == 40);
	for (i = 0; i < 40; i++) {
		must(is_low(array[i], 1));
		bm_put_page(array[i]);
	}
	p = bm_alloc_pages_node(dma32->nid, DMA32 | BM_GFP_THISNODE, 2);
	must(p && is_low(p, 4));
	bm_free_pages(p, 2);
	must(!bm_alloc_contig_pages(100, DMA32, -1) && errno == EINVAL);
	check_all();
	must_be_empty();
}

static void bad_free(void)
{
	char *p;

	start();
	p = bm_alloc_pages(DMA32, 5);
	bm_free_pages(p + PAGE_SIZE, 0);
}

static void double_free(void)
{
	char *p;

	start();
	p = bm_alloc_pages(DMA32, 5);
	bm_free_pages(p, 5);
	bm_free_pages(p, 5);
}

static void free_after_giving_back(void)
{
	char *p;

	start();
	p = bm_alloc_pages(DMA32, 9);
	bm_free_pages(p, 9);
	drain_all_pages();
	zone_trim(dma32, 0);
	bm_free_pages(p, 9);
}

static void free_by_malloc(void)
{
	start();
	heap_free(bm_alloc_pages(DMA32, 0));
}

static void free_nothing(void)
{
	start();
	bm_free_pages((void *)0x10000, 0);
}

/* Requests that could have it elsewhere take what DMA32 has only when nothing else is left, and never let it grow;
 * malloc does not even that. */
static void lower_zone(void)
{
	unsigned long free;
	void *p, *q;

	start();
	must(alloc_pages(GFP_USER, 0));
	must(!dma32->managed_pages);
	p = bm_alloc_pages(DMA32, 4);
	must(is_low(p, 16));
	for (int i = 0; i < 600; i++)
		must(!is_low(bm_alloc_pages(BM_GFP_KERNEL, 0), 1));
	fake_os_no_memory();
	while (alloc_pages(GFP_MALLOC, 5))
		;
	free = dma32->nr_free_pages;
	must(free && !alloc_pages(GFP_MALLOC, 5) && dma32->nr_free_pages == free);
	q = bm_alloc_pages(BM_GFP_KERNEL | BM_GFP_NOWARN, 5);
	must(q && is_low(q, 32) && pfn_to_zone(virt_to_pfn(q)) == dma32);
	must(dma32->managed_pages == PAGEBLOCK_PAGES);
	while ((q = bm_alloc_pages(BM_GFP_KERNEL | BM_GFP_NOWARN, 5)))
		must(is_low(q, 32));
	must(dma32->managed_pages == PAGEBLOCK_PAGES);
	check_all();
}

/* Without room the request fails, soon, and all else goes on; what is freed serves again. */
static void no_room(void)
{
	static void *block[LOW_BLOCKS], *page[4 * PAGEBLOCK_PAGES];
	unsigned long n = 0, pages = 0, calls, i;

	start();
	while ((block[n] = bm_alloc_pages(DMA32, 10)))
		n++;
	must(n && errno == ENOMEM);
	while (pages < ARRAY_SIZE(page) && (page[pages] = bm_alloc_pages(DMA32, 0)))
		must(is_low(page[pages++], 1));
	calls = fake_os_calls(FAKE_ANY);
	must(pages == ARRAY_SIZE(page) || (!bm_alloc_pages(DMA32, 10) && !bm_alloc_pages(DMA32, 9)));
	must(fake_os_calls(FAKE_ANY) - calls < 16, "%lu calls", fake_os_calls(FAKE_ANY) - calls);
	must(!is_low(bm_alloc_pages(BM_GFP_KERNEL, 10), 1024));
	check_all();
	bm_free_pages(block[n / 2], 10);
	must(bm_alloc_pages(DMA32, 10) == block[n / 2]);
	for (i = 0; i < n; i++)
		bm_free_pages(block[i], 10);
	for (i = 0; i < pages; i++)
		bm_free_pages(page[i], 0);
	must_be_empty();
}

/* Memory is refused: at each call in turn, and for good. */
static void refused(void)
{
	unsigned long n = 0;
	void *p[64];

	start();
	fake_os_no_memory();
	must(!bm_alloc_pages(DMA32, 0) && errno == ENOMEM);
	fake_os_reset();
	for (long nth = 1; nth < 8; nth++) {
		fake_os_fail(FAKE_MMAP, nth, false, ENOMEM);
		p[n] = bm_alloc_pages(DMA32, 9);
		n += !!p[n];
		fake_os_reset();
		check_all();
	}
	must((p[n++] = bm_alloc_pages(DMA32, 9)));
	fake_os_no_memory();
	must(!bm_alloc_pages(DMA32, 9));
	/* What cannot be unmapped is kept for the next. */
	fake_os_fail(FAKE_MUNMAP, 1, true, ENOMEM);
	while (n)
		bm_free_pages(p[--n], 9);
	drain_all_pages();
	zone_trim(dma32, 0);
	must(!dma32->managed_pages && lowmem_mapped());
	must((p[0] = bm_alloc_pages(DMA32, 9)));
	must(is_low(p[0], PAGEBLOCK_PAGES));
	check_all();
}

static void purging(void)
{
	char *hold, *p;
	unsigned long dirty;

	start();
	hold = bm_alloc_pages(DMA32, 4);
	p = bm_alloc_pages(DMA32, 7);
	memset(p, 1, PAGE_SIZE << 7);
	*hold = 42;
	bm_free_pages(p, 7);
	dirty = dma32->nr_dirty;
	must(dirty >= 128 && mm_dirty_bytes() >= dirty << PAGE_SHIFT);
	must(mm_used_bytes() == 16 * PAGE_SIZE, "%zu", mm_used_bytes());
	must(zone_purge(dma32, 0, 0) == dirty << PAGE_SHIFT && !dma32->nr_dirty);
	must(all_zero(p, PAGE_SIZE << 7) && *hold == 42);
	check_all();
	bm_free_pages(hold, 4);
	mm_trim(0);
	must(!lowmem_mapped());
	check_all();
}

/* Where somebody sits at the top it takes some requests until that is known; from then on they come in a row. */
static void settle(void)
{
	unsigned long pb[LOW_BLOCKS / 16];
	unsigned int n;
	bool clean;

	for (n = 0; n < ARRAY_SIZE(pb); n++)
		must((pb[n] = lowmem_alloc(1, 1, 0, &clean)));
	while (n)
		lowmem_free(pb[--n], 1);
}

/* Neighbours below 4 GiB that are of two nodes are no buddies. */
static void two_nodes(void)
{
	struct zone *zone[2];
	struct page *page[2][8];
	int i, nid, pairs = 0;

	fake_sys_nodes(2, 0);
	start();
	settle();
	for (nid = 0; nid < 2; nid++)
		zone[nid] = &NODE_DATA(nid)->node_zones[ZONE_DMA32];
	for (i = 0; i < 8; i++)
		for (nid = 0; nid < 2; nid++) {
			page[nid][i] = alloc_pages_nodemask(DMA32 | GFP_THISNODE, PAGEBLOCK_ORDER, nid, NULL);
			must(page[nid][i] && pfn_to_zone(page_to_pfn(page[nid][i])) == zone[nid]);
		}
	for (i = 0; i < 64; i++)
		pairs += (page_to_pfn(page[0][i / 8]) ^ page_to_pfn(page[1][i % 8])) == PAGEBLOCK_PAGES;
	must(pairs, "they lie side by side");
	/* Marks that keep what is free in the zones. */
	zone[0]->watermark[WMARK_HIGH] = zone[1]->watermark[WMARK_HIGH] = 1UL << 30;
	for (i = 0; i < 8; i++)
		for (nid = 0; nid < 2; nid++) {
			free_pages(page[nid][i], PAGEBLOCK_ORDER);
			drain_all_pages();
			check_zone(zone[0]);
			check_zone(zone[1]);
		}
	for (nid = 0; nid < 2; nid++) {
		must(zone[nid]->nr_free_pages == 8 * PAGEBLOCK_PAGES);
		zone[nid]->watermark[WMARK_HIGH] = 0;
		zone_trim(zone[nid], 0);
		must(!zone[nid]->managed_pages);
	}
	must(!lowmem_mapped());
}

/* Random operations on all zones. */
static struct item {
	char *p;
	unsigned int order;
	uint64_t stamp;
} items[100];

static void take(struct item *it)
{
	static const bm_gfp_t kinds[] = { DMA32, DMA32 | BM_GFP_RECLAIMABLE, BM_GFP_KERNEL,
					  BM_GFP_KERNEL | BM_GFP_MOVABLE, DMA32 | BM_GFP_ATOMIC };
	bm_gfp_t gfp = kinds[rnd(ARRAY_SIZE(kinds))] | (rnd(4) ? 0 : BM_GFP_ZERO) | (rnd(4) ? 0 : BM_GFP_COMP);

	it->order = rnd(4) ? rnd(5) : rnd(MAX_ORDER);
	it->p = bm_alloc_pages(gfp, it->order);
	must(it->p && is_aligned((uintptr_t)it->p, PAGE_SIZE << it->order));
	must(!(gfp & BM_GFP_DMA32) || is_low(it->p, 1UL << it->order));
	must(!(gfp & BM_GFP_ZERO) || all_zero(it->p, PAGE_SIZE << it->order));
	it->stamp = rnd64();
	memcpy(it->p, &it->stamp, 8);
	memcpy(it->p + (PAGE_SIZE << it->order) - 8, &it->stamp, 8);
}

static void give(struct item *it)
{
	must(!memcmp(it->p, &it->stamp, 8) && !memcmp(it->p + (PAGE_SIZE << it->order) - 8, &it->stamp, 8));
	bm_free_pages(it->p, it->order);
	it->p = NULL;
}

static void random_operations(void)
{
	unsigned long i;

	start();
	tunables.thp = THP_NEVER;
	for (i = steps(10000); i; i--) {
		struct item *it = &items[rnd(ARRAY_SIZE(items))];

		if (it->p)
			give(it);
		else
			take(it);
		if (i % 16 == 0)
			check_all();
		if (rnd(300) == 0)
			mm_trim(rnd(2) * MiB);
	}
	for (i = 0; i < ARRAY_SIZE(items); i++)
		if (items[i].p)
			give(&items[i]);
	must_be_empty();
}

int main(void)
{
	model_init();
	fake_sys_init();
	run_case("blocks of every order", orders);
	run_case("the page API knows them by their addresses", api);
	run_case_aborts("a bad free is told", bad_free, "no block of pages begins there");
	run_case_aborts("a second free is told", double_free, "free already");
	run_case_aborts("so is one of what was given back", free_after_giving_back, "invalid address");
	run_case_aborts("an address below 4 GiB that never was one", free_nothing, "not from this heap");
	run_case_aborts("for free() it is foreign", free_by_malloc, "not from this heap");
	run_case("others get it last, malloc never", lower_zone);
	run_case("no room", no_room);
	run_case("no memory", refused);
	run_case("dirty pages are given back", purging);
	run_case("zones of two nodes between each other", two_nodes);
	run_case("random operations", random_operations);
	fake_sys_remove();
	return done_testing();
}
