#include "tests/guest/inet_util.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <poll.h>

#define N 3

#define FPROG(...)                                                                \
	(&(struct sock_fprog){GUEST_COUNT(((struct sock_filter[]){__VA_ARGS__})), \
	                      (struct sock_filter[]){__VA_ARGS__}})
#define CHOOSE(fd, ...)                                                          \
	setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, FPROG(__VA_ARGS__), \
	           sizeof(struct sock_fprog))
/* The first byte of what is sent, less '0'. */
#define BY_BYTE(fd)                                       \
	CHOOSE(fd, BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), \
	       BPF_STMT(BPF_ALU | BPF_SUB | BPF_K, '0'), BPF_STMT(BPF_RET | BPF_A, 0))
#define ALWAYS(fd, n) CHOOSE(fd, BPF_STMT(BPF_RET | BPF_K, n))

/* N sockets at one port; the program is given before the first is bound, or after all are. */
static struct inet_any group(int family, int type, bool before, int fd[N])
{
	struct inet_any a = inet_loop(family, 0);

	for (int i = 0; i < N; i++) {
		fd[i] = ASSERT_OK(socket(family, type | SOCK_NONBLOCK, 0));
		ASSERT_OK(inet_setint(fd[i], SOL_SOCKET, SO_REUSEPORT, 1));
		if (i == 0 && before)
			ASSERT_OK(type == SOCK_DGRAM ? BY_BYTE(fd[i]) : ALWAYS(fd[i], 2));
		ASSERT_OK(bind(fd[i], &a.u.sa, a.len));
		if (type == SOCK_STREAM)
			ASSERT_OK(listen(fd[i], 4));
		a = inet_name(fd[i]);
	}
	return a;
}

/* Which of them has something; -1: none. It is taken. */
static int who(int fd[N], int type)
{
	char buf[8];

	for (int i = 0; i < N; i++) {
		int r = fd[i] < 0             ? -1
		        : type == SOCK_STREAM ? accept(fd[i], NULL, NULL)
		                              : (int)recv(fd[i], buf, sizeof(buf), MSG_DONTWAIT);

		if (r >= 0) {
			if (type == SOCK_STREAM)
				close(r);
			return i;
		}
	}
	return -1;
}

static void datagrams(int family, bool before)
{
	int fd[N], s = ASSERT_OK(socket(family, SOCK_DGRAM, 0));
	struct inet_any a = group(family, SOCK_DGRAM, before, fd);

	if (!before)
		ASSERT_OK(BY_BYTE(fd[1]));
	for (int i = 0; i < 12; i++) {
		char b = (char)('0' + i % N);

		ASSERT_EQ(sendto(s, &b, 1, 0, &a.u.sa, a.len), 1);
		if (i == 6)
			MAYBE_SAVE();
		EXPECT_EQ(who(fd, SOCK_DGRAM), i % N);
	}
	/* It chooses nobody: somebody gets it. */
	ASSERT_EQ(sendto(s, "9", 1, 0, &a.u.sa, a.len), 1);
	EXPECT_TRUE(who(fd, SOCK_DGRAM) >= 0);
	/* The last takes the place of who goes. */
	close(fd[0]);
	fd[0] = -1;
	ASSERT_EQ(sendto(s, "0", 1, 0, &a.u.sa, a.len), 1);
	EXPECT_EQ(who(fd, SOCK_DGRAM), 2);
	ASSERT_EQ(sendto(s, "1", 1, 0, &a.u.sa, a.len), 1);
	EXPECT_EQ(who(fd, SOCK_DGRAM), 1);
	EXPECT_OK(inet_setint(fd[1], SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, 0));
	EXPECT_ERRNO(inet_setint(fd[2], SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, 0), ENOENT);
	for (int i = 1; i < N; i++)
		close(fd[i]);
	close(s);
}

GUEST_TEST(a_program_chooses_for_datagrams)
{
	datagrams(AF_INET, false);
	datagrams(AF_INET, true);
	datagrams(AF_INET6, false);
}

static int connected(const struct inet_any *a)
{
	int fd = ASSERT_OK(socket(a->u.sa.sa_family, SOCK_STREAM, 0));

	ASSERT_OK(connect(fd, &a->u.sa, a->len));
	return fd;
}

static void streams(int family)
{
	int fd[N], c;
	struct inet_any a = group(family, SOCK_STREAM, true, fd);

	for (int i = 0; i < 4; i++) {
		c = connected(&a);
		if (i == 1)
			MAYBE_SAVE();
		EXPECT_EQ(who(fd, SOCK_STREAM), 2);
		close(c);
	}
	ASSERT_OK(ALWAYS(fd[2], 0));
	c = connected(&a);
	EXPECT_EQ(who(fd, SOCK_STREAM), 0);
	close(c);
	/* Port numbers are there to be looked at, before what it sees as a packet. */
	ASSERT_OK(CHOOSE(fd[0], BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
	                 BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1), BPF_STMT(BPF_RET | BPF_K, 1),
	                 BPF_STMT(BPF_RET | BPF_K, 0)));
	c = connected(&a);
	EXPECT_EQ(who(fd, SOCK_STREAM), 1);
	close(c);
	for (int i = 0; i < N; i++)
		close(fd[i]);
}

GUEST_TEST(a_program_chooses_for_connections)
{
	streams(AF_INET);
	streams(AF_INET6);
}

GUEST_TEST(errors)
{
	int fd = ASSERT_OK(socket(AF_INET, SOCK_DGRAM, 0)), none = -1;
	struct inet_any a = inet_loop(AF_INET, 0);

	EXPECT_ERRNO(ALWAYS(fd, 0), EINVAL);
	EXPECT_ERRNO(inet_setint(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, 0), EINVAL);
	ASSERT_OK(inet_setint(fd, SOL_SOCKET, SO_REUSEPORT, 1));
	EXPECT_ERRNO(inet_setint(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, 0), ENOENT);
	EXPECT_ERRNO(CHOOSE(fd, BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0)), EINVAL);
	EXPECT_ERRNO(setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &none, sizeof(none)),
	             EBADF);
	ASSERT_OK(ALWAYS(fd, 0));
	ASSERT_OK(inet_setint(fd, SOL_SOCKET, SO_LOCK_FILTER, 1));
	EXPECT_ERRNO(ALWAYS(fd, 1), EPERM);
	close(fd);
	fd = ASSERT_OK(socket(AF_INET, SOCK_DGRAM, 0));
	ASSERT_OK(bind(fd, &a.u.sa, a.len));
	ASSERT_OK(inet_setint(fd, SOL_SOCKET, SO_REUSEPORT, 1));
	EXPECT_ERRNO(ALWAYS(fd, 0), EINVAL);
	close(fd);
}
