/* The socket: addresses, requests in, replies out. */
#include "sentry/net/netlink/netlink.h"

#include "sentry/auth/creds.h"
#include "sentry/net/filter.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

/* What Linux puts into one packet of a dump. */
#define PIECE_MAX 3776u

static struct netlink_sock *nl_sk(struct sock *sk)
{
	return (struct netlink_sock *)sk;
}

/* ---- port ids ---- */

struct netlink_sock *nl_find_locked(struct inet_ns *ns, u16 protocol, u32 id)
{
	struct netlink_sock *o;

	LIST_FOREACH (o, &ns->netlinks, link) {
		if (o->portid == id && o->sk.protocol == protocol)
			return o;
	}
	return NULL;
}

static int take_portid(struct netlink_sock *nl, u32 want, u32 first)
{
	struct inet_ns *ns = nl->sk.ns->inet;
	u32 id = want ? want : first;

	GUARD_WRITE(&ns->lock);
	if (nl->portid)
		return want == 0 || want == nl->portid ? 0 : -EINVAL;
	if (want && nl_find_locked(ns, nl->sk.protocol, want))
		return -EADDRINUSE;
	/* The process id, or numbers that none has. */
	for (u32 n = 0; nl_find_locked(ns, nl->sk.protocol, id); n++)
		id = (u32)-4097 - n;
	nl->portid = id;
	LIST_INSERT_HEAD(&ns->netlinks, nl, link);
	nl->linked = true;
	return 0;
}

void nl_leave(struct netlink_sock *nl)
{
	if (!nl->linked)
		return;
	GUARD_WRITE(&nl->sk.ns->inet->lock);
	LIST_REMOVE(nl, link);
	nl->linked = false;
	/* A closed one that something still refers to is in no image's list either. */
	nl->portid = 0;
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
	nl->grouped |= snl.nl_groups != 0;
	return 0;
}

/* Whom a program that is not the network's administrator may talk to: other programs. */
static bool may_send(const struct netlink_sock *nl, struct ctx *c, u32 pid, u32 groups)
{
	return (!pid && !groups) || nl->sk.protocol == NETLINK_USERSOCK ||
	       creds_capable(c->creds, CAP_NET_ADMIN);
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
		nl->dst_pid = nl->dst_groups = 0;
		return 0;
	}
	r = parse(a, len, &snl);
	if (r == 0 && !may_send(nl, c, snl.nl_pid, snl.nl_groups))
		r = -EPERM;
	if (r == 0)
		r = take_portid(nl, 0, c->tgid);
	if (r < 0)
		return r;
	GUARD(&sk->lock);
	nl->connected = true;
	nl->dst_pid = snl.nl_pid;
	nl->dst_groups = snl.nl_groups;
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
	snl.nl_groups = peer ? nl->dst_groups : nl->groups;
	memcpy(ret, &snl, sizeof(snl));
	*ret_len = sizeof(snl);
	return 0;
}

/* ---- requests ---- */

struct nl_packet *nl_packet_new(u8 *data, u32 len)
{
	struct nl_packet *p = calloc(1, sizeof(*p));

	BUG_ON(!p);
	p->data = data;
	p->len = len;
	return p;
}

void nl_packet_free(struct nl_packet *p)
{
	free(p->data);
	free(p);
}

/* What the socket's filter leaves of p; false: nothing. sk->lock is held. */
static bool filtered(struct netlink_sock *nl, struct nl_packet *p)
{
	struct filter_packet fp = {
		.bytes = p->data,
		.len = p->len,
		.protocol = nl->sk.protocol,
	};

	if (!filter_there(&nl->sk))
		return true;
	p->len = filter_run(&nl->sk, &fp);
	return p->len > 0;
}

void nl_append(struct netlink_sock *nl, struct nl_packet *p)
{
	STAILQ_INSERT_TAIL(&nl->queue, p, link);
	if (p->rest)
		WRITE_ONCE(nl->n_rest, nl->n_rest + 1);
	else
		nl->queued += p->len;
}

struct nl_packet *nl_take(struct netlink_sock *nl)
{
	struct nl_packet *p = STAILQ_FIRST(&nl->queue);

	STAILQ_REMOVE_HEAD(&nl->queue, link);
	if (p->rest)
		WRITE_ONCE(nl->n_rest, nl->n_rest - 1);
	else
		nl->queued -= p->len;
	return p;
}

/* Takes p over. 0, -EAGAIN: there is no room. */
int nl_enqueue(struct netlink_sock *nl, struct nl_packet *p)
{
	bool full;

	mutex_lock(&nl->sk.lock);
	if (!filtered(nl, p)) {
		mutex_unlock(&nl->sk.lock);
		nl_packet_free(p);
		return 0;
	}
	full = !p->rest && nl->queued > (u64)nl->sk.opts.rcvbuf;
	if (!full)
		nl_append(nl, p);
	mutex_unlock(&nl->sk.lock);
	if (full)
		nl_packet_free(p);
	else
		waitq_wake(&nl->sk.rwait, READY_IN);
	return full ? -EAGAIN : 0;
}

