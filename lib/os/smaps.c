/* SPDX-License-Identifier: MIT */
/*
 * What the process has mapped, and what of it is there, from /proc/self/smaps.
 */
#include <string.h>

#include "base/span.h"
#include "os/os.h"
#include "os/path.h"
#include "os/topology.h"

struct smaps {
	void (*take)(void *arg, const struct os_mapping *m);
	void *arg;
	struct os_mapping m;
	char line[64]; /* of longer ones the beginning */
	size_t len;
};

/* The number that the text begins with, in hexadecimal. */
static unsigned long take_hex(const char **p, const char *end)
{
	unsigned long n = 0;

	for (; *p < end; ++*p) {
		unsigned int c = (unsigned char)**p;

		if (c - '0' < 10)
			n = n << 4 | (c - '0');
		else if (c - 'a' < 6)
			n = n << 4 | (c - 'a' + 10);
		else
			break;
	}
	return n;
}

static void take_line(struct smaps *s)
{
	static const struct {
		const char *name;
		size_t offset;
	} figures[] = {
		{ "Rss", offsetof(struct os_mapping, resident) },
		{ "AnonHugePages", offsetof(struct os_mapping, anon_huge) },
		{ "Shared_Hugetlb", offsetof(struct os_mapping, hugetlb) },
		{ "Private_Hugetlb", offsetof(struct os_mapping, hugetlb) },
	};
	struct span rest = { s->line, s->len }, name;
	const char *p = s->line;
	unsigned long kib;
	unsigned int i;

	if (!s->len || (s->line[0] >= 'A' && s->line[0] <= 'Z')) {
		name = span_cut(&rest, ':', ':');
		rest = span_trim(rest);
		for (i = 0; i < ARRAY_SIZE(figures); i++)
			if (span_is(name, figures[i].name, strlen(figures[i].name)) && span_number(&rest, &kib))
				*(size_t *)((char *)&s->m + figures[i].offset) += kib << 10;
		return;
	}
	if (s->m.end)
		s->take(s->arg, &s->m);
	memset(&s->m, 0, sizeof(s->m));
	s->m.start = take_hex(&p, s->line + s->len);
	p++;
	s->m.end = take_hex(&p, s->line + s->len);
}

static bool take_chunk(void *arg, const char *chunk, size_t len)
{
	struct smaps *s = arg;

	for (; len; len--, chunk++) {
		if (*chunk == '\n') {
			take_line(s);
			s->len = 0;
		} else if (s->len < sizeof(s->line)) {
			s->line[s->len++] = *chunk;
		}
	}
	return true;
}

bool os_read_smaps(void (*take)(void *arg, const struct os_mapping *m), void *arg)
{
	struct smaps s = { .take = take, .arg = arg };
	struct path path = { .len = 0 };
	bool ok;

	path_add(&path, proc_root);
	path_add(&path, "/self/smaps");
	ok = os_read_chunks(path.text, take_chunk, &s);
	if (ok && s.m.end)
		take(arg, &s.m);
	return ok;
}
