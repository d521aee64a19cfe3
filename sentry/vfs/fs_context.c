#include "sentry/vfs/fs_context.h"

#include "sentry/vfs/namei.h"
#include "sentry/vfs/path_state.h"

#define FS_CONTEXT_FIELDS(X) \
	X(HDR, obj)          \
	X(REF, ns, mount_ns) \
	X(SKIP, lock)        \
	X(SUB, root, path)   \
	X(SUB, cwd, path)    \
	X(VAL, umask)

static void fs_context_init(void *p)
{
	mutex_init(&((struct fs_context *)p)->lock, RANK_FS_CONTEXT);
}
static void fs_context_destroy(void *p)
{
	struct fs_context *fs = p;

	path_put(&fs->root);
	path_put(&fs->cwd);
	mount_ns_put(fs->ns);
}
static int fs_context_after_load(struct loader *l, void *p)
{
	struct fs_context *fs = p;

	if (!fs->ns || !fs->root.mount || !fs->root.dentry || !fs->cwd.mount || !fs->cwd.dentry)
		return loader_error(l, "no root or working directory");
	if (fs->umask & ~0777u)
		return loader_error(l, "bad umask");
	return 0;
}
static void fs_context_sample(struct sampler *sp, void *p)
{
	struct fs_context *fs = p;

	(void)sp;
	fs->umask = 022;
}
OBJECT_TYPE(fs_context, Sentry__FsContext, sentry__fs_context__descriptor, FS_CONTEXT_FIELDS,
            .init = fs_context_init, .destroy = fs_context_destroy,
            .after_load = fs_context_after_load, .sample = fs_context_sample);

struct fs_context *fs_context_new(struct mount_ns *ns, const struct path *root,
                                  const struct path *cwd, u32 umask)
{
	struct fs_context *fs = obj_new(fs_context);

	path_get(root);
	path_get(cwd);
	fs->ns = mount_ns_get(ns);
	fs->root = *root;
	fs->cwd = *cwd;
	fs->umask = umask & 0777;
	return fs;
}

struct fs_context *fs_context_copy(struct fs_context *fs)
{
	GUARD(&fs->lock);
	return fs_context_new(fs->ns, &fs->root, &fs->cwd, fs->umask);
}

void fs_get_root(struct fs_context *fs, struct path *ret)
{
	GUARD(&fs->lock);
	*ret = fs->root;
	path_get(ret);
}
void fs_get_cwd(struct fs_context *fs, struct path *ret)
{
	GUARD(&fs->lock);
	*ret = fs->cwd;
	path_get(ret);
}

static void set(struct fs_context *fs, struct path *slot, const struct path *p)
{
	struct path old;

	path_get(p);
	mutex_lock(&fs->lock);
	old = *slot;
	*slot = *p;
	mutex_unlock(&fs->lock);
	path_put(&old);
}
void fs_set_ns(struct fs_context *fs, struct mount_ns *ns)
{
	struct mount_ns *old;

	mutex_lock(&fs->lock);
	old = fs->ns;
	fs->ns = mount_ns_get(ns);
	mutex_unlock(&fs->lock);
	mount_ns_put(old);
}
struct mount_ns *fs_mount_ns(struct fs_context *fs)
{
	GUARD(&fs->lock);
	return mount_ns_get(fs->ns);
}
void fs_set_root(struct fs_context *fs, const struct path *p)
{
	set(fs, &fs->root, p);
}
void fs_set_cwd(struct fs_context *fs, const struct path *p)
{
	set(fs, &fs->cwd, p);
}

void fs_replace(struct fs_context *fs, const struct path *from, const struct path *to)
{
	struct path *slots[] = {&fs->root, &fs->cwd};

	for (size_t i = 0; i < ARRAY_SIZE(slots); i++) {
		bool there;

		mutex_lock(&fs->lock);
		there = slots[i]->mount == from->mount && slots[i]->dentry == from->dentry;
		mutex_unlock(&fs->lock);
		if (there)
			set(fs, slots[i], to);
	}
}

u32 fs_umask(struct fs_context *fs)
{
	GUARD(&fs->lock);
	return fs->umask;
}
u32 fs_set_umask(struct fs_context *fs, u32 mask)
{
	GUARD(&fs->lock);
	u32 old = fs->umask;

	fs->umask = mask & 0777;
	return old;
}
