#include "sentry/fs/hosttty.h"

#include "proto/leaf.pb-c.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/usercopy.h"
#include "state/fields.h"

#include <asm/termbits.h>
#include <asm/ioctls.h>
#include <sys/ioctl.h>

/* The kernel's struct termios, which TCGETS and TCSETS move; the C library's is larger. */
struct host_termios {
	u32 iflag, oflag, cflag, lflag;
	u8 line;
	u8 cc[19];
};
_Static_assert(sizeof(struct host_termios) == 36, "kernel's struct termios");

union tty_arg {
	struct host_termios termios;
	struct winsize winsize;
	int number;
};

static long host_get(int fd, struct ctx *c, u32 cmd, u64 arg, size_t size)
{
	union tty_arg v = {0};

	if (ioctl(fd, cmd, &v) < 0)
		return -errno;
	return user_copy_out(c, UADDR(arg), &v, size);
}

static long host_set(int fd, struct ctx *c, u32 cmd, u64 arg, size_t size)
{
	union tty_arg v = {0};
	int r = user_copy_in(c, &v, UADDR(arg), size);

	if (r < 0)
		return r;
	return ioctl(fd, cmd, &v) < 0 ? -errno : 0;
}

/* The caller's session has this terminal. tasks_lock held. */
static bool controls(const struct hosttty *tty, const struct thread_group *tg)
{
	return tg->pgrp && tg->pgrp->session->tty == (const void *)tty;
}

static long get_foreground(struct hosttty *tty, struct ctx *c, u64 arg)
{
	struct thread_group *tg = ctx_task(c)->tg;
	u32 pgid;

	mutex_lock(&c->kernel->tasks_lock);
	if (!controls(tty, tg)) {
		mutex_unlock(&c->kernel->tasks_lock);
		return -ENOTTY;
	}
	pgid = atomic_load(&tty->foreground);
	mutex_unlock(&c->kernel->tasks_lock);
	return user_put_u32(c, UADDR(arg), pgid);
}

static long set_foreground(struct hosttty *tty, struct ctx *c, u64 arg)
{
	struct thread_group *tg = ctx_task(c)->tg;
	struct pgrp *pg;
	u32 pgid = 0;
	int r = user_get_u32(c, UADDR(arg), &pgid);

	if (r < 0)
		return r;
	if ((s32)pgid < 0)
		return -EINVAL;
	GUARD(&c->kernel->tasks_lock);
	if (!controls(tty, tg))
		return -ENOTTY;
	pg = pgrp_find_locked(c->kernel, pgid);
	if (!pg)
		return -ESRCH;
	if (pg->session != tg->pgrp->session)
		return -EPERM;
	atomic_store(&tty->foreground, pgid);
	return 0;
}

static long get_session(struct hosttty *tty, struct ctx *c, u64 arg)
{
	struct thread_group *tg = ctx_task(c)->tg;
	u32 sid;

	mutex_lock(&c->kernel->tasks_lock);
	if (!controls(tty, tg)) {
		mutex_unlock(&c->kernel->tasks_lock);
		return -ENOTTY;
	}
	sid = tg->pgrp->session->sid;
	mutex_unlock(&c->kernel->tasks_lock);
	return user_put_u32(c, UADDR(arg), sid);
}

/* TIOCSCTTY: a session leader without a terminal takes this one. */
static long take_control(struct hosttty *tty, struct ctx *c)
{
	struct thread_group *tg = ctx_task(c)->tg;
	struct session *s;

	GUARD(&c->kernel->tasks_lock);
	s = tg->pgrp->session;
	if (s->leader != tg)
		return -EPERM;
	if (s->tty == (void *)tty)
		return 0;
	if (s->tty)
		return -EPERM;
	s->tty = obj_get(tty);
	atomic_store(&tty->foreground, tg->pgrp->pgid);
	return 0;
}

/* TIOCNOTTY: the session of a leader gives the terminal up. */
static long give_up_control(struct hosttty *tty, struct ctx *c)
{
	struct thread_group *tg = ctx_task(c)->tg;

	mutex_lock(&c->kernel->tasks_lock);
	if (!controls(tty, tg)) {
		mutex_unlock(&c->kernel->tasks_lock);
		return -ENOTTY;
	}
	if (tg->pgrp->session->leader != tg) {
		mutex_unlock(&c->kernel->tasks_lock);
		return 0;
	}
	tg->pgrp->session->tty = NULL;
	mutex_unlock(&c->kernel->tasks_lock);
	hosttty_put(tty);
	return 0;
}

long hosttty_ioctl(struct hosttty *tty, int fd, struct ctx *c, u32 cmd, u64 arg)
{
	switch (cmd) {
	case TCGETS:
		return host_get(fd, c, cmd, arg, sizeof(struct host_termios));
	case TCSETS:
	case TCSETSW:
	case TCSETSF:
		return host_set(fd, c, cmd, arg, sizeof(struct host_termios));
	case TIOCGWINSZ:
		return host_get(fd, c, cmd, arg, sizeof(struct winsize));
	case TIOCSWINSZ:
		return host_set(fd, c, cmd, arg, sizeof(struct winsize));
	case TIOCINQ: /* FIONREAD */
	case TIOCOUTQ:
		return host_get(fd, c, cmd, arg, sizeof(int));
	case TCSBRK:
	case TCXONC:
	case TCFLSH:
		return ioctl(fd, cmd, (unsigned long)(u32)arg) < 0 ? -errno : 0;
	case TIOCGPGRP:
		return get_foreground(tty, c, arg);
	case TIOCSPGRP:
		return set_foreground(tty, c, arg);
	case TIOCGSID:
		return get_session(tty, c, arg);
	case TIOCSCTTY:
		return take_control(tty, c);
	case TIOCNOTTY:
		return give_up_control(tty, c);
	}
	return -ENOTTY;
}

u32 hosttty_foreground(void *session_tty)
{
	struct hosttty *tty = obj_cast(hosttty, session_tty);

	return tty ? atomic_load(&tty->foreground) : 0;
}

void hosttty_set_foreground(struct hosttty *tty, u32 pgid)
{
	atomic_store(&tty->foreground, pgid);
}

struct hosttty *hosttty_of_session(struct ctx *c)
{
	const struct thread_group *tg = ctx_task(c)->tg;

	GUARD(&c->kernel->tasks_lock);
	return tg->pgrp ? hosttty_get(obj_cast(hosttty, tg->pgrp->session->tty)) : NULL;
}

#define HOSTTTY_FIELDS(F) F(HDR, obj) F(ATOMIC, foreground) F(VAL, index)
OBJECT_TYPE(hosttty, Sentry__Hosttty, sentry__hosttty__descriptor, HOSTTTY_FIELDS);
