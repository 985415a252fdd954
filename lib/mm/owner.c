/* SPDX-License-Identifier: MIT */
/*
 * The table of owners and their charges. An owner's place is in a section that is never unmapped, so that a number found
 * in a struct page is always that of an owner: a place is used again only when no page has its number any more.
 */
#include "mm/owner.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/lock.h"
#include "mm/page_alloc.h"
#include "os/os.h"

#define SECTION_OWNERS 128U
#define NR_OWNER_SECTIONS 8192U

bool owner_accounting;

static struct owner process = { .kind = OWNER_PROCESS, .name = "process" };

/* Under the table's lock, but not in it: what is not 0 takes room in the library's file. */
static struct owner *sections[NR_OWNER_SECTIONS];

static struct {
	struct mutex lock; /* which places are used; who is inside of named owners */
	uint32_t nr;	   /* places that were ever used, numbered from 1; grows only */
	uint32_t free;	   /* the first unused of them, 0: none */
} table = { .lock = MUTEX_INIT(RANK_OWNERS) };

void owner_accounting_enable(void)
{
	WRITE_ONCE(owner_accounting, true);
	api_fast_close();
}

struct owner *owner_by_id(uint32_t id)
{
	if (!id)
		return &process;
	return &smp_load_acquire(&sections[(id - 1) / SECTION_OWNERS])[(id - 1) % SECTION_OWNERS];
}

/* A place that was never used; NULL: no memory for it. The lock is held. */
static struct owner *new_place(void)
{
	uint32_t nr = table.nr, section = nr / SECTION_OWNERS;
	struct owner *o;
	long ret;

	if (section == NR_OWNER_SECTIONS)
		return NULL;
	if (!sections[section]) {
		ret = os->mmap(NULL, align_up(SECTION_OWNERS * sizeof(*o), os_page_size()), PROT_READ | PROT_WRITE, 0);
		if (os_is_error(ret))
			return NULL;
		smp_store_release(&sections[section], (struct owner *)ret);
	}
	o = &sections[section][nr % SECTION_OWNERS];
	o->id = nr + 1;
	smp_store_release(&table.nr, nr + 1);
	return o;
}

static struct owner *thread_owner_create(void)
{
	struct owner *o;

	mutex_lock(&table.lock);
	o = table.free ? owner_by_id(table.free) : new_place();
	if (o) {
		table.free = o->next_free;
		WRITE_ONCE(o->state, 0);
		WRITE_ONCE(o->tid, os_gettid());
		WRITE_ONCE(o->kind, OWNER_THREAD);
	}
	mutex_unlock(&table.lock);
	return o;
}

/* A place whose owner is gone, and has nothing any more, is free. */
static cold void release_unused(struct owner *o)
{
	mutex_lock(&table.lock);
	if (o->kind != OWNER_UNUSED && READ_ONCE(o->state) & OWNER_EXITED && !READ_ONCE(o->usage)) {
		WRITE_ONCE(o->kind, OWNER_UNUSED);
		o->next_free = table.free;
		table.free = o->id;
	}
	mutex_unlock(&table.lock);
}

static cold struct owner *own_owner_slow(void)
{
	struct owner *o = thread_owner_create();

	if (!o)
		return &process;
	current->owner = o;
	return o;
}

struct owner *current_owner(void)
{
	return likely(current->owner) ? current->owner : own_owner_slow();
}

void owner_exit_thread(void)
{
	struct owner *o = current->owner;

	/* What later destructors allocate is the process's. */
	current->owner = &process;
	if (!o || o == &process)
		return;
	__atomic_or_fetch(&o->state, OWNER_EXITED, __ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&o->usage, __ATOMIC_SEQ_CST))
		release_unused(o);
}

/* The process is not charged: it has the rest. */
static int charge(struct owner *o, unsigned long nr_pages, gfp_t gfp)
{
	(void)gfp;
	if (o != &process)
		atomic_add_return(&o->usage, nr_pages);
	return 0;
}

static void uncharge(struct owner *o, unsigned long nr_pages)
{
	if (!__atomic_sub_fetch(&o->usage, nr_pages, __ATOMIC_SEQ_CST) &&
	    unlikely(__atomic_load_n(&o->state, __ATOMIC_SEQ_CST) & OWNER_EXITED))
		release_unused(o);
}

int owner_try_charge(struct page *page, unsigned long nr_pages, gfp_t gfp)
{
	struct owner *o = current_owner();
	int err = charge(o, nr_pages, gfp);

	if (!err)
		page->owner = o->id;
	return err;
}

void owner_uncharge(struct page *page, unsigned long nr_pages)
{
	uint32_t id = page->owner;

	page->owner = 0;
	if (id)
		uncharge(owner_by_id(id), nr_pages);
}

bool owner_resize(const struct page *page, unsigned long nr_pages, unsigned long new_nr, gfp_t gfp)
{
	struct owner *o = owner_by_id(page->owner);

	if (new_nr > nr_pages)
		return !charge(o, new_nr - nr_pages, gfp);
	if (new_nr < nr_pages)
		uncharge(o, nr_pages - new_nr);
	return true;
}

static void mark_block(struct page *page, const struct owner *o)
{
	page->owner = o->id;
	__atomic_or_fetch(&page->flags, PG_CHARGED, __ATOMIC_RELAXED);
}

int owner_charge_blocks(struct page *page, unsigned long nr, unsigned int order, gfp_t gfp)
{
	struct owner *o = current_owner();
	unsigned long i;
	int err = charge(o, nr << order, gfp);

	for (i = 0; !err && o != &process && i < nr; i++)
		mark_block(page + (i << order), o);
	return err;
}

void owner_uncharge_block(struct page *page, unsigned int order)
{
	__atomic_and_fetch(&page->flags, (uint8_t)~PG_CHARGED, __ATOMIC_RELAXED);
	owner_uncharge(page, 1UL << order);
}

void owner_split_block(struct page *page, unsigned int order)
{
	const struct owner *o = owner_by_id(page->owner);
	unsigned long i;

	for (i = 1; i < 1UL << order; i++)
		mark_block(page + i, o);
}

void owner_move_block(struct page *dst, struct page *src)
{
	mark_block(dst, owner_by_id(src->owner));
	__atomic_and_fetch(&src->flags, (uint8_t)~PG_CHARGED, __ATOMIC_RELAXED);
	src->owner = 0;
}

struct owner *owner_next(const struct owner *at)
{
	uint32_t id;

	if (!at)
		return &process;
	for (id = at->id + 1; id <= smp_load_acquire(&table.nr); id++)
		if (READ_ONCE(owner_by_id(id)->kind) != OWNER_UNUSED)
			return owner_by_id(id);
	return NULL;
}

unsigned long owner_usage(const struct owner *o)
{
	unsigned long used = mm_used_bytes() >> PAGE_SHIFT;

	if (o != &process)
		return READ_ONCE(o->usage);
	for (o = owner_next(o); o; o = owner_next(o))
		used -= min_ul(used, READ_ONCE(o->usage));
	return used;
}

void owners_lock_all(void)
{
	mutex_lock(&table.lock);
}

void owners_unlock_all(void)
{
	mutex_unlock(&table.lock);
}

/* Only the thread that forked is there. */
void owners_reinit_after_fork(void)
{
	struct owner *o;

	mutex_reinit_after_fork(&table.lock);
	for (o = owner_next(&process); o; o = owner_next(o)) {
		if (o == current->owner) {
			o->tid = os_gettid();
		} else if (o->kind == OWNER_THREAD) {
			o->state |= OWNER_EXITED;
			if (!o->usage)
				release_unused(o);
		}
	}
}
