/* Reads and writes of the slave: what programs in a terminal do. */
#include "sentry/fs/tty/pty_impl.h"

#include "sentry/time/clock.h"
#include "state/base/cleanup.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>

#define WRITE_CHUNK 512u
#define TENTH_NS    (100 * NSEC_PER_MSEC)

/* ---- read ---- */

struct slave_read {
	struct uiter *dst;
	struct ctx *c;
	bool slept;            /* a hangup now came while it waited */
	bool now;              /* give what there is, be it nothing */
	struct deadline until; /* VTIME; NEVER: none runs */
};

/* Raw mode: 1 there is enough, 0 the read ends without more, -EAGAIN wait (until rd->until). */
static int raw_ready(struct pty *p, struct slave_read *rd, bool nonblock)
{
	const struct ttymodes *t = &p->term.termios;
	u32 min = t->cc[VMIN], time = t->cc[VTIME];
	u32 want = MIN(min ? min : 1u, (u32)MIN(uiter_count(rd->dst), (u64)LDISC_SIZE));

	rd->until = NEVER;
	if (p->ld.len >= want || rd->now)
		return 1;
	if (min == 0 && time == 0)
		return 0;
	if (nonblock)
		return p->ld.len > 0 ? 1 : -EAGAIN;
	if (min == 0) {
		rd->until = ctx_deadline(rd->c, time * TENTH_NS);
	} else if (time > 0 && p->ld.len > 0) {
		s64 end = p->ld.last_input + time * TENTH_NS;

		if (clock_mono(rd->c->clocks) >= end)
			return 1;
		rd->until = (struct deadline){.clock = CLOCK_MONOTONIC, .ns = end};
	}
	return -EAGAIN;
}

static long try_read(struct file *f, struct slave_read *rd)
{
	struct pty_file *pf = pty_file_of(f);
	struct pty *p = pf->pty;
	struct pty_wakes w = {0};
	u8 buf[LDISC_SIZE];
	bool eof = false, ready;
	u32 n = 0;
	int r = 1;

	mutex_lock(&p->lock);
	if (pty_file_hung(pf)) {
		mutex_unlock(&p->lock);
		return rd->slept ? -EIO : 0;
	}
	pty_pump(p, &w);
	if (ldisc_by_lines(&p->term.termios)) {
		rd->until = NEVER;
		ready = ldisc_readable(&p->ld, &p->term.termios, false);
		r = ready ? 1 : rd->now ? 0 : -EAGAIN;
	} else {
		r = raw_ready(p, rd, file_nonblock(f));
	}
	if (r < 0 && p->vacant)
		r = 0;
	if (r > 0) {
		n = ldisc_take(&p->ld, &p->term.termios, buf,
		               (u32)MIN(uiter_count(rd->dst), (u64)sizeof(buf)), &eof);
		pty_pump(p, &w);
		w.master |= READY_OUT;
	}
	mutex_unlock(&p->lock);
	pty_wake(p, &w);
	if (r < 0)
		return r;
	if (n == 0)
		return 0;
	return uiter_copy_out(rd->dst, buf, n);
}

static void waiter_drop(struct ctx_waiter *cw)
{
	waitq_remove(&cw->w);
}

long pty_slave_read(struct file *f, struct ctx *c, struct uiter *dst)
{
	__attribute__((cleanup(waiter_drop))) struct ctx_waiter cw = {0};
	struct pty *p = pty_file_of(f)->pty;
	struct slave_read rd = {.dst = dst, .c = c};
	long r = terminal_check_read(&p->term, c);

	if (r < 0)
		return r;
	if (uiter_count(dst) == 0)
		return 0;
	r = try_read(f, &rd);
	if (r != -EAGAIN || file_nonblock(f))
		return r;
	ctx_waiter_init(&cw, c);
	waitq_add(&p->slave_wait, &cw.w);
	for (;;) {
		int s;

		ctx_prepare(c);
		r = try_read(f, &rd);
		if (r != -EAGAIN)
			return r;
		s = ctx_sleep(c, rd.until);
		rd.slept = true;
		rd.now = s == -ETIMEDOUT;
		if (s < 0 && s != -ETIMEDOUT) {
			/* A signal ends a raw read with what there is. */
			if (!(atomic_load(&c->interrupt) & (INTERRUPT_SIGNAL | INTERRUPT_KILL)))
				return s;
			rd.now = true;
			r = try_read(f, &rd);
			return r > 0 ? r : s;
		}
	}
}

