/* SPDX-License-Identifier: MIT */
/*
 * dlclose PLUGIN: loads and unloads it often, in several threads. dlclose PLUGIN LIBRARY: for a program that does
 * not run under the library, which loads it, uses it apart from its own malloc, unloads it, and goes on.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *plugin;

static void *load_often(void *arg)
{
	int i;

	for (i = 0; i < 100; i++) {
		void *handle = dlopen(plugin, RTLD_NOW);
		char *(*plugin_string)(void) = NULL;
		char *text;

		if (handle)
			*(void **)&plugin_string = dlsym(handle, "plugin_string");
		if (!plugin_string) {
			fprintf(stderr, "%s\n", dlerror());
			abort();
		}
		text = plugin_string();
		dlclose(handle);
		if (strlen(text) != 2999)
			abort();
		free(text);
	}
	return arg;
}

static void *use(void *arg)
{
	void *(**call)(size_t) = arg;
	void (*release)(void *);
	size_t i;

	memcpy(&release, (void **)arg + 1, sizeof(release));
	for (i = 0; i < 1000; i++) {
		char *p = (*call)(i * 100);

		if (!p)
			abort();
		release(p);
	}
	return NULL;
}

static int load_library(const char *path)
{
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL), *symbol[2];
	pthread_t thread;

	if (!handle) {
		puts(dlerror());
		return 77;
	}
	symbol[0] = dlsym(handle, "malloc");
	symbol[1] = dlsym(handle, "free");
	use(symbol);
	if (pthread_create(&thread, NULL, use, symbol) || pthread_join(thread, NULL) || dlclose(handle))
		return 1;
	use(symbol);
	free(malloc(100));
	return 0;
}

int main(int argc, char **argv)
{
	pthread_t thread[3];
	int i, status;

	plugin = argv[1];
	if (argc > 2 && (status = load_library(argv[2])))
		return status;
	for (i = 0; i < 3; i++)
		if (pthread_create(&thread[i], NULL, load_often, NULL))
			return 1;
	for (i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	puts("done");
	return 0;
}
