/* SPDX-License-Identifier: MIT */
/*
 * Named owners, as buddymalloc.h has them: bad arguments told.
 */
#include <errno.h>

#include "base/annotate.h"
#include "buddymalloc.h"
#include "malloc/heap.h"
#include "malloc/libc_caller.h"
#include "malloc/owned.h"
#include "slab/owner_cache.h"
#include "slab/tcache.h"

#define SCORE_ADJ_MAX 1000

bm_owner_t *bm_owner_create(const struct bm_owner_attr *attr)
{
	struct owner *o;

	if (!attr || !attr->name || attr->score_adj < -SCORE_ADJ_MAX || attr->score_adj > SCORE_ADJ_MAX) {
		errno = EINVAL;
		return NULL;
	}
	if (heap_init()) {
		tcache_expect_threads();
		libc_caller_init();
		owner_accounting_enable();
		o = owner_create(attr, owner_cache_init);
		if (o) {
			WRITE_ONCE(heap_watched, true);
			return owner_handle(o);
		}
	}
	errno = ENOMEM;
	return NULL;
}

int bm_owner_destroy(bm_owner_t *owner)
{
	struct owner *o;
	int err = owner_destroy_begin(owner, &o);

	if (err)
		return err;
	owned_destroy(o);
	owner_destroy_end(o);
	return 0;
}

bm_owner_t *bm_owner_enter(bm_owner_t *owner)
{
	struct owner *before = current->inside, *o = NULL;

	if (owner) {
		if (READ_ONCE(heap_ready)) { /* else nobody has made an owner */
			tcache_expect_threads();
			tcache_enter();
			o = owner_enter(owner, own_owner()->tid);
		}
		if (!o) {
			errno = EINVAL;
			return before ? owner_handle(before) : NULL;
		}
	}
	current->inside = current->charged = o;
	tcache_follow_owner();
	if (!before)
		return NULL;
	owner = owner_handle(before);
	if (owner_leave(before))
		owner_cache_shrink(before);
	return owner;
}

size_t bm_owner_usage(const bm_owner_t *owner)
{
	const struct owner *o = owner_by_handle(owner);

	return o ? owner_usage(o) << PAGE_SHIFT : 0;
}
