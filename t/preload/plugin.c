/* SPDX-License-Identifier: MIT */
/* A library that is loaded and unloaded: allocates in its constructor, frees in its destructor, has a TLS block. */
#include <stdlib.h>
#include <string.h>

static __thread char block[3000];
static char *kept[100];

static __attribute__((constructor)) void load(void)
{
	size_t i;

	for (i = 0; i < 100; i++)
		kept[i] = strdup("a string that is kept while the plugin is loaded");
}

static __attribute__((destructor)) void unload(void)
{
	size_t i;

	for (i = 0; i < 100; i++)
		free(kept[i]);
}

/* For the caller to free, also when the plugin is gone. */
char *plugin_string(void)
{
	memset(block, 'p', sizeof(block) - 1);
	return strdup(block);
}
