/* SPDX-License-Identifier: MIT */
/*
 * The OOM step where a thread is chosen: what it is told, and what comes of it, if it ends, is the one that asks, or
 * does nothing.
 */
#include <errno.h>

#include "oom.h"

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

int main(void)
{
	run_case_says("SIGABRT to the thread", to_thread, "(thread 4711)");
	run_case_says("a thread that has just ended is no victim", thread_gone, "aborting owner party-0");
	run_case_says("nor is one that ends meanwhile", thread_ends, "aborting owner party-0");
	run_case("a victim inside of another owner is one", victim_inside);
	run_case_aborts("a signal that does nothing: the end of the process", signal_in_vain, "SIGABRT has not ended");
	run_case_says("SIGABRT to the thread that asks", to_self, "invoked oom-killer");
	run_case_aborts("which is not waited for for ever", self_in_vain, "SIGABRT has not ended");
	run_case_aborts("what exited threads left is the process's", exited, "aborting owner process");
	return done_testing();
}
