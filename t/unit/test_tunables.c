/* SPDX-License-Identifier: MIT */
/*
 * Configuration strings, good, bad and hostile: which values they set, and what is said of them.
 */
#include <errno.h>
#include <limits.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/message.h"
#include "base/tunables.h"
#include "fake_os.h"
#include "tap.h"

static struct tunables defaults;
static FILE *stderr_file;
static char said[16384];

/* Parses into fresh defaults with what is warned in said. */
static int parse_len(const char *text, size_t len, const char *source)
{
	int saved = dup(STDERR_FILENO);
	ssize_t got;
	int bad;

	tunables = defaults;
	if (ftruncate(fileno(stderr_file), 0) || lseek(fileno(stderr_file), 0, SEEK_SET))
		bail_out("cannot empty a temporary file");
	dup2(fileno(stderr_file), STDERR_FILENO);
	bad = tunables_parse(text, len, source);
	dup2(saved, STDERR_FILENO);
	close(saved);
	got = pread(fileno(stderr_file), said, sizeof(said) - 1, 0);
	said[got > 0 ? got : 0] = '\0';
	return bad;
}

/* A copy of the exact size, so that memcheck and ASan see a read beyond it. */
static int parse(const char *text)
{
	size_t len = strlen(text);
	char *copy = malloc(len + !len);
	int bad;

	if (!copy)
		bail_out("no memory");
	memcpy(copy, text, len);
	bad = parse_len(copy, len, "test.conf");
	free(copy);
	return bad;
}

static int lines(void)
{
	int n = 0;

	for (const char *p = said; (p = strchr(p, '\n')); p++)
		n++;
	return n;
}

static bool unchanged(void)
{
	return !memcmp(&tunables, &defaults, sizeof(tunables));
}

static void is_bad(const char *text, const char *warning)
{
	int bad = parse(text);

	ok(bad == 1 && lines() == 1 && unchanged(), "\"%.60s\" is one warning and changes nothing", text);
	ok(strstr(said, warning), "that says: %s", said);
}

static void is_size(const char *value, unsigned long bytes)
{
	char text[64];

	snprintf(text, sizeof(text), "dirty_max:%s", value);
	is_int(parse(text), 0, "%s is good", text);
	is_int(tunables.dirty_max, bytes, "and sets the bytes");
}

static void is_bool(const char *value, bool wanted)
{
	char text[64];

	/* From the opposite, so that nothing passes by the default. */
	snprintf(text, sizeof(text), "verbose:%s,verbose:%s", wanted ? "no" : "yes", value);
	is_int(parse(text), 0, "%s is good", text);
	is_int(tunables.verbose, wanted, "and sets the switch");
}

static void test_defaults(void)
{
	ok(!tunables.abort_conf && !tunables.show_stats && !tunables.verbose, "switches are off by default");
	is_int(tunables.thp, THP_AUTO, "hugepages are automatic");
	is_int(tunables.foreign_free, FOREIGN_ABORT, "a foreign free aborts");
	is_int(tunables.thp_threshold, 64UL << 20, "a size has its default");
	is_int(tunables.dirty_decay, 1000, "and so has a time");
	is_str(tunables.stats_file, "", "a path is empty");
}

