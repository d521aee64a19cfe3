#pragma once
/*
 * One message on its way between the guest and a socket: what sendmsg(2) and recvmsg(2) carry, in
 * kernel form. Families read and fill it; sentry/syscall decodes and encodes it.
 *
 * Locking: the caller's alone; no lock is held around sockmsg_put_* (they copy to the guest).
 * Lifetime: the call's stack. Saved: never; a call that is interrupted starts again.
 */
#include "sentry/net/socket.h"

struct sockmsg {
	/* The bytes: a source for sends, a destination for receives. Never NULL. */
	struct uiter *it;
	/*
	 * MSG_*; MSG_DONTWAIT is set for non-blocking files too. MSG_CMSG_CLOEXEC as given. */
	u32 flags;
	u32 out_flags; /* receive: MSG_TRUNC, MSG_CTRUNC, MSG_EOR, MSG_OOB */
	/*
	 * Bytes of this message that earlier entries of the call moved: the cursor is past them.
	 * An op that is interrupted (sock_interrupted) leaves here what is moved by then in all;
	 * whether the guest sees that, or the call goes on later, is its caller's business. All
	 * other returns are the total, or an error if that is 0.
	 */
	u64 done;
	/* Send: where to (name_len 0: no address). Receive: the sender, filled by the op. */
	struct sockaddr_storage name;
	u32 name_len;
	bool want_name; /* receive: somebody will look at name */
	/* Send: control data as given, copied (bounded by SOCK_OPTMEM_MAX). Receive: NULL. */
	const u8 *control_in;
	u32 control_in_len;
	/* Receive: guest memory for control data; what is used up is taken off. */
	uaddr_t control;
	u64 control_len;
};

/* Walks control_in: the next whole cmsg at or after *off (start with 0). 1 and *ret, 0 at the end,
 * -EINVAL for a broken one. The data is (const u8 *)*ret + sizeof(struct cmsghdr). */
MUST_CHECK int sockmsg_next(const struct sockmsg *m, u32 *off, const struct cmsghdr **ret);
/* A control message of SOL_SOCKET with a send: 0 if there may be such a one. -EPERM, -EINVAL. */
MUST_CHECK int sockmsg_common(const struct sock *sk, struct ctx *c, const struct cmsghdr *h);
static inline size_t cmsg_data_len(const struct cmsghdr *h)
{
	return h->cmsg_len - CMSG_LEN(0);
}
static inline const void *cmsg_data(const struct cmsghdr *h)
{
	return CMSG_DATA((struct cmsghdr *)(uintptr_t)h);
}

/* Receive: gives the guest one control message; MSG_CTRUNC in out_flags if it does not fit. A
 * control buffer that is no memory counts as full, as in Linux. */
void sockmsg_put(struct sockmsg *m, struct ctx *c, int level, int type, const void *data,
                 size_t len);
/* The same for n files, which get descriptors of the caller; those that do not fit are dropped. The
 * caller keeps its references. */
void sockmsg_put_files(struct sockmsg *m, struct ctx *c, struct file *const *files, unsigned n);
/* Does sk want to know when something came? */
static inline bool sock_wants_stamp(const struct sock *sk)
{
	return sk->opts.timestamp || sk->opts.tsflags;
}
/* The time in the forms that sk wants; ns is guest realtime, 0: now. */
void sockmsg_put_timestamp(struct sockmsg *m, struct ctx *c, const struct sock *sk, s64 ns);
/* Guest realtime now, to note with what is queued. */
s64 sock_now(struct ctx *c);
