#pragma once
/*
 * How a system call gets its typed arguments out of registers. A handler is
 *
 *     SYSCALL3(read, int, fd, uaddr_t, buf, size_t, len)
 *     {
 *             ... return bytes or -errno; the calling task is t
 *     }
 *
 * x86_64.def names every call; the table, strace and `stasis features` come from it. A call that is
 * not in the table is -ENOSYS. Argument types: int, u32, s64, u64, size_t, uaddr_t.
 */
#include "sentry/kernel/task.h"
#include "sentry/mm/uaddr.h"
#include "sentry/mm/usercopy.h"

struct sysargs {
	u64 a[6];
};

/* One conversion per type: high halves of narrower arguments are ignored, as Linux does. */
static inline int sysarg_int(u64 a)
{
	return (int)a;
}
static inline u32 sysarg_u32(u64 a)
{
	return (u32)a;
}
static inline s64 sysarg_s64(u64 a)
{
	return (s64)a;
}
static inline u64 sysarg_u64(u64 a)
{
	return a;
}
static inline size_t sysarg_size_t(u64 a)
{
	return a;
}
static inline uaddr_t sysarg_uaddr_t(u64 a)
{
	return UADDR(a);
}

#define SYSCALL_DEF(name, params, call)                              \
	long sys_##name(struct task *t, const struct sysargs *args); \
	static long sys_body_##name params;                          \
	long sys_##name(struct task *t, const struct sysargs *args)  \
	{                                                            \
		return sys_body_##name call;                         \
	}                                                            \
	static long sys_body_##name params
#define SYSARG(T, i) sysarg_##T(args->a[i])

#define SYSCALL0(name)         SYSCALL_DEF(name, (struct task * t), (t))
#define SYSCALL1(name, T1, a1) SYSCALL_DEF(name, (struct task * t, T1 a1), (t, SYSARG(T1, 0)))
#define SYSCALL2(name, T1, a1, T2, a2) \
	SYSCALL_DEF(name, (struct task * t, T1 a1, T2 a2), (t, SYSARG(T1, 0), SYSARG(T2, 1)))
#define SYSCALL3(name, T1, a1, T2, a2, T3, a3)                    \
	SYSCALL_DEF(name, (struct task * t, T1 a1, T2 a2, T3 a3), \
	            (t, SYSARG(T1, 0), SYSARG(T2, 1), SYSARG(T3, 2)))
#define SYSCALL4(name, T1, a1, T2, a2, T3, a3, T4, a4)                   \
	SYSCALL_DEF(name, (struct task * t, T1 a1, T2 a2, T3 a3, T4 a4), \
	            (t, SYSARG(T1, 0), SYSARG(T2, 1), SYSARG(T3, 2), SYSARG(T4, 3)))
#define SYSCALL5(name, T1, a1, T2, a2, T3, a3, T4, a4, T5, a5)              \
	SYSCALL_DEF(                                                        \
		name, (struct task * t, T1 a1, T2 a2, T3 a3, T4 a4, T5 a5), \
		(t, SYSARG(T1, 0), SYSARG(T2, 1), SYSARG(T3, 2), SYSARG(T4, 3), SYSARG(T5, 4)))
#define SYSCALL6(name, T1, a1, T2, a2, T3, a3, T4, a4, T5, a5, T6, a6)                             \
	SYSCALL_DEF(name, (struct task * t, T1 a1, T2 a2, T3 a3, T4 a4, T5 a5, T6 a6),             \
	            (t, SYSARG(T1, 0), SYSARG(T2, 1), SYSARG(T3, 2), SYSARG(T4, 3), SYSARG(T5, 4), \
	             SYSARG(T6, 5)))
