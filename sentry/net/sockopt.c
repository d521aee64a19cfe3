/* SOL_SOCKET options (socket(7)), and how option values travel. */
#include "sentry/net/socket.h"

#include "sentry/auth/creds.h"
#include "state/base/cleanup.h"

#include <limits.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/time.h>

/* Those with 64-bit times; the same layout as the old ones on 64-bit machines. */
#ifndef SO_TIMESTAMP_NEW
#define SO_TIMESTAMP_NEW   63
#define SO_TIMESTAMPNS_NEW 64
#define SO_RCVTIMEO_NEW    66
#define SO_SNDTIMEO_NEW    67
#endif

int sockopt_put(struct ctx *c, uaddr_t val, uaddr_t ulen, const void *p, u32 size)
{
	u32 len;
	int r = user_get_u32(c, ulen, &len);

	if (r < 0)
		return r;
	if ((s32)len < 0)
		return -EINVAL;
	len = MIN(len, size);
	r = user_copy_out(c, val, p, len);
	return r < 0 ? r : user_put_u32(c, ulen, len);
}

int sockopt_put_int(struct ctx *c, uaddr_t val, uaddr_t ulen, s32 v)
{
	return sockopt_put(c, val, ulen, &v, sizeof(v));
}

int sockopt_get_int(struct ctx *c, uaddr_t val, u32 len, s32 *ret)
{
	if (len < sizeof(*ret))
		return -EINVAL;
	return user_copy_in(c, ret, val, sizeof(*ret));
}

/* ---- set ---- */

static int set_timeout(struct ctx *c, uaddr_t val, u32 len, s64 *ret)
{
	struct timeval tv;

	if (len < sizeof(tv))
		return -EINVAL;
	if (user_get(c, val, &tv) < 0)
		return -EFAULT;
	if (tv.tv_usec < 0 || tv.tv_usec >= 1000000)
		return -EDOM;
	if (tv.tv_sec < 0)
		*ret = 0; /* as Linux: no waiting at all */
	else if ((tv.tv_sec == 0 && tv.tv_usec == 0) || tv.tv_sec > INT64_MAX / NSEC_PER_SEC / 2)
		*ret = SOCK_NO_TIMEOUT;
	else
		*ret = tv.tv_sec * NSEC_PER_SEC + tv.tv_usec * 1000;
	return 0;
}

static int set_device(struct sock *sk, struct ctx *c, uaddr_t val, u32 len)
{
	char name[16] = "";
	s32 idx = 0;

	if (user_copy_in(c, name, val, MIN(len, (u32)sizeof(name) - 1)) < 0)
		return -EFAULT;
	if (name[0]) {
		if (strcmp(name, "lo") != 0)
			return -ENODEV;
		idx = 1;
	}
	if (sk->opts.bound_if && !creds_capable(c->creds, CAP_NET_RAW))
		return -EPERM;
	GUARD(&sk->lock);
	sk->opts.bound_if = idx;
	return 0;
}

static s32 buffer_size(s32 v, s32 least, bool force)
{
	u32 n = (u32)v;

	if (!force)
		n = MIN(n, (u32)SOCK_MEM_MAX);
	else if (v < 0)
		n = 0;
	n = MIN(n, (u32)INT_MAX / 2);
	/* What a guest can make the sentry hold stays bounded, whatever its capabilities. */
	n = MIN(n, (u32)(16 * MIB));
	return (s32)MAX(n * 2, (u32)least);
}

static int set_timestamp(struct sock *sk, bool on, u8 how)
{
	sk->opts.timestamp = on ? how : 0;
	return 0;
}

static int set_flag(bool *flag, s32 v)
{
	*flag = v != 0;
	return 0;
}

static int set_int(struct sock *sk, struct ctx *c, int name, s32 v)
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
		o->sndbuf = buffer_size(v, SOCK_MIN_SNDBUF, name == SO_SNDBUFFORCE);
		o->sndbuf_set = true;
		return 0;
	case SO_RCVBUFFORCE:
		if (!admin)
			return -EPERM;
		FALLTHROUGH;
	case SO_RCVBUF:
		o->rcvbuf = buffer_size(v, SOCK_MIN_RCVBUF, name == SO_RCVBUFFORCE);
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
		return set_timestamp(sk, v != 0, 1);
	case SO_TIMESTAMPNS:
	case SO_TIMESTAMPNS_NEW:
		return set_timestamp(sk, v != 0, 2);
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
	case SO_INCOMING_CPU:
	case SO_BUSY_POLL:
		return 0;
	case SO_DETACH_FILTER:
		return -ENOENT; /* none can be attached */
	case SO_BINDTOIFINDEX:
		if (v < 0 || v > 1)
			return -ENODEV;
		o->bound_if = v;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

