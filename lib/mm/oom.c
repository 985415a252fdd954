/* SPDX-License-Identifier: MIT */
/*
 * The OOM step: whom it ends, and how. The state of a victim is in its struct owner, and is the oom lock's.
 */
#include "mm/oom.h"

#include <limits.h>
#include <signal.h>

#include "base/host.h"
#include "base/tunables.h"
#include "mm/budget.h"
#include "mm/current.h"
#include "mm/internal.h"
#include "mm/owner.h"
#include "mm/page_alloc.h"
#include "mm/pressure.h"
#include "mm/vmstat.h"
#include "os/os.h"

#define OOM_SCORE_ADJ_MIN (-1000)

/* A wait for what others do about the end of memory. They say so: this is for memory that comes free unsaid. */
#define TICK_MS 2

/* So many ticks a shrinker that could not run is waited for: the lock may be that of a thread that has no CPU. While
 * another thread is at it, memory may yet come free: that has the time of a victim. */
#define STOPPED_MAX 16

/* Who has less than this share of what one has that could not end is spared. */
#define SMALL_SHARE 16

struct mutex oom_lock = MUTEX_INIT(RANK_OOM);
static struct {
	uint32_t news; /* somebody was told to end, or has given up what was waited for, or nobody can be */
	uint32_t waiting;
} oom_waits;
unsigned long oom_calls;
unsigned long sysctl_panic_on_oom, sysctl_oom_kill_allocating_task, sysctl_oom_dump_tasks = 1;

int owner_tid(const struct owner *owner)
{
	return owner_is_own(owner) ? os_gettid() : READ_ONCE(owner->tid);
}

unsigned long oom_pages(const struct owner *owner)
{
	unsigned long pages = owner_usage(owner);
	const struct owner *o;

	if (READ_ONCE(owner->kind) == OWNER_PROCESS)
		for (o = owner_next(NULL); o; o = owner_next((struct owner *)o))
			pages += READ_ONCE(o->state) & OWNER_EXITED ? owner_usage(o) : 0;
	return pages;
}

bool oom_victim_in_time(const struct owner *owner)
{
	return READ_ONCE(owner->state) & OWNER_VICTIM &&
	       os_clock_ms() - READ_ONCE(owner->oom.since) < READ_ONCE(tunables.oom_wait_ms);
}

bool tsk_is_oom_victim(void)
{
	if (!READ_ONCE(owner_accounting))
		return false;
	/* Its signal may find it inside of an owner that has nothing to do with it. */
	return oom_victim_in_time(current_owner()) || (current->owner && oom_victim_in_time(current->owner)) ||
	       (current->oom_victim && oom_victim_in_time(current->oom_victim));
}

bool oom_step_closed(void)
{
	return current->oom_step || mutex_held_for_fork();
}

/* Ordinary owners of a thread or of nobody are ended by a signal. */
static bool has_callback(const struct owner *owner)
{
	return smp_load_acquire(&owner->kind) == OWNER_NAMED && READ_ONCE(owner->abort);
}

static void mark_oom_victim(struct owner *owner)
{
	unsigned long pages = oom_pages(owner);

	WRITE_ONCE(owner->oom.lowest, pages);
	WRITE_ONCE(owner->oom.pages, pages);
	WRITE_ONCE(owner->oom.since, os_clock_ms());
	__atomic_or_fetch(&owner->state, OWNER_VICTIM, __ATOMIC_RELAXED);
}

uint32_t oom_news(void)
{
	return smp_load_acquire(&oom_waits.news);
}

void oom_tell_waiting(void)
{
	__atomic_add_fetch(&oom_waits.news, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&oom_waits.waiting, __ATOMIC_SEQ_CST))
		host_futex_wake(&oom_waits.news, INT_MAX);
}

void oom_wait_for_news(uint32_t seen)
{
	unsigned long stalled;

	psi_memstall_enter(&stalled);
	__atomic_add_fetch(&oom_waits.waiting, 1, __ATOMIC_SEQ_CST);
	os_futex_wait_ms(&oom_waits.news, seen, TICK_MS);
	__atomic_sub_fetch(&oom_waits.waiting, 1, __ATOMIC_SEQ_CST);
	psi_memstall_leave(&stalled);
}

