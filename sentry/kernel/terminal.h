#pragma once
/*
 * What every terminal has, whoever drives it: the session that it controls, the foreground process
 * group, settings and size; and job control (credentials(7), setsid(2), tty_ioctl(4)).
 *
 * Locking: session and foreground under kernel->tasks_lock; termios and size under lock
 * (RANK_LEAF), and so are the locks of settings; rdev is immutable. Lifetime: refcounted; the
 * session that it controls owns it, and so do open files. Saved: all.
 */
#include "sentry/ctx/ctx.h"
#include "sentry/kernel/task.h"
#include "state/base/lock.h"
#include "state/object.h"

#include <sys/ioctl.h>

#define TTYMODES_NCCS 19

/* struct termios2 of the kernel ABI; struct termios is the same without the speeds. */
struct ttymodes {
	u32 iflag, oflag, cflag, lflag;
	u8 line;
	u8 cc[TTYMODES_NCCS];
	u32 ispeed, ospeed;
};
_Static_assert(sizeof(struct ttymodes) == 44, "struct termios2");
#define TTYMODES_OLD_SIZE 36

struct ttysize {
	u16 rows, cols, xpixel, ypixel; /* struct winsize */
};
_Static_assert(sizeof(struct ttysize) == sizeof(struct winsize), "struct winsize");

struct terminal {
	struct obj obj;
	struct session *session; /* weak: the one that it controls; NULL: none */
	u32 foreground;          /* process group number; 0: none */
	u32 rdev;                /* device number, as in /proc/PID/stat */
	struct mutex lock;
	struct ttymodes termios;
	struct ttymodes locked; /* what is not 0 here no setting changes: TIOCSLCKTRMIOS */
	struct ttysize size;
};
OBJECT_DECL(terminal);

/* What a new terminal starts with: cooked, echoing, 38400 baud. */
void ttymodes_default(struct ttymodes *t);

/* The caller's session has t and the caller has not given it up. tasks_lock held. */
bool terminal_controls_locked(const struct terminal *t, const struct thread_group *tg);
/* Before a read: 0 in the foreground or of a terminal that is not the caller's. Else SIGTTIN goes
 * to the caller's group: -ERESTARTSYS; -EIO where that can't stop it. */
MUST_CHECK int terminal_check_read(struct terminal *t, struct ctx *c);
/* Before a change of settings, and a write under TOSTOP: likewise with SIGTTOU; 0 also if that is
 * blocked or ignored. */
MUST_CHECK int terminal_check_change(struct terminal *t, struct ctx *c);
/* SIGINT and its like, from the terminal, to the foreground group. */
void terminal_signal(struct terminal *t, struct kernel *k, int signo);
/* Tells the foreground group of a changed size. */
void terminal_resize(struct terminal *t, struct kernel *k, const struct ttysize *size);
/* open(2) without O_NOCTTY by a session leader that has no terminal. */
void terminal_opened(struct terminal *t, struct ctx *c);
/* The connection is gone: SIGHUP and SIGCONT to the session's leader; the session loses it. */
void terminal_hangup(struct terminal *t, struct kernel *k);
/* The terminal that controls the caller: a reference, or NULL. */
struct terminal *terminal_of_caller(struct ctx *c);
/* tg leads its session and takes t as its terminal, tg's group in the foreground. tasks_lock held.
 */
void terminal_take_locked(struct terminal *t, struct thread_group *tg);
/* A session leader exits: SIGHUP to the foreground group, the session loses the terminal.
 * tasks_lock held. The terminal, whose reference is the caller's to put after unlocking; NULL. */
struct terminal *terminal_leader_exits_locked(struct session *s);
/*
 * TIOCGPGRP, TIOCSPGRP, TIOCGSID, TIOCSCTTY, TIOCNOTTY. master: asked on the other end of a pty,
 * which is not the caller's terminal but may be asked. -ENOIOCTLCMD for others.
 */
#define ENOIOCTLCMD 515
MUST_CHECK long terminal_ioctl(struct terminal *t, struct ctx *c, u32 cmd, u64 arg, bool master);
