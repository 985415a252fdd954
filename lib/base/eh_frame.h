/* SPDX-License-Identifier: MIT */
/*
 * What the tables of .eh_frame say of one code address: where its function's caller finds each register. The
 * instructions are those that compilers write for functions, without the expressions that only signal frames and jump
 * tables need.
 */
#ifndef BASE_EH_FRAME_H
#define BASE_EH_FRAME_H

#include "base/compiler.h"

#if defined(__x86_64__)
#define NR_REGS 17
#define REG_FP 6
#define REG_SP 7
#define REG_RA 16
#elif defined(__aarch64__)
#define NR_REGS 32
#define REG_FP 29
#define REG_SP 31
#define REG_RA 30
#endif

/* How a register's value in the caller is found. */
enum rule_kind { RULE_SAME, RULE_UNDEFINED, RULE_OFFSET, RULE_VALUE, RULE_REGISTER, RULE_UNKNOWN };
struct rule {
	uint8_t kind;
	int32_t arg;
};
struct row {
	unsigned int cfa_reg;
	long cfa_offset;
	bool cfa_known;
	struct rule reg[NR_REGS];
};

enum row_result { ROW_FOUND, ROW_UNKNOWN, ROW_NO_TABLE };

/* The row that holds at pc in the table of pc's function, which hdr leads to: the .eh_frame_hdr of the program or
 * shared object, or NULL if that has none. Nothing is locked or allocated. */
enum row_result eh_frame_find_row(const uint8_t *hdr, uintptr_t pc, struct row *row);

#endif
