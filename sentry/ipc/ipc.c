/* The namespace of System V IPC: ids, keys, permissions. */
#include "sentry/ipc/ipc.h"
#include "sentry/auth/creds.h"

#include "proto/ipc.pb-c.h"
#include "state/base/bug.h"
#include "state/fields.h"

#include <errno.h>
#include <linux/capability.h>

/* An id is a slot and, above it, a serial number that tells its successive users apart. */
#define SLOT_BITS 15
#define SLOTS     (1 << SLOT_BITS)

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

	o->owner.id &= INT32_MAX;
}

#define OWNER_FIELDS(F) \
	F(VAL, key) F(VAL, id) F(VAL, uid) F(VAL, gid) F(VAL, cuid) F(VAL, cgid) F(VAL, mode)
STRUCT_FIELDS(ipc_owner, Sentry__IpcOwner, sentry__ipc_owner__descriptor, OWNER_FIELDS);

#define OBJECT_FIELDS(F)                            \
	F(HDR, obj)                                 \
	F(SKIP, link) /* the namespace's list */    \
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

	while ((o = TAILQ_FIRST(&ns->objects))) {
		TAILQ_REMOVE(&ns->objects, o, link);
		obj_put(o);
	}
}

#define NS_FIELDS(F)                       \
	F(HDR, obj)                        \
	F(SKIP, lock)                      \
	F(LIST, objects, ipc_object, link) \
	F(ARRAY, serial)
OBJECT_TYPE(ipcns, Sentry__Ipcns, sentry__ipcns__descriptor, NS_FIELDS, .init = ns_init,
            .destroy = ns_destroy);

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

int ipc_add_locked(struct ipcns *ns, enum ipc_kind kind, struct ctx *c, struct ipc_object *o,
                   s32 key, u32 mode)
{
	s32 slot = 0;

	while (slot < (s32)IPC_OBJECTS_MAX && ipc_by_slot_locked(ns, kind, slot))
		slot++;
	if (slot == (s32)IPC_OBJECTS_MAX)
		return -ENOSPC;
	o->owner = (struct ipc_owner){
		.key = key,
		.id = (s32)(ns->serial[kind]++ % (INT32_MAX >> SLOT_BITS)) << SLOT_BITS | slot,
		.uid = c->creds->euid,
		.gid = c->creds->egid,
		.cuid = c->creds->euid,
		.cgid = c->creds->egid,
		.mode = mode & IPC_MODE,
	};
	o->ctime = ipc_now(c);
	obj_get(o);
	TAILQ_INSERT_TAIL(&ns->objects, o, link);
	return 0;
}

struct ipc_object *ipc_remove_locked(struct ipcns *ns, struct ipc_object *o)
{
	TAILQ_REMOVE(&ns->objects, o, link);
	o->removed = true;
	waitq_wake(&o->waitq, ~0u);
	return o;
}

struct ipc_object *ipc_by_key_locked(struct ipcns *ns, enum ipc_kind kind, s32 key)
{
	struct ipc_object *o;

	if (key == IPC_PRIVATE)
		return NULL;
	TAILQ_FOREACH (o, &ns->objects, link) {
		if (is_kind(o, kind) && o->owner.key == key)
			return o;
	}
	return NULL;
}

struct ipc_object *ipc_by_id_locked(struct ipcns *ns, enum ipc_kind kind, s32 id)
{
	struct ipc_object *o;

	TAILQ_FOREACH (o, &ns->objects, link) {
		if (is_kind(o, kind) && o->owner.id == id)
			return o;
	}
	return NULL;
}

struct ipc_object *ipc_by_slot_locked(struct ipcns *ns, enum ipc_kind kind, s32 slot)
{
	struct ipc_object *o;

	TAILQ_FOREACH (o, &ns->objects, link) {
		if (is_kind(o, kind) && (o->owner.id & (SLOTS - 1)) == slot)
			return o;
	}
	return NULL;
}

s32 ipc_top_slot_locked(struct ipcns *ns, enum ipc_kind kind, u32 *ret_used)
{
	struct ipc_object *o;
	s32 top = -1;

	*ret_used = 0;
	TAILQ_FOREACH (o, &ns->objects, link) {
		if (!is_kind(o, kind))
			continue;
		top = MAX(top, o->owner.id & (SLOTS - 1));
		++*ret_used;
	}
	return top;
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
	ret->__seq = (unsigned short)(o->owner.id >> SLOT_BITS);
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
