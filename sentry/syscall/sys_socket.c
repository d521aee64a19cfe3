/* socket(2) and its kin, but for the calls that move data. */
#include "sentry/syscall/sys_sock.h"
#include "sentry/vfs/fd_table.h"
#include "state/base/cleanup.h"

#include <string.h>
#include <sys/socket.h>

int sockfd_get(struct task *t, int fd, struct file **ret_file, struct sock **ret)
{
	int r = fd_get(&t->ctx, fd, ret_file);

	if (r < 0)
		return r;
	*ret = sock_of(*ret_file);
	return *ret ? 0 : -ENOTSOCK;
}

int sockaddr_get(struct ctx *c, uaddr_t addr, int len, struct sockaddr_storage *ret)
{
	if (len < 0 || (size_t)len > sizeof(*ret))
		return -EINVAL;
	memset(ret, 0, sizeof(*ret));
	return len == 0 ? 0 : user_copy_in(c, ret, addr, (size_t)len);
}

int sockaddr_put(struct ctx *c, const struct sockaddr_storage *a, u32 len, uaddr_t addr,
                 uaddr_t ulen)
{
	u32 room, n;
	int r = user_get_u32(c, ulen, &room);

	if (r < 0)
		return r;
	if ((s32)room < 0)
		return -EINVAL;
	n = MIN(MIN(room, len), (u32)sizeof(*a));
	if (n > 0)
		r = user_copy_out(c, addr, a, n);
	/* The length is that of the address, however little of it there was room for. */
	return r < 0 ? r : user_put_u32(c, ulen, len);
}

static int type_flags(int type, u32 *ret_flags, bool *ret_cloexec)
{
	u32 flags = (u32)type & ~0xfu;

	if (flags & ~(u32)(SOCK_CLOEXEC | SOCK_NONBLOCK))
		return -EINVAL;
	*ret_flags = flags & SOCK_NONBLOCK ? O_NONBLOCK : 0;
	*ret_cloexec = (flags & SOCK_CLOEXEC) != 0;
	return 0;
}

SYSCALL3(socket, int, domain, int, type, int, protocol)
{
	AUTO(file) f = NULL;
	bool cloexec;
	u32 flags;
	int r = type_flags(type, &flags, &cloexec);

	if (r == 0)
		r = socket_create(&t->ctx, domain, type & 0xf, protocol, flags, &f);
	return r < 0 ? r : fd_install(&t->ctx, f, 0, cloexec);
}

SYSCALL4(socketpair, int, domain, int, type, int, protocol, uaddr_t, ufds)
{
	struct file *ends[2];
	int fds[2], r;
	bool cloexec;
	u32 flags;

	r = type_flags(type, &flags, &cloexec);
	if (r == 0)
		r = socket_pair(&t->ctx, domain, type & 0xf, protocol, flags, ends);
	if (r < 0)
		return r;
	r = fd_install_pair(&t->ctx, ends[0], ends[1], cloexec, fds);
	file_put(ends[0]);
	file_put(ends[1]);
	if (r < 0)
		return r;
	r = user_put(&t->ctx, ufds, &fds);
	for (int i = 0; r < 0 && i < 2; i++)
		if (fd_close(&t->ctx, fds[i]) < 0)
			continue;
	return r;
}

SYSCALL3(bind, int, fd, uaddr_t, addr, int, len)
{
	struct sockaddr_storage a;
	AUTO(file) f = NULL;
	struct sock *sk;
	int r = sockfd_get(t, fd, &f, &sk);

	if (r == 0)
		r = sockaddr_get(&t->ctx, addr, len, &a);
	if (r < 0)
		return r;
	return sock_ops_of(sk)->bind ? sock_ops_of(sk)->bind(sk, &t->ctx, &a, (u32)len)
	                             : -EOPNOTSUPP;
}

SYSCALL3(connect, int, fd, uaddr_t, addr, int, len)
{
	struct sockaddr_storage a;
	AUTO(file) f = NULL;
	struct sock *sk;
	int r = sockfd_get(t, fd, &f, &sk);

	if (r == 0)
		r = sockaddr_get(&t->ctx, addr, len, &a);
	if (r < 0)
		return r;
	return sock_ops_of(sk)->connect
	               ? sock_ops_of(sk)->connect(sk, &t->ctx, &a, (u32)len, file_nonblock(f))
	               : -EOPNOTSUPP;
}

