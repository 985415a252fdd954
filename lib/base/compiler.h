/* SPDX-License-Identifier: MIT */
/*
 * What we ask of the compiler, under the names the kernel uses.
 */
#ifndef BASE_COMPILER_H
#define BASE_COMPILER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define always_inline inline __attribute__((__always_inline__))
#define noinline __attribute__((__noinline__))
#define hidden_var __attribute__((__visibility__("hidden"))) /* no detour through the GOT */
#define cold __attribute__((__cold__, __noinline__))
/* A large variable, zero at first, of which few processes use much: behind all others, so that those in use share pages
 * (lib/layout.ld). */
#define later_data __attribute__((__section__(".bss.later")))
/* What each process writes at its start, whether it calls malloc or not: on a page that the loader writes to anyway. */
#define first_data __attribute__((__section__(".data.first")))
#define printf_like(f, a) __attribute__((__format__(__printf__, f, a)))

/* Of a declaration: it lies in this library, so its address needs no table. */
#define local_symbol __attribute__((__visibility__("hidden")))

/*
 * Where the function returns to that this one is compiled into. RET_IP_COLD is for the branches that leave a fast path:
 * it is not merged with the other, which would load it for both.
 */
#define RET_IP ((unsigned long)__builtin_return_address(0))
#if defined(__x86_64__) && !defined(__clang__)
#define RET_IP_COLD (((const unsigned long *)__builtin_dwarf_cfa())[-1])
#else
#define RET_IP_COLD RET_IP
#endif

/* The compiler shall not know how a variable came by its value. */
#define forget_origin(x) __asm__("" : "+r"(x))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define BUILD_BUG_ON(cond) _Static_assert(!(cond), #cond)

/*
 * Thread-local words are initial-exec: a fixed offset from the thread pointer, no call into the loader, which
 * could allocate. A build for dlopen may override this (configure --with-tls-model).
 */
#ifndef BM_TLS_MODEL
#define BM_TLS_MODEL "initial-exec"
#endif
#define thread_local_var __thread __attribute__((tls_model(BM_TLS_MODEL)))

#endif
