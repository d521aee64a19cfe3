/* prctl(2), arch_prctl(2), personality(2). */
#include "sentry/auth/creds.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/mm/mm.h"
#include "sentry/syscall/sys_cap.h"
#include "sentry/syscall/sys_seccomp.h"
#include "sentry/syscall/sysarg.h"

#include <asm/prctl.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <string.h>

static long set_name(struct task *t, uaddr_t from)
{
	char name[TASK_COMM_LEN] = "";
	long r = user_get_str(&t->ctx, from, name, sizeof(name));

	if (r == -ENAMETOOLONG) {
		/* Longer names are cut. */
		r = user_copy_in(&t->ctx, name, from, sizeof(name) - 1);
		name[sizeof(name) - 1] = 0;
	}
	if (r < 0)
		return r;
	task_set_comm(t, name);
	return 0;
}

static long get_name(struct task *t, uaddr_t to)
{
	char name[TASK_COMM_LEN];

	task_get_comm(t, name);
	return user_put(&t->ctx, to, &name);
}

static long set_no_new_privs(struct task *t)
{
	struct creds *n;

	if (t->ctx.creds->no_new_privs)
		return 0;
	n = creds_copy(t->ctx.creds);
	n->no_new_privs = true;
	task_set_creds(t, n);
	return 0;
}

static long set_pdeathsig(struct task *t, u64 signo)
{
	if (signo > SIGNAL_MAX)
		return -EINVAL;
	GUARD(&t->tg->lock);
	t->tg->pdeath_signal = (s32)signo;
	return 0;
}

static long get_pdeathsig(struct task *t, uaddr_t to)
{
	u32 signo;

	mutex_lock(&t->tg->lock);
	signo = (u32)t->tg->pdeath_signal;
	mutex_unlock(&t->tg->lock);
	return user_put_u32(&t->ctx, to, signo);
}

static long set_subreaper(struct task *t, bool on)
{
	GUARD(&t->kernel->tasks_lock);
	t->tg->child_subreaper = on;
	return 0;
}

static long get_subreaper(struct task *t, uaddr_t to)
{
	u32 on;

	mutex_lock(&t->kernel->tasks_lock);
	on = t->tg->child_subreaper;
	mutex_unlock(&t->kernel->tasks_lock);
	return user_put_u32(&t->ctx, to, on);
}

SYSCALL5(prctl, int, option, u64, a2, u64, a3, u64, a4, u64, a5)
{
	const struct creds *c = t->ctx.creds;
	bool rest = a3 || a4 || a5;

	switch (option) {
	case PR_SET_PDEATHSIG:
		return set_pdeathsig(t, a2);
	case PR_GET_PDEATHSIG:
		return get_pdeathsig(t, UADDR(a2));
	case PR_GET_DUMPABLE:
		return mm_dumpable(t->ctx.mm);
	case PR_SET_DUMPABLE:
		if (a2 > 1)
			return -EINVAL;
		mm_set_dumpable(t->ctx.mm, (int)a2);
		return 0;
	case PR_SET_NAME:
		return set_name(t, UADDR(a2));
	case PR_GET_NAME:
		return get_name(t, UADDR(a2));
	case PR_SET_KEEPCAPS:
		return cap_set_keep(t, a2);
	case PR_GET_KEEPCAPS:
		return cap_get_keep(t);
	case PR_SET_SECUREBITS:
		return cap_set_securebits(t, a2);
	case PR_GET_SECUREBITS:
		return c->securebits;
	case PR_CAPBSET_READ:
		return a2 > CAP_LAST_CAP ? -EINVAL : (long)(c->cap_bounding >> a2 & 1);
	case PR_CAPBSET_DROP:
		return cap_bounding_drop(t, a2);
	case PR_CAP_AMBIENT:
		return a4 || a5 ? -EINVAL : cap_ambient(t, a2, a3);
	case PR_SET_NO_NEW_PRIVS:
		return a2 != 1 || rest ? -EINVAL : set_no_new_privs(t);
	case PR_GET_NO_NEW_PRIVS:
		return a2 || rest ? -EINVAL : c->no_new_privs;
	case PR_GET_SECCOMP:
		return t->seccomp_mode;
	case PR_SET_SECCOMP:
		if (a2 == SECCOMP_MODE_STRICT)
			return seccomp_set_strict(t);
		return a2 == SECCOMP_MODE_FILTER ? seccomp_set_filter(t, 0, UADDR(a3)) : -EINVAL;
	case PR_GET_TIMING:
		return PR_TIMING_STATISTICAL;
	case PR_SET_TIMING:
		return a2 == PR_TIMING_STATISTICAL ? 0 : -EINVAL;
	case PR_GET_TSC:
		return user_put_u32(&t->ctx, UADDR(a2), PR_TSC_ENABLE);
	case PR_SET_TSC:
		return a2 == PR_TSC_ENABLE ? 0 : -EINVAL;
	case PR_SET_TIMERSLACK:
		t->timer_slack = (s64)a2 <= 0 ? t->timer_slack_default : a2;
		return 0;
	case PR_GET_TIMERSLACK:
		return (long)t->timer_slack;
	case PR_SET_CHILD_SUBREAPER:
		return set_subreaper(t, a2 != 0);
	case PR_GET_CHILD_SUBREAPER:
		return get_subreaper(t, UADDR(a2));
	case PR_GET_TID_ADDRESS:
		return user_put_u64(&t->ctx, UADDR(a2), t->clear_child_tid);
	case PR_GET_THP_DISABLE:
		return a2 || rest ? -EINVAL : mm_thp_disabled(t->ctx.mm);
	case PR_SET_THP_DISABLE:
		if (rest)
			return -EINVAL;
		mm_set_thp_disabled(t->ctx.mm, a2 != 0);
		return 0;
	case PR_SET_MM:
		return creds_capable(c, CAP_SYS_RESOURCE) ? -EINVAL : -EPERM;
	default:
		return -EINVAL;
	}
}

/* Present since the C library's headers: asm/prctl.h of newer kernels. */
#define XCOMP_GET_SUPP 0x1021
#define XCOMP_GET_PERM 0x1022
#define XCOMP_REQ_PERM 0x1023

SYSCALL2(arch_prctl, int, code, u64, addr)
{
	const struct platform *p = t->kernel->machine->platform;

	switch (code) {
	case ARCH_SET_FS:
	case ARCH_SET_GS:
		if (addr >= p->max_user_addr && addr >= 1ull << 47)
			return -EPERM;
		if (code == ARCH_SET_FS)
			t->regs.fs_base = addr;
		else
			t->regs.gs_base = addr;
		return 0;
	case ARCH_GET_FS:
		return user_put_u64(&t->ctx, UADDR(addr), t->regs.fs_base);
	case ARCH_GET_GS:
		return user_put_u64(&t->ctx, UADDR(addr), t->regs.gs_base);
	case ARCH_GET_CPUID:
		return 1;
	case ARCH_SET_CPUID:
		return -ENODEV;
	/* What the guest may use it may use at once: nothing is there on request. */
	case XCOMP_GET_SUPP:
	case XCOMP_GET_PERM:
		return user_put_u64(&t->ctx, UADDR(addr), p->xfeatures);
	case XCOMP_REQ_PERM:
		if (addr >= 63)
			return -EINVAL;
		return p->xfeatures >> addr & 1 ? 0 : -EOPNOTSUPP;
	default:
		return -EINVAL;
	}
}

SYSCALL1(personality, u32, persona)
{
	u32 old = (u32)t->personality;

	if (persona != 0xffffffff)
		t->personality = persona;
	return old;
}
