/* Routes: their order, and looking one up. */
#include "sentry/net/inet/fib.h"

#include "sentry/net/inet/lo.h"
#include "sentry/net/inet/ports.h"
#include "state/base/bug.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Where the bits of a family's addresses begin in struct ipaddr. */
static u32 first_bit(u16 family)
{
	return family == AF_INET ? 96 : 0;
}

/* How many bits two addresses share from their family's first on. */
static u32 common_bits(const struct ipaddr *a, const struct ipaddr *b, u16 family)
{
	u32 at = first_bit(family);

	for (u32 i = at / 8; i < 16; i++) {
		u8 d = a->b[i] ^ b->b[i];

		if (d)
			return i * 8 + (u32)__builtin_clz(d) - 24 - at;
	}
	return 128 - at;
}

bool fib_same_prefix(const struct ipaddr *a, const struct ipaddr *b, u16 family, u32 plen)
{
	return common_bits(a, b, family) >= plen;
}

/* ---- order ---- */

/* IPv4 by destination and then the longer prefix; IPv6 with what lies inside a prefix before it. */
static int by_prefix(const struct fib_route *a, const struct fib_route *b)
{
	u32 inside = MIN(a->plen, b->plen);

	if (a->family == AF_INET6 && fib_same_prefix(&a->dst, &b->dst, AF_INET6, inside))
		return (int)b->plen - (int)a->plen;
	return memcmp(a->dst.b, b->dst.b, sizeof(a->dst.b)) ?: (int)b->plen - (int)a->plen;
}

#define CMP(x, y) ((x) < (y) ? -1 : (x) > (y))

/* Tables are kept by the last byte of their number. */
static int by_place(const struct fib_route *a, const struct fib_route *b)
{
	int r = CMP(a->family, b->family) ?: CMP(a->table & 0xff, b->table & 0xff)
			?: CMP(b->table, a->table) ?: by_prefix(a, b);

	return r ?: CMP(a->tos, b->tos) ?: CMP(a->metric, b->metric);
}

int fib_insert_locked(struct fib *f, const struct fib_route *r, bool first)
{
	u32 at = 0;

	if (f->n_routes >= FIB_ROUTES_MAX)
		return -ENOBUFS;
	while (at < f->n_routes) {
		int c = by_place(&f->routes[at], r);

		if (c > 0 || (c == 0 && first))
			break;
		at++;
	}
	if (f->n_routes == f->routes_cap) {
		f->routes_cap = f->routes_cap ? f->routes_cap * 2 : 16;
		f->routes = reallocarray(f->routes, f->routes_cap, sizeof(*f->routes));
		BUG_ON(!f->routes);
	}
	memmove(f->routes + at + 1, f->routes + at, (f->n_routes - at) * sizeof(*f->routes));
	f->routes[at] = *r;
	f->n_routes++;
	return 0;
}

void fib_remove_locked(struct fib *f, u32 i)
{
	f->n_routes--;
	memmove(f->routes + i, f->routes + i + 1, (f->n_routes - i) * sizeof(*f->routes));
}

s64 fib_find_locked(const struct fib *f, const struct fib_route *r)
{
	for (u32 i = 0; i < f->n_routes; i++) {
		if (by_place(&f->routes[i], r) == 0)
			return i;
	}
	return -1;
}

/* ---- looking up ---- */

/* Tables are asked one after the other; IPv4 has local and main in one. */
static u32 rank_of(const struct fib_route *r)
{
	switch (r->table) {
	case RT_TABLE_LOCAL:
		return 1;
	case RT_TABLE_MAIN:
		return r->family == AF_INET ? 1 : 2;
	case RT_TABLE_DEFAULT:
		return r->family == AF_INET ? 3 : 0;
	default:
		return 0;
	}
}

/* The best route to dst of the tables asked rank-th. */
static const struct fib_route *best(const struct fib *f, const struct ipaddr *dst, u32 rank)
{
	u16 family = ip_is_v4(dst) ? AF_INET : AF_INET6;
	const struct fib_route *top = NULL;

	for (u32 i = 0; i < f->n_routes; i++) {
		const struct fib_route *r = &f->routes[i];

		if (r->family != family || r->tos || rank_of(r) != rank ||
		    !fib_same_prefix(&r->dst, dst, family, r->plen))
			continue;
		if (!top || r->plen > top->plen ||
		    (r->plen == top->plen && r->table == RT_TABLE_LOCAL &&
		     top->table != RT_TABLE_LOCAL))
			top = r;
	}
	return top;
}

