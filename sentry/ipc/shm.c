/* Shared memory segments: shmget(2), shmop(2), shmctl(2). */
#include "sentry/ctx/settings.h"
#include "sentry/auth/creds.h"
#include "sentry/ipc/ipc.h"
#include "sentry/mm/memfile.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/shmem.h"
#include "sentry/mm/usercopy.h"
#include "sentry/kernel/kernel.h"

#include "proto/ipc.pb-c.h"
#include "state/fields.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/shm.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef SHM_STAT_ANY
#define SHM_STAT_ANY 15
#endif

#define SIZE_MAPPABLE (1ull << 46)

/* What /proc/PID/maps calls a mapping of a segment; also how shmdt knows one. */
struct shm_name {
	struct mapid mapid;
	u32 key;
	s32 id;
};
OBJECT_DECL(shm_name);

struct shm_segment {
	struct ipc_object object;
	struct shmem *memory;  /* owned */
	struct shm_name *name; /* owned */
	u64 size;
	s64 atime, dtime;
	u32 cpid, lpid;
};

static void name_describe(struct mapid *id, char *buf, size_t size, u64 *ret_dev, u64 *ret_ino)
{
	struct shm_name *n = container_of(id, struct shm_name, mapid);

	snprintf(buf, size, "/SYSV%08x (deleted)", n->key);
	*ret_dev = 1;
	*ret_ino = (u64)n->id;
}
static const struct mapid_ops name_ops = {.describe = name_describe};

#define NAME_FIELDS(F) F(HDR, mapid) F(VAL, key) F(VAL, id)
OBJECT_TYPE(shm_name, Sentry__ShmName, sentry__shm_name__descriptor, NAME_FIELDS,
            .base = &mapid_type, .ops = &name_ops);

static void segment_destroy(void *p)
{
	struct shm_segment *s = p;

	obj_put(s->memory);
	obj_put(s->name);
}

static int segment_after_load(struct loader *l, void *p)
{
	struct shm_segment *s = p;

	return s->memory && s->name && s->size <= SIZE_MAPPABLE ? 0 : loader_range(l, "memory");
}

static void segment_sample(struct sampler *sp, void *p)
{
	struct shm_segment *s = p;

	s->size = 8192;
}

#define SEGMENT_FIELDS(F)           \
	F(BASE, object, ipc_object) \
	F(REF, memory, shmem)       \
	F(REF, name, shm_name)      \
	F(VAL, size)                \
	F(VAL, atime)               \
	F(VAL, dtime)               \
	F(VAL, cpid)                \
	F(VAL, lpid)
OBJECT_TYPE(shm_segment, Sentry__ShmSegment, sentry__shm_segment__descriptor, SEGMENT_FIELDS,
            .base = &ipc_object_type, .destroy = segment_destroy, .after_load = segment_after_load,
            .sample = segment_sample);

static u32 attached(const struct shm_segment *s)
{
	return atomic_load(&((struct mappable *)s->memory)->mapped);
}

struct ipc_object *ipc_shm_sweep_locked(struct ipcns *ns)
{
	struct ipc_object *o;

	if (ns->n_doomed == 0)
		return NULL;
	TAILQ_FOREACH (o, &ns->objects, link) {
		struct shm_segment *s = obj_cast(shm_segment, o);

		if (s && (o->owner.mode & SHM_DEST) && attached(s) == 0)
			return ipc_remove_locked(ns, o);
	}
	return NULL;
}

static void sweep(struct ipcns *ns)
{
	struct ipc_object *gone;

	do {
		mutex_lock(&ns->lock);
		gone = ipc_shm_sweep_locked(ns);
		mutex_unlock(&ns->lock);
		obj_put(gone);
	} while (gone);
}

static struct shm_segment *find_locked(struct ipcns *ns, s32 id)
{
	struct ipc_object *o = ipc_by_id_locked(ns, IPC_SHM, id);

	return o ? obj_cast(shm_segment, o) : NULL;
}

static u64 pages_locked(struct ipcns *ns)
{
	struct ipc_object *o;
	u64 n = 0;

	TAILQ_FOREACH (o, &ns->objects, link) {
		if (o->obj.type == &shm_segment_type)
			n += PAGE_UP(obj_cast(shm_segment, o)->size) / PAGE_SIZE;
	}
	return n;
}

static long get_locked(struct ctx *c, struct ipcns *ns, s32 key, u64 size, int flags,
                       struct shm_segment *fresh)
{
	struct ipc_object *o = ipc_by_key_locked(ns, IPC_SHM, key);
	int r;

