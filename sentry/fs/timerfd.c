#include "sentry/fs/timerfd.h"

#include "proto/events.pb-c.h"
#include "sentry/vfs/inode.h"
#include "sentry/auth/creds.h"
#include "sentry/kernel/kernel.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

#include <linux/capability.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>

#define IOC_SET_TICKS _IOW('T', 0, u64)
/* A realtime clock that moved by more than this against the monotonic one was set. */
#define CLOCK_SET_NS NSEC_PER_SEC

static s64 add_sat(s64 a, s64 b)
{
	s64 r;

	return __builtin_add_overflow(a, b, &r) ? INT64_MAX : r;
}

static s64 now_of(const struct timerfd *t)
{
	return clock_now(&t->kernel->clocks, t->counts_on);
}

static s64 real_offset(const struct timerfd *t)
{
	return clock_real(&t->kernel->clocks) - clock_mono(&t->kernel->clocks);
}

static void arm_locked(struct timerfd *t)
{
	struct deadline d = {t->counts_on, t->deadline};
	struct machine *m = t->kernel ? t->kernel->machine : NULL;

	if (!m || !m->timers)
		return;
	ktimer_arm(m->timers, &t->kt, &t->kernel->clocks, t->deadline && !t->expired ? d : NEVER);
}

/* Whoever asks sees an expiry that the timer thread has yet to announce. */
static void look_locked(struct timerfd *t)
{
	/* Nothing expires while everything stands still; a load looks at us too. */
	if (t->kernel->clocks.stopped)
		return;
	if (t->deadline && !t->expired && now_of(t) >= t->deadline) {
		t->expired = true;
		t->ticks++;
	}
}

static void timerfd_expired(struct ktimer *kt)
{
	struct timerfd *t = container_of(kt, struct timerfd, kt);
	bool due;

	mutex_lock(&t->lock);
	look_locked(t);
	/* It was set again meanwhile, or the host's clock was. */
	if (t->deadline && !t->expired)
		arm_locked(t);
	due = t->ticks > 0;
	mutex_unlock(&t->lock);
	if (due)
		waitq_wake(&t->wait, READY_IN);
}

/* An expired periodic timer runs on from the period that runs now. */
static void rearm_locked(struct timerfd *t)
{
	s64 n;

	look_locked(t);
	if (!t->expired || !t->interval)
		return;
	t->expired = false;
	n = (now_of(t) - t->deadline) / t->interval;
	n = MAX(n, (s64)0);
	/* The expiry itself was counted already. */
	t->ticks += (u64)n;
	t->deadline = add_sat(t->deadline, add_sat(n * t->interval, t->interval));
	arm_locked(t);
}

static long try_read(struct file *f, struct ctx *c, void *arg)
{
	struct timerfd *t = (struct timerfd *)f;
	u64 *ret = arg;

	GUARD(&t->lock);
	if (t->canceled) {
		t->canceled = false;
		t->real_offset = real_offset(t);
		return -ECANCELED;
	}
	look_locked(t);
	if (!t->ticks)
		return -EAGAIN;
	rearm_locked(t);
	t->expired = false;
	if (!t->interval)
		t->deadline = 0;
	*ret = t->ticks;
	t->ticks = 0;
	return sizeof(u64);
}

static long tfd_read(struct file *f, struct ctx *c, struct uiter *dst, s64 *pos)
{
	struct timerfd *t = (struct timerfd *)f;
	u64 ticks;
	long r;

	if (uiter_count(dst) < sizeof(ticks))
		return -EINVAL;
	r = file_block(f, c, &t->wait, READY_IN, try_read, &ticks);
	if (r < 0)
		return r;
	r = uiter_copy_out(dst, &ticks, sizeof(ticks));
	return r == sizeof(ticks) ? r : -EFAULT;
}

static u32 timerfd_poll(struct file *f, struct poll_table *pt)
{
	struct timerfd *t = (struct timerfd *)f;

	poll_add(pt, &t->wait);
	GUARD(&t->lock);
	look_locked(t);
	return t->ticks || t->canceled ? READY_IN : 0;
}

static long timerfd_ioctl(struct file *f, struct ctx *c, u32 cmd, u64 arg)
{
	struct timerfd *t = (struct timerfd *)f;
	u64 ticks;
	int r;

	if (cmd != IOC_SET_TICKS)
		return -ENOTTY;
	r = user_get(c, UADDR(arg), &ticks);
	if (r < 0)
		return r;
	if (!ticks)
		return -EINVAL;
	mutex_lock(&t->lock);
	if (t->canceled)
		r = -ECANCELED;
	else
		t->ticks = ticks;
	mutex_unlock(&t->lock);
	if (r == 0)
		waitq_wake(&t->wait, READY_IN);
	return r;
}

static void left_locked(struct timerfd *t, struct itimerspec *ret)
{
	s64 left = t->deadline && !t->expired ? t->deadline - now_of(t) : 0;

	ret->it_interval = ns_timespec(t->interval);
	ret->it_value = ns_timespec(MAX(left, (s64)0));
}

static void timerfd_fdinfo(struct file *f, char *buf, size_t size)
{
	struct timerfd *t = (struct timerfd *)f;
	struct itimerspec left;

	GUARD(&t->lock);
	left_locked(t, &left);
	snprintf(buf, size,
	         "clockid: %d\nticks: %llu\nsettime flags: 0%o\nit_value: (%llu, %llu)\n"
	         "it_interval: (%llu, %llu)\n",
	         t->clock, (unsigned long long)t->ticks, t->set_flags,
	         (unsigned long long)left.it_value.tv_sec,
	         (unsigned long long)left.it_value.tv_nsec,
	         (unsigned long long)left.it_interval.tv_sec,
	         (unsigned long long)left.it_interval.tv_nsec);
}

