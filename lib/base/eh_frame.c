/* SPDX-License-Identifier: MIT */
/*
 * The instructions of .eh_frame: found by the sorted table of its header, read with bounds, run up to one address.
 */
#include "base/eh_frame.h"

#include <string.h>

/* Table bytes that are being read; reading past the end gives zeros and empties it. */
struct reader {
	const uint8_t *p, *end;
};

static unsigned long read_fixed(struct reader *r, size_t len)
{
	unsigned long n = 0;

	if ((size_t)(r->end - r->p) < len) {
		r->p = r->end;
		return 0;
	}
	memcpy(&n, r->p, len);
	r->p += len;
	return n;
}

static unsigned long read_leb(struct reader *r, bool is_signed)
{
	unsigned long n = 0;
	unsigned int shift = 0;
	uint8_t byte;

	do {
		byte = (uint8_t)read_fixed(r, 1);
		if (shift < 64)
			n |= (unsigned long)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80 && r->p < r->end);
	if (is_signed && byte & 0x40 && shift < 64)
		n |= ~0UL << shift;
	return n;
}

/* DW_EH_PE_*: the format in the low half, what it is relative to in the high one. False: not one that is known. */
static bool read_encoded(struct reader *r, uint8_t encoding, uintptr_t *value)
{
	uintptr_t at = (uintptr_t)r->p;

	switch (encoding & 0x0f) {
	case 0x00:
	case 0x04:
	case 0x0c:
		*value = read_fixed(r, 8);
		break;
	case 0x03:
		*value = read_fixed(r, 4);
		break;
	case 0x0b:
		*value = (uintptr_t)(long)(int32_t)read_fixed(r, 4);
		break;
	default:
		return false;
	}
	if ((encoding & 0x70) == 0x10)
		*value += at;
	else if (encoding & 0xf0)
		return false;
	return true;
}

/* .eh_frame_hdr: a table of functions by address, sorted: 32-bit offsets from the header of each and of its FDE. */
static const uint8_t *find_fde(const uint8_t *hdr, uintptr_t pc)
{
	struct entry {
		int32_t start, fde;
	} entry;
	struct reader r = { hdr + 4, hdr + 64 };
	unsigned long low = 0, high;
	uintptr_t eh_frame;

	if (hdr[0] != 1 || hdr[2] != 0x03 || hdr[3] != 0x3b || !read_encoded(&r, hdr[1], &eh_frame))
		return NULL;
	high = read_fixed(&r, 4);
	/* The last one that begins at pc or before. */
	while (low < high) {
		unsigned long middle = (low + high) / 2;

		memcpy(&entry, r.p + middle * sizeof(entry), sizeof(entry));
		if ((uintptr_t)hdr + (uintptr_t)(long)entry.start <= pc)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low)
		return NULL;
	memcpy(&entry, r.p + (low - 1) * sizeof(entry), sizeof(entry));
	return hdr + entry.fde;
}

struct cie {
	struct reader program;
	unsigned long code_align;
	long data_align;
	uint8_t encoding; /* of addresses in its FDEs */
	bool augmented;	  /* FDEs have data whose length comes first */
};

static bool read_cie(const uint8_t *p, struct cie *cie)
{
	struct reader r = { p, p + 4 };
	unsigned long len = read_fixed(&r, 4), ra;
	const char *augmentation;
	const uint8_t *data;
	uint8_t version;

	if (!len || len >= 0xfffffff0)
		return false;
	r.end = r.p + len;
	if (read_fixed(&r, 4)) /* the mark of a CIE */
		return false;
	version = (uint8_t)read_fixed(&r, 1);
	augmentation = (const char *)r.p;
	r.p += strlen(augmentation) + 1;
	cie->code_align = read_leb(&r, false);
	cie->data_align = (long)read_leb(&r, true);
	ra = version == 1 ? read_fixed(&r, 1) : read_leb(&r, false);
	cie->encoding = 0;
	cie->augmented = *augmentation == 'z';
	if (ra != REG_RA || (*augmentation && !cie->augmented))
		return false;
	len = cie->augmented ? read_leb(&r, false) : 0;
	data = r.p;
	for (augmentation += cie->augmented; *augmentation; augmentation++) {
		uintptr_t personality;

		if (*augmentation == 'R')
			cie->encoding = (uint8_t)read_fixed(&r, 1);
		else if (*augmentation == 'L')
			r.p++;
		else if (*augmentation == 'P' && !read_encoded(&r, (uint8_t)(read_fixed(&r, 1) & 0x7f), &personality))
			return false;
		else if (*augmentation == 'S') /* a signal's frame: only expressions describe it */
			return false;
	}
	r.p = data + len;
	cie->program = r;
	return true;
}

static void set_rule(struct row *row, unsigned long reg, enum rule_kind kind, long arg)
{
	if (reg < NR_REGS)
		row->reg[reg] = (struct rule){ (uint8_t)kind, (int32_t)arg };
}

static void define_cfa(struct row *row, unsigned long reg, long offset)
{
	row->cfa_reg = (unsigned int)reg;
	row->cfa_offset = offset;
	row->cfa_known = reg < NR_REGS;
}

static void skip_block(struct reader *r)
{
	unsigned long len = read_leb(r, false);

	r->p = len < (size_t)(r->end - r->p) ? r->p + len : r->end;
}

