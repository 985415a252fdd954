/* SPDX-License-Identifier: MIT */
/*
 * deepbind ask PLUGIN [LIBRARY]: opens the plug-in with RTLD_DEEPBIND and prints whose name() it sees, the program's or
 * its own; with LIBRARY by the dlopen of that, which is opened first. deepbind swap PLUGIN: each frees what the other
 * allocated. With -DOWN_MALLOC the program has a malloc of its own. With -DEARLY it is a library whose constructor does
 * the opening, and the program prints what that saw.
 */
#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void *(*dlopen_t)(const char *file, int mode);

static void *open_plugin(dlopen_t by, const char *file)
{
	void *handle = by(file, RTLD_NOW | RTLD_DEEPBIND);

	if (!handle)
		printf("%s\n", dlerror());
	return handle;
}

static const char *ask(void *plugin)
{
	const char *(*seen_name)(void) = NULL;

	if (plugin)
		*(void **)&seen_name = dlsym(plugin, "seen_name");
	return seen_name ? seen_name() : "nothing";
}

#ifdef EARLY
const char *early_saw;

static __attribute__((constructor)) void open_early(void)
{
	early_saw = ask(open_plugin(dlopen, "deepbind-plugin.so"));
}
#else
extern const char *early_saw __attribute__((weak));

const char *name(void);
const char *name(void)
{
	return "the program's";
}

static int swap(void *plugin)
{
	char *(*give)(void);
	void (*take)(char *p);
	char *given;
	int i;

	*(void **)&give = dlsym(plugin, "give");
	*(void **)&take = dlsym(plugin, "take");
	for (i = 0; i < 100; i++) {
		given = give();
		take(strdup(given));
		free(given);
	}
	puts("done");
	return 0;
}

#ifdef OWN_MALLOC
static char arena[1 << 20] __attribute__((aligned(16)));
static size_t used;

void *malloc(size_t size)
{
	used += (size + 15) & ~15UL;
	return used <= sizeof(arena) ? arena + used - ((size + 15) & ~15UL) : NULL;
}

void *calloc(size_t n, size_t size)
{
	return malloc(n * size);
}

void *realloc(void *p, size_t size)
{
	void *q = malloc(size);

	return p && q ? memcpy(q, p, size) : q; /* what lies behind p is the arena's, too, or q's */
}

void free(void *p)
{
	(void)p;
}
#endif

int main(int argc, char **argv)
{
	dlopen_t by = dlopen;
	void *plugin;

	if (argc > 3) {
		void *library = dlopen(argv[3], RTLD_NOW | RTLD_LOCAL);

		if (!library) {
			puts(dlerror());
			return 77;
		}
		*(void **)&by = dlsym(library, "dlopen");
	}
	plugin = open_plugin(by, argv[2]);
	if (!plugin)
		return 1;
	if (!strcmp(argv[1], "swap"))
		return swap(plugin);
	puts(&early_saw ? early_saw : ask(plugin));
	return 0;
}
#endif
