#include "sentry/syscall/dispatch.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/kernel/task_run.h"
#include "sentry/sentry.h"
#include "sentry/syscall/admit.h"

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

/* By number, spread over several sets, so that cores don't fight for the counters. */
#define COUNT_SETS 16
static _Atomic u64 counts[COUNT_SETS][SYSCALL_COUNT];

u64 syscall_calls(u64 nr)
{
	u64 n = 0;

	for (unsigned i = 0; nr < SYSCALL_COUNT && i < COUNT_SETS; i++)
		n += atomic_load_explicit(&counts[i][nr], memory_order_relaxed);
	return n;
}

const char *syscall_name(u64 nr)
{
	static const char *const others[SYSCALL_COUNT] = {
#define N(nr, name) [nr] = #name,
#include "sentry/syscall/x86_64_names.def"
#undef N
	};
	const struct syscall_entry *e = syscall_entry(nr);

	return e ? e->name : nr < SYSCALL_COUNT ? others[nr] : NULL;
}

bool sentry_syscall_info(u32 nr, const char **ret_name, const char **ret_support,
                         const char **ret_note)
{
	static const char *const words[] = {"none", "partial", "full"};
	const struct syscall_entry *e = syscall_entry(nr);

	if (!syscall_name(nr))
		return false;
	*ret_name = syscall_name(nr);
	*ret_support = words[e ? e->support : SYSCALL_NONE];
	*ret_note = e ? e->note : "";
	return true;
}

long syscall_dispatch(struct task *t)
{
	const struct regs *r = &t->regs;
	const struct sysargs args = {{r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9}};
	const struct syscall_entry *e = t->sysno < SYSCALL_COUNT ? &table[t->sysno] : NULL;
	long ret;

	if (likely(t->sysno < SYSCALL_COUNT))
		atomic_fetch_add_explicit(&counts[t->tid % COUNT_SETS][t->sysno], 1,
		                          memory_order_relaxed);
	if (unlikely(t->kernel->machine->strace))
		strace_enter(t, &args);
	if (unlikely(__atomic_load_n(&t->seccomp_mode, __ATOMIC_RELAXED)) && !seccomp_allows(t))
		ret = (long)t->regs.rax;
	else
		ret = likely(e && e->fn) ? 0 : -ENOSYS;
	if (ret == 0 && syscall_makes[t->sysno])
		ret = syscall_admit(t, t->sysno);
	if (likely(ret == 0))
		ret = e->fn(t, &args);
	if (unlikely(t->kernel->machine->strace))
		strace_exit(t, &args, ret);
	return ret;
}
