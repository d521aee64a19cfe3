#pragma once
/*
 * How the calls that change credentials make a change known.
 *
 * Locking: the caller is the task itself. Lifetime, saved: see sentry/auth/creds.h.
 */
#include "sentry/auth/creds.h"
#include "sentry/kernel/task.h"

/* Replaces the caller's credentials; takes over the reference to new. */
void creds_publish(struct task *t, struct creds *new);
