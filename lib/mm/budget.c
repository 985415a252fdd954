/* SPDX-License-Identifier: MIT */
/*
 * The limits, what is used of each, and what is left.
 *
 * Of each limit one figure is kept beside it: what others use, which is what the system said was used less what the
 * heap had at that moment. What is used now is that and what the heap has now. The figures are read by one thread at a
 * time, under the lock, and looked at without it: each is one word.
 */
#include "mm/budget.h"

#include "base/lock.h"
#include "base/tunables.h"
#include "mm/arena.h"
#include "mm/internal.h"
#include "mm/lowmem.h"
#include "mm/owner.h"
#include "mm/pcp.h"
#include "mm/sparse.h"
#include "os/limits.h"
#include "os/os.h"

/* Headroom and watermarks together are at most this share of a limit, and no more than this; each is half of it. */
#define KEEP_SHARE 16
#define KEEP_MAX (64UL << 20)

/* There is plenty while this share of a limit is left, or so much. */
#define PLENTY_SHARE 8
#define PLENTY_MAX (128L << 20)
#define OTHERS_SHARE 4

/* What is more is no limit, and no sum of a few limits overflows. */
#define LIMIT_MAX (1UL << 60)

/* The system is asked again when the heap has taken or given this share of what was left, and when that is old: it is
 * sooner where little is left. */
#define POLL_SHARE 8
#define POLL_MIN (4 * PAGEBLOCK_SIZE)
#define POLL_MS 100U
#define POLL_FAR_MS 1000U

bool limits_in_force, limits_known;

static struct {
	struct mutex lock;
	unsigned int seq;		/* readings so far */
	unsigned long limit[NR_LIMITS]; /* bytes, NO_LIMIT: none */
	long others[NR_LIMITS];		/* may be less than 0: of a cgroup, memory that was never touched */
	long over_high;			/* what the heap had in use when all reclaim for memory.high was in vain */
	long polled;			/* what the heap had mapped and used at the last reading, in bytes */
	long step;			/* and how far it may go from there before the next */
	uint32_t polled_ms;
} budget = {
	.lock = MUTEX_INIT(RANK_BUDGET),
	.limit = { NO_LIMIT, NO_LIMIT, NO_LIMIT, NO_LIMIT, NO_LIMIT },
};

static const char *const limit_names[NR_LIMITS] = { "limit", "RLIMIT_AS", "RLIMIT_DATA", "cgroup", "memory.high" };

static long min_long(long a, long b)
{
	return a < b ? a : b;
}

static long max_long(long a, long b)
{
	return a > b ? a : b;
}

/* What the heap has of what a limit counts. */
static long own_mapped(void)
{
	return (long)(((READ_ONCE(arena_stats.mapped) + lowmem_mapped()) << PAGEBLOCK_SHIFT) + sparse_metadata_bytes());
}

static long own_used(void)
{
	return (long)((READ_ONCE(arena_stats.used) + READ_ONCE(arena_stats.dirty) + lowmem_used()) << PAGEBLOCK_SHIFT);
}

static long own(enum limit_kind kind)
{
	switch (kind) {
	case LIMIT_CONF:
	case LIMIT_CGROUP:
	case LIMIT_HIGH:
		return own_used();
	case LIMIT_AS:
		/* A window that was reserved counts in full, as others. */
		return sparse_is_reserved() ? 0 : own_mapped();
	default:
		return own_mapped();
	}
}

static bool is_limited(enum limit_kind kind)
{
	return READ_ONCE(budget.limit[kind]) != NO_LIMIT;
}

static long used(enum limit_kind kind)
{
	long bytes = READ_ONCE(budget.others[kind]) + own(kind);

	return bytes > 0 ? bytes : 0;
}

/* Of the limit, for stacks, libraries and mappings that others in the process make. */
static size_t budget_headroom(enum limit_kind kind)
{
	return kind == LIMIT_CONF ? 0 : min_ul(READ_ONCE(budget.limit[kind]) / KEEP_SHARE, KEEP_MAX) / 2;
}

size_t budget_max_high(void)
{
	return min_ul(budget_total() / KEEP_SHARE, KEEP_MAX) / 2;
}

