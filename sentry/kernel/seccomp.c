/* Filters of system calls: on whom they are and what they decide. */
#include "sentry/kernel/seccomp.h"
#include "proto/task.pb-c.h"
#include "sentry/auth/creds.h"
#include "sentry/kernel/seccomp_bpf.h"
#include "sentry/kernel/task_run.h"
#include "state/base/cleanup.h"
#include "state/base/log.h"
#include "state/fields.h"

#include <linux/audit.h>
#include <linux/capability.h>
#include <sys/syscall.h>

/* Bounds what one call costs: instructions of a chain, and some more for each filter. */
#define CHAIN_MAX   32768
#define FILTER_COST 4

static u32 chain_cost(const struct seccomp_filter *f)
{
	u32 cost = 0;

	for (; f && cost <= CHAIN_MAX; f = f->prev)
		cost += f->n_insns + FILTER_COST;
	return cost;
}

static int seccomp_filter_save_insns(struct saver *s, const struct seccomp_filter *f,
                                     Sentry__SeccompFilter *m)
{
	m->n_insns = f->n_insns;
	m->insns = saver_alloc(s, f->n_insns * sizeof(*m->insns));
	for (u32 i = 0; i < f->n_insns; i++) {
		const struct sock_filter *in = &f->insns[i];

		m->insns[i] = (u64)in->code << 48 | (u64)in->jt << 40 | (u64)in->jf << 32 | in->k;
	}
	return 0;
}

static int seccomp_filter_load_insns(struct loader *l, struct seccomp_filter *f,
                                     const Sentry__SeccompFilter *m)
{
	if (m->n_insns == 0 || m->n_insns > BPF_MAXINSNS)
		return loader_range(l, "insns");
	f->insns = calloc(m->n_insns, sizeof(*f->insns));
	BUG_ON(!f->insns);
	f->n_insns = (u32)m->n_insns;
	for (u32 i = 0; i < f->n_insns; i++) {
		u64 w = m->insns[i];

		f->insns[i] =
			(struct sock_filter){(u16)(w >> 48), (u8)(w >> 40), (u8)(w >> 32), (u32)w};
	}
	return seccomp_bpf_check(f->insns, f->n_insns) < 0 ? loader_error(l, "bad seccomp filter")
	                                                   : 0;
}

static void seccomp_filter_sample_insns(struct sampler *sp, struct seccomp_filter *f)
{
	f->insns = calloc(1, sizeof(*f->insns));
	BUG_ON(!f->insns);
	f->insns[0] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	f->n_insns = 1;
}

static void seccomp_filter_destroy(void *p)
{
	struct seccomp_filter *f = p, *next = TAKE(f->prev);

	free(TAKE(f->insns));
	/* Chains are long: whatever only this one kept goes here, not one inside the other. */
	while (next) {
		struct seccomp_filter *last = next;

		next = obj_refs(last) == 1 ? TAKE(last->prev) : NULL;
		obj_put(last);
	}
}

static int seccomp_filter_after_load(struct loader *l, void *p)
{
	struct seccomp_filter *f = p;

	if (chain_cost(f) > CHAIN_MAX)
		return loader_error(l, "seccomp filters without an end");
	f->n_chain = 0;
	for (struct seccomp_filter *a = f; a; a = a->prev)
		f->n_chain++;
	return 0;
}

static void seccomp_filter_sample(struct sampler *sp, void *p)
{
	struct seccomp_filter *f = p;

	/* One that was made for another's sake was given itself. */
	if (f->prev == f)
		obj_put(TAKE(f->prev));
}

#define SECCOMP_FILTER_FIELDS(F)          \
	F(HDR, obj)                       \
	F(REF, prev, seccomp_filter)      \
	F(CUSTOM, insns, seccomp_filter)  \
	F(SKIP, n_insns) /* with insns */ \
	F(SKIP, n_chain) /* counted */    \
	F(VAL, no_new_privs)
OBJECT_TYPE(seccomp_filter, Sentry__SeccompFilter, sentry__seccomp_filter__descriptor,
            SECCOMP_FILTER_FIELDS, .destroy = seccomp_filter_destroy,
            .sample = seccomp_filter_sample, .after_load = seccomp_filter_after_load);

static struct seccomp_filter *filter_of(const struct task *t)
{
	return __atomic_load_n(&t->seccomp, __ATOMIC_ACQUIRE);
}

static void set_filter_locked(struct task *t, struct seccomp_filter *f)
{
	struct seccomp_filter *old = t->seccomp;

	obj_get(f);
	__atomic_store_n(&t->seccomp, f, __ATOMIC_RELEASE);
	__atomic_store_n(&t->seccomp_mode, SECCOMP_MODE_FILTER, __ATOMIC_RELEASE);
	/* Lives on in f's chain. */
	if (old)
		obj_put(old);
}

static bool in_chain(const struct seccomp_filter *f, const struct seccomp_filter *chain)
{
	while (chain && chain != f)
		chain = chain->prev;
	return chain == f;
}

/* The first thread beside t that has what t has not, or 0. */
static u32 astray_locked(struct task *t)
{
	struct task *s;

	TAILQ_FOREACH (s, &t->tg->tasks, tg_link) {
		if (s == t || s->exit_state != TASK_ALIVE || s->seccomp_mode == 0)
			continue;
		if (s->seccomp_mode != SECCOMP_MODE_FILTER || !in_chain(s->seccomp, t->seccomp))
			return s->tid;
	}
	return 0;
}

