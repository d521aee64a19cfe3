/* read(2), write(2) and their kin; positions; syncing. */
#include "sentry/syscall/sysarg.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/inode.h"
#include "sentry/vfs/super.h"
#include "state/base/cleanup.h"

#include <linux/fs.h>

#define RWF_KNOWN (RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_APPEND)

static long rw_buffer(struct task *t, int fd, uaddr_t buf, u64 len, bool write, bool at, s64 pos)
{
	struct ctx *c = &t->ctx;
	AUTO(file) f = NULL;
	UITER(it);
	long done;
	int r;

	if (at && pos < 0)
		return -EINVAL;
	r = fd_get(c, fd, &f);
	if (r < 0)
		return r;
	if ((s64)len < 0)
		return -EINVAL;
	uiter_init(&it, c, buf, len);
	if (at)
		done = write ? file_pwrite(f, c, &it, pos) : file_pread(f, c, &it, pos);
	else
		done = write ? file_write(f, c, &it) : file_read(f, c, &it);
	task_count_io(t, write, done);
	return done;
}

SYSCALL3(read, int, fd, uaddr_t, buf, size_t, len)
{
	return rw_buffer(t, fd, buf, len, false, false, 0);
}
SYSCALL3(write, int, fd, uaddr_t, buf, size_t, len)
{
	return rw_buffer(t, fd, buf, len, true, false, 0);
}
SYSCALL4(pread64, int, fd, uaddr_t, buf, size_t, len, s64, pos)
{
	return rw_buffer(t, fd, buf, len, false, true, pos);
}
SYSCALL4(pwrite64, int, fd, uaddr_t, buf, size_t, len, s64, pos)
{
	return rw_buffer(t, fd, buf, len, true, true, pos);
}

static bool has_bytes(struct file *f, bool write)
{
	const struct file_ops *ops = file_ops_of(f);

	return write ? ops->write != NULL : ops->read || inode_is_dir(f->inode);
}

static long rw_vector(struct task *t, int fd, uaddr_t iov, u64 n, bool write, bool at, s64 pos,
                      int flags)
{
	struct ctx *c = &t->ctx;
	AUTO(file) f = NULL;
	UITER(it);
	long done;
	int r;

	if (at && pos < 0)
		return -EINVAL;
	r = fd_get(c, fd, &f);
	/* No place in it: which says so before whether it may be read or written. */
	if (r == 0 && at && !f->seekable)
		r = file_flags(f) & O_PATH ? -EBADF : -ESPIPE;
	if (r == 0 && !(write ? file_writable(f) : file_readable(f)))
		r = -EBADF;
	if (r == 0)
		r = uiter_init_iov(&it, c, iov, n);
	if (r < 0)
		return r;
	/* Nothing is asked for: the file isn't, either. */
	if (uiter_count(&it) == 0 && has_bytes(f, write))
		return 0;
	if (flags & ~RWF_KNOWN)
		return -EOPNOTSUPP;
	it.append = write && (flags & RWF_APPEND);
	if (at)
		done = write ? file_pwrite(f, c, &it, pos) : file_pread(f, c, &it, pos);
	else
		done = write ? file_write(f, c, &it) : file_read(f, c, &it);
	task_count_io(t, write, done);
	if (done > 0 && write && (flags & (RWF_DSYNC | RWF_SYNC))) {
		r = file_fsync(f, c, !(flags & RWF_SYNC));
		/* Devices and their kin have nothing to sync. */
		if (r < 0 && r != -EINVAL)
			return r;
	}
	return done;
}

SYSCALL3(readv, int, fd, uaddr_t, iov, u64, n)
{
	return rw_vector(t, fd, iov, n, false, false, 0, 0);
}
SYSCALL3(writev, int, fd, uaddr_t, iov, u64, n)
{
	return rw_vector(t, fd, iov, n, true, false, 0, 0);
}
SYSCALL4(preadv, int, fd, uaddr_t, iov, u64, n, s64, pos)
{
	return rw_vector(t, fd, iov, n, false, true, pos, 0);
}
SYSCALL4(pwritev, int, fd, uaddr_t, iov, u64, n, s64, pos)
{
	return rw_vector(t, fd, iov, n, true, true, pos, 0);
}
SYSCALL6(preadv2, int, fd, uaddr_t, iov, u64, n, s64, pos, u64, pos_high, int, flags)
{
	return rw_vector(t, fd, iov, n, false, pos != -1, pos, flags);
}
SYSCALL6(pwritev2, int, fd, uaddr_t, iov, u64, n, s64, pos, u64, pos_high, int, flags)
{
	return rw_vector(t, fd, iov, n, true, pos != -1, pos, flags);
}

SYSCALL3(lseek, int, fd, s64, off, int, whence)
{
	AUTO(file) f = NULL;
	int r = fd_get(&t->ctx, fd, &f);

	if (r == 0 && (u32)whence > SEEK_HOLE)
		r = -EINVAL;
	return r < 0 ? r : file_llseek(f, &t->ctx, off, whence);
}

/* ---- syncing: the sandbox's memory needs none, host files are synced by the host ---- */

SYSCALL1(fsync, int, fd)
{
	AUTO(file) f = NULL;
	int r = fd_get(&t->ctx, fd, &f);

	return r < 0 ? r : file_fsync(f, &t->ctx, false);
}
SYSCALL1(fdatasync, int, fd)
{
	AUTO(file) f = NULL;
	int r = fd_get(&t->ctx, fd, &f);

	return r < 0 ? r : file_fsync(f, &t->ctx, true);
}
SYSCALL4(sync_file_range, int, fd, s64, off, s64, len, u32, flags)
{
	AUTO(file) f = NULL;
	int r = fd_get(&t->ctx, fd, &f);

	if (r < 0)
		return r;
	if (off < 0 || len < 0 || len > INT64_MAX - off || (flags & ~7u))
		return -EINVAL;
	if (!inode_is_reg(f->inode) && !inode_is_dir(f->inode) && !S_ISBLK(f->inode->mode))
		return -ESPIPE;
	return flags ? file_fsync(f, &t->ctx, true) : 0;
}
SYSCALL1(syncfs, int, fd)
{
	AUTO(file) f = NULL;
	int r = fd_get(&t->ctx, fd, &f);
	struct super_block *sb;

	if (r < 0)
		return r;
	sb = file_place(f)->sb;
	return sb && super_ops_of(sb)->sync ? super_ops_of(sb)->sync(sb, &t->ctx) : 0;
}
SYSCALL0(sync)
{
	return 0;
}

/* ---- hints ---- */

SYSCALL4(fadvise64, int, fd, s64, off, s64, len, int, advice)
{
	AUTO(file) f = NULL;
	int r = fd_get(&t->ctx, fd, &f);

	if (r < 0)
		return r;
	if (S_ISFIFO(f->inode->mode))
		return -ESPIPE;
	return len < 0 || advice < 0 || advice > POSIX_FADV_NOREUSE ? -EINVAL : 0;
}
SYSCALL3(readahead, int, fd, s64, off, size_t, len)
{
	AUTO(file) f = NULL;
	int r = fd_get(&t->ctx, fd, &f);

	if (r < 0)
		return r;
	if (!file_readable(f))
		return -EBADF;
	return inode_is_reg(f->inode) ? 0 : -EINVAL;
}
