/* SPDX-License-Identifier: MIT */
/*
 * A fork storm out of a program whose threads are inside malloc all the time. Parent and child both go on
 * allocating; a child checks and frees what it inherited, starts threads, forks again, and ends by exit or _exit.
 * An alarm ends whoever hangs. Exit status 0 if all is well.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define BUSY 6
#define FORKERS 3
#define FORKS 60
#define KEPT 200
#define TIME_LIMIT 600

static atomic_int stop;
static unsigned char *kept[KEPT];

static size_t size_of(unsigned int i)
{
	static const size_t sizes[] = { 1, 24, 64, 200, 1000, 4000, 20000, 70000, 300000, 3000000 };

	return sizes[i % 10] + i % 7;
}

static void work(unsigned int seed, int rounds)
{
	unsigned char *block[32] = { NULL };
	unsigned int i;

	for (i = seed; rounds-- > 0; i = i * 1103515245 + 12345) {
		unsigned int slot = i >> 16 & 31;
		size_t size = size_of(i >> 21);

		if (block[slot] && block[slot][0] != slot + 1)
			abort();
		if (i & 0x40000000)
			block[slot] = realloc(block[slot], size);
		else {
			free(block[slot]);
			block[slot] = malloc(size);
		}
		if (!block[slot])
			abort();
		block[slot][0] = slot + 1;
	}
	for (i = 0; i < 32; i++)
		free(block[i]);
}

static void *busy(void *arg)
{
	unsigned int seed = (unsigned int)(size_t)arg;

	while (!atomic_load(&stop))
		work(seed++, 100);
	return NULL;
}

static void *short_work(void *arg)
{
	work((unsigned int)(size_t)arg, 500);
	return NULL;
}

static void child(unsigned int n)
{
	pthread_t thread[2];
	unsigned int i;

	alarm(TIME_LIMIT);
	for (i = 0; i < KEPT; i++) {
		if (kept[i][0] != i || kept[i][size_of(i) - 1] != i)
			_exit(2);
		free(kept[i]);
	}
	work(n, 300);
	for (i = 0; i < 2; i++)
		if (pthread_create(&thread[i], NULL, short_work, (void *)(size_t)(n + i)))
			_exit(3);
	if (n % 4 == 0) {
		pid_t pid = fork();
		int status;

		if (!pid) {
			work(n, 200);
			_exit(0);
		}
		if (waitpid(pid, &status, 0) != pid || status)
			_exit(4);
	}
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	if (n % 2)
		exit(0);
	_exit(0);
}

static void *forker(void *arg)
{
	unsigned int n, first = (unsigned int)(size_t)arg * FORKS;
	int status;

	for (n = first; n < first + FORKS; n++) {
		pid_t pid = fork();

		if (!pid)
			child(n);
		work(n, 50);
		if (waitpid(pid, &status, 0) != pid || status) {
			fprintf(stderr, "child %u: status %#x\n", n, status);
			_exit(1);
		}
	}
	return NULL;
}

int main(void)
{
	pthread_t thread[BUSY + FORKERS];
	size_t i;

	alarm(TIME_LIMIT);
	for (i = 0; i < KEPT; i++) {
		kept[i] = malloc(size_of(i));
		memset(kept[i], (int)i, size_of(i));
	}
	for (i = 0; i < BUSY + FORKERS; i++)
		if (pthread_create(&thread[i], NULL, i < BUSY ? busy : forker, (void *)i))
			return 1;
	for (i = BUSY; i < BUSY + FORKERS; i++)
		pthread_join(thread[i], NULL);
	atomic_store(&stop, 1);
	for (i = 0; i < BUSY; i++)
		pthread_join(thread[i], NULL);
	return puts("done") < 0;
}
