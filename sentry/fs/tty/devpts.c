#include "sentry/fs/tty/devpts.h"

#include "proto/tty.pb-c.h"
#include "sentry/kernel/kernel.h"
#include "sentry/mm/pageload.h"
#include "sentry/vfs/dirent.h"
#include "sentry/vfs/namei.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#define PTS_MAJOR    136u
#define TTYAUX_MAJOR 5u
#define PTMX_MINOR   2u
#define ROOT_INO     1u
#define PTMX_INO     2u
#define FIRST_INO    3u

static _Atomic u32 ptys_in_use;

/* ---- the list ---- */

static bool take_one(void)
{
	if (atomic_fetch_add(&ptys_in_use, 1) < PTYS_MAX)
		return true;
	atomic_fetch_sub(&ptys_in_use, 1);
	return false;
}

/* Puts p, whose number is set, where it belongs. lock held. */
static void insert(struct devpts_super *fs, struct pty *p)
{
	struct pty *after;

	TAILQ_FOREACH (after, &fs->ptys, link) {
		if (after->index > p->index)
			break;
	}
	if (after)
		TAILQ_INSERT_BEFORE(after, p, link);
	else
		TAILQ_INSERT_TAIL(&fs->ptys, p, link);
	fs->n_ptys++;
}

static struct devpts_node *node_new(struct devpts_super *fs, struct ctx *c, u64 ino, u32 mode,
                                    u32 rdev)
{
	struct devpts_node *n = obj_new(devpts_node);

	inode_setup(&n->inode, &fs->sb, c, ino, mode);
	n->inode.rdev = rdev;
	return n;
}

u32 devpts_count(void)
{
	return atomic_load(&ptys_in_use);
}

int devpts_add(struct devpts_super *fs, struct ctx *c, struct pty *p)
{
	struct pty *q;
	u32 n = 0;

	if (!take_one())
		return -ENOSPC;
	mutex_lock(&fs->lock);
	TAILQ_FOREACH (q, &fs->ptys, link) {
		if (q->index != n)
			break;
		n++;
	}
	if (n >= fs->max) {
		mutex_unlock(&fs->lock);
		atomic_fetch_sub(&ptys_in_use, 1);
		return -ENOSPC;
	}
	p->index = n;
	p->node = node_new(fs, c, FIRST_INO + n, S_IFCHR | fs->mode, (u32)makedev(PTS_MAJOR, n));
	if (fs->set_uid)
		p->node->inode.uid = fs->uid;
	if (fs->set_gid)
		p->node->inode.gid = fs->gid;
	insert(fs, p);
	p->listed = true;
	mutex_unlock(&fs->lock);
	return 0;
}

int devpts_add_loaded(struct devpts_super *fs, struct pty *p)
{
	struct pty *q;

	GUARD(&fs->lock);
	TAILQ_FOREACH (q, &fs->ptys, link) {
		if (q->index == p->index)
			return -EBADMSG;
	}
	atomic_fetch_add(&ptys_in_use, 1);
	insert(fs, p);
	p->listed = true;
	return 0;
}

void devpts_remove(struct devpts_super *fs, struct pty *p)
{
	GUARD(&fs->lock);
	if (!p->listed)
		return;
	TAILQ_REMOVE(&fs->ptys, p, link);
	p->listed = false;
	fs->n_ptys--;
	atomic_fetch_sub(&ptys_in_use, 1);
}

/* The one with this number, or this node (whichever is given). A reference: whoever is listed is
 * owned by its master. */
static struct pty *find(struct devpts_super *fs, u32 index, const struct inode *node)
{
	struct pty *p;

	GUARD(&fs->lock);
	TAILQ_FOREACH (p, &fs->ptys, link) {
		if (node ? &p->node->inode == node : p->index == index)
			return pty_get(p);
	}
	return NULL;
}

/* ---- names ---- */

