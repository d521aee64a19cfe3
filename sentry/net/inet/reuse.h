#pragma once
/*
 * Groups of SO_REUSEPORT: sockets of one user at one address and port, and the program that says
 * which of them gets a packet (socket(7): SO_ATTACH_REUSEPORT_CBPF). A datagram socket is in one
 * from bind(2) on, a stream from listen(2) on; one that has a program before that waits in a group
 * of its own.
 *
 * Locking: the port table's lock, for writing where a group changes. Lifetime: refcounted, owned by
 * its sockets; it does not own them. Saved: with the order of the sockets, which is what a
 * program's result counts.
 */
#include "sentry/net/inet/inet.h"

struct filter_packet;
struct sock_bpf;

struct reuse_group {
	struct obj obj;
	TAILQ_HEAD(reuse_socks, inet_sock) socks; /* not owned */
	struct sock_bpf *prog;                    /* owned; NULL: flows choose */
};
OBJECT_DECL(reuse_group);

/* Joins the group of who is in the table at the same address, or makes one. */
void reuse_join_locked(struct inet_ns *ns, struct inet_sock *is);
/* Not being in one is fine. */
void reuse_leave_locked(struct inet_sock *is);
/* Whom of best's group the program chooses for a packet; best if there is no program, or it
 * chooses nobody. */
struct inet_sock *reuse_pick_locked(struct inet_sock *best, const struct filter_packet *p);

/* SO_ATTACH_REUSEPORT_CBPF, SO_ATTACH_REUSEPORT_EBPF, SO_DETACH_REUSEPORT_BPF. */
static inline bool reuse_is_option(int level, int name)
{
	return level == SOL_SOCKET &&
	       (name == SO_ATTACH_REUSEPORT_CBPF || name == SO_ATTACH_REUSEPORT_EBPF ||
	        name == SO_DETACH_REUSEPORT_BPF);
}
MUST_CHECK int reuse_setsockopt(struct inet_sock *is, struct ctx *c, int name, uaddr_t val,
                                u32 len);
