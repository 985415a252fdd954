/* SPDX-License-Identifier: MIT */
/*
 * The table of owners and their charges. An owner's place is in a section that is never unmapped, so that a number
 * found in a struct page is always that of an owner: a place is used again only when no page has its number any more.
 */
#include "mm/owner.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/lock.h"
#include "mm/arena.h"
#include "mm/balance.h"
#include "mm/oom.h"
#include "mm/pcp.h"
#include "mm/vmscan.h"
#include "os/os.h"

#define SECTION_OWNERS 128U
#define NR_OWNER_SECTIONS 8192U

bool owner_accounting;

static struct owner process = { .kind = OWNER_PROCESS, .name = "process" };

/* Under the table's lock, but not in it: what is not 0 takes room in the library's file. */
static later_data struct owner *sections[NR_OWNER_SECTIONS];

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

bool owner_id_known(uint32_t id)
{
	return id <= smp_load_acquire(&table.nr);
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

/* Who walked by may still look at who was there before. */
static void clear_place(struct owner *o)
{
	unsigned int i;

	WRITE_ONCE(o->limit, 0);
	WRITE_ONCE(o->min, 0);
	WRITE_ONCE(o->score_adj, 0);
	WRITE_ONCE(o->abort, NULL);
	for (i = 0; i < OWNER_NAME_LEN; i++)
		WRITE_ONCE(o->name[i], 0);
	WRITE_ONCE(o->oom.since, 0);
	WRITE_ONCE(o->oom.pages, 0);
	WRITE_ONCE(o->oom.lowest, 0);
	WRITE_ONCE(o->oom.passed_over, 0);
}

struct owner *owner_place_get(void)
{
	struct owner *o;

	mutex_lock(&table.lock);
	o = table.free ? owner_by_id(table.free) : new_place();
	if (o && table.free)
		table.free = o->next_free;
	mutex_unlock(&table.lock);
	if (!o)
		return NULL;
	clear_place(o);
	return o;
}

void owner_place_put(struct owner *o)
{
	mutex_lock(&table.lock);
	o->next_free = table.free;
	table.free = o->id;
	mutex_unlock(&table.lock);
}

void owner_place_publish(struct owner *o, enum owner_kind kind)
{
	WRITE_ONCE(o->state, 0);
	smp_store_release(&o->kind, (uint8_t)kind);
}

/* A place whose owner is gone, and has nothing any more, is free. */
static cold void release_unused(struct owner *o)
{
	mutex_lock(&table.lock);
	/* It may be another's by now, whose state was written before the kind. */
	if (smp_load_acquire(&o->kind) != OWNER_UNUSED && READ_ONCE(o->state) & OWNER_EXITED && !READ_ONCE(o->usage)) {
		WRITE_ONCE(o->kind, OWNER_UNUSED);
		o->next_free = table.free;
		table.free = o->id;
	}
	mutex_unlock(&table.lock);
}

struct owner *own_owner(void)
{
	struct owner *o = current->owner;

	if (likely(o))
		return o;
	o = owner_place_get();
	if (!o)
		return &process;
	WRITE_ONCE(o->tid, os_gettid());
	owner_place_publish(o, OWNER_THREAD);
	current->owner = o;
	return o;
}

/* Others may have begun meanwhile: a number of the parent's is one that no thread here has. */
void owner_first_thread(void)
{
	struct owner *o;

	for (o = owner_next(&process); o; o = owner_next(o))
		if (READ_ONCE(o->tid) && os_tgkill(READ_ONCE(o->tid), 0))
			WRITE_ONCE(o->tid, os_getpid());
}

struct owner *current_owner(void)
{
	return unlikely(current->charged) ? current->charged : own_owner();
}

void owner_exit(struct owner *o)
{
	__atomic_or_fetch(&o->state, OWNER_EXITED, __ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&o->usage, __ATOMIC_SEQ_CST))
		release_unused(o);
}

void owner_exit_thread(void)
{
	struct owner *o = current->owner, *inside = current->inside;

	current->inside = current->charged = NULL;
	if (inside)
		owner_leave(inside);
	/* What later destructors allocate is the process's. */
	current->owner = &process;
	if (o && o != &process)
		owner_exit(o);
}

unsigned long (*owner_reclaim)(struct owner *o);

/* Pages that a victim may have beyond its limit, to get out of what it is doing. */
static unsigned long victim_reserve(const struct owner *o)
{
	return oom_victim_in_time(o) ? o->limit / 16 + 16 : 0;
}

static bool charge_once(struct owner *o, unsigned long nr_pages, unsigned long limit)
{
	if (likely(atomic_add_return(&o->usage, nr_pages) <= limit))
		return true;
	atomic_sub_return(&o->usage, nr_pages);
	return false;
}

/* Objects that the application's shrinkers are asked for: at least, and when it is given up. */
#define EFFORT_MIN 32UL
#define EFFORT_MAX (1UL << 30)

/* The owner is at its limit: what it can spare first, then the application's caches, for more each time. */
static bool charge_after_reclaim(struct owner *o, unsigned long nr_pages, gfp_t gfp)
{
	unsigned long (*reclaim)(struct owner * o) = READ_ONCE(owner_reclaim);
	unsigned long effort = max_ul(nr_pages, EFFORT_MIN);

	if (reclaim && reclaim(o) && charge_once(o, nr_pages, o->limit))
		return true;
	if (!(gfp & GFP_DIRECT_RECLAIM) || !(gfp & GFP_FS) || current->flags & PF_MEMALLOC)
		return false;
	for (; effort < EFFORT_MAX && shrink_application(gfp, effort); effort *= 2) {
		if (reclaim)
			reclaim(o);
		if (charge_once(o, nr_pages, o->limit))
			return true;
		if (gfp & GFP_NORETRY)
			break;
	}
	return false;
}

