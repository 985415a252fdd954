/* SPDX-License-Identifier: MIT */
/*
 * Arenas: random operations against a model, best fit, growth at the top past other people's mappings, less memory
 * than wanted, giving back by number and by age.
 */
#include <errno.h>
#include <sys/mman.h>

#include "base/tunables.h"
#include "mm/pressure.h"
#include "model.h"

#define MAX_RANGES 60
#define MODEL_BLOCKS 4096

static struct range {
	unsigned long pb, nr;
	uint64_t stamp;
} ranges[MAX_RANGES];
static uint8_t owner[MODEL_BLOCKS];
static unsigned long held;

/* Two words of each pageblock. */
static void write_range(const struct range *r)
{
	unsigned long i;

	for (i = 0; i < r->nr; i++)
		*word_at(r->pb + i, 0) = *word_at(r->pb + i, PAGEBLOCK_SIZE - 8) = r->stamp + i;
}

static void verify_range(const struct range *r, unsigned long nr)
{
	unsigned long i;

	for (i = 0; i < nr; i++)
		must(*word_at(r->pb + i, 0) == r->stamp + i && *word_at(r->pb + i, PAGEBLOCK_SIZE - 8) == r->stamp + i,
		     "pageblock %lu of %lu", i, r->pb);
}

static void claim(unsigned long pb, unsigned long nr, unsigned int id)
{
	unsigned long i;

	must(pb >= 2 && pb + nr <= MODEL_BLOCKS);
	for (i = pb; i < pb + nr; i++) {
		must(!owner[i], "pageblock %lu is of range %u already", i, owner[i]);
		owner[i] = (uint8_t)id;
	}
	held += nr;
}

static void disown(unsigned long pb, unsigned long nr)
{
	memset(owner + pb, 0, nr);
	held -= nr;
}

static void take_range(struct range *r, unsigned int id)
{
	unsigned long align = 1UL << rnd(4);
	bool clean;

	r->nr = 1 + rnd(rnd(4) ? 6 : 40);
	r->pb = arena_alloc(r->nr, align, rnd(2) ? PB_HUGE : PB_OFFLINE, 0, &clean);
	must(r->pb && is_aligned((uintptr_t)block_to_addr(r->pb), align << PAGEBLOCK_SHIFT), "%lu for %lu", r->pb,
	     align);
	claim(r->pb, r->nr, id);
	for (unsigned long i = 0; clean && i < r->nr; i++)
		must(!*word_at(r->pb + i, 0) && !*word_at(r->pb + i, PAGEBLOCK_SIZE - 8), "said to be clean");
	r->stamp = rnd64() | 1;
	write_range(r);
}

static void extend_range(struct range *r, unsigned int id)
{
	unsigned long more = 1 + rnd(4), behind = r->pb + r->nr, i;
	bool taken = false;

	for (i = behind; i < behind + more; i++)
		taken |= owner[i] != 0;
	if (!arena_extend(r->pb, r->nr, r->nr + more))
		return;
	must(!taken);
	claim(behind, more, id);
	r->nr += more;
	verify_range(r, r->nr - more);
	write_range(r);
}

static void release_range(struct range *r)
{
	verify_range(r, r->nr);
	disown(r->pb, r->nr);
	arena_free(r->pb, r->nr, true);
	r->nr = 0;
}

static void one_step(void)
{
	unsigned int id = 1 + rnd(MAX_RANGES - 1);
	struct range *r = &ranges[id];

	if (!r->nr)
		take_range(r, id);
	else if (rnd(4) == 0)
		extend_range(r, id);
	else
		release_range(r);
	if (rnd(50) == 0)
		arena_purge(rnd(60), ~0U, rnd(2));
	if (rnd(200) == 0)
		arena_purge(~0UL, 0, false);
	check_arena();
	must(arena_stats.used == held, "%lu used, %lu held", arena_stats.used, held);
}

static void random_operations(void)
{
	unsigned long i;

	model_start();
	for (i = steps(20000); i; i--)
		one_step();
	for (i = 1; i < MAX_RANGES; i++)
		if (ranges[i].nr)
			release_range(&ranges[i]);
	check_arena();
	must(!arena_stats.used && !arena_stats.huge);
	arena_purge(0, ~0U, true);
	must(!arena_stats.dirty && arena_stats.mapped < arena_stats.mapped_peak);
	check_arena();
}

