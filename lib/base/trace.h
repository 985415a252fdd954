/* SPDX-License-Identifier: MIT */
/*
 * USDT probes of provider buddymalloc, under the names and with the arguments of the kernel's trace points. A probe is
 * one nop until somebody attaches to it; arguments must cost nothing, so they are what the caller has at hand. Page
 * frames are numbers of the window, 0 for none.
 */
#ifndef BASE_TRACE_H
#define BASE_TRACE_H

#ifdef BM_USDT
#ifdef __clang__
#define STAP_SDT_ARG_CONSTRAINT nr /* it copies whatever may lie in memory to the stack */
#endif
#include <sys/sdt.h>

#define trace_mm_page_alloc(pfn, order, gfp, mt) DTRACE_PROBE4(buddymalloc, mm_page_alloc, pfn, order, gfp, mt)
#define trace_mm_page_free(pfn, order) DTRACE_PROBE2(buddymalloc, mm_page_free, pfn, order)
/* Zone lock held; refill: the block goes to a per-CPU list, not to a caller. */
#define trace_mm_page_alloc_zone_locked(pfn, order, mt, refill) \
	DTRACE_PROBE4(buddymalloc, mm_page_alloc_zone_locked, pfn, order, mt, refill)
/* A request for mt is served by a block of fallback_order from fallback_mt; owned: its pageblock becomes mt's. */
#define trace_mm_page_alloc_extfrag(pfn, order, fallback_order, mt, fallback_mt, owned) \
	DTRACE_PROBE6(buddymalloc, mm_page_alloc_extfrag, pfn, order, fallback_order, mt, fallback_mt, owned)
#define trace_mm_page_pcpu_drain(pfn, order, mt) DTRACE_PROBE3(buddymalloc, mm_page_pcpu_drain, pfn, order, mt)
/* caller: where malloc or free was called from. Blocks resized in place are freed and allocated in one go. */
#define trace_kmalloc(caller, ptr, req, alloc, gfp) DTRACE_PROBE5(buddymalloc, kmalloc, caller, ptr, req, alloc, gfp)
#define trace_kfree(caller, ptr) DTRACE_PROBE2(buddymalloc, kfree, caller, ptr)
#else
#define trace_mm_page_alloc(pfn, order, gfp, mt) ((void)0)
#define trace_mm_page_free(pfn, order) ((void)0)
#define trace_mm_page_alloc_zone_locked(pfn, order, mt, refill) ((void)0)
#define trace_mm_page_alloc_extfrag(pfn, order, fallback_order, mt, fallback_mt, owned) ((void)0)
#define trace_mm_page_pcpu_drain(pfn, order, mt) ((void)0)
#define trace_kmalloc(caller, ptr, req, alloc, gfp) ((void)(caller), (void)(ptr), (void)(req), (void)(alloc))
#define trace_kfree(caller, ptr) ((void)(caller), (void)(ptr))
#endif

#endif
