/* SPDX-License-Identifier: MIT */
/* A chained hash table of short strings under insertion and removal: one strdup and one entry for each key. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "workload.h"

#define BUCKETS (1u << 16)
#define KEYS 120000 /* about half of them are in the table at a time */
#define OPS 5000000

struct entry {
	struct entry *next;
	char *key;
	uint32_t id;
};

/* A key's text is found from its number: 6 to about 40 letters. */
static void key_text(uint32_t id, char text[64])
{
	uint64_t letters = wl_mix(id);
	unsigned int length = 6 + (unsigned int)(letters % 11) * (1 + (unsigned int)(letters >> 60) / 6);

	for (unsigned int i = 0; i < length; i++)
		text[i] = (char)('a' + ((letters >> (i % 15 * 4)) & 15));
	text[length] = '\0';
}

static void insert(struct entry **bucket, uint32_t id, const char *text)
{
	struct entry *entry = wl_alloc(sizeof(*entry));

	entry->key = strdup(text);
	if (!entry->key)
		wl_die("strdup: %s", strerror(errno));
	entry->id = id;
	entry->next = *bucket;
	*bucket = entry;
}

static void remove_at(struct entry **link, struct wl_result *result)
{
	struct entry *entry = *link;
	char text[64];

	key_text(entry->id, text);
	if (strcmp(entry->key, text))
		wl_die("key %u reads '%s', stored was '%s'", entry->id, entry->key, text);
	result->sum += wl_mix(entry->id) + strlen(entry->key);
	result->ops += 2;
	*link = entry->next;
	free(entry->key);
	free(entry);
}

static void run(const struct wl_params *params, struct wl_result *result)
{
	struct wl_rng rng = wl_rng(params->seed, 0);
	struct entry **table = wl_zalloc(BUCKETS, sizeof(*table));
	uint64_t ops = wl_scaled(params, OPS);

	while (ops--) {
		uint32_t id = wl_below(&rng, KEYS);
		struct entry **bucket = &table[wl_mix(id) % BUCKETS], **link = bucket;
		char text[64];

		key_text(id, text);
		while (*link && ((*link)->id != id || strcmp((*link)->key, text)))
			link = &(*link)->next;
		if (*link)
			remove_at(link, result);
		else
			insert(bucket, id, text);
	}
	for (uint32_t i = 0; i < BUCKETS; i++) {
		while (table[i])
			remove_at(&table[i], result);
	}
	free(table);
}

const struct workload wl_strings = { "strings", "strdup and free in a hash table", 1, run };
