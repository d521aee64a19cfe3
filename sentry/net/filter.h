#pragma once
/*
 * Filters of sockets (socket(7): SO_ATTACH_FILTER, SO_LOCK_FILTER): classic BPF that says of a
 * packet how much of it the socket gets.
 *
 * Locking: sk->filter is changed under sk->lock; filter_run wants it held. A program is immutable.
 * Lifetime: refcounted; a socket that is accepted shares its listener's.
 * Saved: as its instructions, checked again when loaded.
 */
#include "sentry/net/cbpf.h"
#include "sentry/net/socket.h"

struct sock_bpf {
	struct obj obj;
	struct sock_filter *insns; /* owned */
	u32 n_insns;
};
OBJECT_DECL(sock_bpf);

/* A packet as programs see it: bytes from the network header on, and where they start reading. */
struct filter_packet {
	const u8 *bytes;
	u32 len;
	u32 start;     /* offset of what a load at 0 reads */
	u16 protocol;  /* SKF_AD_PROTOCOL: an Ethernet type, or the protocol of AF_NETLINK */
	u8 kind;       /* SKF_AD_PKTTYPE */
	bool has_link; /* bytes begin with an Ethernet header */
};

/* How many bytes from start on sk takes, at most all of them; 0: none, the packet is dropped. All
 * without a filter. sk->lock is held. */
u32 filter_run(const struct sock *sk, const struct filter_packet *p);
/* The same of a program by itself: *ret is what it says. false: it ended without. */
MUST_CHECK bool filter_run_program(const struct sock_bpf *f, const struct filter_packet *p,
                                   u32 *ret);
static inline bool filter_there(const struct sock *sk)
{
	return READ_ONCE(sk->filter) != NULL;
}

/* SO_ATTACH_FILTER, SO_ATTACH_BPF, SO_DETACH_FILTER, SO_LOCK_FILTER. */
MUST_CHECK int filter_setsockopt(struct sock *sk, struct ctx *c, int name, uaddr_t val, u32 len);
/* A program that is given as SO_ATTACH_FILTER is; sk may be locked against any: -EPERM. */
MUST_CHECK int filter_program(struct sock *sk, struct ctx *c, uaddr_t val, u32 len,
                              struct sock_bpf **ret);
/* The errno of an option that wants a program of bpf(2), of which there are none. */
MUST_CHECK int filter_no_program(struct sock *sk, struct ctx *c, uaddr_t val, u32 len);
/* SO_GET_FILTER. */
MUST_CHECK int filter_getsockopt(struct sock *sk, struct ctx *c, uaddr_t val, uaddr_t len);