/* What the heap has that a cgroup has counted: not what nobody has touched yet, as the clean free pages of zones, and
 * what is on its way to one. Those in per-CPU lists may be such; those of large blocks are taken to be touched. */
static long own_touched(void)
{
	long bytes = (long)((READ_ONCE(arena_stats.dirty) + READ_ONCE(arena_stats.huge)) << PAGEBLOCK_SHIFT);
	struct zone *zone;
	int i;

	for_each_zone (zone, i)
		bytes += (long)((READ_ONCE(zone->managed_pages) - READ_ONCE(zone->nr_free_pages) +
				 READ_ONCE(zone->nr_dirty) - nr_pcp_pages(zone))
				<< PAGE_SHIFT);
	return bytes;
}

/* What is left for the heap; less than 0 if others are in the headroom. */
static long rest(enum limit_kind kind)
{
	if (!is_limited(kind))
		return INT64_MAX;
	return (long)READ_ONCE(budget.limit[kind]) - (long)budget_headroom(kind) - used(kind);
}

static long rest_mapped(void)
{
	/* In a reserved window nothing more is mapped. */
	return min_long(sparse_is_reserved() ? INT64_MAX : rest(LIMIT_AS), rest(LIMIT_DATA));
}

size_t budget_reserve(void)
{
	struct zone *zone;
	size_t pages = 0;
	int i;

	for_each_zone (zone, i)
		pages += READ_ONCE(zone->watermark[WMARK_MIN]);
	return pages << PAGE_SHIFT;
}

/* Of the reserve, what does not lie in the zones already. */
static long missing_reserve(void)
{
	long bytes = (long)budget_reserve();
	struct zone *zone;
	int i;

	for_each_zone (zone, i)
		bytes -= (long)(READ_ONCE(zone->nr_free_pages) << PAGE_SHIFT);
	return bytes > 0 ? bytes : 0;
}

bool budget_may_grow_slow(size_t bytes, bool mapped, size_t reserve)
{
	long keep = max_long(missing_reserve() - (long)reserve, 0);

	if (bytes > (size_t)INT64_MAX / 2 || rest(LIMIT_CONF) < (long)bytes + keep)
		return false;
	/* What a cgroup counts is touched memory: of a large block only that there is some left can be asked. */
	if (rest(LIMIT_CGROUP) <= keep + (reserve ? (long)bytes - 1 : 0))
		return false;
	return mapped || rest_mapped() >= (long)bytes + keep;
}

unsigned long budget_growable_pages_slow(bool reserve, bool high)
{
	long mapped, touched, dirty, clean, bytes;

	dirty = (long)(READ_ONCE(arena_stats.dirty) << PAGEBLOCK_SHIFT);
	clean = (long)((READ_ONCE(arena_stats.mapped) - READ_ONCE(arena_stats.used)) << PAGEBLOCK_SHIFT) - dirty;
	mapped = rest_mapped();
	mapped = (mapped > 0 ? mapped : 0) / 2 + (clean > 0 ? clean : 0) / 2; /* halves: both may be very large */
	touched = min_long(rest(LIMIT_CONF), rest(LIMIT_CGROUP));
	touched = min_long(touched, high ? rest(LIMIT_HIGH) : INT64_MAX);
	touched = (touched > 0 ? touched : 0) / 2;
	bytes = min_long(mapped, touched) + dirty / 2;
	bytes = bytes > INT64_MAX / 2 ? INT64_MAX : bytes * 2;
	bytes -= reserve ? 0 : missing_reserve();
	return bytes > 0 ? align_down((unsigned long)bytes, PAGEBLOCK_SIZE) >> PAGE_SHIFT : 0;
}

bool budget_counts_mapped(void)
{
	return (is_limited(LIMIT_AS) && !sparse_is_reserved()) || is_limited(LIMIT_DATA);
}

size_t budget_move_bytes(void)
{
	return budget_counts_mapped() ? min_ul(budget_headroom(LIMIT_AS), budget_headroom(LIMIT_DATA)) / 2 : ~0UL;
}

static long high_marks(void)
{
	struct zone *zone;
	long pages = 0;
	int i;

	for_each_zone (zone, i)
		pages += (long)READ_ONCE(zone->watermark[WMARK_HIGH]);
	return pages << PAGE_SHIFT;
}

