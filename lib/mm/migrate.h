/* SPDX-License-Identifier: MIT */
/*
 * Moving one block through its user's operations.
 */
#ifndef MM_MIGRATE_H
#define MM_MIGRATE_H

#include "mm/compaction.h"

/* Copied from the caller's, one for each movable block. */
struct movable_mapping {
	struct bm_movable_ops ops;
	void *arg;
	bool isolated;		      /* a thread is between isolating the block and moving it or putting it back */
	struct movable_mapping *next; /* of the free ones */
};

/*
 * Give an allocated block operations, replace them, or (NULL) take them away. 0; -EINVAL: no block in use, or an
 * operation is missing; -ENOMEM; -EBUSY: it is being moved just now, nothing has changed.
 */
int set_page_movable(struct page *page, const struct bm_movable_ops *ops, void *arg);
/* Before a block with operations is freed: its last reference is gone. */
void clear_page_movable(struct page *page);

/* Nobody refers to it any more, and the caller, who holds the lock (movable_lock_all), frees it; false: it is being
 * moved. */
bool movable_drop_references(struct page *page);

/* Is it an allocated block with operations? For any page, with no lock: an answer for this moment. *order: how long the
 * block is, free or allocated, or 0 if that cannot be told. */
bool page_maybe_movable(const struct page *page, unsigned int *order);

/*
 * Ask the user of a block to let it go: true, and an extra reference keeps the block until one of the next two. Any
 * page may be asked for: false if it is no block, has no operations, is isolated already or has references beside its
 * user's. No lock may be held for any of the three.
 */
bool isolate_movable_page(struct page *page);
void putback_movable_page(struct page *page);
/*
 * Move an isolated block to dst, an allocated block of the same order; 0: done, dst is the user's, and src is freed.
 * Else -errno: src was put back, and dst is still the caller's. -ENOENT: the user has freed src meanwhile.
 */
int migrate_page(struct page *dst, struct page *src, enum migrate_mode mode);

void movable_lock_all(void);
void movable_unlock_all(void);
void movable_reinit_after_fork(void);

#endif
