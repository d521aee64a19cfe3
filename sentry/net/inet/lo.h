#pragma once
/*
 * The interface that there is: its addresses, whether it is up, its MTU; and what changes of these
 * do to routes. A change says what it did as a list of events, which rtnetlink tells whoever
 * listens.
 *
 * Locking: state under struct fib's lock; changes also one at a time, under rtnl (RANK_RTNL), so
 * that events are told in the order in which things happened. Lifetime, saved: in struct inet_ns.
 */
#include "sentry/net/inet/fib.h"

#include <linux/if.h>
#include <linux/if_addr.h>

struct lo_addr {
	u16 family;
	u8 plen, scope, proto;
	u32 flags; /* IFA_F_* */
	u32 metric;
	struct ipaddr ip, peer, brd; /* IFA_LOCAL, IFA_ADDRESS, IFA_BROADCAST */
	struct ipaddr src;           /* IPv4: where what goes to it comes from */
	bool has_brd;
	char label[IFNAMSIZ];
	u64 created, updated; /* hundredths of a second */
};

enum lo_what {
	LO_LINK,
	LO_ADDR_NEW,
	LO_ADDR_DEL,
	LO_ROUTE_NEW,
	LO_ROUTE_DEL,
};

struct lo_event {
	enum lo_what what;
	bool asked; /* it is what the request said, not what followed */
	u16 nlflags;
	u32 changed; /* LO_LINK: flags that did */
	struct lo_addr addr;
	struct fib_route route;
};

struct lo_events {
	struct lo_event *v; /* owned */
	u32 n, cap;
};
void lo_events_free(struct lo_events *ev);
struct lo_event *lo_event_add(struct lo_events *ev, enum lo_what what);

/* The flags as programs see them. */
u32 lo_flags(const struct fib *f);

/*
 * Changes; the network's rtnl lock is held. now: hundredths of a second. They fill *ev also when
 * they fail.
 */
/* -EEXIST (an address of the same subnet has it, or replace is not set), -EINVAL, -ENOBUFS. */
MUST_CHECK int lo_addr_add(struct fib *f, struct lo_addr *a, bool replace, struct lo_events *ev);
/* The first address that is like this one where it says something; -EADDRNOTAVAIL. */
MUST_CHECK int lo_addr_del(struct fib *f, const struct lo_addr *like, bool any_peer,
                           struct lo_events *ev);
/* flags: all that can be set. */
void lo_set_flags(struct fib *f, u32 flags, u64 now, struct lo_events *ev);
/* Without IPv6, lo has none of its addresses, and gets none: -EACCES. */
void lo_set_ipv6(struct fib *f, bool on, u64 now, struct lo_events *ev);
/* Below what a protocol needs, its addresses go. */
void lo_set_mtu(struct fib *f, u32 mtu, struct lo_events *ev);
/* NLM_F_* of nlflags say what to do about routes that are there: -EEXIST, -ENOENT. */
MUST_CHECK int lo_route_add(struct fib *f, struct fib_route *r, u16 nlflags, struct lo_events *ev);
/* Fields of like that are 0 (scope: RT_SCOPE_NOWHERE) fit all. -ESRCH. */
MUST_CHECK int lo_route_del(struct fib *f, const struct fib_route *like, struct lo_events *ev);
