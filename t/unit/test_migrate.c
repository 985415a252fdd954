/* SPDX-License-Identifier: MIT */
/*
 * Moving one block: its operations, the steps and their failures, and a user who frees and changes his blocks at the
 * worst moments.
 */
#include <sched.h>

#include "mm/owner.h"
#include "mm/pcp.h"
#include "movable.h"

static struct zone *zone;

static struct page *start(unsigned int order)
{
	zone = user_start();
	must(user_alloc(&handles[0], order, GFP_USER | GFP_MOVABLE));
	must(pfn_to_zone(page_to_pfn(handles[0].page)) == zone);
	return handles[0].page;
}

static struct page *get(unsigned int order)
{
	struct page *page = alloc_pages(GFP_USER | GFP_MOVABLE, order);

	must(page && page->refcount == 1 && !(page->flags & PG_MOVABLE));
	return page;
}

static void operations(void)
{
	static const struct bm_movable_ops partial = { .isolate = user_isolate, .migrate = user_migrate };
	struct page *page = start(1);
	static char other;
	struct movable_mapping *m = page->mapping;

	must(page->flags & PG_MOVABLE && m->arg == &user);
	must(set_page_movable(page, &partial, NULL) == -EINVAL && m->arg == &user);
	must(!set_page_movable(page, &user_ops, &other));
	must(page->mapping == m && m->arg == &other && !memcmp(&m->ops, &user_ops, sizeof(user_ops)));
	must(!set_page_movable(page, NULL, NULL) && !(page->flags & PG_MOVABLE));
	must(!isolate_movable_page(page) && page->refcount == 1);
	must(!set_page_movable(page, NULL, NULL), "taken away twice");
	must(!set_page_movable(page, &user_ops, &user) && page->mapping == m, "the mapping is used again");
	user_free(&handles[0]);
	must(!(page->flags & PG_MOVABLE), "freed, hence no longer movable");
	must(set_page_movable(page, &user_ops, &user) == -EINVAL, "a free block");
	drain_all_pages();
	must(set_page_movable(page, &user_ops, &user) == -EINVAL, "a block in the zone");
	must(!isolate_movable_page(page));
	user_free_all(zone);
}

static void no_memory(void)
{
	struct page *page;
	int i;

	zone = user_start();
	page = get(0);
	/* The boot memory may have room: until it has not. */
	fake_os_fail(FAKE_MMAP, 1, true, ENOMEM);
	for (i = 0; i < 8 * (int)PAGE_SIZE / (int)sizeof(struct movable_mapping); i++) {
		int err = set_page_movable(page, &user_ops, &user);

		must(!err || err == -ENOMEM);
		if (err)
			break;
		page = get(0);
	}
	must(!(page->flags & PG_MOVABLE) && page->refcount == 1);
	must(fake_os_calls(FAKE_MMAP) > 0, "nobody asked the system");
	fake_os_reset();
	must(!set_page_movable(page, &user_ops, &user));
}

static void moved(unsigned int order)
{
	struct page *src = start(order), *dst = get(order);
	unsigned long success = vm_events[PGMIGRATE_SUCCESS];

	owner_accounting_enable();
	must(!owner_charge_blocks(src, 1, order, GFP_KERNEL));
	must(isolate_movable_page(src) && src->refcount == 2);
	must(!isolate_movable_page(src) && user.isolated == 1, "isolated already");
	must(!migrate_page(dst, src, MIGRATE_SYNC));
	must(handles[0].page == dst && user.migrated == 1 && !user.putback);
	must(src->refcount == 0 && !(src->flags & PG_MOVABLE), "the source is free");
	must(dst->refcount == 1 && dst->flags & PG_MOVABLE && dst->mapping->arg == &user);
	must(dst->owner == current->owner->id && !src->owner, "and is charged to whom it was");
	must(owner_usage(current->owner) == 1UL << order);
	must(user_alloc(&handles[1], 0, GFP_USER | GFP_MOVABLE) && handles[1].page->mapping != dst->mapping);
	must(vm_events[PGMIGRATE_SUCCESS] == success + (1UL << order));
	user_verify_all();
	/* And on, as often as anybody wants. */
	src = get(order);
	must(isolate_movable_page(dst) && !migrate_page(src, dst, MIGRATE_ASYNC) && handles[0].page == src);
	user_free_all(zone);
	must(!owner_usage(current->owner));
}

