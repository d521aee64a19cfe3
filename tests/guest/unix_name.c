#include "tests/guest/guest_test.h"

#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Names of AF_UNIX sockets. */

#define OFF offsetof(struct sockaddr_un, sun_path)

static struct sockaddr_un addr_of(const char *file)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", guest_path(file));
	return a;
}

static int do_bind(int fd, const char *file)
{
	struct sockaddr_un a = addr_of(file);

	return bind(fd, (void *)&a, sizeof(a));
}

static int do_connect(int fd, const char *file)
{
	struct sockaddr_un a = addr_of(file);

	return connect(fd, (void *)&a, sizeof(a));
}

static int sock(int type)
{
	return ASSERT_OK(socket(AF_UNIX, type, 0));
}

GUEST_TEST(a_path_is_a_node)
{
	struct stat st;
	int a = sock(SOCK_STREAM);

	umask(027);
	EXPECT_OK(do_bind(a, "a"));
	EXPECT_OK(lstat(guest_path("a"), &st));
	EXPECT_EQ(st.st_mode, S_IFSOCK | 0750);
	EXPECT_EQ(st.st_uid, geteuid());
	EXPECT_ERRNO(open(guest_path("a"), O_RDWR), ENXIO);
	EXPECT_ERRNO(do_bind(sock(SOCK_STREAM), "a"), EADDRINUSE);
	EXPECT_ERRNO(do_bind(sock(SOCK_DGRAM), "a"), EADDRINUSE);
	EXPECT_ERRNO(do_bind(a, "b"), EINVAL);
	EXPECT_ERRNO(access(guest_path("b"), F_OK), ENOENT);
	EXPECT_ERRNO(do_bind(sock(SOCK_STREAM), "no/where"), ENOENT);
	MAYBE_SAVE();
	close(a);
	/* The node stays and nobody answers. */
	EXPECT_ERRNO(do_connect(sock(SOCK_STREAM), "a"), ECONNREFUSED);
	EXPECT_ERRNO(do_bind(sock(SOCK_STREAM), "a"), EADDRINUSE);
	EXPECT_OK(unlink(guest_path("a")));
	EXPECT_ERRNO(do_connect(sock(SOCK_STREAM), "a"), ENOENT);
	EXPECT_OK(do_bind(sock(SOCK_STREAM), "a"));
}

GUEST_TEST(a_node_moves)
{
	int a = sock(SOCK_STREAM), b = sock(SOCK_STREAM);
	struct sockaddr_un got;
	socklen_t len = sizeof(got);

	EXPECT_OK(do_bind(a, "a"));
	EXPECT_OK(listen(a, 5));
	EXPECT_OK(rename(guest_path("a"), guest_path("b")));
	EXPECT_OK(symlink(guest_path("b"), guest_path("c")));
	MAYBE_SAVE();
	EXPECT_OK(do_connect(b, "c"));
	EXPECT_OK(link(guest_path("b"), guest_path("d")));
	EXPECT_OK(unlink(guest_path("b")));
	EXPECT_OK(do_connect(sock(SOCK_STREAM), "d"));
	EXPECT_OK(getpeername(b, (void *)&got, &len));
	EXPECT_STREQ(got.sun_path, guest_path("a"));
	EXPECT_EQ(accept(a, NULL, NULL) >= 0, 1);
	/* A node that was made by hand has no socket. */
	EXPECT_OK(mknod(guest_path("e"), S_IFSOCK | 0777, 0));
	EXPECT_ERRNO(do_connect(sock(SOCK_STREAM), "e"), ECONNREFUSED);
	guest_write_file(guest_path("f"), "x", 0777);
	EXPECT_ERRNO(do_connect(sock(SOCK_STREAM), "f"), ECONNREFUSED);
}

GUEST_TEST(unlinked_while_bound)
{
	int a = sock(SOCK_STREAM), b = sock(SOCK_STREAM);

	EXPECT_OK(do_bind(a, "a"));
	EXPECT_OK(listen(a, 5));
	EXPECT_OK(unlink(guest_path("a")));
	EXPECT_OK(do_bind(b, "a"));
	MAYBE_SAVE();
	EXPECT_ERRNO(do_connect(sock(SOCK_STREAM), "a"), ECONNREFUSED);
	EXPECT_OK(listen(b, 5));
	EXPECT_OK(do_connect(sock(SOCK_STREAM), "a"));
	EXPECT_OK(accept(b, NULL, NULL));
}

GUEST_TEST(types_differ)
{
	int a = sock(SOCK_STREAM), d = sock(SOCK_DGRAM);

	EXPECT_OK(do_bind(a, "a"));
	EXPECT_OK(do_bind(d, "d"));
	EXPECT_OK(listen(a, 1));
	EXPECT_ERRNO(do_connect(sock(SOCK_DGRAM), "a"), EPROTOTYPE);
	EXPECT_ERRNO(do_connect(sock(SOCK_STREAM), "d"), EPROTOTYPE);
	EXPECT_ERRNO(do_connect(sock(SOCK_SEQPACKET), "a"), EPROTOTYPE);
}

