#pragma once
/*
 * How a call is put into words: strace_table.c says what its arguments are, strace_args.c prints
 * them, strace_structs.c what they point to, strace_flags.c names bits and values. strace.c makes
 * lines of it.
 *
 * Locking: none; a call is printed by its own thread. Lifetime: on the stack. Saved: no.
 */
#include "sentry/syscall/sysarg.h"

/* Text under construction; what does not fit is left out. */
struct words {
	char *s;
	size_t n, size;
};
PRINTF(2, 3) void words_add(struct words *w, const char *fmt, ...);

struct call {
	struct ctx *c; /* NULL: the guest's memory is not looked at */
	const struct sysargs *a;
	long ret; /* what the call returned, once it did */
	bool ended;
};

/* ---- strace_table.c ---- */
/*
 * What a call's arguments are, one word each:
 *   d u x l p o    int, unsigned, hex, s64, pointer, octal mode
 *   f D fd         descriptor, directory descriptor
 *   s              path or text
 *   wN rN          memory of as many bytes as argument N says; r: that the call filled
 *   #name =name    bits or one value, of the table of that name
 *   &name *name    a struct that the call reads, that it fills; &nameN, *nameN: an array of
 *                  as many as argument N says
 * A leading "X:" says that the result is an address.
 */
const char *strace_spec(u64 nr);

/* ---- strace_args.c ---- */
/* The arguments from first on, separated by commas, as far as they are known: before the call ended
 * up to the first that it fills. How many were printed in all; *ret_more: there are others. */
unsigned strace_args(struct words *w, const struct call *k, const char *spec, unsigned first,
                     bool *ret_more);
/* A quoted string of len bytes at p; more: it goes on. */
void strace_quote(struct words *w, const u8 *p, size_t len, bool more);
/* Memory of the guest as a quoted string. */
void strace_memory(struct words *w, const struct call *k, u64 addr, u64 len);
void strace_path(struct words *w, const struct call *k, u64 addr);

/* ---- strace_structs.c ---- */
/* What is at addr, which name says; n: how many (arrays), else 1; arg: the argument's index. */
void strace_struct(struct words *w, const struct call *k, const char *name, u64 addr, u64 n,
                   unsigned arg);

/* ---- strace_flags.c ---- */
/* The bits of v that the table names, then what is left in hex. */
void strace_bits(struct words *w, const char *table, u64 v);
/* The name of the value, or the value. */
void strace_value(struct words *w, const char *table, u64 v);
void strace_signal(struct words *w, int signo);
