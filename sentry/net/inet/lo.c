/* Addresses of lo, its flags, and the routes that come and go with them. */
#include "sentry/net/inet/lo.h"

#include "state/base/bug.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MTU_MIN4 68u
#define MTU_MIN6 1280u
#define METRIC6  256u /* of the routes of addresses */
#define PROTO_LO 1    /* IFA_PROTO: lo came up */
#define SETTABLE                                                                        \
	(IFF_UP | IFF_DEBUG | IFF_NOTRAILERS | IFF_NOARP | IFF_PROMISC | IFF_ALLMULTI | \
	 IFF_MULTICAST | IFF_PORTSEL | IFF_AUTOMEDIA | IFF_DYNAMIC)

/* ---- events ---- */

struct lo_event *lo_event_add(struct lo_events *ev, enum lo_what what)
{
	if (ev->n == ev->cap) {
		ev->cap = ev->cap ? ev->cap * 2 : 8;
		ev->v = reallocarray(ev->v, ev->cap, sizeof(*ev->v));
		BUG_ON(!ev->v);
	}
	ev->v[ev->n] = (struct lo_event){.what = what};
	return &ev->v[ev->n++];
}

void lo_events_free(struct lo_events *ev)
{
	free(TAKE(ev->v));
	*ev = (struct lo_events){0};
}

static struct lo_event *addr_event(struct lo_events *ev, enum lo_what what, const struct lo_addr *a)
{
	struct lo_event *e = lo_event_add(ev, what);

	e->addr = *a;
	/* IPv6 tells of its addresses as if nobody had asked. */
	e->asked = a->family == AF_INET;
	return e;
}

static void route_event(struct lo_events *ev, enum lo_what what, const struct fib_route *r,
                        bool asked, u16 nlflags)
{
	struct lo_event *e = lo_event_add(ev, what);

	e->route = *r;
	e->asked = asked;
	e->nlflags = nlflags;
}

/* ---- routes of addresses ---- */

static struct ipaddr prefix_of(const struct ipaddr *a, u16 family, u32 plen)
{
	struct ipaddr p = *a;
	u32 keep = plen + (family == AF_INET ? 96 : 0);

	for (u32 i = 0; i < 16; i++) {
		u32 here = keep > i * 8 ? MIN(keep - i * 8, 8u) : 0;

		p.b[i] &= (u8)(0xff00 >> here);
	}
	return p;
}

static struct ipaddr last_of(const struct ipaddr *a, u32 plen)
{
	u32 mask = plen ? ~0u << (32 - plen) : 0;

	return ip_from_v4(htonl((ntohl(ip_v4(a)) & mask) | ~mask));
}

static void want4(struct fib_route *r, const struct lo_addr *a, struct ipaddr dst, u8 plen, u8 type)
{
	*r = (struct fib_route){
		.family = AF_INET,
		.plen = plen,
		.proto = RTPROT_KERNEL,
		.scope = type == RTN_LOCAL ? RT_SCOPE_HOST : RT_SCOPE_LINK,
		.type = type,
		.dev = true,
		.has_src = true,
		.table = RT_TABLE_LOCAL,
		.metric = plen == a->plen && !ip_equal(&dst, &a->ip) ? a->metric : 0,
		.dst = dst,
		.src = a->src,
	};
}

#define WANTED_MAX 4u

/* The routes that an address of IPv4 makes. */
static u32 wanted4(const struct lo_addr *a, struct fib_route *ret)
{
	struct ipaddr net = prefix_of(&a->peer, AF_INET, a->plen),
		      last = last_of(&a->peer, a->plen);
	bool secondary = (a->flags & IFA_F_SECONDARY) != 0;
	u32 n = 0;

	want4(&ret[n++], a, a->ip, 32, RTN_LOCAL);
	if (a->has_brd && ip_v4(&a->brd) != 0xffffffff)
		want4(&ret[n++], a, a->brd, 32, RTN_BROADCAST);
	/* 0.0.0.0/8 is no network, nor are groups one, and a secondary's is there. */
	if (!secondary && ip_v4(&net) != 0 && !ip_is_multicast(&net) &&
	    (a->plen < 32 || !ip_equal(&net, &a->ip))) {
		if (!(a->flags & IFA_F_NOPREFIXROUTE))
			want4(&ret[n++], a, net, a->plen, RTN_LOCAL);
		if (a->plen < 31 && !(a->has_brd && ip_equal(&a->brd, &last)))
			want4(&ret[n++], a, last, 32, RTN_BROADCAST);
	}
	return n;
}

