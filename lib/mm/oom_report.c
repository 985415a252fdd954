/* SPDX-License-Identifier: MIT */
/*
 * What is said before somebody is ended, in the kernel's shape: who asked for what, which limit binds, what the zones
 * have, and who has how much. Nothing is allocated.
 */
#include <string.h>

#include "base/message.h"
#include "base/tunables.h"
#include "mm/budget.h"
#include "mm/internal.h"
#include "mm/oom.h"
#include "mm/owner.h"
#include "mm/vmstat.h"
#include "os/os.h"

#define STDERR 2
#define NR_ROWS 32U /* of the table of owners */

extern char *program_invocation_short_name;

long oom_report_fd = -1;
void (*oom_show_heap)(struct out *o);

struct row {
	const struct owner *owner;
	unsigned long pages;
};

/* The largest owners, and how many others there are; the oom lock's. */
static struct {
	struct row rows[NR_ROWS];
	unsigned int nr, others;
	unsigned long others_pages;
} table;

const char *owner_kind(const struct owner *owner)
{
	static const char *const names[] = {
		[OWNER_UNUSED] = "unused",
		[OWNER_PROCESS] = "process",
		[OWNER_THREAD] = "thread",
		[OWNER_NAMED] = "named",
	};

	return names[READ_ONCE(owner->kind)];
}

/* Another struct out is more than the stack may have room for. */
static const char *comm_path(char path[64], int tid)
{
	static const char before[] = "/proc/self/task/", after[] = "/comm";
	char *p = path + 64 - sizeof(after);

	memcpy(p, after, sizeof(after));
	do
		*--p = (char)('0' + tid % 10);
	while (tid /= 10);
	p -= sizeof(before) - 1;
	memcpy(p, before, sizeof(before) - 1);
	return p;
}

/* It may be becoming another's. */
static const char *owner_name(const struct owner *owner, char *buf)
{
	unsigned int i;

	for (i = 0; i < OWNER_NAME_LEN - 1; i++)
		buf[i] = READ_ONCE(owner->name[i]);
	buf[i] = '\0';
	return buf;
}

const char *owner_label(const struct owner *owner, char *buf)
{
	char path[64];
	long len;

	if (smp_load_acquire(&owner->kind) != OWNER_THREAD)
		return owner_name(owner, buf);
	len = os_read_file(comm_path(path, owner_tid(owner)), buf, OWNER_LABEL_LEN);
	if (len <= 1)
		return "thread";
	buf[len - (buf[len - 1] == '\n')] = '\0';
	return buf;
}

/*
 * A report goes out as a whole, when its last line is there: each write may cost the thread its CPU, and the victim is
 * still to be told. The oom lock's.
 */
static later_data struct out report;
static later_data char gathered[16 * KiB];
static size_t nr_gathered;

/* On stderr, and wherever else it is wanted. Others wait for the lock: whoever does not read is not waited for. */
static void send_report(void)
{
	long fds[] = { STDERR, READ_ONCE(oom_report_fd), -1 };
	unsigned int i;

	if (tunables.oom_report_file[0]) {
		fds[2] = os_open_append(tunables.oom_report_file);
		(void)WARN_ONCE(fds[2] < 0, "cannot open oom_report_file %s: error %ld", tunables.oom_report_file,
				-fds[2]);
	}
	for (i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0 && (!i || fds[i] != STDERR))
			os_write_within((int)fds[i], gathered, nr_gathered,
					(unsigned int)READ_ONCE(tunables.oom_wait_ms));
	if (fds[2] >= 0)
		os_close((int)fds[2]);
	nr_gathered = 0;
}

static void gather(const char *text, size_t len)
{
	if (len > sizeof(gathered) - nr_gathered)
		send_report();
	memcpy(gathered + nr_gathered, text, len);
	nr_gathered += len;
}

static struct out *the_report(void)
{
	report.sink = gather;
	return &report;
}

void oom_say(const char *fmt, ...)
{
	struct out *o = the_report();
	va_list ap;

	out_printf(o, "buddymalloc: ");
	va_start(ap, fmt);
	out_vprintf(o, fmt, ap);
	va_end(ap);
	out_printf(o, "\n");
	out_flush(o);
	send_report();
}

/* The rows are sorted, the largest first; who has as much as another comes behind him. */
static void add_row(const struct owner *owner, unsigned long pages)
{
	unsigned int at;

	if (table.nr == NR_ROWS && pages <= table.rows[NR_ROWS - 1].pages) {
		table.others++;
		table.others_pages += pages;
		return;
	}
	if (table.nr == NR_ROWS) {
		table.others++;
		table.others_pages += table.rows[--table.nr].pages;
	}
	for (at = table.nr++; at && table.rows[at - 1].pages < pages; at--)
		table.rows[at] = table.rows[at - 1];
	table.rows[at] = (struct row){ .owner = owner, .pages = pages };
}

