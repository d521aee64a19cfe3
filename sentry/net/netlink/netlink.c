/* The socket: addresses, requests in, replies out. */
#include "sentry/net/netlink/netlink.h"

#include "proto/inet.pb-c.h"
#include "sentry/auth/creds.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <stdlib.h>

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif
#define GROUPS_MAX 64u

static struct netlink_sock *nl_sk(struct sock *sk)
{
	return (struct netlink_sock *)sk;
}

/* ---- port ids ---- */

static bool portid_taken(struct inet_ns *ns, u32 id)
{
	const struct netlink_sock *o;

	LIST_FOREACH (o, &ns->netlinks, link) {
		if (o->portid == id)
			return true;
	}
	return false;
}

static int take_portid(struct netlink_sock *nl, u32 want, u32 first)
{
	struct inet_ns *ns = nl->sk.ns->inet;
	u32 id = want ? want : first;

	GUARD_WRITE(&ns->lock);
	if (nl->portid)
		return want == 0 || want == nl->portid ? 0 : -EINVAL;
	if (want && portid_taken(ns, want))
		return -EADDRINUSE;
	/* The process id, or numbers that none has. */
	for (u32 n = 0; portid_taken(ns, id); n++)
		id = (u32)-4097 - n;
	nl->portid = id;
	LIST_INSERT_HEAD(&ns->netlinks, nl, link);
	nl->linked = true;
	return 0;
}

static void leave(struct netlink_sock *nl)
{
	if (!nl->linked)
		return;
	GUARD_WRITE(&nl->sk.ns->inet->lock);
	LIST_REMOVE(nl, link);
	nl->linked = false;
}

static int parse(const struct sockaddr_storage *a, u32 len, struct sockaddr_nl *ret)
{
	if (len < sizeof(*ret))
		return -EINVAL;
	memcpy(ret, a, sizeof(*ret));
	return ret->nl_family == AF_NETLINK ? 0 : -EINVAL;
}

static int nl_bind(struct sock *sk, struct ctx *c, const struct sockaddr_storage *a, u32 len)
{
	struct netlink_sock *nl = nl_sk(sk);
	struct sockaddr_nl snl;
	int r = parse(a, len, &snl);

	if (r == 0)
		r = take_portid(nl, snl.nl_pid, c->tgid);
	if (r < 0)
		return r;
	GUARD(&sk->lock);
	nl->groups = snl.nl_groups;
	return 0;
}

static int nl_connect(struct sock *sk, struct ctx *c, const struct sockaddr_storage *a, u32 len,
                      bool nonblock)
{
	struct netlink_sock *nl = nl_sk(sk);
	struct sockaddr_nl snl;
	int r;

	(void)nonblock;
	if (len < sizeof(sa_family_t))
		return -EINVAL;
	if (a->ss_family == AF_UNSPEC) {
		GUARD(&sk->lock);
		nl->connected = false;
		nl->dst_pid = 0;
		return 0;
	}
	r = parse(a, len, &snl);
	if (r == 0 && (snl.nl_pid || snl.nl_groups) && !creds_capable(c->creds, CAP_NET_ADMIN))
		r = -EPERM;
	if (r == 0)
		r = take_portid(nl, 0, c->tgid);
	if (r < 0)
		return r;
	GUARD(&sk->lock);
	nl->connected = true;
	nl->dst_pid = snl.nl_pid;
	return 0;
}

static int nl_getname(struct sock *sk, struct ctx *c, bool peer, struct sockaddr_storage *ret,
                      u32 *ret_len)
{
	struct netlink_sock *nl = nl_sk(sk);
	struct sockaddr_nl snl = {.nl_family = AF_NETLINK};

	(void)c;
	GUARD(&sk->lock);
	snl.nl_pid = peer ? nl->dst_pid : nl->portid;
	snl.nl_groups = peer ? 0 : nl->groups;
	memcpy(ret, &snl, sizeof(snl));
	*ret_len = sizeof(snl);
	return 0;
}

/* ---- requests ---- */

/* Takes the bytes of r over. */
static void enqueue(struct netlink_sock *nl, struct nl_reply *r)
{
	struct nl_packet *p;
	bool full;

	if (r->len == 0)
		return;
	mutex_lock(&nl->sk.lock);
	full = nl->queued > (u64)nl->sk.opts.rcvbuf;
	if (!full) {
		p = malloc(sizeof(*p));
		BUG_ON(!p);
		p->len = r->len;
		p->data = TAKE(r->data);
		STAILQ_INSERT_TAIL(&nl->queue, p, link);
		nl->queued += p->len;
	}
	mutex_unlock(&nl->sk.lock);
	if (full)
		sock_set_error(&nl->sk, ENOBUFS);
	else
		waitq_wake(&nl->sk.rwait, READY_IN);
	free(r->data);
	*r = (struct nl_reply){0};
}

