#include "tests/guest/guest_test.h"

#include <grp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

/* Who is on the other side: SCM_CREDENTIALS, SO_PASSCRED, SO_PEERCRED; and when: SO_TIMESTAMP. */

static int s[2];

static void pass(int fd, int v)
{
	EXPECT_OK(setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &v, sizeof(v)));
}

static ssize_t send_cred(int fd, const char *text, const struct ucred *u)
{
	_Alignas(struct cmsghdr) char buf[CMSG_SPACE(sizeof(*u))] = {0};
	struct iovec iov = {(void *)(uintptr_t)text, strlen(text)};
	struct msghdr m = {.msg_iov = &iov,
	                   .msg_iovlen = 1,
	                   .msg_control = buf,
	                   .msg_controllen = sizeof(buf)};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_CREDENTIALS;
	h->cmsg_len = CMSG_LEN(sizeof(*u));
	memcpy(CMSG_DATA(h), u, sizeof(*u));
	return sendmsg(fd, &m, 0);
}

/* The credentials that come with the next bytes; pid -1: none. *ret_n: how many bytes. */
static struct ucred recv_cred(int fd, ssize_t *ret_n)
{
	struct ucred u = {-1, 0, 0};
	_Alignas(struct cmsghdr) char ctl[256];
	char buf[32];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr m = {.msg_iov = &iov,
	                   .msg_iovlen = 1,
	                   .msg_control = ctl,
	                   .msg_controllen = sizeof(ctl)};

	*ret_n = recvmsg(fd, &m, 0);
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
		if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_CREDENTIALS) {
			EXPECT_EQ(h->cmsg_len, CMSG_LEN(sizeof(u)));
			memcpy(&u, CMSG_DATA(h), sizeof(u));
		}
	}
	return u;
}

static void expect_me(struct ucred u, pid_t pid)
{
	EXPECT_EQ(u.pid, pid);
	EXPECT_EQ(u.uid, getuid());
	EXPECT_EQ(u.gid, getgid());
}

GUEST_TEST(passed_without_asking)
{
	ssize_t n;
	pid_t pid;

	for (int i = 0; i < 2; i++) {
		ASSERT_OK(socketpair(AF_UNIX, i ? SOCK_DGRAM : SOCK_STREAM, 0, s));
		pass(s[1], 1);
		pid = guest_fork();
		if (pid == 0) {
			EXPECT_EQ(send(s[0], "child", 5, 0), 5);
			_exit(0);
		}
		EXPECT_EQ(guest_reap(pid), 0);
		EXPECT_EQ(send(s[0], "parent", 6, 0), 6);
		MAYBE_SAVE();
		/* Bytes of two senders are not mixed. */
		expect_me(recv_cred(s[1], &n), pid);
		EXPECT_EQ(n, 5);
		expect_me(recv_cred(s[1], &n), getpid());
		EXPECT_EQ(n, 6);
		pass(s[1], 0);
		EXPECT_EQ(send(s[0], "x", 1, 0), 1);
		EXPECT_EQ(recv_cred(s[1], &n).pid, -1);
	}
}

GUEST_TEST(asked_for_too_late)
{
	struct ucred u;
	ssize_t n;

	ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	EXPECT_EQ(send(s[0], "x", 1, 0), 1);
	pass(s[1], 1);
	MAYBE_SAVE();
	u = recv_cred(s[1], &n);
	EXPECT_EQ(u.pid, 0);
	EXPECT_EQ(u.uid, 65534);
	EXPECT_EQ(u.gid, 65534);
}

GUEST_TEST(stated)
{
	struct ucred me = {getpid(), getuid(), getgid()}, u;
	ssize_t n;

	ASSERT_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	EXPECT_EQ(send_cred(s[0], "true", &me), 4);
	/* Nobody asked. */
	EXPECT_EQ(recv_cred(s[1], &n).pid, -1);
	EXPECT_EQ(send_cred(s[0], "true", &me), 4);
	pass(s[1], 1);
	MAYBE_SAVE();
	expect_me(recv_cred(s[1], &n), getpid());
	guest_drop_root();
	me = (struct ucred){getpid(), getuid(), getgid()};
	u = me;
	u.pid = getppid();
	EXPECT_ERRNO(send_cred(s[0], "lie", &u), EPERM);
	u = me;
	u.uid = 0;
	EXPECT_ERRNO(send_cred(s[0], "lie", &u), EPERM);
	u = me;
	u.gid = 0;
	EXPECT_ERRNO(send_cred(s[0], "lie", &u), EPERM);
	EXPECT_EQ(send_cred(s[0], "true", &me), 4);
	MAYBE_SAVE();
	expect_me(recv_cred(s[1], &n), getpid());
}

