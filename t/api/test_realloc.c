/* SPDX-License-Identifier: MIT */
/*
 * realloc between every two of a table of sizes: small objects, slabs, runs of pages, huge blocks, growing and
 * shrinking, in place and moving.
 */
#include "api.h"
#include "pattern.h"
#include "sizes.h"

static const size_t table[] = {
	1,	 2,	  8,	   15,	    16,	     17,      31,      64,	100,	 128,
	129,	 500,	  1024,	   1025,    2000,    4096,    4097,    8192,	12000,	 20000,
	32767,	 32768,	  32769,   40960,   65536,   100000,  131072,  262145,	500000,	 786432,
	1048575, 1048576, 1048577, 1500000, 2097152, 2097153, 3000000, 4194305, 6000000, 9000000,
};

static size_t less(size_t a, size_t b)
{
	return a < b ? a : b;
}

static void from_to(size_t from, size_t to)
{
	char *p = malloc(from), *q;
	uintptr_t was = (uintptr_t)p;

	if (!want(p, "malloc(%zu)", from))
		return;
	pattern_fill(p, from);
	errno = ERRNO_MARK;
	q = realloc(p, to);
	if (!want(q, "realloc from %zu to %zu failed: %d", from, to, errno))
		return;
	want(errno == ERRNO_MARK, "realloc from %zu to %zu changed errno to %d", from, to, errno);
	want((uintptr_t)q % 16 == 0, "realloc from %zu to %zu = %p", from, to, (void *)q);
	want(malloc_usable_size(q) >= to, "realloc from %zu to %zu: %zu usable", from, to, malloc_usable_size(q));
	want(malloc_usable_size(q) <= to + to / 3 + 16, "realloc from %zu to %zu keeps %zu", from, to,
	     malloc_usable_size(q));
	want(pattern_damage(q, was, from, less(from, to)) < 0, "realloc from %zu to %zu lost contents at %td", from, to,
	     pattern_damage(q, was, from, less(from, to)));
	pattern_fill(q, malloc_usable_size(q));
	free(q);
}

static void test_pairs(void)
{
	size_t from, to;

	for (from = 0; from < API_ARRAY_SIZE(table); from++)
		for (to = 0; to < API_ARRAY_SIZE(table); to++)
			from_to(table[from], table[to]);
	verdict("realloc keeps the contents between each two of %zu sizes", API_ARRAY_SIZE(table));
}

/* One block through a long way of sizes, with others allocated between, so that it cannot always stay. */
static void test_walk(void)
{
	uint64_t x = 88172645463325252UL;
	size_t step, size = 1, nr = 0, steps = api_slow() ? 300 : 3000;
	char *p = malloc(size), *between[64] = { NULL };

	if (!p)
		bail_out("malloc(1) failed");
	pattern_fill(p, size);
	for (step = 0; step < steps; step++) {
		uintptr_t was = (uintptr_t)p;
		size_t to;
		char *q;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		to = 1 + (x >> 8) % ((size_t)1 << 3 * (x % 8 + 1));
		q = realloc(p, to);
		if (!want(q, "step %zu: realloc from %zu to %zu", step, size, to))
			break;
		want(pattern_damage(q, was, size, less(size, to)) < 0, "step %zu: from %zu to %zu lost contents", step,
		     size, to);
		p = q;
		size = to;
		pattern_fill(p, size);
		free(between[nr % 64]);
		between[nr++ % 64] = malloc(1 + (x >> 20) % (2 * to));
	}
	want(pattern_intact(p, size), "at the end");
	free(p);
	for (nr = 0; nr < 64; nr++)
		free(between[nr]);
	verdict("a block on a random walk of %zu sizes", steps);
}

/* By a little at a time, as a buffer that is appended to; and back. */
static void test_creep(void)
{
	size_t size, top = api_slow() ? 3 * MIB : 12 * MIB;
	char *p = NULL, *q;

	for (size = 16; size < top; size += size / 16 + 1) {
		q = realloc(p, size);
		if (!want(q, "realloc to %zu", size))
			return;
		p = q;
		p[size - 1] = (char)(size * 7);
	}
	for (size = 16; size < top; size += size / 16 + 1)
		want(p[size - 1] == (char)(size * 7), "byte %zu was lost", size - 1);
	verdict("growing by a sixteenth at a time keeps all that was written");
	pattern_fill(p, top / 2);
	for (size = top / 2; size > 16; size -= size / 16 + 1) {
		uintptr_t was = (uintptr_t)p;

		q = realloc(p, size);
		if (!want(q, "realloc to %zu", size))
			return;
		want(pattern_damage(q, was, size, size) < 0, "shrinking to %zu", size);
		p = q;
		pattern_fill(p, size - size / 16 - 1);
	}
	free(p);
	verdict("shrinking by a sixteenth at a time too");
}