/* Ranges one behind the other; only a heap's first ones are sure to be. */
static void take_row(unsigned long *pb, const unsigned long *nr, unsigned int n)
{
	unsigned long all = 0, at;
	unsigned int i;
	bool clean;

	for (i = 0; i < n; i++)
		all += nr[i];
	at = arena_alloc(all, 1, PB_HUGE, 0, &clean);
	must(at && clean);
	for (i = 0; i < n; at += nr[i++])
		pb[i] = at;
}

static void best_fit(void)
{
	static const unsigned long nr[] = { 5, 1, 3, 1, 4, 1, 40, 1 };
	unsigned long pb[8], got, more;
	bool clean;

	model_start();
	tunables.dirty_max = GiB;
	take_row(pb, nr, 8);
	arena_free(pb[0], 5, true);
	arena_free(pb[2], 3, true);
	arena_free(pb[4], 4, true);
	arena_free(pb[6], 40, true);
	check_arena();
	got = arena_alloc(3, 1, PB_HUGE, 0, &clean);
	must(got == pb[2] && !clean, "three from the three");
	must(arena_alloc(2, 1, PB_HUGE, 0, &clean) == pb[4], "two from the four");
	must(arena_alloc(2, 1, PB_HUGE, 0, &clean) == pb[4] + 2, "two from its rest");
	got = arena_alloc(8, 8, PB_HUGE, 0, &clean);
	must(is_aligned((uintptr_t)block_to_addr(got), 8 * PAGEBLOCK_SIZE) && got >= pb[6] && got < pb[7],
	     "eight aligned from the forty");
	must(!arena_extend(pb[4] + 2, 2, 3), "what is behind is in use");
	more = arena_stats.used;
	must(arena_extend(got, 8, 10) && arena_stats.used == more + 2);
	/* What was given back, and then taken by lengthening, is as good as any. */
	more = arena_stats.dirty;
	must(arena_purge(0, ~0U, false) == more);
	must(arena_extend(got, 10, 20));
	arena_free(got, 20, true);
	must(arena_alloc(20, 8, PB_HUGE, 0, &clean) == got, "the same twenty again");
	/* Neighbours join on both sides. */
	arena_free(pb[1], 1, true);
	must(arena_alloc(6, 1, PB_HUGE, 0, &clean) == pb[0], "five and one are six");
	check_arena();
}

/* A mapping of somebody else's lies where the heap would grow. */
static void step_over(void)
{
	unsigned long first, got, foreign, i;
	bool clean;

	model_start();
	first = arena_alloc(3, 1, PB_HUGE, 0, &clean);
	must(first);
	foreign = 2 + arena_stats.mapped + 1;
	must(os_linux.mmap(block_to_addr(foreign), PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_FIXED) > 0);
	*(char *)block_to_addr(foreign) = 42;
	for (i = 0; i < 20; i++) {
		unsigned long nr = 1 + i % 4;

		got = arena_alloc(nr, 1, PB_HUGE, 0, &clean);
		must(got && (foreign < got || foreign >= got + nr));
		memset(block_to_addr(got), 1, nr << PAGEBLOCK_SHIFT);
		check_arena();
	}
	must(*(char *)block_to_addr(foreign) == 42);
}

/* The same where the heap was, gave back its memory, and would come again. */
static void step_over_returned(void)
{
	unsigned long pb, got;
	bool clean;

	model_start();
	tunables.dirty_max = GiB;
	pb = arena_alloc(8, 1, PB_HUGE, 0, &clean);
	arena_free(pb, 8, true);
	must(arena_purge(0, ~0U, true) >= 8);
	check_arena();
	must(os_linux.mmap(block_to_addr(pb + 3), PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_FIXED) > 0);
	*(char *)block_to_addr(pb + 3) = 42;
	got = arena_alloc(8, 1, PB_HUGE, 0, &clean);
	must(got && clean && (got > pb + 3 || got + 8 <= pb + 3));
	check_arena();
	must(all_zero(block_to_addr(got), 8 * PAGEBLOCK_SIZE));
	must(*(char *)block_to_addr(pb + 3) == 42);
}

static enum fake_op commit_op(void)
{
	return window_reserved() ? FAKE_MPROTECT : FAKE_MMAP;
}

