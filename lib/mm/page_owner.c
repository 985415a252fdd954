/* SPDX-License-Identifier: MIT */
/*
 * Records lie in sections, mapped when the first of their pages is allocated. A record is written by who has the page;
 * reports may read it half written.
 */
#include "mm/page_owner.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/stacktrace.h"
#include "mm/buddy.h"
#include "mm/internal.h"
#include "mm/stackdepot.h"
#include "mm/vmstat.h"
#include "os/os.h"

#define PAGE_OWNER_STACK_DEPTH 16
#define OWNER_SECTION_ORDER 16
#define OWNER_SECTION_PAGES (1UL << OWNER_SECTION_ORDER)
#define NR_OWNER_SECTIONS (1UL << (32 - OWNER_SECTION_ORDER)) /* page frame numbers have 32 bits */

#define OWNER_HEAD 0x1 /* first page of an allocated block */
#define OWNER_MOVED 0x2

struct page_owner {
	uint64_t ts_nsec, free_ts_nsec;
	depot_stack_handle_t handle, free_handle;
	int32_t tid, free_tid; /* 0: never */
	gfp_t gfp;
	uint8_t order;
	uint8_t flags; /* OWNER_* */
};

static struct page_owner **sections;

int page_owner_init(void)
{
	long ret = os->mmap(NULL, NR_OWNER_SECTIONS * sizeof(*sections), PROT_READ | PROT_WRITE, 0);

	if (os_is_error(ret))
		return -ENOMEM;
	sections = (struct page_owner **)ret;
	return 0;
}

/* The page's record; NULL if there is none yet. */
static struct page_owner *lookup(unsigned long pfn)
{
	struct page_owner *section;

	if (!sections || pfn >> OWNER_SECTION_ORDER >= NR_OWNER_SECTIONS)
		return NULL;
	section = smp_load_acquire(&sections[pfn >> OWNER_SECTION_ORDER]);
	return section ? &section[pfn % OWNER_SECTION_PAGES] : NULL;
}

/* The same, made if need be; NULL if the system has no memory for it. */
static struct page_owner *lookup_create(unsigned long pfn)
{
	struct page_owner *owner = lookup(pfn), *none = NULL;
	size_t size = OWNER_SECTION_PAGES * sizeof(*owner);
	long ret;