GUEST_TEST(permissions)
{
	int a = sock(SOCK_STREAM);

	umask(0);
	EXPECT_OK(do_bind(a, "a"));
	EXPECT_OK(listen(a, 5));
	EXPECT_OK(chmod(guest_path("a"), 0555));
	EXPECT_OK(mkdir(guest_path("dir"), 0555));
	EXPECT_OK(chmod(guest_tmp(), 0777));
	guest_drop_root();
	EXPECT_ERRNO(do_connect(sock(SOCK_STREAM), "a"), EACCES);
	EXPECT_ERRNO(do_bind(sock(SOCK_STREAM), "dir/x"), EACCES);
	MAYBE_SAVE();
	EXPECT_ERRNO(do_connect(sock(SOCK_STREAM), "a"), EACCES);
}

GUEST_TEST(lengths)
{
	struct sockaddr_un a = addr_of("a"), got;
	struct {
		struct sockaddr_un a;
		char more[64];
	} big = {.a = addr_of("a")};
	socklen_t len;
	int fd = sock(SOCK_STREAM);

	EXPECT_ERRNO(bind(fd, (void *)&a, -1), EINVAL);
	EXPECT_ERRNO(bind(fd, (void *)&a, 1), EINVAL);
	EXPECT_ERRNO(bind(fd, (void *)&big, sizeof(big.a) + 1), EINVAL);
	EXPECT_ERRNO(bind(fd, (void *)&big, 1000), EINVAL);
	EXPECT_ERRNO(bind(fd, (void *)8, sizeof(a)), EFAULT);
	a.sun_family = AF_INET;
	EXPECT_ERRNO(bind(fd, (void *)&a, sizeof(a)), EINVAL);
	a.sun_family = AF_UNIX;
	/* Without the NUL; the length tells. */
	EXPECT_OK(bind(fd, (void *)&a, (socklen_t)(OFF + strlen(a.sun_path))));
	memset(&got, 'x', sizeof(got));
	len = sizeof(got);
	EXPECT_OK(getsockname(fd, (void *)&got, &len));
	EXPECT_EQ(len, OFF + strlen(a.sun_path) + 1);
	EXPECT_STREQ(got.sun_path, a.sun_path);
	memset(&got, 'x', sizeof(got));
	len = 4;
	EXPECT_OK(getsockname(fd, (void *)&got, &len));
	EXPECT_EQ(len, OFF + strlen(a.sun_path) + 1);
	EXPECT_EQ(got.sun_path[2], 'x');
	len = (socklen_t)-1;
	EXPECT_ERRNO(getsockname(fd, (void *)&got, &len), EINVAL);
	EXPECT_ERRNO(getpeername(fd, (void *)&got, &len), ENOTCONN);
	/* Unnamed. */
	len = sizeof(got);
	EXPECT_OK(getsockname(sock(SOCK_DGRAM), (void *)&got, &len));
	EXPECT_EQ(len, OFF);
	EXPECT_EQ(got.sun_family, AF_UNIX);
}

static struct sockaddr_un abstract(const char *name, socklen_t *len)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	/* The name space is the machine's natively: made unique by the directory. */
	int n = snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "%s%s", guest_tmp(), name);

	*len = (socklen_t)(OFF + 1 + n);
	return a;
}

GUEST_TEST(abstract_names)
{
	socklen_t len, len2, got_len = sizeof(struct sockaddr_un);
	struct sockaddr_un a = abstract("abstract", &len), b = abstract("abstract2", &len2), got;
	int fd = sock(SOCK_STREAM), c = sock(SOCK_STREAM);

	EXPECT_OK(bind(fd, (void *)&a, len));
	EXPECT_ERRNO(bind(sock(SOCK_STREAM), (void *)&a, len), EADDRINUSE);
	EXPECT_ERRNO(bind(fd, (void *)&b, len2), EINVAL);
	EXPECT_OK(bind(sock(SOCK_DGRAM), (void *)&a, len));
	EXPECT_OK(listen(fd, 3));
	MAYBE_SAVE();
	EXPECT_ERRNO(connect(c, (void *)&b, len2), ECONNREFUSED);
	EXPECT_ERRNO(connect(c, (void *)&a, len - 1), ECONNREFUSED);
	/* A NUL at the end is part of the name. */
	EXPECT_ERRNO(connect(c, (void *)&a, len + 1), ECONNREFUSED);
	EXPECT_OK(connect(c, (void *)&a, len));
	EXPECT_OK(getpeername(c, (void *)&got, &got_len));
	EXPECT_EQ(got_len, len);
	EXPECT_TRUE(memcmp(&got, &a, len) == 0);
	close(fd);
	MAYBE_SAVE();
	EXPECT_ERRNO(connect(sock(SOCK_STREAM), (void *)&a, len), ECONNREFUSED);
	EXPECT_OK(bind(sock(SOCK_STREAM), (void *)&a, len));
}

