#pragma once
/*
 * SECCOMP_SET_MODE_FILTER, which prctl(2) has too.
 *
 * Locking, lifetime, saved: see sentry/kernel/seccomp.h.
 */
#include "sentry/kernel/task.h"

/* Puts the guest's struct sock_fprog on t. As seccomp(2). */
MUST_CHECK long seccomp_set_filter(struct task *t, u64 flags, uaddr_t uprog);
