/* SPDX-License-Identifier: MIT */
/*
 * A server that outlives the requests that ask for too much.
 *
 * It answers queries, a line each, on a port of the loopback interface. Every query is an owner of memory: what is
 * allocated while it runs is charged to it. When memory ends, the library first asks the server's cache to give
 * something back, and if that does not do, cancels the query that holds the most; that one is answered "out of memory",
 * the others never notice. Link with -lbuddymalloc (pkg-config buddymalloc), and try it with
 *
 *	$ (ulimit -d 200000; exec queryserver -p 7070) &
 *	$ printf 'GREP seven\nSUM 1000000000\nSUM 100000\nSTATS\nQUIT\n' | nc 127.0.0.1 7070
 *
 * The queries, and what is asked of memory for them:
 *
 *	SUM n		1 + ... + n, of a list of n numbers; for n of 10^9 that is 16 GB of small blocks
 *	SORT n		the first and the last of n words, through one block of n pointers
 *	GREP word	how many lines have the word in them, of all documents; these come from the cache
 *	STATS		what the cache did, who has how much, how long threads were stalled for memory
 *	QUIT		ends the connection
 */
#include <buddymalloc.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define MAX_THREADS 256
#define LINE_LEN 256
#define STACK_SIZE (256 << 10) /* under RLIMIT_AS and RLIMIT_DATA each stack counts in full */
#define SEND_SECONDS 1	       /* a client that does not read holds nobody up for longer */
#define NR_DOCUMENTS 1024
#define NR_WORDS 10

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/*
 * Queries. The code of a query allocates by get() and frees nothing: its owner is destroyed at its end, and all of it
 * goes at once, also when the query gave up in the middle of something.
 */
struct query {
	const char *line;
	char *answer; /* LINE_LEN bytes */
	atomic_bool cancelled;
	jmp_buf give_up;
};

/*
 * The abort callback of a query's owner: memory has ended, and this query has the most of it. It is called on whatever
 * thread asked for memory last, which may hold any lock of ours; so it does not wait, does not allocate, and sets a
 * flag for the query's own thread. 0 says that the memory will come free: until then nobody else is chosen.
 */
static int cancel(bm_owner_t *owner, void *arg)
{
	struct query *query = arg;

	(void)owner;
	atomic_store(&query->cancelled, true);
	return 0;
}

/* A query comes by here often, and never with a lock or a document of the cache in its hands: it may not come back. */
static void check_cancelled(struct query *query)
{
	if (atomic_load_explicit(&query->cancelled, memory_order_relaxed))
		longjmp(query->give_up, 1);
}

/*
 * Memory of the query. There are two ways to learn that there is none: malloc returns NULL, as it does for more than
 * 32 KiB, which are not worth anybody's life, and for a query that is cancelled and has used up the reserve; or the
 * query is cancelled meanwhile, maybe because of what another one wanted.
 */
static void *get(struct query *query, size_t size)
{
	void *p = malloc(size);

	if (!p)
		longjmp(query->give_up, 1);
	check_cancelled(query);
	return p;
}

/*
 * The cache: documents, made when they are first asked for, as a slow disk would, and kept for as long as there is
 * memory. It belongs to the server and not to the query that happened to come first, so it is allocated outside of
 * owners.
 */
struct document {
	unsigned int users;
	bool recent; /* asked for since the shrinker came by */
	char text[16384 - 8];
};

static struct {
	pthread_mutex_t lock; /* of all that follows, and of every document's users and recent */
	struct document *documents[NR_DOCUMENTS];
	atomic_ulong nr; /* read without the lock */
	unsigned long hits, misses, shrunk;
	unsigned int hand; /* where the shrinker goes on */
} cache = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void fill_document(struct document *doc, unsigned int number)
{
	static const char *const words[NR_WORDS] = { "nought", "one", "two",   "three", "four",
						     "five",   "six", "seven", "eight", "nine" };
	size_t len = 0;
	unsigned int line;

	doc->users = 0;
	for (line = 0; len < sizeof(doc->text) - LINE_LEN; line++)
		len += (size_t)snprintf(doc->text + len, LINE_LEN, "%s %s %s\n", words[line % NR_WORDS],
					words[line / NR_WORDS % NR_WORDS], words[number % NR_WORDS]);
}

