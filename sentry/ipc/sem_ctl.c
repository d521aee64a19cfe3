/* semctl(2). */
#include "sentry/ctx/settings.h"
#include "sentry/ipc/sem_impl.h"
#include "sentry/mm/usercopy.h"

#include "state/base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#ifndef SEM_STAT_ANY
#define SEM_STAT_ANY 20
#endif

static u32 count_waiting(const struct sem_set *s, u32 num, bool zero)
{
	struct sem_waiter *w;
	u32 n = 0;

	TAILQ_FOREACH (w, &s->waiting, link)
		n += w->num == num && w->zero == zero;
	return n;
}

static void forget_undos(struct sem_set *s, u32 from, u32 to)
{
	struct sem_undo *u;

	TAILQ_FOREACH (u, &s->undos, link)
		memset(u->adjust + from, 0, (to - from) * sizeof(*u->adjust));
}

/* GETVAL and its kin: one semaphore. */
static long one_locked(struct ctx *c, struct sem_set *s, int num, int cmd, int val)
{
	int r = ipc_may(c, &s->object, cmd == SETVAL ? 2 : 4);

	if (r < 0)
		return r;
	if (num < 0 || (u32)num >= s->n)
		return -EINVAL;
	switch (cmd) {
	case GETVAL:
		return s->sems[num].val;
	case GETPID:
		return s->sems[num].pid;
	case GETNCNT:
		return count_waiting(s, (u32)num, false);
	case GETZCNT:
		return count_waiting(s, (u32)num, true);
	default:
		if (val < 0 || val > VALUE_MAX)
			return -ERANGE;
		forget_undos(s, (u32)num, (u32)num + 1);
		s->sems[num].val = (u16)val;
		s->sems[num].pid = c->tgid;
		s->object.ctime = ipc_now(c);
		waitq_wake(&s->object.waitq, ~0u);
		return 0;
	}
}

static long get_all(struct ctx *c, struct ipcns *ns, struct sem_set *s, uaddr_t out)
{
	AUTO_FREE u16 *vals = calloc(s->n, sizeof(*vals));
	int r;

	if (!vals)
		return -ENOMEM;
	mutex_lock(&ns->lock);
	r = s->object.removed ? -EIDRM : ipc_may(c, &s->object, 4);
	for (u32 i = 0; i < s->n; i++)
		vals[i] = s->sems[i].val;
	mutex_unlock(&ns->lock);
	return r < 0 ? r : user_copy_out(c, out, vals, s->n * sizeof(*vals));
}

static long set_all(struct ctx *c, struct ipcns *ns, struct sem_set *s, uaddr_t in)
{
	AUTO_FREE u16 *vals = calloc(s->n, sizeof(*vals));
	int r;

	if (!vals)
		return -ENOMEM;
	mutex_lock(&ns->lock);
	r = s->object.removed ? -EIDRM : ipc_may(c, &s->object, 2);
	mutex_unlock(&ns->lock);
	if (r == 0)
		r = user_copy_in(c, vals, in, s->n * sizeof(*vals));
	if (r < 0)
		return r;
	for (u32 i = 0; i < s->n; i++) {
		if (vals[i] > VALUE_MAX)
			return -ERANGE;
	}
	GUARD(&ns->lock);
	if (s->object.removed)
		return -EIDRM;
	for (u32 i = 0; i < s->n; i++)
		s->sems[i] = (struct sem_value){vals[i], c->tgid};
	forget_undos(s, 0, s->n);
	s->object.ctime = ipc_now(c);
	waitq_wake(&s->object.waitq, ~0u);
	return 0;
}

static long stat_out(struct ctx *c, struct ipcns *ns, s32 id, int cmd, uaddr_t buf)
{
	struct semid_ds ds = {0};
	struct ipc_object *o;
	long r;

	mutex_lock(&ns->lock);
	r = ipc_find_stat_locked(c, ns, IPC_SEM, id, cmd != IPC_STAT, cmd == SEM_STAT_ANY, &o);
	if (r == 0) {
		ipc_perm_out(o, &ds.sem_perm);
		ds.sem_otime = obj_cast(sem_set, o)->otime;
		ds.sem_ctime = o->ctime;
		ds.sem_nsems = obj_cast(sem_set, o)->n;
		r = cmd == IPC_STAT ? 0 : o->owner.id;
	}
	mutex_unlock(&ns->lock);
	if (r < 0)
		return r;
	return user_put(c, buf, &ds) < 0 ? -EFAULT : r;
}

static long change(struct ctx *c, struct ipcns *ns, s32 id, int cmd, uaddr_t buf)
{
	struct ipc_object *o, *gone = NULL;
	struct semid_ds ds = {0};
	int r;

	if (cmd == IPC_SET) {
		r = user_get(c, buf, &ds);
		if (r < 0)
			return r;
	}
	mutex_lock(&ns->lock);
	o = ipc_by_id_locked(ns, IPC_SEM, id);
	r = o ? ipc_may_control(c, o) : -EINVAL;
	if (r == 0 && cmd == IPC_SET)
		ipc_perm_set(c, o, &ds.sem_perm);
	else if (r == 0)
		gone = ipc_remove_locked(ns, o);
	mutex_unlock(&ns->lock);
	obj_put(gone);
	return r;
}

static long info(struct ctx *c, struct ipcns *ns, int cmd, uaddr_t buf)
{
	struct seminfo si = {.semmap = 1024000000,
	                     .semmni = (int)setting(c->kernel, semmni),
	                     .semmns = (int)setting(c->kernel, semmns),
	                     .semmnu = 1024000000,
	                     .semmsl = (int)setting(c->kernel, semmsl),
	                     .semopm = (int)setting(c->kernel, semopm),
	                     .semume = (int)OPS_MAX,
	                     .semusz = 20,
	                     .semvmx = VALUE_MAX,
	                     .semaem = VALUE_MAX};
	u32 used;
	s32 top;
	int r;

	mutex_lock(&ns->lock);
	top = ipc_top_slot_locked(ns, IPC_SEM, &used);
	if (cmd == SEM_INFO) {
		si.semusz = (int)used;
		si.semaem = (int)ns->n_sems;
	}
	mutex_unlock(&ns->lock);
	r = user_put(c, buf, &si);
	return r < 0 ? r : MAX(top, 0);
}

long ipc_semctl(struct ctx *c, struct ipcns *ns, s32 id, int num, int cmd, u64 arg)
{
	AUTO(sem_set) set = NULL;

	if (id < 0)
		return -EINVAL;
	switch (cmd) {
	case IPC_INFO:
	case SEM_INFO:
		return info(c, ns, cmd, UADDR(arg));
	case IPC_STAT:
	case SEM_STAT:
	case SEM_STAT_ANY:
		return stat_out(c, ns, id, cmd, UADDR(arg));
	case IPC_SET:
	case IPC_RMID:
		return change(c, ns, id, cmd, UADDR(arg));
	case GETALL:
	case SETALL:
		mutex_lock(&ns->lock);
		set = obj_get(sem_find_locked(ns, id));
		mutex_unlock(&ns->lock);
		if (!set)
			return -EINVAL;
		return cmd == GETALL ? get_all(c, ns, set, UADDR(arg))
		                     : set_all(c, ns, set, UADDR(arg));
	case GETVAL:
	case GETPID:
	case GETNCNT:
	case GETZCNT:
	case SETVAL: {
		struct sem_set *s;

		GUARD(&ns->lock);
		s = sem_find_locked(ns, id);
		return s ? one_locked(c, s, num, cmd, (int)arg) : -EINVAL;
	}
	default:
		return -EINVAL;
	}
}
