/* SPDX-License-Identifier: MIT */
/*
 * The front: each thread's own lists of free objects, one a class. Taking and giving are a few instructions on
 * thread-local words; what a list cannot do it leaves to the slow functions, which exchange whole magazines.
 *
 * All of the state is thread-local and touched by its own thread alone, but for a reader of statistics.
 */
#ifndef SLAB_TCACHE_H
#define SLAB_TCACHE_H

#include "base/message.h"
#include "mm/page.h"
#include "slab/slab.h"

enum tcache_state {
	TCACHE_NEW,   /* not yet used: all zero */
	TCACHE_FREED, /* has freed, but not allocated: lists stay empty for a while */
	TCACHE_ACTIVE,
	TCACHE_ASIDE,  /* this thread is inside of a named owner: its lists are put aside, and those here stay empty */
	TCACHE_CLOSED, /* every call is to be seen, as some are to fail: lists stay empty until that ends */
	TCACHE_OFF,    /* this thread is exiting, or memcheck wants to see every block: lists stay empty */
};

/* Several nodes: freed objects of another node than the lists are of, on their way home. */
#define REMOTE_CHAINS 16U
struct remote_chain {
	struct object *head; /* NULL: none */
	uint8_t class, nid;
	uint16_t nr, most;
};

/* Runs above 128 KiB are in no list. */
#define FIRST_UNLISTED_CLASS (FIRST_RUN_CLASS + 16) /* eight to each doubling from 32 KiB on */

struct tcache {
	/* A class without room left has count == cap objects in its list: room is cap - count. Room 0 sends free()
	 * to the slow path; so does class 0, whose room never grows. */
	struct object *head[NR_CLASSES];
	int32_t room[NR_CLASSES];
	uint16_t cap[NR_CLASSES];
	uint16_t spare_nr[FIRST_RUN_CLASS];  /* objects in the spare; without one, room of the list in its place */
	uint16_t usual_cap[FIRST_RUN_CLASS]; /* what cap was until the thread cached less; 0: as it is */
	uint8_t overflows[FIRST_RUN_CLASS];  /* of the list since it ran dry, up to OVERFLOWS_MOST; */
#define OVERFLOWS_MOST 32U
#define OVERFLOWS_DRY 255U		       /* it ran dry since it last overflowed: it may grow */
	struct object *spare[FIRST_RUN_CLASS]; /* a second magazine, so that the boundary is not crossed to and fro */
	uint16_t seen[NR_CLASSES];	       /* what list_mark said when last looked at: unchanged means idle */
	uint32_t more_runs;		       /* bytes that lists of runs may hold beyond RUN_CACHED_BYTES each, and */
	uint32_t more_shared;		       /* those of objects above 1 KiB beyond their first, but idle lists, */
	uint32_t more_small;		       /* and of others */
	uint32_t ticks;			       /* slow calls since; TCACHE_FREED: frees */
	uint32_t used_high;		       /* pages in use, the most since they last fell, and */
	uint32_t swept;			       /* when a fall began at which lists went home, in ms */
	uint32_t check;			       /* the tick at which that is looked at next */
	uint8_t fall;			       /* enum tcache_fall */
	uint8_t sweep;			       /* class whose list goes home next, as use has fallen; 0: none */
	uint8_t runs_missed[FIRST_UNLISTED_CLASS - FIRST_RUN_CLASS]; /* up to 255, less lists' growth since */
	uint8_t state;						     /* enum tcache_state */
	uint8_t nid;		    /* several nodes: that of the lists, plus 1; 0: none yet */
#define TCACHE_ALL_NODES 255	    /* interleave: of any */
	bool mixed;		    /* there may be objects of other nodes in the lists all the same */
	bool aside_in_use;	    /* TCACHE_ACTIVE: the lists are there for the call that is running */
	uint8_t home;		    /* whose slabs are filled from first */
	bool exit_known;	    /* tcache_exit will be called when the thread ends */
	uint8_t others_freed;	    /* objects above 1 KiB of other homes, modulo 256 */
	int8_t far;		    /* more of them were in the caches of other CPUs than in this one's */
	struct tcache_aside *aside; /* where lists are put aside; NULL: not yet needed */
	struct tcache *next, *prev; /* registry; registry lock */
	/* What free() goes by: of vmemmap as it was when last looked at (tcache_set_view), so that there is nothing at
	 * first; on several nodes the class map of the lists' node, so that it sees no block of another. */
	const uint8_t *class_map;
	unsigned long nr_pages;
	struct remote_chain remote[REMOTE_CHAINS]; /* that of a class is at class % REMOTE_CHAINS */
};
/* The design allows 4 KiB. With less, two pages hold what libc and we have for a thread, and the stack of a simple one.
 */