/* A use of document i, if it is there; with the lock. */
static struct document *use_document(unsigned int i)
{
	struct document *doc = cache.documents[i];

	if (doc) {
		doc->users++;
		doc->recent = true;
	}
	return doc;
}

/* Document i, which stays until it is put; NULL: no memory for it. */
static struct document *cache_get(unsigned int i)
{
	struct document *doc, *made = NULL;
	bm_owner_t *before;

	pthread_mutex_lock(&cache.lock);
	doc = use_document(i);
	if (doc)
		cache.hits++;
	else
		cache.misses++;
	pthread_mutex_unlock(&cache.lock);
	if (doc)
		return doc;

	/* Not under the lock: this very malloc may need what the shrinker frees. */
	before = bm_owner_enter(NULL);
	made = malloc(sizeof(*made));
	bm_owner_enter(before);
	if (!made)
		return NULL;
	fill_document(made, i);

	pthread_mutex_lock(&cache.lock);
	if (!cache.documents[i]) {
		cache.documents[i] = made;
		cache.nr++;
		made = NULL;
	}
	doc = use_document(i);
	pthread_mutex_unlock(&cache.lock);
	free(made); /* another query was faster */
	return doc;
}

static void cache_put(struct document *doc)
{
	pthread_mutex_lock(&cache.lock);
	doc->users--;
	pthread_mutex_unlock(&cache.lock);
}

/* Free up to nr documents that nobody uses, those that were asked for lately in the second round; with the lock. */
static unsigned long cache_evict(unsigned long nr)
{
	struct document **slot;
	unsigned long freed = 0;
	unsigned int i;

	for (i = 0; i < 2 * NR_DOCUMENTS && freed < nr; i++) {
		slot = &cache.documents[cache.hand++ % NR_DOCUMENTS];
		if (!*slot || (*slot)->users)
			continue;
		if ((*slot)->recent) {
			(*slot)->recent = false;
			continue;
		}
		free(*slot);
		*slot = NULL;
		freed++;
	}
	cache.nr -= freed;
	return freed;
}

/*
 * The shrinker's two halves. They run inside any malloc of any thread, which may be one that holds the lock already:
 * so one does without, and the other tries it, and says "not now" if that fails.
 */
static unsigned long cache_count(void *arg, struct bm_shrink_control *sc)
{
	(void)arg;
	(void)sc;
	return atomic_load(&cache.nr);
}

static unsigned long cache_scan(void *arg, struct bm_shrink_control *sc)
{
	unsigned long freed;

	(void)arg;
	if (pthread_mutex_trylock(&cache.lock))
		return BM_SHRINK_STOP;
	freed = cache_evict(sc->nr_to_scan);
	cache.shrunk += freed;
	pthread_mutex_unlock(&cache.lock);
	return freed;
}

static const struct bm_shrinker_ops cache_ops = { cache_count, cache_scan };

/* What the queries do. */

static void query_sum(struct query *query, unsigned long n)
{
	struct number {
		struct number *next;
		unsigned long value;
	} *list = NULL, *number;
	unsigned long i, sum = 0;

	for (i = 1; i <= n; i++) {
		number = get(query, sizeof(*number));
		number->value = i;
		number->next = list;
		list = number;
	}
	for (number = list; number; number = number->next)
		sum += number->value;
	snprintf(query->answer, LINE_LEN, "ok %lu\n", sum);
}

