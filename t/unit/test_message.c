/* SPDX-License-Identifier: MIT */
/*
 * The formatter against libc's, buffers that flush and buffers that collect, and the two ways to complain.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/message.h"
#include "fake_os.h"
#include "tap.h"

static unsigned long long random_state = 88172645463325252ULL;

static unsigned long long random_number(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* Of any length in bits, so that small ones are as frequent as large ones. */
static unsigned long long random_bits(void)
{
	return random_number() >> random_number() % 64;
}

static char want[600];
static struct out got;
static int mismatches;

static void compare(const char *fmt)
{
	if (strcmp(got.buf, want) && mismatches++ < 5)
		diag("format \"%s\": got \"%s\", wanted \"%s\"", fmt, got.buf, want);
}

#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#define TRY(fmt, ...)                                             \
	do {                                                      \
		out_init(&got, -1);                               \
		out_printf(&got, (fmt), __VA_ARGS__);             \
		snprintf(want, sizeof(want), (fmt), __VA_ARGS__); \
		compare(fmt);                                     \
	} while (0)

/* "<flags width size conversion|" with what libc defines for that conversion. */
static void make_format(char *fmt, size_t len, const char *flags, const char *size, char conversion)
{
	char width[8] = "";

	if (random_number() % 2)
		snprintf(width, sizeof(width), "%d", (int)(random_number() % 30 + 1));
	snprintf(fmt, len, "<%%%s%s%s%c|%%%%", flags, width, size, conversion);
}

static void try_number(void)
{
	static const char *const flags[] = { "", "-", "0" };
	const char *flag = flags[random_number() % 3];
	char conversion = "dux"[random_number() % 3];
	unsigned long long n = random_bits();
	char fmt[64];

	if (conversion == 'd' && random_number() % 2)
		n = 0 - n;
	switch (random_number() % 4) {
	case 0:
		make_format(fmt, sizeof(fmt), flag, "", conversion);
		TRY(fmt, (int)n);
		break;
	case 1:
		make_format(fmt, sizeof(fmt), flag, "l", conversion);
		TRY(fmt, (long)n);
		break;
	case 2:
		make_format(fmt, sizeof(fmt), flag, "ll", conversion);
		TRY(fmt, (long long)n);
		break;
	default:
		make_format(fmt, sizeof(fmt), flag, "z", conversion);
		TRY(fmt, (size_t)n);
		break;
	}
}

static void try_text(void)
{
	static const char *const words[] = { "", "a", "buddy", "a text that is longer than any width is" };
	const char *flag = random_number() % 2 ? "-" : "";
	const char *word = words[random_number() % 4];
	void *pointer = (void *)(random_number() % 4 ? random_bits() : 0);
	int c = (int)(' ' + random_number() % 95);
	char fmt[64];

	switch (random_number() % 3) {
	case 0:
		make_format(fmt, sizeof(fmt), flag, "", 's');
		TRY(fmt, word);
		break;
	case 1:
		make_format(fmt, sizeof(fmt), flag, "", 'c');
		TRY(fmt, c);
		break;
	default:
		make_format(fmt, sizeof(fmt), flag, "", 'p');
		TRY(fmt, pointer);
		break;
	}
}

static void test_format(void)
{
	for (int i = 0; i < 20000; i++)
		try_number();
	is_int(mismatches, 0, "20000 random numbers as libc prints them");
	mismatches = 0;
	for (int i = 0; i < 5000; i++)
		try_text();
	is_int(mismatches, 0, "5000 random texts, characters and pointers as libc prints them");
	mismatches = 0;
	TRY("%d %ld %lld %zd", INT_MIN, LONG_MIN, LLONG_MIN, (ssize_t)LONG_MIN);
	TRY("%u %lx %llu %zx", UINT_MAX, ULONG_MAX, ULLONG_MAX, SIZE_MAX);
	TRY("%05d|%-5d|%-5u|%020lx|%3d", -42, -42, 42U, 0xbeefUL, 123456);
	TRY("%s%%%c%d", "text", 'c', 0);
	is_int(mismatches, 0, "extremes and several conversions in one format");
}

