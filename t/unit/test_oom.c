/* SPDX-License-Identifier: MIT */
/*
 * The OOM step, piece by piece: who is chosen, who is signalled, for how long nobody else is, and what makes it drop
 * its decision. Signals, sleeping and the pressure signal, which is its first act, are played by this test, which the
 * linker puts in front of the real ones. Owners have what the test says they have.
 */
#include <errno.h>
#include <pthread.h>

#include "base/host.h"
#include "base/tunables.h"
#include "mm/budget.h"
#include "mm/oom.h"
#include "mm/owner.h"
#include "mm/pressure.h"
#include "walk.h"

#define LIMIT_PAGES (1UL << 20)

static unsigned int signals;
static int signalled, kill_result;
static void (*on_kill)(void);

int __wrap_os_tgkill(int tid, int sig);
int __wrap_os_tgkill(int tid, int sig)
{
	must(sig == SIGABRT);
	signals++;
	signalled = tid;
	if (on_kill)
		on_kill();
	return kill_result;
}

static unsigned int sleeps;

void __wrap_os_sleep_ms(unsigned int ms);
void __wrap_os_sleep_ms(unsigned int ms)
{
	sleeps += ms;
	usleep(1000);
}

/* The tick is endless: who is not told waits for ever. */
static uint32_t asleep;

bool __wrap_os_futex_wait_ms(uint32_t *word, uint32_t value, unsigned int ms);
bool __wrap_os_futex_wait_ms(uint32_t *word, uint32_t value, unsigned int ms)
{
	must(ms);
	__atomic_add_fetch(&asleep, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(word, __ATOMIC_SEQ_CST) == value)
		host_futex_wait(word, value);
	return true;
}

static void (*on_begin)(void);

void __wrap_pressure_signal(void);
void __wrap_pressure_signal(void)
{
	if (on_begin)
		on_begin();
}

static struct party {
	struct owner *owner;
	unsigned int calls;
	int answer;
	void (*on_abort)(struct party *p);
} parties[40];

static int told(bm_owner_t *owner, void *arg)
{
	struct party *p = arg;

	must(owner == owner_handle(p->owner) && current->flags & PF_MEMALLOC);
	must(mutex_trylock(&oom_lock), "no lock is held");
	mutex_unlock(&oom_lock);
	p->calls++;
	if (p->on_abort)
		p->on_abort(p);
	return p->answer;
}

static void set_limit(void)
{
	tunables.limit = LIMIT_PAGES << PAGE_SHIFT;
	budget_limit_changed();
	must(limits_in_force && owner_accounting);
}

static void start(void)
{
	walk_start(1);
	set_limit();
	tunables.oom_wait_ms = 60000;
	/* This thread has little, and so has the process. */
	current_owner()->usage = 1;
}

static struct party *create(int i, unsigned long pages, bool with_abort)
{
	struct bm_owner_attr attr = { .abort = with_abort ? told : NULL, .arg = &parties[i] };
	char name[32];

	snprintf(name, sizeof(name), "party-%d", i);
	attr.name = name;
	must(parties[i].owner = owner_create(&attr, NULL));
	parties[i].owner->usage = pages;
	return &parties[i];
}

static bool oom(void)
{
	struct oom_control oc = { .gfp_mask = GFP_KERNEL };
	bool ret;

	mutex_lock(&oom_lock);
	current->oom_step = true;
	ret = out_of_memory(&oc);
	current->oom_step = false;
	mutex_unlock(&oom_lock);
	must(!oc.page);
	return ret;
}

/* Its time is over. */
static void let_time_pass(struct party *p)
{
	p->owner->oom.since -= tunables.oom_wait_ms;
}

static unsigned int calls(void)
{
	unsigned int i, nr = 0;

	for (i = 0; i < ARRAY_SIZE(parties); i++)
		nr += parties[i].calls;
	return nr;
}

static void no_limit(void)
{
	walk_start(1);
	owner_accounting_enable();
	create(0, 1000, true);
	must(!oom() && !calls() && oom_calls == 1, "no limit");
	set_limit();
	tunables.oom = OOM_ENOMEM;
	must(!oom() && !calls() && oom_calls == 2, "oom:enomem");
}

static void only_report(void)
{
	start();
	create(0, 1000, true);
	tunables.oom = OOM_REPORT;
	must(!oom() && !calls());
}

static void the_largest(void)
{
	start();
	create(0, 1000, true);
	create(1, 3000, true);
	create(2, 2000, true);
	must(oom() && calls() == 1 && parties[1].calls == 1 && !signals);
}

