/* SPDX-License-Identifier: MIT */
/*
 * Movable blocks: their operations, and the three steps in which one is moved.
 *
 * A block may be freed by its user at any time, so nobody else may look at its mapping without having kept it alive
 * first. movable.lock does that: PG_MOVABLE is set and cleared under it, and a block that has it must come by
 * clear_page_movable, hence by this lock, before its descriptor serves anything else. So whoever holds the lock and
 * sees the flag has a block before him, takes a reference unless the last one is gone, and copies what he needs.
 *
 * A mapping that is isolated belongs to the thread that isolated it: nobody replaces or frees it. That thread drops the
 * lock, and calls the user. While a block is moved both ends share its mapping.
 */
#include "mm/migrate.h"

#include <errno.h>

#include "mm/debug.h"
#include "mm/memblock.h"
#include "mm/owner.h"
#include "mm/page_alloc.h"
#include "mm/page_owner.h"
#include "mm/vmstat.h"

/* How often a user who says "not now" is asked again by one who can wait. */
#define MIGRATE_PASSES 10

static struct {
	struct mutex lock; /* every mapping, PG_MOVABLE of every page, and: */
	struct movable_mapping *free;
} movable = { .lock = MUTEX_INIT(RANK_MOVABLE) };

void movable_lock_all(void)
{
	mutex_lock(&movable.lock);
}
void movable_unlock_all(void)
{
	mutex_unlock(&movable.lock);
}
void movable_reinit_after_fork(void)
{
	mutex_reinit_after_fork(&movable.lock);
}

/* A mapping; locked, but not while the system is asked for memory. */
static struct movable_mapping *mapping_alloc(void)
{
	struct movable_mapping *m;
	unsigned int i;

	if (!movable.free) {
		mutex_unlock(&movable.lock);
		m = memblock_alloc(PAGE_SIZE);
		mutex_lock(&movable.lock);
		for (i = 0; m && i < PAGE_SIZE / sizeof(*m); i++) {
			m[i].next = movable.free;
			movable.free = &m[i];
		}
	}
	m = movable.free;
	if (m)
		movable.free = m->next;
	return m;
}

static void mapping_free(struct movable_mapping *m)
{
	m->next = movable.free;
	movable.free = m;
}

static void attach(struct page *page, struct movable_mapping *m)
{
	page->mapping = m;
	__atomic_or_fetch(&page->flags, PG_MOVABLE, __ATOMIC_RELEASE);
}

static struct movable_mapping *detach(struct page *page)
{
	struct movable_mapping *m = page->mapping;

	__atomic_and_fetch(&page->flags, (uint8_t)~PG_MOVABLE, __ATOMIC_RELEASE);
	page->mapping = NULL;
	return m;
}

/*
 * The page may be anybody's, who writes its descriptor as he likes: what is read here is a hint, except that, under
 * movable.lock, "movable" stays so. ThreadSanitizer is not to look.
 */
noinline __attribute__((__no_sanitize__("thread"))) bool page_maybe_movable(const struct page *page,
									    unsigned int *order)
{
	struct page p = { .word = READ_ONCE(page->word) };

	*order = (p.type == PAGE_BUDDY || p.type == PAGE_HEAD) && p.order < MAX_ORDER ? p.order : 0;
	return p.type == PAGE_HEAD && p.flags & PG_MOVABLE;
}

static bool page_movable(const struct page *page)
{
	unsigned int order;

	return page_maybe_movable(page, &order);
}

int set_page_movable(struct page *page, const struct bm_movable_ops *ops, void *arg)
{
	struct movable_mapping *m = NULL;
	int err = 0;

	if (page_type(page) != PAGE_HEAD || !READ_ONCE(page->refcount))
		return -EINVAL;
	if (ops && (!ops->isolate || !ops->migrate || !ops->putback))
		return -EINVAL;
	mutex_lock(&movable.lock);
	if (!page_movable(page)) {
		m = ops ? mapping_alloc() : NULL;
		if (m) {
			m->isolated = false;
			attach(page, m);
		} else if (ops) {
			err = -ENOMEM;
		}
	} else if (page->mapping->isolated) {
		err = -EBUSY;
	} else if (ops) {
		m = page->mapping;
	} else {
		mapping_free(detach(page));
	}
	if (m && !err) {
		m->ops = *ops;
		m->arg = arg;
	}
	mutex_unlock(&movable.lock);
	return err;
}

void clear_page_movable(struct page *page)
{
	mutex_lock(&movable.lock);
	mapping_free(detach(page));
	mutex_unlock(&movable.lock);
}

