/* The calls that move data through sockets. */
#include "sentry/syscall/sys_sock.h"

#include "sentry/kernel/kernel.h"
#include "sentry/net/inet/ports.h"
#include "state/base/cleanup.h"

#include <string.h>
#include <sys/socket.h>

#define UIO_MAX    1024u
#define MSG_COMPAT 0x80000000u /* MSG_CMSG_COMPAT: the kernel's own */
#define DONE_SHIFT 40          /* messages and bytes in one restart block */
#define DONE_BYTES ((1ull << DONE_SHIFT) - 1)

struct k_msghdr {
	u64 name;
	s32 namelen, pad;
	u64 iov, iovlen;
	u64 control, controllen;
	u32 flags, pad2;
};
struct k_mmsghdr {
	struct k_msghdr hdr;
	u32 len, pad;
};

/* A transfer that was interrupted: what its call returns, with msgs whole messages before it. */
static long interrupted(struct ctx *c, u64 msgs, u64 bytes, bool many, long r)
{
	if (!sock_interrupted(r) || (msgs == 0 && bytes == 0))
		return r;
	if (!many)
		return ctx_partial(c, bytes);
	/* A message of which a part went counts as sent if the call ends here. */
	return ctx_partial_as(c, msgs << DONE_SHIFT | bytes, msgs + (bytes > 0));
}

static u32 with_nonblock(const struct file *f, u32 flags)
{
	return file_nonblock(f) ? flags | MSG_DONTWAIT : flags;
}

/* The cursor goes past what earlier entries of the call moved. */
static u64 skip_done(struct uiter *it, u64 done)
{
	done = MIN(done, uiter_count(it));
	uiter_advance(it, done);
	return done;
}

SYSCALL6(sendto, int, fd, uaddr_t, buf, size_t, len, int, flags, uaddr_t, addr, int, addrlen)
{
	UITER(it);
	AUTO(file) f = NULL;
	struct sockmsg m = {.it = &it};
	struct sock *sk;
	long r;

	uiter_init(&it, &t->ctx, buf, len);
	r = sockfd_get(t, fd, &f, &sk);
	if (r == 0 && !uaddr_null(addr)) {
		r = sockaddr_get(&t->ctx, addr, addrlen, &m.name);
		m.name_len = (u32)addrlen;
	}
	if (r < 0)
		return r;
	m.flags = with_nonblock(f, (u32)flags & ~MSG_COMPAT);
	m.done = skip_done(&it, ctx_done(&t->ctx));
	r = sock_sendmsg(sk, &t->ctx, &m);
	return interrupted(&t->ctx, 0, m.done, false, r);
}

SYSCALL6(recvfrom, int, fd, uaddr_t, buf, size_t, len, int, flags, uaddr_t, addr, uaddr_t, addrlen)
{
	UITER(it);
	AUTO(file) f = NULL;
	struct sockmsg m = {.it = &it, .want_name = !uaddr_null(addr)};
	struct sock *sk;
	long r;

	uiter_init(&it, &t->ctx, buf, len);
	r = sockfd_get(t, fd, &f, &sk);
	if (r < 0)
		return r;
	m.flags = with_nonblock(f, (u32)flags & ~MSG_COMPAT);
	m.done = skip_done(&it, ctx_done(&t->ctx));
	r = interrupted(&t->ctx, 0, m.done, false, sock_recvmsg(sk, &t->ctx, &m));
	if (r >= 0 && m.want_name) {
		int e = sockaddr_put(&t->ctx, &m.name, m.name_len, addr, addrlen);

		if (e < 0)
			return e;
	}
	return r;
}

/* What both directions take from a msghdr. */
static int read_header(struct ctx *c, uaddr_t umsg, struct k_msghdr *ret, struct uiter *it)
{
	int r = user_get(c, umsg, ret);

	if (r < 0)
		return r;
	if (ret->namelen < 0)
		return -EINVAL;
	if (!ret->name)
		ret->namelen = 0;
	if (ret->namelen > (int)sizeof(struct sockaddr_storage))
		ret->namelen = sizeof(struct sockaddr_storage);
	if (ret->iovlen > UIO_MAX)
		return -EMSGSIZE;
	return uiter_init_iov(it, c, UADDR(ret->iov), ret->iovlen);
}

