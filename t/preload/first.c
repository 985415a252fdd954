/* SPDX-License-Identifier: MIT */
/*
 * first CALL: makes this call before any other of the library's, while there is no heap, and then uses malloc; 0 if all
 * is well. Without CALL, prints the names of those it knows. Nothing here may call malloc on the way.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "buddymalloc.h"

#pragma weak bm_alloc_pages
#pragma weak bm_alloc_pages_bulk
#pragma weak bm_alloc_contig_pages
#pragma weak bm_compact_memory
#pragma weak bm_ctl_get
#pragma weak bm_ctl_set
#pragma weak bm_free_pages
#pragma weak bm_free_contig_pages
#pragma weak bm_get_mempolicy
#pragma weak bm_memalloc_restore
#pragma weak bm_memalloc_save
#pragma weak bm_owner_create
#pragma weak bm_owner_destroy
#pragma weak bm_owner_enter
#pragma weak bm_page_node
#pragma weak bm_page_order
#pragma weak bm_set_mempolicy
#pragma weak bm_shrinker_register
#pragma weak bm_shrinker_unregister
#pragma weak bm_stats_print

static char text[65536];

static int lines_of_maps(void)
{
	int fd = open("/proc/self/maps", O_RDONLY), lines = 0;
	ssize_t len;

	while ((len = read(fd, text, sizeof(text))) > 0)
		while (len--)
			lines += text[len] == '\n';
	close(fd);
	return lines;
}

/* The first block brings the heap's mappings. */
static int none(void)
{
	int before = lines_of_maps();

	return malloc(1) && lines_of_maps() >= before + 3;
}

static int frees(void)
{
	free(NULL);
	return 1;
}

static int reallocs(void)
{
	char *p = realloc(NULL, 100);

	p[99] = 1;
	return 1;
}

static int callocs(void)
{
	char *p = calloc(1000, 1000);

	return p && !p[999999];
}

static int aligns(void)
{
	void *p;

	return !posix_memalign(&p, 8192, 8192) && !((size_t)p & 8191);
}

static int usable_size(void)
{
	return malloc_usable_size(NULL) == 0;
}

static int trims(void)
{
	malloc_trim(0);
	return 1;
}

static int mallopts(void)
{
	return mallopt(M_TRIM_THRESHOLD, 1 << 20);
}

static int infos(void)
{
	return mallinfo2().uordblks == 0;
}

static int malloc_info_stdout(void)
{
	malloc_stats();
	return !malloc_info(0, stdout);
}

static int forks(void)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(!malloc(100));
	return waitpid(pid, &status, 0) == pid && !status;
}

static void *use(void *arg)
{
	return malloc(*(size_t *)arg);
}

static int threads(void)
{
	size_t size = 100000;
	pthread_t thread;
	void *p;

	return !pthread_create(&thread, NULL, use, &size) && !pthread_join(thread, &p) && p;
}

static int prints(void)
{
	static const char *const reports[] = { "buddyinfo",	 "pagetypeinfo", "zoneinfo",  "vmstat",
					       "slabinfo",	 "owners",	 "summary",   "extfrag_index",
					       "unusable_index", "page_owner",	 "hugepages", "shrinkers",
					       "pressure" };
	size_t i;

	for (i = 0; i < sizeof(reports) / sizeof(*reports); i++)
		if (bm_stats_print(1, reports[i]))
			return 0;
	return 1;
}

static int gets(void)
{
	return bm_ctl_get("vm.min_free_kbytes", text, sizeof(text)) > 0 &&
	       bm_ctl_get("dirty_max", text, sizeof(text)) > 0 && bm_ctl_get("nodes", text, sizeof(text)) > 0;
}

static int sets(void)
{
	return !bm_ctl_set("vm.drop_caches", "3");
}

static int pages(void)
{
	char *p = bm_alloc_pages(BM_GFP_KERNEL | BM_GFP_ZERO, 3);

	if (!p || p[32767] || bm_page_order(p) != 3)
		return 0;
	bm_free_pages(p, 3);
	return 1;
}

static int no_page(void)
{
	return bm_page_node(text) == -EINVAL && bm_page_order(NULL) == -EINVAL;
}

static int bulk(void)
{
	void *page[10];

	return bm_alloc_pages_bulk(BM_GFP_KERNEL, 10, page) == 10;
}

static int contig(void)
{
	void *p = bm_alloc_contig_pages(700, BM_GFP_KERNEL, 0);

	bm_free_contig_pages(p, 700);
	return p != NULL;
}

static int compacts(void)
{
	return bm_compact_memory(-1) >= 0;
}

static int scope(void)
{
	bm_memalloc_restore(bm_memalloc_save(BM_SCOPE_NOFS));
	return 1;
}

static int policy(void)
{
	int mode;

	return !bm_get_mempolicy(&mode, NULL, 0) && !bm_set_mempolicy(mode, NULL, 0);
}

static int owners(void)
{
	struct bm_owner_attr attr = { .name = "first" };
	bm_owner_t *o = bm_owner_create(&attr), *before;

	before = bm_owner_enter(o);
	if (!malloc(100))
		return 0;
	bm_owner_enter(before);
	return !bm_owner_destroy(o);
}

static int leaves(void)
{
	bm_owner_enter(NULL);
	return 1;
}

static unsigned long nothing(void *arg, struct bm_shrink_control *sc)
{
	(void)arg;
	(void)sc;
	return 0;
}

static int shrinkers(void)
{
	static const struct bm_shrinker_ops ops = { nothing, nothing };
	bm_shrinker_t *s = bm_shrinker_register("first", &ops, NULL, 1);

	bm_shrinker_unregister(s);
	return s != NULL;
}

static const struct {
	const char *name;
	int (*call)(void);
} calls[] = {
	{ "none", none },
	{ "free", frees },
	{ "realloc", reallocs },
	{ "calloc", callocs },
	{ "posix_memalign", aligns },
	{ "malloc_usable_size", usable_size },
	{ "malloc_trim", trims },
	{ "mallopt", mallopts },
	{ "mallinfo2", infos },
	{ "malloc_info", malloc_info_stdout },
	{ "fork", forks },
	{ "pthread_create", threads },
	{ "bm_stats_print", prints },
	{ "bm_ctl_get", gets },
	{ "bm_ctl_set", sets },
	{ "bm_alloc_pages", pages },
	{ "bm_page_node", no_page },
	{ "bm_alloc_pages_bulk", bulk },
	{ "bm_alloc_contig_pages", contig },
	{ "bm_compact_memory", compacts },
	{ "bm_memalloc_save", scope },
	{ "bm_get_mempolicy", policy },
	{ "bm_owner_create", owners },
	{ "bm_owner_enter", leaves },
	{ "bm_shrinker_register", shrinkers },
};

int main(int argc, char **argv)
{
	size_t i;

	for (i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		if (argc < 2)
			puts(calls[i].name);
		else if (!strcmp(argv[1], calls[i].name))
			return !(calls[i].call() && malloc(1000));
	}
	return argc > 1;
}
