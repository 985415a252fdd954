/* SPDX-License-Identifier: MIT */
/*
 * Owners: who is charged for pages. Each thread is one, from its first charge on; the application makes named ones. The
 * rest is the process's: owner 0, which is never charged, but has what nobody else has.
 *
 * Until owner_accounting nothing is charged, and nothing of this is asked; page->owner is 0 then. What is free has
 * owner 0 too. A slab, a run and a huge block are charged as a whole, by their first page; each block of the page API
 * by itself, with PG_CHARGED, so that the short way of freeing does not take it.
 *
 * A named owner knows all that it has: its slabs (slab/owner_cache.h), and a list of everything else, linked through
 * the struct pages, whose links nobody needs while they are in use.
 */
#ifndef MM_OWNER_H
#define MM_OWNER_H

#include "base/lock.h"
#include "base/message.h"
#include "buddymalloc.h"
#include "mm/current.h"
#include "mm/page.h"

#define OWNER_NAME_LEN 32

enum owner_kind { OWNER_UNUSED, OWNER_PROCESS, OWNER_THREAD, OWNER_NAMED };

#define OWNER_EXITED 0x01 /* its thread has ended, or it is destroyed: what it has left is counted as the process's */
#define OWNER_VICTIM 0x02 /* the OOM step waits for it to give something back */
#define OWNER_DYING 0x04  /* is being destroyed: nobody is inside, and no handle is right any more */

struct owner_cache;

struct owner {
	uint32_t id;	     /* its place in the table; never changes */
	uint8_t kind;	     /* enum owner_kind; table lock */
	uint8_t state;	     /* OWNER_*; changed atomically */
	uint32_t next_free;  /* id of the next unused one; table lock */
	uint32_t generation; /* named: part of its handle; its own lock, as that of the next three */
	uint32_t inside;     /* named: threads that are in it */
	int tid;	     /* thread: its own; named: of one inside, who entered last or got pages; 0: not known */
	uint32_t blocks;     /* named: runs, huge blocks and those of the page API */
	unsigned long usage; /* pages; changed atomically */
	unsigned long limit; /* pages; 0: none. This and what follows: named ones, written before there is a handle,
			      * while who walks over all may yet look at who had the place */
	unsigned long min;   /* pages; 0: none */
	int score_adj;
	int (*abort)(bm_owner_t *owner, void *arg);
	void *arg;
	struct owner_cache *cache; /* this and the lock stay with the place, once it was a named one's */
	struct mutex *lock;
	char name[OWNER_NAME_LEN];
	/* The OOM step's, under its lock (oom.c). */
	struct {
		uint64_t since;	     /* ms: it is a victim from then on, or has last given up something; read without */
		unsigned long pages; /* that it had when it was chosen */
		unsigned long lowest;	   /* that it was seen to have since */
		unsigned long passed_over; /* it is not chosen before it has less; 0: it may be */
		uint32_t running;	   /* calls of its abort callback */
	} oom;
};

extern hidden_var bool owner_accounting;

/* From now on pages are charged; what was had before stays the process's. Any thread, no lock held. */
void owner_accounting_enable(void);

/* Whom this thread's pages are charged to: the named owner that the request is for, else its own, else the process. */
struct owner *current_owner(void);
/* This thread's own, made if there is none yet. */
struct owner *own_owner(void);
/* Is this the asking thread's own? Its tid is that of the parent, in the child of a process of one thread. */
static always_inline bool owner_is_own(const struct owner *o)
{
	return current->owner == o;
}

/* A second thread begins: the first one is this process's, wherever its owner was made. */
void owner_first_thread(void);

/* Until restored, charge named, or the thread itself if that is NULL, whatever it is inside of. */
static always_inline struct owner *owner_assume(struct owner *named)
{
	struct owner *saved = current->charged;

	current->charged = named;
	return saved;
}

/*
 * Charge nr_pages; -ENOMEM: it is at its own limit, and has nothing to give. With GFP_NOFAIL 0 always. No lock held,
 * since the application's shrinkers and the owner's callback may be called.
 */
int owner_charge(struct owner *o, unsigned long nr_pages, gfp_t gfp);
void owner_give_back(struct owner *o, unsigned long nr_pages);
/* Did this thread's last request fail because its owner is at its limit? No memory of others helps then. */
static always_inline bool owner_was_at_limit(void)
{
	return current->at_limit;
}

/*
 * Charge the run or huge block that begins at page to current_owner(), or the slab to a thread. The caller frees the
 * pages if that fails. Accounting is on.
 */
int owner_try_charge(struct page *page, unsigned long nr_pages, gfp_t gfp);
/* Take the charge back; page->owner is 0 then. What is not charged may be given too. */
void owner_uncharge(struct page *page, unsigned long nr_pages);
/* The slab, one of threads', is this thread's from now on. The caller holds a block of it, so that it stays a slab. */
void owner_take_charge(struct page *slab);
/* What is charged grows or shrinks, for the same owner; false: not by so much. */
bool owner_resize(const struct page *page, unsigned long nr_pages, unsigned long new_nr, gfp_t gfp);

