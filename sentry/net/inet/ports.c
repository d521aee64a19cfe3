/* Binding, conflicts, free ports, TIME_WAIT. */
#include "sentry/net/inet/ports.h"

#include "sentry/kernel/kernel.h"
#include "sentry/net/inet/reuse.h"
#include "sentry/net/inet/state.h"

#include <sched.h>
#include <sys/random.h>

struct port_bucket *port_bucket(struct inet_ns *ns, enum inet_proto proto, u16 port)
{
	return &ns->table[proto][port % PORT_HASH];
}

s64 inet_now(const struct inet_ns *ns)
{
	return ns->kernel ? clock_mono(&ns->kernel->clocks) : 0;
}

struct timers *inet_timers(const struct inet_ns *ns)
{
	return ns->kernel && ns->kernel->machine ? ns->kernel->machine->timers : NULL;
}

/* ---- who is in whose way ---- */

/* What somebody holds, or wants to. */
struct claim {
	const struct inet_sock *who; /* NULL: a connection in TIME_WAIT */
	u16 family;
	bool v6only, reuseaddr, reuseport, listening;
	const struct ipaddr *ip;
	s32 bound_if;
	u32 uid;
};

static struct claim claim_of(const struct inet_sock *is, const struct ipaddr *ip)
{
	return (struct claim){
		.who = is,
		.family = is->sk.family,
		.v6only = inet_v6only(is),
		.reuseaddr = is->sk.opts.reuseaddr,
		.reuseport = is->sk.opts.reuseport,
		.listening = is->listening,
		.ip = ip,
		.bound_if = is->sk.opts.bound_if,
		.uid = is->sk.uid,
	};
}

static struct claim claim_of_tw(const struct inet_tw *tw)
{
	return (struct claim){
		.family = tw->family,
		.v6only = tw->v6only,
		.reuseaddr = tw->reuseaddr,
		.reuseport = tw->reuseport,
		.ip = &tw->local.ip,
		.uid = tw->uid,
	};
}

static bool covers_v4(const struct claim *c)
{
	return c->family == AF_INET || ip_is_v4(c->ip) || (ip_is_any(c->ip) && !c->v6only);
}

static bool covers_v6(const struct claim *c)
{
	return c->family == AF_INET6 && !ip_is_v4(c->ip);
}

/* There is an address that both would receive at. */
static bool overlap(const struct claim *a, const struct claim *b)
{
	bool any_a = ip_is_any(a->ip), any_b = ip_is_any(b->ip);

	if (!any_a && !any_b)
		return ip_equal(a->ip, b->ip);
	return (covers_v4(a) && covers_v4(b)) || (covers_v6(a) && covers_v6(b));
}

static bool conflict(const struct claim *new, const struct claim *old, bool tcp)
{
	if (new->bound_if && old->bound_if &&new->bound_if != old->bound_if)
		return false;
	if (new->reuseaddr && old->reuseaddr && !(tcp && old->listening))
		return false;
	if (new->reuseport && old->reuseport && (!old->who || new->uid == old->uid))
		return false;
	return overlap(new, old);
}

/* alone: shared with nobody, whatever the options allow. */
static bool port_taken(struct inet_ns *ns, const struct inet_sock *is, const struct ipaddr *ip,
                       u16 port, bool alone)
{
	enum inet_proto proto = inet_proto_of(&is->sk);
	struct port_bucket *b = port_bucket(ns, proto, port);
	struct claim want = claim_of(is, ip);
	const struct inet_sock *o;
	const struct inet_tw *tw;

	if (alone)
		want.reuseaddr = want.reuseport = false;
	LIST_FOREACH (o, &b->listeners, link) {
		struct claim c = claim_of(o, &o->local.ip);

		if (o != is && o->local.port == port && conflict(&want, &c, true))
			return true;
	}
	LIST_FOREACH (o, &b->socks, link) {
		struct claim c = claim_of(o, &o->local.ip);

		if (o != is && o->local.port == port && o->sk.protocol == is->sk.protocol &&
		    conflict(&want, &c, proto == INET_TCP))
			return true;
	}
	LIST_FOREACH (tw, &b->tws, link) {
		struct claim c = claim_of_tw(tw);

		if (tw->local.port == port && conflict(&want, &c, true))
			return true;
	}
	return false;
}

/* ---- the table ---- */

