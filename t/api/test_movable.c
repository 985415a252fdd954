/* SPDX-License-Identifier: MIT */
/*
 * Movable blocks as a program has them: a heap of handles that gets out of the way of large blocks.
 */
#include <pthread.h>

#include "api.h"

#define PAGE 4096UL
#define NR 8192U /* 32 MiB */

static struct object {
	char *addr; /* NULL: free */
	bool isolated;
} objects[NR];
static unsigned long nr_moved, nr_putback;
static int refuse, fail_with;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Any thread that allocates may come here, with the lock held or not. */
static int isolate(void *addr, void *arg)
{
	struct object *o = arg;
	int err = -EBUSY;

	if (pthread_mutex_trylock(&lock))
		return err;
	if (o->addr == addr && !refuse) {
		o->isolated = true;
		err = 0;
	}
	pthread_mutex_unlock(&lock);
	return err;
}

static int migrate(void *dst, void *src, unsigned int order, void *arg)
{
	struct object *o = arg;

	if (fail_with)
		return fail_with;
	memcpy(dst, src, PAGE << order);
	memset(src, 0xdd, PAGE << order);
	pthread_mutex_lock(&lock);
	o->addr = dst;
	o->isolated = false;
	nr_moved++;
	pthread_mutex_unlock(&lock);
	return 0;
}

static void putback(void *addr, void *arg)
{
	struct object *o = arg;

	pthread_mutex_lock(&lock);
	o->isolated = false;
	nr_putback += o->addr == addr;
	pthread_mutex_unlock(&lock);
}

static const struct bm_movable_ops ops = { isolate, migrate, putback };

static bool object_alloc(struct object *o, unsigned int value)
{
	char *p = bm_alloc_pages(BM_GFP_USER | BM_GFP_MOVABLE, 0);

	if (!p)
		return false;
	memset(p, (int)value, PAGE);
	o->addr = p;
	return bm_set_page_movable(p, &ops, o) == 0;
}

static bool intact(const struct object *o, unsigned int value)
{
	for (size_t i = 0; i < PAGE; i++)
		if ((unsigned char)o->addr[i] != (unsigned char)value)
			return false;
	return true;
}

static void object_free(struct object *o)
{
	char *p = o->addr;

	o->addr = NULL;
	bm_free_pages(p, 0);
}

static void test_arguments(void)
{
	static const struct bm_movable_ops partial = { .isolate = isolate, .migrate = migrate };
	char *p = bm_alloc_pages(BM_GFP_USER, 1), *m = malloc(100);
	char on_stack;

	is_int(bm_set_page_movable(p, &partial, NULL), -EINVAL, "an operation is missing");
	is_int(bm_set_page_movable(NULL, &ops, NULL), -EINVAL, "NULL");
	is_int(bm_set_page_movable(p + PAGE, &ops, NULL), -EINVAL, "inside a block");
	is_int(bm_set_page_movable(m, &ops, NULL), -EINVAL, "malloc's");
	is_int(bm_set_page_movable(&on_stack, &ops, NULL), -EINVAL, "the stack's");
	is_int(bm_set_page_movable(p, &ops, NULL), 0, "given");
	is_int(bm_set_page_movable(p, NULL, NULL), 0, "and taken away");
	is_int(bm_compact_memory(64), -EINVAL, "a node that is none");
	is_int(bm_compact_memory(-2), -EINVAL, "nor is this one");
	bm_free_pages(p, 1);
	free(m);
}

static void test_compaction(void)
{
	unsigned int i, damaged = 0, missing = 0;
	int moved;

	for (i = 0; i < NR; i++)
		missing += !object_alloc(&objects[i], i);
	is_int(missing, 0, "%u movable blocks", NR);
	for (i = 0; i < NR; i++)
		if (i % 4)
			object_free(&objects[i]);
	refuse = 1;
	is_int(bm_compact_memory(-1), 0, "nothing is moved where everybody refuses");
	refuse = 0;
	fail_with = -EIO;
	is_int(bm_compact_memory(-1), 0, "nor where everybody fails");
	ok(nr_putback > 0 && !nr_moved, "but is put back: %lu", nr_putback);
	fail_with = 0;
	pthread_mutex_lock(&lock);
	is_int(bm_compact_memory(-1), 0, "nor where the caller holds the users' lock");
	pthread_mutex_unlock(&lock);
	moved = bm_compact_memory(-1);
	ok(moved > 0 && (unsigned long)moved == nr_moved, "%d pages are moved", moved);
	for (i = 0; i < NR; i += 4)
		damaged += objects[i].isolated || !intact(&objects[i], i);
	is_int(damaged, 0, "and have what they had");
	for (i = 0; i < NR; i += 4)
		object_free(&objects[i]);
	is_int(bm_compact_memory(-1), 0, "nothing is left to move");
}

int main(void)
{
	test_arguments();
	test_compaction();
	return done_testing();
}
