/* SPDX-License-Identifier: MIT */
/*
 * A plug-in opened with RTLD_DEEPBIND looks for malloc and free in itself and what it needs first, so in libc: what one
 * of two heaps gave would be freed in the other. Without this flag it finds ours, as everything else does; so dlopen
 * passes calls on without it, as long as malloc is ours and nobody asked to keep it.
 */
#include <dlfcn.h>

#include "base/atomic.h"
#include "base/compiler.h"
#include "base/tunables.h"
#include "interpose/interpose.h"

#ifndef BM_PREFIX
typedef void *(*dlopen_t)(const char *file, int mode);

/* What the function that is called next takes. In two registers, for the assembly below. */
struct dlopen_call {
	dlopen_t next;
	unsigned long mode;
};

extern struct dlopen_call dlopen_call(int mode) __attribute__((__visibility__("hidden"), __used__));

/* dlsym has said why. */
static void *no_dlopen(const char *file, int mode)
{
	(void)file;
	(void)mode;
	return NULL;
}

/* That of libc, or of another library that was put between. Constructors of others may call it before ours have run. */
static dlopen_t next_dlopen(void)
{
	static dlopen_t next;
	dlopen_t found = READ_ONCE(next);

	if (found)
		return found;
	found = (dlopen_t)dlsym(RTLD_NEXT, "dlopen");
	if (!found)
		return no_dlopen;
	WRITE_ONCE(next, found);
	return found;
}

struct dlopen_call dlopen_call(int mode)
{
	if ((mode & RTLD_DEEPBIND) && !READ_ONCE(tunables.deepbind) && !is_idle())
		mode &= ~RTLD_DEEPBIND;
	return (struct dlopen_call){ next_dlopen(), (unsigned int)mode };
}

/*
 * void *dlopen(const char *file, int mode): where it looks for the file depends on who called it, which it takes from
 * its return address. So it is jumped to, and no compiler promises that of a call in C.
 */
#if defined(__x86_64__)
__asm__(".pushsection .text.dlopen, \"ax\", @progbits\n"
	".balign 16\n"
	".globl dlopen\n"
	".type dlopen, @function\n"
	"dlopen:\n"
	".cfi_startproc\n"
	"endbr64\n"
	"pushq %rdi\n"
	".cfi_adjust_cfa_offset 8\n"
	"movl %esi, %edi\n"
	"call dlopen_call\n"
	"popq %rdi\n"
	".cfi_adjust_cfa_offset -8\n"
	"movl %edx, %esi\n"
	"jmp *%rax\n"
	".cfi_endproc\n"
	".size dlopen, . - dlopen\n"
	".popsection\n");
#elif defined(__aarch64__)
__asm__(".pushsection .text.dlopen, \"ax\", @progbits\n"
	".balign 16\n"
	".globl dlopen\n"
	".type dlopen, @function\n"
	"dlopen:\n"
	".cfi_startproc\n"
	"hint 34\n" /* bti c */
	"stp x0, x30, [sp, #-16]!\n"
	".cfi_adjust_cfa_offset 16\n"
	".cfi_rel_offset x30, 8\n"
	"mov w0, w1\n"
	"bl dlopen_call\n"
	"mov x16, x0\n"
	"ldp x0, x30, [sp], #16\n"
	".cfi_adjust_cfa_offset -16\n"
	".cfi_restore x30\n"
	"br x16\n"
	".cfi_endproc\n"
	".size dlopen, . - dlopen\n"
	".popsection\n");
#endif
#endif
