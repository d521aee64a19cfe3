#include "proto/files.pb-c.h"
#include "sentry/fs/overlay/overlay_impl.h"
#include "sentry/kernel/kernel.h"
#include "sentry/mm/shmem.h"
#include "state/fields.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- saving ---- */

static int overlay_inode_save_names(struct saver *s, const struct overlay_inode *o,
                                    Sentry__OverlayInode *m)
{
	struct overlay_inode *dir = (struct overlay_inode *)(uintptr_t)o;
	struct overlay_entry *e;
	size_t n = 0;

	RB_FOREACH (e, overlay_cookies, &dir->cookies)
		n++;
	m->entries = saver_alloc(s, (n + 1) * sizeof(m->entries[0]));
	RB_FOREACH (e, overlay_cookies, &dir->cookies) {
		Sentry__OverlayEntry *me =
			saver_msg(s, Sentry__OverlayEntry, sentry__overlay_entry__init);

		me->name = e->name;
		me->inode = saver_ref(s, e->inode);
		me->cookie = e->cookie;
		me->hides = e->hides;
		m->entries[m->n_entries++] = me;
	}
	return 0;
}
static int overlay_inode_load_names(struct loader *l, struct overlay_inode *o,
                                    const Sentry__OverlayInode *m)
{
	u64 last = 1;

	for (size_t i = 0; i < m->n_entries; i++) {
		const Sentry__OverlayEntry *me = m->entries[i];
		AUTO(tmpfs_inode) ti = NULL;
		int r = loader_ref(l, me->inode, &tmpfs_inode_type, &ti);

		if (r < 0)
			return r;
		/* They come in the order of their cookies. */
		if (overlay_check_name(me->name) < 0 || overlay_entry_find(o, me->name) ||
		    me->cookie <= last || me->cookie > INT64_MAX / 2 || (!ti && !me->hides))
			return loader_range(l, "entries");
		last = me->cookie;
		overlay_entry_new(o, me->name, ti ? &TAKE(ti)->inode : NULL, me->hides, last);
	}
	return 0;
}
#define SAMPLE_COOKIE 7

static void overlay_inode_sample_names(struct sampler *sp, struct overlay_inode *o)
{
	struct tmpfs_inode *ti = sampler_ref(sp, &tmpfs_inode_type);

	overlay_entry_new(o, "name", &ti->inode, true, SAMPLE_COOKIE);
}

/* placed, in_shared and the tables follow from what is saved, listings are made again; kept is
 * saved by the super block, which owns what is. */
#define OVERLAY_INODE_FIELDS(X)         \
	X(BASE, ti, tmpfs_inode)        \
	X(REF, lower, inode)            \
	X(REF, partial, shmem)          \
	X(VAL, lower_blocks)            \
	X(VAL, own_xattrs)              \
	X(SKIP, copy)                   \
	X(REF, parent, overlay_inode)   \
	X(STR, name)                    \
	X(SKIP, place)                  \
	X(SKIP, placed)                 \
	X(VAL, shared)                  \
	X(SKIP, kept)                   \
	X(SKIP, in_shared)              \
	X(SKIP, by_ino)                 \
	X(CUSTOM, names, overlay_inode) \
	X(SKIP, cookies)                \
	X(SKIP, places)                 \
	X(SKIP, listed)                 \
	X(SKIP, below)                  \
	X(SKIP, n_below)                \
	X(SKIP, walked)

static void overlay_inode_init(void *p)
{
	struct overlay_inode *oi = p;

	mutex_init(&oi->copy, RANK_OVERLAY);
	RB_INIT(&oi->names);
	RB_INIT(&oi->cookies);
	RB_INIT(&oi->places);
}
static void overlay_inode_destroy(void *p)
{
	struct overlay_inode *oi = p;

	overlay_names_finish(oi);
	overlay_below_finish(oi);
	shmem_put(TAKE(oi->partial));
	inode_put(TAKE(oi->lower));
}

static int check_entries(struct loader *l, struct overlay_inode *oi)
{
	struct overlay_entry *e, *last = RB_MAX(overlay_cookies, &oi->cookies);

	if (last && last->cookie >= oi->ti.next_cookie)
		return loader_error(l, "listing positions out of range");
	RB_FOREACH (e, overlay_cookies, &oi->cookies) {
		if (e->inode && e->inode->sb != oi->ti.inode.sb)
			return loader_error(l, "file of another super block");
	}
	return 0;
}

/* Each is walked once, however deep the tree is: what was walked before ends, or the load failed.
 */
static bool leads_to_root(struct overlay_inode *oi)
{
	struct overlay_inode *a;

	for (a = oi; a && !a->walked; a = a->parent)
		a->walked = 1;
	if (a && a->walked == 1)
		return false;
	for (a = oi; a && a->walked == 1; a = a->parent)
		a->walked = 2;
	return true;
}

static int check_place(struct loader *l, struct overlay_inode *oi)
{
	if (overlay_check_name(oi->name ? oi->name : "") < 0)
		return loader_error(l, "bad file name");
	if (!leads_to_root(oi))
		return loader_error(l, "directory is its own ancestor");
	return 0;
}

