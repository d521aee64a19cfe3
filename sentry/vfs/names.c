/* mkdir(2), mknod(2), symlink(2), link(2), unlink(2), rmdir(2). rename(2) is in rename.c. */
#include "sentry/vfs/lease.h"
#include "sentry/vfs/names.h"

#include "sentry/auth/creds.h"
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/notify.h"
#include "sentry/vfs/walk.h"
#include "state/base/cleanup.h"

#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/sysmacros.h>

int names_may_create(struct ctx *c, const struct path *dir)
{
	int r = mount_want_write(dir->mount);

	if (r < 0)
		return r;
	if (dir->dentry->unlinked)
		return -ENOENT;
	return inode_permission(path_inode(dir), c, NULL, MAY_WRITE | MAY_EXEC);
}

int names_may_delete(struct ctx *c, const struct path *dir, struct dentry *d)
{
	struct inode *di = path_inode(dir);
	int r = mount_want_write(dir->mount);

	if (r == 0)
		r = inode_permission(di, c, NULL, MAY_WRITE | MAY_EXEC);
	if (r < 0)
		return r;
	if ((READ_ONCE(di->mode) & S_ISVTX) && c->creds->fsuid != READ_ONCE(d->inode->uid) &&
	    c->creds->fsuid != READ_ONCE(di->uid) && !creds_capable(c->creds, CAP_FOWNER))
		return -EPERM;
	if (atomic_load(&d->mounted))
		return -EBUSY;
	return 0;
}

/* A new name under way: w->cur is the directory, whose dir_lock is held. */
struct new_name {
	struct walk w;
	struct dentry *locked;
};
static void new_name_end(struct new_name *n) NO_LOCK_ANALYSIS
{
	if (n->locked)
		mutex_unlock(&n->locked->dir_lock);
	walk_finish(&n->w);
}
#define NEW_NAME(n) __attribute__((cleanup(new_name_end))) struct new_name n = {0}

static int new_name_begin(struct new_name *n, struct ctx *c, int dirfd, const char *name,
                          bool directory) NO_LOCK_ANALYSIS
{
	AUTO(dentry) d = NULL;
	int r = walk_init(&n->w, c, dirfd, name, 0);

	if (r == 0)
		r = walk_parent(&n->w, name);
	if (r < 0)
		return r;
	if (n->w.special)
		return -EEXIST;
	n->locked = n->w.cur.dentry;
	mutex_lock(&n->locked->dir_lock);
	r = walk_last(&n->w, &d);
	if (r < 0)
		return r;
	if (d->inode)
		return -EEXIST;
	if (n->w.slash && !directory)
		return -ENOENT;
	return names_may_create(c, &n->w.cur);
}

int vfs_mknod_path(struct ctx *c, int dirfd, const char *name, u32 mode, u32 rdev, struct path *ret)
{
	const struct inode_ops *ops;
	AUTO(inode) inode = NULL;
	struct dentry *d;
	NEW_NAME(n);
	int r;

	switch (mode & S_IFMT) {
	case 0:
		mode |= S_IFREG;
		break;
	case S_IFREG:
	case S_IFIFO:
	case S_IFSOCK:
	case S_IFCHR:
	case S_IFBLK:
		break;
	case S_IFDIR:
		return -EPERM;
	default:
		return -EINVAL;
	}
	if (!S_ISCHR(mode) && !S_ISBLK(mode))
		rdev = 0;
	r = new_name_begin(&n, c, dirfd, name, false);
	if (r < 0)
		return r;
	ops = inode_ops_of(path_inode(&n.w.cur));
	if (!ops->create ||
	    ((S_ISCHR(mode) || S_ISBLK(mode)) && !creds_capable(c->creds, CAP_MKNOD)))
		return -EPERM;
	mode = inode_new_mode(c, path_inode(&n.w.cur), mode);
	r = ops->create(path_inode(&n.w.cur), c, n.w.last, mode, rdev, &inode);
	if (r < 0)
		return r;
	d = dentry_instantiate(n.w.cur.dentry, n.w.last, inode);
	notify_name(path_inode(&n.w.cur), IN_CREATE, n.w.last, false, 0);
	ret->mount = mount_get(n.w.cur.mount);
	ret->dentry = d;
	return 0;
}

