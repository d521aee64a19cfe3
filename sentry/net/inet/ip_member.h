#pragma once
/*
 * Multicast groups of sockets: joining, leaving, sources to take or to leave out (RFC 3678).
 *
 * Locking: takes the socket's. Lifetime, saved: in struct inet_opts.
 */
#include "sentry/net/inet/inet.h"

/* Options of SOL_IP, and the MCAST_ ones, which are the same at SOL_IPV6. */
MUST_CHECK int member_setsockopt(struct inet_sock *is, struct ctx *c, int name, uaddr_t val,
                                 u32 len);
/* IPV6_JOIN_GROUP (add), IPV6_LEAVE_GROUP. */
MUST_CHECK int member6_setsockopt(struct inet_sock *is, struct ctx *c, bool add, uaddr_t val,
                                  u32 len);
/* IP_MSFILTER, MCAST_MSFILTER. */
MUST_CHECK int member_getsockopt(struct inet_sock *is, struct ctx *c, int name, uaddr_t val,
                                 uaddr_t len);
/* The interface that an IPv4 request names by index or address is lo, the only one; group (or NULL)
 * is what routes a request that leaves the choice to routing. */
bool member_names_lo(const struct inet_sock *is, u32 ifindex, u32 addr, const struct ipaddr *group);
