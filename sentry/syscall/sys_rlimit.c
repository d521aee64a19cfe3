/* Limits and usage: getrlimit(2), prlimit(2), getrusage(2). */
#include "sentry/ctx/settings.h"
#include "sentry/auth/creds.h"
#include "sentry/kernel/itimer.h"
#include "sentry/kernel/task_run.h"
#include "sentry/mm/mm.h"
#include "sentry/syscall/sysarg.h"

#include <linux/capability.h>
#include <string.h>

static int get_limit(struct task *o, u32 resource, struct rlimit *ret)
{
	if (resource >= RLIM_NLIMITS)
		return -EINVAL;
	GUARD(&o->tg->lock);
	*ret = o->tg->rlimits[resource];
	return 0;
}

static int set_limit(struct task *t, struct task *o, u32 resource, const struct rlimit *new)
{
	struct rlimit *rl;
	bool allowed;

	if (resource >= RLIM_NLIMITS || new->rlim_cur > new->rlim_max)
		return -EINVAL;
	if (resource == RLIMIT_NOFILE && new->rlim_max > setting(t->kernel, nr_open))
		return -EPERM;
	rl = &o->tg->rlimits[resource];
	mutex_lock(&o->tg->lock);
	allowed = new->rlim_max <= rl->rlim_max || creds_capable(t->ctx.creds, CAP_SYS_RESOURCE);
	if (allowed)
		*rl = *new;
	mutex_unlock(&o->tg->lock);
	if (!allowed)
		return -EPERM;
	if (resource == RLIMIT_CPU)
		itimers_limit_changed(o->tg->itimers);
	return 0;
}

SYSCALL2(getrlimit, u32, resource, uaddr_t, out)
{
	struct rlimit rl;
	int r = get_limit(t, resource, &rl);

	return r < 0 ? r : user_put(&t->ctx, out, &rl);
}

SYSCALL2(setrlimit, u32, resource, uaddr_t, in)
{
	struct rlimit rl;
	int r = user_get(&t->ctx, in, &rl);

	return r < 0 ? r : set_limit(t, t, resource, &rl);
}

/* prlimit(2): all of the target's ids are the caller's, or CAP_SYS_RESOURCE. */
static bool may_limit(struct task *t, struct task *o)
{
	const struct creds *me = t->ctx.creds;
	AUTO(creds) c = NULL;

	if (t->tg == o->tg || creds_capable(me, CAP_SYS_RESOURCE))
		return true;
	c = task_get_creds(o);
	return c && me->uid == c->euid && me->uid == c->suid && me->uid == c->uid &&
	       me->gid == c->egid && me->gid == c->sgid && me->gid == c->gid;
}

SYSCALL4(prlimit64, int, pid, u32, resource, uaddr_t, in, uaddr_t, out)
{
	AUTO(task) o = NULL;
	struct rlimit new, old;
	int r;

	if (!uaddr_null(in)) {
		r = user_get(&t->ctx, in, &new);
		if (r < 0)
			return r;
	}
	o = pid ? task_find(t->kernel, (u32)pid) : obj_get(t);
	if (!o)
		return -ESRCH;
	if (!may_limit(t, o))
		return -EPERM;
	if (resource >= RLIM_NLIMITS)
		return -EINVAL;
	r = get_limit(o, resource, &old);
	if (r == 0 && !uaddr_null(in))
		r = set_limit(t, o, resource, &new);
	if (r < 0 || uaddr_null(out))
		return r;
	return user_put(&t->ctx, out, &old);
}

/* ---- usage ---- */

static struct timeval ns_timeval(u64 ns)
{
	return (struct timeval){(time_t)(ns / NSEC_PER_SEC),
	                        (suseconds_t)(ns % NSEC_PER_SEC / NSEC_PER_USEC)};
}

static void add_counters(struct task *o, struct rusage *ru)
{
	ru->ru_minflt += (long)atomic_load_explicit(&o->minflt, memory_order_relaxed);
	ru->ru_majflt += (long)atomic_load_explicit(&o->majflt, memory_order_relaxed);
	ru->ru_nvcsw += (long)atomic_load_explicit(&o->nvcsw, memory_order_relaxed);
	ru->ru_nivcsw += (long)atomic_load_explicit(&o->nivcsw, memory_order_relaxed);
}

static void usage_self(struct task *t, struct rusage *ru)
{
	struct thread_group *tg = t->tg;
	struct mm_stat st;
	struct task *o;
	u64 u, s;

	thread_group_settle(tg);
	thread_group_times(tg, &u, &s);
	ru->ru_utime = ns_timeval(u);
	ru->ru_stime = ns_timeval(s);
	mm_stat(t->ctx.mm, &st);
	GUARD(&tg->kernel->tasks_lock);
	ru->ru_maxrss = (long)(MAX(tg->maxrss, st.vm_hwm) / KIB);
	ru->ru_minflt = (long)tg->dead_minflt;
	ru->ru_nvcsw = (long)tg->dead_nvcsw;
	TAILQ_FOREACH (o, &tg->tasks, tg_link) {
		if (o->exit_state == TASK_ALIVE)
			add_counters(o, ru);
	}
}

static void usage_children(struct task *t, struct rusage *ru)
{
	struct thread_group *tg = t->tg;

	GUARD(&tg->kernel->tasks_lock);
	ru->ru_utime = ns_timeval(tg->child_utime);
	ru->ru_stime = ns_timeval(tg->child_stime);
	ru->ru_maxrss = (long)(tg->child_maxrss / KIB);
	ru->ru_minflt = (long)tg->child_minflt;
	ru->ru_nvcsw = (long)tg->child_nvcsw;
}

static void usage_thread(struct task *t, struct rusage *ru)
{
	struct mm_stat st;
	u64 u, s;

	task_times(t, &u, &s);
	ru->ru_utime = ns_timeval(u);
	ru->ru_stime = ns_timeval(s);
	mm_stat(t->ctx.mm, &st);
	ru->ru_maxrss = (long)(st.vm_hwm / KIB);
	add_counters(t, ru);
}

SYSCALL2(getrusage, int, who, uaddr_t, out)
{
	struct rusage ru;

	memset(&ru, 0, sizeof(ru));
	task_account(t, false);
	switch (who) {
	case RUSAGE_SELF:
		usage_self(t, &ru);
		break;
	case RUSAGE_CHILDREN:
		usage_children(t, &ru);
		break;
	case RUSAGE_THREAD:
		usage_thread(t, &ru);
		break;
	default:
		return -EINVAL;
	}
	return user_put(&t->ctx, out, &ru);
}