/* What grows by a byte moves by two classes of eight to a doubling, which is not more than a quarter. */
static void test_room(void)
{
	size_t size, room, last = 128, nr = 0;
	char *p = malloc(last);

	if (api_under_valgrind()) {
		free(p);
		skip(1, "memcheck gives a block exactly its size");
		return;
	}
	for (size = last; size <= 16 * KIB; size++) {
		p = realloc(p, size);
		room = malloc_usable_size(p);
		want(room <= size + size / 4 + 15, "%zu bytes have room for %zu", size, room);
		nr += room != last;
		last = room;
	}
	is_int(nr, 7 * 4, "from 128 bytes to 16 KiB byte by byte a block moves four times in each doubling");
	want(realloc(p, 16 * KIB - 1) == p, "a block with more room than it needs moved when it shrank by a byte");
	free(p);
}

/* Blocks of pages that lie side by side: those that have to move to grow by a byte get a fifth more than they had. */
static void test_room_of_runs(void)
{
	char *p[16], *q, binds[16];
	size_t i, had, moved = 0;

	if (api_under_valgrind()) {
		skip(1, "memcheck gives a block exactly its size");
		return;
	}
	if (bm_ctl_get("budget.binding", binds, sizeof(binds)) < 0 || strcmp(binds, "none")) {
		skip(1, "a limit is in force: nothing is given that was not asked for");
		return;
	}
	for (i = 0; i < API_ARRAY_SIZE(p); i++)
		p[i] = malloc(100 * KIB);
	for (i = 0; i < API_ARRAY_SIZE(p); i++) {
		had = malloc_usable_size(p[i]);
		q = realloc(p[i], had + 1);
		moved += q != p[i];
		want(q == p[i] || malloc_usable_size(q) >= had + had / 5, "%zu bytes moved to %zu", had,
		     malloc_usable_size(q));
		want(malloc_usable_size(q) - had - 1 < malloc_usable_size(q) / 4, "%zu bytes, now %zu", had,
		     malloc_usable_size(q));
		p[i] = q;
	}
	for (i = 0; i < API_ARRAY_SIZE(p); i++)
		free(p[i]);
	want(moved, "none of them moved");
	verdict("a block of pages that moves has room to grow");
}

static void test_null_and_zero(void)
{
	size_t before = api_in_use(), i;
	void *p;

	for (i = 0; i < API_ARRAY_SIZE(table); i++) {
		errno = ERRNO_MARK;
		p = realloc(NULL, table[i]);
		if (!want(p, "realloc(NULL, %zu)", table[i]))
			continue;
		pattern_fill(p, table[i]);
		want(!realloc(p, 0), "realloc(p, 0) of %zu bytes is not NULL", table[i]);
		want(errno == ERRNO_MARK, "realloc of NULL or to 0 changed errno to %d", errno);
	}
	p = realloc(NULL, 0);
	want(p, "realloc(NULL, 0) is NULL");
	free(p);
	want(api_in_use() == before, "realloc(p, 0) did not free");
	verdict("realloc of NULL allocates, to 0 frees");
}

static void test_failure(void)
{
	size_t i, n;

	for (i = 0; i < API_ARRAY_SIZE(table); i++) {
		void *volatile p = malloc(table[i]);
		void *q;

		if (!want(p, "malloc(%zu)", table[i]))
			continue;
		pattern_fill(p, table[i]);
		for (n = 0; n < NR_IMPOSSIBLE; n++) {
			errno = 0;
			q = realloc(p, impossible_sizes[n]);
			want(!q && errno == ENOMEM, "realloc from %zu to %#zx: errno %d", table[i], impossible_sizes[n],
			     errno);
		}
		want(pattern_intact(p, table[i]), "a failed realloc changed the block of %zu bytes", table[i]);
		want(malloc_usable_size(p) >= table[i], "a failed realloc changed the size of %zu", table[i]);
		free(p);
	}
	verdict("a realloc that fails leaves the block as it was");
}

int main(void)
{
	size_t before;

	plan(9);
	api_prove_served();
	before = api_in_use();
	test_pairs();
	test_walk();
	test_creep();
	test_room();
	test_room_of_runs();
	test_null_and_zero();
	test_failure();
	is_int(api_in_use(), before, "nothing is left in use");
	return tap_exit();
}