static void test_values(void)
{
	is_bool("true", true);
	is_bool("1", true);
	is_bool("yes", true);
	is_bool("on", true);
	is_bool("false", false);
	is_bool("0", false);
	is_bool("no", false);
	is_bool("off", false);
	is_size("0", 0);
	is_size("12345", 12345);
	is_size("010", 10);
	is_size("0x1F", 31);
	is_size("0x10k", 16 << 10);
	is_size("4k", 4096);
	is_size("4K", 4096);
	is_size("3m", 3UL << 20);
	is_size("3MB", 3UL << 20);
	is_size("2GiB", 2UL << 30);
	is_size("5gib", 5UL << 30);
	is_size("100B", 100);
	is_size("64t", 1UL << 46);
	is_size("70368744177664", 1UL << 46);
	is_int(parse("thp:never,foreign_free:ignore"), 0, "enums are good");
	ok(tunables.thp == THP_NEVER && tunables.foreign_free == FOREIGN_IGNORE, "and set");
	is_int(parse("thp:always,foreign_free:warn"), 0, "other enums are good");
	ok(tunables.thp == THP_ALWAYS && tunables.foreign_free == FOREIGN_WARN, "and set");
	is_int(parse("dirty_decay:86400000"), 0, "a time is good");
	is_int(tunables.dirty_decay, 86400000, "and set");
	is_int(parse("stats_file:/tmp/a b:c"), 0, "a path with a colon and a blank is good");
	is_str(tunables.stats_file, "/tmp/a b:c", "and set");
	is_int(parse("stats_file:/x,stats_file:"), 0, "an empty path is good");
	is_str(tunables.stats_file, "", "and takes back the one before");
	is_int(parse("cma:64m@1+0x1000+8"), 0, "areas are good");
	ok(tunables.cma.nr == 3 && tunables.cma.area[0].size == 64UL << 20 && tunables.cma.area[0].nid == 1 &&
		   tunables.cma.area[1].size == 4096 && tunables.cma.area[1].nid == -1 &&
		   tunables.cma.area[2].size == 8 && tunables.cma.area[2].nid == -1,
	   "and set, with a node or without");
	is_int(parse("cma:1+1+1+1+1+1+1+1@63"), 0, "eight of them, too");
	ok(tunables.cma.nr == 8 && tunables.cma.area[7].nid == 63, "and set");
	is_int(parse("numa:fake=64"), 0, "fake nodes are good");
	is_int(tunables.numa, 64, "and set");
	is_int(parse("numa:fake=2,numa:auto"), 0, "and so are the machine's own");
	is_int(tunables.numa, 0, "which take the former back");
	is_int(parse("cma:1m,cma:"), 0, "no area is good");
	is_int(tunables.cma.nr, 0, "and takes back the one before");
}

static void test_grammar(void)
{
	is_int(parse(""), 0, "a file may be empty");
	is_int(parse(",,\n \t\r\n,"), 0, "and so may items");
	ok(unchanged() && !said[0], "which changes nothing and says nothing");
	is_int(parse(" thp : never \r\n\tdirty_max :\t4k , verbose:on,"), 0, "blanks, newlines and commas");
	ok(tunables.thp == THP_NEVER && tunables.dirty_max == 4096 && tunables.verbose, "separate all the same");
	is_int(parse("# thp:never, verbose:on\nthp:always\n  #x\n#"), 0, "comments");
	ok(tunables.thp == THP_ALWAYS && !tunables.verbose, "are skipped to the end of the line");
	is_int(parse("thp:always,#verbose:on"), 1, "but begin a line");
	is_int(parse("verbose:on,thp:always,verbose:off,thp:auto"), 0, "the last value of a key");
	ok(unchanged(), "wins");
	is_int(parse("thp:bad,dirty_max:1,nokey:2,dirty_decay:3"), 2, "two bad items among good ones");
	ok(tunables.dirty_max == 1 && tunables.dirty_decay == 3, "spare the good ones");
	is_int(lines(), 2, "and are two warnings");
}

