/* SPDX-License-Identifier: MIT */
/*
 * Blocks that one thread allocates and another frees: producers and consumers around bounded queues, and a ring of
 * threads that hand everything on.
 */
#include "stress.h"

#define NR_PAIRS 3
#define QUEUE_LEN 512
#define NR_RING 4

struct queue {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct block block[QUEUE_LEN];
	size_t head, nr;
};

static struct queue queue[NR_PAIRS], ring[NR_RING];

static void queues_init(struct queue *q, size_t nr)
{
	for (; nr--; q++) {
		pthread_mutex_init(&q->lock, NULL);
		pthread_cond_init(&q->changed, NULL);
	}
}

static void queue_put(struct queue *q, struct block b)
{
	pthread_mutex_lock(&q->lock);
	while (q->nr == QUEUE_LEN)
		pthread_cond_wait(&q->changed, &q->lock);
	q->block[(q->head + q->nr++) % QUEUE_LEN] = b;
	pthread_cond_broadcast(&q->changed);
	pthread_mutex_unlock(&q->lock);
}

static struct block queue_get(struct queue *q)
{
	struct block b;

	pthread_mutex_lock(&q->lock);
	while (!q->nr)
		pthread_cond_wait(&q->changed, &q->lock);
	b = q->block[q->head];
	q->head = (q->head + 1) % QUEUE_LEN;
	q->nr--;
	pthread_cond_broadcast(&q->changed);
	pthread_mutex_unlock(&q->lock);
	return b;
}

static void *producer(void *arg)
{
	struct random r = random_of((uintptr_t)arg);
	size_t i, nr = scaled(150000);

	for (i = 0; i < nr; i++) {
		struct block b;

		block_get(&b, random_size(&r, i % 256 ? 13 : 21), &r);
		queue_put(&queue[(uintptr_t)arg], b);
	}
	return NULL;
}

static void *consumer(void *arg)
{
	struct random r = random_of(100 + (uintptr_t)arg);
	size_t i, nr = scaled(150000);

	for (i = 0; i < nr; i++) {
		struct block b = queue_get(&queue[(uintptr_t)arg]);

		if (random_below(&r, 16) == 0)
			block_resize(&b, random_size(&r, 14));
		block_put(&b, "by the consumer");
	}
	return NULL;
}

static void *either(void *arg)
{
	size_t number = (uintptr_t)arg / 2;

	return (uintptr_t)arg % 2 ? consumer((void *)number) : producer((void *)number);
}

/* Takes from its own queue, hands on to the next one's: half as it is, half replaced by a block of its own. */
static void *member(void *arg)
{
	size_t self = (uintptr_t)arg, i, nr = scaled(60000);
	struct random r = random_of(200 + self);

	for (i = 0; i < nr; i++) {
		struct block b = queue_get(&ring[self]);

		block_check(&b, "in the ring");
		if (random_below(&r, 2)) {
			block_put(&b, "in the ring");
			block_get(&b, random_size(&r, 15), &r);
		}
		queue_put(&ring[(self + 1) % NR_RING], b);
	}
	return NULL;
}

static void test_ring(void)
{
	struct random r = random_of(300);
	size_t i, n;

	for (i = 0; i < NR_RING; i++) {
		for (n = 0; n < QUEUE_LEN / 2; n++) {
			struct block b;

			block_get(&b, random_size(&r, 15), &r);
			queue_put(&ring[i], b);
		}
	}
	threads_run(NR_RING, member);
	for (i = 0; i < NR_RING; i++) {
		while (ring[i].nr) {
			struct block b = queue_get(&ring[i]);

			block_put(&b, "after the ring");
		}
	}
	ok(1, "%d threads in a ring hand blocks on", NR_RING);
}

int main(void)
{
	size_t before;

	stress_begin(3);
	queues_init(queue, NR_PAIRS);
	queues_init(ring, NR_RING);
	before = api_in_use();
	threads_run(2 * NR_PAIRS, either);
	ok(1, "%d producers, as many consumers, %zu blocks each", NR_PAIRS, scaled(150000));
	test_ring();
	if (!ok(api_in_use() < before + 256 * KIB, "nothing is left in use"))
		diag("%zu bytes before, %zu after", before, api_in_use());
	return tap_exit();
}
