/* Sockets: connected AF_UNIX stream pairs; other families are refused as a kernel without them
 * would. */
#include "sentry/fs/sockpair.h"
#include "sentry/syscall/sysarg.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/inode.h"
#include "state/base/cleanup.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

SYSCALL3(socket, int, domain, int, type, int, protocol)
{
	return -EAFNOSUPPORT;
}

SYSCALL4(socketpair, int, domain, int, type, int, protocol, uaddr_t, ufds)
{
	struct file *ends[2];
	u32 flags = (u32)type & ~0xfu;
	int fds[2], r;

	if (flags & ~(u32)(SOCK_CLOEXEC | SOCK_NONBLOCK))
		return -EINVAL;
	if (domain != AF_UNIX)
		return -EAFNOSUPPORT;
	if ((type & 0xf) != SOCK_STREAM)
		return -ESOCKTNOSUPPORT;
	if (protocol != 0 && protocol != AF_UNIX)
		return -EPROTONOSUPPORT;
	r = sockpair_create(&t->ctx, flags & SOCK_NONBLOCK ? O_NONBLOCK : 0, ends);
	if (r < 0)
		return r;
	r = fd_install_pair(&t->ctx, ends[0], ends[1], (flags & SOCK_CLOEXEC) != 0, fds);
	obj_put(ends[0]);
	obj_put(ends[1]);
	if (r == 0)
		r = user_put(&t->ctx, ufds, &fds);
	return r;
}

static int get_socket(struct task *t, int fd, struct file **ret_file, struct sockpair **ret)
{
	int r = fd_get(&t->ctx, fd, ret_file);

	if (r < 0)
		return r;
	*ret = obj_cast(sockpair, *ret_file);
	return *ret ? 0 : -ENOTSOCK;
}

SYSCALL2(shutdown, int, fd, int, how)
{
	AUTO(file) f = NULL;
	struct sockpair *s;
	int r = get_socket(t, fd, &f, &s);

	return r < 0 ? r : sockpair_shutdown(s, how);
}