static int overlay_inode_after_load(struct loader *l, void *p)
{
	struct overlay_inode *oi = p, *parent = oi->parent;
	struct inode *i = &oi->ti.inode;
	int r;

	if (!obj_is(i->sb, &overlay_super_type))
		return loader_error(l, "overlay inode outside an overlay");
	if (oi->lower && (oi->lower->mode & S_IFMT) != (i->mode & S_IFMT))
		return loader_error(l, "overlay inode over a file of another type");
	if (inode_is_reg(i) ? !oi->ti.data && !oi->lower : oi->ti.data != NULL)
		return loader_error(l, "overlay inode with the wrong kind of content");
	if (inode_is_lnk(i) && !oi->lower && !(oi->ti.target && oi->ti.target[0]))
		return loader_error(l, "symbolic link without a target");
	if (inode_is_dir(i) && oi->shared)
		return loader_error(l, "directory with several names");
	if (oi->kept && !oi->shared)
		return loader_error(l, "overlay inode kept for no reason");
	r = check_entries(l, oi);
	if (r < 0)
		return r;
	if (parent) {
		r = check_place(l, oi);
		if (r < 0)
			return r;
		if (parent->ti.inode.sb != i->sb)
			return loader_error(l, "directory in another super block");
		mutex_lock(overlay_names_lock(i));
		r = overlay_place_loaded(oi);
		mutex_unlock(overlay_names_lock(i));
		if (r < 0)
			return loader_error(l, "two files in one place");
	}
	if (oi->shared && i->nlink) {
		struct overlay_inode *old;

		mutex_lock(overlay_names_lock(i));
		old = overlay_share(oi);
		mutex_unlock(overlay_names_lock(i));
		overlay_inode_put(old);
		if (old)
			return loader_error(l, "two inodes with one number");
	}
	return 0;
}
void overlay_inode_sample_sb(struct overlay_inode *oi, struct super_block *sb)
{
	struct overlay_entry *e;

	super_block_put(oi->ti.inode.sb);
	oi->ti.inode.sb = super_block_get(sb);
	RB_FOREACH (e, overlay_cookies, &oi->cookies) {
		super_block_put(e->inode->sb);
		e->inode->sb = super_block_get(sb);
	}
	if (oi->parent && oi->parent->ti.inode.sb != sb)
		overlay_inode_put(TAKE(oi->parent));
}
static void overlay_inode_sample(struct sampler *sp, void *p)
{
	struct overlay_inode *oi = p, *a = oi->parent;
	AUTO(overlay_super) os = sampler_ref(sp, &overlay_super_type);

	/* Samples refer to each other at will, directories form a tree. */
	while (a && a != oi)
		a = a->parent;
	if (a)
		overlay_inode_put(TAKE(oi->parent));
	overlay_inode_sample_sb(oi, &os->ts.sb);
	/* The entry that overlay_inode_sample_names makes is in the listing. */
	oi->ti.next_cookie += SAMPLE_COOKIE;
}
OBJECT_TYPE(overlay_inode, Sentry__OverlayInode, sentry__overlay_inode__descriptor,
            OVERLAY_INODE_FIELDS, .base = &tmpfs_inode_type, .ops = &overlay_inode_ops,
            .init = overlay_inode_init, .destroy = overlay_inode_destroy,
            .after_load = overlay_inode_after_load, .sample = overlay_inode_sample);

/* ---- making ---- */

static struct overlay_inode *inode_new(struct super_block *sb, struct ctx *c, u64 ino, u32 mode)
{
	struct overlay_inode *oi = obj_new(overlay_inode);

	inode_setup(&oi->ti.inode, sb, c, ino, mode);
	atomic_fetch_add(&tmpfs_sb(&oi->ti.inode)->inodes, 1);
	oi->ti.next_cookie = 2; /* after "." and ".." */
	return oi;
}

struct overlay_inode *overlay_dir_new(struct super_block *sb, struct ctx *c, u32 mode)
{
	struct tmpfs_super *ts = container_of(sb, struct tmpfs_super, sb);
	u64 ino;

	mutex_lock(&ts->tree);
	ino = ++ts->next_ino;
	mutex_unlock(&ts->tree);
	return inode_new(sb, c, ino, S_IFDIR | mode);
}

struct overlay_inode *overlay_inode_from(struct super_block *sb, struct inode *lower)
{
	struct overlay_inode *oi;
	struct inode *i;
	struct kstat st, full;

	inode_fill_stat(lower, &st);
	oi = inode_new(sb, NULL, st.ino, st.mode);
	i = &oi->ti.inode;
	i->uid = st.uid;
	i->gid = st.gid;
	/* Nothing here is gone that is there below. */
	i->nlink = MAX(st.nlink, 1u);
	i->rdev = (u32)st.rdev;
	i->size = MIN(st.size, (u64)INT64_MAX);
	i->atime = st.atime;
	i->mtime = st.mtime;
	i->ctime = st.ctime;
	i->btime = st.btime;
	/* Disk blocks are the file system's to know; it was just asked for the name. */
	oi->lower_blocks = inode_getattr(lower, NULL, &full) == 0 ? full.blocks : st.blocks;
	oi->lower = inode_get(lower);
	oi->shared = !S_ISDIR(st.mode) && st.nlink > 1;
	return oi;
}

