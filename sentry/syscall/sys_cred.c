/* User and group ids: getuid(2), setresuid(2), setfsuid(2), getgroups(2)... Capabilities are in
 * sys_cap.c. */
#include "sentry/auth/creds.h"
#include "sentry/syscall/sysarg.h"

#include "sentry/mm/mm.h"

#include <linux/capability.h>
#include <stdlib.h>

#define KEEP ((u32)-1)

SYSCALL0(getuid)
{
	return t->ctx.creds->uid;
}

SYSCALL0(geteuid)
{
	return t->ctx.creds->euid;
}

SYSCALL0(getgid)
{
	return t->ctx.creds->gid;
}

SYSCALL0(getegid)
{
	return t->ctx.creds->egid;
}

static long put3(struct task *t, uaddr_t a, u32 va, uaddr_t b, u32 vb, uaddr_t c, u32 vc)
{
	int r = user_put_u32(&t->ctx, a, va);

	if (r == 0)
		r = user_put_u32(&t->ctx, b, vb);
	if (r == 0)
		r = user_put_u32(&t->ctx, c, vc);
	return r;
}

SYSCALL3(getresuid, uaddr_t, ruid, uaddr_t, euid, uaddr_t, suid)
{
	const struct creds *c = t->ctx.creds;

	return put3(t, ruid, c->uid, euid, c->euid, suid, c->suid);
}

SYSCALL3(getresgid, uaddr_t, rgid, uaddr_t, egid, uaddr_t, sgid)
{
	const struct creds *c = t->ctx.creds;

	return put3(t, rgid, c->gid, egid, c->egid, sgid, c->sgid);
}

/* ---- uids ---- */

/* The ids of n are new; what follows from them for the rest, and out with it. */
static long finish_uids(struct task *t, struct creds *n)
{
	const struct creds *old = t->ctx.creds;

	n->fsuid = n->euid;
	creds_fix_caps(n, old->uid, old->euid, old->suid);
	task_set_creds(t, n);
	return 0;
}

SYSCALL1(setuid, u32, uid)
{
	const struct creds *o = t->ctx.creds;
	struct creds *n;

	if (uid == KEEP)
		return -EINVAL;
	if (!creds_capable(o, CAP_SETUID) && uid != o->uid && uid != o->suid)
		return -EPERM;
	n = creds_copy(o);
	if (creds_capable(o, CAP_SETUID))
		n->uid = n->suid = uid;
	n->euid = uid;
	return finish_uids(t, n);
}

SYSCALL2(setreuid, u32, ruid, u32, euid)
{
	const struct creds *o = t->ctx.creds;
	struct creds *n;

	if (!creds_capable(o, CAP_SETUID)) {
		if (ruid != KEEP && ruid != o->uid && ruid != o->euid)
			return -EPERM;
		if (euid != KEEP && euid != o->uid && euid != o->euid && euid != o->suid)
			return -EPERM;
	}
	n = creds_copy(o);
	if (ruid != KEEP)
		n->uid = ruid;
	if (euid != KEEP)
		n->euid = euid;
	if (ruid != KEEP || (euid != KEEP && euid != o->uid))
		n->suid = n->euid;
	return finish_uids(t, n);
}

static bool one_of(u32 id, u32 a, u32 b, u32 c)
{
	return id == KEEP || id == a || id == b || id == c;
}

SYSCALL3(setresuid, u32, ruid, u32, euid, u32, suid)
{
	const struct creds *o = t->ctx.creds;
	struct creds *n;

	if (!creds_capable(o, CAP_SETUID) &&
	    (!one_of(ruid, o->uid, o->euid, o->suid) || !one_of(euid, o->uid, o->euid, o->suid) ||
	     !one_of(suid, o->uid, o->euid, o->suid)))
		return -EPERM;
	n = creds_copy(o);
	if (ruid != KEEP)
		n->uid = ruid;
	if (euid != KEEP)
		n->euid = euid;
	if (suid != KEEP)
		n->suid = suid;
	return finish_uids(t, n);
}

/* What a change of the fsuid alone does to the capabilities over files (capabilities(7)). */
#define CAP_BIT(c) (1ull << (c))
#define FS_CAPS                                                                     \
	(CAP_BIT(CAP_CHOWN) | CAP_BIT(CAP_MKNOD) | CAP_BIT(CAP_DAC_OVERRIDE) |      \
	 CAP_BIT(CAP_DAC_READ_SEARCH) | CAP_BIT(CAP_FOWNER) | CAP_BIT(CAP_FSETID) | \
	 CAP_BIT(CAP_LINUX_IMMUTABLE) | CAP_BIT(CAP_MAC_OVERRIDE))
#define SECUREBIT_NO_SETUID_FIXUP 4u

