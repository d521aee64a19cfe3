/* The object of a TCP socket, how it is made and how it is saved. */
#include "sentry/net/inet/tcp.h"

#include "sentry/net/inet/state.h"
#include "state/base/cleanup.h"

void tcp_set_limit(struct tcp_sock *t, const struct tcp_sock *sender)
{
	const struct sock_opts *own = &t->inet.sk.opts, *its = &sender->inet.sk.opts;
	u32 in = (u32)MAX(own->rcvbuf, SOCK_MIN_RCVBUF);
	u32 out = its->sndbuf_set ? (u32)its->sndbuf : TCP_SNDBUF_TUNED;

	/* Of what a program chose, bookkeeping takes its part, as much as on Linux's lo. */
	if (own->rcvbuf_set)
		in = in / 8 * 5;
	if (its->sndbuf_set)
		out = out / 8 * 5;

	t->limit = in + out;
}

/* A buffer size changed: of what t may hold, or of what its peer may. */
static void tcp_option_changed(struct sock *sk, int name)
{
	struct tcp_sock *t = tcp_sk(sk), *p;
	struct inet_ns *ns = inet_ns_of(sk);

	if (name != SO_RCVBUF && name != SO_RCVBUFFORCE && name != SO_SNDBUF &&
	    name != SO_SNDBUFFORCE)
		return;
	GUARD_WRITE(&ns->lock);
	p = t->peer;
	if (!p)
		return;
	mutex_lock_pair(&t->inet.sk.lock, &p->inet.sk.lock);
	tcp_set_limit(t, p);
	tcp_set_limit(p, t);
	mutex_unlock_pair(&t->inet.sk.lock, &p->inet.sk.lock);
	sock_wake_writers(&t->inet.sk);
	sock_wake_writers(&p->inet.sk);
}

static void tcp_usage(struct sock *sk, struct sock_usage *ret)
{
	GUARD(&sk->lock);
	ret->rmem = tcp_sk(sk)->len;
}

static int tcp_getname(struct sock *sk, struct ctx *c, bool peer, struct sockaddr_storage *ret,
                       u32 *ret_len)
{
	u8 state = READ_ONCE(tcp_sk(sk)->state);

	(void)c;
	/* One that is just being accepted has a peer to show, reset or not. */
	return inet_getname(inet_sk(sk), peer,
	                    (state != TCPS_CLOSE && state != TCPS_SYN_SENT) || !sk->file, ret,
	                    ret_len);
}

static const struct sock_ops tcp_ops = {
	.bind = inet_bind,
	.connect = tcp_connect,
	.listen = tcp_listen,
	.accept = tcp_accept,
	.getname = tcp_getname,
	.sendmsg = tcp_sendmsg,
	.recvmsg = tcp_recvmsg,
	.shutdown = tcp_shutdown,
	.poll = tcp_poll,
	.ioctl = tcp_ioctl,
	.setsockopt = tcp_setsockopt,
	.getsockopt = tcp_getsockopt,
	.option_changed = tcp_option_changed,
	.usage = tcp_usage,
	.release = tcp_release,
};

static void tcp_sock_init(void *p)
{
	struct tcp_sock *t = p;

	TAILQ_INIT(&t->accept_q);
	TAILQ_INIT(&t->pending);
	TAILQ_INIT(&t->deferred);
	ktimer_init(&t->kt, tcp_timer_expired);
	t->state = TCPS_CLOSE;
}

static void tcp_sock_destroy(void *p)
{
	struct tcp_sock *t = p, *q;

	ktimer_cancel(&t->kt);
	/* Only after a load that failed, or in a teardown of everything, is any of this left. */
	while ((q = TAILQ_FIRST(&t->accept_q))) {
		TAILQ_REMOVE(&t->accept_q, q, q_link);
		tcp_sock_put(q);
	}
	while ((q = TAILQ_FIRST(&t->deferred))) {
		TAILQ_REMOVE(&t->deferred, q, q_link);
		q->defers_on = NULL;
		tcp_sock_put(q);
	}
	while ((q = TAILQ_FIRST(&t->pending))) {
		TAILQ_REMOVE(&t->pending, q, q_link);
		q->pends_on = NULL;
	}
	if (t->pends_on)
		TAILQ_REMOVE(&t->pends_on->pending, t, q_link);
	tcp_sock_put(TAKE(t->hold));
	for (u32 i = 0; i < t->n_retired; i++)
		tcp_sock_put(t->retired[i]);
	free(t->retired);
	tcp_ring_free(t);
}

struct tcp_sock *tcp_new(u16 family)
{
	struct tcp_sock *t = obj_new(tcp_sock);

	(void)family;
	tcp_options_init(t);
	return t;
}

/* ---- saved ---- */

