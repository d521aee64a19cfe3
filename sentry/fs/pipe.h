#pragma once
/*
 * Pipes and FIFOs (pipe(7), fifo(7)): a ring of bytes between open descriptions, with packet
 * boundaries for writers that asked for O_DIRECT.
 *
 * Locking: pipe->lock (RANK_PIPE); user copies run under it. Counts of open ends are guarded by it.
 * Lifetime: refcounted; every open end holds a reference, a FIFO's inode another while it is open.
 * Saved: capacity, content, boundaries; the counts of ends are rebuilt from the files.
 */
#include "sentry/vfs/file.h"

#define PIPE_DEFAULT_SIZE (16 * PAGE_SIZE)
#define PIPE_OVER_MAX     (16 * MIB) /* what splices may put in beyond the capacity, together */

/* A run of bytes in the ring that a read may not cross (packet), or of plain stream bytes. */
struct pipe_run {
	u32 len;
	bool packet;
};

struct pipe {
	struct obj obj;
	struct mutex lock; /* RANK_PIPE */
	struct waitq readable, writable;
	struct waitq opened; /* FIFO opens that wait for the other side */
	u32 size;            /* capacity in bytes: a power of two of pages */
	u32 ring_size;       /* bytes that ring has now; grows to size as needed */
	u8 *ring;
	u32 head;              /* where the next read starts */
	u32 len;               /* bytes in it */
	struct pipe_run *runs; /* n_runs cover the len bytes; 0 runs: all of it is stream */
	u32 n_runs, max_runs;
	u32 readers, writers;           /* open ends */
	u32 reader_opens, writer_opens; /* ever: a FIFO open waits for its other side to move */
};
OBJECT_DECL(pipe);

struct pipe_file {
	struct file file;
	struct pipe *pipe;
	/* writer_opens when a FIFO's read end was opened without a writer: no POLLHUP until one
	 * came. */
	u32 no_hup_before;
	bool fifo; /* opened by path */
};
OBJECT_DECL(pipe_file);

struct pipe *pipe_new(void);

/* pipe2(2): both ends; flags: O_NONBLOCK, O_DIRECT. References for the caller. */
MUST_CHECK int pipe_create(struct ctx *c, u32 flags, struct file **ret_read,
                           struct file **ret_write);

/*
 * open(2) of a FIFO whose permissions were checked: waits for the other side as fifo(7) says.
 * -ENXIO (O_WRONLY | O_NONBLOCK and no reader), -ERESTARTSYS. A reference for the caller.
 */
MUST_CHECK int pipe_open_fifo(struct pipe *p, struct ctx *c, u32 flags, const struct path *path,
                              struct inode *inode, struct file **ret);

/* The pipe of an open file, or NULL: for splice, tee and fcntl. Borrowed. */
struct pipe *pipe_of(struct file *f);
/* What fits of src once anything does, as splice(2) and vmsplice(2) write: bytes, -EAGAIN
 * (O_NONBLOCK), -EPIPE with SIGPIPE, -ERESTARTSYS. */
MUST_CHECK long pipe_write_some(struct file *f, struct ctx *c, struct uiter *src);
/* Puts back what was just read and found no taker. */
void pipe_unread(struct file *f, const void *buf, u32 n);
/* F_GETPIPE_SZ, F_SETPIPE_SZ: the capacity. -EBUSY (holds more), -EPERM, -EINVAL. */
MUST_CHECK long pipe_get_size(struct pipe *p);
MUST_CHECK long pipe_set_size(struct pipe *p, struct ctx *c, u64 size);
/* tee(2): bytes that were copied from in to out and stayed in in; 0 at the end of in. -EAGAIN
 * (nonblock), -EPIPE with SIGPIPE, -ERESTARTSYS. in and out differ. */
MUST_CHECK long pipe_tee(struct pipe *in, struct pipe *out, struct ctx *c, u64 len, bool nonblock);
