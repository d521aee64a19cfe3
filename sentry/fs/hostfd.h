#pragma once
/*
 * The caller's standard input, output and error, passed through: host files, pipes, sockets and
 * terminals behind three slots of the machine.
 *
 * A hostnode is the inode of one slot, a hostfd an open description of it; /dev/stdout and its like
 * make more of them. The offset of a seekable descriptor is the host's own, since the caller shares
 * it; those opened by path count for themselves. Nothing blocks on the host: hostpoll wakes the
 * node's queue, reads and writes are tried with RWF_NOWAIT, or after poll(2) where the host's
 * kernel has no such thing. O_NONBLOCK is never set on a description that the caller may share.
 *
 * Processes that an exec brought in have slots of their own, as long as the machine lives.
 *
 * Locking: the host's; the table of slots has its own (RANK_LEAF). Lifetime: descriptors belong to
 * the machine and stay open. Saved: which slot it is, and the host's offset. A load binds to the
 * new machine's slot; the offset goes on where it was if both are seekable and the new file is at
 * least that long (a file opened with O_APPEND is written at its end whatever the offset). A slot
 * that the new machine lacks is as /dev/null: reads end, writes vanish.
 */
#include "sentry/fs/hosttty.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/inode.h"

#define HOST_SLOTS 3

struct machine;

struct hostnode {
	struct inode inode;
	u32 slot;            /* immutable */
	u64 owner;           /* 0: the first process's files; else an exec's number; immutable */
	bool host_seekable;  /* immutable */
	struct hosttty *tty; /* owned, immutable; NULL: no terminal */
	s64 host_pos;        /* only in an image */
	struct machine *machine;
	int fd;                /* owned; -1: the slot is empty */
	bool private_nonblock; /* fd never blocks and nobody else minds */
	struct waitq wait;
	int watch;
};
OBJECT_DECL(hostnode);

struct hostfd {
	struct file file;
	bool own_pos; /* opened by path: an offset of its own, in file.pos; immutable */
};
OBJECT_DECL(hostfd);

/*
 * A description of what fd refers to that nobody else has, with O_NONBLOCK, where the host can make
 * one (pipes, terminals); else a duplicate of fd. The caller owns it. Needs /proc, so before the
 * sandbox is entered. -errno of dup.
 */
MUST_CHECK int hostfd_private(int fd);

/* Opens the slots of owner: ret[i] NULL where a slot is empty, else a reference. Slots on the same
 * terminal share its state. console: the place of /dev/console in c's tree, which terminals are
 * found at, or NULL. */
void hostfd_open_stdio(struct kernel *k, u64 owner, const struct path *console,
                       struct file *ret[HOST_SLOTS]);
/* Standard files of exec number owner (consumed); forgotten when that is over, though what is open
 * stays open. -ENOMEM. */
MUST_CHECK int hostfd_add_exec(struct machine *m, u64 owner, const int fds[HOST_SLOTS]);
void hostfd_forget_exec(struct machine *m, u64 owner);
/* The machine's descriptor for a slot, or -1. */
int hostfd_slot(struct machine *m, u64 owner, u32 slot);
/* One of the descriptors is a terminal. */
bool hostfd_any_terminal(const int fds[HOST_SLOTS]);
/* The terminal among files made by hostfd_open_stdio that is to control the first session:
 * borrowed, or NULL. */
struct hosttty *hostfd_terminal(struct file *const files[HOST_SLOTS]);
/* open(2) of /dev/tty for a session that tty controls. -EIO (no such slot any more), -EACCES. */
MUST_CHECK int hostfd_open_terminal(struct hosttty *tty, struct ctx *c, const struct path *path,
                                    u32 flags, struct file **ret);
/* After a load, when the process tree is whole: tells guests whose terminal is another one now, of
 * another size. Also for SIGWINCH. */
void hostfd_look_at_sizes(struct kernel *k);
