/* SPDX-License-Identifier: MIT */
/*
 * libbuddymalloc: what the library offers beyond the malloc family of <stdlib.h> and <malloc.h>.
 *
 * Everything here is thread-safe. Functions that return a pointer return NULL and set errno when they fail; functions
 * that return int return 0 or a count, or -errno. A bad argument is an error. Unless it says so, nothing here may be
 * called from a signal handler. In brackets: the function of Linux that each corresponds to.
 */
#ifndef BUDDYMALLOC_H
#define BUDDYMALLOC_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BM_API __attribute__((__visibility__("default")))

/* The library's version, "MAJOR.MINOR.PATCH". Async-signal-safe. */
BM_API const char *bm_version(void);

/*
 * Pages. A block of order N is 2^N pages of 4 KiB, aligned to its size, N from 0 to 10. Its address stands for it. A
 * block has a reference count, 1 when it is allocated, and is free when that falls to 0.
 *
 * What an allocation may do, as a set of bits. Most callers want one of the sets further down.
 */
typedef unsigned int bm_gfp_t;

/* What may be done to get it, and how hard it is tried. */
#define BM_GFP_DIRECT_RECLAIM 0x00000001u /* the caller may wait and reclaim */
#define BM_GFP_KSWAPD_RECLAIM 0x00000002u /* wake the reclaim thread */
#define BM_GFP_IO 0x00000004u		  /* reclaim may make system calls that give memory back */
#define BM_GFP_FS 0x00000008u		  /* reclaim may call the application's shrinkers */
#define BM_GFP_NORETRY 0x00000010u	  /* one round of help at most */
#define BM_GFP_RETRY_MAYFAIL 0x00000020u  /* try hard, large orders too, but no abort of anyone */
#define BM_GFP_NOFAIL 0x00000040u	  /* never NULL: waits until somebody frees */
#define BM_GFP_NOWARN 0x00000080u	  /* no report on stderr when it fails */
#define BM_GFP_NOMEMALLOC 0x00000100u	  /* never use all of the reserve, whatever the scope says */
#define BM_GFP_HARDWALL 0x00000200u	  /* keep to the cpuset's nodes */
#define BM_GFP_ACCOUNT 0x00000400u	  /* charged to the owner, as everything is that a program has */
#define BM_GFP_COMP 0x00000800u		  /* compound, above order 0: any address inside finds its head */
/* Where it lies. */
#define BM_GFP_DMA32 0x00001000u       /* below 4 GiB */
#define BM_GFP_MOVABLE 0x00002000u     /* its user will let it be moved: see bm_set_page_movable */
#define BM_GFP_RECLAIMABLE 0x00004000u /* a shrinker can free it */
#define BM_GFP_THISNODE 0x00008000u    /* this node or nothing; no policy */
#define BM_GFP_WRITE 0x00010000u       /* will be written soon: spread over the nodes */
/* What else is special. */
#define BM_GFP_ZERO 0x00020000u	    /* reads as zero */
#define BM_GFP_HIGH 0x00040000u	    /* use some of the reserve */
#define BM_GFP_MEMALLOC 0x00080000u /* use all of the reserve: the caller is about to free more */

#define BM_GFP_RECLAIM (BM_GFP_DIRECT_RECLAIM | BM_GFP_KSWAPD_RECLAIM)
#define BM_GFP_NOWAIT BM_GFP_KSWAPD_RECLAIM				  /* never waits */
#define BM_GFP_ATOMIC (0x00100000u | BM_GFP_HIGH | BM_GFP_KSWAPD_RECLAIM) /* never waits, and must not fail lightly */
#define BM_GFP_NOIO BM_GFP_RECLAIM
#define BM_GFP_NOFS (BM_GFP_RECLAIM | BM_GFP_IO)
#define BM_GFP_KERNEL (BM_GFP_RECLAIM | BM_GFP_IO | BM_GFP_FS)
#define BM_GFP_USER (BM_GFP_KERNEL | BM_GFP_HARDWALL)
/* A hugepage, or rather none than a long wait; with order 9. */
#define BM_GFP_TRANSHUGE                                                                                  \
	(BM_GFP_DIRECT_RECLAIM | BM_GFP_IO | BM_GFP_FS | BM_GFP_HARDWALL | BM_GFP_MOVABLE | BM_GFP_COMP | \
	 BM_GFP_NOMEMALLOC | BM_GFP_NOWARN)

