#pragma once
/*
 * The capability part of prctl(2): each is the result of the call with the same name.
 *
 * Locking: the caller is the task itself. Lifetime, saved: see sentry/auth/creds.h.
 */
#include "sentry/kernel/task.h"

long cap_bounding_drop(struct task *t, u64 cap);
long cap_ambient(struct task *t, u64 what, u64 cap);
long cap_set_securebits(struct task *t, u64 bits);
long cap_set_keep(struct task *t, u64 on);
long cap_get_keep(struct task *t);
