/* Calls that make, remove and rename names. */
#include "sentry/syscall/sysarg.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/namei.h"
#include "state/base/cleanup.h"

#include <sys/sysmacros.h>

static long do_link(struct task *t, int olddir, uaddr_t uold, int newdir, uaddr_t unew, int flags)
{
	AUTO_FREE char *old = NULL;
	AUTO_FREE char *new = NULL;
	int r = user_get_path(&t->ctx, uold, &old);

	if (r == 0)
		r = user_get_path(&t->ctx, unew, &new);
	return r < 0 ? r : vfs_link(&t->ctx, olddir, old, newdir, new, flags);
}
SYSCALL2(link, uaddr_t, old, uaddr_t, new)
{
	return do_link(t, AT_FDCWD, old, AT_FDCWD, new, 0);
}
SYSCALL5(linkat, int, olddir, uaddr_t, old, int, newdir, uaddr_t, new, int, flags)
{
	return do_link(t, olddir, old, newdir, new, flags);
}

static long do_symlink(struct task *t, uaddr_t utarget, int dirfd, uaddr_t upath)
{
	AUTO_FREE char *target = NULL;
	AUTO_FREE char *path = NULL;
	int r = user_get_path(&t->ctx, utarget, &target);

	if (r == 0)
		r = user_get_path(&t->ctx, upath, &path);
	return r < 0 ? r : vfs_symlink(&t->ctx, target, dirfd, path);
}
SYSCALL2(symlink, uaddr_t, target, uaddr_t, path)
{
	return do_symlink(t, target, AT_FDCWD, path);
}
SYSCALL3(symlinkat, uaddr_t, target, int, dirfd, uaddr_t, path)
{
	return do_symlink(t, target, dirfd, path);
}

SYSCALL1(unlink, uaddr_t, upath)
{
	AUTO_FREE char *path = NULL;
	int r = user_get_path(&t->ctx, upath, &path);

	return r < 0 ? r : vfs_unlink(&t->ctx, AT_FDCWD, path);
}
SYSCALL3(unlinkat, int, dirfd, uaddr_t, upath, int, flags)
{
	AUTO_FREE char *path = NULL;
	int r;

	if (flags & ~AT_REMOVEDIR)
		return -EINVAL;
	r = user_get_path(&t->ctx, upath, &path);
	if (r < 0)
		return r;
	return flags & AT_REMOVEDIR ? vfs_rmdir(&t->ctx, dirfd, path)
	                            : vfs_unlink(&t->ctx, dirfd, path);
}

static long do_rename(struct task *t, int olddir, uaddr_t uold, int newdir, uaddr_t unew, u32 flags)
{
	AUTO_FREE char *old = NULL;
	AUTO_FREE char *new = NULL;
	int r = user_get_path(&t->ctx, uold, &old);

	if (r == 0)
		r = user_get_path(&t->ctx, unew, &new);
	return r < 0 ? r : vfs_rename(&t->ctx, olddir, old, newdir, new, flags);
}
SYSCALL2(rename, uaddr_t, old, uaddr_t, new)
{
	return do_rename(t, AT_FDCWD, old, AT_FDCWD, new, 0);
}
SYSCALL4(renameat, int, olddir, uaddr_t, old, int, newdir, uaddr_t, new)
{
	return do_rename(t, olddir, old, newdir, new, 0);
}
SYSCALL5(renameat2, int, olddir, uaddr_t, old, int, newdir, uaddr_t, new, u32, flags)
{
	return do_rename(t, olddir, old, newdir, new, flags);
}

/* The call's 32-bit device number is encoded as struct stat's low half is. */
static long do_mknod(struct task *t, int dirfd, uaddr_t upath, u32 mode, u32 dev)
{
	AUTO_FREE char *path = NULL;
	int r = user_get_path(&t->ctx, upath, &path);

	return r < 0 ? r : vfs_mknod(&t->ctx, dirfd, path, mode, dev);
}
SYSCALL3(mknod, uaddr_t, path, u32, mode, u32, dev)
{
	return do_mknod(t, AT_FDCWD, path, mode, dev);
}
SYSCALL4(mknodat, int, dirfd, uaddr_t, path, u32, mode, u32, dev)
{
	return do_mknod(t, dirfd, path, mode, dev);
}

SYSCALL1(umask, u32, mask)
{
	return fs_set_umask(t->ctx.fs, mask);
}
