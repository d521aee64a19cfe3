#pragma once
/*
 * Names of numbers, as strace(1) prints them: one table per kind of value, in one strace_names_*.c
 * per area. In a table of bits the order is that of printing, and a name of several bits stands
 * before those of its parts.
 *
 * Locking: immutable. Lifetime: static. Saved: no.
 */
#include "sentry/syscall/strace_impl.h"

struct name {
	u64 v;
	const char *text;
};
struct name_table {
	const char *name;
	const char *unknown; /* what strace calls a value without a name; NULL: the bare value */
	const struct name *v;
	u32 n;
	u32 number; /* in a table of bits: those that together are a number */
};
/* Each ends with a table without a name. */
extern const struct name_table strace_names_file[], strace_names_net[], strace_names_sockopt[],
	strace_names_ioctl[], strace_names_memory[], strace_names_task[], strace_names_signal[],
	strace_names_ipc[];

/* N(CONSTANT): its name is its text. */
#define N(c)                 \
	{                    \
		(u64)(c), #c \
	}
#define NAME_TABLE(id, unknown)                                      \
	{                                                            \
#id, unknown, id##_names, ARRAY_SIZE(id##_names), 0u \
	}
#define NAME_TABLE_NUMBER(id, unknown, number)                           \
	{                                                                \
#id, unknown, id##_names, ARRAY_SIZE(id##_names), number \
	}
