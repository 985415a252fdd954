/* SPDX-License-Identifier: MIT */
/*
 * Which of the library's code is in memory with a process. A page of it that is needed brings 64 KiB around it, or the
 * folio that it lies in, but nothing beyond the end of its mapping.
 */
#include <sys/mman.h>

#include "base/bits.h"
#include "os/os.h"

/* Where the library begins, and where in it what few processes run (lib/layout.ld): nowhere without that layout. */
extern hidden_var const char image[] __asm__("__ehdr_start") __attribute__((weak));
extern hidden_var const char rare_text[] __attribute__((weak));

void os_set_rare_text_apart(void)
{
	/* Any advice would do that makes two mappings of one: this text lies on no hugepage anyway. */
	if (image && rare_text)
		os->madvise((void *)(uintptr_t)image, align_up((size_t)(rare_text - image), os_page_size()),
			    MADV_NOHUGEPAGE);
}