static int tcp_sock_save_ring(struct saver *s, const struct tcp_sock *t, Sentry__TcpSock *m)
{
	u32 first = MIN(t->len, t->ring_size - t->head);
	u8 *data = saver_alloc(s, t->len);

	if (t->len > 0) {
		memcpy(data, t->ring + t->head, first);
		memcpy(data + first, t->ring, t->len - first);
	}
	m->ring.data = data;
	m->ring.len = t->len;
	return 0;
}

static int tcp_sock_load_ring(struct loader *l, struct tcp_sock *t, const Sentry__TcpSock *m)
{
	u32 n = 4096;

	if (m->ring.len > GIB || m->limit > GIB)
		return loader_range(l, "ring");
	if (m->ring.len == 0)
		return 0;
	while (n < m->ring.len)
		n *= 2;
	t->ring = malloc(n);
	BUG_ON(!t->ring);
	memcpy(t->ring, m->ring.data, m->ring.len);
	t->ring_size = n;
	t->len = (u32)m->ring.len;
	return 0;
}

static void tcp_sock_sample_ring(struct sampler *sp, struct tcp_sock *t)
{
	(void)sp;
	t->ring = malloc(8);
	BUG_ON(!t->ring);
	memcpy(t->ring, "contents", 8);
	t->ring_size = 8;
	t->len = 5;
}

static const s32 option_names[TCPO_N] = {
#define X(id, name, lo, hi, def) name,
	TCP_INT_OPTIONS(X)
#undef X
};

static int tcp_sock_save_v(struct saver *s, const struct tcp_sock *t, Sentry__TcpSock *m)
{
	m->v = saver_alloc(s, TCPO_N * sizeof(*m->v));
	for (unsigned i = 0; i < TCPO_N; i++) {
		Sentry__IpOption *e = saver_msg(s, Sentry__IpOption, sentry__ip_option__init);

		e->name = (u32)option_names[i];
		e->value = t->v[i];
		m->v[m->n_v++] = e;
	}
	return 0;
}

static int tcp_sock_load_v(struct loader *l, struct tcp_sock *t, const Sentry__TcpSock *m)
{
	tcp_options_init(t);
	for (size_t k = 0; k < m->n_v; k++) {
		for (unsigned i = 0; i < TCPO_N; i++) {
			if ((s32)m->v[k]->name == option_names[i])
				t->v[i] = m->v[k]->value;
		}
	}
	return 0;
}

static void tcp_sock_sample_v(struct sampler *sp, struct tcp_sock *t)
{
	(void)sp;
	tcp_options_init(t);
}

/* q is in a queue of t's. */
static int check_queued(struct loader *l, const struct tcp_sock *t, const struct tcp_sock *q,
                        bool connected)
{
	if (q == t)
		return loader_error(l, "a listener that waits for itself");
	/* The clock would send its SYN again, and put it into another queue as well. */
	if (connected && q->state == TCPS_SYN_SENT)
		return loader_error(l, "a connection that is taken before it has begun");
	return 0;
}

static int tcp_sock_after_load(struct loader *l, void *p)
{
	struct tcp_sock *t = p, *q;
	bool listens = t->state == TCPS_LISTEN;
	int r;

	if (t->inet.sk.type != SOCK_STREAM || t->inet.sk.protocol != IPPROTO_TCP)
		return loader_error(l, "a TCP socket of another type");
	if (t->state == 0 || t->state > TCPS_LISTEN || t->phase > TCP_CONNECTED ||
	    t->urg > TCP_URG_TAKEN || t->inet.listening != listens ||
	    memchr(t->congestion, 0, sizeof(t->congestion)) == NULL)
		return loader_error(l, "a TCP socket in state %u", t->state);
	if ((t->hold && t->peer && t->hold != t->peer) || (!t->orphan && t->peer && !t->hold) ||
	    (t->state == TCPS_SYN_SENT && (t->hold || t->orphan)))
		return loader_error(l, "a TCP connection with loose ends");
	if (!listens &&
	    (!TAILQ_EMPTY(&t->accept_q) || !TAILQ_EMPTY(&t->pending) || !TAILQ_EMPTY(&t->deferred)))
		return loader_error(l, "connections wait for somebody who does not listen");
	TAILQ_FOREACH (q, &t->accept_q, q_link) {
		r = check_queued(l, t, q, true);
		if (r < 0)
			return r;
		q->queued = true;
		t->n_accept++;
	}
	TAILQ_FOREACH (q, &t->pending, q_link) {
		r = check_queued(l, t, q, false);
		if (r < 0)
			return r;
		q->pends_on = t;
	}
	TAILQ_FOREACH (q, &t->deferred, q_link) {
		r = check_queued(l, t, q, true);
		if (r < 0)
			return r;
		q->defers_on = t;
		t->n_deferred++;
		tcp_arm(q);
	}
	if (t->held > t->len)
		return loader_error(l, "a TCP socket holds back more than it has");
	tcp_ring_charge(t);
	r = inet_check_loaded(l, &t->inet);
	if (r == 0 && (t->held || t->state == TCPS_SYN_SENT))
		tcp_arm(t);
	return r;
}

