#include "sentry/vfs/inode.h"

#include "proto/vfs.pb-c.h"
#include "sentry/auth/creds.h"
#include "sentry/kernel/kernel.h"
#include "sentry/vfs/flock.h"
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/notify.h"
#include "sentry/vfs/super.h"
#include "state/fields.h"

#include <linux/capability.h>
#include <sys/sysmacros.h>

#define INODE_EXTRA_FIELDS(X) X(HDR, obj)
OBJECT_TYPE(inode_extra, Sentry__InodeExtra, sentry__inode_extra__descriptor, INODE_EXTRA_FIELDS,
            .abstract = true);

#define INODE_FIELDS(X)                                    \
	X(BASE, map, mappable)                             \
	X(REF, sb, super_block)                            \
	X(VAL, ino)                                        \
	X(SKIP, lock)                                      \
	X(VAL, mode)                                       \
	X(VAL, uid)                                        \
	X(VAL, gid)                                        \
	X(VAL, nlink)                                      \
	X(VAL, rdev)                                       \
	X(VAL, size)                                       \
	X(VAL, atime)                                      \
	X(VAL, mtime)                                      \
	X(VAL, ctime)                                      \
	X(VAL, btime)                                      \
	X(REF, extra, inode_extra)                         \
	X(REF, locks, inode_locks)                         \
	X(SKIP, watches) /* they attach themselves */      \
	X(SKIP, writers) /* open files count themselves */ \
	X(SKIP, readers)                                   \
	X(SKIP, executed) /* as do address spaces */

static void inode_init(void *p)
{
	mutex_init(&((struct inode *)p)->lock, RANK_INODE);
}
static void inode_destroy(void *p)
{
	struct inode *i = p;

	notify_inode_destroyed(i);
	obj_put(i->locks);
	obj_put(i->extra);
	obj_put(i->sb);
}
static int inode_after_load(struct loader *l, void *p)
{
	struct inode *i = p;

	switch (i->mode & S_IFMT) {
	case S_IFREG:
	case S_IFDIR:
	case S_IFLNK:
	case S_IFIFO:
	case S_IFSOCK:
	case S_IFCHR:
	case S_IFBLK:
	case 0: /* anonymous: eventfd and its kin */
		break;
	default:
		return loader_error(l, "no such file type: mode %o", i->mode);
	}
	if (i->size > INT64_MAX)
		return loader_error(l, "file size out of range");
	return 0;
}
static void inode_sample(struct sampler *sp, void *p)
{
	struct inode *i = p;

	(void)sp;
	i->mode = S_IFREG | 0644;
	i->size &= 0xffff;
}
OBJECT_TYPE(inode, Sentry__Inode, sentry__inode__descriptor, INODE_FIELDS, .base = &mappable_type,
            .abstract = true, .init = inode_init, .destroy = inode_destroy,
            .after_load = inode_after_load, .sample = inode_sample);

