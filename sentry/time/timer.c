#include "sentry/time/timer.h"
#include "state/base/bug.h"
#include "state/base/lock.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct timers {
	struct mutex lock; /* RANK_TIMER: everything below, and heap_index and running of timers */
	pthread_cond_t wake;  /* the thread: the first deadline, pause or stop changed */
	pthread_cond_t quiet; /* no callback is running any more */
	struct ktimer **heap; /* 1-based, smallest host_ns first */
	u32 n, size;
	unsigned paused;
	bool stop;
	bool busy; /* the thread is in a callback, also when the timer has been let go of */
	struct ktimer *current; /* whose callback that is; NULL once it was cancelled from within */
	pthread_t thread;
};

/* ---- heap ---- */

static void heap_set(struct timers *ts, u32 i, struct ktimer *t)
{
	ts->heap[i] = t;
	t->heap_index = i;
}

static void heap_up(struct timers *ts, u32 i)
{
	struct ktimer *t = ts->heap[i];

	while (i > 1 && t->host_ns < ts->heap[i / 2]->host_ns) {
		heap_set(ts, i, ts->heap[i / 2]);
		i /= 2;
	}
	heap_set(ts, i, t);
}

static void heap_down(struct timers *ts, u32 i)
{
	struct ktimer *t = ts->heap[i];

	for (;;) {
		u32 child = i * 2;

		if (child > ts->n)
			break;
		if (child < ts->n && ts->heap[child + 1]->host_ns < ts->heap[child]->host_ns)
			child++;
		if (t->host_ns <= ts->heap[child]->host_ns)
			break;
		heap_set(ts, i, ts->heap[child]);
		i = child;
	}
	heap_set(ts, i, t);
}

static void heap_remove(struct timers *ts, struct ktimer *t)
{
	u32 i = t->heap_index;
	struct ktimer *last;

	if (!i)
		return;
	t->heap_index = 0;
	last = ts->heap[ts->n--];
	if (last == t)
		return;
	heap_set(ts, i, last);
	heap_up(ts, i);
	heap_down(ts, last->heap_index);
}

static void heap_insert(struct timers *ts, struct ktimer *t)
{
	if (ts->n + 1 >= ts->size) {
		u32 size = ts->size ? ts->size * 2 : 64;
		struct ktimer **heap = realloc(ts->heap, size * sizeof(struct ktimer *));

		BUG_ON(!heap);
		ts->heap = heap;
		ts->size = size;
	}
	heap_set(ts, ++ts->n, t);
	heap_up(ts, ts->n);
}

/* ---- the thread ---- */

static s64 host_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return timespec_ns(&ts);
}

/* ts->lock held on entry and return; free while the callback runs. */
static void expire(struct timers *ts, struct ktimer *t) NO_LOCK_ANALYSIS
{
	heap_remove(ts, t);
	t->running = true;
	ts->current = t;
	ts->busy = true;
	mutex_unlock(&ts->lock);
	t->expired(t);
	mutex_lock(&ts->lock);
	ts->busy = false;
	/* A callback that cancelled its own timer may have freed it. */
	if (ts->current)
		ts->current->running = false;
	ts->current = NULL;
	pthread_cond_broadcast(&ts->quiet);
}

static void *timer_thread(void *arg)
{
	struct timers *ts = arg;

	mutex_lock(&ts->lock);
	while (!ts->stop) {
		struct ktimer *first = ts->n && !ts->paused ? ts->heap[1] : NULL;
		struct timespec at;

		if (!first) {
			pthread_cond_wait(&ts->wake, &ts->lock.m);
		} else if (first->host_ns > host_now()) {
			at = ns_timespec(first->host_ns);
			pthread_cond_timedwait(&ts->wake, &ts->lock.m, &at);
		} else {
			expire(ts, first);
		}
	}
	mutex_unlock(&ts->lock);
	return NULL;
}

int timers_create(struct timers **ret)
{
	struct timers *ts = calloc(1, sizeof(*ts));
	pthread_condattr_t ca;
	pthread_attr_t ta;
	sigset_t all, old;
	int r;

	if (!ts)
		return -ENOMEM;
	mutex_init(&ts->lock, RANK_TIMER);
	pthread_condattr_init(&ca);
	pthread_condattr_setclock(&ca, CLOCK_MONOTONIC);
	pthread_cond_init(&ts->wake, &ca);
	pthread_cond_init(&ts->quiet, NULL);
	pthread_condattr_destroy(&ca);
	pthread_attr_init(&ta);
	pthread_attr_setstacksize(&ta, 256 * KIB);
	/* The process's signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&ts->thread, &ta, timer_thread, ts);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&ta);
	if (r != 0) {
		pthread_cond_destroy(&ts->wake);
		pthread_cond_destroy(&ts->quiet);
		free(ts);
		return -r;
	}
	*ret = ts;
	return 0;
}

void timers_destroy(struct timers *ts)
{
	if (!ts)
		return;
	mutex_lock(&ts->lock);
	ts->stop = true;
	pthread_cond_signal(&ts->wake);
	mutex_unlock(&ts->lock);
	pthread_join(ts->thread, NULL);
	pthread_cond_destroy(&ts->wake);
	pthread_cond_destroy(&ts->quiet);
	free(ts->heap);
	free(ts);
}

void timers_pause(struct timers *ts)
{
	if (!ts)
		return;
	GUARD(&ts->lock);
	ts->paused++;
	while (ts->busy)
		pthread_cond_wait(&ts->quiet, &ts->lock.m);
}

void timers_resume(struct timers *ts)
{
	if (!ts)
		return;
	GUARD(&ts->lock);
	BUG_ON(ts->paused == 0);
	if (--ts->paused == 0)
		pthread_cond_signal(&ts->wake);
}

/* ---- timers ---- */

void ktimer_init(struct ktimer *t, void (*expired)(struct ktimer *t))
{
	*t = (struct ktimer){.expired = expired};
}

void ktimer_arm(struct timers *ts, struct ktimer *t, const struct clocks *k, struct deadline d)
{
	s64 at = deadline_host_mono(k, d);

	GUARD(&ts->lock);
	t->timers = ts;
	heap_remove(ts, t);
	if (at == DEADLINE_NEVER)
		return;
	t->host_ns = at;
	heap_insert(ts, t);
	/* Only an earlier first deadline is news to a thread that sleeps until the old one. */
	if (t->heap_index == 1 && !ts->paused)
		pthread_cond_signal(&ts->wake);
}

void ktimer_cancel(struct ktimer *t)
{
	struct timers *ts = t->timers;

	if (!ts)
		return;
	GUARD(&ts->lock);
	heap_remove(ts, t);
	if (!t->running)
		return;
	if (pthread_equal(pthread_self(), ts->thread)) {
		t->running = false;
		ts->current = NULL;
		return;
	}
	while (t->running) {
		pthread_cond_wait(&ts->quiet, &ts->lock.m);
		/* The callback may have armed it again. */
		heap_remove(ts, t);
	}
}
