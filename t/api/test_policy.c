/* SPDX-License-Identifier: MIT */
/*
 * Scopes and memory policy as a program sets them, on the nodes that this machine has.
 */
#include <linux/mempolicy.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "api.h"

#define MASK_LONGS 16
#define MASK_BITS (8 * sizeof(unsigned long) * MASK_LONGS)

static unsigned long allowed[MASK_LONGS]; /* the nodes this process may use */
static unsigned long first[MASK_LONGS];	  /* the first of them */
static unsigned long none[MASK_LONGS];

/* The nodes, from the kernel; node 0 where it does not tell. */
static void find_nodes(void)
{
	if (syscall(SYS_get_mempolicy, NULL, allowed, MASK_BITS + 1, NULL, MPOL_F_MEMS_ALLOWED))
		allowed[0] = 1;
	first[0] = allowed[0] & -allowed[0];
	if (!first[0])
		skip_all("this process may use none of the first 64 nodes");
}

static bool several_nodes(void)
{
	return allowed[0] != first[0];
}

static bool policy_is(int mode, const unsigned long *nodes)
{
	unsigned long got[MASK_LONGS];
	int got_mode = -1, err;

	memset(got, 0xff, sizeof(got));
	err = bm_get_mempolicy(&got_mode, got, MASK_BITS + 1);
	if (!err && got_mode == mode && !memcmp(got, nodes, sizeof(got)))
		return true;
	diag("bm_get_mempolicy: %d, mode %#x, nodes %#lx; wanted mode %#x, nodes %#lx", err, got_mode, got[0], mode,
	     nodes[0]);
	return false;
}

static int set(int mode, const unsigned long *nodes)
{
	return bm_set_mempolicy(mode, nodes, MASK_BITS + 1);
}

/* Blocks of every kind, while a policy is in force. */
static void use_malloc(const char *policy)
{
	static const size_t sizes[] = { 1, 100, 5000, 60000, 300000, 5 * MIB };

	for (size_t i = 0; i < API_ARRAY_SIZE(sizes); i++) {
		char *p = malloc(sizes[i]);

		want(p != NULL, "malloc(%zu) under %s", sizes[i], policy);
		if (p)
			memset(p, 'p', sizes[i]);
		free(p);
	}
}

static void test_policies(void)
{
	want(policy_is(MPOL_DEFAULT, none), "at first");
	want(!set(MPOL_BIND, allowed) && policy_is(MPOL_BIND, allowed), "bind");
	use_malloc("bind");
	want(!set(MPOL_INTERLEAVE, allowed) && policy_is(MPOL_INTERLEAVE, allowed), "interleave");
	use_malloc("interleave");
	want(!set(MPOL_PREFERRED, allowed) && policy_is(MPOL_PREFERRED, first), "preferred");
	use_malloc("preferred");
	want(!set(MPOL_LOCAL, NULL) && policy_is(MPOL_LOCAL, none), "local");
	use_malloc("local");
	want(!set(MPOL_BIND | MPOL_F_STATIC_NODES, first) && policy_is(MPOL_BIND | MPOL_F_STATIC_NODES, first),
	     "static nodes");
	want(!set(MPOL_DEFAULT, NULL) && policy_is(MPOL_DEFAULT, none), "default");
	verdict("each policy is what was set, and malloc works under it");
}

static void test_errors(void)
{
	unsigned long beyond[MASK_LONGS] = { 0, 1 };

	want(!set(MPOL_BIND, first), "bind");
	errno = ERRNO_MARK;
	want(set(-1, first) == -EINVAL, "a negative mode");
	want(set(99, first) == -EINVAL, "a mode that is none");
	want(set(MPOL_BIND, none) == -EINVAL, "bind to nothing");
	want(set(MPOL_BIND, NULL) == -EINVAL, "bind to no mask");
	want(set(MPOL_BIND, beyond) == -EINVAL, "a node that does not exist");
	want(set(MPOL_DEFAULT, first) == -EINVAL, "default with nodes");
	want(bm_get_mempolicy(NULL, beyond, 0) == -EINVAL && !beyond[0], "a mask of no bits");
	want(!bm_get_mempolicy(NULL, NULL, 0), "nothing is asked");
	want(policy_is(MPOL_BIND, first), "after all that");
	want(errno == ERRNO_MARK, "errno is %d", errno);
	verdict("errors are -EINVAL, and change nothing");
	set(MPOL_DEFAULT, NULL);
}

static void *other_thread(void *arg)
{
	*(bool *)arg = policy_is(MPOL_DEFAULT, none) && bm_memalloc_save(BM_SCOPE_PIN) == 0 && !set(MPOL_BIND, first);
	return NULL;
}

static void test_thread(void)
{
	pthread_t thread;
	bool good = false;

	set(MPOL_INTERLEAVE, allowed);
	bm_memalloc_save(BM_SCOPE_NOIO);
	if (pthread_create(&thread, NULL, other_thread, &good) || pthread_join(thread, NULL))
		bail_out("no thread");
	ok(good, "another thread has neither policy nor scope of this one");
	ok(policy_is(MPOL_INTERLEAVE, allowed) && bm_memalloc_save(0) == BM_SCOPE_NOIO, "nor this one that thread's");
	bm_memalloc_restore(0);
	set(MPOL_DEFAULT, NULL);
}

static void test_scopes(void)
{
	unsigned int outer = bm_memalloc_save(BM_SCOPE_NOFS);
	unsigned int inner = bm_memalloc_save(BM_SCOPE_NOFS | BM_SCOPE_NORECLAIM);

	want(outer == 0 && inner == BM_SCOPE_NOFS, "saved %#x, %#x", outer, inner);
	use_malloc("two scopes");
	want(bm_memalloc_save(0) == (BM_SCOPE_NOFS | BM_SCOPE_NORECLAIM), "both are in force");
	bm_memalloc_restore(inner);
	want(bm_memalloc_save(0) == BM_SCOPE_NOFS, "the outer one is in force again");
	bm_memalloc_restore(outer);
	want(bm_memalloc_save(~0U) == 0, "none is");
	want(bm_memalloc_save(0) == (BM_SCOPE_NOFS | BM_SCOPE_NOIO | BM_SCOPE_NORECLAIM | BM_SCOPE_PIN),
	     "bits that are no scope are passed over");
	bm_memalloc_restore(0);
	verdict("scopes nest");
}

/* The policy that the process was started with. */
static int as_child(void)
{
	return !policy_is(MPOL_BIND | MPOL_F_STATIC_NODES, allowed);
}

static void test_inherited(char *self)
{
	char child_arg[] = "child";
	char *argv[] = { self, child_arg, NULL };
	int status = -1;
	pid_t child;

	if (!several_nodes()) {
		skip(1, "one node: there is no policy to inherit");
		return;
	}
	fflush(NULL);
	child = fork();
	if (child == 0) {
		if (!syscall(SYS_set_mempolicy, MPOL_BIND | MPOL_F_STATIC_NODES, allowed, MASK_BITS + 1))
			execv("/proc/self/exe", argv);
		_exit(2);
	}
	waitpid(child, &status, 0);
	ok(WIFEXITED(status) && !WEXITSTATUS(status), "a program has the policy that it was started with");
}

int main(int argc, char **argv)
{
	find_nodes();
	if (argc > 1)
		return as_child();
	plan(6);
	api_prove_served();
	test_policies();
	test_errors();
	test_thread();
	test_scopes();
	test_inherited(argv[0]);
	return tap_exit();
}
