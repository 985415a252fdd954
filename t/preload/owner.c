/* SPDX-License-Identifier: MIT */
/*
 * What libc, the loader and the name service allocate inside of a named owner that is then destroyed: nothing of it is
 * charged, and all of it still works when the memory of the owner has been used for something else. Prints a line for
 * each that is so; what it prints itself goes through the buffer that printf got inside.
 */
#include <dlfcn.h>
#include <iconv.h>
#include <locale.h>
#include <netdb.h>
#include <pthread.h>
#include <search.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "buddymalloc.h"

static bm_owner_t *owner;
static size_t charged; /* before the call that is looked at */
static int failed;

static void expect(int good, const char *what)
{
	if (!good) {
		dprintf(2, "not so: %s\n", what);
		failed = 1;
	}
}

static void nothing_charged(const char *what)
{
	size_t now = bm_owner_usage(owner);

	if (now != charged)
		dprintf(2, "%s: %zu bytes charged, %zu before\n", what, now, charged);
	failed |= now != charged;
}

static sem_t go_on;
static __thread char tls[3000];
static void *thread(void *arg)
{
	char *p = strdup(arg);

	memset(tls, 1, sizeof(tls));
	sem_wait(&go_on);
	printf("the thread goes on: %s\n", p);
	free(p);
	return tls[2999] ? "done" : NULL;
}

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* By a module of iconv's that has a state of its own; a system without the module has nothing to show. */
static int converts(iconv_t cd)
{
	char text[] = "a", out[16], *in = text, *at = out;
	size_t left = 1, room = sizeof(out);

	return cd == (iconv_t)-1 ||
	       (!iconv(cd, &in, &left, &at, &room) && at - out == 4 && !memcmp(out, "\xff\xfe\x61", 4));
}

/* Used again: all that the owner had, and more. */
static void scribble(void)
{
	enum { NR = 20000 };
	static char *p[NR];
	int i;

	for (i = 0; i < NR; i++) {
		p[i] = malloc((size_t)(i % 3000) + 1);
		memset(p[i], 0xaa, (size_t)(i % 3000) + 1);
	}
	for (i = 0; i < NR; i++)
		free(p[i]);
}

int main(int argc, char **argv)
{
	struct bm_owner_attr attr = { .name = "request" };
	struct addrinfo *found = NULL, *again = NULL;
	void *(*volatile direct)(size_t) = malloc;
	char *line = NULL, *text, *formatted = NULL;
	void *lib, *tree = NULL, *ret = NULL, *own;
	char *(*version)(void);
	size_t len = 0;
	iconv_t utf16;
	pthread_t t;
	FILE *file;
	int err;

	(void)argc;
	sem_init(&go_on, 0, 0);
	owner = bm_owner_create(&attr);
	bm_owner_enter(owner);

	/* Its own: that this is charged shows that the rest could be. */
	own = direct(100);
	expect(own && bm_owner_usage(owner) > 0, "what the program allocates is charged");
	charged = bm_owner_usage(owner);

	printf("printf for the first time\n");
	nothing_charged("printf");
	text = strdup(argv[0]);
	nothing_charged("strdup");
	err = getaddrinfo("localhost", "80", NULL, &found);
	nothing_charged("getaddrinfo");
	expect(!err && found, "localhost is found");
	expect(!pthread_create(&t, NULL, thread, "what was its argument"), "pthread_create");
	nothing_charged("pthread_create");
	lib = dlopen("libz.so.1", RTLD_NOW);
	if (!lib)
		lib = dlopen("libm.so.6", RTLD_NOW);
	nothing_charged("dlopen");
	expect(lib, "dlopen");
	expect(dlopen("libstdc++.so.6", RTLD_NOW) != NULL, "dlopen of a C++ runtime");
	nothing_charged("dlopen of a C++ runtime");
	version = lib ? (char *(*)(void))dlsym(lib, "zlibVersion") : NULL;
	dlsym(RTLD_DEFAULT, "no_such_symbol");
	expect(dlerror() != NULL, "dlerror");
	nothing_charged("dlerror");
	expect(setlocale(LC_ALL, "C.UTF-8") != NULL, "setlocale");
	nothing_charged("setlocale");
	setenv("BM_TEST_OWNER", "from inside", 1);
	nothing_charged("setenv");
	file = fopen("/proc/self/maps", "r");
	expect(file && getline(&line, &len, file) > 0, "getline");
	nothing_charged("fopen and getline");
	expect(asprintf(&formatted, "%s %.3000d", "formatted", 1) > 3000, "asprintf");
	nothing_charged("asprintf");
	tsearch("node", &tree, compare);
	nothing_charged("tsearch");
	tzset();
	localtime(&(time_t){ 0 });
	nothing_charged("localtime");
	utf16 = iconv_open("UTF-16", "UTF-8");
	nothing_charged("iconv_open");
	atexit(scribble);
	for (int i = 0; i < 100; i++)
		on_exit((void (*)(int, void *))scribble, NULL);
	nothing_charged("atexit");

	bm_owner_enter(NULL);
	expect(bm_owner_destroy(owner) == 0, "destroy");
	scribble();

	printf("and again, for the locale %s\n", setlocale(LC_ALL, NULL));
	expect(!strcmp(text, argv[0]), "strdup's");
	free(text);
	expect(found && found->ai_addr && !getaddrinfo("localhost", "81", NULL, &again), "getaddrinfo again");
	freeaddrinfo(found);
	freeaddrinfo(again);
	sem_post(&go_on);
	pthread_join(t, &ret);
	expect(ret && !strcmp(ret, "done"), "the thread");
	expect(!version || version()[0] == '1', "a function of the library");
	expect(!lib || dlclose(lib) == 0, "dlclose");
	expect(!strcmp(getenv("BM_TEST_OWNER"), "from inside"), "getenv");
	while (file && getline(&line, &len, file) > 0)
		;
	if (file)
		fclose(file);
	free(line);
	expect(!strncmp(formatted, "formatted 000", 13), "asprintf's");
	free(formatted);
	expect(converts(utf16), "iconv");
	if (utf16 != (iconv_t)-1)
		iconv_close(utf16);
	expect(tfind("node", &tree, compare) && tdelete("node", &tree, compare), "tfind");
	printf("%s\n", failed ? "something dangles" : "nothing dangles");
	return failed;
}