/* What a program may hand over, within what the sentry can hold. */
static u64 optmem_max(struct ctx *c)
{
	return MIN((u64)net_setting_get(c->kernel->netns->inet, NET_OPTMEM_MAX), 16 * MIB);
}

static int read_control(struct ctx *c, const struct k_msghdr *h, u8 **ret)
{
	u8 *p;
	int r;

	if (h->controllen > INT32_MAX)
		return -ENOBUFS;
	if (h->controllen == 0)
		return 0;
	if (h->controllen > optmem_max(c))
		return -ENOBUFS;
	p = malloc(h->controllen);
	if (!p)
		return -ENOBUFS;
	r = user_copy_in(c, p, UADDR(h->control), h->controllen);
	if (r < 0)
		free(p);
	else
		*ret = p;
	return r;
}

/* One message. *done: bytes of it that earlier entries sent; what is sent by now. */
static long send_one(struct sock *sk, struct file *f, struct ctx *c, uaddr_t umsg, u32 flags,
                     u64 *done)
{
	UITER(it);
	AUTO_FREE u8 *control = NULL;
	struct sockmsg m = {.it = &it};
	struct k_msghdr h;
	long r = read_header(c, umsg, &h, &it);

	if (r == 0 && h.namelen > 0) {
		r = sockaddr_get(c, UADDR(h.name), h.namelen, &m.name);
		m.name_len = (u32)h.namelen;
	}
	if (r == 0)
		r = read_control(c, &h, &control);
	if (r < 0)
		return r;
	m.control_in = control;
	m.control_in_len = control ? (u32)h.controllen : 0;
	m.flags = with_nonblock(f, flags);
	m.done = skip_done(&it, *done);
	r = sock_sendmsg(sk, c, &m);
	*done = m.done;
	return r;
}

SYSCALL3(sendmsg, int, fd, uaddr_t, umsg, int, flags)
{
	AUTO(file) f = NULL;
	struct sock *sk;
	u64 done = ctx_done(&t->ctx);
	long r;

	if ((u32)flags & MSG_COMPAT)
		return -EINVAL;
	r = sockfd_get(t, fd, &f, &sk);
	if (r == 0)
		r = send_one(sk, f, &t->ctx, umsg, (u32)flags, &done);
	return interrupted(&t->ctx, 0, done, false, r);
}

SYSCALL4(sendmmsg, int, fd, uaddr_t, vec, u32, vlen, int, flags)
{
	struct ctx *c = &t->ctx;
	AUTO(file) f = NULL;
	struct sock *sk;
	u64 i = ctx_done(c) >> DONE_SHIFT, done = ctx_done(c) & DONE_BYTES;
	long r;

	if ((u32)flags & MSG_COMPAT)
		return -EINVAL;
	vlen = MIN(vlen, UIO_MAX);
	r = sockfd_get(t, fd, &f, &sk);
	if (r < 0)
		return r;
	for (; i < vlen; i++, done = 0) {
		uaddr_t at = uaddr_add(vec, i * sizeof(struct k_mmsghdr));

		r = send_one(sk, f, c, at, (u32)flags, &done);
		if (r < 0)
			break;
		r = user_put_u32(c, uaddr_add(at, offsetof(struct k_mmsghdr, len)), (u32)r);
		if (r < 0)
			break;
	}
	if (sock_interrupted(r))
		return interrupted(c, i, done, true, r);
	return i > 0 ? (long)i : r;
}

