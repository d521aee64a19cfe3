#include "sentry/fs/pipe.h"
#include "sentry/fs/pipe_ring.h"

#include "proto/leaf.pb-c.h"
#include "sentry/auth/creds.h"
#include "sentry/kernel/kernel.h"
#include "sentry/vfs/fasync.h"
#include "sentry/vfs/inode.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

/* ---- read ---- */

static long read_some(struct pipe *p, struct uiter *dst)
{
	u64 want = uiter_count(dst);
	u64 done = 0;

	while (done < want && p->len > 0) {
		struct pipe_run *run = p->n_runs ? &p->runs[0] : NULL;
		u32 n = (u32)MIN(want - done, (u64)(run ? run->len : p->len));
		long r;

		if (run && run->packet && done > 0)
			break;
		r = pipe_ring_drain(p, dst, n);
		if (r < 0)
			return done ? (long)done : r;
		done += (u64)r;
		if (!run) {
			if (r < (long)n)
				break;
			continue;
		}
		run->len -= (u32)r;
		if (run->packet) {
			/* What the reader had no room for is lost with the packet. */
			pipe_ring_drop(p, run->len);
			pipe_run_shift(p);
			break;
		}
		if (run->len == 0)
			pipe_run_shift(p);
		if (r < (long)n)
			break;
	}
	return (long)done;
}

static long try_read(struct file *f, struct ctx *c, void *arg)
{
	struct pipe *p = ((struct pipe_file *)f)->pipe;
	struct uiter *dst = arg;
	bool was_full;
	long r;

	mutex_lock(&p->lock);
	if (p->len == 0) {
		r = p->writers ? -EAGAIN : 0;
		mutex_unlock(&p->lock);
		return r;
	}
	/* A writer can only sleep while less than PIPE_BUF is free (or all packet slots are taken).
	 */
	was_full = pipe_ring_free(p) < PIPE_BUF || pipe_slots_full(p);
	r = read_some(p, dst);
	mutex_unlock(&p->lock);
	if (r > 0)
		waitq_wake(&p->writable, was_full ? READY_OUT | FASYNC_OUT : FASYNC_OUT);
	return r;
}

static long pipe_read(struct file *f, struct ctx *c, struct uiter *dst, s64 *pos)
{
	struct pipe *p = ((struct pipe_file *)f)->pipe;

	if (uiter_count(dst) == 0)
		return 0;
	return file_block(f, c, &p->readable, READY_IN | EPOLLHUP, try_read, dst);
}

/* ---- write ---- */

struct pipe_write {
	struct uiter *src;
	u64 total; /* of the whole call: up to PIPE_BUF is atomic */
	u64 done;
	bool some; /* ends with what there is room for, atomic or not */
};

/* Appends what it can. -EAGAIN: no room for more now. */
static long try_write(struct file *f, struct ctx *c, void *arg)
{
	struct pipe *p = ((struct pipe_file *)f)->pipe;
	struct pipe_write *w = arg;
	bool packets = (file_flags(f) & O_DIRECT) != 0;
	bool moved = false;
	long r = 0;

	mutex_lock(&p->lock);
	for (;;) {
		u64 left = w->total - w->done;
		u64 n = MIN(left, (u64)pipe_ring_free(p));

		if (p->readers == 0) {
			r = -EPIPE;
			break;
		}
		if (left == 0)
			break;
		if (packets) {
			n = MIN(left, (u64)PIPE_BUF);
			if (pipe_ring_free(p) < n || pipe_slots_full(p))
				n = 0;
		} else if (w->some ? n < PIPE_BUF && n < left && pipe_ring_free(p) < PIPE_BUF
		                   : w->total <= PIPE_BUF && n < left) {
			n = 0;
		}
		if (n == 0) {
			r = w->some && w->done ? 0 : -EAGAIN;
			break;
		}
		r = pipe_ring_fill(p, w->src, (u32)n);
		if (r <= 0) {
			r = r < 0 ? r : -EFAULT;
			break;
		}
		pipe_runs_wrote(p, (u32)r, packets);
		w->done += (u64)r;
		moved = true;
		if ((u64)r < n) {
			r = -EFAULT;
			break;
		}
		r = 0;
	}
	mutex_unlock(&p->lock);
	if (moved)
		waitq_wake(&p->readable, READY_IN);
	return r;
}

