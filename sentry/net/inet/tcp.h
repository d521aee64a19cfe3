#pragma once
/*
 * TCP without packets (tcp(7)): a connection is two sockets that know each other, and what one
 * sends goes straight into the other's ring. All that a peer can observe - states, half-closed
 * connections, resets, urgent data, TIME_WAIT - is as if segments had been exchanged without delay
 * or loss.
 *
 * Locking: state, peer, the accept queue and shutdowns change under the port table's lock for
 * writing (RANK_INET) and, where senders and receivers look at them, sk.lock as well. The ring and
 * what belongs to it are under sk.lock of the receiver; a send takes that lock alone.
 * hold is set once per connection and cleared when the file is closed, so calls on the socket may
 * follow it without a lock; disconnects put it aside (retired) until then.
 * Lifetime: the file's; in the accept queue the listener's; after its file is closed a socket that
 * waits for its peer's end belongs to that peer.
 * Saved: everything, bytes in the ring included.
 */
#include "sentry/net/inet/inet.h"
#include "sentry/net/inet/ports.h"
#include "sentry/net/sockmsg.h"
#include "sentry/time/timer.h"

#include <linux/tcp.h>

#ifndef SOL_TCP
#define SOL_TCP 6
#endif

/* As /proc/net/tcp and TCP_INFO number them. */
enum tcp_state {
	TCPS_ESTABLISHED = 1,
	TCPS_SYN_SENT = 2,
	TCPS_FIN_WAIT2 = 5,
	TCPS_TIME_WAIT = 6,
	TCPS_CLOSE = 7,
	TCPS_CLOSE_WAIT = 8,
	TCPS_LISTEN = 10,
};

/* How connect(2) sees it. */
enum tcp_phase {
	TCP_UNCONNECTED,
	TCP_CONNECTING, /* begun; nobody was told yet how it ended */
	TCP_CONNECTED,
};

enum tcp_urgent {
	TCP_URG_NONE,
	TCP_URG_THERE,
	TCP_URG_TAKEN, /* read, the mark is still ahead */
};

/* Options that are a number: X(id, name, smallest, largest, default); smallest -1, largest 0: on or
 * off. */
#define TCP_INT_OPTIONS(X)                                           \
	X(NODELAY, TCP_NODELAY, -1, 0, 0)                            \
	X(CORK, TCP_CORK, -1, 0, 0)                                  \
	X(KEEPIDLE, TCP_KEEPIDLE, 1, 32767, 7200)                    \
	X(KEEPINTVL, TCP_KEEPINTVL, 1, 32767, 75)                    \
	X(KEEPCNT, TCP_KEEPCNT, 1, 127, 9)                           \
	X(SYNCNT, TCP_SYNCNT, 1, 127, 6)                             \
	X(MAXSEG, TCP_MAXSEG, 0, 32767, 0)                           \
	X(LINGER2, TCP_LINGER2, -1, 120, 60)                         \
	X(DEFER_ACCEPT, TCP_DEFER_ACCEPT, 0, 255, 0)                 \
	X(WINDOW_CLAMP, TCP_WINDOW_CLAMP, 0, INT32_MAX, 0)           \
	X(QUICKACK, TCP_QUICKACK, -1, 0, 1)                          \
	X(USER_TIMEOUT, TCP_USER_TIMEOUT, 0, INT32_MAX, 0)           \
	X(FASTOPEN, TCP_FASTOPEN, 0, INT32_MAX, 0)                   \
	X(FASTOPEN_CONNECT, TCP_FASTOPEN_CONNECT, 0, 1, 0)           \
	X(NOTSENT_LOWAT, TCP_NOTSENT_LOWAT, INT32_MIN, INT32_MAX, 0) \
	X(THIN_LINEAR, TCP_THIN_LINEAR_TIMEOUTS, 0, 1, 0)            \
	X(SAVE_SYN, TCP_SAVE_SYN, 0, 2, 0)                           \
	X(FASTOPEN_NO_COOKIE, TCP_FASTOPEN_NO_COOKIE, 0, 1, 0)       \
	X(INQ, TCP_INQ, 0, 1, 0)

enum tcp_opt {
#define X(id, name, lo, hi, def) TCPO_##id,
	TCP_INT_OPTIONS(X)
#undef X
	TCPO_N
};

struct tcp_sock {
	struct inet_sock inet;
	u8 state;              /* enum tcp_state */
	u8 phase;              /* enum tcp_phase; table lock */
	bool orphan;           /* its file is closed, or it never had one and never will */
	struct tcp_sock *peer; /* the other end while there is a connection; not owned */
	struct tcp_sock *hold; /* owned: peer, or what it was */
	/* What the peer sent and nobody has read yet. */
	u8 *ring; /* ring_size is a power of two */
	u32 ring_size, head, len;
	u32 charged; /* of ring_size, in the network's count */
	u32 limit;   /* how much it may hold */
	u64 taken;   /* bytes read so far: the position of ring[head] in the stream */
	u64 urg_pos; /* position of the urgent byte */
	u8 urg;      /* enum tcp_urgent */
	u8 urg_byte;
	bool fin; /* the peer sends no more */
	/* Of len, at the end: not yet sent, as it were (TCP_CORK, MSG_MORE). kt sends it. */
	u32 held;
	s64 stamp;        /* when the last byte came, if somebody wants to know; realtime */
	struct ktimer kt; /* for held, defers_on or SYN_SENT; it has no state of its own */
	/* A listener's. */
	TAILQ_HEAD(, tcp_sock) accept_q; /* owned; table lock */
	TAILQ_HEAD(, tcp_sock) pending;  /* SYN_SENT, until there is room; table lock */
	TAILQ_HEAD(, tcp_sock) deferred; /* owned; silent so far (TCP_DEFER_ACCEPT); table lock */
	TAILQ_ENTRY(tcp_sock) q_link;    /* in one of the three */
	struct tcp_sock *pends_on;       /* the listener whose pending it is in */
	struct tcp_sock *defers_on;      /* the listener whose deferred it is in */
	bool queued;                     /* it is in an accept_q, or on its way out; table lock */
	s64 defer_until;       /* guest's CLOCK_MONOTONIC: then it is accepted all the same */
	s64 syn_until;         /* SYN_SENT: then it is sent again */
	u32 syn_tries;         /* how often it was */
	u32 n_accept, backlog; /* n_accept is read without the lock by poll */
	u32 n_deferred;
	s32 v[TCPO_N];
	char congestion[16];
	struct tcp_sock **retired; /* owned */
	u32 n_retired;
};
OBJECT_DECL(tcp_sock);