static void move_single(void)
{
	moved(0);
}

static void move_large(void)
{
	moved(5);
}

static void compound(void)
{
	struct page *src, *dst;

	zone = user_start();
	must(user_alloc(&handles[0], 2, GFP_USER | GFP_MOVABLE | GFP_COMP));
	src = handles[0].page;
	dst = get(2);
	must(isolate_movable_page(src) && !migrate_page(dst, src, MIGRATE_SYNC));
	must(dst->flags & PG_COMPOUND && compound_head(dst + 3) == dst);
	src = alloc_pages(GFP_USER | GFP_MOVABLE | GFP_COMP, 3);
	must(user_alloc(&handles[1], 3, GFP_USER | GFP_MOVABLE));
	must(isolate_movable_page(handles[1].page) && !migrate_page(src, handles[1].page, MIGRATE_SYNC));
	must(handles[1].page == src && !(src->flags & PG_COMPOUND) && page_type(src + 1) != PAGE_TAIL);
	user_free_all(zone);
}

static void refused(void)
{
	struct page *page = start(0);

	user.isolate = -EBUSY;
	must(!isolate_movable_page(page) && user.isolated == 1 && page->refcount == 1);
	must(!user.putback && !page->mapping->isolated);
	user.isolate = 1;
	must(!isolate_movable_page(page) && page->refcount == 1);
	user.isolate = 0;
	must(isolate_movable_page(page));
	putback_movable_page(page);
	must(user.putback == 1 && page->refcount == 1 && !page->mapping->isolated);
	user_free_all(zone);
}

static void not_moved(void)
{
	struct page *src = start(3), *dst = get(3);
	unsigned long failed = vm_events[PGMIGRATE_FAIL];

	user.migrate = -EIO;
	must(isolate_movable_page(src) && migrate_page(dst, src, MIGRATE_SYNC) == -EIO);
	must(user.migrated == 1 && user.putback == 1 && vm_events[PGMIGRATE_FAIL] == failed + 8);
	must(handles[0].page == src && src->refcount == 1 && src->flags & PG_MOVABLE && !src->mapping->isolated);
	must(dst->refcount == 1 && !(dst->flags & PG_MOVABLE), "the target is its caller's");
	user.migrate = 7;
	must(isolate_movable_page(src) && migrate_page(dst, src, MIGRATE_SYNC) < 0, "no errno, but an error");
	free_pages(dst, 3);
	user_free_all(zone);
}

static void not_now(void)
{
	struct page *src = start(0), *dst = get(0);

	user.again = 3;
	must(isolate_movable_page(src) && migrate_page(dst, src, MIGRATE_ASYNC) == -EAGAIN);
	must(user.migrated == 1 && user.putback == 1, "one who does not wait asks once");
	must(isolate_movable_page(src) && !migrate_page(dst, src, MIGRATE_SYNC_LIGHT));
	must(user.migrated == 4 && user.putback == 1 && handles[0].page == dst);
	user.again = 1 << 30;
	src = get(0);
	must(isolate_movable_page(dst) && migrate_page(src, dst, MIGRATE_SYNC) == -EAGAIN, "nor does anybody for ever");
	free_pages(src, 0);
	user_free_all(zone);
}

/* A reference to the address keeps the block where it is. */
static void pinned(void)
{
	struct page *src = start(0), *dst = get(0);

	atomic_add_return(&src->refcount, 1U);
	must(!isolate_movable_page(src) && !user.isolated && src->refcount == 2);
	free_pages(src, 0);
	must(isolate_movable_page(src));
	atomic_add_return(&src->refcount, 1U);
	must(migrate_page(dst, src, MIGRATE_SYNC) == -EAGAIN && !user.migrated && user.putback == 1);
	must(handles[0].page == src && src->refcount == 2);
	free_pages(src, 0);
	free_pages(dst, 0);
	user_free_all(zone);
}

static void in_isolate_set(struct page *page)
{
	must(set_page_movable(page, NULL, NULL) == -EBUSY);
	must(set_page_movable(page, &user_ops, NULL) == -EBUSY && page->mapping->arg == &user);
}
static void in_migrate_set(struct page *dst, struct page *src)
{
	in_isolate_set(src);
	in_isolate_set(dst);
	must(!isolate_movable_page(dst), "not yet its user's");
}

