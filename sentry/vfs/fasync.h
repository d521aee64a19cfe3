#pragma once
/*
 * Signal-driven input and output (fcntl(2): F_SETOWN, F_SETSIG, O_ASYNC): a file tells its owner
 * when it becomes ready. A `struct fasync` hangs on the wait queues of its file, as an epoll item
 * does; a wake notes what became ready, and the waking thread sends the signal as soon as it holds
 * no lock (later.h).
 *
 * Locking: file and fd under lock (RANK_LEAF); the owner is the file's, under its ep_lock; due is
 * atomic. Lifetime: made when a file first gets an owner or O_ASYNC, owned by the file; its file
 * is a weak pointer, cleared before the file goes.
 * Saved: with its file; after a load it registers again, when all files are there.
 */
#include "sentry/ctx/waitq.h"
#include "sentry/vfs/file.h"
#include "state/base/later.h"

struct fasync_waiter;

struct fasync {
	struct obj obj;
	struct kernel *kernel;    /* immutable, weak */
	TAILQ_ENTRY(fasync) link; /* kernel->fasyncs */
	struct mutex lock;
	struct file *file; /* weak; NULL: gone */
	s32 fd;            /* si_fd: the descriptor that O_ASYNC was set by */
	struct fasync_waiter *waiters;
	struct later later;
	_Atomic u32 due; /* events since the last signal; not 0: later is on a list */
};
OBJECT_DECL(fasync);

/* Besides poll's bits in a wake: somebody had found no room before, or a pipe was read from. What
 * O_ASYNC calls writable, which Linux tells less often than poll's waiters. */
#define FASYNC_OUT EPOLLMSG

/* Whom a file tells. pid 0: nobody. */
struct file_owner {
	s32 type, pid; /* F_OWNER_* */
	s64 since;     /* when that process began: another one with its number is not meant */
	u32 uid, euid; /* of who chose it */
	s32 sig;       /* F_SETSIG; 0: SIGIO */
};

void file_get_owner(struct file *f, struct file_owner *ret);
/* All but sig. only_first: not if there is one. */
void file_set_owner(struct file *f, struct ctx *c, const struct file_owner *o, bool only_first);
void file_set_owner_sig(struct file *f, s32 sig);
/* O_ASYNC was set by this descriptor. f's type has set_async. */
void file_async_on(struct file *f, struct ctx *c, int fd);
/* A file_ops.set_async for files that need nothing more. */
void file_set_async(struct file *f, struct ctx *c, bool on);
/* f's last reference is gone. */
void fasync_file_gone(struct file *f);

/* A load, in two steps: f takes up its own, and when everything is there it hears of events. */
void fasync_file_loaded(struct file *f);
void fasync_attach_loaded(struct kernel *k);

/* Sends one signal about f to its owner: band and code (POLL_*) only tell what happened if the
 * owner chose a signal. No lock of RANK_TASKS or lower is held. Defined by sentry/kernel. */
void file_owner_signal(struct kernel *k, const struct file_owner *o, int code, s64 band, int fd);
/* SIGURG, if it has an owner. Defined by sentry/kernel. */
void file_owner_urgent(struct kernel *k, const struct file_owner *o);
