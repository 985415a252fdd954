/* SPDX-License-Identifier: MIT */
/*
 * Limits of named owners: who is asked, and told, when one has come to its own.
 */
#include "owner.h"

static void limited(void)
{
	struct bm_owner_attr attr = { .name = "limited", .limit = 4 * MIB };
	bm_owner_t *owner;
	size_t n, k, most;
	char *p, *all = NULL;

	want(bm_ctl_set("oom", "enomem") == 0, "oom:enomem");
	for (k = 0; k < NR_SIZES; k++) {
		owner = bm_owner_create(&attr);
		bm_owner_enter(owner);
		for (n = 0, most = 0; n < 4 * MIB && (errno = 0, p = malloc(sizes[k] + sizeof(p))); n++) {
			*(char **)p = all;
			all = p;
			most = bm_owner_usage(owner);
		}
		want(!p && errno == ENOMEM, "NULL at the limit");
		want(most <= 4 * MIB, "%zu of 4 MiB, in blocks of %zu", most, sizes[k]);
		want(most >= 3 * MIB - PAGE, "%zu of 4 MiB, in blocks of %zu", most, sizes[k]);
		for (p = all; p; p = all) {
			all = *(char **)p;
			free(p);
		}
		p = malloc(sizes[k]);
		want(p, "and again what was freed");
		want(!malloc(5 * MIB) && !realloc(p, 5 * MIB), "too much at once");
		want(!bm_alloc_pages_exact(4 * MIB - PAGE, BM_GFP_KERNEL) || sizes[k] <= PAGE, "pages, too");
		bm_owner_enter(NULL);
		p = malloc(5 * MIB);
		want(p, "the limit is nobody else's");
		free(p);
		want(bm_owner_destroy(owner) == 0, "destroy");
	}
	want(bm_ctl_set("oom", "abort") == 0, "oom:abort");
	verdict("a limit of its own");
}

/* A cache that lives in the owner, and gives something back. */
static char *cached[1000];
static int nr_cached;
static unsigned long count_cached(void *arg, struct bm_shrink_control *sc)
{
	(void)arg;
	(void)sc;
	return (unsigned long)nr_cached;
}
static unsigned long scan_cached(void *arg, struct bm_shrink_control *sc)
{
	unsigned long n;

	(void)arg;
	for (n = 0; nr_cached && n < sc->nr_to_scan; n++)
		free(cached[--nr_cached]);
	return n;
}

static void limited_with_cache(void)
{
	static const struct bm_shrinker_ops ops = { count_cached, scan_cached };
	struct bm_owner_attr attr = { .name = "cache", .limit = 4 * MIB };
	bm_owner_t *owner = bm_owner_create(&attr);
	bm_shrinker_t *s = bm_shrinker_register("cached", &ops, NULL, 2);
	int i;

	bm_owner_enter(owner);
	for (i = 0; i < 1000 && nr_cached < 300; i++)
		cached[nr_cached++] = malloc(10000);
	for (i = 0; i < 300; i++)
		want(malloc(10000), "block %d, %d cached", i, nr_cached);
	want(nr_cached < 200, "%d are left in the cache", nr_cached);
	bm_owner_enter(NULL);
	bm_shrinker_unregister(s);
	want(bm_owner_destroy(owner) == 0, "destroy");
	nr_cached = 0;
	verdict("at its limit the application's caches are asked");
}

/* What is asked when memory ends leaves the owner that wants it, and would destroy it. */
static int told;
static int leave_and_destroy(bm_owner_t *owner, void *arg)
{
	(void)arg;
	bm_owner_enter(NULL);
	told = bm_owner_destroy(owner);
	return 0;
}
static unsigned long leave_in_scan(void *arg, struct bm_shrink_control *sc)
{
	(void)sc;
	leave_and_destroy(*(bm_owner_t **)arg, NULL);
	return 0;
}
static unsigned long count_ten(void *arg, struct bm_shrink_control *sc)
{
	(void)arg;
	(void)sc;
	return 10;
}

static void fill_until_told(void)
{
	for (int i = 0; i < 4000 && !told; i++)
		want(calloc(1, 1000) || told, "block %d", i);
	want(told == -EBUSY, "destroyed by who is asked: %d", told);
	told = 0;
}

static void held(void)
{
	static const struct bm_shrinker_ops ops = { count_ten, leave_in_scan };
	struct bm_owner_attr attr = { .name = "held", .limit = 2 * MIB, .abort = leave_and_destroy };
	bm_owner_t *owner = bm_owner_create(&attr), *other = make("other");
	bm_shrinker_t *s = bm_shrinker_register("leaves", &ops, &owner, 2);
	char *p, *moved;
	size_t before;

	bm_owner_enter(owner);
	p = malloc(1000);
	fill_until_told();
	want(bm_owner_enter(other) == owner, "inside of it again after a shrinker");
	bm_shrinker_unregister(s);
	bm_owner_enter(owner);
	fill_until_told();
	want(bm_owner_enter(other) == owner, "and after its callback");
	before = bm_owner_usage(owner);
	free(malloc(100000));
	want(bm_owner_usage(owner) == before, "nothing more is charged to it");
	want(bm_owner_destroy(owner) == 0, "destroy");

	/* A block that somebody outside of its owner makes larger. */
	owner = bm_owner_create(&attr);
	bm_owner_enter(owner);
	memset(p = malloc(1000), 'p', 1000);
	while (bm_owner_usage(owner) < 2 * MIB - 2 * PAGE)
		malloc(1000);
	bm_owner_enter(other);
	moved = realloc(p, 30000);
	want(told == -EBUSY && bm_owner_enter(NULL) == other, "its callback is called outside of it");
	want((moved ? moved : p)[999] == 'p', "the block is still there");
	told = 0;
	want(bm_owner_destroy(owner) == 0 && bm_owner_destroy(other) == 0, "destroy both");
	verdict("callbacks and shrinkers that leave and destroy the owner that asks");
}

int main(void)
{
	api_prove_served();
	if (api_under_valgrind())
		skip_all("under memcheck every block has pages of memcheck's heap, and none an owner");
	limited();
	limited_with_cache();
	held();
	return done_testing();
}
