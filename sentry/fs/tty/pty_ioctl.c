/* ioctls of both ends of a pty. */
#include "sentry/auth/creds.h"
#include "sentry/fs/tty/devpts.h"
#include "sentry/fs/tty/pty_impl.h"
#include "sentry/fs/tty/tty_ioctl.h"
#include "sentry/kernel/sigio.h"
#include "sentry/mm/usercopy.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/namei.h"
#include "state/base/cleanup.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <linux/capability.h>
#include <stdio.h>

#define OPEN_PEER_FLAGS (O_ACCMODE | O_NOCTTY | O_CLOEXEC | O_NONBLOCK)

static long set_settings(struct pty *p, struct ctx *c, u32 cmd, u64 arg)
{
	struct pty_wakes w = {0};
	enum tty_set_when when;
	struct ttymodes t;
	int r = terminal_check_change(&p->term, c);

	if (r < 0)
		return r;
	mutex_lock(&p->lock);
	t = p->term.termios;
	mutex_unlock(&p->lock);
	r = tty_read_settings(c, cmd, arg, &t, &when);
	if (r < 0)
		return r;
	mutex_lock(&p->lock);
	if (when == TTY_SET_FLUSH)
		pty_flush_input(p, &w);
	pty_set_termios(p, &t, &w);
	mutex_unlock(&p->lock);
	pty_wake(p, &w);
	return 0;
}

static long get_settings(struct pty *p, struct ctx *c, u32 cmd, u64 arg)
{
	struct ttymodes t;

	mutex_lock(&p->lock);
	t = p->term.termios;
	mutex_unlock(&p->lock);
	return tty_get_settings(c, cmd, arg, &t);
}

static long get_size(struct pty *p, struct ctx *c, u64 arg)
{
	struct ttysize s;

	mutex_lock(&p->term.lock);
	s = p->term.size;
	mutex_unlock(&p->term.lock);
	return user_put(c, UADDR(arg), &s);
}

static long set_size(struct pty *p, struct ctx *c, u64 arg)
{
	struct ttysize s;
	int r = user_get(c, UADDR(arg), &s);

	if (r == 0)
		terminal_resize(&p->term, p->kernel, &s);
	return r;
}

/* TCFLSH on the slave; the master's input is the slave's output. */
static long flush(struct pty *p, bool master, u64 what)
{
	struct pty_wakes w = {0};
	bool in = what == TCIFLUSH || what == TCIOFLUSH,
	     out = what == TCOFLUSH || what == TCIOFLUSH;

	if (!in && !out)
		return -EINVAL;
	mutex_lock(&p->lock);
	if (master && in) {
		tty_ring_finish(&p->output);
		w.slave |= READY_OUT;
	} else if (in) {
		pty_flush_input(p, &w);
	}
	if (master && out) {
		tty_ring_finish(&p->input);
		w.master |= READY_OUT;
	} else if (out) {
		pty_flush_output(p, &w);
	}
	mutex_unlock(&p->lock);
	pty_wake(p, &w);
	return 0;
}

static long flow(struct pty *p, bool master, u64 what)
{
	struct pty_wakes w = {0};
	long r = 0;
	u8 c;

	GUARD(&p->lock);
	switch (what) {
	case TCOOFF:
	case TCOON:
		if (master) {
			p->master_stopped = what == TCOOFF;
			w.master |= READY_OUT;
			break;
		}
		p->tco_stopped = what == TCOOFF;
		pty_set_stopped(p, what == TCOOFF, &w);
		break;
	case TCIOFF:
	case TCION:
		c = p->term.termios.cc[what == TCIOFF ? VSTOP : VSTART];
		if (c == 0)
			break;
		if (master) {
			tty_ring_put(&p->input, &c, 1);
			pty_pump(p, &w);
		} else {
			tty_ring_put(&p->output, &c, 1);
			w.master |= READY_IN;
		}
		break;
	default:
		r = -EINVAL;
	}
	pty_wake(p, &w);
	return r;
}