static bool may_oom_owner(gfp_t gfp)
{
	return (gfp & (GFP_DIRECT_RECLAIM | GFP_FS)) == (GFP_DIRECT_RECLAIM | GFP_FS) &&
	       !(gfp & (GFP_NORETRY | GFP_RETRY_MAYFAIL)) && !(current->flags & PF_MEMALLOC);
}

static cold int charge_slow(struct owner *o, unsigned long nr_pages, gfp_t gfp)
{
	gfp = current_gfp_context(gfp & READ_ONCE(gfp_allowed_mask));
	if (nr_pages <= o->limit) {
		if (charge_after_reclaim(o, nr_pages, gfp))
			return 0;
		/* A victim does not wait for itself. */
		while (may_oom_owner(gfp) && !oom_victim_in_time(o) &&
		       mem_cgroup_out_of_memory(o, gfp, order_for_pages(nr_pages)))
			if (charge_once(o, nr_pages, o->limit))
				return 0;
		if (charge_once(o, nr_pages, o->limit + victim_reserve(o)))
			return 0;
	}
	if (gfp & GFP_NOFAIL) {
		atomic_add_return(&o->usage, nr_pages);
		return 0;
	}
	current->at_limit = true;
	return -ENOMEM;
}

/* The process is not charged: it has the rest. */
int owner_charge(struct owner *o, unsigned long nr_pages, gfp_t gfp)
{
	if (unlikely(o == &process))
		return 0;
	/* Who was to be signalled has left. */
	if (unlikely(!READ_ONCE(o->tid)) && current->inside == o)
		WRITE_ONCE(o->tid, own_owner()->tid);
	if (likely(charge_once(o, nr_pages, o->limit ? o->limit : ~0UL)))
		return 0;
	return charge_slow(o, nr_pages, gfp);
}

void owner_give_back(struct owner *o, unsigned long nr_pages)
{
	unsigned long left = __atomic_sub_fetch(&o->usage, nr_pages, __ATOMIC_SEQ_CST);
	uint8_t state = __atomic_load_n(&o->state, __ATOMIC_SEQ_CST);

	if (unlikely(state & OWNER_VICTIM))
		oom_victim_gave(o);
	if (!left && unlikely(state & OWNER_EXITED))
		release_unused(o);
}

static always_inline bool is_named(const struct owner *o)
{
	return READ_ONCE(o->kind) == OWNER_NAMED;
}

int owner_try_charge(struct page *page, unsigned long nr_pages, gfp_t gfp)
{
	struct owner *o = current_owner();
	int err = owner_charge(o, nr_pages, gfp);

	if (err)
		return err;
	page->owner = o->id;
	if (unlikely(is_named(o)))
		owner_add_block(o, page);
	return 0;
}

void owner_uncharge(struct page *page, unsigned long nr_pages)
{
	uint32_t id = page->owner;
	struct owner *o = owner_by_id(id);

	if (!id)
		return;
	if (unlikely(is_named(o)))
		owner_del_block(o, page);
	page->owner = 0;
	owner_give_back(o, nr_pages);
}

void owner_take_charge(struct page *slab)
{
	unsigned long nr_pages = 1UL << slab->order;
	struct owner *o = own_owner(), *from;

	if (READ_ONCE(slab->owner) == o->id)
		return;
	if (o != &process)
		atomic_add_return(&o->usage, nr_pages);
	from = owner_by_id(__atomic_exchange_n(&slab->owner, o->id, __ATOMIC_ACQ_REL));
	if (from != &process)
		owner_give_back(from, nr_pages);
}

bool owner_resize(const struct page *page, unsigned long nr_pages, unsigned long new_nr, gfp_t gfp)
{
	struct owner *o = owner_by_id(page->owner), *saved = current->charged;
	int err = 0;

	if (new_nr > nr_pages) {
		if (is_named(o))
			current->charged = o;
		err = owner_charge(o, new_nr - nr_pages, gfp);
		current->charged = saved;
	}
	if (new_nr < nr_pages)
		owner_give_back(o, nr_pages - new_nr);
	return !err;
}

static void mark_block(struct page *page, struct owner *o)
{
	page->owner = o->id;
	__atomic_or_fetch(&page->flags, PG_CHARGED, __ATOMIC_RELAXED);
	if (is_named(o))
		owner_add_block(o, page);
}

int owner_charge_blocks(struct page *page, unsigned long nr, unsigned int order, gfp_t gfp)
{
	struct owner *o = current_owner();
	unsigned long i;
	int err = owner_charge(o, nr << order, gfp);

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
	struct owner *o = owner_by_id(page->owner);
	unsigned long i;

	for (i = 1; i < 1UL << order; i++)
		mark_block(page + i, o);
}

void owner_move_block(struct page *dst, struct page *src)
{
	struct owner *o = owner_by_id(src->owner);

	if (is_named(o))
		owner_del_block(o, src);
	mark_block(dst, o);
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
	used -= min_ul(used, READ_ONCE(arena_stats.huge_tails));
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
		if (o->kind == OWNER_NAMED) {
			o->inside = owner_inside_by_this_thread(o);
			o->tid = o->inside ? os_gettid() : 0;
			/* Who was destroying it is not here. */
			__atomic_and_fetch(&o->state, (uint8_t)~OWNER_DYING, __ATOMIC_RELAXED);
		} else if (o == current->owner) {
			o->tid = os_gettid();
		} else {
			owner_exit(o);
		}
	}
}