void port_add_locked(struct inet_ns *ns, struct inet_sock *is)
{
	struct port_bucket *b = port_bucket(ns, inet_proto_of(&is->sk), is->local.port);

	if (is->hashed)
		return;
	if (is->listening)
		LIST_INSERT_HEAD(&b->listeners, is, link);
	else
		LIST_INSERT_HEAD(&b->socks, is, link);
	is->hashed = is->linked = true;
}

void port_remove_locked(struct inet_ns *ns, struct inet_sock *is)
{
	if (is->linked)
		LIST_REMOVE(is, link);
	/* A stream that does not listen waits in its group. */
	if (is->linked && (is->listening || is->sk.type != SOCK_STREAM))
		reuse_leave_locked(is);
	is->hashed = is->linked = false;
}

/* Which half of the range a search prefers: what bind(2) gets and what connections get seldom meet
 * in one port, as in Linux. */
enum port_half {
	HALF_CONNECT,
	HALF_BIND
};

/* The nth candidate of a search that began at the rover: one half of the range, then the other. */
static u16 candidate(struct inet_ns *ns, u32 n, enum port_half half)
{
	u32 span = ns->port_hi - ns->port_lo + 1;
	u32 size[2] = {(span + 1) / 2, span / 2};
	u32 at = half;

	if (n >= size[at]) {
		n -= size[at];
		at = !at;
	}
	return (u16)(ns->port_lo + at + 2 * ((ns->rover + n) % size[at]));
}

int port_bind_locked(struct inet_ns *ns, struct inet_sock *is, const struct ipaddr *ip, u16 port)
{
	u32 span = ns->port_hi - ns->port_lo + 1;

	port_expire_locked(ns);
	if (port) {
		if (port_taken(ns, is, ip, port, false))
			return -EADDRINUSE;
	} else {
		bool tcp = inet_proto_of(&is->sk) == INET_TCP;
		u32 n;

		for (n = 0; n < span; n++) {
			port = candidate(ns, n, HALF_BIND);
			if (!port_is_reserved(ns, port) && !port_taken(ns, is, ip, port, tcp))
				break;
		}
		if (n == span)
			return -EADDRINUSE;
		ns->rover += n + 1;
	}
	port_remove_locked(ns, is);
	is->local.ip = *ip;
	is->local.port = port;
	port_add_locked(ns, is);
	if (is->sk.type != SOCK_STREAM)
		reuse_join_locked(ns, is);
	return 0;
}

static bool same_ends(const struct inet_addr *la, const struct inet_addr *ra,
                      const struct inet_addr *lb, const struct inet_addr *rb)
{
	return la->port == lb->port && ra->port == rb->port && ip_equal(&la->ip, &lb->ip) &&
	       ip_equal(&ra->ip, &rb->ip);
}

static void tw_forget(struct inet_ns *ns, struct inet_tw *tw)
{
	LIST_REMOVE(tw, link);
	TAILQ_REMOVE(&ns->tws, tw, order);
	ns->n_tws--;
	obj_put(tw);
}

bool port_unique_locked(struct inet_ns *ns, const struct inet_sock *is)
{
	struct port_bucket *b = port_bucket(ns, INET_TCP, is->local.port);
	const struct inet_sock *o;
	struct inet_tw *tw;

	LIST_FOREACH (o, &b->socks, link) {
		if (o != is && same_ends(&o->local, &o->remote, &is->local, &is->remote))
			return false;
	}
	/* tcp_tw_reuse on loopback: after a second nothing of the old connection is about. Here
	 * nothing is about at once. */
	LIST_FOREACH (tw, &b->tws, link) {
		if (same_ends(&tw->local, &tw->remote, &is->local, &is->remote)) {
			tw_forget(ns, tw);
			break;
		}
	}
	return true;
}

/* Somebody chose this port by bind(2) or listens there: not one to hand out for connections. */
static bool port_bound(struct inet_ns *ns, u16 port)
{
	struct port_bucket *b = port_bucket(ns, INET_TCP, port);
	const struct inet_sock *o;

	LIST_FOREACH (o, &b->listeners, link) {
		if (o->local.port == port)
			return true;
	}
	LIST_FOREACH (o, &b->socks, link) {
		if (o->local.port == port && o->bound_port)
			return true;
	}
	return false;
}