static void put_error(struct netlink_sock *nl, const struct nlmsghdr *h, int err)
{
	bool capped = !err || (nl->flags & 1u << NETLINK_CAP_ACK);
	u32 n = capped ? sizeof(*h) : h->nlmsg_len;
	struct nl_reply r = {0};
	u32 at = nl_begin(&r, h, nl->portid, NLMSG_ERROR,
	                  nl->flags & 1u << NETLINK_CAP_ACK ? NLM_F_CAPPED : 0);
	u8 *b = nl_put(&r, (u32)sizeof(int) + n);

	memcpy(b, &err, sizeof(err));
	memcpy(b + sizeof(err), h, n);
	nl_end(&r, at);
	enqueue(nl, &r);
}

static void request(struct netlink_sock *nl, struct ctx *c, const struct nlmsghdr *h)
{
	struct nl_reply out = {0};
	bool dump = false;
	int r = 0;

	if ((h->nlmsg_flags & NLM_F_REQUEST) && h->nlmsg_type >= NLMSG_MIN_TYPE)
		r = rtnetlink_request(nl, c, h, &out, &dump);
	if (r < 0) {
		free(out.data);
		put_error(nl, h, r);
		return;
	}
	enqueue(nl, &out);
	if (dump) {
		u32 at = nl_begin(&out, h, nl->portid, NLMSG_DONE, NLM_F_MULTI);

		nl_put(&out, sizeof(int));
		nl_end(&out, at);
		enqueue(nl, &out);
	} else if (h->nlmsg_flags & NLM_F_ACK) {
		put_error(nl, h, 0);
	}
}

static long nl_sendmsg(struct sock *sk, struct ctx *c, struct sockmsg *m)
{
	struct netlink_sock *nl = nl_sk(sk);
	u64 len = uiter_count(m->it);
	struct sockaddr_nl dst = {.nl_pid = nl->dst_pid};
	u8 *buf;
	long r;

	if (m->flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (m->name_len) {
		r = parse(&m->name, m->name_len, &dst);
		if (r < 0)
			return r;
		if ((dst.nl_pid || dst.nl_groups) && !creds_capable(c->creds, CAP_NET_ADMIN))
			return -EPERM;
	}
	r = take_portid(nl, 0, c->tgid);
	if (r < 0)
		return r;
	if (len + 32 > (u64)sk->opts.sndbuf)
		return -EMSGSIZE;
	/* Programs talk to the kernel here; nobody listens elsewhere. */
	if (dst.nl_pid)
		return -ECONNREFUSED;
	buf = malloc(len + 1);
	BUG_ON(!buf);
	r = len ? uiter_copy_in(m->it, buf, len) : 0;
	if (r != (long)len) {
		free(buf);
		return -EFAULT;
	}
	for (u64 off = 0; off + NLMSG_HDRLEN <= len;) {
		const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)(buf + off);

		if (h->nlmsg_len < NLMSG_HDRLEN || h->nlmsg_len > len - off)
			break;
		request(nl, c, h);
		off += NLMSG_ALIGN((u64)h->nlmsg_len);
	}
	free(buf);
	return (long)len;
}

/* ---- replies ---- */

struct recv_op {
	struct netlink_sock *nl;
	struct sockmsg *m;
	long len;
};

static long recv_step(void *arg)
{
	struct recv_op *op = arg;
	struct netlink_sock *nl = op->nl;
	struct nl_packet *p;
	int err = sock_take_error(&nl->sk);
	u64 n;

	if (err)
		return err;
	GUARD(&nl->sk.lock);
	p = STAILQ_FIRST(&nl->queue);
	if (!p)
		return -EAGAIN;
	n = MIN((u64)p->len, uiter_count(op->m->it));
	if (n < p->len)
		op->m->out_flags |= MSG_TRUNC;
	if (n && uiter_copy_out(op->m->it, p->data, n) != (long)n)
		return -EFAULT;
	op->len = op->m->flags & MSG_TRUNC ? (long)p->len : (long)n;
	if (op->m->flags & MSG_PEEK)
		return 0;
	STAILQ_REMOVE_HEAD(&nl->queue, link);
	nl->queued -= p->len;
	free(p->data);
	free(p);
	return 0;
}

