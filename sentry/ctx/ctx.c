#include "sentry/ctx/ctx.h"
#include "platform/platform.h"
#include "state/base/later.h"
#include "state/base/lock.h"

#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

static __thread struct ctx *current;

struct ctx *ctx_current(void)
{
	return current;
}

void ctx_bind(struct ctx *c)
{
	current = c;
}

void ctx_wake(struct ctx *c)
{
	/* A word that is 1 already has nobody asleep on it: whoever set it has woken the sleeper.
	 */
	if (atomic_exchange(&c->wake, 1) == 0)
		lock_futex_wake(&c->wake);
}

void ctx_set_vehicle(struct ctx *c, struct context *vehicle)
{
	/* Ordered before the owner's next look at interrupt: an interrupter that still finds the
	 * old vehicle has set its bits already. */
	atomic_store(&c->vehicle, vehicle);
	/* One that found the old one counted itself before: wait until it is done with it. */
	while (atomic_load(&c->kickers) != 0)
		sched_yield();
}

void ctx_interrupt(struct ctx *c, u32 bits)
{
	struct context *vehicle;

	atomic_fetch_or(&c->interrupt, bits);
	ctx_wake(c);
	atomic_fetch_add(&c->kickers, 1);
	vehicle = atomic_load(&c->vehicle);
	if (vehicle)
		context_kick(vehicle);
	atomic_fetch_sub(&c->kickers, 1);
}

static bool ctx_waiter_wake(struct waiter *w, u32 events)
{
	ctx_wake(container_of(w, struct ctx_waiter, w)->c);
	return true;
}

void ctx_waiter_init(struct ctx_waiter *cw, struct ctx *c)
{
	*cw = (struct ctx_waiter){.w.wake = ctx_waiter_wake, .c = c};
}

void ctx_prepare(struct ctx *c)
{
	atomic_store(&c->wake, 0);
}

/* Sleeps while the wake word is 0; the deadline is on the host's clock of its kind. */
static int futex_sleep(struct ctx *c, struct deadline d)
{
	int op = FUTEX_WAIT_BITSET_PRIVATE;
	struct timespec ts, *pts = NULL;

	if (d.ns != DEADLINE_NEVER) {
		/* A realtime deadline moves when the host's clock is set, so the host counts it. */
		if (d.clock == CLOCK_REALTIME)
			op |= FUTEX_CLOCK_REALTIME;
		else
			d.ns = deadline_host_mono(c->clocks, d);
		ts = ns_timespec(MAX(d.ns, (s64)0));
		pts = &ts;
	}
	if (syscall(SYS_futex, &c->wake, op, 0, pts, NULL, FUTEX_BITSET_MATCH_ANY) < 0 &&
	    errno == ETIMEDOUT)
		return -ETIMEDOUT;
	return 0;
}

int ctx_sleep(struct ctx *c, struct deadline d)
{
	struct timespec before, after;
	struct context *vehicle = atomic_load_explicit(&c->vehicle, memory_order_relaxed);
	int r;

	if (ctx_interrupted(c))
		return -ERESTARTSYS;
	if (atomic_load(&c->wake) != 0)
		return 0;
	lock_assert_none();
	later_run();
	clock_gettime(CLOCK_MONOTONIC, &before);
	WRITE_ONCE(c->sleeping, true);
	platform_runnable_add(-1);
	if (vehicle)
		context_rest(vehicle);
	r = futex_sleep(c, d);
	platform_runnable_add(1);
	WRITE_ONCE(c->sleeping, false);
	clock_gettime(CLOCK_MONOTONIC, &after);
	c->sleeps++;
	c->slept_ns += (u64)(timespec_ns(&after) - timespec_ns(&before));
	if (ctx_interrupted(c))
		return -ERESTARTSYS;
	return r;
}

int ctx_block(struct ctx *c, struct waitq *q, bool (*ready)(void *arg), void *arg,
              struct deadline d)
{
	struct ctx_waiter cw;
	int r;

	if (ready(arg))
		return 0;
	ctx_waiter_init(&cw, c);
	waitq_add(q, &cw.w);
	do {
		ctx_prepare(c);
		if (ready(arg)) {
			r = 0;
			break;
		}
		r = ctx_sleep(c, d);
		/* What became true together with the interrupt or the deadline counts. */
		if (r < 0 && ready(arg)) {
			r = 0;
			break;
		}
	} while (r == 0);
	waitq_remove(&cw.w);
	return r;
}

struct deadline ctx_deadline_abs(struct ctx *c, struct deadline d)
{
	if (!c->restart.active || !c->restart.has_deadline) {
		c->restart.deadline = d;
		c->restart.has_deadline = true;
	}
	return c->restart.deadline;
}

struct deadline ctx_deadline(struct ctx *c, s64 rel_ns)
{
	if (c->restart.active && c->restart.has_deadline)
		return c->restart.deadline;
	return ctx_deadline_abs(c, deadline_in(c->clocks, rel_ns));
}

long ctx_partial_as(struct ctx *c, u64 done, u64 result)
{
	u32 bits = atomic_load(&c->interrupt);

	if (bits & (INTERRUPT_SIGNAL | INTERRUPT_KILL) && result > 0)
		return (long)result;
	c->restart.done = done;
	c->restart.result = result;
	return -ERESTARTSYS;
}

long ctx_partial(struct ctx *c, u64 done)
{
	return ctx_partial_as(c, done, done);
}
