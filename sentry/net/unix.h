#pragma once
/*
 * AF_UNIX sockets (unix(7)): streams, datagrams, sequenced packets.
 *
 * Every socket holds what was sent to it: a stream a ring of bytes with runs where something is
 * attached to them, the others a list of packets. A listener's queue is the sockets that connected
 * and wait to be accepted; they are complete, and their clients may write to them already.
 *
 * Locking: sk.lock guards state, peer, addr, path and creds; a stream's peer does not change from
 * when it is connected until its release, so senders and receivers read it without. q_lock
 * (RANK_SOCK_QUEUE) guards the queue and dead. netns.unix_lock guards the table of names, the list
 * of all, and who is connected to a datagram socket. netns.scm_lock (RANK_SOCK_SCM) is taken before
 * q_lock by whoever puts files into a queue or takes some out: see unix_gc.c.
 * Lifetime: refcounted. A socket owns its peer; release (the file is gone) lets go of it. A packet
 * owns its sender, so that its address can be told.
 * Saved: everything, with what is queued and in flight. Tables and counts are rebuilt.
 */
#include "sentry/mm/heap.h"
#include "sentry/net/ring.h"
#include "sentry/net/sockmsg.h"
#include "sentry/net/socket.h"

#include <sys/un.h>

#define UNIX_PATH_SIZE 108u /* sizeof(sun_path) */
#define UNIX_MAX_FILES 253u /* SCM_MAX_FD */

enum unix_state {
	UNIX_CLOSED = 0,
	UNIX_LISTEN = 1,
	UNIX_CONNECTED = 2
};

/* Files on their way. payer counts against RLIMIT_NOFILE. */
struct unix_rights {
	struct unix_rights *next; /* those to be freed */
	u32 n, payer;
	bool inflight;        /* counted */
	struct file *files[]; /* owned */
};

/* Who sent something; pid 0 and ids of -1: not recorded. */
struct unix_cred {
	u32 pid, uid, gid;
};

/* A byte that was sent out of band, in its place among the others. */
enum unix_urgent {
	UNIX_PLAIN = 0,
	UNIX_URGENT = 1, /* the latest, not yet received */
	UNIX_MARK = 2    /* received; its place still ends a receive */
};

/* Bytes of a stream's ring that belong together. */
struct unix_run {
	u32 len;
	u32 urgent; /* enum unix_urgent; of such a one len is 1 */
	struct unix_cred cred;
	struct unix_rights *rights; /* come with its first byte; owned; NULL: none */
};

struct unix_packet {
	TAILQ_ENTRY(unix_packet) link;
	struct unix_sock *from; /* owned */
	u32 len, charge;
	bool peeked; /* somebody has looked at it */
	s64 stamp;   /* guest realtime, ns; 0: nobody wanted to know */
	struct unix_cred cred;
	struct unix_rights *rights; /* owned; NULL: none */
	u8 data[];
};

struct unix_sock {
	struct sock sk;
	TAILQ_ENTRY(unix_sock) all_link;
	LIST_ENTRY(unix_sock) name_link;
	bool listed, named;        /* in the list of all, in the table of names */
	bool bound;                /* the name is its own, not its listener's */
	u16 addr_len;              /* with the family; 0: unnamed */
	char addr[UNIX_PATH_SIZE]; /* sun_path */
	struct path path;          /* where a pathname socket is bound; owned */
	u32 state;                 /* enum unix_state */
	bool dead;                 /* released; under both locks */
	struct unix_sock *peer;    /* owned */
	struct creds *peer_creds;  /* SO_PEERCRED; owned; NULL: none */
	u32 peer_pid;
	struct waitq peer_wait;                /* senders and connecters that find it full */
	TAILQ_HEAD(, unix_sock) connected;     /* datagram sockets whose peer it is */
	TAILQ_ENTRY(unix_sock) connected_link; /* peer->connected */
	bool watched;                          /* is in it */
	_Atomic bool squeezed; /* it may not send as much as its buffer says: wake it for less */
	_Atomic u32 wmem;      /* charge of its packets that others hold */

