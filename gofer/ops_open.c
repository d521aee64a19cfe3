/* Opening and creating regular files, and donating their descriptors. */
#include "gofer/server.h"

#include "state/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static int unopened(struct conn *c, u32 id, struct fid **ret_f)
{
	struct fid *f;
	int r = fid_get(c, id, &f);

	if (r < 0)
		return r;
	if (f->kind != FID_PATH)
		return -EBADF;
	*ret_f = f;
	return 0;
}

static void set_open(struct fid *f, int io_fd, u32 flags)
{
	f->kind = FID_OPEN;
	f->io_fd = io_fd;
	f->acc = (int)flags & O_ACCMODE;
}

int op_tlopen(struct conn *c, const struct p9_tlopen *t, struct p9_buf *out)
{
	AUTO_CLOSE int io = -1;
	struct p9_attr a;
	struct p9_rlopen r;
	struct fid *f;
	int ret = unopened(c, t->fid, &f);

	if (ret < 0)
		return ret;
	ret = host_open(f->at, f->path_fd, f->type, t->flags, &io);
	if (ret < 0)
		return ret;
	ret = host_attr(c->g, io, &a);
	if (ret < 0)
		return ret;
	set_open(f, TAKE_FD(io), t->flags);
	r.qid = a.qid;
	r.iounit = c->msize - P9_WRITE_HEADER;
	p9_put_rlopen(out, &r);
	return 0;
}

int op_tlcreate(struct conn *c, const struct p9_tlcreate *t, struct p9_buf *out)
{
	char name[P9_MAX_NAME + 1];
	AUTO_CLOSE int io = -1, path = -1;
	struct p9_rlcreate r;
	struct p9_attr a;
	struct fid *f;
	int ret = fid_dir_name_rw(c, t->fid, t->name, &f, name);

	if (ret < 0)
		return ret;
	if (f->kind != FID_PATH)
		return -EBADF;
	ret = host_create(c->g, f->path_fd, name, t->flags, t->mode, P9_NOID, t->gid, &io, &path);
	if (ret < 0)
		return ret;
	ret = host_attr(c->g, path, &a);
	if (ret < 0)
		return ret;
	close(f->path_fd);
	f->path_fd = TAKE_FD(path);
	f->type = S_IFREG;
	set_open(f, TAKE_FD(io), t->flags);
	r.qid = a.qid;
	r.iounit = c->msize - P9_WRITE_HEADER;
	p9_put_rlcreate(out, &r);
	return 0;
}

int op_topenfd(struct conn *c, const struct p9_topenfd *t, struct p9_buf *out)
{
	AUTO_CLOSE int io = -1, path = -1;
	struct p9_ropenfd r = {0};
	struct fid *f, *nf;
	bool donate;
	int ret = unopened(c, t->fid, &f);

	if (ret < 0)
		return ret;
	donate = S_ISREG(f->type) || (S_ISFIFO(f->type) && (f->at->flags & GOFER_ALLOW_FIFO)) ||
	         ((S_ISCHR(f->type) || S_ISBLK(f->type)) && (f->at->flags & GOFER_ALLOW_DEV));
	if (t->newfid != P9_NOFID) {
		ret = fid_check_new(c, t->newfid);
		if (ret < 0)
			return ret;
	} else if (!donate) {
		return S_ISLNK(f->type) ? -ELOOP : -EOPNOTSUPP;
	}
	ret = host_open(f->at, f->path_fd, f->type, t->flags, &io);
	if (ret < 0)
		return ret;
	ret = host_attr(c->g, io, &r.attr);
	if (ret < 0)
		return ret;
	if (t->newfid != P9_NOFID) {
		int keep = TAKE_FD(io);

		path = fcntl(f->path_fd, F_DUPFD_CLOEXEC, 0);
		if (path >= 0 && donate) {
			io = fcntl(keep, F_DUPFD_CLOEXEC, 0);
			ret = io < 0 ? -errno : 0;
		}
		if (path < 0)
			ret = -errno;
		if (ret == 0)
			ret = fid_new(c, t->newfid, f->at, TAKE_FD(path), f->type, &nf);
		if (ret < 0) {
			close(keep);
			return ret;
		}
		set_open(nf, keep, t->flags);
	}
	r.donated = donate;
	p9_put_ropenfd(out, &r);
	c->donate_fd = TAKE_FD(io);
	return 0;
}

int op_tcreatefd(struct conn *c, const struct p9_tcreatefd *t, struct p9_buf *out)
{
	char name[P9_MAX_NAME + 1];
	AUTO_CLOSE int io = -1, path = -1;
	struct p9_rcreatefd r = {.donated = 1};
	struct fid *f;
	int ret = fid_dir_name_rw(c, t->dfid, t->name, &f, name);

	if (ret == 0)
		ret = fid_check_new(c, t->newfid);
	if (ret < 0)
		return ret;
	ret = host_create(c->g, f->path_fd, name, t->flags, t->mode, t->uid, t->gid, &io, &path);
	if (ret < 0)
		return ret;
	ret = host_attr(c->g, path, &r.attr);
	if (ret < 0)
		return ret;
	ret = fid_new(c, t->newfid, f->at, TAKE_FD(path), S_IFREG, NULL);
	if (ret < 0)
		return ret;
	p9_put_rcreatefd(out, &r);
	c->donate_fd = TAKE_FD(io);
	return 0;
}