static always_inline int charge_pages(struct page *page, unsigned long nr_pages, gfp_t gfp)
{
	return unlikely(READ_ONCE(owner_accounting)) ? owner_try_charge(page, nr_pages, gfp) : 0;
}
static always_inline void uncharge_pages(struct page *page, unsigned long nr_pages)
{
	if (unlikely(page->owner))
		owner_uncharge(page, nr_pages);
}
static always_inline bool charge_resize(const struct page *page, unsigned long nr_pages, unsigned long new_nr,
					gfp_t gfp)
{
	return likely(!page->owner) || owner_resize(page, nr_pages, new_nr, gfp);
}

/* The same for blocks of the page API: nr blocks of the order side by side. free_the_page takes the charge back. */
int owner_charge_blocks(struct page *page, unsigned long nr, unsigned int order, gfp_t gfp);
void owner_uncharge_block(struct page *page, unsigned int order);
/* The block is 2^order single ones from now on; the caller has made them so. */
void owner_split_block(struct page *page, unsigned int order);
/* dst is in src's place. */
void owner_move_block(struct page *dst, struct page *src);

/* Pages; the process's are those in use that nobody is charged for, but for the tails of huge blocks. */
unsigned long owner_usage(const struct owner *o);
/* All of them, the process first; NULL at the end. Without a lock: an owner that is seen may be another a moment later.
 */
struct owner *owner_next(const struct owner *at);
struct owner *owner_by_id(uint32_t id);
bool owner_id_known(uint32_t id); /* may it be asked for? */
/* The named owner that has the slab, run or block that begins at page; NULL: a thread, or nobody. */
static always_inline struct owner *page_named_owner(const struct page *page)
{
	uint32_t id = READ_ONCE(page->owner); /* a slab of threads may be becoming another thread's */
	struct owner *o = unlikely(id) ? owner_by_id(id) : NULL;

	return o && READ_ONCE(o->kind) == OWNER_NAMED ? o : NULL;
}

/*
 * Around a call of the application's from within a request: whom the thread is inside of, and who pays, cannot be
 * destroyed by it, and the thread is inside of the same one again afterwards. No lock held.
 */
struct owner_hold {
	struct owner *inside, *charged;
	struct owner_hold *outer;
};
void owner_hold(struct owner_hold *hold);
void owner_unhold(struct owner_hold *hold);
/* Threads and holds of this thread's that are inside of o; in the child of a fork there are no others. */
uint32_t owner_inside_by_this_thread(const struct owner *o);
/* Called when owner_unhold has changed whom the thread is inside of. */
extern void (*owner_moved)(void);

/*
 * Named owners (owner_named.c). A handle is a number, never an address: one that is stale is found out, whatever its
 * place serves by then.
 */
/* init makes what layers above need for it, and fails without memory. */
struct owner *owner_create(const struct bm_owner_attr *attr, bool (*init)(struct owner *o));
bm_owner_t *owner_handle(const struct owner *o);
struct owner *owner_by_handle(const bm_owner_t *handle);
/* This thread, whose tid it is, is inside of it from now on; NULL: no such owner. */
struct owner *owner_enter(const bm_owner_t *handle, int tid);
/* It is no more; true: nobody is. */
bool owner_leave(struct owner *o);
/* Nobody can enter any more: the caller frees what it has, then calls owner_destroy_end. -EBUSY, -EINVAL. In the child
 * of a fork meanwhile it can be destroyed again. */
int owner_destroy_begin(const bm_owner_t *handle, struct owner **owner);
void owner_destroy_end(struct owner *o);
/* The next of its blocks, off its list and its books and with no reference left, for the caller to free; NULL at the
 * end. One that is being moved is waited for. */
struct page *owner_pop_block(struct owner *o);
/* Its own lock, for those who keep its slabs. */
static always_inline void owner_lock(struct owner *o)
{
	mutex_lock(o->lock);
}
static always_inline void owner_unlock(struct owner *o)
{
	mutex_unlock(o->lock);
}
/* Called when an owner is at its limit: frees what it does not need, no lock held; pages freed. */
extern unsigned long (*owner_reclaim)(struct owner *o);
/* What it has beside slabs: onto its list, and off. No lock held. */
void owner_add_block(struct owner *o, struct page *page);
void owner_del_block(struct owner *o, struct page *page);

/* For owner_named.c: a place of the kind, which nobody sees yet, or NULL; and what publishes it. */
struct owner *owner_place_get(void);
void owner_place_put(struct owner *o);
void owner_place_publish(struct owner *o, enum owner_kind kind);
/* It is gone, and its place is free with its last page. */
void owner_exit(struct owner *o);

/* owner_report.c. "owners", and its line of "summary". */
struct out;
void print_owners(struct out *o);
void print_owners_summary(struct out *o);

/* This thread ends: it leaves what it is inside of. */
void owner_exit_thread(void);

/* Fork handlers. */
void owners_lock_all(void);
void owners_unlock_all(void);
void owners_reinit_after_fork(void);
void owner_locks_lock_all(void);
void owner_locks_unlock_all(void);
void owner_locks_reinit_after_fork(void);

#endif
