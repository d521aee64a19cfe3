#include "sentry/fs/gofer/gofer_fs.h"
#include "sentry/fs/gofer/stamp.h"
#include "sentry/kernel/kernel.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/pageload.h"
#include "sentry/mm/shmem.h"
#include "state/base/buf.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

#include <string.h>

/* The vehicles are found again by path; the stamp's two values are one message. */
#define GOFER_INODE_FIELDS(X)               \
	X(BASE, inode, inode)               \
	X(REF, parent, gofer_inode)         \
	X(STR, name)                        \
	X(VAL, deleted)                     \
	X(STR, target)                      \
	X(VAL, blocks)                      \
	X(CUSTOM, stamp_mtime, gofer_inode) \
	X(SKIP, stamp_size)                 \
	X(SKIP, stamped)                    \
	X(SKIP, host_moved)                 \
	X(CUSTOM, data, gofer_inode)        \
	X(SKIP, fid)                        \
	X(SKIP, attr_old)                   \
	X(SKIP, attr_time)                  \
	X(SKIP, ro)                         \
	X(SKIP, rw)                         \
	X(SKIP, rw_readable)                \
	X(SKIP, users)                      \
	X(SKIP, idle)                       \
	X(SKIP, idle_link)                  \
	X(SKIP, hash_next)                  \
	X(SKIP, in_table)                   \
	X(SKIP, ahead)                      \
	X(SKIP, changes)

#define MAX_DEPTH 100000u

static void gofer_inode_init(void *p)
{
	((struct gofer_inode *)p)->fid = P9_NOFID;
}

static struct gofer_inode **bucket(struct gofer_super *gs, u64 ino)
{
	return &gs->table[(ino ^ ino >> 13) % GOFER_BUCKETS];
}

/* A host file with several names, or looked up twice, is one inode. */
static void table_insert(struct gofer_super *gs, struct gofer_inode *gi)
{
	struct gofer_inode **b = bucket(gs, gi->inode.ino);

	gi->hash_next = *b;
	*b = gi;
	gi->in_table = true;
}
static void table_remove(struct gofer_super *gs, struct gofer_inode *gi)
{
	struct gofer_inode **p = bucket(gs, gi->inode.ino);

	if (!gi->in_table)
		return;
	while (*p != gi)
		p = &(*p)->hash_next;
	*p = gi->hash_next;
	gi->in_table = false;
}

/* As with dentries: a deep chain of parents goes in a loop. */
static __thread bool dying;
static __thread struct gofer_inode *dying_parent;

static void put_parent(struct gofer_inode *parent)
{
	if (dying) {
		if (dying_parent)
			obj_put(parent);
		else
			dying_parent = parent;
		return;
	}
	dying = true;
	for (; parent; parent = TAKE(dying_parent))
		obj_put(parent);
	dying = false;
}

static void gofer_inode_destroy(void *p)
{
	struct gofer_inode *gi = p;
	struct super_block *sb = gi->inode.sb;

	if (sb && obj_is(sb, &gofer_super_type)) {
		struct gofer_super *gs = gofer_sb(&gi->inode);

		mutex_lock(&gs->lock);
		table_remove(gs, gi);
		if (gi->idle) {
			TAILQ_REMOVE(&gs->idle, gi, idle_link);
			gs->n_idle--;
			gi->idle = false;
		}
		mutex_unlock(&gs->lock);
		if (gi->fid != P9_NOFID && gs->client)
			p9_client_clunk_later(gs->client, gi->fid);
	}
	if (gi->ro)
		mapfile_put(TAKE(gi->ro));
	if (gi->rw)
		mapfile_put(TAKE(gi->rw));
	shmem_put(TAKE(gi->data));
	free(TAKE(gi->name));
	free(TAKE(gi->target));
	if (gi->parent)
		put_parent(TAKE(gi->parent));
}

