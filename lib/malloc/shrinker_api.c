/* SPDX-License-Identifier: MIT */
/*
 * The application's shrinkers, as buddymalloc.h has them: bad arguments told.
 */
#include <errno.h>

#include "buddymalloc.h"
#include "malloc/heap.h"
#include "mm/shrinker.h"

bm_shrinker_t *bm_shrinker_register(const char *name, const struct bm_shrinker_ops *ops, void *arg, int seeks)
{
	struct bm_shrinker *s = NULL;

	if (!name || !ops || !ops->count || !ops->scan || seeks < 0) {
		errno = EINVAL;
		return NULL;
	}
	if (heap_init())
		s = register_shrinker_app(name, ops, arg, seeks);
	if (!s)
		errno = ENOMEM;
	return s;
}

void bm_shrinker_unregister(bm_shrinker_t *s)
{
	if (s && !unregister_shrinker_app(s))
		errno = EINVAL;
}
