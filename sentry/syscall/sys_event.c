/* signalfd(2), timerfd_create(2), inotify(7) and their kin. */
#include "sentry/fs/signalfd.h"
#include "sentry/fs/timerfd.h"
#include "sentry/syscall/sysarg.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/inode.h"
#include "sentry/vfs/inotify.h"
#include "sentry/vfs/namei.h"
#include "state/base/cleanup.h"

#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

static long do_signalfd(struct task *t, int fd, uaddr_t umask, size_t size, int flags)
{
	AUTO(file) f = NULL;
	u64 mask;
	int r;

	if (size != sizeof(mask))
		return -EINVAL;
	r = user_get(&t->ctx, umask, &mask);
	if (r < 0)
		return r;
	if (flags & ~(SFD_CLOEXEC | SFD_NONBLOCK))
		return -EINVAL;
	if (fd == -1) {
		f = signalfd_create(&t->ctx, mask, flags);
		return fd_install(&t->ctx, f, 0, (flags & SFD_CLOEXEC) != 0);
	}
	r = fd_get(&t->ctx, fd, &f);
	if (r == 0)
		r = signalfd_set_mask(f, mask);
	return r < 0 ? r : fd;
}

SYSCALL3(signalfd, int, fd, uaddr_t, mask, size_t, size)
{
	return do_signalfd(t, fd, mask, size, 0);
}

SYSCALL4(signalfd4, int, fd, uaddr_t, mask, size_t, size, int, flags)
{
	return do_signalfd(t, fd, mask, size, flags);
}

SYSCALL2(timerfd_create, int, clock, int, flags)
{
	AUTO(file) f = NULL;
	int r;

	if (flags & ~(TFD_CLOEXEC | TFD_NONBLOCK))
		return -EINVAL;
	r = timerfd_create_file(&t->ctx, clock, flags, &f);
	return r < 0 ? r : fd_install(&t->ctx, f, 0, (flags & TFD_CLOEXEC) != 0);
}

SYSCALL4(timerfd_settime, int, fd, int, flags, uaddr_t, uval, uaddr_t, uold)
{
	struct itimerspec val, old;
	AUTO(file) f = NULL;
	int r = user_get(&t->ctx, uval, &val);

	if (r < 0)
		return r;
	r = fd_get(&t->ctx, fd, &f);
	if (r == 0)
		r = timerfd_set_time(f, flags, &val, &old);
	if (r < 0 || uaddr_null(uold))
		return r;
	return user_put(&t->ctx, uold, &old);
}

SYSCALL2(timerfd_gettime, int, fd, uaddr_t, ucur)
{
	struct itimerspec cur;
	AUTO(file) f = NULL;
	int r = fd_get(&t->ctx, fd, &f);

	if (r == 0)
		r = timerfd_get_time(f, &cur);
	return r < 0 ? r : user_put(&t->ctx, ucur, &cur);
}

SYSCALL1(inotify_init1, int, flags)
{
	AUTO(file) f = NULL;
	int r;

	if (flags & ~(IN_CLOEXEC | IN_NONBLOCK))
		return -EINVAL;
	r = inotify_create(&t->ctx, (u32)flags, &f);
	return r < 0 ? r : fd_install(&t->ctx, f, 0, (flags & IN_CLOEXEC) != 0);
}

SYSCALL0(inotify_init)
{
	AUTO(file) f = NULL;
	int r = inotify_create(&t->ctx, 0, &f);

	return r < 0 ? r : fd_install(&t->ctx, f, 0, false);
}

#define WATCH_BITS                                                                               \
	(IN_ALL_EVENTS | IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED | IN_ONLYDIR | IN_DONT_FOLLOW | \
	 IN_EXCL_UNLINK | IN_MASK_ADD | IN_MASK_CREATE | IN_ISDIR | IN_ONESHOT)

SYSCALL3(inotify_add_watch, int, fd, uaddr_t, upath, u32, mask)
{
	struct ctx *c = &t->ctx;
	AUTO_FREE char *name = NULL;
	AUTO_PATH p = {0};
	AUTO(file) f = NULL;
	u32 flags = 0;
	int r;

	if (!(mask & WATCH_BITS) ||
	    (mask & (IN_MASK_ADD | IN_MASK_CREATE)) == (IN_MASK_ADD | IN_MASK_CREATE))
		return -EINVAL;
	r = fd_get(c, fd, &f);
	if (r < 0)
		return r;
	if (!obj_is(f, &inotify_type))
		return -EINVAL;
	r = user_get_path(c, upath, &name);
	if (r < 0)
		return r;
	if (!(mask & IN_DONT_FOLLOW))
		flags |= LOOKUP_FOLLOW;
	if (mask & IN_ONLYDIR)
		flags |= LOOKUP_DIRECTORY;
	r = path_lookup(c, AT_FDCWD, name, flags, &p);
	if (r == 0)
		r = inode_permission(path_inode(&p), c, NULL, MAY_READ);
	return r < 0 ? r : inotify_add(f, &p, mask);
}

SYSCALL2(inotify_rm_watch, int, fd, int, wd)
{
	AUTO(file) f = NULL;
	int r = fd_get(&t->ctx, fd, &f);

	return r < 0 ? r : inotify_remove(f, wd);
}