/* ---- attributes ---- */

static int overlay_getattr(struct inode *i, struct ctx *c, struct kstat *ret)
{
	const struct overlay_inode *oi = overlay_i(i);
	int r = 0;

	if (!inode_is_dir(i)) {
		r = tmpfs_inode_ops.getattr(i, c, ret);
		if (r == 0 && !tmpfs_data(i))
			ret->blocks = oi->lower_blocks;
		return r;
	}
	inode_fill_stat(i, ret);
	if (!ret->size)
		ret->size = PAGE_SIZE;
	ret->blocks = oi->lower_blocks;
	return 0;
}

static void pin(struct inode *i)
{
	AUTO(overlay_inode) top = NULL;
	GUARD(overlay_names_lock(i));

	top = overlay_pin(i);
}

static int overlay_setattr(struct inode *i, struct ctx *c, const struct iattr *a)
{
	if (a->valid & IATTR_SIZE) {
		int r;

		if (!inode_is_reg(i))
			return -EINVAL;
		r = overlay_copy_up(overlay_i(i), c, a->size);
		if (r < 0)
			return r;
	} else {
		pin(i);
	}
	return tmpfs_inode_ops.setattr(i, c, a);
}

static int overlay_get_link(struct inode *i, struct ctx *c, char **ret_text, struct path *jump)
{
	struct overlay_inode *oi = overlay_i(i);
	AUTO(inode) lower = NULL;
	AUTO_FREE char *text = NULL;
	int r;

	mutex_lock(&i->lock);
	text = oi->ti.target ? strdup(oi->ti.target) : NULL;
	mutex_unlock(&i->lock);
	if (!text) {
		lower = overlay_lower(oi);
		if (!lower || !inode_is_lnk(lower) || !inode_ops_of(lower)->get_link)
			return -EINVAL;
		r = inode_ops_of(lower)->get_link(lower, c, &text, jump);
		if (r != 0)
			return r < 0 ? r : -EINVAL;
		GUARD(&i->lock);
		/* A link's text never changes: the next walk need not ask below. */
		if (!oi->ti.target)
			oi->ti.target = strdup(text);
	}
	*ret_text = TAKE(text);
	return 0;
}

/* ---- extended attributes ---- */

/* What to ask for them: the lower inode (a reference), or NULL for ti's own. */
static struct inode *xattrs_below(struct overlay_inode *oi)
{
	GUARD(&oi->copy);
	return oi->own_xattrs ? NULL : inode_get(oi->lower);
}

static long overlay_getxattr(struct inode *i, struct ctx *c, const char *name, void *buf,
                             size_t size)
{
	AUTO(inode) lower = xattrs_below(overlay_i(i));

	if (!lower)
		return tmpfs_inode_ops.getxattr(i, c, name, buf, size);
	if (!inode_ops_of(lower)->getxattr)
		return -ENODATA;
	return inode_ops_of(lower)->getxattr(lower, c, name, buf, size);
}
static long overlay_listxattr(struct inode *i, struct ctx *c, char *buf, size_t size)
{
	AUTO(inode) lower = xattrs_below(overlay_i(i));

	if (!lower)
		return tmpfs_inode_ops.listxattr(i, c, buf, size);
	if (!inode_ops_of(lower)->listxattr)
		return 0;
	return inode_ops_of(lower)->listxattr(lower, c, buf, size);
}
static int overlay_setxattr(struct inode *i, struct ctx *c, const char *name, const void *buf,
                            size_t size, int flags)
{
	int r = overlay_copy_xattrs(overlay_i(i), c);

	return r < 0 ? r : tmpfs_inode_ops.setxattr(i, c, name, buf, size, flags);
}
static int overlay_removexattr(struct inode *i, struct ctx *c, const char *name)
{
	int r = overlay_copy_xattrs(overlay_i(i), c);

	return r < 0 ? r : tmpfs_inode_ops.removexattr(i, c, name);
}

const struct inode_ops overlay_inode_ops = {
	.lookup = overlay_lookup,
	.create = overlay_create,
	.mkdir = overlay_mkdir,
	.symlink = overlay_symlink,
	.link = overlay_link,
	.unlink = overlay_unlink,
	.rmdir = overlay_rmdir,
	.rename = overlay_rename,
	.tmpfile = overlay_tmpfile,
	.get_link = overlay_get_link,
	.getattr = overlay_getattr,
	.setattr = overlay_setattr,
	.open = overlay_open,
	.getxattr = overlay_getxattr,
	.setxattr = overlay_setxattr,
	.listxattr = overlay_listxattr,
	.removexattr = overlay_removexattr,
};