/*
 * Allocate a block of the order. NULL with ENOMEM, or EINVAL for an order above 10, flags that do not exist or a node
 * that does not. [alloc_pages, alloc_pages_node]
 */
BM_API void *bm_alloc_pages(bm_gfp_t gfp, unsigned int order);
/* The same, from the node nid if it has some, else from those nearest to it; nid -1: the caller's node. */
BM_API void *bm_alloc_pages_node(int nid, bm_gfp_t gfp, unsigned int order);
/* Drop a reference; the last one frees the block. addr NULL is nothing. An address that is no block's, or another
 * order than it was allocated with, is reported as free() reports it (foreign_free). [__free_pages] */
BM_API void bm_free_pages(void *addr, unsigned int order);
/* size bytes, at most 4 MiB, as single pages side by side: each of them is a block of order 0, so that parts of it
 * may be freed. [alloc_pages_exact] */
BM_API void *bm_alloc_pages_exact(size_t size, bm_gfp_t gfp);
BM_API void bm_free_pages_exact(void *addr, size_t size);
/* nr single pages, wherever they lie, into array[0..nr-1], which is overwritten. How many there were.
 * [alloc_pages_bulk] */
BM_API unsigned long bm_alloc_pages_bulk(bm_gfp_t gfp, unsigned long nr, void **array);
/* nr_pages single pages side by side, any number; what lies there and is movable is moved away. [alloc_contig_pages] */
BM_API void *bm_alloc_contig_pages(unsigned long nr_pages, bm_gfp_t gfp, int nid);
BM_API void bm_free_contig_pages(void *addr, unsigned long nr_pages);
/* One reference more, or one less: that of a whole block, whatever page of a compound one addr is in. [get_page,
 * put_page] */
BM_API void bm_get_page(void *addr);
BM_API void bm_put_page(void *addr);
/* From now on the block is 2^order single pages, to be freed one by one. Not for compound ones. References beside the
 * one that each page has stay with the first. [split_page] */
BM_API void bm_split_page(void *addr, unsigned int order);
/* Node, and order, of the block that addr is the address of (or, if compound, lies in); -EINVAL: not a block of ours.
 * [page_to_nid, compound_order] */
BM_API int bm_page_node(const void *addr);
BM_API int bm_page_order(const void *addr);

/*
 * Moving. A block with operations can be moved by compaction and by bm_alloc_contig_pages, whose calls come in this
 * order: isolate says whether it may be moved now (0: yes) and keeps its user away; then either migrate copies it from
 * src to dst and makes its user refer to dst (0: done, src is freed by the caller of migrate), or putback gives it to
 * its user again where it was. They run with no lock of the library held, on any thread that allocates with BM_GFP_FS,
 * so it may hold any of the application's locks: isolate tries its own, and says no where it is held. They must not
 * allocate. The new block has the same operations. A block with further references (bm_get_page) is not moved. A block
 * may be freed at any time: isolate may yet be called for the address a moment later, and finds out by its user's own
 * data that there is none. [struct movable_operations]
 */
struct bm_movable_ops {
	int (*isolate)(void *addr, void *arg);
	int (*migrate)(void *dst, void *src, unsigned int order, void *arg);
	void (*putback)(void *addr, void *arg);
};
/* ops are copied; NULL takes them away. 0, -EINVAL, -ENOMEM; -EBUSY: it is being moved just now.
 * [__SetPageMovable] */
BM_API int bm_set_page_movable(void *addr, const struct bm_movable_ops *ops, void *arg);
/* Move what can be moved towards one end of each zone of the node (-1: of all), so that large blocks come free. Pages
 * moved, or -EINVAL. [compact_node] */
BM_API int bm_compact_memory(int nid);

/*
 * Shrinkers: caches of the application's own that are asked to free something when memory ends, before anything fails.
 * count says how many objects could be freed on the node sc->nid, as an estimate; an object is what costs the same to
 * make again, of whatever size. scan frees about sc->nr_to_scan of them, least needed first, and returns how many it
 * freed: only what really was, since allocations are tried again as long as it says so. It may set sc->nr_scanned, how
 * many it has looked at, else that is nr_to_scan. seeks is what an object costs to make again, 2 if nothing is known; a
 * cache with a higher one is asked for less, with 0 for half of what it has each time.
 *
 * Both run on any thread that allocates with BM_GFP_FS (malloc does, outside of BM_SCOPE_NOFS), at any time and on many
 * at once; with no lock of the library held, but maybe any of the application's: so a shrinker takes its own by
 * trylock, and returns BM_SHRINK_STOP from scan, 0 from count, where that fails. What was not scanned is put off, not
 * forgotten. They may free; they may allocate, but get only what is left of the reserve, often NULL, and no shrinker is
 * called for that. They return: no longjmp, no exception, no end of the thread; which owners they enter or leave counts
 * for as long as they run. With kswapd (doc/configuration.md) they run on a thread of the library's too, which has
 * 64 KiB of stack and all signals blocked. [struct shrinker]
 */