static int compare_words(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void query_sort(struct query *query, unsigned long n)
{
	char **words;
	unsigned long i;

	words = get(query, n * sizeof(*words));
	for (i = 0; i < n; i++) {
		words[i] = get(query, 32);
		snprintf(words[i], 32, "word%012lu", i * 7919 % n);
	}
	qsort(words, n, sizeof(*words), compare_words);
	snprintf(query->answer, LINE_LEN, "ok %s %s\n", words[0], words[n - 1]);
}

static void query_grep(struct query *query, const char *word)
{
	struct document *doc;
	const char *at;
	unsigned long lines = 0;
	unsigned int i;

	for (i = 0; i < NR_DOCUMENTS; i++) {
		doc = cache_get(i);
		if (!doc)
			longjmp(query->give_up, 1);
		for (at = strstr(doc->text, word); at && (at = strchr(at, '\n')); at = strstr(at, word))
			lines++;
		cache_put(doc);
		check_cancelled(query);
	}
	snprintf(query->answer, LINE_LEN, "ok %lu\n", lines);
}

static void run_query(struct query *query)
{
	char word[LINE_LEN];
	unsigned long n;

	if (sscanf(query->line, "SUM %lu", &n) == 1)
		query_sum(query, n);
	else if (sscanf(query->line, "SORT %lu", &n) == 1 && n && n < 1UL << 40)
		query_sort(query, n);
	else if (sscanf(query->line, "GREP %s", word) == 1)
		query_grep(query, word);
	else
		snprintf(query->answer, LINE_LEN, "error: SUM n, SORT n, GREP word, STATS or QUIT\n");
}

static struct {
	unsigned int nr_workers;
	size_t limit; /* of each query; 0: none */
	int listener;
	pthread_mutex_t lock; /* of what follows */
	bool stopping;
	unsigned long answered, out_of_memory;
	size_t largest;		      /* that a query was */
	int connections[MAX_THREADS]; /* of each worker; -1: none */
	pthread_t threads[MAX_THREADS];
} server = { .nr_workers = 4, .lock = PTHREAD_MUTEX_INITIALIZER };

static bool finishes(struct query *query)
{
	if (setjmp(query->give_up))
		return false;
	run_query(query);
	return true;
}

static void serve_query(const char *line, char *text)
{
	struct query query = { .line = line, .answer = text };
	struct bm_owner_attr attr = {
		.name = line,
		.limit = server.limit,
		.abort = cancel,
		.arg = &query,
	};
	bm_owner_t *owner = bm_owner_create(&attr), *before;
	bool finished = false;
	size_t usage; /* before it is freed: all that the query ever took */

	if (owner) {
		before = bm_owner_enter(owner);
		finished = finishes(&query);
		bm_owner_enter(before);
	}
	usage = bm_owner_usage(owner);
	/* Every block that the query still has is freed here, and from here on cancel() is not called. -EBUSY would
	 * mean that a thread is inside. */
	if (owner && bm_owner_destroy(owner))
		abort();

	if (!finished)
		snprintf(text, LINE_LEN, "out of memory\n");
	pthread_mutex_lock(&server.lock);
	server.answered++;
	server.out_of_memory += !finished;
	if (server.largest < usage)
		server.largest = usage;
	pthread_mutex_unlock(&server.lock);
}

/* Not if the client is gone, or reads nothing for SEND_SECONDS. */
static bool put_text(int fd, const char *text)
{
	size_t len = strlen(text);

	return write(fd, text, len) == (ssize_t)len;
}

/* Not a query: it allocates nothing, so that it can be asked when there is no memory at all. */
static bool put_stats(int fd)
{
	char text[LINE_LEN];

	pthread_mutex_lock(&cache.lock);
	snprintf(text, sizeof(text), "cache: %lu documents, %lu hits, %lu misses, %lu shrunk\n", cache.nr, cache.hits,
		 cache.misses, cache.shrunk);
	pthread_mutex_unlock(&cache.lock);
	if (!put_text(fd, text))
		return false;
	pthread_mutex_lock(&server.lock);
	snprintf(text, sizeof(text), "queries: %lu answered, %lu out of memory, the largest had %zu KiB\n",
		 server.answered, server.out_of_memory, server.largest >> 10);
	pthread_mutex_unlock(&server.lock);
	return put_text(fd, text) && !bm_stats_print(fd, "owners") && !bm_stats_print(fd, "pressure") &&
	       put_text(fd, "end\n");
}

static void serve_connection(int fd, FILE *in)
{
	char line[LINE_LEN], text[LINE_LEN];
	bool sent = true;

	while (sent && fgets(line, sizeof(line), in)) {
		if (strlen(line) == LINE_LEN - 1 && line[LINE_LEN - 2] != '\n') {
			put_text(fd, "error: that is no query: too long\n");
			break;
		}
		line[strcspn(line, "\r\n")] = '\0';
		if (!strcmp(line, "QUIT"))
			break;
		if (!strcmp(line, "STATS")) {
			sent = put_stats(fd);
		} else {
			serve_query(line, text);
			sent = put_text(fd, text);
		}
	}
}

/* False: the server stops. Whoever stops it shuts the connections down that it finds here. */
static bool set_connection(int *connection, int fd)
{
	bool stopping;

	pthread_mutex_lock(&server.lock);
	stopping = server.stopping;
	*connection = fd;
	pthread_mutex_unlock(&server.lock);
	return !stopping;
}

static void *work(void *connection)
{
	const struct timeval patience = { .tv_sec = SEND_SECONDS };
	bool go_on = true;
	FILE *in;
	int fd;

	while (go_on) {
		fd = accept(server.listener, NULL, NULL);
		if (fd < 0 && errno == EINVAL)
			break; /* shut down */
		if (fd < 0)
			usleep(10000); /* too many are open: others must end first */
		else
			setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
		in = fd < 0 ? NULL : fdopen(fd, "r");
		if (in && set_connection(connection, fd))
			serve_connection(fd, in);
		go_on = set_connection(connection, -1);
		if (in)
			fclose(in);
		else if (fd >= 0)
			close(fd);
	}
	return NULL;
}

static void start_workers(void)
{
	pthread_attr_t attr;
	unsigned int i;

	pthread_attr_init(&attr);
	if (pthread_attr_setstacksize(&attr, STACK_SIZE))
		die("queryserver: stack size");
	for (i = 0; i < server.nr_workers; i++) {
		server.connections[i] = -1;
		if ((errno = pthread_create(&server.threads[i], &attr, work, &server.connections[i])))
			die("queryserver: thread");
	}
	pthread_attr_destroy(&attr);
}

/* Nothing is accepted any more, and nothing read; queries that run are answered. */
static void stop_workers(void)
{
	unsigned int i;

	pthread_mutex_lock(&server.lock);
	server.stopping = true;
	shutdown(server.listener, SHUT_RDWR);
	for (i = 0; i < server.nr_workers; i++)
		if (server.connections[i] >= 0)
			shutdown(server.connections[i], SHUT_RD);
	pthread_mutex_unlock(&server.lock);
	for (i = 0; i < server.nr_workers; i++)
		pthread_join(server.threads[i], NULL);
	close(server.listener);
}

static void listen_on(unsigned int port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);
	int yes = 1;

	addr.sin_port = htons((unsigned short)port);
	server.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (server.listener < 0 || setsockopt(server.listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) ||
	    bind(server.listener, (struct sockaddr *)&addr, len) || listen(server.listener, 128) ||
	    getsockname(server.listener, (struct sockaddr *)&addr, &len))
		die("queryserver: port");
	printf("port %u\n", ntohs(addr.sin_port));
	fflush(stdout);
}

