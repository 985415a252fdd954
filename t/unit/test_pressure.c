/* SPDX-License-Identifier: MIT */
/*
 * Pressure figures: what is counted as a stall, some and full, against a clock that the test turns; that a signal
 * handler may print them; and the descriptor: that it can be polled, how often it is written, and that a number which
 * the program has given to another file is left alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>

#include "mm/current.h"
#include "mm/pressure.h"
#include "base/message.h"
#include "model.h"

#define SECOND 1000000000UL

/* The time is what the test says. */
static uint64_t clock_now = 1234 * SECOND;
uint64_t __wrap_os_clock_ns(void);
uint64_t __wrap_os_clock_ns(void)
{
	return clock_now;
}
uint64_t __wrap_os_clock_ms(void);
uint64_t __wrap_os_clock_ms(void)
{
	return clock_now / 1000000;
}

static const char *report(void)
{
	static struct out o;

	out_init(&o, -1);
	print_pressure(&o);
	return o.buf;
}

static void stall(uint64_t ns)
{
	unsigned long flags;

	psi_memstall_enter(&flags);
	clock_now += ns;
	psi_memstall_leave(&flags);
}

#define must_say(text) must(!strcmp(report(), text), "%s", report())

static void format(void)
{
	must_say("some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
	stall(1234567);
	must_say("some avg10=0.00 avg60=0.00 avg300=0.00 total=1234\n"
		 "full avg10=0.00 avg60=0.00 avg300=0.00 total=1234\n");
}

/* A share of one period, a long stall and a long rest, as exp() has it. */
static void averages(void)
{
	unsigned long flags;

	stall(SECOND);
	clock_now += SECOND;
	must_say("some avg10=9.06 avg60=1.63 avg300=0.33 total=1000000\n"
		 "full avg10=9.06 avg60=1.63 avg300=0.33 total=1000000\n");
	psi_memstall_enter(&flags);
	clock_now += 60 * SECOND;
	/* While it lasts, and whoever looks, however often. */
	must_say("some avg10=99.77 avg60=63.81 avg300=18.39 total=61000000\n"
		 "full avg10=99.77 avg60=63.81 avg300=18.39 total=61000000\n");
	psi_memstall_leave(&flags);
	clock_now += 10 * SECOND;
	must_say("some avg10=36.70 avg60=54.01 avg300=17.79 total=61000000\n"
		 "full avg10=36.70 avg60=54.01 avg300=17.79 total=61000000\n");
	clock_now += 100000 * SECOND;
	must_say("some avg10=0.00 avg60=0.00 avg300=0.00 total=61000000\n"
		 "full avg10=0.00 avg60=0.00 avg300=0.00 total=61000000\n");
}

/* A third of the time, a hundred seconds of it. */
static void whenever(void)
{
	int i;

	for (i = 0; i < 1000; i++) {
		stall(100000000);
		clock_now += 200000000;
		report();
	}
	must(!strncmp(report(), "some avg10=3", 12) && strstr(report(), " total=100000000\n"), "%s", report());
}

static void nesting(void)
{
	unsigned long outer, inner;

	psi_memstall_enter(&outer);
	clock_now += 1000;
	psi_memstall_enter(&inner);
	clock_now += 1000000;
	psi_memstall_leave(&inner);
	clock_now += 2000000;
	psi_memstall_leave(&outer);
	clock_now += 4000000;
	must(strstr(report(), "total=3001\nfull"), "%s", report());
	current->flags |= PF_KSWAPD;
	stall(SECOND);
	current->flags &= ~PF_KSWAPD;
	must(strstr(report(), "total=3001\nfull"), "kswapd keeps nobody from work");
}

static void *stall_too(void *arg)
{
	unsigned long flags;

	(void)arg;
	psi_memstall_enter(&flags);
	clock_now += 1000000;
	psi_memstall_leave(&flags);
	return NULL;
}

/* Full is when all that use the heap are. */
static void full(void)
{
	unsigned long flags;
	pthread_t t;

	nr_heap_threads = 2;
	psi_memstall_enter(&flags);
	clock_now += 5000000;
	must(!pthread_create(&t, NULL, stall_too, NULL) && !pthread_join(t, NULL));
	clock_now += 5000000;
	psi_memstall_leave(&flags);
	must_say("some avg10=0.00 avg60=0.00 avg300=0.00 total=11000\n"
		 "full avg10=0.00 avg60=0.00 avg300=0.00 total=1000\n");
	nr_heap_threads = 0;
	stall(1000000);
	must(strstr(report(), "full avg10=0.00 avg60=0.00 avg300=0.00 total=2000\n"), "%s", report());
}

/* A handler that interrupts a change prints something, and does not wait. */
static void handler(int sig)
{
	(void)sig;
	must(!strncmp(report(), "some avg10=", 11));
}

static void in_a_handler(void)
{
	signal(SIGUSR1, handler);
	pressure_lock_all();
	raise(SIGUSR1);
	pressure_unlock_all();
}

/* What poll says of it now; and it is read. */
static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t n;

	must(poll(&p, 1, 0) >= 0 && !(p.revents & POLLNVAL));
	if (!p.revents)
		return false;
	must(read(fd, &n, sizeof(n)) == sizeof(n) && n == 1);
	return true;
}

