/* stat(2), statx(2), statfs(2), access(2), readlink(2). */
#include "sentry/syscall/sysarg.h"
#include "sentry/fs/tmpfs/memfd.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/namei.h"
#include "sentry/vfs/walk.h"
#include "state/base/cleanup.h"

#include <string.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#define STAT_AT_FLAGS (AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE)

static int stat_path(struct ctx *c, const struct path *p, struct kstat *ret)
{
	int r = inode_getattr(path_inode(p), c, ret);

	if (r < 0)
		return r;
	ret->mount_id = p->mount->id;
	ret->mount_root = p->dentry == p->mount->root;
	return 0;
}

static int stat_fd(struct ctx *c, int fd, struct kstat *ret)
{
	AUTO(file) f = NULL;
	int r = fd_get_path(c, fd, &f);

	return r < 0 ? r : file_stat(f, c, ret);
}

static int stat_at(struct ctx *c, int dirfd, uaddr_t upath, int flags, struct kstat *ret)
{
	AUTO_FREE char *path = NULL;
	AUTO_PATH p = {0};
	u32 lf = flags & AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW;
	int r;

	if (flags & ~STAT_AT_FLAGS)
		return -EINVAL;
	if ((flags & AT_EMPTY_PATH) && uaddr_null(upath) && dirfd >= 0)
		return stat_fd(c, dirfd, ret);
	r = user_get_path(c, upath, &path);
	if (r < 0)
		return r;
	if (flags & AT_EMPTY_PATH) {
		if (!path[0] && dirfd != AT_FDCWD)
			return stat_fd(c, dirfd, ret);
		lf |= LOOKUP_EMPTY;
	}
	r = path_lookup(c, dirfd, path, lf, &p);
	return r < 0 ? r : stat_path(c, &p, ret);
}

static int put_stat(struct ctx *c, uaddr_t out, const struct kstat *k)
{
	struct stat st = {
		.st_dev = k->dev,
		.st_ino = k->ino,
		.st_mode = k->mode,
		.st_nlink = k->nlink,
		.st_uid = k->uid,
		.st_gid = k->gid,
		.st_rdev = k->rdev,
		.st_size = (off_t)k->size,
		.st_blksize = (blksize_t)k->blksize,
		.st_blocks = (blkcnt_t)k->blocks,
		.st_atim = ns_timespec(k->atime),
		.st_mtim = ns_timespec(k->mtime),
		.st_ctim = ns_timespec(k->ctime),
	};

	return user_put(c, out, &st);
}

SYSCALL2(stat, uaddr_t, path, uaddr_t, out)
{
	struct kstat k;
	int r = stat_at(&t->ctx, AT_FDCWD, path, 0, &k);

	return r < 0 ? r : put_stat(&t->ctx, out, &k);
}
SYSCALL2(lstat, uaddr_t, path, uaddr_t, out)
{
	struct kstat k;
	int r = stat_at(&t->ctx, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &k);

	return r < 0 ? r : put_stat(&t->ctx, out, &k);
}
SYSCALL2(fstat, int, fd, uaddr_t, out)
{
	struct kstat k;
	int r = stat_fd(&t->ctx, fd, &k);

	return r < 0 ? r : put_stat(&t->ctx, out, &k);
}
SYSCALL4(newfstatat, int, dirfd, uaddr_t, path, uaddr_t, out, int, flags)
{
	struct kstat k;
	int r = stat_at(&t->ctx, dirfd, path, flags, &k);

	return r < 0 ? r : put_stat(&t->ctx, out, &k);
}

static struct statx_timestamp statx_time(s64 ns)
{
	struct timespec ts = ns_timespec(ns);

	return (struct statx_timestamp){.tv_sec = ts.tv_sec, .tv_nsec = (u32)ts.tv_nsec};
}

#ifndef STATX_MNT_ID
#define STATX_MNT_ID 0x1000u
#endif
#ifndef STATX_ATTR_MOUNT_ROOT
#define STATX_ATTR_MOUNT_ROOT 0x2000u
#endif
#ifndef STATX__RESERVED
#define STATX__RESERVED 0x80000000u
#endif

