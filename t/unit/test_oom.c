/* SPDX-License-Identifier: MIT */
/*
 * The OOM step, piece by piece: who is chosen, for how long nobody else is, and what makes it drop its decision.
 */
#include <errno.h>
#include <pthread.h>

#include "oom.h"

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
	run_case("memory that comes free meanwhile: the decision is dropped", decision_dropped);
	run_case_says("the child of a fork starts afresh", forked, "aborting owner party-0");
	run_case_says("an owner is not destroyed under its callback", forget_waits, "aborting owner party-0");
	run_case_says("but by its callback it may be", forget_from_within, "aborting owner party-0");
	run_case_says("nor is another's waited for there", forget_from_another, "aborting owner party-0");
	run_case_says("an owner that is being destroyed is waited for", being_destroyed, "aborting owner party-1");
	run_case("the table of owners is sorted, and not too long", table_is_sorted);
	return done_testing();
}