static u32 wanted6(const struct lo_addr *a, struct fib_route *ret)
{
	struct fib_route r = {
		.family = AF_INET6,
		.plen = a->plen,
		.proto = RTPROT_KERNEL,
		.type = RTN_UNICAST,
		.dev = true,
		.table = RT_TABLE_MAIN,
		.metric = a->metric ? a->metric : METRIC6,
		.dst = prefix_of(&a->ip, AF_INET6, a->plen),
	};
	u32 n = 0;

	/* ::1 as it comes up with lo has none. */
	if (!(a->flags & IFA_F_NOPREFIXROUTE) && a->proto != PROTO_LO)
		ret[n++] = r;
	r.table = RT_TABLE_LOCAL;
	r.type = RTN_LOCAL;
	r.plen = 128;
	r.metric = 0;
	r.dst = a->ip;
	ret[n++] = r;
	return n;
}

static u32 wanted(const struct lo_addr *a, struct fib_route *ret)
{
	return a->family == AF_INET6 ? wanted6(a, ret) : wanted4(a, ret);
}

static bool alike(const struct fib_route *a, const struct fib_route *b)
{
	return a->family == b->family && a->table == b->table && a->type == b->type &&
	       a->plen == b->plen && a->metric == b->metric && ip_equal(&a->dst, &b->dst);
}

static void add_routes(struct fib *f, const struct fib_route *r, u32 n, struct lo_events *ev)
{
	for (u32 i = 0; i < n; i++) {
		/* One that is there serves; too many are what a guest did to itself. */
		if (fib_find_locked(f, &r[i]) >= 0 || fib_insert_locked(f, &r[i], false) < 0)
			continue;
		route_event(ev, LO_ROUTE_NEW, &r[i], false, NLM_F_CREATE | NLM_F_EXCL);
	}
}

/* Another address than the one that goes wants this route too. */
static bool still_wanted(const struct fib *f, const struct fib_route *r)
{
	struct fib_route w[WANTED_MAX];

	for (u32 i = 0; i < f->n_addrs; i++) {
		u32 n = wanted(&f->addrs[i], w);

		for (u32 k = 0; k < n; k++) {
			if (alike(&w[k], r))
				return true;
		}
	}
	return false;
}

static u32 turn_of(const struct fib_route *r, const struct lo_addr *a)
{
	if (r->family == AF_INET6)
		return r->type == RTN_LOCAL ? 0 : 1;
	return r->type == RTN_BROADCAST ? 1 : ip_equal(&r->dst, &a->ip) ? 2 : 0;
}

/* a is no longer in the list. */
static void drop_routes(struct fib *f, const struct lo_addr *a, const struct fib_route *gone, u32 n,
                        struct lo_events *ev)
{
	/* As Linux tells it: networks, broadcast addresses, the address itself; of IPv6 that first.
	 */
	for (u32 k = 0; k < 3 * n; k++) {
		const struct fib_route *r = &gone[k % n];

		if (turn_of(r, a) != k / n || still_wanted(f, r))
			continue;
		for (u32 i = 0; i < f->n_routes; i++) {
			if (!alike(&f->routes[i], r) || f->routes[i].proto != RTPROT_KERNEL)
				continue;
			route_event(ev, LO_ROUTE_DEL, &f->routes[i], false, 0);
			fib_remove_locked(f, i);
			break;
		}
	}
	/* Nor do routes stay whose packets would come from it. */
	for (u32 i = f->n_routes; a->family == AF_INET && i-- > 0;) {
		if (f->routes[i].has_src && ip_equal(&f->routes[i].src, &a->ip) &&
		    f->routes[i].proto != RTPROT_KERNEL && !fib_is_local_locked(f, &a->ip))
			fib_remove_locked(f, i);
	}
}

/* ---- addresses ---- */

static void insert_addr(struct fib *f, u32 at, const struct lo_addr *a)
{
	if (f->n_addrs == f->addrs_cap) {
		f->addrs_cap = f->addrs_cap ? f->addrs_cap * 2 : 8;
		f->addrs = reallocarray(f->addrs, f->addrs_cap, sizeof(*f->addrs));
		BUG_ON(!f->addrs);
	}
	memmove(f->addrs + at + 1, f->addrs + at, (f->n_addrs - at) * sizeof(*f->addrs));
	f->addrs[at] = *a;
	f->n_addrs++;
}

static void remove_addr(struct fib *f, u32 i)
{
	f->n_addrs--;
	memmove(f->addrs + i, f->addrs + i + 1, (f->n_addrs - i) * sizeof(*f->addrs));
}

