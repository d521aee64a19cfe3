/* Reads and writes of the master: what terminal emulators do. */
#include "sentry/fs/tty/pty_impl.h"

#include "state/base/cleanup.h"

#include <asm/ioctls.h>

#define CHUNK 4096u

/* The slave was opened once and is not open any more. lock held. */
static bool other_closed(const struct pty *p)
{
	return p->slave_opened && p->slaves == 0;
}

static long try_read(struct file *f, struct ctx *c, void *arg)
{
	struct pty *p = pty_file_of(f)->pty;
	struct uiter *dst = arg;
	u8 buf[1 + CHUNK];
	u32 head = 0, n, room;
	long r;

	mutex_lock(&p->lock);
	if (p->packet && p->packet_status) {
		buf[0] = (u8)p->packet_status;
		p->packet_status = 0;
		mutex_unlock(&p->lock);
		return uiter_copy_out(dst, buf, 1);
	}
	if (p->packet)
		buf[head++] = TIOCPKT_DATA;
	room = (u32)MIN(uiter_count(dst), (u64)CHUNK);
	n = tty_ring_peek(&p->output, buf + head, room - (room ? head : 0));
	tty_ring_drop(&p->output, n);
	if (n == 0 && p->output.len == 0)
		r = other_closed(p) ? -EIO : -EAGAIN;
	else
		r = head + n;
	mutex_unlock(&p->lock);
	if (r < 0)
		return r;
	waitq_wake(&p->slave_wait, READY_OUT);
	return uiter_copy_out(dst, buf, (size_t)r);
}

long pty_master_read(struct file *f, struct ctx *c, struct uiter *dst)
{
	if (uiter_count(dst) == 0)
		return 0;
	return file_block(f, c, &pty_file_of(f)->pty->master_wait, READY_IN, try_read, dst);
}

struct master_write {
	struct uiter *src;
	u64 done;
};

static long try_write(struct file *f, struct ctx *c, void *arg)
{
	struct pty *p = pty_file_of(f)->pty;
	struct master_write *wr = arg;
	struct pty_wakes w = {0};
	long r = 0;

	mutex_lock(&p->lock);
	while (uiter_count(wr->src) > 0) {
		u8 buf[CHUNK];

		if (p->master_stopped) {
			r = -EAGAIN;
			break;
		}
		pty_pump(p, &w);
		r = uiter_copy_in(
			wr->src, buf,
			MIN(MIN(uiter_count(wr->src), (u64)CHUNK), (u64)tty_ring_room(&p->input)));
		if (tty_ring_room(&p->input) == 0)
			r = -EAGAIN;
		else if (r == 0)
			r = -EFAULT;
		if (r < 0)
			break;
		tty_ring_put(&p->input, buf, (u32)r);
		wr->done += (u64)r;
		r = 0;
	}
	pty_pump(p, &w);
	mutex_unlock(&p->lock);
	pty_wake(p, &w);
	if (r == -EAGAIN && file_nonblock(f) && wr->done > 0)
		return (long)wr->done;
	return r < 0 ? r : (long)wr->done;
}

long pty_master_write(struct file *f, struct ctx *c, struct uiter *src)
{
	struct pty *p = pty_file_of(f)->pty;
	struct master_write wr = {.src = src};
	u64 before = src->c ? MIN(ctx_done(c), uiter_count(src)) : 0;
	long r;

	uiter_advance(src, before);
	r = file_block(f, c, &p->master_wait, READY_OUT, try_write, &wr);
	if (r == -ERESTARTSYS && src->c)
		return ctx_partial(c, before + wr.done);
	return before + wr.done > 0 ? (long)(before + wr.done) : r;
}

u32 pty_master_poll(struct file *f, struct poll_table *pt)
{
	struct pty *p = pty_file_of(f)->pty;
	u32 ev = 0;

	poll_add(pt, &p->master_wait);
	GUARD(&p->lock);
	if (p->packet && p->packet_status)
		ev |= EPOLLPRI | READY_IN;
	if (p->output.len > 0)
		ev |= READY_IN;
	if (other_closed(p))
		ev |= EPOLLHUP;
	if (!p->master_stopped && tty_ring_room(&p->input) > 0)
		ev |= READY_OUT;
	return ev;
}
