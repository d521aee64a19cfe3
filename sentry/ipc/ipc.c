/* The namespace of System V IPC: ids, keys, permissions. */
#include "sentry/ctx/settings.h"
#include "sentry/ipc/ipc.h"
#include "sentry/auth/creds.h"

#include "proto/ipc.pb-c.h"
#include "state/base/bug.h"
#include "state/fields.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/shm.h>

const struct obj_type *const ipc_types[IPC_KINDS] = {
	[IPC_SHM] = &shm_segment_type,
	[IPC_SEM] = &sem_set_type,
	[IPC_MSG] = &msg_queue_type,
};

static void object_init(void *p)
{
	struct ipc_object *o = p;

	waitq_init(&o->waitq);
}

static int object_after_load(struct loader *l, void *p)
{
	struct ipc_object *o = p;

	return o->owner.id < 0 ? loader_range(l, "id") : 0;
}

static void object_sample(struct sampler *sp, void *p)
{
	struct ipc_object *o = p;

	/* A slot that there is. */
	o->owner.id &= INT32_MAX & ~(IPC_SLOTS / 2);
}

#define OWNER_FIELDS(F) \
	F(VAL, key) F(VAL, id) F(VAL, uid) F(VAL, gid) F(VAL, cuid) F(VAL, cgid) F(VAL, mode)
STRUCT_FIELDS(ipc_owner, Sentry__IpcOwner, sentry__ipc_owner__descriptor, OWNER_FIELDS);

#define OBJECT_FIELDS(F)                            \
	F(HDR, obj)                                 \
	F(SKIP, link) /* the namespace's list */    \
	F(SKIP, by_key)                             \
	F(SUB, owner, ipc_owner)                    \
	F(VAL, ctime)                               \
	F(SKIP, removed) /* such are in no image */ \
	F(SKIP, waitq)
OBJECT_TYPE(ipc_object, Sentry__IpcObject, sentry__ipc_object__descriptor, OBJECT_FIELDS,
            .abstract = true, .init = object_init, .after_load = object_after_load,
            .sample = object_sample);

static void ns_init(void *p)
{
	struct ipcns *ns = p;

	mutex_init(&ns->lock, RANK_IPC);
	TAILQ_INIT(&ns->objects);
}

static void ns_destroy(void *p)
{
	struct ipcns *ns = p;
	struct ipc_object *o;

	for (int kind = 0; kind < IPC_KINDS; kind++)
		ipc_index_finish(&ns->index[kind]);
	while ((o = TAILQ_FIRST(&ns->objects))) {
		TAILQ_REMOVE(&ns->objects, o, link);
		obj_put(o);
	}
}

static enum ipc_kind kind_of(const struct ipc_object *o)
{
	enum ipc_kind kind = 0;

	while (o->obj.type != ipc_types[kind])
		kind++;
	return kind;
}

/* What is counted besides the objects themselves. */
static void count(struct ipcns *ns, const struct ipc_object *o, bool added)
{
	u32 sems = ipc_sems(o), doomed = (o->owner.mode & SHM_DEST) != 0;

	ns->n_sems += added ? sems : -(u64)sems;
	ns->n_doomed += added ? doomed : -doomed;
}

static int ns_after_load(struct loader *l, void *p)
{
	struct ipcns *ns = p;
	struct ipc_object *o;

	TAILQ_FOREACH (o, &ns->objects, link) {
		if (ipc_index_add(&ns->index[kind_of(o)], o) < 0)
			return loader_range(l, "objects");
		count(ns, o, true);
	}
	return 0;
}

#define NS_FIELDS(F)                          \
	F(HDR, obj)                           \
	F(SKIP, lock)                         \
	F(LIST, objects, ipc_object, link)    \
	F(ARRAY, serial)                      \
	F(SKIP_ARRAY, index) /* of objects */ \
	F(SKIP, n_sems)                       \
	F(SKIP, n_doomed)
OBJECT_TYPE(ipcns, Sentry__Ipcns, sentry__ipcns__descriptor, NS_FIELDS, .init = ns_init,
            .destroy = ns_destroy, .after_load = ns_after_load);

struct ipcns *ipcns_new(void)
{
	return obj_new(ipcns);
}

s64 ipc_now(struct ctx *c)
{
	return clock_real(c->clocks) / NSEC_PER_SEC;
}

static bool is_kind(const struct ipc_object *o, enum ipc_kind kind)
{
	return o->obj.type == ipc_types[kind];
}

