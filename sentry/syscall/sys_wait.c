/* wait4(2), waitid(2), process groups and sessions. */
#include "sentry/kernel/pidfd.h"
#include "sentry/kernel/pidns.h"
#include "sentry/kernel/task_run.h"
#include "sentry/kernel/task_wait.h"
#include "sentry/syscall/sysarg.h"
#include "sentry/vfs/fd_table.h"

#include <string.h>
#include <sys/wait.h>

SYSCALL4(wait4, int, pid, uaddr_t, status, int, options, uaddr_t, rusage)
{
	struct wait_request req = {.options = options | WEXITED};
	struct wait_result res;
	int r;

	if (options & ~(WNOHANG | WUNTRACED | WCONTINUED | __WNOTHREAD | __WCLONE | __WALL))
		return -EINVAL;
	if (pid == INT32_MIN)
		return -ESRCH;
	if (pid == -1) {
		req.kind = WAIT_ALL;
	} else if (pid > 0) {
		req.kind = WAIT_PID;
		req.id = (u32)pid;
	} else {
		req.kind = WAIT_PGRP;
		req.id = pid == 0 ? thread_group_pgid(t->tg) : (u32)-pid;
	}
	r = task_wait_child(t, &req, &res);
	if (r < 0 || res.pid == 0)
		return r;
	if (!uaddr_null(status)) {
		r = user_put_u32(&t->ctx, status, (u32)res.wstatus);
		if (r < 0)
			return r;
	}
	if (!uaddr_null(rusage)) {
		r = user_put(&t->ctx, rusage, &res.usage);
		if (r < 0)
			return r;
	}
	return res.pid;
}

SYSCALL5(waitid, int, type, int, id, uaddr_t, uinfo, int, options, uaddr_t, rusage)
{
	struct wait_request req = {.options = options};
	AUTO(file) pidf = NULL;
	struct wait_result res;
	siginfo_t info;
	int r;

	if (options & ~(WNOHANG | WNOWAIT | WEXITED | WSTOPPED | WCONTINUED | __WNOTHREAD |
	                __WCLONE | __WALL))
		return -EINVAL;
	if (!(options & (WEXITED | WSTOPPED | WCONTINUED)))
		return -EINVAL;
	switch (type) {
	case P_ALL:
		req.kind = WAIT_ALL;
		break;
	case P_PID:
		if (id <= 0)
			return -EINVAL;
		req.kind = WAIT_PID;
		req.id = (u32)id;
		break;
	case P_PGID:
		if (id < 0)
			return -EINVAL;
		req.kind = WAIT_PGRP;
		req.id = id ? (u32)id : thread_group_pgid(t->tg);
		break;
	case P_PIDFD:
		if (id < 0)
			return -EINVAL;
		r = fd_get(&t->ctx, id, &pidf);
		if (r < 0)
			return r;
		if (!file_is_pidfd(pidf))
			return -EBADF;
		/* NULL, as every other that was reaped, is nobody's child. */
		req.kind = WAIT_GROUP;
		req.group = pidfd_group(pidf);
		if (file_nonblock(pidf))
			req.options |= WNOHANG;
		break;
	default:
		return -EINVAL;
	}
	r = task_wait_child(t, &req, &res);
	if (r < 0)
		return r;
	if (!res.pid && pidf && file_nonblock(pidf) && !(options & WNOHANG))
		return -EAGAIN;
	memset(&info, 0, sizeof(info));
	if (res.pid) {
		info.si_signo = SIGCHLD;
		info.si_code = res.code;
		info.si_pid = (pid_t)res.pid;
		info.si_uid = res.uid;
		info.si_status = res.status;
	}
	if (!uaddr_null(rusage) && res.pid) {
		r = user_put(&t->ctx, rusage, &res.usage);
		if (r < 0)
			return r;
	}
	return uaddr_null(uinfo) ? 0 : user_put(&t->ctx, uinfo, &info);
}

/* ---- groups and sessions ---- */

static struct thread_group *find_locked(struct task *t, int pid)
{
	struct task *o = pid == 0  ? t
	                 : pid < 0 ? NULL
	                           : pid_task_locked(t->kernel->pidns, (u32)pid);

	if (pid == 0)
		return t->tg;
	return o && o->tg->tgid == (u32)pid ? o->tg : NULL;
}

SYSCALL1(getpgid, int, pid)
{
	struct thread_group *tg;

	GUARD(&t->kernel->tasks_lock);
	tg = find_locked(t, pid);
	return tg && tg->pgrp ? (long)tg->pgrp->pgid : -ESRCH;
}

SYSCALL0(getpgrp)
{
	return thread_group_pgid(t->tg);
}

SYSCALL1(getsid, int, pid)
{
	struct thread_group *tg;

	GUARD(&t->kernel->tasks_lock);
	tg = find_locked(t, pid);
	return tg && tg->pgrp ? (long)tg->pgrp->session->sid : -ESRCH;
}

SYSCALL2(setpgid, int, pid, int, pgid)
{
	struct kernel *k = t->kernel;
	struct thread_group *tg;
	struct pgrp *g;

	if (pgid < 0 || (pgid == 0 && pid < 0))
		return -EINVAL;
	GUARD(&k->tasks_lock);
	tg = find_locked(t, pid);
	if (!tg || tg->zombie)
		return -ESRCH;
	if (tg != t->tg && tg->parent != t->tg)
		return -ESRCH;
	if (tg != t->tg) {
		if (tg->pgrp->session != t->tg->pgrp->session)
			return -EPERM;
		if (tg->has_execed)
			return -EACCES;
	}
	if (tg->pgrp->session->sid == tg->tgid && tg->pgrp->session->leader == tg)
		return -EPERM;
	if (pgid == 0)
		pgid = (int)tg->tgid;
	if ((u32)pgid == tg->pgrp->pgid)
		return 0;
	if ((u32)pgid == tg->tgid && !pgrp_find_locked(k, (u32)pgid)) {
		g = pgrp_new_locked(k, (u32)pgid, tg->pgrp->session);
	} else {
		g = obj_get(pgrp_find_locked(k, (u32)pgid));
		if (!g)
			return -EPERM;
		if (g->session != tg->pgrp->session) {
			obj_put(g);
			return -EPERM;
		}
	}
	pgrp_leave_locked(tg);
	pgrp_join_locked(tg, g);
	obj_put(g);
	return 0;
}

SYSCALL0(setsid)
{
	struct kernel *k = t->kernel;
	struct thread_group *tg = t->tg;
	struct session *s;
	struct pgrp *g;

	GUARD(&k->tasks_lock);
	if (pgrp_find_locked(k, tg->tgid))
		return -EPERM;
	s = session_new_locked(k, tg->tgid, tg);
	g = pgrp_new_locked(k, tg->tgid, s);
	pgrp_leave_locked(tg);
	pgrp_join_locked(tg, g);
	tg->no_tty = false;
	obj_put(g);
	obj_put(s);
	return tg->tgid;
}

SYSCALL0(getpid)
{
	return t->ctx.tgid;
}

SYSCALL0(gettid)
{
	return t->ctx.tid;
}

SYSCALL0(getppid)
{
	return thread_group_ppid(t->tg);
}
