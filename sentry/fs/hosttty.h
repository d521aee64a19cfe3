#pragma once
/*
 * A host terminal that the sandbox was given: job control is the guest's own (sentry/kernel
 * terminal.h), modes and size are the host's. The last modes that the guest set are kept, so that
 * the terminal of whoever restores the sandbox gets them; when that is none, the guest goes on
 * seeing a terminal with these modes and this size.
 *
 * Locking: term.lock for modes and size. Lifetime: refcounted; hostnodes and the session that it
 * controls refer to it. Saved: all.
 */
#include "sentry/kernel/terminal.h"

struct hosttty {
	struct terminal term;
	u64 owner;      /* whose standard files it was found among (hostfd.h); immutable */
	u32 index;      /* and at which slot; immutable */
	bool modes_set; /* the guest changed the modes; term.lock */
};
OBJECT_DECL(hosttty);

/* The host terminal behind fd, which is slot index of owner. A reference. */
struct hosttty *hosttty_new(int fd, u64 owner, u32 index);
/* ioctl(2) on a terminal: those of the host's that are passed on, and the guest's job control. fd
 * is the host's; one that is no terminal answers with what is kept. -ENOTTY for others. */
MUST_CHECK long hosttty_ioctl(struct hosttty *tty, int fd, struct ctx *c, u32 cmd, u64 arg);
/* Before a write: TOSTOP. As terminal_check_change. */
MUST_CHECK int hosttty_check_write(struct hosttty *tty, struct ctx *c);
/* After a load: the new host terminal gets the guest's modes; its size is noted. */
void hosttty_bind(struct hosttty *tty, int fd);
/* fd's size may have changed: the foreground group hears of it if so. */
void hosttty_look_at_size(struct hosttty *tty, struct kernel *k, int fd);
