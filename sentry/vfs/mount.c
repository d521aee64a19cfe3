/* Mounts one by one: objects, attaching, crossing. Copies of trees are in mount_tree.c. */
#include "sentry/vfs/mount.h"

#include "proto/vfs.pb-c.h"
#include "sentry/kernel/kernel.h"
#include "sentry/vfs/inode.h"
#include "sentry/vfs/namei.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

#include <stdio.h>

#define MOUNT_FIELDS(X)                          \
	X(HDR, obj)                              \
	X(VAL, id)                               \
	X(REF, sb, super_block)                  \
	X(REF, root, dentry)                     \
	X(STR, source)                           \
	X(ATOMIC, flags)                         \
	X(SKIP, lock)                            \
	X(WEAK, parent, mount)                   \
	X(REF, mountpoint, dentry)               \
	X(LIST, children, mount, sibling)        \
	X(SKIP, sibling) /* the parent's list */ \
	X(WEAK, ns, mount_ns)

static void mount_init(void *p)
{
	struct mount *m = p;

	mutex_init(&m->lock, RANK_LEAF);
	TAILQ_INIT(&m->children);
}
/* Takes child out of m: the caller gets the list's reference. */
static void orphan(struct mount *m, struct mount *child)
{
	struct dentry *at;

	mutex_lock(&m->lock);
	TAILQ_REMOVE(&m->children, child, sibling);
	mutex_unlock(&m->lock);
	mutex_lock(&child->lock);
	child->parent = NULL;
	at = TAKE(child->mountpoint);
	mutex_unlock(&child->lock);
	if (at) {
		atomic_fetch_sub(&at->mounted, 1);
		dentry_put(at);
	}
}
static void mount_destroy(void *p)
{
	struct mount *m = p, *child;

	while ((child = TAILQ_FIRST(&m->children))) {
		orphan(m, child);
		child->ns = NULL;
		mount_put(child);
	}
	dentry_put(TAKE(m->mountpoint));
	dentry_put(TAKE(m->root));
	if (m->sb && atomic_load(&m->sb->active))
		super_deactivate(m->sb);
	super_block_put(TAKE(m->sb));
	free(TAKE(m->source));
}
static int mount_after_load(struct loader *l, void *p)
{
	struct mount *m = p, *a;
	u32 depth = 0;

	if (!m->sb || !m->root || m->root->sb != m->sb)
		return loader_error(l, "mount without a root");
	if (!m->parent != !m->mountpoint)
		return loader_error(l, "mount half attached");
	for (a = m->parent; a; a = a->parent) {
		if (a == m || ++depth > 100000)
			return loader_error(l, "mount is its own ancestor");
	}
	if (m->flags & ~(u32)MOUNT_FLAGS)
		return loader_error(l, "unknown mount flags");
	super_activate(m->sb);
	if (m->mountpoint)
		atomic_fetch_add(&m->mountpoint->mounted, 1);
	return 0;
}
static void mount_sample(struct sampler *sp, void *p)
{
	struct mount *m = p;

	m->flags = MS_NODEV | MS_RDONLY;
	/* One that was made for another's sake was given itself. */
	if (m->parent == m) {
		m->parent = NULL;
		dentry_put(TAKE(m->mountpoint));
	}
}
OBJECT_TYPE(mount, Sentry__Mount, sentry__mount__descriptor, MOUNT_FIELDS, .init = mount_init,
            .destroy = mount_destroy, .after_load = mount_after_load, .sample = mount_sample);

#define MOUNT_NS_FIELDS(X)    \
	X(HDR, obj)           \
	X(SKIP, lock)         \
	X(REF, root, mount)   \
	X(ATOMIC, generation) \
	X(SKIP, changed)      \
	X(VAL, ino)

static void mount_ns_init(void *p)
{
	struct mount_ns *ns = p;

	rwlock_init(&ns->lock, RANK_MOUNT);
	waitq_init(&ns->changed);
}
static void forget_ns(struct mount *m)
{
	struct mount *child;

	m->ns = NULL;
	TAILQ_FOREACH (child, &m->children, sibling)
		forget_ns(child);
}
static void mount_ns_destroy(void *p)
{
	struct mount_ns *ns = p;

	if (ns->root && ns->root->ns == ns)
		forget_ns(ns->root);
	mount_put(TAKE(ns->root));
}
static int mount_ns_after_load(struct loader *l, void *p)
{
	struct mount_ns *ns = p;

	if (!ns->root)
		return loader_error(l, "mount namespace without a root");
	return 0;
}
OBJECT_TYPE(mount_ns, Sentry__MountNs, sentry__mount_ns__descriptor, MOUNT_NS_FIELDS,
            .init = mount_ns_init, .destroy = mount_ns_destroy, .after_load = mount_ns_after_load);

