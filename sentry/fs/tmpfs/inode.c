#include "proto/files.pb-c.h"
#include "sentry/fs/tmpfs/memfd.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/kernel/kernel.h"
#include "sentry/mm/shmem.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

#include <stdlib.h>

/* ---- saving ---- */

static int tmpfs_inode_save_names(struct saver *s, const struct tmpfs_inode *o,
                                  Sentry__TmpfsInode *m)
{
	struct tmpfs_inode *dir = (struct tmpfs_inode *)(uintptr_t)o;
	struct tmpfs_entry *e;

	m->entries = saver_alloc(s, (o->n_entries + 1) * sizeof(m->entries[0]));
	RB_FOREACH (e, tmpfs_cookies, &dir->cookies) {
		Sentry__TmpfsEntry *me =
			saver_msg(s, Sentry__TmpfsEntry, sentry__tmpfs_entry__init);

		me->name = e->name;
		me->inode = saver_ref(s, e->inode);
		me->cookie = e->cookie;
		m->entries[m->n_entries++] = me;
	}
	return 0;
}
static int tmpfs_inode_load_names(struct loader *l, struct tmpfs_inode *o,
                                  const Sentry__TmpfsInode *m)
{
	for (size_t i = 0; i < m->n_entries; i++) {
		const Sentry__TmpfsEntry *me = m->entries[i];
		AUTO(inode) inode = NULL;
		int r = loader_ref(l, me->inode, &inode_type, &inode);

		if (r < 0)
			return r;
		if (!inode)
			return loader_missing(l, "entries");
		r = tmpfs_entry_load(o, me->name, inode, me->cookie);
		if (r < 0)
			return loader_range(l, "entries");
	}
	return 0;
}
static void tmpfs_inode_sample_names(struct sampler *sp, struct tmpfs_inode *o)
{
	AUTO(inode) inode = sampler_ref(sp, &tmpfs_inode_type);

	BUG_ON(tmpfs_entry_load(o, "name", inode, 7) < 0);
}

static int tmpfs_inode_save_xattrs(struct saver *s, const struct tmpfs_inode *o,
                                   Sentry__TmpfsInode *m)
{
	m->xattrs = saver_alloc(s, (o->xattrs.n + 1) * sizeof(m->xattrs[0]));
	for (size_t i = 0; i < o->xattrs.n; i++) {
		Sentry__Xattr *x = saver_msg(s, Sentry__Xattr, sentry__xattr__init);

		x->name = o->xattrs.v[i].name;
		x->value.data = o->xattrs.v[i].value;
		x->value.len = o->xattrs.v[i].size;
		m->xattrs[m->n_xattrs++] = x;
	}
	return 0;
}
static int tmpfs_inode_load_xattrs(struct loader *l, struct tmpfs_inode *o,
                                   const Sentry__TmpfsInode *m)
{
	for (size_t i = 0; i < m->n_xattrs; i++) {
		const Sentry__Xattr *x = m->xattrs[i];

		if (strlen(x->name) > XATTR_NAME_LIMIT || x->value.len > XATTR_SIZE_LIMIT ||
		    xattrs_set(&o->xattrs, x->name, x->value.data, x->value.len, 0) < 0)
			return loader_range(l, "xattrs");
	}
	return 0;
}
static void tmpfs_inode_sample_xattrs(struct sampler *sp, struct tmpfs_inode *o)
{
	(void)sp;
	BUG_ON(xattrs_set(&o->xattrs, "user.sample", "v", 1, 0) < 0);
}

/* What is skipped follows from the entries and the data. */
#define TMPFS_INODE_FIELDS(X)          \
	X(BASE, inode, inode)          \
	X(REF, data, shmem)            \
	X(STR, target)                 \
	X(CUSTOM, names, tmpfs_inode)  \
	X(SKIP, cookies)               \
	X(VAL, next_cookie)            \
	X(SKIP, n_entries)             \
	X(SKIP, charged)               \
	X(CUSTOM, xattrs, tmpfs_inode) \
	X(VAL, seals)                  \
	X(VAL, linkable)

