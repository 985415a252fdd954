/* SPDX-License-Identifier: MIT */
/*
 * Signal handlers that allocate on the smallest alternate stack: what the kernel needs for its frame, 4 KiB for the
 * allocator and a little for the handler. Below it is a page without access. The first allocation of a fresh thread
 * is made there too. Linked with -z now: the loader's lazy binding would want that stack for itself.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif
#define ALLOCATOR_STACK 4096
#define HANDLER_STACK 512

static volatile size_t handled;

static void handler(int sig)
{
	static const size_t sizes[] = { 1, 16, 100, 1000, 8000, 40000, 100000, 700000, 3000000, 50000000 };
	char *p[10];
	size_t i;

	(void)sig;
	for (i = 0; i < 10; i++) {
		p[i] = malloc(sizes[i]);
		if (!p[i])
			_exit(2);
		p[i][0] = p[i][sizes[i] - 1] = (char)i;
	}
	for (i = 0; i < 10; i++) {
		p[i] = realloc(p[i], sizes[9 - i] + 1);
		if (!p[i])
			_exit(3);
	}
	for (i = 0; i < 10; i++)
		free(p[i]);
	handled++;
}

static void *on_small_stack(void *arg)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), need = getauxval(AT_MINSIGSTKSZ);
	size_t size = (need ? need : (size_t)MINSIGSTKSZ) + ALLOCATOR_STACK + HANDLER_STACK;
	char *map = mmap(NULL, size + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_t stack = { .ss_sp = map + page, .ss_size = size };

	if (map == MAP_FAILED || mprotect(map, page, PROT_NONE) || sigaltstack(&stack, NULL))
		_exit(4);
	raise(SIGUSR1);
	raise(SIGUSR1);
	stack.ss_flags = SS_DISABLE;
	sigaltstack(&stack, NULL);
	munmap(map, size + 2 * page);
	return arg;
}

int main(void)
{
	struct sigaction action;
	pthread_t thread;
	int i;

	memset(&action, 0, sizeof(action));
	action.sa_handler = handler;
	action.sa_flags = SA_ONSTACK;
	sigaction(SIGUSR1, &action, NULL);
	on_small_stack(NULL);
	for (i = 0; i < 20; i++)
		if (pthread_create(&thread, NULL, on_small_stack, NULL) || pthread_join(thread, NULL))
			return 1;
	printf("handled %zu signals\n", handled);
	return 0;
}
