#pragma once
/*
 * What sockets of AF_INET and AF_INET6 share: addresses, options of the IP levels, and their place
 * in the port table (ports.h).
 *
 * Locking: local, remote, flags and the place in the table are changed under the table's lock for
 * writing; their owner's calls read them under it for reading, or without it where the type says
 * that they no longer change. Options are written under sk.lock and read without.
 * Lifetime: the sock's. Saved: all but the links of tables.
 */
#include "sentry/net/inet/addr.h"
#include "sentry/net/inet/inet_opts.h"
#include "sentry/net/socket.h"

struct inet_ns;
struct reuse_group;

/* Which table a socket is in. */
enum inet_proto {
	INET_TCP,
	INET_UDP,
	INET_PING, /* ICMP and ICMPv6 echo; ports are identifiers */
	INET_RAW,  /* ports are protocols */
	INET_PROTOS
};

struct inet_sock {
	struct sock sk;
	struct inet_addr local, remote; /* port 0: not bound, not connected */
	u16 past_port; /* of a connection that is over: what getsockname(2) shows until the next */
	bool bound_ip; /* local.ip was chosen by bind(2): connect and disconnect keep it */
	bool bound_port;            /* the same of local.port */
	bool listening;             /* TCP: in the table as a listener */
	bool hashed;                /* in the table, or, while loading, to be */
	bool linked;                /* link is in use */
	LIST_ENTRY(inet_sock) link; /* of the table */
	struct reuse_group *reuse;  /* owned; SO_REUSEPORT: reuse.h */
	TAILQ_ENTRY(inet_sock) reuse_link;
	bool reuse_linked;
	struct inet_opts ip;
};
OBJECT_DECL(inet_sock);

static inline struct inet_sock *inet_sk(struct sock *sk)
{
	return (struct inet_sock *)sk;
}
static inline bool inet_v6only(const struct inet_sock *is)
{
	return is->sk.family == AF_INET6 && is->ip.v[IPO_V6_V6ONLY];
}
enum inet_proto inet_proto_of(const struct sock *sk);
struct inet_ns *inet_ns_of(const struct sock *sk);

/* Common fields of a new socket. */
void inet_setup(struct inet_sock *is, struct ctx *c, u16 family, u16 type, u16 protocol);
/* What an accepted socket takes over from its listener. */
void inet_inherit(struct inet_sock *is, const struct inet_sock *listener);
/* bind(2) for all types. */
MUST_CHECK int inet_bind(struct sock *sk, struct ctx *c, const struct sockaddr_storage *a, u32 len);
/* getsockname(2), getpeername(2); -ENOTCONN. connected: the socket has a peer to show. */
int inet_getname(struct inet_sock *is, bool peer, bool connected, struct sockaddr_storage *ret,
                 u32 *ret_len);
/* The destination of a connect or send, made concrete: any becomes loopback, families must fit
 * (-EAFNOSUPPORT, -ENETUNREACH), and the address must be one that packets can go to (-ENETUNREACH).
 * Broadcast and multicast pass. */
MUST_CHECK int inet_destination(const struct inet_sock *is, struct inet_addr *dst);
/* Fields of the base in after_load: -EBADMSG. Enters the table. */
MUST_CHECK int inet_check_loaded(struct loader *l, struct inet_sock *is);
/* "Options of SOL_IP and SOL_IPV6": ip_sockopt.c. */
MUST_CHECK int ip_setsockopt(struct inet_sock *is, struct ctx *c, int name, uaddr_t val, u32 len);
MUST_CHECK int ip_getsockopt(struct inet_sock *is, struct ctx *c, int name, uaddr_t val,
                             uaddr_t len);
MUST_CHECK int ip6_setsockopt(struct inet_sock *is, struct ctx *c, int name, uaddr_t val, u32 len);
MUST_CHECK int ip6_getsockopt(struct inet_sock *is, struct ctx *c, int name, uaddr_t val,
                              uaddr_t len);
/* IP_MTU. */
s32 inet_path_mtu(struct inet_ns *ns, const struct ipaddr *dst);
/* IPV6_ADDRFORM of an AF_INET6 socket, connected or not: makes it one of AF_INET, or says what it
 * is. */
MUST_CHECK int inet_set_addrform(struct inet_sock *is, struct ctx *c, uaddr_t val, u32 len,
                                 bool connected);
MUST_CHECK int inet_get_addrform(struct inet_sock *is, struct ctx *c, uaddr_t val, uaddr_t len,
                                 bool connected);
static inline bool inet_is_addrform(const struct sock *sk, int level, int name)
{
	return level == SOL_IPV6 && name == IPV6_ADDRFORM && sk->family == AF_INET6;
}
/* SOL_SOCKET, SOL_IP, SOL_IPV6 of any type; -ENOPROTOOPT for other levels. */
MUST_CHECK int inet_setsockopt(struct sock *sk, struct ctx *c, int level, int name, uaddr_t val,
                               u32 len);
MUST_CHECK int inet_getsockopt(struct sock *sk, struct ctx *c, int level, int name, uaddr_t val,
                               uaddr_t len);
