/* SPDX-License-Identifier: MIT */
/*
 * Returns: objects above SMALL_SIZE_MAX that a thread of another home has freed. The CPU's cache of who wrote them last
 * is not the freeing thread's, and what such an object costs is mostly to write to it anew. So it is not for the lists
 * of who frees it: it goes back to its home by one exchange, into a list of its class, which a thread of that home
 * takes whole when its own list has run dry. No instruction of free() asks whose an object is: threads free by a class
 * map of their home's, in which such objects of others have class 0, and the slow path looks into the map of all.
 *
 * Where threads read, or write, all of what they are given, it is in their own CPU's cache, and theirs is the better
 * place. So now and then such an object is looked at: how long a load from it takes says where it was.
 *
 * A list is one word, changed by compare and swap or exchanged for 0, so that there is no lock, and nothing to be done
 * after a fork. A list that is full goes home to its slabs, once; if nobody takes from it until it is full again, what
 * comes then stays with who frees it. One that lies idle goes home, too.
 */
#include "base/annotate.h"
#include "mm/arena.h"
#include "mm/pressure.h"
#include "slab/inner.h"
#include "slab/tcache.h"

#define RETURNED_BYTES (32 * KiB) /* in a list */
#define RETURNED_FEW 4		  /* threads: of more, blocks are anybody's, as they wander from one to the next */
#define RETURNED_COUNT_SHIFT 48
#define RETURNED_UNTAKEN (1UL << 63) /* it was full, and its home has not come since */
#define SAMPLE_FREES 16U	     /* of so many one is looked at, */
#define FAR_MOST 4		     /* and so many of them are remembered */
#define HEAD_BYTES 128U		     /* of an object, in which who frees it has had to look */
#define FAR_TICKS 50 /* of the CPU's clock, that a load takes longer where it is not in this CPU's own cache */

later_data struct returned returned[SLAB_HOMES];

/* Lists as they were at the last look. Of whoever ages them. */
static later_data uint16_t marks[SLAB_HOMES][NR_RETURNED_CLASSES];

static always_inline struct object *list_head(uintptr_t list)
{
	return (struct object *)(list & ((1UL << RETURNED_COUNT_SHIFT) - 1));
}

static always_inline unsigned int list_nr(uintptr_t list)
{
	return (unsigned int)((list & ~RETURNED_UNTAKEN) >> RETURNED_COUNT_SHIFT);
}

/* In a process of one thread none is looked at. */
static always_inline unsigned int homes_with_lists(void)
{
	return READ_ONCE(vmemmap.home_maps) ? smp_load_acquire(&nr_slab_homes) : 0;
}

struct object *returns_take_slow(unsigned int home, unsigned int class, unsigned int *nr)
{
	uintptr_t list = xchg(returned_list(home, class), 0UL);

	*nr = list_nr(list);
	return list_head(list);
}

/* All of a list goes home. */
static void send_home(unsigned int home, unsigned int class)
{
	unsigned int nr;
	struct object *chain = returns_take(home, class, &nr);

	if (chain)
		slab_free_bulk(&kmem_caches[class], chain);
}

static always_inline bool is_full(uintptr_t list, unsigned int class)
{
	return list_nr(list) && list_nr(list) * class_size(class) >= RETURNED_BYTES;
}

/* All of a full list goes home; false: so it did before, and nobody has come to take from it since. */
static bool make_room(uintptr_t *list, unsigned int class)
{
	struct object *chain;

	if (READ_ONCE(*list) & RETURNED_UNTAKEN)
		return false;
	chain = list_head(xchg(list, RETURNED_UNTAKEN));
	if (chain)
		slab_free_bulk(&kmem_caches[class], chain);
	if (likely(tcache.state == TCACHE_ACTIVE))
		tcache_tick(&tcache, true);
	return true;
}

/* False: there is no room. */
static bool put(unsigned int home, unsigned int class, struct object *obj)
{
	uintptr_t *list = returned_list(home, class), old, new;

	do {
		if (unlikely(is_full(READ_ONCE(*list), class)) && !make_room(list, class))
			return false;
		old = READ_ONCE(*list);
		obj->next = list_head(old);
		new = (old & RETURNED_UNTAKEN) | (list_nr(old) + 1UL) << RETURNED_COUNT_SHIFT | (uintptr_t)obj;
	} while (!try_cmpxchg(list, old, new));
	return true;
}

