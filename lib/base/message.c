/* SPDX-License-Identifier: MIT */
/*
 * The formatter behind every message and report, and the ways to complain.
 */
#include "base/message.h"

#include <string.h>

#include "base/atomic.h"
#include "base/host.h"
#include "base/tunables.h"

/* Room in the buffer beside the terminator. */
#define OUT_ROOM (sizeof(((struct out *)0)->buf) - 1)

/* One conversion: flags, width and the size of its argument. */
struct spec {
	bool left;
	bool zero;
	unsigned int width;
	enum { SIZE_INT, SIZE_LONG, SIZE_LONG_LONG, SIZE_SIZE } size;
};

void out_init(struct out *o, int fd)
{
	o->fd = fd;
	o->sink = NULL;
	o->len = 0;
	o->buf[0] = '\0';
}

void out_flush(struct out *o)
{
	if (o->sink)
		o->sink(o->buf, o->len);
	else if (o->fd >= 0)
		host_write(o->fd, o->buf, o->len);
	else
		return;
	o->len = 0;
	o->buf[0] = '\0';
}

static void put_char(struct out *o, char c)
{
	if (o->len == OUT_ROOM)
		out_flush(o);
	if (o->len < OUT_ROOM)
		o->buf[o->len++] = c;
}

static void put_text(struct out *o, const char *text, size_t len)
{
	while (len--)
		put_char(o, *text++);
}

static void put_blanks(struct out *o, char c, size_t have, size_t width)
{
	for (; have < width; have++)
		put_char(o, c);
}

/* sign stays before the zeros that fill up the width. */
static void put_field(struct out *o, const struct spec *spec, const char *sign, const char *text, size_t len)
{
	size_t sign_len = strlen(sign);
	size_t have = sign_len + len;

	if (!spec->left && !spec->zero)
		put_blanks(o, ' ', have, spec->width);
	put_text(o, sign, sign_len);
	if (!spec->left && spec->zero)
		put_blanks(o, '0', have, spec->width);
	put_text(o, text, len);
	if (spec->left)
		put_blanks(o, ' ', have, spec->width);
}

static void put_number(struct out *o, const struct spec *spec, const char *sign, unsigned long long n,
		       unsigned int base)
{
	char digits[20]; /* of ULLONG_MAX */
	char *p = digits + sizeof(digits);

	do {
		*--p = "0123456789abcdef"[n % base];
		n /= base;
	} while (n);
	put_field(o, spec, sign, p, (size_t)(digits + sizeof(digits) - p));
}

/* A plain string or character: '0' means nothing there. */
static void put_string(struct out *o, struct spec *spec, const char *text, size_t len)
{
	spec->zero = false;
	put_field(o, spec, "", text, len);
}

/* What stands between % and the conversion; returns where that is. */
static const char *parse_spec(struct spec *spec, const char *p)
{
	*spec = (struct spec){ 0 };
	for (; *p == '-' || *p == '0'; p++) {
		if (*p == '-')
			spec->left = true;
		else
			spec->zero = true;
	}
	for (; *p >= '0' && *p <= '9'; p++)
		spec->width = spec->width * 10 + (unsigned int)(*p - '0');
	if (*p == 'z') {
		spec->size = SIZE_SIZE;
		p++;
	} else if (*p == 'l') {
		spec->size = p[1] == 'l' ? SIZE_LONG_LONG : SIZE_LONG;
		p += p[1] == 'l' ? 2 : 1;
	}
	return p;
}

/* va_list travels by pointer, so that the caller's moves on. */
struct args {
	va_list ap;
};

static long long signed_arg(const struct spec *spec, struct args *args)
{
	switch (spec->size) {
	case SIZE_LONG:
		return va_arg(args->ap, long);
	case SIZE_LONG_LONG:
		return va_arg(args->ap, long long);
	case SIZE_SIZE:
		return va_arg(args->ap, ptrdiff_t);
	default:
		return va_arg(args->ap, int);
	}
}

