/* Names: links, nodes that are not regular files, renames, removal. */
#include "gofer/server.h"

#include "state/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int op_treadlink(struct conn *c, const struct p9_treadlink *t, struct p9_buf *out)
{
	char target[P9_MAX_LINK + 1];
	struct p9_rreadlink r;
	struct fid *f;
	ssize_t n;
	int ret = fid_get(c, t->fid, &f);

	if (ret < 0)
		return ret;
	if (!S_ISLNK(f->type))
		return -EINVAL;
	n = readlinkat(f->path_fd, "", target, sizeof(target));
	if (n < 0)
		return -errno;
	if ((size_t)n == sizeof(target))
		return -ENAMETOOLONG;
	r.target = (struct p9_str){target, (u16)n};
	p9_put_rreadlink(out, &r);
	return 0;
}

/*
 * Makes name in dir with the owner asked for and hands out its O_PATH descriptor. Between making
 * and walking the host may have put something else there: its type is checked.
 */
static int make(struct conn *c, int dir, const char *name, u32 mode, struct p9_str target, u32 uid,
                u32 gid, int *ret_fd, struct p9_attr *ret_attr)
{
	char link[P9_MAX_LINK + 1];
	AUTO_CLOSE int fd = -1;
	mode_t perm = mode & 07777;
	struct p9_attr a;
	int r;

	switch (mode & S_IFMT) {
	case S_IFDIR:
		r = mkdirat(dir, name, perm);
		break;
	case S_IFLNK:
		if (target.len == 0 || memchr(target.s, 0, target.len))
			return -ENOENT;
		if (target.len > P9_MAX_LINK)
			return -ENAMETOOLONG;
		memcpy(link, target.s, target.len);
		link[target.len] = 0;
		r = symlinkat(link, dir, name);
		break;
	case S_IFREG:
	case S_IFIFO:
	case S_IFSOCK:
		r = mknodat(dir, name, mode & (S_IFMT | 07777), 0);
		break;
	default:
		return -EPERM;
	}
	if (r < 0)
		return -errno;
	r = host_walk(dir, name, &fd);
	if (r == 0)
		r = host_attr(c->g, fd, &a);
	if (r == 0 && (a.mode & S_IFMT) != (mode & S_IFMT))
		return -ESTALE;
	if (r == 0)
		r = host_chown(c->g, fd, uid, gid, mode);
	/* mkdir(2) drops the set-id bits, and so does a change of owner. */
	if (r == 0 && S_ISDIR(mode) && (perm & 07000) != (a.mode & 07000) &&
	    fchmodat(AT_FDCWD, fd_path(fd).s, perm | (a.mode & S_ISGID), 0) < 0)
		r = -errno;
	if (r == 0)
		r = host_attr(c->g, fd, &a);
	if (r < 0) {
		unlinkat(dir, name, S_ISDIR(mode) ? AT_REMOVEDIR : 0);
		return r;
	}
	*ret_fd = TAKE_FD(fd);
	*ret_attr = a;
	return 0;
}

/* The standard messages: no new fid, the group alone. */
static int make_plain(struct conn *c, u32 dfid, struct p9_str name, u32 mode, struct p9_str target,
                      u32 gid, struct p9_buf *out)
{
	char s[P9_MAX_NAME + 1];
	AUTO_CLOSE int fd = -1;
	struct p9_attr a;
	struct fid *f;
	int r = fid_dir_name_rw(c, dfid, name, &f, s);

	if (r < 0)
		return r;
	r = make(c, f->path_fd, s, mode, target, P9_NOID, gid, &fd, &a);
	if (r < 0)
		return r;
	p9_put_qid(out, &a.qid);
	return 0;
}

int op_tsymlink(struct conn *c, const struct p9_tsymlink *t, struct p9_buf *out)
{
	return make_plain(c, t->fid, t->name, S_IFLNK | 0777, t->target, t->gid, out);
}

