/* Sessions, walking and forgetting. */
#include "gofer/server.h"

#include "state/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

int op_tversion(struct conn *c, const struct p9_tversion *t, struct p9_buf *out)
{
	struct p9_rversion r;

	if (t->msize < P9_MIN_MSIZE)
		return -EMSGSIZE;
	conn_clunk_all(c);
	c->versioned = true;
	c->ext = false;
	c->msize = MIN(t->msize, P9_MAX_MSIZE);
	r.msize = c->msize;
	if (p9_str_is(t->version, P9_VERSION_EXT)) {
		c->ext = true;
		r.version = p9_str(P9_VERSION_EXT);
	} else if (t->version.len >= strlen(P9_VERSION) &&
	           memcmp(t->version.s, P9_VERSION, strlen(P9_VERSION)) == 0) {
		r.version = p9_str(P9_VERSION);
	} else {
		c->versioned = false;
		r.version = p9_str("unknown");
	}
	p9_put_rversion(out, &r);
	return 0;
}

int op_tattach(struct conn *c, const struct p9_tattach *t, struct p9_buf *out)
{
	const struct attach_point *at = NULL;
	struct p9_rattach r;
	struct p9_attr a;
	int fd, ret = fid_check_new(c, t->fid);

	if (ret < 0)
		return ret;
	if (t->afid != P9_NOFID)
		return -EINVAL;
	for (size_t i = 0; i < c->g->n_attach && !at; i++)
		if (p9_str_is(t->aname, c->g->attach[i].name) || (i == 0 && t->aname.len == 0))
			at = &c->g->attach[i];
	if (!at)
		return -ENOENT;
	ret = host_attr(c->g, at->fd, &a);
	if (ret < 0)
		return ret;
	fd = fcntl(at->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	ret = fid_new(c, t->fid, at, fd, a.mode, NULL);
	if (ret < 0)
		return ret;
	r.qid = a.qid;
	p9_put_rattach(out, &r);
	return 0;
}

/* The server answers in order, so whatever is to be flushed has its reply already. */
int op_tflush(struct conn *c, const struct p9_tflush *t, struct p9_buf *out)
{
	return 0;
}

static int walk_step(struct conn *c, int dir, mode_t type, struct p9_str name, int *ret_fd,
                     struct p9_attr *ret_attr)
{
	char s[P9_MAX_NAME + 1];
	AUTO_CLOSE int fd = -1;
	int r;

	if (name.len > P9_MAX_NAME)
		return -ENAMETOOLONG;
	if (!p9_name_ok(name))
		return -EINVAL;
	if (!S_ISDIR(type))
		return -ENOTDIR;
	memcpy(s, name.s, name.len);
	s[name.len] = 0;
	r = host_walk(dir, s, &fd);
	if (r < 0)
		return r;
	r = host_attr(c->g, fd, ret_attr);
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int walkable(struct conn *c, u32 id, struct fid **ret_f)
{
	struct fid *f;
	int r = fid_get(c, id, &f);

	if (r < 0)
		return r;
	if (f->kind != FID_PATH && f->kind != FID_OPEN)
		return -EBADF;
	*ret_f = f;
	return 0;
}

int op_twalk(struct conn *c, const struct p9_twalk *t, struct p9_buf *out)
{
	AUTO_CLOSE int fd = -1;
	struct p9_rwalk r = {0};
	struct fid *f;
	mode_t type;
	int ret = walkable(c, t->fid, &f);

	if (ret < 0)
		return ret;
	if (t->newfid != t->fid) {
		ret = fid_check_new(c, t->newfid);
		if (ret < 0)
			return ret;
	} else if (f->kind != FID_PATH) {
		return -EINVAL;
	}
	fd = fcntl(f->path_fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	type = f->type;
	for (unsigned i = 0; i < t->names.count; i++) {
		struct p9_attr a;
		int next;

		ret = walk_step(c, fd, type, t->names.v[i], &next, &a);
		if (ret < 0 && i == 0)
			return ret;
		if (ret < 0)
			break;
		close(fd);
		fd = next;
		type = a.mode & S_IFMT;
		r.qids.v[r.qids.count++] = a.qid;
	}
	if (r.qids.count == t->names.count) {
		if (t->newfid == t->fid) {
			close(f->path_fd);
			f->path_fd = TAKE_FD(fd);
			f->type = type;
		} else {
			ret = fid_new(c, t->newfid, f->at, TAKE_FD(fd), type, NULL);
			if (ret < 0)
				return ret;
		}
	}
	p9_put_rwalk(out, &r);
	return 0;
}

static int copy_with_attr(struct conn *c, struct fid *f, u32 newfid, struct p9_buf *out)
{
	struct p9_rwalkgetattr r = {.attrs.count = 1, .target = p9_str("")};
	int fd, ret = host_attr(c->g, f->path_fd, &r.attrs.v[0]);

	if (ret < 0)
		return ret;
	fd = fcntl(f->path_fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	ret = fid_new(c, newfid, f->at, fd, f->type, NULL);
	if (ret < 0)
		return ret;
	p9_put_rwalkgetattr(out, &r);
	return 0;
}

int op_twalkgetattr(struct conn *c, const struct p9_twalkgetattr *t, struct p9_buf *out)
{
	struct p9_rwalkgetattr r;
	int fds[P9_MAX_WALK];
	char target[P9_MAX_LINK + 1];
	unsigned n = t->names.count, done, bound = 0;
	struct fid *f;
	bool stopped = false;
	int dir, ret = walkable(c, t->fid, &f);
	mode_t type;

	if (ret < 0)
		return ret;
	if (t->newfids.count != 1 && t->newfids.count != n)
		return -EINVAL;
	for (unsigned i = 0; i < t->newfids.count; i++) {
		ret = fid_check_new(c, t->newfids.v[i]);
		if (ret < 0)
			return ret;
	}
	if (n == 0)
		return t->newfids.count == 1 ? copy_with_attr(c, f, t->newfids.v[0], out) : -EINVAL;
	r.ecode = 0;
	r.attrs.count = 0;
	r.target = p9_str("");
	dir = f->path_fd;
	type = f->type;
	for (done = 0; done < n && !stopped; done++) {
		ret = walk_step(c, dir, type, t->names.v[done], &fds[done], &r.attrs.v[done]);
		if (ret == -EMFILE || ret == -ENFILE || ret == -ENOMEM) {
			/* Says nothing about the path: the client is to make room and ask again. */
			while (done > 0)
				close(fds[--done]);
			return -EMFILE;
		}
		if (ret < 0) {
			r.ecode = (u32)-ret;
			break;
		}
		dir = fds[done];
		type = r.attrs.v[done].mode & S_IFMT;
		r.attrs.count++;
		stopped = S_ISLNK(type);
	}
	if (stopped) {
		ssize_t len = readlinkat(dir, "", target, sizeof(target));

		if (len > 0 && (size_t)len < sizeof(target))
			r.target = (struct p9_str){target, (u16)len};
	}
	ret = 0;
	for (unsigned i = 0; i < done; i++) {
		bool last = i + 1 == done && (done == n || stopped);
		u32 id = t->newfids.v[t->newfids.count == 1 ? 0 : i];

		if (ret < 0 || (t->newfids.count == 1 && n > 1 && !last)) {
			close(fds[i]);
			continue;
		}
		/* Fails on an id given twice: then none of them is bound. */
		ret = fid_new(c, id, f->at, fds[i], r.attrs.v[i].mode, NULL);
		if (ret == 0)
			bound++;
	}
	if (ret < 0) {
		for (unsigned i = 0; i < bound; i++) {
			struct fid *b;

			if (fid_get(c, t->newfids.v[i], &b) == 0)
				fid_drop(c, b);
		}
		return ret;
	}
	p9_put_rwalkgetattr(out, &r);
	return 0;
}

int op_tclunk(struct conn *c, const struct p9_tclunk *t, struct p9_buf *out)
{
	struct fid *f;
	int r = fid_get(c, t->fid, &f);

	if (r < 0)
		return r;
	if (f->kind == FID_XATTR_WRITE)
		r = xattr_commit(f);
	fid_drop(c, f);
	return r;
}

int op_tmulticlunk(struct conn *c, const struct p9_tmulticlunk *t, struct p9_buf *out)
{
	int ret = 0;

	for (unsigned i = 0; i < t->fids.count; i++) {
		struct fid *f;
		int r = fid_get(c, t->fids.v[i], &f);

		if (r == 0)
			fid_drop(c, f);
		else
			ret = r;
	}
	return ret;
}

/* A fid knows its file, not the name it was reached by: Tunlinkat is the way to remove. */
int op_tremove(struct conn *c, const struct p9_tremove *t, struct p9_buf *out)
{
	struct fid *f;
	int r = fid_get(c, t->fid, &f);

	if (r < 0)
		return r;
	fid_drop(c, f);
	return -EOPNOTSUPP;
}

int op_tplace(struct conn *c, const struct p9_tplace *t, struct p9_buf *out)
{
	const u32 core = t->core - 1;
	cpu_set_t set = c->g->cores;

	(void)out;
	if (core < CPU_SETSIZE && CPU_ISSET(core, &set)) {
		CPU_ZERO(&set);
		CPU_SET(core, &set);
	}
	/* A wish. */
	(void)sched_setaffinity(0, sizeof(set), &set);
	return 0;
}