static bool parse_name(const char *name, u32 *ret)
{
	char *end, back[16];
	unsigned long n;

	if (*name < '0' || *name > '9')
		return false;
	n = strtoul(name, &end, 10);
	if (*end || n > INT32_MAX)
		return false;
	snprintf(back, sizeof(back), "%lu", n);
	*ret = (u32)n;
	return strcmp(name, back) == 0;
}

static int node_lookup(struct inode *dir, struct ctx *c, const char *name, struct inode **ret)
{
	struct devpts_super *fs = devpts_sb(dir->sb);
	AUTO(pty) p = NULL;
	u32 n;

	if (!S_ISDIR(dir->mode))
		return -ENOTDIR;
	if (strcmp(name, "ptmx") == 0) {
		*ret = &node_new(fs, NULL, PTMX_INO, S_IFCHR | fs->ptmxmode,
		                 (u32)makedev(TTYAUX_MAJOR, PTMX_MINOR))
		                ->inode;
		return 0;
	}
	if (!parse_name(name, &n))
		return -ENOENT;
	p = find(fs, n, NULL);
	if (!p)
		return -ENOENT;
	*ret = inode_get(&p->node->inode);
	return 0;
}

static bool devpts_revalidate(struct dentry *dir, const char *name, struct dentry *d, struct ctx *c)
{
	AUTO(pty) p = NULL;
	u32 n;

	if (!parse_name(name, &n))
		return true;
	p = find(devpts_sb(dir->sb), n, NULL);
	return p ? d->inode == &p->node->inode : d->inode == NULL;
}

int devpts_of(struct ctx *c, const struct path *path, struct path *ret)
{
	struct devpts_super *own = path->dentry ? devpts_sb(path->dentry->sb) : NULL;
	AUTO_PATH at = {0}, found = {0};
	struct path up;
	struct dentry *parent;
	int r;

	if (!path->dentry)
		return -ENODEV;
	if (own && own->sb.root && path->mount->root == own->sb.root) {
		*ret = (struct path){path->mount, own->sb.root};
		path_get(ret);
		return 0;
	}
	/* /dev/ptmx means the instance on /dev/pts; also when it is a bind mount of one's ptmx. */
	at = *path;
	path_get(&at);
	while (at.dentry == at.mount->root && mount_up(&at, &up)) {
		path_put(&at);
		at = up;
	}
	parent = dentry_get_parent(at.dentry);
	dentry_put(at.dentry);
	at.dentry = parent;
	r = path_lookup_from(c, &at, &at, "pts", LOOKUP_FOLLOW, &found);
	if (r < 0 || !devpts_sb(found.dentry->sb) || found.dentry != found.mount->sb->root)
		return -ENODEV;
	*ret = found;
	found = (struct path){0};
	return 0;
}

int devpts_slave_path(struct ctx *c, const struct path *root, struct pty *p, struct path *ret)
{
	AUTO(dentry) d = NULL;
	char name[16];
	int len = snprintf(name, sizeof(name), "%u", p->index);
	int r;

	if (root->dentry->sb != &p->fs->sb)
		return -ENODEV;
	r = dentry_lookup(root->dentry, c, name, (size_t)len, &d);
	if (r < 0)
		return r;
	if (d->inode != &p->node->inode)
		return -EIO;
	*ret = (struct path){mount_get(root->mount), TAKE(d)};
	return 0;
}

/* ---- open ---- */

struct devpts_dir {
	struct file file;
};
OBJECT_DECL(devpts_dir);

static int dir_iterate(struct file *f, struct ctx *c, struct dir_sink *sink, s64 *pos)
{
	struct devpts_super *fs = devpts_sb(f->inode->sb);
	struct pty *p;
	char name[16];

	if (!dirent_dots(f, sink, pos))
		return 0;
	if (*pos == 2) {
		if (!sink->entry(sink, "ptmx", 4, PTMX_INO, dirent_type(S_IFCHR), 3))
			return 0;
		*pos = 3;
	}
	GUARD(&fs->lock);
	/* Position 3 + n is the place of number n. */
	TAILQ_FOREACH (p, &fs->ptys, link) {
		int len = snprintf(name, sizeof(name), "%u", p->index);

		if ((s64)p->index + 3 < *pos)
			continue;
		if (!sink->entry(sink, name, (size_t)len, FIRST_INO + p->index,
		                 dirent_type(S_IFCHR), (s64)p->index + 4))
			return 0;
		*pos = (s64)p->index + 4;
	}
	return 0;
}

