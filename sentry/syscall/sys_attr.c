/* chmod(2), chown(2), utimensat(2), truncate(2), fallocate(2) and their kin. */
#include "sentry/syscall/sysarg.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/namei.h"
#include "state/base/cleanup.h"

#include <sys/stat.h>
#include <sys/time.h>
#include <utime.h>

/* What is to be changed can be NULL here and below: values that cannot be, which is told when the
 * file was found. */
static long change_fd(struct ctx *c, int fd, bool path_ok, struct iattr *a)
{
	AUTO(file) f = NULL;
	int r = path_ok ? fd_get_path(c, fd, &f) : fd_get(c, fd, &f);

	if (r < 0)
		return r;
	if (!a)
		return -EINVAL;
	return f->path.dentry ? vfs_setattr(c, &f->path, a) : inode_setattr(f->inode, c, a);
}

/* flags: AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH. */
static long change_at(struct ctx *c, int dirfd, uaddr_t upath, int flags, struct iattr *a)
{
	AUTO_FREE char *path = NULL;
	AUTO_PATH p = {0};
	u32 lf = flags & AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW;
	int r = user_get_path(c, upath, &path);

	if (r < 0)
		return r;
	if (flags & AT_EMPTY_PATH) {
		if (!path[0] && dirfd != AT_FDCWD)
			return change_fd(c, dirfd, true, a);
		lf |= LOOKUP_EMPTY;
	}
	r = path_lookup(c, dirfd, path, lf, &p);
	if (r < 0)
		return r;
	if (!a)
		return -EINVAL;
	if ((a->valid & IATTR_MODE) && inode_is_lnk(path_inode(&p)))
		return -EOPNOTSUPP;
	return vfs_setattr(c, &p, a);
}

/* ---- mode ---- */

static struct iattr mode_attr(u32 mode)
{
	return (struct iattr){.valid = IATTR_MODE, .mode = mode & 07777};
}
SYSCALL2(chmod, uaddr_t, path, u32, mode)
{
	struct iattr a = mode_attr(mode);

	return change_at(&t->ctx, AT_FDCWD, path, 0, &a);
}
SYSCALL2(fchmod, int, fd, u32, mode)
{
	struct iattr a = mode_attr(mode);

	return change_fd(&t->ctx, fd, false, &a);
}
SYSCALL3(fchmodat, int, dirfd, uaddr_t, path, u32, mode)
{
	struct iattr a = mode_attr(mode);

	return change_at(&t->ctx, dirfd, path, 0, &a);
}
SYSCALL4(fchmodat2, int, dirfd, uaddr_t, path, u32, mode, int, flags)
{
	struct iattr a = mode_attr(mode);

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	return change_at(&t->ctx, dirfd, path, flags, &a);
}

/* ---- owner; -1 leaves one as it is ---- */

static struct iattr owner_attr(u32 uid, u32 gid)
{
	struct iattr a = {.valid = IATTR_KILL_PRIV, .uid = uid, .gid = gid};

	if (uid != UINT32_MAX)
		a.valid |= IATTR_UID;
	if (gid != UINT32_MAX)
		a.valid |= IATTR_GID;
	return a;
}
SYSCALL3(chown, uaddr_t, path, u32, uid, u32, gid)
{
	struct iattr a = owner_attr(uid, gid);

	return change_at(&t->ctx, AT_FDCWD, path, 0, &a);
}
SYSCALL3(lchown, uaddr_t, path, u32, uid, u32, gid)
{
	struct iattr a = owner_attr(uid, gid);

	return change_at(&t->ctx, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &a);
}
SYSCALL3(fchown, int, fd, u32, uid, u32, gid)
{
	struct iattr a = owner_attr(uid, gid);

	return change_fd(&t->ctx, fd, false, &a);
}
SYSCALL5(fchownat, int, dirfd, uaddr_t, path, u32, uid, u32, gid, int, flags)
{
	struct iattr a = owner_attr(uid, gid);

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	return change_at(&t->ctx, dirfd, path, flags, &a);
}

/* ---- times ---- */

