/* SPDX-License-Identifier: MIT */
/*
 * First use and configuration: the constructor reads the environment and the program's own string, in this order of
 * strength; bad values warn and change nothing. The test starts itself again for each.
 */
#include <fcntl.h>

#include "base/tunables.h"
#include "malloc/heap.h"
#include "model.h"

extern const char *bm_conf;
const char *bm_conf = "dirty_decay:7,dirty_max:3m";

static const char *self;
static const char *variable, *value;

/* What the constructor left, as a line. */
static int show(void)
{
	fprintf(stderr, "max %lu decay %lu thp %u foreign %u stats %d verbose %d init %d\n", tunables.dirty_max,
		tunables.dirty_decay, tunables.thp, tunables.foreign_free, tunables.show_stats, tunables.verbose,
		heap_init());
	return 0;
}

static void again(void)
{
	unsetenv("BUDDYMALLOC_CONF");
	unsetenv("BUDDYMALLOC_SHOW_STATS");
	unsetenv("BUDDYMALLOC_VERBOSE");
	if (variable)
		setenv(variable, value, 1);
	execl(self, self, "show", (char *)NULL);
	must(!"exec");
}

/* Started with this variable it says all of the words (ends with NULL) and none of the last one. */
static void check(const char *var, const char *val, const char *words, const char *more, const char * not )
{
	static char said[8192];
	int status;

	variable = var;
	value = val;
	status = fake_os_child(again, said, sizeof(said));
	if (!ok(status == 0 && strstr(said, words) && strstr(said, more) && !(not &&strstr(said, not )), "%s=%.60s: %s",
		var ? var : "nothing set", val ? val : "", words))
		diag("status %#x, said: %s", (unsigned int)status, said);
}

static void test_environment(void)
{
	static char longest[100000];

	check(NULL, NULL, "max 3145728 decay 7 thp 0", "init 1", "buddymalloc:");
	check("BUDDYMALLOC_CONF", "dirty_max:1m", "max 1048576 decay 7", "stats 0 verbose 0", "buddymalloc:");
	check("BUDDYMALLOC_CONF", "thp:never,foreign_free:warn", "thp 2 foreign 1", "max 3145728", "buddymalloc:");
	check("BUDDYMALLOC_CONF", "nonsense:1,dirty_max:2m", "max 2097152", "nonsense", NULL);
	check("BUDDYMALLOC_CONF", "dirty_max:99999999999999999999999", "max 3145728", "buddymalloc:", NULL);
	check("BUDDYMALLOC_CONF", "thp:perhaps", "thp 0", "perhaps", NULL);
	check("BUDDYMALLOC_CONF", "", "max 3145728", "buddymalloc:", NULL);
	memset(longest, 'x', sizeof(longest) - 1);
	check("BUDDYMALLOC_CONF", longest, "max 3145728", "buddymalloc:", NULL);
	check("BUDDYMALLOC_SHOW_STATS", "1", "stats 1", ": summary\n", NULL);
	check("BUDDYMALLOC_SHOW_STATS", "0", "stats 0", "init 1", "summary");
	check("BUDDYMALLOC_VERBOSE", "1", "verbose 1", "serves malloc", NULL);
	check("BUDDYMALLOC_VERBOSEST", "1", "verbose 0", "init 1", "serves malloc");
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return show();
	self = argv[0];
	test_environment();
	return done_testing();
}
