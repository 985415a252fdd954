/* SPDX-License-Identifier: MIT */
/*
 * Client requests to valgrind's memcheck. Each is a few instructions that do nothing outside valgrind, and callers ask
 * annotate_listening first.
 */
#include "base/annotate.h"

#ifdef BM_VALGRIND
#include <valgrind/memcheck.h>

bool annotate_listening;

/* RUNNING_ON_VALGRIND is true under callgrind too; to show the state of a byte is memcheck's alone, answered by 1. */
void annotate_init(void)
{
	static bool asked;
	char byte = 0;
	char state = 0;

	if (asked)
		return;
	asked = true;
	if (VALGRIND_GET_VBITS(&byte, &state, 1) == 1) /* else it is not written to, and takes no memory */
		annotate_listening = true;
}

void annotate_malloc(const void *p, size_t size, size_t rz, bool zeroed)
{
	VALGRIND_MALLOCLIKE_BLOCK(p, size, rz, zeroed);
}

void annotate_free(const void *p, size_t rz)
{
	VALGRIND_FREELIKE_BLOCK(p, rz);
}

void annotate_noaccess(const void *p, size_t size)
{
	(void)VALGRIND_MAKE_MEM_NOACCESS(p, size);
}

void annotate_undefined(const void *p, size_t size)
{
	(void)VALGRIND_MAKE_MEM_UNDEFINED(p, size);
}

void annotate_defined(const void *p, size_t size)
{
	(void)VALGRIND_MAKE_MEM_DEFINED(p, size);
}
#endif
