#pragma once
/*
 * Arguments that the calls that wait have in common.
 *
 * Locking, lifetime, saved: no state of their own.
 */
#include "sentry/syscall/sysarg.h"

/* A signal mask for the time of the call (ppoll, pselect6, epoll_pwait); NULL: the mask stays.
 * -EINVAL (size), -EFAULT. */
MUST_CHECK int sysarg_temp_mask(struct task *t, uaddr_t mask, size_t size);
/* A relative timespec, NULL for none, as the deadline of the call at hand. -EINVAL, -EFAULT. */
MUST_CHECK int sysarg_timeout(struct ctx *c, uaddr_t ts, struct deadline *ret);