/* Instructions about the CFA; false: it is none of them. */
static bool define_row(struct reader *r, uint8_t op, const struct cie *cie, struct row *row)
{
	unsigned long reg;

	switch (op) {
	case 0x0c: /* def_cfa */
		reg = read_leb(r, false);
		define_cfa(row, reg, (long)read_leb(r, false));
		return true;
	case 0x0d: /* def_cfa_register */
		define_cfa(row, read_leb(r, false), row->cfa_offset);
		return true;
	case 0x0e: /* def_cfa_offset */
		row->cfa_offset = (long)read_leb(r, false);
		return true;
	case 0x0f: /* def_cfa_expression */
		row->cfa_known = false;
		skip_block(r);
		return true;
	case 0x12: /* def_cfa_sf */
		reg = read_leb(r, false);
		define_cfa(row, reg, (long)read_leb(r, true) * cie->data_align);
		return true;
	case 0x13: /* def_cfa_offset_sf */
		row->cfa_offset = (long)read_leb(r, true) * cie->data_align;
		return true;
	default:
		return false;
	}
}

/* Instructions about one register; false: it is none that is known. */
static bool define_register(struct reader *r, uint8_t op, const struct cie *cie, struct row *row,
			    const struct row *initial)
{
	unsigned long reg = read_leb(r, false);

	switch (op) {
	case 0x05: /* offset_extended */
		set_rule(row, reg, RULE_OFFSET, (long)read_leb(r, false) * cie->data_align);
		return true;
	case 0x06: /* restore_extended */
		if (reg < NR_REGS)
			row->reg[reg] = initial->reg[reg];
		return true;
	case 0x07: /* undefined */
		set_rule(row, reg, RULE_UNDEFINED, 0);
		return true;
	case 0x08: /* same_value */
		set_rule(row, reg, RULE_SAME, 0);
		return true;
	case 0x09: /* register */
		set_rule(row, reg, RULE_REGISTER, (long)read_leb(r, false));
		return true;
	case 0x10: /* expression */
	case 0x16: /* val_expression */
		set_rule(row, reg, RULE_UNKNOWN, 0);
		skip_block(r);
		return true;
	case 0x11: /* offset_extended_sf */
		set_rule(row, reg, RULE_OFFSET, (long)read_leb(r, true) * cie->data_align);
		return true;
	case 0x14: /* val_offset */
		set_rule(row, reg, RULE_VALUE, (long)read_leb(r, false) * cie->data_align);
		return true;
	default:
		return false;
	}
}

/* The instructions with an operation of their own; false: one that is not known. */
static bool run_extended(struct reader *r, uint8_t op, const struct cie *cie, struct row *row,
			 const struct row *initial)
{
	if (op == 0x00 || op == 0x2d) /* nop; aarch64: addresses are signed from here on, or not: strip_pc takes both */
		return true;
	if (op == 0x2e) { /* GNU_args_size */
		read_leb(r, false);
		return true;
	}
	return define_row(r, op, cie, row) || define_register(r, op, cie, row, initial);
}

#define ROWS_SAVED 4

/* From *loc on, until the row is that of pc. */
static bool run_program(struct reader *r, const struct cie *cie, uintptr_t *loc, uintptr_t pc, struct row *row,
			const struct row *initial)
{
	struct row saved[ROWS_SAVED];
	unsigned int nr_saved = 0;

	while (r->p < r->end && *loc <= pc) {
		uint8_t op = (uint8_t)read_fixed(r, 1), low = op & 0x3f;

		if (op >> 6 == 1) { /* advance_loc */
			*loc += low * cie->code_align;
		} else if (op >> 6 == 2) { /* offset */
			set_rule(row, low, RULE_OFFSET, (long)read_leb(r, false) * cie->data_align);
		} else if (op >> 6 == 3) { /* restore */
			if (low < NR_REGS)
				row->reg[low] = initial->reg[low];
		} else if (op >= 0x02 && op <= 0x04) { /* advance_loc1, 2, 4 */
			*loc += read_fixed(r, 1UL << (op - 2)) * cie->code_align;
		} else if (op == 0x0a) { /* remember_state */
			if (nr_saved == ROWS_SAVED)
				return false;
			saved[nr_saved++] = *row;
		} else if (op == 0x0b) { /* restore_state */
			if (!nr_saved)
				return false;
			*row = saved[--nr_saved];
		} else if (!run_extended(r, op, cie, row, initial)) {
			return false;
		}
	}
	return true;
}

enum row_result eh_frame_find_row(const uint8_t *hdr, uintptr_t pc, struct row *row)
{
	const uint8_t *fde = hdr ? find_fde(hdr, pc) : NULL;
	struct row initial = { 0 };
	struct reader r;
	struct cie cie;
	uintptr_t start, range, loc;
	unsigned long len;

	if (!fde)
		return ROW_NO_TABLE;
	r = (struct reader){ fde, fde + 4 };
	len = read_fixed(&r, 4);
	if (!len || len >= 0xfffffff0)
		return ROW_UNKNOWN;
	r.end = r.p + len;
	if (!read_cie(r.p - *(const uint32_t *)(const void *)r.p, &cie))
		return ROW_UNKNOWN;
	r.p += 4;
	if (!read_encoded(&r, cie.encoding, &start) || !read_encoded(&r, cie.encoding & 0x0f, &range))
		return ROW_UNKNOWN;
	if (pc - start >= range) /* it is the next one before pc: what pc lies in has none */
		return ROW_NO_TABLE;
	if (cie.augmented)
		skip_block(&r);
	loc = start;
	if (!run_program(&cie.program, &cie, &loc, start, &initial, &initial))
		return ROW_UNKNOWN;
	*row = initial;
	return run_program(&r, &cie, &loc, pc, row, &initial) && row->cfa_known ? ROW_FOUND : ROW_UNKNOWN;
}
