#pragma once
/*
 * POSIX message queues (mq_overview(7)): a file system whose files are queues, one for the sandbox.
 *
 * Locking: names as in tmpfs, from which all is derived; a queue's content and its notification
 * under its lock (RANK_FILE). Guest memory is never touched under it.
 * Lifetime: a queue is an inode; messages go with it. The file system lives as long as the kernel,
 * mounted or not. Saved: all of it but who waits: a parked task makes its call again.
 */
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/net/socket.h"
#include "sentry/vfs/file.h"

#include <mqueue.h>

#define MQ_PRIORITIES 32768u

struct mq_message {
	TAILQ_ENTRY(mq_message) link;
	u32 priority, len;
	u8 data[];
};
/* How an arrival is told: by signal, to a netlink socket (mq_notify(3) with SIGEV_THREAD), or not.
 */
#define MQ_COOKIE 32u
struct mq_notice {
	u32 signo; /* 0: no signal */
	u64 value;
	struct sock *sock; /* NULL, or a netlink socket, which gets the cookie */
	u8 cookie[MQ_COOKIE];
};
struct mq_inode {
	struct tmpfs_inode ti;
	struct mutex lock;
	u32 max_messages, max_size;                   /* immutable */
	TAILQ_HEAD(mq_messages, mq_message) messages; /* as they will be received */
	u32 count;
	u64 bytes;
	u32 receivers;     /* asleep: an arrival is theirs, and no notification */
	u32 notify_tgid;   /* whom an arrival is told to; 0: nobody */
	u32 notify_signal; /* 0: registered, but to be told nothing */
	u64 notify_value;
	struct sock *notify_sock; /* owned; NULL: no cookie */
	u8 notify_cookie[MQ_COOKIE];
	struct waitq wait;
};
OBJECT_DECL(mq_inode);

/* mq_open(3) short of the descriptor. attr NULL: the defaults. A reference. */
MUST_CHECK int mq_open_file(struct ctx *c, const char *name, int flags, u32 mode,
                            const struct mq_attr *attr, struct file **ret);
MUST_CHECK int mq_unlink_name(struct ctx *c, const char *name);
/* The queue that f is open on, or NULL. */
struct mq_inode *mq_of(struct file *f);
/* A message; taken over when it is sent (*m is NULL then). -EAGAIN, -EMSGSIZE, -ETIMEDOUT,
 * -ERESTARTSYS. */
MUST_CHECK int mq_send_message(struct file *f, struct ctx *c, struct mq_message **m,
                               struct deadline d);
/* The first message, the caller's from now on. */
MUST_CHECK int mq_receive_message(struct file *f, struct ctx *c, size_t room, struct deadline d,
                                  struct mq_message **ret);
/* The next arrival in an empty queue is told to the caller's process. n->sock is the caller's.
 * -EBUSY. */
MUST_CHECK int mq_register(struct file *f, struct ctx *c, const struct mq_notice *n);
/* tgid need not be told any more; that is all that a netlink socket is told. */
void mq_unregister(struct mq_inode *q, u32 tgid);
struct mq_message *mq_message_new(u32 len);
