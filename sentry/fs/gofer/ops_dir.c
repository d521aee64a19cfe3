/* Names on the host. */
#include "sentry/auth/creds.h"
#include "sentry/fs/gofer/gofer_fs.h"
#include "sentry/vfs/dirent.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>

static int dir_fid(struct inode *dir, u32 *ret)
{
	int r = gofer_fid(gofer_i(dir), ret);

	return r == -ESTALE ? -ENOENT : r;
}

int gofer_lookup(struct inode *dir, struct ctx *c, const char *name, struct inode **ret)
{
	struct gofer_super *gs = gofer_sb(dir);
	struct p9_str n = p9_str(name);
	struct p9_walk w;
	u32 fid;
	int r = dir_fid(dir, &fid);

	(void)c;
	if (r == 0)
		r = p9_client_walk(gs->client, fid, &n, 1, false, &w);
	if (r == -EMFILE || (r == 0 && w.err == -EMFILE)) {
		super_shrink(&gs->sb);
		r = p9_client_walk(gs->client, fid, &n, 1, false, &w);
	}
	if (r < 0)
		return r;
	if (w.count == 0)
		return w.err < 0 ? w.err : -ENOENT;
	*ret = &gofer_inode_get_or_new(gs, gofer_i(dir), name, &w.attrs[0], w.fids[0],
	                               w.has_target ? w.target : NULL)
	                ->inode;
	return 0;
}

/* The directory's own times and size moved. */
static void touched(struct inode *dir)
{
	GUARD(&dir->lock);
	gofer_i(dir)->attr_old = true;
}

static void owner_of(struct inode *dir, struct ctx *c, u32 *ret_uid, u32 *ret_gid)
{
	*ret_uid = c->creds->fsuid;
	*ret_gid = READ_ONCE(dir->mode) & S_ISGID ? READ_ONCE(dir->gid) : c->creds->fsgid;
}

int gofer_create(struct inode *dir, struct ctx *c, const char *name, u32 mode, u32 rdev,
                 struct inode **ret)
{
	struct gofer_super *gs = gofer_sb(dir);
	struct gofer_inode *gi;
	struct p9_opened o;
	struct p9_attr a;
	u32 dfid, fid, uid, gid;
	int r = dir_fid(dir, &dfid);

	(void)rdev;
	if (r < 0)
		return r;
	owner_of(dir, c, &uid, &gid);
	if (S_ISCHR(mode) || S_ISBLK(mode))
		return -EPERM;
	if (!S_ISREG(mode)) {
		r = p9_client_make(gs->client, dfid, name, mode, uid, gid, NULL, &fid, &a);
		if (r == -EPERM)
			r = p9_client_make(gs->client, dfid, name, mode, P9_NOID, P9_NOID, NULL,
			                   &fid, &a);
		if (r < 0)
			return r;
		*ret = &gofer_inode_get_or_new(gs, gofer_i(dir), name, &a, fid, NULL)->inode;
		touched(dir);
		return 0;
	}
	r = p9_client_create_file(gs->client, dfid, name, O_RDWR | O_EXCL, mode & 07777, uid, gid,
	                          &fid, &o);
	if (r == -EPERM)
		r = p9_client_create_file(gs->client, dfid, name, O_RDWR | O_EXCL, mode & 07777,
		                          P9_NOID, P9_NOID, &fid, &o);
	if (r < 0)
		return r;
	gi = gofer_inode_get_or_new(gs, gofer_i(dir), name, &o.attr, fid, NULL);
	if (o.fid != P9_NOFID)
		p9_client_clunk_later(gs->client, o.fid);
	if (o.fd >= 0) {
		struct mapfile *mf = hostfile_new(o.fd, true);

		mutex_lock(&gs->lock);
		if (!gi->rw) {
			gi->rw = TAKE(mf);
			gi->rw_readable = true;
		}
		mutex_unlock(&gs->lock);
		if (mf)
			mapfile_put(mf);
	}
	touched(dir);
	*ret = &gi->inode;
	return 0;
}

static int make(struct inode *dir, struct ctx *c, const char *name, u32 mode, const char *target,
                struct inode **ret)
{
	struct gofer_super *gs = gofer_sb(dir);
	struct p9_attr a;
	u32 dfid, fid, uid, gid;
	int r = dir_fid(dir, &dfid);

	if (r < 0)
		return r;
	owner_of(dir, c, &uid, &gid);
	if (S_ISDIR(mode) && (READ_ONCE(dir->mode) & S_ISGID))
		mode |= S_ISGID;
	r = p9_client_make(gs->client, dfid, name, mode, uid, gid, target, &fid, &a);
	if (r == -EPERM)
		r = p9_client_make(gs->client, dfid, name, mode, P9_NOID, P9_NOID, target, &fid,
		                   &a);
	if (r < 0)
		return r;
	*ret = &gofer_inode_get_or_new(gs, gofer_i(dir), name, &a, fid, target)->inode;
	touched(dir);
	return 0;
}
int gofer_mkdir(struct inode *dir, struct ctx *c, const char *name, u32 mode, struct inode **ret)
{
	return make(dir, c, name, mode, NULL, ret);
}
int gofer_symlink(struct inode *dir, struct ctx *c, const char *name, const char *target,
                  struct inode **ret)
{
	return make(dir, c, name, S_IFLNK | 0777, target, ret);
}

static void add_links(struct inode *i, int n)
{
	GUARD(&i->lock);
	if (n > 0 || i->nlink > 0)
		i->nlink = (u32)((int)i->nlink + n);
	gofer_i(i)->attr_old = true;
}

