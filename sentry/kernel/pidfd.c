#include "sentry/kernel/pidfd.h"

#include "proto/events.pb-c.h"
#include "sentry/kernel/pidns.h"
#include "sentry/vfs/inode.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

#include <stdio.h>

/* The task that p stands for; NULL: gone. p->tg is there, tasks_lock held. */
static struct task *task_locked(const struct pidfd *p)
{
	struct task *t;

	if (!p->tid)
		return p->tg->leader;
	t = pid_task_locked(p->tg->kernel->pidns, p->tid);
	return t && t->tg == p->tg && t->start_time == p->since ? t : NULL;
}

static u32 pidfd_poll(struct file *f, struct poll_table *pt)
{
	struct pidfd *p = (struct pidfd *)f;
	struct thread_group *tg = p->tg;

	if (!tg)
		return READY_IN | EPOLLHUP;
	poll_add(pt, &tg->pidfd_wait);
	GUARD(&tg->kernel->tasks_lock);
	if (!task_locked(p))
		return READY_IN | EPOLLHUP;
	return tg->zombie ? READY_IN : 0;
}

static void pidfd_fdinfo(struct file *f, char *buf, size_t size)
{
	struct pidfd *p = (struct pidfd *)f;
	struct thread_group *tg = p->tg;
	int pid = -1;

	if (tg) {
		mutex_lock(&tg->kernel->tasks_lock);
		if (task_locked(p))
			pid = (int)(p->tid ? p->tid : tg->tgid);
		mutex_unlock(&tg->kernel->tasks_lock);
	}
	snprintf(buf, size, "Pid:\t%d\nNSpid:\t%d\n", pid, pid);
}

static void pidfd_link_name(struct file *f, char *buf, size_t size)
{
	snprintf(buf, size, "anon_inode:[pidfd]");
}

static const struct file_ops pidfd_ops = {
	.id = {.describe = file_describe},
	.poll = pidfd_poll,
	.fdinfo = pidfd_fdinfo,
	.link_name = pidfd_link_name,
};

struct file *pidfd_create(struct ctx *c, struct task *target, u32 flags)
{
	struct pidfd *p = obj_new(pidfd);
	AUTO(inode) inode = anon_inode_new(c->kernel, 0600);

	file_setup(&p->file, O_RDWR | (flags & (O_NONBLOCK | PIDFD_OF_THREAD)), NULL, inode);
	p->tg = obj_get(target->tg);
	if (!(flags & PIDFD_OF_THREAD))
		return &p->file;
	mutex_lock(&c->kernel->tasks_lock);
	if (p->tg->leader != target) {
		p->tid = target->tid;
		p->since = target->start_time;
	}
	mutex_unlock(&c->kernel->tasks_lock);
	return &p->file;
}

int ctx_pidfd(struct ctx *c, u32 tgid, struct file **ret)
{
	AUTO(task) t = task_find(c->kernel, tgid);

	if (!t)
		return -ESRCH;
	*ret = pidfd_create(c, t, 0);
	return 0;
}

bool file_is_pidfd(struct file *f)
{
	return obj_cast(pidfd, f) != NULL;
}

struct thread_group *pidfd_group(struct file *f)
{
	struct pidfd *p = obj_cast(pidfd, f);

	return p && !p->tid ? p->tg : NULL;
}

int pidfd_task(struct file *f, struct task **ret)
{
	struct pidfd *p = obj_cast(pidfd, f);
	struct task *t;

	if (!p)
		return -EBADF;
	if (!p->tg)
		return -ESRCH;
	mutex_lock(&p->tg->kernel->tasks_lock);
	t = obj_get(task_locked(p));
	mutex_unlock(&p->tg->kernel->tasks_lock);
	if (!t)
		return -ESRCH;
	*ret = t;
	return 0;
}

static void pidfd_destroy(void *o)
{
	obj_put(((struct pidfd *)o)->tg);
}

static int pidfd_save_tg(struct saver *s, const struct pidfd *p, Sentry__Pidfd *m)
{
	m->tg = p->tg && p->tg->leader ? saver_ref(s, p->tg) : 0;
	return 0;
}

static int pidfd_load_tg(struct loader *l, struct pidfd *p, const Sentry__Pidfd *m)
{
	return loader_ref(l, m->tg, &thread_group_type, &p->tg);
}

static void pidfd_sample_tg(struct sampler *sp, struct pidfd *p)
{
	p->tg = sampler_ref(sp, &thread_group_type);
	p->tg->leader = sampler_weak(sp, &task_type);
}

static int pidfd_after_load(struct loader *l, void *o)
{
	const struct thread_group *tg = ((struct pidfd *)o)->tg;

	if (tg && (!tg->kernel || !tg->leader || tg->leader->tg != tg))
		return loader_error(l, "pidfd of a process that is none");
	return 0;
}

static void pidfd_sample(struct sampler *sp, void *o)
{
	struct thread_group *tg = ((struct pidfd *)o)->tg;

	(void)sp;
	obj_put(tg->leader->tg);
	tg->leader->tg = thread_group_get(tg);
}

#define PIDFD_FIELDS(F) F(BASE, file, file) F(CUSTOM, tg, pidfd) F(VAL, tid) F(VAL, since)
OBJECT_TYPE(pidfd, Sentry__Pidfd, sentry__pidfd__descriptor, PIDFD_FIELDS, .base = &file_type,
            .ops = &pidfd_ops, .destroy = pidfd_destroy, .after_load = pidfd_after_load,
            .sample = pidfd_sample);
