#include "sentry/fs/tty/tty_ioctl.h"

#include "sentry/auth/creds.h"
#include "sentry/mm/usercopy.h"
#include "state/base/cleanup.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <linux/capability.h>
#include <string.h>

/* struct termio of System V: 16 bits of each set of flags. */
struct termio_old {
	u16 iflag, oflag, cflag, lflag;
	u8 line;
	u8 cc[8];
	u8 pad;
};
_Static_assert(sizeof(struct termio_old) == 18, "struct termio");

static const u32 bauds[] = {
	0,       50,      75,      110,     134,     150,     200,     300,
	600,     1200,    1800,    2400,    4800,    9600,    19200,   38400,
	57600,   115200,  230400,  460800,  500000,  576000,  921600,  1000000,
	1152000, 1500000, 2000000, 2500000, 3000000, 3500000, 4000000,
};

/* The speed that the bits of CBAUD name; of: what BOTHER leaves as it is. */
static u32 speed_of(u32 bits, u32 of)
{
	u32 i = bits & CBAUD;

	if (i == BOTHER)
		return of;
	if (i & CBAUDEX)
		i = (i & ~(u32)CBAUDEX) + 15;
	return i < ARRAY_SIZE(bauds) ? bauds[i] : 0;
}

static void set_speeds(struct ttymodes *t)
{
	u32 in = (t->cflag >> IBSHIFT) & CBAUD;

	t->ospeed = speed_of(t->cflag, t->ospeed);
	t->ispeed = in ? speed_of(in, t->ispeed) : t->ospeed;
}

long tty_get_settings(struct ctx *c, u32 cmd, u64 arg, const struct ttymodes *t)
{
	struct termio_old o = {0};

	switch (cmd) {
	case TCGETS:
		return user_copy_out(c, UADDR(arg), t, TTYMODES_OLD_SIZE);
	case TCGETS2:
		return user_copy_out(c, UADDR(arg), t, sizeof(*t));
	case TCGETA:
		o.iflag = (u16)t->iflag;
		o.oflag = (u16)t->oflag;
		o.cflag = (u16)t->cflag;
		o.lflag = (u16)t->lflag;
		o.line = t->line;
		memcpy(o.cc, t->cc, sizeof(o.cc));
		return user_copy_out(c, UADDR(arg), &o, sizeof(o));
	}
	return -ENOIOCTLCMD;
}

long tty_lock_ioctl(struct terminal *t, struct ctx *c, u32 cmd, u64 arg)
{
	struct ttymodes m = {0};
	int r;

	switch (cmd) {
	case TIOCGLCKTRMIOS:
		mutex_lock(&t->lock);
		m = t->locked;
		mutex_unlock(&t->lock);
		return user_copy_out(c, UADDR(arg), &m, TTYMODES_OLD_SIZE);
	case TIOCSLCKTRMIOS:
		if (!creds_capable(c->creds, CAP_SYS_ADMIN))
			return -EPERM;
		r = user_copy_in(c, &m, UADDR(arg), TTYMODES_OLD_SIZE);
		if (r < 0)
			return r;
		GUARD(&t->lock);
		t->locked = m;
		return 0;
	}
	return -ENOIOCTLCMD;
}

static u32 keep(u32 locked, u32 old, u32 new)
{
	return (new & ~locked) | (old & locked);
}

void tty_keep_locked(struct terminal *t, const struct ttymodes *old, struct ttymodes *new)
{
	const struct ttymodes *locked = &t->locked;

	GUARD(&t->lock);
	new->iflag = keep(locked->iflag, old->iflag, new->iflag);
	new->oflag = keep(locked->oflag, old->oflag, new->oflag);
	new->cflag = keep(locked->cflag, old->cflag, new->cflag);
	new->lflag = keep(locked->lflag, old->lflag, new->lflag);
	if (locked->line)
		new->line = old->line;
	for (unsigned i = 0; i < TTYMODES_NCCS; i++)
		if (locked->cc[i])
			new->cc[i] = old->cc[i];
}

bool tty_sets_settings(u32 cmd)
{
	switch (cmd) {
	case TCSETS:
	case TCSETSW:
	case TCSETSF:
	case TCSETS2:
	case TCSETSW2:
	case TCSETSF2:
	case TCSETA:
	case TCSETAW:
	case TCSETAF:
		return true;
	}
	return false;
}

static int read_old(struct ctx *c, u64 arg, struct ttymodes *t)
{
	struct termio_old o;
	int r = user_copy_in(c, &o, UADDR(arg), sizeof(o));

	if (r < 0)
		return r;
	t->iflag = (t->iflag & 0xffff0000) | o.iflag;
	t->oflag = (t->oflag & 0xffff0000) | o.oflag;
	t->cflag = (t->cflag & 0xffff0000) | o.cflag;
	t->lflag = (t->lflag & 0xffff0000) | o.lflag;
	t->line = o.line;
	memcpy(t->cc, o.cc, sizeof(o.cc));
	return 0;
}

int tty_read_settings(struct ctx *c, u32 cmd, u64 arg, struct ttymodes *t,
                      enum tty_set_when *ret_when)
{
	enum tty_set_when when = TTY_SET_NOW;
	int r;

	switch (cmd) {
	case TCSETSF:
	case TCSETSF2:
	case TCSETAF:
		when = TTY_SET_FLUSH;
		break;
	case TCSETSW:
	case TCSETSW2:
	case TCSETAW:
		when = TTY_SET_DRAIN;
		break;
	}
	switch (cmd) {
	case TCSETS:
	case TCSETSW:
	case TCSETSF:
		r = user_copy_in(c, t, UADDR(arg), TTYMODES_OLD_SIZE);
		break;
	case TCSETS2:
	case TCSETSW2:
	case TCSETSF2:
		r = user_copy_in(c, t, UADDR(arg), sizeof(*t));
		break;
	default:
		r = read_old(c, arg, t);
	}
	if (r < 0)
		return r;
	set_speeds(t);
	*ret_when = when;
	return 0;
}