/* Through a variable, so that no compiler looks into formats that are wrong on purpose. */
static void test_odd_formats(void)
{
	static const char *volatile odd[] = { "%s|%8s|", "%q %5.2f %d", "100%", "%05s|%05c|%-05d|" };

	out_init(&got, -1);
	out_printf(&got, odd[0], NULL, NULL);
	is_str(got.buf, "(null)|  (null)|", "a null string");
	out_init(&got, -1);
	out_printf(&got, odd[1], 7);
	is_str(got.buf, "%q %5.2f 7", "an unknown conversion is printed as it stands and takes no argument");
	out_init(&got, -1);
	out_printf(&got, odd[2], 0);
	is_str(got.buf, "100%", "a format that ends in %%");
	out_init(&got, -1);
	out_printf(&got, odd[3], "a", 'b', -42);
	is_str(got.buf, "    a|    b|-42  |", "zeros fill up numbers alone, and never behind them");
}

static void test_collect(void)
{
	out_init(&got, -1);
	for (size_t i = 0; i < sizeof(got.buf) + 100; i++)
		out_printf(&got, "%c", 'a' + (int)(i % 26));
	is_int(got.len, sizeof(got.buf) - 1, "what does not fit is dropped");
	is_int(strlen(got.buf), sizeof(got.buf) - 1, "and the text is terminated");
	out_flush(&got);
	is_int(got.len, sizeof(got.buf) - 1, "there is nowhere to flush it to");
	out_init(&got, -1);
	is_str(got.buf, "", "a new buffer is an empty text");
}

static void test_flush(void)
{
	FILE *file = tmpfile();
	char line[64];
	int wrong = 0;

	if (!file)
		bail_out("cannot make a temporary file");
	out_init(&got, fileno(file));
	for (int i = 0; i < 1000; i++)
		out_printf(&got, "line %d of many\n", i);
	ok(lseek(fileno(file), 0, SEEK_END) > 4096, "a full buffer is written");
	out_flush(&got);
	is_int(got.len, 0, "after a flush it is empty");
	rewind(file);
	for (int i = 0; i < 1000; i++) {
		snprintf(want, sizeof(want), "line %d of many\n", i);
		wrong += !fgets(line, sizeof(line), file) || strcmp(line, want);
	}
	is_int(wrong, 0, "and all lines arrived");
	ok(!fgets(line, sizeof(line), file), "and nothing else");
	fclose(file);
}

/* stderr becomes a socket that keeps writes apart. */
static int packets[2];
static int saved_stderr;

static void catch_stderr(void)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, packets))
		bail_out("cannot make a socket pair");
	saved_stderr = dup(STDERR_FILENO);
	dup2(packets[1], STDERR_FILENO);
}

static void release_stderr(void)
{
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	close(packets[0]);
	close(packets[1]);
}

/* What one write said, or "nothing". */
static const char *packet(void)
{
	static char text[2048];
	ssize_t n = recv(packets[0], text, sizeof(text) - 1, MSG_DONTWAIT);

	if (n < 0)
		return "nothing";
	text[n] = '\0';
	return text;
}

static bool warn_three(int n)
{
	return WARN_ONCE(n != 1, "n is %d", n);
}

static void test_warn(void)
{
	char text[sizeof(got.buf) + 200];
	const char *said;

	catch_stderr();
	errno = ERANGE;
	bm_warn("%s has %lu pages", "zone", 42UL);
	is_int(errno, ERANGE, "bm_warn leaves errno alone");
	is_str(packet(), "buddymalloc: zone has 42 pages\n", "a warning is one line in one write");
	is_str(packet(), "nothing", "and that is all");
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	bm_warn("%s", text);
	said = packet();
	is_int(strlen(said), sizeof(got.buf) - 1, "a warning that is too long is cut");
	is_str(said + strlen(said) - 5, "x...\n", "and says so, and ends its line");
	ok(!warn_three(1), "WARN_ONCE tells that nothing was wrong");
	is_str(packet(), "nothing", "and is silent");
	ok(warn_three(2) && warn_three(3), "it tells each time that something was wrong");
	is_str(packet(), "buddymalloc: n is 2\n", "but warns the first time");
	is_str(packet(), "nothing", "alone");
	release_stderr();
}

