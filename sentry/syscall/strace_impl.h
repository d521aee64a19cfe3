#pragma once
/*
 * How a call is put into words: strace_table.c says what its arguments are, strace_args.c prints
 * them, strace_structs.c, strace_layouts.c and strace_net*.c what they point to, strace_names*.c
 * name bits and values. strace_result.c says what came of it, strace.c makes lines of it.
 *
 * Locking: none; a call is printed by its own thread. Lifetime: on the stack. Saved: no.
 */
#include "sentry/syscall/sysarg.h"

#include <signal.h>

/* Text under construction; what does not fit is left out. */
struct words {
	char *s;
	size_t n, size;
};
PRINTF(2, 3) void words_add(struct words *w, const char *fmt, ...);

#define STRACE_ARGS 6

struct call {
	struct ctx *c; /* NULL: the guest's memory is not looked at */
	u64 nr;
	const struct sysargs *a;
	long ret; /* what the call returned, once it did */
	bool ended;
	u64 sp; /* the stack, for what lies on it (R) */
	/* What arguments that the call changes pointed to when it began (strace_remember). */
	const u64 *before;
};

/* Bytes and elements that are shown of what is longer, as strace(1) does. */
#define STRACE_SHOWN 32

/* ---- strace_table.c ---- */
/*
 * What a call's arguments are, one word each; values in structs are said with the same words.
 *   d l            signed: int, s64            u U   unsigned: u64, u32
 *   x X p          hex: u64, u32; pointer      o M   octal mode; mode with a type
 *   i              user or group id, which may be -1
 *   f D            descriptor, directory descriptor
 *   s S            path; text of which a part is shown
 *   wN rN hN       memory of as many bytes as argument N says; r: that the call filled; h: in hex
 *   #name %name    bits of a u32, of a u64, of the table of that name
 *   =name          one value of the table
 *   &name *name    what the call reads, what it fills: a layout or a function of strace_structs.c;
 *                  &nameN, *nameN: an array of as many as argument N says; *name!: that the call
 *                  filled as many as it returned
 *   L O            a u32 or u64 that goes in and comes out
 *   -              not shown
 *   T              a time that was left, if a sleep was interrupted
 *   C F W Y V R    of clone, futex (two), syslog, mknod, rt_sigreturn
 *   N B K          a task's name, an I/O priority, an ioctl
 *   Gname Hname    bits of the table and a mode; bits and the size of huge pages
 *
 * "label@N:word" is argument N after a name. A word before all others that ends in ":" says how
 * the result is shown (strace_result.c).
 */
const char *strace_spec(u64 nr, const struct sysargs *a);
/* ---- strace_variants.c: the words of a call that has other arguments by one of them, or NULL. */
const char *strace_variant(u64 nr, const struct sysargs *a);
/* The words of an option of getsockopt or setsockopt. NULL: not known. */
const char *strace_sockopt(u64 level, u64 opt, bool get);

/* ---- strace_special.c ---- */
/* The words of single calls. False: it is none. */
bool strace_special(struct words *w, const struct call *k, const char *word, u64 v, unsigned arg);

/* ---- strace_args.c ---- */
/* The arguments from first on, separated by commas, as far as they are known: before the call ended
 * up to the first that it fills. How many were printed in all; *ret_more: there are others. */
unsigned strace_args(struct words *w, const struct call *k, const char *spec, unsigned first,
                     bool *ret_more);
/* Before the call: what strace_args will need of arguments that it changes. */
void strace_remember(const struct call *k, const char *spec, u64 before[STRACE_ARGS]);
/* One value, of argument arg or part of what that points to. */
void strace_word(struct words *w, const struct call *k, const char *word, u64 v, unsigned arg);
/* A quoted string of len bytes at p; more: it goes on. */
void strace_quote(struct words *w, const u8 *p, size_t len, bool more);
void strace_quote_hex(struct words *w, const u8 *p, size_t len, bool more);
/* Memory of the guest as a quoted string. */
void strace_memory(struct words *w, const struct call *k, u64 addr, u64 len);
void strace_path(struct words *w, const struct call *k, u64 addr);
/* A string up to its NUL, of which as much as of any memory is shown. */
void strace_text(struct words *w, const struct call *k, u64 addr);
/* Of a string up to its NUL at most max bytes. */
void strace_string(struct words *w, const struct call *k, u64 addr, size_t max);
void strace_pointer(struct words *w, u64 v);
/* Hundredths of a second. */
void strace_ticks(struct words *w, u64 v);

/* ---- strace_structs.c ---- */
/* Prints one thing at addr; false, and nothing of it counts: it can't be read. */
typedef bool strace_fn(struct words *w, const struct call *k, u64 addr, unsigned arg);
struct strace_kind {
	const char *name;
	strace_fn *show;
	u32 size; /* of an element of an array; 0: never one */
};
/* What is at addr, which name says; n: how many, if it is an array; arg: the argument's index. */
void strace_struct(struct words *w, const struct call *k, const char *name, u64 addr, u64 n,
                   bool array, unsigned arg);
void strace_sigset(struct words *w, u64 set);
#define STRACE_READ(k, addr, p)                                               \
	do {                                                                  \
		if (user_copy_in((k)->c, (p), UADDR(addr), sizeof(*(p))) < 0) \
			return false;                                         \
	} while (0)
/* Each ends with one without a name. */
extern const struct strace_kind strace_kinds_net[], strace_kinds_task[], strace_kinds_ipc[],
	strace_kinds_file[];

/* ---- strace_layouts.c ---- */
/* A struct whose fields are printed by words. Its size, 0: there is none of the name. */
u32 strace_layout_size(const char *name);
/* The struct whose bytes are at p. */
void strace_layout(struct words *w, const struct call *k, const char *name, const u8 *p,
                   unsigned arg);

/* ---- strace_net.c ---- */
/* len bytes at p, which the guest calls a socket address. */
void strace_sockaddr(struct words *w, const void *p, size_t len);
void strace_msghdr(struct words *w, const struct call *k, u64 addr, u64 sent, u64 namelen,
                   bool filled);
/* ---- strace_netlink.c ---- */
/* Messages of netlink, len bytes at addr; false: they are none. */
bool strace_netlink(struct words *w, const struct call *k, u64 addr, u64 len);

/* ---- strace_siginfo.c ---- */
void strace_siginfo(struct words *w, const siginfo_t *i);

/* ---- strace_result.c ---- */
void strace_result(struct words *w, const struct call *k, const char *spec);

/* ---- strace_names.c ---- */
/* The bits of v that the table names, then what is left in hex. */
void strace_bits(struct words *w, const char *table, u64 v);
/* The name of the value, or the value. */
void strace_value(struct words *w, const char *table, u64 v);
/* The name of exactly v, or NULL. */
const char *strace_name(const char *table, u64 v);
const char *strace_signal_name(int signo, char buf[16]);
void strace_signal(struct words *w, int signo);
