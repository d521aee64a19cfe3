#pragma once
/*
 * What: the connection under the 9P client: one request and its reply at a time per thread, many
 * threads at once; the fid numbers. Private to client.c, ops.c and transport.c.
 *
 * Locking: lock guards everything but what the comments say otherwise; send_lock keeps messages
 * whole on the wire and is never held together with lock. Lifetime: embedded in the client.
 * Saved: no.
 */
#include "sentry/fs/gofer/client.h"
#include "state/base/lock.h"

#define MAX_TAGS    256u
#define MAX_FDS     16u
#define CLUNK_BATCH 64u
/* Any request without its data, and any reply but those that carry data. */
#define SMALL_MESSAGE P9_MIN_MSIZE

/* One request that waits for its reply; lives on the stack of the thread that waits. */
struct p9_call {
	u8 *head; /* the reply's first head_size bytes go here, the rest to tail */
	size_t head_size;
	u8 *tail;
	size_t tail_size;
	size_t len; /* of the reply */
	bool done;
	int status; /* -EIO: the connection died */
	int fd;     /* donated with the reply, or -1 */
	pthread_cond_t cond;
};

struct p9_client {
	int sock;
	bool extended; /* immutable once created, as is msize */
	u32 msize;
	u32 (*core)(void); /* immutable once in use */
	_Atomic u32 placed;
	struct mutex lock;
	bool dead;         /* also read without the lock */
	bool reading;      /* some thread is in the socket; it owns rx and fds meanwhile */
	u32 n_calls;       /* under way */
	_Atomic u64 total; /* ever */
	struct p9_call *calls[MAX_TAGS], *version_call;
	pthread_cond_t tag_free;
	u32 *free_fids; /* as a stack; room for every fid below next_fid */
	u32 n_free, free_room, next_fid;
	u32 later[P9_MAX_FIDS]; /* deferred clunks */
	u32 n_later;
	struct mutex send_lock;
	u8 *rx;
	size_t rx_len;
	int fds[MAX_FDS]; /* received and not yet claimed by a reply */
	unsigned n_fds;
};

/*
 * Sends the message of len bytes at req (its tag is filled in here), followed by data, and waits
 * for the reply, the room for which k names. 0: the reply is in k->head and k->tail and its type is
 * type + 1 (k->fd is the caller's). -errno: the server's Rlerror, or -EIO.
 */
MUST_CHECK int p9_rpc(struct p9_client *c, struct p9_call *k, u8 *req, size_t len, const void *data,
                      size_t data_len);
/* For replies without data. */
struct p9_call p9_call(u8 *reply, size_t size);

/* A fid number that is not in use; -ENOMEM. */
MUST_CHECK int p9_fid_alloc(struct p9_client *c, u32 *ret_fid);
/* After the server has forgotten it, or never heard of it. */
void p9_fid_free(struct p9_client *c, u32 fid);

/*
 * p9_call_NAME(c, &t, store, &fd, &r): one request without data. store holds SMALL_MESSAGE bytes;
 * strings of the reply point into it. ret_fd may be NULL, when a descriptor that comes all the same
 * is closed.
 */
#define P9_CALLS(X)                                 \
	X(TVERSION, tversion, rversion)             \
	X(TATTACH, tattach, rattach)                \
	X(TWALK, twalk, rwalk)                      \
	X(TWALKGETATTR, twalkgetattr, rwalkgetattr) \
	X(TCLUNK, tclunk, rclunk)                   \
	X(TMULTICLUNK, tmulticlunk, rmulticlunk)    \
	X(TLOPEN, tlopen, rlopen)                   \
	X(TLCREATE, tlcreate, rlcreate)             \
	X(TOPENFD, topenfd, ropenfd)                \
	X(TCREATEFD, tcreatefd, rcreatefd)          \
	X(TFSYNC, tfsync, rfsync)                   \
	X(TGETATTR, tgetattr, rgetattr)             \
	X(TSETATTR, tsetattr, rsetattr)             \
	X(TSTATFS, tstatfs, rstatfs)                \
	X(TREADLINK, treadlink, rreadlink)          \
	X(TSYMLINK, tsymlink, rsymlink)             \
	X(TMKNOD, tmknod, rmknod)                   \
	X(TMKDIR, tmkdir, rmkdir)                   \
	X(TMAKENODE, tmakenode, rmakenode)          \
	X(TLINK, tlink, rlink)                      \
	X(TRENAMEAT, trenameat, rrenameat)          \
	X(TRENAMEAT2, trenameat2, rrenameat2)       \
	X(TUNLINKAT, tunlinkat, runlinkat)          \
	X(TXATTRWALK, txattrwalk, rxattrwalk)       \
	X(TXATTRCREATE, txattrcreate, rxattrcreate) \
	X(TPLACE, tplace, rplace)
#define P9_CALL_DECLARE(TYPE, t, r)                                                          \
	MUST_CHECK int p9_call_##t(struct p9_client *c, const struct p9_##t *req, u8 *store, \
	                           int *ret_fd, struct p9_##r *ret_r);
P9_CALLS(P9_CALL_DECLARE)
