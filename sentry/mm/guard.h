#pragma once
/*
 * Accesses to memory that may turn out not to be there (SIGSEGV, SIGBUS): the file behind a mapping
 * was cut short, or the host has no page left. Each says how much it did not do instead of crashing
 * the sentry. Faults anywhere else still crash.
 *
 * Locking: none. Lifetime: guard_init once, before the first access. Saved: no.
 */
#include "state/base/types.h"

/* Installs the handlers. */
MUST_CHECK int guard_init(void);
/* Where the calling thread's last access failed because the host had no page (SIGBUS), if that was
 * since it asked last; else 0. */
u64 guard_take_bus(void);

/* Bytes not copied: 0 is success; otherwise an upper bound, at the end of the range. */
MUST_CHECK u64 guard_copy(void *dst, const void *src, u64 len);
MUST_CHECK u64 guard_zero(void *dst, u64 len);
/* Copies up to and with the first NUL; returns bytes not looked at, with *ret_found if there was a
 * NUL (then it is what lies behind it). On a fault: bytes left and *ret_fault set. */
MUST_CHECK u64 guard_str(char *dst, const char *src, u64 len, bool *ret_found, bool *ret_fault);
/* 0 or -EFAULT. */
MUST_CHECK int guard_load_u32(const void *p, u32 *ret);
/* Compare and swap, sequentially consistent: *ret_old is what was found. */
MUST_CHECK int guard_cmpxchg_u32(void *p, u32 old, u32 new, u32 *ret_old);