	if (o) {
		long id = ipc_found(c, o, flags);

		return id >= 0 && size > obj_cast(shm_segment, o)->size ? -EINVAL : id;
	}
	if (key != IPC_PRIVATE && !(flags & IPC_CREAT))
		return -ENOENT;
	if (!fresh)
		return -EINVAL;
	if (pages_locked(ns) + PAGE_UP(fresh->size) / PAGE_SIZE > setting(c->kernel, shmall))
		return -ENOSPC;
	r = ipc_add_locked(ns, IPC_SHM, c, &fresh->object, key, (u32)flags);
	if (r < 0)
		return r;
	fresh->cpid = c->tgid;
	fresh->name->key = (u32)key;
	fresh->name->id = fresh->object.owner.id;
	return fresh->object.owner.id;
}

long ipc_shmget(struct ctx *c, struct ipcns *ns, s32 key, u64 size, int flags)
{
	struct shm_segment *fresh = NULL;
	long r;

	sweep(ns);
	if (size > 0 && size <= setting(c->kernel, shmmax)) {
		if (size > SIZE_MAPPABLE ||
		    (!(flags & SHM_NORESERVE) && size > c->kernel->machine->memfile->total_ram))
			return -ENOMEM;
		if (flags & SHM_HUGETLB)
			return -ENOMEM; /* none are reserved */
		fresh = obj_new(shm_segment);
		fresh->memory = shmem_new(c->kernel, PAGE_UP(size));
		fresh->name = obj_new(shm_name);
		fresh->size = size;
	}
	mutex_lock(&ns->lock);
	r = get_locked(c, ns, key, size, flags, fresh);
	mutex_unlock(&ns->lock);
	obj_put(fresh);
	return r;
}

/* The segment for shmat: a reference to what is mapped. */
static int pick(struct ctx *c, struct ipcns *ns, s32 id, u32 want, struct mmap_args *ret)
{
	struct shm_segment *s;
	int r;

	GUARD(&ns->lock);
	s = find_locked(ns, id);
	if (!s)
		return -EINVAL;
	r = ipc_may(c, &s->object, want);
	if (r < 0)
		return r;
	ret->len = PAGE_UP(s->size);
	ret->mappable = obj_get((struct mappable *)s->memory);
	ret->id = obj_get(&s->name->mapid);
	return 0;
}

long ipc_shmat(struct ctx *c, struct ipcns *ns, s32 id, u64 addr, int flags)
{
	bool readonly = flags & SHM_RDONLY;
	struct mmap_args a = {
		.flags = MAP_SHARED,
		.prot = PROT_READ | (readonly ? 0 : PROT_WRITE) |
	                (flags & SHM_EXEC ? PROT_EXEC : 0),
		.max_prot = PROT_READ | PROT_EXEC | (readonly ? 0 : PROT_WRITE),
	};
	struct shm_segment *s;
	s64 r;

	if (id < 0)
		return -EINVAL;
	if (addr) {
		if (flags & SHM_RND)
			addr = PAGE_DOWN(addr);
		if (!IS_ALIGNED(addr, PAGE_SIZE) || (!addr && (flags & SHM_REMAP)))
			return -EINVAL;
		a.flags |= flags & SHM_REMAP ? MAP_FIXED : MAP_FIXED_NOREPLACE;
	} else if (flags & SHM_REMAP) {
		return -EINVAL;
	}
	a.addr = addr;
	r = pick(c, ns, id, readonly ? 4 : 6, &a);
	if (r < 0)
		return r;
	r = mm_mmap(c->mm, c, &a);
	obj_put(a.mappable);
	obj_put(a.id);
	if (r < 0)
		return r == -EEXIST ? -EINVAL : r;
	mutex_lock(&ns->lock);
	s = find_locked(ns, id);
	if (s) {
		s->atime = ipc_now(c);
		s->lpid = c->tgid;
	}
	mutex_unlock(&ns->lock);
	return r;
}

long ipc_shmdt(struct ctx *c, struct ipcns *ns, u64 addr)
{
	struct mapid *id = NULL;
	struct shm_segment *s;
	int r;

	if (!IS_ALIGNED(addr, PAGE_SIZE))
		return -EINVAL;
	r = mm_detach(c->mm, addr, &shm_name_type, &id);
	if (r < 0)
		return r;
	mutex_lock(&ns->lock);
	s = find_locked(ns, container_of(id, struct shm_name, mapid)->id);
	if (s) {
		s->dtime = ipc_now(c);
		s->lpid = c->tgid;
	}
	mutex_unlock(&ns->lock);
	obj_put(id);
	sweep(ns);
	return 0;
}