static u32 reach6(const struct lo_addr *a)
{
	return ip_equal(&a->ip, &ip_loop6) ? 1 : ip_is_linklocal(&a->ip) ? 2 : 14;
}

/* Where a goes in the list. -EEXIST (*ret is the one), -EINVAL. */
static int place(const struct fib *f, struct lo_addr *a, u32 *ret)
{
	u32 at = 0, n4 = 0;

	for (u32 i = 0; i < f->n_addrs; i++) {
		const struct lo_addr *o = &f->addrs[i];

		if (o->family == AF_INET)
			n4 = i + 1;
		if (o->family != a->family)
			continue;
		if (a->family == AF_INET6) {
			if (ip_equal(&o->ip, &a->ip)) {
				*ret = i;
				return -EEXIST;
			}
			continue;
		}
		if (!(o->flags & IFA_F_SECONDARY) && o->scope >= a->scope)
			at = i + 1;
		if (o->plen != a->plen || !fib_same_prefix(&o->peer, &a->peer, AF_INET, a->plen))
			continue;
		if (ip_equal(&o->ip, &a->ip)) {
			*ret = i;
			return -EEXIST;
		}
		if (o->scope != a->scope)
			return -EINVAL;
		/* The first of the subnet is what its packets come from. */
		if (!(a->flags & IFA_F_SECONDARY))
			a->src = o->ip;
		a->flags |= IFA_F_SECONDARY;
	}
	if (a->family == AF_INET) {
		*ret = (a->flags & IFA_F_SECONDARY) ? n4 : at;
		return 0;
	}
	for (at = n4; at < f->n_addrs && reach6(&f->addrs[at]) > reach6(a);)
		at++;
	*ret = at;
	return 0;
}

/* o is there already: it becomes as a is, and its routes with it. */
static int replace_addr(struct fib *f, struct lo_addr *o, const struct lo_addr *a,
                        struct lo_events *ev)
{
	const u32 keep = a->family == AF_INET ? ~(u32)(IFA_F_PERMANENT | IFA_F_DEPRECATED) : 0;
	struct fib_route w[WANTED_MAX], old[WANTED_MAX];
	struct lo_addr was = *o;
	u32 n;

	o->flags = (a->flags & ~keep) | (o->flags & keep);
	if (a->family == AF_INET || a->metric)
		o->metric = a->metric;
	if (a->family == AF_INET || a->proto)
		o->proto = a->proto;
	o->updated = a->updated;
	n = wanted(o, w);
	add_routes(f, w, f->flags & IFF_UP ? n : 0, ev);
	drop_routes(f, &was, old, wanted(&was, old), ev);
	addr_event(ev, LO_ADDR_NEW, o);
	return 0;
}

static int add_locked(struct fib *f, struct lo_addr *a, bool replace, struct lo_events *ev)
{
	struct fib_route w[WANTED_MAX];
	u32 at, n, before;
	bool up;
	int r;

	a->flags &= ~(u32)IFA_F_SECONDARY;
	a->src = a->ip;
	r = place(f, a, &at);
	if (r == -EEXIST && replace)
		return replace_addr(f, &f->addrs[at], a, ev);
	if (r < 0)
		return r;
	if (f->n_addrs >= FIB_ADDRS_MAX)
		return -ENOBUFS;
	/* 0.0.0.0 is nobody's, but no error either. */
	if (ip_equal(&a->ip, &ip_any4))
		return 0;
	insert_addr(f, at, a);
	n = wanted(a, w);
	up = (f->flags & IFF_UP) != 0;
	/* Of IPv6 the prefix comes before the address. */
	before = a->family == AF_INET6 ? n - 1 : 0;
	add_routes(f, w, up ? before : 0, ev);
	addr_event(ev, LO_ADDR_NEW, a);
	add_routes(f, w + before, up ? n - before : 0, ev);
	return 0;
}

int lo_addr_add(struct fib *f, struct lo_addr *a, bool replace, struct lo_events *ev)
{
	int r;

	GUARD_WRITE(&f->lock);
	if (a->family == AF_INET6 && f->no_ipv6)
		return -EACCES;
	r = add_locked(f, a, replace, ev);
	fib_changed_locked(f);
	return r;
}

/* Takes the ith address away, and what it made. */
static void del_one(struct fib *f, u32 i, struct lo_events *ev)
{
	struct fib_route w[WANTED_MAX];
	struct lo_addr a = f->addrs[i];
	u32 n = wanted(&a, w);

	remove_addr(f, i);
	addr_event(ev, LO_ADDR_DEL, &a);
	drop_routes(f, &a, w, n, ev);
}

