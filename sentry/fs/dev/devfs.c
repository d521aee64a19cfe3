/* File system type "devtmpfs": a fresh tmpfs with the standard nodes. */
#include "sentry/fs/dev/dev.h"
#include "sentry/vfs/inode.h"
#include "sentry/vfs/super.h"
#include "state/base/cleanup.h"

#include <stdio.h>
#include <sys/sysmacros.h>

struct dev_node {
	const char *name;
	u32 mode;
	u32 major, minor;
	const char *target; /* of a symbolic link */
};

static const struct dev_node nodes[] = {
	{"null", S_IFCHR | 0666, DEV_MEM_MAJOR, DEV_NULL_MINOR, NULL},
	{"zero", S_IFCHR | 0666, DEV_MEM_MAJOR, DEV_ZERO_MINOR, NULL},
	{"full", S_IFCHR | 0666, DEV_MEM_MAJOR, DEV_FULL_MINOR, NULL},
	{"random", S_IFCHR | 0666, DEV_MEM_MAJOR, DEV_RANDOM_MINOR, NULL},
	{"urandom", S_IFCHR | 0666, DEV_MEM_MAJOR, DEV_URANDOM_MINOR, NULL},
	{"tty", S_IFCHR | 0666, DEV_TTYAUX_MAJOR, 0, NULL},
	{"ptmx", S_IFCHR | 0666, DEV_TTYAUX_MAJOR, 2, NULL},
	{"shm", S_IFDIR | 01777, 0, 0, NULL},
	{"pts", S_IFDIR | 0755, 0, 0, NULL},
	{"mqueue", S_IFDIR | 01777, 0, 0, NULL},
	{"fd", S_IFLNK, 0, 0, "/proc/self/fd"},
	{"stdin", S_IFLNK, 0, 0, "/proc/self/fd/0"},
	{"stdout", S_IFLNK, 0, 0, "/proc/self/fd/1"},
	{"stderr", S_IFLNK, 0, 0, "/proc/self/fd/2"},
};

static int add_node(struct inode *root, struct ctx *c, const struct dev_node *n)
{
	const struct inode_ops *ops = inode_ops_of(root);
	AUTO(inode) made = NULL;

	switch (n->mode & S_IFMT) {
	case S_IFDIR:
		return ops->mkdir(root, c, n->name, n->mode, &made);
	case S_IFLNK:
		return ops->symlink(root, c, n->name, n->target, &made);
	}
	return ops->create(root, c, n->name, n->mode, (u32)makedev(n->major, n->minor), &made);
}

static int dev_mount(const struct fs_mount_args *a, struct super_block **ret)
{
	const struct fs_type *tmpfs = fs_type_find("tmpfs");
	struct fs_mount_args args = *a;
	AUTO(super_block) sb = NULL;
	int r;

	if (!tmpfs)
		return -ENODEV;
	if (!*args.options)
		args.options = "mode=755";
	r = tmpfs->mount(&args, &sb);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(nodes); i++)
		r = add_node(sb->root->inode, a->c, &nodes[i]);
	if (r == 0)
		*ret = TAKE(sb);
	return r;
}
FS_TYPE(dev_fs, .name = "devtmpfs", .mount = dev_mount);
