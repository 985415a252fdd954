/* SPDX-License-Identifier: MIT */
/*
 * Limits of nested memory cgroups. Each case is this program anew, as a child in the inner one of two groups, so that
 * it may die; whatever it does, the kernel must have had nobody to kill.
 */
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "numa.h"
#include "oom.h"

#define OUTER "/sys/fs/cgroup/test"
#define INNER OUTER "/inner"
#define DISK "/dev/nvme0n1"

static void make_groups(const char *outer_max, const char *inner_max, const char *inner_high)
{
	rmdir(INNER);
	rmdir(OUTER);
	if (mkdir(OUTER, 0755) || !numa_put(OUTER "/cgroup.subtree_control", "+memory") || mkdir(INNER, 0755) ||
	    !numa_put(OUTER "/memory.max", outer_max) || !numa_put(INNER "/memory.max", inner_max) ||
	    !numa_put(INNER "/memory.high", inner_high))
		bail_out("no groups below /sys/fs/cgroup: %s", strerror(errno));
}

/*
 * Cases.
 */

/* A cache that only ever grows, but for its shrinker, which gives up what is oldest. */
static struct item {
	struct item *next;
	char text[2000];
} * oldest, *newest;
static unsigned long nr_items, asked;

static unsigned long count_items(void *arg, struct bm_shrink_control *sc)
{
	(void)arg, (void)sc;
	return nr_items ? nr_items : BM_SHRINK_EMPTY;
}

static void drop_oldest(void)
{
	struct item *item = oldest;

	oldest = item->next;
	nr_items--;
	free(item);
}

static unsigned long scan_items(void *arg, struct bm_shrink_control *sc)
{
	unsigned long nr = 0;

	(void)arg;
	for (asked++; nr < sc->nr_to_scan && oldest; nr++)
		drop_oldest();
	return nr;
}

static void fill_cache(size_t mib)
{
	static const struct bm_shrinker_ops ops = { .count = count_items, .scan = scan_items };
	size_t i;

	if (!asked)
		check(bm_shrinker_register("items", &ops, NULL, 2));
	for (i = 0; i < mib * MIB / sizeof(struct item); i++) {
		struct item *item = malloc(sizeof(*item));

		check(item);
		memset(item, 1, sizeof(*item));
		item->next = NULL;
		if (oldest)
			newest->next = item;
		else
			oldest = item;
		newest = item;
		nr_items++;
	}
}

static void case_cache(void)
{
	char binding[32], total[32];

	check(bm_ctl_get("budget.binding", binding, sizeof(binding)) > 0 && !strcmp(binding, "cgroup"));
	check(bm_ctl_get("budget.total", total, sizeof(total)) > 0 && atol(total) == 64 * (long)MIB);
	fill_cache(100);
	check(asked && nr_items * sizeof(struct item) > 20 * MIB);
}

/* One owner leaks, and ends when it is told to; another, which is modest, and the process go on. */
static atomic_bool leaker_told, leaker_ended;

static void on_leaker_told(struct party *p)
{
	(void)p;
	atomic_store(&leaker_told, true);
}

static void *leak(void *arg)
{
	bm_owner_t *before = bm_owner_enter(parties[1].owner);

	while (!atomic_load(&leaker_told) && add(&parties[1].chain, 1000))
		;
	check(leaker_told);
	bm_owner_enter(before);
	check(!bm_owner_destroy(parties[1].owner));
	atomic_store(&leaker_ended, true);
	return arg;
}

static void case_owner(void)
{
	pthread_t thread;

	set("oom_wait_ms", "10000"); /* the guest may be slow */
	create(0, 0, 0, 0, true);
	create(1, 0, 0, 0, true);
	parties[1].on_abort = on_leaker_told;
	check(!pthread_create(&thread, NULL, leak, NULL));
	while (!atomic_load(&leaker_ended)) {
		check(eat_as(0, 2, 500));
		drop(&parties[0].chain);
	}
	check(!pthread_join(thread, NULL));
	check(parties[1].calls == 1 && !parties[0].calls && leaker_told);
	check(eat(&all, 40, 500));
}

/* A thread that knows nothing of owners: the signal is its own. Its blocks are of a size of their own, for a slab is
 * charged to who needed it first, whoever has its blocks later. */
static pthread_t leaking;

static void on_signal(int sig)
{
	(void)sig;
	_exit(pthread_equal(pthread_self(), leaking) ? 0 : 101);
}

static void *leak_plainly(void *arg)
{
	leaking = pthread_self();
	eat(&all, 200, 500);
	return arg;
}

static void case_thread(void)
{
	pthread_t thread;

	signal(SIGABRT, on_signal);
	check(!pthread_create(&thread, NULL, leak_plainly, NULL));
	for (;;) {
		static struct chain little;

		eat(&little, 1, 500);
		drop(&little);
	}
}

