/* SPDX-License-Identifier: MIT */
/*
 * Named owners as a program has them: what is charged to whom, whoever frees it or makes it larger; that destroying one
 * gives back everything, and only its own; handles that are stale, and misuse.
 */
#include "owner.h"

static bool refused(const struct bm_owner_attr *attr)
{
	errno = 0;
	return !bm_owner_create(attr) && errno == EINVAL;
}

static void arguments(void)
{
	struct bm_owner_attr attr = { .name = NULL };
	bm_owner_t *owner, *other;
	char name[100];

	want(refused(NULL) && refused(&attr), "without a name");
	attr = (struct bm_owner_attr){ .name = "x", .score_adj = 1001 };
	want(refused(&attr), "score_adj 1001");
	attr.score_adj = -1001;
	want(refused(&attr), "score_adj -1001");
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	attr = (struct bm_owner_attr){ .name = name, .score_adj = -1000 };
	owner = bm_owner_create(&attr);
	want(owner, "a long name");
	memset(&attr, 0xee, sizeof(attr));
	want(bm_owner_usage(owner) == 0, "nothing yet");
	errno = ERRNO_MARK;
	want(!bm_owner_enter(owner) && errno == ERRNO_MARK, "enter");
	want(bm_owner_enter((bm_owner_t *)&attr) == owner && errno == EINVAL, "what is no owner changes nothing");
	want(bm_owner_destroy(owner) == -EBUSY, "inside");
	other = make("other");
	errno = ERRNO_MARK;
	want(bm_owner_enter(other) == owner && bm_owner_enter(other) == other && errno == ERRNO_MARK, "the one before");
	want(bm_owner_destroy(owner) == 0, "nobody inside");
	want(bm_owner_destroy(owner) == -EINVAL, "twice");
	want(bm_owner_enter(NULL) == other && !bm_owner_enter(NULL), "as itself");
	errno = 0;
	want(!bm_owner_enter(owner) && errno == EINVAL, "a stale handle");
	want(bm_owner_usage(owner) == 0 && bm_owner_usage(NULL) == 0 && bm_owner_destroy(NULL) == -EINVAL, "NULL");
	owner = make("again");
	errno = 0;
	want(!bm_owner_enter((bm_owner_t *)((char *)owner + 1)) && errno == EINVAL, "made up");
	want(bm_owner_destroy(other) == 0 && bm_owner_destroy(owner) == 0, "the last");
	verdict("arguments, handles, who was before");
}

/* A handle is never that of another, though places are used again. */
static void generations(void)
{
	bm_owner_t *old[200];
	size_t i, j;

	for (i = 0; i < API_ARRAY_SIZE(old); i++) {
		old[i] = make("one of many");
		for (j = 0; j < i; j++)
			want(old[i] != old[j], "handle %zu again at %zu", j, i);
		want(bm_owner_destroy(old[i]) == 0, "destroy");
	}
	verdict("handles are never given twice");
}

static void charged(void)
{
	bm_owner_t *owner = make("charged");
	char *p[NR_SIZES], *plain;
	size_t i, before;

	for (i = 0; i < NR_SIZES; i++) {
		before = bm_owner_usage(owner);
		want(before % PAGE == 0, "whole pages");
		bm_owner_enter(owner);
		p[i] = malloc(sizes[i]);
		bm_owner_enter(NULL);
		want(bm_owner_usage(owner) >= before + (sizes[i] + PAGE - 1) / PAGE * PAGE, "%zu bytes", sizes[i]);
		want(bm_owner_usage(owner) <= before + 2 * PAGE + sizes[i] + sizes[i] / 2, "%zu bytes", sizes[i]);
		want(malloc_usable_size(p[i]) >= sizes[i], "usable");
		memset(p[i], (int)i, sizes[i]);
		plain = malloc(sizes[i]);
		want(((uintptr_t)plain ^ (uintptr_t)p[i]) >= PAGE, "no page in common");
		free(plain);
	}
	for (i = 0; i < NR_SIZES; i++) {
		want(p[i][0] == (char)i && p[i][sizes[i] - 1] == (char)i, "content");
		free(p[i]);
	}
	want(bm_owner_usage(owner) == 0, "%zu left", bm_owner_usage(owner));
	want(bm_owner_destroy(owner) == 0, "destroy");
	verdict("what is allocated inside is charged, and no more once it is free");
}