int op_tmknod(struct conn *c, const struct p9_tmknod *t, struct p9_buf *out)
{
	/* mknod(2) takes no type for a regular file. */
	u32 mode = t->mode & S_IFMT ? t->mode : t->mode | S_IFREG;

	if (S_ISDIR(mode) || S_ISLNK(mode))
		return -EPERM;
	return make_plain(c, t->dfid, t->name, mode, p9_str(""), t->gid, out);
}

int op_tmkdir(struct conn *c, const struct p9_tmkdir *t, struct p9_buf *out)
{
	return make_plain(c, t->dfid, t->name, S_IFDIR | (t->mode & 07777), p9_str(""), t->gid,
	                  out);
}

int op_tmakenode(struct conn *c, const struct p9_tmakenode *t, struct p9_buf *out)
{
	char s[P9_MAX_NAME + 1];
	AUTO_CLOSE int fd = -1;
	struct p9_rmakenode r;
	struct fid *f;
	int ret = fid_dir_name_rw(c, t->dfid, t->name, &f, s);

	if (ret == 0)
		ret = fid_check_new(c, t->newfid);
	if (ret < 0)
		return ret;
	ret = make(c, f->path_fd, s, t->mode, t->target, t->uid, t->gid, &fd, &r.attr);
	if (ret < 0)
		return ret;
	ret = fid_new(c, t->newfid, f->at, TAKE_FD(fd), r.attr.mode, NULL);
	if (ret < 0)
		return ret;
	p9_put_rmakenode(out, &r);
	return 0;
}

int op_tlink(struct conn *c, const struct p9_tlink *t, struct p9_buf *out)
{
	char name[P9_MAX_NAME + 1];
	struct fid *d, *f;
	int r = fid_dir_name_rw(c, t->dfid, t->name, &d, name);

	if (r == 0)
		r = fid_get(c, t->fid, &f);
	if (r < 0)
		return r;
	if (f->at != d->at)
		return -EXDEV;
	if (S_ISDIR(f->type))
		return -EPERM;
	if (linkat(AT_FDCWD, fd_path(f->path_fd).s, d->path_fd, name, AT_SYMLINK_FOLLOW) < 0)
		return -errno;
	return 0;
}

static int rename_names(struct conn *c, u32 olddir, struct p9_str oldname, u32 newdir,
                        struct p9_str newname, u32 flags)
{
	char from[P9_MAX_NAME + 1], to[P9_MAX_NAME + 1];
	struct fid *o, *n;
	int r = fid_dir_name_rw(c, olddir, oldname, &o, from);

	if (r == 0)
		r = fid_dir_name_rw(c, newdir, newname, &n, to);
	if (r < 0)
		return r;
	if (flags & ~(u32)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	if (o->at != n->at)
		return -EXDEV;
	if (syscall(SYS_renameat2, o->path_fd, from, n->path_fd, to, flags) < 0)
		return -errno;
	return 0;
}

int op_trenameat(struct conn *c, const struct p9_trenameat *t, struct p9_buf *out)
{
	return rename_names(c, t->olddirfid, t->oldname, t->newdirfid, t->newname, 0);
}

int op_trenameat2(struct conn *c, const struct p9_trenameat2 *t, struct p9_buf *out)
{
	return rename_names(c, t->olddirfid, t->oldname, t->newdirfid, t->newname, t->flags);
}

int op_tunlinkat(struct conn *c, const struct p9_tunlinkat *t, struct p9_buf *out)
{
	char name[P9_MAX_NAME + 1];
	struct fid *d;
	int r = fid_dir_name_rw(c, t->dirfid, t->name, &d, name);

	if (r < 0)
		return r;
	if (t->flags & ~(u32)AT_REMOVEDIR)
		return -EINVAL;
	if (unlinkat(d->path_fd, name, (int)t->flags) < 0)
		return -errno;
	return 0;
}