/* times[0] access, times[1] modification; NULL: now. False: nothing is to change. */
static int times_attr(const struct timespec *ts, struct iattr *ret, bool *ret_any)
{
	struct iattr a = {0};

	*ret_any = true;
	if (!ts) {
		ret->valid = IATTR_ATIME_NOW | IATTR_MTIME_NOW;
		return 0;
	}
	for (int i = 0; i < 2; i++) {
		long ns = ts[i].tv_nsec;

		if (ns == UTIME_OMIT)
			continue;
		if (ns == UTIME_NOW) {
			a.valid |= i ? IATTR_MTIME_NOW : IATTR_ATIME_NOW;
			continue;
		}
		if (ns < 0 || ns >= NSEC_PER_SEC)
			return -EINVAL;
		a.valid |= i ? IATTR_MTIME : IATTR_ATIME;
		*(i ? &a.mtime : &a.atime) = timespec_ns(&ts[i]);
	}
	/* Setting one to a time and the other to now needs the owner, as setting both does. */
	if ((a.valid & (IATTR_ATIME_NOW | IATTR_MTIME_NOW)) == 0 || a.valid)
		*ret_any = a.valid != 0;
	*ret = a;
	return 0;
}

static long change_times(struct task *t, int dirfd, uaddr_t upath, const struct timespec *ts,
                         int flags)
{
	struct iattr a = {0}, *change = &a;
	bool any = true;

	if (times_attr(ts, &a, &any) < 0)
		change = NULL;
	if (!any)
		return 0;
	if (uaddr_null(upath) && dirfd != AT_FDCWD)
		return flags ? -EINVAL : change_fd(&t->ctx, dirfd, false, change);
	return change_at(&t->ctx, dirfd, upath, flags, change);
}

SYSCALL4(utimensat, int, dirfd, uaddr_t, path, uaddr_t, utimes, int, flags)
{
	struct timespec ts[2];
	int r;

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	if (uaddr_null(utimes))
		return change_times(t, dirfd, path, NULL, flags);
	r = user_get(&t->ctx, utimes, &ts);
	return r < 0 ? r : change_times(t, dirfd, path, ts, flags);
}

static long do_utimes(struct task *t, int dirfd, uaddr_t path, uaddr_t utimes)
{
	struct timespec ts[2];
	struct timeval tv[2];
	int r;

	if (uaddr_null(utimes))
		return change_times(t, dirfd, path, NULL, 0);
	r = user_get(&t->ctx, utimes, &tv);
	if (r < 0)
		return r;
	for (int i = 0; i < 2; i++) {
		if (tv[i].tv_usec < 0 || tv[i].tv_usec >= USEC_PER_SEC)
			return -EINVAL;
		ts[i] = (struct timespec){tv[i].tv_sec, tv[i].tv_usec * NSEC_PER_USEC};
	}
	return change_times(t, dirfd, path, ts, 0);
}
SYSCALL2(utimes, uaddr_t, path, uaddr_t, times)
{
	return do_utimes(t, AT_FDCWD, path, times);
}
SYSCALL3(futimesat, int, dirfd, uaddr_t, path, uaddr_t, times)
{
	return do_utimes(t, dirfd, path, times);
}
SYSCALL2(utime, uaddr_t, path, uaddr_t, utimes)
{
	struct timespec ts[2] = {{0}};
	struct utimbuf ub;
	int r;

	if (uaddr_null(utimes))
		return change_times(t, AT_FDCWD, path, NULL, 0);
	r = user_get(&t->ctx, utimes, &ub);
	if (r < 0)
		return r;
	ts[0].tv_sec = ub.actime;
	ts[1].tv_sec = ub.modtime;
	return change_times(t, AT_FDCWD, path, ts, 0);
}

/* ---- size ---- */

SYSCALL2(truncate, uaddr_t, upath, s64, size)
{
	AUTO_FREE char *path = NULL;
	AUTO_PATH p = {0};
	int r;

	if (size < 0)
		return -EINVAL;
	r = user_get_path(&t->ctx, upath, &path);
	if (r == 0)
		r = path_lookup(&t->ctx, AT_FDCWD, path, LOOKUP_FOLLOW, &p);
	return r < 0 ? r : vfs_truncate(&t->ctx, &p, (u64)size, NULL);
}

SYSCALL2(ftruncate, int, fd, s64, size)
{
	AUTO(file) f = NULL;
	int r;

	if (size < 0)
		return -EINVAL;
	r = fd_get(&t->ctx, fd, &f);
	if (r < 0)
		return r;
	if (!file_writable(f))
		return -EINVAL;
	return vfs_truncate(&t->ctx, &f->path, (u64)size, f);
}

SYSCALL4(fallocate, int, fd, int, mode, s64, off, s64, len)
{
	AUTO(file) f = NULL;
	int r = fd_get(&t->ctx, fd, &f);

	return r < 0 ? r : file_fallocate(f, &t->ctx, mode, off, len);
}
