/* SPDX-License-Identifier: MIT */
/*
 * A small unwinder. What the tables say is checked against the bounds of the stack before it is followed, since a
 * program may have wrong ones.
 */
#include "base/stacktrace.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>

#include "base/eh_frame.h"
#include "base/host.h"
#include "base/message.h"

/* Frames further up than this are not looked at: the distance bounds what a wrong table can make us read. */
#define STACK_SPAN (8UL << 20)
#define FRAME_ALIGN 16

/* Of glibc 2.35 and later, in the loader; weak, so that the linker gives it no version and an older glibc loads us. */
#ifdef DLFO_STRUCT_HAS_EH_DBASE
#define object_info dl_find_object
#else
struct object_info {
	unsigned long long dlfo_flags;
	void *dlfo_map_start, *dlfo_map_end;
	struct link_map *dlfo_link_map;
	void *dlfo_eh_frame;
	unsigned long long reserved[7];
};
int _dl_find_object(void *address, struct object_info *object);
#endif
#pragma weak _dl_find_object

/* The program or shared object that a code address lies in. */
static bool find_object(uintptr_t pc, struct object_info *object)
{
	return _dl_find_object && !_dl_find_object((void *)pc, object);
}

/* The .eh_frame_hdr of what pc lies in; NULL: there is none, or it cannot be found. */
static const uint8_t *find_tables(uintptr_t pc)
{
	struct object_info object;

	return find_object(pc, &object) ? object.dlfo_eh_frame : NULL;
}

struct frame {
	uintptr_t pc; /* in the function; a return address, but for the first */
	uintptr_t reg[NR_REGS];
	uintptr_t end; /* of what may be read */
};

/* A return address may carry a signature in its upper bits. */
static uintptr_t strip_pc(uintptr_t pc)
{
#if defined(__aarch64__)
	register uintptr_t x30 __asm__("x30") = pc;

	__asm__("hint #7" : "+r"(x30)); /* xpaclri: a nop where there are no signatures */
	return x30;
#else
	return pc;
#endif
}

/* May the word at addr be read? It must lie on the stack, above the frame that we come from. */
static bool on_stack(const struct frame *f, uintptr_t addr)
{
	return addr >= f->reg[REG_SP] && addr <= f->end - sizeof(uintptr_t) && addr % sizeof(uintptr_t) == 0;
}

/* To the caller by the frame pointer, if the register is one. */
__attribute__((__no_sanitize_address__)) static bool step_by_pointer(struct frame *f)
{
	uintptr_t fp = f->reg[REG_FP];
	const uintptr_t *frame = (const uintptr_t *)fp;

	if (fp % FRAME_ALIGN || !on_stack(f, fp) || !on_stack(f, fp + sizeof(fp)) || !host_readable(frame))
		return false;
	f->pc = strip_pc(frame[1]);
	f->reg[REG_FP] = frame[0];
	f->reg[REG_SP] = fp + 2 * sizeof(fp);
	return true;
}

/* To the caller, by the tables if there is one; false: the trace ends. */
__attribute__((__no_sanitize_address__)) static bool step(struct frame *f, bool first)
{
	uintptr_t pc = first ? f->pc : f->pc - 1, cfa;
	struct frame up = *f;
	struct row row;
	unsigned int i;

	switch (eh_frame_find_row(find_tables(pc), pc, &row)) {
	case ROW_NO_TABLE:
		return step_by_pointer(f);
	case ROW_UNKNOWN: /* the outermost function, or a signal's frame: what a frame pointer says is not the caller */
		return false;
	case ROW_FOUND:
		break;
	}
	cfa = f->reg[row.cfa_reg] + (uintptr_t)row.cfa_offset;
	if (cfa <= f->reg[REG_SP] || cfa > f->end || cfa % sizeof(uintptr_t))
		return false;
	for (i = 0; i < NR_REGS; i++) {
		const struct rule *rule = &row.reg[i];
		uintptr_t at = cfa + (uintptr_t)(long)rule->arg;

		if (rule->kind == RULE_OFFSET) {
			if (!on_stack(f, at))
				return false;
			up.reg[i] = *(const uintptr_t *)at;
		} else if (rule->kind == RULE_VALUE) {
			up.reg[i] = at;
		} else if (rule->kind == RULE_REGISTER && (unsigned long)rule->arg < NR_REGS) {
			up.reg[i] = f->reg[rule->arg];
		} else if (rule->kind != RULE_SAME && i == REG_RA) {
			return false;
		}
	}
	up.reg[REG_SP] = cfa;
	up.pc = strip_pc(up.reg[REG_RA]);
	*f = up;
	return true;
}

/* Where this is called, as the tables see it. */
static always_inline void read_registers(struct frame *f)
{
#if defined(__x86_64__)
	__asm__ volatile("lea 0(%%rip), %0\n\t"
			 "mov %%rbx, 24(%1)\n\t"
			 "mov %%rbp, 48(%1)\n\t"
			 "mov %%rsp, 56(%1)\n\t"
			 "mov %%r12, 96(%1)\n\t"
			 "mov %%r13, 104(%1)\n\t"
			 "mov %%r14, 112(%1)\n\t"
			 "mov %%r15, 120(%1)"
			 : "=&r"(f->pc)
			 : "r"(f->reg)
			 : "memory");
#elif defined(__aarch64__)
	__asm__ volatile("adr %0, .\n\t"
			 "stp x19, x20, [%1, #152]\n\t"
			 "stp x21, x22, [%1, #168]\n\t"
			 "stp x23, x24, [%1, #184]\n\t"
			 "stp x25, x26, [%1, #200]\n\t"
			 "stp x27, x28, [%1, #216]\n\t"
			 "stp x29, x30, [%1, #232]\n\t"
			 "mov x16, sp\n\t"
			 "str x16, [%1, #248]"
			 : "=&r"(f->pc)
			 : "r"(f->reg)
			 : "x16", "memory");
#endif
}

/* The shared object of ours that a code address lies in; not the program itself, even if we are linked into it. */
static bool in_library(uintptr_t pc)
{
	static const struct link_map *ours;
	struct object_info object;

	if (!find_object(pc, &object) || !object.dlfo_link_map)
		return false;
	if (!ours) {
		struct object_info self;

		if (!find_object((uintptr_t)in_library, &self))
			return false;
		__atomic_store_n(&ours, self.dlfo_link_map, __ATOMIC_RELAXED);
	}
	return object.dlfo_link_map == ours && *ours->l_name;
}

noinline unsigned int stack_trace_save(uintptr_t *entries, unsigned int size, unsigned int skip)
{
	struct frame f = { 0 };
	bool inside = true, first = true;
	unsigned int nr = 0;

	read_registers(&f);
	f.end = f.reg[REG_SP] + STACK_SPAN;
	while (nr < size && step(&f, first) && f.pc) {
		first = false;
		if (skip) {
			skip--;
			continue;
		}
		inside = inside && in_library(f.pc);
		if (!inside)
			entries[nr++] = f.pc;
	}
	return nr;
}

void stack_trace_print(struct out *o, const uintptr_t *entries, unsigned int nr)
{
	struct object_info object;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		const char *name;

		if (!find_object(entries[i], &object) || !object.dlfo_link_map) {
			out_printf(o, " 0x%lx\n", entries[i]);
			continue;
		}
		name = object.dlfo_link_map->l_name;
		if (!name || !*name) /* the program itself has none there */
			name = program_invocation_name;
		out_printf(o, " %s+0x%lx\n", name, entries[i] - object.dlfo_link_map->l_addr);
	}
}
