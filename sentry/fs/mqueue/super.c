/* The file system that queues are in, and queues as files. */
#include "proto/files.pb-c.h"
#include "sentry/auth/creds.h"
#include "sentry/fs/mqueue/mqueue_impl.h"
#include "sentry/kernel/kernel.h"
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/names.h"
#include "sentry/vfs/notify.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>

#define MQUEUE_MAGIC 0x19800202

static int mq_statfs(struct super_block *sb, struct ctx *c, struct statfs *st)
{
	st->f_type = MQUEUE_MAGIC;
	return 0;
}

static const struct super_ops mq_super_ops = {.name = "mqueue", .statfs = mq_statfs};

#define MQ_SUPER_FIELDS(X)       \
	X(BASE, ts, tmpfs_super) \
	X(SKIP, heap)
OBJECT_TYPE(mq_super, Sentry__MqSuper, sentry__mq_super__descriptor, MQ_SUPER_FIELDS,
            .base = &tmpfs_super_type, .ops = &mq_super_ops);

/* Keeps the file system while nobody has it mounted. */
struct mq_part {
	struct kernel_part part;
	struct mount *mount; /* owned */
};
OBJECT_DECL(mq_part);

static void mq_part_destroy(void *p)
{
	obj_put(TAKE(((struct mq_part *)p)->mount));
}

static int mq_part_after_load(struct loader *l, void *p)
{
	struct mq_part *mp = p;

	return mp->mount && mp->mount->sb && obj_is(mp->mount->sb, &mq_super_type)
	               ? 0
	               : loader_error(l, "message queues without their file system");
}

static void mq_part_sample(struct sampler *sp, void *p)
{
	struct mq_part *mp = p;

	if (!obj_is(mp->mount->sb, &mq_super_type)) {
		obj_put(mp->mount->sb);
		mp->mount->sb = sampler_ref(sp, &mq_super_type);
	}
	mp->mount->root->sb = mp->mount->sb;
}

#define MQ_PART_FIELDS(X) X(BASE, part, kernel_part) X(REF, mount, mount)
OBJECT_TYPE(mq_part, Sentry__MqPart, sentry__mq_part__descriptor, MQ_PART_FIELDS,
            .base = &kernel_part_type, .destroy = mq_part_destroy, .after_load = mq_part_after_load,
            .sample = mq_part_sample);

static struct mq_part *find_part_locked(struct kernel *k)
{
	struct kernel_part *part;

	TAILQ_FOREACH (part, &k->parts, link) {
		struct mq_part *mp = obj_cast(mq_part, part);

		if (mp)
			return mp;
	}
	return NULL;
}

static struct mount *make_mount(struct kernel *k)
{
	AUTO(mq_super) ms = obj_new(mq_super);
	AUTO(mq_inode) root = obj_new(mq_inode);

	ms->ts.next_ino = 1;
	inode_setup(&root->ti.inode, &ms->ts.sb, NULL, 1, S_IFDIR | 01777);
	root->ti.next_cookie = 2;
	atomic_fetch_add(&ms->ts.inodes, 1);
	super_setup(&ms->ts.sb, k, &root->ti.inode);
	return mount_new(k, &ms->ts.sb, NULL, "mqueue", 0);
}

/* The kernel's own mount of it: a reference. */
static struct mount *the_mount(struct kernel *k)
{
	AUTO(mq_part) fresh = NULL;
	struct mq_part *mp;
	struct mount *m;

	mutex_lock(&k->tasks_lock);
	mp = find_part_locked(k);
	m = mp ? mount_get(mp->mount) : NULL;
	mutex_unlock(&k->tasks_lock);
	if (m)
		return m;
	fresh = obj_new(mq_part);
	fresh->mount = make_mount(k);
	mutex_lock(&k->tasks_lock);
	mp = find_part_locked(k);
	if (!mp) {
		mp = obj_get(fresh);
		TAILQ_INSERT_TAIL(&k->parts, &mp->part, link);
	}
	m = mount_get(mp->mount);
	mutex_unlock(&k->tasks_lock);
	return m;
}

