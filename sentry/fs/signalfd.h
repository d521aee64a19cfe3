#pragma once
/*
 * signalfd(2): blocked signals of whoever reads, as records.
 *
 * Locking: mask is one word, replaced and read whole. Lifetime: an open file; it belongs to no
 * task: each reader takes its own signals. Saved: the mask.
 */
#include "sentry/vfs/file.h"

struct signalfd {
	struct file file;
	struct kernel *kernel; /* immutable, weak: where it listens */
	_Atomic u64 mask;      /* signals that it takes */
};
OBJECT_DECL(signalfd);

/* flags: SFD_NONBLOCK was checked by the caller. A reference for the caller. */
struct file *signalfd_create(struct ctx *c, u64 mask, int flags);
/* Replaces the mask. -EINVAL: f is no signalfd. */
MUST_CHECK int signalfd_set_mask(struct file *f, u64 mask);