SYSCALL5(statx, int, dirfd, uaddr_t, path, int, flags, u32, mask, uaddr_t, out)
{
	struct statx x = {0};
	struct kstat k;
	int r;

	if ((mask & STATX__RESERVED) || (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE)
		return -EINVAL;
	r = stat_at(&t->ctx, dirfd, path, flags, &k);
	if (r < 0)
		return r;
	x.stx_mask = STATX_BASIC_STATS | STATX_MNT_ID | (k.btime ? STATX_BTIME : 0);
	x.stx_blksize = (u32)k.blksize;
	x.stx_nlink = k.nlink;
	x.stx_uid = k.uid;
	x.stx_gid = k.gid;
	x.stx_mode = (u16)k.mode;
	x.stx_ino = k.ino;
	x.stx_size = k.size;
	x.stx_blocks = k.blocks;
	x.stx_atime = statx_time(k.atime);
	x.stx_mtime = statx_time(k.mtime);
	x.stx_ctime = statx_time(k.ctime);
	x.stx_btime = statx_time(k.btime);
	x.stx_rdev_major = major(k.rdev);
	x.stx_rdev_minor = minor(k.rdev);
	x.stx_dev_major = major(k.dev);
	x.stx_dev_minor = minor(k.dev);
	x.stx_mnt_id = k.mount_id;
	x.stx_attributes = k.mount_root ? STATX_ATTR_MOUNT_ROOT : 0;
	x.stx_attributes_mask = STATX_ATTR_MOUNT_ROOT;
	return user_put(&t->ctx, out, &x);
}

/* ---- statfs ---- */

static int statfs_path(struct ctx *c, const struct path *p, uaddr_t out)
{
	struct statfs st;
	u32 flags = mount_flags(p->mount);
	int r = super_statfs(p->mount->sb, c, &st);

	if (r < 0)
		return r;
	st.f_flags = 0x20; /* ST_VALID */
	st.f_flags |= mount_want_write(p->mount) < 0 ? ST_RDONLY : 0;
	st.f_flags |= flags & MS_NOSUID ? ST_NOSUID : 0;
	st.f_flags |= flags & MS_NODEV ? ST_NODEV : 0;
	st.f_flags |= flags & MS_NOEXEC ? ST_NOEXEC : 0;
	st.f_flags |= flags & MS_NOATIME ? ST_NOATIME : 0;
	st.f_flags |= flags & MS_NODIRATIME ? ST_NODIRATIME : 0;
	st.f_flags |= flags & MS_RELATIME ? ST_RELATIME : 0;
	st.f_flags |= flags & MS_NOSYMFOLLOW ? 0x2000 : 0; /* ST_NOSYMFOLLOW */
	return user_put(c, out, &st);
}

SYSCALL2(statfs, uaddr_t, upath, uaddr_t, out)
{
	AUTO_FREE char *path = NULL;
	AUTO_PATH p = {0};
	int r = user_get_path(&t->ctx, upath, &path);

	if (r == 0)
		r = path_lookup(&t->ctx, AT_FDCWD, path, LOOKUP_FOLLOW, &p);
	return r < 0 ? r : statfs_path(&t->ctx, &p, out);
}
SYSCALL2(fstatfs, int, fd, uaddr_t, out)
{
	AUTO(file) f = NULL;
	int r = fd_get_path(&t->ctx, fd, &f);

	if (r < 0)
		return r;
	if (f->path.dentry)
		return statfs_path(&t->ctx, &f->path, out);
	struct statfs st = {
		.f_type = S_ISFIFO(f->inode->mode)   ? PIPEFS_MAGIC
	                  : S_ISSOCK(f->inode->mode) ? SOCKFS_MAGIC
	                  : memfd_get_seals(f) >= 0  ? TMPFS_MAGIC
	                                             : ANON_INODE_FS_MAGIC,
		.f_bsize = PAGE_SIZE,
		.f_frsize = PAGE_SIZE,
		.f_namelen = 255,
		.f_flags = 0x20,
	};
	return user_put(&t->ctx, out, &st);
}

/* ---- access ---- */

/* *ret: what dirfd stands for, if the path is empty and none leads to it (a pipe, a memfd). */
static int get_nameless(struct ctx *c, int dirfd, const char *path, struct file **ret)
{
	AUTO(file) f = NULL;
	int r;

	if (path[0] || dirfd < 0)
		return 0;
	r = fd_get_path(c, dirfd, &f);
	if (r == 0 && !f->path.dentry)
		*ret = TAKE(f);
	return r;
}

static long do_access(struct task *t, int dirfd, uaddr_t upath, int mode, int flags)
{
	struct ctx *c = &t->ctx;
	AUTO_FREE char *path = NULL;
	AUTO(file) f = NULL;
	struct inode *i;
	struct mount *m;
	u32 lf = flags & AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW;
	WALK(w);
	int r;

	if ((mode & ~7) || (flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)))
		return -EINVAL;
	if (!(flags & AT_EACCESS))
		lf |= LOOKUP_REAL_IDS;
	if (flags & AT_EMPTY_PATH)
		lf |= LOOKUP_EMPTY;
	r = user_get_path(c, upath, &path);
	if (r == 0 && (flags & AT_EMPTY_PATH))
		r = get_nameless(c, dirfd, path, &f);
	if (r == 0)
		r = f ? walk_init(&w, c, AT_FDCWD, "/", lf) : walk_init(&w, c, dirfd, path, lf);
	if (r == 0 && f)
		return mode ? inode_permission(f->inode, c, w.creds, (u32)mode) : 0;
	if (r == 0)
		r = walk_all(&w, path);
	if (r < 0)
		return r;
	i = path_inode(&w.cur);
	m = w.cur.mount;
	if ((mode & X_OK) && inode_is_reg(i) && (mount_flags(m) & MS_NOEXEC))
		return -EACCES;
	r = mode ? inode_permission(i, c, w.creds, (u32)mode) : 0;
	if (r == 0 && (mode & W_OK) && (inode_is_reg(i) || inode_is_dir(i) || inode_is_lnk(i)))
		r = mount_want_write(m);
	return r;
}