static const struct lo_addr *own(const struct fib *f, const struct ipaddr *a)
{
	for (u32 i = 0; i < f->n_addrs; i++) {
		if (ip_equal(&f->addrs[i].ip, a))
			return &f->addrs[i];
	}
	return NULL;
}

/* The address of lo that IPv4 packets of a scope come from, via a neighbour if there is one. */
static struct ipaddr source4(const struct fib *f, u8 scope, const struct ipaddr *via)
{
	const struct lo_addr *first = NULL;

	for (u32 i = 0; i < f->n_addrs; i++) {
		const struct lo_addr *a = &f->addrs[i];

		if (a->family != AF_INET || (a->flags & IFA_F_SECONDARY) || a->scope > scope)
			continue;
		if (!via || fib_same_prefix(&a->peer, via, AF_INET, a->plen))
			return a->ip;
		first = first ? first : a;
	}
	return first ? first->ip : ip_any4;
}

static u32 scope6(const struct ipaddr *a)
{
	if (a->b[0] == 0xff)
		return a->b[1] & 0xf;
	return ip_equal(a, &ip_loop6) || ip_is_linklocal(a) ? 2 : 14;
}

/* RFC 6724, as far as one interface has a choice: the address itself, one that reaches as far but
 * no further than it has to, not deprecated, alike in the most bits. */
static bool source6(const struct fib *f, const struct ipaddr *dst, struct ipaddr *ret)
{
	const struct lo_addr *top = NULL;
	u32 want = scope6(dst);

	for (u32 i = 0; i < f->n_addrs; i++) {
		const struct lo_addr *a = &f->addrs[i];
		u32 s = scope6(&a->ip), t;

		if (a->family != AF_INET6)
			continue;
		if (ip_equal(&a->ip, dst)) {
			*ret = a->ip;
			return true;
		}
		t = top ? scope6(&top->ip) : 0;
		if (!top || (s != t && (s < t ? s >= want : t < want)) ||
		    (s == t && !(a->flags & IFA_F_DEPRECATED) &&
		     ((top->flags & IFA_F_DEPRECATED) ||
		      common_bits(&a->ip, dst, AF_INET6) > common_bits(&top->ip, dst, AF_INET6))))
			top = a;
	}
	if (top)
		*ret = top->ip;
	return top != NULL;
}

/* What a packet of IPv4 gets of its route. */
static int result4(const struct fib *f, const struct ipaddr *dst, const struct fib_route *r,
                   struct fib_result *ret)
{
	if (ret->type == RTN_UNICAST && ip_is_multicast(dst))
		ret->type = RTN_MULTICAST;
	else if (ip_v4(dst) == 0xffffffff)
		ret->type = RTN_BROADCAST;
	if (r->has_src)
		ret->src = r->src;
	else if (r->type == RTN_LOCAL)
		ret->src = *dst;
	else
		ret->src = source4(f, r->scope, r->has_via ? &r->via : NULL);
	return 0;
}

static int result6(const struct fib *f, const struct ipaddr *dst, const struct fib_route *r,
                   struct fib_result *ret)
{
	if (ip_is_multicast(dst))
		ret->type = RTN_MULTICAST;
	if (r->has_src)
		ret->src = r->src;
	else if (!source6(f, dst, &ret->src))
		return -EADDRNOTAVAIL;
	return 0;
}

int fib_lookup_locked(const struct fib *f, const struct ipaddr *dst, struct fib_result *ret)
{
	bool v4 = ip_is_v4(dst);
	const struct fib_route *r = NULL;

	for (u32 rank = 1; rank <= 3; rank++) {
		r = best(f, dst, rank);
		if (r && r->type != RTN_THROW)
			break;
		r = NULL;
	}
	switch (r ? r->type : RTN_THROW) {
	case RTN_THROW:
		/* Nothing is said of it; IPv6 looks for a source first. */
		return v4 || source6(f, dst, &ret->src) ? -ENETUNREACH : -EADDRNOTAVAIL;
	case RTN_UNREACHABLE:
		return -EHOSTUNREACH;
	case RTN_PROHIBIT:
		return -EACCES;
	case RTN_BLACKHOLE:
		return -EINVAL;
	default:
		break;
	}
	*ret = (struct fib_result){
		.type = r->type,
		.table = r->table,
		.mtu = r->limits[RTAX_MTU],
		.has_via = r->has_via,
		.via = r->via,
		.route = r,
	};
	return v4 ? result4(f, dst, r, ret) : result6(f, dst, r, ret);
}

