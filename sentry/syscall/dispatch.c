#include "sentry/syscall/dispatch.h"
#include "sentry/kernel/task_run.h"

#define S(nr, name, support, note) long sys_##name(struct task *t, const struct sysargs *args);
#include "sentry/syscall/x86_64.def"
#undef S

#define SYSCALL_SUPPORT_FULL    SYSCALL_FULL
#define SYSCALL_SUPPORT_PARTIAL SYSCALL_PARTIAL

static const struct syscall_entry table[SYSCALL_COUNT] = {
#define S(nr, name, support, note) [nr] = {sys_##name, #name, SYSCALL_SUPPORT_##support, note},
#include "sentry/syscall/x86_64.def"
#undef S
};

const struct syscall_entry *syscall_entry(u64 nr)
{
	return nr < SYSCALL_COUNT && table[nr].fn ? &table[nr] : NULL;
}

long syscall_dispatch(struct task *t)
{
	const struct regs *r = &t->regs;
	const struct sysargs args = {{r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9}};
	const struct syscall_entry *e = t->sysno < SYSCALL_COUNT ? &table[t->sysno] : NULL;
	long ret;

	if (unlikely(t->kernel->machine->strace))
		strace_enter(t, e && e->fn ? e : NULL, &args);
	ret = likely(e && e->fn) ? e->fn(t, &args) : -ENOSYS;
	if (unlikely(t->kernel->machine->strace))
		strace_exit(t, e && e->fn ? e : NULL, &args, ret);
	return ret;
}