SYSCALL2(access, uaddr_t, path, int, mode)
{
	return do_access(t, AT_FDCWD, path, mode, 0);
}
SYSCALL3(faccessat, int, dirfd, uaddr_t, path, int, mode)
{
	return do_access(t, dirfd, path, mode, 0);
}
SYSCALL4(faccessat2, int, dirfd, uaddr_t, path, int, mode, int, flags)
{
	return do_access(t, dirfd, path, mode, flags);
}

/* ---- readlink ---- */

static long do_readlink(struct task *t, int dirfd, uaddr_t upath, uaddr_t buf, int size)
{
	struct ctx *c = &t->ctx;
	AUTO_FREE char *path = NULL;
	AUTO_FREE char *text = NULL;
	AUTO(file) f = NULL;
	AUTO_PATH p = {0};
	size_t n;
	int r;

	if (size <= 0)
		return -EINVAL;
	r = user_get_path(c, upath, &path);
	if (r == 0)
		r = get_nameless(c, dirfd, path, &f);
	if (r == 0 && f)
		return -ENOENT;
	if (r == 0)
		r = path_lookup(c, dirfd, path, LOOKUP_EMPTY, &p);
	if (r < 0)
		return r;
	if (!inode_is_lnk(path_inode(&p)))
		return path[0] ? -EINVAL : -ENOENT;
	r = inode_readlink(path_inode(&p), c, &text);
	if (r < 0)
		return r;
	n = MIN(strlen(text), (size_t)size);
	r = user_copy_out(c, buf, text, n);
	return r < 0 ? r : (long)n;
}

SYSCALL3(readlink, uaddr_t, path, uaddr_t, buf, int, size)
{
	return do_readlink(t, AT_FDCWD, path, buf, size);
}
SYSCALL4(readlinkat, int, dirfd, uaddr_t, path, uaddr_t, buf, int, size)
{
	return do_readlink(t, dirfd, path, buf, size);
}