static void test_warnings(void)
{
	is_bad("colour:blue", "buddymalloc: test.conf: unknown key \"colour\" (value \"blue\"): accepted are "
			      "abort_conf, show_stats, stats_file, ");
	is_bad("thp", "test.conf: key thp has no value: write thp:value");
	is_bad("nothing", "unknown key \"nothing\"");
	is_bad(":5", "unknown key \"\" (value \"5\")");
	is_bad("THP:auto", "unknown key \"THP\"");
	is_bad("thp:sometimes", "test.conf: bad value \"sometimes\" of thp: accepted is auto|always|never\n");
	is_bad("thp:", "bad value \"\" of thp");
	is_bad("thp:auto|always", "bad value \"auto|always\" of thp");
	is_bad("thp:alw", "bad value \"alw\" of thp");
	is_bad("verbose:maybe", "bad value \"maybe\" of verbose: accepted is false|true|0|1|no|yes|off|on\n");
	is_bad("dirty_max:many", "bad value \"many\" of dirty_max: accepted is a size from 0 to 64t\n");
	is_bad("dirty_max:-1", "bad value \"-1\"");
	is_bad("dirty_max:", "bad value \"\"");
	is_bad("dirty_max:k", "bad value \"k\"");
	is_bad("dirty_max:0x", "bad value \"0x\"");
	is_bad("dirty_max:1kk", "bad value \"1kk\"");
	is_bad("dirty_max:1iB", "bad value \"1iB\"");
	is_bad("dirty_max:1ki", "bad value \"1ki\"");
	is_bad("dirty_max:1 k", "bad value \"1 k\"");
	is_bad("dirty_max:70368744177665", "bad value \"70368744177665\"");
	is_bad("dirty_max:65t", "bad value \"65t\"");
	is_bad("dirty_max:18446744073709551616", "bad value \"18446744073709551616\"");
	is_bad("dirty_max:0x10000000000000000", "bad value \"0x10000000000000000\"");
	is_bad("dirty_max:16777216t", "bad value \"16777216t\"");
	is_bad("dirty_max:18446744073709551615t", "bad value \"18446744073709551615t\"");
	is_bad("dirty_decay:86400001", "accepted is milliseconds from 0 to 86400000\n");
	is_bad("dirty_decay:1k", "bad value \"1k\" of dirty_decay");
	is_bad("cma:0", "bad value \"0\" of cma: accepted is SIZE or SIZE@NODE, up to 8 of them with '+' in between\n");
	is_bad("cma:1+1+1+1+1+1+1+1+1", "of cma");
	is_bad("cma:+", "of cma");
	is_bad("cma:1m+", "of cma");
	is_bad("cma:+1m", "of cma");
	is_bad("cma:1m@", "of cma");
	is_bad("cma:@1", "of cma");
	is_bad("cma:1m@64", "of cma");
	is_bad("cma:1m@0@0", "of cma");
	is_bad("cma:1m@-1", "of cma");
	is_bad("cma:65t", "of cma");
	is_bad("numa:fake=0", "bad value \"fake=0\" of numa: accepted is auto, or fake=N with N from 1 to 64\n");
	is_bad("numa:fake=65", "of numa");
	is_bad("numa:fake=", "of numa");
	is_bad("numa:fake", "of numa");
	is_bad("numa:fake=4k", "of numa");
	is_bad("numa:fakes=4", "of numa");
	is_bad("numa:4", "of numa");
	is_bad("stats_file:a\033[1m\\b\177\200",
	       "bad value \"a\\x1b[1m\\x5cb\\x7f\\x80\" of stats_file: accepted is a path of at most 255 bytes "
	       "without control characters\n");
}

static void test_long(void)
{
	static char text[1 << 20];
	char want[128];
	int bad;

	memset(text, 'a', sizeof(text));
	memcpy(text, "stats_file:", 11);
	memset(text + 11 + 255, '\n', 1);
	is_int(parse_len(text, 11 + 255, "test.conf"), 0, "the longest path");
	is_int(strlen(tunables.stats_file), 255, "is set");
	is_int(parse_len(text + 300, 300, "test.conf"), 1, "a key of 300 characters is one warning");
	snprintf(want, sizeof(want), "unknown key \"%.64s...\" ", text + 300);
	ok(strstr(said, want), "that shows its first 64: %s", said);
	text[11 + 255] = 'a';
	text[11 + 256] = '\n';
	is_int(parse_len(text, 11 + 256, "test.conf"), 1, "a longer path is one warning");
	ok(unchanged(), "and is not set");

	for (size_t i = 0; i < sizeof(text); i += 4)
		memcpy(text + i, "x:1,", 4);
	bad = parse_len(text, sizeof(text), TUNABLES_ENV);
	ok(bad == 1 && lines() == 1 && unchanged(), "1 MiB of it is one warning and changes nothing");
	is_str(said,
	       "buddymalloc: BUDDYMALLOC_CONF: 1048576 bytes are too long and ignored: accepted are at most 65536\n",
	       "that says so");
	is_int(parse_len(text, 65536, TUNABLES_ENV), 16384, "64 KiB of bad items are all counted");
	is_int(lines(), TUNABLES_MAX_WARNINGS + 1, "but few are shown");
	ok(strstr(said, "buddymalloc: BUDDYMALLOC_CONF: 16364 more\n"), "with the number of the others");
	is_int(parse_len(text, 4 * TUNABLES_MAX_WARNINGS, TUNABLES_ENV), TUNABLES_MAX_WARNINGS, "as many as are shown");
	is_int(lines(), TUNABLES_MAX_WARNINGS, "have no such line");
	memset(text, ',', 65536);
	is_int(parse_len(text, 65536, TUNABLES_ENV), 0, "64 KiB of nothing is nothing");

	is_int(parse_len("", 0, TUNABLES_ENV), 1, "an empty variable is one warning");
	is_str(said, "buddymalloc: BUDDYMALLOC_CONF: empty configuration: accepted is key:value,key:value\n",
	       "that says so");
	is_int(parse_len("thp:never\0verbose:on", 20, "test.conf"), 1, "a NUL does not end the text");
	ok(strstr(said, "bad value \"never\\x00verbose:on\" of thp"), "but is shown: %s", said);
}

