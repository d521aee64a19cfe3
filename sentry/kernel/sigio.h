#pragma once
/*
 * Who a file's signals go to (fcntl(2): F_SETOWN and its kin), and sending them.
 *
 * Locking: takes the file's ep_lock and kernel->tasks_lock, one after the other.
 * Lifetime, saved: the file's; an owner is a number and when its process began.
 */
#include "sentry/kernel/task.h"
#include "sentry/vfs/fasync.h"

/* F_SETOWN: a process, or a group if negative; 0: nobody. -ESRCH, -EINVAL. */
MUST_CHECK long file_setown(struct file *f, struct ctx *c, s32 who);
/* O_ASYNC of a terminal's file: without an owner, its foreground group t is told, or the caller. t:
 * NULL for the master's end. */
void file_set_async_terminal(struct file *f, struct ctx *c, struct terminal *t);
struct file_owner;
/* The caller, as the owner of a file. */
void file_owner_of_caller(struct ctx *c, struct file_owner *ret);
/* Without an owner, the caller is told from now on. */
void file_own_by_default(struct file *f, struct ctx *c);
/* F_GETOWN: 0 if there is none any more. */
long file_getown(struct file *f, struct ctx *c);
/* F_SETOWN_EX, F_GETOWN_EX. */
MUST_CHECK long file_setown_ex(struct file *f, struct ctx *c, uaddr_t arg);
MUST_CHECK long file_getown_ex(struct file *f, struct ctx *c, uaddr_t arg);
