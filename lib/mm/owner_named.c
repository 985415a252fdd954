/* SPDX-License-Identifier: MIT */
/*
 * Named owners: handles, who is inside, and the list of what one has beside its slabs. Its lock is one of a few that
 * owners share by their number, so that fork can take all of them.
 */
#include <errno.h>

#include "base/lock.h"
#include "mm/gfp.h"
#include "mm/migrate.h"
#include "mm/oom.h"
#include "mm/owner.h"
#include "os/os.h"

#define NR_OWNER_LOCKS 32U
#define HANDLE_ID_BITS 24

/* How long the move of a block is waited for. In the child of a fork its mover may not be there. */
#define MOVE_WAIT_MS 2000

static later_data struct {
	struct mutex lock;
	char line[64 - sizeof(struct mutex)]; /* each to itself */
} locks[NR_OWNER_LOCKS];
static bool locks_ready; /* not before there is a named owner */

static void init_locks(void)
{
	unsigned int i;

	if (smp_load_acquire(&locks_ready))
		return;
	/* Nobody holds one yet; two threads write the same. */
	for (i = 0; i < NR_OWNER_LOCKS; i++)
		WRITE_ONCE(locks[i].lock.rank, RANK_OWNER);
	smp_store_release(&locks_ready, true);
}

static unsigned long limit_pages(size_t bytes)
{
	return (bytes >> PAGE_SHIFT) + !!(bytes % PAGE_SIZE);
}

/* A report has a line for it. */
static void copy_name(struct owner *o, const char *name)
{
	unsigned int i;

	for (i = 0; i < sizeof(o->name) - 1 && name[i]; i++)
		WRITE_ONCE(o->name[i], (unsigned char)name[i] < ' ' || name[i] == 0x7f ? '_' : name[i]);
}

struct owner *owner_create(const struct bm_owner_attr *attr, bool (*init)(struct owner *o))
{
	struct owner *o;

	init_locks();
	o = owner_place_get();
	if (!o)
		return NULL;
	if (init && !init(o)) {
		owner_place_put(o);
		return NULL;
	}
	if (!o->lock)
		smp_store_release(&o->lock, &locks[o->id % NR_OWNER_LOCKS].lock);
	owner_lock(o);
	o->generation++;
	owner_unlock(o);
	WRITE_ONCE(o->tid, 0);
	/* Less than a page is not none. */
	WRITE_ONCE(o->limit, limit_pages(attr->limit));
	WRITE_ONCE(o->min, limit_pages(attr->min));
	WRITE_ONCE(o->score_adj, attr->score_adj);
	WRITE_ONCE(o->abort, attr->abort);
	WRITE_ONCE(o->arg, attr->arg);
	copy_name(o, attr->name);
	owner_place_publish(o, OWNER_NAMED);
	return o;
}

bm_owner_t *owner_handle(const struct owner *o)
{
	return (bm_owner_t *)((uintptr_t)o->generation << HANDLE_ID_BITS | o->id);
}

/* The place that a handle names, if ever a named owner had it. */
static struct owner *handle_place(const bm_owner_t *handle)
{
	uintptr_t h = (uintptr_t)handle;
	uint32_t id = h & ((1U << HANDLE_ID_BITS) - 1);

	struct owner *o = id && owner_id_known(id) ? owner_by_id(id) : NULL;

	return o && smp_load_acquire(&o->lock) ? o : NULL;
}

/* Its lock is held. */
static bool handle_valid(const bm_owner_t *handle, const struct owner *o)
{
	return READ_ONCE(o->kind) == OWNER_NAMED && !(READ_ONCE(o->state) & (OWNER_DYING | OWNER_EXITED)) &&
	       (uintptr_t)handle >> HANDLE_ID_BITS == o->generation;
}

/* The owner that a handle names, with its lock held; NULL: there is none, or not any more. */
static struct owner *lock_by_handle(const bm_owner_t *handle)
{
	struct owner *o = handle_place(handle);

	if (!o)
		return NULL;
	owner_lock(o);
	if (handle_valid(handle, o))
		return o;
	owner_unlock(o);
	return NULL;
}

struct owner *owner_by_handle(const bm_owner_t *handle)
{
	struct owner *o = lock_by_handle(handle);

	if (o)
		owner_unlock(o);
	return o;
}

struct owner *owner_enter(const bm_owner_t *handle, int tid)
{
	struct owner *o = lock_by_handle(handle);

	if (!o)
		return NULL;
	ADD_ONCE(o->inside, 1);
	WRITE_ONCE(o->tid, tid);
	owner_unlock(o);
	return o;
}

bool owner_leave(struct owner *o)
{
	bool last;

	owner_lock(o);
	ADD_ONCE(o->inside, -1U);
	last = !o->inside;
	if (last || (current->inside != o && current->owner && READ_ONCE(o->tid) == current->owner->tid))
		WRITE_ONCE(o->tid, 0);
	owner_unlock(o);
	return last;
}

void (*owner_moved)(void);

static void hold_inside(struct owner *o)
{
	if (!o)
		return;
	owner_lock(o);
	ADD_ONCE(o->inside, 1);
	owner_unlock(o);
}

