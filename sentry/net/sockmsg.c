/* Control messages, to and from the guest. */
#include "sentry/net/sockmsg.h"

#include "sentry/auth/creds.h"
#include "sentry/net/sockopts.h"
#include "sentry/vfs/fd_table.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/net_tstamp.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

int sockmsg_next(const struct sockmsg *m, u32 *off, const struct cmsghdr **ret)
{
	const struct cmsghdr *h;
	u32 left = *off < m->control_in_len ? m->control_in_len - *off : 0;

	if (left < sizeof(*h))
		return 0;
	h = (const struct cmsghdr *)(const void *)(m->control_in + *off);
	if (h->cmsg_len < sizeof(*h) || h->cmsg_len > left)
		return -EINVAL;
	*off += (u32)MIN((size_t)left, CMSG_ALIGN(h->cmsg_len));
	*ret = h;
	return 1;
}

int sockmsg_common(const struct sock *sk, struct ctx *c, const struct cmsghdr *h)
{
	switch (h->cmsg_type) {
	case SO_MARK: /* nobody routes by it */
		if (!creds_capable(c->creds, CAP_NET_RAW) &&
		    !creds_capable(c->creds, CAP_NET_ADMIN))
			return -EPERM;
		return h->cmsg_len == CMSG_LEN(sizeof(u32)) ? 0 : -EINVAL;
	case SO_TXTIME: /* nothing is sent later than now */
		return sk->opts.txtime && h->cmsg_len == CMSG_LEN(sizeof(u64)) ? 0 : -EINVAL;
	case SCM_RIGHTS: /* what AF_UNIX understands is no fault elsewhere */
	case SCM_CREDENTIALS:
		return 0;
	default:
		return -EINVAL;
	}
}

void sockmsg_put(struct sockmsg *m, struct ctx *c, int level, int type, const void *data,
                 size_t len)
{
	struct cmsghdr h = {.cmsg_len = CMSG_LEN(len), .cmsg_level = level, .cmsg_type = type};

	if (uaddr_null(m->control) || m->control_len < sizeof(h)) {
		m->out_flags |= MSG_CTRUNC;
		return;
	}
	if (m->control_len < h.cmsg_len) {
		m->out_flags |= MSG_CTRUNC;
		h.cmsg_len = m->control_len;
	}
	if (user_put(c, m->control, &h) < 0 || user_copy_out(c, uaddr_add(m->control, CMSG_LEN(0)),
	                                                     data, h.cmsg_len - CMSG_LEN(0)) < 0)
		return;
	len = MIN(CMSG_SPACE(len), m->control_len);
	m->control = uaddr_add(m->control, len);
	m->control_len -= len;
}

void sockmsg_put_files(struct sockmsg *m, struct ctx *c, struct file *const *files, unsigned n)
{
	bool cloexec = (m->flags & MSG_CMSG_CLOEXEC) != 0;
	struct cmsghdr h = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
	unsigned room = 0, i;

	if (!uaddr_null(m->control) && m->control_len > sizeof(h))
		room = (unsigned)MIN((m->control_len - sizeof(h)) / sizeof(int), (u64)n);
	for (i = 0; i < room; i++) {
		int fd = fd_install(c, files[i], 0, cloexec);

		if (fd < 0)
			break;
		if (user_put_u32(c, uaddr_add(m->control, CMSG_LEN(i * sizeof(int))), (u32)fd) <
		    0) {
			if (fd_close(c, fd) < 0)
				break;
			break;
		}
	}
	if (i > 0) {
		u64 used = MIN((u64)CMSG_SPACE(i * sizeof(int)), m->control_len);

		h.cmsg_len = CMSG_LEN(i * sizeof(int));
		if (user_put(c, m->control, &h) == 0) {
			m->control = uaddr_add(m->control, used);
			m->control_len -= used;
		}
	}
	if (i < n)
		m->out_flags |= MSG_CTRUNC;
}

s64 sock_now(struct ctx *c)
{
	return clock_real(c->clocks);
}

void sockmsg_put_timestamp(struct sockmsg *m, struct ctx *c, const struct sock *sk, s64 ns)
{
	const struct sock_opts *o = &sk->opts;
	struct timespec ts[3] = {{0}};
	struct timeval tv;

	if (!sock_wants_stamp(sk))
		return;
	if (ns == 0)
		ns = sock_now(c);
	ts[0] = ns_timespec(ns);
	tv = (struct timeval){ns / NSEC_PER_SEC, ns % NSEC_PER_SEC / 1000};
	if (o->timestamp == SO_TIMESTAMP || o->timestamp == SO_TIMESTAMP_NEW)
		sockmsg_put(m, c, SOL_SOCKET, o->timestamp, &tv, sizeof(tv));
	else if (o->timestamp)
		sockmsg_put(m, c, SOL_SOCKET, o->timestamp, ts, sizeof(ts[0]));
	if (o->tsflags & SOF_TIMESTAMPING_SOFTWARE)
		sockmsg_put(m, c, SOL_SOCKET, SCM_TIMESTAMPING, ts, sizeof(ts));
}