static void abort_bad(void)
{
	tunables_parse("thp:x,abort_conf:true,dirty_max:y", 33, "test.conf");
}

static void abort_good(void)
{
	tunables_parse("abort_conf:true,thp:never", 25, "test.conf");
	_exit(7);
}

static void abort_withdrawn(void)
{
	tunables_parse("abort_conf:true,thp:x,abort_conf:false", 38, "test.conf");
	_exit(7);
}

static void abort_later(void)
{
	tunables_parse("abort_conf:true", 15, "test.conf");
	tunables_parse("", 0, TUNABLES_ENV);
}

static void test_abort(void)
{
	int status;

	tunables = defaults;
	status = fake_os_child(abort_bad, said, sizeof(said));
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 1, "abort_conf exits with 1 on a bad value");
	is_int(lines(), 3, "after all warnings");
	ok(strstr(said, "buddymalloc: test.conf: exiting because of abort_conf:true\n"), "and says why");
	status = fake_os_child(abort_good, said, sizeof(said));
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 7, "it does not on good ones");
	status = fake_os_child(abort_withdrawn, said, sizeof(said));
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 7, "nor where it is taken back in the same text");
	status = fake_os_child(abort_later, said, sizeof(said));
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 1, "but does on a later text");
}

static void test_random(void)
{
	static const char *const parts[] = { "thp",	   ":",		",",	"\n",	"#",	       " ",
					     "auto",	   "dirty_max", "1",	"0x",	"k",	       "iB",
					     "stats_file", "\\",	"\001", "\377", "99999999999", "verbose",
					     "on",	   "cma",	"+",	"@",	"numa",	       "fake=" };
	unsigned int seed = 1;
	int wrong = 0;

	for (int i = 0; i < 2000; i++) {
		char text[256] = "";
		int bad;

		for (int n = rand_r(&seed) % 16; n > 0; n--)
			strcat(text, parts[(unsigned int)rand_r(&seed) % (sizeof(parts) / sizeof(parts[0]))]);
		bad = parse(text);
		wrong += lines() != bad || tunables.dirty_max > 1UL << 46 || tunables.thp > THP_NEVER;
	}
	is_int(wrong, 0, "of 2000 random texts every bad item is one line and no value is out of range");
}

static void test_help(void)
{
	FILE *file = tmpfile();
	char text[8192];
	struct out o;
	ssize_t got;

	if (!file)
		bail_out("cannot make a temporary file");
	out_init(&o, fileno(file));
	tunables_help(&o);
	out_flush(&o);
	got = pread(fileno(file), text, sizeof(text) - 1, 0);
	text[got > 0 ? got : 0] = '\0';
	fclose(file);
	ok(strstr(text, "\nshow_stats: false|true|0|1|no|yes|off|on (default false)\n\tprint a summary"),
	   "help of a bool");
	ok(strstr(text, "\nthp: auto|always|never (default auto)\n\ttransparent hugepages"), "help of an enum");
	ok(strstr(text, "\nthp_threshold: a size from 0 to 64t (default 64m)\n"), "help of a size");
	ok(strstr(text, "\ndirty_decay: milliseconds from 0 to 86400000 (default 1000)\n"), "help of a time");
	ok(strstr(text, "\ndebug_guardpage_minorder: a number from 0 to 10 (default 0)\n"), "help of a number");
	ok(strstr(text, "\nfailslab: interval/probability/space/times, four numbers; probability at most 100, "
			"times -1 for no end (default none)\n"),
	   "help of faults");
	ok(strstr(text, "\nstats_file: a path of at most 255 bytes without control characters (default none)\n"),
	   "help of a path");
	ok(strstr(text, "\ncma: SIZE or SIZE@NODE, up to 8 of them with '+' in between (default none)\n"),
	   "help of areas");
}

