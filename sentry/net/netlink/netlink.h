#pragma once
/*
 * AF_NETLINK (netlink(7)): NETLINK_ROUTE, NETLINK_SOCK_DIAG, NETLINK_KOBJECT_UEVENT and what
 * programs send each other. Requests to the kernel are answered in the sender's call, into its own
 * queue. Changes of the network are told to the groups of NETLINK_ROUTE; devices never change.
 *
 * Locking: the queue and options under sk.lock; port ids under the port table's lock (RANK_INET).
 * Lifetime: the file's. Saved: everything, replies not yet read included.
 */
#include "sentry/net/inet/ports.h"
#include "sentry/net/sockmsg.h"

#include <linux/netlink.h>
#include <sys/queue.h>

/* Replies that are put together. */
struct nl_reply {
	u8 *data;
	u32 len, cap;
};

struct nl_packet {
	STAILQ_ENTRY(nl_packet) link;
	u32 from, group; /* the sender's port id, 0: the kernel; the group it came through, or 0 */
	u32 pid, uid, gid; /* who that is, for SO_PASSCRED */
	u32 len;
	u8 *data;
	bool rest; /* of a dump, behind its beginning: Linux makes it when there is room */
};

struct netlink_sock {
	struct sock sk;
	u32 portid; /* 0: not bound */
	u32 groups, groups_hi;
	bool grouped;            /* it was in some, once: the list of them has its length */
	u32 dst_pid, dst_groups; /* connect(2) */
	bool connected;
	u32 flags; /* 1 << NETLINK_* of options that are on */
	STAILQ_HEAD(, nl_packet) queue;
	u64 queued;                    /* bytes, without those that wait for room */
	u32 n_rest;                    /* packets that do */
	LIST_ENTRY(netlink_sock) link; /* bound ones; the port table's */
	bool linked;
};
OBJECT_DECL(netlink_sock);

/* netlink.c, for state.c. data is taken over. */
extern const struct sock_ops netlink_ops;
struct nl_packet *nl_packet_new(u8 *data, u32 len);
void nl_packet_free(struct nl_packet *p);
/* Takes p over. 0, -EAGAIN: there is no room. */
MUST_CHECK int nl_enqueue(struct netlink_sock *nl, struct nl_packet *p);
/* A dump's end was not read yet: there is no other beside it. */
static inline bool nl_dumping(const struct netlink_sock *nl)
{
	return READ_ONCE(nl->n_rest) > 0;
}
/* A packet enters the queue, or leaves it; sk.lock is held. */
void nl_append(struct netlink_sock *nl, struct nl_packet *p);
struct nl_packet *nl_take(struct netlink_sock *nl);
/* Who has the port id; the port table's lock is held. */
struct netlink_sock *nl_find_locked(struct inet_ns *ns, u16 protocol, u32 id);
/* cast.c: a program's message to whoever else has joined the lowest of the groups, which is the one
 * that counts; to one port id: -ECONNREFUSED. */
void nl_broadcast(struct netlink_sock *nl, struct ctx *c, u32 groups, const u8 *data, u32 len);
MUST_CHECK int nl_unicast(struct netlink_sock *nl, struct ctx *c, u32 pid, const u8 *data, u32 len);
/* Gives its port id back. */
void nl_leave(struct netlink_sock *nl);
/* state.c */
bool nl_known_protocol(int protocol);

/* rtnetlink.c: answers one request with whole messages. Dumps (*ret_done) end with NLMSG_DONE,
 * which the caller adds. 0, or -errno to report. */
int rtnetlink_request(struct netlink_sock *nl, struct ctx *c, const struct nlmsghdr *h,
                      struct nl_reply *out, bool *ret_done);

/* sock_diag.c: the same for NETLINK_SOCK_DIAG, as ss asks it (sock_diag(7)). */
int sock_diag_request(struct netlink_sock *nl, struct ctx *c, const struct nlmsghdr *h,
                      struct nl_reply *out, bool *ret_done);
/* tell.c: from the kernel, to a netlink socket: also when its queue is full, for who says it has
 * counted on the room. Holds no lock of RANK_SOCK or lower. */
void netlink_tell(struct sock *sk, const void *data, u32 len);
/* Its reader keeps up: more may be promised to it. */
bool netlink_has_room(struct sock *sk);
/* list.c: /proc/net/netlink, a line per socket. */
void netlink_list(struct netns *ns, void (*fn)(const char *line, void *arg), void *arg);

/* The kernel tells a group something, and with echo who asked for it, in the group or not. Takes
 * the bytes of r over. */
void nl_tell(struct netns *ns, u16 protocol, u32 group, struct nl_reply *r,
             struct netlink_sock *echo);

/* Building. nl_begin: a message; the offset of its header, for nl_end. */
u32 nl_begin(struct nl_reply *r, const struct nlmsghdr *req, u32 portid, u16 type, u16 flags);
void nl_end(struct nl_reply *r, u32 at);
void *nl_put(struct nl_reply *r, u32 size);
void nl_attr(struct nl_reply *r, u16 type, const void *data, u32 len);
static inline void nl_attr_u32(struct nl_reply *r, u16 type, u32 v)
{
	nl_attr(r, type, &v, sizeof(v));
}
static inline void nl_attr_u8(struct nl_reply *r, u16 type, u8 v)
{
	nl_attr(r, type, &v, sizeof(v));
}
