#pragma once
/*
 * What the sockets of a sandbox share: tables of addresses. One per kernel so far as guests can
 * tell (unshare(CLONE_NEWNET) is refused).
 *
 * Locking: each part has its own table lock (RANK_SOCK_TABLE). Lifetime: refcounted; owned by the
 * kernel and by every sock. Saved: what is no table; tables are rebuilt by the socks as they load.
 */
#include "state/base/lock.h"
#include "sentry/time/clock.h"
#include "state/object.h"

#include <sys/queue.h>

struct inet_ns;
struct kernel;
struct unix_sock;

#define UNIX_HASH 256u

/* Files in flight that one user has to answer for. */
struct unix_payer {
	u32 uid, n;
};

struct netns {
	struct obj obj;
	/* AF_UNIX */
	struct mutex unix_lock;                                 /* RANK_SOCK_TABLE */
	TAILQ_HEAD(, unix_sock) unix_socks;                     /* all; unix_lock; not owned */
	LIST_HEAD(unix_chain, unix_sock) unix_names[UNIX_HASH]; /* unix_lock; not owned */
	u32 unix_autobind;                     /* the next name to try; unix_lock */
	_Atomic s64 unix_queued;               /* bytes in all queues of AF_UNIX */
	struct mutex scm_lock;                 /* RANK_SOCK_SCM */
	TAILQ_HEAD(, unix_sock) unix_inflight; /* sockets in queues; scm_lock; not owned */
	_Atomic u32 n_inflight;                /* of those */
	struct unix_payer *payers;             /* scm_lock */
	u32 n_payers;
	_Atomic bool gc_running, gc_due;
	struct inet_ns *inet; /* owned; ports, settings of the Internet protocols */
};
OBJECT_DECL(netns);

/* With the kernel's clocks and timers. */
struct netns *netns_new(struct kernel *k);
/* The same for one from an image: before its sockets are looked at. */
void netns_loaded(struct netns *ns, struct kernel *k);
