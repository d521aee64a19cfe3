/* Ptys: the object, what passes between its ends, opening and closing. */
#include "sentry/fs/tty/pty_impl.h"
#include "sentry/fs/tty/tty_ioctl.h"

#include "sentry/auth/creds.h"
#include "sentry/fs/tty/devpts.h"
#include "sentry/time/clock.h"
#include "state/base/cleanup.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/sysmacros.h>

#define PTS_MAJOR 136u

void pty_wake(struct pty *p, const struct pty_wakes *w)
{
	if (w->slave)
		waitq_wake(&p->slave_wait, w->slave);
	if (w->master)
		waitq_wake(&p->master_wait, w->master);
}

void pty_note_packet(struct pty *p, u32 set, u32 clear, struct pty_wakes *w)
{
	if (!p->packet)
		return;
	p->packet_status = (p->packet_status & ~clear) | set;
	w->master |= READY_IN | EPOLLPRI;
}

/* ---- what the line discipline asks for ---- */

/* The discipline's owner during one pump. */
struct pump {
	struct pty *p;
	struct pty_wakes *w;
};

static void pump_echo(void *owner, const u8 *b, u32 n)
{
	struct pump *u = owner;

	tty_ring_put(u->p->stopped ? &u->p->echo : &u->p->output, b, n);
	u->w->master |= READY_IN;
}

void pty_flush_input(struct pty *p, struct pty_wakes *w)
{
	ldisc_flush(&p->ld);
	tty_ring_finish(&p->input);
	w->master |= READY_OUT;
	pty_note_packet(p, TIOCPKT_FLUSHREAD, 0, w);
}

void pty_flush_output(struct pty *p, struct pty_wakes *w)
{
	u8 keep[PTY_RECEIVED];
	u32 n = tty_ring_peek(&p->output, keep, sizeof(keep));

	tty_ring_finish(&p->output);
	tty_ring_put(&p->output, keep, n);
	tty_ring_finish(&p->echo);
	w->slave |= READY_OUT;
	pty_note_packet(p, TIOCPKT_FLUSHWRITE, 0, w);
}

static void pump_signal(void *owner, int signo, bool flush)
{
	struct pump *u = owner;

	terminal_signal(&u->p->term, u->p->kernel, signo);
	if (!flush)
		return;
	ldisc_flush(&u->p->ld);
	pty_flush_output(u->p, u->w);
	pty_note_packet(u->p, TIOCPKT_FLUSHREAD, 0, u->w);
}

void pty_set_stopped(struct pty *p, bool stopped, struct pty_wakes *w)
{
	u8 buf[256];
	u32 n;

	if (p->stopped == stopped)
		return;
	p->stopped = stopped;
	pty_note_packet(p, stopped ? TIOCPKT_STOP : TIOCPKT_START,
	                stopped ? TIOCPKT_START : TIOCPKT_STOP, w);
	if (stopped)
		return;
	while ((n = tty_ring_peek(&p->echo, buf, sizeof(buf))) > 0) {
		tty_ring_put(&p->output, buf, n);
		tty_ring_drop(&p->echo, n);
	}
	w->slave |= READY_OUT;
	w->master |= READY_IN;
}

static void pump_flow(void *owner, bool on)
{
	struct pump *u = owner;

	/* What TCOOFF stopped, only TCOON starts. */
	if (!u->p->tco_stopped)
		pty_set_stopped(u->p, !on, u->w);
}

static bool pump_stopped(void *owner)
{
	return ((struct pump *)owner)->p->stopped;
}

static const struct ldisc_ops pump_ops = {
	.echo = pump_echo,
	.signal = pump_signal,
	.flow = pump_flow,
	.stopped = pump_stopped,
};

void pty_pump(struct pty *p, struct pty_wakes *w)
{
	struct pump u = {p, w};
	struct ldisc_io io = {&p->ld, &p->term.termios, &pump_ops, &u};
	u32 before = p->input.len;

	while (p->input.len > 0 && ldisc_receive(&io, tty_ring_at(&p->input, 0))) {
		/* A signal character may have flushed it. */
		if (p->input.len > 0)
			tty_ring_drop(&p->input, 1);
	}
	if (p->input.len == before)
		return;
	p->ld.last_input = clock_mono(&p->kernel->clocks);
	w->slave |= READY_IN;
	w->master |= READY_OUT;
}

void pty_set_termios(struct pty *p, const struct ttymodes *t, struct pty_wakes *w)
{
	struct ttymodes old = p->term.termios, new = *t;
	bool was, is;

	tty_keep_locked(&p->term, &old, &new);
	new.cflag = (new.cflag & ~(u32)(CSIZE | PARENB)) | CS8 | CREAD;
	p->term.termios = new;
	ldisc_mode_changed(&p->ld, &old, &new);
	was = (old.iflag & IXON) && old.cc[VSTOP] == 023 && old.cc[VSTART] == 021;
	is = (new.iflag &IXON) && new.cc[VSTOP] == 023 && new.cc[VSTART] == 021;
	if (was != is)
		pty_note_packet(p, is ? TIOCPKT_DOSTOP : TIOCPKT_NOSTOP,
		                TIOCPKT_DOSTOP | TIOCPKT_NOSTOP, w);
	/* Whoever processes the lines hears of every change. */
	if ((old.lflag | new.lflag) & EXTPROC)
		pty_note_packet(p, TIOCPKT_IOCTL, 0, w);
	/* Without IXON nothing typed could start it again. */
	if (!(new.iflag &IXON) && (old.iflag & IXON) && !p->tco_stopped)
		pty_set_stopped(p, false, w);
	w->slave |= READY_IN;
	pty_pump(p, w);
}

