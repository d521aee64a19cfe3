/*
 * Whose turn it is. Both sides first look for a while and then sleep in a futex; the side that
 * hands over wakes the other only if it said that it sleeps. Looking costs a core, so it is done
 * only while there are cores to spare.
 */
#include "platform/runnable.h"
#include "platform/systrap/systrap.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

/* Looks before sleeping; one is about 20 ns here (pause). */
#define SPIN_MAX 3000u
#define SPIN_MIN 50u
/* How long a guest that was kicked may take to come back. */
#define KICK_LIMIT_NS (2 * NSEC_PER_SEC)
#define TICK_NS       (100 * NSEC_PER_MSEC)

static long futex(u32 *word, int op, u32 val, const struct timespec *timeout)
{
	return syscall(SYS_futex, word, op, val, timeout, NULL, 0);
}

static bool cores_to_spare(const struct st_platform *p)
{
	return 2 * platform_runnable() <= (int)p->ncpu;
}

static bool stub_ended(struct st_vehicle *v)
{
	struct pollfd pfd = {.fd = v->as->stub.listener, .events = 0};

	/* The listener hangs up when the last thread is gone; older hosts only say so after the
	 * process was reaped, so ask for the thread too. */
	if (poll(&pfd, 1, 0) == 1 && (pfd.revents & (POLLHUP | POLLERR | POLLNVAL)))
		return true;
	return syscall(SYS_tgkill, v->pid, v->tid, 0) < 0 && errno == ESRCH;
}

static s64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

int st_await(struct st_platform *p, struct st_context *c, struct st_vehicle *v)
{
	struct slot *slot = v->slot;
	u32 spin = c && cores_to_spare(p) ? c->spin : 0;
	const struct timespec tick = {.tv_nsec = TICK_NS};
	s64 kicked_at = 0;

	for (u32 i = 0; i < spin; i++) {
		if (__atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) == TURN_SENTRY) {
			/* It paid: next time a little longer, up to the limit. */
			c->spin = MIN(c->spin + c->spin / 8 + 1, SPIN_MAX);
			return 0;
		}
		_mm_pause();
	}
	if (spin)
		c->spin = MAX(c->spin - c->spin / 8, SPIN_MIN);
	for (;;) {
		__atomic_store_n(&slot->sentry_sleeps, 1, __ATOMIC_SEQ_CST);
		if (__atomic_load_n(&slot->state, __ATOMIC_SEQ_CST) == TURN_SENTRY)
			break;
		if (futex(&slot->state, FUTEX_WAIT, TURN_GUEST, &tick) == 0 || errno != ETIMEDOUT) {
			if (__atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) == TURN_SENTRY)
				break;
			/* The guest can write any word here: don't let it make us busy. */
			if (errno != EINTR)
				sched_yield();
		}
		if (stub_ended(v))
			return -ESRCH;
		if (c && atomic_load(&c->kicked)) {
			if (!kicked_at)
				kicked_at = now_ns();
			else if (now_ns() - kicked_at > KICK_LIMIT_NS) {
				kill(v->pid, SIGKILL);
				return -ESRCH;
			} else {
				syscall(SYS_tgkill, v->pid, v->tid, SYSTRAP_KICK);
			}
		}
	}
	__atomic_store_n(&slot->sentry_sleeps, 0, __ATOMIC_RELAXED);
	return 0;
}

int st_run(struct st_platform *p, struct st_context *c, struct st_vehicle *v)
{
	struct slot *slot = v->slot;

	WRITE_ONCE(slot->spin, cores_to_spare(p) ? SPIN_MAX : 0);
	__atomic_store_n(&slot->sentry_sleeps, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&slot->state, TURN_GUEST, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&slot->stub_sleeps, __ATOMIC_SEQ_CST))
		futex(&slot->state, FUTEX_WAKE, 1, NULL);
	return st_await(p, c, v);
}
