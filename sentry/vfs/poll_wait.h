#pragma once
/*
 * What poll(2) and select(2) are made of: look at a set of files, and sleep until one is ready.
 *
 * Locking: called with none. Lifetime: entries are the caller's and hold references to their files.
 * Saved: nothing but the deadline, in the caller's restart block: a call that is kicked out of its
 * sleep registers and looks again.
 */
#include "sentry/vfs/file.h"

struct poll_entry {
	struct file *file; /* owned; NULL: not looked at */
	u32 events;        /* wanted; EPOLLERR and EPOLLHUP always are */
	u32 revents;       /* out: of those, what is ready */
};

/*
 * Fills revents of all n entries. How many are not 0; 0 when the deadline passed; -ERESTARTSYS when
 * interrupted (the caller turns it into what its call says about being restarted), -ENOMEM.
 */
MUST_CHECK long poll_wait(struct ctx *c, struct poll_entry *e, size_t n, struct deadline d);
/* Puts the files of n entries. */
void poll_entries_put(struct poll_entry *e, size_t n);
