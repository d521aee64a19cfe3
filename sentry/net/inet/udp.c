/* The object of a datagram socket: connect, options, how it is made and saved. */
#include "sentry/net/inet/udp.h"

#include "sentry/net/inet/state.h"
#include "state/base/cleanup.h"

#include <netinet/udp.h>

/* ---- connect, shutdown ---- */

static int udp_disconnect(struct udp_sock *u)
{
	struct inet_sock *is = &u->inet;
	struct inet_ns *ns = inet_ns_of(&is->sk);
	struct ipaddr any = is->sk.family == AF_INET ? ip_any4 : ip_any6;

	GUARD_WRITE(&ns->lock);
	u->connected = false;
	is->remote = (struct inet_addr){.ip = any};
	if (!is->bound_ip)
		is->local.ip = any;
	if (!is->bound_port) {
		port_remove_locked(ns, is);
		is->local.port = 0;
	}
	return 0;
}

static int udp_connect(struct sock *sk, struct ctx *c, const struct sockaddr_storage *a, u32 len,
                       bool nonblock)
{
	struct udp_sock *u = udp_sk(sk);
	struct inet_sock *is = &u->inet;
	struct inet_addr dst;
	u16 family = sk->family;
	int r;

	(void)c;
	(void)nonblock;
	if (len < sizeof(sa_family_t))
		return -EINVAL;
	if (a->ss_family == AF_UNSPEC)
		return udp_disconnect(u);
	if (family == AF_INET6 && a->ss_family == AF_INET && !udp_is_ping(u) && !udp_is_raw(u)) {
		if (inet_v6only(is))
			return -EAFNOSUPPORT;
		family = AF_INET;
	}
	r = inet_addr_parse(family, a, len, &dst);
	if (r == 0 && udp_is_ping(u) && family == AF_INET6 && ip_is_v4(&dst.ip))
		r = -EINVAL;
	if (r == 0)
		r = inet_destination(is, &dst);
	if (r == 0 && fib_is_broadcast(inet_ns_of(sk), &dst.ip) && !sk->opts.broadcast)
		r = -EACCES;
	if (r == 0)
		r = udp_autobind(u);
	if (r < 0)
		return r;
	GUARD_WRITE(&inet_ns_of(sk)->lock);
	is->remote = dst;
	u->connected = true;
	if (!is->bound_ip || ip_is_any(&is->local.ip))
		is->local.ip = fib_source_for(inet_ns_of(sk), &dst.ip);
	return 0;
}

static int udp_getname(struct sock *sk, struct ctx *c, bool peer, struct sockaddr_storage *ret,
                       u32 *ret_len)
{
	struct udp_sock *u = udp_sk(sk);

	(void)c;
	/* Without a port there is no peer, whatever connect said. */
	return inet_getname(&u->inet, peer, u->connected, ret, ret_len);
}

static int udp_shutdown(struct sock *sk, struct ctx *c, int how)
{
	u32 bits = how == SHUT_RD   ? SOCK_RCV_CLOSED
	           : how == SHUT_WR ? SOCK_SEND_CLOSED
	                            : SOCK_RCV_CLOSED | SOCK_SEND_CLOSED;
	bool connected;

	(void)c;
	{
		GUARD_READ(&inet_ns_of(sk)->lock);
		connected = udp_sk(sk)->connected;
	}
	if (connected)
		atomic_fetch_or(&sk->shutdown, bits);
	waitq_wake(&sk->rwait, READY_IN | EPOLLRDHUP | EPOLLHUP);
	waitq_wake(&sk->wwait, READY_OUT | EPOLLHUP);
	return connected ? 0 : -ENOTCONN;
}

static void udp_release(struct sock *sk)
{
	struct inet_ns *ns = inet_ns_of(sk);

	if (!ns)
		return;
	GUARD_WRITE(&ns->lock);
	if (sk->type == SOCK_RAW && inet_sk(sk)->linked)
		atomic_fetch_sub(&ns->n_raw, 1);
	port_remove_locked(ns, inet_sk(sk));
}

