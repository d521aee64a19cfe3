/* The routes and addresses of a network as they are saved. */
#include "sentry/net/inet/fib.h"

#include "sentry/net/inet/lo.h"
#include "sentry/net/inet/ports.h"
#include "sentry/net/inet/state.h"
#include "state/base/bug.h"
#include "state/base/cleanup.h"

#include <stdlib.h>
#include <string.h>

void fib_init(struct fib *f)
{
	rwlock_init(&f->lock, RANK_FIB);
}

void fib_finish(struct fib *f)
{
	free(TAKE(f->routes));
	free(TAKE(f->addrs));
	f->n_routes = f->routes_cap = f->n_addrs = f->addrs_cap = 0;
}

/* ---- saving ---- */

static ProtobufCBinaryData bytes(const struct ipaddr *a)
{
	return (ProtobufCBinaryData){sizeof(a->b), (u8 *)(uintptr_t)a->b};
}

static Sentry__LoAddr *save_addr(struct saver *s, const struct lo_addr *a)
{
	Sentry__LoAddr *m = saver_msg(s, Sentry__LoAddr, sentry__lo_addr__init);

	m->family = a->family;
	m->plen = a->plen;
	m->scope = a->scope;
	m->proto = a->proto;
	m->flags = a->flags;
	m->metric = a->metric;
	m->ip = bytes(&a->ip);
	m->peer = bytes(&a->peer);
	m->brd = bytes(&a->brd);
	m->src = bytes(&a->src);
	m->has_broadcast = a->has_brd;
	m->label = (char *)(uintptr_t)a->label;
	m->created = a->created;
	m->updated = a->updated;
	return m;
}

static Sentry__FibRoute *save_route(struct saver *s, const struct fib_route *r)
{
	Sentry__FibRoute *m = saver_msg(s, Sentry__FibRoute, sentry__fib_route__init);

	m->family = r->family;
	m->plen = r->plen;
	m->tos = r->tos;
	m->proto = r->proto;
	m->scope = r->scope;
	m->type = r->type;
	m->dev = r->dev;
	m->has_source = r->has_src;
	m->has_gateway = r->has_via;
	m->table = r->table;
	m->metric = r->metric;
	m->dst = bytes(&r->dst);
	m->src = bytes(&r->src);
	m->via = bytes(&r->via);
	m->n_limits = ARRAY_SIZE(r->limits);
	m->limits = (u32 *)(uintptr_t)r->limits;
	return m;
}

int inet_ns_save_fib(struct saver *s, const struct inet_ns *ns, Sentry__InetNs *m)
{
	const struct fib *f = &ns->fib;
	Sentry__Fib *to = saver_msg(s, Sentry__Fib, sentry__fib__init);

	to->flags = f->flags;
	to->mtu = f->mtu;
	to->no_ipv6 = f->no_ipv6;
	to->txqlen = f->txqlen;
	to->group = f->group;
	to->addrs = saver_alloc(s, f->n_addrs * sizeof(*to->addrs));
	for (u32 i = 0; i < f->n_addrs; i++)
		to->addrs[to->n_addrs++] = save_addr(s, &f->addrs[i]);
	to->routes = saver_alloc(s, f->n_routes * sizeof(*to->routes));
	for (u32 i = 0; i < f->n_routes; i++)
		to->routes[to->n_routes++] = save_route(s, &f->routes[i]);
	m->fib = to;
	return 0;
}

/* ---- loading ---- */

/* An address of the family, or, if may_lack, none. */
static bool load_ip(const ProtobufCBinaryData *b, u32 family, bool may_lack, struct ipaddr *ret)
{
	if (b->len == 0 && may_lack)
		return true;
	if (b->len != sizeof(ret->b))
		return false;
	memcpy(ret->b, b->data, sizeof(ret->b));
	return may_lack || ip_is_v4(ret) == (family == AF_INET);
}

static bool load_family(u32 family, u32 plen)
{
	return (family == AF_INET && plen <= 32) || (family == AF_INET6 && plen <= 128);
}

