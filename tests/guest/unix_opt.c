#include "tests/guest/guest_test.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

/* Options of the socket level. */

static int get(int fd, int name)
{
	int v = -12345;
	socklen_t len = sizeof(v);

	EXPECT_OK(getsockopt(fd, SOL_SOCKET, name, &v, &len));
	EXPECT_EQ(len, sizeof(v));
	return v;
}

static int set(int fd, int name, int v)
{
	return setsockopt(fd, SOL_SOCKET, name, &v, sizeof(v));
}

GUEST_TEST(defaults)
{
	int fd = ASSERT_OK(socket(AF_UNIX, SOCK_SEQPACKET, 0));

	EXPECT_EQ(get(fd, SO_TYPE), SOCK_SEQPACKET);
	EXPECT_EQ(get(fd, SO_DOMAIN), AF_UNIX);
	EXPECT_EQ(get(fd, SO_PROTOCOL), 0);
	EXPECT_EQ(get(fd, SO_ERROR), 0);
	EXPECT_EQ(get(fd, SO_ACCEPTCONN), 0);
	EXPECT_EQ(get(fd, SO_REUSEADDR), 0);
	EXPECT_EQ(get(fd, SO_RCVLOWAT), 1);
	EXPECT_EQ(get(fd, SO_SNDLOWAT), 1);
	EXPECT_EQ(get(fd, SO_PASSCRED), 0);
	EXPECT_EQ(get(fd, SO_PEEK_OFF), -1);
	EXPECT_EQ(get(fd, SO_MARK), 0);
	EXPECT_EQ(get(fd, SO_PRIORITY), 0);
	EXPECT_GT(get(fd, SO_SNDBUF), 4000);
	EXPECT_GT(get(fd, SO_RCVBUF), 2000);
}

GUEST_TEST(flags_are_kept)
{
	static const int names[] = {SO_REUSEADDR, SO_BROADCAST, SO_KEEPALIVE, SO_OOBINLINE,
	                            SO_PASSCRED,  SO_DONTROUTE, SO_TIMESTAMP, SO_TIMESTAMPNS};
	struct linger l = {1, 7};
	socklen_t len = sizeof(l);
	int fd = ASSERT_OK(socket(AF_UNIX, SOCK_STREAM, 0));

	for (size_t i = 0; i < GUEST_COUNT(names); i++) {
		EXPECT_OK(set(fd, names[i], 77));
		EXPECT_EQ(get(fd, names[i]), 1);
	}
	EXPECT_EQ(get(fd, SO_TIMESTAMP), 0);
	EXPECT_OK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	EXPECT_OK(set(fd, SO_RCVLOWAT, 5));
	EXPECT_OK(set(fd, SO_PRIORITY, 3));
	MAYBE_SAVE();
	EXPECT_EQ(get(fd, SO_REUSEADDR), 1);
	EXPECT_EQ(get(fd, SO_PASSCRED), 1);
	EXPECT_EQ(get(fd, SO_TIMESTAMPNS), 1);
	EXPECT_EQ(get(fd, SO_RCVLOWAT), 5);
	EXPECT_EQ(get(fd, SO_PRIORITY), 3);
	memset(&l, 0, sizeof(l));
	EXPECT_OK(getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len));
	EXPECT_TRUE(l.l_onoff == 1 && l.l_linger == 7);
	EXPECT_OK(set(fd, SO_KEEPALIVE, 0));
	EXPECT_EQ(get(fd, SO_KEEPALIVE), 0);
}

GUEST_TEST(sizes)
{
	int fd = ASSERT_OK(socket(AF_UNIX, SOCK_STREAM, 0));

	EXPECT_OK(set(fd, SO_SNDBUF, 10000));
	EXPECT_EQ(get(fd, SO_SNDBUF), 20000);
	EXPECT_OK(set(fd, SO_SNDBUF, 0));
	EXPECT_EQ(get(fd, SO_SNDBUF), 4608);
	EXPECT_OK(set(fd, SO_RCVBUF, 0));
	EXPECT_EQ(get(fd, SO_RCVBUF), 2304);
	EXPECT_OK(set(fd, SO_RCVBUF, 5000));
	MAYBE_SAVE();
	EXPECT_EQ(get(fd, SO_RCVBUF), 10000);
}