static void udp_usage(struct sock *sk, struct sock_usage *ret)
{
	struct udp_sock *u = udp_sk(sk);

	GUARD(&sk->lock);
	ret->rmem = (u32)u->charge;
	ret->drops = u->drops;
}

/* ---- options ---- */

static const struct {
	s32 name, lo, hi;
} options[] = {
#define X(id, name, lo, hi) {name, lo, hi},
	UDP_INT_OPTIONS(X)
#undef X
};

static int option_find(int name)
{
	for (unsigned i = 0; i < UDPO_N; i++) {
		if (options[i].name == name)
			return (int)i;
	}
	return -ENOPROTOOPT;
}

/* Not while there is a packet for IPv6 under way. */
static int set_addrform(struct udp_sock *u, struct ctx *c, uaddr_t val, u32 len)
{
	bool busy;

	mutex_lock(&u->inet.sk.lock);
	busy = u->corked && !ip_is_v4(&u->cork_dst.ip);
	mutex_unlock(&u->inet.sk.lock);
	if (busy)
		return -EBUSY;
	return inet_set_addrform(&u->inet, c, val, len, READ_ONCE(u->connected));
}

static int udp_setsockopt(struct sock *sk, struct ctx *c, int level, int name, uaddr_t val, u32 len)
{
	struct udp_sock *u = udp_sk(sk);
	s32 v;
	int r, i;

	if (udp_is_raw(u))
		return raw_setsockopt(sk, c, level, name, val, len);
	if (inet_is_addrform(sk, level, name) && !udp_is_ping(u))
		return set_addrform(u, c, val, len);
	if (level != SOL_UDP || udp_is_ping(u))
		return inet_setsockopt(sk, c, level, name, val, len);
	if (len < sizeof(v))
		return -EINVAL;
	r = user_get(c, val, &v);
	if (r < 0)
		return r;
	i = option_find(name);
	if (i < 0)
		return i;
	if (i == UDPO_SEGMENT && (v < 0 || v > 65535))
		return -EINVAL;
	if (options[i].hi == 1)
		v = v != 0;
	{
		GUARD(&sk->lock);
		u->v[i] = v;
	}
	if (i == UDPO_CORK && !v) {
		long sent = udp_uncork(u, c);

		return sent < 0 ? (int)sent : 0;
	}
	return 0;
}

static int udp_getsockopt(struct sock *sk, struct ctx *c, int level, int name, uaddr_t val,
                          uaddr_t len)
{
	struct udp_sock *u = udp_sk(sk);
	int i;

	if (udp_is_raw(u))
		return raw_getsockopt(sk, c, level, name, val, len);
	if (inet_is_addrform(sk, level, name) && !udp_is_ping(u))
		return inet_get_addrform(&u->inet, c, val, len, READ_ONCE(u->connected));
	if (level != SOL_UDP || udp_is_ping(u))
		return inet_getsockopt(sk, c, level, name, val, len);
	i = option_find(name);
	return i < 0 ? i : sockopt_put_int(c, val, len, u->v[i]);
}

static long dgram_sendmsg(struct sock *sk, struct ctx *c, struct sockmsg *m)
{
	if (udp_is_raw(udp_sk(sk)))
		return raw_sendmsg(sk, c, m);
	return udp_is_ping(udp_sk(sk)) ? ping_sendmsg(sk, c, m) : udp_sendmsg(sk, c, m);
}

static const struct sock_ops udp_ops = {
	.bind = inet_bind,
	.connect = udp_connect,
	.getname = udp_getname,
	.sendmsg = dgram_sendmsg,
	.recvmsg = udp_recvmsg,
	.shutdown = udp_shutdown,
	.poll = udp_poll,
	.ioctl = udp_ioctl,
	.setsockopt = udp_setsockopt,
	.getsockopt = udp_getsockopt,
	.usage = udp_usage,
	.release = udp_release,
};

/* ---- saved ---- */

static void save_addr(struct saver *s, const struct inet_addr *a, Sentry__InetAddr **ret)
{
	Sentry__InetAddr *m = saver_msg(s, Sentry__InetAddr, sentry__inet_addr__init);

	m->ip.data = (u8 *)(uintptr_t)a->ip.b;
	m->ip.len = sizeof(a->ip);
	m->port = a->port;
	m->scope = a->scope;
	*ret = m;
}

