/* mount(2), umount2(2), pivot_root(2). */
#include "sentry/auth/creds.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/pidns.h"
#include "sentry/syscall/sysarg.h"
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/namei.h"
#include "state/base/cleanup.h"

#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#define PROPAGATION (MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE)

/* A string argument that may be NULL: a copy, "" for NULL. */
static int get_text(struct ctx *c, uaddr_t src, char **ret)
{
	if (!uaddr_null(src))
		return user_get_path(c, src, ret);
	*ret = strdup("");
	return *ret ? 0 : -ENOMEM;
}

static long bind(struct task *t, const char *source, bool recursive, const struct path *at)
{
	AUTO_PATH from = {0};
	AUTO(mount) m = NULL;
	int r = path_lookup(&t->ctx, AT_FDCWD, source, LOOKUP_FOLLOW, &from);

	if (r == 0)
		r = mount_bind(t->kernel, &from, recursive, &m);
	return r < 0 ? r : mount_attach(m, at);
}

static long move(struct task *t, const char *source, const struct path *at)
{
	AUTO_PATH from = {0};
	int r = path_lookup(&t->ctx, AT_FDCWD, source, LOOKUP_FOLLOW, &from);

	if (r < 0)
		return r;
	return from.dentry == from.mount->root ? mount_move(from.mount, at) : -EINVAL;
}

#define ATIME_FLAGS (MS_NOATIME | MS_NODIRATIME | MS_RELATIME)

/* What a mount has of the call's flags: relatime unless something else is asked for. */
static u32 mount_bits(u32 flags)
{
	u32 bits = flags & MOUNT_FLAGS & ~(u32)MS_RELATIME;

	if (flags & MS_STRICTATIME)
		return bits & ~(u32)MS_NOATIME;
	return flags & MS_NOATIME ? bits : bits | MS_RELATIME;
}

static long remount(const struct path *at, u32 flags)
{
	u32 bits = mount_bits(flags);

	if (at->dentry != at->mount->root)
		return -EINVAL;
	/* Without a word on access times, they stay as they were. */
	if (!(flags & (ATIME_FLAGS | MS_STRICTATIME)))
		bits = (bits & ~(u32)ATIME_FLAGS) | (mount_flags(at->mount) & ATIME_FLAGS);
	atomic_store(&at->mount->flags, bits);
	return 0;
}

static long propagation(u32 flags, const struct path *at)
{
	u32 kind = flags & PROPAGATION;

	if ((kind & (kind - 1)) || (flags & ~(u32)(PROPAGATION | MS_REC | MS_SILENT)))
		return -EINVAL;
	return at->dentry == at->mount->root ? 0 : -EINVAL;
}

static long mount_named(struct task *t, const char *type, const char *source, u32 flags,
                        const char *options, const struct path *at)
{
	const struct fs_type *fs = fs_type_find(type);
	const struct fs_mount_args args = {
		.kernel = t->kernel,
		.c = &t->ctx,
		.source = source[0] ? source : "none",
		.options = options,
	};

	if (!fs || fs->no_user_mount)
		return -ENODEV;
	return mount_new_fs(fs, &args, mount_bits(flags), at);
}