static void tcp_sock_sample(struct sampler *sp, void *p)
{
	struct tcp_sock *t = p;

	(void)sp;
	t->inet.sk.family = AF_INET;
	t->inet.sk.type = SOCK_STREAM;
	t->inet.sk.protocol = IPPROTO_TCP;
	t->inet.local.port = 5;
	t->inet.hashed = true;
	t->state = TCPS_LISTEN;
	t->phase = TCP_CONNECTED;
	t->urg = TCP_URG_TAKEN;
	t->inet.listening = true;
	t->peer = t->hold;
	t->held = 3;
	t->limit = 9;
	strcpy(t->congestion, "reno");
}

/* clang-format off */
#define TCP_SOCK_FIELDS(F)                                                                         \
	F(BASE, inet, inet_sock)                                                                   \
	F(VAL, state)                                                                              \
	F(VAL, phase)                                                                              \
	F(VAL, orphan)                                                                             \
	F(WEAK, peer, tcp_sock)                                                                    \
	F(REF, hold, tcp_sock)                                                                     \
	F(CUSTOM, ring, tcp_sock)                                                                  \
	F(SKIP, ring_size)                                                                         \
	F(SKIP, head)                                                                              \
	F(SKIP, len)                                                                               \
	F(SKIP, charged) /* the saved content starts at 0 */                                       \
	F(VAL, limit)                                                                              \
	F(VAL, taken)                                                                              \
	F(VAL, urg_pos)                                                                            \
	F(VAL, urg)                                                                                \
	F(VAL, urg_byte)                                                                           \
	F(VAL, fin)                                                                                \
	F(VAL, held)                                                                               \
	F(VAL, stamp)                                                                              \
	F(SKIP, kt) /* armed again */                                                              \
	F(LIST, accept_q, tcp_sock, q_link)                                                        \
	F(WEAKLIST, pending, tcp_sock, q_link)                                                     \
	F(LIST, deferred, tcp_sock, q_link)                                                        \
	F(SKIP, q_link)                                                                            \
	F(SKIP, pends_on)                                                                          \
	F(SKIP, defers_on)                                                                         \
	F(SKIP, queued) /* the listener's after_load, as the two before */                         \
	F(VAL, defer_until)                                                                        \
	F(VAL, syn_until)                                                                          \
	F(VAL, syn_tries)                                                                          \
	F(SKIP, n_accept) /* the listener's after_load */                                          \
	F(VAL, backlog)                                                                            \
	F(SKIP, n_deferred) /* the listener's after_load */                                        \
	F(CUSTOM_ARRAY, v, tcp_sock)                                                               \
	F(BYTES, congestion)                                                                       \
	F(SKIP, retired)                                                                           \
	F(SKIP, n_retired) /* for calls under way; in a save none is */
/* clang-format on */
OBJECT_TYPE(tcp_sock, Sentry__TcpSock, sentry__tcp_sock__descriptor, TCP_SOCK_FIELDS,
            .base = &inet_sock_type, .ops = &tcp_ops, .init = tcp_sock_init,
            .destroy = tcp_sock_destroy, .after_load = tcp_sock_after_load,
            .sample = tcp_sock_sample);

/* ---- the families ---- */

int tcp_create(struct ctx *c, u16 family, struct sock **ret)
{
	struct tcp_sock *t = tcp_new(family);
	struct sock_opts *o = &t->inet.sk.opts;
	const struct inet_ns *ns;

	inet_setup(&t->inet, c, family, SOCK_STREAM, IPPROTO_TCP);
	ns = inet_ns_of(&t->inet.sk);
	o->rcvbuf = MIN(net_setting_get(ns, NET_RMEM_TCP), (s32)SOCK_BUF_MOST);
	o->sndbuf = MIN(net_setting_get(ns, NET_WMEM_TCP), (s32)SOCK_BUF_MOST);
	if (net_setting_get(ns, NET_TCP_RENO))
		strcpy(t->congestion, "reno");
	o->txrehash = 1;
	t->v[TCPO_KEEPIDLE] = net_setting_get(ns, NET_TCP_KEEPALIVE_TIME);
	t->v[TCPO_KEEPINTVL] = net_setting_get(ns, NET_TCP_KEEPALIVE_INTVL);
	t->v[TCPO_KEEPCNT] = net_setting_get(ns, NET_TCP_KEEPALIVE_PROBES);
	t->v[TCPO_SYNCNT] = net_setting_get(ns, NET_TCP_SYN_RETRIES);
	*ret = &t->inet.sk;
	return 0;
}
