/* SPDX-License-Identifier: MIT */
/*
 * Files, writing and ending by our own system calls, against what libc tells.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/host.h"
#include "os/os.h"
#include "fake_os.h"
#include "tap.h"

/* All chunks one after the other; as many as enough, if that is not 0. */
struct chunks {
	char text[2000];
	size_t len;
	int nr, enough;
};

static bool take_chunk(void *arg, const char *chunk, size_t len)
{
	struct chunks *got = arg;

	if (got->len + len <= sizeof(got->text))
		memcpy(got->text + got->len, chunk, len);
	got->len += len;
	return ++got->nr != got->enough;
}

/* The file has 16 characters. */
static void test_chunks(const char *path)
{
	struct chunks all = { 0 }, first = { .enough = 1 };
	char more[1400];
	int fd = os_open_append(path);

	memset(more, 'm', sizeof(more));
	host_write(fd, more, sizeof(more));
	os_close(fd);
	ok(os_read_chunks(path, take_chunk, &all), "a file is read in chunks");
	ok(all.nr > 1 && all.len == 16 + sizeof(more) && !memcmp(all.text, "abcdefghijklmnop", 16) &&
		   !memcmp(all.text + 16, more, sizeof(more)),
	   "%d chunks are %zu characters", all.nr, all.len);
	ok(os_read_chunks(path, take_chunk, &first) && first.nr == 1, "and no further than wanted");
	ok(!os_read_chunks("/tmp", take_chunk, &first) && first.nr == 1, "a directory has none");
}

static void test_files(void)
{
	char path[] = "/tmp/test_os.XXXXXX";
	char buf[16] = "xxxxxxxxxxxxxxx";
	int fd = mkstemp(path);

	if (fd < 0)
		bail_out("cannot make %s", path);
	close(fd);
	is_int(os_read_file(path, buf, sizeof(buf)), 0, "an empty file");
	is_str(buf, "", "is an empty text");
	for (int i = 0; i < 2; i++) {
		fd = os_open_append(path);
		ok(fcntl(fd, F_GETFD) & FD_CLOEXEC, "a file opened for appending is closed on exec");
		host_write(fd, i ? "fghijklmnop" : "abcde", i ? 11 : 5);
		os_close(fd);
		ok(fcntl(fd, F_GETFD) < 0, "os_close closes");
		is_int(os_read_file(path, buf, sizeof(buf)), i ? 15 : 5, "os_read_file reads what fits");
		is_str(buf, i ? "abcdefghijklmno" : "abcde", "and terminates it");
	}
	test_chunks(path);
	unlink(path);
	is_int(os_read_file(path, buf, sizeof(buf)), -ENOENT, "a missing file");
	ok(!os_read_chunks(path, NULL, NULL), "of which there are no chunks");
	is_str(buf, "abcdefghijklmno", "for which the buffer is not touched");
	is_int(os_read_file("/tmp", buf, sizeof(buf)), -EISDIR, "a directory cannot be read");
	if (mkfifo(path, 0600))
		bail_out("cannot make %s", path);
	is_int(os_read_file(path, buf, sizeof(buf)), 0, "a FIFO does not block");
	unlink(path);
	fd = os_open_append(path);
	ok(fd >= 0, "a missing file is made");
	os_close(fd);
	unlink(path);
}

#define TEXT_LEN (1 << 20)
static char text[TEXT_LEN];
static int pipe_fds[2];

static pthread_t writer;
static int signals_seen;

static void count_signal(int sig)
{
	(void)sig;
	atomic_add_return(&signals_seen, 1);
}

/* Waits for the signal's arrival, but not for ever: TSan keeps it until the writer calls libc. */
static void disturb_writer(void)
{
	int seen = READ_ONCE(signals_seen);

	pthread_kill(writer, SIGUSR1);
	for (int i = 0; i < 100 && READ_ONCE(signals_seen) == seen; i++)
		usleep(100);
}

/*
 * Counts right bytes until the end. Signals cut the write on the other side into pieces: at first while the pipe is
 * full, so that it has written nothing, later in its midst.
 */
static void *read_pipe(void *arg)
{
	long *right = arg;
	char buf[1000];
	long at = 0;
	ssize_t n;

	for (int i = 0; i < 10; i++)
		disturb_writer();
	while ((n = read(pipe_fds[0], buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			*right += at + i < TEXT_LEN && buf[i] == text[at + i];
		at += n;
		if (at % 16000 < n)
			disturb_writer();
	}
	return arg;
}

static void test_write(void)
{
	struct sigaction action = { .sa_handler = count_signal };
	pthread_t reader;
	long right = 0;

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)(i % 251);
	if (pipe(pipe_fds) || sigaction(SIGUSR1, &action, NULL))
		bail_out("cannot make a pipe");
	writer = pthread_self();
	if (pthread_create(&reader, NULL, read_pipe, &right))
		bail_out("cannot create a thread");
	host_write(pipe_fds[1], text, sizeof(text));
	close(pipe_fds[1]);
	pthread_join(reader, NULL);
	close(pipe_fds[0]);
	is_int(right, sizeof(text), "host_write goes on after partial and interrupted writes");

	if (pipe2(pipe_fds, O_NONBLOCK))
		bail_out("cannot make a pipe");
	errno = ERANGE;
	host_write(pipe_fds[1], text, sizeof(text));
	is_int(errno, ERANGE, "a full pipe ends it, and errno is untouched");
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	host_write(-1, text, 1);
	is_int(errno, ERANGE, "as does a bad descriptor");
}

static void say_goodbye(void)
{
	host_write(STDERR_FILENO, "goodbye", 7);
}

static void exit_three(void)
{
	atexit(say_goodbye);
	host_exit(3);
}

static void abort_ignored(void)
{
	signal(SIGABRT, SIG_IGN);
	host_abort();
}

static void *abort_in_thread(void *arg)
{
	host_abort();
	return arg;
}

static void abort_thread(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, abort_in_thread, NULL);
	pthread_join(thread, NULL);
}

static void test_ends(void)
{
	uint32_t word = 1;
	char said[64];
	int status = fake_os_child(exit_three, said, sizeof(said));

	ok(WIFEXITED(status) && WEXITSTATUS(status) == 3 && !said[0], "host_exit exits and runs no handler");
	status = fake_os_child(abort_ignored, said, sizeof(said));
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "host_abort aborts though SIGABRT is ignored");
	status = fake_os_child(abort_thread, said, sizeof(said));
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "and from a thread");
	host_futex_wait(&word, 2);
	ok(1, "host_futex_wait returns at once where the word has changed");
}

int main(void)
{
	test_files();
	test_write();
	test_ends();
	return done_testing();
}