	struct mutex q_lock;
	u32 backlog, n_pending;
	TAILQ_HEAD(, unix_sock) pending; /* listener: owned */
	TAILQ_ENTRY(unix_sock) pending_link;
	struct ring ring;
	struct unix_run *runs; /* cover the ring; none: nothing is attached to any of it */
	u32 n_runs, first_run, max_runs;
	bool urgent; /* one of them is UNIX_URGENT */
	TAILQ_HEAD(, unix_packet) packets;
	u32 n_packets;

	/* scm_lock */
	u32 inflight; /* of its file, in queues */
	TAILQ_ENTRY(unix_sock) inflight_link;
	TAILQ_ENTRY(unix_sock) gc_link;
	u32 gc_refs;
	bool gc_candidate, gc_live;
};
OBJECT_DECL(unix_sock);

static inline struct unix_sock *unix_of(struct sock *sk)
{
	return container_of(sk, struct unix_sock, sk);
}
static inline bool unix_connects(const struct unix_sock *u)
{
	return u->sk.type != SOCK_DGRAM;
}
/* Is it told who sent something? */
static inline bool unix_wants_cred(const struct unix_sock *u)
{
	return u->sk.opts.passcred || u->sk.opts.passpidfd;
}
/* Bytes that a sender may have under way. */
static inline u32 unix_sndbuf(const struct unix_sock *u)
{
	return (u32)READ_ONCE(u->sk.opts.sndbuf);
}

/* What all queues together may hold before each sender gets a page only: a guest's sockets are many
 * and their bytes lie in the sentry's heap. */
#define UNIX_QUEUED_MAX (256 * MIB)
#define UNIX_QUEUED_LOW 4096u

static inline u32 unix_limit(const struct unix_sock *u)
{
	u32 n = unix_sndbuf(u);

	if (unlikely(atomic_load_explicit(&u->sk.ns->unix_queued, memory_order_relaxed) >
	             (s64)heap_buffers_max(UNIX_QUEUED_MAX)))
		n = MIN(n, UNIX_QUEUED_LOW);
	return n;
}
/* n bytes entered or left u's queue. */
static inline void unix_account(struct unix_sock *u, s64 n)
{
	atomic_fetch_add_explicit(&u->sk.ns->unix_queued, n, memory_order_relaxed);
}

/* ---- unix_sock.c ---- */

/* Unbound and unconnected; a reference. */
struct unix_sock *unix_sock_new(struct ctx *c, struct netns *ns, u32 type);
/* The peer with a reference, or NULL. */
struct unix_sock *unix_peer_get(struct unix_sock *u);
/* Changes the peer: takes over the reference, returns the old one, which the caller puts without
 * locks. sk.lock is held. */
MUST_CHECK struct unix_sock *unix_set_peer(struct unix_sock *u, struct unix_sock *peer);
/* Throws away what is queued; no lock is held. True if there was something. */
bool unix_purge(struct unix_sock *u);

/* One line of /proc/net/unix for every socket, without its end. */
void unix_list(struct netns *ns, void (*fn)(const char *line, void *arg), void *arg);

/* ---- unix_name.c ---- */

/* -EINVAL unless it is a possible address. */
MUST_CHECK int unix_check_addr(const struct sockaddr_storage *a, u32 len);
/* The socket of that name. -ECONNREFUSED, -EPROTOTYPE, or what path resolution says. */
MUST_CHECK int unix_find(struct ctx *c, struct netns *ns, const struct sockaddr_storage *a, u32 len,
                         u32 type, struct unix_sock **ret);
MUST_CHECK int unix_bind(struct sock *sk, struct ctx *c, const struct sockaddr_storage *a, u32 len);
/* A name is made up for one that has none. */
MUST_CHECK int unix_autobind(struct unix_sock *u);
/* Enters / leaves the tables. unix_lock is held. */
void unix_name_enter(struct unix_sock *u);
void unix_name_leave(struct unix_sock *u);
/* SIOCUNIXFILE: a new descriptor (O_PATH) of where u is bound. -EPERM, -ENOENT. */
MUST_CHECK long unix_open_path(struct unix_sock *u, struct ctx *c);
/* Fills an address; the length. */
u32 unix_put_name(const struct unix_sock *u, struct sockaddr_storage *ret);
MUST_CHECK int unix_getname(struct sock *sk, struct ctx *c, bool peer, struct sockaddr_storage *ret,
                            u32 *ret_len);