static int load_addr(struct loader *l, const Sentry__InetAddr *m, struct inet_addr *a)
{
	if (!m)
		return loader_missing(l, "address");
	return inet_addr_load_sub(l, a, m);
}

static void save_queue(struct saver *s, const struct packet_list *q, size_t *ret_n,
                       Sentry__InetPacket ***ret)
{
	const struct packet *p;
	size_t n = 0;

	STAILQ_FOREACH (p, q, link)
		n++;
	*ret = saver_alloc(s, n * sizeof(**ret));
	STAILQ_FOREACH (p, q, link) {
		Sentry__InetPacket *m = saver_msg(s, Sentry__InetPacket, sentry__inet_packet__init);

		save_addr(s, &p->src, &m->src);
		save_addr(s, &p->dst, &m->dst);
		m->ttl = p->ttl;
		m->tos = p->tos;
		m->stamp = p->stamp;
		m->drops = p->drops;
		m->err = p->err;
		m->local = p->local;
		m->peeked = p->peeked;
		m->info = p->info;
		m->data.data = (u8 *)(uintptr_t)p->data;
		m->data.len = p->len;
		(*ret)[(*ret_n)++] = m;
	}
}

#define QUEUE_MAX (256 * 1024u)

static int load_queue(struct loader *l, struct packet_list *q, size_t n,
                      Sentry__InetPacket *const *from, u64 *ret_charge)
{
	if (n > QUEUE_MAX)
		return loader_range(l, "queue");
	for (size_t i = 0; i < n; i++) {
		const Sentry__InetPacket *m = from[i];
		struct packet *p;
		int r;

		if (m->data.len > 65535 || m->ttl > 255 || m->tos > 255)
			return loader_range(l, "packet");
		p = packet_new((u32)m->data.len);
		STAILQ_INSERT_TAIL(q, p, link);
		r = load_addr(l, m->src, &p->src);
		if (r == 0)
			r = load_addr(l, m->dst, &p->dst);
		if (r < 0)
			return r;
		p->ttl = (u8)m->ttl;
		p->tos = (u8)m->tos;
		p->stamp = m->stamp;
		p->drops = m->drops;
		p->err = m->err;
		p->local = m->local;
		p->peeked = m->peeked;
		p->info = m->info;
		if (p->len)
			memcpy(p->data, m->data.data, p->len);
		*ret_charge += packet_charge(p);
	}
	return 0;
}

static int udp_sock_save_rxq(struct saver *s, const struct udp_sock *u, Sentry__UdpSock *m)
{
	save_queue(s, &u->rxq, &m->n_rxq, &m->rxq);
	return 0;
}

static int udp_sock_load_rxq(struct loader *l, struct udp_sock *u, const Sentry__UdpSock *m)
{
	u->n_rx = (u32)MIN(m->n_rxq, (size_t)QUEUE_MAX);
	return load_queue(l, &u->rxq, m->n_rxq, m->rxq, &u->charge);
}

static void udp_sock_sample_rxq(struct sampler *sp, struct udp_sock *u)
{
	struct packet *p = packet_new(3);

	(void)sp;
	memcpy(p->data, "abc", 3);
	STAILQ_INSERT_TAIL(&u->rxq, p, link);
	u->n_rx = 1;
}

static int udp_sock_save_errq(struct saver *s, const struct udp_sock *u, Sentry__UdpSock *m)
{
	save_queue(s, &u->errq, &m->n_errq, &m->errq);
	return 0;
}

static int udp_sock_load_errq(struct loader *l, struct udp_sock *u, const Sentry__UdpSock *m)
{
	return load_queue(l, &u->errq, m->n_errq, m->errq, &u->err_charge);
}

static void udp_sock_sample_errq(struct sampler *sp, struct udp_sock *u)
{
	(void)sp;
	STAILQ_INSERT_TAIL(&u->errq, packet_new(0), link);
}

static int udp_sock_save_cork(struct saver *s, const struct udp_sock *u, Sentry__UdpSock *m)
{
	(void)s;
	m->cork.data = u->cork;
	m->cork.len = u->cork_len;
	return 0;
}

