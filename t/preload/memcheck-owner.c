/* SPDX-License-Identifier: MIT */
/* Allocates inside of a named owner, destroys it, and goes on to use what was there before and what comes after. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buddymalloc.h"

#define NR 3000

static void *volatile kept[2 * NR]; /* so that nothing is lost */

int main(void)
{
	struct bm_owner_attr attr = { .name = "request" };
	bm_owner_t *owner = bm_owner_create(&attr);
	size_t i, size;

	if (!owner)
		return 1;
	bm_owner_enter(owner);
	puts("inside"); /* stdout's buffer */
	for (i = 0; i < NR; i++) {
		size = i % 100 ? 16 : 300 * i;
		kept[i] = memset(malloc(size + 1), 1, size);
	}
	bm_owner_enter(NULL);
	if (bm_owner_destroy(owner))
		return 2;
	for (i = 0; i < NR; i++) {
		size = i % 100 ? 16 : 300 * i;
		kept[NR + i] = memset(malloc(size + 1), 2, size);
	}
	for (i = 0; i < NR; i++)
		free(kept[NR + i]);
	puts("done");
	return 0;
}
