/* POSIX timers in images. */
#include "sentry/auth/user_count.h"
#include "sentry/kernel/posix_timer_impl.h"

#include "proto/time.pb-c.h"
#include "state/fields.h"

#include <signal.h>

static int posix_timers_save_list(struct saver *s, const struct posix_timers *o,
                                  Sentry__PosixTimers *m)
{
	struct ptimer *pt;

	m->list = saver_alloc(s, (size_t)o->count * sizeof(*m->list));
	TAILQ_FOREACH (pt, &o->list, link) {
		Sentry__PosixTimer *e = saver_msg(s, Sentry__PosixTimer, sentry__posix_timer__init);

		e->id = pt->id;
		e->uid = pt->uid;
		e->clock = pt->clock;
		e->notify = pt->notify;
		e->signo = pt->signo;
		e->value = pt->value;
		e->tid = pt->tid;
		e->counts_on = pt->base;
		e->deadline = pt->deadline;
		e->interval = pt->interval;
		e->fired = pt->fired;
		e->overrun = pt->overrun;
		e->overrun_last = pt->overrun_last;
		e->cpu_id = pt->cpu.id;
		e->cpu_thread = pt->cpu.thread;
		e->cpu_user_only = pt->cpu.user_only;
		m->list[m->n_list++] = e;
	}
	return 0;
}

static int posix_timers_load_list(struct loader *l, struct posix_timers *o,
                                  const Sentry__PosixTimers *m)
{
	if (m->n_list > TIMERS_MAX)
		return loader_range(l, "list");
	for (size_t i = 0; i < m->n_list; i++) {
		const Sentry__PosixTimer *e = m->list[i];
		struct ptimer *last = TAILQ_LAST(&o->list, ptimer_list), *pt;

		if (e->id > INT32_MAX || (last && e->id <= last->id))
			return loader_error(l, "timer ids are not in order");
		if ((e->counts_on != CLOCK_MONOTONIC && e->counts_on != CLOCK_REALTIME &&
		     e->counts_on != BASE_CPU) ||
		    (e->counts_on == BASE_CPU) != (e->cpu_id != 0) || e->deadline < 0 ||
		    e->interval < 0 || (e->fired && (!e->interval || !e->deadline)) ||
		    (e->notify != SIGEV_NONE && (e->signo < 1 || e->signo > SIGNAL_MAX)))
			return loader_error(l, "timer %u makes no sense", e->id);
		pt = ptimer_new(o);
		BUG_ON(!pt);
		pt->id = e->id;
		pt->uid = e->uid;
		pt->clock = e->clock;
		pt->notify = e->notify;
		pt->signo = e->signo;
		pt->value = e->value;
		pt->tid = e->tid;
		pt->base = e->counts_on;
		pt->deadline = e->deadline;
		pt->interval = e->interval;
		pt->fired = e->fired;
		pt->overrun = e->overrun;
		pt->overrun_last = e->overrun_last;
		pt->cpu = (struct cpu_clock){e->cpu_thread, e->cpu_user_only, e->cpu_id};
		user_add(pt->uid, USER_SIGNALS, 1);
		ptimer_add_locked(o, pt);
	}
	return 0;
}

static void posix_timers_sample_list(struct sampler *sp, struct posix_timers *o)
{
	struct ptimer *pt = ptimer_new(o);

	BUG_ON(!pt);
	pt->id = 3;
	pt->uid = 1000;
	pt->clock = CLOCK_REALTIME;
	pt->notify = SIGEV_THREAD_ID;
	pt->signo = SIGUSR1;
	pt->value = sampler_value(sp);
	pt->tid = 5;
	pt->base = CLOCK_MONOTONIC;
	pt->deadline = NSEC_PER_SEC;
	pt->interval = NSEC_PER_SEC;
	pt->overrun = 2;
	pt->overrun_last = 1;
	user_add(pt->uid, USER_SIGNALS, 1);
	ptimer_add_locked(o, pt);
}

#define POSIX_TIMERS_FIELDS(F)                \
	F(HDR, obj)                           \
	F(SKIP, lock)                         \
	F(SKIP, tg) /* posix_timers_attach */ \
	F(VAL, next_id)                       \
	F(CUSTOM, list, posix_timers)         \
	F(SKIP, ids)   /* entered at load */  \
	F(SKIP, count) /* counted at load */  \
	F(SKIP, tick)  /* armed again by posix_timers_attach */
OBJECT_TYPE(posix_timers, Sentry__PosixTimers, sentry__posix_timers__descriptor,
            POSIX_TIMERS_FIELDS, .init = posix_timers_init, .destroy = posix_timers_destroy);