static bool load_addr(const Sentry__LoAddr *m, struct lo_addr *a)
{
	if (!load_family(m->family, m->plen) || m->scope > 255 || m->proto > 255 ||
	    strlen(m->label) >= sizeof(a->label))
		return false;
	*a = (struct lo_addr){
		.family = (u16)m->family,
		.plen = (u8)m->plen,
		.scope = (u8)m->scope,
		.proto = (u8)m->proto,
		.flags = m->flags,
		.metric = m->metric,
		.has_brd = m->has_broadcast,
		.created = m->created,
		.updated = m->updated,
	};
	strcpy(a->label, m->label);
	return load_ip(&m->ip, m->family, false, &a->ip) &&
	       load_ip(&m->peer, m->family, false, &a->peer) &&
	       load_ip(&m->brd, m->family, !m->has_broadcast, &a->brd) &&
	       load_ip(&m->src, m->family, false, &a->src);
}

static bool load_route(const Sentry__FibRoute *m, struct fib_route *r)
{
	if (!load_family(m->family, m->plen) || m->tos > 255 || m->proto > 255 || m->scope > 255 ||
	    m->type == RTN_UNSPEC || m->type > RTN_MAX)
		return false;
	*r = (struct fib_route){
		.family = (u16)m->family,
		.plen = (u8)m->plen,
		.tos = (u8)m->tos,
		.proto = (u8)m->proto,
		.scope = (u8)m->scope,
		.type = (u8)m->type,
		.dev = m->dev,
		.has_src = m->has_source,
		.has_via = m->has_gateway,
		.table = m->table,
		.metric = m->metric,
	};
	for (size_t i = 0; i < MIN(m->n_limits, ARRAY_SIZE(r->limits)); i++)
		r->limits[i] = m->limits[i];
	return load_ip(&m->dst, m->family, false, &r->dst) &&
	       load_ip(&m->src, m->family, !m->has_source, &r->src) &&
	       load_ip(&m->via, m->family, !m->has_gateway, &r->via);
}

static int load_all(struct loader *l, struct fib *f, const Sentry__Fib *m)
{
	bool v6 = false;

	if (m->n_addrs > FIB_ADDRS_MAX || m->n_routes > FIB_ROUTES_MAX || m->mtu > INT32_MAX)
		return loader_range(l, "fib");
	f->flags = m->flags;
	f->mtu = m->mtu;
	f->no_ipv6 = m->no_ipv6;
	f->txqlen = m->txqlen;
	f->group = m->group;
	f->addrs = calloc(m->n_addrs + 1, sizeof(*f->addrs));
	BUG_ON(!f->addrs);
	f->addrs_cap = (u32)m->n_addrs + 1;
	for (size_t i = 0; i < m->n_addrs; i++) {
		struct lo_addr *a = &f->addrs[f->n_addrs++];

		if (!load_addr(m->addrs[i], a) || (v6 && a->family == AF_INET))
			return loader_error(l, "an address of lo that is none");
		v6 = a->family == AF_INET6;
	}
	for (size_t i = 0; i < m->n_routes; i++) {
		struct fib_route r;

		if (!load_route(m->routes[i], &r) || fib_insert_locked(f, &r, false) < 0)
			return loader_error(l, "a route that is none");
	}
	fib_changed_locked(f);
	return 0;
}

/* Images of before there were routes have lo as it begins. */
int inet_ns_load_fib(struct loader *l, struct inet_ns *ns, const Sentry__InetNs *m)
{
	if (m->fib)
		return load_all(l, &ns->fib, m->fib);
	fib_boot(&ns->fib);
	return 0;
}

void inet_ns_sample_fib(struct sampler *sp, struct inet_ns *ns)
{
	struct fib *f = &ns->fib;

	(void)sp;
	fib_boot(f);
	f->group = 4;
	f->no_ipv6 = true;
	for (u32 i = 0; i < f->n_addrs; i++) {
		struct lo_addr *a = &f->addrs[i];

		a->proto = 1;
		a->metric = 7;
		a->brd = a->ip;
		a->has_brd = true;
		a->created = 5;
		a->updated = 6;
		strcpy(a->label, "lo:1");
	}
	for (u32 i = 0; i < f->n_routes; i++) {
		struct fib_route *r = &f->routes[i];

		r->metric = 3;
		r->tos = 4;
		r->src = r->via = r->dst;
		r->has_src = r->has_via = true;
		r->limits[RTAX_MTU] = 1400;
	}
}