/* A primary address takes the others of its subnet along. */
static void del_locked(struct fib *f, u32 i, struct lo_events *ev)
{
	struct lo_addr a = f->addrs[i];

	for (u32 k = i + 1;
	     a.family == AF_INET && !(a.flags & IFA_F_SECONDARY) && k < f->n_addrs;) {
		const struct lo_addr *o = &f->addrs[k];

		if (o->family == AF_INET && (o->flags & IFA_F_SECONDARY) && o->plen == a.plen &&
		    fib_same_prefix(&o->peer, &a.peer, AF_INET, a.plen))
			del_one(f, k, ev);
		else
			k++;
	}
	del_one(f, i, ev);
}

int lo_addr_del(struct fib *f, const struct lo_addr *like, bool any_peer, struct lo_events *ev)
{
	GUARD_WRITE(&f->lock);
	for (u32 i = 0; i < f->n_addrs; i++) {
		const struct lo_addr *a = &f->addrs[i];

		if (a->family != like->family)
			continue;
		if (a->family == AF_INET6) {
			if (a->plen != like->plen || !ip_equal(&a->ip, &like->ip))
				continue;
		} else if ((!ip_is_any(&like->ip) && !ip_equal(&a->ip, &like->ip)) ||
		           (like->label[0] && strcmp(a->label, like->label) != 0) ||
		           (!any_peer &&
		            (a->plen != like->plen ||
		             !fib_same_prefix(&a->peer, &like->peer, AF_INET, a->plen)))) {
			continue;
		}
		del_locked(f, i, ev);
		fib_changed_locked(f);
		return 0;
	}
	return -EADDRNOTAVAIL;
}

/* ---- the link ---- */

u32 lo_flags(const struct fib *f)
{
	return f->flags | IFF_LOOPBACK | (f->flags & IFF_UP ? IFF_RUNNING | (u32)IFF_LOWER_UP : 0);
}

static void del_family(struct fib *f, u16 family, struct lo_events *ev)
{
	for (u32 i = 0; i < f->n_addrs;) {
		if (f->addrs[i].family == family)
			del_one(f, i, ev);
		else
			i++;
	}
}

static void add_loop(struct fib *f, u16 family, u64 now, struct lo_events *ev)
{
	struct lo_addr a = {
		.family = family,
		.plen = family == AF_INET ? 8 : 128,
		.scope = RT_SCOPE_HOST,
		.proto = family == AF_INET ? 0 : PROTO_LO,
		.flags = IFA_F_PERMANENT,
		.ip = family == AF_INET ? ip_loop4 : ip_loop6,
		.created = now,
		.updated = now,
		.label = LO_NAME,
	};

	a.peer = a.ip;
	if (family == AF_INET6)
		memset(a.label, 0, sizeof(a.label));
	/* It may be there, and there may be no room. */
	if (add_locked(f, &a, false, ev) < 0)
		return;
}

/* Routes over lo go with it; what only says that an address is of this machine stays. */
static void went_down(struct fib *f, struct lo_events *ev)
{
	u32 kept = 0;

	del_family(f, AF_INET6, ev);
	for (u32 i = 0; i < f->n_routes; i++) {
		const struct fib_route *r = &f->routes[i];

		if (!r->dev || r->scope == RT_SCOPE_HOST)
			f->routes[kept++] = *r;
		else if (r->family == AF_INET6)
			route_event(ev, LO_ROUTE_DEL, r, false, 0);
	}
	f->n_routes = kept;
}

static void came_up(struct fib *f, u64 now, struct lo_events *ev)
{
	struct fib_route w[WANTED_MAX];

	if (f->mtu >= MTU_MIN4)
		add_loop(f, AF_INET, now, ev);
	for (u32 i = 0; i < f->n_addrs; i++)
		add_routes(f, w, wanted(&f->addrs[i], w), ev);
	if (f->mtu >= MTU_MIN6 && !f->no_ipv6)
		add_loop(f, AF_INET6, now, ev);
}

void lo_set_flags(struct fib *f, u32 flags, u64 now, struct lo_events *ev)
{
	u32 was;

	GUARD_WRITE(&f->lock);
	was = f->flags;
	WRITE_ONCE(f->flags, (was & ~(u32)SETTABLE) | (flags & SETTABLE));
	if (was == f->flags)
		return;
	lo_event_add(ev, LO_LINK)->changed = was ^ f->flags;
	if ((was ^ f->flags) & IFF_UP) {
		if (f->flags & IFF_UP)
			came_up(f, now, ev);
		else
			went_down(f, ev);
	}
	fib_changed_locked(f);
}