/* The cache of files fills the group, and goes when memory is wanted. */
static void read_disk(int fd)
{
	static char buf[1 << 16];

	for (off_t at = 0; at < 80 * (off_t)MIB; at += sizeof(buf))
		check(pread(fd, buf, sizeof(buf), at) == sizeof(buf));
}

static void case_files(void)
{
	int fd = open(DISK, O_RDONLY | O_CLOEXEC);

	check(fd >= 0);
	for (int i = 0; i < 2; i++) {
		read_disk(fd);
		check(i || api_figure(INNER "/memory.stat", "inactive_file ") > 50 * (long)MIB);
		check(eat(&all, 48, 500));
		read_disk(fd);
		drop(&all);
	}
}

/* Another process in the group, which takes a MiB whenever it is told to. */
static struct {
	int tell, done;
} neighbour;

static void neighbour_takes(size_t mib)
{
	char c = 0;

	for (; mib; mib--)
		check(write(neighbour.tell, &c, 1) == 1 && read(neighbour.done, &c, 1) == 1);
}

static void neighbour_main(int tell, int done)
{
	char c;

	while (read(tell, &c, 1) == 1) {
		memset(mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 1, MIB);
		check(write(done, &c, 1) == 1);
	}
	_exit(0);
}

static void start_neighbour(void)
{
	int tell[2], done[2];
	pid_t pid;

	check(!pipe(tell) && !pipe(done));
	pid = fork();
	check(pid >= 0);
	close(pid ? tell[0] : tell[1]);
	close(pid ? done[1] : done[0]);
	if (!pid)
		neighbour_main(tell[0], done[1]);
	neighbour.tell = tell[1];
	neighbour.done = done[0];
}

static void case_neighbour(void)
{
	set("oom", "enomem");
	start_neighbour();
	check(eat(&all, 50, 500));
	drop(&all);
	/* What is free here becomes the other's, while we go on with what we need. */
	for (int i = 0; i < 20; i++) {
		neighbour_takes(2);
		usleep(150000);
		check(eat(&all, 10, 500));
		drop(&all);
	}
	check(!eat(&all, 60, 500) && all.nr * 500 > 15 * MIB && all.nr * 500 < 24 * MIB);
	drop(&all);
	/* It ends. */
	close(neighbour.tell);
	check(wait(NULL) > 0);
	check(eat(&all, 50, 500));
}

/* A limit that is raised counts before anything fails; one that is lowered, before the kernel has to enforce it. */
static void case_changed(void)
{
	set("oom", "enomem");
	check(!eat(&all, 100, 500) && all.nr * 500 < 64 * MIB);
	check(numa_put(INNER "/memory.max", "128M") && numa_put(OUTER "/memory.max", "128M"));
	check(eat(&all, 40, 500) && !eat(&all, 60, 500));
	check(all.nr * 500 > 90 * MIB && all.nr * 500 < 128 * MIB);
	drop(&all);
	check(eat(&all, 30, 500));
	check(numa_put(INNER "/memory.max", "48M"));
	check(!eat(&all, 60, 500) && all.nr * 500 < 48 * MIB && all.nr * 500 > 30 * MIB);
}

/* The microseconds that somebody was stalled, of the library's figures and of the group's. */
static unsigned long stalled_us(void)
{
	char text[512];
	const char *at;

	check(bm_ctl_get("pressure.memory", text, sizeof(text)) > 0 && (at = strstr(text, "total=")));
	return strtoul(at + 6, NULL, 10);
}

/* memory.high alone: a cache is held below it; what cannot be given back goes beyond, slowly, and nothing fails. */
static void case_high(void)
{
	char text[16];
	uint64_t times;
	int fd;

	check(bm_ctl_get("pressure.eventfd", text, sizeof(text)) > 0);
	fd = atoi(text);
	check(!stalled_us() && fcntl(fd, F_SETFL, O_NONBLOCK) == 0 && read(fd, &times, sizeof(times)) < 0);
	fill_cache(80);
	check(asked && nr_items * sizeof(struct item) > 20 * MIB);
	check(api_figure(INNER "/memory.peak", "") < 50 * (long)MIB);
	check(stalled_us() && read(fd, &times, sizeof(times)) == sizeof(times));
	check(!api_figure(INNER "/memory.events", "high "));

	/* The shrinker has nothing more to give up. */
	while (nr_items) {
		check(add(&all, sizeof(struct item)));
		drop_oldest();
	}
	check(eat(&all, 50 - all.nr * sizeof(struct item) / MIB, 2000));
	check(api_figure(INNER "/memory.current", "") > 48 * (long)MIB);
	check(api_figure(INNER "/memory.events", "high ") > 0);
	check(access(INNER "/memory.pressure", R_OK) || api_figure(INNER "/memory.pressure", "total=") > 0);
	drop(&all);
	check(api_figure(INNER "/memory.current", "") < 40 * (long)MIB);
}

