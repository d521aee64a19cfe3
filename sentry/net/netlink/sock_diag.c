/* What sockets of all families say of themselves, as ss(8) asks. */
#include "sentry/auth/creds.h"
#include "sentry/net/netlink/diag.h"
#include "sentry/net/unix.h"
#include "sentry/vfs/inode.h"
#include "sentry/vfs/super.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/netlink_diag.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <stdlib.h>
#include <string.h>

void diag_skmeminfo(struct diag_request *q, struct sock *sk, u16 type)
{
	u32 info[SK_MEMINFO_VARS];

	sock_meminfo(sk, info);
	nl_attr(q->out, type, info, sizeof(info));
}

/* The fixed part of a request; what a shorter one leaves out is zero. -EINVAL: not even that. */
static int body(const struct diag_request *q, void *ret, u32 size)
{
	if (q->h->nlmsg_len < NLMSG_LENGTH(size))
		return -EINVAL;
	memcpy(ret, NLMSG_DATA((struct nlmsghdr *)(uintptr_t)q->h), size);
	return 0;
}

/* ---- AF_UNIX ---- */

/* As the states of TCP are numbered. */
static u8 unix_state_shown(const struct unix_sock *u)
{
	switch (READ_ONCE(u->state)) {
	case UNIX_LISTEN:
		return 10;
	case UNIX_CONNECTED:
		return 1;
	default:
		return 7;
	}
}

static void unix_attrs(struct diag_request *q, struct unix_sock *u, u32 show)
{
	struct sock *sk = &u->sk;

	if ((show & UDIAG_SHOW_NAME) && u->addr_len > sizeof(sa_family_t))
		nl_attr(q->out, UNIX_DIAG_NAME, u->addr,
		        (u32)(u->addr_len - sizeof(sa_family_t) -
		              (u->addr[0] && !u->addr[u->addr_len - sizeof(sa_family_t) - 1])));
	if ((show & UDIAG_SHOW_VFS) && u->bound && u->path.dentry && u->path.dentry->inode) {
		struct unix_diag_vfs v = {.udiag_vfs_ino = (u32)u->path.dentry->inode->ino,
		                          .udiag_vfs_dev = (u32)u->path.dentry->inode->sb->dev};

		nl_attr(q->out, UNIX_DIAG_VFS, &v, sizeof(v));
	}
	if ((show & UDIAG_SHOW_PEER) && u->peer)
		nl_attr_u32(q->out, UNIX_DIAG_PEER, (u32)u->peer->sk.ino);
	if (show & UDIAG_SHOW_RQLEN) {
		struct unix_diag_rqlen len = {0};

		if (READ_ONCE(u->state) == UNIX_LISTEN) {
			len.udiag_rqueue = READ_ONCE(u->n_pending);
			len.udiag_wqueue = READ_ONCE(u->backlog);
		} else {
			len.udiag_rqueue = READ_ONCE(u->ring.len);
			len.udiag_wqueue = atomic_load(&u->wmem);
		}
		nl_attr(q->out, UNIX_DIAG_RQLEN, &len, sizeof(len));
	}
	if (show & UDIAG_SHOW_MEMINFO)
		diag_skmeminfo(q, sk, UNIX_DIAG_MEMINFO);
	nl_attr_u8(q->out, UNIX_DIAG_SHUTDOWN, (u8)sock_shut(sk));
	if (show & UDIAG_SHOW_UID)
		nl_attr_u32(q->out, UNIX_DIAG_UID, sk->uid);
}

static void unix_one(struct diag_request *q, struct unix_sock *u, u32 show)
{
	u32 at = diag_begin(q, SOCK_DIAG_BY_FAMILY);
	struct unix_diag_msg *m = nl_put(q->out, sizeof(*m));

	m->udiag_family = AF_UNIX;
	m->udiag_type = (u8)u->sk.type;
	m->udiag_state = unix_state_shown(u);
	m->udiag_ino = (u32)u->sk.ino;
	diag_cookie(&u->sk, m->udiag_cookie);
	GUARD(&u->sk.lock);
	unix_attrs(q, u, show);
	nl_end(q->out, at);
}

