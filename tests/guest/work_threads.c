#include "tests/guest/guest_test.h"

#include <pthread.h>
#include <stdatomic.h>

/* Computations by threads: a pool, a parallel sort, a game of life. */

enum {
	WORKERS = 4
};

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t some = PTHREAD_COND_INITIALIZER, none = PTHREAD_COND_INITIALIZER;
static int jobs[1000], head, tail, busy;
static bool closing;
static atomic_long result;

static void *worker(void *arg)
{
	pthread_mutex_lock(&m);
	for (;;) {
		int job;

		while (head == tail && !closing)
			pthread_cond_wait(&some, &m);
		if (head == tail)
			break;
		job = jobs[head++];
		busy++;
		pthread_mutex_unlock(&m);
		atomic_fetch_add(&result, (long)job * job);
		pthread_mutex_lock(&m);
		if (--busy == 0 && head == tail)
			pthread_cond_broadcast(&none);
	}
	pthread_mutex_unlock(&m);
	return NULL;
}

GUEST_TEST(pool)
{
	pthread_t t[WORKERS];
	long want = 0;

	for (int i = 0; i < WORKERS; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, worker, NULL), 0);
	for (int batch = 0; batch < 5; batch++) {
		for (int i = 0; i < 200; i++) {
			pthread_mutex_lock(&m);
			jobs[tail++] = i;
			want += (long)i * i;
			pthread_cond_signal(&some);
			pthread_mutex_unlock(&m);
		}
		MAYBE_SAVE();
		pthread_mutex_lock(&m);
		while (busy || head != tail)
			pthread_cond_wait(&none, &m);
		pthread_mutex_unlock(&m);
		EXPECT_EQ(atomic_load(&result), want);
	}
	pthread_mutex_lock(&m);
	closing = true;
	pthread_cond_broadcast(&some);
	pthread_mutex_unlock(&m);
	for (int i = 0; i < WORKERS; i++)
		pthread_join(t[i], NULL);
}

struct slice {
	unsigned *p;
	size_t n;
};

static void merge(unsigned *p, size_t mid, size_t n)
{
	unsigned *tmp = malloc(n * sizeof(*tmp));
	size_t i = 0, j = mid, k = 0;

	while (k < n)
		tmp[k++] = j >= n || (i < mid && p[i] <= p[j]) ? p[i++] : p[j++];
	memcpy(p, tmp, n * sizeof(*tmp));
	free(tmp);
}

static void *sort_slice(void *arg)
{
	struct slice *s = arg;
	struct slice left = {s->p, s->n / 2}, right = {s->p + s->n / 2, s->n - s->n / 2};
	pthread_t t;

	if (s->n < 2)
		return NULL;
	if (s->n > 4096) {
		pthread_create(&t, NULL, sort_slice, &left);
		sort_slice(&right);
		pthread_join(t, NULL);
	} else {
		sort_slice(&left);
		sort_slice(&right);
	}
	merge(s->p, left.n, s->n);
	return NULL;
}

GUEST_TEST(merge_sort)
{
	enum {
		N = 30000
	};
	struct slice s = {guest_map(N * 4, 0), N};
	unsigned seed = 7;
	pthread_t t;

	for (int i = 0; i < N; i++)
		s.p[i] = seed = seed * 1664525u + 1013904223u;
	ASSERT_EQ(pthread_create(&t, NULL, sort_slice, &s), 0);
	MAYBE_SAVE();
	pthread_join(t, NULL);
	for (int i = 1; i < N; i++)
		if (s.p[i - 1] > s.p[i])
			EXPECT_LE(s.p[i - 1], s.p[i]);
}

enum {
	SIZE = 64,
	GENERATIONS = 30
};

static unsigned char field[2][SIZE][SIZE];
static pthread_barrier_t bar;

static void *life(void *arg)
{
	int from = (int)(long)arg * SIZE / WORKERS, to = from + SIZE / WORKERS;

	for (int g = 0; g < GENERATIONS; g++) {
		unsigned char(*a)[SIZE] = field[g % 2], (*b)[SIZE] = field[1 - g % 2];

		for (int y = from; y < to; y++) {
			for (int x = 0; x < SIZE; x++) {
				int n = -a[y][x];

				for (int dy = -1; dy <= 1; dy++)
					for (int dx = -1; dx <= 1; dx++)
						n += a[(y + dy + SIZE) % SIZE]
						      [(x + dx + SIZE) % SIZE];
				b[y][x] = n == 3 || (n == 2 && a[y][x]);
			}
		}
		pthread_barrier_wait(&bar);
		if (from == 0 && g == GENERATIONS / 2)
			MAYBE_SAVE();
		pthread_barrier_wait(&bar);
	}
	return NULL;
}

GUEST_TEST(game_of_life)
{
	static const int glider[][2] = {{1, 0}, {2, 1}, {0, 2}, {1, 2}, {2, 2}};
	pthread_t t[WORKERS];
	int alive = 0;

	for (size_t i = 0; i < GUEST_COUNT(glider); i++)
		field[0][glider[i][1]][glider[i][0]] = 1;
	pthread_barrier_init(&bar, NULL, WORKERS);
	for (long i = 0; i < WORKERS; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, life, (void *)i), 0);
	for (int i = 0; i < WORKERS; i++)
		pthread_join(t[i], NULL);
	/* After 30 generations: seven cells on, half way through the next step. */
	for (int y = 0; y < SIZE; y++)
		for (int x = 0; x < SIZE; x++)
			alive += field[0][y][x];
	EXPECT_EQ(alive, 5);
	EXPECT_EQ(field[0][9][9] + field[0][8][9] + field[0][9][8] + field[0][10][9] > 0, true);
}
