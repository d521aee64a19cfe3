/* Semaphore sets: semget(2), semop(2), semctl(2). */
#include "sentry/ctx/settings.h"
#include "sentry/ipc/sem_impl.h"
#include "sentry/mm/usercopy.h"

#include "proto/ipc.pb-c.h"
#include "state/base/bug.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- the object ---- */

static void set_init(void *p)
{
	struct sem_set *s = p;

	TAILQ_INIT(&s->undos);
	TAILQ_INIT(&s->waiting);
}

static void drop_undo(struct sem_set *s, struct sem_undo *u)
{
	TAILQ_REMOVE(&s->undos, u, link);
	s->n_undos--;
	free(u->adjust);
	free(u);
}

static void set_destroy(void *p)
{
	struct sem_set *s = p;

	while (!TAILQ_EMPTY(&s->undos))
		drop_undo(s, TAILQ_FIRST(&s->undos));
	free(s->sems);
}

static void allocate(struct sem_set *s, u32 n)
{
	s->n = n;
	s->sems = calloc(n, sizeof(*s->sems));
	BUG_ON(!s->sems);
}

/* The process's undos of the set. */
static struct sem_undo *undo_of(struct sem_set *s, u32 tgid, bool make)
{
	struct sem_undo *u;

	TAILQ_FOREACH (u, &s->undos, link) {
		if (u->tgid == tgid)
			return u;
	}
	if (!make || s->n_undos >= UNDOS_MAX || (s->n_undos + 1ull) * s->n > ADJUSTS_MAX)
		return NULL;
	u = calloc(1, sizeof(*u));
	BUG_ON(!u);
	u->tgid = tgid;
	u->adjust = calloc(s->n, sizeof(*u->adjust));
	BUG_ON(!u->adjust);
	TAILQ_INSERT_TAIL(&s->undos, u, link);
	s->n_undos++;
	return u;
}

static int sem_set_save_sems(struct saver *sv, const struct sem_set *s, Sentry__SemSet *m)
{
	m->sems = saver_alloc(sv, s->n * sizeof(*m->sems));
	for (u32 i = 0; i < s->n; i++) {
		m->sems[i] = saver_msg(sv, Sentry__Sem, sentry__sem__init);
		m->sems[i]->val = s->sems[i].val;
		m->sems[i]->pid = s->sems[i].pid;
	}
	m->n_sems = s->n;
	return 0;
}

static int sem_set_load_sems(struct loader *l, struct sem_set *s, const Sentry__SemSet *m)
{
	if (m->n_sems == 0 || m->n_sems > SEMS_MAX)
		return loader_range(l, "sems");
	allocate(s, (u32)m->n_sems);
	for (u32 i = 0; i < s->n; i++) {
		if (m->sems[i]->val > VALUE_MAX)
			return loader_range(l, "val");
		s->sems[i] = (struct sem_value){(u16)m->sems[i]->val, m->sems[i]->pid};
	}
	return 0;
}

static void sem_set_sample_sems(struct sampler *sp, struct sem_set *s)
{
	allocate(s, 1);
	s->sems[0] = (struct sem_value){3, 4};
}

static int sem_set_save_undos(struct saver *sv, const struct sem_set *s, Sentry__SemSet *m)
{
	struct sem_undo *u;

	m->undos = saver_alloc(sv, s->n_undos * sizeof(*m->undos));
	TAILQ_FOREACH (u, &s->undos, link) {
		Sentry__SemUndo *e = saver_msg(sv, Sentry__SemUndo, sentry__sem_undo__init);

		e->tgid = u->tgid;
		e->adjust = saver_alloc(sv, s->n * sizeof(*e->adjust));
		for (u32 i = 0; i < s->n; i++)
			e->adjust[i] = u->adjust[i];
		e->n_adjust = s->n;
		m->undos[m->n_undos++] = e;
	}
	return 0;
}

static int sem_set_load_undos(struct loader *l, struct sem_set *s, const Sentry__SemSet *m)
{
	if (m->n_undos > UNDOS_MAX)
		return loader_range(l, "undos");
	for (size_t i = 0; i < m->n_undos; i++) {
		const Sentry__SemUndo *e = m->undos[i];
		struct sem_undo *u;

		if (e->n_adjust != s->n || undo_of(s, e->tgid, false))
			return loader_range(l, "undos");
		u = undo_of(s, e->tgid, true);
		if (!u)
			return loader_range(l, "undos");
		for (u32 k = 0; k < s->n; k++) {
			if (e->adjust[k] < -VALUE_MAX - 1 || e->adjust[k] > VALUE_MAX)
				return loader_range(l, "adjust");
			u->adjust[k] = (s16)e->adjust[k];
		}
	}
	return 0;
}

