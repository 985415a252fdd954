/* SPDX-License-Identifier: MIT */
/*
 * What base needs from the system below everything: waiting, writing and ending. base makes no system call itself;
 * lib/os defines these, so that the arrow of dependencies still points down. None touches errno or allocates.
 */
#ifndef BASE_HOST_H
#define BASE_HOST_H

#include "base/compiler.h"

/* Sleep while *word is value; may return early. */
void host_futex_wait(uint32_t *word, uint32_t value);
/* Wake up to nr sleepers on word. */
void host_futex_wake(uint32_t *word, int nr);
/* Write all of it, as far as the descriptor takes it; errors are dropped; errno is untouched. */
void host_write(int fd, const char *text, size_t len);
/* End the process by SIGABRT. */
_Noreturn void host_abort(void);
/* End the process with this status: no exit handler runs, nothing is flushed. */
_Noreturn void host_exit(int status);
/* Can the word at addr be read without a fault? */
bool host_readable(const void *addr);
/* Possible CPUs, at least 1; read once. */
unsigned int host_nr_cpus(void);

#endif
