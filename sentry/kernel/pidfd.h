#pragma once
/*
 * pidfd_open(2): a process as a file, or (PIDFD_THREAD) a thread. It stands for that one: another
 * one that gets its number later is not meant. A thread pidfd of the first thread follows that
 * number, as the process does, when another thread takes it over by execve.
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
	u32 tid;                 /* a thread that is not the first; 0: the first, or the process */
	s64 since;               /* its start_time */
};
OBJECT_DECL(pidfd);

/* What linux/pidfd.h calls PIDFD_THREAD; fcntl(2) shows it. */
#define PIDFD_OF_THREAD O_EXCL

/* flags: O_NONBLOCK, PIDFD_OF_THREAD; without the latter it is target's process. A reference for
 * the caller. */
struct file *pidfd_create(struct ctx *c, struct task *target, u32 flags);
/* The file is a pidfd. */
bool file_is_pidfd(struct file *f);
/* The group that f stands for, borrowed. NULL: f is no pidfd, or one of a thread that is not its
 * process's first, or it was reaped before a save. */
struct thread_group *pidfd_group(struct file *f);
/* The thread, or the first one of the process: a reference for the caller. -EBADF (no pidfd),
 * -ESRCH (gone). */
MUST_CHECK int pidfd_task(struct file *f, struct task **ret);
