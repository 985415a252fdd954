/* SPDX-License-Identifier: MIT */
/*
 * Page frames and their descriptors. The heap is one window of address space; a page frame number counts 4 KiB pages
 * from the window's base, and everything known of a page lies out of line in arrays indexed by it: a byte that says
 * what free() may do with a pointer into the page (class), a struct page, and per 2 MiB a struct pageblock.
 */
#ifndef MM_PAGE_H
#define MM_PAGE_H

#include <string.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/message.h"

#define MAX_ORDER 11 /* orders 0 to 10 */
#define PAGEBLOCK_ORDER 9
#define PAGEBLOCK_PAGES (1UL << PAGEBLOCK_ORDER)
#define PAGEBLOCK_SHIFT (PAGE_SHIFT + PAGEBLOCK_ORDER)
#define PAGEBLOCK_SIZE (1UL << PAGEBLOCK_SHIFT)

/* Page frame 0 never exists, so it ends lists and says "none". */
#define NO_PFN 0U

enum migratetype {
	MIGRATE_UNMOVABLE,
	MIGRATE_MOVABLE,
	MIGRATE_RECLAIMABLE,
	MIGRATE_PCPTYPES,		       /* those before it have per-CPU lists */
	MIGRATE_HIGHATOMIC = MIGRATE_PCPTYPES, /* kept for large requests that may not wait */
	MIGRATE_CMA,			       /* movable only, so that it can be had as one piece */
	MIGRATE_ISOLATE,		       /* free pages of it are not allocated */
	MIGRATE_TYPES
};

/*
 * Free buddies are found by looking at the type of a page that may be anybody's, and that is right without asking its
 * owner: PAGE_BUDDY is written, and overwritten, under the zone lock alone. Who looks holds that lock, so what says
 * PAGE_BUDDY stays so, and its order was written under the lock too; whatever else is read, torn between two owners or
 * stale, is not PAGE_BUDDY, and nothing more is asked. All accesses that may meet go through page_type and
 * set_page_type.
 */
enum page_type {
	PAGE_NONE,  /* not in use, or inside a larger free block */
	PAGE_BUDDY, /* first page of a free block in a zone's free area */
	PAGE_HEAD,  /* first page of an allocated block, or, with reference count 0, of one in a per-CPU list */
	PAGE_GUARD, /* first page of a block kept out of the free lists beside an allocated one (debug_guardpage) */
	PAGE_SLAB,  /* first page of a slab */
	PAGE_TAIL,  /* a further page of a slab or a compound page: head says where it begins */
	PAGE_RUN,   /* first page of a run: whole pages that serve one malloc */
	PAGE_HUGE,  /* first page of a pageblock range, or of more pages than a run has, that serve one malloc */
};

#define PG_DIRTY 0x01	   /* may hold stale data and be resident */
#define PG_COMPOUND 0x02   /* head of a compound page: the rest are tails */
#define PG_PFMEMALLOC 0x04 /* came from the reserve: its user is about to free more */
#define PG_MOVABLE 0x08	   /* has movable operations: mapping */
#define PG_MT_SHIFT 4	   /* in a per-CPU list, or from one: two bits of migratetype */
#define PG_PROTECTED 0x40  /* guard: inaccessible */
#define PG_HOLES 0x40	   /* slab: some of its pages were given back */
#define PG_PARTIAL 0x80	   /* slab: on its cache's partial list */
#define PG_CHARGED 0x80	   /* head: a block of the page API that owner pays for */

struct movable_mapping;

struct page {
	union {
		struct {
			uint32_t next, prev; /* free list (buddy.c) or partial list; zone or cache lock */
		};
		uint64_t holes; /* second page of a slab with PG_HOLES: which of its pages were given back */
	};
	union {
		struct {
			union {
				struct {
					uint8_t type;  /* enum page_type */
					uint8_t order; /* of a free or allocated block */
					uint8_t flags; /* PG_* */
					uint8_t cache; /* slab, run: the size class; head: zone_id */
				};
				uint32_t kind; /* all four */
			};
			uint32_t refcount; /* head: references; slab: objects not in the slab's own free list */
		};
		uint64_t word; /* the same at once: what a per-CPU list's pages look like */
	};
	union {
		uint16_t carved; /* slab: objects ever taken from the untouched end */
		uint16_t absent; /* where holes is: free objects that are not in the slab's list, as they reach into
				    these */
	};
	uint16_t home;	/* slab: whose partial list is its own, and its class; changes only while it is empty */
	uint32_t owner; /* who is charged; 0: the process, and always for what is free */
	union {
		void *freelist;			 /* slab: free objects, linked through their first word */
		unsigned long nr_pages;		 /* run, huge: length */
		unsigned long head;		 /* tail: page frame number of the first page */
		struct movable_mapping *mapping; /* head with PG_MOVABLE: who moves it */
	};
};
BUILD_BUG_ON(sizeof(struct page) != 32);

