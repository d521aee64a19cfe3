/* SOL_SOCKET options that are a number (socket(7)). */
#include "sentry/auth/creds.h"
#include "sentry/net/filter.h"
#include "sentry/net/inet/ports.h"
#include "sentry/net/sockopts.h"

#include <limits.h>
#include <linux/capability.h>

static s32 buffer_size(s32 v, s32 least, s32 most, bool force)
{
	u32 n = (u32)v;

	if (!force)
		n = MIN(n, (u32)most);
	else if (v < 0)
		n = 0;
	n = MIN(n, (u32)INT_MAX / 2);
	/* What a guest can make the sentry hold stays bounded, whatever its capabilities. */
	n = MIN(n, (u32)(16 * MIB));
	return (s32)MAX(n * 2, (u32)least);
}

/* One of the four asks, whichever was last; off is off for all. */
static int set_timestamp(struct sock *sk, int name, s32 on)
{
	sk->opts.timestamp = on ? (u8)name : 0;
	return 0;
}

static int set_flag(bool *flag, s32 v)
{
	*flag = v != 0;
	return 0;
}

/* Of the network card, mostly: kept, within Linux's bounds. */
static int set_rare(struct sock *sk, int name, s32 v, bool admin)
{
	struct sock_opts *o = &sk->opts;

	switch (name) {
	case SO_INCOMING_CPU:
		o->incoming_cpu = v;
		return 0;
	case SO_BUSY_POLL:
		if (v > o->busy_poll && !admin)
			return -EPERM;
		if (v < 0)
			return -EINVAL;
		o->busy_poll = v;
		return 0;
	case SO_PREFER_BUSY_POLL:
		if (v && !admin)
			return -EPERM;
		return set_flag(&o->prefer_busy, v);
	case SO_BUSY_POLL_BUDGET:
		if (v > o->busy_budget && !admin)
			return -EPERM;
		if (v < 0 || v > UINT16_MAX)
			return -EINVAL;
		o->busy_budget = v;
		return 0;
	case SO_WIFI_STATUS:
		return set_flag(&o->wifi_status, v);
	case SO_NOFCS:
		return set_flag(&o->nofcs, v);
	case SO_RCVMARK:
		return set_flag(&o->rcvmark, v);
	case SO_BSDCOMPAT: /* nothing, since long */
		return 0;
	case SO_CNX_ADVICE: /* to look for another route; there is one */
		return 0;
	case SO_BUF_LOCK:
		if (v & ~(SOCK_BUF_LOCK_SND | SOCK_BUF_LOCK_RCV))
			return -EINVAL;
		o->sndbuf_set = v & SOCK_BUF_LOCK_SND;
		o->rcvbuf_set = (v & SOCK_BUF_LOCK_RCV) != 0;
		return 0;
	case SO_RESERVE_MEM: /* without accounting by cgroup */
		return v < 0 ? -EINVAL : -EOPNOTSUPP;
	case SO_TXREHASH:
		if (sk->type != SOCK_STREAM || sk->family == AF_UNIX)
			return -EOPNOTSUPP;
		if (v < -1 || v > 1)
			return -EINVAL;
		/* -1: what net.core.txrehash says. */
		o->txrehash = v == -1 ? 1 : v;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

int sock_set_int(struct sock *sk, struct ctx *c, int name, s32 v)
{
	struct sock_opts *o = &sk->opts;
	bool admin = creds_capable(c->creds, CAP_NET_ADMIN);

	switch (name) {
	case SO_DEBUG:
		if (v && !admin)
			return -EACCES;
		return set_flag(&o->debug, v);
	case SO_REUSEADDR:
		return set_flag(&o->reuseaddr, v);
	case SO_REUSEPORT:
		if (v && sk->family != AF_INET && sk->family != AF_INET6)
			return -EOPNOTSUPP;
		return set_flag(&o->reuseport, v);
	case SO_TYPE:
	case SO_PROTOCOL:
	case SO_DOMAIN:
	case SO_ERROR:
	case SO_ACCEPTCONN:
		return -ENOPROTOOPT;
	case SO_DONTROUTE:
		return set_flag(&o->dontroute, v);
	case SO_BROADCAST:
		return set_flag(&o->broadcast, v);
	case SO_SNDBUFFORCE:
		if (!admin)
			return -EPERM;
		FALLTHROUGH;
	case SO_SNDBUF:
		o->sndbuf =
			buffer_size(v, SOCK_MIN_SNDBUF, net_setting_get(sk->ns->inet, NET_WMEM_MAX),
		                    name == SO_SNDBUFFORCE);
		o->sndbuf_set = true;
		return 0;
	case SO_RCVBUFFORCE:
		if (!admin)
			return -EPERM;
		FALLTHROUGH;
	case SO_RCVBUF:
		o->rcvbuf =
			buffer_size(v, SOCK_MIN_RCVBUF, net_setting_get(sk->ns->inet, NET_RMEM_MAX),
		                    name == SO_RCVBUFFORCE);
		o->rcvbuf_set = true;
		return 0;
	case SO_KEEPALIVE:
		return set_flag(&o->keepalive, v);
	case SO_OOBINLINE:
		return set_flag(&o->oobinline, v);
	case SO_NO_CHECK:
		return set_flag(&o->no_check, v);
	case SO_PRIORITY:
		if ((v < 0 || v > 6) && !admin && !creds_capable(c->creds, CAP_NET_RAW))
			return -EPERM;
		o->priority = (u32)v;
		return 0;
	case SO_MARK:
		if (!admin && !creds_capable(c->creds, CAP_NET_RAW))
			return -EPERM;
		o->mark = (u32)v;
		return 0;
	case SO_PASSCRED:
		return set_flag(&o->passcred, v);
	case SO_PASSSEC:
		return set_flag(&o->passsec, v);
	case SO_TIMESTAMP:
	case SO_TIMESTAMP_NEW:
	case SO_TIMESTAMPNS:
	case SO_TIMESTAMPNS_NEW:
		return set_timestamp(sk, name, v);
	case SO_RCVLOWAT:
		if (v < 0)
			v = INT_MAX;
		o->rcvlowat = v ? v : 1;
		return 0;
	case SO_RXQ_OVFL:
		return set_flag(&o->rxq_ovfl, v);
	case SO_SELECT_ERR_QUEUE:
		return set_flag(&o->select_err_queue, v);
	case SO_PEEK_OFF:
		o->peek_off = v < 0 ? -1 : v;
		return 0;
	case SO_BINDTOIFINDEX:
		if (v < 0)
			return -EINVAL;
		if (o->bound_if && !creds_capable(c->creds, CAP_NET_RAW))
			return -EPERM;
		o->bound_if = v;
		return 0;
	default:
		return set_rare(sk, name, v, admin);
	}
}

static int get_rare(struct sock *sk, int name, s32 *ret)
{
	const struct sock_opts *o = &sk->opts;

	switch (name) {
	case SO_INCOMING_CPU:
		*ret = o->incoming_cpu;
		break;
	case SO_BSDCOMPAT:
	case SO_INCOMING_NAPI_ID:
	case SO_RESERVE_MEM:
		*ret = 0;
		break;
	case SO_BUSY_POLL:
		*ret = o->busy_poll;
		break;
	case SO_PREFER_BUSY_POLL:
		*ret = o->prefer_busy;
		break;
	case SO_WIFI_STATUS:
		*ret = o->wifi_status;
		break;
	case SO_NOFCS:
		*ret = o->nofcs;
		break;
	case SO_RCVMARK:
		*ret = o->rcvmark;
		break;
	case SO_LOCK_FILTER:
		*ret = o->lock_filter;
		break;
	case SO_BPF_EXTENSIONS:
		*ret = SKF_AD_MAX;
		break;
	case SO_BUF_LOCK:
		*ret = (o->sndbuf_set ? SOCK_BUF_LOCK_SND : 0) |
		       (o->rcvbuf_set ? SOCK_BUF_LOCK_RCV : 0);
		break;
	case SO_TXREHASH:
		if (sk->type != SOCK_STREAM || sk->family == AF_UNIX)
			return -EOPNOTSUPP;
		*ret = o->txrehash;
		break;
	default:
		return -ENOPROTOOPT;
	}
	return 0;
}

int sock_get_int(struct sock *sk, int name, s32 *ret)
{
	const struct sock_opts *o = &sk->opts;

	switch (name) {
	case SO_DEBUG:
		*ret = o->debug;
		break;
	case SO_REUSEADDR:
		*ret = o->reuseaddr;
		break;
	case SO_REUSEPORT:
		*ret = o->reuseport;
		break;
	case SO_TYPE:
		*ret = sk->type;
		break;
	case SO_PROTOCOL:
		*ret = sk->protocol;
		break;
	case SO_DOMAIN:
		*ret = sk->family;
		break;
	case SO_ERROR:
		*ret = -sock_take_error(sk);
		break;
	case SO_ACCEPTCONN:
		*ret = 0;
		break;
	case SO_DONTROUTE:
		*ret = o->dontroute;
		break;
	case SO_BROADCAST:
		*ret = o->broadcast;
		break;
	case SO_SNDBUF:
		*ret = o->sndbuf;
		break;
	case SO_RCVBUF:
		*ret = o->rcvbuf;
		break;
	case SO_KEEPALIVE:
		*ret = o->keepalive;
		break;
	case SO_OOBINLINE:
		*ret = o->oobinline;
		break;
	case SO_NO_CHECK:
		*ret = o->no_check;
		break;
	case SO_PRIORITY:
		*ret = (s32)o->priority;
		break;
	case SO_MARK:
		*ret = (s32)o->mark;
		break;
	case SO_PASSCRED:
		*ret = o->passcred;
		break;
	case SO_PASSSEC:
		*ret = o->passsec;
		break;
	case SO_TIMESTAMP:
	case SO_TIMESTAMP_NEW:
	case SO_TIMESTAMPNS:
	case SO_TIMESTAMPNS_NEW:
		*ret = o->timestamp == name;
		break;
	case SO_RCVLOWAT:
		*ret = o->rcvlowat;
		break;
	case SO_SNDLOWAT:
		*ret = 1;
		break;
	case SO_RXQ_OVFL:
		*ret = o->rxq_ovfl;
		break;
	case SO_SELECT_ERR_QUEUE:
		*ret = o->select_err_queue;
		break;
	case SO_PEEK_OFF:
		*ret = o->peek_off;
		break;
	case SO_BINDTOIFINDEX:
		*ret = o->bound_if;
		break;
	default:
		return get_rare(sk, name, ret);
	}
	return 0;
}