/* One message, received. *done as for send_one. */
static long recv_one(struct sock *sk, struct file *f, struct ctx *c, uaddr_t umsg, u32 flags,
                     u64 *done)
{
	UITER(it);
	struct sockmsg m = {.it = &it};
	struct k_msghdr h;
	u64 used;
	long r = read_header(c, umsg, &h, &it);

	if (r < 0)
		return r;
	m.want_name = h.name != 0;
	m.control = UADDR(h.control);
	m.control_len = h.controllen;
	m.flags = with_nonblock(f, flags);
	m.out_flags = flags & MSG_CMSG_CLOEXEC;
	m.done = skip_done(&it, *done);
	r = sock_recvmsg(sk, c, &m);
	*done = m.done;
	if (r < 0)
		return r;
	if (h.name) {
		int e = sockaddr_put(c, &m.name, m.name_len, UADDR(h.name),
		                     uaddr_add(umsg, offsetof(struct k_msghdr, namelen)));

		if (e < 0)
			return e;
	}
	used = h.controllen - m.control_len;
	if (user_put_u32(c, uaddr_add(umsg, offsetof(struct k_msghdr, flags)), m.out_flags) < 0 ||
	    user_put_u64(c, uaddr_add(umsg, offsetof(struct k_msghdr, controllen)), used) < 0)
		return -EFAULT;
	return r;
}

SYSCALL3(recvmsg, int, fd, uaddr_t, umsg, int, flags)
{
	AUTO(file) f = NULL;
	struct sock *sk;
	u64 done = ctx_done(&t->ctx);
	long r;

	if ((u32)flags & MSG_COMPAT)
		return -EINVAL;
	r = sockfd_get(t, fd, &f, &sk);
	if (r == 0)
		r = recv_one(sk, f, &t->ctx, umsg, (u32)flags, &done);
	return interrupted(&t->ctx, 0, done, false, r);
}

static int read_timeout(struct ctx *c, uaddr_t ut, struct deadline *ret)
{
	struct timespec ts;
	int r;

	*ret = NEVER;
	if (uaddr_null(ut))
		return 0;
	r = user_get(c, ut, &ts);
	if (r == 0 && !timespec_valid(&ts))
		r = -EINVAL;
	if (r == 0)
		*ret = deadline_in(c->clocks, timespec_ns(&ts));
	return r;
}

/* What is left of the timeout goes back to the caller. */
static int write_timeout(struct ctx *c, uaddr_t ut, struct deadline d)
{
	struct timespec ts;

	if (uaddr_null(ut) || d.ns == DEADLINE_NEVER)
		return 0;
	ts = ns_timespec(MAX(d.ns - clock_now(c->clocks, d.clock), (s64)0));
	return user_put(c, ut, &ts);
}

SYSCALL5(recvmmsg, int, fd, uaddr_t, vec, u32, vlen, u32, flags, uaddr_t, utimeout)
{
	struct ctx *c = &t->ctx;
	AUTO(file) f = NULL;
	struct deadline d;
	struct sock *sk;
	u64 i = ctx_done(c) >> DONE_SHIFT, done = ctx_done(c) & DONE_BYTES;
	long r;

	if (flags & MSG_COMPAT)
		return -EINVAL;
	r = read_timeout(c, utimeout, &d);
	if (r == 0)
		r = sockfd_get(t, fd, &f, &sk);
	if (r == 0 && i == 0 && done == 0)
		r = sock_take_error(sk);
	if (r < 0)
		return r;
	while (i < vlen) {
		uaddr_t at = uaddr_add(vec, i * sizeof(struct k_mmsghdr));
		u32 fl = flags & ~(u32)MSG_WAITFORONE;

		if (i > 0 && (flags & MSG_WAITFORONE))
			fl |= MSG_DONTWAIT;
		r = recv_one(sk, f, c, at, fl, &done);
		if (r >= 0)
			r = user_put_u32(c, uaddr_add(at, offsetof(struct k_mmsghdr, len)), (u32)r);
		if (r < 0)
			break;
		i++;
		done = 0;
		if (!uaddr_null(utimeout) && deadline_passed(c->clocks, d))
			break;
	}
	if (write_timeout(c, utimeout, d) < 0)
		return -EFAULT;
	if (sock_interrupted(r))
		return interrupted(c, i, done, true, r);
	/* An error after some messages waits for the next call. */
	if (i > 0 && r < 0 && r != -EAGAIN)
		atomic_store(&sk->err, (s32)-r);
	return i > 0 ? (long)i : r;
}
