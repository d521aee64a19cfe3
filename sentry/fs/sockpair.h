#pragma once
/*
 * A connected pair of AF_UNIX stream sockets (socketpair(2)): two pipes, one each way.
 *
 * Locking: lock (RANK_LEAF) guards which halves are still open; bytes are the pipes' matter.
 * Lifetime: an open description that owns one end of each pipe; shutdown(2) gives one up.
 * Saved: both ends, and thereby what is on its way.
 */
#include "sentry/vfs/file.h"

struct sockpair {
	struct file file;
	struct mutex lock;
	struct file *rx, *tx; /* owned; NULL: shut down */
	bool rx_shut, tx_shut;
};
OBJECT_DECL(sockpair);

/* Both ends; flags: O_NONBLOCK. References for the caller. */
MUST_CHECK int sockpair_create(struct ctx *c, u32 flags, struct file *ret[2]);
/* shutdown(2): SHUT_RD, SHUT_WR, SHUT_RDWR; -EINVAL. */
MUST_CHECK int sockpair_shutdown(struct sockpair *s, int how);
/* send(2), recv(2) after their checks; nonblock as MSG_DONTWAIT, nosignal as MSG_NOSIGNAL. */
MUST_CHECK long sockpair_send(struct sockpair *s, struct ctx *c, struct uiter *src, bool nonblock,
                              bool nosignal);
MUST_CHECK long sockpair_recv(struct sockpair *s, struct ctx *c, struct uiter *dst, bool nonblock);
