#include "sentry/kernel/quiesce.h"
#include "sentry/kernel/pidns.h"
#include "sentry/kernel/task_run.h"

#include "state/base/log.h"

#include <linux/futex.h>
#include <pthread.h>
#include <string.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A pause asks again every 20 ms; every so many times also those who were asked before. */
#define ROUNDS_OF_KICKS 10

struct kernel_runtime {
	struct mutex lock;      /* RANK_KERNEL_STATE */
	pthread_cond_t changed; /* with lock: what a supervisor waits for may be true */
	pthread_cond_t go;      /* with lock: what parked threads wait for */
	unsigned threads;       /* host threads of tasks that have not ended */
	unsigned parked;
	_Atomic u32 at_rest; /* futex word: all have parked since a pause looked */
	unsigned pauses;
	_Atomic bool stopping; /* pauses > 0, readable without the lock */
	bool dying;
	bool autosave;
	bool poked;
	TAILQ_HEAD(, kernel_note) notes;
	/* The kernel, and each host thread: the last thread is still inside the unlock of lock when
	 * the supervisor already sees that all have ended. */
	_Atomic unsigned refs;
};

struct kernel_runtime *kernel_runtime_new(void)
{
	struct kernel_runtime *rt = calloc(1, sizeof(*rt));
	pthread_condattr_t attr;

	BUG_ON(!rt);
	mutex_init(&rt->lock, RANK_KERNEL_STATE);
	TAILQ_INIT(&rt->notes);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&rt->changed, &attr);
	pthread_cond_init(&rt->go, NULL);
	pthread_condattr_destroy(&attr);
	rt->refs = 1;
	return rt;
}

void kernel_runtime_free(struct kernel_runtime *rt)
{
	struct kernel_note *n;

	if (!rt || atomic_fetch_sub(&rt->refs, 1) != 1)
		return;
	while ((n = TAILQ_FIRST(&rt->notes))) {
		TAILQ_REMOVE(&rt->notes, n, link);
		free(n);
	}
	pthread_cond_destroy(&rt->changed);
	pthread_cond_destroy(&rt->go);
	free(rt);
}

/* pthread_cond_wait drops and retakes the ranked lock underneath; the rank stays noted. */
static void rt_wait(struct kernel_runtime *rt, pthread_cond_t *cond)
{
	lock_flush_wakes();
	pthread_cond_wait(cond, &rt->lock.m);
}

/* One more has parked or ended: supervisors are woken only for the last. */
static void tell_if_all_locked(struct kernel_runtime *rt)
{
	if (rt->parked < rt->threads)
		return;
	pthread_cond_broadcast(&rt->changed);
	if (!atomic_exchange(&rt->at_rest, 1))
		syscall(SYS_futex, &rt->at_rest, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void *task_thread(void *arg)
{
	struct task *t = arg;
	struct kernel_runtime *rt = t->kernel->rt;

	task_run_loop(t);
	ctx_set_vehicle(&t->ctx, NULL);
	context_release(t->context);
	t->context = NULL;
	obj_put(t);
	lock_assert_none();
	mutex_lock(&rt->lock);
	rt->threads--;
	tell_if_all_locked(rt);
	mutex_unlock(&rt->lock);
	kernel_runtime_free(rt);
	return NULL;
}

int runtime_start_task(struct task *t)
{
	struct kernel_runtime *rt = t->kernel->rt;
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 256 * KIB);
	mutex_lock(&rt->lock);
	rt->threads++;
	mutex_unlock(&rt->lock);
	atomic_fetch_add(&rt->refs, 1);
	t->has_thread = true;
	obj_get(t);
	r = pthread_create(&thread, &attr, task_thread, t);
	pthread_attr_destroy(&attr);
	if (r != 0) {
		t->has_thread = false;
		obj_put(t);
		mutex_lock(&rt->lock);
		rt->threads--;
		tell_if_all_locked(rt);
		mutex_unlock(&rt->lock);
		kernel_runtime_free(rt);
		return -EAGAIN;
	}
	return 0;
}

int kernel_start_all(struct kernel *k)
{
	struct kernel_runtime *rt = k->rt;
	int r = 0;

	/* Nobody runs before all are there: a task that clones meanwhile would have its child,
	 * which has a thread already, started a second time. */
	mutex_lock(&rt->lock);
	rt->pauses++;
	rt->stopping = true;
	mutex_unlock(&rt->lock);
	for (u32 tid = 1; tid < PID_MAX && r == 0; tid++) {
		struct task *t = k->pidns->slots[tid].task;

		if (t && t->exit_state == TASK_ALIVE)
			r = runtime_start_task(t);
	}
	return r;
}

bool runtime_park(struct task *t)
{
	struct kernel_runtime *rt = t->kernel->rt;
	bool live;

	if (likely(!atomic_load_explicit(&rt->stopping, memory_order_acquire)))
		return true;
	task_before_park(t);
	mutex_lock(&rt->lock);
	rt->parked++;
	tell_if_all_locked(rt);
	while (rt->stopping && !rt->dying)
		rt_wait(rt, &rt->go);
	rt->parked--;
	live = !rt->dying;
	if (live)
		atomic_fetch_and(&t->ctx.interrupt, ~(u32)INTERRUPT_STOP);
	mutex_unlock(&rt->lock);
	return live;
}

/* again: those that were asked are on their way, and a kick costs. */
static void interrupt_all(struct kernel *k, bool again)
{
	mutex_lock(&k->tasks_lock);
	for (u32 tid = 1, left = k->pidns->n_tasks; tid < PID_MAX && left > 0; tid++) {
		struct task *t = k->pidns->slots[tid].task;

		if (!t)
			continue;
		left--;
		if (t->exit_state != TASK_ALIVE ||
		    (again && (atomic_load(&t->ctx.interrupt) & INTERRUPT_STOP)))
			continue;
		ctx_interrupt(&t->ctx, INTERRUPT_STOP);
	}
	mutex_unlock(&k->tasks_lock);
	/* The caller may hold the lock of saves. */
	lock_flush_wakes();
}

static void log_culprits(struct kernel *k)
{
	mutex_lock(&k->tasks_lock);
	for (u32 tid = 1; tid < PID_MAX; tid++) {
		struct task *t = k->pidns->slots[tid].task;

		if (t && t->exit_state == TASK_ALIVE)
			log_warn("pause: task %u (%s) is in %s, system call %llu", tid, t->comm,
			         t->run ? t->run->name : "none", (unsigned long long)t->sysno);
	}
	mutex_unlock(&k->tasks_lock);
}

/* Without the lock while it sleeps: thousands queue for it to park. */
static bool all_parked(struct kernel *k, s64 wait_ns)
{
	struct kernel_runtime *rt = k->rt;
	struct timespec ts = ns_timespec(wait_ns);
	bool done;

	atomic_store(&rt->at_rest, 0);
	mutex_lock(&rt->lock);
	done = rt->parked >= rt->threads;
	mutex_unlock(&rt->lock);
	if (!done)
		syscall(SYS_futex, &rt->at_rest, FUTEX_WAIT_PRIVATE, 0, &ts, NULL, 0);
	mutex_lock(&rt->lock);
	done = rt->parked >= rt->threads;
	if (done && !k->clocks.stopped)
		k->clocks.stopped = clock_mono(&k->clocks);
	mutex_unlock(&rt->lock);
	return done;
}

static s64 host_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return timespec_ns(&ts);
}

