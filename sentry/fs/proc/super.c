/* The file system type, its root, and the nameless places. */
#include "sentry/fs/proc/proc_super.h"

#include "proto/leaf.pb-c.h"
#include "sentry/fs/proc/proc.h"
#include "sentry/mm/pageload.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/namei.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

#include <linux/magic.h>

/* ---- nameless files ---- */

struct nameless_super {
	struct super_block sb;
};
OBJECT_DECL(nameless_super);

static const struct super_ops nameless_ops = {.name = "anon_inodefs", .nameless = true};
#define NAMELESS_SUPER_FIELDS(F) F(BASE, sb, super_block)
OBJECT_TYPE(nameless_super, Sentry__NamelessSuper, sentry__nameless_super__descriptor,
            NAMELESS_SUPER_FIELDS, .base = &super_block_type, .ops = &nameless_ops);

static struct mount *make_nameless(struct kernel *k)
{
	AUTO(nameless_super) ns = obj_new(nameless_super);
	AUTO(inode) root = anon_inode_new(k, S_IFDIR | 0500);

	super_setup(&ns->sb, k, root);
	return mount_new(k, &ns->sb, NULL, "none", 0);
}

void proc_nameless_path(struct super_block *sb, struct inode *inode, struct path *ret)
{
	struct proc_super *ps = (struct proc_super *)sb;
	AUTO(mount) fresh = NULL;

	mutex_lock(&ps->nameless_lock);
	ret->mount = mount_get(ps->nameless);
	mutex_unlock(&ps->nameless_lock);
	if (!ret->mount) {
		fresh = make_nameless(ps->kernel);
		mutex_lock(&ps->nameless_lock);
		if (!ps->nameless)
			ps->nameless = TAKE(fresh);
		ret->mount = mount_get(ps->nameless);
		mutex_unlock(&ps->nameless_lock);
	}
	ret->dentry = dentry_new_detached(ret->mount->root, "anon", inode);
}

/* ---- proc itself ---- */

static const struct pseudo_entry roots[] = {
	{.name = "root", .mode = S_IFDIR | 0555, .dir = &proc_root_dir},
};
PSEUDO_DIR(proc_roots, .id = "proc", PSEUDO_ENTRIES(roots));

static int proc_mount(const struct fs_mount_args *a, struct super_block **ret)
{
	struct proc_super *ps = obj_new(proc_super);

	/* hidepid, gid and subset are taken and mean nothing: everybody sees everything. */
	ps->kernel = a->kernel;
	pseudo_super_setup(&ps->pseudo, a->kernel, &roots[0]);
	*ret = &ps->pseudo.sb;
	return 0;
}
FS_TYPE(proc_fs, .name = "proc", .mount = proc_mount);

static int proc_statfs(struct super_block *sb, struct ctx *c, struct statfs *ret)
{
	ret->f_type = PROC_SUPER_MAGIC;
	ret->f_bsize = PAGE_SIZE;
	ret->f_frsize = PAGE_SIZE;
	ret->f_namelen = 255;
	return 0;
}

static const struct super_ops proc_super_ops = {
	.name = "proc",
	.statfs = proc_statfs,
	.revalidate = pseudo_revalidate,
};

static void proc_super_init(void *o)
{
	mutex_init(&((struct proc_super *)o)->nameless_lock, RANK_LEAF);
}

static void proc_super_destroy(void *o)
{
	mount_put(((struct proc_super *)o)->nameless);
}

static int proc_super_after_load(struct loader *l, void *o)
{
	const struct kernel_load *kl = loader_user(l);

	((struct proc_super *)o)->kernel = kl->kernel;
	return 0;
}

#define PROC_SUPER_FIELDS(F)             \
	F(BASE, pseudo, pseudo_super)    \
	F(SKIP, kernel) /* the load's */ \
	F(SKIP, nameless_lock) F(REF, nameless, mount)
OBJECT_TYPE(proc_super, Sentry__ProcSuper, sentry__proc_super__descriptor, PROC_SUPER_FIELDS,
            .base = &pseudo_super_type, .ops = &proc_super_ops, .init = proc_super_init,
            .destroy = proc_super_destroy, .after_load = proc_super_after_load);