/* One victim: until it has given up half, or nothing for its time. */
static void in_flight(void)
{
	struct party *p, *other;

	start();
	p = create(0, 3000, true);
	other = create(1, 2000, true);
	must(oom() && p->calls == 1);
	must(oom() && oom() && calls() == 1, "it is in flight");
	p->owner->usage = 1600;
	other->owner->usage = 5000;
	must(oom() && calls() == 1, "it has not given up half");
	let_time_pass(p);
	p->owner->usage = 1550;
	must(oom() && calls() == 1, "but it gives up something");
	p->owner->usage = 1500;
	must(oom() && calls() == 2 && other->calls == 1, "it has given up half");
}

/* Who waits is told when somebody was told to end, and when that has had an effect; not that it is still waited for. */
static void *wait_for_news(void *arg)
{
	oom_wait_for_news(*(uint32_t *)arg);
	return NULL;
}

static void news(void)
{
	uint32_t seen = oom_news();
	pthread_t thread;
	struct party *p;

	start();
	p = create(0, 3000, true);
	must(oom() && p->calls == 1 && oom_news() != seen);
	oom_wait_for_news(seen);
	seen = oom_news();
	must(oom() && oom_news() == seen);
	must(!pthread_create(&thread, NULL, wait_for_news, &seen));
	while (__atomic_load_n(&asleep, __ATOMIC_SEQ_CST) < 2)
		usleep(1000);
	usleep(10000);
	owner_give_back(p->owner, 1500);
	pthread_join(thread, NULL);
}

static void passed_over(void)
{
	struct party *p, *other;

	start();
	p = create(0, 3000, true);
	other = create(1, 2000, true);
	must(oom() && p->calls == 1);
	let_time_pass(p);
	must(oom() && calls() == 2 && other->calls == 1, "it had its time, and gave up nothing");
	other->owner->usage = 900;
	must(oom() && calls() == 3 && other->calls == 2, "it is not asked again");
	other->owner->usage = 0;
	p->owner->usage = 2999;
	must(oom() && calls() == 4 && p->calls == 2, "until it has less");
	/* Whoever has given up something is told again when it is through. */
	p->owner->usage = 2000;
	must(oom() && calls() == 4);
	let_time_pass(p);
	must(oom() && calls() == 5 && p->calls == 3);
}

/* This thread is told to end: it gives up all. */
static void go_on(void)
{
	current_owner()->usage = 0;
}

static void scores(void)
{
	start();
	create(0, 100000, true)->owner->score_adj = -1000;
	create(1, 90000, true)->owner->min = 90000;
	create(2, 1000, true)->owner->score_adj = 10; /* a hundredth of the limit: 10485 pages */
	create(3, 11400, true);
	must(oom() && parties[2].calls == 1 && calls() == 1);
	let_time_pass(&parties[2]);
	parties[3].answer = 1;
	tunables.oom_wait_ms = 0;
	on_kill = go_on;
	current_owner()->usage = 900;
	must(oom() && parties[3].calls == 1 && calls() == 2 && signals == 1, "then this thread is left");
}

/* The large ones have said that they cannot end: to end a small one would not help. */
static void small_one(void)
{
	start();
	create(0, 3200, true)->answer = 1;
	current_owner()->usage = 199;
	must(!oom() && calls() == 1 && !signals);
	create(1, 200, true);
	must(oom() && parties[1].calls == 1 && calls() == 2 && !signals, "that is worth it");
}

static void nobody(void)
{
	start();
	current_owner()->usage = 0;
	create(0, 100000, true)->owner->score_adj = -1000;
	parties[0].owner->min = 0;
	must(!oom() && !calls() && !signals);
}

/* Threads: what they are told, and when that does nothing. */
static struct owner *thread_owner(int tid, unsigned long pages)
{
	struct owner *o = owner_place_get();

	must(o);
	o->tid = tid;
	o->usage = pages;
	owner_place_publish(o, OWNER_THREAD);
	return o;
}

static void to_thread(void)
{
	start();
	thread_owner(4711, 3000);
	thread_owner(4712, 2000);
	must(oom() && signals == 1 && signalled == 4711);
	must(oom() && signals == 1 && !sleeps, "it is in flight");
}

static void thread_gone(void)
{
	start();
	thread_owner(4711, 3000);
	create(0, 2000, true);
	kill_result = -ESRCH;
	must(oom() && signals == 1 && parties[0].calls == 1, "it has just ended: the next one");
}

static struct owner *own;

/* It ends while it is waited for; what it has left is the process's. */
static void thread_ends(void)
{
	struct owner *o;

	start();
	o = thread_owner(4711, 3000);
	create(0, 2000, true);
	must(oom() && signals == 1);
	__atomic_or_fetch(&o->state, OWNER_EXITED, __ATOMIC_RELAXED);
	o->usage = 1600; /* more than half of it */
	must(oom() && signals == 1 && parties[0].calls == 1 && !(o->state & OWNER_VICTIM));
}

