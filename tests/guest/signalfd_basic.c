#include "tests/guest/guest_test.h"

#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>

/* signalfd: records of blocked signals, for whoever reads. */

static sigset_t set_of(int a, int b)
{
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, a);
	if (b)
		sigaddset(&s, b);
	return s;
}

static int blocked_fd(int a, int b, int flags)
{
	sigset_t s = set_of(a, b);

	EXPECT_OK(sigprocmask(SIG_BLOCK, &s, NULL));
	return ASSERT_OK(signalfd(-1, &s, flags));
}

GUEST_TEST(kill_fields)
{
	int fd = blocked_fd(SIGUSR1, 0, SFD_NONBLOCK);
	struct signalfd_siginfo i;

	EXPECT_ERRNO(read(fd, &i, sizeof(i)), EAGAIN);
	EXPECT_OK(kill(getpid(), SIGUSR1));
	MAYBE_SAVE();
	EXPECT_EQ(read(fd, &i, sizeof(i)), sizeof(i));
	EXPECT_EQ(i.ssi_signo, SIGUSR1);
	EXPECT_EQ(i.ssi_code, SI_USER);
	EXPECT_EQ(i.ssi_pid, getpid());
	EXPECT_EQ(i.ssi_uid, getuid());
	EXPECT_EQ(i.ssi_errno, 0);
	EXPECT_EQ(i.ssi_status, 0);
	EXPECT_ERRNO(read(fd, &i, sizeof(i)), EAGAIN);
}

GUEST_TEST(queue_fields)
{
	int fd = blocked_fd(SIGRTMIN + 2, 0, SFD_NONBLOCK);
	struct signalfd_siginfo i[4];

	for (int k = 0; k < 3; k++)
		EXPECT_OK(sigqueue(getpid(), SIGRTMIN + 2, (union sigval){.sival_int = 70 + k}));
	MAYBE_SAVE();
	EXPECT_EQ(read(fd, i, sizeof(i)), 3 * (long)sizeof(i[0]));
	for (int k = 0; k < 3; k++) {
		EXPECT_EQ(i[k].ssi_signo, SIGRTMIN + 2);
		EXPECT_EQ(i[k].ssi_code, SI_QUEUE);
		EXPECT_EQ(i[k].ssi_int, 70 + k);
		EXPECT_EQ(i[k].ssi_ptr & 0xffffffff, 70 + k);
		EXPECT_EQ(i[k].ssi_pid, getpid());
	}
}

GUEST_TEST(child_fields)
{
	int fd = blocked_fd(SIGCHLD, 0, 0);
	struct signalfd_siginfo i;
	pid_t pid = guest_fork();

	if (pid == 0)
		_exit(9);
	EXPECT_EQ(read(fd, &i, sizeof(i)), sizeof(i));
	EXPECT_EQ(i.ssi_signo, SIGCHLD);
	EXPECT_EQ(i.ssi_code, CLD_EXITED);
	EXPECT_EQ(i.ssi_pid, pid);
	EXPECT_EQ(i.ssi_status, 9);
	EXPECT_EQ(guest_reap(pid), 9);
}

GUEST_TEST(timer_fields)
{
	int fd = blocked_fd(SIGUSR2, 0, 0);
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};
	struct itimerspec its = {.it_value = {0, 1000000}};
	struct signalfd_siginfo i;
	timer_t id;

	ev.sigev_value.sival_int = 1234;
	ASSERT_EQ(timer_create(CLOCK_MONOTONIC, &ev, &id), 0);
	EXPECT_OK(timer_settime(id, 0, &its, NULL));
	MAYBE_SAVE();
	EXPECT_EQ(read(fd, &i, sizeof(i)), sizeof(i));
	EXPECT_EQ(i.ssi_signo, SIGUSR2);
	EXPECT_EQ(i.ssi_code, SI_TIMER);
	EXPECT_EQ(i.ssi_int, 1234);
	EXPECT_EQ(i.ssi_overrun, 0);
}

