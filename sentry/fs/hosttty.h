#pragma once
/*
 * What the sandbox knows about a host terminal that it was given: job control is the guest's own,
 * modes and size are the host's.
 *
 * Locking: foreground is atomic; a session's terminal is under the kernel's tasks_lock.
 * Lifetime: refcounted; hostnodes and the session that it controls refer to it. Saved: all.
 */
#include "sentry/ctx/ctx.h"
#include "state/object.h"

struct hosttty {
	struct obj obj;
	_Atomic u32 foreground; /* process group; 0: none */
	u32 index;              /* slot that it was found at; immutable */
};
OBJECT_DECL(hosttty);

/* ioctl(2) on a terminal: those of the host's that are passed on, and the guest's job control. fd
 * is the host's. -ENOTTY for others. */
MUST_CHECK long hosttty_ioctl(struct hosttty *tty, int fd, struct ctx *c, u32 cmd, u64 arg);
/* What a session's tty pointer refers to, if it is a host terminal: its foreground group. */
u32 hosttty_foreground(void *session_tty);
/* pgid becomes the foreground group. */
void hosttty_set_foreground(struct hosttty *tty, u32 pgid);
/* The terminal that controls c's session: a reference, or NULL. */
struct hosttty *hosttty_of_session(struct ctx *c);
