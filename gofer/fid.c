#include "gofer/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fid_cmp(const struct fid *a, const struct fid *b)
{
	return a->id < b->id ? -1 : a->id > b->id;
}

RB_GENERATE_INTERNAL(fid_tree, fid, node, fid_cmp, UNUSED static)

int fid_get(struct conn *c, u32 id, struct fid **ret_f)
{
	struct fid key = {.id = id};
	struct fid *f = RB_FIND(fid_tree, &c->fids, &key);

	if (!f)
		return -EBADF;
	*ret_f = f;
	return 0;
}

int fid_check_new(struct conn *c, u32 id)
{
	struct fid key = {.id = id};

	if (id == P9_NOFID || RB_FIND(fid_tree, &c->fids, &key))
		return -EINVAL;
	if (c->g->n_fids >= c->g->max_fids)
		return -EMFILE;
	return 0;
}

int fid_new(struct conn *c, u32 id, const struct attach_point *at, int path_fd, mode_t type,
            struct fid **ret_f)
{
	struct fid *f;
	int r = fid_check_new(c, id);

	if (r == 0) {
		f = calloc(1, sizeof(*f));
		if (!f)
			r = -ENOMEM;
	}
	if (r < 0) {
		close(path_fd);
		return r;
	}
	f->id = id;
	f->at = at;
	f->path_fd = path_fd;
	f->io_fd = -1;
	f->type = type & S_IFMT;
	RB_INSERT(fid_tree, &c->fids, f);
	c->g->n_fids++;
	if (ret_f)
		*ret_f = f;
	return 0;
}

void fid_drop(struct conn *c, struct fid *f)
{
	RB_REMOVE(fid_tree, &c->fids, f);
	c->g->n_fids--;
	close(f->path_fd);
	if (f->io_fd >= 0)
		close(f->io_fd);
	if (f->xattr) {
		c->xattr_bytes -= f->xattr->size;
		free(f->xattr->data);
		free(f->xattr);
	}
	free(f);
}

void conn_clunk_all(struct conn *c)
{
	struct fid *f;

	while ((f = RB_ROOT(&c->fids)))
		fid_drop(c, f);
}

int fid_dir_name(struct conn *c, u32 id, struct p9_str name, struct fid **ret_f,
                 char ret_name[P9_MAX_NAME + 1])
{
	struct fid *f;
	int r = fid_get(c, id, &f);

	if (r < 0)
		return r;
	if (name.len > P9_MAX_NAME)
		return -ENAMETOOLONG;
	if (!p9_name_ok(name))
		return -EINVAL;
	if (f->kind != FID_PATH && f->kind != FID_OPEN)
		return -EBADF;
	if (!S_ISDIR(f->type))
		return -ENOTDIR;
	memcpy(ret_name, name.s, name.len);
	ret_name[name.len] = 0;
	*ret_f = f;
	return 0;
}

int fid_dir_name_rw(struct conn *c, u32 id, struct p9_str name, struct fid **ret_f,
                    char ret_name[P9_MAX_NAME + 1])
{
	struct fid *f;
	int r = fid_dir_name(c, id, name, &f, ret_name);

	if (r < 0)
		return r;
	if (f->at->readonly)
		return -EROFS;
	*ret_f = f;
	return 0;
}