static long nl_recvmsg(struct sock *sk, struct ctx *c, struct sockmsg *m)
{
	struct recv_op op = {.nl = nl_sk(sk), .m = m};
	struct sockaddr_nl from = {.nl_family = AF_NETLINK};
	struct nl_pktinfo info = {0};
	long r;

	if (m->flags & MSG_OOB)
		return -EOPNOTSUPP;
	r = sock_block(c, &sk->rwait, sk->opts.rcvtimeo, (m->flags & MSG_DONTWAIT) != 0, recv_step,
	               &op);
	if (r < 0)
		return r;
	memcpy(&m->name, &from, sizeof(from));
	m->name_len = sizeof(from);
	if (nl_sk(sk)->flags & 1u << NETLINK_PKTINFO)
		sockmsg_put(m, c, SOL_NETLINK, NETLINK_PKTINFO, &info, sizeof(info));
	return op.len;
}

static u32 nl_poll(struct sock *sk, struct poll_table *pt)
{
	u32 ev = READY_OUT | EPOLLWRBAND;

	sock_poll_add(sk, pt);
	GUARD(&sk->lock);
	if (!STAILQ_EMPTY(&nl_sk(sk)->queue))
		ev |= READY_IN;
	if (atomic_load(&sk->err))
		ev |= EPOLLERR;
	return ev;
}

static long nl_ioctl(struct sock *sk, struct ctx *c, u32 cmd, u64 arg)
{
	(void)sk;
	(void)c;
	(void)cmd;
	(void)arg;
	return -ENOTTY;
}

/* ---- options ---- */

static int membership(struct netlink_sock *nl, u32 group, bool add)
{
	u32 *word = group > 32 ? &nl->groups_hi : &nl->groups, bit;

	if (group == 0 || group > GROUPS_MAX)
		return -EINVAL;
	bit = 1u << ((group - 1) % 32);
	GUARD(&nl->sk.lock);
	*word = add ? *word | bit : *word & ~bit;
	return 0;
}

static int nl_setsockopt(struct sock *sk, struct ctx *c, int level, int name, uaddr_t val, u32 len)
{
	struct netlink_sock *nl = nl_sk(sk);
	s32 v;
	int r;

	if (level == SOL_SOCKET)
		return -SOCK_OPT_GENERIC;
	if (level != SOL_NETLINK)
		return -ENOPROTOOPT;
	if (len < sizeof(v))
		return -EINVAL;
	r = user_get(c, val, &v);
	if (r < 0)
		return r;
	switch (name) {
	case NETLINK_ADD_MEMBERSHIP:
	case NETLINK_DROP_MEMBERSHIP:
		return membership(nl, (u32)v, name == NETLINK_ADD_MEMBERSHIP);
	case NETLINK_LISTEN_ALL_NSID:
		if (!creds_capable(c->creds, CAP_NET_ADMIN))
			return -EPERM;
		break;
	case NETLINK_PKTINFO:
	case NETLINK_BROADCAST_ERROR:
	case NETLINK_NO_ENOBUFS:
	case NETLINK_CAP_ACK:
	case NETLINK_EXT_ACK:
	case NETLINK_GET_STRICT_CHK:
		break;
	default:
		return -ENOPROTOOPT;
	}
	GUARD(&sk->lock);
	nl->flags = v ? nl->flags | 1u << name : nl->flags & ~(1u << name);
	return 0;
}

static int nl_getsockopt(struct sock *sk, struct ctx *c, int level, int name, uaddr_t val,
                         uaddr_t len)
{
	struct netlink_sock *nl = nl_sk(sk);
	u32 groups[2] = {nl->groups, nl->groups_hi};

	if (level == SOL_SOCKET)
		return -SOCK_OPT_GENERIC;
	if (level != SOL_NETLINK)
		return -ENOPROTOOPT;
	switch (name) {
	case NETLINK_LIST_MEMBERSHIPS:
		return sockopt_put(c, val, len, groups, sizeof(groups));
	case NETLINK_PKTINFO:
	case NETLINK_BROADCAST_ERROR:
	case NETLINK_NO_ENOBUFS:
	case NETLINK_CAP_ACK:
	case NETLINK_EXT_ACK:
	case NETLINK_GET_STRICT_CHK:
		return sockopt_put_int(c, val, len, (nl->flags & 1u << name) != 0);
	default:
		return -ENOPROTOOPT;
	}
}

static void nl_release(struct sock *sk)
{
	if (sk->ns && sk->ns->inet)
		leave(nl_sk(sk));
}

