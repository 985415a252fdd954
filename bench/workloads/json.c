/* SPDX-License-Identifier: MIT */
/*
 * What a JSON parser leaves behind: nodes of one size, strings, and child arrays that grow by doubling. A
 * few documents live at a time; the oldest is walked and dropped for each new one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "workload.h"

#define NODES 100000 /* in a document */
#define DOCUMENTS 36
#define LIVE 3
#define MAX_DEPTH 12

enum kind { NUMBER, STRING, ARRAY, OBJECT };

struct node {
	enum kind kind;
	uint32_t nr_children, room;
	char *key; /* of a member of an object */
	union {
		double number;
		char *string;
		struct node **children;
	};
};

struct builder {
	struct wl_rng rng;
	uint32_t left; /* nodes that the document may still have */
	uint64_t ops;
};

static char *new_string(struct builder *b, size_t max)
{
	size_t length = 1 + wl_below(&b->rng, (uint32_t)max);
	char *s = wl_alloc(length + 1);
	uint64_t letters = wl_random(&b->rng);

	for (size_t i = 0; i < length; i++)
		s[i] = (char)('a' + ((letters >> (i % 16 * 4)) & 15));
	s[length] = '\0';
	b->ops++;
	return s;
}

static void add_child(struct builder *b, struct node *parent, struct node *child)
{
	if (parent->nr_children == parent->room) {
		uint32_t room = parent->room ? parent->room * 2 : 4;

		parent->children = realloc(parent->children, room * sizeof(struct node *));
		if (!parent->children)
			wl_die("realloc of a child array: %s", strerror(errno));
		parent->room = room;
		b->ops++;
	}
	parent->children[parent->nr_children++] = child;
}

static struct node *build(struct builder *b, unsigned int depth)
{
	struct node *node = wl_zalloc(1, sizeof(*node));
	uint32_t children = 0;

	b->ops++;
	b->left -= b->left > 0;
	node->kind = depth < 2 ? ARRAY : wl_below(&b->rng, 4);
	if (depth >= MAX_DEPTH && node->kind >= ARRAY)
		node->kind = STRING;
	if (node->kind == NUMBER)
		node->number = (double)wl_below(&b->rng, 1u << 30);
	else if (node->kind == STRING)
		node->string = new_string(b, wl_below(&b->rng, 32) ? 40 : 2000);
	else
		children = depth < 2 ? UINT32_MAX : wl_below(&b->rng, 24);
	while (children-- && b->left) {
		struct node *child = build(b, depth + 1);

		if (node->kind == OBJECT)
			child->key = new_string(b, 16);
		add_child(b, node, child);
	}
	return node;
}

static uint64_t hash_string(const char *s)
{
	uint64_t hash = 0;

	while (s && *s)
		hash = hash * 31 + (unsigned char)*s++;
	return hash;
}

static uint64_t hash_node(const struct node *node)
{
	uint64_t hash = hash_string(node->key) + node->kind;

	if (node->kind == NUMBER)
		return wl_mix(hash + (uint64_t)node->number);
	if (node->kind == STRING)
		return wl_mix(hash + hash_string(node->string));
	for (uint32_t i = 0; i < node->nr_children; i++)
		hash = wl_mix(hash + hash_node(node->children[i]));
	return hash;
}

static void drop(struct node *node)
{
	if (node->kind == STRING)
		free(node->string);
	if (node->kind >= ARRAY) {
		for (uint32_t i = 0; i < node->nr_children; i++)
			drop(node->children[i]);
		free(node->children);
	}
	free(node->key);
	free(node);
}

struct document {
	struct node *root;
	uint64_t hash;
};

static void drop_document(struct document *doc, struct wl_result *result)
{
	if (!doc->root)
		return;
	if (hash_node(doc->root) != doc->hash)
		wl_die("a document of nodes and strings has changed since it was built");
	result->sum += doc->hash;
	drop(doc->root);
	doc->root = NULL;
}

static void run(const struct wl_params *params, struct wl_result *result)
{
	struct document live[LIVE] = { 0 };
	uint64_t documents = wl_scaled(params, DOCUMENTS);

	for (uint64_t n = 0; n < documents; n++) {
		struct builder b = { .rng = wl_rng(params->seed, n), .left = NODES };
		struct document *doc = &live[n % LIVE];

		drop_document(doc, result);
		doc->root = build(&b, 0);
		doc->hash = hash_node(doc->root);
		result->ops += b.ops;
	}
	for (int i = 0; i < LIVE; i++)
		drop_document(&live[i], result);
}

const struct workload wl_json = { "json", "trees of nodes and strings, built and dropped", 1, run };