void lo_set_ipv6(struct fib *f, bool on, u64 now, struct lo_events *ev)
{
	GUARD_WRITE(&f->lock);
	if (f->no_ipv6 == !on)
		return;
	f->no_ipv6 = !on;
	if (!on)
		del_family(f, AF_INET6, ev);
	else if ((f->flags & IFF_UP) && f->mtu >= MTU_MIN6)
		add_loop(f, AF_INET6, now, ev);
	fib_changed_locked(f);
}

void lo_set_mtu(struct fib *f, u32 mtu, struct lo_events *ev)
{
	GUARD_WRITE(&f->lock);
	if (f->mtu == mtu)
		return;
	WRITE_ONCE(f->mtu, mtu);
	if (mtu < MTU_MIN4)
		del_family(f, AF_INET, ev);
	if (mtu < MTU_MIN6)
		del_family(f, AF_INET6, ev);
	lo_event_add(ev, LO_LINK);
	fib_changed_locked(f);
}

void fib_boot(struct fib *f)
{
	struct lo_events ev = {0};

	f->mtu = LO_MTU;
	f->txqlen = 1000;
	lo_set_flags(f, IFF_UP, 0, &ev);
	lo_events_free(&ev);
}

/* ---- routes that are asked for ---- */

/* They differ in nothing that routing or a dump would show. */
static bool same(const struct fib_route *a, const struct fib_route *b)
{
	return alike(a, b) && a->proto == b->proto && a->scope == b->scope && a->tos == b->tos &&
	       a->dev == b->dev && a->has_src == b->has_src && a->has_via == b->has_via &&
	       ip_equal(&a->src, &b->src) && ip_equal(&a->via, &b->via) &&
	       memcmp(a->limits, b->limits, sizeof(a->limits)) == 0;
}

int lo_route_add(struct fib *f, struct fib_route *r, u16 nlflags, struct lo_events *ev)
{
	bool v6 = r->family == AF_INET6;
	s64 at;
	int e;

	GUARD_WRITE(&f->lock);
	at = fib_find_locked(f, r);
	if (at >= 0 && (nlflags & NLM_F_EXCL))
		return -EEXIST;
	if (at >= 0 && (nlflags & NLM_F_REPLACE)) {
		if (!v6 && same(&f->routes[at], r))
			return 0;
		f->routes[at] = *r;
		nlflags = NLM_F_REPLACE;
	} else {
		if (!(nlflags & NLM_F_CREATE) && (!v6 || (nlflags & NLM_F_REPLACE)))
			return -ENOENT;
		/* The same again, on purpose: not twice. */
		for (s64 i = at; i >= 0 && i < f->n_routes; i++) {
			if (same(&f->routes[i], r))
				return -EEXIST;
		}
		e = fib_insert_locked(f, r, !v6 && !(nlflags & NLM_F_APPEND));
		if (e < 0)
			return e;
	}
	if (v6 && !(nlflags & NLM_F_REPLACE) && !(nlflags & NLM_F_APPEND))
		nlflags = NLM_F_CREATE | NLM_F_EXCL;
	route_event(ev, LO_ROUTE_NEW, r, true, nlflags & 0xf00);
	fib_changed_locked(f);
	return 0;
}

static bool fits(const struct fib_route *r, const struct fib_route *like)
{
	return r->family == like->family && r->table == like->table && r->plen == like->plen &&
	       ip_equal(&r->dst, &like->dst) && (!like->type || r->type == like->type) &&
	       (like->scope == RT_SCOPE_NOWHERE || r->scope == like->scope) &&
	       (!like->proto || r->proto == like->proto) &&
	       (!like->metric || r->metric == like->metric) &&
	       (like->family == AF_INET6 || r->tos == like->tos) &&
	       (!like->has_src || (r->has_src && ip_equal(&r->src, &like->src))) &&
	       (!like->has_via || (r->has_via && ip_equal(&r->via, &like->via))) &&
	       (!like->dev || r->dev);
}

int lo_route_del(struct fib *f, const struct fib_route *like, struct lo_events *ev)
{
	GUARD_WRITE(&f->lock);
	for (u32 i = 0; i < f->n_routes; i++) {
		if (!fits(&f->routes[i], like))
			continue;
		route_event(ev, LO_ROUTE_DEL, &f->routes[i], true, 0);
		fib_remove_locked(f, i);
		fib_changed_locked(f);
		return 0;
	}
	return -ESRCH;
}