s64 inode_now(struct ctx *c)
{
	struct timespec ts;

	if (c && c->clocks)
		return clock_real(c->clocks);
	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

u64 inode_next_ino(struct kernel *k)
{
	return kernel_new_ino(k);
}

void inode_setup(struct inode *i, struct super_block *sb, struct ctx *c, u64 ino, u32 mode)
{
	i->sb = super_block_get(sb);
	i->ino = ino;
	i->mode = mode;
	if (c && c->creds) {
		i->uid = c->creds->fsuid;
		i->gid = c->creds->fsgid;
	}
	i->nlink = S_ISDIR(mode) ? 2 : 1;
	i->atime = i->mtime = i->ctime = i->btime = inode_now(c);
}

void inode_fill_stat(struct inode *i, struct kstat *ret)
{
	GUARD(&i->lock);
	*ret = (struct kstat){
		.dev = i->sb ? i->sb->dev : 0,
		.ino = i->ino,
		.mode = i->mode,
		.nlink = i->nlink,
		.uid = i->uid,
		.gid = i->gid,
		.rdev = i->rdev,
		.size = i->size,
		.blksize = PAGE_SIZE,
		.blocks = inode_is_reg(i) ? (i->size + 511) / 512 : 0,
		.atime = i->atime,
		.mtime = i->mtime,
		.ctime = i->ctime,
		.btime = i->btime,
	};
}

int inode_permission_mode(struct inode *i, const struct creds *cr, u32 mask)
{
	u32 mode = READ_ONCE(i->mode), bits = mode & 7;

	if (cr->fsuid == READ_ONCE(i->uid))
		bits = mode >> 6 & 7;
	else if (((mode >> 3 & 7) != bits) && creds_in_group(cr, READ_ONCE(i->gid)))
		bits = mode >> 3 & 7;
	if ((mask & ~bits & 7) == 0)
		return 0;
	if (S_ISDIR(mode)) {
		if (creds_capable(cr, CAP_DAC_OVERRIDE) ||
		    (!(mask & MAY_WRITE) && creds_capable(cr, CAP_DAC_READ_SEARCH)))
			return 0;
		return -EACCES;
	}
	if (mask == MAY_READ && creds_capable(cr, CAP_DAC_READ_SEARCH))
		return 0;
	if ((!(mask & MAY_EXEC) || (mode & 0111)) && creds_capable(cr, CAP_DAC_OVERRIDE))
		return 0;
	return -EACCES;
}

int inode_permission(struct inode *i, struct ctx *c, const struct creds *cr, u32 mask)
{
	const struct inode_ops *ops = inode_ops_of(i);

	if (!cr)
		cr = c->creds;
	if (ops->permission)
		return ops->permission(i, c, cr, mask);
	return inode_permission_mode(i, cr, mask);
}

bool inode_owner_or_capable(struct inode *i, struct ctx *c)
{
	return c->creds->fsuid == READ_ONCE(i->uid) || creds_capable(c->creds, CAP_FOWNER);
}

int inode_getattr(struct inode *i, struct ctx *c, struct kstat *ret)
{
	const struct inode_ops *ops = inode_ops_of(i);

	if (ops->getattr)
		return ops->getattr(i, c, ret);
	inode_fill_stat(i, ret);
	return 0;
}

void inode_apply_attr(struct inode *i, struct ctx *c, const struct iattr *a)
{
	s64 now = inode_now(c);
	GUARD(&i->lock);

	if (a->valid & IATTR_UID)
		i->uid = a->uid;
	if (a->valid & IATTR_GID)
		i->gid = a->gid;
	if (a->valid & IATTR_MODE)
		i->mode = (i->mode & S_IFMT) | (a->mode & 07777);
	if (a->valid & (IATTR_ATIME | IATTR_ATIME_NOW))
		i->atime = a->valid & IATTR_ATIME ? a->atime : now;
	if (a->valid & (IATTR_MTIME | IATTR_MTIME_NOW))
		i->mtime = a->valid & IATTR_MTIME ? a->mtime : now;
	if (a->valid & IATTR_SIZE)
		i->mtime = now;
	i->ctime = now;
}

/* What is left of the set-id bits of mode after a change of owner or a write. */
static u32 mode_without_setid(u32 mode)
{
	mode &= ~(u32)S_ISUID;
	if (mode & S_IXGRP)
		mode &= ~(u32)S_ISGID;
	return mode;
}

static int check_attr(struct inode *i, struct ctx *c, struct iattr *a)
{
	const struct creds *cr = c->creds;
	u32 mode = READ_ONCE(i->mode), uid = READ_ONCE(i->uid), gid = READ_ONCE(i->gid);

	if ((a->valid & IATTR_UID) && !creds_capable(cr, CAP_CHOWN) &&
	    (cr->fsuid != uid || a->uid != uid))
		return -EPERM;
	if ((a->valid & IATTR_GID) && !creds_capable(cr, CAP_CHOWN) &&
	    (cr->fsuid != uid || (a->gid != gid && !creds_in_group(cr, a->gid))))
		return -EPERM;
	if (a->valid & IATTR_MODE) {
		u32 g = a->valid & IATTR_GID ? a->gid : gid;

		if (!inode_owner_or_capable(i, c))
			return -EPERM;
		if (!creds_in_group(cr, g) && !creds_capable(cr, CAP_FSETID))
			a->mode &= ~(u32)S_ISGID;
	}
	if ((a->valid & (IATTR_ATIME | IATTR_MTIME)) && !inode_owner_or_capable(i, c))
		return -EPERM;
	if ((a->valid & (IATTR_ATIME_NOW | IATTR_MTIME_NOW)) &&
	    !(a->valid & (IATTR_ATIME | IATTR_MTIME | IATTR_SIZE)) &&
	    !inode_owner_or_capable(i, c)) {
		int r = inode_permission(i, c, NULL, MAY_WRITE);

		if (r < 0)
			return r;
	}
	if (!(a->valid & IATTR_MODE) && !S_ISDIR(mode) && (mode & (S_ISUID | S_ISGID))) {
		bool kill = (a->valid & (IATTR_UID | IATTR_GID)) != 0;

		if ((a->valid & (IATTR_SIZE | IATTR_KILL_PRIV)) && !creds_capable(cr, CAP_FSETID))
			kill = true;
		if (kill && mode_without_setid(mode) != mode) {
			a->valid |= IATTR_MODE;
			a->mode = mode_without_setid(mode) & 07777;
		}
	}
	return 0;
}

void inode_drop_capabilities(struct inode *i, struct ctx *c)
{
	const struct inode_ops *ops = inode_ops_of(i);
	int r = -ENODATA;

	if (ops->getxattr && ops->removexattr &&
	    ops->getxattr(i, c, "security.capability", NULL, 0) > 0)
		r = ops->removexattr(i, c, "security.capability");
	(void)r;
}

/* Another owner, or other content. The host does that by itself where the content is its. */
static bool loses_capabilities(const struct inode *i, const struct iattr *a)
{
	return (a->valid & (IATTR_UID | IATTR_GID)) ||
	       ((a->valid & IATTR_SIZE) && i->sb && !super_ops_of(i->sb)->changes_outside);
}

int inode_setattr(struct inode *i, struct ctx *c, struct iattr *a)
{
	const struct inode_ops *ops = inode_ops_of(i);
	int r = 0;

	if ((a->valid & IATTR_SIZE) && !(a->valid & IATTR_OPEN)) {
		r = inode_permission(i, c, NULL, MAY_WRITE);
		if (r < 0)
			return r;
	}
	r = check_attr(i, c, a);
	if (r == 0 && inode_is_reg(i) && loses_capabilities(i, a))
		inode_drop_capabilities(i, c);
	if (r < 0 || !(a->valid & ~(u32)(IATTR_OPEN | IATTR_KILL_PRIV)))
		return r;
	if (ops->setattr)
		return ops->setattr(i, c, a);
	if (a->valid & IATTR_SIZE)
		return -EINVAL;
	inode_apply_attr(i, c, a);
	return 0;
}

void inode_touch(struct inode *i, struct ctx *c, bool atime, bool mtime, bool ctime)
{
	s64 now = inode_now(c);
	GUARD(&i->lock);

	if (atime)
		i->atime = now;
	if (mtime)
		i->mtime = now;
	if (ctime)
		i->ctime = now;
}

u32 inode_new_mode(struct ctx *c, struct inode *dir, u32 mode)
{
	mode &= ~fs_umask(c->fs) | S_IFMT;
	if (S_ISDIR(mode) || (mode & (S_ISGID | S_IXGRP)) != (S_ISGID | S_IXGRP) ||
	    !(READ_ONCE(dir->mode) & S_ISGID) || creds_in_group(c->creds, READ_ONCE(dir->gid)) ||
	    creds_capable(c->creds, CAP_FSETID))
		return mode;
	return mode & ~(u32)S_ISGID;
}

void inode_inherit(struct inode *i, const struct inode *dir)
{
	if (!(READ_ONCE(dir->mode) & S_ISGID))
		return;
	i->gid = READ_ONCE(dir->gid);
	if (S_ISDIR(i->mode))
		i->mode |= S_ISGID;
}

#define RELATIME_NS (24 * 3600 * NSEC_PER_SEC)

void inode_accessed(struct inode *i, struct ctx *c, const struct file *f)
{
	u32 flags = f->path.mount ? mount_flags(f->path.mount) : MS_RELATIME;

	if (!(file_flags(f) & O_NOATIME))
		inode_accessed_through(i, c, flags);
}

void inode_accessed_through(struct inode *i, struct ctx *c, u32 flags)
{
	u32 skip = MS_NOATIME | MS_RDONLY | (inode_is_dir(i) ? MS_NODIRATIME : 0);
	s64 now, atime;

	if (flags & skip)
		return;
	atime = READ_ONCE(i->atime);
	if (likely((flags & MS_RELATIME) && atime > READ_ONCE(i->mtime) &&
	           atime > READ_ONCE(i->ctime))) {
		now = inode_now(c);
		if (now - atime < RELATIME_NS)
			return;
	}
	inode_touch(i, c, true, false, false);
}

void inode_write_clears_setid(struct inode *i, struct ctx *c)
{
	u32 mode = READ_ONCE(i->mode);
	struct iattr a = {.valid = IATTR_KILL_PRIV | IATTR_OPEN};

	if (likely(!(mode & (S_ISUID | S_ISGID))) || mode_without_setid(mode) == mode ||
	    creds_capable(c->creds, CAP_FSETID))
		return;
	/* As the system, not as the writer, who need not be the owner. */
	a.valid = IATTR_MODE | IATTR_OPEN;
	a.mode = mode_without_setid(mode) & 07777;
	if (inode_ops_of(i)->setattr) {
		int r = inode_ops_of(i)->setattr(i, c, &a);

		(void)r; /* a host that refuses leaves the bits; the write itself is fine */
	} else {
		inode_apply_attr(i, c, &a);
	}
}

int inode_readlink(struct inode *i, struct ctx *c, char **ret_text)
{
	const struct inode_ops *ops = inode_ops_of(i);
	struct path jump = {0};
	int r = 0;

	if (ops->readlink)
		return ops->readlink(i, c, ret_text);
	if (!ops->get_link)
		return -EINVAL;
	r = ops->get_link(i, c, ret_text, &jump);
	if (r == 1) {
		obj_put(jump.dentry);
		obj_put(jump.mount);
		return -EINVAL;
	}
	return r;
}

extern const struct special_file *const __start_special_files[] __attribute__((weak));
extern const struct special_file *const __stop_special_files[] __attribute__((weak));

int special_open(struct inode *i, struct ctx *c, const struct path *path, u32 flags,
                 struct file **ret)
{
	for (const struct special_file *const *s = __start_special_files; s < __stop_special_files;
	     s++) {
		if ((*s)->type == (i->mode & S_IFMT) &&
		    ((*s)->major < 0 || (u32)(*s)->major == major(i->rdev)))
			return (*s)->open(i, c, path, flags, ret);
	}
	return -ENXIO;
}

int inode_open(struct inode *i, struct ctx *c, const struct path *path, u32 flags,
               struct file **ret)
{
	const struct inode_ops *ops = inode_ops_of(i);

	return ops->open ? ops->open(i, c, path, flags, ret) : special_open(i, c, path, flags, ret);
}
