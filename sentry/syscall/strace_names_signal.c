/* Names of what signals are sent, taken and explained with. */
#include "sentry/syscall/strace_names.h"

#include <signal.h>
#include <linux/audit.h>

#ifndef SA_RESTORER
#define SA_RESTORER 0x04000000
#endif
#ifndef SA_UNSUPPORTED
#define SA_UNSUPPORTED 0x400
#endif
#ifndef SA_EXPOSE_TAGBITS
#define SA_EXPOSE_TAGBITS 0x800
#endif

static const struct name sighow_names[] = {
	N(SIG_BLOCK),
	N(SIG_UNBLOCK),
	N(SIG_SETMASK),
};
static const struct name sa_names[] = {
	N(SA_RESTORER),  N(SA_ONSTACK), N(SA_RESTART),   N(SA_NODEFER),
	N(SA_RESETHAND), N(SA_SIGINFO), N(SA_NOCLDSTOP), N(SA_NOCLDWAIT),
};
static const struct name ss_names[] = {
	N(SS_ONSTACK),
	N(SS_DISABLE),
	{0x80000000, "SS_AUTODISARM"},
};
static const struct name sigev_names[] = {
	N(SIGEV_SIGNAL),
	N(SIGEV_NONE),
	N(SIGEV_THREAD),
	N(SIGEV_THREAD_ID),
};
static const struct name si_code_names[] = {
	N(SI_USER),    N(SI_KERNEL), N(SI_QUEUE), N(SI_TIMER),         N(SI_MESGQ),
	N(SI_ASYNCIO), N(SI_SIGIO),  N(SI_TKILL), {-7, "SI_DETHREAD"}, N(SI_ASYNCNL),
};
static const struct name si_ill_names[] = {
	N(ILL_ILLOPC), N(ILL_ILLOPN), N(ILL_ILLADR), N(ILL_ILLTRP),
	N(ILL_PRVOPC), N(ILL_PRVREG), N(ILL_COPROC), N(ILL_BADSTK),
};
static const struct name si_fpe_names[] = {
	N(FPE_INTDIV), N(FPE_INTOVF), N(FPE_FLTDIV), N(FPE_FLTOVF),
	N(FPE_FLTUND), N(FPE_FLTRES), N(FPE_FLTINV), N(FPE_FLTSUB),
};
static const struct name si_segv_names[] = {
	N(SEGV_MAPERR),
	N(SEGV_ACCERR),
	N(SEGV_BNDERR),
	N(SEGV_PKUERR),
};
static const struct name si_bus_names[] = {
	N(BUS_ADRALN), N(BUS_ADRERR), N(BUS_OBJERR), N(BUS_MCEERR_AR), N(BUS_MCEERR_AO),
};
static const struct name si_trap_names[] = {
	N(TRAP_BRKPT),
	N(TRAP_TRACE),
	N(TRAP_BRANCH),
	N(TRAP_HWBKPT),
};
static const struct name si_cld_names[] = {
	N(CLD_EXITED),  N(CLD_KILLED),  N(CLD_DUMPED),
	N(CLD_TRAPPED), N(CLD_STOPPED), N(CLD_CONTINUED),
};
static const struct name si_poll_names[] = {
	N(POLL_IN), N(POLL_OUT), N(POLL_MSG), N(POLL_ERR), N(POLL_PRI), N(POLL_HUP),
};
static const struct name si_sys_names[] = {
	{1, "SYS_SECCOMP"},
};
static const struct name audit_names[] = {
	N(AUDIT_ARCH_X86_64),
	N(AUDIT_ARCH_I386),
};

const struct name_table strace_names_signal[] = {
	NAME_TABLE(sighow, "SIG_???"),
	NAME_TABLE(sa, "SA_???"),
	NAME_TABLE(ss, "SS_???"),
	NAME_TABLE(sigev, "SIGEV_???"),
	NAME_TABLE(si_code, NULL),
	NAME_TABLE(si_ill, "ILL_???"),
	NAME_TABLE(si_fpe, "FPE_???"),
	NAME_TABLE(si_segv, "SEGV_???"),
	NAME_TABLE(si_bus, "BUS_???"),
	NAME_TABLE(si_trap, "TRAP_???"),
	NAME_TABLE(si_cld, "CLD_???"),
	NAME_TABLE(si_poll, "POLL_???"),
	NAME_TABLE(si_sys, "SYS_???"),
	NAME_TABLE(audit, "AUDIT_ARCH_???"),
	{0},
};
