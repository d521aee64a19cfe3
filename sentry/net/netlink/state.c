/* The object, saved with what was not read yet. */
#include "proto/inet.pb-c.h"
#include "sentry/net/netlink/netlink.h"
#include "state/base/bug.h"
#include "state/fields.h"

#include <stdlib.h>
#include <string.h>

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
		nl_packet_free(k);
	}
	if (nl->linked && nl->sk.ns && nl->sk.ns->inet)
		nl_leave(nl);
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
		Sentry__NetlinkPacket *k =
			saver_msg(s, Sentry__NetlinkPacket, sentry__netlink_packet__init);

		k->from = p->from;
		k->group = p->group;
		k->pid = p->pid;
		k->uid = p->uid;
		k->gid = p->gid;
		k->rest = p->rest;
		k->data.data = p->data;
		k->data.len = p->len;
		m->queue[m->n_queue++] = k;
	}
	return 0;
}

static int netlink_sock_load_queue(struct loader *l, struct netlink_sock *nl,
                                   const Sentry__NetlinkSock *m)
{
	for (size_t i = 0; i < m->n_queue; i++) {
		const Sentry__NetlinkPacket *k = m->queue[i];
		struct nl_packet *p;

		if (k->data.len > SOCK_BUF_MOST || k->group > 32)
			return loader_range(l, "queue");
		p = nl_packet_new(malloc(k->data.len + 1), (u32)k->data.len);
		BUG_ON(!p->data);
		if (p->len)
			memcpy(p->data, k->data.data, p->len);
		p->from = k->from;
		p->group = k->group;
		p->pid = k->pid;
		p->uid = k->uid;
		p->gid = k->gid;
		p->rest = k->rest;
		nl_append(nl, p);
	}
	return 0;
}

static void netlink_sock_sample_queue(struct sampler *sp, struct netlink_sock *nl)
{
	struct nl_packet *p = nl_packet_new(malloc(4), 4);

	(void)sp;
	BUG_ON(!p->data);
	memcpy(p->data, "data", 4);
	p->from = 5;
	p->group = 3;
	p->pid = 7;
	p->uid = 8;
	p->gid = 9;
	p->rest = true;
	STAILQ_INSERT_TAIL(&nl->queue, p, link);
}

bool nl_known_protocol(int protocol)
{
	return protocol == NETLINK_ROUTE || protocol == NETLINK_USERSOCK ||
	       protocol == NETLINK_SOCK_DIAG || protocol == NETLINK_KOBJECT_UEVENT;
}

static int netlink_sock_after_load(struct loader *l, void *p)
{
	struct netlink_sock *nl = p;
	struct inet_ns *ns = nl->sk.ns->inet;

	if (!nl_known_protocol(nl->sk.protocol))
		return loader_error(l, "netlink protocol %u", nl->sk.protocol);
	if (!ns)
		return loader_error(l, "a netlink socket without a network");
	if (nl->portid) {
		LIST_INSERT_HEAD(&ns->netlinks, nl, link);
		nl->linked = true;
	}
	return 0;
}

static void netlink_sock_sample(struct sampler *sp, void *p)
{
	(void)sp;
	((struct netlink_sock *)p)->sk.protocol = NETLINK_SOCK_DIAG;
}

#define NETLINK_SOCK_FIELDS(F)               \
	F(BASE, sk, sock)                    \
	F(VAL, portid)                       \
	F(VAL, groups)                       \
	F(VAL, groups_hi)                    \
	F(VAL, grouped)                      \
	F(VAL, dst_pid)                      \
	F(VAL, dst_groups)                   \
	F(VAL, connected)                    \
	F(VAL, flags)                        \
	F(CUSTOM, queue, netlink_sock)       \
	F(SKIP, queued) /* with the queue */ \
	F(SKIP, n_rest) /* the same */       \
	F(SKIP, link)                        \
	F(SKIP, linked) /* follows from portid */
OBJECT_TYPE(netlink_sock, Sentry__NetlinkSock, sentry__netlink_sock__descriptor,
            NETLINK_SOCK_FIELDS, .base = &sock_type, .ops = &netlink_ops, .init = netlink_sock_init,
            .destroy = netlink_sock_destroy, .after_load = netlink_sock_after_load,
            .sample = netlink_sock_sample);