/* The slot of the next object and the serial number in its id: what was asked for by
 * /proc/sys/kernel/shm_next_id and the like, once, or as it comes. -ENOSPC. */
static s32 choose_id_locked(struct ipcns *ns, enum ipc_kind kind, struct ctx *c, u32 *ret_serial)
{
	static const enum setting wanted[IPC_KINDS] = {
		[IPC_SHM] = SETTING_shm_next_id,
		[IPC_SEM] = SETTING_sem_next_id,
		[IPC_MSG] = SETTING_msg_next_id,
	};
	u64 want = setting_get(c->kernel, wanted[kind]);
	s32 slot;

	if (likely(want == 0)) {
		slot = ipc_index_free_slot(&ns->index[kind]);
		if (slot >= 0)
			*ret_serial = ns->serial[kind]++;
		return slot;
	}
	BUG_ON(setting_set(c->kernel, wanted[kind], 0) < 0);
	*ret_serial = (u32)((want - 1) >> IPC_SLOT_BITS);
	return ipc_index_free_from(&ns->index[kind], (u32)(want - 1) & (IPC_SLOTS - 1));
}

int ipc_add_locked(struct ipcns *ns, enum ipc_kind kind, struct ctx *c, struct ipc_object *o,
                   s32 key, u32 mode)
{
	static const enum setting most[IPC_KINDS] = {
		[IPC_SHM] = SETTING_shmmni,
		[IPC_SEM] = SETTING_semmni,
		[IPC_MSG] = SETTING_msgmni,
	};
	u32 used, serial;
	s32 slot;
	int r;

	ipc_top_slot_locked(ns, kind, &used);
	if (used >= setting_get(c->kernel, most[kind]))
		return -ENOSPC;
	slot = choose_id_locked(ns, kind, c, &serial);
	if (slot < 0)
		return slot;
	o->owner = (struct ipc_owner){
		.key = key,
		.id = (s32)(serial % ((INT32_MAX >> IPC_SLOT_BITS) + 1)) << IPC_SLOT_BITS | slot,
		.uid = c->creds->euid,
		.gid = c->creds->egid,
		.cuid = c->creds->euid,
		.cgid = c->creds->egid,
		.mode = mode & IPC_MODE,
	};
	o->ctime = ipc_now(c);
	r = ipc_index_add(&ns->index[kind], o);
	if (r < 0)
		return r;
	count(ns, o, true);
	obj_get(o);
	TAILQ_INSERT_TAIL(&ns->objects, o, link);
	return 0;
}

void ipc_doom_locked(struct ipcns *ns, struct ipc_object *o)
{
	count(ns, o, false);
	o->owner.mode |= SHM_DEST;
	ipc_index_forget_key(&ns->index[kind_of(o)], o);
	count(ns, o, true);
}

struct ipc_object *ipc_remove_locked(struct ipcns *ns, struct ipc_object *o)
{
	TAILQ_REMOVE(&ns->objects, o, link);
	ipc_index_remove(&ns->index[kind_of(o)], o);
	count(ns, o, false);
	o->removed = true;
	waitq_wake(&o->waitq, ~0u);
	return o;
}

struct ipc_object *ipc_by_key_locked(struct ipcns *ns, enum ipc_kind kind, s32 key)
{
	return ipc_index_by_key(&ns->index[kind], key);
}

struct ipc_object *ipc_by_id_locked(struct ipcns *ns, enum ipc_kind kind, s32 id)
{
	struct ipc_object *o = ipc_by_slot_locked(ns, kind, id & (IPC_SLOTS - 1));

	return o && o->owner.id == id ? o : NULL;
}

struct ipc_object *ipc_by_slot_locked(struct ipcns *ns, enum ipc_kind kind, s32 slot)
{
	return ipc_index_by_slot(&ns->index[kind], slot);
}

int ipc_find_stat_locked(struct ctx *c, struct ipcns *ns, enum ipc_kind kind, s32 id, bool by_slot,
                         bool any, struct ipc_object **ret)
{
	struct ipc_object *o =
		by_slot ? ipc_by_slot_locked(ns, kind, id) : ipc_by_id_locked(ns, kind, id);

	*ret = o;
	return !o ? -EINVAL : any ? 0 : ipc_may(c, o, 4);
}