static void fill_table(void)
{
	const struct owner *owner;

	memset(&table, 0, sizeof(table));
	for (owner = owner_next(NULL); owner; owner = owner_next(owner)) {
		unsigned long pages = oom_pages(owner);

		/* What a thread is called has to be asked for: not of those that are in it for nothing. */
		if (!(READ_ONCE(owner->state) & OWNER_EXITED) && (pages || READ_ONCE(owner->kind) != OWNER_THREAD))
			add_row(owner, pages);
	}
}

static void print_owners_table(struct out *o)
{
	char label[OWNER_LABEL_LEN];
	unsigned int i;

	fill_table();
	out_printf(o, "buddymalloc: Owners state (memory values in pages):\n");
	out_printf(o, "buddymalloc: [   tid ] kind    inside    usage    limit      min oom_score_adj name\n");
	for (i = 0; i < table.nr; i++) {
		const struct owner *owner = table.rows[i].owner;

		out_printf(o, "buddymalloc: [%7d] %-7s %6u %8lu %8lu %8lu %13d %s\n", owner_tid(owner),
			   owner_kind(owner), READ_ONCE(owner->inside), table.rows[i].pages, READ_ONCE(owner->limit),
			   READ_ONCE(owner->min), READ_ONCE(owner->score_adj), owner_label(owner, label));
	}
	if (table.others)
		out_printf(o, "buddymalloc: and %u others with %lu pages\n", table.others, table.others_pages);
}

static void print_budget(struct out *o)
{
	struct budget_line line;
	unsigned int kind;

	for (kind = 0; kind < NR_LIMITS; kind++)
		if (budget_line((enum limit_kind)kind, &line))
			out_printf(o, "buddymalloc: limit %s: usage %zukB, limit %zukB%s\n", line.name, line.used >> 10,
				   line.limit >> 10,
				   (enum limit_kind)kind == budget_binding() ? ", this one binds" : "");
}

void dump_decision(const struct oom_control *oc)
{
	static const char *const constraints[] = {
		[CONSTRAINT_NONE] = "CONSTRAINT_NONE",
		[CONSTRAINT_MEMORY_POLICY] = "CONSTRAINT_MEMORY_POLICY",
		[CONSTRAINT_MEMCG] = "CONSTRAINT_MEMCG",
	};
	struct out *o = the_report();
	struct budget_line line;
	char label[OWNER_LABEL_LEN];

	out_printf(o, "buddymalloc: oom-kill:constraint=%s,nodemask=", constraints[oc->constraint]);
	if (oc->nodemask)
		print_nodemask(o, READ_ONCE(*oc->nodemask));
	else
		out_printf(o, "(null)");
	if (oc->memcg)
		out_printf(o, ",limit=%s", oc->memcg->name);
	else if (budget_line(budget_binding(), &line))
		out_printf(o, ",limit=%s", line.name);
	if (oc->chosen)
		out_printf(o, ",kind=%s,owner=%s,tid=%d", owner_kind(oc->chosen), owner_label(oc->chosen, label),
			   owner_tid(oc->chosen));
	out_printf(o, "\n");
}

static void print_header(struct out *o, const struct oom_control *oc)
{
	const struct owner *owner = current_owner();
	char label[OWNER_LABEL_LEN];

	out_printf(o, "buddymalloc: %s invoked oom-killer: gfp_mask=0x%x(", program_invocation_short_name,
		   oc->gfp_mask);
	print_gfp(o, oc->gfp_mask);
	out_printf(o, "), order=%u, oom_score_adj=%d\n", oc->order, READ_ONCE(owner->score_adj));
	out_printf(o, "buddymalloc: CPU: %u PID: %d TID: %d Owner: %s (%s)\n", os_cpu_id(), os_getpid(), os_gettid(),
		   owner_label(owner, label), owner_kind(owner));
	if (oc->memcg)
		out_printf(o, "buddymalloc: memory: usage %lukB, limit %lukB, of owner %s\n",
			   owner_usage(oc->memcg) << (PAGE_SHIFT - 10), oc->memcg->limit << (PAGE_SHIFT - 10),
			   oc->memcg->name);
	else
		print_budget(o);
	show_zones(o, oc->nodemask);
	if (oom_show_heap)
		oom_show_heap(o);
	if (READ_ONCE(sysctl_oom_dump_tasks))
		print_owners_table(o);
}

bool dump_header(struct oom_control *oc, bool limited)
{
	static struct ratelimit_state oom_rs = RATELIMIT_STATE_INIT(5000, 10);
	unsigned int missed;

	if (oc->dumped)
		return true;
	if (limited && !ratelimit(&oom_rs, os_clock_ms(), &missed))
		return false;
	oc->dumped = true;
	print_header(the_report(), oc);
	return true;
}
