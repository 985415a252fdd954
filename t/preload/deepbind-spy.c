/* SPDX-License-Identifier: MIT */
/*
 * Preloaded behind libbuddymalloc-dlopen.so: its dlsym gives it a dlopen that opens nothing. Both say how they were
 * called.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Of 16 bytes, which every function may rely on: how far the stack is off. */
#define STACK_OFF ((unsigned int)((uintptr_t)__builtin_frame_address(0) % 16))

static void *spy_dlopen(const char *file, int mode)
{
	Dl_info caller = {0};
	const char *object, *slash;

	dladdr(__builtin_return_address(0), &caller);
	object = caller.dli_fname ? caller.dli_fname : "nowhere";
	slash = strrchr(object, '/');
	printf("%s %#x from %s, stack %u\n", file, (unsigned int)mode, slash ? slash + 1 : object, STACK_OFF);
	return NULL;
}

void *dlsym(void *handle, const char *name)
{
	if (handle != RTLD_NEXT || strcmp(name, "dlopen"))
		return NULL;
	printf("asked for, stack %u\n", STACK_OFF);
	return (void *)spy_dlopen;
}