/* How many bytes of r from off on go together: whole messages, as many as a reader with a page has
 * room for. */
static u32 piece(const struct nl_reply *r, u32 off)
{
	u32 n = 0;

	while (off + n < r->len) {
		const struct nlmsghdr *h =
			(const struct nlmsghdr *)(const void *)(r->data + off + n);

		if (n && n + h->nlmsg_len > PIECE_MAX)
			break;
		n += NLMSG_ALIGN(h->nlmsg_len);
	}
	return MIN(n, r->len - off);
}

/* From the kernel. Takes the bytes of r over. What begins in the queue is there to its end: there
 * is no reader yet who could be asked for the rest. rest: it has begun. Returns whether it has. */
static bool enqueue(struct netlink_sock *nl, struct nl_reply *r, bool rest)
{
	u32 n;

	for (u32 off = 0; off < r->len; off += n) {
		struct nl_packet *p;
		u8 *part;

		n = piece(r, off);
		part = malloc(n);
		BUG_ON(!part);
		memcpy(part, r->data + off, n);
		p = nl_packet_new(part, n);
		p->rest = rest;
		if (nl_enqueue(nl, p) < 0) {
			if (!(nl->flags & 1u << NETLINK_NO_ENOBUFS))
				sock_set_error(&nl->sk, ENOBUFS);
			break;
		}
		rest = true;
	}
	free(r->data);
	*r = (struct nl_reply){0};
	return rest;
}

static void put_error(struct netlink_sock *nl, const struct nlmsghdr *h, int err)
{
	bool capped = !err || (nl->flags & 1u << NETLINK_CAP_ACK);
	u32 n = capped ? sizeof(*h) : h->nlmsg_len;
	struct nl_reply r = {0};
	u32 at = nl_begin(&r, h, nl->portid, NLMSG_ERROR, capped ? NLM_F_CAPPED : 0);
	u8 *b = nl_put(&r, (u32)sizeof(int) + n);

	memcpy(b, &err, sizeof(err));
	memcpy(b + sizeof(err), h, n);
	nl_end(&r, at);
	(void)enqueue(nl, &r, false);
}

static void request(struct netlink_sock *nl, struct ctx *c, const struct nlmsghdr *h)
{
	struct nl_reply out = {0};
	bool dump = false, begun;
	int r = 0;

	if ((h->nlmsg_flags & NLM_F_REQUEST) && h->nlmsg_type >= NLMSG_MIN_TYPE)
		r = nl->sk.protocol == NETLINK_ROUTE ? rtnetlink_request(nl, c, h, &out, &dump)
		                                     : sock_diag_request(nl, c, h, &out, &dump);
	if (r < 0) {
		free(out.data);
		put_error(nl, h, r);
		return;
	}
	begun = enqueue(nl, &out, false);
	if (dump) {
		u32 at = nl_begin(&out, h, nl->portid, NLMSG_DONE, NLM_F_MULTI);

		nl_put(&out, sizeof(int));
		nl_end(&out, at);
		(void)enqueue(nl, &out, begun);
	} else if (h->nlmsg_flags & NLM_F_ACK) {
		put_error(nl, h, 0);
	}
}

/* To the kernel. */
static long requests(struct netlink_sock *nl, struct ctx *c, const u8 *buf, u64 len)
{
	if (nl->sk.protocol != NETLINK_ROUTE && nl->sk.protocol != NETLINK_SOCK_DIAG)
		return -ECONNREFUSED;
	for (u64 off = 0; off + NLMSG_HDRLEN <= len;) {
		const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)(buf + off);

		if (h->nlmsg_len < NLMSG_HDRLEN || h->nlmsg_len > len - off)
			break;
		request(nl, c, h);
		off += NLMSG_ALIGN((u64)h->nlmsg_len);
	}
	return (long)len;
}

