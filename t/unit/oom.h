/* SPDX-License-Identifier: MIT */
/*
 * The OOM step with signals, sleeping and the pressure signal, which is its first act, played by the test: the linker
 * puts these in front of the real ones. Owners have what the test says they have.
 */
#ifndef T_UNIT_OOM_H
#define T_UNIT_OOM_H

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

TAP_UNUSED int told(bm_owner_t *owner, void *arg)
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

TAP_UNUSED void set_limit(void)
{
	tunables.limit = LIMIT_PAGES << PAGE_SHIFT;
	budget_limit_changed();
	must(limits_in_force && owner_accounting);
}

TAP_UNUSED void start(void)
{
	walk_start(1);
	set_limit();
	tunables.oom_wait_ms = 60000;
	/* This thread has little, and so has the process. */
	current_owner()->usage = 1;
}

TAP_UNUSED struct party *create(int i, unsigned long pages, bool with_abort)
{
	struct bm_owner_attr attr = { .abort = with_abort ? told : NULL, .arg = &parties[i] };
	char name[32];

	snprintf(name, sizeof(name), "party-%d", i);
	attr.name = name;
	must(parties[i].owner = owner_create(&attr, NULL));
	parties[i].owner->usage = pages;
	return &parties[i];
}

TAP_UNUSED bool oom(void)
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
TAP_UNUSED void let_time_pass(struct party *p)
{
	p->owner->oom.since -= tunables.oom_wait_ms;
}

TAP_UNUSED unsigned int calls(void)
{
	unsigned int i, nr = 0;

	for (i = 0; i < ARRAY_SIZE(parties); i++)
		nr += parties[i].calls;
	return nr;
}

#endif
