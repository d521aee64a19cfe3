/* What calls on tasks, signals and timers point to. */
#include "sentry/syscall/strace_impl.h"
#include "sentry/kernel/signal.h"

#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static bool show_sigset(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	u64 set;

	STRACE_READ(k, addr, &set);
	strace_sigset(w, set);
	return true;
}

static bool show_sigaction(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	struct ksigaction s;

	STRACE_READ(k, addr, &s);
	if (s.handler <= 1)
		words_add(w, "{sa_handler=%s", s.handler ? "SIG_IGN" : "SIG_DFL");
	else
		words_add(w, "{sa_handler=%#llx", (unsigned long long)s.handler);
	words_add(w, ", sa_mask=");
	strace_sigset(w, s.mask);
	words_add(w, ", sa_flags=");
	strace_bits(w, "sa", s.flags);
	if (s.flags & 0x04000000)
		words_add(w, ", sa_restorer=%#llx", (unsigned long long)s.restorer);
	words_add(w, "}");
	return true;
}

static bool show_siginfo(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	siginfo_t i;

	STRACE_READ(k, addr, &i);
	strace_siginfo(w, &i);
	return true;
}

static bool show_sigevent(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	struct {
		u64 value;
		s32 signo, notify, tid;
	} e;
	bool sends;

	STRACE_READ(k, addr, &e);
	sends = e.notify == SIGEV_SIGNAL || e.notify == SIGEV_THREAD_ID;
	words_add(w, "{");
	if (e.value) {
		words_add(w, "sigev_value={sival_int=%d, sival_ptr=", (s32)e.value);
		strace_pointer(w, e.value);
		words_add(w, "}, ");
	}
	words_add(w, "sigev_signo=");
	strace_word(w, k, sends ? "=signal" : "U", (u32)e.signo, arg);
	words_add(w, ", sigev_notify=");
	strace_value(w, "sigev", (u32)e.notify);
	if (e.notify == SIGEV_THREAD_ID)
		words_add(w, ", sigev_notify_thread_id=%d", e.tid);
	words_add(w, "}");
	return true;
}

static bool show_stack(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	stack_t s;

	STRACE_READ(k, addr, &s);
	words_add(w, "{ss_sp=");
	strace_pointer(w, (u64)(uintptr_t)s.ss_sp);
	words_add(w, ", ss_flags=");
	strace_bits(w, "ss", (u32)s.ss_flags);
	words_add(w, ", ss_size=%zu}", s.ss_size);
	return true;
}

static bool show_wstatus(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	u32 event;
	int s;

	if (k->ret == 0)
		return false;
	STRACE_READ(k, addr, &s);
	event = (u32)s >> 16;
	if (WIFEXITED(s)) {
		words_add(w, "[{WIFEXITED(s) && WEXITSTATUS(s) == %d}]", WEXITSTATUS(s));
	} else if (WIFSTOPPED(s)) {
		words_add(w, "[{WIFSTOPPED(s) && WSTOPSIG(s) == ");
		strace_signal(w, WSTOPSIG(s));
		if (event)
			words_add(w, "} | %u << 16]", event);
		else
			words_add(w, "}]");
	} else if (WIFSIGNALED(s)) {
		words_add(w, "[{WIFSIGNALED(s) && WTERMSIG(s) == ");
		strace_signal(w, WTERMSIG(s));
		words_add(w, "%s}]", WCOREDUMP(s) ? " && WCOREDUMP(s)" : "");
	} else if (WIFCONTINUED(s)) {
		words_add(w, "[{WIFCONTINUED(s)}]");
	} else {
		words_add(w, "[%#x]", (u32)s);
	}
	return true;
}

static void named_pointer(struct words *w, const char *name, u64 v)
{
	words_add(w, ", %s=", name);
	strace_pointer(w, v);
}

static bool show_clone3(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	struct clone_args a = {0};
	u64 size = k->a->a[1];
	u32 tid;

	if (size < CLONE_ARGS_SIZE_VER0 ||
	    user_copy_in(k->c, &a, UADDR(addr), MIN(size, (u64)sizeof(a))) < 0)
		return false;
	words_add(w, "{flags=");
	strace_bits(w, "clone", a.flags);
	if (a.flags & CLONE_PIDFD)
		named_pointer(w, "pidfd", a.pidfd);
	if (a.flags & (CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID))
		named_pointer(w, "child_tid", a.child_tid);
	if (a.flags & CLONE_PARENT_SETTID)
		named_pointer(w, "parent_tid", a.parent_tid);
	words_add(w, ", exit_signal=");
	if (a.exit_signal)
		strace_signal(w, (int)a.exit_signal);
	else
		words_add(w, "0");
	named_pointer(w, "stack", a.stack);
	words_add(w, ", stack_size=%#llx", (unsigned long long)a.stack_size);
	if (a.flags & CLONE_SETTLS)
		named_pointer(w, "tls", a.tls);
	if (a.set_tid || a.set_tid_size) {
		words_add(w, ", set_tid=");
		strace_struct(w, k, "ids", a.set_tid, a.set_tid_size, true, arg);
		words_add(w, ", set_tid_size=%llu", (unsigned long long)a.set_tid_size);
	}
	if (a.flags & CLONE_INTO_CGROUP)
		words_add(w, ", cgroup=%llu", (unsigned long long)a.cgroup);
	words_add(w, "}");
	if (!k->ended || k->ret < 0 || !(a.flags & (CLONE_PIDFD | CLONE_PARENT_SETTID)))
		return true;
	words_add(w, " => {");
	if ((a.flags & CLONE_PIDFD) && user_copy_in(k->c, &tid, UADDR(a.pidfd), 4) == 0)
		words_add(w, "pidfd=[%d]%s", tid, a.flags & CLONE_PARENT_SETTID ? ", " : "");
	if ((a.flags & CLONE_PARENT_SETTID) &&
	    user_copy_in(k->c, &tid, UADDR(a.parent_tid), 4) == 0)
		words_add(w, "parent_tid=[%d]", tid);
	words_add(w, "}");
	return true;
}

