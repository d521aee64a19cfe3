/* Listing directories. */
#include "gofer/server.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Appends one entry of the directory f, which is on dev; false when it does not fit. */
typedef bool (*emit_fn)(struct conn *c, struct fid *f, u64 dev, const struct dirent64 *d,
                        struct p9_buf *out);

static bool is_dots(const char *s)
{
	return s[0] == '.' && (!s[1] || (s[1] == '.' && !s[2]));
}

static bool emit_plain(struct conn *c, struct fid *f, u64 dev, const struct dirent64 *d,
                       struct p9_buf *out)
{
	struct p9_dirent e = {.offset = (u64)d->d_off, .type = d->d_type};
	struct p9_attr a;

	/* ".." too is described as the directory: what lies above a root is not the client's. */
	if (is_dots(d->d_name) || d->d_type == DT_UNKNOWN) {
		const char *name = is_dots(d->d_name) ? "" : d->d_name;

		if (host_attr_at(c->g, f->io_fd, name, &a) < 0)
			return true;
		e.qid = a.qid;
		e.type = (u8)((a.mode & S_IFMT) >> 12);
	} else {
		e.qid.path = host_qid_path(c->g, dev, d->d_ino);
		e.qid.type = d->d_type == DT_DIR   ? P9_QTDIR
		             : d->d_type == DT_LNK ? P9_QTSYMLINK
		                                   : P9_QTFILE;
	}
	e.name = p9_str(d->d_name);
	return p9_put_dirent(out, &e);
}

static bool emit_plus(struct conn *c, struct fid *f, u64 dev, const struct dirent64 *d,
                      struct p9_buf *out)
{
	struct p9_dirent_plus e = {.offset = (u64)d->d_off};

	/* Gone since it was listed, or not to be seen: as if it had not been there. */
	if (is_dots(d->d_name) || host_attr_at(c->g, f->io_fd, d->d_name, &e.attr) < 0)
		return true;
	e.name = p9_str(d->d_name);
	return p9_put_dirent_plus(out, &e);
}

static int list(struct conn *c, u32 fid, u64 offset, u32 count, emit_fn emit, struct p9_buf *out)
{
	struct p9_buf head = *out, data;
	struct stat st;
	struct fid *f;
	int r = fid_get(c, fid, &f);

	if (r < 0)
		return r;
	if (f->kind != FID_OPEN)
		return -EBADF;
	if (!S_ISDIR(f->type))
		return -ENOTDIR;
	if (offset > INT64_MAX)
		return -EINVAL;
	if (fstat(f->io_fd, &st) < 0)
		return -errno;
	/* Offset 0 always seeks, so that a rewound directory is read anew. */
	if ((offset != f->dir_next || offset == 0) && lseek(f->io_fd, (off_t)offset, SEEK_SET) < 0)
		return -errno;
	f->dir_next = offset;
	p9_put_u32(out, 0);
	count = MIN(count, c->msize - P9_READ_HEADER);
	if (out->bad || out->size - out->pos < count)
		return -EMSGSIZE;
	data = p9_buf(out->data + out->pos, count);
	for (bool full = false; !full;) {
		/* About as much as will fit, so that little is read twice. */
		size_t want =
			MIN((size_t)IO_DIR_BUFFER_SIZE, MAX(data.size - data.pos, (size_t)512));
		ssize_t n = getdents64(f->io_fd, c->g->dir_buffer, want);

		if (n < 0 && data.pos == 0)
			return -errno;
		if (n <= 0)
			break;
		for (ssize_t at = 0; at < n && !full;) {
			struct dirent64 *d = (struct dirent64 *)(c->g->dir_buffer + at);

			full = !emit(c, f, st.st_dev, d, &data);
			if (!full)
				f->dir_next = (u64)d->d_off;
			at += d->d_reclen;
		}
	}
	/* The host's position is past entries that did not fit. */
	if (lseek(f->io_fd, (off_t)f->dir_next, SEEK_SET) < 0)
		return -errno;
	if (data.pos == 0 && f->dir_next == offset) {
		struct dirent64 *d = (struct dirent64 *)c->g->dir_buffer;
		ssize_t n = getdents64(f->io_fd, d, IO_DIR_BUFFER_SIZE);

		if (lseek(f->io_fd, (off_t)offset, SEEK_SET) < 0)
			return -errno;
		/* Not the end, but count is too small for one entry. */
		if (n > 0)
			return -EINVAL;
	}
	p9_put_u32(&head, (u32)data.pos);
	out->pos += data.pos;
	return 0;
}

int op_treaddir(struct conn *c, const struct p9_treaddir *t, struct p9_buf *out)
{
	return list(c, t->fid, t->offset, t->count, emit_plain, out);
}

int op_treaddirplus(struct conn *c, const struct p9_treaddirplus *t, struct p9_buf *out)
{
	return list(c, t->fid, t->offset, t->count, emit_plus, out);
}
