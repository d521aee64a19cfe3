#pragma once
/*
 * Datagram sockets: UDP (udp(7)), ICMP echo (icmp(7)) and raw ones (raw(7)). A datagram goes from
 * the sender's memory into the queues of whoever is bound to where it goes, in the sender's call;
 * what does not fit is dropped.
 *
 * Locking: queues, cork and pending errors under sk.lock (RANK_SOCK) of whose they are; addresses
 * under the port table's lock, as inet.h says. Lifetime: the file's.
 * Saved: everything, queued datagrams included.
 */
#include "sentry/net/inet/inet.h"
#include "sentry/net/inet/ports.h"
#include "sentry/net/sockmsg.h"

/* One datagram, or one entry of an error queue. */
struct packet {
	STAILQ_ENTRY(packet) link;
	struct inet_addr src, dst; /* of an error: dst where the datagram was to go */
	u8 ttl, tos;
	s64 stamp;   /* realtime, ns */
	u32 drops;   /* how many were dropped before it */
	bool peeked; /* somebody has looked at it */
	bool framed; /* on its way: the header of UDP is in data */
	s32 err;     /* error queue: errno */
	bool local;  /* found here, not by a router; info is what may be sent at most */
	u32 info;
	u32 len;
	u8 data[];
};
STAILQ_HEAD(packet_list, packet);

#define UDP_INT_OPTIONS(X)                \
	X(CORK, UDP_CORK, 0, 1)           \
	X(SEGMENT, UDP_SEGMENT, 0, 65535) \
	X(GRO, UDP_GRO, 0, 1)             \
	X(NO_CHECK6_TX, 101, 0, 1)        \
	X(NO_CHECK6_RX, 102, 0, 1)
enum udp_opt {
#define X(id, name, lo, hi) UDPO_##id,
	UDP_INT_OPTIONS(X)
#undef X
	UDPO_N
};

struct udp_sock {
	struct inet_sock inet;
	bool connected; /* table lock */
	struct packet_list rxq, errq;
	bool counted;           /* charge is in the network's count */
	u64 charge, err_charge; /* what the queues hold, as Linux counts memory */
	u32 n_rx;
	u32 drops;
	s64 stamp; /* SIOCGSTAMP: when the last datagram that was received came; -1: none */
	/* UDP_CORK, MSG_MORE: what was sent so far. */
	bool corked;
	struct inet_addr cork_dst;
	u8 *cork;
	u32 cork_len;
	s32 v[UDPO_N];
	s32 csum_at;        /* raw IPv6: where in the data its checksum is; -1: nowhere */
	u32 icmp_filter[8]; /* raw ICMP: a bit for each type that is left out */
};
OBJECT_DECL(udp_sock);

static inline struct udp_sock *udp_sk(struct sock *sk)
{
	return (struct udp_sock *)sk;
}
static inline bool udp_is_raw(const struct udp_sock *u)
{
	return u->inet.sk.type == SOCK_RAW;
}
static inline bool udp_is_ping(const struct udp_sock *u)
{
	return u->inet.sk.protocol != IPPROTO_UDP && !udp_is_raw(u);
}

#define UDP_MAX 65507u /* bytes in a datagram over IPv4 */

/* packets.c: queues. packet_new: uninitialized data. */
struct packet *packet_new(u32 len);
u32 packet_charge(const struct packet *p);
/* What the queue takes changes by that many bytes. Under sk.lock. */
void udp_charge(struct udp_sock *u, s64 bytes);
/* Takes p over; false: no room, and p is freed. */
bool udp_enqueue(struct udp_sock *u, struct packet *p);
void udp_enqueue_error(struct udp_sock *u, struct packet *p);
/* The first one, taken off; NULL. Under sk.lock. */
struct packet *udp_dequeue(struct udp_sock *u);
void packets_free(struct packet_list *l);

/* udp.c */
int udp_create(struct ctx *c, u16 family, u16 protocol, struct sock **ret);

/* udp_send.c */
struct send_how {
	struct inet_addr src, dst;
	bool has_src;
	u8 ttl, tos;
	u32 segment;
};
long udp_sendmsg(struct sock *sk, struct ctx *c, struct sockmsg *m);
/* Brings p, which it takes over, to whoever is there; nobody: the sender may be told. */
void udp_deliver(struct udp_sock *from, struct packet *p);
/* Sends what is corked. */
long udp_uncork(struct udp_sock *u, struct ctx *c);
/* Binds to a free port if it is not bound. */
MUST_CHECK int udp_autobind(struct udp_sock *u);
MUST_CHECK int udp_control(struct udp_sock *u, struct ctx *c, const struct sockmsg *m,
                           struct send_how *how);

/* udp_recv.c */
long udp_recvmsg(struct sock *sk, struct ctx *c, struct sockmsg *m);
u32 udp_poll(struct sock *sk, struct poll_table *pt);
long udp_ioctl(struct sock *sk, struct ctx *c, u32 cmd, u64 arg);

/* Brings p, which it takes over, to the UDP sockets alone. false: nobody is there. */
bool udp_input(struct inet_ns *ns, struct packet *p);

/* raw.c. Copies of a packet for the raw sockets of its protocol, whose headers are still to be made
 * (as wire_write makes them). */
MUST_CHECK int raw_create(struct ctx *c, u16 family, int protocol, struct sock **ret);
void raw_tap(struct inet_ns *ns, const struct packet *p, u8 proto);
long raw_sendmsg(struct sock *sk, struct ctx *c, struct sockmsg *m);
MUST_CHECK int raw_setsockopt(struct sock *sk, struct ctx *c, int level, int name, uaddr_t val,
                              u32 len);
MUST_CHECK int raw_getsockopt(struct sock *sk, struct ctx *c, int level, int name, uaddr_t val,
                              uaddr_t len);

/* ping.c. icmp_input: an ICMP or ICMPv6 message arrived at an address of this machine; takes it
 * over. */
void icmp_input(struct inet_ns *ns, struct packet *p);
long ping_sendmsg(struct sock *sk, struct ctx *c, struct sockmsg *m);
MUST_CHECK int ping_may_create(struct ctx *c);
