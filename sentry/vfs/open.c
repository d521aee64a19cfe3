/* open(2): from a path to an open file description. */
#include "sentry/auth/creds.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/lease.h"
#include "sentry/vfs/names.h"
#include "sentry/vfs/notify.h"
#include "sentry/vfs/path_file.h"
#include "sentry/vfs/walk.h"
#include "state/base/cleanup.h"

#include <linux/capability.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>

#define TMPFILE_BIT (O_TMPFILE & ~(u32)O_DIRECTORY)

static u32 walk_flags(const struct open_how_k *how)
{
	u32 f = 0;

	if (!(how->flags & O_NOFOLLOW))
		f |= LOOKUP_FOLLOW;
	if (how->flags & O_DIRECTORY)
		f |= LOOKUP_DIRECTORY;
	if (how->resolve & RESOLVE_NO_XDEV)
		f |= LOOKUP_NO_XDEV;
	if (how->resolve & RESOLVE_NO_MAGICLINKS)
		f |= LOOKUP_NO_MAGICLINKS;
	if (how->resolve & RESOLVE_NO_SYMLINKS)
		f |= LOOKUP_NO_SYMLINKS | LOOKUP_NO_MAGICLINKS;
	if (how->resolve & RESOLVE_BENEATH)
		f |= LOOKUP_BENEATH;
	if (how->resolve & RESOLVE_IN_ROOT)
		f |= LOOKUP_IN_ROOT;
	return f;
}

/* What F_GETFL shows of open flags. */
static u32 kept_flags(u32 flags)
{
	flags &= ~(u32)(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC);
	return flags & O_PATH ? flags : flags | O_LARGEFILE_GUEST;
}

static u32 open_mask(u32 flags)
{
	u32 mask = 0;

	switch (flags & O_ACCMODE) {
	case O_RDONLY:
		mask = MAY_READ;
		break;
	case O_WRONLY:
		mask = MAY_WRITE;
		break;
	default: /* O_RDWR, and 3: access checked as for both, neither is granted */
		mask = MAY_READ | MAY_WRITE;
	}
	return flags & O_TRUNC ? mask | MAY_WRITE : mask;
}

/* inode_open, which watches hear of. */
static int open_inode(struct ctx *c, const struct path *p, u32 flags, struct file **ret)
{
	/* Terminals must know of O_NOCTTY; file_setup drops it. */
	u32 noctty = S_ISCHR(path_inode(p)->mode) ? flags & O_NOCTTY : 0;
	int r = inode_open(path_inode(p), c, p, kept_flags(flags) | noctty, ret);

	if (r == 0)
		notify_file(*ret, IN_OPEN);
	return r;
}

static int open_unleased(struct ctx *c, const struct path *p, u32 flags, struct file **ret)
{
	struct inode *i = path_inode(p);
	int r;

	if ((flags & O_TRUNC) && inode_is_reg(i)) {
		struct iattr a = {.valid = IATTR_SIZE | IATTR_OPEN};

		r = inode_setattr(i, c, &a);
		if (r < 0)
			return r;
	}
	r = open_inode(c, p, flags, ret);
	if (r == 0 && (flags & O_TRUNC) && inode_is_reg(i))
		notify_attr(p->dentry, IATTR_SIZE);
	return r;
}

static int open_checked(struct ctx *c, const struct path *p, u32 flags, struct file **ret)
{
	int r = lease_open(path_inode(p), c, flags);

	if (r < 0)
		return r;
	r = open_unleased(c, p, flags, ret);
	lease_opened(path_inode(p), flags);
	return r;
}

