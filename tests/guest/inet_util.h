#pragma once
/*
 * What the programs about Internet sockets share: loopback addresses, connected pairs.
 *
 * Locking, lifetime, saved: plain functions.
 */
#include "tests/guest/guest_test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

struct inet_any {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_storage ss;
	} u;
	socklen_t len;
};

static inline struct inet_any inet_loop(int family, unsigned port)
{
	struct inet_any a = {0};

	if (family == AF_INET) {
		a.u.in.sin_family = AF_INET;
		a.u.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		a.u.in.sin_port = htons((uint16_t)port);
		a.len = sizeof(a.u.in);
	} else {
		a.u.in6.sin6_family = AF_INET6;
		a.u.in6.sin6_addr = in6addr_loopback;
		a.u.in6.sin6_port = htons((uint16_t)port);
		a.len = sizeof(a.u.in6);
	}
	return a;
}

static inline struct inet_any inet_name(int fd)
{
	struct inet_any a = {.len = sizeof(a.u)};

	ASSERT_OK(getsockname(fd, &a.u.sa, &a.len));
	return a;
}

static inline struct inet_any inet_peer(int fd)
{
	struct inet_any a = {.len = sizeof(a.u)};

	ASSERT_OK(getpeername(fd, &a.u.sa, &a.len));
	return a;
}

static inline unsigned inet_port(const struct inet_any *a)
{
	return ntohs(a->u.sa.sa_family == AF_INET ? a->u.in.sin_port : a->u.in6.sin6_port);
}

/* A socket bound to a free port of the loopback address. */
static inline int inet_bound(int family, int type)
{
	struct inet_any a = inet_loop(family, 0);
	int fd = ASSERT_OK(socket(family, type | SOCK_CLOEXEC, 0));

	ASSERT_OK(bind(fd, &a.u.sa, a.len));
	return fd;
}

static inline int inet_listener(int family, int backlog)
{
	int fd = inet_bound(family, SOCK_STREAM);

	ASSERT_OK(listen(fd, backlog));
	return fd;
}

static inline int inet_connected(int listener)
{
	struct inet_any a = inet_name(listener);
	int fd = ASSERT_OK(socket(a.u.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));

	ASSERT_OK(connect(fd, &a.u.sa, a.len));
	return fd;
}

/* fds[0] connected, fds[1] was accepted. */
static inline void inet_pair(int family, int fds[2])
{
	int l = inet_listener(family, 4);

	fds[0] = inet_connected(l);
	fds[1] = ASSERT_OK(accept(l, NULL, NULL));
	close(l);
}

static inline int inet_getint(int fd, int level, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	ASSERT_OK(getsockopt(fd, level, name, &v, &len));
	return v;
}

static inline int inet_setint(int fd, int level, int name, int v)
{
	return setsockopt(fd, level, name, &v, sizeof(v));
}

/* What poll says now, or after up to a minute when any of want is to come. */
static inline int inet_poll(int fd, int want)
{
	struct pollfd p = {fd, (short)(POLLIN | POLLOUT | POLLPRI | POLLRDHUP), 0};

	if (poll(&p, 1, 0) >= 0 && (p.revents & want) == want)
		return p.revents;
	for (int i = 0; i < 6000; i++) {
		if (poll(&p, 1, 0) >= 0 && (p.revents & want) == want)
			break;
		guest_sleep_ms(10);
	}
	return p.revents;
}

static inline void inet_send_all(int fd, const void *p, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t r = send(fd, (const char *)p + done, n - done, MSG_NOSIGNAL);

		ASSERT_TRUE(r > 0);
		done += (size_t)r;
	}
}

/* Up to n bytes, less at the end of the stream. */
static inline size_t inet_recv_all(int fd, void *p, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t r = recv(fd, (char *)p + done, n - done, 0);

		ASSERT_TRUE(r >= 0);
		if (r == 0)
			break;
		done += (size_t)r;
	}
	return done;
}
