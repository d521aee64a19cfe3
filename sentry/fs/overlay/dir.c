/* Names: lookups and changes. Nothing is ever changed below. */
#include "sentry/fs/overlay/overlay_impl.h"
#include "state/base/bug.h"

#include <errno.h>
#include <linux/fs.h>

/* Images say anything: whatever comes beside the directory must be this overlay's. */
static bool ours(const struct inode *dir, struct inode *i)
{
	return i->sb == dir->sb && obj_is(i, &tmpfs_inode_type) &&
	       (!inode_is_dir(i) || overlay_i(i));
}

static void changed(struct inode *dir, struct inode *what, struct ctx *c)
{
	if (dir)
		inode_touch(dir, c, false, true, true);
	if (what)
		inode_touch(what, c, false, false, true);
}

/* 1 stands for "not counted" below (some disks do not count), 0 for removed. */
static void dir_links(struct inode *dir, int n)
{
	GUARD(&dir->lock);
	if (dir->nlink > 1)
		dir->nlink = (u32)((int)dir->nlink + n);
}

/* A name of i is gone; i is a directory with all of its names. names held. */
static void drop_link(struct inode *i)
{
	bool last;

	mutex_lock(&i->lock);
	i->nlink = inode_is_dir(i) || i->nlink == 0 ? 0 : i->nlink - 1;
	last = i->nlink == 0;
	mutex_unlock(&i->lock);
	if (last)
		overlay_forget(i);
}

/* ---- lookup ---- */

int overlay_lookup(struct inode *dir, struct ctx *c, const char *name, struct inode **ret)
{
	struct overlay_inode *od = overlay_i(dir), *old = NULL;
	AUTO(overlay_inode) oi = NULL; /* put after the lock */
	AUTO(inode) lower = NULL;
	int r;

	mutex_lock(overlay_names_lock(dir));
	r = overlay_find(od, name, ret);
	mutex_unlock(overlay_names_lock(dir));
	if (r <= 0)
		return r;
	if (!overlay_maybe_below(od, name))
		return -ENOENT;
	if (!inode_ops_of(od->lower)->lookup)
		return -ENOTDIR;
	r = inode_ops_of(od->lower)->lookup(od->lower, c, name, &lower);
	if (r < 0)
		return r;
	oi = overlay_inode_from(dir->sb, lower);
	GUARD(overlay_names_lock(dir));
	r = overlay_find(od, name, ret);
	if (r <= 0)
		return r;
	if (oi->shared)
		old = overlay_share(oi);
	else
		overlay_place(oi, od, name);
	*ret = old ? &old->ti.inode : &TAKE(oi)->ti.inode;
	return 0;
}

/* ---- new names ---- */

static int add(struct inode *dir, struct ctx *c, const char *name, struct inode *i)
{
	AUTO(overlay_inode) top = NULL;
	int r;
	GUARD(overlay_names_lock(dir));

	if (dir->nlink == 0)
		return -ENOENT;
	r = overlay_entry_add(overlay_i(dir), name, i);
	if (r < 0)
		return r;
	top = overlay_pin(dir);
	if (inode_is_dir(i))
		dir_links(dir, 1);
	changed(dir, NULL, c);
	return 0;
}

static int make(struct inode *dir, struct ctx *c, const char *name, u32 mode, u32 rdev,
                const char *target, struct inode **ret)
{
	AUTO(inode) i = NULL;
	int r = tmpfs_inode_new(dir->sb, c, mode, rdev, target, 0, &i);

	if (r < 0)
		return r;
	inode_inherit(i, dir);
	r = add(dir, c, name, i);
	if (r < 0)
		return r;
	*ret = TAKE(i);
	return 0;
}

int overlay_create(struct inode *dir, struct ctx *c, const char *name, u32 mode, u32 rdev,
                   struct inode **ret)
{
	return make(dir, c, name, mode, rdev, NULL, ret);
}

int overlay_symlink(struct inode *dir, struct ctx *c, const char *name, const char *target,
                    struct inode **ret)
{
	return make(dir, c, name, S_IFLNK | 0777, 0, target, ret);
}

int overlay_mkdir(struct inode *dir, struct ctx *c, const char *name, u32 mode, struct inode **ret)
{
	AUTO(overlay_inode) made = overlay_dir_new(dir->sb, c, mode);
	int r;

	inode_inherit(&made->ti.inode, dir);
	r = add(dir, c, name, &made->ti.inode);
	if (r < 0)
		return r;
	*ret = &TAKE(made)->ti.inode;
	return 0;
}

int overlay_tmpfile(struct inode *dir, struct ctx *c, u32 mode, struct inode **ret)
{
	int r = tmpfs_inode_new(dir->sb, c, mode, 0, NULL, 0, ret);

	if (r < 0)
		return r;
	inode_inherit(*ret, dir);
	(*ret)->nlink = 0;
	tmpfs_i(*ret)->linkable = true;
	return 0;
}

