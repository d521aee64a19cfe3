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
#include <unistd.h>

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
	struct gofer_inode *known;
	u32 fid;
	int r;

	(void)c;
	if (gs->exclusive && gofer_ahead_find(gofer_i(dir), name, &known)) {
		if (!known)
			return -ENOENT;
		*ret = &known->inode;
		return 0;
	}
	r = dir_fid(dir, &fid);
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
	gofer_ahead_drop(gofer_i(dir));
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

/* One reply's names; *offset moves on. */
static int take_names(struct gofer_ahead *ahead, u8 *buf, size_t n, struct dir_list *l, u64 *offset)
{
	struct p9_buf b = p9_buf(buf, n);
	struct p9_dirent_plus p;
	struct p9_dirent d;

	while (ahead && p9_get_dirent_plus(&b, &p)) {
		*offset = p.offset;
		if (!p9_name_ok(p.name))
			continue;
		dir_list_add(l, p.name.s, p.name.len, p.attr.qid.path, dirent_type(p.attr.mode));
		gofer_ahead_add(ahead, p.name.s, p.name.len, &p.attr);
	}
	while (!ahead && p9_get_dirent(&b, &d)) {
		*offset = d.offset;
		if (p9_name_ok(d.name))
			dir_list_add(l, d.name.s, d.name.len, d.qid.path, d.type);
	}
	return b.bad ? -EIO : 0;
}

int gofer_list(struct gofer_inode *dir, struct dir_list *l)
{
	struct gofer_super *gs = gofer_sb(&dir->inode);
	size_t size, n = 0;
	AUTO_FREE u8 *buf = NULL;
	struct p9_opened o = {.fd = -1, .fid = P9_NOFID};
	struct gofer_ahead *ahead = NULL;
	u64 offset = 0, changes;
	u32 fid;
	int r = gofer_fid(dir, &fid);

	if (r == 0)
		r = p9_client_open(gs->client, fid, O_RDONLY | O_DIRECTORY, true, &o);
	if (r < 0)
		return r == -ESTALE ? -ENOENT : r;
	if (o.fd >= 0)
		close(o.fd);
	size = MIN(p9_client_max_io(gs->client), 64 * KIB);
	buf = malloc(size);
	BUG_ON(!buf);
	mutex_lock(&gs->lock);
	changes = dir->changes;
	mutex_unlock(&gs->lock);
	if (gs->exclusive && p9_client_extended(gs->client))
		ahead = gofer_ahead_new(dir);
	for (;;) {
		if (ahead)
			r = p9_client_readdirplus(gs->client, o.fid, offset, buf, size, &n);
		else
			r = p9_client_readdir(gs->client, o.fid, offset, buf, size, &n);
		if (r < 0 || n == 0)
			break;
		r = take_names(ahead, buf, n, l, &offset);
		if (r < 0 || (ahead && n + P9_DIRENT_PLUS_MAX < size))
			break;
	}
	p9_client_clunk_later(gs->client, o.fid);
	if (ahead)
		gofer_ahead_publish(ahead, r < 0 ? changes - 1 : changes);
	return r;
}
