/*
 * Whose turn it is. Both sides first look for a while and then sleep in a futex; the side that
 * hands over wakes the other only if it said that it sleeps. Looking costs a core, so it is done
 * only while there are cores to spare, and when the other side was last seen on another core.
 *
 * The guest can write the state at any time, and wake our futex. What it can't get is a sentry
 * thread that waits for ever, or that runs all the time: values that nobody writes end the stub, a
 * wait that is disturbed too often becomes a series of short sleeps, and all sleeps are short
 * enough to notice a stub's death and a kick that the guest does not obey.
 */
#include "platform/placement.h"
#include "platform/runnable.h"
#include "platform/systrap/systrap.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

/* Waking a core costs up to 50 us: longer waits than that are not worth looking. */
#define SPIN_US 60
/* When the last waits were long, in case this one is not. */
#define SPIN_SHORT_US 8
/* The guest's side: most calls are short. */
#define STUB_SPIN_US 30
#define TICK_MS      100
/* After DISTURBED wakes without a turn. */
#define DISTURBED 16
#define REST_MS   1
/* How long a guest that was kicked may take to come back. */
#define KICK_LIMIT_MS 5000

static long futex(u32 *word, int op, u32 val, const struct timespec *timeout)
{
	return syscall(SYS_futex, word, op, val, timeout, NULL, 0);
}

static s64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

void st_calibrate(struct st_platform *p)
{
	const u32 n = 1000;

	p->tsc_per_us = ~0u;
	p->looks_per_us = 1;
	/* Somebody else may take the core in between: the best of some. */
	for (int i = 0; i < 5; i++) {
		s64 ns = now_ns();
		u64 tsc = __rdtsc();

		for (u32 k = 0; k < n; k++)
			_mm_pause();
		tsc = __rdtsc() - tsc;
		ns = MAX(now_ns() - ns, (s64)1);
		p->looks_per_us = MAX(p->looks_per_us, (u32)((s64)n * 1000 / ns));
		p->tsc_per_us = MIN(p->tsc_per_us, (u32)(tsc * 1000 / (u64)ns) + 1);
	}
}

bool st_stub_ended(const struct stub *s)
{
	struct pollfd pfd = {.fd = s->listener, .events = 0};

	/* It hangs up when the last thread is gone. */
	return poll(&pfd, 1, 0) == 1 && (pfd.revents & (POLLHUP | POLLERR | POLLNVAL));
}

/* Older hosts only say so after the process was reaped, so ask for the thread too. */
static bool has_ended(struct st_vehicle *v)
{
	return st_stub_ended(&v->as->stub) ||
	       (syscall(SYS_tgkill, v->pid, v->tid, 0) < 0 && errno == ESRCH);
}

static bool may_spin(const struct st_platform *p, const struct slot *slot)
{
	return 2 * platform_runnable() <= (int)p->ncpu && READ_ONCE(slot->cpu) != current_cpu();
}

bool st_is_ours(const struct slot *slot)
{
	return (__atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) & ~(TURN_SLEEPS | TURN_REST)) ==
	       TURN_SENTRY;
}

static bool spin(struct st_platform *p, const struct slot *slot, u64 start, u32 us)
{
	const u64 limit = (u64)us * p->tsc_per_us;

	do {
		for (int i = 0; i < 8; i++) {
			if (st_is_ours(slot))
				return true;
			_mm_pause();
		}
	} while (__rdtsc() - start < limit);
	return false;
}

static void rest(void)
{
	const struct timespec ts = {.tv_nsec = REST_MS * NSEC_PER_MSEC};
	u32 nobody = 0;

	futex(&nobody, FUTEX_WAIT_PRIVATE, 0, &ts);
}

/* Something may be wrong: ms more have gone by. */
static int look_after(struct st_context *c, struct st_vehicle *v, u32 ms, u32 *kicked_ms)
{
	if (has_ended(v))
		return -ESRCH;
	if (!c || !atomic_load(&c->kicked))
		return 0;
	*kicked_ms += ms;
	if (*kicked_ms > KICK_LIMIT_MS)
		return -ESRCH;
	syscall(SYS_tgkill, v->pid, v->tid, SYSTRAP_KICK);
	return 0;
}