void owner_hold(struct owner_hold *hold)
{
	*hold = (struct owner_hold){ current->inside, current->charged, current->holds };
	hold_inside(hold->inside);
	if (hold->charged != hold->inside)
		hold_inside(hold->charged);
	current->holds = hold;
}

void owner_unhold(struct owner_hold *hold)
{
	struct owner *now = current->inside;

	current->inside = hold->inside;
	current->charged = hold->charged;
	current->holds = hold->outer;
	if (now && owner_leave(now))
		READ_ONCE(owner_reclaim)(now);
	if (hold->charged && hold->charged != hold->inside)
		owner_leave(hold->charged);
	if (now != hold->inside)
		READ_ONCE(owner_moved)();
}

uint32_t owner_inside_by_this_thread(const struct owner *o)
{
	uint32_t nr = o == current->inside;
	const struct owner_hold *hold;

	for (hold = current->holds; hold; hold = hold->outer)
		nr += o == hold->inside || o == hold->charged;
	return nr;
}

int owner_destroy_begin(const bm_owner_t *handle, struct owner **owner)
{
	struct owner *o = handle_place(handle);
	int err = 0;

	if (!o)
		return -EINVAL;
	owner_lock(o);
	if (!handle_valid(handle, o))
		err = -EINVAL;
	else if (o->inside)
		err = -EBUSY;
	else
		__atomic_or_fetch(&o->state, OWNER_DYING, __ATOMIC_RELAXED);
	owner_unlock(o);
	if (err)
		return err;
	if (!oom_owner_goes(o)) {
		__atomic_and_fetch(&o->state, (uint8_t)~OWNER_DYING, __ATOMIC_RELAXED);
		return -EBUSY;
	}
	*owner = o;
	return 0;
}

void owner_destroy_end(struct owner *o)
{
	owner_exit(o);
	oom_tell_waiting();
}

void owner_add_block(struct owner *o, struct page *page)
{
	owner_lock(o);
	page_list_add(&o->blocks, page);
	owner_unlock(o);
}

void owner_del_block(struct owner *o, struct page *page)
{
	owner_lock(o);
	page_list_del(&o->blocks, page);
	owner_unlock(o);
}

/* The first of the list, off it; its locks are held. */
static struct page *unlink_first(struct owner *o)
{
	struct page *page = pfn_to_page(o->blocks);

	page_list_del(&o->blocks, page);
	return page;
}

/* One that is movable: once nobody is moving it, its references are its user's, and all go. NULL: wait. */
static struct page *pop_movable(struct owner *o, bool *empty)
{
	struct page *page = NULL;

	movable_lock_all();
	owner_lock(o);
	*empty = o->blocks == NO_PFN;
	if (!*empty && movable_drop_references(pfn_to_page(o->blocks)))
		page = unlink_first(o);
	owner_unlock(o);
	movable_unlock_all();
	return page;
}

/* Its mover is gone for good, and with it the block. */
static struct page *pop_stuck(struct owner *o)
{
	struct page *page;

	owner_lock(o);
	page = unlink_first(o);
	owner_unlock(o);
	return page;
}

/* The first block, unless it is movable, which takes a further lock. */
static struct page *pop_fixed(struct owner *o, bool *empty)
{
	struct page *page = NULL, *first;

	owner_lock(o);
	*empty = o->blocks == NO_PFN;
	first = pfn_to_page(o->blocks);
	if (!*empty && !(page_type(first) == PAGE_HEAD && READ_ONCE(first->flags) & PG_MOVABLE))
		page = unlink_first(o);
	owner_unlock(o);
	return page;
}

/* Off the books, too; the pages it has. */
static void take_charge(struct owner *o, struct page *page)
{
	bool head = page_type(page) == PAGE_HEAD;

	if (head)
		__atomic_and_fetch(&page->flags, (uint8_t)~PG_CHARGED, __ATOMIC_RELAXED);
	page->owner = 0;
	owner_give_back(o, head ? 1UL << page->order : page->nr_pages);
}

struct page *owner_pop_block(struct owner *o)
{
	unsigned int waited = 0;
	struct page *page;
	bool empty;

	for (;;) {
		page = pop_fixed(o, &empty);
		if (!page && !empty)
			page = pop_movable(o, &empty);
		if (page || empty)
			break;
		if (waited++ < MOVE_WAIT_MS)
			os_sleep_ms(1);
		else
			take_charge(o, pop_stuck(o));
	}
	if (!page)
		return NULL;
	if (page_type(page) == PAGE_HEAD)
		WRITE_ONCE(page->refcount, 0);
	take_charge(o, page);
	return page;
}

static bool held_for_fork; /* all of them: they were there when the fork began */

static void for_all_locks(void (*op)(struct mutex *))
{
	unsigned int i;

	for (i = 0; held_for_fork && i < NR_OWNER_LOCKS; i++)
		op(&locks[i].lock);
}

void owner_locks_lock_all(void)
{
	held_for_fork = smp_load_acquire(&locks_ready);
	for_all_locks(mutex_lock);
}

void owner_locks_unlock_all(void)
{
	for_all_locks(mutex_unlock);
}

void owner_locks_reinit_after_fork(void)
{
	for_all_locks(mutex_reinit_after_fork);
	if (!held_for_fork) /* nor was there a named owner */
		locks_ready = false;
}
