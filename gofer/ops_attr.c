/* Attributes of files and of file systems. */
#include "gofer/server.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/statfs.h>
#include <unistd.h>

int op_tgetattr(struct conn *c, const struct p9_tgetattr *t, struct p9_buf *out)
{
	struct p9_rgetattr r;
	struct fid *f;
	int ret = fid_get(c, t->fid, &f);

	if (ret < 0)
		return ret;
	ret = host_attr(c->g, f->path_fd, &r.attr);
	if (ret < 0)
		return ret;
	p9_put_rgetattr(out, &r);
	return 0;
}

static struct timespec stamp(u32 valid, u32 touch, u32 set, u64 sec, u64 nsec)
{
	struct timespec ts = {.tv_nsec = UTIME_OMIT};

	if (valid & set) {
		ts.tv_sec = (time_t)sec;
		ts.tv_nsec = (long)nsec;
	} else if (valid & touch) {
		ts.tv_nsec = UTIME_NOW;
	}
	return ts;
}

int op_tsetattr(struct conn *c, const struct p9_tsetattr *t, struct p9_buf *out)
{
	struct fd_path path;
	struct fid *f;
	int r = fid_get(c, t->fid, &f);

	if (r < 0)
		return r;
	if (f->kind != FID_PATH && f->kind != FID_OPEN)
		return -EBADF;
	if (t->valid & ~P9_SETATTR_ALL)
		return -EINVAL;
	if (f->at->readonly)
		return -EROFS;
	path = fd_path(f->path_fd);
	if (t->valid & P9_SETATTR_SIZE) {
		if (t->size > INT64_MAX)
			return -EINVAL;
		if (S_ISDIR(f->type))
			return -EISDIR;
		if (!S_ISREG(f->type))
			return -EINVAL;
		/* Through the open descriptor the right to write is the one at open. */
		if (f->kind == FID_OPEN && f->acc != O_RDONLY
		            ? ftruncate(f->io_fd, (off_t)t->size) < 0
		            : truncate(path.s, (off_t)t->size) < 0)
			return -errno;
	}
	if (t->valid & (P9_SETATTR_UID | P9_SETATTR_GID)) {
		u32 uid = t->valid & P9_SETATTR_UID ? t->uid : P9_NOID;
		u32 gid = t->valid & P9_SETATTR_GID ? t->gid : P9_NOID;

		if (fchownat(f->path_fd, "", uid, gid, AT_EMPTY_PATH) < 0)
			return -errno;
	}
	if (t->valid & P9_SETATTR_MODE) {
		if (S_ISLNK(f->type))
			return -EOPNOTSUPP;
		if (fchmodat(AT_FDCWD, path.s, t->mode & 07777, 0) < 0)
			return -errno;
	}
	if (t->valid &
	    (P9_SETATTR_ATIME | P9_SETATTR_MTIME | P9_SETATTR_ATIME_SET | P9_SETATTR_MTIME_SET)) {
		struct timespec ts[2] = {
			stamp(t->valid, P9_SETATTR_ATIME, P9_SETATTR_ATIME_SET, t->atime_sec,
		              t->atime_nsec),
			stamp(t->valid, P9_SETATTR_MTIME, P9_SETATTR_MTIME_SET, t->mtime_sec,
		              t->mtime_nsec),
		};

		if (((t->valid & P9_SETATTR_ATIME_SET) && t->atime_nsec >= NSEC_PER_SEC) ||
		    ((t->valid & P9_SETATTR_MTIME_SET) && t->mtime_nsec >= NSEC_PER_SEC))
			return -EINVAL;
		if (utimensat(AT_FDCWD, path.s, ts, 0) < 0)
			return -errno;
	}
	return 0;
}

int op_tstatfs(struct conn *c, const struct p9_tstatfs *t, struct p9_buf *out)
{
	struct p9_rstatfs r;
	struct statfs s;
	struct fid *f;
	int ret = fid_get(c, t->fid, &f);

	if (ret < 0)
		return ret;
	if (fstatfs(f->path_fd, &s) < 0)
		return -errno;
	r.type = (u32)s.f_type;
	r.bsize = (u32)s.f_bsize;
	r.blocks = s.f_blocks;
	r.bfree = s.f_bfree;
	r.bavail = s.f_bavail;
	r.files = s.f_files;
	r.ffree = s.f_ffree;
	r.fsid = (u64)(u32)s.f_fsid.__val[0] | (u64)(u32)s.f_fsid.__val[1] << 32;
	r.namelen = (u32)s.f_namelen;
	p9_put_rstatfs(out, &r);
	return 0;
}
