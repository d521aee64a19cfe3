#include "sentry/fs/hosttty.h"

#include "proto/tty.pb-c.h"
#include "sentry/fs/tty/tty_ioctl.h"
#include "sentry/mm/usercopy.h"
#include "state/fields.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

/* What fstat of /dev/console says: it is what the guest knows the terminal as. */
#define CONSOLE_RDEV makedev(5, 1)

static bool host_modes(int fd, struct ttymodes *ret)
{
	struct ttymodes t = {0};

	if (fd < 0 || ioctl(fd, TCGETS, &t) < 0)
		return false;
	t.ispeed = t.ospeed = 38400;
	*ret = t;
	return true;
}

static bool host_size(int fd, struct ttysize *ret)
{
	return fd >= 0 && ioctl(fd, TIOCGWINSZ, ret) == 0;
}

struct hosttty *hosttty_new(int fd, u64 owner, u32 index)
{
	struct hosttty *tty = obj_new(hosttty);

	tty->owner = owner;
	tty->index = index;
	tty->term.rdev = (u32)CONSOLE_RDEV;
	if (!host_modes(fd, &tty->term.termios))
		ttymodes_default(&tty->term.termios);
	if (!host_size(fd, &tty->term.size))
		tty->term.size = (struct ttysize){.rows = 24, .cols = 80};
	return tty;
}

/* The modes of now: the host's, or those that are kept. */
static void current_modes(struct hosttty *tty, int fd, struct ttymodes *ret)
{
	struct ttymodes t;
	bool host = host_modes(fd, &t);

	GUARD(&tty->term.lock);
	if (host)
		tty->term.termios = t;
	*ret = tty->term.termios;
}

static long set_modes(struct hosttty *tty, int fd, struct ctx *c, u32 cmd, u64 arg)
{
	static const u32 host_cmds[] = {TCSETS, TCSETSW, TCSETSF};
	enum tty_set_when when;
	struct ttymodes old, t;
	int r = terminal_check_change(&tty->term, c);

	if (r < 0)
		return r;
	current_modes(tty, fd, &old);
	t = old;
	r = tty_read_settings(c, cmd, arg, &t, &when);
	if (r < 0)
		return r;
	tty_keep_locked(&tty->term, &old, &t);
	/* ENOTTY: what took the terminal's place has no modes. */
	if (ioctl(fd, host_cmds[when], &t) < 0 && errno != ENOTTY)
		return -errno;
	GUARD(&tty->term.lock);
	tty->term.termios = t;
	tty->modes_set = true;
	return 0;
}

static long get_size(struct hosttty *tty, int fd, struct ctx *c, u64 arg)
{
	struct ttysize s;
	bool host = host_size(fd, &s);

	mutex_lock(&tty->term.lock);
	if (host)
		tty->term.size = s;
	s = tty->term.size;
	mutex_unlock(&tty->term.lock);
	return user_put(c, UADDR(arg), &s);
}

static long set_size(struct hosttty *tty, int fd, struct ctx *c, u64 arg)
{
	struct ttysize s;
	int r = user_get(c, UADDR(arg), &s);

	if (r < 0)
		return r;
	if (ioctl(fd, TIOCSWINSZ, &s) < 0 && errno != ENOTTY)
		return -errno;
	terminal_resize(&tty->term, c->kernel, &s);
	return 0;
}

static long count_bytes(int fd, struct ctx *c, u32 cmd, u64 arg)
{
	int n = 0;

	if (ioctl(fd, cmd, &n) < 0 && errno != ENOTTY)
		return -errno;
	return user_put_u32(c, UADDR(arg), (u32)n);
}

static long pass_on(struct hosttty *tty, int fd, struct ctx *c, u32 cmd, u64 arg)
{
	int r = terminal_check_change(&tty->term, c);

	if (r < 0)
		return r;
	return ioctl(fd, cmd, (unsigned long)(u32)arg) < 0 && errno != ENOTTY ? -errno : 0;
}

long hosttty_ioctl(struct hosttty *tty, int fd, struct ctx *c, u32 cmd, u64 arg)
{
	struct ttymodes t;
	long r = terminal_ioctl(&tty->term, c, cmd, arg, false);

	if (r != -ENOIOCTLCMD)
		return r;
	if (tty_sets_settings(cmd))
		return set_modes(tty, fd, c, cmd, arg);
	current_modes(tty, fd, &t);
	r = tty_get_settings(c, cmd, arg, &t);
	if (r == -ENOIOCTLCMD)
		r = tty_lock_ioctl(&tty->term, c, cmd, arg);
	if (r != -ENOIOCTLCMD)
		return r;
	switch (cmd) {
	case TIOCGWINSZ:
		return get_size(tty, fd, c, arg);
	case TIOCSWINSZ:
		return set_size(tty, fd, c, arg);
	case TIOCINQ: /* FIONREAD */
	case TIOCOUTQ:
		return count_bytes(fd, c, cmd, arg);
	case TCSBRK:
	case TCXONC:
	case TCFLSH:
		return pass_on(tty, fd, c, cmd, arg);
	case TIOCGETD:
		return user_put_u32(c, UADDR(arg), 0);
	case TIOCGDEV:
		return user_put_u32(c, UADDR(arg), tty->term.rdev);
	case TIOCSTI: /* nothing inside types on the host's terminal */
		return -EPERM;
	}
	return -ENOTTY;
}

int hosttty_check_write(struct hosttty *tty, struct ctx *c)
{
	bool tostop;

	mutex_lock(&tty->term.lock);
	tostop = (tty->term.termios.lflag & TOSTOP) != 0;
	mutex_unlock(&tty->term.lock);
	return tostop ? terminal_check_change(&tty->term, c) : 0;
}

void hosttty_bind(struct hosttty *tty, int fd)
{
	struct ttymodes host;

	/* The same terminal, after an autosave, has them already. */
	if (tty->modes_set && host_modes(fd, &host) &&
	    memcmp(&host, &tty->term.termios, TTYMODES_OLD_SIZE) != 0)
		(void)ioctl(fd, TCSETS, &tty->term.termios);
}

void hosttty_look_at_size(struct hosttty *tty, struct kernel *k, int fd)
{
	struct ttysize s;

	if (host_size(fd, &s))
		terminal_resize(&tty->term, k, &s);
}

static int hosttty_after_load(struct loader *l, void *o)
{
	return ((struct hosttty *)o)->index > 2 ? loader_range(l, "index") : 0;
}

static void hosttty_sample(struct sampler *sp, void *o)
{
	((struct hosttty *)o)->index = 2;
}

#define HOSTTTY_FIELDS(F) F(BASE, term, terminal) F(VAL, owner) F(VAL, index) F(VAL, modes_set)
OBJECT_TYPE(hosttty, Sentry__Hosttty, sentry__hosttty__descriptor, HOSTTTY_FIELDS,
            .base = &terminal_type, .after_load = hosttty_after_load, .sample = hosttty_sample);