static void sem_set_sample_undos(struct sampler *sp, struct sem_set *s)
{
	undo_of(s, 7, true)->adjust[0] = -2;
}

#define SET_FIELDS(F)               \
	F(BASE, object, ipc_object) \
	F(VAL, otime)               \
	F(CUSTOM, sems, sem_set)    \
	F(SKIP, n) /* by sems */    \
	F(CUSTOM, undos, sem_set)   \
	F(SKIP, n_undos)            \
	F(SKIP, waiting)
OBJECT_TYPE(sem_set, Sentry__SemSet, sentry__sem_set__descriptor, SET_FIELDS,
            .base = &ipc_object_type, .init = set_init, .destroy = set_destroy);

/* ---- semget ---- */

struct sem_set *sem_find_locked(struct ipcns *ns, s32 id)
{
	struct ipc_object *o = ipc_by_id_locked(ns, IPC_SEM, id);

	return o ? obj_cast(sem_set, o) : NULL;
}

u32 ipc_sems(const struct ipc_object *o)
{
	return o->obj.type == &sem_set_type ? ((const struct sem_set *)o)->n : 0;
}

long ipc_semget(struct ctx *c, struct ipcns *ns, s32 key, int n, int flags)
{
	AUTO(sem_set) fresh = NULL;
	struct ipc_object *o;
	int r;

	if (n < 0 || (u64)n > setting(c->kernel, semmsl))
		return -EINVAL;
	if (n > 0) {
		fresh = obj_new(sem_set);
		allocate(fresh, (u32)n);
	}
	GUARD(&ns->lock);
	o = ipc_by_key_locked(ns, IPC_SEM, key);
	if (o) {
		long id = ipc_found(c, o, flags);

		return id >= 0 && (u32)n > obj_cast(sem_set, o)->n ? -EINVAL : id;
	}
	if (key != IPC_PRIVATE && !(flags & IPC_CREAT))
		return -ENOENT;
	if (!fresh)
		return -EINVAL;
	if (ns->n_sems + fresh->n > MIN(setting(c->kernel, semmns), (u64)SEMS_TOTAL))
		return -ENOSPC;
	r = ipc_add_locked(ns, IPC_SEM, c, &fresh->object, key, (u32)flags);
	return r < 0 ? r : fresh->object.owner.id;
}

/* ---- semop ---- */

struct op_call {
	struct ctx *c;
	struct ipcns *ns;
	struct sem_set *set;
	const struct sembuf *ops;
	u32 n;
	int result; /* 0: done; -errno */
	struct sem_waiter waiter;
	bool waiting;
};

/* Does the first n operations backwards. */
static void roll_back(struct sem_set *s, const struct sembuf *ops, u32 n, struct sem_undo *u)
{
	while (n-- > 0) {
		s->sems[ops[n].sem_num].val -= (u16)ops[n].sem_op;
		if (ops[n].sem_flg & SEM_UNDO)
			u->adjust[ops[n].sem_num] =
				(s16)(u->adjust[ops[n].sem_num] + ops[n].sem_op);
	}
}

/* All of them or none. 0, -errno, or 1 with *ret_blocked: the one that has to wait. */
static int try_ops(struct sem_set *s, const struct sembuf *ops, u32 n, struct sem_undo *u,
                   u32 *ret_blocked)
{
	int r = 0;
	u32 i;

	for (i = 0; i < n && r == 0; i++) {
		struct sem_value *v = &s->sems[ops[i].sem_num];
		int val = v->val + ops[i].sem_op, adjust = 0;

		if (ops[i].sem_flg & SEM_UNDO)
			adjust = u->adjust[ops[i].sem_num] - ops[i].sem_op;
		if (ops[i].sem_op == 0 ? v->val != 0 : val < 0)
			r = ops[i].sem_flg & IPC_NOWAIT ? -EAGAIN : 1;
		else if (val > VALUE_MAX || adjust > VALUE_MAX || adjust < -VALUE_MAX - 1)
			r = -ERANGE;
		if (r != 0) {
			*ret_blocked = i;
			break;
		}
		v->val = (u16)val;
		if (ops[i].sem_flg & SEM_UNDO)
			u->adjust[ops[i].sem_num] = (s16)adjust;
	}
	if (r != 0)
		roll_back(s, ops, i, u);
	return r;
}

