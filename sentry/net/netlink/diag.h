#pragma once
/*
 * NETLINK_SOCK_DIAG: what its parts share.
 *
 * Locking: as each dump says. Lifetime: one request's. Saved: nothing here has state.
 */
#include "sentry/net/netlink/netlink.h"

struct diag_request {
	struct netlink_sock *nl;
	const struct nlmsghdr *h;
	struct nl_reply *out;
	bool dump;
};

static inline u32 diag_begin(struct diag_request *q, u16 type)
{
	return nl_begin(q->out, q->h, q->nl->portid, type, q->dump ? NLM_F_MULTI : 0);
}
/* A cookie names one socket for good: here by the inode of its file. */
static inline void diag_cookie(const struct sock *sk, u32 ret[2])
{
	ret[0] = (u32)sk->ino;
	ret[1] = (u32)(sk->ino >> 32);
}
void diag_skmeminfo(struct diag_request *q, struct sock *sk, u16 type);

/* inet_diag.c: TCP and UDP of both families. 0, -errno. */
MUST_CHECK int inet_diag(struct diag_request *q);
