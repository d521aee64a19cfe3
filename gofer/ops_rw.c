/* Bytes of open files. */
#include "gofer/server.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int op_tread(struct conn *c, const struct p9_tread *t, struct p9_buf *out)
{
	u32 count = MIN(t->count, c->msize - P9_READ_HEADER);
	struct p9_buf head;
	struct fid *f;
	ssize_t n;
	int r = fid_get(c, t->fid, &f);

	if (r < 0)
		return r;
	if (f->kind == FID_XATTR_READ)
		return xattr_read(f, t->offset, count, out);
	if (f->kind != FID_OPEN || f->acc == O_WRONLY)
		return -EBADF;
	if (S_ISDIR(f->type))
		return -EISDIR;
	if (t->offset > INT64_MAX)
		return -EINVAL;
	head = *out;
	p9_put_u32(out, 0);
	if (out->bad || out->size - out->pos < count)
		return -EMSGSIZE;
	do
		n = S_ISREG(f->type) || S_ISBLK(f->type)
		            ? pread(f->io_fd, out->data + out->pos, count, (off_t)t->offset)
		            : read(f->io_fd, out->data + out->pos, count);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	p9_put_u32(&head, (u32)n);
	out->pos += (size_t)n;
	return 0;
}

int op_twrite(struct conn *c, const struct p9_twrite *t, struct p9_buf *out)
{
	struct p9_rwrite w;
	struct fid *f;
	ssize_t n;
	int r = fid_get(c, t->fid, &f);

	if (r < 0)
		return r;
	if (f->kind == FID_XATTR_WRITE) {
		r = xattr_write(f, t->offset, &t->data);
		if (r < 0)
			return r;
		n = t->data.count;
	} else {
		if (f->kind != FID_OPEN || f->acc == O_RDONLY)
			return -EBADF;
		if (t->offset > INT64_MAX)
			return -EINVAL;
		do
			n = S_ISREG(f->type) || S_ISBLK(f->type)
			            ? pwrite(f->io_fd, t->data.p, t->data.count, (off_t)t->offset)
			            : write(f->io_fd, t->data.p, t->data.count);
		while (n < 0 && errno == EINTR);
		if (n < 0)
			return -errno;
	}
	w.count = (u32)n;
	p9_put_rwrite(out, &w);
	return 0;
}

int op_tfsync(struct conn *c, const struct p9_tfsync *t, struct p9_buf *out)
{
	struct fid *f;
	int r = fid_get(c, t->fid, &f);

	if (r < 0)
		return r;
	if (f->kind != FID_OPEN)
		return -EBADF;
	if ((t->datasync ? fdatasync(f->io_fd) : fsync(f->io_fd)) < 0)
		return -errno;
	return 0;
}
