/* pidfd_open(2), pidfd_send_signal(2), pidfd_getfd(2). */
#include "sentry/auth/creds.h"
#include "sentry/fs/proc/proc.h"
#include "sentry/kernel/pidfd.h"
#include "sentry/kernel/task_run.h"
#include "sentry/syscall/sysarg.h"
#include "sentry/vfs/fd_table.h"

SYSCALL2(pidfd_open, int, pid, u32, flags)
{
	AUTO(task) target = NULL;
	AUTO(file) f = NULL;
	bool leads;

	if ((flags & ~(u32)(O_NONBLOCK | PIDFD_OF_THREAD)) || pid <= 0)
		return -EINVAL;
	target = task_find(t->kernel, (u32)pid);
	if (!target)
		return -ESRCH;
	mutex_lock(&t->kernel->tasks_lock);
	leads = target->tg->leader == target;
	mutex_unlock(&t->kernel->tasks_lock);
	if (!leads && !(flags & PIDFD_OF_THREAD))
		return -EINVAL;
	f = pidfd_create(&t->ctx, target, flags);
	return fd_install(&t->ctx, f, 0, true);
}

/* Whom a signal is for (linux/pidfd.h). */
#define SIGNAL_THREAD        1u
#define SIGNAL_THREAD_GROUP  2u
#define SIGNAL_PROCESS_GROUP 4u

static long send_pgrp(struct task *t, u32 pgid, const siginfo_t *info, int signo)
{
	struct thread_group *tg;
	long r = -ESRCH;
	u32 at = 0;

	while ((tg = thread_group_next(t->kernel, at))) {
		AUTO(task) leader = NULL;
		long one = -EPERM;

		at = tg->tgid;
		if (thread_group_pgid(tg) == pgid) {
			leader = task_find(t->kernel, tg->tgid);
			if (leader && signal_may_send(t, leader, signo))
				one = signo ? signal_send_group(tg, info) : 0;
			/* One that could be reached is enough. */
			r = r == 0 ? 0 : one;
		}
		thread_group_put(tg);
	}
	return r;
}

SYSCALL4(pidfd_send_signal, int, fd, int, signo, uaddr_t, uinfo, u32, flags)
{
	siginfo_t info = siginfo_user(signo, SI_USER, t->tg->tgid, t->ctx.creds->uid);
	AUTO(task) target = NULL;
	AUTO(file) f = NULL;
	int r;

	if ((flags & ~(SIGNAL_THREAD | SIGNAL_THREAD_GROUP | SIGNAL_PROCESS_GROUP)) ||
	    (flags & (flags - 1)))
		return -EINVAL;
	r = fd_get(&t->ctx, fd, &f);
	if (r < 0)
		return r;
	/* A directory of /proc/PID, which was there before there were pidfds, also does. */
	r = pidfd_task(f, &target);
	if (r == -EBADF)
		r = proc_dir_task(f, &t->ctx, &target);
	else if (!flags && (file_flags(f) & PIDFD_OF_THREAD))
		flags = SIGNAL_THREAD;
	if (r == -EBADF)
		return r;
	if (signo < 0 || signo > SIGNAL_MAX)
		return -EINVAL;
	if (r < 0)
		return r;
	if (!uaddr_null(uinfo)) {
		r = user_get(&t->ctx, uinfo, &info);
		if (r < 0)
			return r;
		if (info.si_signo != signo)
			return -EINVAL;
		/* Only to itself may a process pretend to be the kernel or kill(2). */
		if ((target != t || flags & SIGNAL_PROCESS_GROUP) &&
		    (info.si_code >= 0 || info.si_code == SI_TKILL))
			return -EPERM;
	} else if (flags & SIGNAL_THREAD) {
		info.si_code = SI_TKILL;
	}
	if (flags & SIGNAL_PROCESS_GROUP)
		return send_pgrp(t, target->tid, &info, signo);
	if (!signal_may_send(t, target, signo))
		return -EPERM;
	if (signo == 0)
		return 0;
	return flags & SIGNAL_THREAD ? signal_send_task(target, &info)
	                             : signal_send_group(target->tg, &info);
}

SYSCALL3(pidfd_getfd, int, fd, int, target_fd, u32, flags)
{
	AUTO(fd_table) fds = NULL;
	AUTO(task) target = NULL;
	AUTO(file) f = NULL;
	AUTO(file) theirs = NULL;
	int r;

	if (flags)
		return -EINVAL;
	r = fd_get(&t->ctx, fd, &f);
	if (r < 0)
		return r;
	r = pidfd_task(f, &target);
	if (r < 0)
		return r;
	if (!task_may_inspect(t, target))
		return -EPERM;
	fds = task_get_fds(target);
	if (!fds)
		return -ESRCH;
	r = fd_table_lookup(fds, target_fd, &theirs);
	return r < 0 ? r : fd_install(&t->ctx, theirs, 0, true);
}
