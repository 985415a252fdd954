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
	struct movable_mapping *next; /* of the free ones */
};

/* Give an allocated block operations, replace them, or (NULL) take them away. 0, -EINVAL, -ENOMEM. */
int set_page_movable(struct page *page, const struct bm_movable_ops *ops, void *arg);
/* Before a block with operations is freed. */
void clear_page_movable(struct page *page);

/* Ask the user of a block to let it go: true, and an extra reference keeps the block until one of the next two. No lock
 * may be held for any of the three. */
bool isolate_movable_page(struct page *page);
void putback_movable_page(struct page *page);
/* Move an isolated block to dst, an allocated block of the same order; 0: done, and src is freed. Else -errno: src was
 * put back, and dst is still the caller's. */
int migrate_page(struct page *dst, struct page *src, enum migrate_mode mode);

#endif
