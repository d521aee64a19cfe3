#pragma once
/*
 * The table of system calls, from x86_64.def.
 *
 * Locking: immutable. Lifetime: static. Saved: no.
 */
#include "sentry/syscall/sysarg.h"

#define SYSCALL_COUNT 512

enum syscall_support {
	SYSCALL_NONE,
	SYSCALL_PARTIAL,
	SYSCALL_FULL
};
struct syscall_entry {
	long (*fn)(struct task *t, const struct sysargs *args);
	const char *name;
	enum syscall_support support;
	const char *note;
};
/* NULL if the number has no entry. */
const struct syscall_entry *syscall_entry(u64 nr);
/* The name of any number that Linux has on this machine, or NULL. */
const char *syscall_name(u64 nr);
/* How often the call was made in this process; those that stubs answer themselves don't count. */
u64 syscall_calls(u64 nr);
/* One line for people: the call that a task is in, with its arguments as far as its memory need not
 * be looked at. Any thread. */
void syscall_describe(struct task *t, char *buf, size_t size);
/* strace.c: one line per call, before (enter) and after it ran. */
void strace_enter(struct task *t, const struct sysargs *a);
void strace_exit(struct task *t, const struct sysargs *a, long ret);