long seccomp_attach(struct task *t, struct sock_filter *insns, u32 n, u64 flags)
{
	AUTO(seccomp_filter) f = obj_new(seccomp_filter);
	bool may = t->ctx.creds->no_new_privs;
	struct task *s;
	u32 astray;
	int r;

	f->insns = insns;
	f->n_insns = n;
	f->no_new_privs = may;
	if (!may && !creds_capable(t->ctx.creds, CAP_SYS_ADMIN))
		return -EACCES;
	r = seccomp_bpf_check(insns, n);
	if (r < 0)
		return r;
	GUARD(&t->kernel->tasks_lock);
	if (t->seccomp_mode == SECCOMP_MODE_STRICT)
		return -EINVAL;
	if (chain_cost(t->seccomp) + n > CHAIN_MAX)
		return -ENOMEM;
	if (flags & SECCOMP_FILTER_FLAG_TSYNC) {
		astray = astray_locked(t);
		if (astray)
			return flags & SECCOMP_FILTER_FLAG_TSYNC_ESRCH ? -ESRCH : (long)astray;
	}
	if (t->seccomp) {
		f->prev = obj_get(t->seccomp);
		f->n_chain = t->seccomp->n_chain;
	}
	f->n_chain++;
	set_filter_locked(t, f);
	if (flags & SECCOMP_FILTER_FLAG_TSYNC) {
		TAILQ_FOREACH (s, &t->tg->tasks, tg_link) {
			if (s != t && s->exit_state == TASK_ALIVE)
				set_filter_locked(s, f);
		}
	}
	return 0;
}

int seccomp_set_strict(struct task *t)
{
	GUARD(&t->kernel->tasks_lock);
	if (t->seccomp_mode == SECCOMP_MODE_FILTER)
		return -EINVAL;
	t->seccomp_mode = SECCOMP_MODE_STRICT;
	return 0;
}

void seccomp_inherit_locked(struct task *t, struct task *n)
{
	n->seccomp_mode = t->seccomp_mode;
	n->seccomp = t->seccomp ? obj_get(t->seccomp) : NULL;
}

/* The call is over with this result, whatever it looks like: nothing is made again. */
static void finish(struct task *t, long result)
{
	task_syscall_done(t, result);
	t->run_next = &run_app;
}

static void trap(struct task *t, u32 data)
{
	siginfo_t info = {
		.si_signo = SIGSYS, .si_code = 1 /* SYS_SECCOMP */, .si_errno = (int)data};

	info.si_call_addr = (void *)(uintptr_t)t->regs.rip;
	info.si_syscall = (int)t->sysno;
	info.si_arch = AUDIT_ARCH_X86_64;
	/* The handler finds the registers as they were before the call. */
	finish(t, (long)t->sysno);
	signal_force(t, &info);
}

static void kill_task(struct task *t, u32 action)
{
	bool whole = action != SECCOMP_RET_KILL_THREAD;

	if (!whole) {
		GUARD(&t->kernel->tasks_lock);
		whole = t->tg->n_live == 1;
	}
	if (whole)
		task_exit_group(t, SIGSYS);
	else
		task_exit(t, SIGSYS);
}

/* A sibling's filters came with its renunciation of privileges. */
static void renounce(struct task *t, const struct seccomp_filter *f)
{
	struct creds *n;

	if (!f->no_new_privs || t->ctx.creds->no_new_privs)
		return;
	n = creds_copy(t->ctx.creds);
	n->no_new_privs = true;
	task_set_creds(t, n);
}

static bool allows_filtered(struct task *t)
{
	const struct regs *r = &t->regs;
	const struct seccomp_filter *f = filter_of(t);
	struct seccomp_data d = {
		.nr = (int)t->sysno,
		.arch = AUDIT_ARCH_X86_64,
		.instruction_pointer = r->rip,
		.args = {r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9},
	};
	u32 verdict = SECCOMP_RET_ALLOW;

	renounce(t, f);
	/* Of all filters' verdicts the strictest; the newest filter's among equals. */
	for (; f; f = f->prev) {
		u32 v = seccomp_bpf_run(f->insns, f->n_insns, &d);

		if ((s32)(v & SECCOMP_RET_ACTION_FULL) < (s32)(verdict & SECCOMP_RET_ACTION_FULL))
			verdict = v;
	}
	switch (verdict & SECCOMP_RET_ACTION_FULL) {
	case SECCOMP_RET_LOG:
		log_debug("task %u: seccomp lets call %d pass", t->tid, d.nr);
		return true;
	case SECCOMP_RET_ALLOW:
		return true;
	case SECCOMP_RET_ERRNO:
		finish(t, -(long)MIN(verdict & SECCOMP_RET_DATA, 4095u));
		return false;
	case SECCOMP_RET_TRAP:
		trap(t, verdict & SECCOMP_RET_DATA);
		return false;
	/* Nobody traces or listens. */
	case SECCOMP_RET_TRACE:
	case SECCOMP_RET_USER_NOTIF:
		finish(t, -ENOSYS);
		return false;
	default:
		kill_task(t, verdict & SECCOMP_RET_ACTION_FULL);
		return false;
	}
}

bool seccomp_allows(struct task *t)
{
	/* A call that is made again was judged when it was made first. */
	if (t->ctx.restart.active)
		return true;
	if (__atomic_load_n(&t->seccomp_mode, __ATOMIC_ACQUIRE) == SECCOMP_MODE_FILTER)
		return allows_filtered(t);
	switch (t->sysno) {
	case SYS_read:
	case SYS_write:
	case SYS_exit:
	case SYS_rt_sigreturn:
		return true;
	default:
		task_exit(t, SIGKILL);
		return false;
	}
}