static int op_locked(struct op_call *call)
{
	struct sem_set *s = call->set;
	struct sem_undo *u = NULL;
	bool undo = false, alters = false;
	u32 blocked;
	int r;

	if (s->object.removed)
		return -EIDRM;
	for (u32 i = 0; i < call->n; i++) {
		if (call->ops[i].sem_num >= s->n)
			return -EFBIG;
		undo |= (call->ops[i].sem_flg & SEM_UNDO) != 0;
		alters |= call->ops[i].sem_op != 0;
	}
	r = ipc_may(call->c, &s->object, alters ? 2 : 4);
	if (r < 0)
		return r;
	if (undo) {
		u = undo_of(s, call->c->tgid, true);
		if (!u)
			return -ENOSPC;
	}
	r = try_ops(s, call->ops, call->n, u, &blocked);
	if (r == 1) {
		call->waiter.num = call->ops[blocked].sem_num;
		call->waiter.zero = call->ops[blocked].sem_op == 0;
		return r;
	}
	if (r < 0)
		return r;
	for (u32 i = 0; i < call->n; i++)
		s->sems[call->ops[i].sem_num].pid = call->c->tgid;
	s->otime = ipc_now(call->c);
	if (alters)
		waitq_wake(&s->object.waitq, ~0u);
	return 0;
}

/* Done, or failed: true. */
static bool op_ready(void *arg)
{
	struct op_call *call = arg;

	GUARD(&call->ns->lock);
	call->result = op_locked(call);
	if (call->result == 1 && !call->waiting) {
		call->waiting = true;
		TAILQ_INSERT_TAIL(&call->set->waiting, &call->waiter, link);
	}
	return call->result != 1;
}

long ipc_semop(struct ctx *c, struct ipcns *ns, s32 id, uaddr_t uops, u64 n, struct deadline d)
{
	AUTO_FREE struct sembuf *ops = NULL;
	AUTO(sem_set) set = NULL;
	struct op_call call = {.c = c, .ns = ns};
	int r;

	if (n == 0 || id < 0)
		return -EINVAL;
	if (n > setting(c->kernel, semopm))
		return -E2BIG;
	ops = calloc(n, sizeof(*ops));
	if (!ops)
		return -ENOMEM;
	r = user_copy_in(c, ops, uops, n * sizeof(*ops));
	if (r < 0)
		return r;
	mutex_lock(&ns->lock);
	set = obj_get(sem_find_locked(ns, id));
	mutex_unlock(&ns->lock);
	if (!set)
		return -EINVAL;
	call.set = set;
	call.ops = ops;
	call.n = (u32)n;
	r = ctx_block(c, &set->object.waitq, op_ready, &call, d);
	if (call.waiting) {
		mutex_lock(&ns->lock);
		TAILQ_REMOVE(&set->waiting, &call.waiter, link);
		mutex_unlock(&ns->lock);
	}
	if (r == 0)
		return call.result;
	return r == -ETIMEDOUT ? -EAGAIN : r == -ERESTARTSYS ? -ERESTARTUNSTOPPED : r;
}

void ipc_sem_exit_locked(struct ipc_object *o, u32 tgid, s64 now)
{
	struct sem_set *s = obj_cast(sem_set, o);
	struct sem_undo *u = undo_of(s, tgid, false);

	if (!u)
		return;
	for (u32 i = 0; i < s->n; i++) {
		int val = s->sems[i].val + u->adjust[i];

		if (u->adjust[i] == 0)
			continue;
		s->sems[i].val = (u16)MIN(MAX(val, 0), VALUE_MAX);
		s->sems[i].pid = tgid;
	}
	s->otime = now;
	drop_undo(s, u);
	waitq_wake(&o->waitq, ~0u);
}

void ipc_sem_line_locked(FILE *out, const struct ipc_object *o)
{
	const struct sem_set *s = container_of(o, struct sem_set, object);

	fprintf(out, "%10u %5u %5u %5u %5u %10lld %10lld", s->n, o->owner.uid, o->owner.gid,
	        o->owner.cuid, o->owner.cgid, (long long)s->otime, (long long)o->ctime);
}