static unsigned long long unsigned_arg(const struct spec *spec, struct args *args)
{
	switch (spec->size) {
	case SIZE_LONG:
		return va_arg(args->ap, unsigned long);
	case SIZE_LONG_LONG:
		return va_arg(args->ap, unsigned long long);
	case SIZE_SIZE:
		return va_arg(args->ap, size_t);
	default:
		return va_arg(args->ap, unsigned int);
	}
}

static void put_signed(struct out *o, const struct spec *spec, long long n)
{
	put_number(o, spec, n < 0 ? "-" : "", n < 0 ? 0 - (unsigned long long)n : (unsigned long long)n, 10);
}

static void put_pointer(struct out *o, struct spec *spec, const void *p)
{
	if (p)
		put_number(o, spec, "0x", (uintptr_t)p, 16);
	else
		put_string(o, spec, "(nil)", 5);
}

/* False if the conversion is not one of ours. */
static bool put_conversion(struct out *o, struct spec *spec, char conversion, struct args *args)
{
	const char *text;
	char c;

	switch (conversion) {
	case 'd':
		put_signed(o, spec, signed_arg(spec, args));
		return true;
	case 'u':
		put_number(o, spec, "", unsigned_arg(spec, args), 10);
		return true;
	case 'x':
		put_number(o, spec, "", unsigned_arg(spec, args), 16);
		return true;
	case 'p':
		put_pointer(o, spec, va_arg(args->ap, void *));
		return true;
	case 'c':
		c = (char)va_arg(args->ap, int);
		put_string(o, spec, &c, 1);
		return true;
	case 's':
		text = va_arg(args->ap, const char *);
		text = text ? text : "(null)";
		put_string(o, spec, text, strlen(text));
		return true;
	case '%':
		put_char(o, '%');
		return true;
	default:
		return false;
	}
}

void out_vprintf(struct out *o, const char *fmt, va_list ap)
{
	struct args args;
	struct spec spec;
	const char *end;

	va_copy(args.ap, ap);
	while (*fmt) {
		if (*fmt != '%') {
			put_char(o, *fmt++);
			continue;
		}
		end = parse_spec(&spec, fmt + 1);
		if (put_conversion(o, &spec, *end, &args))
			fmt = end + 1;
		else
			put_char(o, *fmt++);
	}
	va_end(args.ap);
	o->buf[o->len] = '\0';
}

void out_printf(struct out *o, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	out_vprintf(o, fmt, ap);
	va_end(ap);
}

bool ratelimit(struct ratelimit_state *rs, uint64_t now_ms, unsigned int *missed)
{
	bool pass;

	*missed = 0;
	/* Waiting could be for ever: the other may be the code that this signal handler interrupts. */
	if (xchg(&rs->busy, (uint8_t)1)) {
		atomic_add_return(&rs->missed, 1);
		return false;
	}
	/* Signed: another thread may have read the clock after us, and come first. */
	if (!rs->passed || (int64_t)(now_ms - rs->begin) >= (int64_t)rs->interval) {
		rs->begin = now_ms;
		rs->passed = 0;
	}
	pass = rs->passed < rs->burst;
	if (pass) {
		rs->passed++;
		*missed = xchg(&rs->missed, 0U);
	} else {
		atomic_add_return(&rs->missed, 1);
	}
	smp_store_release(&rs->busy, (uint8_t)0);
	return pass;
}

static void complain(const char *fmt, va_list ap)
{
	static const char cut[] = "...\n";
	struct out o;

	out_init(&o, -1);
	out_printf(&o, "buddymalloc: ");
	out_vprintf(&o, fmt, ap);
	if (o.len == OUT_ROOM)
		memcpy(o.buf + OUT_ROOM - strlen(cut), cut, strlen(cut));
	else
		put_char(&o, '\n');
	host_write(2, o.buf, o.len);
}

cold void bm_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(fmt, ap);
	va_end(ap);
}

cold void bm_fatal(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(fmt, ap);
	va_end(ap);
	host_abort();
}

cold void bm_misuse(const char *fmt, ...)
{
	unsigned int mode = READ_ONCE(tunables.foreign_free);
	va_list ap;

	if (mode == FOREIGN_IGNORE)
		return;
	va_start(ap, fmt);
	complain(fmt, ap);
	va_end(ap);
	if (mode == FOREIGN_ABORT)
		host_abort();
}
