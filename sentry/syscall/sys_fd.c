/* close(2), dup(2), fcntl(2), ioctl(2), flock(2). */
#include "sentry/fs/pipe.h"
#include "sentry/fs/tmpfs/memfd.h"
#include "sentry/kernel/sigio.h"
#include "sentry/syscall/sysarg.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/dnotify.h"
#include "sentry/vfs/lease.h"
#include "sentry/vfs/inode.h"
#include "sentry/vfs/namei.h"

#include <linux/fs.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

SYSCALL1(close, int, fd)
{
	return fd_close(&t->ctx, fd);
}

#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE 2u
#define CLOSE_RANGE_CLOEXEC 4u
#endif

SYSCALL3(close_range, u32, first, u32, last, u32, flags)
{
	struct ctx *c = &t->ctx;

	if ((flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)) || first > last)
		return -EINVAL;
	if ((flags & CLOSE_RANGE_UNSHARE) && fd_table_users(c->fds) > 1) {
		struct fd_table *own = fd_table_copy(c->fds), *old = c->fds;

		fd_table_use(own);
		mutex_lock(&t->lock);
		c->fds = own;
		mutex_unlock(&t->lock);
		fd_table_unuse(old, c);
		fd_table_put(old);
	}
	return fd_close_range(c, first, last, flags & CLOSE_RANGE_CLOEXEC);
}

SYSCALL1(dup, int, fd)
{
	AUTO(file) f = NULL;
	int r = fd_get_path(&t->ctx, fd, &f);

	return r < 0 ? r : fd_install(&t->ctx, f, 0, false);
}

SYSCALL2(dup2, int, fd, int, to)
{
	AUTO(file) f = NULL;
	int r = fd_get_path(&t->ctx, fd, &f);

	if (r < 0)
		return r;
	return fd == to ? to : fd_install_at(&t->ctx, f, to, false);
}
SYSCALL3(dup3, int, fd, int, to, int, flags)
{
	AUTO(file) f = NULL;
	int r;

	if (flags & ~O_CLOEXEC || fd == to)
		return -EINVAL;
	r = fd_get_path(&t->ctx, fd, &f);
	return r < 0 ? r : fd_install_at(&t->ctx, f, to, flags & O_CLOEXEC);
}

/* ---- fcntl ---- */

#define SETFL_MASK (O_APPEND | O_ASYNC | O_DIRECT | O_NOATIME | O_NONBLOCK)

static long set_flags(struct file *f, struct ctx *c, int fd, u32 flags)
{
	const struct file_ops *ops = file_ops_of(f);
	u32 old = file_flags(f), new;
	int r;

	flags &= SETFL_MASK;
	if ((flags & O_NOATIME) && !(old & O_NOATIME) && !inode_owner_or_capable(file_place(f), c))
		return -EPERM;
	/* Who sends no signals does not remember being asked to. */
	if (!ops->set_async)
		flags &= ~(u32)O_ASYNC;
	new = (old & ~(u32)SETFL_MASK) | flags;
	if (ops->set_flags) {
		r = ops->set_flags(f, new);
		if (r < 0)
			return r;
	}
	if (((new ^ old) & O_ASYNC) && ops->set_async) {
		if (new &O_ASYNC)
			file_async_on(f, c, fd);
		ops->set_async(f, c, (new &O_ASYNC) != 0);
	}
	while (!atomic_compare_exchange_weak(&f->flags, &old, new))
		new = (old & ~(u32)SETFL_MASK) | flags;
	return 0;
}

static int set_lease(struct file *f, struct ctx *c, int fd, int type)
{
	struct file_owner self;

	file_owner_of_caller(c, &self);
	return lease_set(f, c, fd, type, &self);
}

static int set_dnotify(struct file *f, struct ctx *c, int fd, u32 mask)
{
	bool first;
	int r = dnotify_set(f, c, fd, mask, &first);

	if (r == 0 && first)
		file_own_by_default(f, c);
	return r;
}

static bool works_on_path(int cmd)
{
	return cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC || cmd == F_GETFD || cmd == F_SETFD ||
	       cmd == F_GETFL;
}

SYSCALL3(fcntl, int, fd, int, cmd, u64, arg)
{
	struct ctx *c = &t->ctx;
	struct file_owner owner;
	AUTO(file) f = NULL;
	int r = fd_get_path(c, fd, &f);

	if (r < 0)
		return r;
	if ((file_flags(f) & O_PATH) && !works_on_path(cmd))
		return -EBADF;
	if (is_lock_cmd(cmd))
		return fcntl_lock(f, c, fd, cmd, UADDR(arg));
	switch (cmd) {
	case F_DUPFD:
		return fd_install(c, f, (int)arg, false);
	case F_DUPFD_CLOEXEC:
		return fd_install(c, f, (int)arg, true);
	case F_GETFD:
		return fd_get_cloexec(c, fd);
	case F_SETFD:
		return fd_set_cloexec(c, fd, arg & FD_CLOEXEC);
	case F_GETFL:
		return file_flags(f);
	case F_SETFL:
		return set_flags(f, c, fd, (u32)arg);
	case F_GETOWN:
		return file_getown(f, c);
	case F_SETOWN:
		return file_setown(f, c, (s32)arg);
	case F_GETOWN_EX:
		return file_getown_ex(f, c, UADDR(arg));
	case F_SETOWN_EX:
		return file_setown_ex(f, c, UADDR(arg));
	case F_GETSIG:
		file_get_owner(f, &owner);
		return owner.sig;
	case F_SETSIG:
		if (arg > SIGNAL_MAX)
			return -EINVAL;
		file_set_owner_sig(f, (s32)arg);
		return 0;
	case F_GETLEASE:
		return lease_type_of(f, c);
	case F_NOTIFY:
		return set_dnotify(f, c, fd, (u32)arg);
	case F_SETLEASE:
		return set_lease(f, c, fd, (int)arg);
	case F_GETPIPE_SZ:
		return pipe_of(f) ? pipe_get_size(pipe_of(f)) : -EBADF;
	case F_SETPIPE_SZ:
		return pipe_of(f) ? pipe_set_size(pipe_of(f), c, (u32)arg) : -EBADF;
	case F_ADD_SEALS:
		return memfd_add_seals(f, c, (u32)arg);
	case F_GET_SEALS:
		return memfd_get_seals(f);
	default:
		return -EINVAL;
	}
}

