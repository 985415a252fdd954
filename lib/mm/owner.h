/* SPDX-License-Identifier: MIT */
/*
 * Owners: who is charged for pages. Each thread is one, from its first charge on; the application makes named ones. The
 * rest is the process's: owner 0, which is never charged, but has what nobody else has.
 *
 * Until owner_accounting nothing is charged, and nothing of this is asked; page->owner is 0 then. What is free has owner
 * 0 too. A slab, a run and a huge block are charged as a whole, by their first page; each block of the page API by
 * itself, with PG_CHARGED, so that the short way of freeing does not take it.
 */
#ifndef MM_OWNER_H
#define MM_OWNER_H

#include "base/message.h"
#include "mm/current.h"
#include "mm/page.h"

#define OWNER_NAME_LEN 32

enum owner_kind { OWNER_UNUSED, OWNER_PROCESS, OWNER_THREAD, OWNER_NAMED };

#define OWNER_EXITED 0x01 /* its thread has ended, or it is destroyed: what it has left is counted as the process's */
#define OWNER_VICTIM 0x02 /* the OOM step waits for it to give something back */

struct owner {
	uint32_t id;	     /* its place in the table; never changes */
	uint8_t kind;	     /* enum owner_kind; table lock */
	uint8_t state;	     /* OWNER_*; changed atomically */
	uint32_t inside;     /* named: threads that are in it; table lock */
	int tid;	     /* thread: its own; named: of the one that entered last, 0 if none is inside */
	uint32_t next_free;  /* id of the next unused one; table lock */
	unsigned long usage; /* pages; changed atomically */
	unsigned long limit; /* pages; 0: none. This and what follows: named ones, written once before it is one */
	unsigned long min;   /* pages; 0: none */
	int score_adj;
	int (*abort)(bm_owner_t *owner, void *arg);
	void *arg;
	char name[OWNER_NAME_LEN];
	/* The OOM step's, under its lock (oom.c). */
	struct {
		uint64_t since;		   /* ms: it is a victim from then on, or has last given up something; read without */
		unsigned long pages;	   /* that it had when it was chosen */
		unsigned long lowest;	   /* that it was seen to have since */
		unsigned long passed_over; /* it is not chosen before it has less; 0: it may be */
		uint32_t running;	   /* calls of its abort callback */
	} oom;
};

extern hidden_var bool owner_accounting;

/* From now on pages are charged; what was had before stays the process's. Any thread, no lock held. */
void owner_accounting_enable(void);

/* Whom this thread's pages are charged to: the named owner it is inside of, else its own, else the process. */
struct owner *current_owner(void);
/* Is this the asking thread's own? Its tid is that of the parent, in the child of a process of one thread. */
static always_inline bool owner_is_own(const struct owner *o)
{
	return current->owner == o;
}

/*
 * Charge what begins at page, nr_pages long, to current_owner(). -ENOMEM: it is at its own limit, and has nothing to
 * give; the caller frees the pages. With GFP_NOFAIL 0 always. No lock held, accounting on.
 */
int owner_try_charge(struct page *page, unsigned long nr_pages, gfp_t gfp);
/* Take a charge back, all of it or a part; page->owner is 0 after all of it. What is not charged may be given too. */
void owner_uncharge(struct page *page, unsigned long nr_pages);
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

static always_inline bool charge_resize(const struct page *page, unsigned long nr_pages, unsigned long new_nr, gfp_t gfp)
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

/* Pages; the process's are those in use that nobody is charged for. */
unsigned long owner_usage(const struct owner *o);
/* All of them, the process first; NULL at the end. Without a lock: an owner that is seen may be another a moment later. */
struct owner *owner_next(const struct owner *at);
struct owner *owner_by_id(uint32_t id);

/* This thread ends. */
void owner_exit_thread(void);

/* Fork handlers. */
void owners_lock_all(void);
void owners_unlock_all(void);
void owners_reinit_after_fork(void);

#endif