static int mq_mount(const struct fs_mount_args *a, struct super_block **ret)
{
	AUTO(mount) m = NULL;

	if (a->options[0])
		return -EINVAL;
	m = the_mount(a->kernel);
	*ret = super_block_get(m->sb);
	return 0;
}
FS_TYPE(mqueue_fs, .name = "mqueue", .mount = mq_mount);

/* ---- queues as files ---- */

struct mq_file {
	struct file file;
};
OBJECT_DECL(mq_file);

struct mq_inode *mq_of(struct file *f)
{
	return obj_is(f, &mq_file_type) ? container_of(f->inode, struct mq_inode, ti.inode) : NULL;
}

static int notify_kind(const struct mq_inode *q)
{
	return q->notify_sock ? SIGEV_THREAD : q->notify_signal ? SIGEV_SIGNAL : SIGEV_NONE;
}

static long mq_read(struct file *f, struct ctx *c, struct uiter *dst, s64 *pos)
{
	struct mq_inode *q = mq_of(f);
	char text[96];
	u64 left;
	int n;
	long r;

	mutex_lock(&q->lock);
	n = snprintf(text, sizeof(text), "QSIZE:%-10llu NOTIFY:%-5d SIGNO:%-5u NOTIFY_PID:%-6u\n",
	             (unsigned long long)q->bytes, q->notify_tgid ? notify_kind(q) : 0,
	             q->notify_tgid ? q->notify_signal : 0, q->notify_tgid);
	mutex_unlock(&q->lock);
	if (*pos < 0 || *pos >= n)
		return 0;
	left = MIN((u64)(n - *pos), uiter_count(dst));
	r = uiter_copy_out(dst, text + *pos, left);
	if (r > 0)
		*pos += r;
	return r;
}

static u32 mq_poll(struct file *f, struct poll_table *pt)
{
	struct mq_inode *q = mq_of(f);
	u32 ready = 0;

	poll_add(pt, &q->wait);
	GUARD(&q->lock);
	if (q->count)
		ready |= READY_IN;
	if (q->count < q->max_messages)
		ready |= READY_OUT;
	return ready;
}

static void mq_flush(struct file *f, struct ctx *c)
{
	mq_unregister(mq_of(f), c->tgid);
}

static const struct file_ops mq_file_ops = {
	.id = {.describe = file_describe},
	.read = mq_read,
	.poll = mq_poll,
	.flush = mq_flush,
};

static int mq_file_after_load(struct loader *l, void *p)
{
	struct file *f = p;

	return f->inode && obj_is(f->inode, &mq_inode_type)
	               ? 0
	               : loader_error(l, "an open message queue without its queue");
}

static void mq_file_sample(struct sampler *sp, void *p)
{
	struct file *f = p;

	obj_put(f->inode);
	f->inode = sampler_ref(sp, &mq_inode_type);
}

#define MQ_FILE_FIELDS(X) X(BASE, file, file)
OBJECT_TYPE(mq_file, Sentry__MqFile, sentry__mq_file__descriptor, MQ_FILE_FIELDS,
            .base = &file_type, .ops = &mq_file_ops, .after_load = mq_file_after_load,
            .sample = mq_file_sample);

static int mq_inode_open(struct inode *i, struct ctx *c, const struct path *path, u32 flags,
                         struct file **ret)
{
	struct mq_file *f;

	if (inode_is_dir(i))
		return tmpfs_open(i, c, path, flags, ret);
	f = obj_new(mq_file);
	file_setup(&f->file, flags, path, i);
	f->file.seekable = true;
	*ret = &f->file;
	return 0;
}

static int add_queue(struct inode *dir, struct ctx *c, const char *name, u32 mode,
                     const struct mq_attr *attr, struct inode **ret)
{
	AUTO(inode) i = NULL;
	int r = mq_inode_new(dir->sb, c, mode, attr, &i);

	if (r == 0)
		r = tmpfs_add(dir, c, name, i);
	if (r < 0)
		return r;
	*ret = TAKE(i);
	return 0;
}