GUEST_TEST(autobind)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX}, b = a;
	int x = sock(SOCK_DGRAM), y = sock(SOCK_DGRAM), one = 1;
	socklen_t la = sizeof(a), lb = sizeof(b);
	char buf[4];

	EXPECT_OK(bind(x, (void *)&a, sizeof(sa_family_t)));
	EXPECT_OK(getsockname(x, (void *)&a, &la));
	EXPECT_EQ(la, OFF + 6);
	EXPECT_EQ(a.sun_path[0], 0);
	EXPECT_EQ(strspn(a.sun_path + 1, "0123456789abcdef"), 5);
	/* Again changes nothing. */
	EXPECT_OK(bind(x, (void *)&b, sizeof(sa_family_t)));
	EXPECT_OK(getsockname(x, (void *)&b, &lb));
	EXPECT_TRUE(la == lb && memcmp(&a, &b, la) == 0);
	/* Who wants credentials gets a name when it sends. */
	EXPECT_OK(setsockopt(y, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)));
	EXPECT_OK(getsockname(y, (void *)&b, &lb));
	EXPECT_EQ(lb, OFF);
	MAYBE_SAVE();
	EXPECT_EQ(sendto(y, "hi", 2, 0, (void *)&a, la), 2);
	lb = sizeof(b);
	EXPECT_OK(getsockname(y, (void *)&b, &lb));
	EXPECT_EQ(lb, OFF + 6);
	EXPECT_EQ(recv(x, buf, 4, 0), 2);
}

GUEST_TEST(the_longest_path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct {
		struct sockaddr_un a;
		char more[8];
	} got;
	socklen_t len = sizeof(got);
	int fd = sock(SOCK_STREAM);

	ASSERT_OK(chdir(guest_tmp()));
	memset(a.sun_path, 'p', sizeof(a.sun_path));
	EXPECT_OK(bind(fd, (void *)&a, sizeof(a)));
	EXPECT_OK(listen(fd, 1));
	MAYBE_SAVE();
	EXPECT_OK(getsockname(fd, (void *)&got, &len));
	EXPECT_EQ(len, OFF + 109);
	EXPECT_OK(connect(sock(SOCK_STREAM), (void *)&a, sizeof(a)));
	EXPECT_ERRNO(connect(sock(SOCK_STREAM), (void *)&a, sizeof(a) - 1), ENOENT);
}

GUEST_TEST(names_of_accepted)
{
	int l = sock(SOCK_STREAM), c = sock(SOCK_STREAM), n;
	struct sockaddr_un a;
	socklen_t len = sizeof(a);

	EXPECT_OK(do_bind(l, "srv"));
	EXPECT_OK(do_bind(c, "cli"));
	EXPECT_OK(listen(l, 1));
	EXPECT_OK(do_connect(c, "srv"));
	MAYBE_SAVE();
	n = accept(l, (void *)&a, &len);
	EXPECT_STREQ(a.sun_path, guest_path("cli"));
	MAYBE_SAVE();
	len = sizeof(a);
	EXPECT_OK(getsockname(n, (void *)&a, &len));
	EXPECT_STREQ(a.sun_path, guest_path("srv"));
	close(l);
	/* The accepted one has the name but is not found by it. */
	EXPECT_ERRNO(do_connect(sock(SOCK_STREAM), "srv"), ECONNREFUSED);
	len = sizeof(a);
	EXPECT_OK(getpeername(c, (void *)&a, &len));
	EXPECT_STREQ(a.sun_path, guest_path("srv"));
	close(n);
	len = sizeof(a);
	EXPECT_OK(getpeername(c, (void *)&a, &len));
	EXPECT_STREQ(a.sun_path, guest_path("srv"));
}

#define UNIX_OPEN_FILE 0x89e0 /* SIOCUNIXFILE */

/* The node that a socket is bound to, also when its name is gone. */
GUEST_TEST(node_of_a_socket)
{
	int s = sock(SOCK_STREAM), fd;
	struct stat a, b;

	fd = ioctl(s, UNIX_OPEN_FILE, 0);
	if (fd < 0 && errno == EPERM)
		SKIP("nodes are shown to root");
	EXPECT_EQ(fd, -1);
	EXPECT_EQ(errno, ENOENT);
	EXPECT_OK(do_bind(s, "srv"));
	ASSERT_OK(stat(guest_path("srv"), &a));
	EXPECT_OK(unlink(guest_path("srv")));
	MAYBE_SAVE();
	fd = ASSERT_OK(ioctl(s, UNIX_OPEN_FILE, 0));
	EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(fcntl(fd, F_GETFL) & O_PATH, O_PATH);
	ASSERT_OK(fstat(fd, &b));
	EXPECT_EQ(a.st_mode, b.st_mode);
	EXPECT_EQ(b.st_nlink, 0);
}