/* Its signal finds a thread inside of an owner. */
static void victim_inside(void)
{
	struct owner *named;

	start();
	named = create(0, 10, true)->owner;
	own = current_owner();
	own->state |= OWNER_VICTIM;
	own->oom.since = os_clock_ms();
	current->inside = current->charged = named;
	must(current_owner() == named && tsk_is_oom_victim());
	own->oom.since -= tunables.oom_wait_ms;
	must(!tsk_is_oom_victim());
	named->state |= OWNER_VICTIM;
	named->oom.since = os_clock_ms();
	must(tsk_is_oom_victim());
	/* Half of what it had is enough, and is seen when it is given back. */
	named->oom.pages = 20;
	owner_give_back(named, 1);
	must(!tsk_is_oom_victim());
	current->inside = current->charged = NULL;
}

static void signal_in_vain(void)
{
	struct owner *o;

	start();
	o = thread_owner(4711, 3000);
	must(oom() && signals == 1);
	o->oom.since -= tunables.oom_wait_ms;
	oom();
}

static void is_victim(void)
{
	must(tsk_is_oom_victim() && own->state & OWNER_VICTIM);
	must(mutex_trylock(&oom_lock), "no lock is held");
	mutex_unlock(&oom_lock);
	own->usage /= 2;
}

/* The thread that asks is the largest: it has the reserve in its handler, and what that frees is seen at once. */
static void to_self(void)
{
	start();
	own = current_owner();
	own->usage = 3000;
	on_kill = is_victim;
	must(!tsk_is_oom_victim());
	must(oom() && signals == 1 && signalled == os_gettid() && !sleeps && !tsk_is_oom_victim());
	must(!(own->state & OWNER_VICTIM));
}

static void self_in_vain(void)
{
	start();
	tunables.oom_wait_ms = 20;
	current_owner()->usage = 3000;
	oom();
}

/* What exited threads have left is the process's, whose abort is the asking thread's. */
static void exited(void)
{
	struct owner *o;

	start();
	create(0, 2500, true);
	o = thread_owner(4711, 2000);
	__atomic_or_fetch(&o->state, OWNER_EXITED, __ATOMIC_RELAXED);
	o = thread_owner(4712, 1000);
	__atomic_or_fetch(&o->state, OWNER_EXITED, __ATOMIC_RELAXED);
	tunables.oom_wait_ms = 0;
	must(oom_pages(owner_next(NULL)) >= 3000);
	on_kill = abort;
	oom();
}

/* Memory comes free while it is decided. */
static struct zone *zone;

static void free_a_lot(void)
{
	set_marks(zone, 0, 0, 0);
}

static void decision_dropped(void)
{
	struct alloc_context ac = { .highest_zoneidx = ZONE_NORMAL, .lowest_zoneidx = ZONE_NORMAL };
	struct oom_control oc = { .gfp_mask = GFP_KERNEL, .ac = &ac };

	zone = walk_start_with(10);
	fake_os_reset();
	set_limit();
	create(0, 3000, true);
	no_more_growth();
	set_marks(zone, HUGE_MARK, HUGE_MARK, HUGE_MARK);
	oc.zonelist = ac.zonelist = NODE_DATA(0)->node_zonelists[ZONELIST_FALLBACK];
	reset_preferred(&ac);
	on_begin = free_a_lot;
	mutex_lock(&oom_lock);
	must(out_of_memory(&oc) && oc.page && !calls());
	mutex_unlock(&oom_lock);
}

/* In the child of a fork nobody is a victim. */
static void forked(void)
{
	struct party *p;

	start();
	p = create(0, 3000, true);
	must(oom() && p->calls == 1 && p->owner->state & OWNER_VICTIM);
	mutex_lock(&oom_lock);
	oom_reinit_after_fork();
	must(!(p->owner->state & OWNER_VICTIM));
	must(oom() && p->calls == 2);
}

/* What is being destroyed comes free: nobody else is ended for a while. */
static void being_destroyed(void)
{
	struct party *p, *other;
	struct owner *o;

	start();
	p = create(0, 3000, true);
	other = create(1, 2000, true);
	must(!owner_destroy_begin(owner_handle(p->owner), &o) && o == p->owner);
	must(oom() && !calls());
	let_time_pass(p);
	must(oom() && other->calls == 1 && !p->calls);
}

/* Who destroys an owner waits for its callback, but for one that it is in. */
static bool forgotten, may_return;

static void *forget(void *arg)
{
	must(oom_owner_goes(arg));
	__atomic_store_n(&forgotten, true, __ATOMIC_SEQ_CST);
	return NULL;
}

