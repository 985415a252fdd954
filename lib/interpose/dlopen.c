/* SPDX-License-Identifier: MIT */
/*
 * A library of its own, to be preloaded beside libbuddymalloc.so where it is wanted: dlopen without RTLD_DEEPBIND. A
 * plug-in opened with this flag looks for malloc and free in itself and in what it needs first, so in libc: what one of
 * two heaps gave would be freed in the other. Without it the plug-in finds what everything else does.
 */
#include <dlfcn.h>
#include <stddef.h>

#include "base/atomic.h"
#include "base/compiler.h"

typedef void *(*dlopen_t)(const char *file, int mode);

extern dlopen_t next_dlopen(void) __attribute__((__visibility__("hidden"), __used__));

/* dlsym has said why. */
static void *no_dlopen(const char *file, int mode)
{
	(void)file;
	(void)mode;
	return NULL;
}

/* That of libc, or of another library that was put between. Any thread, at any time. */
dlopen_t next_dlopen(void)
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

/*
 * void *dlopen(const char *file, int mode): where it looks for the file depends on who called it, which it takes from
 * its return address. So it is jumped to, and no compiler promises that of a call in C. RTLD_DEEPBIND is 8.
 */
_Static_assert(RTLD_DEEPBIND == 8, "the assembly below clears this bit");
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
	"pushq %rsi\n"
	".cfi_adjust_cfa_offset 8\n"
	"subq $8, %rsp\n"
	".cfi_adjust_cfa_offset 8\n"
	"call next_dlopen\n"
	"addq $8, %rsp\n"
	".cfi_adjust_cfa_offset -8\n"
	"popq %rsi\n"
	".cfi_adjust_cfa_offset -8\n"
	"popq %rdi\n"
	".cfi_adjust_cfa_offset -8\n"
	"andl $~8, %esi\n"
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
	"stp x0, x1, [sp, #-32]!\n"
	".cfi_adjust_cfa_offset 32\n"
	"str x30, [sp, #16]\n"
	".cfi_rel_offset x30, 16\n"
	"bl next_dlopen\n"
	"mov x16, x0\n"
	"ldr x30, [sp, #16]\n"
	".cfi_restore x30\n"
	"ldp x0, x1, [sp], #32\n"
	".cfi_adjust_cfa_offset -32\n"
	"and w1, w1, #~8\n"
	"br x16\n"
	".cfi_endproc\n"
	".size dlopen, . - dlopen\n"
	".popsection\n");
#else
#error "dlopen is not written for this machine"
#endif