int vfs_mknod(struct ctx *c, int dirfd, const char *name, u32 mode, u32 rdev)
{
	AUTO_PATH p = {0};

	return vfs_mknod_path(c, dirfd, name, mode, rdev, &p);
}

int vfs_mkdir(struct ctx *c, int dirfd, const char *name, u32 mode)
{
	const struct inode_ops *ops;
	AUTO(inode) inode = NULL;
	NEW_NAME(n);
	int r = new_name_begin(&n, c, dirfd, name, true);

	if (r < 0)
		return r;
	ops = inode_ops_of(path_inode(&n.w.cur));
	if (!ops->mkdir)
		return -EPERM;
	mode &= ~fs_umask(c->fs) & (0777 | S_ISVTX);
	r = ops->mkdir(path_inode(&n.w.cur), c, n.w.last, S_IFDIR | mode, &inode);
	if (r < 0)
		return r;
	dentry_put(dentry_instantiate(n.w.cur.dentry, n.w.last, inode));
	notify_name(path_inode(&n.w.cur), IN_CREATE, n.w.last, true, 0);
	return 0;
}

int vfs_symlink(struct ctx *c, const char *target, int dirfd, const char *name)
{
	const struct inode_ops *ops;
	AUTO(inode) inode = NULL;
	NEW_NAME(n);
	int r;

	if (!target[0])
		return -ENOENT;
	r = new_name_begin(&n, c, dirfd, name, false);
	if (r < 0)
		return r;
	ops = inode_ops_of(path_inode(&n.w.cur));
	if (!ops->symlink)
		return -EPERM;
	r = ops->symlink(path_inode(&n.w.cur), c, n.w.last, target, &inode);
	if (r < 0)
		return r;
	dentry_put(dentry_instantiate(n.w.cur.dentry, n.w.last, inode));
	notify_name(path_inode(&n.w.cur), IN_CREATE, n.w.last, false, 0);
	return 0;
}

int vfs_link(struct ctx *c, int olddirfd, const char *oldname, int newdirfd, const char *newname,
             int flags)
{
	const struct inode_ops *ops;
	AUTO_PATH old = {0};
	NEW_NAME(n);
	u32 lf = 0;
	int r;

	if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	if (flags & AT_EMPTY_PATH) {
		if (!oldname[0] && !creds_capable(c->creds, CAP_DAC_READ_SEARCH))
			return -ENOENT;
		lf |= LOOKUP_EMPTY;
	}
	if (flags & AT_SYMLINK_FOLLOW)
		lf |= LOOKUP_FOLLOW;
	r = path_lookup(c, olddirfd, oldname, lf, &old);
	if (r < 0)
		return r;
	r = new_name_begin(&n, c, newdirfd, newname, false);
	if (r < 0)
		return r;
	if (old.mount != n.w.cur.mount)
		return -EXDEV;
	if (inode_is_dir(path_inode(&old)))
		return -EPERM;
	ops = inode_ops_of(path_inode(&n.w.cur));
	if (!ops->link)
		return -EPERM;
	r = ops->link(path_inode(&n.w.cur), c, n.w.last, path_inode(&old));
	if (r < 0)
		return r;
	dentry_put(dentry_instantiate(n.w.cur.dentry, n.w.last, path_inode(&old)));
	notify_inode(path_inode(&old), IN_ATTRIB);
	notify_name(path_inode(&n.w.cur), IN_CREATE, n.w.last, false, 0);
	return 0;
}

/* A name that is to go; as struct new_name. */
static int old_name_begin(struct new_name *n, struct dentry **ret) NO_LOCK_ANALYSIS
{
	AUTO(dentry) d = NULL;
	int r;

	r = mount_want_write(n->w.cur.mount);
	if (r < 0)
		return r;
	n->locked = n->w.cur.dentry;
	mutex_lock(&n->locked->dir_lock);
	r = walk_last(&n->w, &d);
	if (r < 0)
		return r;
	if (!d->inode)
		return -ENOENT;
	*ret = TAKE(d);
	return 0;
}