static int node_open(struct inode *i, struct ctx *c, const struct path *path, u32 flags,
                     struct file **ret)
{
	AUTO(pty) p = NULL;

	if (S_ISDIR(i->mode)) {
		struct devpts_dir *d = obj_new(devpts_dir);

		file_setup(&d->file, flags, path, i);
		d->file.seekable = true;
		*ret = &d->file;
		return 0;
	}
	if (i->ino == PTMX_INO)
		return pty_open_master(devpts_sb(i->sb), c, flags, path, i, ret);
	p = find(devpts_sb(i->sb), 0, i);
	if (!p)
		return -EIO;
	return pty_open_slave(p, c, flags, path, i, (flags & O_NOCTTY) != 0, ret);
}

static const struct inode_ops node_ops = {
	.lookup = node_lookup,
	.open = node_open,
};

static const struct file_ops dir_ops = {
	.id = {.describe = file_describe},
	.iterate = dir_iterate,
};

/* ---- mounting ---- */

static int parse_number(const char *text, int base, u32 max, u32 *ret)
{
	char *end;
	unsigned long v;

	if (!text || *text < '0' || *text > '9')
		return -EINVAL;
	v = strtoul(text, &end, base);
	if (*end || v > max)
		return -EINVAL;
	*ret = (u32)v;
	return 0;
}

static int parse_option(struct devpts_super *fs, const char *key, const char *value)
{
	if (strcmp(key, "newinstance") == 0)
		return value ? -EINVAL : 0;
	if (strcmp(key, "ptmxmode") == 0)
		return parse_number(value, 8, 0777, &fs->ptmxmode);
	if (strcmp(key, "mode") == 0)
		return parse_number(value, 8, 0777, &fs->mode);
	if (strcmp(key, "max") == 0)
		return parse_number(value, 10, 1u << 20, &fs->max);
	if (strcmp(key, "uid") == 0) {
		fs->set_uid = true;
		return parse_number(value, 10, UINT32_MAX - 1, &fs->uid);
	}
	if (strcmp(key, "gid") == 0) {
		fs->set_gid = true;
		return parse_number(value, 10, UINT32_MAX - 1, &fs->gid);
	}
	return -EINVAL;
}

static int devpts_mount(const struct fs_mount_args *a, struct super_block **ret)
{
	AUTO(devpts_super) fs = obj_new(devpts_super);
	AUTO_FREE char *options = strdup(a->options);
	AUTO(devpts_node) root = NULL;
	char *rest = options, *key, *value;
	int r = 0;

	fs->kernel = a->kernel;
	fs->mode = 0600;
	fs->max = PTYS_MAX;
	while (r == 0 && mount_option_next(&rest, &key, &value))
		r = parse_option(fs, key, value);
	if (r < 0)
		return r;
	root = node_new(fs, NULL, ROOT_INO, S_IFDIR | 0755, 0);
	fs->sb.rdonly = a->rdonly;
	super_setup(&fs->sb, a->kernel, &root->inode);
	*ret = &TAKE(fs)->sb;
	return 0;
}
FS_TYPE(devpts_fs, .name = "devpts", .mount = devpts_mount);

static int devpts_statfs(struct super_block *sb, struct ctx *c, struct statfs *st)
{
	st->f_type = DEVPTS_SUPER_MAGIC;
	st->f_bsize = PAGE_SIZE;
	st->f_frsize = PAGE_SIZE;
	st->f_namelen = 255;
	return 0;
}

