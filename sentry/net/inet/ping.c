/* ICMP echo sockets (icmp(7)): what is sent to an address of this machine comes back as its reply.
 */
#include "sentry/net/inet/wire.h"

#include "sentry/auth/creds.h"
#include "sentry/kernel/kernel.h"
#include "state/base/bug.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <stdlib.h>
#include <string.h>

/* The caller's groups, against ping_group_range. */
int ping_may_create(struct ctx *c)
{
	const struct inet_ns *ns = c->kernel->netns->inet;
	const struct creds *cr = c->creds;

	if (cr->fsgid >= ns->ping_lo && cr->fsgid <= ns->ping_hi)
		return 0;
	for (u32 i = 0; i < cr->n_groups; i++) {
		if (cr->groups[i] >= ns->ping_lo && cr->groups[i] <= ns->ping_hi)
			return 0;
	}
	return -EACCES;
}

/* To the echo socket whose identifier it carries. */
static void to_ping(struct inet_ns *ns, struct packet *p)
{
	struct inet_sock *is;
	u16 id;

	memcpy(&id, p->data + 4, sizeof(id));
	p->dst.port = ntohs(id);
	rwlock_rdlock(&ns->lock);
	is = obj_get(
		port_receiver_locked(ns, INET_PING, &(struct inet_addr){.ip = p->src.ip}, &p->dst));
	rwlock_unlock(&ns->lock);
	if (!is) {
		free(p);
		return;
	}
	p->src.port = 0;
	udp_enqueue((struct udp_sock *)is, p);
	obj_put(is);
}

static u32 sum_of(const struct packet *p, bool v6)
{
	u32 sum = v6 ? wire_pseudo(&p->src.ip, &p->dst.ip, IPPROTO_ICMPV6, p->len) : 0;

	return wire_sum(p->data, p->len, sum);
}

void icmp_input(struct inet_ns *ns, struct packet *p)
{
	bool v6 = !ip_is_v4(&p->dst.ip);
	u8 proto = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	struct inet_addr was = p->src;
	u16 check;

	inet_count(ns, INET_LO_PACKETS, 1);
	inet_count(ns, INET_LO_BYTES, p->len + (v6 ? 40 : 20));
	raw_tap(ns, p, proto);
	if (p->len < 8 || wire_sum_end(sum_of(p, v6)) != 0) {
		free(p);
	} else if (p->data[0] == (v6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY)) {
		to_ping(ns, p);
	} else if (p->data[0] != (v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO) ||
	           !fib_is_local(ns, &p->dst.ip)) {
		free(p); /* broadcasts and groups are not answered */
	} else if (net_setting_get(ns, v6 ? NET_ICMP6_ECHO_IGNORE_ALL : NET_ICMP_ECHO_IGNORE_ALL)) {
		free(p);
	} else {
		inet_count(ns, INET_ICMP_ECHO, 1);
		p->src = p->dst;
		p->dst = was;
		p->data[0] = v6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY;
		p->data[2] = p->data[3] = 0;
		check = wire_sum_end(sum_of(p, v6));
		memcpy(p->data + 2, &check, sizeof(check));
		icmp_input(ns, p);
	}
}

static int destination(struct udp_sock *u, const struct sockmsg *m, struct inet_addr *dst)
{
	struct inet_sock *is = &u->inet;
	bool v6 = is->sk.family == AF_INET6;
	int r;

	if (m->name_len == 0) {
		GUARD_READ(&inet_ns_of(&is->sk)->lock);
		*dst = is->remote;
		return u->connected ? 0 : -EDESTADDRREQ;
	}
	r = inet_addr_parse(is->sk.family, &m->name, m->name_len, dst);
	if (r < 0)
		return r;
	if (v6 && ip_is_v4(&dst->ip))
		return -EINVAL;
	return inet_destination(is, dst);
}

long ping_sendmsg(struct sock *sk, struct ctx *c, struct sockmsg *m)
{
	struct udp_sock *u = udp_sk(sk);
	bool v6 = sk->family == AF_INET6;
	u64 len = uiter_count(m->it);
	struct send_how how = {.ttl = 64};
	struct packet *p;
	u16 id;
	long r;

	if (len > 0xffff)
		return -EMSGSIZE;
	if (m->flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (len < 8)
		return -EINVAL;
	r = destination(u, m, &how.dst);
	if (r == 0)
		r = udp_control(u, c, m, &how);
	if (r == 0 && fib_is_broadcast(inet_ns_of(sk), &how.dst.ip) && !sk->opts.broadcast)
		r = -EACCES;
	if (r == 0)
		r = udp_autobind(u);
	if (r == 0)
		r = sock_take_error(sk);
	if (r < 0)
		return r;
	p = packet_new((u32)len);
	if (uiter_copy_in(m->it, p->data, len) != (long)len) {
		free(p);
		return -EFAULT;
	}
	if (p->data[0] != (v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO) || p->data[1] != 0) {
		free(p);
		return -EINVAL;
	}
	p->stamp = sock_now(c);
	p->ttl = how.ttl;
	p->tos = how.tos;
	p->dst = how.dst;
	{
		GUARD_READ(&inet_ns_of(sk)->lock);
		p->src = u->inet.local;
	}
	if (ip_is_any(&p->src.ip))
		p->src.ip = how.has_src ? how.src.ip : fib_source_for(inet_ns_of(sk), &p->dst.ip);
	id = htons(p->src.port);
	memcpy(p->data + 4, &id, sizeof(id));
	p->data[2] = p->data[3] = 0;
	id = wire_sum_end(sum_of(p, v6));
	memcpy(p->data + 2, &id, sizeof(id));
	if (fib_lost(inet_ns_of(sk), &p->dst.ip))
		free(p);
	else
		icmp_input(inet_ns_of(sk), p);
	return (long)len;
}
