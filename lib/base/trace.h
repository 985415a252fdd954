/* SPDX-License-Identifier: MIT */
/*
 * USDT probes of provider buddymalloc, under the names and with the arguments of the kernel's trace points. A probe is
 * one nop until somebody attaches to it.
 */
#ifndef BASE_TRACE_H
#define BASE_TRACE_H

#ifdef BM_USDT
#include <sys/sdt.h>

#define trace_mm_page_alloc(pfn, order, gfp, mt) DTRACE_PROBE4(buddymalloc, mm_page_alloc, pfn, order, gfp, mt)
#define trace_mm_page_free(pfn, order) DTRACE_PROBE2(buddymalloc, mm_page_free, pfn, order)
#define trace_mm_page_alloc_extfrag(pfn, order, fallback_order, mt, fallback_mt) \
	DTRACE_PROBE5(buddymalloc, mm_page_alloc_extfrag, pfn, order, fallback_order, mt, fallback_mt)
#define trace_mm_page_pcpu_drain(pfn, order, mt) DTRACE_PROBE3(buddymalloc, mm_page_pcpu_drain, pfn, order, mt)
#else
#define trace_mm_page_alloc(pfn, order, gfp, mt) ((void)0)
#define trace_mm_page_free(pfn, order) ((void)0)
#define trace_mm_page_alloc_extfrag(pfn, order, fallback_order, mt, fallback_mt) ((void)0)
#define trace_mm_page_pcpu_drain(pfn, order, mt) ((void)0)
#endif

#endif