struct bm_shrink_control {
	bm_gfp_t gfp; /* of the request that wants memory */
	int nid;
	unsigned long nr_to_scan, nr_scanned;
};
struct bm_shrinker_ops {
	unsigned long (*count)(void *arg, struct bm_shrink_control *sc);
	unsigned long (*scan)(void *arg, struct bm_shrink_control *sc);
};
#define BM_SHRINK_STOP (~0UL)	   /* scan: would deadlock, come back later */
#define BM_SHRINK_EMPTY (~0UL - 1) /* count: nothing here at all, and what was put off is void */
typedef struct bm_shrinker bm_shrinker_t;
/* name (its first 31 bytes are kept) and ops are copied. NULL with EINVAL: no name, an operation is missing or seeks is
 * negative; or with ENOMEM. Shrinkers are called in the order of their registration. [register_shrinker] */
BM_API bm_shrinker_t *bm_shrinker_register(const char *name, const struct bm_shrinker_ops *ops, void *arg, int seeks);
/*
 * Returns once no call of it is running, and none begins any more; so hold nothing that its calls wait for. From within
 * a call of its own: once no other call of it is running, and that one is the last. Two shrinkers must not unregister
 * each other. NULL is nothing; what is not registered (any more): nothing happens, but errno is EINVAL.
 * [unregister_shrinker]
 */
BM_API void bm_shrinker_unregister(bm_shrinker_t *s);

/*
 * Owners: who is charged for memory. Every thread is one, for what it allocates; a program names further ones, say one
 * for each request that it serves. What a thread allocates while it is inside of a named owner, by malloc and its kin,
 * operator new or as pages, is that owner's, whoever frees it; realloc keeps a block's owner, also where it moves it.
 * Owners share no page, so that destroying one frees all it has at once, at a cost that goes by its pages and large
 * blocks, not by the objects in them.
 *
 * What libc allocates stays: a request that comes from libc itself, the dynamic loader or a module of the name service
 * or of iconv is the thread's own, whatever the thread is inside of, since libc may keep such blocks for later (the
 * buffer of stdout, a thread's stack and what belongs to it, a loaded object, a locale, the resolver's state). So is
 * what a libc function allocates for its caller (strdup, getline, asprintf, fopen, ...): it outlives the owner, and is
 * to be freed one by one, as ever. The C++ runtime's exceptions outlive it too, but not the text of one that has a
 * std::string, nor what a std::locale other than the classic one makes when a stream first uses it: let that be
 * outside. Other libraries' blocks are the owner's: what such a library keeps must not be allocated inside. It is the
 * address that malloc returns to which decides: a function that libc calls, and whose last act is to return what malloc
 * gives, may be left out by the compiler.
 *
 * attr and its name (of which 31 bytes are kept, control characters as _) are copied. limit and min are bytes, counted
 * in whole pages, 0 for none. At its limit an owner first frees what it can spare, then the application's shrinkers are
 * called, then the owner is the victim of an OOM step of its own: its abort callback, and if that does not help, NULL
 * with ENOMEM. When the whole process has reached its limit, the largest owner is the victim, by its usage plus
 * score_adj thousandths of the limit; never one with a usage up to min, or with score_adj -1000.
 *
 * abort runs on the thread that asks for memory, with any of the application's locks held, but none of the library's,
 * and does not block: it sets a flag, cancels a request, drops what it can. It may enter and leave owners, but returns,
 * as shrinkers do; the thread is inside of the same one then as before, and nobody can destroy that one, or the one
 * that the request is for, meanwhile. 0: the owner is being emptied; until its usage falls, or oom_wait_ms pass, it is
 * the only victim and may use the reserve. Else: not this one, the next is chosen. NULL: SIGABRT to a thread that is
 * inside. [mem_cgroup]
 */
typedef struct bm_owner bm_owner_t;
struct bm_owner_attr {
	const char *name;
	size_t limit, min;
	int score_adj; /* -1000 to 1000 */
	int (*abort)(bm_owner_t *owner, void *arg);
	void *arg;
};
/* NULL with EINVAL: no name, or score_adj out of range; or with ENOMEM. From the first one on, all pages are charged.
 */