bool oom_wait_for_shrinkers(void)
{
	unsigned long most = STOPPED_MAX;

	if (current->shrink_busy)
		most = max_ul(most, READ_ONCE(tunables.oom_wait_ms) / TICK_MS);
	if (!current->shrink_stopped || current->nr_stopped++ >= most) {
		current->nr_stopped = 0;
		return false;
	}
	current->shrink_stopped = false;
	oom_wait_for_news(oom_news());
	return true;
}

static void unmark_oom_victim(struct owner *owner)
{
	if (__atomic_fetch_and(&owner->state, (uint8_t)~OWNER_VICTIM, __ATOMIC_RELAXED) & OWNER_VICTIM)
		oom_tell_waiting();
}

void oom_victim_gave(struct owner *owner)
{
	if (oom_pages(owner) <= READ_ONCE(owner->oom.pages) / 2)
		unmark_oom_victim(owner);
}

/* It is not asked again before it has less than now. */
static void pass_over(struct owner *owner)
{
	unmark_oom_victim(owner);
	WRITE_ONCE(owner->oom.passed_over, max_ul(oom_pages(owner), 1));
}

/*
 * Is a victim still being emptied? As long as it gives up something it has time. Who had its time and gave up nothing
 * is passed over next time; if it was to end by a signal, and has not, there is nobody to wait for.
 */
static bool victim_in_flight(struct owner *owner)
{
	unsigned long pages = oom_pages(owner);

	if (!(READ_ONCE(owner->state) & OWNER_VICTIM))
		return false;
	oom_victim_gave(owner);
	if (READ_ONCE(owner->state) & OWNER_EXITED)
		unmark_oom_victim(owner);
	if (!(READ_ONCE(owner->state) & OWNER_VICTIM))
		return false;
	if (pages < READ_ONCE(owner->oom.lowest)) {
		WRITE_ONCE(owner->oom.lowest, pages);
		WRITE_ONCE(owner->oom.since, os_clock_ms());
	}
	if (oom_victim_in_time(owner))
		return true;
	if (READ_ONCE(owner->oom.lowest) < READ_ONCE(owner->oom.pages) || READ_ONCE(owner->state) & OWNER_DYING) {
		unmark_oom_victim(owner);
		return false;
	}
	if (!has_callback(owner)) {
		char label[OWNER_LABEL_LEN];

		oom_say("SIGABRT has not ended %s for %lu ms: the process ends here", owner_label(owner, label),
			READ_ONCE(tunables.oom_wait_ms));
		current->flags |= PF_DUMPCORE;
		host_abort();
	}
	pass_over(owner);
	return false;
}

/* The larger, the worse; LONG_MIN: not this one. */
static long oom_badness(struct owner *owner, unsigned long totalpages)
{
	unsigned long pages, passed_over = READ_ONCE(owner->oom.passed_over);
	int adj = READ_ONCE(owner->score_adj);

	if (READ_ONCE(owner->state) & (OWNER_EXITED | OWNER_DYING))
		return LONG_MIN;
	pages = oom_pages(owner);
	if (!pages || adj <= OOM_SCORE_ADJ_MIN || pages <= READ_ONCE(owner->min))
		return LONG_MIN;
	if (passed_over && pages >= passed_over)
		return LONG_MIN;
	WRITE_ONCE(owner->oom.passed_over, 0);
	return (long)pages + adj * (long)totalpages / 1000;
}

/* False: there is a victim that is not through yet. */
static bool oom_evaluate_task(struct oom_control *oc, struct owner *owner)
{
	long points;

	if (victim_in_flight(owner))
		return false;
	points = oom_badness(owner, oc->totalpages);
	oc->passed_over = max_ul(oc->passed_over, READ_ONCE(owner->oom.passed_over));
	if (points != LONG_MIN && points > oc->chosen_points) {
		oc->chosen = owner;
		oc->chosen_points = points;
	}
	return true;
}

static bool select_bad_process(struct oom_control *oc)
{
	struct owner *owner;

	oc->chosen = NULL;
	oc->chosen_points = LONG_MIN;
	oc->passed_over = 0;
	if (oc->memcg)
		return oom_evaluate_task(oc, oc->memcg);
	for (owner = owner_next(NULL); owner; owner = owner_next(owner))
		if (!oom_evaluate_task(oc, owner))
			return false;
	/* Where the large ones cannot end, it is no use to end all the small ones in turn. */
	if (oc->chosen && oom_pages(oc->chosen) < oc->passed_over / SMALL_SHARE)
		oc->chosen = NULL;
	return true;
}