int main(int argc, char **argv)
{
	unsigned int port = 0;
	bm_shrinker_t *shrinker;
	sigset_t signals;
	int option, sig;

	while ((option = getopt(argc, argv, "p:t:l:")) != -1) {
		if (option == 'p')
			port = (unsigned int)strtoul(optarg, NULL, 10);
		else if (option == 't')
			server.nr_workers = (unsigned int)strtoul(optarg, NULL, 10);
		else if (option == 'l')
			server.limit = strtoul(optarg, NULL, 10) << 20;
		else
			server.nr_workers = 0;
	}
	if (server.nr_workers < 1 || server.nr_workers > MAX_THREADS) {
		fputs("usage: queryserver [-p port] [-t threads] [-l MiB that a query may have]\n", stderr);
		return 2;
	}

	/* Before the threads start, which inherit it: the signals that end the server come to sigwait() alone. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);

	shrinker = bm_shrinker_register("documents", &cache_ops, NULL, 2);
	if (!shrinker)
		die("queryserver: shrinker");
	listen_on(port);
	start_workers();
	sigwait(&signals, &sig);
	stop_workers();

	bm_shrinker_unregister(shrinker);
	cache_evict(NR_DOCUMENTS);
	printf("%lu queries answered, %lu of them out of memory\n", server.answered, server.out_of_memory);
	return 0;
}