/*
 * Of a limit, and so much of what it counts free: as long as that leaves plenty to others, the heap keeps what is
 * usual, and else the high mark. Beyond either stays what is missed again and again, for a steady state shall not make
 * system calls: but no more than is in use, so that a heap that has become empty is given back, and the others have the
 * headroom, and their share of what is not in use.
 */
static long keep_of(enum limit_kind kind, long free, long usual, long slack)
{
	long limit = (long)READ_ONCE(budget.limit[kind]), all = limit - used(kind) + free, plenty, others, in_use;

	/* It counts nothing but the heap: what is free is in nobody's way. */
	if (kind == LIMIT_CONF)
		return min_long(usual + slack, all);
	plenty = min_long(limit / PLENTY_SHARE, PLENTY_MAX);
	others = max_long((long)budget_headroom(kind), all / OTHERS_SHARE);
	in_use = (long)(READ_ONCE(arena_stats.used) << PAGEBLOCK_SHIFT);
	slack = min_long(slack, min_long(all - others, in_use));
	return max_long(min_long(usual + slack, all - plenty), high_marks() + slack);
}

size_t budget_keep(size_t usual, size_t slack)
{
	long mapped = (long)((READ_ONCE(arena_stats.mapped) - READ_ONCE(arena_stats.used)) << PAGEBLOCK_SHIFT);
	long dirty = (long)(READ_ONCE(arena_stats.dirty) << PAGEBLOCK_SHIFT), keep = (long)(usual + slack);
	unsigned int kind;

	for (kind = 0; kind < NR_LIMITS; kind++) {
		bool counts_mapped = kind == LIMIT_AS || kind == LIMIT_DATA;

		if (!is_limited(kind) || (kind == LIMIT_AS && sparse_is_reserved()))
			continue;
		keep = min_long(keep, keep_of(kind, counts_mapped ? mapped : dirty, (long)usual, (long)slack));
	}
	return keep > 0 ? (size_t)keep : 0;
}

size_t budget_keep_resident(size_t usual, size_t dirty)
{
	long keep = (long)usual;

	if (is_limited(LIMIT_CGROUP))
		keep = keep_of(LIMIT_CGROUP, (long)dirty, (long)usual, 0);
	if (is_limited(LIMIT_HIGH))
		keep = min_long(keep, keep_of(LIMIT_HIGH, (long)dirty, (long)usual, 0));
	return keep > 0 ? (size_t)keep : 0;
}

size_t budget_total(void)
{
	unsigned long least = NO_LIMIT;
	unsigned int kind;

	for (kind = 0; kind < NR_LIMITS; kind++)
		least = min_ul(least, READ_ONCE(budget.limit[kind]));
	return least == NO_LIMIT ? 0 : least;
}

enum limit_kind budget_binding(void)
{
	enum limit_kind binding = NR_LIMITS;
	unsigned int kind;

	for (kind = 0; kind < LIMIT_HIGH; kind++)
		if (is_limited(kind) && (binding == NR_LIMITS || rest(kind) < rest(binding)))
			binding = (enum limit_kind)kind;
	return binding;
}

bool budget_line(enum limit_kind kind, struct budget_line *line)
{
	if (!is_limited(kind))
		return false;
	line->name = limit_names[kind];
	line->limit = READ_ONCE(budget.limit[kind]);
	line->used = (size_t)used(kind);
	line->headroom = budget_headroom(kind);
	return true;
}

static void set_limit(enum limit_kind kind, unsigned long limit, long others)
{
	WRITE_ONCE(budget.others[kind], others);
	WRITE_ONCE(budget.limit[kind], limit <= LIMIT_MAX ? limit : NO_LIMIT);
}

static void read_process_limits(void)
{
	unsigned long limit_as = os_rlimit_as(), limit_data = os_rlimit_data(), as, data;
	long others_as = READ_ONCE(budget.others[LIMIT_AS]), others_data = READ_ONCE(budget.others[LIMIT_DATA]);

	/* Without /proc the heap's own counters have to do. */
	if ((limit_as != NO_LIMIT || limit_data != NO_LIMIT) && os_process_size(&as, &data)) {
		others_as = (long)as - own(LIMIT_AS);
		others_data = (long)data - own(LIMIT_DATA);
	}
	set_limit(LIMIT_AS, limit_as, others_as);
	set_limit(LIMIT_DATA, limit_data, others_data);
}