struct mount *mount_new(struct kernel *k, struct super_block *sb, struct dentry *root,
                        const char *source, u32 flags)
{
	struct mount *m = obj_new(mount);

	m->id = (u32)kernel_new_id(k);
	m->sb = super_block_get(sb);
	super_activate(sb);
	m->root = dentry_get(root ? root : sb->root);
	m->source = strdup(source);
	BUG_ON(!m->source);
	m->flags = flags & MOUNT_FLAGS;
	return m;
}

struct mount_ns *mount_ns_new(struct mount *m)
{
	struct mount_ns *ns = obj_new(mount_ns);

	ns->root = mount_get(m);
	m->ns = ns;
	return ns;
}

static void ns_changed(struct mount_ns *ns)
{
	atomic_fetch_add(&ns->generation, 1);
	waitq_wake(&ns->changed, ~0u);
}

bool mount_cross(struct path *p)
{
	bool crossed = false;

	while (atomic_load_explicit(&p->dentry->mounted, memory_order_acquire)) {
		struct mount *m = p->mount, *child;

		mutex_lock(&m->lock);
		TAILQ_FOREACH_REVERSE(child, &m->children, mount_list, sibling)
		{
			if (READ_ONCE(child->mountpoint) == p->dentry)
				break;
		}
		mount_get(child);
		mutex_unlock(&m->lock);
		if (!child)
			break;
		dentry_put(p->dentry);
		mount_put(p->mount);
		p->mount = child;
		p->dentry = dentry_get(child->root);
		crossed = true;
	}
	return crossed;
}

bool mount_up(const struct path *p, struct path *ret)
{
	struct mount *m = p->mount;
	GUARD(&m->lock);

	if (!m->parent || !m->mountpoint || !obj_tryget(m->parent))
		return false;
	ret->mount = m->parent;
	ret->dentry = dentry_get(m->mountpoint);
	return true;
}

static struct mount_ns *path_ns(const struct path *p)
{
	return READ_ONCE(p->mount->ns);
}

static void set_ns(struct mount *m, struct mount_ns *ns)
{
	struct mount *child;

	WRITE_ONCE(m->ns, ns);
	TAILQ_FOREACH (child, &m->children, sibling)
		set_ns(child, ns);
}

void mount_ns_adopt(struct mount_ns *ns)
{
	set_ns(ns->root, ns);
}

/* ns->lock held for writing. */
static void attach_locked(struct mount *m, const struct path *at, struct mount_ns *ns)
{
	mutex_lock(&m->lock);
	m->parent = at->mount;
	m->mountpoint = dentry_get(at->dentry);
	mutex_unlock(&m->lock);
	set_ns(m, ns);
	mutex_lock(&at->mount->lock);
	mount_get(m);
	TAILQ_INSERT_TAIL(&at->mount->children, m, sibling);
	mutex_unlock(&at->mount->lock);
	atomic_fetch_add(&at->dentry->mounted, 1);
	ns_changed(ns);
}

int mount_attach(struct mount *m, const struct path *where)
{
	struct path at = *where;
	AUTO_PATH hold = {0};
	struct mount_ns *ns = path_ns(&at);

	path_get(&at);
	/* On top of what is mounted there already. */
	mount_cross(&at);
	hold = at;
	if (!ns)
		return -EINVAL;
	if (!at.dentry->inode || at.dentry->unlinked)
		return -ENOENT;
	if (inode_is_dir(at.dentry->inode) != inode_is_dir(m->root->inode))
		return -ENOTDIR;
	GUARD_WRITE(&ns->lock);
	if (path_ns(&at) != ns)
		return -EINVAL;
	attach_locked(m, &at, ns);
	return 0;
}

/* The references of a whole tree, its own and what each mount's owner holds, without attachments.
 */
static bool tree_busy(struct mount *m)
{
	/* One reference is the parent's list or the caller's; a caller holds one more. */
	return !TAILQ_EMPTY(&m->children) || obj_refs(m) > 2;
}