int overlay_link(struct inode *dir, struct ctx *c, const char *name, struct inode *target)
{
	AUTO(overlay_inode) top = NULL;
	AUTO(overlay_inode) top2 = NULL;
	int r;
	if (!ours(dir, target))
		return -EXDEV;
	GUARD(overlay_names_lock(dir));
	if (dir->nlink == 0 || (target->nlink == 0 && !tmpfs_i(target)->linkable))
		return -ENOENT;
	r = overlay_entry_add(overlay_i(dir), name, target);
	if (r < 0)
		return r;
	top = overlay_pin(dir);
	top2 = overlay_pin(target);
	tmpfs_i(target)->linkable = false;
	mutex_lock(&target->lock);
	target->nlink++;
	mutex_unlock(&target->lock);
	changed(dir, target, c);
	return 0;
}

/* ---- names that go ---- */

static int remove_name(struct inode *dir, struct ctx *c, const char *name, struct inode *victim)
{
	AUTO(overlay_inode) top = NULL;
	AUTO(inode) gone = NULL;
	struct overlay_entry *e;
	int r;

	if (!ours(dir, victim))
		return -ESTALE;
	GUARD(overlay_names_lock(dir));
	if (inode_is_dir(victim) && !overlay_dir_empty(overlay_i(victim)))
		return -ENOTEMPTY;
	top = overlay_pin(dir);
	r = overlay_entry_of(overlay_i(dir), name, victim, &e);
	if (r < 0)
		return r;
	gone = overlay_entry_remove(overlay_i(dir), e);
	drop_link(victim);
	if (inode_is_dir(victim))
		dir_links(dir, -1);
	changed(dir, victim, c);
	return 0;
}

int overlay_unlink(struct inode *dir, struct ctx *c, const char *name, struct inode *victim)
{
	return remove_name(dir, c, name, victim);
}

int overlay_rmdir(struct inode *dir, struct ctx *c, const char *name, struct inode *victim)
{
	int r = ours(dir, victim) ? overlay_list_below(overlay_i(victim), c) : -ESTALE;

	return r < 0 ? r : remove_name(dir, c, name, victim);
}

/* ---- rename ---- */

struct ends {
	struct inode *dir, *new_dir;
	struct overlay_entry *e, *t; /* t: of the target, or NULL */
};

static void exchange(struct ends *n, struct ctx *c)
{
	struct inode *tmp = n->e->inode;
	int delta = (int)inode_is_dir(n->t->inode) - (int)inode_is_dir(tmp);

	n->e->inode = n->t->inode;
	n->t->inode = tmp;
	if (n->dir != n->new_dir && delta) {
		dir_links(n->dir, delta);
		dir_links(n->new_dir, -delta);
	}
	changed(n->dir, n->e->inode, c);
	changed(n->new_dir, n->t->inode, c);
}

/* The inode that was there before, if any. */
static struct inode *replace(struct ends *n, struct ctx *c, const char *new_name)
{
	struct inode *gone = NULL, *moved;

	if (n->t) {
		gone = TAKE(n->t->inode);
		drop_link(gone);
		if (inode_is_dir(gone))
			dir_links(n->new_dir, -1);
		changed(NULL, gone, c);
	} else {
		n->t = overlay_entry_find(overlay_i(n->new_dir), new_name);
	}
	moved = overlay_entry_remove(overlay_i(n->dir), n->e);
	if (n->t)
		n->t->inode = moved;
	else
		overlay_entry_new(overlay_i(n->new_dir), new_name, moved, false, 0);
	if (inode_is_dir(moved)) {
		dir_links(n->dir, -1);
		dir_links(n->new_dir, 1);
	}
	changed(n->dir, moved, c);
	changed(n->new_dir, NULL, c);
	return gone;
}

static int find_ends(struct ends *n, const char *name, struct inode *victim, const char *new_name,
                     struct inode *target, u32 flags)
{
	AUTO(inode) there = NULL;
	int r;

	if (n->new_dir->nlink == 0)
		return -ENOENT;
	if (target && inode_is_dir(target) && !(flags & RENAME_EXCHANGE) &&
	    !overlay_dir_empty(overlay_i(target)))
		return -ENOTEMPTY;
	r = overlay_entry_of(overlay_i(n->dir), name, victim, &n->e);
	if (r == 0 && target)
		r = overlay_entry_of(overlay_i(n->new_dir), new_name, target, &n->t);
	else if (r == 0 && overlay_find(overlay_i(n->new_dir), new_name, &there) == 0)
		r = -ESTALE;
	return r;
}

int overlay_rename(struct inode *dir, struct ctx *c, const char *name, struct inode *victim,
                   struct inode *new_dir, const char *new_name, struct inode *target, u32 flags)
{
	struct ends n = {.dir = dir, .new_dir = new_dir};
	AUTO(overlay_inode) top = NULL;
	AUTO(overlay_inode) top2 = NULL;
	AUTO(inode) gone = NULL;
	int r;

	if (flags & ~(u32)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	if (!ours(dir, victim) || !ours(dir, new_dir) || (target && !ours(dir, target)))
		return -EXDEV;
	if (target && inode_is_dir(target) && !(flags & RENAME_EXCHANGE)) {
		r = overlay_list_below(overlay_i(target), c);
		if (r < 0)
			return r;
	}
	GUARD(overlay_names_lock(dir));
	top = overlay_pin(dir);
	top2 = overlay_pin(new_dir);
	r = find_ends(&n, name, victim, new_name, target, flags);
	if (r < 0)
		return r;
	if (flags & RENAME_EXCHANGE)
		exchange(&n, c);
	else
		gone = replace(&n, c, new_name);
	return 0;
}