static long nl_sendmsg(struct sock *sk, struct ctx *c, struct sockmsg *m)
{
	struct netlink_sock *nl = nl_sk(sk);
	u64 len = uiter_count(m->it);
	struct sockaddr_nl dst = {.nl_pid = nl->dst_pid, .nl_groups = nl->dst_groups};
	u8 *buf;
	long r;

	if (m->flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (m->name_len) {
		r = parse(&m->name, m->name_len, &dst);
		if (r < 0)
			return r;
		if (!may_send(nl, c, dst.nl_pid, dst.nl_groups))
			return -EPERM;
	}
	r = take_portid(nl, 0, c->tgid);
	if (r < 0)
		return r;
	if (len + 32 > (u64)sk->opts.sndbuf)
		return -EMSGSIZE;
	buf = malloc(len + 1);
	BUG_ON(!buf);
	r = len ? uiter_copy_in(m->it, buf, len) : 0;
	if (r != (long)len)
		r = -EFAULT;
	if (r >= 0 && dst.nl_groups)
		nl_broadcast(nl, c, dst.nl_groups, buf, (u32)len);
	if (r >= 0 && dst.nl_pid) {
		int e = nl_unicast(nl, c, dst.nl_pid, buf, (u32)len);

		r = e < 0 ? e : r;
	} else if (r >= 0) {
		r = requests(nl, c, buf, len);
	}
	free(buf);
	return r;
}

/* ---- replies ---- */

struct recv_op {
	struct netlink_sock *nl;
	struct sockmsg *m;
	long len;
	struct nl_packet from; /* all but its data */
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
	op->from = *p;
	op->len = op->m->flags & MSG_TRUNC ? (long)p->len : (long)n;
	if (op->m->flags & MSG_PEEK)
		return 0;
	nl_packet_free(nl_take(nl));
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
	from.nl_pid = op.from.from;
	from.nl_groups = op.from.group ? 1u << (op.from.group - 1) : 0;
	info.group = op.from.group;
	memcpy(&m->name, &from, sizeof(from));
	m->name_len = sizeof(from);
	if (sk->opts.passcred) {
		struct ucred cred = {(pid_t)op.from.pid, op.from.uid, op.from.gid};

		sockmsg_put(m, c, SOL_SOCKET, SCM_CREDENTIALS, &cred, sizeof(cred));
	}
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

/* How many groups the protocol has, in words. */
static u32 group_words(const struct netlink_sock *nl)
{
	return nl->sk.protocol == NETLINK_ROUTE ? 2 : 1;
}

static int membership(struct netlink_sock *nl, u32 group, bool add)
{
	u32 *word = group > 32 ? &nl->groups_hi : &nl->groups, bit;

	if (group == 0 || group > 32 * group_words(nl))
		return -EINVAL;
	bit = 1u << ((group - 1) % 32);
	GUARD(&nl->sk.lock);
	nl->grouped = true;
	*word = add ? *word | bit : *word & ~bit;
	return 0;
}

static int nl_setsockopt(struct sock *sk, struct ctx *c, int level, int name, uaddr_t val, u32 len)
{
	struct netlink_sock *nl = nl_sk(sk);
	s32 v = 0;
	int r;

	if (level == SOL_SOCKET)
		return -SOCK_OPT_GENERIC;
	if (level != SOL_NETLINK)
		return -ENOPROTOOPT;
	r = len < sizeof(v) ? 0 : user_get(c, val, &v);
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

/* As many whole words as fit; the length says how many there are. */
static int list_groups(struct netlink_sock *nl, struct ctx *c, uaddr_t val, uaddr_t ulen, u32 len)
{
	u32 groups[2] = {nl->groups, nl->groups_hi};
	u32 all = nl->grouped ? group_words(nl) * (u32)sizeof(u32) : 0;
	int r = user_copy_out(c, val, groups, MIN(len / 4 * 4, all));

	return r < 0 ? r : user_put_u32(c, ulen, all);
}

static int nl_getsockopt(struct sock *sk, struct ctx *c, int level, int name, uaddr_t val,
                         uaddr_t len)
{
	struct netlink_sock *nl = nl_sk(sk);
	int r;
	u32 n;

	if (level == SOL_SOCKET)
		return -SOCK_OPT_GENERIC;
	if (level != SOL_NETLINK)
		return -ENOPROTOOPT;
	r = user_get_u32(c, len, &n);
	if (r < 0)
		return r;
	switch (name) {
	case NETLINK_LIST_MEMBERSHIPS:
		return list_groups(nl, c, val, len, n);
	case NETLINK_LISTEN_ALL_NSID:
	case NETLINK_PKTINFO:
	case NETLINK_BROADCAST_ERROR:
	case NETLINK_NO_ENOBUFS:
	case NETLINK_CAP_ACK:
	case NETLINK_EXT_ACK:
	case NETLINK_GET_STRICT_CHK:
		return n < sizeof(s32)
		               ? -EINVAL
		               : sockopt_put_int(c, val, len, (nl->flags & 1u << name) != 0);
	default:
		return -ENOPROTOOPT;
	}
}

static void nl_usage(struct sock *sk, struct sock_usage *ret)
{
	GUARD(&sk->lock);
	ret->rmem = (u32)nl_sk(sk)->queued;
}

static void nl_release(struct sock *sk)
{
	if (sk->ns && sk->ns->inet)
		nl_leave(nl_sk(sk));
}

const struct sock_ops netlink_ops = {
	.bind = nl_bind,
	.connect = nl_connect,
	.getname = nl_getname,
	.sendmsg = nl_sendmsg,
	.recvmsg = nl_recvmsg,
	.poll = nl_poll,
	.ioctl = nl_ioctl,
	.setsockopt = nl_setsockopt,
	.getsockopt = nl_getsockopt,
	.usage = nl_usage,
	.release = nl_release,
};

static int netlink_create(struct ctx *c, int type, int protocol, struct sock **ret)
{
	struct netlink_sock *nl;

	if (type != SOCK_RAW && type != SOCK_DGRAM)
		return -ESOCKTNOSUPPORT;
	if (!nl_known_protocol(protocol))
		return -EPROTONOSUPPORT;
	nl = obj_new(netlink_sock);
	sock_setup(&nl->sk, c, AF_NETLINK, (u16)type, (u16)protocol);
	*ret = &nl->sk;
	return 0;
}
SOCKET_FAMILY(netlink_family, .family = AF_NETLINK, .create = netlink_create);
