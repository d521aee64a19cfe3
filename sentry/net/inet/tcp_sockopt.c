/* Options of SOL_TCP (tcp(7)). */
#include "sentry/auth/creds.h"
#include "sentry/net/inet/tcp.h"
#include "state/base/cleanup.h"

#include <linux/capability.h>

#ifndef TCP_IS_MPTCP
#define TCP_IS_MPTCP 43
#endif
#include <string.h>

static const struct int_option {
	s32 name, lo, hi, def;
} options[] = {
#define X(id, name, lo, hi, def) {name, lo, hi, def},
	TCP_INT_OPTIONS(X)
#undef X
};

void tcp_options_init(struct tcp_sock *t)
{
	for (unsigned i = 0; i < TCPO_N; i++)
		t->v[i] = options[i].def;
	strcpy(t->congestion, "cubic");
}

static int option_find(int name)
{
	for (unsigned i = 0; i < TCPO_N; i++) {
		if (options[i].name == name)
			return (int)i;
	}
	return -ENOPROTOOPT;
}

/* Linux keeps TCP_DEFER_ACCEPT as a number of retransmissions and gives back what they last. */
static s32 defer_seconds(s32 s)
{
	s32 period = 1, timeout = 1, n = 1;

	if (s <= 0)
		return 0;
	while (s > period && n < 255) {
		n++;
		timeout = MIN(timeout * 2, 120);
		period += timeout;
	}
	return period;
}

static int set_value(struct tcp_sock *t, unsigned i, s32 v)
{
	const struct int_option *o = &options[i];

	if (o->lo == -1 && o->hi == 0)
		v = v != 0;
	switch (i) {
	case TCPO_MAXSEG:
		if (v && v < 88)
			return -EINVAL;
		break;
	case TCPO_LINGER2:
		v = v < 0 ? -1 : v == 0 ? 60 : MIN(v, 120);
		break;
	case TCPO_DEFER_ACCEPT:
		v = defer_seconds(v);
		break;
	case TCPO_FASTOPEN:
		if (READ_ONCE(t->state) != TCPS_CLOSE && READ_ONCE(t->state) != TCPS_LISTEN)
			return -EINVAL;
		v = MIN(v, net_setting_get(inet_ns_of(&t->inet.sk), NET_SOMAXCONN));
		break;
	case TCPO_WINDOW_CLAMP:
		if (v == 0 && READ_ONCE(t->state) != TCPS_CLOSE)
			return -EINVAL;
		v = v ? MAX(v, (s32)SOCK_MIN_RCVBUF / 2) : 0;
		break;
	default:
		break;
	}
	if (i != TCPO_DEFER_ACCEPT && i != TCPO_LINGER2 && !(o->lo == -1 && o->hi == 0) &&
	    (v < o->lo || v > o->hi))
		return -EINVAL;
	GUARD(&t->inet.sk.lock);
	t->v[i] = v;
	return 0;
}

static int set_congestion(struct tcp_sock *t, struct ctx *c, uaddr_t val, u32 len)
{
	char name[16] = "";
	int r;

	if (len < 1)
		return -EINVAL;
	r = user_copy_in(c, name, val, MIN(len, (u32)sizeof(name) - 1));
	if (r < 0)
		return r;
	if (strcmp(name, "cubic") != 0 && strcmp(name, "reno") != 0)
		return -ENOENT;
	GUARD(&t->inet.sk.lock);
	memcpy(t->congestion, name, sizeof(name));
	return 0;
}

int tcp_setsockopt(struct sock *sk, struct ctx *c, int level, int name, uaddr_t val, u32 len)
{
	struct tcp_sock *t = tcp_sk(sk);
	s32 v;
	int r, i;

	if (inet_is_addrform(sk, level, name))
		return inet_set_addrform(&t->inet, c, val, len,
		                         READ_ONCE(t->state) == TCPS_ESTABLISHED);
	if (level != SOL_TCP)
		return inet_setsockopt(sk, c, level, name, val, len);
	if (name == TCP_CONGESTION)
		return set_congestion(t, c, val, len);
	if (name == TCP_ULP)
		return len < 1 ? -EINVAL : -ENOENT;
	if (len < sizeof(v))
		return -EINVAL;
	r = user_get(c, val, &v);
	if (r < 0)
		return r;
	if (name == TCP_THIN_DUPACK) /* nothing any more */
		return v < 0 || v > 1 ? -EINVAL : 0;
	if (name == TCP_TIMESTAMP) /* a repair's */
		return -EPERM;
	if (name == TCP_REPAIR)
		return creds_capable(c->creds, CAP_NET_ADMIN) ? -ENOPROTOOPT : -EPERM;
	i = option_find(name);
	if (i < 0)
		return i;
	r = set_value(t, (unsigned)i, v);
	/* Either sends what a cork held. */
	if (r == 0 && ((i == TCPO_CORK && !v) || (i == TCPO_NODELAY && v)))
		tcp_push(t);
	return r;
}

