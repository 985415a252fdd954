/* SPDX-License-Identifier: MIT */
/*
 * Times and averages of what threads were stalled for.
 *
 * No timer runs. Between two events nothing changes, so all that has passed since the last one is worked out at the
 * next, or for a report, exactly: periods of two seconds, each of which moves the three averages towards the share of
 * it that was stalled, as the kernel's do.
 */
#include "mm/pressure.h"

#include "base/lock.h"
#include "base/message.h"
#include "mm/current.h"
#include "os/os.h"

#define PERIOD_NS 2000000000UL
#define NR_AVERAGES 3
#define FIXED_SHIFT 20
#define SIGNAL_INTERVAL_MS 100 /* a program that polls need not hear more often */
#define READ_TRIES 16

enum { PSI_SOME, PSI_FULL, NR_PSI_STATES };

/* What an average of 10, 60 and 300 seconds keeps of itself in a period, exp(-2 / seconds), in fixed point. */
static const uint32_t keeps[NR_AVERAGES] = { 858501, 1014200, 1041609 };

struct psi {
	uint64_t since;	 /* all is accounted for up to here; 0: nothing has ever been */
	uint64_t period; /* when this one began */
	struct {
		bool active; /* since then */
		uint64_t total;
		uint64_t in_period;
		uint32_t average[NR_AVERAGES]; /* percent, fixed point */
	} state[NR_PSI_STATES];
};

unsigned long nr_heap_threads;

static struct {
	struct mutex lock;
	uint32_t seq; /* odd while psi changes */
	uint32_t nr_stalled;
	struct psi psi; /* read without the lock, by seq */
} pressure = { .lock = MUTEX_INIT(RANK_PRESSURE) };

/* keep to the power of n, in fixed point. */
static uint64_t fixed_power(uint64_t keep, uint64_t n)
{
	uint64_t result = 1UL << FIXED_SHIFT;

	for (; n && result; n >>= 1) {
		if (n & 1)
			result = result * keep >> FIXED_SHIFT;
		keep = keep * keep >> FIXED_SHIFT;
	}
	return result;
}

/* n periods of each of which the share ns was stalled. */
static void add_periods(uint32_t *average, uint64_t ns, uint64_t n)
{
	uint64_t percent = (ns * 100 << FIXED_SHIFT) / PERIOD_NS;
	int i;

	for (i = 0; i < NR_AVERAGES; i++) {
		uint64_t keep = fixed_power(keeps[i], n);

		average[i] = (uint32_t)((average[i] * keep + percent * ((1UL << FIXED_SHIFT) - keep)) >> FIXED_SHIFT);
	}
}

/* Account for the time until now, in which nothing changed. */
static void psi_advance(struct psi *psi, uint64_t now)
{
	uint64_t n, end;
	int i;

	if (!psi->since)
		psi->since = psi->period = now;
	n = now > psi->period ? (now - psi->period) / PERIOD_NS : 0;
	end = psi->period + n * PERIOD_NS;
	for (i = 0; i < NR_PSI_STATES && now > psi->since; i++) {
		bool active = psi->state[i].active;

		if (active)
			psi->state[i].total += now - psi->since;
		if (n) {
			if (active)
				psi->state[i].in_period += psi->period + PERIOD_NS - psi->since;
			add_periods(psi->state[i].average, psi->state[i].in_period, 1);
			add_periods(psi->state[i].average, active ? PERIOD_NS : 0, n - 1);
			psi->state[i].in_period = active ? now - end : 0;
		} else if (active) {
			psi->state[i].in_period += now - psi->since;
		}
	}
	if (now > psi->since)
		psi->since = now;
	psi->period = end;
}

static void account(int change)
{
	mutex_lock(&pressure.lock);
	xchg(&pressure.seq, pressure.seq + 1);
	psi_advance(&pressure.psi, os_clock_ns());
	pressure.nr_stalled += (uint32_t)change;
	pressure.psi.state[PSI_SOME].active = pressure.nr_stalled != 0;
	pressure.psi.state[PSI_FULL].active = pressure.nr_stalled && pressure.nr_stalled >= READ_ONCE(nr_heap_threads);
	xchg(&pressure.seq, pressure.seq + 1);
	mutex_unlock(&pressure.lock);
}

