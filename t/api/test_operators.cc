/* SPDX-License-Identifier: MIT */
/*
 * The C++ operators, all twenty by their mangled names (which carry the prefix in a sanitizer build), and what becomes
 * of them when memory ends: bad_alloc, nullptr, the new-handler.
 */
#include <new>
#include <string>
#include <vector>

#include "api.h"
#include "pattern.h"

/* By their ABI: align_val_t is a size_t, a nothrow_t a pointer nobody looks behind. */
extern "C" {
void *new_one(size_t) __asm__(API_SYMBOL("_Znwm"));
void *new_many(size_t) __asm__(API_SYMBOL("_Znam"));
void *new_one_nothrow(size_t, const void *) __asm__(API_SYMBOL("_ZnwmRKSt9nothrow_t"));
void *new_many_nothrow(size_t, const void *) __asm__(API_SYMBOL("_ZnamRKSt9nothrow_t"));
void *new_one_aligned(size_t, size_t) __asm__(API_SYMBOL("_ZnwmSt11align_val_t"));
void *new_many_aligned(size_t, size_t) __asm__(API_SYMBOL("_ZnamSt11align_val_t"));
void *new_one_aligned_nothrow(size_t, size_t, const void *) __asm__(API_SYMBOL("_ZnwmSt11align_val_tRKSt9nothrow_t"));
void *new_many_aligned_nothrow(size_t, size_t, const void *) __asm__(API_SYMBOL("_ZnamSt11align_val_tRKSt9nothrow_t"));
void delete_one(void *) __asm__(API_SYMBOL("_ZdlPv"));
void delete_many(void *) __asm__(API_SYMBOL("_ZdaPv"));
void delete_one_nothrow(void *, const void *) __asm__(API_SYMBOL("_ZdlPvRKSt9nothrow_t"));
void delete_many_nothrow(void *, const void *) __asm__(API_SYMBOL("_ZdaPvRKSt9nothrow_t"));
void delete_one_sized(void *, size_t) __asm__(API_SYMBOL("_ZdlPvm"));
void delete_many_sized(void *, size_t) __asm__(API_SYMBOL("_ZdaPvm"));
void delete_one_aligned(void *, size_t) __asm__(API_SYMBOL("_ZdlPvSt11align_val_t"));
void delete_many_aligned(void *, size_t) __asm__(API_SYMBOL("_ZdaPvSt11align_val_t"));
void delete_one_aligned_nothrow(void *, size_t, const void *)
	__asm__(API_SYMBOL("_ZdlPvSt11align_val_tRKSt9nothrow_t"));
void delete_many_aligned_nothrow(void *, size_t, const void *)
	__asm__(API_SYMBOL("_ZdaPvSt11align_val_tRKSt9nothrow_t"));
void delete_one_sized_aligned(void *, size_t, size_t) __asm__(API_SYMBOL("_ZdlPvmSt11align_val_t"));
void delete_many_sized_aligned(void *, size_t, size_t) __asm__(API_SYMBOL("_ZdaPvmSt11align_val_t"));
}

typedef void *(*allocate)(size_t size, size_t align);
typedef void (*release)(void *p, size_t size, size_t align);

static const std::nothrow_t *const quiet = &std::nothrow;

static void *plain(size_t size, size_t) { return new_one(size); }
static void *array(size_t size, size_t) { return new_many(size); }
static void *plain_nothrow(size_t size, size_t) { return new_one_nothrow(size, quiet); }
static void *array_nothrow(size_t size, size_t) { return new_many_nothrow(size, quiet); }
static void *aligned_nothrow(size_t size, size_t align) { return new_one_aligned_nothrow(size, align, quiet); }
static void *array_aligned_nothrow(size_t size, size_t align) { return new_many_aligned_nothrow(size, align, quiet); }

static const struct {
	const char *name;
	allocate call;
	bool aligned, nothrow, many;
} news[] = {
	{ "new", plain, false, false, false },
	{ "new[]", array, false, false, true },
	{ "new(nothrow)", plain_nothrow, false, true, false },
	{ "new[](nothrow)", array_nothrow, false, true, true },
	{ "new(align)", new_one_aligned, true, false, false },
	{ "new[](align)", new_many_aligned, true, false, true },
	{ "new(align, nothrow)", aligned_nothrow, true, true, false },
	{ "new[](align, nothrow)", array_aligned_nothrow, true, true, true },
};