static int sleep_for_turn(struct st_context *c, struct st_vehicle *v)
{
	/* At first not so long that a thread which computes could be kept on a core with others. */
	u32 ms = c && v->placed != PLACEMENT_FREE ? PLACEMENT_LONG_MS : TICK_MS;
	u32 *state = &v->slot->state;
	u32 now, disturbed = 0, kicked_ms = 0;
	struct timespec tick;
	int r = 0;

	while (r == 0) {
		now = TURN_GUEST;
		/* Whatever else it is: now says it. */
		if (__atomic_compare_exchange_n(state, &now, TURN_GUEST | TURN_SLEEPS, false,
		                                __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			now = TURN_GUEST | TURN_SLEEPS;
		if ((now & ~TURN_SLEEPS) == TURN_SENTRY)
			return 0;
		if (now != (TURN_GUEST | TURN_SLEEPS))
			return -ESRCH;
		tick = (struct timespec){.tv_nsec = ms * NSEC_PER_MSEC};
		if (futex(state, FUTEX_WAIT, now, &tick) < 0 && errno == ETIMEDOUT) {
			disturbed = 0;
			r = look_after(c, v, ms, &kicked_ms);
			if (ms == PLACEMENT_LONG_MS) {
				placement_computes();
				placement_apply(PLACEMENT_FREE, v->tid, &v->placed);
				ms = TICK_MS;
			}
		} else if (++disturbed > DISTURBED && !st_is_ours(v->slot)) {
			rest();
			r = look_after(c, v, REST_MS, &kicked_ms);
		}
	}
	return r;
}

int st_await(struct st_platform *p, struct st_context *c, struct st_vehicle *v)
{
	const u64 start = __rdtsc();
	const u64 limit = (u64)SPIN_US * p->tsc_per_us;
	u64 took;
	int r;

	if (c && may_spin(p, v->slot) &&
	    spin(p, v->slot, start, c->wait_avg > limit ? SPIN_SHORT_US : SPIN_US)) {
		r = 0;
	} else {
		r = sleep_for_turn(c, v);
		if (r < 0)
			kill(v->pid, SIGKILL);
	}
	if (c) {
		/* One long wait is forgotten after a few short ones. */
		took = MIN(__rdtsc() - start, 2 * limit);
		c->wait_avg += (s64)(took - c->wait_avg) / 4;
	}
	return r;
}

void st_give(struct st_platform *p, struct st_vehicle *v)
{
	struct slot *slot = v->slot;
	u32 looks = may_spin(p, slot) ? STUB_SPIN_US * p->looks_per_us : 0;

	if (v->spin != looks) {
		v->spin = looks;
		WRITE_ONCE(slot->spin, looks);
	}
	if (__atomic_exchange_n(&slot->state, TURN_GUEST, __ATOMIC_ACQ_REL) & TURN_SLEEPS)
		futex(&slot->state, FUTEX_WAKE, 1, NULL);
}

void st_let_rest(struct st_vehicle *v)
{
	u32 now = TURN_SENTRY;

	/* If it is anything else, the thread sleeps already. */
	(void)__atomic_compare_exchange_n(&v->slot->state, &now, TURN_SENTRY | TURN_REST, false,
	                                  __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

void st_give_and_wake(struct st_vehicle *v)
{
	__atomic_store_n(&v->slot->state, TURN_GUEST, __ATOMIC_RELEASE);
	futex(&v->slot->state, FUTEX_WAKE, 1, NULL);
}

bool st_await_ms(struct st_vehicle *v, u32 ms)
{
	const struct timespec ts = {.tv_nsec = NSEC_PER_MSEC};
	u32 *state = &v->slot->state;
	u32 now;

	for (u32 i = 0; i < ms; i++) {
		now = TURN_GUEST;
		if (__atomic_compare_exchange_n(state, &now, TURN_GUEST | TURN_SLEEPS, false,
		                                __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			now = TURN_GUEST | TURN_SLEEPS;
		if (now != (TURN_GUEST | TURN_SLEEPS))
			break;
		futex(state, FUTEX_WAIT, now, &ts);
	}
	return st_is_ours(v->slot);
}