int kernel_pause(struct kernel *k, s64 timeout_ns)
{
	struct kernel_runtime *rt = k->rt;
	s64 began = host_now();

	mutex_lock(&rt->lock);
	rt->pauses++;
	rt->stopping = true;
	mutex_unlock(&rt->lock);

	/* A task that is born while the flag is up parks by itself; one that was missed because it
	 * took its flag down just now is caught by asking again. */
	for (unsigned round = 0;; round++) {
		interrupt_all(k, round % ROUNDS_OF_KICKS != 0);
		if (all_parked(k, 20 * NSEC_PER_MSEC))
			return 0;
		if (timeout_ns >= 0 && host_now() - began >= timeout_ns) {
			log_culprits(k);
			kernel_resume(k);
			return -ETIMEDOUT;
		}
	}
}

void kernel_resume(struct kernel *k)
{
	struct kernel_runtime *rt = k->rt;

	mutex_lock(&rt->lock);
	BUG_ON(rt->pauses == 0);
	if (--rt->pauses == 0) {
		rt->stopping = false;
		k->clocks.stopped = 0;
		pthread_cond_broadcast(&rt->go);
		pthread_cond_broadcast(&rt->changed);
	}
	mutex_unlock(&rt->lock);
}

bool kernel_is_paused(struct kernel *k)
{
	return atomic_load(&k->rt->stopping);
}

void kernel_stop_threads(struct kernel *k)
{
	struct kernel_runtime *rt = k->rt;

	mutex_lock(&rt->lock);
	rt->dying = true;
	pthread_cond_broadcast(&rt->go);
	while (rt->threads > 0)
		rt_wait(rt, &rt->changed);
	mutex_unlock(&rt->lock);
}

enum kernel_event kernel_wait_event(struct kernel *k)
{
	struct kernel_runtime *rt = k->rt;
	enum kernel_event ev = KERNEL_EXITED;

	mutex_lock(&rt->lock);
	for (;;) {
		if (!TAILQ_EMPTY(&rt->notes)) {
			ev = KERNEL_NOTE;
			break;
		}
		if (rt->autosave) {
			rt->autosave = false;
			ev = KERNEL_AUTOSAVE;
			break;
		}
		if (rt->poked) {
			rt->poked = false;
			ev = KERNEL_POKED;
			break;
		}
		if (rt->threads == 0 && rt->pauses == 0) {
			ev = KERNEL_EXITED;
			break;
		}
		rt_wait(rt, &rt->changed);
	}
	mutex_unlock(&rt->lock);
	return ev;
}

void kernel_note(struct kernel *k, enum note_kind kind, u64 exec_id, int status)
{
	struct kernel_note *n = calloc(1, sizeof(*n));

	BUG_ON(!n);
	*n = (struct kernel_note){.kind = kind, .exec_id = exec_id, .status = status};
	GUARD(&k->rt->lock);
	TAILQ_INSERT_TAIL(&k->rt->notes, n, link);
	pthread_cond_broadcast(&k->rt->changed);
}

bool kernel_take_note(struct kernel *k, struct kernel_note *ret)
{
	struct kernel_note *n;

	GUARD(&k->rt->lock);
	n = TAILQ_FIRST(&k->rt->notes);
	if (!n)
		return false;
	TAILQ_REMOVE(&k->rt->notes, n, link);
	*ret = *n;
	free(n);
	return true;
}

void kernel_poke(struct kernel *k)
{
	mutex_lock(&k->rt->lock);
	k->rt->poked = true;
	pthread_cond_broadcast(&k->rt->changed);
	mutex_unlock(&k->rt->lock);
}

void kernel_request_autosave(struct kernel *k)
{
	struct kernel_runtime *rt = k->rt;

	mutex_lock(&rt->lock);
	rt->autosave = true;
	/* The requester must not run on before the save: the stop begins here. */
	if (!rt->stopping) {
		rt->stopping = true;
	}
	pthread_cond_broadcast(&rt->changed);
	mutex_unlock(&rt->lock);
}
