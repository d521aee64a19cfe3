/* What a signal says of itself. */
#include "sentry/syscall/strace_impl.h"
#include "sentry/syscall/dispatch.h"

#include <string.h>

static void code_words(struct words *w, const siginfo_t *i)
{
	static const char *const tables[65] = {
		[SIGILL] = "si_ill",   [SIGFPE] = "si_fpe",   [SIGSEGV] = "si_segv",
		[SIGBUS] = "si_bus",   [SIGTRAP] = "si_trap", [SIGCHLD] = "si_cld",
		[SIGPOLL] = "si_poll", [SIGSYS] = "si_sys",
	};
	const char *table = i->si_signo > 0 && i->si_signo < 65 ? tables[i->si_signo] : NULL;
	const char *name = strace_name("si_code", (u64)(s64)i->si_code);

	if (!name && table)
		name = strace_name(table, (u64)(s64)i->si_code);
	if (name)
		words_add(w, "%s", name);
	else
		words_add(w, "%#x", (u32)i->si_code);
}

static void sender(struct words *w, const siginfo_t *i)
{
	words_add(w, ", si_pid=%d, si_uid=", i->si_pid);
	words_add(w, i->si_uid == (uid_t)-1 ? "-1" : "%u", i->si_uid);
}

static void value(struct words *w, const siginfo_t *i)
{
	if (!i->si_ptr && i->si_code != SI_TIMER)
		return;
	words_add(w, ", si_int=%d, si_ptr=", i->si_int);
	strace_pointer(w, (u64)(uintptr_t)i->si_ptr);
}

static void child(struct words *w, const siginfo_t *i)
{
	sender(w, i);
	words_add(w, ", si_status=");
	if (i->si_code == CLD_EXITED)
		words_add(w, "%d", i->si_status);
	else
		strace_signal(w, i->si_status);
	words_add(w, ", si_utime=");
	strace_ticks(w, (u64)i->si_utime);
	words_add(w, ", si_stime=");
	strace_ticks(w, (u64)i->si_stime);
}

static void by_signal(struct words *w, const siginfo_t *i)
{
	const char *name;

	switch (i->si_signo) {
	case SIGCHLD:
		child(w, i);
		break;
	case SIGILL:
	case SIGFPE:
	case SIGSEGV:
	case SIGBUS:
		words_add(w, ", si_addr=");
		strace_pointer(w, (u64)(uintptr_t)i->si_addr);
		break;
	case SIGPOLL:
		words_add(w, ", si_band=%#lx", i->si_band);
		break;
	case SIGSYS:
		name = syscall_name((u64)(u32)i->si_syscall);
		words_add(w, ", si_call_addr=");
		strace_pointer(w, (u64)(uintptr_t)i->si_call_addr);
		words_add(w, name ? ", si_syscall=__NR_%s" : ", si_syscall=%s%d", name ? name : "",
		          i->si_syscall);
		words_add(w, ", si_arch=");
		strace_value(w, "audit", i->si_arch);
		break;
	default:
		if (i->si_pid || i->si_uid)
			sender(w, i);
		value(w, i);
	}
}

void strace_siginfo(struct words *w, const siginfo_t *i)
{
	if (!i->si_signo) {
		words_add(w, "{}");
		return;
	}
	words_add(w, "{si_signo=");
	strace_signal(w, i->si_signo);
	words_add(w, ", si_code=");
	code_words(w, i);
	if (i->si_errno) {
		const char *name = strerrorname_np(i->si_errno);

		words_add(w, name ? ", si_errno=%s" : ", si_errno=%s%d", name ? name : "",
		          i->si_errno);
	}
	switch (i->si_code) {
	case SI_USER:
	case SI_TKILL:
		sender(w, i);
		break;
	case SI_TIMER:
		words_add(w, ", si_timerid=%#x, si_overrun=%d", (u32)i->si_timerid, i->si_overrun);
		value(w, i);
		break;
	default:
		/* The kernel's own, and what somebody made up. */
		if (i->si_code < 0) {
			if (i->si_pid || i->si_uid || i->si_code == SI_QUEUE)
				sender(w, i);
			value(w, i);
		} else if (i->si_code != SI_KERNEL || i->si_signo == SIGSEGV) {
			by_signal(w, i);
		} else if (i->si_signo == SIGPOLL || i->si_signo == SIGCHLD) {
			by_signal(w, i);
		}
	}
	words_add(w, "}");
}