static long send_to(struct task *t, int fd, struct uiter *src, int flags, bool has_addr)
{
	AUTO(file) f = NULL;
	struct sockpair *s;
	int r = get_socket(t, fd, &f, &s);

	if (r < 0)
		return r;
	if (flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (has_addr)
		return -EISCONN;
	return sockpair_send(s, &t->ctx, src, (flags & MSG_DONTWAIT) != 0,
	                     (flags & MSG_NOSIGNAL) != 0);
}

static long recv_from(struct task *t, int fd, struct uiter *dst, int flags)
{
	AUTO(file) f = NULL;
	struct sockpair *s;
	long r = get_socket(t, fd, &f, &s), done = 0;

	if (r < 0)
		return r;
	if (flags & (MSG_OOB | MSG_PEEK | MSG_TRUNC))
		return -EOPNOTSUPP;
	do {
		r = sockpair_recv(s, &t->ctx, dst, (flags & MSG_DONTWAIT) != 0);
		if (r > 0)
			done += r;
	} while ((flags & MSG_WAITALL) && r > 0 && uiter_count(dst) > 0);
	return done ? done : r;
}

SYSCALL6(sendto, int, fd, uaddr_t, buf, size_t, len, int, flags, uaddr_t, addr, int, addrlen)
{
	UITER(it);

	uiter_init(&it, &t->ctx, buf, len);
	return send_to(t, fd, &it, flags, !uaddr_null(addr));
}

SYSCALL6(recvfrom, int, fd, uaddr_t, buf, size_t, len, int, flags, uaddr_t, addr, uaddr_t, addrlen)
{
	UITER(it);
	long r;

	uiter_init(&it, &t->ctx, buf, len);
	r = recv_from(t, fd, &it, flags);
	/* The peer has no name. */
	if (r >= 0 && !uaddr_null(addr) && !uaddr_null(addrlen) &&
	    user_put_u32(&t->ctx, addrlen, 0) < 0)
		return -EFAULT;
	return r;
}

struct k_msghdr {
	u64 name;
	s32 namelen, pad;
	u64 iov, iovlen;
	u64 control, controllen;
	u32 flags, pad2;
};

SYSCALL3(sendmsg, int, fd, uaddr_t, umsg, int, flags)
{
	struct k_msghdr m;
	UITER(it);
	long r = user_get(&t->ctx, umsg, &m);

	if (r < 0)
		return r;
	/* Descriptors and credentials do not travel over these pairs. */
	if (m.controllen)
		return -EOPNOTSUPP;
	r = uiter_init_iov(&it, &t->ctx, UADDR(m.iov), m.iovlen);
	return r < 0 ? r : send_to(t, fd, &it, flags, m.name && m.namelen);
}

SYSCALL3(recvmsg, int, fd, uaddr_t, umsg, int, flags)
{
	struct k_msghdr m;
	UITER(it);
	long r = user_get(&t->ctx, umsg, &m);

	if (r < 0)
		return r;
	r = uiter_init_iov(&it, &t->ctx, UADDR(m.iov), m.iovlen);
	if (r == 0)
		r = recv_from(t, fd, &it, flags & ~MSG_CMSG_CLOEXEC);
	if (r < 0)
		return r;
	m.namelen = 0;
	m.controllen = 0;
	m.flags = 0;
	if (user_put(&t->ctx, umsg, &m) < 0)
		return -EFAULT;
	return r;
}

static long put_option(struct task *t, uaddr_t val, uaddr_t ulen, const void *p, u32 size)
{
	u32 len;
	int r = user_get_u32(&t->ctx, ulen, &len);

	if (r < 0)
		return r;
	if ((s32)len < 0)
		return -EINVAL;
	len = MIN(len, size);
	r = user_copy_out(&t->ctx, val, p, len);
	return r < 0 ? r : user_put_u32(&t->ctx, ulen, len);
}

SYSCALL5(getsockopt, int, fd, int, level, int, name, uaddr_t, val, uaddr_t, len)
{
	AUTO(file) f = NULL;
	struct sockpair *s;
	s32 v = 0;
	int r = get_socket(t, fd, &f, &s);

	if (r < 0)
		return r;
	if (level != SOL_SOCKET)
		return -EOPNOTSUPP;
	switch (name) {
	case SO_TYPE:
		v = SOCK_STREAM;
		break;
	case SO_DOMAIN:
		v = AF_UNIX;
		break;
	case SO_SNDBUF:
	case SO_RCVBUF:
		v = 65536;
		break;
	case SO_ERROR:
	case SO_PROTOCOL:
	case SO_ACCEPTCONN:
	case SO_REUSEADDR:
	case SO_KEEPALIVE:
	case SO_PASSCRED:
		break;
	default:
		return -ENOPROTOOPT;
	}
	return put_option(t, val, len, &v, sizeof(v));
}

SYSCALL5(setsockopt, int, fd, int, level, int, name, uaddr_t, val, u32, len)
{
	AUTO(file) f = NULL;
	struct sockpair *s;
	int r = get_socket(t, fd, &f, &s);

	if (r < 0)
		return r;
	if (level != SOL_SOCKET)
		return -EOPNOTSUPP;
	/* Hints that change nothing about bytes in memory. */
	if (name != SO_SNDBUF && name != SO_RCVBUF && name != SO_REUSEADDR && name != SO_KEEPALIVE)
		return -ENOPROTOOPT;
	return len < sizeof(int) ? -EINVAL : 0;
}

static long put_unnamed(struct task *t, int fd, uaddr_t addr, uaddr_t ulen)
{
	AUTO(file) f = NULL;
	struct sockpair *s;
	u16 family = AF_UNIX;
	int r = get_socket(t, fd, &f, &s);

	if (r == 0)
		r = (int)put_option(t, addr, ulen, &family, sizeof(family));
	/* The length is that of the address, however little of it there was room for. */
	return r < 0 ? r : user_put_u32(&t->ctx, ulen, sizeof(family));
}

SYSCALL3(getsockname, int, fd, uaddr_t, addr, uaddr_t, len)
{
	return put_unnamed(t, fd, addr, len);
}

SYSCALL3(getpeername, int, fd, uaddr_t, addr, uaddr_t, len)
{
	return put_unnamed(t, fd, addr, len);
}