static int udp_sock_load_cork(struct loader *l, struct udp_sock *u, const Sentry__UdpSock *m)
{
	if (m->cork.len > UDP_MAX)
		return loader_range(l, "cork");
	if (m->cork.len == 0)
		return 0;
	u->cork = malloc(m->cork.len);
	BUG_ON(!u->cork);
	memcpy(u->cork, m->cork.data, m->cork.len);
	u->cork_len = (u32)m->cork.len;
	return 0;
}

static void udp_sock_sample_cork(struct sampler *sp, struct udp_sock *u)
{
	(void)sp;
	u->cork = malloc(4);
	BUG_ON(!u->cork);
	memcpy(u->cork, "cork", 4);
	u->cork_len = 4;
}

static void udp_sock_init(void *p)
{
	struct udp_sock *u = p;

	STAILQ_INIT(&u->rxq);
	STAILQ_INIT(&u->errq);
}

static void udp_sock_destroy(void *p)
{
	struct udp_sock *u = p;

	packets_free(&u->rxq);
	if (u->counted)
		udp_charge(u, -(s64)u->charge);
	packets_free(&u->errq);
	free(u->cork);
}

static int udp_sock_after_load(struct loader *l, void *p)
{
	struct udp_sock *u = p;
	int r;

	if (u->inet.sk.type != SOCK_DGRAM && u->inet.sk.type != SOCK_RAW)
		return loader_error(l, "a datagram socket of another type");
	if (u->csum_at < -1)
		return loader_error(l, "a checksum at %d", u->csum_at);
	r = inet_check_loaded(l, &u->inet);
	if (r < 0)
		return r;
	atomic_fetch_add_explicit(&u->inet.sk.ns->inet->mem, u->charge, memory_order_relaxed);
	u->counted = true;
	if (udp_is_raw(u) && u->inet.linked)
		atomic_fetch_add(&u->inet.sk.ns->inet->n_raw, 1);
	return 0;
}

static void udp_sock_sample(struct sampler *sp, void *p)
{
	struct udp_sock *u = p;

	(void)sp;
	u->inet.sk.family = AF_INET;
	u->inet.sk.type = SOCK_DGRAM;
	u->inet.sk.protocol = IPPROTO_UDP;
	u->inet.local.port = 7;
	u->inet.hashed = true;
	u->csum_at = 2;
}

/* clang-format off */
#define UDP_SOCK_FIELDS(F)                                                                         \
	F(BASE, inet, inet_sock)                                                                   \
	F(VAL, connected)                                                                          \
	F(CUSTOM, rxq, udp_sock)                                                                   \
	F(CUSTOM, errq, udp_sock)                                                                  \
	F(SKIP, counted)                                                                           \
	F(SKIP, charge)                                                                            \
	F(SKIP, err_charge)                                                                        \
	F(SKIP, n_rx) /* with the queues */                                                        \
	F(VAL, drops)                                                                              \
	F(VAL, stamp)                                                                              \
	F(VAL, corked)                                                                             \
	F(SUB, cork_dst, inet_addr)                                                                \
	F(CUSTOM, cork, udp_sock)                                                                  \
	F(SKIP, cork_len) /* cork */                                                               \
	F(ARRAY, v)                                                                                \
	F(VAL, csum_at)                                                                            \
	F(ARRAY, icmp_filter)
/* clang-format on */
OBJECT_TYPE(udp_sock, Sentry__UdpSock, sentry__udp_sock__descriptor, UDP_SOCK_FIELDS,
            .base = &inet_sock_type, .ops = &udp_ops, .init = udp_sock_init,
            .destroy = udp_sock_destroy, .after_load = udp_sock_after_load,
            .sample = udp_sock_sample);

int udp_create(struct ctx *c, u16 family, u16 protocol, struct sock **ret)
{
	struct udp_sock *u = obj_new(udp_sock);

	inet_setup(&u->inet, c, family, SOCK_DGRAM, protocol);
	u->stamp = -1;
	u->csum_at = -1;
	u->counted = true;
	*ret = &u->inet.sk;
	return 0;
}