int port_connect_locked(struct inet_ns *ns, struct inet_sock *is, const struct ipaddr *ip)
{
	u32 span = ns->port_hi - ns->port_lo + 1;

	port_expire_locked(ns);
	is->local.ip = *ip;
	for (u32 n = 0; n < span; n++) {
		is->local.port = candidate(ns, n, HALF_CONNECT);
		if (port_is_reserved(ns, is->local.port) || port_bound(ns, is->local.port) ||
		    !port_unique_locked(ns, is))
			continue;
		/* A connection to itself would be what Linux makes of this. */
		if (is->local.port == is->remote.port && ip_equal(ip, &is->remote.ip))
			continue;
		ns->rover += n + 1;
		port_remove_locked(ns, is);
		port_add_locked(ns, is);
		return 0;
	}
	is->local.port = 0;
	return -EADDRNOTAVAIL;
}

int port_listen_locked(struct inet_ns *ns, struct inet_sock *is)
{
	port_expire_locked(ns);
	if (port_taken(ns, is, &is->local.ip, is->local.port, false))
		return -EADDRINUSE;
	port_remove_locked(ns, is);
	is->listening = true;
	port_add_locked(ns, is);
	reuse_join_locked(ns, is);
	return 0;
}

/* ---- TIME_WAIT ---- */

static void tw_add(struct inet_ns *ns, struct inet_tw *tw)
{
	LIST_INSERT_HEAD(&port_bucket(ns, INET_TCP, tw->local.port)->tws, tw, link);
	ns->n_tws++;
}

void port_time_wait_locked(struct inet_ns *ns, const struct inet_sock *is)
{
	struct inet_tw *tw;

	if (!ns->table[INET_TCP])
		return;
	tw = obj_new(inet_tw);
	tw->family = is->sk.family;
	tw->v6only = inet_v6only(is);
	tw->reuseaddr = is->sk.opts.reuseaddr;
	tw->reuseport = is->sk.opts.reuseport;
	tw->local = is->local;
	tw->remote = is->remote;
	tw->uid = is->sk.uid;
	tw->expires = inet_now(ns) + TIME_WAIT_NS;
	port_expire_locked(ns);
	while (ns->n_tws >= TIME_WAIT_MAX)
		tw_forget(ns, TAILQ_FIRST(&ns->tws));
	TAILQ_INSERT_TAIL(&ns->tws, tw, order);
	tw_add(ns, tw);
}

void port_expire_locked(struct inet_ns *ns)
{
	struct inet_tw *tw;
	s64 now;

	if (TAILQ_EMPTY(&ns->tws))
		return;
	now = inet_now(ns);
	while ((tw = TAILQ_FIRST(&ns->tws)) && tw->expires <= now)
		tw_forget(ns, tw);
}

/* ---- looking up ---- */

int port_score(const struct inet_sock *is, const struct inet_addr *src, const struct inet_addr *dst)
{
	bool v4 = ip_is_v4(&dst->ip);
	int score = 0;

	if (is->local.port != dst->port)
		return -1;
	if (v4) {
		if (is->sk.family == AF_INET6 && inet_v6only(is))
			return -1;
		score += is->sk.family == AF_INET;
	} else if (is->sk.family == AF_INET) {
		return -1;
	}
	if (!ip_is_any(&is->local.ip)) {
		if (!ip_equal(&is->local.ip, &dst->ip))
			return -1;
		score += 2;
	} else if (!v4 && ip_is_v4(&is->local.ip)) {
		return -1;
	} else if (v4 && is->sk.family == AF_INET6 && is->bound_ip && ip_is_v4(&is->local.ip)) {
		score += 0;
	}
	if (!is->listening && is->remote.port) {
		if (is->remote.port != src->port || !ip_equal(&is->remote.ip, &src->ip))
			return -1;
		score += 4;
	}
	/* SO_INCOMING_CPU: who wants what comes from this one. */
	if (unlikely(is->sk.opts.incoming_cpu >= 0) && is->sk.opts.incoming_cpu == sched_getcpu())
		score += 1;
	if (is->sk.opts.bound_if) {
		if (is->sk.opts.bound_if != LO_INDEX)
			return -1;
		score += 1;
	}
	return score;
}