s32 ipc_top_slot_locked(struct ipcns *ns, enum ipc_kind kind, u32 *ret_used)
{
	*ret_used = ns->index[kind].used;
	return ipc_index_top(&ns->index[kind]);
}

int ipc_may(struct ctx *c, const struct ipc_object *o, u32 want)
{
	const struct creds *cr = c->creds;
	u32 mode = o->owner.mode;

	if (cr->euid == o->owner.uid || cr->euid == o->owner.cuid)
		mode >>= 6;
	else if (creds_in_group(cr, o->owner.gid) || creds_in_group(cr, o->owner.cgid))
		mode >>= 3;
	if ((want & ~mode & 7) && !creds_capable(cr, CAP_IPC_OWNER))
		return -EACCES;
	return 0;
}

int ipc_may_control(struct ctx *c, const struct ipc_object *o)
{
	const struct creds *cr = c->creds;

	if (cr->euid == o->owner.uid || cr->euid == o->owner.cuid ||
	    creds_capable(cr, CAP_SYS_ADMIN))
		return 0;
	return -EPERM;
}

long ipc_found(struct ctx *c, const struct ipc_object *o, int flags)
{
	u32 want = (u32)flags & IPC_MODE;
	int r;

	if ((flags & IPC_CREAT) && (flags & IPC_EXCL))
		return -EEXIST;
	r = ipc_may(c, o, (want >> 6) | (want >> 3) | want);
	return r < 0 ? r : o->owner.id;
}

void ipc_perm_out(const struct ipc_object *o, struct ipc_perm *ret)
{
	ret->__key = o->owner.key;
	ret->uid = o->owner.uid;
	ret->gid = o->owner.gid;
	ret->cuid = o->owner.cuid;
	ret->cgid = o->owner.cgid;
	ret->mode = (unsigned short)o->owner.mode;
	ret->__seq = (unsigned short)(o->owner.id >> IPC_SLOT_BITS);
}

void ipc_perm_set(struct ctx *c, struct ipc_object *o, const struct ipc_perm *p)
{
	o->owner.uid = p->uid;
	o->owner.gid = p->gid;
	o->owner.mode = (o->owner.mode & ~IPC_MODE) | (p->mode & IPC_MODE);
	o->ctime = ipc_now(c);
}

static void table_line(FILE *out, enum ipc_kind kind, const struct ipc_object *o)
{
	fprintf(out, "%10d %10d  %4o ", o->owner.key, o->owner.id, o->owner.mode);
	switch (kind) {
	case IPC_SHM:
		ipc_shm_line_locked(out, o);
		break;
	case IPC_SEM:
		ipc_sem_line_locked(out, o);
		break;
	default:
		ipc_msg_line_locked(out, o);
		break;
	}
	fputc('\n', out);
}

char *ipc_table(struct ipcns *ns, enum ipc_kind kind)
{
	static const char *const heads[IPC_KINDS] = {
		[IPC_SHM] =
			"       key      shmid perms                  size  cpid  lpid nattch   "
			"uid   gid  cuid  cgid      atime      dtime      ctime"
			"                   rss                  swap",
		[IPC_SEM] = "       key      semid perms      nsems   uid   gid  cuid  cgid      "
			    "otime      ctime",
		[IPC_MSG] =
			"       key      msqid perms      cbytes       qnum lspid lrpid   uid   "
			"gid  cuid  cgid      stime      rtime      ctime",
	};
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	u32 used;

	BUG_ON(!out);
	fprintf(out, "%s\n", heads[kind]);
	mutex_lock(&ns->lock);
	for (s32 slot = 0, top = ipc_top_slot_locked(ns, kind, &used); slot <= top; slot++) {
		const struct ipc_object *o = ipc_by_slot_locked(ns, kind, slot);

		if (o)
			table_line(out, kind, o);
	}
	mutex_unlock(&ns->lock);
	fclose(out);
	BUG_ON(!text);
	return text;
}

void ipc_exit(struct ipcns *ns, struct clocks *clocks, u32 tgid)
{
	s64 now = clock_real(clocks) / NSEC_PER_SEC;
	struct ipc_object *o, *gone;

	do {
		mutex_lock(&ns->lock);
		TAILQ_FOREACH (o, &ns->objects, link) {
			if (is_kind(o, IPC_SEM))
				ipc_sem_exit_locked(o, tgid, now);
		}
		gone = ipc_shm_sweep_locked(ns);
		mutex_unlock(&ns->lock);
		obj_put(gone);
	} while (gone);
}