/* ---- unix_connect.c ---- */

MUST_CHECK int unix_connect(struct sock *sk, struct ctx *c, const struct sockaddr_storage *a,
                            u32 len, bool nonblock);
MUST_CHECK int unix_listen(struct sock *sk, struct ctx *c, int backlog);
MUST_CHECK int unix_accept(struct sock *sk, struct ctx *c, bool nonblock, struct sock **ret);
MUST_CHECK int unix_shutdown(struct sock *sk, struct ctx *c, int how);
MUST_CHECK int unix_pair(struct ctx *c, int type, int protocol, struct sock *ret[2]);
void unix_release(struct sock *sk);
/* u's credentials for its peer are the caller's. sk.lock is held or u is new. */
void unix_note_creds(struct unix_sock *u, struct ctx *c);

/* ---- unix_stream.c, unix_dgram.c ---- */

MUST_CHECK long unix_stream_send(struct sock *sk, struct ctx *c, struct sockmsg *m);
MUST_CHECK long unix_stream_recv(struct sock *sk, struct ctx *c, struct sockmsg *m);
MUST_CHECK long unix_dgram_send(struct sock *sk, struct ctx *c, struct sockmsg *m);
MUST_CHECK long unix_dgram_recv(struct sock *sk, struct ctx *c, struct sockmsg *m);
/* What u's stream queue counts as, in bytes. q_lock is held. */
u32 unix_stream_used(const struct unix_sock *u);
/* Bytes of it that nobody has received. q_lock is held. */
u32 unix_stream_unread(const struct unix_sock *u);
/* SIOCATMARK. */
bool unix_at_mark(struct unix_sock *u);
/* Appends a run that covers what was just put into the ring. q_lock is held. */
void unix_run_append(struct unix_sock *u, const struct unix_run *run);
/* A packet, not queued; len bytes of data to be filled. */
struct unix_packet *unix_packet_new(struct unix_sock *from, u32 len);
void unix_packet_free(struct unix_packet *p);
/* Would a sender that u is not connected to have to wait? q_lock is held. */
bool unix_full(const struct unix_sock *u);

/* ---- unix_scm.c ---- */

/* What control data says is to travel: rights (NULL: none) for the caller; cred filled if explicit.
 * -EINVAL, -EBADF, -EPERM, -ESRCH, -ETOOMANYREFS. */
MUST_CHECK int unix_scm_parse(struct unix_sock *u, struct ctx *c, const struct sockmsg *m,
                              struct unix_cred *ret_cred, struct unix_rights **ret_rights);
/* The caller's, to be recorded if either side wants to know. */
struct unix_cred unix_cred_of(struct ctx *c);
extern const struct unix_cred unix_no_cred;
/* Room for n files, none in it yet. */
struct unix_rights *unix_rights_new(u32 n);
/* A copy that shares the files. */
struct unix_rights *unix_rights_copy(const struct unix_rights *r);
/* Puts the files (later, if this comes from putting files) and frees. NULL is fine; no locks. */
void unix_rights_free(struct unix_rights *r);
/* Receive: creds and files to the guest, as sk's options want. Frees rights. */
void unix_scm_deliver(struct unix_sock *u, struct ctx *c, struct sockmsg *m,
                      const struct unix_cred *cred, struct unix_rights *rights);
/* They enter / leave a queue. scm_lock is held. */
void unix_inflight(struct netns *ns, struct unix_rights *r);
void unix_notinflight(struct netns *ns, struct unix_rights *r);

/* ---- unix_gc.c ---- */

/* Collects sockets that nothing but each other's queues refers to. No locks. */
void unix_gc(struct netns *ns);

extern const struct sock_ops unix_sock_ops;