/* ---- ioctl ---- */

static long set_flag(struct file *f, struct ctx *c, int fd, uaddr_t arg, u32 flag)
{
	u32 on;
	int r = user_get_u32(c, arg, &on);

	if (r < 0)
		return r;
	/* Linux only minds where it would have to do something. */
	if (flag == O_ASYNC && !file_ops_of(f)->set_async &&
	    (on != 0) != ((file_flags(f) & O_ASYNC) != 0))
		return -ENOTTY;
	return set_flags(f, c, fd, on ? file_flags(f) | flag : file_flags(f) & ~flag);
}

static long bytes_left(struct file *f, struct ctx *c, uaddr_t arg)
{
	struct kstat st;
	s64 pos;
	int r = file_stat(f, c, &st);

	if (r < 0)
		return r;
	pos = file_llseek(f, c, 0, SEEK_CUR);
	return pos < 0 ? pos : user_put_u32(c, arg, (u32)((s64)st.size - pos));
}

/* No file system here shares blocks between files; what is wrong with the call comes first. */
static long clone_file(struct file *dst, struct ctx *c, int fd)
{
	AUTO(file) src = NULL;
	int r = fd_get(c, fd, &src);

	if (r < 0)
		return r;
	if (file_place(src)->sb != file_place(dst)->sb)
		return -EXDEV;
	if (inode_is_dir(src->inode) || inode_is_dir(dst->inode))
		return -EISDIR;
	if (!inode_is_reg(src->inode) || !inode_is_reg(dst->inode))
		return -EINVAL;
	if (!file_readable(src) || !file_writable(dst) || (file_flags(dst) & O_APPEND))
		return -EBADF;
	return -EOPNOTSUPP;
}

/* The owner of a socket can be asked for and chosen by ioctl as well. */
static long owner_ioctl(struct file *f, struct ctx *c, u32 cmd, uaddr_t arg)
{
	s32 who;

	if (cmd == FIOGETOWN || cmd == SIOCGPGRP)
		return user_put_u32(c, arg, (u32)file_getown(f, c));
	if (user_get(c, arg, &who) < 0)
		return -EFAULT;
	return file_setown(f, c, who);
}

SYSCALL3(ioctl, int, fd, u32, cmd, u64, arg)
{
	struct ctx *c = &t->ctx;
	AUTO(file) f = NULL;
	int r = fd_get(c, fd, &f);

	if (r < 0)
		return r;
	switch (cmd) {
	case FIOCLEX:
		return fd_set_cloexec(c, fd, true);
	case FIONCLEX:
		return fd_set_cloexec(c, fd, false);
	case FIONBIO:
		return set_flag(f, c, fd, UADDR(arg), O_NONBLOCK);
	case FIOASYNC:
		return set_flag(f, c, fd, UADDR(arg), O_ASYNC);
	case FIONREAD:
		if (inode_is_reg(f->inode))
			return bytes_left(f, c, UADDR(arg));
		break;
	case FIOSETOWN:
	case SIOCSPGRP:
	case FIOGETOWN:
	case SIOCGPGRP:
		if (S_ISSOCK(f->inode->mode))
			return owner_ioctl(f, c, cmd, UADDR(arg));
		break;
	case FIGETBSZ:
		if (inode_is_reg(f->inode) || inode_is_dir(f->inode))
			return user_put_u32(c, UADDR(arg), PAGE_SIZE);
		break;
	case FICLONE:
		return clone_file(f, c, (int)arg);
	case FICLONERANGE: {
		struct file_clone_range range;

		r = user_get(c, UADDR(arg), &range);
		return r < 0 ? r : clone_file(f, c, (int)range.src_fd);
	}
	default:
		break;
	}
	return file_ioctl(f, c, cmd, arg);
}

SYSCALL2(flock, int, fd, int, op)
{
	AUTO(file) f = NULL;
	int kind = op & ~LOCK_NB, r;

	if (kind != LOCK_SH && kind != LOCK_EX && kind != LOCK_UN)
		return -EINVAL;
	r = fd_get(&t->ctx, fd, &f);
	if (r == 0 && kind != LOCK_UN && !file_readable(f) && !file_writable(f))
		r = -EBADF;
	return r < 0 ? r : flock_file(f, &t->ctx, op);
}