#ifdef __x86_64__
#define HAS_TICKS 1
static always_inline uint64_t read_ticks(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc; lfence" : "=a"(low), "=d"(high)::"memory");
	return (uint64_t)high << 32 | low;
}

/* Is what lies there in another CPU's cache, or in none? Else it is in this one's. */
static bool is_far(const volatile char *addr)
{
	uint64_t start = read_ticks(), first, second;

	(void)*addr;
	first = read_ticks();
	(void)*addr;
	second = read_ticks();
	return first - start > second - first + FAR_TICKS;
}
#else
#define HAS_TICKS 0
static bool is_far(const volatile char *addr)
{
	(void)addr;
	return false;
}
#endif

/* Has this thread read or written more of it than its head? Of the page that it begins in: others may be protected. */
static void look_closer(struct tcache *tc, const char *addr, unsigned int class)
{
	size_t left = PAGE_SIZE - (uintptr_t)addr % PAGE_SIZE,
	       at = min_ul(class_size(class) / 8 * 5, left - MALLOC_ALIGN);

	if (at < HEAD_BYTES)
		return;
	if (is_far(addr + at))
		tc->far = (int8_t)(tc->far + (tc->far < FAR_MOST));
	else
		tc->far = (int8_t)(tc->far - (tc->far > -FAR_MOST));
}

/* Is another home's object better off there? */
static bool is_for_home(struct tcache *tc, const char *addr, unsigned int class)
{
	if (tc->others_freed++ % SAMPLE_FREES == 0)
		look_closer(tc, addr, class);
	return tc->far > 0;
}

/* The thread's map is to say so from now on: of a block in use, or a slab that it is in, so that nobody clears it. */
static void note_class(const struct tcache *tc, unsigned long pfn, unsigned long nr, unsigned int class)
{
	uint8_t *map = home_class_map(tc->home) + pfn;

	for (; nr; nr--, map++) /* the first page first: forget_home_classes */
		WRITE_ONCE(*map, (uint8_t) class);
}

bool returns_free(void *addr, unsigned int class)
{
	struct tcache *tc = &tcache;
	unsigned long pfn = addr_to_pfn(addr);
	const struct page *slab;
	unsigned int home;

	if (class >= FIRST_UNLISTED_CLASS)
		return false;
	if (class >= FIRST_RUN_CLASS) {
		note_class(tc, pfn, 1, class);
		return false;
	}
	slab = slab_head_of(pfn);
	home = slab_home(slab);
	if (!class_is_returned(class) || home_class_map(home) == home_class_map(tc->home) ||
	    READ_ONCE(nr_heap_threads) > RETURNED_FEW) {
		note_class(tc, page_to_pfn(slab), 1UL << slab->order, class);
		return false;
	}
	/* Who had it is gone, or the slab is, as of what is freed twice: what is left is for those who free it. */
	if (home >= homes_with_lists() || !slab_home_is_used(home))
		return false;
	/* In either place where it may have been put just now. */
	if (unlikely(addr == (void *)tc->head[class] ||
		     addr == (void *)list_head(READ_ONCE(*returned_list(home, class)))))
		report_double_free(addr, class_size(class));
	return is_for_home(tc, addr, class) && put(home, class, addr);
}

void returns_open(void)
{
	if (!vmemmap.home_maps && HAS_TICKS && !slab_nodes && !annotate_listening)
		arena_map_home_classes();
}

unsigned long returns_nr(const struct kmem_cache *cache)
{
	unsigned int home, homes = homes_with_lists();
	unsigned long nr = 0;

	for (home = 0; home < homes && class_is_returned(cache->class); home++)
		nr += list_nr(READ_ONCE(*returned_list(home, cache->class)));
	return nr;
}

void returns_drop(unsigned int class)
{
	unsigned int home, homes = homes_with_lists();

	for (home = 0; home < homes && class_is_returned(class); home++)
		send_home(home, class);
}

void returns_age(void)
{
	unsigned int home, homes = homes_with_lists(), class;

	for (home = 0; home < homes; home++)
		for (class = FIRST_RETURNED_CLASS; class < FIRST_RUN_CLASS; class ++) {
			uintptr_t list = READ_ONCE(*returned_list(home, class));
			uint16_t mark = (uint16_t)((list >> 4) + (list >> 20) + list_nr(list));

			if (list && mark == READ_ONCE(marks[home][class - FIRST_RETURNED_CLASS]))
				send_home(home, class);
			WRITE_ONCE(marks[home][class - FIRST_RETURNED_CLASS], mark);
		}
}