int sock_set_common(struct sock *sk, struct ctx *c, int name, uaddr_t val, u32 len)
{
	struct linger linger;
	s64 timeo = 0;
	s32 v;
	int r;

	if (name == SO_BINDTODEVICE)
		return (s32)len < 0 ? -EINVAL : set_device(sk, c, val, len);
	r = sockopt_get_int(c, val, len, &v);
	if (r < 0)
		return r;
	switch (name) {
	case SO_LINGER:
		if (len < sizeof(linger))
			return -EINVAL;
		if (user_get(c, val, &linger) < 0)
			return -EFAULT;
		break;
	case SO_RCVTIMEO:
	case SO_RCVTIMEO_NEW:
	case SO_SNDTIMEO:
	case SO_SNDTIMEO_NEW:
		r = set_timeout(c, val, len, &timeo);
		if (r < 0)
			return r;
		break;
	default:
		break;
	}
	mutex_lock(&sk->lock);
	switch (name) {
	case SO_LINGER:
		sk->opts.linger = linger.l_onoff != 0;
		if (linger.l_onoff)
			sk->opts.linger_s = (u32)linger.l_linger;
		break;
	case SO_RCVTIMEO:
	case SO_RCVTIMEO_NEW:
		sk->opts.rcvtimeo = timeo;
		break;
	case SO_SNDTIMEO:
	case SO_SNDTIMEO_NEW:
		sk->opts.sndtimeo = timeo;
		break;
	default:
		r = set_int(sk, c, name, v);
		break;
	}
	mutex_unlock(&sk->lock);
	if (r == 0 && sock_ops_of(sk)->option_changed)
		sock_ops_of(sk)->option_changed(sk, name);
	return r;
}

int sock_setsockopt(struct sock *sk, struct ctx *c, int level, int name, uaddr_t val, u32 len)
{
	const struct sock_ops *ops = sock_ops_of(sk);
	int r = -SOCK_OPT_GENERIC;

	if ((s32)len < 0)
		return -EINVAL;
	if (ops->setsockopt)
		r = ops->setsockopt(sk, c, level, name, val, len);
	if (r != -SOCK_OPT_GENERIC)
		return r;
	return level == SOL_SOCKET ? sock_set_common(sk, c, name, val, len) : -EOPNOTSUPP;
}

/* ---- get ---- */

static struct timeval timeout_value(s64 ns)
{
	if (ns == SOCK_NO_TIMEOUT)
		return (struct timeval){0};
	return (struct timeval){ns / NSEC_PER_SEC, ns % NSEC_PER_SEC / 1000};
}

static int get_int(struct sock *sk, int name, s32 *ret)
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
		*ret = o->timestamp == 1;
		break;
	case SO_TIMESTAMPNS:
	case SO_TIMESTAMPNS_NEW:
		*ret = o->timestamp == 2;
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
	case SO_INCOMING_CPU:
	case SO_BUSY_POLL:
		*ret = 0;
		break;
	default:
		return -ENOPROTOOPT;
	}
	return 0;
}

int sock_get_common(struct sock *sk, struct ctx *c, int name, uaddr_t val, uaddr_t len)
{
	struct linger linger;
	struct timeval tv;
	u64 cookie;
	s32 v;
	int r;

	switch (name) {
	case SO_LINGER:
		linger = (struct linger){sk->opts.linger, (int)sk->opts.linger_s};
		return sockopt_put(c, val, len, &linger, sizeof(linger));
	case SO_RCVTIMEO:
	case SO_RCVTIMEO_NEW:
		tv = timeout_value(sk->opts.rcvtimeo);
		return sockopt_put(c, val, len, &tv, sizeof(tv));
	case SO_SNDTIMEO:
	case SO_SNDTIMEO_NEW:
		tv = timeout_value(sk->opts.sndtimeo);
		return sockopt_put(c, val, len, &tv, sizeof(tv));
	case SO_BINDTODEVICE:
		return sk->opts.bound_if ? sockopt_put(c, val, len, "lo", 3)
		                         : sockopt_put(c, val, len, "", 0);
	case SO_COOKIE:
		cookie = sk->ino;
		return sockopt_put(c, val, len, &cookie, sizeof(cookie));
	default:
		break;
	}
	/* SO_ERROR is taken only if there is somewhere to put it. */
	r = user_get_u32(c, len, (u32 *)&v);
	if (r == 0 && v < 0)
		r = -EINVAL;
	if (r == 0)
		r = get_int(sk, name, &v);
	return r < 0 ? r : sockopt_put_int(c, val, len, v);
}

int sock_getsockopt(struct sock *sk, struct ctx *c, int level, int name, uaddr_t val, uaddr_t len)
{
	const struct sock_ops *ops = sock_ops_of(sk);
	int r = -SOCK_OPT_GENERIC;

	if (ops->getsockopt)
		r = ops->getsockopt(sk, c, level, name, val, len);
	if (r != -SOCK_OPT_GENERIC)
		return r;
	return level == SOL_SOCKET ? sock_get_common(sk, c, name, val, len) : -EOPNOTSUPP;
}
