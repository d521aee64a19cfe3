/* What all Internet sockets do alike: bind, names, destinations, loading. */
#include "sentry/net/inet/inet.h"

#include "sentry/auth/creds.h"
#include "sentry/net/inet/ports.h"
#include "sentry/net/inet/reuse.h"
#include "sentry/net/inet/state.h"

#include <errno.h>
#include <linux/capability.h>

enum inet_proto inet_proto_of(const struct sock *sk)
{
	if (sk->type == SOCK_RAW)
		return INET_RAW;
	switch (sk->protocol) {
	case IPPROTO_TCP:
		return INET_TCP;
	case IPPROTO_UDP:
		return INET_UDP;
	default:
		return INET_PING;
	}
}

struct inet_ns *inet_ns_of(const struct sock *sk)
{
	return sk->ns ? sk->ns->inet : NULL;
}

void inet_setup(struct inet_sock *is, struct ctx *c, u16 family, u16 type, u16 protocol)
{
	sock_setup(&is->sk, c, family, type, protocol);
	inet_opts_init(&is->ip, family == AF_INET6);
	is->ip.v[IPO_V6_V6ONLY] =
		family == AF_INET6 && net_setting_get(is->sk.ns->inet, NET_BINDV6ONLY);
	is->local.ip = is->remote.ip = family == AF_INET ? ip_any4 : ip_any6;
}

void inet_inherit(struct inet_sock *is, const struct inet_sock *listener)
{
	sock_inherit(&is->sk, &listener->sk);
	inet_opts_copy(&is->ip, &listener->ip);
}

int inet_bind(struct sock *sk, struct ctx *c, const struct sockaddr_storage *a, u32 len)
{
	struct inet_sock *is = inet_sk(sk);
	struct inet_ns *ns = inet_ns_of(sk);
	bool stream = sk->type == SOCK_STREAM;
	struct inet_addr to;
	int r = inet_addr_parse(sk->family, a, len, &to);

	if (r < 0)
		return r;
	if (sk->family == AF_INET6 && ip_is_v4(&to.ip) && inet_v6only(is))
		return -EINVAL;
	if (ip_is_multicast(&to.ip) || fib_is_broadcast(ns, &to.ip)) {
		/* What is no address of a machine may receive all the same. */
		if (stream && !ip_is_v4(&to.ip))
			return -EINVAL;
	} else if (ip_is_linklocal(&to.ip) && !to.scope && !sk->opts.bound_if) {
		return -EINVAL;
	} else if (!ip_is_any(&to.ip) && !fib_is_local(ns, &to.ip) && !is->ip.v[IPO_FREEBIND] &&
	           !is->ip.v[IPO_V6_FREEBIND] && !is->ip.v[IPO_TRANSPARENT] &&
	           !is->ip.v[IPO_V6_TRANSPARENT] &&
	           !net_setting_get(ns, sk->family == AF_INET6 ? NET_IP6_NONLOCAL_BIND
	                                                       : NET_IP_NONLOCAL_BIND)) {
		return -EADDRNOTAVAIL;
	}
	if (to.port && to.port < ns->unprivileged_port && inet_proto_of(sk) != INET_PING &&
	    sk->type != SOCK_RAW && !creds_capable(c->creds, CAP_NET_BIND_SERVICE))
		return -EACCES;
	GUARD_WRITE(&ns->lock);
	if (sk->type == SOCK_RAW) {
		/* The port is the protocol, from the beginning. */
		is->local.ip = to.ip;
		is->local.scope = to.scope;
		is->bound_ip = !ip_is_any(&to.ip);
		return 0;
	}
	if (is->local.port || is->listening || (stream && is->remote.port))
		return -EINVAL;
	if (!to.port && is->ip.v[IPO_BIND_NO_PORT] && !ip_is_any(&to.ip)) {
		is->local.ip = to.ip;
		is->bound_ip = true;
		return 0;
	}
	r = port_bind_locked(ns, is, &to.ip, to.port);
	if (r < 0)
		return r;
	is->local.scope = to.scope;
	is->bound_ip = !ip_is_any(&to.ip) || (sk->family == AF_INET6 && ip_is_v4(&to.ip));
	is->bound_port = to.port != 0;
	/* Bound to link scope is bound to the link (ipv6(7)). */
	if (ip_is_linklocal(&to.ip))
		sk->opts.bound_if = (s32)to.scope;
	return 0;
}

int inet_getname(struct inet_sock *is, bool peer, bool connected, struct sockaddr_storage *ret,
                 u32 *ret_len)
{
	struct inet_ns *ns = inet_ns_of(&is->sk);
	const struct inet_addr *a = peer ? &is->remote : &is->local;

	GUARD_READ(&ns->lock);
	if (peer && (!is->remote.port || !connected))
		return -ENOTCONN;
	*ret_len = inet_addr_format(is->sk.family, &a->ip,
	                            a->port || peer ? a->port : is->past_port, a->scope, ret);
	return 0;
}

