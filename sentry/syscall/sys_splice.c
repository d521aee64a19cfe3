/* sendfile(2), copy_file_range(2), splice(2), vmsplice(2), tee(2): through a buffer of the kernel.
 */
#include "sentry/fs/pipe_splice.h"
#include "sentry/syscall/sysarg.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/inode.h"
#include "state/base/cleanup.h"

#include <stdlib.h>
#include <unistd.h>

#define BUFFER    (128 * KIB)
#define COUNT_MAX 0x7ffff000ull

/* One end of a transfer: at an own position, or at the file's. */
struct end {
	struct file *f;
	bool at;
	s64 pos;
};

static long end_read(struct end *e, struct ctx *c, void *buf, u64 len)
{
	UITER(it);

	uiter_init_kernel(&it, buf, len);
	return e->at ? file_pread(e->f, c, &it, e->pos) : file_read(e->f, c, &it);
}

/* All of it, or what could be moved before an error. */
static long end_write(struct end *e, struct ctx *c, void *buf, u64 len)
{
	u64 done = 0;

	while (done < len) {
		UITER(it);
		long n;

		uiter_init_kernel(&it, (u8 *)buf + done, len - done);
		n = e->at ? file_pwrite(e->f, c, &it, e->pos) : file_write(e->f, c, &it);
		if (n < 0)
			return done ? (long)done : n;
		if (n == 0)
			break;
		done += (u64)n;
		if (e->at)
			e->pos += n;
	}
	return (long)done;
}

/* in stays where it is unless what was read could be written. */
static long copy(struct ctx *c, struct end *in, struct end *out, u64 count)
{
	AUTO_FREE u8 *buf = malloc(MIN(count, BUFFER) + 1);
	u64 total = 0;

	if (!buf)
		return -ENOMEM;
	count = MIN(count, COUNT_MAX);
	while (total < count) {
		long n = end_read(in, c, buf, MIN(count - total, BUFFER)), w;

		if (n <= 0)
			return total ? (long)total : n;
		w = end_write(out, c, buf, (u64)n);
		if (w < 0)
			return total ? (long)total : w;
		in->pos += w;
		total += (u64)w;
		if (w < n || ctx_killed(c))
			break;
	}
	return (long)total;
}

/* Positions that the guest gave, or the file's own. */
static int end_init(struct end *e, struct ctx *c, struct file *f, uaddr_t off)
{
	u64 v;
	int r;

	e->f = f;
	if (uaddr_null(off))
		return 0;
	if (!f->seekable)
		return -ESPIPE;
	r = user_get_u64(c, off, &v);
	if (r < 0)
		return r;
	if ((s64)v < 0)
		return -EINVAL;
	e->at = true;
	e->pos = (s64)v;
	return 0;
}

SYSCALL4(sendfile, int, out_fd, int, in_fd, uaddr_t, off, size_t, count)
{
	struct ctx *c = &t->ctx;
	AUTO(file) in = NULL;
	AUTO(file) out = NULL;
	struct end src = {0}, dst = {0};
	bool own;
	long n;
	int r = fd_get(c, in_fd, &in);

	if (r == 0 && !file_readable(in))
		r = -EBADF;
	if (r == 0)
		r = end_init(&src, c, in, off);
	if (r == 0)
		r = fd_get(c, out_fd, &out);
	if (r == 0 && !file_writable(out))
		r = -EBADF;
	if (r < 0)
		return r;
	if (!in->seekable || inode_is_dir(in->inode) || (s64)count < 0)
		return -EINVAL;
	if (file_flags(out) & O_APPEND)
		return -EINVAL;
	dst.f = out;
	own = !src.at;
	if (own) {
		s64 at = file_llseek(in, c, 0, SEEK_CUR);

		if (at < 0)
			return at;
		src.at = true;
		src.pos = at;
	}
	if (count > (u64)(INT64_MAX - src.pos))
		return -EINVAL;
	n = copy(c, &src, &dst, count);
	task_count_io(t, false, n);
	task_count_io(t, true, n);
	if (n < 0)
		return n;
	if (own) {
		s64 at = file_llseek(in, c, src.pos, SEEK_SET);

		return at < 0 ? at : n;
	}
	r = user_put_u64(c, off, (u64)src.pos);
	return r < 0 ? r : n;
}