GUEST_TEST(errors_and_masks)
{
	sigset_t s = set_of(SIGUSR1, SIGKILL), two = set_of(SIGUSR2, 0);
	struct signalfd_siginfo i;
	int fd = ASSERT_OK(signalfd(-1, &s, SFD_NONBLOCK | SFD_CLOEXEC)), p[2];

	EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	EXPECT_TRUE(fcntl(fd, F_GETFL) & O_NONBLOCK);
	EXPECT_ERRNO(read(fd, &i, sizeof(i) - 1), EINVAL);
	EXPECT_ERRNO(write(fd, &i, sizeof(i)), EINVAL);
	EXPECT_EQ(lseek(fd, 1, SEEK_SET), 0);
	EXPECT_ERRNO(signalfd(-1, &s, 1), EINVAL);
	EXPECT_ERRNO(signalfd(9999, &s, 0), EBADF);
	ASSERT_EQ(pipe(p), 0);
	EXPECT_ERRNO(signalfd(p[0], &s, 0), EINVAL);
	EXPECT_ERRNO(syscall(SYS_signalfd4, -1, &s, 4, 0), EINVAL);
	/* The set of an open one is replaced. */
	EXPECT_OK(sigprocmask(SIG_BLOCK, &two, NULL));
	EXPECT_EQ(signalfd(fd, &two, 0), fd);
	EXPECT_OK(kill(getpid(), SIGUSR2));
	MAYBE_SAVE();
	EXPECT_EQ(read(fd, &i, sizeof(i)), sizeof(i));
	EXPECT_EQ(i.ssi_signo, SIGUSR2);
}

GUEST_TEST(fdinfo_and_link)
{
	sigset_t s = set_of(SIGUSR1, 0);
	int fd = ASSERT_OK(signalfd(-1, &s, 0));
	char path[64], text[512];

	MAYBE_SAVE();
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	EXPECT_GT(guest_read_file(path, text, sizeof(text)), 0);
	EXPECT_TRUE(strstr(text, "sigmask:\t0000000000000200\n") != NULL);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	text[readlink(path, text, sizeof(text) - 1)] = 0;
	EXPECT_STREQ(text, "anon_inode:[signalfd]");
}

GUEST_TEST(blocked_reader)
{
	int fd = blocked_fd(SIGUSR1, SIGUSR2, 0);
	struct signalfd_siginfo i;
	pid_t self = getpid(), pid = guest_fork();

	if (pid == 0) {
		guest_wait_blocked(self);
		MAYBE_SAVE();
		kill(self, SIGUSR2);
		_exit(0);
	}
	EXPECT_EQ(read(fd, &i, sizeof(i)), sizeof(i));
	EXPECT_EQ(i.ssi_signo, SIGUSR2);
	EXPECT_EQ(i.ssi_pid, pid);
	EXPECT_EQ(guest_reap(pid), 0);
}

/* The signals are those of the reader, whoever made the file. */
GUEST_TEST(reader_decides)
{
	int fd = blocked_fd(SIGUSR1, 0, SFD_NONBLOCK);
	struct pollfd p = {fd, POLLIN, 0};
	pid_t pid;

	EXPECT_OK(kill(getpid(), SIGUSR1));
	pid = guest_fork();
	if (pid == 0) {
		struct signalfd_siginfo i;

		EXPECT_EQ(poll(&p, 1, 0), 0);
		EXPECT_ERRNO(read(fd, &i, sizeof(i)), EAGAIN);
		EXPECT_OK(kill(getpid(), SIGUSR1));
		MAYBE_SAVE();
		EXPECT_EQ(poll(&p, 1, -1), 1);
		EXPECT_EQ(read(fd, &i, sizeof(i)), sizeof(i));
		EXPECT_EQ(i.ssi_pid, getpid());
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(poll(&p, 1, 0), 1);
	EXPECT_EQ(p.revents, POLLIN);
}

GUEST_TEST(poll_and_epoll_wait)
{
	int fd = blocked_fd(SIGUSR1, 0, SFD_NONBLOCK), ep = ASSERT_OK(epoll_create1(0));
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 5}, out;
	struct signalfd_siginfo i;
	pid_t self = getpid(), pid;

	EXPECT_OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	EXPECT_EQ(epoll_wait(ep, &out, 1, 0), 0);
	pid = guest_fork();
	if (pid == 0) {
		guest_wait_blocked(self);
		MAYBE_SAVE();
		kill(self, SIGUSR1);
		_exit(0);
	}
	EXPECT_EQ(epoll_wait(ep, &out, 1, -1), 1);
	EXPECT_EQ(out.data.u32, 5);
	EXPECT_EQ(read(fd, &i, sizeof(i)), sizeof(i));
	EXPECT_EQ(epoll_wait(ep, &out, 1, 0), 0);
	EXPECT_EQ(guest_reap(pid), 0);
}
