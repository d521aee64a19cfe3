#pragma once
/*
 * Leases (fcntl(2), F_SETLEASE): whoever holds one is told by a signal before somebody else opens
 * or truncates the file in a way that conflicts, who waits until it was given up or the time is
 * over (/proc/sys/fs/lease-break-time). A lease is an open description's; it does not keep it open.
 *
 * Locking: inode_locks->lock (RANK_FLOCK), with the file locks that hang there too. Lifetime: in
 * the inode's list until it is given up, or its description is gone. Saved: leases and how long
 * whoever breaks them has to wait, in the guest's monotonic time. Who waits asks again.
 */
#include "sentry/vfs/flock.h"

struct lease {
	struct obj obj;
	TAILQ_ENTRY(lease) link;
	struct file *file; /* weak: whose */
	s32 fd;            /* si_fd: the descriptor that it was first taken by */
	bool write;        /* F_WRLCK; else F_RDLCK */
	/* It is to be given up, or to become a read lease, by that time (0: no limit). */
	bool giving_up, downgrading;
	s64 give_up_at, downgrade_at;
};
OBJECT_DECL(lease);

struct file_owner;
/* F_SETLEASE with F_RDLCK, F_WRLCK or F_UNLCK. self is told from the first on, unless f has an
 * owner. -EACCES, -EAGAIN, -EINVAL. */
MUST_CHECK int lease_set(struct file *f, struct ctx *c, int fd, int type,
                         const struct file_owner *self);
/* F_GETLEASE: what it is, or is to become. */
int lease_type_of(struct file *f, struct ctx *c);
/*
 * i is about to be opened with these flags (only O_ACCMODE, O_TRUNC and O_NONBLOCK count) or
 * truncated (O_WRONLY). Holders of leases in the way are told, and awaited. Nobody takes one that
 * would be in the way before the caller, if this is 0, says that it has opened it, or could not.
 * -EWOULDBLOCK, -ERESTARTSYS.
 */
MUST_CHECK int lease_open(struct inode *i, struct ctx *c, u32 flags);
void lease_opened(struct inode *i, u32 flags);
/* f's last reference is gone. */
void lease_file_gone(struct file *f);
/* For flock.c, of an image's: -EBADMSG. */
MUST_CHECK int leases_after_load(struct loader *ld, struct inode_locks *l);