long pipe_write_some(struct file *f, struct ctx *c, struct uiter *src)
{
	struct pipe *p = ((struct pipe_file *)f)->pipe;
	struct pipe_write w = {.src = src, .total = uiter_count(src), .some = true};
	long r;

	if (w.total == 0)
		return 0;
	r = file_block(f, c, &p->writable, READY_OUT | EPOLLERR, try_write, &w);
	if (r == -EPIPE)
		ctx_signal_self(c, SIGPIPE);
	return w.done > 0 ? (long)w.done : r;
}

static long pipe_write(struct file *f, struct ctx *c, struct uiter *src, s64 *pos)
{
	struct pipe *p = ((struct pipe_file *)f)->pipe;
	struct pipe_write w = {.src = src, .total = uiter_count(src)};
	long r;

	if (w.total == 0)
		return 0;
	/* Only a write of guest memory is the call itself; sendfile and splice count on their own.
	 */
	if (src->c) {
		w.done = MIN(ctx_done(c), w.total);
		uiter_advance(src, w.done);
	}
	r = file_block(f, c, &p->writable, READY_OUT | EPOLLERR, try_write, &w);
	if (r == -EPIPE)
		ctx_signal_self(c, SIGPIPE);
	if (r == -ERESTARTSYS && src->c)
		return ctx_partial(c, w.done);
	if (w.done > 0)
		return (long)w.done;
	return r;
}

/* ---- readiness and control ---- */

static u32 pipe_poll(struct file *f, struct poll_table *pt)
{
	struct pipe_file *pf = (struct pipe_file *)f;
	struct pipe *p = pf->pipe;
	u32 ev = 0;

	if (file_readable(f))
		poll_add(pt, &p->readable);
	if (file_writable(f))
		poll_add(pt, &p->writable);
	GUARD(&p->lock);
	if (file_readable(f)) {
		if (p->len > 0)
			ev |= READY_IN;
		if (p->writers == 0 && (!pf->fifo || p->writer_opens != pf->no_hup_before))
			ev |= EPOLLHUP;
	}
	if (file_writable(f)) {
		if (pipe_ring_free(p) >= PIPE_BUF && !pipe_slots_full(p))
			ev |= READY_OUT;
		/* Linux says so only of a pipe that no reader has; a FIFO opened O_RDWR has itself.
		 */
		if (p->readers == 0)
			ev |= EPOLLERR;
	}
	return ev;
}

static long pipe_ioctl(struct file *f, struct ctx *c, u32 cmd, u64 arg)
{
	struct pipe *p = ((struct pipe_file *)f)->pipe;
	u32 n;

	if (cmd != FIONREAD)
		return -ENOTTY;
	mutex_lock(&p->lock);
	n = p->len;
	mutex_unlock(&p->lock);
	return user_put_u32(c, UADDR(arg), n);
}

static void pipe_link_name(struct file *f, char *buf, size_t size)
{
	snprintf(buf, size, "pipe:[%llu]", (unsigned long long)f->inode->ino);
}

/* ---- ends ---- */

static void end_open(struct pipe *p, u32 acc)
{
	if (acc != O_WRONLY) {
		p->readers++;
		p->reader_opens++;
	}
	if (acc != O_RDONLY) {
		p->writers++;
		p->writer_opens++;
	}
}

static void end_close(struct pipe *p, u32 acc)
{
	bool last_reader, last_writer;

	mutex_lock(&p->lock);
	last_reader = acc != O_WRONLY && --p->readers == 0;
	last_writer = acc != O_RDONLY && --p->writers == 0;
	/* A FIFO that nobody has open forgets what was in it. */
	if (p->readers == 0 && p->writers == 0) {
		p->len = p->head = 0;
		p->n_runs = 0;
	}
	mutex_unlock(&p->lock);
	if (last_writer)
		waitq_wake(&p->readable, READY_IN | EPOLLHUP);
	if (last_reader)
		waitq_wake(&p->writable, READY_OUT | EPOLLERR | FASYNC_OUT);
}