static void set_meanwhile(void)
{
	struct page *src = start(0), *dst = get(0);

	user.in_isolate = in_isolate_set;
	user.in_migrate = in_migrate_set;
	must(isolate_movable_page(src) && !migrate_page(dst, src, MIGRATE_SYNC));
	must(!set_page_movable(dst, NULL, NULL) && !set_page_movable(dst, &user_ops, &user));
	user_free_all(zone);
}

static void free_now(struct page *page)
{
	must(find_handle(page)->page == page);
	user_free(find_handle(page));
	must(page->refcount == 1 && page->flags & PG_MOVABLE, "it stays while it is isolated");
}
static void free_src(struct page *dst, struct page *src)
{
	(void)dst;
	free_now(src);
}

/* Who was freed is never put back: its user wants to hear no more of it. */
static void freed_meanwhile(void)
{
	struct page *src = start(0), *dst = get(0);

	must(isolate_movable_page(src));
	free_now(src);
	must(!isolate_movable_page(src) && user.isolated == 1, "one reference, but isolated");
	must(migrate_page(dst, src, MIGRATE_SYNC) == -ENOENT && !user.migrated);
	must(src->refcount == 0 && dst->refcount == 1 && !(dst->flags & PG_MOVABLE));

	must(user_alloc(&handles[0], 0, GFP_USER | GFP_MOVABLE) && isolate_movable_page(handles[0].page));
	src = handles[0].page;
	free_now(src);
	putback_movable_page(src);
	must(src->refcount == 0);

	must(user_alloc(&handles[0], 0, GFP_USER | GFP_MOVABLE) && isolate_movable_page(handles[0].page));
	src = handles[0].page;
	user.in_migrate = free_src;
	must(migrate_page(dst, src, MIGRATE_SYNC) == -ENOENT && user.migrated == 1);
	must(src->refcount == 0 && dst->refcount == 1);

	must(user_alloc(&handles[0], 0, GFP_USER | GFP_MOVABLE));
	src = handles[0].page;
	user.in_isolate = free_now;
	must(isolate_movable_page(src), "he said yes, and freed it");
	must(migrate_page(dst, src, MIGRATE_SYNC) == -ENOENT && user.migrated == 1);
	must(user_alloc(&handles[0], 0, GFP_USER | GFP_MOVABLE));
	src = handles[0].page;
	user.isolate = -EBUSY;
	must(!isolate_movable_page(src) && src->refcount == 0);
	must(!user.putback);
	free_pages(dst, 0);
	user_free_all(zone);
}

/* Its user hears of the new place, and frees it, before migrate has returned. */
static int migrate_and_free(void *dst, void *src, unsigned int order, void *arg)
{
	int ret = user_migrate(dst, src, order, arg);

	must(!ret);
	user_free(find_handle(pfn_to_page(addr_to_pfn(dst))));
	return 0;
}

static void freed_at_once(void)
{
	static const struct bm_movable_ops ops = { user_isolate, migrate_and_free, user_putback };
	struct page *src = start(2), *dst = get(2);

	must(!set_page_movable(src, &ops, &user));
	must(isolate_movable_page(src) && !migrate_page(dst, src, MIGRATE_SYNC));
	must(!handles[0].page && src->refcount == 0 && dst->refcount == 0);
	user_free_all(zone);
}

/* Any page at all may be asked for. */
static void foreign_pages(void)
{
	unsigned long pfn;

	start(0);
	for (pfn = zone->zone_start_pfn; pfn < zone->zone_end_pfn; pfn++)
		must(pfn_to_page(pfn) == handles[0].page || !isolate_movable_page(pfn_to_page(pfn)));
	must(!user.isolated && zone->zone_end_pfn > zone->zone_start_pfn);
	user_free_all(zone);
}

#define THREAD_HANDLES 64U
#define ENOUGH_MOVED 1000UL
static bool stop;
static unsigned long nr_moved;

static void *churn(void *arg)
{
	struct handle *mine = arg;
	uint64_t n = (uint64_t)(uintptr_t)arg;
	unsigned long i;

	/* The movers may take their time to begin. */
	for (i = 0; i < steps(20000) || (READ_ONCE(nr_moved) < ENOUGH_MOVED && i < 10000000); i++) {
		struct handle *h =
			&mine[(n = n * 6364136223846793005 + 1442695040888963407) >> 33 & (THREAD_HANDLES - 1)];

		if (READ_ONCE(h->page))
			user_free(h);
		else
			must(user_alloc(h, (unsigned int)(n >> 60 & 1), GFP_USER | GFP_MOVABLE));
	}
	return NULL;
}