int path_open_found(struct ctx *c, const struct path *p, u32 flags, struct file **ret)
{
	struct inode *i = path_inode(p);
	u32 mask = open_mask(flags);
	int r;

	if (flags & O_PATH) {
		*ret = path_file_new(kept_flags(flags), p);
		return 0;
	}
	if (inode_is_lnk(i))
		return -ELOOP;
	if (inode_is_dir(i) && ((mask & MAY_WRITE) || (flags & O_CREAT)))
		return -EISDIR;
	if (inode_is_dir(i) && (flags & O_DIRECT))
		return -EINVAL;
	if ((S_ISCHR(i->mode) || S_ISBLK(i->mode)) && (mount_flags(p->mount) & MS_NODEV))
		return -EACCES;
	if ((mask & MAY_WRITE) && inode_is_reg(i)) {
		r = mount_want_write(p->mount);
		if (r < 0)
			return r;
	}
	r = inode_permission(i, c, NULL, mask);
	if (r < 0)
		return r;
	if ((mask & MAY_WRITE) && inode_is_reg(i) && atomic_load(&i->executed) > 0)
		return -ETXTBSY;
	if ((flags & O_NOATIME) && !inode_owner_or_capable(i, c))
		return -EPERM;
	return open_checked(c, p, flags, ret);
}

/* Makes the file that the walk's last component names, unless somebody else just did (*ret_made
 * false). *ret_d: its dentry. */
static int create_last(struct walk *w, u32 mode, struct dentry **ret_d, bool *ret_made)
{
	struct dentry *dir = w->cur.dentry;
	const struct inode_ops *ops = inode_ops_of(dir->inode);
	AUTO(inode) inode = NULL;
	AUTO(dentry) d = NULL;
	int r;
	GUARD(&dir->dir_lock);

	r = walk_last(w, &d);
	if (r < 0)
		return r;
	if (d->inode) {
		*ret_d = TAKE(d);
		*ret_made = false;
		return 0;
	}
	r = names_may_create(w->c, &w->cur);
	if (r < 0)
		return r;
	if (!ops->create)
		return -EACCES;
	mode = inode_new_mode(w->c, dir->inode, S_IFREG | (mode & 07777));
	r = ops->create(dir->inode, w->c, w->last, mode, 0, &inode);
	if (r < 0)
		return r;
	*ret_d = dentry_instantiate(dir, w->last, inode);
	notify_name(dir->inode, IN_CREATE, w->last, false, 0);
	*ret_made = true;
	return 0;
}

static int open_create(struct walk *w, const char *name, const struct open_how_k *how,
                       struct file **ret)
{
	u32 flags = how->flags;
	int r = walk_parent(w, name);

	while (r == 0) {
		AUTO(dentry) d = NULL;
		bool made = false;

		if (w->special)
			return flags & O_EXCL ? -EEXIST
			                      : path_open_found(w->c, &w->cur, flags, ret);
		if (!inode_is_dir(w->cur.dentry->inode))
			return -ENOTDIR;
		if (w->slash)
			return -EISDIR;
		r = walk_last(w, &d);
		if (r < 0)
			return r;
		if (!d->inode) {
			struct dentry *found = NULL;

			r = create_last(w, how->mode, &found, &made);
			if (r < 0)
				return r;
			dentry_put(d);
			d = found;
		}
		if (made) {
			walk_enter(w, d);
			/* Whoever makes a file may use it as asked, whatever its mode. */
			return open_inode(w->c, &w->cur, flags, ret);
		}
		if (flags & O_EXCL)
			return -EEXIST;
		if (inode_is_lnk(d->inode)) {
			AUTO_PATH dir = w->cur;

			if (flags & O_NOFOLLOW) {
				dir = (struct path){0};
				return -ELOOP;
			}
			path_get(&dir);
			r = walk_follow(w, &dir, d->inode);
			continue;
		}
		struct mount *before = w->cur.mount;
		walk_enter(w, d);
		if ((w->flags & LOOKUP_NO_XDEV) && w->cur.mount != before)
			return -EXDEV;
		return path_open_found(w->c, &w->cur, flags, ret);
	}
	return r;
}

static int open_tmpfile(struct walk *w, const char *name, const struct open_how_k *how,
                        struct file **ret)
{
	AUTO(inode) inode = NULL;
	AUTO(dentry) d = NULL;
	struct inode *dir;
	char label[32];
	int r = walk_all(w, name);