static struct file *end_new(struct pipe *p, u32 flags, const struct path *path, struct inode *inode,
                            bool fifo)
{
	struct pipe_file *pf = obj_new(pipe_file);

	file_setup(&pf->file, flags, path, inode);
	pf->pipe = pipe_get(p);
	pf->fifo = fifo;
	return &pf->file;
}

struct pipe *pipe_new(void)
{
	struct pipe *p = obj_new(pipe);

	p->size = PIPE_DEFAULT_SIZE;
	return p;
}

/* What an inode holds: a FIFO's from its first open on; a pipe's too, for /proc/PID/fd/N. */
struct fifo {
	struct inode_extra extra;
	struct pipe *pipe;
};
OBJECT_DECL(fifo);

int pipe_create(struct ctx *c, u32 flags, struct file **ret_read, struct file **ret_write)
{
	AUTO(pipe) p = pipe_new();
	AUTO(inode) inode = anon_inode_new(c->kernel, S_IFIFO | 0600);
	struct fifo *fifo = obj_new(fifo);
	u32 status = flags & (O_NONBLOCK | O_DIRECT);

	fifo->pipe = pipe_get(p);
	inode->extra = &fifo->extra;
	inode->uid = c->creds->fsuid;
	inode->gid = c->creds->fsgid;
	end_open(p, O_RDONLY);
	end_open(p, O_WRONLY);
	*ret_read = end_new(p, O_RDONLY | (status & O_NONBLOCK), NULL, inode, false);
	*ret_write = end_new(p, O_WRONLY | status, NULL, inode, false);
	return 0;
}

/* Sleeps until *opens is no longer seen, or the other side is there. */
static int wait_for_peer(struct pipe *p, struct ctx *c, const u32 *opens, u32 seen,
                         const u32 *present)
{
	struct ctx_waiter cw;
	int r = 0;

	ctx_waiter_init(&cw, c);
	for (;;) {
		bool there;

		ctx_prepare(c);
		if (!cw.w.q)
			waitq_add(&p->opened, &cw.w);
		mutex_lock(&p->lock);
		there = *opens != seen || *present > 0;
		mutex_unlock(&p->lock);
		/* Before the interrupt: a peer that came must not find us gone again. */
		if (there)
			r = 0;
		if (there || r < 0)
			break;
		r = ctx_sleep(c, NEVER);
	}
	waitq_remove(&cw.w);
	return r;
}

int pipe_open_fifo(struct pipe *p, struct ctx *c, u32 flags, const struct path *path,
                   struct inode *inode, struct file **ret)
{
	u32 acc = flags & O_ACCMODE;
	u32 seen_readers, seen_writers, no_hup = 0;
	struct file *f;
	/* A pipe's end that is opened again, through /proc/PID/fd, waits for nobody. */
	bool fifo = inode->sb != NULL, wait = false;
	int r;

	mutex_lock(&p->lock);
	if (fifo && acc == O_WRONLY && (flags & O_NONBLOCK) && p->readers == 0) {
		mutex_unlock(&p->lock);
		return -ENXIO;
	}
	end_open(p, acc);
	seen_readers = p->reader_opens;
	seen_writers = p->writer_opens;
	if (fifo && acc == O_RDONLY && p->writers == 0) {
		no_hup = p->writer_opens;
		wait = !(flags & O_NONBLOCK);
	}
	if (fifo && acc == O_WRONLY && p->readers == 0)
		wait = true;
	mutex_unlock(&p->lock);
	waitq_wake(&p->opened, ~0u);
	if (wait) {
		r = acc == O_RDONLY
		            ? wait_for_peer(p, c, &p->writer_opens, seen_writers, &p->writers)
		            : wait_for_peer(p, c, &p->reader_opens, seen_readers, &p->readers);
		if (r < 0) {
			end_close(p, acc);
			return r;
		}
		/* It waited for a writer, so the next end of all writers is a hang-up. */
		no_hup = seen_writers;
	}
	f = end_new(p, flags & ~(u32)(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC), path, inode, fifo);
	((struct pipe_file *)f)->no_hup_before = no_hup;
	*ret = f;
	return 0;
}

