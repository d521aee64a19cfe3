/* Who gets what: programs among themselves, and groups from the kernel. */
#include "sentry/net/netlink/netlink.h"

#include "sentry/auth/creds.h"
#include "state/base/bug.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* To somebody, with a copy. */
static void tell_one(struct netlink_sock *to, u32 group, const struct nl_reply *r)
{
	u8 *copy = malloc(r->len);
	struct nl_packet *p;

	BUG_ON(!copy);
	memcpy(copy, r->data, r->len);
	p = nl_packet_new(copy, r->len);
	p->group = group;
	if (nl_enqueue(to, p) < 0 && !(to->flags & 1u << NETLINK_NO_ENOBUFS))
		sock_set_error(&to->sk, ENOBUFS);
}

#define FANOUT 64u

void nl_tell(struct netns *ns, u16 protocol, u32 group, struct nl_reply *r,
             struct netlink_sock *echo)
{
	struct netlink_sock *o, *to[FANOUT];
	u32 n, skip = 0, seen;

	do {
		n = seen = 0;
		rwlock_rdlock(&ns->inet->lock);
		LIST_FOREACH (o, &ns->inet->netlinks, link) {
			if (o == echo || o->sk.protocol != protocol ||
			    !(READ_ONCE(o->groups) & 1u << (group - 1)) || seen++ < skip)
				continue;
			to[n++] = obj_get(o);
			if (n == FANOUT)
				break;
		}
		rwlock_unlock(&ns->inet->lock);
		for (u32 i = 0; i < n; i++) {
			tell_one(to[i], group, r);
			obj_put(to[i]);
		}
		skip += n;
	} while (n == FANOUT);
	if (echo)
		tell_one(echo, 0, r);
	free(TAKE(r->data));
}

static struct nl_packet *packet_from(struct netlink_sock *nl, struct ctx *c, const u8 *data,
                                     u32 len)
{
	u8 *copy = malloc(len + 1);
	struct nl_packet *p;

	BUG_ON(!copy);
	memcpy(copy, data, len);
	p = nl_packet_new(copy, len);
	p->from = nl->portid;
	p->pid = c->tgid;
	p->uid = c->creds->uid;
	p->gid = c->creds->gid;
	return p;
}

void nl_broadcast(struct netlink_sock *nl, struct ctx *c, u32 groups, const u8 *data, u32 len)
{
	u32 group = (u32)__builtin_ctz(groups), n = 0;
	struct inet_ns *ns = nl->sk.ns->inet;
	struct netlink_sock *o, *to[FANOUT];

	rwlock_rdlock(&ns->lock);
	LIST_FOREACH (o, &ns->netlinks, link) {
		if (o != nl && o->sk.protocol == nl->sk.protocol &&
		    (READ_ONCE(o->groups) & 1u << group) && n < FANOUT)
			to[n++] = obj_get(o);
	}
	rwlock_unlock(&ns->lock);
	for (u32 i = 0; i < n; i++) {
		struct nl_packet *p = packet_from(nl, c, data, len);

		p->group = group + 1;
		if (nl_enqueue(to[i], p) < 0 && !(to[i]->flags & 1u << NETLINK_NO_ENOBUFS))
			sock_set_error(&to[i]->sk, ENOBUFS);
		obj_put(to[i]);
	}
}

int nl_unicast(struct netlink_sock *nl, struct ctx *c, u32 pid, const u8 *data, u32 len)
{
	struct inet_ns *ns = nl->sk.ns->inet;
	struct netlink_sock *to;
	int r;

	rwlock_rdlock(&ns->lock);
	to = obj_get(nl_find_locked(ns, nl->sk.protocol, pid));
	rwlock_unlock(&ns->lock);
	if (!to)
		return -ECONNREFUSED;
	/* Who has connected elsewhere hears nobody else. */
	r = to->connected && to->dst_pid != nl->portid
	            ? -ECONNREFUSED
	            : nl_enqueue(to, packet_from(nl, c, data, len));
	obj_put(to);
	return r;
}
