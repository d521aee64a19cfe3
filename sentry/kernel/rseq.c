#include "sentry/kernel/rseq.h"
#include "sentry/kernel/task_run.h"
#include "sentry/mm/usercopy.h"

#include <linux/rseq.h>

#define AREA_SIZE  32u
#define AREA_ALIGN 32u
#define NO_CPU     (-1)

_Static_assert(sizeof(struct rseq_cs) == 32, "the ABI's");

static unsigned ncpu(const struct task *t)
{
	return MIN(MAX(t->kernel->machine->ncpu, 1u), (unsigned)CPU_SETSIZE);
}

/* The lowest core of the task's affinity that no other thread of its process has. */
static s32 choose_cpu(struct task *t, u64 addr)
{
	cpu_set_t used;
	struct task *o;

	CPU_ZERO(&used);
	GUARD(&t->kernel->tasks_lock);
	TAILQ_FOREACH (o, &t->tg->tasks, tg_link) {
		s32 cpu = READ_ONCE(o->rseq_cpu);

		if (o != t && o->exit_state == TASK_ALIVE && READ_ONCE(o->rseq_addr) && cpu >= 0 &&
		    cpu < CPU_SETSIZE)
			CPU_SET((unsigned)cpu, &used);
	}
	/* With the core, so that two who register at the same time see each other. */
	WRITE_ONCE(t->rseq_addr, addr);
	WRITE_ONCE(t->rseq_cpu, NO_CPU);
	for (unsigned i = 0; i < ncpu(t); i++) {
		if (CPU_ISSET(i, &t->affinity) && !CPU_ISSET(i, &used)) {
			WRITE_ONCE(t->rseq_cpu, (s32)i);
			break;
		}
	}
	return t->rseq_cpu;
}

/* cpu_id_start is always a valid core: the comparison with cpu_id is what fails. */
static int put_cpu(struct task *t, u64 addr, s32 cpu)
{
	const u32 ids[2] = {cpu < 0 ? 0 : (u32)cpu, (u32)cpu};

	return user_put(&t->ctx, UADDR(addr), &ids);
}

int rseq_register(struct task *t, u64 addr, u32 len, u32 sig)
{
	int r;

	if (t->rseq_addr) {
		if (t->rseq_addr != addr || t->rseq_len != len)
			return -EINVAL;
		return t->rseq_sig != sig ? -EPERM : -EBUSY;
	}
	if (len != AREA_SIZE || !IS_ALIGNED(addr, (u64)AREA_ALIGN))
		return -EINVAL;
	r = put_cpu(t, addr, choose_cpu(t, addr));
	if (r < 0) {
		WRITE_ONCE(t->rseq_addr, 0);
		return r;
	}
	t->rseq_len = len;
	t->rseq_sig = sig;
	return 0;
}

int rseq_unregister(struct task *t, u64 addr, u32 len, u32 sig)
{
	int r;

	if (!t->rseq_addr || t->rseq_addr != addr || t->rseq_len != len)
		return -EINVAL;
	if (t->rseq_sig != sig)
		return -EPERM;
	r = put_cpu(t, addr, RSEQ_CPU_ID_UNINITIALIZED);
	if (r < 0)
		return r;
	t->rseq_addr = 0;
	t->rseq_len = t->rseq_sig = 0;
	t->rseq_cpu = NO_CPU;
	return 0;
}

void rseq_affinity_changed(struct task *t)
{
	/* An area that has become unwritable is found out by the next signal. */
	if (t->rseq_addr && put_cpu(t, t->rseq_addr, choose_cpu(t, t->rseq_addr)) < 0)
		return;
}

/* 0, or -EFAULT: the description is bad. */
static int fix_section(struct task *t)
{
	u64 area = t->rseq_addr + offsetof(struct rseq, rseq_cs), at, top;
	struct rseq_cs cs;
	bool inside;
	u32 sig;
	int r = user_get_u64(&t->ctx, UADDR(area), &at);

	if (r < 0 || at == 0)
		return r;
	top = t->kernel->machine->platform->max_user_addr;
	if (at >= top)
		return -EFAULT;
	r = user_get(&t->ctx, UADDR(at), &cs);
	if (r < 0)
		return r;
	if (cs.version > 0 || cs.start_ip >= top || cs.abort_ip >= top ||
	    cs.post_commit_offset > top - cs.start_ip ||
	    cs.abort_ip - cs.start_ip < cs.post_commit_offset)
		return -EFAULT;
	/* The signature keeps an attacker from jumping anywhere by way of an abort. */
	r = user_get_u32(&t->ctx, UADDR(cs.abort_ip - sizeof(u32)), &sig);
	if (r < 0)
		return r;
	inside = t->regs.rip - cs.start_ip < cs.post_commit_offset;
	if (inside && sig != t->rseq_sig)
		return -EFAULT;
	r = user_put_u64(&t->ctx, UADDR(area), 0);
	if (r < 0)
		return r;
	if (inside)
		t->regs.rip = cs.abort_ip;
	return 0;
}

void rseq_signal_fixup(struct task *t, int signo)
{
	siginfo_t segv = siginfo_kernel(SIGSEGV);

	if (likely(!t->rseq_addr) || likely(fix_section(t) == 0))
		return;
	/* It would fail again for the SIGSEGV that says so. */
	if (signo == SIGSEGV)
		thread_group_exit(t->tg, SIGSEGV);
	else
		signal_force(t, &segv);
}

u32 task_cpu(struct task *t)
{
	int host = sched_getcpu();
	unsigned n = ncpu(t);

	if (t->rseq_addr && t->rseq_cpu >= 0)
		return (u32)t->rseq_cpu;
	if (host >= 0 && CPU_ISSET((unsigned)host % n, &t->affinity))
		return (u32)host % n;
	for (unsigned i = 0; i < n; i++) {
		if (CPU_ISSET(i, &t->affinity))
			return i;
	}
	return 0;
}