static void devpts_show_options(struct super_block *sb, char *buf, size_t size)
{
	const struct devpts_super *fs = devpts_sb(sb);
	size_t n = 0;

	if (fs->set_uid)
		n += (size_t)snprintf(buf, size, ",uid=%u", fs->uid);
	if (fs->set_gid && n < size)
		n += (size_t)snprintf(buf + n, size - n, ",gid=%u", fs->gid);
	if (n < size)
		n += (size_t)snprintf(buf + n, size - n, ",mode=%03o,ptmxmode=%03o", fs->mode,
		                      fs->ptmxmode);
	if (fs->max < PTYS_MAX && n < size)
		snprintf(buf + n, size - n, ",max=%u", fs->max);
}

static const struct super_ops devpts_ops = {
	.name = "devpts",
	.statfs = devpts_statfs,
	.show_options = devpts_show_options,
	.revalidate = devpts_revalidate,
};

/* ---- objects ---- */

static void devpts_super_init(void *o)
{
	struct devpts_super *fs = o;

	mutex_init(&fs->lock, RANK_LEAF);
	TAILQ_INIT(&fs->ptys);
}

static int devpts_super_after_load(struct loader *l, void *o)
{
	struct devpts_super *fs = o;
	const struct kernel_load *kl = loader_user(l);

	fs->kernel = kl ? kl->kernel : NULL;
	if ((fs->mode | fs->ptmxmode) & ~0777u)
		return loader_range(l, "mode");
	return 0;
}

static void devpts_super_sample(struct sampler *sp, void *o)
{
	struct devpts_super *fs = o;

	fs->mode = 0620;
	fs->ptmxmode = 0666;
}

#define DEVPTS_SUPER_FIELDS(F)                          \
	F(BASE, sb, super_block)                        \
	F(VAL, uid)                                     \
	F(VAL, gid)                                     \
	F(VAL, mode)                                    \
	F(VAL, ptmxmode)                                \
	F(VAL, max)                                     \
	F(VAL, set_uid)                                 \
	F(VAL, set_gid)                                 \
	F(SKIP, kernel) /* the load's */                \
	F(SKIP, lock)                                   \
	F(SKIP, ptys) /* the masters list them again */ \
	F(SKIP, n_ptys)
OBJECT_TYPE(devpts_super, Sentry__DevptsSuper, sentry__devpts_super__descriptor,
            DEVPTS_SUPER_FIELDS, .base = &super_block_type, .ops = &devpts_ops,
            .init = devpts_super_init, .after_load = devpts_super_after_load,
            .sample = devpts_super_sample);

static int devpts_node_after_load(struct loader *l, void *o)
{
	struct devpts_node *n = o;

	if (!obj_is(n->inode.sb, &devpts_super_type))
		return loader_error(l, "a devpts inode of another file system");
	return 0;
}

static void devpts_node_sample(struct sampler *sp, void *o)
{
	struct devpts_node *n = o;

	obj_put(n->inode.sb);
	n->inode.sb = sampler_ref(sp, &devpts_super_type);
}

#define DEVPTS_NODE_FIELDS(F) F(BASE, inode, inode)
OBJECT_TYPE(devpts_node, Sentry__DevptsNode, sentry__devpts_node__descriptor, DEVPTS_NODE_FIELDS,
            .base = &inode_type, .ops = &node_ops, .after_load = devpts_node_after_load,
            .sample = devpts_node_sample);

static int devpts_dir_after_load(struct loader *l, void *o)
{
	return obj_is(((struct devpts_dir *)o)->file.inode, &devpts_node_type)
	               ? 0
	               : loader_error(l, "a devpts directory of another file system's inode");
}

static void devpts_dir_sample(struct sampler *sp, void *o)
{
	struct devpts_dir *d = o;

	inode_put(d->file.inode);
	d->file.inode = sampler_ref(sp, &devpts_node_type);
}

#define DEVPTS_DIR_FIELDS(F) F(BASE, file, file)
OBJECT_TYPE(devpts_dir, Sentry__DevptsDir, sentry__devpts_dir__descriptor, DEVPTS_DIR_FIELDS,
            .base = &file_type, .ops = &dir_ops, .after_load = devpts_dir_after_load,
            .sample = devpts_dir_sample);