bool movable_drop_references(struct page *page)
{
	if (page->mapping->isolated)
		return false;
	WRITE_ONCE(page->refcount, 0);
	return true;
}

/* The reference, and the mapping, of one who could not go on. Both at once: what is not isolated has its user's alone.
 */
static void release_isolated(struct page *page)
{
	unsigned int order = page->order;
	bool last;

	mutex_lock(&movable.lock);
	page->mapping->isolated = false;
	last = put_page_testzero(page);
	mutex_unlock(&movable.lock);
	if (last)
		free_the_page(page, order);
}

bool isolate_movable_page(struct page *page)
{
	struct movable_mapping *m;

	if (!page_movable(page))
		return false;
	mutex_lock(&movable.lock);
	/* More than its user's reference: somebody counts on the address. None: it is being freed. */
	if (!page_movable(page) || page->mapping->isolated || !try_cmpxchg(&page->refcount, 1U, 2U)) {
		mutex_unlock(&movable.lock);
		return false;
	}
	m = page->mapping;
	m->isolated = true;
	mutex_unlock(&movable.lock);
	if (!m->ops.isolate(page_to_addr(page), m->arg))
		return true;
	release_isolated(page);
	return false;
}

/* Has its user freed it since? Then he wants to hear no more of it. */
static bool freed_by_user(struct page *page)
{
	return __atomic_load_n(&page->refcount, __ATOMIC_ACQUIRE) == 1;
}

void putback_movable_page(struct page *page)
{
	const struct movable_mapping *m = page->mapping;

	if (!freed_by_user(page))
		m->ops.putback(page_to_addr(page), m->arg);
	release_isolated(page);
}

/* Make dst what src is. The user may free dst as soon as he knows of it: a reference more keeps it until we are done;
 * and nobody else may move it before. */
static void prepare_dst(struct page *dst, const struct page *src, unsigned int order)
{
	if (src->flags & PG_COMPOUND && !(dst->flags & PG_COMPOUND))
		prep_compound_page(dst, order);
	else if (!(src->flags & PG_COMPOUND) && dst->flags & PG_COMPOUND)
		destroy_compound_page(dst, order);
	mutex_lock(&movable.lock);
	atomic_add_return(&dst->refcount, 1U);
	attach(dst, src->mapping);
	mutex_unlock(&movable.lock);
}

static void give_up_dst(struct page *dst)
{
	mutex_lock(&movable.lock);
	detach(dst);
	mutex_unlock(&movable.lock);
	atomic_sub_return(&dst->refcount, 1U);
}

/* src is a shell now: the mapping went with the content, and so did its user's reference. If a reference to the old
 * address is left all the same, then so is the block. */
static void finish_move(struct page *dst, struct page *src, unsigned int order)
{
	bool freed;

	if (unlikely(page_debug & DEBUG_PAGE_OWNER))
		copy_page_owner(page_to_pfn(dst), page_to_pfn(src), order);
	if (READ_ONCE(src->flags) & PG_CHARGED)
		owner_move_block(dst, src);
	mutex_lock(&movable.lock);
	detach(src)->isolated = false;
	freed = put_page_testzero(dst);
	mutex_unlock(&movable.lock);
	if (freed)
		free_the_page(dst, order);
	if (!put_page_testzero(src))
		free_pages(src, order);
	else
		free_the_page(src, order);
}

int migrate_page(struct page *dst, struct page *src, enum migrate_mode mode)
{
	int passes = mode == MIGRATE_ASYNC ? 1 : MIGRATE_PASSES, err = -EAGAIN;
	const struct movable_mapping *m = src->mapping;
	unsigned int order = src->order;

	if (freed_by_user(src)) {
		release_isolated(src);
		return -ENOENT;
	}
	/* A reference that came meanwhile is one to the old address. */
	if (READ_ONCE(src->refcount) == 2) {
		prepare_dst(dst, src, order);
		while (passes-- > 0 && err == -EAGAIN)
			err = m->ops.migrate(page_to_addr(dst), page_to_addr(src), order, m->arg);
		if (!err) {
			finish_move(dst, src, order);
			count_vm_events(PGMIGRATE_SUCCESS, 1UL << order);
			return 0;
		}
		give_up_dst(dst);
	}
	count_vm_events(PGMIGRATE_FAIL, 1UL << order);
	if (freed_by_user(src))
		err = -ENOENT;
	putback_movable_page(src);
	return err < 0 ? err : -EBUSY;
}