static void destroyed(void)
{
	size_t before = 0, after = 0;
	unsigned int round, i, k;

	for (round = 0; round < 20; round++) {
		bm_owner_t *owner = make("destroyed");

		bm_owner_enter(owner);
		for (i = 0; i < 200; i++)
			for (k = 0; k < NR_SIZES - 2; k++) {
				char *p = block_of_kind(i, sizes[k]);

				want(p, "%zu", sizes[k]);
				if (p)
					p[0] = p[sizes[k] - 1] = 1;
				if (i % 16 == 7 || (sizes[k] > 9000 && i % 16))
					free(p);
			}
		want(malloc(3 * MIB) && malloc(70 * MIB), "huge ones");
		bm_owner_enter(NULL);
		want(bm_owner_usage(owner) > 73 * MIB, "usage");
		want(bm_owner_destroy(owner) == 0, "destroy");
		after = in_use();
		if (round < 2)
			before = after;
	}
	want(after <= before + 64 * KIB, "%zu in use, %zu before", after, before);
	verdict("destroying frees all of it");
}

static void aligned(void)
{
	bm_owner_t *owner = make("aligned");
	size_t align, size;

	bm_owner_enter(owner);
	for (align = 16; align <= 8 * MIB; align *= 2)
		for (size = 1; size <= 2 * MIB; size *= 9) {
			char *p = memalign(align, size);

			want(p && (uintptr_t)p % align == 0, "memalign(%zu, %zu)", align, size);
			memset(p, 1, size);
			want(malloc_usable_size(p) >= size, "usable");
			if (align % 32)
				free(p);
		}
	bm_owner_enter(NULL);
	want(bm_owner_destroy(owner) == 0, "destroy");
	verdict("aligned blocks");
}

/* A block stays its owner's, whoever makes it larger and wherever it goes. */
static void reallocated(void)
{
	bm_owner_t *owner = make("realloc"), *other = make("other");
	char *p, *plain = malloc(10);
	size_t i, k, was;

	bm_owner_enter(owner);
	p = malloc(1);
	for (k = 0; k < 3; k++) {
		bm_owner_enter(k == 0 ? NULL : k == 1 ? other : owner);
		for (i = 0; i < NR_SIZES; i++) {
			memset(p, 7, malloc_usable_size(p));
			was = malloc_usable_size(p);
			p = realloc(p, sizes[i]);
			want(p && (p[0] == 7 && p[(was < sizes[i] ? was : sizes[i]) - 1] == 7), "content");
			want(bm_owner_usage(other) == 0, "the other has nothing");
			want(bm_owner_usage(owner) >= sizes[i], "%zu of %zu", bm_owner_usage(owner), sizes[i]);
			memset(plain, 9, malloc_usable_size(plain));
			was = bm_owner_usage(owner);
			plain = realloc(plain, sizes[i]);
			want(plain && plain[0] == 9 && bm_owner_usage(owner) == was, "a plain block stays plain");
		}
		p = realloc(p, 20);
		plain = realloc(plain, 20);
	}
	bm_owner_enter(NULL);
	want(bm_owner_destroy(other) == 0, "the other has nothing");
	free(p);
	want(bm_owner_usage(owner) == 0, "nothing left: %zu", bm_owner_usage(owner));
	want(bm_owner_destroy(owner) == 0, "destroy");
	memset(plain, 1, 20);
	free(plain);
	verdict("realloc keeps a block's owner");
}

/* Only malloc's lie side by side in pageblocks. What was cleared or has grown begins with one, as outside of any owner.
 */
static void packed(void)
{
	bm_owner_t *owner = make("packed");
	char *p[8];
	int i;

	bm_owner_enter(owner);
	for (i = 0; i < 8; i++)
		want((p[i] = malloc(MIB + 100 * KIB)), "malloc");
	want(bm_owner_usage(owner) == 8 * (MIB + 100 * KIB), "usage %zu", bm_owner_usage(owner));
	want((uintptr_t)calloc(1, 3 * MIB) % (2 * MIB) == 0, "calloc");
	for (i = 1; i < 4; i++)
		want((uintptr_t)realloc(p[i], 2 * MIB + 100 * KIB) % (2 * MIB) == 0, "realloc");
	bm_owner_enter(NULL);
	want(bm_owner_usage(owner) == 8 * (MIB + 100 * KIB) + 6 * MIB, "usage %zu", bm_owner_usage(owner));
	want(bm_owner_destroy(owner) == 0, "destroy");
	verdict("large blocks");
}