static void free_plain(void *p, size_t, size_t) { delete_one(p); }
static void free_array(void *p, size_t, size_t) { delete_many(p); }
static void free_nothrow(void *p, size_t, size_t) { delete_one_nothrow(p, quiet); }
static void free_array_nothrow(void *p, size_t, size_t) { delete_many_nothrow(p, quiet); }
static void free_sized_one(void *p, size_t size, size_t) { delete_one_sized(p, size); }
static void free_sized_array(void *p, size_t size, size_t) { delete_many_sized(p, size); }
static void free_aligned(void *p, size_t, size_t align) { delete_one_aligned(p, align); }
static void free_array_aligned(void *p, size_t, size_t align) { delete_many_aligned(p, align); }
static void free_aligned_nothrow(void *p, size_t, size_t align) { delete_one_aligned_nothrow(p, align, quiet); }
static void free_array_aligned_nothrow(void *p, size_t, size_t align)
{
	delete_many_aligned_nothrow(p, align, quiet);
}

static const struct {
	const char *name;
	release call;
	bool aligned, many;
} deletes[] = {
	{ "delete", free_plain, false, false },
	{ "delete[]", free_array, false, true },
	{ "delete(nothrow)", free_nothrow, false, false },
	{ "delete[](nothrow)", free_array_nothrow, false, true },
	{ "delete(size)", free_sized_one, false, false },
	{ "delete[](size)", free_sized_array, false, true },
	{ "delete(align)", free_aligned, true, false },
	{ "delete[](align)", free_array_aligned, true, true },
	{ "delete(align, nothrow)", free_aligned_nothrow, true, false },
	{ "delete[](align, nothrow)", free_array_aligned_nothrow, true, true },
	{ "delete(size, align)", delete_one_sized_aligned, true, false },
	{ "delete[](size, align)", delete_many_sized_aligned, true, true },
};

#define SMALL 100
#define HUGE_SIZE ((size_t)PTRDIFF_MAX - 4096)

static void try_pair(size_t n, size_t d, size_t size, size_t align)
{
	size_t before = api_in_use();
	void *p = news[n].call(size, align), *q = news[n].call(size, align);

	if (!want(p && q, "%s of %zu bytes is nullptr", news[n].name, size))
		return;
	want(p != q && (uintptr_t)p % align == 0 && (uintptr_t)q % align == 0, "%s of %zu aligned to %zu = %p, %p",
	     news[n].name, size, align, p, q);
	want(api_in_use() >= before + 2 * size, "%s of %zu bytes is not of our heap", news[n].name, size);
	pattern_fill(p, size);
	pattern_fill(q, size);
	want(pattern_intact(p, size), "%s of %zu bytes: overlap", news[n].name, size);
	deletes[d].call(p, size, align);
	deletes[d].call(q, size, align);
	want(api_in_use() == before, "%s of what %s gave does not free it", deletes[d].name, news[n].name);
}

static void test_pairs()
{
	static const size_t some[] = { 0, 1, 16, 100, 5000, 40000, 3000000 };

	for (size_t n = 0; n < API_ARRAY_SIZE(news); n++) {
		for (size_t d = 0; d < API_ARRAY_SIZE(deletes); d++) {
			if (news[n].aligned != deletes[d].aligned || news[n].many != deletes[d].many)
				continue;
			for (size_t i = 0; i < API_ARRAY_SIZE(some); i++) {
				if (!news[n].aligned) {
					try_pair(n, d, some[i], 16);
					continue;
				}
				for (size_t align = 1; align <= 65536; align *= 8)
					try_pair(n, d, some[i], align);
			}
		}
		verdict("%s, and every delete that fits it", news[n].name);
	}
	for (size_t d = 0; d < API_ARRAY_SIZE(deletes); d++)
		deletes[d].call(nullptr, SMALL, 64);
	verdict("delete of nullptr");
}

static void test_failure()
{
	volatile size_t size = HUGE_SIZE;

	for (size_t n = 0; n < API_ARRAY_SIZE(news); n++) {
		bool thrown = false;
		void *p = nullptr;

		try {
			p = news[n].call(size, 64);
		} catch (const std::bad_alloc &) {
			thrown = true;
		}
		want(!p && thrown != news[n].nothrow, "%s of a huge size: %p, %s", news[n].name, p,
		     thrown ? "bad_alloc" : "no exception");
	}
	verdict("a huge request throws bad_alloc, or with nothrow is nullptr");
}