static u32 flow_hash(const struct inet_addr *src, const struct inet_addr *dst)
{
	u64 h = 0xcbf29ce484222325ull;
	u32 ports = (u32)src->port << 16 | dst->port;

	for (unsigned i = 0; i < sizeof(src->ip.b); i++)
		h = (h ^ src->ip.b[i] ^ (u64)dst->ip.b[i] << 8) * 0x100000001b3ull;
	h = (h ^ ports) * 0x9e3779b97f4a7c15ull;
	h ^= h >> 29;
	return (u32)(h * 0xbf58476d1ce4e5b9ull >> 32);
}

/* The best of a list; of equally good ones that share a port by SO_REUSEPORT the flow decides. */
#define BEST_OF(list, cond, src, dst)                                                   \
	({                                                                              \
		struct inet_sock *best_ = NULL, *o_;                                    \
		int top_ = -1;                                                          \
		u32 n_ = 0;                                                             \
		LIST_FOREACH (o_, (list), link) {                                       \
			int s_ = (cond) ? port_score(o_, (src), (dst)) : -1;            \
			if (s_ < 0 || s_ < top_)                                        \
				continue;                                               \
			if (s_ > top_) {                                                \
				top_ = s_;                                              \
				best_ = o_;                                             \
				n_ = 1;                                                 \
			} else if (o_->sk.opts.reuseport && best_->sk.opts.reuseport) { \
				n_++;                                                   \
			}                                                               \
		}                                                                       \
		if (n_ > 1) {                                                           \
			u32 pick_ = flow_hash((src), (dst)) % n_;                       \
			LIST_FOREACH (o_, (list), link) {                               \
				if (!(cond) || !o_->sk.opts.reuseport ||                \
				    port_score(o_, (src), (dst)) != top_)               \
					continue;                                       \
				best_ = o_;                                             \
				if (pick_-- == 0)                                       \
					break;                                          \
			}                                                               \
		}                                                                       \
		best_;                                                                  \
	})

struct inet_sock *port_listener_locked(struct inet_ns *ns, const struct inet_addr *src,
                                       const struct inet_addr *dst)
{
	struct port_bucket *b = port_bucket(ns, INET_TCP, dst->port);

	return BEST_OF(&b->listeners, true, src, dst);
}

struct inet_sock *port_receiver_locked(struct inet_ns *ns, enum inet_proto proto,
                                       const struct inet_addr *src, const struct inet_addr *dst)
{
	struct port_bucket *b = port_bucket(ns, proto, dst->port);

	return BEST_OF(&b->socks, true, src, dst);
}

/* ---- objects ---- */

static void inet_tw_sample(struct sampler *sp, void *p)
{
	struct inet_tw *tw = p;

	(void)sp;
	tw->family = AF_INET;
}

#define INET_TW_FIELDS(F)                    \
	F(HDR, obj)                          \
	F(SKIP, link)  /* of the table */    \
	F(SKIP, order) /* the ns saves it */ \
	F(VAL, family)                       \
	F(VAL, v6only)                       \
	F(VAL, reuseaddr)                    \
	F(VAL, reuseport)                    \
	F(SUB, local, inet_addr)             \
	F(SUB, remote, inet_addr)            \
	F(VAL, uid)                          \
	F(VAL, expires)
OBJECT_TYPE(inet_tw, Sentry__InetTw, sentry__inet_tw__descriptor, INET_TW_FIELDS,
            .sample = inet_tw_sample);

static void inet_ns_init(void *p)
{
	struct inet_ns *ns = p;

	rwlock_init(&ns->lock, RANK_INET);
	mutex_init(&ns->rtnl, RANK_RTNL);
	fib_init(&ns->fib);
	mc_groups_init(&ns->groups);
	TAILQ_INIT(&ns->tws);
	for (unsigned i = 0; i < INET_PROTOS; i++) {
		ns->table[i] = calloc(PORT_HASH, sizeof(*ns->table[i]));
		BUG_ON(!ns->table[i]);
	}
}

static void inet_ns_destroy(void *p)
{
	struct inet_ns *ns = p;
	struct inet_sock *is;
	struct inet_tw *tw;

	while ((tw = TAILQ_FIRST(&ns->tws))) {
		TAILQ_REMOVE(&ns->tws, tw, order);
		obj_put(tw);
	}
	/* Sockets own their namespace; only in a teardown of everything are any left. */
	for (unsigned i = 0; i < INET_PROTOS; i++) {
		for (unsigned k = 0; k < PORT_HASH; k++) {
			while ((is = LIST_FIRST(&ns->table[i][k].socks)))
				port_remove_locked(ns, is);
			while ((is = LIST_FIRST(&ns->table[i][k].listeners)))
				port_remove_locked(ns, is);
		}
		free(TAKE(ns->table[i]));
	}
	fib_finish(&ns->fib);
	mc_groups_finish(&ns->groups);
	free(TAKE(ns->reserved));
}