/* Random operations on three owners and the thread itself: what each has is known by their blocks. */
#define NR_BLOCKS 600
static void random_operations(void)
{
	static struct {
		unsigned char *p;
		size_t size;
		unsigned int owner;
		unsigned char fill;
	} b[NR_BLOCKS];
	bm_owner_t *owner[4] = { NULL };
	size_t has[4] = { 0 };
	unsigned int n = api_slow() ? 5000 : 60000, seed = 12345, step, i, o;

	for (step = 0; step < n; step++) {
		for (o = 1; o < 4; o++)
			if (!owner[o])
				owner[o] = make("random");
		i = (unsigned int)rand_r(&seed) % NR_BLOCKS;
		o = (unsigned int)rand_r(&seed) % 4;
		bm_owner_enter(owner[o]);
		if (b[i].p) {
			for (size_t at = 0; at < b[i].size; at += 509)
				want(b[i].p[at] == b[i].fill, "block %u of %zu at %zu", i, b[i].size, at);
			has[b[i].owner] -= b[i].size;
			if (rand_r(&seed) % 2) {
				free(b[i].p);
				b[i].p = NULL;
				continue;
			}
		} else {
			b[i].owner = o;
		}
		b[i].size = (size_t)rand_r(&seed) % (rand_r(&seed) % 50 ? 5000 : 300000) + 1;
		b[i].p = b[i].p ? realloc(b[i].p, b[i].size) : block_of_kind((unsigned int)rand_r(&seed), b[i].size);
		b[i].fill = (unsigned char)step;
		memset(b[i].p, b[i].fill, b[i].size);
		has[b[i].owner] += b[i].size;
		if (owner[b[i].owner])
			want(bm_owner_usage(owner[b[i].owner]) >= has[b[i].owner], "%zu charged, %zu had",
			     bm_owner_usage(owner[b[i].owner]), has[b[i].owner]);
		if (rand_r(&seed) % 2000)
			continue;
		bm_owner_enter(NULL);
		o = (unsigned int)rand_r(&seed) % 3 + 1;
		want(bm_owner_destroy(owner[o]) == 0, "destroy");
		owner[o] = NULL;
		has[o] = 0;
		for (i = 0; i < NR_BLOCKS; i++)
			if (b[i].p && b[i].owner == o)
				b[i].p = NULL;
	}
	bm_owner_enter(NULL);
	for (i = 0; i < NR_BLOCKS; i++)
		free(b[i].p);
	for (o = 1; o < 4; o++) {
		want(!owner[o] || bm_owner_usage(owner[o]) == 0, "%zu left", bm_owner_usage(owner[o]));
		want(!owner[o] || bm_owner_destroy(owner[o]) == 0, "destroy");
	}
	verdict("random operations");
}

static void pages(void)
{
	bm_owner_t *owner = make("pages");
	size_t before, expected = 0;
	void *array[40], *p;
	unsigned int order;

	before = in_use();
	bm_owner_enter(owner);
	for (order = 0; order <= 10; order++) {
		p = bm_alloc_pages(BM_GFP_KERNEL, order);
		want(p, "order %u", order);
		memset(p, 1, PAGE << order);
		expected += PAGE << order;
		want(bm_owner_usage(owner) == expected, "order %u: %zu, not %zu", order, bm_owner_usage(owner),
		     expected);
	}
	want(bm_alloc_pages_exact(5 * PAGE, BM_GFP_KERNEL), "exact");
	want(bm_alloc_pages_bulk(BM_GFP_KERNEL, 40, array) == 40, "bulk");
	expected += 45 * PAGE;
	p = bm_alloc_contig_pages(700, BM_GFP_KERNEL, -1);
	want(p && bm_owner_usage(owner) == expected + 700 * PAGE, "contig");
	bm_free_contig_pages(p, 700);
	want(bm_alloc_contig_pages(600, BM_GFP_KERNEL, -1), "contig");
	expected += 600 * PAGE;
	p = bm_alloc_pages_node(0, BM_GFP_KERNEL, 3);
	bm_split_page(p, 3);
	bm_free_pages((char *)p + 5 * PAGE, 0);
	bm_get_page(p);
	bm_get_page(p);
	bm_put_page(p);
	expected += 7 * PAGE;
	p = bm_alloc_pages(BM_GFP_KERNEL | BM_GFP_COMP, 4);
	bm_get_page((char *)p + 3 * PAGE);
	expected += 16 * PAGE;
	want(bm_owner_usage(owner) == expected, "%zu, not %zu", bm_owner_usage(owner), expected);
	bm_free_pages(array[7], 0);
	bm_owner_enter(NULL);
	want(bm_owner_usage(owner) == expected - PAGE, "one less");
	want(bm_owner_destroy(owner) == 0, "destroy");
	want(bm_page_order(array[3]) == -EINVAL && bm_page_order(p) == -EINVAL, "they are free");
	want(in_use() <= before, "%zu in use, %zu before", in_use(), before);
	verdict("blocks of pages, of all kinds");
}

