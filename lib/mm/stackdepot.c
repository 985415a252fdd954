/* SPDX-License-Identifier: MIT */
/*
 * A hash table of chains that only grow at their heads, by compare and swap; records lie in chunks, one behind the
 * other. Two threads that bring the same new trace may both store it: then it has two numbers, which costs its memory.
 */
#include "mm/stackdepot.h"

#include <string.h>
#include <sys/mman.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "os/os.h"

#define HASH_ORDER 13
#define CHUNK_SHIFT 20
#define CHUNK_SIZE (1UL << CHUNK_SHIFT)
#define NR_CHUNKS 256UL
#define RECORD_ALIGN 8UL

/* A number is the place of a record, counted in units of RECORD_ALIGN over all chunks; place 0 is left out. */
struct record {
	uint32_t next; /* of the chain */
	uint32_t hash;
	uint32_t nr;
	uint32_t unused;
	uintptr_t entries[];
};

static later_data char *chunks[NR_CHUNKS];
static uint64_t used = RECORD_ALIGN;
static uint32_t *buckets;

static void *map(size_t size)
{
	long ret = os->mmap(NULL, size, PROT_READ | PROT_WRITE, 0);

	return os_is_error(ret) ? NULL : (void *)ret;
}

/* What *place points to; mapped by whoever comes first. */
static void *map_once(void *place, size_t size)
{
	void **p = place;
	void *old = smp_load_acquire(p), *new;

	if (likely(old))
		return old;
	new = map(size);
	if (!new || __atomic_compare_exchange_n(p, &old, new, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return new;
	os->munmap(new, size);
	return old;
}

static struct record *record_at(depot_stack_handle_t handle)
{
	uint64_t at = handle * RECORD_ALIGN;
	char *chunk = smp_load_acquire(&chunks[at >> CHUNK_SHIFT]);

	return (struct record *)(void *)(chunk + at % CHUNK_SIZE);
}

/* Room for a record, within one chunk. */
static depot_stack_handle_t new_record(size_t size)
{
	uint64_t old = READ_ONCE(used), at;

	do {
		at = old;
		if (at % CHUNK_SIZE + size > CHUNK_SIZE)
			at = align_up(at, CHUNK_SIZE);
		if (at + size > NR_CHUNKS * CHUNK_SIZE)
			return 0;
	} while (!__atomic_compare_exchange_n(&used, &old, at + size, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return map_once(&chunks[at >> CHUNK_SHIFT], CHUNK_SIZE) ? (depot_stack_handle_t)(at / RECORD_ALIGN) : 0;
}

static uint32_t hash_stack(const uintptr_t *entries, unsigned int nr)
{
	uint64_t hash = nr;
	unsigned int i;

	for (i = 0; i < nr; i++)
		hash = (hash ^ entries[i]) * 0x9e3779b97f4a7c15, hash ^= hash >> 29;
	return (uint32_t)(hash >> 32);
}

static bool same_entries(const uintptr_t *a, const uintptr_t *b, unsigned int nr)
{
	while (nr && *a == *b)
		a++, b++, nr--;
	return !nr;
}

static depot_stack_handle_t find_stack(uint32_t handle, const uintptr_t *entries, unsigned int nr, uint32_t hash)
{
	for (; handle; handle = record_at(handle)->next) {
		const struct record *r = record_at(handle);

		if (r->hash == hash && r->nr == nr && same_entries(r->entries, entries, nr))
			return handle;
	}
	return 0;
}

depot_stack_handle_t stack_depot_save(const uintptr_t *entries, unsigned int nr)
{
	uint32_t hash = hash_stack(entries, nr), *bucket, head;
	depot_stack_handle_t handle;
	struct record *r;

	if (!nr || !map_once(&buckets, sizeof(*buckets) << HASH_ORDER))
		return 0;
	bucket = &buckets[hash >> (32 - HASH_ORDER)];
	head = smp_load_acquire(bucket);
	handle = find_stack(head, entries, nr, hash);
	if (handle)
		return handle;
	handle = new_record(align_up(sizeof(*r) + nr * sizeof(*entries), RECORD_ALIGN));
	if (!handle)
		return 0;
	r = record_at(handle);
	r->hash = hash;
	r->nr = nr;
	memcpy(r->entries, entries, nr * sizeof(*entries));
	do
		r->next = head;
	while (!__atomic_compare_exchange_n(bucket, &head, handle, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
	return handle;
}

unsigned int stack_depot_fetch(depot_stack_handle_t handle, const uintptr_t **entries)
{
	const struct record *r;

	if (!handle)
		return 0;
	r = record_at(handle);
	*entries = r->entries;
	return r->nr;
}

size_t stack_depot_bytes(void)
{
	size_t bytes = READ_ONCE(buckets) ? sizeof(*buckets) << HASH_ORDER : 0;
	unsigned long i;

	for (i = 0; i < NR_CHUNKS; i++)
		bytes += READ_ONCE(chunks[i]) ? CHUNK_SIZE : 0;
	return bytes;
}