static int inet_ns_after_load(struct loader *l, void *p)
{
	struct inet_ns *ns = p;
	struct inet_tw *tw;

	if (ns->port_lo == 0 || ns->port_lo > ns->port_hi || ns->port_hi > 65535)
		return loader_error(l, "a range of ports from %u to %u", ns->port_lo, ns->port_hi);
	TAILQ_FOREACH (tw, &ns->tws, order) {
		if (ns->n_tws == TIME_WAIT_MAX)
			return loader_error(l, "too many connections in TIME_WAIT");
		tw_add(ns, tw);
	}
	return 0;
}

static void inet_ns_sample(struct sampler *sp, void *p)
{
	struct inet_ns *ns = p;

	(void)sp;
	ns->port_lo = 1;
	ns->port_hi = 2;
}

static int inet_ns_save_counters(struct saver *s, const struct inet_ns *ns, Sentry__InetNs *m)
{
	m->n_counters = INET_COUNTER_N;
	m->counters = saver_alloc(s, INET_COUNTER_N * sizeof(u64));
	for (unsigned i = 0; i < INET_COUNTER_N; i++)
		m->counters[i] = atomic_load_explicit(&ns->counters[i], memory_order_relaxed);
	return 0;
}

/* An image of a version that counted less, or more, is fine. */
static int inet_ns_load_counters(struct loader *l, struct inet_ns *ns, const Sentry__InetNs *m)
{
	(void)l;
	for (size_t i = 0; i < MIN(m->n_counters, (size_t)INET_COUNTER_N); i++)
		ns->counters[i] = m->counters[i];
	return 0;
}

static void inet_ns_sample_counters(struct sampler *sp, struct inet_ns *ns)
{
	for (unsigned i = 0; i < INET_COUNTER_N; i++)
		ns->counters[i] = sampler_value(sp);
}

#define INET_NS_FIELDS(F)                                      \
	F(HDR, obj)                                            \
	F(SKIP, lock)                                          \
	F(SKIP, kernel)      /* netns_loaded */                \
	F(SKIP_ARRAY, table) /* sockets enter by themselves */ \
	F(LIST, tws, inet_tw, order)                           \
	F(SKIP, n_tws) /* counted at load */                   \
	F(VAL, rover)                                          \
	F(VAL, port_lo)                                        \
	F(VAL, port_hi)                                        \
	F(VAL, unprivileged_port)                              \
	F(VAL, ping_lo)                                        \
	F(VAL, ping_hi)                                        \
	F(VAL, default_ttl)                                    \
	F(CUSTOM_ARRAY, settings, inet_ns)                     \
	F(CUSTOM, reserved, inet_ns)                           \
	F(SKIP, rtnl)                                          \
	F(CUSTOM, fib, inet_ns)                                \
	F(SKIP, groups)   /* sockets count again */            \
	F(SKIP, n_raw)    /* sockets count again */            \
	F(SKIP, netlinks) /* they enter by themselves */       \
	F(SKIP, mem)      /* sockets count again */            \
	F(CUSTOM_ARRAY, counters, inet_ns)
OBJECT_TYPE(inet_ns, Sentry__InetNs, sentry__inet_ns__descriptor, INET_NS_FIELDS,
            .init = inet_ns_init, .destroy = inet_ns_destroy, .after_load = inet_ns_after_load,
            .sample = inet_ns_sample);

struct inet_ns *inet_ns_new(struct kernel *k)
{
	struct inet_ns *ns = obj_new(inet_ns);

	ns->kernel = k;
	ns->port_lo = 32768;
	ns->port_hi = 60999;
	ns->unprivileged_port = 1024;
	ns->ping_lo = 0;
	ns->ping_hi = 2147483647;
	ns->default_ttl = 64;
	net_settings_init(ns);
	fib_boot(&ns->fib);
	if (getrandom(&ns->rover, sizeof(ns->rover), GRND_NONBLOCK) != sizeof(ns->rover))
		ns->rover = (u32)inet_now(ns);
	return ns;
}