static void timerfd_link_name(struct file *f, char *buf, size_t size)
{
	snprintf(buf, size, "anon_inode:[timerfd]");
}

static const struct file_ops timerfd_ops = {
	.id = {.describe = file_describe},
	.read = tfd_read,
	.llseek = file_llseek_nowhere,
	.poll = timerfd_poll,
	.ioctl = timerfd_ioctl,
	.fdinfo = timerfd_fdinfo,
	.link_name = timerfd_link_name,
};

int timerfd_create_file(struct ctx *c, int clock, int flags, struct file **ret)
{
	AUTO(inode) inode = NULL;
	struct timerfd *t;

	switch (clock) {
	case CLOCK_REALTIME_ALARM:
	case CLOCK_BOOTTIME_ALARM:
		if (!creds_capable(c->creds, CAP_WAKE_ALARM))
			return -EPERM;
		break;
	case CLOCK_REALTIME:
	case CLOCK_MONOTONIC:
	case CLOCK_BOOTTIME:
		break;
	default:
		return -EINVAL;
	}
	t = obj_new(timerfd);
	inode = anon_inode_new(c->kernel, 0600);
	file_setup(&t->file, O_RDWR | (flags & TFD_NONBLOCK), NULL, inode);
	t->kernel = c->kernel;
	t->clock = clock;
	t->counts_on = CLOCK_MONOTONIC;
	t->real_offset = real_offset(t);
	*ret = &t->file;
	return 0;
}

static bool on_realtime(const struct timerfd *t)
{
	return t->clock == CLOCK_REALTIME || t->clock == CLOCK_REALTIME_ALARM;
}

int timerfd_set_time(struct file *f, int flags, const struct itimerspec *val,
                     struct itimerspec *ret_old)
{
	struct timerfd *t = obj_cast(timerfd, f);
	s64 value = timespec_ns(&val->it_value);
	int r = 0;

	if ((flags & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET)) ||
	    !timespec_valid(&val->it_value) || !timespec_valid(&val->it_interval))
		return -EINVAL;
	if (!t)
		return -EINVAL;
	GUARD(&t->lock);
	rearm_locked(t);
	left_locked(t, ret_old);
	t->set_flags = (u32)flags;
	t->expired = false;
	t->ticks = 0;
	t->interval = timespec_ns(&val->it_interval);
	t->deadline = 0;
	/* Setting the host's clock doesn't move a relative timer. */
	t->counts_on =
		on_realtime(t) && (flags & TFD_TIMER_ABSTIME) ? CLOCK_REALTIME : CLOCK_MONOTONIC;
	if (value)
		t->deadline = flags & TFD_TIMER_ABSTIME ? value : add_sat(now_of(t), value);
	t->may_cancel = t->counts_on == CLOCK_REALTIME && (flags & TFD_TIMER_CANCEL_ON_SET);
	if (t->canceled && t->may_cancel)
		r = -ECANCELED;
	t->canceled = false;
	t->real_offset = real_offset(t);
	arm_locked(t);
	return r;
}

int timerfd_get_time(struct file *f, struct itimerspec *ret)
{
	struct timerfd *t = obj_cast(timerfd, f);

	if (!t)
		return -EINVAL;
	GUARD(&t->lock);
	rearm_locked(t);
	left_locked(t, ret);
	return 0;
}

static void timerfd_init(void *o)
{
	struct timerfd *t = o;

	mutex_init(&t->lock, RANK_FILE);
	waitq_init(&t->wait);
	ktimer_init(&t->kt, timerfd_expired);
	t->counts_on = CLOCK_MONOTONIC;
}

static void timerfd_destroy(void *o)
{
	ktimer_cancel(&((struct timerfd *)o)->kt);
}

static int timerfd_after_load(struct loader *l, void *o)
{
	struct timerfd *t = o;
	s64 moved;

	if ((t->counts_on != CLOCK_MONOTONIC && t->counts_on != CLOCK_REALTIME) ||
	    t->deadline < 0 || t->interval < 0)
		return loader_error(l, "timerfd: a time that is none");
	if (!t->kernel)
		return loader_error(l, "timerfd without a kernel");
	/* For the guest the clock was set if the new host's differs. */
	moved = real_offset(t) - t->real_offset;
	if (t->may_cancel && (moved > CLOCK_SET_NS || moved < -CLOCK_SET_NS))
		t->canceled = true;
	GUARD(&t->lock);
	arm_locked(t);
	return 0;
}

static void timerfd_sample(struct sampler *sp, void *o)
{
	struct timerfd *t = o;

	t->counts_on = CLOCK_MONOTONIC;
	t->deadline &= INT32_MAX;
	t->interval &= INT32_MAX;
}

#define TIMERFD_FIELDS(F)             \
	F(BASE, file, file)           \
	F(SKIP, lock)                 \
	F(SKIP, wait)                 \
	F(WEAK, kernel, kernel)       \
	F(SKIP, kt) /* armed again */ \
	F(VAL, clock)                 \
	F(VAL, counts_on)             \
	F(VAL, deadline)              \
	F(VAL, interval)              \
	F(VAL, expired)               \
	F(VAL, ticks)                 \
	F(VAL, set_flags)             \
	F(VAL, may_cancel)            \
	F(VAL, canceled)              \
	F(VAL, real_offset)
OBJECT_TYPE(timerfd, Sentry__Timerfd, sentry__timerfd__descriptor, TIMERFD_FIELDS,
            .base = &file_type, .ops = &timerfd_ops, .init = timerfd_init,
            .destroy = timerfd_destroy, .after_load = timerfd_after_load, .sample = timerfd_sample);
