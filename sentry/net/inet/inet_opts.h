#pragma once
/*
 * Options of the levels SOL_IP and SOL_IPV6 (ip(7), ipv6(7)), and multicast memberships.
 *
 * Locking: written under the sock's lock; values read without it, memberships with it.
 * Lifetime, saved: embedded in struct inet_sock.
 */
#include "sentry/net/inet/addr.h"
#include "state/object.h"

/* Options that are a number: X(id, level, name, smallest, largest, default, how long it may be). */
#define IP_INT_OPTIONS(X)                                              \
	X(TOS, IP, IP_TOS, 0, 255, 0)                                  \
	X(TTL, IP, IP_TTL, 1, 255, -1)                                 \
	X(MTU_DISCOVER, IP, IP_MTU_DISCOVER, 0, 5, 1)                  \
	X(RECVERR, IP, IP_RECVERR, -1, 0, 0)                           \
	X(PKTINFO, IP, IP_PKTINFO, -1, 0, 0)                           \
	X(RECVTTL, IP, IP_RECVTTL, -1, 0, 0)                           \
	X(RECVTOS, IP, IP_RECVTOS, -1, 0, 0)                           \
	X(RECVOPTS, IP, IP_RECVOPTS, -1, 0, 0)                         \
	X(RETOPTS, IP, IP_RETOPTS, -1, 0, 0)                           \
	X(RECVORIGDST, IP, IP_RECVORIGDSTADDR, -1, 0, 0)               \
	X(PASSSEC, IP, IP_PASSSEC, -1, 0, 0)                           \
	X(FREEBIND, IP, IP_FREEBIND, -1, 0, 0)                         \
	X(MINTTL, IP, IP_MINTTL, 0, 255, 0)                            \
	X(BIND_NO_PORT, IP, IP_BIND_ADDRESS_NO_PORT, -1, 0, 0)         \
	X(MC_TTL, IP, IP_MULTICAST_TTL, 0, 255, 1)                     \
	X(MC_LOOP, IP, IP_MULTICAST_LOOP, -1, 0, 1)                    \
	X(MC_ALL, IP, IP_MULTICAST_ALL, 0, 1, 1)                       \
	X(RECVFRAGSIZE, IP, IP_RECVFRAGSIZE, -1, 0, 0)                 \
	X(HDRINCL, IP, IP_HDRINCL, -1, 0, 0)                           \
	X(TRANSPARENT, IP, IP_TRANSPARENT, -1, 0, 0)                   \
	X(RFC4884, IP, 26 /* IP_RECVERR_RFC4884 */, 0, 1, 0)           \
	X(UNICAST_IF, IP, IP_UNICAST_IF, 0, LO_INDEX, 0)               \
	X(V6_V6ONLY, IPV6, IPV6_V6ONLY, -1, 0, 0)                      \
	X(V6_HOPS, IPV6, IPV6_UNICAST_HOPS, -1, 255, -1)               \
	X(V6_MC_HOPS, IPV6, IPV6_MULTICAST_HOPS, -1, 255, 1)           \
	X(V6_MC_LOOP, IPV6, IPV6_MULTICAST_LOOP, 0, 1, 1)              \
	X(V6_MC_ALL, IPV6, IPV6_MULTICAST_ALL, -1, 0, 1)               \
	X(V6_TCLASS, IPV6, IPV6_TCLASS, -1, 255, 0)                    \
	X(V6_MTU_DISCOVER, IPV6, IPV6_MTU_DISCOVER, 0, 5, 1)           \
	X(V6_RECVERR, IPV6, IPV6_RECVERR, -1, 0, 0)                    \
	X(V6_RECVPKTINFO, IPV6, IPV6_RECVPKTINFO, -1, 0, 0)            \
	X(V6_RECVHOPLIMIT, IPV6, IPV6_RECVHOPLIMIT, -1, 0, 0)          \
	X(V6_RECVTCLASS, IPV6, IPV6_RECVTCLASS, -1, 0, 0)              \
	X(V6_RECVRTHDR, IPV6, IPV6_RECVRTHDR, -1, 0, 0)                \
	X(V6_RECVHOPOPTS, IPV6, IPV6_RECVHOPOPTS, -1, 0, 0)            \
	X(V6_RECVDSTOPTS, IPV6, IPV6_RECVDSTOPTS, -1, 0, 0)            \
	X(V6_RECVPATHMTU, IPV6, IPV6_RECVPATHMTU, -1, 0, 0)            \
	X(V6_RECVORIGDST, IPV6, 74 /* IPV6_ORIGDSTADDR */, -1, 0, 0)   \
	X(V6_DONTFRAG, IPV6, IPV6_DONTFRAG, -1, 0, 0)                  \
	X(V6_AUTOFLOW, IPV6, 70 /* IPV6_AUTOFLOWLABEL */, -1, 0, 1)    \
	X(V6_FLOWINFO, IPV6, 11 /* IPV6_FLOWINFO */, -1, 0, 0)         \
	X(V6_FLOWSEND, IPV6, 33 /* IPV6_FLOWINFO_SEND */, -1, 0, 0)    \
	X(V6_FREEBIND, IPV6, 78 /* IPV6_FREEBIND */, -1, 0, 0)         \
	X(V6_ADDR_PREF, IPV6, 72 /* IPV6_ADDR_PREFERENCES */, 0, 7, 0) \
	X(V6_RFC4884, IPV6, 31 /* IPV6_RECVERR_RFC4884 */, 0, 1, 0)    \
	X(V6_MINHOPS, IPV6, IPV6_MINHOPCOUNT, 0, 255, 0)               \
	X(V6_TRANSPARENT, IPV6, IPV6_TRANSPARENT, -1, 0, 0)            \
	X(V6_UNICAST_IF, IPV6, IPV6_UNICAST_IF, 0, LO_INDEX, 0)        \
	X(V6_RECVFRAGSIZE, IPV6, IPV6_RECVFRAGSIZE, -1, 0, 0)          \
	X(V6_OLD_PKTINFO, IPV6, IPV6_2292PKTINFO, -1, 0, 0)            \
	X(V6_OLD_HOPLIMIT, IPV6, IPV6_2292HOPLIMIT, -1, 0, 0)          \
	X(V6_OLD_HOPOPTS, IPV6, IPV6_2292HOPOPTS, -1, 0, 0)            \
	X(V6_OLD_DSTOPTS, IPV6, IPV6_2292DSTOPTS, -1, 0, 0)            \
	X(V6_OLD_RTHDR, IPV6, IPV6_2292RTHDR, -1, 0, 0)