static int handler_calls;

/* As a program that has three things to drop, and then none. */
static void handler_gives_up()
{
	if (++handler_calls == 3)
		std::set_new_handler(nullptr);
}

struct no_more {
	int call;
};

static void handler_throws()
{
	throw no_more{ ++handler_calls };
}

static void test_handler()
{
	volatile size_t size = HUGE_SIZE;

	for (size_t n = 0; n < API_ARRAY_SIZE(news); n++) {
		handler_calls = 0;
		std::set_new_handler(handler_gives_up);
		try {
			want(!news[n].call(size, 64), "%s of a huge size", news[n].name);
		} catch (const std::bad_alloc &) {
		}
		want(handler_calls == 3, "%s: %d calls of the new-handler", news[n].name, handler_calls);
	}
	verdict("the new-handler is called again and again, until there is none");
	for (size_t n = 0; n < API_ARRAY_SIZE(news); n++) {
		int caught = 0;

		/* The runtime's own comes to the sanitizer's, or valgrind's. */
		if (news[n].nothrow && (api_sanitized() || api_under_valgrind()))
			continue;
		handler_calls = 0;
		std::set_new_handler(handler_throws);
		try {
			want(!news[n].call(size, 64), "%s of a huge size", news[n].name);
		} catch (const no_more &e) {
			caught = e.call;
		}
		want(caught == !news[n].nothrow && handler_calls == 1, "%s: of %d calls %d was caught", news[n].name,
		     handler_calls, caught);
	}
	std::set_new_handler(nullptr);
	verdict("what the new-handler throws passes through, or with nothrow ends in nullptr");
}

static void *reserve;

static void handler_frees()
{
	handler_calls++;
	free(reserve);
	reserve = nullptr;
	std::set_new_handler(nullptr);
}

static void test_handler_frees()
{
	const size_t size = 64 * MIB;
	struct rlimit saved, limit;

	if (api_sanitized() || api_under_valgrind()) {
		skip(1, "a sanitizer or valgrind cannot live under RLIMIT_AS");
		return;
	}
	reserve = malloc(size);
	malloc_trim(0);
	getrlimit(RLIMIT_AS, &saved);
	limit = saved;
	limit.rlim_cur = (rlim_t)api_figure("/proc/self/status", "VmSize:") * KIB + 16 * MIB;
	handler_calls = 0;
	std::set_new_handler(handler_frees);
	if (!reserve || setrlimit(RLIMIT_AS, &limit)) {
		skip(1, "no memory, or RLIMIT_AS cannot be set");
		return;
	}
	try {
		void *p = new_one(size);

		want(p, "new is nullptr");
		delete_one(p);
	} catch (const std::bad_alloc &) {
		want(false, "bad_alloc though the new-handler made room");
	}
	setrlimit(RLIMIT_AS, &saved);
	std::set_new_handler(nullptr);
	want(handler_calls == 1, "%d calls of the new-handler", handler_calls);
	verdict("new succeeds with what the new-handler freed");
}

#ifdef BM_PREFIX
static void test_expressions()
{
	skip(1, "new-expressions are the sanitizer's own here");
}
#else
struct counted {
	static int alive;
	char bytes[40];
	counted() { alive++; }
	~counted() { alive--; }
};
int counted::alive;

static void test_expressions()
{
	size_t before = api_in_use();
	counted *one = new counted, *many = new counted[1000];
	std::vector<std::string> *strings = new std::vector<std::string>(1000, std::string(100, 'x'));

	want(counted::alive == 1001, "constructors");
	want(api_in_use() >= before + 1001 * sizeof(counted) + 1000 * 100, "new is not served by our heap");
	delete one;
	delete[] many;
	delete strings;
	want(counted::alive == 0, "destructors");
#ifdef __cpp_aligned_new
	struct alignas(256) wide {
		char bytes[300];
	};
	wide *w = new wide[7];
	want((uintptr_t)w % 256 == 0, "new of an over-aligned type = %p", (void *)w);
	delete[] w;
#endif
	want(api_in_use() == before, "%zu in use before, %zu after", before, api_in_use());
	verdict("new-expressions and containers");
}
#endif

int main()
{
	plan(14);
	api_prove_served();
	test_pairs();
	test_failure();
	test_handler();
	test_handler_frees();
	test_expressions();
	return tap_exit();
}