void tcp_info_fill(struct tcp_sock *t, void *buf, size_t size)
{
	struct tcp_info ti = {
		.tcpi_state = READ_ONCE(t->state),
		.tcpi_rto = 201000,
		.tcpi_ato = 40000,
		.tcpi_snd_mss = 32768,
		.tcpi_rcv_mss = 536,
		.tcpi_pmtu = (u32)inet_path_mtu(inet_ns_of(&t->inet.sk), &t->inet.remote.ip),
		.tcpi_rcv_ssthresh = 65495,
		.tcpi_rtt = 20,
		.tcpi_rttvar = 10,
		.tcpi_snd_ssthresh = 0x7fffffff,
		.tcpi_snd_cwnd = 10,
		.tcpi_advmss = 65483,
		.tcpi_reordering = 3,
		.tcpi_rcv_space = 65495,
		.tcpi_snd_wscale = 7,
		.tcpi_rcv_wscale = 7,
		.tcpi_options = TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE,
	};
	struct tcp_sock *p = READ_ONCE(t->hold);

	if (ti.tcpi_state == TCPS_LISTEN) {
		/* As Linux: the accept queue and its limit. */
		ti.tcpi_unacked = READ_ONCE(t->n_accept);
		ti.tcpi_sacked = READ_ONCE(t->backlog);
	}
	{
		GUARD(&t->inet.sk.lock);
		ti.tcpi_bytes_received = t->taken + t->len;
	}
	if (p) {
		GUARD(&p->inet.sk.lock);
		if (p->peer == t || t->peer == p) {
			ti.tcpi_bytes_acked = p->taken + p->len;
			ti.tcpi_bytes_sent = p->taken + p->len;
		}
	}
	memcpy(buf, &ti, MIN(size, sizeof(ti)));
}

static s32 shown(struct tcp_sock *t, unsigned i)
{
	if (i == TCPO_MAXSEG) {
		if (t->hold)
			return 32768;
		return t->v[i] ? t->v[i] : 536;
	}
	return t->v[i];
}

int tcp_getsockopt(struct sock *sk, struct ctx *c, int level, int name, uaddr_t val, uaddr_t len)
{
	struct tcp_sock *t = tcp_sk(sk);
	struct tcp_info ti;
	int i;

	if (level == SOL_SOCKET && name == SO_ACCEPTCONN)
		return sockopt_put_int(c, val, len, READ_ONCE(t->state) == TCPS_LISTEN);
	if (inet_is_addrform(sk, level, name))
		return inet_get_addrform(&t->inet, c, val, len,
		                         READ_ONCE(t->state) == TCPS_ESTABLISHED);
	if (level != SOL_TCP)
		return inet_getsockopt(sk, c, level, name, val, len);
	switch (name) {
	case TCP_CONGESTION:
		return sockopt_put(c, val, len, t->congestion, sizeof(t->congestion));
	case TCP_ULP:
		return user_put_u32(c, len, 0);
	case TCP_INFO:
		rwlock_rdlock(&inet_ns_of(sk)->lock);
		tcp_info_fill(t, &ti, sizeof(ti));
		rwlock_unlock(&inet_ns_of(sk)->lock);
		return sockopt_put(c, val, len, &ti, sizeof(ti));
	case TCP_REPAIR:
	case TCP_THIN_DUPACK:
	case TCP_IS_MPTCP:
		return sockopt_put_int(c, val, len, 0);
	case TCP_TIMESTAMP: /* a clock of ms */
		return sockopt_put_int(c, val, len,
		                       (s32)(inet_now(inet_ns_of(sk)) / (NSEC_PER_SEC / 1000)));
	case TCP_CC_INFO: /* cubic has nothing to say */
		return user_put_u32(c, len, 0);
	default:
		break;
	}
	i = option_find(name);
	return i < 0 ? i : sockopt_put_int(c, val, len, shown(t, (unsigned)i));
}