/* References to those that are asked for: the list's lock is below the sockets'. */
static u32 unix_pick(struct diag_request *q, const struct unix_diag_req *r, struct unix_sock ***ret)
{
	struct netns *ns = q->nl->sk.ns;
	struct unix_sock *u, **all;
	u32 n = 0;

	GUARD(&ns->unix_lock);
	TAILQ_FOREACH (u, &ns->unix_socks, all_link)
		n++;
	all = calloc(n + 1, sizeof(struct unix_sock *));
	BUG_ON(!all);
	n = 0;
	TAILQ_FOREACH (u, &ns->unix_socks, all_link) {
		if (q->dump ? (r->udiag_states & 1u << unix_state_shown(u)) != 0
		            : u->sk.ino == r->udiag_ino)
			all[n++] = unix_sock_get(u);
	}
	*ret = all;
	return n;
}

static int unix_diag(struct diag_request *q)
{
	struct unix_sock **all;
	struct unix_diag_req r;
	int e = body(q, &r, sizeof(r));
	u32 n;

	if (e < 0)
		return e;
	if (!q->dump && !r.udiag_ino)
		return -EINVAL;
	n = unix_pick(q, &r, &all);
	for (u32 i = 0; i < n; i++) {
		unix_one(q, all[i], r.udiag_show);
		unix_sock_put(all[i]);
	}
	free(all);
	return q->dump || n ? 0 : -ENOENT;
}

/* ---- AF_NETLINK ---- */

static void netlink_one(struct diag_request *q, struct netlink_sock *nl, u32 show)
{
	u32 at = diag_begin(q, SOCK_DIAG_BY_FAMILY);
	struct netlink_diag_msg *m = nl_put(q->out, sizeof(*m));
	u32 groups[2] = {nl->groups, nl->groups_hi};

	m->ndiag_family = AF_NETLINK;
	m->ndiag_type = (u8)nl->sk.type;
	m->ndiag_protocol = (u8)nl->sk.protocol;
	m->ndiag_state = nl->connected ? 1 : 0;
	m->ndiag_portid = nl->portid;
	m->ndiag_dst_portid = nl->dst_pid;
	m->ndiag_dst_group = nl->dst_groups;
	m->ndiag_ino = (u32)nl->sk.ino;
	diag_cookie(&nl->sk, m->ndiag_cookie);
	if ((show & NDIAG_SHOW_GROUPS) && nl->grouped)
		nl_attr(q->out, NETLINK_DIAG_GROUPS, groups, sizeof(groups));
	if (show & NDIAG_SHOW_MEMINFO)
		diag_skmeminfo(q, &nl->sk, NETLINK_DIAG_MEMINFO);
	nl_end(q->out, at);
}

static int netlink_diag(struct diag_request *q)
{
	struct inet_ns *ns = q->nl->sk.ns->inet;
	struct netlink_diag_req r;
	struct netlink_sock *nl;
	int e = body(q, &r, sizeof(r));

	if (e < 0)
		return e;
	if (!q->dump)
		return -EOPNOTSUPP;
	GUARD_READ(&ns->lock);
	LIST_FOREACH (nl, &ns->netlinks, link) {
		if (r.sdiag_protocol == NDIAG_PROTO_ALL || r.sdiag_protocol == nl->sk.protocol)
			netlink_one(q, nl, r.ndiag_show);
	}
	return 0;
}

int sock_diag_request(struct netlink_sock *nl, struct ctx *c, const struct nlmsghdr *h,
                      struct nl_reply *out, bool *ret_done)
{
	struct diag_request q = {nl, h, out, (h->nlmsg_flags & NLM_F_DUMP) != 0};
	struct sock_diag_req r;
	int e;

	if (h->nlmsg_type == SOCK_DESTROY) /* not built in, as a rule */
		return creds_capable(c->creds, CAP_NET_ADMIN) ? -EOPNOTSUPP : -EPERM;
	if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY)
		return -EINVAL;
	if (q.dump && nl_dumping(nl))
		return -EBUSY;
	e = body(&q, &r, sizeof(r));
	if (e < 0)
		return e;
	switch (r.sdiag_family) {
	case AF_INET:
	case AF_INET6:
		e = inet_diag(&q);
		break;
	case AF_UNIX:
		e = unix_diag(&q);
		break;
	case AF_NETLINK:
		e = netlink_diag(&q);
		break;
	default:
		e = r.sdiag_family >= AF_MAX ? -EINVAL : -ENOENT;
		break;
	}
	if (e == 0)
		*ret_done = q.dump;
	return e;
}