SYSCALL2(listen, int, fd, int, backlog)
{
	AUTO(file) f = NULL;
	struct sock *sk;
	int r = sockfd_get(t, fd, &f, &sk);

	if (r < 0)
		return r;
	return sock_ops_of(sk)->listen ? sock_ops_of(sk)->listen(sk, &t->ctx, backlog)
	                               : -EOPNOTSUPP;
}

static long do_accept(struct task *t, int fd, uaddr_t addr, uaddr_t ulen, int flags)
{
	struct sockaddr_storage a = {0};
	AUTO(file) f = NULL;
	AUTO(file) conn = NULL;
	const struct sock_ops *ops;
	struct ctx *c = &t->ctx;
	struct sock *sk, *n;
	u32 len = 0;
	int r;

	if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK))
		return -EINVAL;
	r = sockfd_get(t, fd, &f, &sk);
	if (r < 0)
		return r;
	ops = sock_ops_of(sk);
	/* As Linux: a descriptor must be free before anybody is taken off the queue. */
	if (fd_table_full(c))
		return -EMFILE;
	if (!ops->accept)
		return -EOPNOTSUPP;
	r = ops->accept(sk, c, file_nonblock(f), &n);
	if (r < 0)
		return r;
	/* Before it has a file: the peer is told even if it is gone by now. */
	if (!uaddr_null(addr))
		r = ops->getname(n, c, true, &a, &len);
	conn = socket_file_new(c, n, flags & SOCK_NONBLOCK ? O_NONBLOCK : 0);
	if (!uaddr_null(addr)) {
		if (r < 0)
			return -ECONNABORTED;
		r = sockaddr_put(c, &a, len, addr, ulen);
		if (r < 0)
			return r;
	}
	return fd_install(c, conn, 0, (flags & SOCK_CLOEXEC) != 0);
}

SYSCALL3(accept, int, fd, uaddr_t, addr, uaddr_t, len)
{
	return do_accept(t, fd, addr, len, 0);
}

SYSCALL4(accept4, int, fd, uaddr_t, addr, uaddr_t, len, int, flags)
{
	return do_accept(t, fd, addr, len, flags);
}

SYSCALL2(shutdown, int, fd, int, how)
{
	AUTO(file) f = NULL;
	struct sock *sk;
	int r = sockfd_get(t, fd, &f, &sk);

	if (r < 0)
		return r;
	if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
		return -EINVAL;
	return sock_ops_of(sk)->shutdown ? sock_ops_of(sk)->shutdown(sk, &t->ctx, how)
	                                 : -EOPNOTSUPP;
}

static long put_name(struct task *t, int fd, uaddr_t addr, uaddr_t ulen, bool peer)
{
	struct sockaddr_storage a = {0};
	AUTO(file) f = NULL;
	struct sock *sk;
	u32 len = 0;
	int r = sockfd_get(t, fd, &f, &sk);

	if (r == 0)
		r = sock_ops_of(sk)->getname ? sock_ops_of(sk)->getname(sk, &t->ctx, peer, &a, &len)
		                             : -EOPNOTSUPP;
	return r < 0 ? r : sockaddr_put(&t->ctx, &a, len, addr, ulen);
}

SYSCALL3(getsockname, int, fd, uaddr_t, addr, uaddr_t, len)
{
	return put_name(t, fd, addr, len, false);
}

SYSCALL3(getpeername, int, fd, uaddr_t, addr, uaddr_t, len)
{
	return put_name(t, fd, addr, len, true);
}

SYSCALL5(getsockopt, int, fd, int, level, int, name, uaddr_t, val, uaddr_t, len)
{
	AUTO(file) f = NULL;
	struct sock *sk;
	int r = sockfd_get(t, fd, &f, &sk);

	return r < 0 ? r : sock_getsockopt(sk, &t->ctx, level, name, val, len);
}

SYSCALL5(setsockopt, int, fd, int, level, int, name, uaddr_t, val, u32, len)
{
	AUTO(file) f = NULL;
	struct sock *sk;
	int r = sockfd_get(t, fd, &f, &sk);

	return r < 0 ? r : sock_setsockopt(sk, &t->ctx, level, name, val, len);
}
