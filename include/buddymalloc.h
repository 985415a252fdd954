/* SPDX-License-Identifier: MIT */
/*
 * libbuddymalloc: what the library offers beyond the malloc family of <stdlib.h> and <malloc.h>.
 */
#ifndef BUDDYMALLOC_H
#define BUDDYMALLOC_H

#ifdef __cplusplus
extern "C" {
#endif

#define BM_API __attribute__((__visibility__("default")))

/* The library's version, "MAJOR.MINOR.PATCH". Async-signal-safe. */
BM_API const char *bm_version(void);

/*
 * Write a report to the descriptor fd. what is "summary" (bytes in use, held and peak, arenas, hugepages, slabs) or
 * "buddyinfo" (free blocks of each order, as /proc/buddyinfo has them). 0, or -EINVAL for an unknown report.
 * Async-signal-safe: takes no lock, so figures of one report may be from slightly different moments.
 */
BM_API int bm_stats_print(int fd, const char *what);

#ifdef __cplusplus
}
#endif

#endif