BM_API bm_owner_t *bm_owner_create(const struct bm_owner_attr *attr);
/*
 * Free every block of the owner, and the owner: references (bm_get_page) are dropped, operations of movable blocks are
 * not called. 0; -EBUSY: a thread is inside, or in its abort callback while this one is in that of another owner;
 * nothing has happened; -EINVAL: there is no such owner (any more). No other thread may be using or freeing its blocks
 * meanwhile. When it returns no call of abort is running, but one that this thread is in, and none begins any more. A
 * destroyed owner's handle is never that of another.
 */
BM_API int bm_owner_destroy(bm_owner_t *owner);
/*
 * This thread is inside of owner from now on; NULL: of none. Returns the one that it was inside of before. They do not
 * nest: to go back, enter that one. errno is set only when there is no such owner (EINVAL), and then nothing changes. A
 * thread that ends leaves. In the child of a fork the thread that forked is where it was, and nobody else is inside.
 */
BM_API bm_owner_t *bm_owner_enter(bm_owner_t *owner);
/* Bytes in pages that the owner has; 0 if there is no such owner. */
BM_API size_t bm_owner_usage(const bm_owner_t *owner);

/*
 * Scopes: until restored, every allocation of this thread is without those rights, whoever asks. Returns what to give
 * to bm_memalloc_restore: all scopes that were in force before. They nest. Bits that are no scope are ignored. Both are
 * async-signal-safe. [memalloc_nofs_save and kin]
 */
#define BM_SCOPE_NOFS 0x1u	/* as without BM_GFP_FS */
#define BM_SCOPE_NOIO 0x2u	/* as without BM_GFP_IO and BM_GFP_FS */
#define BM_SCOPE_NORECLAIM 0x4u /* as with BM_GFP_MEMALLOC: reclaim must not recurse */
#define BM_SCOPE_PIN 0x8u	/* as without BM_GFP_MOVABLE */
BM_API unsigned int bm_memalloc_save(unsigned int scope);
BM_API void bm_memalloc_restore(unsigned int saved);

/*
 * The thread's memory policy for pages and malloc, as of set_mempolicy(2), whose MPOL_* constants are meant (default,
 * preferred, preferred-many, bind, interleave, local, weighted interleave; MPOL_F_STATIC_NODES and
 * MPOL_F_RELATIVE_NODES), and, as there, maxnode is one more than the bits of the mask. Of nodes that do not exist,
 * have no memory or are outside of the cpuset only the others count; -EINVAL if that leaves none. What has been
 * allocated stays where it is. Before the first call of a thread: the policy that the process was started with
 * (numactl), but that of a machine with one node is default. Weights are the system's, read by this call; 1 where it
 * has none (before Linux 6.9). get: mode and mask may be NULL. 0, -EINVAL, or -ENOMEM if the library could not start.
 */
BM_API int bm_set_mempolicy(int mode, const unsigned long *nodemask, unsigned long maxnode);
BM_API int bm_get_mempolicy(int *mode, unsigned long *nodemask, unsigned long maxnode);

/*
 * Control, by the names of sysctl(8) where Linux has one: "vm.min_free_kbytes", "vm.compact_memory", ... (doc/
 * configuration.md lists them). get writes the value and a NUL; returns the length without it, -ENOENT for an unknown
 * name, -ENOSPC if it does not fit; async-signal-safe. set: 0, -ENOENT, -EINVAL, -EPERM for one that only reads.
 */
BM_API int bm_ctl_get(const char *name, char *buf, size_t len);
BM_API int bm_ctl_set(const char *name, const char *value);

/*
 * Write a report to the descriptor fd, in the format of the file of the same name below /proc: "buddyinfo",
 * "pagetypeinfo", "zoneinfo", "vmstat", "slabinfo"; below debugfs: "extfrag_index", "unusable_index", "page_owner"; or
 * "summary" (bytes in use, held and peak, arenas, hugepages, slabs), "owners" (what each owner has, its limit, who is
 * inside), "hugepages" (what lies on them, of each node), "shrinkers" (of each: calls of scan, objects freed and put
 * off), "pressure" (as /proc/pressure/memory). 0, or -EINVAL for an unknown report. Async-signal-safe: waits for no
 * lock, so figures of one report may be from slightly different moments.
 */
BM_API int bm_stats_print(int fd, const char *what);

#ifdef __cplusplus
}
#endif

#endif
