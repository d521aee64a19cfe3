/* SOL_SOCKET options that are no number (socket(7)), and how option values travel. */
#include "sentry/auth/creds.h"
#include "sentry/net/filter.h"
#include "sentry/net/sockopts.h"
#include "state/base/cleanup.h"

#include <linux/capability.h>
#include <linux/net_tstamp.h>
#include <string.h>
#include <sys/time.h>

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

static int set_linger(struct sock *sk, struct ctx *c, uaddr_t val, u32 len)
{
	struct linger linger;

	if (len < sizeof(linger))
		return -EINVAL;
	if (user_get(c, val, &linger) < 0)
		return -EFAULT;
	GUARD(&sk->lock);
	sk->opts.linger = linger.l_onoff != 0;
	if (linger.l_onoff)
		sk->opts.linger_s = (u32)linger.l_linger;
	return 0;
}

/* Rates may be given in 32 bits, where all ones are no limit as well. */
static int set_pacing(struct sock *sk, struct ctx *c, uaddr_t val, u32 len, s32 v)
{
	u64 rate = v == -1 ? UINT64_MAX : (u32)v;
	int r = len == sizeof(rate) ? user_get(c, val, &rate) : 0;

	if (r < 0)
		return r;
	GUARD(&sk->lock);
	sk->opts.pacing = rate;
	return 0;
}

/* When to send: nothing here is sent later than now. */
static int set_txtime(struct sock *sk, struct ctx *c, uaddr_t val, u32 len)
{
	struct sock_txtime tt;

	if (len != sizeof(tt))
		return -EINVAL;
	if (user_get(c, val, &tt) < 0)
		return -EFAULT;
	if (tt.flags & ~(u32)SOF_TXTIME_FLAGS_MASK)
		return -EINVAL;
	if (tt.clockid != CLOCK_MONOTONIC && !creds_capable(c->creds, CAP_NET_ADMIN))
		return -EPERM;
	GUARD(&sk->lock);
	sk->opts.txtime = true;
	sk->opts.txtime_clock = tt.clockid;
	sk->opts.txtime_flags = tt.flags;
	return 0;
}

/* Stamps of what is received; there are none of what is sent. */
#define TSFLAGS                                                                                    \
	(SOF_TIMESTAMPING_RX_HARDWARE | SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE | \
	 SOF_TIMESTAMPING_SYS_HARDWARE | SOF_TIMESTAMPING_RAW_HARDWARE |                           \
	 SOF_TIMESTAMPING_OPT_CMSG | SOF_TIMESTAMPING_OPT_TSONLY | SOF_TIMESTAMPING_OPT_PKTINFO)

static int set_timestamping(struct sock *sk, u32 flags)
{
	if (flags & ~(u32)TSFLAGS)
		return -EINVAL;
	GUARD(&sk->lock);
	sk->opts.tsflags = flags;
	return 0;
}

int sock_set_common(struct sock *sk, struct ctx *c, int name, uaddr_t val, u32 len)
{
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
		return set_linger(sk, c, val, len);
	case SO_RCVTIMEO:
	case SO_RCVTIMEO_NEW:
	case SO_SNDTIMEO:
	case SO_SNDTIMEO_NEW:
		r = set_timeout(c, val, len, &timeo);
		if (r < 0)
			return r;
		mutex_lock(&sk->lock);
		if (name == SO_RCVTIMEO || name == SO_RCVTIMEO_NEW)
			sk->opts.rcvtimeo = timeo;
		else
			sk->opts.sndtimeo = timeo;
		mutex_unlock(&sk->lock);
		return 0;
	case SO_MAX_PACING_RATE:
		return set_pacing(sk, c, val, len, v);
	case SO_TXTIME:
		return set_txtime(sk, c, val, len);
	case SO_TIMESTAMPING:
	case SO_TIMESTAMPING_NEW:
		return set_timestamping(sk, (u32)v);
	case SO_ATTACH_FILTER:
	case SO_ATTACH_BPF:
	case SO_DETACH_FILTER:
	case SO_LOCK_FILTER:
		return filter_setsockopt(sk, c, name, val, len);
	default:
		break;
	}
	mutex_lock(&sk->lock);
	r = sock_set_int(sk, c, name, v);
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

static int get_peername(struct sock *sk, struct ctx *c, uaddr_t val, uaddr_t ulen)
{
	struct sockaddr_storage a = {0};
	u32 n = 0, len;
	int r = sock_ops_of(sk)->getname ? sock_ops_of(sk)->getname(sk, c, true, &a, &n)
	                                 : -EOPNOTSUPP;

	if (r < 0)
		return r == -EOPNOTSUPP ? r : -ENOTCONN;
	r = user_get_u32(c, ulen, &len);
	if (r == 0 && n < len)
		r = -EINVAL;
	return r < 0 ? r : sockopt_put(c, val, ulen, &a, len);
}

