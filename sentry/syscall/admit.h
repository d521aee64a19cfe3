#pragma once
/*
 * Whether there is room for what a call is about to make. What guests make the sentry remember is
 * bounded in three ways: many things have limits of their own (descriptors, watches, queued bytes);
 * open files have one for all together (/proc/sys/fs/file-max); and everything together is bounded
 * by what the sentry's heap may be (mm/heap.h). The last two are looked at here, before the call,
 * so that nothing needs to be undone and no allocation in the middle of something has to fail.
 *
 * Locking: none. Lifetime: none. Saved: no.
 */
#include "sentry/kernel/task.h"

/* 0: go on; -ENFILE, -ENOMEM. */
MUST_CHECK int syscall_admit(struct task *t, u64 nr);
/* The call can make the sentry's memory grow for good. */
extern const u8 syscall_makes[];
