#include "proto/files.pb-c.h"
#include "sentry/fs/overlay/overlay_impl.h"
#include "sentry/kernel/kernel.h"
#include "state/base/bug.h"
#include "state/fields.h"

#include <errno.h>
#include <linux/magic.h>

static int overlay_super_save_shared(struct saver *s, const struct overlay_super *o,
                                     Sentry__OverlaySuper *m)
{
	struct overlay_super *os = (struct overlay_super *)(uintptr_t)o;
	struct overlay_inode *oi;
	size_t n = 0;

	for (oi = overlay_shared_first(os); oi; oi = overlay_shared_next(oi))
		n += oi->kept;
	m->kept = saver_alloc(s, (n + 1) * sizeof(m->kept[0]));
	for (oi = overlay_shared_first(os); oi; oi = overlay_shared_next(oi)) {
		if (oi->kept)
			m->kept[m->n_kept++] = saver_ref(s, oi);
	}
	return 0;
}
static int overlay_super_load_shared(struct loader *l, struct overlay_super *o,
                                     const Sentry__OverlaySuper *m)
{
	(void)o;
	for (size_t i = 0; i < m->n_kept; i++) {
		AUTO(overlay_inode) oi = NULL;
		int r = loader_ref(l, m->kept[i], &overlay_inode_type, &oi);

		if (r < 0)
			return r;
		if (!oi || oi->kept)
			return loader_range(l, "kept");
		/* It finds its way into the table itself. */
		TAKE(oi)->kept = true;
	}
	return 0;
}
static void overlay_super_sample_shared(struct sampler *sp, struct overlay_super *o)
{
	struct overlay_inode *oi = sampler_element(sp, &overlay_inode_type, false);

	if (!oi)
		return;
	overlay_inode_sample_sb(oi, &o->ts.sb);
	oi->kept = oi->in_shared = true;
	RB_INSERT(overlay_shared, &o->shared, oi);
}

#define OVERLAY_SUPER_FIELDS(X)    \
	X(BASE, ts, tmpfs_super)   \
	X(REF, lower, super_block) \
	X(SKIP, names)             \
	X(CUSTOM, shared, overlay_super)

static void overlay_super_init(void *p)
{
	struct overlay_super *os = p;

	mutex_init(&os->names, RANK_OVERLAY_TREE);
	RB_INIT(&os->shared);
}
static void overlay_super_destroy(void *p)
{
	struct overlay_super *os = p;

	overlay_shared_finish(os, false);
	super_block_put(TAKE(os->lower));
}
static int overlay_super_after_load(struct loader *l, void *p)
{
	struct overlay_super *os = p;

	if (!os->lower)
		return loader_error(l, "overlay over nothing");
	/* What overlay_new did, as long as kill has not undone it. */
	if (os->ts.sb.root)
		super_activate(os->lower);
	return 0;
}

static int overlay_statfs(struct super_block *sb, struct ctx *c, struct statfs *st)
{
	int r = ((const struct super_ops *)tmpfs_super_type.ops)->statfs(sb, c, st);

	st->f_type = OVERLAYFS_SUPER_MAGIC;
	return r;
}

static void overlay_kill(struct super_block *sb)
{
	struct overlay_super *os = container_of(sb, struct overlay_super, ts.sb);

	overlay_shared_finish(os, true);
	/* In a graph that is being disposed of, it may have gone first. */
	if (os->lower && atomic_load(&os->lower->active))
		super_deactivate(os->lower);
}

/* The cache is large: a lookup that misses asks the gofer. */
static const struct super_ops overlay_super_ops = {
	.name = "overlay",
	.cache = 16384,
	.statfs = overlay_statfs,
	.kill = overlay_kill,
};
OBJECT_TYPE(overlay_super, Sentry__OverlaySuper, sentry__overlay_super__descriptor,
            OVERLAY_SUPER_FIELDS, .base = &tmpfs_super_type, .ops = &overlay_super_ops,
            .init = overlay_super_init, .destroy = overlay_super_destroy,
            .after_load = overlay_super_after_load);

int overlay_new(struct kernel *k, struct super_block *lower, struct dentry *lower_root,
                struct super_block **ret)
{
	AUTO(overlay_inode) root = NULL;
	struct overlay_super *os;

	if (!lower_root->inode || !inode_is_dir(lower_root->inode))
		return -ENOTDIR;
	os = obj_new(overlay_super);
	os->ts.machine = k->machine;
	os->lower = super_block_get(lower);
	super_activate(lower);
	tmpfs_set_first_ino(&os->ts.sb, OVERLAY_FIRST_INO);
	root = overlay_inode_from(&os->ts.sb, lower_root->inode);
	super_setup(&os->ts.sb, k, &root->ti.inode);
	*ret = &os->ts.sb;
	return 0;
}