static void tmpfs_inode_init(void *p)
{
	struct tmpfs_inode *ti = p;

	RB_INIT(&ti->names);
	RB_INIT(&ti->cookies);
}
static void tmpfs_inode_destroy(void *p)
{
	struct tmpfs_inode *ti = p;
	struct super_block *sb = ti->inode.sb;

	if (sb && obj_is(sb, &tmpfs_super_type)) {
		atomic_fetch_sub(&tmpfs_sb(&ti->inode)->inodes, 1);
		atomic_fetch_sub(&tmpfs_sb(&ti->inode)->bytes, ti->charged);
	}
	tmpfs_entries_finish(ti);
	xattrs_finish(&ti->xattrs);
	shmem_put(TAKE(ti->data));
	free(TAKE(ti->target));
}
/* Derived types have content elsewhere, too, and check it themselves. */
static int check_content(struct loader *l, struct tmpfs_inode *ti)
{
	struct inode *i = &ti->inode;

	if (inode_is_reg(i) && !ti->data)
		return loader_error(l, "tmpfs file without content");
	if (inode_is_lnk(i) && !(ti->target && ti->target[0]))
		return loader_error(l, "symbolic link without a target");
	if (inode_is_dir(i) && i->sb->obj.type != &tmpfs_super_type)
		return loader_error(l, "tmpfs directory in another file system");
	return 0;
}

static int tmpfs_inode_after_load(struct loader *l, void *p)
{
	struct tmpfs_inode *ti = p;
	struct inode *i = &ti->inode;
	int r;

	if (!i->sb || !obj_is(i->sb, &tmpfs_super_type))
		return loader_error(l, "tmpfs inode outside a tmpfs");
	if (ti->inode.map.obj.type == &tmpfs_inode_type) {
		r = check_content(l, ti);
		if (r < 0)
			return r;
	}
	atomic_fetch_add(&tmpfs_sb(i)->inodes, 1);
	if (ti->data) {
		i->size = shmem_size(ti->data);
		ti->charged = shmem_bytes(ti->data);
		atomic_fetch_add(&tmpfs_sb(i)->bytes, ti->charged);
	}
	return 0;
}
static void tmpfs_inode_sample(struct sampler *sp, void *p)
{
	struct tmpfs_inode *ti = p;
	struct inode *i = &ti->inode;

	if (!obj_is(i->sb, &tmpfs_super_type)) {
		obj_put(i->sb);
		i->sb = sampler_ref(sp, &tmpfs_super_type);
	}
	if (ti->data)
		i->size = shmem_size(ti->data);
	if (i->size == 0)
		i->size = 1;
}
OBJECT_TYPE(tmpfs_inode, Sentry__TmpfsInode, sentry__tmpfs_inode__descriptor, TMPFS_INODE_FIELDS,
            .base = &inode_type, .ops = &tmpfs_inode_ops, .init = tmpfs_inode_init,
            .destroy = tmpfs_inode_destroy, .after_load = tmpfs_inode_after_load,
            .sample = tmpfs_inode_sample);

/* ---- making ---- */

int tmpfs_inode_new(struct super_block *sb, struct ctx *c, u32 mode, u32 rdev, const char *target,
                    u64 ino, struct inode **ret)
{
	struct tmpfs_super *ts = container_of(sb, struct tmpfs_super, sb);
	AUTO(tmpfs_inode) ti = NULL;

	if (atomic_load(&ts->inodes) >= tmpfs_max_inodes(ts))
		return -ENOSPC;
	if (!ino) {
		GUARD(&ts->tree);
		ino = ++ts->next_ino;
	}
	ti = obj_new(tmpfs_inode);
	inode_setup(&ti->inode, sb, c, ino, mode);
	atomic_fetch_add(&ts->inodes, 1);
	ti->inode.rdev = rdev;
	ti->next_cookie = 2; /* after "." and ".." */
	if (S_ISREG(mode))
		ti->data = shmem_new(c ? c->kernel : NULL, 0);
	if (S_ISLNK(mode)) {
		ti->target = strdup(target);
		BUG_ON(!ti->target);
		ti->inode.size = strlen(target);
	}
	*ret = &TAKE(ti)->inode;
	return 0;
}

struct shmem *tmpfs_data(struct inode *i)
{
	return tmpfs_i(i)->data;
}

static int make(struct inode *dir, struct ctx *c, const char *name, u32 mode, u32 rdev,
                const char *target, struct inode **ret)
{
	AUTO(inode) i = NULL;
	int r = tmpfs_inode_new(dir->sb, c, mode, rdev, target, 0, &i);

	if (r < 0)
		return r;
	inode_inherit(i, dir);
	r = tmpfs_add(dir, c, name, i);
	if (r < 0)
		return r;
	*ret = TAKE(i);
	return 0;
}

