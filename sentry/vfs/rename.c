/* rename(2) and renameat2(2). */
#include "sentry/auth/creds.h"
#include "sentry/vfs/names.h"
#include "sentry/vfs/notify.h"
#include "sentry/vfs/walk.h"
#include "state/base/cleanup.h"

#include <linux/capability.h>
#include <linux/fs.h>

/* Both ends of a rename, locked. */
struct ends {
	struct walk old, new;
	struct dentry *victim, *target; /* owned; target may be negative */
	struct super_block *locked;
};
static void ends_finish(struct ends *e)
{
	if (e->locked) {
		mutex_unlock_pair(&e->old.cur.dentry->dir_lock, &e->new.cur.dentry->dir_lock);
		rwlock_unlock(&e->locked->rename_lock);
	}
	dentry_put(e->victim);
	dentry_put(e->target);
	walk_finish(&e->old);
	walk_finish(&e->new);
}

static int ends_begin(struct ends *e, struct ctx *c, int olddirfd, const char *oldname,
                      int newdirfd, const char *newname, u32 flags)
{
	int r = walk_init(&e->old, c, olddirfd, oldname, 0);

	if (r == 0)
		r = walk_parent(&e->old, oldname);
	if (r == 0)
		r = walk_init(&e->new, c, newdirfd, newname, 0);
	if (r == 0)
		r = walk_parent(&e->new, newname);
	if (r < 0)
		return r;
	if (e->old.special)
		return -EBUSY;
	if (e->new.special)
		return flags & RENAME_NOREPLACE ? -EEXIST : -EBUSY;
	if (e->old.cur.mount != e->new.cur.mount)
		return -EXDEV;
	r = mount_want_write(e->old.cur.mount);
	if (r < 0)
		return r;
	e->locked = e->old.cur.mount->sb;
	rwlock_wrlock(&e->locked->rename_lock);
	mutex_lock_pair(&e->old.cur.dentry->dir_lock, &e->new.cur.dentry->dir_lock);
	r = walk_last(&e->old, &e->victim);
	if (r == 0)
		r = walk_last(&e->new, &e->target);
	return r;
}

static int check_ends(struct ends *e, struct ctx *c, u32 flags)
{
	struct dentry *v = e->victim, *t = e->target;
	bool dir, same = e->old.cur.dentry == e->new.cur.dentry;
	int r;

	if (!v->inode)
		return -ENOENT;
	dir = inode_is_dir(v->inode);
	if ((flags & RENAME_NOREPLACE) && t->inode)
		return -EEXIST;
	if (flags & RENAME_EXCHANGE) {
		if (!t->inode)
			return -ENOENT;
		if (e->new.slash && !inode_is_dir(t->inode))
			return -ENOTDIR;
	}
	if (!dir && (e->old.slash || (!(flags & RENAME_EXCHANGE) && e->new.slash)))
		return -ENOTDIR;
	if (dentry_is_ancestor(v, e->new.cur.dentry))
		return -EINVAL;
	if (t->inode && dentry_is_ancestor(t, e->old.cur.dentry))
		return flags & RENAME_EXCHANGE ? -EINVAL : -ENOTEMPTY;
	if (v->inode == t->inode)
		return 1;
	r = names_may_delete(c, &e->old.cur, v);
	if (r < 0)
		return r;
	if (!t->inode)
		r = names_may_create(c, &e->new.cur);
	else
		r = names_may_delete(c, &e->new.cur, t);
	if (r < 0)
		return r;
	if (t->inode && !(flags & RENAME_EXCHANGE)) {
		if (dir && !inode_is_dir(t->inode))
			return -ENOTDIR;
		if (!dir && inode_is_dir(t->inode))
			return -EISDIR;
	}
	/* ".." changes. */
	if (dir && !same)
		r = inode_permission(v->inode, c, NULL, MAY_WRITE);
	if (r == 0 && (flags & RENAME_EXCHANGE) && !same && inode_is_dir(t->inode))
		r = inode_permission(t->inode, c, NULL, MAY_WRITE);
	return r;
}

int vfs_rename(struct ctx *c, int olddirfd, const char *oldname, int newdirfd, const char *newname,
               u32 flags)
{
	__attribute__((cleanup(ends_finish))) struct ends e = {0};
	struct inode *dir;
	bool exchange = (flags & RENAME_EXCHANGE) != 0;
	int r;

	if (flags & ~(u32)(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT))
		return -EINVAL;
	if (exchange && (flags & (RENAME_NOREPLACE | RENAME_WHITEOUT)))
		return -EINVAL;
	if ((flags & RENAME_WHITEOUT) && !creds_capable(c->creds, CAP_MKNOD))
		return -EPERM;
	r = ends_begin(&e, c, olddirfd, oldname, newdirfd, newname, flags);
	if (r == 0)
		r = check_ends(&e, c, flags);
	if (r != 0)
		return r < 0 ? r : 0;
	dir = path_inode(&e.old.cur);
	if (!inode_ops_of(dir)->rename)
		return -EPERM;
	r = inode_ops_of(dir)->rename(dir, c, e.old.last, e.victim->inode, path_inode(&e.new.cur),
	                              e.new.last, e.target->inode, flags);
	if (r == -ESTALE) {
		dentry_drop(e.victim, false);
		return -ENOENT;
	}
	if (r < 0)
		return r;
	dentry_move(e.victim, e.new.cur.dentry, e.new.last, exchange ? e.target : NULL);
	if (!exchange && e.target->inode && inode_is_dir(e.target->inode))
		dentry_prune(e.target);
	notify_moved(c, dir, e.old.last, path_inode(&e.new.cur), e.new.last, e.victim->inode,
	             exchange ? NULL : e.target->inode);
	if (exchange)
		notify_moved(c, path_inode(&e.new.cur), e.new.last, dir, e.old.last,
		             e.target->inode, NULL);
	else
		notify_unlinked(e.target);
	return 0;
}