/* The inode's pipe, with a reference; one that nobody has open is empty. */
static struct pipe *fifo_pipe(struct inode *inode)
{
	struct fifo *fifo;

	GUARD(&inode->lock);
	if (!inode->extra) {
		fifo = obj_new(fifo);
		fifo->pipe = pipe_new();
		inode->extra = &fifo->extra;
	}
	fifo = obj_cast(fifo, inode->extra);
	return fifo ? pipe_get(fifo->pipe) : NULL;
}

static int fifo_open(struct inode *inode, struct ctx *c, const struct path *path, u32 flags,
                     struct file **ret)
{
	AUTO(pipe) p = fifo_pipe(inode);

	if (!p)
		return -ENXIO;
	return pipe_open_fifo(p, c, flags, path, inode, ret);
}
SPECIAL_FILE(fifo_special, .type = S_IFIFO, .major = -1, .open = fifo_open);

/* ---- objects ---- */

static void fifo_destroy(void *o)
{
	pipe_put(((struct fifo *)o)->pipe);
}

static int fifo_after_load(struct loader *l, void *o)
{
	return ((struct fifo *)o)->pipe ? 0 : loader_error(l, "FIFO without a pipe");
}

#define FIFO_FIELDS(F)              \
	F(BASE, extra, inode_extra) \
	F(REF, pipe, pipe)
OBJECT_TYPE(fifo, Sentry__Fifo, sentry__fifo__descriptor, FIFO_FIELDS, .base = &inode_extra_type,
            .destroy = fifo_destroy, .after_load = fifo_after_load);

static void pipe_init(void *o)
{
	struct pipe *p = o;

	mutex_init(&p->lock, RANK_PIPE);
	waitq_init(&p->readable);
	waitq_init(&p->writable);
	waitq_init(&p->opened);
}

static void pipe_destroy(void *o)
{
	struct pipe *p = o;

	free(p->ring);
	free(p->runs);
}

static int pipe_save_ring(struct saver *s, const struct pipe *p, Sentry__Pipe *m)
{
	u32 first = MIN(p->len, p->ring_size - p->head);
	u8 *data = saver_alloc(s, p->len);

	if (p->len > 0) {
		memcpy(data, p->ring + p->head, first);
		memcpy(data + first, p->ring, p->len - first);
	}
	m->ring.data = data;
	m->ring.len = p->len;
	return 0;
}

static int pipe_load_ring(struct loader *l, struct pipe *p, const Sentry__Pipe *m)
{
	if (p->size < PAGE_SIZE || p->size > GIB || (p->size & (p->size - 1)) != 0 ||
	    m->ring.len > p->size + PIPE_OVER_MAX)
		return loader_error(l, "pipe: capacity %u, content %zu", p->size, m->ring.len);
	if (m->ring.len > 0) {
		pipe_ring_make(p, (u32)m->ring.len);
		memcpy(p->ring, m->ring.data, m->ring.len);
		p->len = (u32)m->ring.len;
	}
	return 0;
}

static void pipe_sample_ring(struct sampler *sp, struct pipe *p)
{
	p->size = PIPE_DEFAULT_SIZE;
	pipe_ring_make(p, 8);
	memcpy(p->ring, "contents", 8);
	p->len = 8;
}

static int pipe_save_runs(struct saver *s, const struct pipe *p, Sentry__Pipe *m)
{
	m->n_runs = p->n_runs;
	m->runs = saver_alloc(s, p->n_runs * sizeof(*m->runs));
	for (u32 i = 0; i < p->n_runs; i++)
		m->runs[i] = p->runs[i].len << 1 | p->runs[i].packet;
	return 0;
}