/* TIOCSTI: as if typed. Into one's own terminal, or by root. */
static long simulate(struct pty *p, struct ctx *c, u64 arg)
{
	struct pty_wakes w = {0};
	bool own;
	u8 ch;
	int r;

	mutex_lock(&c->kernel->tasks_lock);
	own = terminal_controls_locked(&p->term, ctx_task(c)->tg);
	mutex_unlock(&c->kernel->tasks_lock);
	if (!own && !creds_capable(c->creds, CAP_SYS_ADMIN))
		return -EPERM;
	r = user_get(c, UADDR(arg), &ch);
	if (r < 0)
		return r;
	mutex_lock(&p->lock);
	tty_ring_put(&p->input, &ch, 1);
	pty_pump(p, &w);
	mutex_unlock(&p->lock);
	pty_wake(p, &w);
	return 0;
}

/* ---- of the master alone ---- */

/* TIOCGPTPEER: the slave, without going by a name that might lead elsewhere. */
static long open_peer(struct file *f, struct ctx *c, u32 flags)
{
	struct pty *p = pty_file_of(f)->pty;
	AUTO_PATH root = {0}, path = {0};
	AUTO(file) slave = NULL;
	int r;

	if (flags & ~(u32)OPEN_PEER_FLAGS)
		return -EINVAL;
	r = devpts_of(c, &f->path, &root);
	if (r == 0)
		r = devpts_slave_path(c, &root, p, &path);
	if (r == 0)
		r = pty_open_slave(p, c, flags & ~(u32)(O_CLOEXEC | O_NOCTTY), &path,
		                   path_inode(&path), (flags & O_NOCTTY) != 0, &slave);
	return r < 0 ? r : fd_install(c, slave, 0, (flags & O_CLOEXEC) != 0);
}

static long set_flag(struct pty *p, struct ctx *c, u64 arg, bool *flag)
{
	u32 on = 0;
	int r = user_get_u32(c, UADDR(arg), &on);

	if (r < 0)
		return r;
	GUARD(&p->lock);
	if (flag == &p->packet && on && !p->packet)
		p->packet_status = 0;
	*flag = on != 0;
	return 0;
}

static long get_flag(struct pty *p, struct ctx *c, u64 arg, const bool *flag)
{
	return user_put_u32(c, UADDR(arg), READ_ONCE(*flag));
}

static long master_ioctl(struct file *f, struct ctx *c, u32 cmd, u64 arg)
{
	struct pty *p = pty_file_of(f)->pty;

	switch (cmd) {
	case TIOCGPTN:
		return user_put_u32(c, UADDR(arg), p->index);
	case TIOCSPTLCK:
		return set_flag(p, c, arg, &p->locked);
	case TIOCGPTLCK:
		return get_flag(p, c, arg, &p->locked);
	case TIOCPKT:
		return set_flag(p, c, arg, &p->packet);
	case TIOCGPKT:
		return get_flag(p, c, arg, &p->packet);
	case TIOCGPTPEER:
		return open_peer(f, c, (u32)arg);
	case TIOCSIG:
		if (arg != SIGINT && arg != SIGQUIT && arg != SIGTSTP)
			return -EINVAL;
		terminal_signal(&p->term, p->kernel, (int)arg);
		return 0;
	}
	return -ENOIOCTLCMD;
}

static long waiting(struct pty *p, struct ctx *c, u64 arg, bool master)
{
	struct pty_wakes w = {0};
	u32 n;

	mutex_lock(&p->lock);
	pty_pump(p, &w);
	n = master ? p->output.len : ldisc_available(&p->ld, &p->term.termios);
	mutex_unlock(&p->lock);
	pty_wake(p, &w);
	return user_put_u32(c, UADDR(arg), n);
}

static long set_exclusive(struct pty *p, bool on)
{
	GUARD(&p->lock);
	p->exclusive = on;
	return 0;
}

/* TIOCSSOFTCAR: CLOCAL alone. */
static long set_local(struct pty *p, struct ctx *c, u64 arg)
{
	struct pty_wakes w = {0};
	struct ttymodes modes;
	u32 on;
	int r = user_get_u32(c, UADDR(arg), &on);

	if (r < 0)
		return r;
	mutex_lock(&p->lock);
	modes = p->term.termios;
	modes.cflag = on ? modes.cflag | CLOCAL : modes.cflag & ~(u32)CLOCAL;
	pty_set_termios(p, &modes, &w);
	mutex_unlock(&p->lock);
	pty_wake(p, &w);
	return 0;
}

static long set_discipline(struct ctx *c, u64 arg)
{
	u32 n = 0;
	int r = user_get_u32(c, UADDR(arg), &n);

	return r < 0 ? r : n == 0 ? 0 : -EINVAL;
}