enum ip_opt {
#define X(id, level, name, lo, hi, def) IPO_##id,
	IP_INT_OPTIONS(X)
#undef X
	IPO_N
};

/* A group that was joined, and whose packets it is to bring: all but those of the sources, or
 * theirs alone. */
struct mc_member {
	struct ipaddr group;
	bool include;
	u32 n_sources;
	struct ipaddr *sources; /* owned */
};
#define MC_MAX         1024u /* whatever igmp_max_memberships says */
#define MC_SOURCES_MAX 10u   /* igmp_max_msf */

struct inet_opts {
	s32 v[IPO_N];
	u32 mc_if; /* index of the interface that multicast goes out by; 0: none chosen */
	u32 mc_if6;
	struct ipaddr mc_addr;     /* its address, as IP_MULTICAST_IF shows it */
	struct mc_member *members; /* owned */
	u32 n_members;
};

void inet_opts_init(struct inet_opts *o, bool v6);
/* A copy without memberships. */
void inet_opts_copy(struct inet_opts *o, const struct inet_opts *from);
void inet_opts_finish(struct inet_opts *o);
/* Leaves all groups of IPv6. */
void inet_opts_leave6(struct inet_opts *o);
/* NULL: it is none. */
struct mc_member *inet_opts_member(const struct inet_opts *o, const struct ipaddr *group);
/* What the member gets of packets from src. */
bool mc_member_takes(const struct mc_member *m, const struct ipaddr *src);
