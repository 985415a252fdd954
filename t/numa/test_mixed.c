/* SPDX-License-Identifier: MIT */
/*
 * Threads that move from node to node, change their policy, fork, and pass blocks of all sizes to each other: what a
 * thread is given lies where its policy says, or where it runs; calloc's reads as zero, whoever had it before; and
 * nothing is damaged.
 */
#include "numa.h"
#include "../stress/stress.h"

#define NR_THREADS 3
#define NR_SLOTS 48
#define STEPS 2500
#define MAX_LOG 22

/* Whoever has taken a block out has it. */
static struct block *_Atomic slot[NR_SLOTS];

struct mixer {
	pthread_t thread;
	struct random r;
	unsigned long set; /* nodes that the policy allows */
	bool bound;	   /* by a policy, not by where the thread runs */
	unsigned long moves, looked_at, astray;
};

static unsigned long all_nodes(void)
{
	unsigned long set = 0;

	for (int nid = 0; nid < numa_nodes; nid++)
		set |= numa_node[nid].mib ? 1UL << nid : 0;
	return set;
}

/* On the CPUs of some node, and with a policy or none. */
static void move(struct mixer *m)
{
	int nid = (int)random_below(&m->r, (size_t)numa_nodes), home;
	unsigned long mask = 1UL << nid;

	m->moves++;
	if (numa_node[nid].cpus)
		numa_run_on(nid);
	home = numa_node[nid].mib && numa_node[nid].cpus ? nid : -1;
	m->bound = numa_node[nid].mib && random_below(&m->r, 2);
	if (m->bound) {
		want(!bm_set_mempolicy(MPOL_BIND, &mask, MASK_BITS), "cannot bind to node %d", nid);
		m->set = mask;
	} else if (home >= 0) {
		bm_set_mempolicy(MPOL_DEFAULT, NULL, 0);
		m->set = mask;
	} else {
		mask = all_nodes();
		bm_set_mempolicy(MPOL_INTERLEAVE, &mask, MASK_BITS);
		m->set = mask;
	}
}

static void look_at(struct mixer *m, const struct block *b, size_t from, const char *how)
{
	for (size_t at = from; at < b->size; at += PAGE) {
		int nid = numa_node_of_written(b->addr + at);

		m->looked_at++;
		if (nid >= 0 && m->set & 1UL << nid)
			continue;
		if (!m->astray++)
			want(false, "%s: a page of %zu bytes at %zu lies on %d, not on %#lx%s (SEED=%llu)", how,
			     b->size, at, nid, m->set, m->bound ? ", by policy" : "", (unsigned long long)stress_seed);
		return;
	}
}

static bool is_zero(const char *p, size_t size)
{
	for (size_t at = 0; at < size; at += size <= 65536 || at % PAGE < 64 ? 1 : 61)
		if (p[at])
			return false;
	return !p[size - 1];
}

static struct block *get(struct mixer *m)
{
	struct block *b = malloc(sizeof(*b));

	b->size = random_size(&m->r, MAX_LOG);
	if (random_below(&m->r, 3)) {
		block_get(b, b->size, &m->r);
	} else {
		b->addr = calloc(b->size, 1);
		want(b->addr && is_zero(b->addr, b->size), "calloc: %zu bytes are not zero (SEED=%llu)", b->size,
		     (unsigned long long)stress_seed);
		pattern_fill(b->addr, b->size);
	}
	look_at(m, b, 0, "had");
	return b;
}

/* What comes to it is had under the policy of now. Where a block stays in its place, so may its last page. */
static void resize(struct mixer *m, struct block *b)
{
	size_t before = malloc_usable_size(b->addr);
	const char *addr = b->addr;

	block_resize(b, random_size(&m->r, MAX_LOG));
	if (b->addr != addr)
		before = 0;
	if (m->bound && before < b->size)
		look_at(m, b, (before + PAGE - 1) & ~(PAGE - 1), before ? "longer" : "moved");
}

/* The child has what the parent has, and more under the same policy. */
static void fork_child(struct mixer *m, const struct block *b)
{
	int status = -1;
	pid_t pid = fork();

	if (!pid) {
		m->astray = 0;
		api_failures = 0;
		block_check(b, "in a child");
		get(m);
		_exit(m->astray || api_failures);
	}
	want(pid > 0 && waitpid(pid, &status, 0) == pid, "no child: %s", strerror(errno));
	want(!status, "a child ended with %#x", (unsigned int)status);
}

static void step(struct mixer *m)
{
	struct block *_Atomic *place = &slot[random_below(&m->r, NR_SLOTS)];
	struct block *b = __atomic_exchange_n((struct block **)place, NULL, __ATOMIC_ACQ_REL);

	if (!b) {
		b = get(m);
	} else if (random_below(&m->r, 2)) {
		block_put(b, "at free");
		free(b);
		b = NULL;
	} else if (random_below(&m->r, 2)) {
		resize(m, b);
	} else if (!random_below(&m->r, 50)) {
		fork_child(m, b);
	}
	b = __atomic_exchange_n((struct block **)place, b, __ATOMIC_ACQ_REL);
	if (b) {
		block_put(b, "at free");
		free(b);
	}
}

static void *mix(void *arg)
{
	struct mixer *m = arg;

	move(m);
	for (size_t i = 0; i < scaled(STEPS); i++) {
		if (!random_below(&m->r, 40))
			move(m);
		step(m);
	}
	return NULL;
}

int main(void)
{
	static struct mixer mixer[NR_THREADS];
	unsigned long looked_at = 0, astray = 0;

	numa_init();
	stress_begin(1);
	for (int i = 0; i < NR_THREADS; i++) {
		mixer[i].r = random_of((uint64_t)i);
		if (pthread_create(&mixer[i].thread, NULL, mix, &mixer[i]))
			bail_out("no thread");
	}
	for (int i = 0; i < NR_THREADS; i++) {
		pthread_join(mixer[i].thread, NULL);
		looked_at += mixer[i].looked_at;
		astray += mixer[i].astray;
	}
	want(!astray, "%lu blocks lie elsewhere", astray);
	verdict("%lu pages of threads that move, change their policy and fork lie where they are to", looked_at);
	return done_testing();
}
