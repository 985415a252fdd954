/* SPDX-License-Identifier: MIT */
/*
 * deepbind ask PLUGIN: opens the plug-in with RTLD_DEEPBIND and prints whose name() it sees, the program's or its own.
 * deepbind swap PLUGIN: each frees what the other allocated. With -DEARLY it is a library whose constructor does the
 * opening, and the program prints what that saw.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *open_plugin(const char *file)
{
	void *handle = dlopen(file, RTLD_NOW | RTLD_DEEPBIND);

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
	early_saw = ask(open_plugin("deepbind-plugin.so"));
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

int main(int argc, char **argv)
{
	void *plugin = argc == 3 ? open_plugin(argv[2]) : NULL;

	if (!plugin)
		return 1;
	if (!strcmp(argv[1], "swap"))
		return swap(plugin);
	puts(&early_saw ? early_saw : ask(plugin));
	return 0;
}
#endif