static int mq_create(struct inode *dir, struct ctx *c, const char *name, u32 mode, u32 rdev,
                     struct inode **ret)
{
	return S_ISREG(mode) ? add_queue(dir, c, name, mode, NULL, ret) : -EPERM;
}

/* The size says nothing of the messages; truncating leaves them. */
static int mq_inode_setattr(struct inode *i, struct ctx *c, const struct iattr *a)
{
	inode_apply_attr(i, c, a);
	return 0;
}

const struct inode_ops mq_inode_ops = {
	.lookup = tmpfs_lookup,
	.create = mq_create,
	.unlink = tmpfs_unlink,
	.setattr = mq_inode_setattr,
	.open = mq_inode_open,
};

/* ---- by name ---- */

static int check_name(const char *name)
{
	if (!name[0])
		return -ENOENT;
	if (strlen(name) > DENTRY_NAME_MAX)
		return -ENAMETOOLONG;
	return strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, "..") ? -EACCES : 0;
}

/* *ret_made: it is new. dir_lock of the root is held. */
static int find_or_make(struct ctx *c, const struct path *root, const char *name, int flags,
                        u32 mode, const struct mq_attr *attr, struct dentry **ret, bool *ret_made)
{
	struct dentry *dir = root->dentry;
	AUTO(inode) inode = NULL;
	AUTO(dentry) d = NULL;
	int r = dentry_lookup(dir, c, name, strlen(name), &d);

	if (r < 0)
		return r;
	if (d->inode) {
		if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
			return -EEXIST;
		*ret = TAKE(d);
		return 0;
	}
	if (!(flags & O_CREAT))
		return -ENOENT;
	r = names_may_create(c, root);
	if (r == 0)
		r = add_queue(dir->inode, c, name,
		              inode_new_mode(c, dir->inode, S_IFREG | (mode & 07777)), attr,
		              &inode);
	if (r < 0)
		return r;
	*ret = dentry_instantiate(dir, name, inode);
	notify_name(dir->inode, IN_CREATE, name, false, 0);
	*ret_made = true;
	return 0;
}

int mq_open_file(struct ctx *c, const char *name, int flags, u32 mode, const struct mq_attr *attr,
                 struct file **ret)
{
	static const u32 masks[] = {MAY_READ, MAY_WRITE, MAY_READ | MAY_WRITE};
	AUTO(mount) m = the_mount(c->kernel);
	struct path root = {m, m->root}, at = {m, NULL};
	AUTO(dentry) d = NULL;
	bool made = false;
	int r = check_name(name);

	if (r < 0)
		return r;
	if ((flags & O_ACCMODE) == O_ACCMODE)
		return -EINVAL;
	mutex_lock(&root.dentry->dir_lock);
	r = find_or_make(c, &root, name, flags, mode, attr, &d, &made);
	mutex_unlock(&root.dentry->dir_lock);
	if (r == 0 && !made)
		r = inode_permission(d->inode, c, NULL, masks[flags & O_ACCMODE]);
	if (r < 0)
		return r;
	at.dentry = d;
	return inode_open(d->inode, c, &at,
	                  (u32)flags & (O_ACCMODE | O_NONBLOCK | O_LARGEFILE_GUEST), ret);
}

int mq_unlink_name(struct ctx *c, const char *name)
{
	AUTO(mount) m = the_mount(c->kernel);
	struct path root = {m, m->root};
	AUTO(dentry) d = NULL; /* put after the lock is dropped: it may be the last */
	int r = check_name(name);

	if (r < 0)
		return r;
	GUARD(&root.dentry->dir_lock);
	r = dentry_lookup(root.dentry, c, name, strlen(name), &d);
	if (r == 0 && !d->inode)
		r = -ENOENT;
	if (r == 0)
		r = names_may_delete(c, &root, d);
	if (r == 0)
		r = tmpfs_unlink(root.dentry->inode, c, name, d->inode);
	if (r < 0)
		return r;
	notify_inode(d->inode, IN_ATTRIB);
	dentry_drop(d, true);
	notify_unlinked(d);
	notify_name(root.dentry->inode, IN_DELETE, name, false, 0);
	return 0;
}