	if (likely(owner) || pfn >> OWNER_SECTION_ORDER >= NR_OWNER_SECTIONS)
		return owner;
	ret = os->mmap(NULL, size, PROT_READ | PROT_WRITE, 0);
	if (os_is_error(ret)) {
		WARN_ONCE(true, "page_owner: no memory for the records of 2^%d pages", OWNER_SECTION_ORDER);
		return NULL;
	}
	if (!__atomic_compare_exchange_n(&sections[pfn >> OWNER_SECTION_ORDER], &none, (struct page_owner *)ret, false,
					 __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		os->munmap((void *)ret, size);
	return lookup(pfn);
}

static noinline depot_stack_handle_t save_stack(void)
{
	uintptr_t entries[PAGE_OWNER_STACK_DEPTH];

	return stack_depot_save(entries, stack_trace_save(entries, PAGE_OWNER_STACK_DEPTH, 2));
}

void set_page_owner(unsigned long pfn, unsigned long nr, unsigned int order, gfp_t gfp)
{
	struct page_owner new = {
		.ts_nsec = os_clock_ns(),
		.handle = save_stack(),
		.tid = os_gettid(),
		.gfp = gfp,
		.order = (uint8_t)order,
		.flags = OWNER_HEAD,
	};
	unsigned long i;

	for (i = 0; i < nr; i++) {
		struct page_owner *owner = lookup_create(pfn + i);

		if (!owner)
			continue;
		new.free_ts_nsec = owner->free_ts_nsec;
		new.free_handle = owner->free_handle;
		new.free_tid = owner->free_tid;
		*owner = new;
		new.flags = 0;
	}
}

void reset_page_owner(unsigned long pfn, unsigned long nr)
{
	depot_stack_handle_t handle = save_stack();
	uint64_t now = os_clock_ns();
	int tid = os_gettid();
	unsigned long i;

	for (i = 0; i < nr; i++) {
		struct page_owner *owner = lookup_create(pfn + i);

		if (!owner)
			continue;
		owner->flags = 0;
		owner->free_ts_nsec = now;
		owner->free_handle = handle;
		owner->free_tid = tid;
	}
}

void split_page_owner(unsigned long pfn, unsigned long nr)
{
	unsigned long i;

	for (i = 0; i < nr; i++) {
		struct page_owner *owner = lookup(pfn + i);

		if (!owner || !owner->tid)
			continue;
		owner->order = 0;
		owner->flags |= OWNER_HEAD;
	}
}

void copy_page_owner(unsigned long new_pfn, unsigned long old_pfn, unsigned int order)
{
	unsigned long i;

	for (i = 0; i < 1UL << order; i++) {
		const struct page_owner *old = lookup(old_pfn + i);
		struct page_owner *new = lookup_create(new_pfn + i);

		if (!old || !new)
			continue;
		new->ts_nsec = old->ts_nsec;
		new->handle = old->handle;
		new->tid = old->tid;
		new->gfp = old->gfp;
		new->order = old->order;
		new->flags = (uint8_t)(i ? 0 : OWNER_HEAD | OWNER_MOVED);
	}
}

static void print_stack(struct out *o, depot_stack_handle_t handle)
{
	const uintptr_t *entries;
	unsigned int nr = stack_depot_fetch(handle, &entries);

	stack_trace_print(o, entries, nr);
}

void dump_page_owner(struct out *o, unsigned long pfn)
{
	const struct page_owner *owner = lookup(pfn);

	if (!owner || (!owner->tid && !owner->free_tid)) {
		out_printf(o, "page_owner: nothing is known of this page\n");
		return;
	}
	if (owner->tid) {
		out_printf(o, "page last allocated via order %u, migratetype %s, gfp_mask 0x%x, tid %d, ts %llu\n",
			   owner->order, migratetype_names[gfp_migratetype(owner->gfp)], owner->gfp, owner->tid,
			   (unsigned long long)owner->ts_nsec);
		print_stack(o, owner->handle);
	}
	if (owner->free_tid) {
		out_printf(o, "page last free by tid %d, ts %llu, stack trace:\n", owner->free_tid,
			   (unsigned long long)owner->free_ts_nsec);
		print_stack(o, owner->free_handle);
	}
}

static void print_record(struct out *o, unsigned long pfn, const struct page_owner *owner)
{
	const struct page *page = pfn_to_page(pfn);

	out_printf(o, "Page allocated via order %u, mask 0x%x(", owner->order, owner->gfp);
	print_gfp(o, owner->gfp);
	out_printf(o, "), pid %d, ts %llu ns, free_ts %llu ns\n", owner->tid, (unsigned long long)owner->ts_nsec,
		   (unsigned long long)owner->free_ts_nsec);
	out_printf(o, "PFN %lu type %s Block %lu type %s Flags 0x%x(%s%s%s%s)\n", pfn,
		   migratetype_names[gfp_migratetype(owner->gfp)], pfn >> PAGEBLOCK_ORDER,
		   migratetype_names[get_pageblock_migratetype(pfn)], page->flags,
		   page_type(page) == PAGE_SLAB ? "slab" : "", page->flags & PG_COMPOUND ? "head" : "",
		   page->flags & PG_MOVABLE ? "movable" : "", page->flags & PG_PFMEMALLOC ? "pfmemalloc" : "");
	print_stack(o, owner->handle);
	if (owner->flags & OWNER_MOVED)
		out_printf(o, "Page has been migrated, last migrate reason: compaction\n");
	out_printf(o, "\n");
}

void print_page_owner(struct out *o)
{
	unsigned long i, pfn;

	for (i = 0; sections && i < NR_OWNER_SECTIONS; i++) {
		const struct page_owner *section = smp_load_acquire(&sections[i]);

		for (pfn = 0; section && pfn < OWNER_SECTION_PAGES; pfn++)
			if (READ_ONCE(section[pfn].flags) & OWNER_HEAD)
				print_record(o, (i << OWNER_SECTION_ORDER) + pfn, &section[pfn]);
	}
}
