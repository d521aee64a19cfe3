#pragma once
/*
 * pidfd_open(2): a process as a file. It stands for that one process: another one that gets its
 * number later is not meant.
 *
 * Locking: the state of the group under kernel->tasks_lock. Lifetime: an open file; it holds the
 * thread group, also past its end. Saved: the group unless it was reaped; then nothing is left of
 * it that could be asked for.
 */
#include "sentry/kernel/task.h"
#include "sentry/vfs/file.h"

struct pidfd {
	struct file file;
	struct thread_group *tg; /* owned, immutable; NULL: reaped before a save */
};
OBJECT_DECL(pidfd);

/* flags: O_NONBLOCK or 0. A reference for the caller. */
struct file *pidfd_create(struct ctx *c, struct thread_group *tg, u32 flags);
/* The file is a pidfd. */
bool file_is_pidfd(struct file *f);
/* The group that f stands for, borrowed. NULL: f is no pidfd, or it was reaped before a save. */
struct thread_group *pidfd_group(struct file *f);
/* Its first thread, a reference for the caller. -EBADF (no pidfd), -ESRCH (reaped). */
MUST_CHECK int pidfd_leader(struct file *f, struct task **ret);