int gofer_check_chain(struct loader *l, const struct gofer_inode *gi)
{
	const struct gofer_inode *a;
	u32 depth = 0;

	if (!gi->inode.sb || !obj_is(gi->inode.sb, &gofer_super_type))
		return loader_error(l, "host file outside a gofer mount");
	for (a = gi; a; a = a->parent) {
		if (++depth > MAX_DEPTH)
			return loader_error(l, "host directory is its own ancestor");
		if (a->inode.sb != gi->inode.sb)
			return loader_error(l, "host file in another mount's directory");
		if (a->parent && !gi->deleted && (!a->name || !p9_name_ok(p9_str(a->name))))
			return loader_error(l, "bad host file name");
	}
	return 0;
}

static int gofer_inode_after_load(struct loader *l, void *p)
{
	struct gofer_inode *gi = p;
	struct gofer_super *gs;
	int r = gofer_check_chain(l, gi);

	if (r < 0)
		return r;
	gs = gofer_sb(&gi->inode);
	if (inode_is_lnk(&gi->inode) && !gi->target)
		return loader_error(l, "symbolic link without a target");
	if (loader_user(l))
		gofer_connect(gs, ((struct kernel_load *)loader_user(l))->machine);
	if (!gi->deleted) {
		mutex_lock(&gs->lock);
		table_insert(gs, gi);
		mutex_unlock(&gs->lock);
		gi->attr_old = true;
	}
	/* Nobody had it open for reading or writing: nobody will miss the content. */
	if (gi->deleted && inode_is_reg(&gi->inode) && !gi->data)
		gi->data = shmem_new(gs->kernel, 0);
	if (gi->data)
		gi->inode.size = shmem_size(gi->data);
	return 0;
}
static void gofer_inode_sample(struct sampler *sp, void *p)
{
	struct gofer_inode *gi = p, *a = gi->parent;

	gi->deleted = true;
	gi->inode.size = shmem_size(gi->data) ? shmem_size(gi->data) : 1;
	while (a && a != gi)
		a = a->parent;
	if (a) {
		obj_put(gi->parent);
		gi->parent = NULL;
	}
	if (!obj_is(gi->inode.sb, &gofer_super_type) || gi->parent) {
		obj_put(gi->inode.sb);
		gi->inode.sb = gi->parent ? super_block_get(gi->parent->inode.sb)
		                          : sampler_ref(sp, &gofer_super_type);
	}
}
OBJECT_TYPE(gofer_inode, Sentry__GoferInode, sentry__gofer_inode__descriptor, GOFER_INODE_FIELDS,
            .base = &inode_type, .ops = &gofer_inode_ops, .init = gofer_inode_init,
            .destroy = gofer_inode_destroy, .after_load = gofer_inode_after_load,
            .sample = gofer_inode_sample);

/* ---- attributes ---- */

static s64 host_ns(u64 sec, u64 nsec)
{
	s64 s = (s64)sec;

	if (s > INT64_MAX / NSEC_PER_SEC - 1)
		return INT64_MAX;
	if (s < INT64_MIN / NSEC_PER_SEC + 1)
		return INT64_MIN;
	return s * NSEC_PER_SEC + (s64)(nsec % (u64)NSEC_PER_SEC);
}