/* argv and its like: up to the NULL, in brackets of its own. */
static bool show_strings(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	u64 s;

	words_add(w, "[");
	for (unsigned i = 0;; i++) {
		size_t at = w->n;

		if (user_copy_in(k->c, &s, UADDR(addr + i * sizeof(s)), sizeof(s)) < 0) {
			if (!i)
				return false;
			words_add(w, ", ... /* %#llx */",
			          (unsigned long long)(addr + i * sizeof(s)));
			break;
		}
		if (!s)
			break;
		words_add(w, i ? ", " : "");
		if (i >= STRACE_SHOWN || w->n + 64 > w->size) {
			w->n = at;
			words_add(w, "%s...", i ? ", " : "");
			break;
		}
		strace_text(w, k, s);
	}
	words_add(w, "]");
	return true;
}

/* envp: how many. */
static bool show_vars(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	unsigned n = 0;
	u64 s;

	for (;; n++) {
		STRACE_READ(k, addr + n * sizeof(s), &s);
		if (!s || n >= 100000)
			break;
	}
	words_add(w, "%#llx /* %u var%s */", (unsigned long long)addr, n, n == 1 ? "" : "s");
	return true;
}

/* CPUs, as many bytes as the argument before says, or as the call returned. */
static bool show_cpus(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	u8 set[128] = {0};
	u64 size = k->a->a[1];
	bool any = false;

	if (k->nr == SYS_sched_getaffinity)
		size = MIN(size, (u64)MAX(k->ret, 0l));
	size = MIN(size, (u64)sizeof(set));
	if (user_copy_in(k->c, set, UADDR(addr), size) < 0)
		return false;
	words_add(w, "[");
	for (u32 i = 0; i < size * 8; i++) {
		if (!(set[i / 8] >> (i % 8) & 1))
			continue;
		words_add(w, any ? " %u" : "%u", i);
		any = true;
	}
	words_add(w, "]");
	return true;
}

static bool show_caphead(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	u32 v[2];

	STRACE_READ(k, addr, &v);
	words_add(w, "{version=");
	strace_value(w, "capversion", v[0]);
	words_add(w, ", pid=%d}", (s32)v[1]);
	return true;
}

/* Two sets of three from version 2 on. */
static bool show_capdata(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	static const char *const names[] = {"effective", "permitted", "inheritable"};
	u32 version, v[6] = {0};

	if (user_get_u32(k->c, UADDR(k->a->a[0]), &version) < 0 ||
	    user_copy_in(k->c, v, UADDR(addr), version == 0x19980330 ? 12 : 24) < 0)
		return false;
	words_add(w, "{");
	for (int i = 0; i < 3; i++) {
		words_add(w, "%s%s=", i ? ", " : "", names[i]);
		strace_bits(w, "capbits", v[i] | (u64)v[i + 3] << 32);
	}
	words_add(w, "}");
	return true;
}

/* What a prctl gave: a signal's number. */
static bool show_signo(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	int v;

	STRACE_READ(k, addr, &v);
	words_add(w, "[");
	if (v)
		strace_signal(w, v);
	else
		words_add(w, "0");
	words_add(w, "]");
	return true;
}

static bool show_text(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	strace_text(w, k, addr);
	return true;
}

static bool show_named(struct words *w, const struct call *k, u64 addr, const char *table)
{
	u32 v;

	STRACE_READ(k, addr, &v);
	words_add(w, "[");
	strace_value(w, table, v);
	words_add(w, "]");
	return true;
}

static bool show_action(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	return show_named(w, k, addr, "seccomp_action");
}

static bool show_tsc(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	return show_named(w, k, addr, "tsc");
}

const struct strace_kind strace_kinds_task[] = {
	{"sigset", show_sigset, 0},
	{"sigaction", show_sigaction, 0},
	{"siginfo", show_siginfo, 0},
	{"sigevent", show_sigevent, 0},
	{"stack", show_stack, 0},
	{"wstatus", show_wstatus, 0},
	{"clone_args", show_clone3, 0},
	{"strings", show_strings, 0},
	{"vars", show_vars, 0},
	{"cpus", show_cpus, 0},
	{"caphead", show_caphead, 0},
	{"capdata", show_capdata, 0},
	{"signo", show_signo, 0},
	{"text", show_text, 0},
	{"action", show_action, 0},
	{"tsc", show_tsc, 0},
	{0},
};