static void read_cgroup_limit(void)
{
	struct cgroup_memory cg;
	long touched = own_touched();

	os_cgroup_memory(&cg);
	/* Other threads go on meanwhile: rather too much is taken for others' than too little. */
	touched = min_long(touched, own_touched());
	set_limit(LIMIT_CGROUP, cg.max.limit, (long)cg.max.used - touched);
	set_limit(LIMIT_HIGH, cg.high.limit, (long)cg.high.used - touched);
}

/* After the limits or what is used of them were read. */
static void note_reading(void)
{
	enum limit_kind binding = budget_binding();
	long left = min_long(binding == NR_LIMITS ? INT64_MAX : rest(binding), rest(LIMIT_HIGH));

	WRITE_ONCE(budget.polled, own_mapped() + own_used());
	WRITE_ONCE(budget.step, (long)max_ul((unsigned long)(left > 0 ? left : 0) / POLL_SHARE, POLL_MIN));
	WRITE_ONCE(budget.polled_ms, (uint32_t)os_clock_ms());
	WRITE_ONCE(limits_in_force, binding != NR_LIMITS || is_limited(LIMIT_HIGH));
	if (READ_ONCE(limits_in_force))
		WRITE_ONCE(limits_known, true);
	WRITE_ONCE(budget.seq, budget.seq + 1);
}

static void read_limits(bool cgroups, bool always)
{
	unsigned int seq = READ_ONCE(budget.seq);
	size_t total = budget_total();

	mutex_lock(&budget.lock);
	/* Who waited for another's reading has it. */
	if (always || budget.seq == seq) {
		set_limit(LIMIT_CONF, READ_ONCE(tunables.limit) ? READ_ONCE(tunables.limit) : NO_LIMIT, 0);
		read_process_limits();
		if (cgroups)
			read_cgroup_limit();
		note_reading();
	}
	mutex_unlock(&budget.lock);
	/* Who has how much is asked when it ends. */
	if (READ_ONCE(limits_in_force) && !READ_ONCE(owner_accounting))
		owner_accounting_enable();
	if (budget_total() != total)
		init_per_zone_wmark_min();
}

void budget_init(void)
{
	read_limits(true, true);
}

void budget_refresh(void)
{
	read_limits(true, false);
}

/* What is really used, and a pageblock: what is free in zones is not to stand for what was given back already. */
static bool near_high(void)
{
	return is_limited(LIMIT_HIGH) &&
	       READ_ONCE(budget.others[LIMIT_HIGH]) + own_touched() + (long)PAGEBLOCK_SIZE >
		       (long)(READ_ONCE(budget.limit[LIMIT_HIGH]) - budget_headroom(LIMIT_HIGH));
}

bool budget_over_high_slow(void)
{
	if (!near_high() || READ_ONCE(budget.over_high) == own_used())
		return false;
	/* A large block that nobody has touched is no use of memory. */
	budget_refresh();
	return near_high();
}

void budget_over_high_in_vain(void)
{
	WRITE_ONCE(budget.over_high, own_used());
}

void budget_limit_changed(void)
{
	read_limits(READ_ONCE(limits_in_force), true);
	if (READ_ONCE(limits_in_force))
		arena_balance();
}

/* A cgroup does not make the system refuse anything: it is not looked for. */
void budget_refused(void)
{
	read_limits(READ_ONCE(limits_in_force), false);
}

void budget_poll_slow(void)
{
	long moved = own_mapped() + own_used() - READ_ONCE(budget.polled), step = READ_ONCE(budget.step);
	uint32_t age = (uint32_t)os_clock_ms() - READ_ONCE(budget.polled_ms);

	if (moved >= step || moved <= -step || age >= (step == POLL_MIN ? POLL_MS : POLL_FAR_MS))
		read_limits(true, false);
}

void budget_lock_all(void)
{
	mutex_lock(&budget.lock);
}
void budget_unlock_all(void)
{
	mutex_unlock(&budget.lock);
}
void budget_reinit_after_fork(void)
{
	mutex_reinit_after_fork(&budget.lock);
}