static const struct sock_ops netlink_ops = {
	.bind = nl_bind,
	.connect = nl_connect,
	.getname = nl_getname,
	.sendmsg = nl_sendmsg,
	.recvmsg = nl_recvmsg,
	.poll = nl_poll,
	.ioctl = nl_ioctl,
	.setsockopt = nl_setsockopt,
	.getsockopt = nl_getsockopt,
	.release = nl_release,
};

/* ---- the object ---- */

static void netlink_sock_init(void *p)
{
	STAILQ_INIT(&((struct netlink_sock *)p)->queue);
}

static void netlink_sock_destroy(void *p)
{
	struct netlink_sock *nl = p;
	struct nl_packet *k;

	while ((k = STAILQ_FIRST(&nl->queue))) {
		STAILQ_REMOVE_HEAD(&nl->queue, link);
		free(k->data);
		free(k);
	}
	if (nl->linked && nl->sk.ns && nl->sk.ns->inet)
		leave(nl);
}

static int netlink_sock_save_queue(struct saver *s, const struct netlink_sock *nl,
                                   Sentry__NetlinkSock *m)
{
	const struct nl_packet *p;
	size_t n = 0;

	STAILQ_FOREACH (p, &nl->queue, link)
		n++;
	m->queue = saver_alloc(s, n * sizeof(*m->queue));
	STAILQ_FOREACH (p, &nl->queue, link) {
		m->queue[m->n_queue].data = p->data;
		m->queue[m->n_queue++].len = p->len;
	}
	return 0;
}

static int netlink_sock_load_queue(struct loader *l, struct netlink_sock *nl,
                                   const Sentry__NetlinkSock *m)
{
	for (size_t i = 0; i < m->n_queue; i++) {
		struct nl_packet *p;

		if (m->queue[i].len == 0 || m->queue[i].len > MIB)
			return loader_range(l, "queue");
		p = calloc(1, sizeof(*p));
		BUG_ON(!p);
		p->len = (u32)m->queue[i].len;
		p->data = malloc(p->len);
		BUG_ON(!p->data);
		memcpy(p->data, m->queue[i].data, p->len);
		STAILQ_INSERT_TAIL(&nl->queue, p, link);
		nl->queued += p->len;
	}
	return 0;
}

static void netlink_sock_sample_queue(struct sampler *sp, struct netlink_sock *nl)
{
	struct nl_packet *p = calloc(1, sizeof(*p));

	(void)sp;
	BUG_ON(!p);
	p->data = malloc(4);
	BUG_ON(!p->data);
	memcpy(p->data, "data", 4);
	p->len = 4;
	STAILQ_INSERT_TAIL(&nl->queue, p, link);
}

static int netlink_sock_after_load(struct loader *l, void *p)
{
	struct netlink_sock *nl = p;
	struct inet_ns *ns = nl->sk.ns->inet;

	if (!ns)
		return loader_error(l, "a netlink socket without a network");
	if (nl->portid) {
		LIST_INSERT_HEAD(&ns->netlinks, nl, link);
		nl->linked = true;
	}
	return 0;
}

#define NETLINK_SOCK_FIELDS(F)               \
	F(BASE, sk, sock)                    \
	F(VAL, portid)                       \
	F(VAL, groups)                       \
	F(VAL, groups_hi)                    \
	F(VAL, dst_pid)                      \
	F(VAL, connected)                    \
	F(VAL, flags)                        \
	F(CUSTOM, queue, netlink_sock)       \
	F(SKIP, queued) /* with the queue */ \
	F(SKIP, link)                        \
	F(SKIP, linked) /* follows from portid */
OBJECT_TYPE(netlink_sock, Sentry__NetlinkSock, sentry__netlink_sock__descriptor,
            NETLINK_SOCK_FIELDS, .base = &sock_type, .ops = &netlink_ops, .init = netlink_sock_init,
            .destroy = netlink_sock_destroy, .after_load = netlink_sock_after_load);

static int netlink_create(struct ctx *c, int type, int protocol, struct sock **ret)
{
	struct netlink_sock *nl;

	if (type != SOCK_RAW && type != SOCK_DGRAM)
		return -ESOCKTNOSUPPORT;
	if (protocol != NETLINK_ROUTE)
		return -EPROTONOSUPPORT;
	nl = obj_new(netlink_sock);
	sock_setup(&nl->sk, c, AF_NETLINK, (u16)type, NETLINK_ROUTE);
	*ret = &nl->sk;
	return 0;
}
SOCKET_FAMILY(netlink_family, .family = AF_NETLINK, .create = netlink_create);
