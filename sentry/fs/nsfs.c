#include "sentry/fs/nsfs.h"
#include "proto/files.pb-c.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/utsns.h"
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/mount.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

#include <linux/nsfs.h>
#include <stdio.h>
#include <string.h>

/* Of those that a sandbox has one of, and of the first of the others (include/linux/proc_ns.h). */
static const struct ns_kind {
	const char *name, *type;
	u32 kind;
	u64 ino;
} kinds[] = {
	{"cgroup", "cgroup", CLONE_NEWCGROUP, 0xEFFFFFFBu},
	{"ipc", "ipc", CLONE_NEWIPC, 0xEFFFFFFFu},
	{"mnt", "mnt", CLONE_NEWNS, 0xF0000000u},
	{"net", "net", CLONE_NEWNET, 0xF0000098u},
	{"pid", "pid", CLONE_NEWPID, 0xEFFFFFFCu},
	{"pid_for_children", "pid", CLONE_NEWPID, 0xEFFFFFFCu},
	{"time", "time", 0x80 /* CLONE_NEWTIME */, 0xEFFFFFFAu},
	{"time_for_children", "time", 0x80, 0xEFFFFFFAu},
	{"user", "user", CLONE_NEWUSER, 0xEFFFFFFDu},
	{"uts", "uts", CLONE_NEWUTS, 0xEFFFFFFEu},
};

static const struct ns_kind *kind_of(u32 kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (kinds[i].kind == kind)
			return &kinds[i];
	}
	return NULL;
}

static void ns_inode_destroy(void *p)
{
	struct ns_inode *n = p;

	obj_put(TAKE(n->uts));
	obj_put(TAKE(n->mnt));
}

static int ns_inode_after_load(struct loader *l, void *p)
{
	struct ns_inode *n = p;

	if (!kind_of(n->kind) || (n->kind == CLONE_NEWUTS && !n->uts) ||
	    (n->kind == CLONE_NEWNS && !n->mnt))
		return loader_error(l, "a namespace's file without its namespace");
	return 0;
}

static void ns_inode_sample(struct sampler *sp, void *p)
{
	((struct ns_inode *)p)->kind = CLONE_NEWUTS;
}

struct ns_file {
	struct file file;
};
OBJECT_DECL(ns_file);

static long ns_ioctl(struct file *f, struct ctx *c, u32 cmd, u64 arg)
{
	switch (cmd) {
	case NS_GET_NSTYPE:
		return ns_of(f)->kind;
	/* There is nothing above what the guest sees. */
	case NS_GET_USERNS:
	case NS_GET_PARENT:
		return -EPERM;
	default:
		return -ENOTTY;
	}
}

static void ns_link_name(struct file *f, char *buf, size_t size)
{
	ns_inode_text(ns_of(f), buf, size);
}

static const struct file_ops ns_file_ops = {
	.id = {.describe = file_describe},
	.ioctl = ns_ioctl,
	.link_name = ns_link_name,
};

static int ns_file_after_load(struct loader *l, void *p)
{
	struct file *f = p;

	return f->inode && obj_is(f->inode, &ns_inode_type)
	               ? 0
	               : loader_error(l, "an open namespace without its namespace");
}

static void ns_file_sample(struct sampler *sp, void *p)
{
	struct file *f = p;

	obj_put(f->inode);
	f->inode = sampler_ref(sp, &ns_inode_type);
}

#define NS_FILE_FIELDS(X) X(BASE, file, file)
OBJECT_TYPE(ns_file, Sentry__NsFile, sentry__ns_file__descriptor, NS_FILE_FIELDS,
            .base = &file_type, .ops = &ns_file_ops, .after_load = ns_file_after_load,
            .sample = ns_file_sample);

struct ns_inode *ns_of(struct file *f)
{
	return obj_is(f, &ns_file_type) ? container_of(f->inode, struct ns_inode, inode) : NULL;
}

static int ns_open(struct inode *i, struct ctx *c, const struct path *path, u32 flags,
                   struct file **ret)
{
	struct ns_file *f = obj_new(ns_file);

	file_setup(&f->file, flags, NULL, i);
	*ret = &f->file;
	return 0;
}

static const struct inode_ops ns_inode_ops = {.open = ns_open};

#define NS_INODE_FIELDS(X)    \
	X(BASE, inode, inode) \
	X(REF, uts, utsns)    \
	X(REF, mnt, mount_ns) \
	X(VAL, kind)
OBJECT_TYPE(ns_inode, Sentry__NsInode, sentry__ns_inode__descriptor, NS_INODE_FIELDS,
            .base = &inode_type, .ops = &ns_inode_ops, .destroy = ns_inode_destroy,
            .after_load = ns_inode_after_load, .sample = ns_inode_sample);

int ns_inode_of(struct task *target, const char *name, struct ns_inode **ret)
{
	AUTO(ns_inode) n = NULL;
	const struct ns_kind *k = NULL;
	u64 ino = 0;

	for (size_t i = 0; i < ARRAY_SIZE(kinds) && !k; i++) {
		if (strcmp(kinds[i].name, name) == 0)
			k = &kinds[i];
	}
	if (!k)
		return -ENOENT;
	n = obj_new(ns_inode);
	n->kind = k->kind;
	if (k->kind == CLONE_NEWUTS) {
		n->uts = task_get_utsns(target);
		ino = n->uts->ino;
	} else if (k->kind == CLONE_NEWNS) {
		AUTO(fs_context) fs = task_get_fs(target);

		if (!fs)
			return -ESRCH;
		n->mnt = fs_mount_ns(fs);
		ino = n->mnt->ino;
	}
	inode_setup(&n->inode, NULL, NULL, ino ? ino : k->ino, S_IFREG | 0444);
	*ret = TAKE(n);
	return 0;
}

void ns_inode_text(const struct ns_inode *n, char *buf, size_t size)
{
	snprintf(buf, size, "%s:[%llu]", kind_of(n->kind)->type, (unsigned long long)n->inode.ino);
}
