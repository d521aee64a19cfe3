/* mount(2), umount2(2). */
#include "sentry/auth/creds.h"
#include "sentry/syscall/sysarg.h"
#include "sentry/vfs/namei.h"
#include "state/base/cleanup.h"

#include <linux/capability.h>
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
		return 0;
	if (f & MS_MOVE)
		return move(t, source, &at);
	return mount_named(t, type, source, f, options ? options : "", &at);
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
	if (at.dentry != at.mount->root)
		return -EINVAL;
	return mount_detach(at.mount, flags);
}
