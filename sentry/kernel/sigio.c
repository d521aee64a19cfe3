#include "sentry/kernel/sigio.h"

#include "sentry/auth/creds.h"
#include "sentry/kernel/pidns.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/terminal.h"
#include "sentry/mm/usercopy.h"
#include "state/base/cleanup.h"

#include <fcntl.h>
#include <string.h>

/* Signals whose si_code has meanings of its own, so that POLL_IN would be mistaken for one. */
#define SIGSET_OWN_CODES                                                                        \
	(SIGBIT(SIGILL) | SIGBIT(SIGFPE) | SIGBIT(SIGSEGV) | SIGBIT(SIGBUS) | SIGBIT(SIGTRAP) | \
	 SIGBIT(SIGCHLD) | SIGBIT(SIGSYS))

/* ---- choosing ---- */

/* Something has this number: a thread, or a group or session that outlived its founder. tasks_lock
 * held. */
static bool number_taken_locked(struct kernel *k, s32 pid)
{
	const struct pid_slot *s;

	if (pid <= 0 || pid >= (s32)PID_MAX)
		return false;
	s = &k->pidns->slots[pid];
	return s->task || s->pgrp || s->session;
}

/* The task meant by an owner of type PID or TID, or NULL. tasks_lock held. */
static struct task *owner_task_locked(struct kernel *k, const struct file_owner *o)
{
	struct task *t = pid_task_locked(k->pidns, (u32)o->pid);

	return t && t->tg->start_time == o->since ? t : NULL;
}

/* o->pid and type were given: notes whom that is now. */
static int resolve(struct kernel *k, struct file_owner *o)
{
	struct task *t;

	if (o->pid == 0)
		return 0;
	GUARD(&k->tasks_lock);
	if (!number_taken_locked(k, o->pid))
		return -ESRCH;
	t = pid_task_locked(k->pidns, (u32)o->pid);
	o->since = t ? t->tg->start_time : 0;
	return 0;
}

static long choose(struct file *f, struct ctx *c, s32 type, s32 pid)
{
	struct file_owner o = {.type = type, .pid = pid};
	int r = resolve(c->kernel, &o);

	if (r == 0)
		file_set_owner(f, c, &o, false);
	return r;
}

long file_setown(struct file *f, struct ctx *c, s32 who)
{
	if (who == INT32_MIN)
		return -EINVAL;
	return choose(f, c, who < 0 ? F_OWNER_PGRP : F_OWNER_PID, who < 0 ? -who : who);
}

long file_setown_ex(struct file *f, struct ctx *c, uaddr_t arg)
{
	struct f_owner_ex o;

	if (user_get(c, arg, &o) < 0)
		return -EFAULT;
	if (o.type != F_OWNER_TID && o.type != F_OWNER_PID && o.type != F_OWNER_PGRP)
		return -EINVAL;
	if (o.pid < 0)
		return -ESRCH;
	return choose(f, c, o.type, o.pid);
}

void file_set_async_terminal(struct file *f, struct ctx *c, struct terminal *t)
{
	struct file_owner o = {.type = F_OWNER_PID, .pid = (s32)c->tgid};

	if (t) {
		GUARD(&c->kernel->tasks_lock);
		if (t->foreground) {
			o.type = F_OWNER_PGRP;
			o.pid = (s32)t->foreground;
		}
	}
	if (resolve(c->kernel, &o) == 0)
		file_set_owner(f, c, &o, true);
}

void file_owner_of_caller(struct ctx *c, struct file_owner *ret)
{
	*ret = (struct file_owner){.type = F_OWNER_PID, .pid = (s32)c->tgid};
	if (resolve(c->kernel, ret) < 0)
		ret->pid = 0;
}

void file_own_by_default(struct file *f, struct ctx *c)
{
	file_set_async_terminal(f, c, NULL);
}

/* 0 if nobody of that kind is left. */
static s32 living(struct kernel *k, const struct file_owner *o)
{
	if (o->pid == 0)
		return 0;
	GUARD(&k->tasks_lock);
	if (o->type == F_OWNER_PGRP) {
		struct pgrp *g = pgrp_find_locked(k, (u32)o->pid);

		return g && !TAILQ_EMPTY(&g->members) ? o->pid : 0;
	}
	return owner_task_locked(k, o) ? o->pid : 0;
}

long file_getown(struct file *f, struct ctx *c)
{
	struct file_owner o;
	s32 pid;

	file_get_owner(f, &o);
	pid = living(c->kernel, &o);
	return o.type == F_OWNER_PGRP ? -pid : pid;
}

long file_getown_ex(struct file *f, struct ctx *c, uaddr_t arg)
{
	struct f_owner_ex ex = {0};
	struct file_owner o;

	file_get_owner(f, &o);
	ex.type = o.type;
	ex.pid = living(c->kernel, &o);
	return user_put(c, arg, &ex);
}

/* ---- sending ---- */

static bool may_signal(const struct file_owner *o, struct task *t)
{
	AUTO(creds) theirs = task_get_creds(t);

	if (o->euid == 0 || !theirs)
		return true;
	return o->euid == theirs->suid || o->euid == theirs->uid || o->uid == theirs->suid ||
	       o->uid == theirs->uid;
}

struct owner_signal {
	siginfo_t info, plain; /* plain: when the queue has no room for the other */
	bool chosen;
};

/* tasks_lock held. */
static void send_locked(const struct file_owner *o, struct task *t, const struct owner_signal *s)
{
	bool one = o->type == F_OWNER_TID;
	int r = -EAGAIN;

	if (t->exit_state != TASK_ALIVE || !may_signal(o, t))
		return;
	if (s->chosen)
		r = one ? signal_send_task_tasks_locked(t, &s->info)
		        : signal_send_group_tasks_locked(t->tg, &s->info);
	if (r < 0)
		(void)(one ? signal_send_task_tasks_locked(t, &s->plain)
		           : signal_send_group_tasks_locked(t->tg, &s->plain));
}

static void send_owner(struct kernel *k, const struct file_owner *o, const struct owner_signal *s)
{
	struct thread_group *m;
	struct pgrp *g;
	struct task *t;

	if (o->pid == 0)
		return;
	GUARD(&k->tasks_lock);
	if (o->type != F_OWNER_PGRP) {
		t = owner_task_locked(k, o);
		if (t)
			send_locked(o, t, s);
		return;
	}
	g = pgrp_find_locked(k, (u32)o->pid);
	if (!g)
		return;
	TAILQ_FOREACH (m, &g->members, pgrp_link) {
		if (!m->zombie && m->leader)
			send_locked(o, m->leader, s);
	}
}

void file_owner_signal(struct kernel *k, const struct file_owner *o, int code, s64 band, int fd)
{
	struct owner_signal s = {.plain = siginfo_kernel(SIGIO), .chosen = o->sig != 0};

	if (s.chosen) {
		s.info.si_signo = o->sig;
		s.info.si_code = code;
		if (SIGBIT(o->sig) & SIGSET_OWN_CODES)
			s.info.si_code = SI_SIGIO;
		s.info.si_band = band;
		s.info.si_fd = fd;
	}
	send_owner(k, o, &s);
}

void file_owner_urgent(struct kernel *k, const struct file_owner *o)
{
	struct owner_signal s = {.plain = siginfo_kernel(SIGURG)};

	send_owner(k, o, &s);
}
