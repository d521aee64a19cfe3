/* wait4(2), waitid(2): finding a child that has something to tell; and the built-in init. */
#include "sentry/kernel/task_wait.h"
#include "sentry/auth/creds.h"
#include "sentry/kernel/task_run.h"

#include <string.h>
#include <sys/wait.h>

static bool eligible(struct thread_group *c, const struct wait_request *req)
{
	bool clone = c->exit_signal != SIGCHLD;

	if (req->kind == WAIT_PID && c->tgid != req->id)
		return false;
	if (req->kind == WAIT_PGRP && (!c->pgrp || c->pgrp->pgid != req->id))
		return false;
	if (req->kind == WAIT_GROUP && c != req->group)
		return false;
	if (req->options & __WALL)
		return true;
	return clone == ((req->options & __WCLONE) != 0);
}

static void fill_usage(struct thread_group *c, struct wait_result *ret)
{
	u64 u = c->dead_utime + c->child_utime, s = c->dead_stime + c->child_stime;

	memset(&ret->usage, 0, sizeof(ret->usage));
	ret->usage.ru_utime.tv_sec = (time_t)(u / NSEC_PER_SEC);
	ret->usage.ru_utime.tv_usec = (suseconds_t)(u % NSEC_PER_SEC / NSEC_PER_USEC);
	ret->usage.ru_stime.tv_sec = (time_t)(s / NSEC_PER_SEC);
	ret->usage.ru_stime.tv_usec = (suseconds_t)(s % NSEC_PER_SEC / NSEC_PER_USEC);
	ret->usage.ru_maxrss = (long)(MAX(c->maxrss, c->child_maxrss) / KIB);
	ret->usage.ru_minflt = (long)(c->dead_minflt + c->child_minflt);
	ret->usage.ru_nvcsw = (long)(c->dead_nvcsw + c->child_nvcsw);
}

/* tasks_lock held. True: ret is filled; a reaped leader is in *ret_dead. */
static bool look(struct thread_group *c, const struct wait_request *req, struct wait_result *ret,
                 struct task **ret_dead)
{
	bool take = !(req->options & WNOWAIT);
	int st;

	ret->pid = c->tgid;
	ret->uid = c->leader ? task_uid(c->leader) : 0;
	if (c->zombie) {
		if (!(req->options & WEXITED))
			return false;
		st = c->exit_status;
		ret->wstatus = st;
		ret->code = WIFEXITED(st) ? CLD_EXITED : WCOREDUMP(st) ? CLD_DUMPED : CLD_KILLED;
		ret->status = WIFEXITED(st) ? WEXITSTATUS(st) : WTERMSIG(st);
		fill_usage(c, ret);
		if (take)
			*ret_dead = thread_group_reap_locked(c, true);
		return true;
	}
	GUARD(&c->lock);
	if ((req->options & WSTOPPED) && c->stop == STOP_STOPPED && !c->stop_reported) {
		if (take)
			c->stop_reported = true;
		ret->code = CLD_STOPPED;
		ret->status = c->stop_signo;
		ret->wstatus = c->stop_signo << 8 | 0x7f;
		fill_usage(c, ret);
		return true;
	}
	if ((req->options & WCONTINUED) && c->continued) {
		if (take)
			c->continued = false;
		ret->code = CLD_CONTINUED;
		ret->status = SIGCONT;
		ret->wstatus = 0xffff;
		fill_usage(c, ret);
		return true;
	}
	return false;
}

struct wait_state {
	struct task *t;
	const struct wait_request *req;
	struct wait_result *ret;
	struct task *dead;
	int result; /* 1: found, 0: nothing yet, -ECHILD */
};

static bool scan(void *arg)
{
	struct wait_state *w = arg;
	struct thread_group *c;
	bool any = false;

	GUARD(&w->t->kernel->tasks_lock);
	TAILQ_FOREACH (c, &w->t->tg->children, sibling) {
		if (!eligible(c, w->req))
			continue;
		any = true;
		if (look(c, w->req, w->ret, &w->dead)) {
			w->result = 1;
			return true;
		}
	}
	w->result = any ? 0 : -ECHILD;
	return !any;
}

int task_wait_child(struct task *t, const struct wait_request *req, struct wait_result *ret)
{
	struct wait_state w = {.t = t, .req = req, .ret = ret};
	int r;

	memset(ret, 0, sizeof(*ret));
	if (!scan(&w) && !(req->options & WNOHANG)) {
		t->waiting_on = "child";
		r = ctx_block(&t->ctx, &t->tg->child_wait, scan, &w, NEVER);
		t->waiting_on = NULL;
		if (r < 0)
			return r;
	}
	obj_put(w.dead);
	if (w.result < 0)
		return w.result;
	if (w.result == 0)
		memset(ret, 0, sizeof(*ret));
	return 0;
}

static bool scan_for_init(void *arg)
{
	struct wait_state *w = arg;

	/* No children is no news for init. */
	return scan(w) && w->result == 1;
}

/* The built-in init waits for anyone, for ever. */
static const struct run_state *init_step(struct task *t)
{
	static const struct wait_request any = {.kind = WAIT_ALL, .options = WEXITED | __WALL};
	struct wait_result res;
	struct wait_state w = {.t = t, .req = &any, .ret = &res};
	int r;

	if (ctx_killed(&t->ctx))
		return &run_exit;
	t->ctx.deaf_to = INTERRUPT_SIGNAL;
	t->waiting_on = "child";
	r = ctx_block(&t->ctx, &t->tg->child_wait, scan_for_init, &w, NEVER);
	t->waiting_on = NULL;
	t->ctx.deaf_to = 0;
	obj_put(w.dead);
	if (r < 0 && ctx_killed(&t->ctx))
		return &run_exit;
	return &run_init;
}
RUN_STATE(run_init, init_step);
