#pragma once
/*
 * The port table: who is bound to what, who may bind as well, and who receives what is sent to an
 * address (ip(7), socket(7): SO_REUSEADDR, SO_REUSEPORT, IPV6_V6ONLY).
 *
 * Locking: lock (RANK_INET), for writing where the table or the state of a TCP connection changes,
 * for reading to look somebody up. Functions named _locked want it held. sock locks nest inside.
 * Lifetime: one per network namespace, owned by it. Sockets enter and leave; none is owned.
 * Saved: connections in TIME_WAIT (owned here), settings and counters; sockets enter by themselves.
 */
#include "sentry/mm/heap.h"
#include "sentry/net/inet/fib.h"
#include "sentry/net/inet/groups.h"
#include "sentry/net/inet/inet.h"
#include "sentry/net/inet/settings.h"

#define PORT_HASH    1024u
#define INET_MEM_MAX (128 * MIB)
/* More connections than this in TIME_WAIT, and the oldest is forgotten. */
#define TIME_WAIT_MAX 8192u
#define TIME_WAIT_NS  (60 * NSEC_PER_SEC)

/* A connection that is over, whose port may not be used without SO_REUSEADDR for a while. */
struct inet_tw {
	struct obj obj;
	LIST_ENTRY(inet_tw) link;   /* of the table */
	TAILQ_ENTRY(inet_tw) order; /* by age */
	u16 family;
	bool v6only, reuseaddr, reuseport;
	struct inet_addr local, remote;
	u32 uid;
	s64 expires; /* on the guest's CLOCK_MONOTONIC */
};
OBJECT_DECL(inet_tw);

struct kernel;
struct netlink_sock;
struct timers;

struct port_bucket {
	LIST_HEAD(, inet_sock) listeners;
	LIST_HEAD(, inet_sock) socks;
	LIST_HEAD(, inet_tw) tws;
};

/* What /proc/net/snmp and /proc/net/netstat show. */
/* clang-format off */
#define INET_COUNTERS(X) \
	X(IP_OUT) \
	X(UDP_IN) \
	X(UDP_NOPORTS) \
	X(UDP_RCVBUFERR) \
	X(UDP_OUT) \
	X(UDP6_IN) \
	X(UDP6_NOPORTS) \
	X(UDP6_RCVBUFERR) \
	X(UDP6_OUT) \
	X(TCP_ACTIVE) \
	X(TCP_PASSIVE) \
	X(TCP_FAILS) \
	X(TCP_RESETS) \
	X(TCP_IN) \
	X(TCP_OUT) \
	X(TCP_OUTRSTS) \
	X(TCP_LISTENDROPS) \
	X(ICMP_ECHO) \
	X(LO_BYTES) \
	X(LO_PACKETS)
/* clang-format on */
enum inet_counter {
#define X(name) INET_##name,
	INET_COUNTERS(X)
#undef X
	INET_COUNTER_N
};

struct inet_ns {
	struct obj obj;
	struct rwlock lock;
	struct kernel *kernel; /* for its clocks and timers; NULL in tests without one */
	struct port_bucket *table[INET_PROTOS];
	TAILQ_HEAD(, inet_tw) tws; /* owned, by age; lock */
	u32 n_tws;                 /* lock */
	u32 rover;                 /* where the next search for a free port begins; lock */
	/* Settings: /proc/sys/net/ipv4. Written by root, read without a lock. */
	u32 port_lo, port_hi;
	u32 unprivileged_port;
	u32 ping_lo, ping_hi; /* groups that may make echo sockets; lo > hi: none */
	u32 default_ttl;
	s32 settings[NET_SETTING_N];
	u8 *reserved;      /* owned; a bit for each port that is; NULL: none; lock */
	struct mutex rtnl; /* RANK_RTNL: changes of fib, and telling of them */
	struct fib fib;    /* addresses and routes */
	struct mc_groups groups;
	_Atomic u32 n_raw; /* raw sockets there are: nobody else's packets need to be made */
	LIST_HEAD(, netlink_sock) netlinks; /* bound ones; lock */
	/* Bytes that queues and rings of all sockets take. Above INET_MEM_MAX datagrams are dropped
	 * and no ring grows beyond its first step. */
	_Atomic u64 mem;
	_Atomic u64 counters[INET_COUNTER_N];
};
OBJECT_DECL(inet_ns);

struct inet_ns *inet_ns_new(struct kernel *k);
/* NULL: there are none, or not yet. */
struct timers *inet_timers(const struct inet_ns *ns);
static inline void inet_count(struct inet_ns *ns, enum inet_counter which, u64 n)
{
	atomic_fetch_add_explicit(&ns->counters[which], n, memory_order_relaxed);
}
s64 inet_now(const struct inet_ns *ns);
static inline bool inet_mem_full(const struct inet_ns *ns)
{
	return atomic_load_explicit(&((struct inet_ns *)(uintptr_t)ns)->mem, memory_order_relaxed) >
	       heap_buffers_max(INET_MEM_MAX);
}

/* reserved.c: "8080,9000-9010" (-EINVAL), and the other way (the caller frees it). */
MUST_CHECK int ports_reserve(struct inet_ns *ns, const char *list);
char *ports_reserved_list(struct inet_ns *ns);
static inline bool port_is_reserved(const struct inet_ns *ns, u16 port)
{
	return ns->reserved && (ns->reserved[port / 8] & 1 << port % 8);
}

/* ---- binding; for writing ---- */

/* Gives is the address ip and the port, or any free one of the ephemeral range for 0; it is in the
 * table then. -EADDRINUSE. */
MUST_CHECK int port_bind_locked(struct inet_ns *ns, struct inet_sock *is, const struct ipaddr *ip,
                                u16 port);
/* connect(2) of an unbound TCP socket, whose remote is set: a port that makes the connection
 * unique. -EADDRNOTAVAIL. */
MUST_CHECK int port_connect_locked(struct inet_ns *ns, struct inet_sock *is,
                                   const struct ipaddr *ip);
/* No other connection has the same two ends; an old one that would is forgotten. */
bool port_unique_locked(struct inet_ns *ns, const struct inet_sock *is);
/* May is listen where it is bound? -EADDRINUSE. Then it is in the table as a listener. */
MUST_CHECK int port_listen_locked(struct inet_ns *ns, struct inet_sock *is);
/* Enters the table as it is. */
void port_add_locked(struct inet_ns *ns, struct inet_sock *is);
/* Leaves the table; not being there is fine. The addresses stay. */
void port_remove_locked(struct inet_ns *ns, struct inet_sock *is);
void port_time_wait_locked(struct inet_ns *ns, const struct inet_sock *is);
/* Forgets those that are over. */
void port_expire_locked(struct inet_ns *ns);

/* ---- looking up; for reading. Borrowed: take a reference before the lock goes ---- */

/* The listener for a connection from src to dst. */
struct inet_sock *port_listener_locked(struct inet_ns *ns, const struct inet_addr *src,
                                       const struct inet_addr *dst);
/* The one socket that gets a datagram. */
struct inet_sock *port_receiver_locked(struct inet_ns *ns, enum inet_proto proto,
                                       const struct inet_addr *src, const struct inet_addr *dst);
/* is would take a datagram from src to dst (multicast and broadcast: there may be many). -1: no. */
int port_score(const struct inet_sock *is, const struct inet_addr *src,
               const struct inet_addr *dst);
struct port_bucket *port_bucket(struct inet_ns *ns, enum inet_proto proto, u16 port);