SYSCALL5(mount, uaddr_t, usource, uaddr_t, utarget, uaddr_t, utype, u64, flags, uaddr_t, uoptions)
{
	struct ctx *c = &t->ctx;
	AUTO_FREE char *source = NULL;
	AUTO_FREE char *target = NULL;
	AUTO_FREE char *type = NULL;
	AUTO_FREE char *options = NULL;
	AUTO_PATH at = {0};
	u32 f = (u32)flags;
	int r = get_text(c, usource, &source);

	if (r == 0)
		r = user_get_path(c, utarget, &target);
	if (r == 0)
		r = get_text(c, utype, &type);
	if (r == 0 && !(f & (MS_BIND | MS_MOVE | PROPAGATION)))
		r = get_text(c, uoptions, &options);
	if (r == 0)
		r = path_lookup(c, AT_FDCWD, target, LOOKUP_FOLLOW, &at);
	if (r < 0)
		return r;
	if (!creds_capable(c->creds, CAP_SYS_ADMIN))
		return -EPERM;
	/* The magic that old callers put into the upper half. */
	if ((f & MS_MGC_MSK) == MS_MGC_VAL)
		f &= ~(u32)MS_MGC_MSK;
	if (f & MS_REMOUNT)
		return remount(&at, f);
	if (f & MS_BIND)
		return bind(t, source, f & MS_REC, &at);
	/* Namespaces do not propagate mounts to each other: any kind of propagation is this one. */
	if (f & PROPAGATION)
		return propagation(f, &at);
	if (f & MS_MOVE)
		return move(t, source, &at);
	return mount_named(t, type, source, f, options ? options : "", &at);
}

/* Every task whose root or working directory was at from goes over to to, as Linux has it. */
static void move_tasks(struct kernel *k, const struct path *from, const struct path *to)
{
	struct fs_context **all = NULL;
	size_t n = 0;

	mutex_lock(&k->tasks_lock);
	all = calloc(k->pidns->n_tasks + 1, sizeof(struct fs_context *));
	for (u32 pid = 1; all && pid < PID_MAX; pid++) {
		struct task *t = pid_task_locked(k->pidns, pid);

		if (t && n < k->pidns->n_tasks) {
			GUARD(&t->lock);
			if (t->ctx.fs)
				all[n++] = obj_get(t->ctx.fs);
		}
	}
	mutex_unlock(&k->tasks_lock);
	BUG_ON(!all);
	for (size_t i = 0; i < n; i++) {
		fs_replace(all[i], from, to);
		obj_put(all[i]);
	}
	free(all);
}

SYSCALL2(pivot_root, uaddr_t, unew, uaddr_t, uold)
{
	struct ctx *c = &t->ctx;
	AUTO_FREE char *new_text = NULL;
	AUTO_FREE char *old_text = NULL;
	AUTO_PATH root = {0};
	AUTO_PATH new = {0};
	AUTO_PATH old = {0};
	int r;

	if (!creds_capable(c->creds, CAP_SYS_ADMIN))
		return -EPERM;
	r = user_get_path(c, unew, &new_text);
	if (r == 0)
		r = path_lookup(c, AT_FDCWD, new_text, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &new);
	if (r == 0)
		r = user_get_path(c, uold, &old_text);
	if (r == 0)
		r = path_lookup(c, AT_FDCWD, old_text, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &old);
	if (r < 0)
		return r;
	fs_get_root(c->fs, &root);
	r = mount_pivot(&root, &new, &old);
	if (r == 0)
		move_tasks(t->kernel, &root, &new);
	return r;
}

#ifndef UMOUNT_NOFOLLOW
#define UMOUNT_NOFOLLOW 8
#endif

SYSCALL2(umount2, uaddr_t, utarget, int, flags)
{
	struct ctx *c = &t->ctx;
	AUTO_FREE char *target = NULL;
	AUTO_PATH at = {0};
	int r;

	if (flags & ~(MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW))
		return -EINVAL;
	if (flags & MNT_EXPIRE)
		return -EINVAL;
	r = user_get_path(c, utarget, &target);
	if (r == 0)
		r = path_lookup(c, AT_FDCWD, target, flags & UMOUNT_NOFOLLOW ? 0 : LOOKUP_FOLLOW,
		                &at);
	if (r < 0)
		return r;
	if (!creds_capable(c->creds, CAP_SYS_ADMIN))
		return -EPERM;
	/* Of a stack the topmost, also below where a task already is ("."). */
	mount_cross(&at);
	if (at.dentry != at.mount->root)
		return -EINVAL;
	return mount_detach(at.mount, flags);
}