/* ---- write ---- */

struct slave_write {
	struct uiter *src;
	u64 done;
};

/* Moves a chunk: bytes of the writer's that went out; -EAGAIN when there is no room for one. */
static long write_chunk(struct pty *p, struct slave_write *wr, struct pty_wakes *w)
{
	u8 in[WRITE_CHUNK], out[WRITE_CHUNK * 2 + LDISC_EXPANSION];
	u32 n = 0, i, room;
	long got;

	if (p->stopped || p->output.len + LDISC_EXPANSION > PTY_WRITE_MAX)
		return -EAGAIN;
	got = uiter_copy_in(wr->src, in, MIN(uiter_count(wr->src), (u64)WRITE_CHUNK));
	if (got <= 0)
		return got < 0 ? got : -EFAULT;
	room = MIN((u32)sizeof(out), PTY_WRITE_MAX - p->output.len);
	for (i = 0; i < got && n + LDISC_EXPANSION <= room; i++)
		n += ldisc_output(&p->ld, &p->term.termios, in[i], out + n);
	if (i < got)
		uiter_revert(wr->src, (u64)(got - i));
	/* With nobody at the other end ever again it is as written. */
	if (!p->vacant)
		tty_ring_put(&p->output, out, n);
	wr->done += i;
	w->master |= READY_IN;
	return (long)i;
}

static long try_write(struct file *f, struct ctx *c, void *arg)
{
	struct pty_file *pf = pty_file_of(f);
	struct pty *p = pf->pty;
	struct slave_write *wr = arg;
	struct pty_wakes w = {0};
	long r = 0;

	mutex_lock(&p->lock);
	while (uiter_count(wr->src) > 0) {
		if (pty_file_hung(pf) || !p->has_master) {
			r = -EIO;
			break;
		}
		r = write_chunk(p, wr, &w);
		if (r < 0)
			break;
	}
	mutex_unlock(&p->lock);
	pty_wake(p, &w);
	if (r == -EAGAIN && file_nonblock(f) && wr->done > 0)
		return (long)wr->done;
	return r < 0 ? r : (long)wr->done;
}

long pty_slave_write(struct file *f, struct ctx *c, struct uiter *src)
{
	struct pty *p = pty_file_of(f)->pty;
	struct slave_write wr = {.src = src};
	bool tostop;
	u64 before;
	long r;

	mutex_lock(&p->lock);
	tostop = (p->term.termios.lflag & TOSTOP) != 0;
	mutex_unlock(&p->lock);
	if (tostop) {
		r = terminal_check_change(&p->term, c);
		if (r < 0)
			return r;
	}
	/* What an earlier entry of this very call wrote. */
	before = src->c ? MIN(ctx_done(c), uiter_count(src)) : 0;
	uiter_advance(src, before);
	r = file_block(f, c, &p->slave_wait, READY_OUT, try_write, &wr);
	if (r == -ERESTARTSYS && src->c)
		return ctx_partial(c, before + wr.done);
	return before + wr.done > 0 ? (long)(before + wr.done) : r;
}

u32 pty_slave_poll(struct file *f, struct poll_table *pt)
{
	struct pty_file *pf = pty_file_of(f);
	struct pty *p = pf->pty;
	u32 ev = 0;

	poll_add(pt, &p->slave_wait);
	GUARD(&p->lock);
	if (pty_file_hung(pf)) {
		ev = READY_IN | READY_OUT | EPOLLERR | EPOLLHUP;
	} else {
		if (p->vacant || ldisc_readable(&p->ld, &p->term.termios, true))
			ev |= READY_IN;
		if (!p->stopped && p->output.len + LDISC_EXPANSION <= PTY_WRITE_MAX)
			ev |= READY_OUT;
	}
	return ev;
}
