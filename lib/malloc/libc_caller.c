/* SPDX-License-Identifier: MIT */
/*
 * Objects are told by their file's name. Those that are there when a named owner is made are remembered; others are
 * asked for by _dl_find_object, which takes no lock. Where libc has no such function (before glibc 2.35) they are
 * looked for whenever a named owner is made.
 */
#include "malloc/libc_caller.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>

#include "base/bits.h"
#include "base/span.h"
#include "mm/current.h"

#define NR_RUNTIME_RANGES 32

struct address_range libc_range, program_range;

/* What belongs to libc, but is not libc.so. Filled while nobody reads, or by one thread at a time: an entry that is
 * there stays. */
static struct runtime {
	struct address_range range;
	bool cxx; /* of C++ */
} runtime[NR_RUNTIME_RANGES];
static unsigned int nr_runtime;

extern __typeof__(_dl_find_object) _dl_find_object __attribute__((weak));

static const char *const libc_names[] = { "libc.so.", "ld-linux",   "ld64.so.",	 "ld.so.",    "libc-2.",
					  "ld-2.",    "libpthread", "libdl.so",	 "libdl-",    "libresolv",
					  "libnss_",  "librt.so",   "libanl.so", "libnsl.so", NULL };
static const char *const cxx_names[] = { "libstdc++.so", "libgcc_s.so", "libc++abi.so", "libc++.so", NULL };

/* Its name, without what stands before the last slash, begins with one of these. */
static bool is_one_of(const char *name, const char *const *names)
{
	const char *base = name;

	for (; *name; name++)
		if (*name == '/')
			base = name + 1;
	for (; *names; names++)
		if (text_begins(base, *names))
			return true;
	return false;
}

/* Modules of iconv have any name, but a directory of their own. libc keeps what they allocate with the conversion. */
static bool is_libc(const char *name)
{
	return is_one_of(name, libc_names) || text_search(name, "/gconv/");
}

static struct address_range object_range(const struct dl_phdr_info *info)
{
	uintptr_t start = UINTPTR_MAX, end = 0;
	unsigned int i;

	for (i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];

		if (ph->p_type != PT_LOAD)
			continue;
		start = min_ul(start, info->dlpi_addr + ph->p_vaddr);
		end = max_ul(end, info->dlpi_addr + ph->p_vaddr + ph->p_memsz);
	}
	return (struct address_range){ start, end > start ? end - start : 0 };
}

static void add_runtime(struct address_range range, bool cxx)
{
	unsigned int i;

	for (i = 0; i < nr_runtime; i++)
		if (runtime[i].range.start == range.start && runtime[i].range.len == range.len)
			return;
	if (nr_runtime == NR_RUNTIME_RANGES)
		return;
	runtime[nr_runtime] = (struct runtime){ range, cxx };
	smp_store_release(&nr_runtime, nr_runtime + 1);
}

/* The program comes first, and has no name. The loader's lock is held. */
static int look_at_object(struct dl_phdr_info *info, size_t size, void *first)
{
	static const char *const libc_so[] = { "libc.so.6", NULL };
	struct address_range range = object_range(info);

	(void)size;
	if (*(bool *)first) {
		program_range.start = range.start;
		WRITE_ONCE(program_range.len, range.len);
		*(bool *)first = false;
	} else if (is_one_of(info->dlpi_name, libc_so)) {
		libc_range.start = range.start;
		WRITE_ONCE(libc_range.len, range.len);
	} else if (is_libc(info->dlpi_name)) {
		add_runtime(range, false);
	} else if (is_one_of(info->dlpi_name, cxx_names)) {
		add_runtime(range, true);
	}
	return 0;
}

void libc_caller_init(void)
{
	static bool known;
	bool first = true;

	if (READ_ONCE(known) && _dl_find_object)
		return;
	dl_iterate_phdr(look_at_object, &first);
	WRITE_ONCE(known, true);
}

noinline bool caller_in_libc_slow(uintptr_t caller)
{
	unsigned int i, nr = smp_load_acquire(&nr_runtime);
	struct dl_find_object found;
	const char *name;

	for (i = 0; i < nr; i++)
		if (caller - runtime[i].range.start < runtime[i].range.len)
			return !runtime[i].cxx || !current->by_new;
	if (!_dl_find_object || _dl_find_object((void *)caller, &found) || !found.dlfo_link_map->l_name)
		return false;
	name = found.dlfo_link_map->l_name;
	return is_libc(name) || (!current->by_new && is_one_of(name, cxx_names));
}