GUEST_TEST(broken_control)
{
	_Alignas(struct cmsghdr) char buf[256] = {0};
	char x[] = "x";
	struct iovec iov = {x, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = buf};
	struct cmsghdr *h = (void *)buf;

	ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	*h = (struct cmsghdr){.cmsg_len = CMSG_LEN(4), .cmsg_level = SOL_SOCKET, .cmsg_type = 99};
	m.msg_controllen = CMSG_SPACE(4);
	EXPECT_ERRNO(sendmsg(s[0], &m, 0), EINVAL);
	/* Another level is for others. */
	h->cmsg_level = SOL_SOCKET + 1;
	EXPECT_EQ(sendmsg(s[0], &m, 0), 1);
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_CREDENTIALS;
	EXPECT_ERRNO(sendmsg(s[0], &m, 0), EINVAL);
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = 100;
	EXPECT_ERRNO(sendmsg(s[0], &m, 0), EINVAL);
	h->cmsg_len = 3;
	EXPECT_ERRNO(sendmsg(s[0], &m, 0), EINVAL);
	/* No descriptors at all. */
	h->cmsg_len = CMSG_LEN(0);
	EXPECT_EQ(sendmsg(s[0], &m, 0), 1);
	/* Too short for a header: none. */
	m.msg_controllen = 4;
	EXPECT_EQ(sendmsg(s[0], &m, 0), 1);
	m.msg_controllen = 64;
	m.msg_control = (void *)8;
	EXPECT_ERRNO(sendmsg(s[0], &m, 0), EFAULT);
	m.msg_controllen = 1u << 31;
	EXPECT_ERRNO(sendmsg(s[0], &m, 0), ENOBUFS);
	m.msg_controllen = 10000000;
	EXPECT_ERRNO(sendmsg(s[0], &m, 0), ENOBUFS);
	m.msg_controllen = 0;
	m.msg_iovlen = 1025;
	EXPECT_ERRNO(sendmsg(s[0], &m, 0), EMSGSIZE);
	m.msg_iovlen = 1;
	m.msg_iov = (void *)8;
	EXPECT_ERRNO(sendmsg(s[0], &m, 0), EFAULT);
	EXPECT_ERRNO(sendmsg(s[0], (void *)8, 0), EFAULT);
	m.msg_iov = &iov;
	m.msg_name = buf;
	m.msg_namelen = (socklen_t)-5;
	EXPECT_ERRNO(syscall(SYS_sendmsg, s[0], &m, 0), EINVAL);
	EXPECT_EQ(recv(s[1], buf, 8, 0), 3);
}

static struct ucred peer_of(int fd)
{
	struct ucred u;
	socklen_t len = sizeof(u);

	EXPECT_OK(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &u, &len));
	EXPECT_EQ(len, sizeof(u));
	return u;
}

GUEST_TEST(peers)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int l = socket(AF_UNIX, SOCK_STREAM, 0), c, n;
	struct ucred u;
	pid_t pid;

	ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	expect_me(peer_of(s[0]), getpid());
	u = peer_of(l);
	EXPECT_EQ(u.pid, 0);
	EXPECT_EQ(u.uid, (uid_t)-1);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", guest_path("l"));
	ASSERT_OK(bind(l, (void *)&a, sizeof(a)));
	ASSERT_OK(listen(l, 3));
	expect_me(peer_of(l), getpid());
	pid = guest_fork();
	if (pid == 0) {
		c = socket(AF_UNIX, SOCK_STREAM, 0);
		EXPECT_OK(connect(c, (void *)&a, sizeof(a)));
		expect_me(peer_of(c), getppid());
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	MAYBE_SAVE();
	n = accept(l, NULL, NULL);
	expect_me(peer_of(n), pid);
	MAYBE_SAVE();
	expect_me(peer_of(n), pid);
}

GUEST_TEST(groups)
{
	gid_t set[3] = {7, 5, 9}, got[3];
	socklen_t len = sizeof(got);

	if (setgroups(3, set) < 0)
		SKIP("may not set groups");
	ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	EXPECT_OK(setgroups(0, NULL));
	MAYBE_SAVE();
	EXPECT_OK(getsockopt(s[0], SOL_SOCKET, SO_PEERGROUPS, got, &len));
	EXPECT_EQ(len, 12);
	EXPECT_EQ(got[0], 5);
	EXPECT_EQ(got[2], 9);
	len = 4;
	EXPECT_ERRNO(getsockopt(s[0], SOL_SOCKET, SO_PEERGROUPS, got, &len), ERANGE);
	EXPECT_EQ(len, 12);
}

GUEST_TEST(timestamps)
{
	_Alignas(struct cmsghdr) char ctl[256];
	char buf[8];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr m = {.msg_iov = &iov,
	                   .msg_iovlen = 1,
	                   .msg_control = ctl,
	                   .msg_controllen = sizeof(ctl)};
	struct cmsghdr *h;
	struct timeval tv, now;
	int one = 1;

	ASSERT_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	EXPECT_OK(setsockopt(s[1], SOL_SOCKET, SO_TIMESTAMP, &one, sizeof(one)));
	EXPECT_EQ(send(s[0], "x", 1, 0), 1);
	MAYBE_SAVE();
	EXPECT_EQ(recvmsg(s[1], &m, 0), 1);
	h = CMSG_FIRSTHDR(&m);
	ASSERT_TRUE(h != NULL);
	EXPECT_EQ(h->cmsg_type, SCM_TIMESTAMP);
	memcpy(&tv, CMSG_DATA(h), sizeof(tv));
	gettimeofday(&now, NULL);
	EXPECT_TRUE(tv.tv_sec <= now.tv_sec && tv.tv_sec > now.tv_sec - 1000);
}
