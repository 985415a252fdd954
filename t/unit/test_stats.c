/* SPDX-License-Identifier: MIT */
/*
 * The figures: they add up with what was allocated, and the reports have the format of /proc.
 */
#include <errno.h>
#include <unistd.h>

#include "base/message.h"
#include "malloc/family.h"
#include "malloc/heap.h"
#include "malloc/stats.h"
#include "mm/vmstat.h"
#include "slab/run.h"
#include "slab/slabinfo.h"
#include "model.h"
#include "procfs.h"

static void start(void)
{
	must(heap_init());
	model_native();
}

static void check_sums(const struct heap_stats *s)
{
	must(s->in_use + s->free == s->held || s->in_use > s->held, "in use %zu free %zu held %zu", s->in_use, s->free,
	     s->held);
	must(s->held <= s->mapped && s->mapped <= s->mapped_peak && s->held <= s->held_peak);
	must(s->huge_blocks <= s->in_use && s->dirty <= s->mapped);
}

static void figures(void)
{
	enum { N = 1000 };
	static void *p[N];
	struct heap_stats before, s;
	void *run, *huge;
	unsigned int i;

	start();
	heap_stats_read(&before);
	check_sums(&before);
	for (i = 0; i < N; i++)
		p[i] = memset(heap_malloc(100), 1, 100);
	run = heap_malloc(100000);
	huge = heap_malloc(5 * MiB);
	memset(huge, 1, 5 * MiB);
	heap_stats_read(&s);
	check_sums(&s);
	must(s.in_use - before.in_use == N * 112 + class_size(size_to_class(100000)) + 6 * MiB, "%zu",
	     s.in_use - before.in_use);
	must(s.nr_runs == before.nr_runs + 1 && s.huge_blocks == 6 * MiB && s.nr_slabs > before.nr_slabs);
	must(s.nr_threads == 1 && s.held >= 6 * MiB);
	for (i = 0; i < N; i++)
		heap_free(p[i]);
	heap_stats_read(&s);
	check_sums(&s);
	must(s.in_use - before.in_use == class_size(size_to_class(100000)) + 6 * MiB, "blocks in lists are not in use");
	must(s.cached > 0);
	heap_free(run);
	heap_free(huge);
	heap_trim(0);
	heap_stats_read(&s);
	check_sums(&s);
	must(s.in_use == before.in_use && s.cached == 0 && !s.huge_blocks && s.nr_runs == before.nr_runs);
	must(s.dirty == 0, "nothing is dirty after a trim: %zu", s.dirty);
	must(s.held_peak >= 6 * MiB && s.mapped_peak >= 6 * MiB);
	for (i = 0; i < 8; i++)
		(void)alloc_pages(GFP_KERNEL | GFP_DMA32 | GFP_NOWARN, MAX_ORDER - 1);
	heap_stats_read(&s);
	check_sums(&s);
}

/* "Node 0, zone   Normal   n0 n1 ... n10 ": each figure is the zone's. */
static void buddyinfo(void)
{
	struct proc_buddy b[PROCFS_ZONES];
	struct zone *zone;
	struct out o;

	start();
	zone = &NODE_DATA(0)->node_zones[ZONE_NORMAL];
	heap_malloc(100000);
	out_init(&o, -1);
	print_buddyinfo(&o);
	must(parse_buddyinfo(o.buf, b) == 1, "%s: %s", procfs_error, o.buf);
	must(b->node == 0 && !strcmp(b->zone, "Normal") && b->orders == MAX_ORDER);
	must(!strncmp(o.buf, "Node 0, zone   Normal ", 22), "the columns of the kernel: %s", o.buf);
	for (unsigned int order = 0; order < MAX_ORDER; order++)
		must(b->nr[order] == zone->free_area[order].nr_free, "order %u", order);
}

/* A slab of the least order beside those of the preferred one. */
static void slabinfo(void)
{
	static char text[1 << 16];
	static struct proc_slab s[NR_CLASSES];
	struct kmem_cache *cache;
	unsigned int class = size_to_class(640);
	FILE *file = tmpfile();
	struct out o;

	start();
	cache = &kmem_caches[class];
	must(cache->order == 2 && cache->size == 640);
	cache->nr_slabs = 5;
	cache->nr_pages = 3 * 4 + 2 * 1;
	cache->nr_active = 60;
	cache->nr_magazine_objects = 4;
	cache->node.empty = 1;
	must(file);
	out_init(&o, fileno(file));
	print_slabinfo(&o);
	out_flush(&o);
	must(pread(fileno(file), text, sizeof(text) - 1, 0) > 0);
	must(parse_slabinfo(text, s, NR_CLASSES) == NR_CLASSES - 1, "%s", procfs_error);
	for (unsigned int c = 1; c < NR_CLASSES; c++)
		must(s[c - 1].objsize == class_size(c));
	s[0] = s[class - 1];
	must(s->num_slabs == 5 && s->active_slabs == 4 && s->active_objs == 56, "%lu", s->active_objs);
	must(s->num_objs == 3 * 25 + 2 * 6 && s->objperslab == 25 && s->pagesperslab == 4, "%lu", s->num_objs);
	must(nr_slab_pages() == 14, "%lu", nr_slab_pages());
}

static void prints(void)
{
	static char text[4096];
	int fd[2];
	ssize_t got;

	start();
	must(alloc_pages(GFP_USER, 0));
	must(!pipe(fd));
	must(bm_stats_print(fd[1], NULL) == -EINVAL && bm_stats_print(fd[1], "nonsense") == -EINVAL);
	must(bm_stats_print(fd[1], "summary") == 0);
	close(fd[1]);
	got = read(fd[0], text, sizeof(text) - 1);
	must(got > 0);
	must(strstr(text, "summary\n") && strstr(text, "\nheld ") && strstr(text, "\narenas ") &&
	     strstr(text, "\nhugepages ") && strstr(text, "\nslabs ") && strstr(text, "\nNode 0, zone   Normal "));
	must(bm_version() && *bm_version() && strstr(text, bm_version()));
}

static void mallinfo_adds_up(void)
{
	struct mallinfo2 m;
	struct heap_stats s;
	void *p;

	start();
	p = heap_malloc(3 * MiB);
	must(heap_malloc(7 * MiB), "in whole pageblocks");
	m = family_mallinfo();
	heap_stats_read(&s);
	must(m.uordblks + m.hblkhd == s.in_use && m.fordblks == s.free && m.hblkhd == s.huge_blocks &&
	     m.hblkhd == 11 * MiB);
	must(m.arena + m.hblkhd == s.mapped && m.hblks == 2 && m.fsmblks == s.cached && m.keepcost == s.dirty);
	must((size_t)family_mallinfo_int().uordblks == m.uordblks);
	heap_free(p);
	must(family_mallinfo().hblkhd == 8 * MiB && family_mallinfo().hblks == 1);
}

int main(void)
{
	run_case("the figures add up", figures);
	run_case("buddyinfo is as in /proc", buddyinfo);
	run_case("slabinfo adds up", slabinfo);
	run_case("reports", prints);
	run_case("mallinfo says the same", mallinfo_adds_up);
	return done_testing();
}
