#pragma once
/*
 * Where packets go: the routes of a network (ip-route(8)). All lead to its one interface, lo, where
 * what is no address of this machine is lost; those of type local make an address one. Routes of
 * the local and the main table count, and those of the default table after them; who fills others
 * sees them kept. Routes of addresses come and go with them (lo.h).
 *
 * Locking: struct fib's own lock (RANK_FIB, a leaf); functions named _locked want it held, for
 * writing where they change something. Lifetime: in struct inet_ns. Saved: all but what follows.
 */
#include "sentry/net/inet/addr.h"
#include "state/base/lock.h"

#include <linux/rtnetlink.h>

struct inet_ns;
struct lo_addr;

/* A network has no more routes than this, and no more addresses. */
#define FIB_ROUTES_MAX 8192u
#define FIB_ADDRS_MAX  1024u

struct fib_route {
	u16 family;
	u8 plen, tos, proto, scope, type; /* as in struct rtmsg */
	bool dev, has_src, has_via;
	u32 table, metric;
	struct ipaddr dst, src, via;
	u32 limits[RTAX_MAX + 1]; /* RTAX_*; 0: not set */
};

struct fib {
	struct rwlock lock;
	struct fib_route *routes; /* in the order that dumps have */
	u32 n_routes, routes_cap;
	struct lo_addr *addrs; /* as dumps show them: IPv4 first */
	u32 n_addrs, addrs_cap;
	bool no_ipv6;                  /* disable_ipv6 of lo */
	u32 flags, mtu, txqlen, group; /* of lo: IFF_* without those that follow from IFF_UP */
	/* 127.0.0.1 and ::1 are where they use to be: what almost every packet asks. */
	_Atomic bool usual4, usual6;
};

/* What a look-up found. */
struct fib_result {
	u8 type; /* RTN_LOCAL, RTN_BROADCAST, RTN_MULTICAST, or RTN_UNICAST: nobody is there */
	bool has_via;
	u32 table, mtu; /* 0: lo's */
	struct ipaddr src, via;
	const struct fib_route *route; /* while the lock is held */
};

void fib_init(struct fib *f);
void fib_finish(struct fib *f);
/* lo as it is when a sandbox begins: up, with its two addresses. */
void fib_boot(struct fib *f);

/* Where a packet to dst goes, and from which address if none was chosen. -ENETUNREACH, or what its
 * route says: -EHOSTUNREACH, -EACCES, -EINVAL. */
MUST_CHECK int fib_lookup(struct inet_ns *ns, const struct ipaddr *dst, struct fib_result *ret);
/* The address is one of this machine's: bind(2) takes it. */
bool fib_is_local(struct inet_ns *ns, const struct ipaddr *a);
bool fib_is_broadcast(struct inet_ns *ns, const struct ipaddr *a);
/* The source that a packet to dst has when none was chosen. */
struct ipaddr fib_source_for(struct inet_ns *ns, const struct ipaddr *dst);
/* Nothing that is sent there arrives: lo is down, or dst is nobody. */
bool fib_lost(struct inet_ns *ns, const struct ipaddr *dst);
u32 fib_mtu(struct inet_ns *ns);

/* ---- for lo.c and rtnetlink ---- */

/* The addresses differ in none of the first plen bits that their family counts. */
bool fib_same_prefix(const struct ipaddr *a, const struct ipaddr *b, u16 family, u32 plen);
MUST_CHECK int fib_lookup_locked(const struct fib *f, const struct ipaddr *dst,
                                 struct fib_result *ret);
/* As fib_is_local. */
bool fib_is_local_locked(const struct fib *f, const struct ipaddr *a);
/* Enters r before (first) or after others as good. -ENOBUFS. */
MUST_CHECK int fib_insert_locked(struct fib *f, const struct fib_route *r, bool first);
void fib_remove_locked(struct fib *f, u32 i);
/* The first of the same destination, table, TOS and metric; -1. */
s64 fib_find_locked(const struct fib *f, const struct fib_route *r);
/* To be called after every change. */
void fib_changed_locked(struct fib *f);