static void test_number(void)
{
	is_int(parse("debug_guardpage_minorder:10"), 0, "a number is good");
	is_int(tunables.debug_guardpage_minorder, 10, "and is set");
	is_int(parse("debug_guardpage_minorder:0x3"), 0, "a hexadecimal one too");
	is_int(tunables.debug_guardpage_minorder, 3, "and is set");
	is_bad("debug_guardpage_minorder:11", "accepted is a number from 0 to 10");
	is_bad("debug_guardpage_minorder:1k", "bad value");
	is_bad("debug_guardpage_minorder:-1", "bad value");
	is_bad("debug_guardpage_minorder:", "bad value");
}

static void test_faults(void)
{
	static const char *const bad[] = { "",		"1",	    "1/2/3",	"1/2/3/4/5",
					   "1/101/0/1", "1/2/3/-2", "1/2/3/4x", "1 /2/3/4" };
	char text[64];

	is_int(defaults.failslab.probability + defaults.fail_page_alloc.probability, 0, "no faults unless told so");
	is_int(parse("failslab: 7/0x10/4096/-1 ,fail_page_alloc:0/100/0/9223372036854775807"), 0, "faults are good");
	ok(tunables.failslab.interval == 7 && tunables.failslab.probability == 16 && tunables.failslab.space == 4096 &&
		   tunables.failslab.times == -1,
	   "and set their four parts");
	ok(tunables.fail_page_alloc.interval == 0 && tunables.fail_page_alloc.times == LONG_MAX, "of each key");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), "failslab:%s", bad[i]);
		is_bad(text, "bad value");
	}
	is_bad("failslab:1", "accepted is interval/probability/space/times");
}

static int set(const char *key, const char *value)
{
	return tunables_set(key, value, strlen(value));
}

static const char *printed(const char *key)
{
	static struct out o;

	out_init(&o, -1);
	return tunables_print(&o, key) ? NULL : o.buf;
}

static void test_set(void)
{
	tunables = defaults;
	is_str(printed("dirty_max"), "12582912", "a size prints in bytes");
	is_str(printed("dirty_decay"), "1000", "a time in ms");
	is_str(printed("thp"), "auto", "a choice by its name");
	is_str(printed("verbose"), "false", "a switch too");
	is_str(printed("stats_file"), "", "a path as it is");
	is_str(printed("failslab"), "1/0/0/-1", "faults as four numbers");
	is_int(parse("cma:1k@3+5"), 0, "areas");
	is_str(printed("cma"), "1024@3+5", "in bytes, with their nodes");
	tunables = defaults;
	ok(!printed("no_such_key") && !printed("") && !printed("dirty_max:"), "an unknown key does not");
	ok(!set("dirty_max", "3m") && tunables.dirty_max == 3UL << 20, "a size can be set by itself");
	is_str(printed("dirty_max"), "3145728", "and prints what it is now");
	ok(!set("thp", "never") && tunables.thp == THP_NEVER, "a choice");
	is_str(printed("thp"), "never", "and its name is right");
	ok(!set("verbose", "on") && tunables.verbose, "a switch");
	is_str(printed("verbose"), "true", "and its name is right");
	ok(!tunables_set("dirty_decay", "55555", 2) && tunables.dirty_decay == 55, "a value has a length");
	tunables = defaults;
	ok(set("dirty_max", "") == -EINVAL && set("dirty_max", "3x") == -EINVAL && set("dirty_max", "-1") == -EINVAL &&
		   set("dirty_max", "3m,thp:never") == -EINVAL && set("dirty_decay", "86400001") == -EINVAL &&
		   set("thp", "auto|always") == -EINVAL && set("verbose", "maybe") == -EINVAL &&
		   set("stats_file", "/tmp/x") == -EINVAL && set("failslab", "1/1/1/1") == -EINVAL &&
		   set("cma", "1m") == -EINVAL,
	   "bad values, a path, faults and areas are -EINVAL");
	is_int(set("no_such_key", "1"), -ENOENT, "an unknown key is -ENOENT");
	ok(unchanged(), "and nothing changes");
}

int main(void)
{
	defaults = tunables;
	stderr_file = tmpfile();
	if (!stderr_file)
		bail_out("cannot make a temporary file");
	test_defaults();
	test_values();
	test_grammar();
	test_warnings();
	test_long();
	test_abort();
	test_random();
	test_help();
	test_number();
	test_faults();
	test_set();
	fclose(stderr_file);
	return done_testing();
}