static always_inline enum page_type page_type(const struct page *page)
{
	return (enum page_type)READ_ONCE(page->type);
}
static always_inline void set_page_type(struct page *page, enum page_type type)
{
	WRITE_ONCE(page->type, (uint8_t)type);
}

enum pageblock_state {
	PB_HOLE,    /* outside the heap */
	PB_FREE,    /* in the arenas' free ranges */
	PB_ZONE,    /* a zone's; written under the zone's lock, as zone_id */
	PB_OFFLINE, /* taken from the arenas for a zone: not yet in it, or no more */
	PB_HUGE,    /* serves one malloc by itself */
	PB_BUSY,    /* taken out for giving back */
};

#define PBF_MAPPED 0x01	  /* has memory behind it */
#define PBF_DIRTY 0x02	  /* may be resident */
#define PBF_THP 0x04	  /* hugepages were asked for */
#define PBF_GIVEN 0x08	  /* was given back, at the time of its stamp */
#define PBF_LOST 0x10	  /* in use, but its addresses may be somebody else's by now */
#define PBF_HUGETLB 0x20  /* the memory behind it is hugetlb pages, all of them there */
#define PBF_SPLIT 0x40	  /* is not in one mapping of the system with the one before it */
#define PBF_GIGANTIC 0x80 /* PBF_HUGETLB, and these are of 1 GiB */

struct pageblock {
	uint32_t next, prev;   /* free ranges of one size; arena lock */
	uint32_t older, newer; /* dirty pageblocks by age; arena lock */
	union {
		uint32_t nr;	  /* PB_FREE: length of the free range, at its first and last pageblock */
		uint32_t nr_free; /* PB_ZONE: free pages in it; zone lock */
	};
	uint8_t state;	       /* enum pageblock_state */
	uint8_t flags;	       /* PBF_*; reports read it without a lock */
	uint8_t migratetype;   /* zone lock */
	uint8_t nid;	       /* the node it is bound to */
	uint32_t stamp;	       /* dirty: when it became free; given back: when that was; in ms */
	uint8_t zone_id;       /* PB_ZONE: index into zone_table */
	uint8_t skip;	       /* PB_ZONE: compaction found nothing here lately; a hint */
	uint8_t isolated_from; /* MIGRATE_ISOLATE: the type it had; zone lock */
	uint8_t settled;       /* several nodes: since when all of its memory is of its node (settle.h); 0: unknown */
#define SETTLED_SPREAD 255     /* PB_HUGE: its pages lie on the nodes of an interleave policy in turn */
};
BUILD_BUG_ON(sizeof(struct pageblock) != 32);

/* Descriptors are mapped for a section at a time. */
#define SECTION_SHIFT 28
#define SECTION_PAGES (1UL << (SECTION_SHIFT - PAGE_SHIFT))
#define SECTION_BLOCKS (1UL << (SECTION_SHIFT - PAGEBLOCK_SHIFT))
/* What lies below 4 GiB is not in the window; its page frames have the numbers behind the window's. */
#define LOW_END (1UL << 32)
#define LOW_PAGES (LOW_END >> PAGE_SHIFT)
#define LOW_BLOCKS (LOW_END >> PAGEBLOCK_SHIFT)

/*
 * The window. Everything below nr_pages is backed by class, map and blocks (zero-filled where nothing is), so any
 * address can be looked up by one comparison. Grows only; written under the arena lock. Pageblocks below 4 GiB have
 * descriptors too, once there are any (lowmem.h): their sections are a bit each in low_sections, which also only
 * grows, under the lowmem lock. What malloc has in hand is always in the window; the page API serves both.
 */
struct vmemmap {
	uintptr_t base;		/* address of page frame 0 */
	unsigned long nr_pages; /* page frames that have descriptors */
	unsigned long map_size; /* of map, in bytes */
	unsigned long low_pfn;	/* page frame of address 0, the first of LOW_PAGES; ~0: none below 4 GiB can be had */
	uintptr_t bias;		/* of the address of a page, over 128 times that of its descriptor */
	uint8_t *class;		/* size class whose objects may begin in the page; 0: free() must look closer */
	struct page *map;
	struct pageblock *blocks;
	uint32_t low_sections; /* those below 4 GiB that have descriptors */
	size_t class_stride;   /* several nodes: from one class map to that of the next node; 0: there is but one */
	uint8_t *home_maps;    /* several homes on one node: the first of their class maps; NULL: none */
	size_t home_stride;    /* from one of these to the next; known before there are any */
};
extern struct vmemmap vmemmap local_symbol;