/* Lowered below what is in use: what is free goes back, and the cache shrinks, before anybody is held up by it. */
static void case_lowered(void)
{
	fill_cache(60);
	check(!asked);
	check(eat(&all, 10, 500));
	drop(&all);
	check(numa_put(OUTER "/memory.high", "40M"));
	usleep(1100000);
	fill_cache(20);
	check(asked && nr_items * sizeof(struct item) < 40 * MIB && nr_items * sizeof(struct item) > 10 * MIB);
	check(api_figure(INNER "/memory.current", "") < 42 * (long)MIB);
	/* So memory.max can follow. */
	check(numa_put(OUTER "/memory.max", "44M") && numa_put(OUTER "/memory.high", "max"));
	usleep(1100000);
	fill_cache(60);
	check(nr_items * sizeof(struct item) < 44 * MIB && nr_items * sizeof(struct item) > 20 * MIB);
}

static const struct {
	const char *name;
	void (*fn)(void);
} cases[] = {
	{ "cache", case_cache }, { "owner", case_owner },	  { "thread", case_thread },
	{ "files", case_files }, { "neighbour", case_neighbour }, { "changed", case_changed },
	{ "high", case_high },	 { "lowered", case_lowered },
};

/*
 * Their parent.
 */
static void start_case(const void *name)
{
	if (!numa_put(INNER "/cgroup.procs", "0"))
		_exit(98);
	execl("/proc/self/exe", "test_cgroup", name, (char *)NULL);
	_exit(97);
}

/* It ends well, after so many reports; and the kernel had to kill nobody. */
static void want_case(const char *name, int reports)
{
	int status = run_child(start_case, name);
	long killed = api_figure(OUTER "/memory.events", "oom_kill ");

	want(!killed, "%s: the kernel killed %ld", name, killed);
	want(count("invoked oom-killer") == reports, "%s: %d reports", name, count("invoked oom-killer"));
	diag("%s: max %ld, oom %ld, peak %ld", name, api_figure(OUTER "/memory.events", "max "),
	     api_figure(OUTER "/memory.events", "oom "), api_figure(INNER "/memory.peak", ""));
	if (!want(!status, "%s: status %#x", name, (unsigned int)status))
		tell(status);
}

int main(int argc, char **argv)
{
	static const char *const levels[][3] = {
		{ "max", "64M", "the inner group's" },
		{ "64M", "max", "the outer group's" },
		{ "64M", "100M", "that of both, the outer one less" },
		{ "100M", "64M", "that of both, the inner one less" },
	};
	static const struct {
		const char *outer_max, *inner_max, *inner_high, *name;
		int reports;
		const char *what;
	} others[] = {
		{ "max", "64M", "max", "thread", 1, "a thread that leaks is sent the signal" },
		{ "64M", "max", "max", "files", 0, "the cache of files is no use of memory" },
		{ "64M", "64M", "max", "neighbour", 0, "what another process has in the group is not there" },
		{ "max", "64M", "max", "changed", 0, "limits that are changed at run time" },
		{ "max", "max", "48M", "high", 0,
		  "memory.high: shrinkers run, the figures of pressure rise, and nothing is refused" },
		{ "2G", "max", "max", "lowered", 0, "memory.high that is lowered below what is in use" },
	};

	for (size_t i = 0; argc > 1 && i < API_ARRAY_SIZE(cases); i++) {
		if (!strcmp(argv[1], cases[i].name)) {
			alarm(500);
			cases[i].fn();
			return 0;
		}
	}
	numa_init();
	for (size_t i = 0; i < API_ARRAY_SIZE(levels); i++) {
		make_groups(levels[i][0], levels[i][1], "max");
		want_case("cache", 0);
		verdict("%s limit: shrinkers keep the program alive", levels[i][2]);
		make_groups(levels[i][0], levels[i][1], "max");
		want_case("owner", 1);
		want(strstr(said, "limit cgroup: usage ") && strstr(said, "aborting owner party-1"),
		     "not as it should be:");
		verdict("%s: the owner that leaks is told to end, and another goes on", levels[i][2]);
	}
	for (size_t i = 0; i < API_ARRAY_SIZE(others); i++) {
		make_groups(others[i].outer_max, others[i].inner_max, others[i].inner_high);
		want_case(others[i].name, others[i].reports);
		verdict("%s", others[i].what);
	}
	return done_testing();
}