SYSCALL6(copy_file_range, int, in_fd, uaddr_t, in_off, int, out_fd, uaddr_t, out_off, size_t, count,
         u32, flags)
{
	struct ctx *c = &t->ctx;
	AUTO(file) in = NULL;
	AUTO(file) out = NULL;
	struct end src = {0}, dst = {0};
	bool own_in, own_out;
	struct kstat st;
	s64 size;
	long n;
	int r = fd_get(c, in_fd, &in);

	if (r == 0)
		r = fd_get(c, out_fd, &out);
	if (r < 0)
		return r;
	if (flags)
		return -EINVAL;
	if (inode_is_dir(in->inode) || inode_is_dir(out->inode))
		return -EISDIR;
	if (!inode_is_reg(in->inode) || !inode_is_reg(out->inode))
		return -EINVAL;
	if (!file_readable(in) || !file_writable(out) || (file_flags(out) & O_APPEND))
		return -EBADF;
	r = end_init(&src, c, in, in_off);
	if (r == 0)
		r = end_init(&dst, c, out, out_off);
	if (r < 0)
		return r;
	own_in = !src.at;
	own_out = !dst.at;
	if (own_in)
		src.pos = file_llseek(in, c, 0, SEEK_CUR);
	if (own_out)
		dst.pos = file_llseek(out, c, 0, SEEK_CUR);
	src.at = dst.at = true;
	/* What lies past the end is not copied, and overlaps nothing. */
	r = inode_getattr(in->inode, c, &st);
	if (r < 0)
		return r;
	size = (s64)st.size;
	count = MIN(count, COUNT_MAX);
	count = src.pos < size ? MIN(count, (u64)(size - src.pos)) : 0;
	if (count && in->inode == out->inode && src.pos < dst.pos + (s64)count &&
	    dst.pos < src.pos + (s64)count)
		return -EINVAL;
	n = copy(c, &src, &dst, count);
	task_count_io(t, false, n);
	task_count_io(t, true, n);
	if (n < 0)
		return n;
	if (own_in)
		r = file_llseek(in, c, src.pos, SEEK_SET) < 0 ? -EINVAL : 0;
	else
		r = user_put_u64(c, in_off, (u64)src.pos);
	if (r == 0 && own_out)
		r = file_llseek(out, c, dst.pos, SEEK_SET) < 0 ? -EINVAL : 0;
	else if (r == 0)
		r = user_put_u64(c, out_off, (u64)dst.pos);
	return r < 0 ? r : n;
}

/* Into a pipe: what there is room for, once there is some. */
static long pipe_put_some(struct file *f, struct ctx *c, void *buf, u64 len)
{
	UITER(it);

	uiter_init_kernel(&it, buf, len);
	return pipe_write_some(f, c, &it);
}