BUILD_BUG_ON(sizeof(struct tcache) > 3328);

extern thread_local_var struct tcache tcache local_symbol;

/* An object of the class from the spare, from a magazine or from slabs; NULL when out of memory. */
void *tcache_alloc_slow(unsigned int class);
/* Give an object back whose list has no room. */
void tcache_free_slow(void *addr, unsigned int class);

/* Runs that are in no list are had by run_alloc, and given back by this. */
void tcache_free_unlisted(void *addr);

/* The first object of the class's list, or NULL: the caller goes to tcache_alloc_slow. */
static always_inline void *tcache_alloc(unsigned long class)
{
	struct object *obj = tcache.head[class];

	if (unlikely(!obj))
		return NULL;
	tcache.head[class] = obj->next;
	tcache.room[class]++;
	return obj;
}

/* The thread takes a run that its list had none for. */
static always_inline void tcache_note_run_missed(unsigned int class)
{
	if (class < FIRST_UNLISTED_CLASS && tcache.runs_missed[class - FIRST_RUN_CLASS] < UINT8_MAX)
		tcache.runs_missed[class - FIRST_RUN_CLASS]++;
}

/* Count down; is it negative now? One instruction, where the compiler would first put the address into a register. */
static always_inline bool count_down(int32_t *x)
{
#if defined(__x86_64__) && defined(__GCC_ASM_FLAG_OUTPUTS__)
	bool negative;

	__asm__("subl $1, %0" : "+m"(*x), "=@ccs"(negative));
	return negative;
#else
	return --*x < 0;
#endif
}

/*
 * Give an object back. False: it was not taken, because the list is full, the class is 0, or the object is already
 * the first of its list (freed twice). The room is counted down all the same: the caller first calls
 * tcache_undo_free, out of line, where it costs nothing.
 */
static always_inline bool tcache_free(void *addr, unsigned long class)
{
	struct object *obj = addr;

	if (unlikely(count_down(&tcache.room[class])))
		return false;
	if (unlikely(obj == tcache.head[class]))
		return false;
	obj->next = tcache.head[class];
	tcache.head[class] = obj;
	return true;
}
static always_inline void tcache_undo_free(unsigned long class)
{
	tcache.room[class]++;
}

/* Lists of a thread that is inside of a named owner. */
struct tcache_aside {
	struct object *head[NR_CLASSES];
	int32_t room[NR_CLASSES];
	struct tcache_aside *next; /* of those whose thread has ended; registry lock */
};

/* current->inside has changed. The thread is known; see tcache_enter. */
void tcache_follow_owner(void);
/* For tcache.c. The lists in their place for a call; false: they are there, and need not be returned. */
bool tcache_borrow_lists(struct tcache *tc);
void tcache_return_lists(struct tcache *tc);
/* TCACHE_ASIDE: what the slow functions do. */
void *tcache_alloc_aside(struct tcache *tc, unsigned int class);
void tcache_free_aside(struct tcache *tc, struct object *obj, unsigned int class);
/* For tcache_aside.c. The place of a thread that has ended, or NULL. */
struct tcache_aside *tcache_left_aside(void);
/* Room for nothing in the lists, which are empty. */
void tcache_close_lists(struct tcache *tc);
/* Close or open this thread's lists, as failslab wants it; true if they are open. */
bool tcache_follow_failslab(struct tcache *tc);