/* Whether a page is to be had above the high mark, or the owner has come below its limit. */
static bool memory_came_free(struct oom_control *oc)
{
	if (oc->memcg)
		return owner_usage(oc->memcg) + (1UL << oc->order) <= READ_ONCE(oc->memcg->limit);
	if (!oc->page && oc->ac)
		oc->page = get_page_from_freelist((oc->gfp_mask | GFP_HARDWALL) & ~GFP_DIRECT_RECLAIM, oc->order,
						  ALLOC_WMARK_HIGH | ALLOC_CPUSET, oc->ac);
	return oc->page;
}

/*
 * The thread that asks is the one to end. Most often the signal does not return; if it does, its handler has had its
 * memory from the reserve, and others may yet free something.
 */
static void abort_this_thread(struct oom_control *oc, struct owner *victim)
{
	uint64_t until = os_clock_ms() + READ_ONCE(tunables.oom_wait_ms);

	/* A handler that leaves by longjmp does not come back to clear it. */
	current->oom_victim = victim;
	current->oom_step = false;
	mutex_unlock(&oom_lock);
	os_tgkill(os_gettid(), SIGABRT);
	oom_victim_gave(victim);
	for (; os_clock_ms() < until && READ_ONCE(victim->state) & OWNER_VICTIM; oom_victim_gave(victim))
		os_sleep_ms(1);
	current->oom_victim = NULL;
	mutex_lock(&oom_lock);
	current->oom_step = true;
	/* It had its time: who looks next sees to that. */
	budget_recheck();
	if (!memory_came_free(oc))
		victim_in_flight(victim);
}

/* This thread is not in the owner's callback any more; false: it was not. */
static bool end_callback(struct owner *owner)
{
	if (current->oom_callback != owner)
		return false;
	current->oom_callback = NULL;
	owner->oom.running--;
	return true;
}

/* False: it does not want to end. The callback itself may destroy it: its place may be another's then. */
static bool call_abort(struct owner *victim)
{
	struct owner_hold hold;
	unsigned int scopes;
	int ret;

	victim->oom.running++;
	current->oom_callback = victim;
	mutex_unlock(&oom_lock);
	/* It may allocate: from the reserve. */
	scopes = memalloc_flags_save(PF_MEMALLOC);
	owner_hold(&hold);
	ret = READ_ONCE(victim->abort)(owner_handle(victim), READ_ONCE(victim->arg));
	owner_unhold(&hold);
	memalloc_flags_restore(scopes);
	mutex_lock(&oom_lock);
	if (!end_callback(victim))
		return true;
	host_futex_wake(&victim->oom.running, INT_MAX);
	return !ret;
}

/* False: it cannot end, or has. */
static bool tell_victim(struct oom_control *oc, struct owner *victim, int tid)
{
	char label[OWNER_LABEL_LEN];

	if (has_callback(victim)) {
		if (call_abort(victim))
			return true;
		oom_say("Out of memory: owner %s cannot end now", owner_label(victim, label));
		return false;
	}
	if (tid == os_gettid()) {
		abort_this_thread(oc, victim);
		return true;
	}
	return !os_tgkill(tid, SIGABRT);
}

/* End the chosen one; false: another must be chosen. */
static bool oom_kill_process(struct oom_control *oc)
{
	struct owner *victim = oc->chosen;
	int tid = owner_tid(victim);
	char label[OWNER_LABEL_LEN];

	if (READ_ONCE(victim->kind) == OWNER_PROCESS || !tid)
		tid = os_gettid();
	dump_header(oc, true);
	dump_decision(oc);
	oom_say("Out of memory%s: aborting owner %s (thread %d) usage:%lukB score:%ld oom_score_adj:%d",
		oc->memcg ? " of an owner" : "", owner_label(victim, label), tid,
		oom_pages(victim) << (PAGE_SHIFT - 10), oc->chosen_points, READ_ONCE(victim->score_adj));
	count_vm_event(OOM_KILL);
	mark_oom_victim(victim);
	if (tell_victim(oc, victim, tid))
		return true;
	pass_over(victim);
	return false;
}