static bool is_hung(struct pty_file *pf)
{
	GUARD(&pf->pty->lock);
	return pty_file_hung(pf);
}

long pty_ioctl(struct file *f, struct ctx *c, u32 cmd, u64 arg)
{
	struct pty_file *pf = pty_file_of(f);
	struct pty *p = pf->pty;
	long r;

	if (is_hung(pf))
		return cmd == TIOCSPGRP ? -ENOTTY : -EIO;
	if (pf->master) {
		r = master_ioctl(f, c, cmd, arg);
		if (r != -ENOIOCTLCMD)
			return r;
	}
	if (tty_sets_settings(cmd))
		return set_settings(p, c, cmd, arg);
	r = terminal_ioctl(&p->term, c, cmd, arg, pf->master);
	if (r == -ENOIOCTLCMD)
		r = get_settings(p, c, cmd, arg);
	if (r == -ENOIOCTLCMD)
		r = tty_lock_ioctl(&p->term, c, cmd, arg);
	if (r != -ENOIOCTLCMD)
		return r;
	switch (cmd) {
	case TIOCGWINSZ:
		return get_size(p, c, arg);
	case TIOCSWINSZ:
		return set_size(p, c, arg);
	case TIOCINQ: /* FIONREAD */
		return waiting(p, c, arg, pf->master);
	case TIOCOUTQ:
		return user_put_u32(c, UADDR(arg), 0);
	case TCFLSH:
		r = terminal_check_change(&p->term, c);
		return r < 0 ? r : flush(p, pf->master, arg);
	case TCXONC:
		r = terminal_check_change(&p->term, c);
		return r < 0 ? r : flow(p, pf->master, arg);
	case TCSBRK: /* what was written is out at once; there is no line to break */
	case TCSBRKP:
	case TIOCSBRK:
	case TIOCCBRK:
		r = terminal_check_change(&p->term, c);
		return r;
	case TIOCGSOFTCAR:
		return user_put_u32(c, UADDR(arg), (p->term.termios.cflag & CLOCAL) != 0);
	case TIOCSSOFTCAR:
		return set_local(p, c, arg);
	case TIOCSTI:
		return simulate(p, c, arg);
	case TIOCEXCL:
	case TIOCNXCL:
		return set_exclusive(p, cmd == TIOCEXCL);
	case TIOCGEXCL:
		return get_flag(p, c, arg, &p->exclusive);
	case TIOCGETD:
		return user_put_u32(c, UADDR(arg), 0);
	case TIOCSETD:
		return set_discipline(c, arg);
	case TIOCGDEV:
		return user_put_u32(c, UADDR(arg), p->term.rdev);
	case TIOCVHANGUP:
		if (!creds_capable(c->creds, CAP_SYS_ADMIN))
			return -EPERM;
		pty_hangup(p);
		return 0;
	}
	return -ENOTTY;
}

/* ---- the file ---- */

static long pty_read(struct file *f, struct ctx *c, struct uiter *dst, s64 *pos)
{
	return pty_file_of(f)->master ? pty_master_read(f, c, dst) : pty_slave_read(f, c, dst);
}

static long pty_write(struct file *f, struct ctx *c, struct uiter *src, s64 *pos)
{
	return pty_file_of(f)->master ? pty_master_write(f, c, src) : pty_slave_write(f, c, src);
}

static u32 pty_poll(struct file *f, struct poll_table *pt)
{
	return pty_file_of(f)->master ? pty_master_poll(f, pt) : pty_slave_poll(f, pt);
}

static void pty_fdinfo(struct file *f, char *buf, size_t size)
{
	const struct pty_file *pf = pty_file_of(f);

	if (pf->master)
		snprintf(buf, size, "tty-index:\t%u\n", pf->pty->index);
}

static void pty_set_async(struct file *f, struct ctx *c, bool on)
{
	struct pty_file *pf = pty_file_of(f);

	if (on)
		file_set_async_terminal(f, c, pf->master ? NULL : &pf->pty->term);
}

const struct file_ops pty_file_ops = {
	.id = {.describe = file_describe},
	.read = pty_read,
	.write = pty_write,
	.poll = pty_poll,
	.ioctl = pty_ioctl,
	.set_async = pty_set_async,
	.fdinfo = pty_fdinfo,
};