/* The heap is ready. */
void tcache_init(void);

/* Each thread calls one of these before it takes any lock of the heap: the first to allocate, the second to free. A
 * thread that ends may yet free blocks of libc's when its destructors have run: it must not be listed then. */
void tcache_enter_slow(void);
void tcache_note_slow(void);
static always_inline void tcache_enter(void)
{
	if (unlikely(tcache.state < TCACHE_ACTIVE))
		tcache_enter_slow();
}
static always_inline void tcache_note(void)
{
	if (unlikely(tcache.state == TCACHE_NEW))
		tcache_note_slow();
}

/* Bring everything this thread caches home; as it ends, leave lists to others as magazines, as far as these have room.
 */
void tcache_flush(void);
void tcache_leave_lists(void);

/* class_map and nr_pages as they are to be now. */
void tcache_set_view(struct tcache *tc);
/*
 * Several nodes only. tcache_follow_node: the thread's lists are for the node that it runs on, or that its policy says;
 * if they were for another they are brought home first. The node that an object of the slab class is to come from, by
 * tcache_alloc_node, which gives the thread's turn to it where nodes take turns.
 */
void tcache_follow_node(struct tcache *tc);
int tcache_alloc_node(struct tcache *tc, unsigned int class);
/* The list is now filled by this chain, which was asked for on nid. */
void tcache_note_node(struct tcache *tc, const struct object *chain, int nid);
/* Before a free: the lists follow the thread, as by tcache_follow_node. True if they are not for this object then. */
bool tcache_moved_away(struct tcache *tc, const struct object *obj);
/* A block of another node than the lists', which therefore has class 0 in the thread's map; false: it is none. */
bool tcache_free_remote(void *addr);
/* Bring home what tcache_free_remote has kept. */
void tcache_flush_remote(struct tcache *tc);

/* Each slow call of a thread is a tick; every so often it looks after what lies idle. A prime number: what is used in
 * a rhythm is not met at the same beat each time, as if nobody had used it. */
#define TICKS_PER_LOOK 509
void tcache_look(struct tcache *tc);
/* More often it looks at how much is in use, and while lists go home, at each. */
#define TICKS_PER_CHECK 127
#define TICKS_PER_CHECK_FALLING 31
void tcache_check(struct tcache *tc, bool freeing);
/* What lies idle for longer than dirty_decay goes back, if nobody has looked for a while. No lock held. */
void tcache_age_if_due(void);
/* The same for one who comes by while others wait: what lies idle in slabs goes back, too. */
void tcache_idle_work(void);
static always_inline void tcache_tick(struct tcache *tc, bool freeing)
{
	if (unlikely(++tc->ticks >= tc->check))
		tcache_check(tc, freeing);
}
/* The list is full: what is of other nodes than the lists' goes home. True if that made room. */
bool tcache_drop_foreign(struct tcache *tc, unsigned int class);

/* registry.c. No thread has ended for so long: none follows. */
void registry_age(uint32_t decay);
/* Call is to be called, once, when a second thread comes to use the heap, or is expected; NULL: nothing is. */
void tcache_on_second_thread(void (*call)(void));
/* The process may come to have threads, and this one to end inside of an owner: be told of both. No lock held. */
void tcache_expect_threads(void);
/* For tcache.c. The cache is one of those that others look at, until its thread ends. */
void tcache_register(struct tcache *tc);
/* The thread ends: what it caches is for others from now on, or goes home. No lock held. */
void tcache_exit(void);
/* failslab begins: this thread's lists are closed at once, those of others when they next free, or have used up what
 * their list of a class holds. They open again by themselves once failslab is off. */
void tcache_close_all(void);
/* Objects of a class in all threads' lists, and in one's; torn. */
unsigned long tcache_cached(unsigned int class);
unsigned long tcache_nr_cached(const struct tcache *tc, unsigned int class);
unsigned long tcache_threads(void);

/* Fork handlers; the child keeps only its own thread's cache. */
void tcache_lock_all(void);
void tcache_unlock_all(void);
void tcache_reinit_after_fork(void);

#endif
