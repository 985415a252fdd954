/* SPDX-License-Identifier: MIT */
/*
 * USDT probes of provider buddymalloc, under the names and with the arguments of the kernel's trace points. A probe is
 * one nop until somebody attaches to it; arguments must cost nothing, so they are what the caller has at hand. A block
 * of pages is its address.
 */
#ifndef BASE_TRACE_H
#define BASE_TRACE_H

#include "base/compiler.h"

#ifdef BM_USDT
#ifdef __clang__
#define STAP_SDT_ARG_CONSTRAINT nr /* it copies whatever may lie in memory to the stack */
#endif
#include <sys/sdt.h>

/* Debuggers do not know the names of all registers of a byte: whatever is no address is an unsigned int. */
#define TRACE_INT(x) ((unsigned int)(x))

#define trace_mm_page_alloc(addr, order, gfp, mt) \
	DTRACE_PROBE4(buddymalloc, mm_page_alloc, addr, TRACE_INT(order), TRACE_INT(gfp), TRACE_INT(mt))
#define trace_mm_page_free(addr, order) DTRACE_PROBE2(buddymalloc, mm_page_free, addr, TRACE_INT(order))
/* Zone lock held; refill: the block goes to a per-CPU list, not to a caller. */
#define trace_mm_page_alloc_zone_locked(addr, order, mt, refill) \
	DTRACE_PROBE4(buddymalloc, mm_page_alloc_zone_locked, addr, TRACE_INT(order), TRACE_INT(mt), TRACE_INT(refill))
/* A request for mt is served by a block of fallback_order from fallback_mt; owned: its pageblock becomes mt's. */
#define trace_mm_page_alloc_extfrag(addr, order, fallback_order, mt, fallback_mt, owned)                     \
	DTRACE_PROBE6(buddymalloc, mm_page_alloc_extfrag, addr, TRACE_INT(order), TRACE_INT(fallback_order), \
		      TRACE_INT(mt), TRACE_INT(fallback_mt), TRACE_INT(owned))
/* On the shortest way there is no room for a nop: the probe sits on the instruction that comes next. */
#pragma push_macro("_SDT_NOP")
#undef _SDT_NOP
#define _SDT_NOP
static always_inline void trace_mm_page_alloc_fast(const void *addr, unsigned int order, unsigned int gfp,
						   unsigned int mt)
{
	DTRACE_PROBE4(buddymalloc, mm_page_alloc, addr, order, gfp, mt);
}
static always_inline void trace_mm_page_free_fast(const void *addr, unsigned int order)
{
	DTRACE_PROBE2(buddymalloc, mm_page_free, addr, order);
}
static always_inline void trace_kmalloc_fast(unsigned long caller, const void *ptr, size_t req, const uint32_t *alloc,
					     unsigned int gfp)
{
	DTRACE_PROBE5(buddymalloc, kmalloc, caller, ptr, req, *alloc, gfp);
}
static always_inline void trace_kfree_fast(unsigned long caller, const void *ptr)
{
	DTRACE_PROBE2(buddymalloc, kfree, caller, ptr);
}
#pragma pop_macro("_SDT_NOP")
#define trace_mm_page_pcpu_drain(addr, order, mt) \
	DTRACE_PROBE3(buddymalloc, mm_page_pcpu_drain, addr, TRACE_INT(order), TRACE_INT(mt))
/* caller: where malloc or free was called from. Blocks resized in place are freed and allocated in one go. */
#define trace_kmalloc(caller, ptr, req, alloc, gfp) DTRACE_PROBE5(buddymalloc, kmalloc, caller, ptr, req, alloc, gfp)
#define trace_kfree(caller, ptr) DTRACE_PROBE2(buddymalloc, kfree, caller, ptr)
#else
#define trace_mm_page_alloc_fast(addr, order, gfp, mt) ((void)0)
#define trace_mm_page_free_fast(addr, order) ((void)0)
#define trace_mm_page_alloc(addr, order, gfp, mt) ((void)0)
#define trace_mm_page_free(addr, order) ((void)0)
#define trace_mm_page_alloc_zone_locked(addr, order, mt, refill) ((void)0)
#define trace_mm_page_alloc_extfrag(addr, order, fallback_order, mt, fallback_mt, owned) ((void)0)
#define trace_mm_page_pcpu_drain(addr, order, mt) ((void)0)
#define trace_kmalloc(caller, ptr, req, alloc, gfp) \
	((void)(caller), (void)(ptr), (void)(req), (void)(alloc), (void)(gfp))
#define trace_kfree(caller, ptr) ((void)(caller), (void)(ptr))
#define trace_kmalloc_fast(caller, ptr, req, alloc, gfp) trace_kmalloc(caller, ptr, req, alloc, gfp)
#define trace_kfree_fast(caller, ptr) trace_kfree(caller, ptr)
#endif

#endif