/* bind(2) chose where packets of IPv4 come from. */
static bool has_source4(const struct inet_sock *is)
{
	return is->bound_ip && ip_is_v4(&is->local.ip) && !ip_is_any(&is->local.ip) &&
	       !ip_is_multicast(&is->local.ip);
}

/* Where no route leads, an IPv4 packet goes out where its source address is. */
static bool by_source(const struct inet_sock *is, const struct inet_addr *dst)
{
	return ip_is_v4(&dst->ip) && has_source4(is);
}

int inet_destination(const struct inet_sock *is, struct inet_addr *dst)
{
	bool own_v4 = ip_is_v4(&is->local.ip) && is->sk.family == AF_INET6;
	struct inet_ns *ns = inet_ns_of(&is->sk);
	struct fib_result res;
	int r;

	/* To nobody is to oneself. */
	if (ip_is_any(&dst->ip) && !ip_is_v4(&dst->ip) && !own_v4)
		dst->ip = ip_loop6;
	else if (ip_is_any(&dst->ip))
		dst->ip = has_source4(is) ? is->local.ip : ip_loop4;
	if (is->sk.family == AF_INET6 && ip_is_v4(&dst->ip)) {
		if (inet_v6only(is))
			return -ENETUNREACH;
		if (is->bound_ip && !ip_is_any(&is->local.ip) && !ip_is_v4(&is->local.ip))
			return -ENETUNREACH;
	}
	if (own_v4 && !ip_is_v4(&dst->ip))
		return -EAFNOSUPPORT;
	if (ip_is_linklocal(&dst->ip) && !dst->scope && !is->sk.opts.bound_if)
		return -EINVAL;
	/* An address that it no longer has sends nothing. */
	if (by_source(is, dst) && !is->ip.v[IPO_TRANSPARENT] && !fib_is_local(ns, &is->local.ip) &&
	    !fib_is_broadcast(ns, &is->local.ip))
		return -EINVAL;
	r = fib_lookup(ns, &dst->ip, &res);
	if (r == 0)
		return 0;
	/* No route leads there; a chosen interface may. */
	if (is->sk.opts.bound_if && (ip_is_v4(&dst->ip) || ip_is_multicast(&dst->ip)))
		return 0;
	if (ip_is_multicast(&dst->ip) &&
	    (by_source(is, dst) ||
	     (ip_is_v4(&dst->ip) ? is->ip.mc_if != 0
	                         : is->ip.mc_if6 != 0 || dst->scope == LO_INDEX)))
		return 0;
	if (ip_is_v4(&dst->ip) && ip_v4(&dst->ip) == 0xffffffff && by_source(is, dst))
		return 0;
	return r;
}

int inet_check_loaded(struct loader *l, struct inet_sock *is)
{
	struct inet_ns *ns;

	if ((is->sk.family != AF_INET && is->sk.family != AF_INET6) || !is->sk.ns->inet)
		return loader_error(l, "an Internet socket of family %u", is->sk.family);
	ns = inet_ns_of(&is->sk);
	for (u32 i = 0; i < is->ip.n_members; i++)
		mc_groups_join(ns, &is->ip.members[i].group);
	if (is->hashed) {
		if (!is->local.port)
			return loader_error(l, "a bound socket without a port");
		is->hashed = false;
		port_add_locked(ns, is);
	}
	return 0;
}

static void inet_sock_destroy(void *p)
{
	struct inet_sock *is = p;

	struct inet_ns *ns = inet_ns_of(&is->sk);

	if (is->linked || is->reuse_linked) {
		GUARD_WRITE(&ns->lock);
		port_remove_locked(ns, is);
		reuse_leave_locked(is);
	}
	reuse_group_put(TAKE(is->reuse));
	for (u32 i = 0; ns && i < is->ip.n_members; i++)
		mc_groups_leave(ns, &is->ip.members[i].group);
	inet_opts_finish(&is->ip);
}

#define INET_SOCK_FIELDS(F)                             \
	F(BASE, sk, sock)                               \
	F(SUB, local, inet_addr)                        \
	F(SUB, remote, inet_addr)                       \
	F(VAL, past_port)                               \
	F(VAL, bound_ip)                                \
	F(VAL, bound_port)                              \
	F(VAL, listening)                               \
	F(VAL, hashed)                                  \
	F(SKIP, linked)                                 \
	F(SKIP, link) /* after_load enters the table */ \
	F(REF, reuse, reuse_group)                      \
	F(SKIP, reuse_link)                             \
	F(SKIP, reuse_linked) /* the group knows */     \
	F(SUB, ip, inet_opts)
OBJECT_TYPE(inet_sock, Sentry__InetSock, sentry__inet_sock__descriptor, INET_SOCK_FIELDS,
            .base = &sock_type, .abstract = true, .destroy = inet_sock_destroy);
