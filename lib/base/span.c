/* SPDX-License-Identifier: MIT */
/*
 * Pieces of text, and the numbers in them.
 */
#include "base/span.h"

#include <string.h>

/* In the place of libc's functions: each name that is looked up costs every start 0.0005 ms. */
const char *text_find(const char *text, size_t len, char c)
{
	for (; len; text++, len--)
		if (*text == c)
			return text;
	return NULL;
}

bool text_begins(const char *text, const char *with)
{
	for (; *with; text++, with++)
		if (*text != *with)
			return false;
	return true;
}

const char *text_search(const char *text, const char *part)
{
	for (; *text; text++)
		if (text_begins(text, part))
			return text;
	return NULL;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

struct span span_trim(struct span s)
{
	while (s.len && is_blank(s.p[0]))
		s.p++, s.len--;
	while (s.len && is_blank(s.p[s.len - 1]))
		s.len--;
	return s;
}

bool span_is(struct span s, const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len && i < s.len && s.p[i] == text[i]; i++)
		;
	return i == len && i == s.len;
}

struct span span_cut(struct span *rest, char separator, char other)
{
	struct span head = { rest->p, 0 };

	while (head.len < rest->len && head.p[head.len] != separator && head.p[head.len] != other)
		head.len++;
	rest->p += head.len;
	rest->len -= head.len;
	if (rest->len)
		rest->p++, rest->len--;
	return head;
}

static int digit(char c, unsigned long base)
{
	int value = -1;

	if (c >= '0' && c <= '9')
		value = c - '0';
	else if ((c | 32) >= 'a' && (c | 32) <= 'f')
		value = (c | 32) - 'a' + 10;
	return value < (int)base ? value : -1;
}

bool span_number(struct span *s, unsigned long *n)
{
	unsigned long base = 10;
	size_t i = 0;

	if (s->len > 2 && s->p[0] == '0' && (s->p[1] | 32) == 'x') {
		base = 16;
		i = 2;
	}
	if (i == s->len || digit(s->p[i], base) < 0)
		return false;
	for (*n = 0; i < s->len && digit(s->p[i], base) >= 0; i++) {
		if (__builtin_mul_overflow(*n, base, n) ||
		    __builtin_add_overflow(*n, (unsigned long)digit(s->p[i], base), n))
			return false;
	}
	s->p += i;
	s->len -= i;
	return true;
}

bool span_suffix(struct span s, unsigned int *shift)
{
	static const char letters[] = "kmgt";

	*shift = 0;
	for (unsigned int i = 0; s.len && i < strlen(letters); i++) {
		if ((s.p[0] | 32) == letters[i])
			*shift = 10 * (i + 1);
	}
	if (*shift)
		s.p++, s.len--;
	if (*shift && s.len == 2 && (s.p[0] | 32) == 'i')
		s.p++, s.len--;
	return !s.len || (s.len == 1 && (s.p[0] | 32) == 'b');
}
