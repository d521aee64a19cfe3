/* Walks over and copies of trees of mounts. */
#include "sentry/kernel/kernel.h"
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/inode.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/namei.h"
#include "state/base/cleanup.h"

static int walk(struct mount *m, int (*fn)(struct mount *m, void *arg), void *arg)
{
	struct mount *child;
	int r = fn(m, arg);

	TAILQ_FOREACH (child, &m->children, sibling) {
		if (r != 0)
			break;
		r = walk(child, fn, arg);
	}
	return r;
}

int mount_ns_walk(struct mount_ns *ns, int (*fn)(struct mount *m, void *arg), void *arg)
{
	GUARD_READ(&ns->lock);
	return walk(ns->root, fn, arg);
}

/* Hangs a copy below a parent copy; nothing is in a namespace yet, so no lock is needed. */
static void hang(struct mount *parent, struct mount *m, struct dentry *at)
{
	m->parent = parent;
	m->mountpoint = dentry_get(at);
	atomic_fetch_add(&at->mounted, 1);
	TAILQ_INSERT_TAIL(&parent->children, m, sibling);
}

/* A place of the old tree that is to follow its mount's copy. */
struct moved {
	struct path *places[2];
};

/* Copies m and what is mounted on it (only: below within the same super block). moved: paths that
 * are in m go over to the copy. */
static struct mount *copy_tree(struct kernel *k, struct mount *m, struct dentry *root,
                               struct moved *moved)
{
	struct mount *copy = mount_new(k, m->sb, root, m->source, mount_flags(m)), *child;

	for (unsigned i = 0; moved && i < ARRAY_SIZE(moved->places); i++) {
		if (moved->places[i]->mount == m) {
			moved->places[i]->mount = mount_get(copy);
			mount_put(m);
		}
	}
	TAILQ_FOREACH (child, &m->children, sibling) {
		bool below;

		rwlock_rdlock(&m->sb->rename_lock);
		below = dentry_is_ancestor(root, child->mountpoint);
		rwlock_unlock(&m->sb->rename_lock);
		if (below)
			hang(copy, copy_tree(k, child, child->root, moved), child->mountpoint);
	}
	return copy;
}

int mount_ns_copy(struct mount_ns *ns, struct kernel *k, struct fs_context *fs,
                  struct mount_ns **ret)
{
	AUTO_PATH root = {0};
	AUTO_PATH cwd = {0};
	struct moved moved = {{&root, &cwd}};
	struct mount *top;
	struct mount_ns *copy;

	fs_get_root(fs, &root);
	fs_get_cwd(fs, &cwd);
	rwlock_rdlock(&ns->lock);
	top = copy_tree(k, ns->root, ns->root->root, &moved);
	rwlock_unlock(&ns->lock);
	copy = mount_ns_new(top);
	copy->ino = kernel_new_ns_ino(k);
	mount_ns_adopt(copy);
	mount_put(top);
	fs_set_ns(fs, copy);
	fs_set_root(fs, &root);
	fs_set_cwd(fs, &cwd);
	*ret = copy;
	return 0;
}

int fs_new_mount_ns(struct fs_context *fs, struct kernel *k)
{
	AUTO(mount_ns) old = fs_mount_ns(fs);
	AUTO(mount_ns) new = NULL;

	return mount_ns_copy(old, k, fs, &new);
}

int mount_bind(struct kernel *k, const struct path *from, bool recursive, struct mount **ret)
{
	struct mount_ns *ns = READ_ONCE(from->mount->ns);

	if (!ns)
		return -EINVAL;
	if (!recursive) {
		*ret = mount_new(k, from->mount->sb, from->dentry, from->mount->source,
		                 mount_flags(from->mount));
		return 0;
	}
	GUARD_READ(&ns->lock);
	if (from->mount->ns != ns)
		return -EINVAL;
	*ret = copy_tree(k, from->mount, from->dentry, NULL);
	return 0;
}
