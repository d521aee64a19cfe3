#pragma once
/*
 * timerfd_create(2): a timer whose expirations are read.
 *
 * As in Linux a periodic timer is armed again when it is read, so no period, however short, keeps
 * the timer thread busy; the periods that passed meanwhile are counted then.
 *
 * Locking: lock (RANK_FILE), also in the timer thread. Lifetime: an open file; its ktimer is
 * cancelled before it goes. Saved: all of it. A timer on the monotonic clock keeps what is left of
 * it, one on the realtime clock expires by the new host's.
 */
#include "sentry/time/timer.h"
#include "sentry/vfs/file.h"

struct timerfd {
	struct file file;
	struct mutex lock;     /* RANK_FILE */
	struct waitq wait;     /* it expired */
	struct kernel *kernel; /* immutable, weak: whose clocks it counts on */
	struct ktimer kt;
	s32 clock;     /* immutable: as it was created */
	s32 counts_on; /* CLOCK_MONOTONIC or CLOCK_REALTIME */
	s64 deadline;  /* ns on that clock; 0: not armed */
	s64 interval;
	bool expired; /* and not armed since */
	u64 ticks;
	u32 set_flags;
	bool may_cancel; /* TFD_TIMER_CANCEL_ON_SET holds */
	bool canceled;   /* the realtime clock was set: the next read says so */
	s64 real_offset; /* realtime - monotonic when it was set */
};
OBJECT_DECL(timerfd);

/* flags: TFD_NONBLOCK was checked by the caller. -EINVAL (no clock for timers), -EPERM (alarm
 * clocks). */
MUST_CHECK int timerfd_create_file(struct ctx *c, int clock, int flags, struct file **ret);
/* timerfd_settime(2), timerfd_gettime(2). -EINVAL: f is no timerfd, times that are none;
 * -ECANCELED.
 */
MUST_CHECK int timerfd_set_time(struct file *f, int flags, const struct itimerspec *val,
                                struct itimerspec *ret_old);
MUST_CHECK int timerfd_get_time(struct file *f, struct itimerspec *ret);
