/* SPDX-License-Identifier: MIT */
/*
 * Pieces of text, without a terminator, and the numbers in them.
 */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include "base/compiler.h"

struct span {
	const char *p;
	size_t len;
};

/* The first c of len characters; the first place where part stands. NULL: there is none. */
const char *text_find(const char *text, size_t len, char c);
const char *text_search(const char *text, const char *part);
bool text_begins(const char *text, const char *with);
/* Without the blanks around it. */
struct span span_trim(struct span s);
bool span_is(struct span s, const char *text, size_t len);
/* Cuts off what stands before the first of the two separators, which goes too. */
struct span span_cut(struct span *rest, char separator, char other);
/* Takes the number that s begins with, decimal or 0x hexadecimal; false if there is none or it is too large. */
bool span_number(struct span *s, unsigned long *n);
/* Is it a size's suffix: "", k, m, g or t, then perhaps B; or iB after a letter? *shift: what it means. */
bool span_suffix(struct span s, unsigned int *shift);

#endif