static s64 host_mono(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

/* inode lock held, or nobody else has gi yet. The type bits never change. */
static void apply_locked(struct gofer_inode *gi, const struct p9_attr *a)
{
	struct inode *i = &gi->inode;

	i->mode = (i->mode & S_IFMT) | (a->mode & 07777);
	i->uid = a->uid;
	i->gid = a->gid;
	i->nlink = (u32)a->nlink;
	WRITE_ONCE(i->size, MIN(a->size, (u64)INT64_MAX));
	i->atime = host_ns(a->atime_sec, a->atime_nsec);
	i->mtime = host_ns(a->mtime_sec, a->mtime_nsec);
	i->ctime = host_ns(a->ctime_sec, a->ctime_nsec);
	if (a->valid & P9_GETATTR_BTIME)
		i->btime = host_ns(a->btime_sec, a->btime_nsec);
	WRITE_ONCE(gi->blocks, a->blocks);
	gi->stamped = false;
	gi->attr_old = false;
	gi->attr_time = host_mono();
}

void gofer_apply_attr(struct gofer_inode *gi, const struct p9_attr *a)
{
	GUARD(&gi->inode.lock);
	apply_locked(gi, a);
}

int gofer_refresh(struct gofer_inode *gi)
{
	struct gofer_super *gs = gofer_sb(&gi->inode);
	struct p9_attr a;
	u32 fid;
	int r;

	/* What has no name any more and no fid yet is as the image says. */
	if (gofer_attr_fresh(gi) || gi->data || (gi->deleted && gi->fid == P9_NOFID))
		return 0;
	r = gofer_fid(gi, &fid);
	if (r == 0)
		r = p9_client_getattr(gs->client, fid, &a);
	if (r == 0)
		gofer_apply_attr(gi, &a);
	return r;
}

/* ---- finding ---- */

struct gofer_inode *gofer_inode_get_or_new(struct gofer_super *gs, struct gofer_inode *parent,
                                           const char *name, const struct p9_attr *a, u32 fid,
                                           const char *target)
{
	struct gofer_inode *gi, *found = NULL;
	u32 old = P9_NOFID;

	mutex_lock(&gs->lock);
	for (gi = *bucket(gs, a->qid.path); gi; gi = gi->hash_next) {
		if (gi->inode.ino == a->qid.path &&
		    (gi->inode.mode & S_IFMT) == (a->mode & S_IFMT) && !gi->deleted &&
		    obj_tryget(gi)) {
			found = gi;
			break;
		}
	}
	mutex_unlock(&gs->lock);
	if (found) {
		mutex_lock(&found->inode.lock);
		apply_locked(found, a);
		if (found->fid == P9_NOFID)
			found->fid = fid;
		else
			old = fid;
		mutex_unlock(&found->inode.lock);
		if (old != P9_NOFID)
			p9_client_clunk_later(gs->client, old);
		return found;
	}
	gi = obj_new(gofer_inode);
	inode_setup(&gi->inode, &gs->sb, NULL, a->qid.path, a->mode);
	gi->inode.rdev = (u32)a->rdev;
	gi->parent = gofer_inode_get(parent);
	gi->name = name ? strdup(name) : NULL;
	gi->target = target ? strdup(target) : NULL;
	gi->fid = fid;
	apply_locked(gi, a);
	mutex_lock(&gs->lock);
	table_insert(gs, gi);
	mutex_unlock(&gs->lock);
	return gi;
}

char *gofer_path(struct gofer_inode *gi)
{
	struct gofer_super *gs = gofer_sb(&gi->inode);
	char *text = strdup(""), *longer;
	GUARD(&gs->lock);

	for (; gi->parent; gi = gi->parent) {
		longer = format_line("/%s%s", gi->name ? gi->name : "?", text);
		free(text);
		text = longer;
	}
	if (!text[0]) {
		free(text);
		text = strdup("/");
	}
	BUG_ON(!text);
	return text;
}

/* One step of finding a fid again: attach for the root, else a walk from the parent, which has one.
 */
static int find_fid(struct gofer_inode *gi)
{
	struct gofer_super *gs = gofer_sb(&gi->inode);
	AUTO(gofer_inode) parent = NULL;
	AUTO_FREE char *name = NULL;
	struct p9_attr a;
	u32 fid;
	int r;

	if (!gs->client)
		return -EIO;
	mutex_lock(&gs->lock);
	parent = gofer_inode_get(gi->parent);
	name = gi->name ? strdup(gi->name) : NULL;
	mutex_unlock(&gs->lock);
	if (gi->deleted)
		return -ESTALE;
	if (!parent) {
		r = p9_client_attach(gs->client, gs->aname, &fid, &a);
	} else {
		r = p9_client_walk1(gs->client, parent->fid, name, &fid, &a);
		if (r == -EMFILE) {
			super_shrink(&gs->sb);
			r = p9_client_walk1(gs->client, parent->fid, name, &fid, &a);
		}
	}
	if (r < 0)
		return r == -ENOENT ? -ESTALE : r;
	if ((a.mode & S_IFMT) != (gi->inode.mode & S_IFMT)) {
		p9_client_clunk_later(gs->client, fid);
		return -ESTALE;
	}
	mutex_lock(&gi->inode.lock);
	if (gi->fid == P9_NOFID) {
		gi->fid = fid;
		fid = P9_NOFID;
		/* What was loaded stays as it was saved until somebody asks for attributes. */
		if (gi->stamped)
			gi->host_moved = a.size != gi->stamp_size ||
			                 host_ns(a.mtime_sec, a.mtime_nsec) != gi->stamp_mtime;
		else
			apply_locked(gi, &a);
	}
	mutex_unlock(&gi->inode.lock);
	if (fid != P9_NOFID)
		p9_client_clunk_later(gs->client, fid);
	return 0;
}

int gofer_fid(struct gofer_inode *gi, u32 *ret)
{
	struct gofer_super *gs = gofer_sb(&gi->inode);
	u32 fid = READ_ONCE(gi->fid);

	while (unlikely(fid == P9_NOFID)) {
		/* The highest ancestor that has none is found first; then the next. */
		AUTO(gofer_inode) top = gofer_inode_get(gi);
		int r;

		for (;;) {
			AUTO(gofer_inode) up = NULL;

			mutex_lock(&gs->lock);
			up = gofer_inode_get(top->parent);
			mutex_unlock(&gs->lock);
			if (!up || READ_ONCE(up->fid) != P9_NOFID)
				break;
			gofer_inode_put(top);
			top = TAKE(up);
		}
		r = find_fid(top);
		if (r < 0)
			return r;
		fid = READ_ONCE(gi->fid);
	}
	*ret = fid;
	return 0;
}

/* ---- operations on attributes ---- */

static int gofer_getattr(struct inode *i, struct ctx *c, struct kstat *ret)
{
	int r = gofer_refresh(gofer_i(i));

	(void)c;
	if (r < 0)
		return r;
	inode_fill_stat(i, ret);
	if (!gofer_i(i)->data)
		ret->blocks = READ_ONCE(gofer_i(i)->blocks);
	return 0;
}

static void put_time(s64 ns, uint64_t *sec, uint64_t *nsec)
{
	struct timespec ts = ns_timespec(ns);

	*sec = (u64)ts.tv_sec;
	*nsec = (u64)ts.tv_nsec;
}

static int gofer_setattr(struct inode *i, struct ctx *c, const struct iattr *a)
{
	struct gofer_inode *gi = gofer_i(i);
	struct p9_tsetattr t = {0};
	u32 fid;
	int r;

	if (gi->data) {
		if (a->valid & IATTR_SIZE) {
			r = shmem_truncate(gi->data, a->size);
			if (r < 0)
				return r;
			WRITE_ONCE(i->size, a->size);
		}
		inode_apply_attr(i, c, a);
		return 0;
	}
	if (a->valid & IATTR_MODE) {
		t.valid |= P9_SETATTR_MODE;
		t.mode = a->mode & 07777;
	}
	if (a->valid & IATTR_UID) {
		t.valid |= P9_SETATTR_UID;
		t.uid = a->uid;
	}
	if (a->valid & IATTR_GID) {
		t.valid |= P9_SETATTR_GID;
		t.gid = a->gid;
	}
	if (a->valid & IATTR_SIZE) {
		t.valid |= P9_SETATTR_SIZE;
		t.size = a->size;
	}
	if (a->valid & (IATTR_ATIME | IATTR_ATIME_NOW)) {
		t.valid |= P9_SETATTR_ATIME;
		if (a->valid & IATTR_ATIME) {
			t.valid |= P9_SETATTR_ATIME_SET;
			put_time(a->atime, &t.atime_sec, &t.atime_nsec);
		}
	}
	if (a->valid & (IATTR_MTIME | IATTR_MTIME_NOW)) {
		t.valid |= P9_SETATTR_MTIME;
		if (a->valid & IATTR_MTIME) {
			t.valid |= P9_SETATTR_MTIME_SET;
			put_time(a->mtime, &t.mtime_sec, &t.mtime_nsec);
		}
	}
	r = gofer_fid(gi, &fid);
	if (r == 0)
		r = p9_client_setattr(gofer_sb(i)->client, fid, &t);
	if (r < 0)
		return r;
	mutex_lock(&i->lock);
	if (a->valid & IATTR_SIZE)
		WRITE_ONCE(i->size, a->size);
	gi->attr_old = true;
	mutex_unlock(&i->lock);
	r = gofer_refresh(gi);
	if (a->valid & IATTR_SIZE)
		mm_truncated(c->kernel, &i->map, a->size);
	return r;
}

static int gofer_get_link(struct inode *i, struct ctx *c, char **ret_text, struct path *jump)
{
	struct gofer_inode *gi = gofer_i(i);

	(void)c;
	(void)jump;
	if (!gi->target)
		return -EIO;
	*ret_text = strdup(gi->target);
	return *ret_text ? 0 : -ENOMEM;
}

static long gofer_getxattr(struct inode *i, struct ctx *c, const char *name, void *buf, size_t size)
{
	size_t n = 0;
	u32 fid;
	int r = gofer_fid(gofer_i(i), &fid);

	(void)c;
	if (r == 0)
		r = p9_client_getxattr(gofer_sb(i)->client, fid, name, buf, size, &n);
	return r < 0 ? r : (long)n;
}
static int gofer_setxattr(struct inode *i, struct ctx *c, const char *name, const void *buf,
                          size_t size, int flags)
{
	u32 fid;
	int r = gofer_fid(gofer_i(i), &fid);

	(void)c;
	return r < 0 ? r
	             : p9_client_setxattr(gofer_sb(i)->client, fid, name, buf, size, (u32)flags);
}
static long gofer_listxattr(struct inode *i, struct ctx *c, char *buf, size_t size)
{
	size_t n = 0;
	u32 fid;
	int r = gofer_fid(gofer_i(i), &fid);

	(void)c;
	if (r == 0)
		r = p9_client_listxattr(gofer_sb(i)->client, fid, buf, size, &n);
	return r < 0 ? r : (long)n;
}
static int gofer_removexattr(struct inode *i, struct ctx *c, const char *name)
{
	u32 fid;
	int r = gofer_fid(gofer_i(i), &fid);

	(void)c;
	return r < 0 ? r : p9_client_removexattr(gofer_sb(i)->client, fid, name);
}

const struct inode_ops gofer_inode_ops = {
	.map = {.translate = gofer_translate, .sync = gofer_sync_pages},
	.lookup = gofer_lookup,
	.create = gofer_create,
	.mkdir = gofer_mkdir,
	.symlink = gofer_symlink,
	.link = gofer_link,
	.unlink = gofer_unlink,
	.rmdir = gofer_rmdir,
	.rename = gofer_rename,
	.get_link = gofer_get_link,
	.getattr = gofer_getattr,
	.setattr = gofer_setattr,
	.open = gofer_open,
	.getxattr = gofer_getxattr,
	.setxattr = gofer_setxattr,
	.listxattr = gofer_listxattr,
	.removexattr = gofer_removexattr,
	.check_loaded = gofer_check_loaded,
};
