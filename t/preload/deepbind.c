/* SPDX-License-Identifier: MIT */
/*
 * deepbind ask PLUGIN: opens the plug-in with RTLD_DEEPBIND and prints whose name() it sees, the program's or its own.
 * deepbind swap PLUGIN: each frees what the other allocated. With -DLIBRARY it is a library that opens plug-ins, one in
 * its constructor; a program linked with it has two more: early, what that one saw, and library PLUGIN, as ask. And
 * deepbind modes PLUGIN MODE...: only calls dlopen, twice with each.
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

extern const char *early_saw __attribute__((weak));
const char *library_ask(const char *file) __attribute__((weak));

#ifdef LIBRARY
const char *early_saw;

static __attribute__((constructor)) void open_early(void)
{
	early_saw = ask(open_plugin("early.so"));
}

const char *library_ask(const char *file)
{
	return ask(open_plugin(file));
}
#else

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

static int modes(const char *file, char *const *mode)
{
	for (; *mode; mode++) {
		dlopen(file, (int)strtol(*mode, NULL, 0));
		dlopen(file, (int)strtol(*mode, NULL, 0));
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "", *file = argc > 2 ? argv[2] : "";
	void *plugin;

	if (!strcmp(what, "early"))
		return puts(early_saw) < 0;
	if (!strcmp(what, "library"))
		return puts(library_ask(file)) < 0;
	if (!strcmp(what, "modes"))
		return modes(file, argv + 3);
	plugin = open_plugin(file);
	if (!plugin)
		return 1;
	return !strcmp(what, "swap") ? swap(plugin) : puts(ask(plugin)) < 0;
}
#endif