static int tmpfs_create(struct inode *dir, struct ctx *c, const char *name, u32 mode, u32 rdev,
                        struct inode **ret)
{
	return make(dir, c, name, mode, rdev, NULL, ret);
}
static int tmpfs_mkdir(struct inode *dir, struct ctx *c, const char *name, u32 mode,
                       struct inode **ret)
{
	return make(dir, c, name, mode, 0, NULL, ret);
}
static int tmpfs_symlink(struct inode *dir, struct ctx *c, const char *name, const char *target,
                         struct inode **ret)
{
	return make(dir, c, name, S_IFLNK | 0777, 0, target, ret);
}

static int tmpfs_tmpfile(struct inode *dir, struct ctx *c, u32 mode, struct inode **ret)
{
	struct inode *i;
	int r = tmpfs_inode_new(dir->sb, c, mode, 0, NULL, 0, &i);

	if (r < 0)
		return r;
	inode_inherit(i, dir);
	i->nlink = 0;
	tmpfs_i(i)->linkable = true;
	*ret = i;
	return 0;
}

static int tmpfs_get_link(struct inode *i, struct ctx *c, char **ret_text, struct path *jump)
{
	(void)c;
	(void)jump;
	*ret_text = strdup(tmpfs_i(i)->target);
	return *ret_text ? 0 : -ENOMEM;
}

static int tmpfs_getattr(struct inode *i, struct ctx *c, struct kstat *ret)
{
	struct tmpfs_inode *ti = tmpfs_i(i);

	(void)c;
	inode_fill_stat(i, ret);
	if (ti->data)
		ret->blocks = shmem_bytes(ti->data) / 512;
	if (inode_is_dir(i))
		ret->size = 40 + READ_ONCE(ti->n_entries) * 20;
	return 0;
}

static int tmpfs_setattr(struct inode *i, struct ctx *c, const struct iattr *a)
{
	if ((a->valid & IATTR_MODE) && (tmpfs_i(i)->seals & SEAL_EXEC) &&
	    ((a->mode ^ READ_ONCE(i->mode)) & 0111))
		return -EPERM;
	if (a->valid & IATTR_SIZE) {
		int r = tmpfs_resize(i, c, a->size);

		if (r < 0)
			return r;
	}
	inode_apply_attr(i, c, a);
	return 0;
}

static long tmpfs_getxattr(struct inode *i, struct ctx *c, const char *name, void *buf, size_t size)
{
	(void)c;
	GUARD(&i->lock);
	return xattrs_get(&tmpfs_i(i)->xattrs, name, buf, size);
}
static int tmpfs_setxattr(struct inode *i, struct ctx *c, const char *name, const void *buf,
                          size_t size, int flags)
{
	s64 now = inode_now(c);
	GUARD(&i->lock);

	i->ctime = now;
	return xattrs_set(&tmpfs_i(i)->xattrs, name, buf, size, flags);
}
static long tmpfs_listxattr(struct inode *i, struct ctx *c, char *buf, size_t size)
{
	(void)c;
	GUARD(&i->lock);
	return xattrs_list(&tmpfs_i(i)->xattrs, buf, size);
}
static int tmpfs_removexattr(struct inode *i, struct ctx *c, const char *name)
{
	s64 now = inode_now(c);
	GUARD(&i->lock);

	i->ctime = now;
	return xattrs_remove(&tmpfs_i(i)->xattrs, name);
}

const struct inode_ops tmpfs_inode_ops = {
	.lookup = tmpfs_lookup,
	.create = tmpfs_create,
	.mkdir = tmpfs_mkdir,
	.symlink = tmpfs_symlink,
	.link = tmpfs_link,
	.unlink = tmpfs_unlink,
	.rmdir = tmpfs_rmdir,
	.rename = tmpfs_rename,
	.tmpfile = tmpfs_tmpfile,
	.get_link = tmpfs_get_link,
	.getattr = tmpfs_getattr,
	.setattr = tmpfs_setattr,
	.open = tmpfs_open,
	.getxattr = tmpfs_getxattr,
	.setxattr = tmpfs_setxattr,
	.listxattr = tmpfs_listxattr,
	.removexattr = tmpfs_removexattr,
};