static long stat_out(struct ctx *c, struct ipcns *ns, s32 id, int cmd, uaddr_t buf)
{
	struct shmid_ds ds = {0};
	struct ipc_object *o;
	struct shm_segment *s;
	long r;

	mutex_lock(&ns->lock);
	r = ipc_find_stat_locked(c, ns, IPC_SHM, id, cmd != IPC_STAT, cmd == SHM_STAT_ANY, &o);
	if (r == 0) {
		s = obj_cast(shm_segment, o);
		ipc_perm_out(o, &ds.shm_perm);
		ds.shm_segsz = s->size;
		ds.shm_atime = s->atime;
		ds.shm_dtime = s->dtime;
		ds.shm_ctime = o->ctime;
		ds.shm_cpid = (pid_t)s->cpid;
		ds.shm_lpid = (pid_t)s->lpid;
		ds.shm_nattch = attached(s);
		r = cmd == IPC_STAT ? 0 : o->owner.id;
	}
	mutex_unlock(&ns->lock);
	if (r < 0)
		return r;
	return user_put(c, buf, &ds) < 0 ? -EFAULT : r;
}

static long change(struct ctx *c, struct ipcns *ns, s32 id, int cmd, uaddr_t buf)
{
	struct shmid_ds ds = {0};
	struct shm_segment *s;
	int r;

	if (cmd == IPC_SET) {
		r = user_get(c, buf, &ds);
		if (r < 0)
			return r;
	}
	GUARD(&ns->lock);
	s = find_locked(ns, id);
	if (!s)
		return -EINVAL;
	if (cmd == SHM_LOCK || cmd == SHM_UNLOCK) {
		if (!creds_capable(c->creds, CAP_IPC_LOCK) && ipc_may_control(c, &s->object) < 0)
			return -EPERM;
		if (cmd == SHM_LOCK)
			s->object.owner.mode |= SHM_LOCKED;
		else
			s->object.owner.mode &= ~(u32)SHM_LOCKED;
		return 0;
	}
	r = ipc_may_control(c, &s->object);
	if (r < 0)
		return r;
	if (cmd == IPC_SET)
		ipc_perm_set(c, &s->object, &ds.shm_perm);
	else
		ipc_doom_locked(ns, &s->object);
	return 0;
}

static long info(struct ctx *c, struct ipcns *ns, int cmd, uaddr_t buf)
{
	struct shminfo limits = {.shmmax = setting(c->kernel, shmmax),
	                         .shmmin = 1,
	                         .shmmni = setting(c->kernel, shmmni),
	                         .shmseg = setting(c->kernel, shmmni),
	                         .shmall = setting(c->kernel, shmall)};
	struct shm_info usage = {0};
	struct ipc_object *o;
	u32 used;
	s32 top;
	int r;

	mutex_lock(&ns->lock);
	top = ipc_top_slot_locked(ns, IPC_SHM, &used);
	TAILQ_FOREACH (o, &ns->objects, link) {
		struct shm_segment *s = obj_cast(shm_segment, o);

		if (!s)
			continue;
		usage.shm_tot += PAGE_UP(s->size) / PAGE_SIZE;
		usage.shm_rss += shmem_bytes(s->memory) / PAGE_SIZE;
	}
	mutex_unlock(&ns->lock);
	usage.used_ids = (int)used;
	r = cmd == IPC_INFO ? user_put(c, buf, &limits) : user_put(c, buf, &usage);
	return r < 0 ? r : MAX(top, 0);
}

long ipc_shmctl(struct ctx *c, struct ipcns *ns, s32 id, int cmd, uaddr_t buf)
{
	long r;

	if (id < 0 || cmd < 0)
		return -EINVAL;
	sweep(ns);
	switch (cmd) {
	case IPC_INFO:
	case SHM_INFO:
		return info(c, ns, cmd, buf);
	case IPC_STAT:
	case SHM_STAT:
	case SHM_STAT_ANY:
		return stat_out(c, ns, id, cmd, buf);
	case IPC_SET:
	case IPC_RMID:
	case SHM_LOCK:
	case SHM_UNLOCK:
		r = change(c, ns, id, cmd, buf);
		sweep(ns);
		return r;
	default:
		return -EINVAL;
	}
}

void ipc_shm_line_locked(FILE *out, const struct ipc_object *o)
{
	const struct shm_segment *s = container_of(o, struct shm_segment, object);

	fprintf(out, "%21llu %5u %5u  %5u %5u %5u %5u %5u %10lld %10lld %10lld %21llu %21u",
	        (unsigned long long)s->size, s->cpid, s->lpid, attached(s), o->owner.uid,
	        o->owner.gid, o->owner.cuid, o->owner.cgid, (long long)s->atime,
	        (long long)s->dtime, (long long)o->ctime,
	        (unsigned long long)shmem_bytes(s->memory), 0u);
}
