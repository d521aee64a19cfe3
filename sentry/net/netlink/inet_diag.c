/* TCP and UDP sockets, as ss(8) asks for them. */
#include "sentry/net/inet/tcp.h"
#include "sentry/net/inet/udp.h"
#include "sentry/net/netlink/diag.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <string.h>

static void put_ip(u32 out[4], u16 family, const struct ipaddr *ip)
{
	memset(out, 0, 16);
	if (family == AF_INET)
		out[0] = ip_v4(ip);
	else
		memcpy(out, ip->b, 16);
}

static struct inet_diag_msg *begin(struct diag_request *q, u32 *ret_at, u16 family, u8 state,
                                   const struct inet_addr *local, const struct inet_addr *remote)
{
	struct inet_diag_msg *m;

	*ret_at = diag_begin(q, SOCK_DIAG_BY_FAMILY);
	m = nl_put(q->out, sizeof(*m));
	m->idiag_family = (u8)family;
	m->idiag_state = state;
	m->id.idiag_sport = htons(local->port);
	m->id.idiag_dport = htons(remote->port);
	put_ip(m->id.idiag_src, family, &local->ip);
	put_ip(m->id.idiag_dst, family, &remote->ip);
	return m;
}

static bool asked(const struct inet_diag_req_v2 *r, unsigned ext)
{
	return (r->idiag_ext & 1u << (ext - 1)) != 0;
}

static u8 state_of(struct inet_sock *is)
{
	if (is->sk.protocol == IPPROTO_TCP)
		return ((struct tcp_sock *)is)->state;
	return ((struct udp_sock *)is)->connected ? TCPS_ESTABLISHED : TCPS_CLOSE;
}

/* Bytes that wait here and there; of a listener who waits, and how many may. */
static void queues(struct inet_sock *is, u32 *ret_r, u32 *ret_w)
{
	struct tcp_sock *t = (struct tcp_sock *)is;
	struct sock_usage use;

	*ret_w = 0;
	if (is->sk.protocol == IPPROTO_TCP && t->state == TCPS_LISTEN) {
		*ret_r = READ_ONCE(t->n_accept);
		*ret_w = READ_ONCE(t->backlog);
		return;
	}
	sock_usage(&is->sk, &use);
	*ret_r = use.rmem;
}

static void one(struct diag_request *q, const struct inet_diag_req_v2 *r, struct inet_sock *is)
{
	bool tcp = is->sk.protocol == IPPROTO_TCP;
	struct tcp_sock *t = (struct tcp_sock *)is;
	u32 at, rq, wq;
	struct inet_diag_msg *m =
		begin(q, &at, is->sk.family, state_of(is), &is->local, &is->remote);

	queues(is, &rq, &wq);
	m->idiag_rqueue = rq;
	m->idiag_wqueue = wq;
	m->idiag_uid = is->sk.uid;
	m->idiag_inode = tcp && t->orphan ? 0 : (u32)is->sk.ino;
	m->id.idiag_if = (u32)is->sk.opts.bound_if;
	diag_cookie(&is->sk, m->id.idiag_cookie);
	nl_attr_u8(q->out, INET_DIAG_SHUTDOWN, (u8)sock_shut(&is->sk));
	if (asked(r, INET_DIAG_TOS))
		nl_attr_u8(q->out, INET_DIAG_TOS, (u8)is->ip.v[IPO_TOS]);
	if (is->sk.family == AF_INET6) {
		if (asked(r, INET_DIAG_TCLASS))
			nl_attr_u8(q->out, INET_DIAG_TCLASS, (u8)is->ip.v[IPO_V6_TCLASS]);
		nl_attr_u8(q->out, INET_DIAG_SKV6ONLY, inet_v6only(is));
	}
	if (asked(r, INET_DIAG_SKMEMINFO))
		diag_skmeminfo(q, &is->sk, INET_DIAG_SKMEMINFO);
	if (tcp && asked(r, INET_DIAG_CONG))
		nl_attr(q->out, INET_DIAG_CONG, t->congestion, (u32)strlen(t->congestion) + 1);
	if (tcp && asked(r, INET_DIAG_INFO)) {
		struct tcp_info info;

		tcp_info_fill(t, &info, sizeof(info));
		nl_attr(q->out, INET_DIAG_INFO, &info, sizeof(info));
	}
	nl_end(q->out, at);
}

static void one_tw(struct diag_request *q, const struct inet_tw *tw, s64 now)
{
	u32 at;
	struct inet_diag_msg *m =
		begin(q, &at, tw->family, TCPS_TIME_WAIT, &tw->local, &tw->remote);

	m->idiag_timer = 3;
	m->idiag_expires = (u32)((tw->expires - now) / (NSEC_PER_SEC / 1000));
	nl_end(q->out, at);
}

/* Does the one that was asked for by its addresses match? */
static bool matches(const struct inet_diag_req_v2 *r, const struct inet_sock *is)
{
	u32 src[4], dst[4];

	put_ip(src, is->sk.family, &is->local.ip);
	put_ip(dst, is->sk.family, &is->remote.ip);
	return r->id.idiag_sport == htons(is->local.port) &&
	       r->id.idiag_dport == htons(is->remote.port) &&
	       memcmp(r->id.idiag_src, src, sizeof(src)) == 0 &&
	       memcmp(r->id.idiag_dst, dst, sizeof(dst)) == 0;
}

int inet_diag(struct diag_request *q)
{
	struct inet_ns *ns = q->nl->sk.ns->inet;
	struct inet_diag_req_v2 r;
	enum inet_proto proto;
	struct inet_sock *is;
	struct inet_tw *tw;
	bool found = false;
	s64 now;

	if (q->h->nlmsg_len < NLMSG_LENGTH(sizeof(r)))
		return -EINVAL;
	memcpy(&r, NLMSG_DATA((struct nlmsghdr *)(uintptr_t)q->h), sizeof(r));
	if (r.sdiag_protocol == IPPROTO_TCP)
		proto = INET_TCP;
	else if (r.sdiag_protocol == IPPROTO_UDP)
		proto = INET_UDP;
	else
		return -ENOENT;
	now = inet_now(ns);
	GUARD_READ(&ns->lock);
	for (u32 i = 0; i < 2 * PORT_HASH; i++) {
		struct port_bucket *b = &ns->table[proto][i % PORT_HASH];

		for (is = i < PORT_HASH ? LIST_FIRST(&b->listeners) : LIST_FIRST(&b->socks); is;
		     is = LIST_NEXT(is, link)) {
			u8 state = state_of(is);

			if (is->sk.family != r.sdiag_family)
				continue;
			if (q->dump ? !(r.idiag_states & 1u << state) ||
			                      (proto == INET_TCP && state == TCPS_CLOSE)
			            : found || !matches(&r, is))
				continue;
			one(q, &r, is);
			found = true;
		}
	}
	if (!q->dump)
		return found ? 0 : -ENOENT;
	if (proto != INET_TCP || !(r.idiag_states & 1u << TCPS_TIME_WAIT))
		return 0;
	TAILQ_FOREACH (tw, &ns->tws, order) {
		if (tw->family == r.sdiag_family && tw->expires > now)
			one_tw(q, tw, now);
	}
	return 0;
}