GUEST_TEST(a_small_buffer)
{
	static char block[100000];
	int s[2], n = 0;
	pid_t pid;

	ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	EXPECT_OK(set(s[0], SO_SNDBUF, 0));
	pid = guest_fork();
	if (pid == 0) {
		EXPECT_EQ(write(s[0], block, sizeof(block)), sizeof(block));
		_exit(0);
	}
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	EXPECT_EQ(waitpid(pid, NULL, WNOHANG), 0);
	while (n < (int)sizeof(block)) {
		ssize_t r = read(s[1], block, 3000);

		ASSERT_TRUE(r > 0);
		n += (int)r;
	}
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(errors)
{
	int fd = ASSERT_OK(socket(AF_UNIX, SOCK_STREAM, 0)), v = 1;
	socklen_t len = sizeof(v);

	EXPECT_ERRNO(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &v, 3), EINVAL);
	EXPECT_ERRNO(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &v, (socklen_t)-1), EINVAL);
	EXPECT_ERRNO(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, (void *)8, 4), EFAULT);
	EXPECT_ERRNO(setsockopt(fd, SOL_SOCKET, SO_LINGER, &v, 4), EINVAL);
	EXPECT_ERRNO(set(fd, SO_TYPE, 1), ENOPROTOOPT);
	EXPECT_ERRNO(set(fd, SO_ERROR, 1), ENOPROTOOPT);
	EXPECT_ERRNO(set(fd, 9999, 1), ENOPROTOOPT);
	EXPECT_ERRNO(setsockopt(fd, 6, 1, &v, 4), EOPNOTSUPP);
	EXPECT_ERRNO(getsockopt(fd, 6, 1, &v, &len), EOPNOTSUPP);
	EXPECT_ERRNO(getsockopt(fd, SOL_SOCKET, 9999, &v, &len), ENOPROTOOPT);
	EXPECT_ERRNO(getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, (void *)8), EFAULT);
	EXPECT_ERRNO(getsockopt(fd, SOL_SOCKET, SO_TYPE, (void *)8, &len), EFAULT);
	len = (socklen_t)-1;
	EXPECT_ERRNO(getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, &len), EINVAL);
	len = 1;
	v = -1;
	EXPECT_OK(getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, &len));
	EXPECT_EQ(len, 1);
	EXPECT_EQ((unsigned)v, 0xffffff00u | SOCK_STREAM);
	EXPECT_ERRNO(getsockopt(open("/dev/null", O_RDONLY), SOL_SOCKET, SO_TYPE, &v, &len),
	             ENOTSOCK);
	guest_drop_root();
	EXPECT_ERRNO(set(fd, SO_MARK, 1), EPERM);
	EXPECT_ERRNO(set(fd, SO_DEBUG, 1), EACCES);
	EXPECT_ERRNO(set(fd, SO_SNDBUFFORCE, 100), EPERM);
	EXPECT_ERRNO(set(fd, SO_PRIORITY, 7), EPERM);
}

GUEST_TEST(in_proc)
{
	static char text[1 << 20];
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = ASSERT_OK(socket(AF_UNIX, SOCK_STREAM, 0));
	char link[64], want[256], path[64];
	struct stat st;
	char *line;

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", guest_path("srv"));
	ASSERT_OK(bind(fd, (void *)&a, sizeof(a)));
	ASSERT_OK(listen(fd, 3));
	MAYBE_SAVE();
	EXPECT_OK(fstat(fd, &st));
	EXPECT_EQ(st.st_mode, S_IFSOCK | 0777);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	memset(link, 0, sizeof(link));
	EXPECT_GT(readlink(path, link, sizeof(link) - 1), 0);
	snprintf(want, sizeof(want), "socket:[%lu]", (unsigned long)st.st_ino);
	EXPECT_STREQ(link, want);
	EXPECT_ERRNO(open(path, O_RDWR), ENXIO);
	ASSERT_TRUE(guest_read_file("/proc/net/unix", text, sizeof(text)) > 0);
	snprintf(want, sizeof(want), " 00010000 0001 01 %5lu %s\n", (unsigned long)st.st_ino,
	         a.sun_path);
	line = strstr(text, want);
	EXPECT_TRUE(line != NULL);
}