int gofer_link(struct inode *dir, struct ctx *c, const char *name, struct inode *target)
{
	u32 dfid, fid;
	int r = dir_fid(dir, &dfid);

	(void)c;
	if (gofer_i(target)->deleted)
		return -ENOENT;
	if (r == 0)
		r = gofer_fid(gofer_i(target), &fid);
	if (r == 0)
		r = p9_client_link(gofer_sb(dir)->client, fid, dfid, name);
	if (r == 0) {
		add_links(target, 1);
		touched(dir);
	}
	return r;
}

/* A name of i is gone. The last one: it is to be saved with its content from now on. */
static void lost_name(struct inode *i, bool all)
{
	struct gofer_inode *gi = gofer_i(i);

	add_links(i, -1);
	if (all || i->nlink == 0) {
		GUARD(&gofer_sb(i)->lock);
		gi->deleted = true;
		i->nlink = 0;
	}
}

/* Before the last name of an open file goes: a descriptor that a save can read it through. */
static void keep_content(struct inode *i)
{
	struct gofer_inode *gi = gofer_i(i);
	struct mapfile *mf = NULL;
	u32 fid = P9_NOFID;

	if (!inode_is_reg(i) || gi->users == 0 || i->nlink > 1 || gi->ro ||
	    (gi->rw && gi->rw_readable))
		return;
	if (gofer_host_file(gi, O_RDONLY, &mf, &fid) < 0)
		return;
	if (mf)
		mapfile_put(mf);
	if (fid != P9_NOFID)
		p9_client_clunk_later(gofer_sb(i)->client, fid);
}

static int remove_name(struct inode *dir, const char *name, struct inode *victim, u32 flags)
{
	u32 dfid, fid;
	int r = dir_fid(dir, &dfid);

	/* The victim's own fid keeps it usable without the name. */
	if (r == 0)
		r = gofer_fid(gofer_i(victim), &fid);
	if (r < 0)
		return r;
	keep_content(victim);
	r = p9_client_unlink(gofer_sb(dir)->client, dfid, name, flags);
	if (r == 0) {
		lost_name(victim, flags & AT_REMOVEDIR);
		touched(dir);
	}
	return r;
}
int gofer_unlink(struct inode *dir, struct ctx *c, const char *name, struct inode *victim)
{
	(void)c;
	return remove_name(dir, name, victim, 0);
}
int gofer_rmdir(struct inode *dir, struct ctx *c, const char *name, struct inode *victim)
{
	(void)c;
	return remove_name(dir, name, victim, AT_REMOVEDIR);
}

static void set_place(struct inode *i, struct inode *dir, const char *name)
{
	struct gofer_inode *gi = gofer_i(i), *old;
	struct gofer_super *gs = gofer_sb(i);
	char *copy = strdup(name), *old_name;

	BUG_ON(!copy);
	mutex_lock(&gs->lock);
	old = gi->parent;
	old_name = gi->name;
	gi->parent = gofer_inode_get(gofer_i(dir));
	gi->name = copy;
	mutex_unlock(&gs->lock);
	free(old_name);
	gofer_inode_put(old);
	GUARD(&i->lock);
	gi->attr_old = true;
}

int gofer_rename(struct inode *dir, struct ctx *c, const char *name, struct inode *victim,
                 struct inode *new_dir, const char *new_name, struct inode *target, u32 flags)
{
	u32 dfid, nfid, fid;
	int r = dir_fid(dir, &dfid);

	(void)c;
	if (flags & RENAME_WHITEOUT)
		return -EINVAL;
	if (r == 0)
		r = dir_fid(new_dir, &nfid);
	if (r == 0)
		r = gofer_fid(gofer_i(victim), &fid);
	if (r == 0 && target)
		r = gofer_fid(gofer_i(target), &fid);
	if (r < 0)
		return r;
	if (target && !(flags & RENAME_EXCHANGE))
		keep_content(target);
	r = p9_client_rename(gofer_sb(dir)->client, dfid, name, nfid, new_name, flags);
	if (r < 0)
		return r;
	set_place(victim, new_dir, new_name);
	if (target && (flags & RENAME_EXCHANGE))
		set_place(target, dir, name);
	else if (target)
		lost_name(target, inode_is_dir(target));
	touched(dir);
	touched(new_dir);
	return 0;
}

int gofer_list(struct gofer_inode *dir, struct dir_list *l)
{
	struct gofer_super *gs = gofer_sb(&dir->inode);
	size_t size = MIN(p9_client_max_io(gs->client), 64 * KIB), n = 0;
	AUTO_FREE u8 *buf = malloc(size);
	struct p9_opened o = {.fd = -1, .fid = P9_NOFID};
	u64 offset = 0;
	u32 fid;
	int r = gofer_fid(dir, &fid);

	if (!buf)
		return -ENOMEM;
	if (r == 0)
		r = p9_client_open(gs->client, fid, O_RDONLY | O_DIRECTORY, true, &o);
	if (r < 0)
		return r == -ESTALE ? -ENOENT : r;
	if (o.fd >= 0)
		close(o.fd);
	for (;;) {
		struct p9_dirent d;
		struct p9_buf b;

		r = p9_client_readdir(gs->client, o.fid, offset, buf, size, &n);
		if (r < 0 || n == 0)
			break;
		b = p9_buf(buf, n);
		while (p9_get_dirent(&b, &d)) {
			offset = d.offset;
			if (p9_name_ok(d.name))
				dir_list_add(l, d.name.s, d.name.len, d.qid.path, d.type);
		}
		if (b.bad) {
			r = -EIO;
			break;
		}
	}
	p9_client_clunk_later(gs->client, o.fid);
	return r;
}