/* 1: only where memory has ended for all; 2: always. */
static void check_panic_on_oom(struct oom_control *oc)
{
	unsigned long panic = READ_ONCE(sysctl_panic_on_oom);

	if (!panic || (panic != 2 && oc->constraint != CONSTRAINT_NONE))
		return;
	dump_header(oc, false);
	oom_say("Out of memory: %s panic_on_oom is enabled", panic == 2 ? "compulsory" : "system-wide");
	current->flags |= PF_DUMPCORE;
	host_abort();
}

/* Victims in flight first, then the largest, until one ends or nobody is left. */
static bool oom_kill_someone(struct oom_control *oc)
{
	bool helps;

	do {
		/* Who waits goes on doing so, for the same victim. */
		if (!select_bad_process(oc))
			return true;
		helps = memory_came_free(oc);
		if (helps)
			break;
		if (READ_ONCE(sysctl_oom_kill_allocating_task) && !oc->memcg &&
		    oom_badness(current_owner(), oc->totalpages) != LONG_MIN) {
			oc->chosen = current_owner();
			oc->chosen_points = 0;
		}
		if (!oc->chosen) {
			if (dump_header(oc, true))
				oom_say("Out of memory and no owner that could be aborted: the request fails");
			break;
		}
		helps = oom_kill_process(oc);
	} while (!helps);
	oom_tell_waiting();
	return helps;
}

static bool only_report(struct oom_control *oc)
{
	select_bad_process(oc);
	if (dump_header(oc, true))
		oom_say("Out of memory: the request fails, as oom:report wants it");
	oom_tell_waiting();
	return false;
}

static void set_constraint(struct oom_control *oc)
{
	oc->constraint = oc->memcg ? CONSTRAINT_MEMCG : oc->nodemask ? CONSTRAINT_MEMORY_POLICY : CONSTRAINT_NONE;
	oc->totalpages = oc->memcg ? READ_ONCE(oc->memcg->limit) : budget_total() >> PAGE_SHIFT;
}

bool out_of_memory(struct oom_control *oc)
{
	ADD_ONCE(oom_calls, 1); /* under the oom lock */
	if ((!oc->memcg && budget_binding() == NR_LIMITS) || READ_ONCE(tunables.oom) == OOM_ENOMEM)
		return false;
	pressure_signal();
	set_constraint(oc);
	if (READ_ONCE(tunables.oom) == OOM_REPORT)
		return only_report(oc);
	check_panic_on_oom(oc);
	return oom_kill_someone(oc);
}

bool mem_cgroup_out_of_memory(struct owner *owner, gfp_t gfp, unsigned int order)
{
	struct oom_control oc = { .memcg = owner, .gfp_mask = gfp, .order = order };
	uint32_t news = oom_news();
	bool ret;

	if (order > PAGE_ALLOC_COSTLY_ORDER || !(gfp & GFP_FS) || current->flags & (PF_DUMPCORE | PF_MEMALLOC) ||
	    oom_step_closed())
		return false;
	if (oom_wait_for_shrinkers())
		return true;
	current->oom_step = true;
	if (mutex_trylock(&oom_lock)) {
		ret = memory_came_free(&oc) || out_of_memory(&oc);
		mutex_unlock(&oom_lock);
	} else {
		ret = true;
	}
	current->oom_step = false;
	if (ret)
		oom_wait_for_news(news);
	return ret;
}

bool oom_owner_goes(struct owner *owner)
{
	uint32_t running;

	mutex_lock(&oom_lock);
	end_callback(owner);
	/* From within another's callback it is not waited for: that one may be waited for in this one's. */
	while ((running = owner->oom.running) && !current->oom_callback) {
		mutex_unlock(&oom_lock);
		host_futex_wait(&owner->oom.running, running);
		mutex_lock(&oom_lock);
	}
	if (!running)
		mark_oom_victim(owner);
	mutex_unlock(&oom_lock);
	return !running;
}

void oom_lock_all(void)
{
	mutex_lock(&oom_lock);
}
void oom_unlock_all(void)
{
	mutex_unlock(&oom_lock);
}

/* Nobody in the child is a victim, and nobody is at an abort callback but, maybe, this thread. */
void oom_reinit_after_fork(void)
{
	struct owner *owner;

	for (owner = owner_next(NULL); owner; owner = owner_next(owner)) {
		unmark_oom_victim(owner);
		owner->oom.passed_over = 0;
		owner->oom.running = current->oom_callback == owner;
	}
	current->oom_victim = NULL;
	oom_waits.waiting = 0;
	mutex_reinit_after_fork(&oom_lock);
}