/* Into a pipe from a stream, which has what it gives only once. */
static long splice_stream(struct ctx *c, struct file *in, struct pipe *out, u8 *buf, u64 count,
                          bool nonblock)
{
	struct end src = {.f = in};
	long n;
	int r = pipe_wait_room(out, c, nonblock);

	if (r < 0)
		return r;
	if (nonblock && !(file_poll(in, NULL) & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return -EAGAIN;
	n = end_read(&src, c, buf, MIN(count, MAX((u64)pipe_room(out), 1ull)));
	if (n > 0)
		pipe_push(out, buf, (u32)n);
	return n;
}

/* An anonymous file: neither of a file system nor a pipe or socket. */
static bool no_stream(struct file *f)
{
	return (f->inode->mode & S_IFMT) == 0;
}

#define SPLICE_FLAGS 15u /* SPLICE_F_MOVE, NONBLOCK, MORE, GIFT */

SYSCALL6(splice, int, in_fd, uaddr_t, in_off, int, out_fd, uaddr_t, out_off, size_t, count, u32,
         flags)
{
	struct ctx *c = &t->ctx;
	AUTO(file) in = NULL;
	AUTO(file) out = NULL;
	AUTO_FREE u8 *buf = NULL;
	struct end src = {0}, dst = {0};
	long n, w;
	int r;

	if (count == 0)
		return 0;
	if (flags & ~SPLICE_FLAGS)
		return -EINVAL;
	r = fd_get(c, in_fd, &in);
	if (r == 0)
		r = fd_get(c, out_fd, &out);
	if (r < 0)
		return r;
	if ((pipe_of(in) && !uaddr_null(in_off)) || (pipe_of(out) && !uaddr_null(out_off)))
		return -ESPIPE;
	if (!file_readable(in) || !file_writable(out))
		return -EBADF;
	if ((!pipe_of(in) && !pipe_of(out)) || (pipe_of(in) && pipe_of(in) == pipe_of(out)))
		return -EINVAL;
	if (!pipe_of(out) && (file_flags(out) & O_APPEND))
		return -EINVAL;
	/* Counters, watches and the like give records, not bytes. */
	if (no_stream(in) || no_stream(out) || inode_is_dir(in->inode))
		return -EINVAL;
	r = end_init(&src, c, in, in_off);
	if (r == 0)
		r = end_init(&dst, c, out, out_off);
	if (r < 0)
		return r;
	/* What was taken out of a pipe must not be lost: only as much as the other side takes. */
	if (flags & SPLICE_F_NONBLOCK) {
		if (pipe_of(in) && !(file_poll(in, NULL) & (EPOLLIN | EPOLLHUP)))
			return -EAGAIN;
		if (pipe_of(out) && !(file_poll(out, NULL) & (EPOLLOUT | EPOLLERR)))
			return -EAGAIN;
	}
	count = MIN(count, pipe_of(in) && pipe_of(out) ? PAGE_SIZE : 64 * KIB);
	buf = malloc(count);
	if (!buf)
		return -ENOMEM;
	if (!pipe_of(in) && !in->seekable)
		return splice_stream(c, in, pipe_of(out), buf, count,
		                     (flags & SPLICE_F_NONBLOCK) || file_nonblock(out));
	if (!pipe_of(in)) {
		/* The file's position moves by what the pipe took. */
		bool own = !src.at;

		if (own) {
			src.pos = file_llseek(in, c, 0, SEEK_CUR);
			src.at = src.pos >= 0;
		}
		n = end_read(&src, c, buf, count);
		if (n <= 0)
			return n;
		w = pipe_of(out) ? pipe_put_some(out, c, buf, (u64)n)
		                 : end_write(&dst, c, buf, (u64)n);
		if (w < 0)
			return w;
		src.pos += w;
		if (own && src.at && file_llseek(in, c, src.pos, SEEK_SET) < 0)
			return -EINVAL;
	} else {
		n = end_read(&src, c, buf, count);
		if (n <= 0)
			return n;
		w = end_write(&dst, c, buf, (u64)n);
		if (w < n)
			pipe_unread(in, buf + MAX(w, 0L), (u32)(n - MAX(w, 0L)));
		if (w < 0)
			return w;
	}
	if (!uaddr_null(in_off))
		r = user_put_u64(c, in_off, (u64)src.pos);
	if (r == 0 && !uaddr_null(out_off))
		r = user_put_u64(c, out_off, (u64)dst.pos);
	return r < 0 ? r : w;
}

SYSCALL4(vmsplice, int, fd, uaddr_t, iov, u64, n, u32, flags)
{
	struct ctx *c = &t->ctx;
	AUTO(file) f = NULL;
	UITER(it);
	int r = fd_get(c, fd, &f);

	if (r < 0)
		return r;
	if ((flags & ~SPLICE_FLAGS) || !pipe_of(f))
		return flags & ~SPLICE_FLAGS ? -EINVAL : -EBADF;
	r = uiter_init_iov(&it, c, iov, n);
	if (r < 0)
		return r;
	if (!file_writable(f))
		return file_read(f, c, &it);
	if ((flags & SPLICE_F_NONBLOCK) && !(file_poll(f, NULL) & (EPOLLOUT | EPOLLERR)))
		return -EAGAIN;
	return pipe_write_some(f, c, &it);
}

SYSCALL4(tee, int, in_fd, int, out_fd, size_t, count, u32, flags)
{
	struct ctx *c = &t->ctx;
	AUTO(file) in = NULL;
	AUTO(file) out = NULL;
	int r;

	if (flags & ~SPLICE_FLAGS)
		return -EINVAL;
	if (count == 0)
		return 0;
	r = fd_get(c, in_fd, &in);
	if (r == 0)
		r = fd_get(c, out_fd, &out);
	if (r < 0)
		return r;
	if (!file_readable(in) || !file_writable(out))
		return -EBADF;
	if (!pipe_of(in) || !pipe_of(out) || pipe_of(in) == pipe_of(out))
		return -EINVAL;
	return pipe_tee(pipe_of(in), pipe_of(out), c, count,
	                (flags & SPLICE_F_NONBLOCK) || file_nonblock(in) || file_nonblock(out));
}