static void *move_about(void *arg)
{
	unsigned long pfn;

	(void)arg;
	while (!READ_ONCE(stop))
		for (pfn = READ_ONCE(zone->zone_start_pfn); pfn < READ_ONCE(zone->zone_end_pfn); pfn++) {
			struct page *src = pfn_to_page(pfn), *dst;
			unsigned int order;

			if (!isolate_movable_page(src))
				continue;
			order = src->order;
			dst = alloc_pages(GFP_USER | GFP_MOVABLE, order);
			must(dst);
			if (migrate_page(dst, src, pfn & 1 ? MIGRATE_ASYNC : MIGRATE_SYNC))
				free_pages(dst, order);
			else
				atomic_add_return(&nr_moved, 1UL);
		}
	return NULL;
}

static void threads(void)
{
	pthread_t users[2], movers[2];
	int i;

	zone = user_start();
	free_pages(get(0), 0);
	for (i = 0; i < 2; i++) {
		must(!pthread_create(&users[i], NULL, churn, &handles[(unsigned int)i * THREAD_HANDLES]));
		must(!pthread_create(&movers[i], NULL, move_about, NULL));
	}
	for (i = 0; i < 2; i++)
		must(!pthread_join(users[i], NULL));
	WRITE_ONCE(stop, true);
	for (i = 0; i < 2; i++)
		must(!pthread_join(movers[i], NULL));
	must(nr_moved >= ENOUGH_MOVED, "%lu moved", nr_moved);
	user_free_all(zone);
}

static struct page *the_page;

static int isolate_any(void *addr, void *arg)
{
	(void)addr, (void)arg;
	return 0;
}
static void putback_any(void *addr, void *arg)
{
	(void)addr, (void)arg;
}

static void *isolate_the_page(void *arg)
{
	(void)arg;
	while (!READ_ONCE(stop)) {
		struct page *page = READ_ONCE(the_page);

		if (page && isolate_movable_page(page)) {
			putback_movable_page(page);
			atomic_add_return(&nr_moved, 1UL);
		}
	}
	return NULL;
}

/* The other thread has its turn while the page is there: where threads run by turns, as under memcheck, it may else
 * have none but when there is none. */
static void wait_until_moved(void)
{
	unsigned long before = READ_ONCE(nr_moved);
	int i;

	for (i = 0; i < 1000 && READ_ONCE(nr_moved) == before; i++)
		sched_yield();
}

/* A block that is freed at the very moment, over and over. */
static void free_against_isolate(void)
{
	static const struct bm_movable_ops ops = { isolate_any, user_migrate, putback_any };
	pthread_t thread;
	unsigned long i;

	zone = user_start();
	must(!pthread_create(&thread, NULL, isolate_the_page, NULL));
	for (i = 0; i < steps(300000) || (READ_ONCE(nr_moved) < ENOUGH_MOVED && i < 10000000); i++) {
		struct page *page = get(0);

		WRITE_ONCE(the_page, page);
		must(!set_page_movable(page, &ops, &user));
		if (!(i % 256))
			wait_until_moved();
		free_pages(page, 0);
	}
	WRITE_ONCE(stop, true);
	must(!pthread_join(thread, NULL));
	must(nr_moved >= ENOUGH_MOVED, "%lu moved", nr_moved);
	user_free_all(zone);
}

int main(void)
{
	model_init();
	run_case("operations are set, replaced, taken away, and end with the block", operations);
	run_case("no memory for operations", no_memory);
	run_case("a page is moved, and moved again", move_single);
	run_case("so is a larger block", move_large);
	run_case("a compound page stays one, and nothing else becomes one", compound);
	run_case("a user who refuses", refused);
	run_case("a user who fails: the block is put back", not_moved);
	run_case("a user who is busy: asked again by who can wait", not_now);
	run_case("a block with further references stays", pinned);
	run_case("operations cannot be changed while the block is moved", set_meanwhile);
	run_case("a user who frees the block at any step", freed_meanwhile);
	run_case("a user who frees it as soon as it has moved", freed_at_once);
	run_case("no other page can be isolated", foreign_pages);
	run_case("a block that is freed while it is isolated", free_against_isolate);
	run_case("two users, two movers", threads);
	return done_testing();
}
