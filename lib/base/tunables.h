/* SPDX-License-Identifier: MIT */
/*
 * Configuration: "key:value,key:value" from a string compiled into the program, /etc/buddymalloc.conf and
 * BUDDYMALLOC_CONF, in that order, the later one winning. tunables.def is the one table of keys.
 */
#ifndef BASE_TUNABLES_H
#define BASE_TUNABLES_H

#include "base/compiler.h"

enum tunable_choice {
	THP_AUTO,
	THP_ALWAYS,
	THP_NEVER,
	HUGETLB_OFF = 0,
	HUGETLB_TRY,
	HUGETLB_ONLY,
	FOREIGN_ABORT = 0,
	FOREIGN_WARN,
	FOREIGN_IGNORE,
	OOM_ABORT = 0,
	OOM_ENOMEM,
	OOM_REPORT,
	KSWAPD_AUTO = 0,
	KSWAPD_ON,
	KSWAPD_OFF,
};

/* Faults to inject, "interval/probability/space/times": every so many calls fails with so many percent, after space
 * bytes, so many times (-1: without end). Probability 0: none. */
struct tunable_fault {
	unsigned long interval, probability, space;
	long times;
};

/* Areas of memory, "SIZE@NODE+SIZE". */
#define TUNABLE_AREAS_MAX 8
struct tunable_areas {
	unsigned int nr;
	struct tunable_area {
		unsigned long size;
		int nid; /* -1: anywhere */
	} area[TUNABLE_AREAS_MAX];
};

/* One field per row of tunables.def: bool, unsigned long (numbers, sizes in bytes, times in ms), an enum as unsigned
 * int, a number of fake nodes as unsigned int (0: none), struct tunable_fault, struct tunable_areas, or char[PATH_LEN].
 * Written while there is one thread, but for tunables_set; read without a lock. */
#define TUNABLE_PATH_LEN 256
struct tunables {
#define TUNABLE_BOOL(name, dflt, help) bool name;
#define TUNABLE_SIZE(name, dflt, min, max, help) unsigned long name;
#define TUNABLE_MSEC(name, dflt, min, max, help) unsigned long name;
#define TUNABLE_NUMBER(name, dflt, min, max, help) unsigned long name;
#define TUNABLE_ENUM(name, dflt, choices, help) unsigned int name;
#define TUNABLE_FAULT(name, help) struct tunable_fault name;
#define TUNABLE_PATH(name, help) char name[TUNABLE_PATH_LEN];
#define TUNABLE_AREAS(name, help) struct tunable_areas name;
#define TUNABLE_NODES(name, help) unsigned int name;
#include "base/tunables.def"
};
extern struct tunables tunables;

/*
 * Apply one configuration string. source names it in warnings (TUNABLES_ENV, a file's name). Newlines separate like
 * commas; blanks around keys and values, empty items, and lines that start with '#' are skipped. Each unknown key or
 * bad value is one warning that names key, value and what is accepted, and the default (or earlier value) stays; after
 * TUNABLES_MAX_WARNINGS of them one more line counts the rest. A text longer than TUNABLES_MAX_LEN is one warning and
 * is ignored as a whole; so is an empty TUNABLES_ENV. Returns how many of these there were; but if there were any and
 * abort_conf is true once all of the text is applied, the process exits with status 1.
 */
#define TUNABLES_ENV "BUDDYMALLOC_CONF"
#define TUNABLES_MAX_LEN 65536
#define TUNABLES_MAX_WARNINGS 20
int tunables_parse(const char *text, size_t len, const char *source);

/* One value while the program runs, of a key that is neither a path, nor of faults, areas or nodes: 0, -ENOENT for an
 * unknown key, -EINVAL for a value that is not accepted; then nothing changes. Takes no lock: a reader sees the old
 * value or the new one. */
int tunables_set(const char *key, const char *value, size_t len);
/* The value as a configuration would write it, but sizes in bytes; 0 or -ENOENT. */
struct out;
int tunables_print(struct out *o, const char *key);

/* Text of len bytes as the value of a fault key; false, and *fault is as it was, if it is none. */
bool tunable_fault_parse(const char *text, size_t len, struct tunable_fault *fault);

/* Every key with its accepted values, default and help, for a man page and --help. */
void tunables_help(struct out *o);

#endif
