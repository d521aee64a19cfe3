/*
 * Extended attributes: user.* both ways, and security.capability to read. The rest (trusted, ACLs,
 * other security modules') would let the guest set rules for the host.
 */
#include "gofer/server.h"

#include "state/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

static bool readable(const char *name)
{
	return strncmp(name, "user.", 5) == 0 || strcmp(name, "security.capability") == 0;
}

static int copy_name(struct p9_str name, char ret_s[P9_MAX_NAME + 1])
{
	if (name.len > P9_MAX_NAME)
		return -ERANGE;
	memcpy(ret_s, name.s, name.len);
	ret_s[name.len] = 0;
	return 0;
}

/* Keeps only names that may be read; returns the new length. */
static size_t filter_list(char *list, size_t size)
{
	size_t kept = 0;

	for (size_t at = 0; at < size;) {
		size_t n = strnlen(list + at, size - at);

		if (at + n == size)
			break;
		if (readable(list + at)) {
			memmove(list + kept, list + at, n + 1);
			kept += n + 1;
		}
		at += n + 1;
	}
	return kept;
}

static int attach_value(struct conn *c, struct fid *f, u8 *data, u32 size)
{
	if (c->xattr_bytes + size > MAX_XATTR_BYTES)
		return -ENOMEM;
	f->xattr = calloc(1, sizeof(*f->xattr));
	if (!f->xattr)
		return -ENOMEM;
	f->xattr->data = data;
	f->xattr->size = size;
	c->xattr_bytes += size;
	return 0;
}

int op_txattrwalk(struct conn *c, const struct p9_txattrwalk *t, struct p9_buf *out)
{
	static u8 scratch[MAX_XATTR];
	char name[P9_MAX_NAME + 1];
	AUTO_FREE u8 *data = NULL;
	struct p9_rxattrwalk rep;
	struct fid *f, *nf;
	ssize_t n;
	int fd, r = fid_get(c, t->fid, &f);

	if (r == 0)
		r = fid_check_new(c, t->newfid);
	if (r == 0)
		r = copy_name(t->name, name);
	if (r < 0)
		return r;
	if (t->name.len == 0) {
		n = listxattr(fd_path(f->path_fd).s, (char *)scratch, sizeof(scratch));
		if (n > 0)
			n = (ssize_t)filter_list((char *)scratch, (size_t)n);
	} else {
		bool shown = readable(name);

		n = getxattr(fd_path(f->path_fd).s, name, scratch, sizeof(scratch));
		/* What isn't shown is not there, where it could be. */
		if (!shown && (n >= 0 || errno == ERANGE))
			return -ENODATA;
	}
	if (n < 0)
		return -errno;
	data = malloc((size_t)n + 1);
	if (!data)
		return -ENOMEM;
	memcpy(data, scratch, (size_t)n);
	fd = fcntl(f->path_fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	r = fid_new(c, t->newfid, f->at, fd, f->type, &nf);
	if (r < 0)
		return r;
	r = attach_value(c, nf, data, (u32)n);
	if (r < 0) {
		fid_drop(c, nf);
		return r;
	}
	data = NULL;
	nf->kind = FID_XATTR_READ;
	rep.size = (u64)n;
	p9_put_rxattrwalk(out, &rep);
	return 0;
}

int op_txattrcreate(struct conn *c, const struct p9_txattrcreate *t, struct p9_buf *out)
{
	char name[P9_MAX_NAME + 1];
	AUTO_FREE u8 *data = NULL;
	struct fid *f;
	int r = fid_get(c, t->fid, &f);

	if (r == 0)
		r = copy_name(t->name, name);
	if (r < 0)
		return r;
	if (f->kind != FID_PATH)
		return -EBADF;
	if (f->at->readonly)
		return -EROFS;
	if (strncmp(name, "user.", 5) != 0)
		return -EOPNOTSUPP;
	if (t->size > MAX_XATTR)
		return -E2BIG;
	if (t->flags & ~(u32)(XATTR_CREATE | XATTR_REPLACE))
		return -EINVAL;
	data = calloc(1, t->size + 1);
	if (!data)
		return -ENOMEM;
	r = attach_value(c, f, data, (u32)t->size);
	if (r < 0)
		return r;
	data = NULL;
	memcpy(f->xattr->name, name, sizeof(name));
	f->xattr->flags = (int)t->flags;
	f->kind = FID_XATTR_WRITE;
	return 0;
}

int xattr_read(struct fid *f, u64 offset, u32 count, struct p9_buf *out)
{
	struct p9_rread r = {0};

	if (offset < f->xattr->size) {
		r.data.count = (u32)MIN((u64)count, f->xattr->size - offset);
		r.data.p = f->xattr->data + offset;
	}
	p9_put_rread(out, &r);
	return 0;
}

/* In order and within the size announced, so that a commit writes what was sent and nothing else.
 */
int xattr_write(struct fid *f, u64 offset, const struct p9_data *d)
{
	if (offset != f->xattr->done || d->count > f->xattr->size - f->xattr->done)
		return -ENOSPC;
	if (d->count)
		memcpy(f->xattr->data + f->xattr->done, d->p, d->count);
	f->xattr->done += d->count;
	return 0;
}

int xattr_commit(struct fid *f)
{
	struct fd_path path = fd_path(f->path_fd);

	if (f->xattr->done != f->xattr->size)
		return -EINVAL;
	/* Linux's client removes by replacing with nothing. */
	if (f->xattr->size == 0 && f->xattr->flags == XATTR_REPLACE)
		return removexattr(path.s, f->xattr->name) < 0 ? -errno : 0;
	if (setxattr(path.s, f->xattr->name, f->xattr->data, f->xattr->size, f->xattr->flags) < 0)
		return -errno;
	return 0;
}
