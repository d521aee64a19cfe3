/* capget(2), capset(2), and the capability part of prctl(2). */
#include "sentry/syscall/sys_cap.h"
#include "sentry/auth/creds.h"
#include "sentry/syscall/sysarg.h"

#include <linux/capability.h>
#include <linux/prctl.h>
#include <string.h>

/* 32-bit halves that a version of the interface has, or 0. */
static unsigned halves_of(u32 version)
{
	switch (version) {
	case _LINUX_CAPABILITY_VERSION_1:
		return 1;
	case _LINUX_CAPABILITY_VERSION_2:
	case _LINUX_CAPABILITY_VERSION_3:
		return 2;
	default:
		return 0;
	}
}

/* Reads the header. An unknown version is answered with the one to use. */
static int get_header(struct task *t, uaddr_t uhdr, struct __user_cap_header_struct *ret,
                      unsigned *ret_halves)
{
	int r = user_get(&t->ctx, uhdr, ret);

	if (r < 0)
		return r;
	*ret_halves = halves_of(ret->version);
	if (*ret_halves)
		return 0;
	ret->version = _LINUX_CAPABILITY_VERSION_3;
	r = user_put_u32(&t->ctx, uhdr, ret->version);
	return r < 0 ? r : -EINVAL;
}

SYSCALL2(capget, uaddr_t, uhdr, uaddr_t, udata)
{
	struct __user_cap_header_struct h;
	struct __user_cap_data_struct d[2];
	AUTO(creds) c = NULL;
	unsigned halves;
	int r = get_header(t, uhdr, &h, &halves);

	if (uaddr_null(udata) && r == -EINVAL)
		return 0;
	if (r < 0)
		return r;
	if (h.pid < 0)
		return -EINVAL;
	if (h.pid == 0 || (u32)h.pid == t->tid) {
		c = obj_get(t->ctx.creds);
	} else {
		AUTO(task) o = task_find(t->kernel, (u32)h.pid);

		c = o ? task_get_creds(o) : NULL;
	}
	if (!c)
		return -ESRCH;
	if (uaddr_null(udata))
		return 0;
	for (unsigned i = 0; i < 2; i++) {
		d[i].effective = (u32)(c->cap_effective >> 32 * i);
		d[i].permitted = (u32)(c->cap_permitted >> 32 * i);
		d[i].inheritable = (u32)(c->cap_inheritable >> 32 * i);
	}
	return user_copy_out(&t->ctx, udata, d, halves * sizeof(d[0]));
}

SYSCALL2(capset, uaddr_t, uhdr, uaddr_t, udata)
{
	const struct creds *o = t->ctx.creds;
	struct __user_cap_header_struct h;
	struct __user_cap_data_struct d[2];
	u64 eff = 0, perm = 0, inh = 0;
	struct creds *n;
	unsigned halves;
	int r = get_header(t, uhdr, &h, &halves);

	if (r < 0)
		return r;
	if (h.pid != 0 && (u32)h.pid != t->tid)
		return -EPERM;
	memset(d, 0, sizeof(d));
	r = user_copy_in(&t->ctx, d, udata, halves * sizeof(d[0]));
	if (r < 0)
		return r;
	for (unsigned i = 0; i < 2; i++) {
		eff |= (u64)d[i].effective << 32 * i;
		perm |= (u64)d[i].permitted << 32 * i;
		inh |= (u64)d[i].inheritable << 32 * i;
	}
	eff &= CAP_FULL;
	perm &= CAP_FULL;
	inh &= CAP_FULL;
	if (!creds_capable(o, CAP_SETPCAP) && inh & ~(o->cap_inheritable | o->cap_permitted))
		return -EPERM;
	if (inh & ~(o->cap_inheritable | o->cap_bounding))
		return -EPERM;
	if (perm & ~o->cap_permitted || eff & ~perm)
		return -EPERM;
	n = creds_copy(o);
	n->cap_effective = eff;
	n->cap_permitted = perm;
	n->cap_inheritable = inh;
	n->cap_ambient &= perm & inh;
	task_set_creds(t, n);
	return 0;
}

/* ---- prctl ---- */

#define SECUREBITS_ALL   0xffu
#define SECUREBITS_LOCKS 0xaau
#define KEEP_CAPS_BIT    (1u << 4)
#define KEEP_CAPS_LOCKED (1u << 5)
#define NO_CAP_AMBIENT   (1u << 6)

long cap_bounding_drop(struct task *t, u64 cap)
{
	struct creds *n;

	if (!creds_capable(t->ctx.creds, CAP_SETPCAP))
		return -EPERM;
	if (cap > CAP_LAST_CAP)
		return -EINVAL;
	n = creds_copy(t->ctx.creds);
	n->cap_bounding &= ~(1ull << cap);
	task_set_creds(t, n);
	return 0;
}

long cap_ambient(struct task *t, u64 what, u64 cap)
{
	const struct creds *o = t->ctx.creds;
	struct creds *n;
	u64 bit;

	if (what == PR_CAP_AMBIENT_CLEAR_ALL) {
		if (cap != 0)
			return -EINVAL;
		n = creds_copy(o);
		n->cap_ambient = 0;
		task_set_creds(t, n);
		return 0;
	}
	if (cap > CAP_LAST_CAP)
		return -EINVAL;
	bit = 1ull << cap;
	switch (what) {
	case PR_CAP_AMBIENT_IS_SET:
		return (o->cap_ambient & bit) != 0;
	case PR_CAP_AMBIENT_RAISE:
		if (!(o->cap_permitted & bit) || !(o->cap_inheritable & bit) ||
		    o->securebits & NO_CAP_AMBIENT)
			return -EPERM;
		n = creds_copy(o);
		n->cap_ambient |= bit;
		break;
	case PR_CAP_AMBIENT_LOWER:
		n = creds_copy(o);
		n->cap_ambient &= ~bit;
		break;
	default:
		return -EINVAL;
	}
	task_set_creds(t, n);
	return 0;
}

long cap_set_securebits(struct task *t, u64 bits)
{
	const struct creds *o = t->ctx.creds;
	struct creds *n;

	/* Locked bits and their locks stay, and nothing unknown comes. */
	if (((o->securebits & SECUREBITS_LOCKS) >> 1) & (o->securebits ^ bits) ||
	    o->securebits & SECUREBITS_LOCKS & ~bits || bits & ~(u64)SECUREBITS_ALL ||
	    !creds_capable(o, CAP_SETPCAP))
		return -EPERM;
	n = creds_copy(o);
	n->securebits = (u32)bits;
	task_set_creds(t, n);
	return 0;
}

long cap_set_keep(struct task *t, u64 on)
{
	struct creds *n;

	if (on > 1)
		return -EINVAL;
	if (t->ctx.creds->securebits & KEEP_CAPS_LOCKED)
		return -EPERM;
	n = creds_copy(t->ctx.creds);
	n->securebits = on ? n->securebits | KEEP_CAPS_BIT : n->securebits & ~KEEP_CAPS_BIT;
	task_set_creds(t, n);
	return 0;
}

long cap_get_keep(struct task *t)
{
	return (t->ctx.creds->securebits & KEEP_CAPS_BIT) != 0;
}