static bool usual(struct fib *f, const struct ipaddr *loop)
{
	struct fib_result res;

	return (f->flags & IFF_UP) && fib_lookup_locked(f, loop, &res) == 0 &&
	       res.type == RTN_LOCAL && res.table == RT_TABLE_LOCAL && !res.mtu &&
	       ip_equal(&res.src, loop) && fib_is_local_locked(f, loop);
}

void fib_changed_locked(struct fib *f)
{
	atomic_store(&f->usual4, usual(f, &ip_loop4));
	atomic_store(&f->usual6, usual(f, &ip_loop6));
}

/* dst is 127.0.0.1 or ::1, and about them there is nothing special. */
static inline bool is_usual(struct fib *f, const struct ipaddr *dst)
{
	return (ip_equal(dst, &ip_loop4) &&
	        atomic_load_explicit(&f->usual4, memory_order_relaxed)) ||
	       (ip_equal(dst, &ip_loop6) && atomic_load_explicit(&f->usual6, memory_order_relaxed));
}

int fib_lookup(struct inet_ns *ns, const struct ipaddr *dst, struct fib_result *ret)
{
	struct fib *f = &ns->fib;
	int r;

	if (likely(is_usual(f, dst))) {
		*ret = (struct fib_result){.type = RTN_LOCAL, .table = RT_TABLE_LOCAL, .src = *dst};
		return 0;
	}
	GUARD_READ(&f->lock);
	r = fib_lookup_locked(f, dst, ret);
	ret->route = NULL;
	return r;
}

/* ---- what others ask ---- */

/* IPv6 binds to addresses, IPv4 to all that its routes call local. */
bool fib_is_local_locked(const struct fib *f, const struct ipaddr *a)
{
	const struct fib_route *r;

	if (!ip_is_v4(a))
		return own(f, a) != NULL;
	r = best(f, a, 1);
	return r && r->type == RTN_LOCAL;
}

bool fib_is_local(struct inet_ns *ns, const struct ipaddr *a)
{
	if (likely(is_usual(&ns->fib, a)))
		return true;
	GUARD_READ(&ns->fib.lock);
	return fib_is_local_locked(&ns->fib, a);
}

bool fib_is_broadcast(struct inet_ns *ns, const struct ipaddr *a)
{
	const struct fib_route *r;

	if (!ip_is_v4(a) || is_usual(&ns->fib, a))
		return false;
	if (ip_v4(a) == 0xffffffff)
		return true;
	GUARD_READ(&ns->fib.lock);
	r = best(&ns->fib, a, 1);
	return r && r->type == RTN_BROADCAST;
}

struct ipaddr fib_source_for(struct inet_ns *ns, const struct ipaddr *dst)
{
	bool v4 = ip_is_v4(dst);
	struct fib *f = &ns->fib;
	struct fib_result res;

	if (fib_lookup(ns, dst, &res) == 0)
		return res.src;
	/* No route: who sends all the same has chosen the interface. */
	GUARD_READ(&f->lock);
	if (v4)
		return source4(f, RT_SCOPE_LINK, NULL);
	return source6(f, dst, &res.src) ? res.src : ip_any6;
}

bool fib_lost(struct inet_ns *ns, const struct ipaddr *dst)
{
	struct fib_result res;

	if (likely(is_usual(&ns->fib, dst)))
		return false;
	if (!(READ_ONCE(ns->fib.flags) & IFF_UP))
		return true;
	if (ip_is_multicast(dst) || (ip_is_v4(dst) && ip_v4(dst) == 0xffffffff))
		return false;
	return fib_lookup(ns, dst, &res) < 0 || res.type == RTN_UNICAST;
}

u32 fib_mtu(struct inet_ns *ns)
{
	return READ_ONCE(ns->fib.mtu);
}