static void reports(void)
{
	struct bm_owner_attr attr = { .name = "reported\n", .limit = 9 * MIB, .min = 40 * KIB, .score_adj = -17 };
	bm_owner_t *owner = bm_owner_create(&attr);
	char name[40], kind[20], state[20], *p;
	const char *text, *line;
	unsigned long usage = 0, limit = 0, min = 0;
	unsigned int inside = 0;
	int tid = 0, score = 0;
	size_t before;

	bm_owner_enter(owner);
	p = malloc(300000);
	before = bm_owner_usage(owner);
	text = api_report("owners");
	line = strstr(text, "\nreported_ ");
	want(line && sscanf(line, "%39s %19s %d %lu %lu %lu %d %u %19s", name, kind, &tid, &usage, &limit, &min, &score,
			    &inside, state) == 9,
	     "a line of it");
	want(!strcmp(kind, "named") && tid == gettid() && limit == 9216 && min == 40 && score == -17 && inside == 1 &&
		     !strcmp(state, "-"),
	     "what it says: %.90s", line);
	want(usage == before / KIB && usage >= 296, "usage %lu", usage);
	want(strstr(text, "process") && strstr(text, " thread "), "the others");
	text = api_report("summary");
	want(strstr(text, "\nowners ") && strstr(text, " named with "), "a line of the summary");
	free(p);
	bm_owner_enter(NULL);
	want(bm_owner_destroy(owner) == 0, "destroy");
	want(!strstr(api_report("owners"), "reported"), "gone");
	verdict("the report");
}

static char *volatile victim[3];
static size_t bad_size;
static void allocate_victims(void)
{
	bm_owner_enter(make("misused"));
	for (int i = 0; i < 3; i++)
		victim[i] = malloc(bad_size);
}
static void double_free(void)
{
	allocate_victims();
	free(victim[1]);
	free(victim[1]);
}
static void double_free_later(void)
{
	allocate_victims();
	free(victim[1]);
	free(victim[2]);
	free(victim[1]);
}
static void inner_free(void)
{
	allocate_victims();
	free(victim[1] + 16);
}
static void free_after_destroy(void)
{
	bm_owner_t *owner = make("gone");

	bm_owner_enter(owner);
	victim[0] = malloc(bad_size);
	bm_owner_enter(NULL);
	bm_owner_destroy(owner);
	free(victim[0]);
}

static void misuse(void)
{
	static const size_t bad[] = { 64, 3000, 50000, 3 * MIB };

	for (size_t i = 0; i < API_ARRAY_SIZE(bad); i++) {
		bad_size = bad[i];
		want(aborts(double_free, ""), "double free of %zu", bad_size);
		want(aborts(double_free_later, ""), "later, of %zu", bad_size);
		want(aborts(inner_free, ""), "inner pointer of %zu", bad_size);
		want(aborts(free_after_destroy, ""), "after destroy, of %zu", bad_size);
	}
	verdict("misuse is found out");
}

int main(void)
{
	api_prove_served();
	if (api_under_valgrind())
		skip_all("under memcheck every block has pages of memcheck's heap, and none an owner");
	arguments();
	generations();
	charged();
	destroyed();
	aligned();
	reallocated();
	packed();
	random_operations();
	pages();
	reports();
	misuse();
	return done_testing();
}
