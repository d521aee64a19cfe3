/* Sleeping, waking, interrupting; deadlines; nothing is lost between two threads. */
#include "sentry/ctx/ctx.h"
#include "platform/platform.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static struct clocks clocks = {.mono_offset = 1000 * NSEC_PER_SEC};

__attribute__((weak)) void platform_runnable_add(int delta)
{
}
__attribute__((weak)) void context_kick(struct context *c)
{
}

static void ctx_new(struct ctx *c)
{
	memset(c, 0, sizeof(*c));
	c->clocks = &clocks;
}

struct flagged {
	struct waitq q;
	_Atomic u32 n;
	u32 want;
};

static bool is_there(void *arg)
{
	struct flagged *f = arg;

	return atomic_load(&f->n) >= f->want;
}

static void *add_one_by_one(void *arg)
{
	struct flagged *f = arg;

	for (int i = 0; i < 20000; i++) {
		atomic_fetch_add(&f->n, 1);
		waitq_wake(&f->q, ~0u);
	}
	return NULL;
}

Test(ctx, no_wakeup_is_lost)
{
	struct flagged f = {.want = 0};
	struct ctx c;
	pthread_t t;

	ctx_new(&c);
	waitq_init(&f.q);
	pthread_create(&t, NULL, add_one_by_one, &f);
	for (u32 i = 1; i <= 20000; i++) {
		f.want = i;
		cr_assert_eq(ctx_block(&c, &f.q, is_there, &f, NEVER), 0);
	}
	pthread_join(t, NULL);
	cr_assert_eq(f.q.count, 0);
}

Test(ctx, deadlines)
{
	struct flagged f = {.want = 1};
	struct ctx c;
	s64 t0, t1;

	ctx_new(&c);
	waitq_init(&f.q);
	t0 = clock_mono(&clocks);
	cr_assert_gt(t0, 1000 * NSEC_PER_SEC);
	cr_assert_eq(ctx_block(&c, &f.q, is_there, &f, ctx_deadline(&c, 5 * NSEC_PER_MSEC)),
	             -ETIMEDOUT);
	t1 = clock_mono(&clocks);
	cr_assert_geq(t1 - t0, 5 * NSEC_PER_MSEC);
	cr_assert_lt(t1 - t0, 500 * NSEC_PER_MSEC);
	cr_assert_geq(c.slept_ns, 4 * NSEC_PER_MSEC);
	t0 = clock_real(&clocks);
	cr_assert_eq(ctx_block(&c, &f.q, is_there, &f,
	                       (struct deadline){CLOCK_REALTIME, t0 + 5 * NSEC_PER_MSEC}),
	             -ETIMEDOUT);
	cr_assert_geq(clock_real(&clocks) - t0, 5 * NSEC_PER_MSEC);
	/* A repetition keeps the deadline of the first entry; a fresh call has its own. */
	c.restart.active = true;
	cr_assert_leq(ctx_deadline(&c, 3600 * NSEC_PER_SEC).ns, t1);
	memset(&c.restart, 0, sizeof(c.restart));
	cr_assert_gt(ctx_deadline(&c, 3600 * NSEC_PER_SEC).ns, t1);
	cr_assert_eq(ctx_deadline_abs(&c, NEVER).ns, DEADLINE_NEVER);
	memset(&c.restart, 0, sizeof(c.restart));
	cr_assert_eq(ctx_deadline(&c, -1).ns, DEADLINE_NEVER);
	cr_assert_eq(deadline_in(&clocks, INT64_MAX).ns, INT64_MAX);
}

static void *interrupt_later(void *arg)
{
	usleep(3000);
	ctx_interrupt(arg, INTERRUPT_SIGNAL);
	return NULL;
}

Test(ctx, interrupts)
{
	struct flagged f = {.want = 1};
	struct ctx c;
	pthread_t t;

	ctx_new(&c);
	waitq_init(&f.q);
	pthread_create(&t, NULL, interrupt_later, &c);
	cr_assert_eq(ctx_block(&c, &f.q, is_there, &f, NEVER), -ERESTARTSYS);
	pthread_join(t, NULL);
	/* The bit stays; what is ready all the same counts. */
	cr_assert_eq(ctx_block(&c, &f.q, is_there, &f, NEVER), -ERESTARTSYS);
	f.n = 1;
	cr_assert_eq(ctx_block(&c, &f.q, is_there, &f, NEVER), 0);
	c.deaf_to = INTERRUPT_SIGNAL;
	f.n = 0;
	cr_assert_eq(ctx_block(&c, &f.q, is_there, &f, deadline_in(&clocks, 1000)), -ETIMEDOUT);
	c.deaf_to = 0;
	cr_assert_eq(ctx_partial(&c, 5), 5);
	cr_assert_eq(ctx_partial(&c, 0), -ERESTARTSYS);
	c.interrupt = INTERRUPT_STOP;
	cr_assert_eq(ctx_partial(&c, 5), -ERESTARTSYS);
	cr_assert_eq(ctx_done(&c), 0);
	c.restart.active = true;
	cr_assert_eq(ctx_done(&c), 5);
}

static u32 wakes;

static bool count_wake(struct waiter *w, u32 events)
{
	wakes++;
	return !(events & EPOLLERR);
}

Test(ctx, exclusive_waiters)
{
	struct waiter w[4] = {{.wake = count_wake},
	                      {.wake = count_wake, .exclusive = true},
	                      {.wake = count_wake, .exclusive = true},
	                      {.wake = count_wake}};
	struct waitq q;

	waitq_init(&q);
	for (int i = 0; i < 4; i++)
		waitq_add(&q, &w[i]);
	waitq_wake_n(&q, EPOLLIN, 1);
	cr_assert_eq(wakes, 3);
	waitq_wake(&q, EPOLLHUP);
	cr_assert_eq(wakes, 7);
	waitq_wake(&q, EPOLLIN);
	cr_assert_eq(wakes, 10);
	/* None of them has use of it: all are asked. */
	waitq_wake(&q, EPOLLERR);
	cr_assert_eq(wakes, 14);
	for (int i = 0; i < 4; i++)
		waitq_remove(&w[i]);
	waitq_remove(&w[0]);
	waitq_wake(&q, ~0u);
	cr_assert_eq(wakes, 14);
}