int mount_detach(struct mount *m, int flags)
{
	struct mount_ns *ns = READ_ONCE(m->ns);
	struct mount *parent;

	if (!ns)
		return -EINVAL;
	rwlock_wrlock(&ns->lock);
	parent = m->parent;
	if (m->ns != ns || !parent) {
		rwlock_unlock(&ns->lock);
		return -EINVAL;
	}
	if (!(flags & MNT_DETACH) && tree_busy(m)) {
		rwlock_unlock(&ns->lock);
		return -EBUSY;
	}
	set_ns(m, NULL);
	orphan(parent, m);
	ns_changed(ns);
	rwlock_unlock(&ns->lock);
	mount_put(m);
	return 0;
}

int mount_move(struct mount *m, const struct path *to)
{
	struct mount_ns *ns = READ_ONCE(m->ns);
	struct path at = *to;
	AUTO_PATH hold = {0};

	path_get(&at);
	mount_cross(&at);
	hold = at;
	if (!ns || path_ns(&at) != ns)
		return -EINVAL;
	if (inode_is_dir(at.dentry->inode) != inode_is_dir(m->root->inode))
		return -ENOTDIR;
	GUARD_WRITE(&ns->lock);
	if (m->ns != ns || !m->parent || path_ns(&at) != ns)
		return -EINVAL;
	for (struct mount *a = at.mount; a; a = a->parent) {
		if (a == m)
			return -ELOOP;
	}
	orphan(m->parent, m);
	attach_locked(m, &at, ns);
	mount_put(m); /* the old list's */
	return 0;
}

/* p lies in or below the mount m. */
static bool reaches(struct mount *m, const struct path *p)
{
	struct mount *a = p->mount;

	while (a && a != m)
		a = a->parent;
	return a == m;
}

static int check_pivot(const struct path *root, const struct path *new, const struct path *old,
                       struct mount_ns *ns)
{
	if (path_ns(root) != ns || path_ns(new) != ns || path_ns(old) != ns)
		return -EINVAL;
	if (new->mount == root->mount || old->mount == root->mount)
		return -EBUSY;
	if (root->dentry != root->mount->root || new->dentry != new->mount->root)
		return -EINVAL;
	if (!new->mount->parent || !reaches(new->mount, old) || !reaches(root->mount, new))
		return -EINVAL;
	return 0;
}

int mount_pivot(const struct path *root, const struct path *new, const struct path *old)
{
	struct mount_ns *ns = path_ns(root);
	AUTO_PATH above = {0};
	int r;

	if (!ns)
		return -EINVAL;
	GUARD_WRITE(&ns->lock);
	r = check_pivot(root, new, old, ns);
	if (r < 0)
		return r;
	orphan(new->mount->parent, new->mount);
	if (mount_up(root, &above)) {
		orphan(above.mount, root->mount);
		attach_locked(new->mount, &above, ns);
		mount_put(new->mount); /* the old list's */
	} else {
		/* The namespace's reference goes over, as does the list's. */
		ns->root = new->mount;
	}
	attach_locked(root->mount, old, ns);
	mount_put(root->mount);
	return 0;
}

int mount_new_fs(const struct fs_type *type, const struct fs_mount_args *args, u32 flags,
                 const struct path *at)
{
	AUTO(super_block) sb = NULL;
	AUTO(mount) m = NULL;
	int r = type->mount(args, &sb);

	if (r < 0)
		return r;
	m = mount_new(args->kernel, sb, NULL, args->source, flags);
	return mount_attach(m, at);
}

int mount_want_write(const struct mount *m)
{
	return (mount_flags(m) & MS_RDONLY) || READ_ONCE(m->sb->rdonly) ? -EROFS : 0;
}

void mount_options_text(struct mount *m, char *buf, size_t size)
{
	static const struct {
		u32 flag;
		const char *text;
	} names[] = {
		{MS_NOSUID, ",nosuid"},           {MS_NODEV, ",nodev"},
		{MS_NOEXEC, ",noexec"},           {MS_NOATIME, ",noatime"},
		{MS_NODIRATIME, ",nodiratime"},   {MS_RELATIME, ",relatime"},
		{MS_NOSYMFOLLOW, ",nosymfollow"},
	};
	const struct super_ops *ops = super_ops_of(m->sb);
	size_t n;

	snprintf(buf, size, "%s", mount_want_write(m) < 0 ? "ro" : "rw");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		n = strlen(buf);
		if (mount_flags(m) & names[i].flag)
			snprintf(buf + n, size - n, "%s", names[i].text);
	}
	n = strlen(buf);
	if (ops->show_options)
		ops->show_options(m->sb, buf + n, size - n);
}
