/* SPDX-License-Identifier: MIT */
/*
 * malloc_trim gives back what the program no longer uses, and only that.
 */
#include "api.h"
#include "pattern.h"

#define NR_KEPT 200

static void *kept[NR_KEPT];

/* Take bytes in blocks of size, dirty them all, free them all but one here and there. */
static void dirty(size_t size, size_t bytes)
{
	size_t nr = bytes / size, i;
	char **block = calloc(nr, sizeof(*block));

	if (!block)
		bail_out("calloc(%zu, 8) failed", nr);
	for (i = 0; i < nr; i++) {
		block[i] = malloc(size);
		if (!block[i])
			bail_out("malloc(%zu) failed", size);
		memset(block[i], 0xdb, size);
	}
	for (i = 0; i < nr; i++)
		free(block[i]);
	free(block);
}

static void test_gives_back(size_t size)
{
	size_t bytes = api_slow() ? 24 * MIB : 96 * MIB;
	long before, after;

	mallopt(M_TRIM_THRESHOLD, -1);
	malloc_trim(0);
	before = api_resident_kib();
	dirty(size, bytes);
	ok(malloc_trim(0) != 0, "malloc_trim gives back after blocks of %zu bytes", size);
	after = api_resident_kib();
	if (api_sanitized() || api_under_valgrind())
		skip(1, "resident memory is the sanitizer's or valgrind's");
	else if (before < 0)
		skip(1, "no /proc/self to read resident memory from");
	else if (!ok(after - before < (long)(bytes / KIB / 20), "and resident memory falls to where it was"))
		diag("%ld KiB before %zu MiB were used and freed, %ld KiB after", before, bytes / MIB, after);
}

/* drop_caches says how much went back, and that much is resident no longer. However slow the machine, nothing has gone
 * back before by its age. */
static void test_bytes(size_t size)
{
	size_t bytes = (api_slow() ? 24 * MIB : 96 * MIB) / size * size;
	char text[32] = "";
	long before, after, said;

	malloc_trim(0);
	bm_ctl_set("dirty_decay", "86400000");
	dirty(size, bytes);
	before = api_resident_kib();
	bm_ctl_set("vm.drop_caches", "3");
	after = api_resident_kib();
	bm_ctl_set("dirty_decay", "1000");
	ok(bm_ctl_get("vm.drop_caches", text, sizeof(text)) > 0, "drop_caches says what blocks of %zu bytes came to",
	   size);
	said = strtol(text, NULL, 10) / 1024;
	if (api_sanitized() || api_under_valgrind())
		skip(1, "resident memory is the sanitizer's or valgrind's");
	else if (before < 0)
		skip(1, "no /proc/self to read resident memory from");
	else if (!ok(labs(before - after - said) < (long)(bytes / KIB / 20) && said > (long)(bytes / KIB * 9 / 10),
		     "and that is what is resident no longer"))
		diag("%ld KiB before, %ld KiB after, %ld KiB said", before, after, said);
}

static void test_nothing_more(void)
{
	malloc_trim(0);
	is_int(malloc_trim(0), 0, "malloc_trim right after malloc_trim finds nothing");
}

static void test_keeps_contents(void)
{
	size_t i, size;

	for (i = 0; i < NR_KEPT; i++) {
		size = 1 + (i * i * 37) % 70000 + (i % 50 == 0) * 3000000;
		kept[i] = malloc(size);
		if (!kept[i])
			bail_out("malloc(%zu) failed", size);
		pattern_fill(kept[i], size);
		dirty(size, 4 * size);
	}
	malloc_trim(0);
	malloc_trim(1 << 20);
	for (i = 0; i < NR_KEPT; i++) {
		size = 1 + (i * i * 37) % 70000 + (i % 50 == 0) * 3000000;
		want(pattern_intact(kept[i], size), "block of %zu bytes", size);
		free(kept[i]);
	}
	verdict("malloc_trim leaves blocks in use as they are");
}

static void test_errno(void)
{
	dirty(100000, 4 * MIB);
	errno = ERRNO_MARK;
	malloc_trim(0);
	is_int(errno, ERRNO_MARK, "malloc_trim leaves errno alone");
}

int main(void)
{
	plan(15);
	api_prove_served();
	test_gives_back(40);
	test_gives_back(3000);
	test_gives_back(100000);
	test_gives_back(5 * MIB);
	test_bytes(3000);
	test_bytes(5 * MIB);
	test_nothing_more();
	test_keeps_contents();
	test_errno();
	return tap_exit();
}
