/* Timers: setitimer(2), alarm(2), timer_create(2) and its kin. */
#include "sentry/kernel/itimer.h"
#include "sentry/kernel/posix_timer.h"
#include "sentry/kernel/task_run.h"
#include "sentry/syscall/sysarg.h"

static bool timeval_valid(const struct timeval *tv)
{
	return tv->tv_sec >= 0 && tv->tv_usec >= 0 && tv->tv_usec < USEC_PER_SEC;
}

SYSCALL2(getitimer, int, which, uaddr_t, out)
{
	struct itimerval val;
	int r;

	task_account(t, false);
	r = itimer_get(t->tg->itimers, which, &val);
	return r < 0 ? r : user_put(&t->ctx, out, &val);
}

SYSCALL3(setitimer, int, which, uaddr_t, in, uaddr_t, out)
{
	struct itimerval val = {0}, old;
	int r;

	/* A missing value disarms: an old habit that Linux still honours. */
	if (!uaddr_null(in)) {
		r = user_get(&t->ctx, in, &val);
		if (r < 0)
			return r;
		if (!timeval_valid(&val.it_value) || !timeval_valid(&val.it_interval))
			return -EINVAL;
	}
	task_account(t, false);
	r = itimer_set(t->tg->itimers, which, &val, &old);
	if (r < 0 || uaddr_null(out))
		return r;
	return user_put(&t->ctx, out, &old);
}

SYSCALL1(alarm, u32, seconds)
{
	struct itimerval val = {.it_value.tv_sec = seconds}, old;
	int r = itimer_set(t->tg->itimers, ITIMER_REAL, &val, &old);

	if (r < 0)
		return r;
	/* Rounded to the nearest second, but never to "none was set". */
	if (old.it_value.tv_usec >= USEC_PER_SEC / 2 ||
	    (old.it_value.tv_usec && !old.it_value.tv_sec))
		old.it_value.tv_sec++;
	return old.it_value.tv_sec;
}

SYSCALL3(timer_create, int, clock, uaddr_t, usev, uaddr_t, out)
{
	struct sigevent sev;
	int id, r;

	if (!uaddr_null(usev)) {
		r = user_get(&t->ctx, usev, &sev);
		if (r < 0)
			return r;
	}
	r = posix_timer_create(t->tg->timers, t, clock, uaddr_null(usev) ? NULL : &sev, &id);
	if (r < 0)
		return r;
	r = user_put(&t->ctx, out, &id);
	if (r < 0 && posix_timer_delete(t->tg->timers, id) < 0)
		return -EFAULT;
	return r;
}

SYSCALL4(timer_settime, int, id, int, flags, uaddr_t, in, uaddr_t, out)
{
	struct itimerspec val, old;
	int r;

	if (uaddr_null(in))
		return -EINVAL;
	r = user_get(&t->ctx, in, &val);
	if (r < 0)
		return r;
	task_account(t, false);
	r = posix_timer_settime(t->tg->timers, id, flags, &val, &old);
	if (r < 0 || uaddr_null(out))
		return r;
	return user_put(&t->ctx, out, &old);
}

SYSCALL2(timer_gettime, int, id, uaddr_t, out)
{
	struct itimerspec val;
	int r;

	task_account(t, false);
	r = posix_timer_gettime(t->tg->timers, id, &val);
	return r < 0 ? r : user_put(&t->ctx, out, &val);
}

SYSCALL1(timer_getoverrun, int, id)
{
	return posix_timer_getoverrun(t->tg->timers, id);
}

SYSCALL1(timer_delete, int, id)
{
	return posix_timer_delete(t->tg->timers, id);
}