/* Growth asks for more than is needed; the system gives half of it, or a quarter, or nothing. */
static void less_than_wanted(void)
{
	unsigned long before;
	bool clean;

	model_start();
	must(arena_alloc(128, 1, PB_HUGE, 0, &clean));
	before = arena_stats.mapped;
	fake_os_fail(commit_op(), 1, false, ENOMEM);
	must(arena_alloc(1, 1, PB_HUGE, 0, &clean));
	must(arena_stats.mapped == before + 8, "%lu of %lu", arena_stats.mapped, before);
	check_arena();
	/* 7 are free; all but the need fails. */
	fake_os_reset();
	fake_os_fail(commit_op(), 1, true, ENOMEM);
	must(arena_alloc(7, 1, PB_HUGE, 0, &clean));
	must(!arena_alloc(1, 1, PB_HUGE, 0, &clean));
	must(arena_stats.mapped == before + 8 && arena_stats.used == before + 8);
	check_arena();
	must(!arena_alloc(sparse_end_block() + 1, 1, PB_HUGE, 0, &clean));
	must(!arena_alloc(sparse_end_block() - 1, 1, PB_HUGE, 0, &clean));
	fake_os_reset();
	must(arena_alloc(1, 1, PB_HUGE, 0, &clean));
	check_arena();
}

/* Dirty memory elsewhere is given back, address space too, to make room for a range that does not fit. */
static void make_room(void)
{
	static const unsigned long nr[] = { 2, 1, 2, 1 };
	unsigned long pb[4];
	bool clean;

	model_start();
	take_row(pb, nr, 4);
	arena_free(pb[0], 2, true);
	arena_free(pb[2], 2, true);
	fake_os_fail(commit_op(), 1, true, ENOMEM);
	must(!arena_alloc(3, 1, PB_HUGE, 0, &clean));
	must(arena_stats.dirty == 0 && arena_stats.given_back == 4);
	check_arena();
	fake_os_reset();
	must(arena_alloc(2, 1, PB_HUGE, 0, &clean) && clean);
	check_arena();
}

static void purge_by_count_and_age(void)
{
	static const unsigned long nr[] = { 2, 1, 2, 1, 2, 1 };
	unsigned long pb[6], i;

	model_start();
	tunables.dirty_max = GiB;
	tunables.dirty_decay = 0;
	take_row(pb, nr, 6);
	for (i = 0; i < 6; i += 2) {
		memset(block_to_addr(pb[i]), 1, 2 * PAGEBLOCK_SIZE);
		arena_free(pb[i], 2, true);
	}
	must(arena_stats.dirty == 6);
	must(arena_purge(6, ~0U, false) == 0);
	must(arena_purge(5, ~0U, false) == 1 && arena_stats.dirty == 5, "the oldest one alone");
	must(*word_at(pb[0], 0) == 0 && *word_at(pb[0] + 1, 0) != 0 && *word_at(pb[2], 0) != 0);
	check_arena();
	must(arena_purge(~0UL, 3600000, false) == 0, "none is an hour old");
	vmemmap.blocks[pb[0] + 1].stamp -= 7200000;
	vmemmap.blocks[pb[2]].stamp -= 7200000;
	must(arena_purge(~0UL, 3600000, false) == 3, "two are, and the neighbour of one goes along");
	must(*word_at(pb[2], 0) == 0 && *word_at(pb[4], 0) != 0 && arena_stats.dirty == 2);
	check_arena();
	/* With the decay on, freeing looks for old ones by itself. */
	vmemmap.blocks[pb[4]].stamp -= 7200000;
	tunables.dirty_decay = 3600000;
	arena_free(pb[1], 1, false);
	must(arena_stats.dirty == 0 && *word_at(pb[4], 0) == 0);
	/* Beyond the limit too. */
	tunables.dirty_max = 0;
	arena_free(pb[3], 1, true);
	must(arena_stats.dirty == 0);
	check_arena();
}

static void take_blocks(unsigned long *pb, unsigned long nr)
{
	bool clean;

	while (nr--)
		must(*pb++ = arena_alloc(1, 1, PB_HUGE, 0, &clean));
}

#define KEPT 32

/* So much is in use, and nothing that was missed is forgotten. */
static void start_regrets(unsigned long *kept)
{
	model_start();
	tunables.dirty_max = 4 * PAGEBLOCK_SIZE;
	tunables.dirty_decay = 3600000;
	take_blocks(kept, KEPT);
}

