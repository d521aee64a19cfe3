#pragma once
/*
 * eventfd(2): a counter to add to and to wait for.
 *
 * Locking: lock (RANK_FILE) guards count. Lifetime: an open file. Saved: count and kind.
 */
#include "sentry/vfs/file.h"

struct eventfd {
	struct file file;
	struct mutex lock; /* RANK_FILE */
	struct waitq wait; /* the counter changed */
	u64 count;
	bool semaphore; /* immutable */
};
OBJECT_DECL(eventfd);

/* flags: EFD_NONBLOCK and EFD_SEMAPHORE were checked by the caller. A reference for the caller. */
struct file *eventfd_create(struct ctx *c, u32 count, int flags);