static int pipe_load_runs(struct loader *l, struct pipe *p, const Sentry__Pipe *m)
{
	u64 sum = 0;

	for (size_t i = 0; i < m->n_runs; i++) {
		pipe_run_append(p, m->runs[i] >> 1, m->runs[i] & 1);
		sum += m->runs[i] >> 1;
	}
	if (m->n_runs > 0 && sum != p->len)
		return loader_error(l, "pipe: runs of %llu bytes for %u", (unsigned long long)sum,
		                    p->len);
	return 0;
}

static void pipe_sample_runs(struct sampler *sp, struct pipe *p)
{
	pipe_run_append(p, 3, true);
	pipe_run_append(p, 5, false);
}

#define PIPE_FIELDS(F)                                         \
	F(HDR, obj)                                            \
	F(SKIP, lock)                                          \
	F(SKIP, readable)                                      \
	F(SKIP, writable)                                      \
	F(SKIP, opened)                                        \
	F(VAL, size)                                           \
	F(SKIP, ring_size) /* as large as the content needs */ \
	F(CUSTOM, ring, pipe)                                  \
	F(SKIP, head)                                          \
	F(SKIP, len) /* the saved content starts at 0 */       \
	F(CUSTOM, runs, pipe)                                  \
	F(SKIP, n_runs)                                        \
	F(SKIP, max_runs) /* with runs */                      \
	F(SKIP, readers)                                       \
	F(SKIP, writers) /* rebuilt by pipe_file */            \
	F(VAL, reader_opens) F(VAL, writer_opens)
OBJECT_TYPE(pipe, Sentry__Pipe, sentry__pipe__descriptor, PIPE_FIELDS, .init = pipe_init,
            .destroy = pipe_destroy);

static void pipe_file_destroy(void *o)
{
	struct pipe_file *pf = o;

	if (!pf->pipe)
		return;
	end_close(pf->pipe, file_flags(&pf->file) & O_ACCMODE);
	pipe_put(pf->pipe);
}

static int pipe_file_save_pipe(struct saver *s, const struct pipe_file *pf, Sentry__PipeFile *m)
{
	m->pipe = saver_ref(s, pf->pipe);
	return 0;
}

/* The end counts at once: an epoll may ask before its after_load. */
static int pipe_file_load_pipe(struct loader *l, struct pipe_file *pf, const Sentry__PipeFile *m)
{
	u32 acc = file_flags(&pf->file) & O_ACCMODE;
	int r = loader_ref(l, m->pipe, &pipe_type, &pf->pipe);

	if (r < 0)
		return r;
	if (!pf->pipe)
		return loader_error(l, "pipe end without a pipe");
	if (acc != O_WRONLY)
		pf->pipe->readers++;
	if (acc != O_RDONLY)
		pf->pipe->writers++;
	return 0;
}

static void pipe_file_sample_pipe(struct sampler *sp, struct pipe_file *pf)
{
	pf->pipe = sampler_ref(sp, &pipe_type);
}

static const struct file_ops pipe_file_ops = {
	.id = {.describe = file_describe},
	.read = pipe_read,
	.write = pipe_write,
	.poll = pipe_poll,
	.ioctl = pipe_ioctl,
	.set_async = file_set_async,
	.link_name = pipe_link_name,
};

#define PIPE_FILE_FIELDS(F)        \
	F(BASE, file, file)        \
	F(CUSTOM, pipe, pipe_file) \
	F(VAL, no_hup_before)      \
	F(VAL, fifo)
OBJECT_TYPE(pipe_file, Sentry__PipeFile, sentry__pipe_file__descriptor, PIPE_FILE_FIELDS,
            .base = &file_type, .ops = &pipe_file_ops, .destroy = pipe_file_destroy);

struct pipe *pipe_of(struct file *f)
{
	struct pipe_file *pf = obj_cast(pipe_file, f);

	return pf ? pf->pipe : NULL;
}