/* ---- the master's end, for consoles ---- */

u32 pty_feed(struct pty *p, const u8 *buf, u32 n)
{
	struct pty_wakes w = {0};
	u32 done = 0, took;

	mutex_lock(&p->lock);
	do {
		took = tty_ring_put(&p->input, buf + done, n - done);
		done += took;
		pty_pump(p, &w);
	} while (took > 0 && done < n);
	mutex_unlock(&p->lock);
	pty_wake(p, &w);
	return done;
}

u32 pty_look(struct pty *p, u8 *buf, u32 n, bool *ret_idle)
{
	GUARD(&p->lock);
	*ret_idle = p->output.len == 0 && p->slave_opened && p->slaves == 0;
	return tty_ring_peek(&p->output, buf, n);
}

void pty_shown(struct pty *p, u32 n)
{
	mutex_lock(&p->lock);
	tty_ring_drop(&p->output, MIN(n, p->output.len));
	mutex_unlock(&p->lock);
	waitq_wake(&p->slave_wait, READY_OUT);
}

u32 pty_room(struct pty *p)
{
	GUARD(&p->lock);
	return tty_ring_room(&p->input);
}

void pty_hangup(struct pty *p)
{
	mutex_lock(&p->lock);
	p->hangups++;
	p->stopped = p->tco_stopped = false;
	mutex_unlock(&p->lock);
	terminal_hangup(&p->term, p->kernel);
	waitq_wake(&p->slave_wait, ~0u);
	waitq_wake(&p->master_wait, ~0u);
}

void pty_set_vacant(struct pty *p, bool vacant)
{
	mutex_lock(&p->lock);
	p->vacant = vacant;
	if (vacant) {
		p->stopped = p->tco_stopped = false;
		tty_ring_finish(&p->output);
	}
	mutex_unlock(&p->lock);
	waitq_wake(&p->slave_wait, ~0u);
}

/* ---- opening and closing ---- */

int pty_open_master(struct devpts_super *fs, struct ctx *c, u32 flags, const struct path *path,
                    struct inode *inode, struct file **ret)
{
	AUTO(pty) p = obj_new(pty);
	struct pty_file *pf;
	int r;

	p->fs = obj_get(fs);
	p->kernel = fs->kernel;
	ttymodes_default(&p->term.termios);
	p->locked = true;
	p->has_master = true;
	r = devpts_add(fs, c, p);
	if (r < 0)
		return r;
	p->term.rdev = (u32)makedev(PTS_MAJOR, p->index);
	pf = obj_new(pty_file);
	pf->pty = pty_get(p);
	pf->master = true;
	file_setup(&pf->file, flags, path, inode);
	*ret = &pf->file;
	return 0;
}

int pty_open_slave(struct pty *p, struct ctx *c, u32 flags, const struct path *path,
                   struct inode *inode, bool noctty, struct file **ret)
{
	struct pty_file *pf;

	mutex_lock(&p->lock);
	if (p->locked || !p->has_master) {
		mutex_unlock(&p->lock);
		return -EIO;
	}
	if (p->exclusive && p->slaves > 0 && !creds_capable(c->creds, CAP_SYS_ADMIN)) {
		mutex_unlock(&p->lock);
		return -EBUSY;
	}
	p->slaves++;
	p->slave_opened = true;
	pf = obj_new(pty_file);
	pf->pty = pty_get(p);
	pf->hangups = p->hangups;
	mutex_unlock(&p->lock);
	file_setup(&pf->file, flags, path, inode);
	if (!noctty && file_readable(&pf->file))
		terminal_opened(&p->term, c);
	*ret = &pf->file;
	return 0;
}

static void close_master(struct pty *p)
{
	mutex_lock(&p->lock);
	p->has_master = false;
	p->packet = false;
	mutex_unlock(&p->lock);
	devpts_remove(p->fs, p);
	pty_hangup(p);
}

static void close_slave(struct pty *p)
{
	bool last;

	mutex_lock(&p->lock);
	last = --p->slaves == 0;
	if (last)
		p->exclusive = false;
	mutex_unlock(&p->lock);
	if (last)
		waitq_wake(&p->master_wait, READY_IN | EPOLLHUP);
}

void pty_file_closed(struct pty_file *pf)
{
	if (pf->pty && pf->master)
		close_master(pf->pty);
	else if (pf->pty)
		close_slave(pf->pty);
	pty_put(TAKE(pf->pty));
}
