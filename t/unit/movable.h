/* SPDX-License-Identifier: MIT */
/*
 * A user of movable blocks, as simple as one can be: a table of handles, each of which knows where its block is now,
 * under one lock. He frees a block whenever he likes: who then asks for it is told that there is none.
 */
#ifndef T_UNIT_MOVABLE_H
#define T_UNIT_MOVABLE_H

#include <errno.h>
#include <pthread.h>

#include "mm/migrate.h"
#include "mm/pcp.h"
#include "mm/vmstat.h"
#include "model.h"

#define NR_HANDLES 8192U
#define MODEL_PAGES (512UL << PAGEBLOCK_ORDER)

static struct handle {
	struct page *page; /* NULL: free */
	unsigned int order;
	uint32_t id;
} handles[NR_HANDLES];
static uint32_t handle_of[MODEL_PAGES]; /* by page frame number; 0: none */
static uint32_t last_id;
static pthread_mutex_t user_lock = PTHREAD_MUTEX_INITIALIZER;

/* What the callbacks are to do, and how often each was called. Under user_lock. */
static struct {
	int isolate, migrate; /* what they return; 0: they work */
	int again;	      /* how often migrate is to say -EAGAIN first */
	void (*in_isolate)(struct page *page), (*in_migrate)(struct page *dst, struct page *src);
	unsigned long isolated, migrated, putback;
} user;

static uint64_t stamp(uint32_t id, unsigned long i)
{
	return ((uint64_t)id << 32 | i) * 0x9e3779b97f4a7c15 | 1;
}

static void mark(void *p, unsigned int order, uint32_t id)
{
	uint64_t *word = p;

	for (unsigned long i = 0; i < 1UL << order; i++)
		word[i * PAGE_SIZE / 8] = word[(i + 1) * PAGE_SIZE / 8 - 1] = stamp(id, i);
}

static void verify(const void *p, unsigned int order, uint32_t id)
{
	const uint64_t *word = p;

	for (unsigned long i = 0; i < 1UL << order; i++)
		must(word[i * PAGE_SIZE / 8] == stamp(id, i) && word[(i + 1) * PAGE_SIZE / 8 - 1] == stamp(id, i),
		     "page %lu of block %u at %p was written to", i, id, p);
}

static struct handle *find_handle(const struct page *page)
{
	uint32_t n = handle_of[page_to_pfn(page)];

	return n ? &handles[n - 1] : NULL;
}

/* Read without the lock by the handle's one user: whether it is NULL he knows himself. */
static void set_handle(struct handle *h, struct page *page)
{
	if (h->page)
		handle_of[page_to_pfn(h->page)] = 0;
	WRITE_ONCE(h->page, page);
	if (!page)
		return;
	must(page_to_pfn(page) < MODEL_PAGES && !handle_of[page_to_pfn(page)], "a block twice");
	handle_of[page_to_pfn(page)] = (uint32_t)(h - handles) + 1;
}

static int user_isolate(void *addr, void *arg)
{
	struct page *page = pfn_to_page(addr_to_pfn(addr));
	int ret;

	must(arg == &user);
	pthread_mutex_lock(&user_lock);
	user.isolated++;
	ret = find_handle(page) ? user.isolate : -ENOENT;
	pthread_mutex_unlock(&user_lock);
	if (user.in_isolate)
		user.in_isolate(page);
	return ret;
}

static int user_migrate(void *dst, void *src, unsigned int order, void *arg)
{
	struct page *to = pfn_to_page(addr_to_pfn(dst)), *from = pfn_to_page(addr_to_pfn(src));
	struct handle *h;
	int ret;

	must(arg == &user);
	if (user.in_migrate)
		user.in_migrate(to, from);
	pthread_mutex_lock(&user_lock);
	user.migrated++;
	h = find_handle(from);
	ret = !h ? -ENOENT : user.again-- > 0 ? -EAGAIN : user.migrate;
	if (!ret) {
		must(order == h->order && is_aligned(page_to_pfn(to), 1UL << order));
		memcpy(dst, src, PAGE_SIZE << order);
		set_handle(h, to);
		memset(src, 0x5a, PAGE_SIZE << order);
	}
	pthread_mutex_unlock(&user_lock);
	return ret;
}

static void user_putback(void *addr, void *arg)
{
	must(arg == &user && addr);
	pthread_mutex_lock(&user_lock);
	user.putback++;
	pthread_mutex_unlock(&user_lock);
}

static const struct bm_movable_ops user_ops = { user_isolate, user_migrate, user_putback };

/* The allocator from its start; the zone that movable blocks come from. */
TAP_UNUSED struct zone *user_start(void)
{
	model_start();
	return &NODE_DATA(numa_node_id())->node_zones[ZONE_MOVABLE];
}

/* Fill a free handle with a block; false: there is no memory. */
TAP_UNUSED bool user_alloc(struct handle *h, unsigned int order, gfp_t gfp)
{
	struct page *page = alloc_pages(gfp, order);

	if (!page)
		return false;
	must(!(gfp & GFP_ZERO) || all_zero(page_to_addr(page), PAGE_SIZE << order));
	pthread_mutex_lock(&user_lock);
	h->order = order;
	h->id = ++last_id;
	mark(page_to_addr(page), order, h->id);
	set_handle(h, page);
	pthread_mutex_unlock(&user_lock);
	/* From here on it may be moved. */
	must(!set_page_movable(page, &user_ops, &user));
	return true;
}

/* Free a handle's block, wherever it lies. */
TAP_UNUSED void user_free(struct handle *h)
{
	struct page *page;

	pthread_mutex_lock(&user_lock);
	page = h->page;
	verify(page_to_addr(page), h->order, h->id);
	set_handle(h, NULL);
	pthread_mutex_unlock(&user_lock);
	free_pages(page, h->order);
}

TAP_UNUSED void user_verify_all(void)
{
	pthread_mutex_lock(&user_lock);
	for (unsigned int i = 0; i < NR_HANDLES; i++)
		if (handles[i].page)
			verify(page_to_addr(handles[i].page), handles[i].order, handles[i].id);
	pthread_mutex_unlock(&user_lock);
}

/* Every block with one reference and its operations; and, once they are freed, every page free. */
TAP_UNUSED void user_free_all(struct zone *zone)
{
	unsigned int i;

	user_verify_all();
	for (i = 0; i < NR_HANDLES; i++)
		if (handles[i].page) {
			must(page_type(handles[i].page) == PAGE_HEAD && handles[i].page->order == handles[i].order);
			must(handles[i].page->refcount == 1 && handles[i].page->flags & PG_MOVABLE);
			user_free(&handles[i]);
		}
	drain_all_pages();
	check_zone(zone);
	must(zone->nr_free_pages == zone->managed_pages, "%lu pages of %lu are free", zone->nr_free_pages,
	     zone->managed_pages);
}

#endif