/* The old one, whether or not it worked: there is no error to return. */
SYSCALL1(setfsuid, u32, uid)
{
	const struct creds *o = t->ctx.creds;
	u32 old = o->fsuid;
	struct creds *n;

	if (uid == KEEP || uid == old)
		return old;
	if (!one_of(uid, o->uid, o->euid, o->suid) && !creds_capable(o, CAP_SETUID))
		return old;
	n = creds_copy(o);
	n->fsuid = uid;
	if (!(o->securebits & SECUREBIT_NO_SETUID_FIXUP)) {
		if (old == 0)
			n->cap_effective &= ~FS_CAPS;
		else if (uid == 0)
			n->cap_effective |= n->cap_permitted & FS_CAPS;
	}
	task_set_creds(t, n);
	return old;
}

/* ---- gids ---- */

SYSCALL1(setgid, u32, gid)
{
	const struct creds *o = t->ctx.creds;
	struct creds *n;

	if (gid == KEEP)
		return -EINVAL;
	if (!creds_capable(o, CAP_SETGID) && gid != o->gid && gid != o->sgid)
		return -EPERM;
	n = creds_copy(o);
	if (creds_capable(o, CAP_SETGID))
		n->gid = n->sgid = gid;
	n->egid = n->fsgid = gid;
	task_set_creds(t, n);
	return 0;
}

SYSCALL2(setregid, u32, rgid, u32, egid)
{
	const struct creds *o = t->ctx.creds;
	struct creds *n;

	if (!creds_capable(o, CAP_SETGID)) {
		if (rgid != KEEP && rgid != o->gid && rgid != o->egid)
			return -EPERM;
		if (egid != KEEP && egid != o->gid && egid != o->egid && egid != o->sgid)
			return -EPERM;
	}
	n = creds_copy(o);
	if (rgid != KEEP)
		n->gid = rgid;
	if (egid != KEEP)
		n->egid = egid;
	if (rgid != KEEP || (egid != KEEP && egid != o->gid))
		n->sgid = n->egid;
	n->fsgid = n->egid;
	task_set_creds(t, n);
	return 0;
}

SYSCALL3(setresgid, u32, rgid, u32, egid, u32, sgid)
{
	const struct creds *o = t->ctx.creds;
	struct creds *n;

	if (!creds_capable(o, CAP_SETGID) &&
	    (!one_of(rgid, o->gid, o->egid, o->sgid) || !one_of(egid, o->gid, o->egid, o->sgid) ||
	     !one_of(sgid, o->gid, o->egid, o->sgid)))
		return -EPERM;
	n = creds_copy(o);
	if (rgid != KEEP)
		n->gid = rgid;
	if (egid != KEEP)
		n->egid = egid;
	if (sgid != KEEP)
		n->sgid = sgid;
	n->fsgid = n->egid;
	task_set_creds(t, n);
	return 0;
}

SYSCALL1(setfsgid, u32, gid)
{
	const struct creds *o = t->ctx.creds;
	u32 old = o->fsgid;
	struct creds *n;

	if (gid == KEEP || gid == old)
		return old;
	if (!one_of(gid, o->gid, o->egid, o->sgid) && !creds_capable(o, CAP_SETGID))
		return old;
	n = creds_copy(o);
	n->fsgid = gid;
	task_set_creds(t, n);
	return old;
}

/* ---- groups ---- */

SYSCALL2(getgroups, int, size, uaddr_t, out)
{
	const struct creds *c = t->ctx.creds;
	int r;

	if (size < 0)
		return -EINVAL;
	if (size == 0)
		return c->n_groups;
	if ((u32)size < c->n_groups)
		return -EINVAL;
	r = user_copy_out(&t->ctx, out, c->groups, c->n_groups * sizeof(u32));
	return r < 0 ? r : (long)c->n_groups;
}

SYSCALL2(setgroups, int, size, uaddr_t, in)
{
	AUTO_FREE u32 *groups = NULL;
	struct creds *n;
	int r;

	if (!creds_capable(t->ctx.creds, CAP_SETGID))
		return -EPERM;
	if (size < 0 || (u32)size > NGROUPS_MAX_SANDBOX)
		return -EINVAL;
	if (size > 0) {
		groups = malloc((size_t)size * sizeof(u32));
		if (!groups)
			return -ENOMEM;
		r = user_copy_in(&t->ctx, groups, in, (size_t)size * sizeof(u32));
		if (r < 0)
			return r;
		for (int i = 0; i < size; i++) {
			if (groups[i] == KEEP)
				return -EINVAL;
		}
	}
	n = creds_copy(t->ctx.creds);
	r = creds_set_groups(n, groups, (u32)size);
	if (r < 0) {
		obj_put(n);
		return r;
	}
	task_set_creds(t, n);
	return 0;
}