/* A number of 64 bits that may not be cut. */
static int put_cookie(struct ctx *c, uaddr_t val, uaddr_t ulen, u64 cookie, bool exact)
{
	u32 len;
	int r = user_get_u32(c, ulen, &len);

	if (r < 0)
		return r;
	if (len < sizeof(cookie) || (exact && len != sizeof(cookie)))
		return -EINVAL;
	return sockopt_put(c, val, ulen, &cookie, sizeof(cookie));
}

static int get_meminfo(struct sock *sk, struct ctx *c, uaddr_t val, uaddr_t len)
{
	u32 info[SK_MEMINFO_VARS];

	sock_meminfo(sk, info);
	return sockopt_put(c, val, len, info, sizeof(info));
}

void sock_meminfo(struct sock *sk, u32 info[SK_MEMINFO_VARS])
{
	struct sock_usage u;

	sock_usage(sk, &u);
	memset(info, 0, SK_MEMINFO_VARS * sizeof(*info));
	info[SK_MEMINFO_RMEM_ALLOC] = u.rmem;
	info[SK_MEMINFO_RCVBUF] = (u32)sk->opts.rcvbuf;
	info[SK_MEMINFO_WMEM_ALLOC] = u.wmem;
	info[SK_MEMINFO_SNDBUF] = (u32)sk->opts.sndbuf;
	info[SK_MEMINFO_DROPS] = u.drops;
}

int sock_get_common(struct sock *sk, struct ctx *c, int name, uaddr_t val, uaddr_t len)
{
	const struct sock_opts *o = &sk->opts;
	struct timeval tv;
	s32 v, two[2];
	int r;

	switch (name) {
	case SO_LINGER: {
		struct linger linger = {o->linger, (int)o->linger_s};

		return sockopt_put(c, val, len, &linger, sizeof(linger));
	}
	case SO_RCVTIMEO:
	case SO_RCVTIMEO_NEW:
		tv = timeout_value(o->rcvtimeo);
		return sockopt_put(c, val, len, &tv, sizeof(tv));
	case SO_SNDTIMEO:
	case SO_SNDTIMEO_NEW:
		tv = timeout_value(o->sndtimeo);
		return sockopt_put(c, val, len, &tv, sizeof(tv));
	case SO_BINDTODEVICE:
		return o->bound_if ? sockopt_put(c, val, len, "lo", 3)
		                   : sockopt_put(c, val, len, "", 0);
	case SO_COOKIE:
		return put_cookie(c, val, len, sk->ino, false);
	case SO_NETNS_COOKIE:
		return put_cookie(c, val, len, 1, true);
	case SO_PEERCRED: {
		struct ucred nobody = {.uid = (uid_t)-1, .gid = (gid_t)-1};

		return sockopt_put(c, val, len, &nobody, sizeof(nobody));
	}
	case SO_PEERGROUPS:
	case SO_PEERPIDFD:
		return -ENODATA;
	case SO_PEERNAME:
		return get_peername(sk, c, val, len);
	case SO_MEMINFO:
		return get_meminfo(sk, c, val, len);
	case SO_MAX_PACING_RATE: {
		u32 n, rate = (u32)MIN(o->pacing, (u64)UINT32_MAX);

		r = user_get_u32(c, len, &n);
		if (r < 0)
			return r;
		return n >= sizeof(o->pacing)
		               ? sockopt_put(c, val, len, &o->pacing, sizeof(o->pacing))
		               : sockopt_put(c, val, len, &rate, sizeof(rate));
	}
	case SO_TXTIME:
		two[0] = o->txtime_clock;
		two[1] = (s32)o->txtime_flags;
		return sockopt_put(c, val, len, two, sizeof(two));
	case SO_TIMESTAMPING:
	case SO_TIMESTAMPING_NEW:
		two[0] = (s32)o->tsflags;
		two[1] = 0;
		return sockopt_put(c, val, len, two, sizeof(two));
	case SO_GET_FILTER:
		return filter_getsockopt(sk, c, val, len);
	default:
		break;
	}
	/* SO_ERROR is taken only if there is somewhere to put it. */
	r = user_get_u32(c, len, (u32 *)&v);
	if (r == 0 && v < 0)
		r = -EINVAL;
	if (r == 0)
		r = sock_get_int(sk, name, &v);
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
