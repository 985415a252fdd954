// SPDX-License-Identifier: MIT
// Through whatever name a request comes, it is the one that asks who decides: the program, whose blocks are the named
// owner's, or libc, here bsearch, which is made to call an allocator as if to compare. An exception outlives the owner in
// which it was thrown.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>

#include "buddymalloc.h"

extern "C" void *__libc_malloc(size_t);
extern "C" void *__libc_calloc(size_t, size_t);

typedef int (*compare_fn)(const void *, const void *);
typedef void *(*bsearch_fn)(const void *, const void *, size_t, size_t, compare_fn);

static bm_owner_t *owner;
static int failed;

template <typename F> static void look(const char *name, F *allocator, size_t first)
{
	bsearch_fn volatile search = bsearch;
	long array[1] = { 16 };
	size_t before = bm_owner_usage(owner);

	search(reinterpret_cast<const void *>(first), array, 1, sizeof(array[0]),
	       reinterpret_cast<compare_fn>(reinterpret_cast<void *>(allocator)));
	if (bm_owner_usage(owner) != before) {
		std::printf("%s: libc's is charged\n", name);
		failed = 1;
	}
}

static void charged(const char *name, const void *p)
{
	static size_t last;
	size_t now = bm_owner_usage(owner);

	if (!p || now <= last) {
		std::printf("%s: the program's is not charged\n", name);
		failed = 1;
	}
	last = now;
}

// A request that ends its owner while its exception is on the way.
struct scope {
	bm_owner_t *mine;

	scope()
	{
		struct bm_owner_attr attr = {};

		attr.name = "scope";
		mine = bm_owner_create(&attr);
		bm_owner_enter(mine);
	}
	~scope()
	{
		bm_owner_enter(nullptr);
		failed |= bm_owner_destroy(mine) != 0;
	}
};

struct problem {
	int number[50];
};

static void request(int number)
{
	scope s;
	problem p;
	std::string text(static_cast<size_t>(number) * 100, 'x');
	size_t before = bm_owner_usage(s.mine);

	text += text; // by the runtime's own code, but the program's
	text += text;
	if (!before || bm_owner_usage(s.mine) <= before) {
		std::printf("a string is not charged: %zu, %zu\n", before, bm_owner_usage(s.mine));
		failed = 1;
	}
	for (int &n : p.number)
		n = number;
	throw p;
}

static void exceptions()
{
	for (int i = 40; i < 400; i++) {
		void *others[50];

		try {
			request(i);
		} catch (const problem &p) {
			for (void *&other : others)
				std::memset(other = std::malloc(sizeof(problem) + 128), 0xaa, sizeof(problem) + 128);
			for (int n : p.number)
				failed |= n != i;
			for (void *other : others)
				std::free(other);
		}
	}
	if (failed)
		std::puts("an exception did not outlive its owner");
}

int main()
{
	struct bm_owner_attr attr = {};
	void *(*volatile operator_new)(size_t) = ::operator new;
	void *(*volatile operator_new_array)(size_t) = ::operator new[];

	attr.name = "names";
	owner = bm_owner_create(&attr);
	bm_owner_enter(owner);
	// Each of a class of its own, so that there is a slab for each.
	look("malloc", malloc, 1000);
	charged("malloc", malloc(1000));
	look("calloc", calloc, 20);
	charged("calloc", calloc(2, 1000));
	look("__libc_malloc", __libc_malloc, 3000);
	charged("__libc_malloc", __libc_malloc(3000));
	look("__libc_calloc", __libc_calloc, 40);
	charged("__libc_calloc", __libc_calloc(4, 1000));
	look("operator new", static_cast<void *(*)(size_t)>(::operator new), 5000);
	charged("operator new", operator_new(5000));
	look("operator new[]", static_cast<void *(*)(size_t)>(::operator new[]), 6000);
	charged("operator new[]", operator_new_array(6000));
	look("malloc of a run", malloc, 100000);
	charged("malloc of a run", malloc(100000));
	look("malloc of a huge block", malloc, 5000000);
	charged("malloc of a huge block", malloc(5000000));
	bm_owner_enter(nullptr);
	failed |= bm_owner_destroy(owner) != 0;
	exceptions();
	std::puts(failed ? "wrong" : "right");
	return failed;
}
