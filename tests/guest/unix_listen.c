#include "tests/guest/guest_test.h"

#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Listening, connecting, accepting. */

static struct sockaddr_un addr_of(const char *file)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", guest_path(file));
	return a;
}

static int server(int type, const char *file, int backlog)
{
	struct sockaddr_un a = addr_of(file);
	int fd = ASSERT_OK(socket(AF_UNIX, type, 0));

	ASSERT_OK(bind(fd, (void *)&a, sizeof(a)));
	ASSERT_OK(listen(fd, backlog));
	return fd;
}

static int try_connect(int type, const char *file)
{
	struct sockaddr_un a = addr_of(file);
	int fd = ASSERT_OK(socket(AF_UNIX, type, 0));

	if (connect(fd, (void *)&a, sizeof(a)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

GUEST_TEST(a_connection)
{
	char buf[8] = "";

	for (int i = 0; i < 2; i++) {
		int type = i ? SOCK_SEQPACKET : SOCK_STREAM;
		int l = server(type, "srv", 2), c = try_connect(type, "srv"), n;

		/* Before it is accepted the connection works already. */
		EXPECT_EQ(write(c, "early", 5), 5);
		MAYBE_SAVE();
		n = accept4(l, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		EXPECT_EQ(fcntl(n, F_GETFD), FD_CLOEXEC);
		EXPECT_TRUE(fcntl(n, F_GETFL) & O_NONBLOCK);
		EXPECT_EQ(read(n, buf, 8), 5);
		EXPECT_EQ(write(n, "back", 4), 4);
		EXPECT_EQ(read(c, buf, 8), 4);
		close(n);
		EXPECT_EQ(read(c, buf, 8), 0);
		unlink(guest_path("srv"));
		close(l);
	}
}

GUEST_TEST(states)
{
	struct sockaddr_un a = addr_of("srv");
	int l = server(SOCK_STREAM, "srv", 1), c = try_connect(SOCK_STREAM, "srv"), fd, v;
	socklen_t len = sizeof(v);

	EXPECT_ERRNO(connect(c, (void *)&a, sizeof(a)), EISCONN);
	EXPECT_ERRNO(connect(l, (void *)&a, sizeof(a)), EINVAL);
	EXPECT_ERRNO(listen(c, 1), EINVAL);
	EXPECT_ERRNO(accept(c, NULL, NULL), EINVAL);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	EXPECT_ERRNO(listen(fd, 1), EINVAL);
	EXPECT_ERRNO(accept(fd, NULL, NULL), EINVAL);
	EXPECT_ERRNO(accept4(l, NULL, NULL, 1), EINVAL);
	fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	EXPECT_ERRNO(listen(fd, 1), EOPNOTSUPP);
	EXPECT_ERRNO(accept(fd, NULL, NULL), EOPNOTSUPP);
	EXPECT_OK(getsockopt(l, SOL_SOCKET, SO_ACCEPTCONN, &v, &len));
	EXPECT_EQ(v, 1);
	EXPECT_OK(getsockopt(c, SOL_SOCKET, SO_ACCEPTCONN, &v, &len));
	EXPECT_EQ(v, 0);
	EXPECT_ERRNO(ioctl(l, FIONREAD, &v), EINVAL);
	EXPECT_ERRNO(write(l, "x", 1), ENOTCONN);
	EXPECT_ERRNO(read(l, &v, 1), EINVAL);
	EXPECT_ERRNO(getpeername(l, (void *)&a, &len), ENOTCONN);
	MAYBE_SAVE();
	EXPECT_OK(listen(l, 5));
	EXPECT_OK(accept(l, NULL, NULL));
}

GUEST_TEST(the_backlog)
{
	struct sockaddr_un a = addr_of("srv");
	int l = server(SOCK_STREAM, "srv", 1), c[2], fd;
	pid_t pid;

	for (int i = 0; i < 2; i++)
		c[i] = ASSERT_OK(try_connect(SOCK_STREAM, "srv"));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	EXPECT_ERRNO(connect(fd, (void *)&a, sizeof(a)), EAGAIN);
	pid = guest_fork();
	if (pid == 0) {
		int w = try_connect(SOCK_STREAM, "srv");

		EXPECT_GE(w, 0);
		EXPECT_EQ(write(w, "third", 5), 5);
		_exit(0);
	}
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	EXPECT_EQ(waitpid(pid, NULL, WNOHANG), 0);
	EXPECT_ERRNO(connect(fd, (void *)&a, sizeof(a)), EAGAIN);
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(write(c[i], "ab", (size_t)i + 1), i + 1);
	for (int i = 0; i < 3; i++) {
		int n = ASSERT_OK(accept(l, NULL, NULL));
		char buf[8];

		/* In the order in which they came. */
		EXPECT_EQ(read(n, buf, 8), i == 2 ? 5 : i + 1);
	}
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(a_timeout_of_connect)
{
	struct sockaddr_un a = addr_of("srv");
	struct timeval tv = {0, 50000};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	server(SOCK_STREAM, "srv", 0);
	EXPECT_GE(try_connect(SOCK_STREAM, "srv"), 0);
	EXPECT_OK(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)));
	MAYBE_SAVE();
	EXPECT_ERRNO(connect(fd, (void *)&a, sizeof(a)), EAGAIN);
}

GUEST_TEST(an_acceptor_waits)
{
	int l = server(SOCK_STREAM, "srv", 5);
	pid_t pids[3];
	char c;

	for (int i = 0; i < 3; i++) {
		pids[i] = guest_fork();
		if (pids[i] == 0) {
			int n = accept(l, NULL, NULL);

			EXPECT_EQ(write(n, "!", 1), 1);
			EXPECT_EQ(read(n, &c, 1), 1);
			_exit(0);
		}
	}
	for (int i = 0; i < 3; i++)
		guest_wait_blocked(pids[i]);
	MAYBE_SAVE();
	for (int i = 0; i < 3; i++) {
		int fd = ASSERT_OK(try_connect(SOCK_STREAM, "srv"));

		EXPECT_EQ(read(fd, &c, 1), 1);
		EXPECT_EQ(write(fd, &c, 1), 1);
	}
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(guest_reap(pids[i]), 0);
}

GUEST_TEST(a_listener_that_closes)
{
	int l = server(SOCK_STREAM, "srv", 5), c = try_connect(SOCK_STREAM, "srv"), err;
	socklen_t len = sizeof(err);
	char b;

	close(l);
	MAYBE_SAVE();
	EXPECT_OK(getsockopt(c, SOL_SOCKET, SO_ERROR, &err, &len));
	EXPECT_EQ(err, ECONNRESET);
	EXPECT_EQ(read(c, &b, 1), 0);
	EXPECT_ERRNO(send(c, "x", 1, MSG_NOSIGNAL), EPIPE);
}

GUEST_TEST(a_client_that_closes)
{
	int l = server(SOCK_STREAM, "srv", 5), c = try_connect(SOCK_STREAM, "srv"), n;
	char buf[8];

	EXPECT_EQ(write(c, "bye", 3), 3);
	close(c);
	MAYBE_SAVE();
	n = accept(l, NULL, NULL);
	EXPECT_EQ(read(n, buf, 8), 3);
	EXPECT_EQ(read(n, buf, 8), 0);
}

GUEST_TEST(a_listener_shut_down)
{
	int l = server(SOCK_STREAM, "srv", 5);
	pid_t pid = guest_fork();

	if (pid == 0) {
		EXPECT_ERRNO(accept(l, NULL, NULL), EINVAL);
		_exit(0);
	}
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	EXPECT_OK(shutdown(l, SHUT_RDWR));
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_ERRNO(try_connect(SOCK_STREAM, "srv"), ECONNREFUSED);
}

GUEST_TEST(a_waiting_connect_is_refused)
{
	int l = server(SOCK_STREAM, "srv", 0);
	pid_t pid;

	EXPECT_GE(try_connect(SOCK_STREAM, "srv"), 0);
	pid = guest_fork();
	if (pid == 0) {
		close(l);
		EXPECT_ERRNO(try_connect(SOCK_STREAM, "srv"), ECONNREFUSED);
		_exit(0);
	}
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	close(l);
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(no_descriptor_left)
{
	struct rlimit {
		unsigned long cur, max;
	} rl;
	int l = server(SOCK_STREAM, "srv", 5), fd;

	EXPECT_GE(try_connect(SOCK_STREAM, "srv"), 0);
	EXPECT_OK(syscall(SYS_getrlimit, 7, &rl));
	fd = dup(0);
	rl.cur = (unsigned long)fd;
	close(fd);
	EXPECT_OK(syscall(SYS_setrlimit, 7, &rl));
	EXPECT_ERRNO(accept(l, NULL, NULL), EMFILE);
	EXPECT_ERRNO(socket(AF_UNIX, SOCK_STREAM, 0), EMFILE);
	rl.cur++;
	EXPECT_OK(syscall(SYS_setrlimit, 7, &rl));
	/* It is still there. */
	EXPECT_OK(accept(l, NULL, NULL));
}

GUEST_TEST(a_busy_server)
{
	enum {
		CLIENTS = 4,
		EACH = 60
	};
	int l = server(SOCK_STREAM, "srv", 3), served = 0;
	pid_t pids[CLIENTS];

	for (int i = 0; i < CLIENTS; i++) {
		pids[i] = guest_fork();
		if (pids[i] == 0) {
			for (int j = 0; j < EACH; j++) {
				int fd = ASSERT_OK(try_connect(SOCK_STREAM, "srv")), v = j;

				EXPECT_EQ(write(fd, &v, sizeof(v)), sizeof(v));
				EXPECT_EQ(read(fd, &v, sizeof(v)), sizeof(v));
				EXPECT_EQ(v, j + 1);
				close(fd);
			}
			_exit(0);
		}
	}
	while (served < CLIENTS * EACH) {
		int n = ASSERT_OK(accept(l, NULL, NULL)), v;

		if (served++ == CLIENTS * EACH / 2)
			MAYBE_SAVE();
		EXPECT_EQ(read(n, &v, sizeof(v)), sizeof(v));
		v++;
		EXPECT_EQ(write(n, &v, sizeof(v)), sizeof(v));
		close(n);
	}
	for (int i = 0; i < CLIENTS; i++)
		EXPECT_EQ(guest_reap(pids[i]), 0);
}
