#pragma once
/*
 * ioctls whose meaning is the same for every terminal: the shapes that settings come in, and which
 * settings take effect how (tty_ioctl(4), ioctl_tty(2)).
 *
 * Locking: none of its own; callers hold no lock, guest memory is copied. Lifetime, saved: no
 * state.
 */
#include "sentry/kernel/terminal.h"

enum tty_set_when {
	TTY_SET_NOW,
	TTY_SET_DRAIN, /* after what was written is out */
	TTY_SET_FLUSH  /* that, and what was typed and not read is thrown away */
};

/* TCGETS, TCGETS2, TCGETA: gives the guest t. -ENOIOCTLCMD if cmd is none of these. */
MUST_CHECK long tty_get_settings(struct ctx *c, u32 cmd, u64 arg, const struct ttymodes *t);
/* TIOCGLCKTRMIOS, TIOCSLCKTRMIOS: which settings can't be changed. -ENOIOCTLCMD for others. Takes
 * t->lock. */
MUST_CHECK long tty_lock_ioctl(struct terminal *t, struct ctx *c, u32 cmd, u64 arg);
/* Puts what is locked back to what it was. Takes t->lock. */
void tty_keep_locked(struct terminal *t, const struct ttymodes *old, struct ttymodes *new);
/* cmd is one of the twelve that change settings. */
bool tty_sets_settings(u32 cmd);
/* Reads the new settings of such a command into *t, which comes with those of now. */
MUST_CHECK int tty_read_settings(struct ctx *c, u32 cmd, u64 arg, struct ttymodes *t,
                                 enum tty_set_when *ret_when);