/* A sender who never chose a size may have this much under way. */
#define TCP_SNDBUF_TUNED 131072u
#define TCP_RETIRED_MAX  1024u
/* A sender's buffer once it is connected, as it shows it if it never chose a size. */
#define TCP_SNDBUF_SHOWN 2626560
#define TCP_SEGMENT      65483u                        /* what is sent although it is corked */
#define TCP_CORK_NS      (200 * (NSEC_PER_SEC / 1000)) /* and for how long the rest is held */

TAILQ_HEAD(tcp_queue, tcp_sock);

static inline struct tcp_sock *tcp_sk(struct sock *sk)
{
	return (struct tcp_sock *)sk;
}

/* tcp.c */
int tcp_create(struct ctx *c, u16 family, struct sock **ret);
struct tcp_sock *tcp_new(u16 family);
/* What t's ring may hold, given who sends: under t's sk.lock. */
void tcp_set_limit(struct tcp_sock *t, const struct tcp_sock *sender);
/* TCP_INFO; the table lock is held. */
void tcp_info_fill(struct tcp_sock *t, void *buf, size_t size);

/* tcp_conn.c: sock_ops, and what a send or receive finds out. */
int tcp_connect(struct sock *sk, struct ctx *c, const struct sockaddr_storage *a, u32 len,
                bool nonblock);
int tcp_listen(struct sock *sk, struct ctx *c, int backlog);
int tcp_accept(struct sock *sk, struct ctx *c, bool nonblock, struct sock **ret);
int tcp_shutdown(struct sock *sk, struct ctx *c, int how);
void tcp_release(struct sock *sk);
/* t sent data to a peer that reads no more: both ends are reset. */
void tcp_sent_to_closed(struct tcp_sock *t);

/* tcp_listen.c. Under the table lock: a silent connection may be accepted now. */
void tcp_undefer_locked(struct tcp_sock *t);
/* The same, if it still waits. */
void tcp_heard(struct tcp_sock *t);
/* l's queues have nobody more; the owned connections are moved to gone. */
void tcp_queues_empty_locked(struct tcp_sock *l, struct tcp_queue *gone);
/* Connections that nobody will ever accept: what they were sent has no reader. */
void tcp_refuse_all(struct tcp_queue *gone);
void tcp_timer_expired(struct ktimer *kt);
/* Arms kt for what t waits for. */
void tcp_arm(struct tcp_sock *t);

/* Of the listeners that share a port with l, the one that a program chooses for t's SYN. */
struct inet_sock *tcp_choose_locked(const struct tcp_sock *t, struct inet_sock *l);

/* tcp_conn.c, for it; under the table lock. */
void tcp_establish_locked(struct inet_ns *ns, struct tcp_sock *t, struct tcp_sock *l);
void tcp_reset_locked(struct tcp_sock *t);
void tcp_unpend_locked(struct tcp_sock *t);
/* Nobody has answered t's SYN so far. */
void tcp_syn_again_locked(struct inet_ns *ns, struct tcp_sock *t);
static inline bool tcp_has_room(const struct tcp_sock *l)
{
	return l->n_accept <= l->backlog && l->n_deferred <= l->backlog;
}

/* What a receiver may see of the ring. Under t's sk.lock. */
static inline u32 tcp_seen(const struct tcp_sock *t)
{
	return t->len - t->held;
}
/* t's peer holds nothing back any more. Wakes its reader. */
void tcp_push(struct tcp_sock *t);

/* tcp_ring.c; under t's sk.lock. */
u32 tcp_ring_room(const struct tcp_sock *t);
/* Appends up to n bytes of src, n <= room. Bytes, or -EFAULT for none. */
MUST_CHECK long tcp_ring_fill(struct tcp_sock *t, struct uiter *src, u32 n);
/* Copies n bytes from offset off on; nothing is taken. Bytes, or -EFAULT for none. */
MUST_CHECK long tcp_ring_peek(struct tcp_sock *t, struct uiter *dst, u32 off, u32 n);
void tcp_ring_drop(struct tcp_sock *t, u32 n);
void tcp_ring_free(struct tcp_sock *t);
/* A loaded ring enters the network's count. */
void tcp_ring_charge(struct tcp_sock *t);

/* tcp_io.c */
long tcp_sendmsg(struct sock *sk, struct ctx *c, struct sockmsg *m);
long tcp_recvmsg(struct sock *sk, struct ctx *c, struct sockmsg *m);
u32 tcp_poll(struct sock *sk, struct poll_table *pt);
long tcp_ioctl(struct sock *sk, struct ctx *c, u32 cmd, u64 arg);

/* tcp_sockopt.c */
int tcp_setsockopt(struct sock *sk, struct ctx *c, int level, int name, uaddr_t val, u32 len);
int tcp_getsockopt(struct sock *sk, struct ctx *c, int level, int name, uaddr_t val, uaddr_t len);
void tcp_options_init(struct tcp_sock *t);