static void descriptor(void)
{
	int fd;

	pressure_signal(); /* there is none */
	fd = (int)pressure_eventfd();
	must(fd >= 0 && pressure_eventfd() == fd && !readable(fd));
	must(fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(fd, F_GETFL) & O_NONBLOCK);
	pressure_signal();
	pressure_signal();
	must(readable(fd) && !readable(fd));
	clock_now += 99000000;
	pressure_signal();
	must(!readable(fd), "not so soon");
	clock_now += 1000000;
	pressure_signal();
	must(readable(fd));
}

/* A program closes it, and something else comes to stand there. */
static void closed(void)
{
	int fd = (int)pressure_eventfd(), pair[2], other;
	char buf[16];

	must(fd >= 0 && !close(fd));
	must(!pipe2(pair, O_NONBLOCK) && (pair[0] == fd || dup2(pair[1], fd) == fd));
	pressure_signal();
	must(read(pair[0], buf, sizeof(buf)) < 0 && errno == EAGAIN, "somebody else's file was written to");
	other = (int)pressure_eventfd();
	must(other >= 0 && other != fd && pressure_eventfd() == other);
	clock_now += SECOND;
	pressure_signal();
	must(readable(other));
	must(fcntl(fd, F_GETFD) >= 0, "and it is still open");
}

static void in_child(int fd, bool handlers)
{
	int status;
	pid_t child = fork();

	if (!child) {
		if (handlers) {
			pressure_lock_all();
			pressure_reinit_after_fork();
		}
		must(strstr(report(), "total=0\nfull") || !handlers);
		if (!handlers)
			must(pressure_eventfd() == fd, "the number stays");
		must(!readable(fd), "it begins unread");
		clock_now += SECOND;
		pressure_signal();
		must(readable(fd));
		pressure_signal();
		_exit(0);
	}
	must(child > 0 && waitpid(child, &status, 0) == child && status == 0, "status %#x", (unsigned int)status);
}

/* What a child says is for the child. */
static void forks(void)
{
	int fd = (int)pressure_eventfd();

	stall(SECOND);
	pressure_signal();
	in_child(fd, true);
	in_child(fd, false);
	must(readable(fd) && !readable(fd));
	must(strstr(report(), "total=1000000\nfull"));
	/* Closed before: the child gets none that it has not asked for. */
	close(fd);
	if (!fork()) {
		pressure_lock_all();
		pressure_reinit_after_fork();
		_exit(fcntl(fd, F_GETFD) >= 0);
	}
	must(wait(&fd) > 0 && fd == 0);
}

int main(void)
{
	run_case("in the format of /proc/pressure/memory", format);
	run_case("averages of 10, 60 and 300 seconds", averages);
	run_case("however often somebody looks", whenever);
	run_case("a stall within a stall is one, and kswapd's is none", nesting);
	run_case("full: all threads that use the heap", full);
	run_case("a signal handler may print them", in_a_handler);
	run_case("the descriptor can be polled, and is not written all the time", descriptor);
	run_case("a number that stands for another file is left alone", closed);
	run_case("a forked child has its own", forks);
	return done_testing();
}