int vfs_unlink(struct ctx *c, int dirfd, const char *name)
{
	AUTO(dentry) d = NULL; /* put after the lock is dropped: it may be the last */
	NEW_NAME(n);
	struct inode *dir;
	int r = walk_init(&n.w, c, dirfd, name, 0);

	if (r == 0)
		r = walk_parent(&n.w, name);
	if (r < 0)
		return r;
	if (n.w.special)
		return -EISDIR;
	r = old_name_begin(&n, &d);
	if (r < 0)
		return r;
	if (n.w.slash)
		return inode_is_dir(d->inode) ? -EISDIR : -ENOTDIR;
	dir = path_inode(&n.w.cur);
	r = names_may_delete(c, &n.w.cur, d);
	if (r < 0)
		return r;
	if (inode_is_dir(d->inode))
		return -EISDIR;
	if (!inode_ops_of(dir)->unlink)
		return -EPERM;
	r = inode_ops_of(dir)->unlink(dir, c, n.w.last, d->inode);
	if (r == -ESTALE) {
		dentry_drop(d, false);
		return -ENOENT;
	}
	if (r < 0)
		return r;
	notify_inode(d->inode, IN_ATTRIB);
	dentry_drop(d, true);
	notify_unlinked(d);
	notify_name(dir, IN_DELETE, n.w.last, false, 0);
	return 0;
}

int vfs_rmdir(struct ctx *c, int dirfd, const char *name)
{
	AUTO(dentry) d = NULL;
	NEW_NAME(n);
	struct inode *dir;
	const char *end = name + strlen(name);
	int r = walk_init(&n.w, c, dirfd, name, 0);

	if (r == 0)
		r = walk_parent(&n.w, name);
	if (r < 0)
		return r;
	if (n.w.special) {
		while (end > name && end[-1] == '/')
			end--;
		if (end == name)
			return -EBUSY;
		if (end - name >= 2 && end[-1] == '.' && end[-2] == '.')
			return -ENOTEMPTY;
		return -EINVAL;
	}
	r = old_name_begin(&n, &d);
	if (r < 0)
		return r;
	dir = path_inode(&n.w.cur);
	r = names_may_delete(c, &n.w.cur, d);
	if (r < 0)
		return r;
	if (!inode_is_dir(d->inode))
		return -ENOTDIR;
	if (!inode_ops_of(dir)->rmdir)
		return -EPERM;
	r = inode_ops_of(dir)->rmdir(dir, c, n.w.last, d->inode);
	if (r == -ESTALE) {
		dentry_drop(d, false);
		return -ENOENT;
	}
	if (r < 0)
		return r;
	dentry_drop(d, true);
	/* What is cached below are names that do not exist. */
	dentry_prune(d);
	notify_unlinked(d);
	notify_name(dir, IN_DELETE, n.w.last, true, 0);
	return 0;
}

int vfs_setattr(struct ctx *c, const struct path *p, struct iattr *attr)
{
	int r = mount_want_write(p->mount);

	if (r == 0)
		r = inode_setattr(path_inode(p), c, attr);
	if (r == 0)
		notify_attr(p->dentry, attr->valid);
	return r;
}

int vfs_truncate(struct ctx *c, const struct path *p, u64 size, struct file *f)
{
	struct iattr a = {.valid = IATTR_SIZE, .size = size};
	struct inode *i = p->dentry ? path_inode(p) : f->inode;
	int r;

	if (size > INT64_MAX)
		return -EINVAL;
	if (inode_is_dir(i))
		return f ? -EINVAL : -EISDIR;
	if (!inode_is_reg(i))
		return -EINVAL;
	if (size > c->rlimits[RLIMIT_FSIZE].rlim_cur && size > READ_ONCE(i->size)) {
		ctx_signal_self(c, SIGXFSZ);
		return -EFBIG;
	}
	if (f)
		a.valid |= IATTR_OPEN;
	r = f ? 0 : mount_want_write(p->mount);
	if (r == 0 && !f)
		r = inode_permission(i, c, NULL, MAY_WRITE);
	if (r == 0 && !f && atomic_load(&i->executed) > 0)
		r = -ETXTBSY;
	if (r == 0 && !f)
		r = lease_open(i, c, O_WRONLY);
	if (r == 0) {
		r = inode_setattr(i, c, &a);
		if (!f)
			lease_opened(i, O_WRONLY);
	}
	if (r == 0 && p->dentry)
		notify_attr(p->dentry, IATTR_SIZE);
	return r;
}