static pthread_t forgetter;

static void be_forgotten(struct party *p)
{
	must(!pthread_create(&forgetter, NULL, forget, p->owner));
	usleep(20000);
	must(!__atomic_load_n(&forgotten, __ATOMIC_SEQ_CST), "the callback is running");
	may_return = true;
}

static void forget_waits(void)
{
	struct party *p;

	start();
	p = create(0, 3000, true);
	p->on_abort = be_forgotten;
	must(oom() && may_return);
	pthread_join(forgetter, NULL);
	must(forgotten);
}

static void forget_self(struct party *p)
{
	must(oom_owner_goes(p->owner));
}

static void forget_from_within(void)
{
	struct party *p;

	start();
	p = create(0, 3000, true);
	p->on_abort = forget_self;
	must(oom() && !p->owner->oom.running);
}

/* Two callbacks that destroy each other's owner shall not wait for each other. */
static void forget_another(struct party *p)
{
	struct owner *o;

	parties[1].owner->oom.running++; /* on another thread */
	must(owner_destroy_begin(owner_handle(parties[1].owner), &o) == -EBUSY);
	must(owner_by_handle(owner_handle(parties[1].owner)), "nothing has happened");
	parties[1].owner->oom.running--;
	must(!owner_destroy_begin(owner_handle(parties[1].owner), &o));
	must(!p->answer);
}

static void forget_from_another(void)
{
	start();
	create(0, 3000, true)->on_abort = forget_another;
	create(1, 2000, true);
	must(oom() && calls() == 1);
}

/* The table: the largest first, 32 of them. */
static void table(void)
{
	int i;

	start();
	for (i = 0; i < 40; i++)
		create(i, 1000 + (unsigned long)(i * 7 % 40), true);
	must(oom());
}

static void table_is_sorted(void)
{
	static char said[1 << 16];
	int status = fake_os_child(table, said, sizeof(said)), rows = 0;
	unsigned long last = ~0UL, others = 0, pages = 0;
	char *line = strstr(said, "Owners state");

	for (line = line ? strchr(line, '\n') : NULL; line && *++line; line = strchr(line, '\n')) {
		unsigned long usage;

		if (sscanf(line, "buddymalloc: and %lu others with %lu pages", &others, &pages) == 2)
			break;
		if (sscanf(line, "buddymalloc: [%*d] named %*u %lu", &usage) != 1)
			continue;
		must(usage <= last, "%lu after %lu", usage, last);
		last = usage;
		rows++;
	}
	must(status == 0 && rows == 32 && others >= 9, "status %#x, %d rows, %lu others", (unsigned int)status, rows,
	     others);
}

int main(void)
{
	run_case("without a limit, and under oom:enomem, nobody is ended", no_limit);
	run_case_says("oom:report says it, and ends nobody", only_report, "as oom:report wants it");
	run_case_says("the largest is told to end", the_largest, "aborting owner party-1");
	run_case_says("one victim at a time", in_flight, "aborting owner party-1");
	run_case_says("who waits is told of that", news, "aborting owner party-0");
	run_case_says("who had its time is passed over", passed_over, "aborting owner party-1");
	run_case_says("score_adj and min", scores, "owner party-3 cannot end now");
	run_case_says("nor is a small one ended where the large ones cannot be", small_one, "the request fails");
	run_case_says("nobody can be ended: the request fails", nobody, "no owner that could be aborted");
	run_case_says("SIGABRT to the thread", to_thread, "(thread 4711)");
	run_case_says("a thread that has just ended is no victim", thread_gone, "aborting owner party-0");
	run_case_says("nor is one that ends meanwhile", thread_ends, "aborting owner party-0");
	run_case("a victim inside of another owner is one", victim_inside);
	run_case_aborts("a signal that does nothing: the end of the process", signal_in_vain, "SIGABRT has not ended");
	run_case_says("SIGABRT to the thread that asks", to_self, "invoked oom-killer");
	run_case_aborts("which is not waited for for ever", self_in_vain, "SIGABRT has not ended");
	run_case_aborts("what exited threads left is the process's", exited, "aborting owner process");
	run_case("memory that comes free meanwhile: the decision is dropped", decision_dropped);
	run_case_says("the child of a fork starts afresh", forked, "aborting owner party-0");
	run_case_says("an owner is not destroyed under its callback", forget_waits, "aborting owner party-0");
	run_case_says("but by its callback it may be", forget_from_within, "aborting owner party-0");
	run_case_says("nor is another's waited for there", forget_from_another, "aborting owner party-0");
	run_case_says("an owner that is being destroyed is waited for", being_destroyed, "aborting owner party-1");
	run_case("the table of owners is sorted, and not too long", table_is_sorted);
	return done_testing();
}