/* What was missed after it had gone stays the next time, but not when less is in use than then. */
static void regrets(void)
{
	unsigned long kept[KEPT], pb[16], i, round, calls = 0;

	start_regrets(kept);
	for (round = 0; round < 6; round++) {
		calls = fake_os_calls(FAKE_MADVISE);
		take_blocks(pb, 16);
		for (i = 0; i < 16; i++)
			arena_free(pb[i], 1, true);
	}
	must(fake_os_calls(FAKE_MADVISE) == calls && arena_stats.dirty == 16, "%lu dirty", arena_stats.dirty);
	for (i = 0; i < KEPT; i++)
		arena_free(kept[i], 1, true);
	must(arena_regrets() >= 8 && arena_stats.dirty == 4, "%lu dirty", arena_stats.dirty);
	check_arena();
}

/* Less was in use in between: so much is what it was missed with. */
static void regrets_with_less(void)
{
	unsigned long kept[KEPT], pb[40], missed, i;

	start_regrets(kept);
	take_blocks(pb, 16);
	for (i = 16; i;)
		arena_free(pb[--i], 1, true);
	must(arena_stats.dirty == 8, "%lu dirty", arena_stats.dirty);
	for (i = 0; i < 24; i++)
		arena_free(kept[i], 1, false);
	take_blocks(pb, 40);
	missed = arena_regrets();
	must(missed >= 8, "%lu were missed", missed);
	for (i = 40; i;)
		arena_free(pb[--i], 1, true);
	must(arena_stats.dirty == 4 + 8 / 8 + missed, "%lu dirty", arena_stats.dirty);
}

/* With the decay off what is old stays, also when the limit is passed. */
static void purge_without_age(void)
{
	static const unsigned long nr[] = { 2, 1, 2, 1, 2, 1 };
	unsigned long pb[6], i;

	model_start();
	tunables.dirty_max = GiB;
	tunables.dirty_decay = 0;
	take_row(pb, nr, 6);
	for (i = 0; i < 6; i += 2) {
		arena_free(pb[i], 2, true);
		vmemmap.blocks[pb[i]].stamp -= 7200000;
		vmemmap.blocks[pb[i] + 1].stamp -= 7200000;
	}
	must(arena_stats.dirty == 6);
	tunables.dirty_max = 5 * PAGEBLOCK_SIZE;
	arena_free(pb[1], 1, false);
	must(arena_stats.dirty == 5, "%lu are dirty", arena_stats.dirty);
	check_arena();
}

/* How many of 12 pageblocks, all that are in use, stay dirty. */
static unsigned long left_of_12(void)
{
	static const unsigned long nr[] = { 12 };
	unsigned long pb;

	arena_purge(0, ~0U, false);
	take_row(&pb, nr, 1);
	must(arena_stats.used == 12);
	arena_free(pb, 12, true);
	return arena_stats.dirty;
}

/* What is dirty where nothing is in use is seldom wanted again. */
static void less_where_little_is_used(void)
{
	model_start();
	tunables.dirty_max = 12 * PAGEBLOCK_SIZE;
	tunables.dirty_decay = 0; /* nothing is missed */
	must(left_of_12() == 12, "threads follow each other");
	threads_follow = false;
	must(left_of_12() == 4, "%lu are dirty", arena_stats.dirty);
	nr_heap_threads = 2;
	must(left_of_12() == 12, "%lu are dirty with two threads", arena_stats.dirty);
	nr_heap_threads = 1;
	must(dirty_max_for(0) == 4 * PAGEBLOCK_SIZE && dirty_max_for(20 * PAGEBLOCK_SIZE) == 5 * PAGEBLOCK_SIZE);
	must(dirty_max_for(48 * PAGEBLOCK_SIZE) == 12 * PAGEBLOCK_SIZE && dirty_max_for(GiB) == 12 * PAGEBLOCK_SIZE);
	arena_purge(0, ~0U, false);
	check_arena();
}

int main(void)
{
	model_init();
	run_case("best fit, alignment, extension, joining", best_fit);
	if (CAN_PLAN && !on_valgrind()) {
		run_case("growth steps over a foreign mapping", step_over);
		run_case("a range that was given back and taken by others is left alone", step_over_returned);
	} else {
		skip(2, "valgrind and sanitizers reserve the window: it has no foreign mappings inside");
	}
	run_case("growth takes what the system gives", less_than_wanted);
	run_case("dirty ranges make room", make_room);
	run_case("giving back by number and by age", purge_by_count_and_age);
	run_case("what was missed stays, while as much is in use", regrets);
	run_case("as there was at least before it was missed", regrets_with_less);
	run_case("without a decay the limit alone counts", purge_without_age);
	run_case("where little is in use less may be dirty", less_where_little_is_used);
	run_case("random operations against the model", random_operations);
	return done_testing();
}