static bool warn_place(int n)
{
	return WARN_ON_ONCE(n == 2);
}

static void test_warn_on(void)
{
	const char *said;

	catch_stderr();
	ok(!warn_place(1), "WARN_ON_ONCE tells that nothing was wrong");
	is_str(packet(), "nothing", "and is silent");
	ok(warn_place(2) && warn_place(2), "it tells each time that something was wrong");
	said = packet();
	ok(!strncmp(said, "buddymalloc: WARNING: n == 2 at test_message.c:", 47) && strstr(said, " warn_place()\n"),
	   "says what and where: %s", said);
	is_str(packet(), "nothing", "once");
	release_stderr();
}

/* Times are made up. */
static void test_ratelimit(void)
{
	static struct ratelimit_state rs = RATELIMIT_STATE_INIT(5000, 3);
	unsigned int missed, passed = 0, i;

	for (i = 0; i < 10; i++) {
		passed += ratelimit(&rs, 0, &missed);
		if (missed)
			break;
	}
	ok(i == 10 && passed == 3, "of 10 at once 3 pass");
	ok(!ratelimit(&rs, 4999, &missed) && !missed, "and no more in that interval");
	ok(!ratelimit(&rs, ~0ULL, &missed), "nor for one whose clock was read before");
	ok(ratelimit(&rs, 5000, &missed), "the next interval begins with one that passes");
	is_int(missed, 9, "and tells how many were stopped");
	ok(ratelimit(&rs, 5003, &missed) && !missed, "once");
	ok(ratelimit(&rs, 6000, &missed) && !ratelimit(&rs, 9999, &missed), "3 pass in it");
	ok(ratelimit(&rs, 1000000, &missed) && missed == 1, "after a long time too, one more is told of");
	rs.busy = 1;
	ok(!ratelimit(&rs, 2000000, &missed), "one that comes in the middle of another is stopped");
	rs.busy = 0;
	ok(ratelimit(&rs, 2000000, &missed) && missed == 1, "and counted");
}

static void go_on(int sig)
{
	(void)sig;
}

static void die_handled(void)
{
	sigset_t set;

	signal(SIGABRT, go_on);
	sigemptyset(&set);
	sigaddset(&set, SIGABRT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	bm_fatal("the end of %d", 7);
}

static void assert_true(void)
{
	VM_BUG_ON(packets[0] == INT_MIN);
}

static void assert_false(void)
{
	VM_BUG_ON(packets[0] != INT_MIN);
}

static void test_fatal(void)
{
	char said[256];
	int status = fake_os_child(die_handled, said, sizeof(said));

	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "bm_fatal aborts though SIGABRT is handled and blocked");
	is_str(said, "buddymalloc: the end of 7\n", "and says why");
	is_int(fake_os_child(assert_true, said, sizeof(said)), 0, "an assertion that holds goes on");
	status = fake_os_child(assert_false, said, sizeof(said));
#ifdef BM_DEBUG
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "one that does not aborts");
	ok(strstr(said, "BUG: packets[0] != INT_MIN at ") && strstr(said, "test_message.c:"), "and says where: %s",
	   said);
#else
	is_int(status, 0, "assertions are for debug builds alone");
	is_str(said, "", "and silent in others");
#endif
}

int main(void)
{
	test_format();
	test_odd_formats();
	test_collect();
	test_flush();
	test_warn();
	test_warn_on();
	test_ratelimit();
	test_fatal();
	return done_testing();
}