	if (r < 0)
		return r;
	dir = path_inode(&w->cur);
	r = names_may_create(w->c, &w->cur);
	if (r < 0)
		return r;
	if (!inode_ops_of(dir)->tmpfile)
		return -EOPNOTSUPP;
	r = inode_ops_of(dir)->tmpfile(
		dir, w->c, inode_new_mode(w->c, dir, S_IFREG | (how->mode & 07777)), &inode);
	if (r < 0)
		return r;
	snprintf(label, sizeof(label), "#%llu", (unsigned long long)inode->ino);
	d = dentry_new_detached(w->cur.dentry, label, inode);
	struct path p = {w->cur.mount, d};
	return open_inode(w->c, &p, how->flags, ret);
}

int path_open(struct ctx *c, int dirfd, const char *name, const struct open_how_k *how,
              struct file **ret)
{
	struct open_how_k h = *how;
	WALK(w);
	int r;

	if (h.flags & O_PATH)
		h.flags &= O_DIRECTORY | O_NOFOLLOW | O_PATH | O_CLOEXEC;
	if ((h.flags & (O_CREAT | O_DIRECTORY)) == (O_CREAT | O_DIRECTORY))
		return -EINVAL;
	if (h.flags & TMPFILE_BIT) {
		if (!(h.flags & O_DIRECTORY) || (h.flags & O_ACCMODE) == O_RDONLY)
			return -EINVAL;
	}
	r = walk_init(&w, c, dirfd, name, walk_flags(&h));
	if (r < 0)
		return r;
	if (h.flags & TMPFILE_BIT)
		return open_tmpfile(&w, name, &h, ret);
	if (h.flags & O_CREAT) {
		if (h.flags & O_EXCL)
			w.flags &= ~(u32)LOOKUP_FOLLOW;
		return open_create(&w, name, &h, ret);
	}
	r = walk_all(&w, name);
	if (r < 0)
		return r;
	return path_open_found(c, &w.cur, h.flags, ret);
}

static int may_exec(struct ctx *c, struct inode *i, struct mount *m)
{
	if (!inode_is_reg(i) || (m && (mount_flags(m) & MS_NOEXEC)))
		return -EACCES;
	return inode_permission(i, c, NULL, MAY_EXEC);
}

/* fexecve(3) of a file that has no name anywhere: memfd_create(2). Nobody counts who writes. */
static int open_exec_nameless(struct ctx *c, struct file *f, struct file **ret)
{
	int r = may_exec(c, f->inode, NULL);

	return r < 0 ? r : inode_open(f->inode, c, NULL, O_RDONLY, ret);
}

int path_open_exec(struct ctx *c, int dirfd, const char *name, int flags, struct file **ret)
{
	u32 lf = flags & AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW;
	AUTO_PATH p = {0};
	int r;

	if ((flags & AT_EMPTY_PATH) && !name[0] && dirfd != AT_FDCWD) {
		AUTO(file) f = NULL;

		r = fd_get_path(c, dirfd, &f);
		if (r < 0)
			return r;
		if (!f->path.dentry && f->inode)
			return open_exec_nameless(c, f, ret);
	}

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	if (flags & AT_EMPTY_PATH)
		lf |= LOOKUP_EMPTY;
	r = path_lookup(c, dirfd, name, lf, &p);
	if (r < 0)
		return r;
	if (inode_is_lnk(path_inode(&p)))
		return -ELOOP;
	r = may_exec(c, path_inode(&p), p.mount);
	if (r == 0 && atomic_load(&path_inode(&p)->writers) > 0)
		r = -ETXTBSY;
	if (r == 0)
		r = lease_open(path_inode(&p), c, O_RDONLY);
	if (r < 0)
		return r;
	r = open_inode(c, &p, O_RDONLY, ret);
	lease_opened(path_inode(&p), O_RDONLY);
	return r;
}