void psi_memstall_enter(unsigned long *flags)
{
	*flags = current->flags & (PF_MEMSTALL | PF_KSWAPD);
	if (*flags)
		return;
	current->flags |= PF_MEMSTALL;
	account(1);
}

void psi_memstall_leave(const unsigned long *flags)
{
	if (*flags)
		return;
	current->flags &= ~PF_MEMSTALL;
	account(-1);
}

/* A copy that belongs together; in a signal handler that has interrupted a change, one that does not. */
__attribute__((__no_sanitize_thread__)) static struct psi read_psi(void)
{
	struct psi psi;
	int tries;

	for (tries = 0; tries < READ_TRIES; tries++) {
		uint32_t seq = smp_load_acquire(&pressure.seq);

		psi = pressure.psi;
		if (!(seq & 1) && __atomic_fetch_add(&pressure.seq, 0, __ATOMIC_ACQ_REL) == seq)
			break;
	}
	return psi;
}

void print_pressure(struct out *o)
{
	static const char *const names[NR_PSI_STATES] = { "some", "full" };
	static const unsigned int seconds[NR_AVERAGES] = { 10, 60, 300 };
	struct psi psi = read_psi();
	int i, j;

	if (psi.since)
		psi_advance(&psi, os_clock_ns());
	for (i = 0; i < NR_PSI_STATES; i++) {
		out_printf(o, "%s", names[i]);
		for (j = 0; j < NR_AVERAGES; j++) {
			uint64_t hundredths = (uint64_t)psi.state[i].average[j] * 100 >> FIXED_SHIFT;

			out_printf(o, " avg%u=%lu.%02lu", seconds[j], hundredths / 100, hundredths % 100);
		}
		out_printf(o, " total=%lu\n", psi.state[i].total / 1000);
	}
}

/*
 * The descriptor: its number in the low half, the process that it was made for in the high one; 0: none. Its tag tells
 * whether the number still stands for what we made (os/os.h), for a program may close it and open another file.
 */
static uint64_t event;
static uint32_t signalled; /* when it was made readable, in ms */

static bool event_stands(uint64_t e)
{
	return e && os_eventfd_is_ours((int)(uint32_t)e, (int)(e >> 32));
}

static bool event_is_ours(uint64_t e)
{
	return (int)(e >> 32) == os_getpid() && event_stands(e);
}

long pressure_eventfd(void)
{
	uint64_t was = READ_ONCE(event), now;
	int fd;

	if (event_is_ours(was))
		return (int)(uint32_t)was;
	fd = os_eventfd();
	if (fd < 0)
		return fd;
	/* Inherited from a parent: the number stays, what it stands for is this process's own from now on. */
	if (event_stands(was))
		fd = os_move_fd(fd, (int)(uint32_t)was);
	now = (uint64_t)os_getpid() << 32 | (uint32_t)fd;
	if (try_cmpxchg(&event, was, now))
		return fd;
	if (fd != (int)(uint32_t)was) /* somebody else was faster */
		os_close(fd);
	return pressure_eventfd();
}

void pressure_signal(void)
{
	uint64_t e = READ_ONCE(event);
	uint32_t now, then;

	if (likely(!e))
		return;
	now = (uint32_t)os_clock_ms();
	then = READ_ONCE(signalled);
	if ((then && now - then < SIGNAL_INTERVAL_MS) || !try_cmpxchg(&signalled, then, now ? now : 1))
		return;
	if (event_is_ours(e))
		os_eventfd_signal((int)(uint32_t)e);
}

void pressure_lock_all(void)
{
	mutex_lock(&pressure.lock);
}
void pressure_unlock_all(void)
{
	mutex_unlock(&pressure.lock);
}
void pressure_reinit_after_fork(void)
{
	mutex_reinit_after_fork(&pressure.lock);
	pressure.psi = (struct psi){ 0 };
	pressure.nr_stalled = 0;
	if (current->flags & PF_MEMSTALL)
		account(1);
	signalled = 0;
	if (event_stands(event))
		pressure_eventfd();
	else
		event = 0;
}