/* In the window: what is not in it gets a number that pfn_valid refuses. */
static always_inline unsigned long addr_to_pfn(const void *addr)
{
	return ((uintptr_t)addr - vmemmap.base) >> PAGE_SHIFT;
}
static always_inline bool pfn_valid(unsigned long pfn)
{
	return pfn < READ_ONCE(vmemmap.nr_pages);
}
static always_inline bool pfn_is_low(unsigned long pfn)
{
	return pfn >= vmemmap.low_pfn;
}
/* The same two for the window and what is below 4 GiB. */
static always_inline unsigned long virt_to_pfn(const void *addr)
{
	unsigned long pfn = addr_to_pfn(addr);

	/* A window that had to be reserved may itself begin below 4 GiB. */
	if (likely(pfn_valid(pfn)) || (uintptr_t)addr >= LOW_END || vmemmap.low_pfn == ~0UL)
		return pfn;
	return vmemmap.low_pfn + ((uintptr_t)addr >> PAGE_SHIFT);
}
static always_inline bool pfn_online(unsigned long pfn)
{
	if (likely(pfn_valid(pfn)))
		return true;
	return pfn_is_low(pfn) && pfn - vmemmap.low_pfn < LOW_PAGES &&
	       READ_ONCE(vmemmap.low_sections) >> ((pfn - vmemmap.low_pfn) / SECTION_PAGES) & 1;
}
static always_inline void *pfn_to_addr(unsigned long pfn)
{
	if (unlikely(pfn_is_low(pfn)))
		return (void *)((pfn - vmemmap.low_pfn) << PAGE_SHIFT);
	return (void *)(vmemmap.base + (pfn << PAGE_SHIFT));
}
static always_inline struct page *pfn_to_page(unsigned long pfn)
{
	return &vmemmap.map[pfn];
}
static always_inline unsigned long page_to_pfn(const struct page *page)
{
	return (unsigned long)(page - vmemmap.map);
}
static always_inline void *page_to_addr(const struct page *page)
{
	return pfn_to_addr(page_to_pfn(page));
}
/* The same for a page that lies in the window, as everything of malloc and of ZONE_NORMAL does. */
static always_inline void *page_to_window_addr(const struct page *page)
{
	BUILD_BUG_ON(sizeof(struct page) << 7 != PAGE_SIZE);
	return (void *)(((uintptr_t)page << 7) + vmemmap.bias);
}
/* Several nodes: the class map as a thread at home on nid frees by it. Of other nodes' pages it says 0. */
static always_inline uint8_t *node_class_map(int nid)
{
	return vmemmap.class + (size_t)(nid + 1) * vmemmap.class_stride;
}
/* The class map that threads of a home of malloc's free by; so many homes share one. It says 0 of what none of them has
 * freed yet, and of what is not for them. */
#define HOME_MAPS 4U
static always_inline uint8_t *home_class_map(unsigned int home)
{
	return READ_ONCE(vmemmap.home_maps) + home % HOME_MAPS * vmemmap.home_stride;
}
/* These pages, which are in nobody's hands, have been a slab or a run: the maps of homes say nothing of them any more.
 */
void forget_home_classes(unsigned long pfn, unsigned long nr);
static always_inline struct pageblock *pfn_to_block(unsigned long pfn)
{
	return &vmemmap.blocks[pfn >> PAGEBLOCK_ORDER];
}
/* Does not change while the pageblock is in use or a zone's; what else is in the flags may (arena_collapse). */
static always_inline bool block_is_hugetlb(const struct pageblock *block)
{
	return READ_ONCE(block->flags) & PBF_HUGETLB;
}
/* A small process, which has slabs of one page alone, is spared the pages of libc that memset lies in. */
static always_inline void fill_class_map(uint8_t *map, unsigned long nr, unsigned int class)
{
	if (nr > 1)
		memset(map, (int)class, nr);
	else
		*map = (uint8_t) class;
}
/* set_class_map() but for the maps of homes, which the caller looks after. */
static always_inline void __set_class_map(const struct page *page, unsigned long nr, unsigned int class)
{
	unsigned long pfn = page_to_pfn(page);

	fill_class_map(&vmemmap.class[pfn], nr, class);
	if (unlikely(vmemmap.class_stride))
		fill_class_map(node_class_map(pfn_to_block(pfn)->nid) + pfn, nr, class);
}
/* Say of nr pages, which are all of one node, what free() may do with pointers into them. */
static always_inline void set_class_map(const struct page *page, unsigned long nr, unsigned int class)
{
	__set_class_map(page, nr, class);
	if (unlikely(READ_ONCE(vmemmap.home_maps)))
		forget_home_classes(page_to_pfn(page), nr);
}
static always_inline void *block_to_addr(unsigned long pb)
{
	return pfn_to_addr(pb << PAGEBLOCK_ORDER);
}

/* Lists of pages linked by page frame number; head is NO_PFN when empty. The caller holds the list's lock; the
 * head may be read without it, to see whether there is anything. */
static always_inline void page_list_add(uint32_t *head, struct page *page)
{
	uint32_t pfn = (uint32_t)page_to_pfn(page);

	page->prev = NO_PFN;
	page->next = *head;
	if (*head != NO_PFN)
		pfn_to_page(*head)->prev = pfn;
	WRITE_ONCE(*head, pfn);
}
static always_inline void page_list_del(uint32_t *head, struct page *page)
{
	if (page->prev != NO_PFN)
		pfn_to_page(page->prev)->next = page->next;
	else
		WRITE_ONCE(*head, page->next);
	if (page->next != NO_PFN)
		pfn_to_page(page->next)->prev = page->prev;
}

#endif
