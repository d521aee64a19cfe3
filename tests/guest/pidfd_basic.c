#include "tests/guest/guest_test.h"

#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

/* pidfds: opening, signals, waiting, taking descriptors. */

#define P_PIDFD_TYPE 3

static int pidfd_open_(pid_t pid, unsigned flags)
{
	return (int)syscall(SYS_pidfd_open, pid, flags);
}

static int pidfd_kill(int fd, int sig, siginfo_t *info, unsigned flags)
{
	return (int)syscall(SYS_pidfd_send_signal, fd, sig, info, flags);
}

static pid_t sleeper(void)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		for (;;)
			pause();
	}
	return pid;
}

GUEST_TEST(kill_and_poll)
{
	pid_t pid = sleeper();
	int fd = ASSERT_OK(pidfd_open_(pid, 0));
	struct pollfd p = {fd, POLLIN, 0};

	EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(poll(&p, 1, 0), 0);
	EXPECT_OK(pidfd_kill(fd, 0, NULL, 0));
	MAYBE_SAVE();
	EXPECT_OK(pidfd_kill(fd, SIGTERM, NULL, 0));
	EXPECT_EQ(poll(&p, 1, -1), 1);
	EXPECT_EQ(p.revents & POLLIN, POLLIN);
	MAYBE_SAVE();
	EXPECT_EQ(poll(&p, 1, -1), 1);
	EXPECT_EQ(guest_reap(pid), 1000 + SIGTERM);
	MAYBE_SAVE();
	EXPECT_EQ(poll(&p, 1, -1), 1);
	EXPECT_ERRNO(pidfd_kill(fd, 0, NULL, 0), ESRCH);
}

GUEST_TEST(errors)
{
	int p[2], fd = ASSERT_OK(pidfd_open_(getpid(), 0));
	pid_t child = ASSERT_OK(fork());
	siginfo_t info;

	EXPECT_ERRNO(pidfd_open_(0, 0), EINVAL);
	EXPECT_ERRNO(pidfd_open_(-5, 0), EINVAL);
	EXPECT_ERRNO(pidfd_open_(getpid(), 1u << 20), EINVAL);
	if (child == 0)
		_exit(0);
	ASSERT_EQ(waitpid(child, NULL, 0), child);
	EXPECT_ERRNO(pidfd_open_(child, 0), ESRCH);
	ASSERT_EQ(pipe(p), 0);
	EXPECT_ERRNO(pidfd_kill(p[0], 0, NULL, 0), EBADF);
	EXPECT_ERRNO(pidfd_kill(fd, 65, NULL, 0), EINVAL);
	EXPECT_ERRNO(pidfd_kill(fd, 0, NULL, 3), EINVAL);
	memset(&info, 0, sizeof(info));
	info.si_signo = SIGUSR2;
	info.si_code = SI_QUEUE;
	EXPECT_ERRNO(pidfd_kill(fd, SIGUSR1, &info, 0), EINVAL);
	EXPECT_ERRNO(read(fd, &info, 8), EINVAL);
	EXPECT_ERRNO(syscall(SYS_pidfd_getfd, fd, 0, 1), EINVAL);
	EXPECT_ERRNO(syscall(SYS_pidfd_getfd, p[0], 0, 0), EBADF);
	EXPECT_ERRNO(syscall(SYS_pidfd_getfd, fd, 5000, 0), EBADF);
}

/* A directory of /proc names its process as well, past its end too. */
GUEST_TEST(directory_of_proc)
{
	pid_t child = ASSERT_OK(fork());
	char path[40];
	int dir, fd, task, status;

	if (child == 0)
		for (;;)
			pause();
	snprintf(path, sizeof(path), "/proc/%d", child);
	dir = ASSERT_OK(open(path, O_RDONLY | O_DIRECTORY));
	fd = ASSERT_OK(open(path, O_PATH));
	snprintf(path, sizeof(path), "/proc/%d/task", child);
	task = ASSERT_OK(open(path, O_RDONLY | O_DIRECTORY));
	MAYBE_SAVE();
	EXPECT_ERRNO(pidfd_kill(task, 0, NULL, 0), EBADF);
	EXPECT_ERRNO(pidfd_kill(fd, 0, NULL, 0), EBADF);
	EXPECT_ERRNO(pidfd_kill(dir, 65, NULL, 0), EINVAL);
	EXPECT_ERRNO(syscall(SYS_pidfd_getfd, dir, 0, 0), EBADF);
	EXPECT_EQ(pidfd_kill(dir, 0, NULL, 0), 0);
	EXPECT_EQ(pidfd_kill(dir, SIGTERM, NULL, 0), 0);
	EXPECT_EQ(waitpid(child, &status, 0), child);
	EXPECT_EQ(status, SIGTERM);
	EXPECT_ERRNO(pidfd_kill(dir, SIGTERM, NULL, 0), ESRCH);
}

static siginfo_t got;

static void handler(int sig, siginfo_t *info, void *uc)
{
	got = *info;
}

GUEST_TEST(with_a_value)
{
	struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
	int fd = ASSERT_OK(pidfd_open_(getpid(), 0));
	siginfo_t info;

	EXPECT_OK(sigaction(SIGRTMIN, &sa, NULL));
	memset(&info, 0, sizeof(info));
	info.si_signo = SIGRTMIN;
	info.si_code = SI_QUEUE;
	info.si_pid = getpid();
	info.si_value.sival_int = 99;
	MAYBE_SAVE();
	EXPECT_OK(pidfd_kill(fd, SIGRTMIN, &info, 0));
	EXPECT_EQ(got.si_signo, SIGRTMIN);
	EXPECT_EQ(got.si_value.sival_int, 99);
	EXPECT_OK(pidfd_kill(fd, SIGRTMIN, NULL, 0));
	EXPECT_EQ(got.si_code, SI_USER);
	EXPECT_EQ(got.si_pid, getpid());
}

GUEST_TEST(waitid_by_pidfd)
{
	pid_t other = sleeper(), pid = guest_fork();
	siginfo_t info;
	int fd, nb;

	if (pid == 0) {
		pause();
		_exit(0);
	}
	fd = ASSERT_OK(pidfd_open_(pid, 0));
	nb = ASSERT_OK(pidfd_open_(pid, O_NONBLOCK));
	memset(&info, 7, sizeof(info));
	EXPECT_OK(waitid(P_PIDFD_TYPE, (id_t)fd, &info, WEXITED | WNOHANG));
	EXPECT_EQ(info.si_pid, 0);
	EXPECT_ERRNO(waitid(P_PIDFD_TYPE, (id_t)nb, &info, WEXITED), EAGAIN);
	MAYBE_SAVE();
	EXPECT_OK(pidfd_kill(fd, SIGKILL, NULL, 0));
	EXPECT_OK(waitid(P_PIDFD_TYPE, (id_t)fd, &info, WEXITED));
	EXPECT_EQ(info.si_pid, pid);
	EXPECT_EQ(info.si_code, CLD_KILLED);
	EXPECT_EQ(info.si_status, SIGKILL);
	EXPECT_ERRNO(waitid(P_PIDFD_TYPE, (id_t)fd, &info, WEXITED), ECHILD);
	EXPECT_ERRNO(waitid(P_PIDFD_TYPE, (id_t)-1, &info, WEXITED), EINVAL);
	EXPECT_ERRNO(waitid(P_PIDFD_TYPE, 9999, &info, WEXITED), EBADF);
	kill(other, SIGKILL);
	EXPECT_EQ(guest_reap(other), 1000 + SIGKILL);
}

GUEST_TEST(clone_pidfd)
{
	struct clone_args a = {.flags = CLONE_PIDFD, .exit_signal = SIGCHLD};
	int fd = -1;
	siginfo_t info;
	pid_t pid;

	a.pidfd = (uintptr_t)&fd;
	pid = (pid_t)syscall(SYS_clone3, &a, sizeof(a));
	if (pid == 0)
		_exit(6);
	ASSERT_GE(pid, 1);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	MAYBE_SAVE();
	EXPECT_OK(waitid(P_PIDFD_TYPE, (id_t)fd, &info, WEXITED));
	EXPECT_EQ(info.si_pid, pid);
	EXPECT_EQ(info.si_status, 6);
	close(fd);
	/* clone(2) has one place for the descriptor and the number. */
	fd = -1;
	pid = (pid_t)syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, 0, &fd, 0, 0);
	if (pid == 0)
		_exit(5);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(guest_reap(pid), 5);
	EXPECT_ERRNO(syscall(SYS_clone, CLONE_PIDFD | CLONE_PARENT_SETTID | SIGCHLD, 0, &fd, 0, 0),
	             EINVAL);
	EXPECT_ERRNO(syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, 0, 8, 0, 0), EFAULT);
	EXPECT_ERRNO(waitpid(-1, NULL, WNOHANG), ECHILD);
}

GUEST_TEST(getfd)
{
	int p[2], fd, theirs;
	struct guest_gate ready;
	pid_t pid;
	char buf[8] = "";

	guest_gate_init(&ready);
	ASSERT_EQ(pipe(p), 0);
	pid = guest_fork();
	if (pid == 0) {
		int q[2];

		ASSERT_EQ(pipe(q), 0);
		EXPECT_EQ(dup2(q[0], 100), 100);
		EXPECT_EQ(write(q[1], "inside", 6), 6);
		guest_gate_open(&ready);
		for (;;)
			pause();
	}
	guest_gate_wait(&ready);
	fd = ASSERT_OK(pidfd_open_(pid, 0));
	theirs = (int)syscall(SYS_pidfd_getfd, fd, 100, 0);
	if (theirs < 0 && errno == EPERM) {
		kill(pid, SIGKILL);
		guest_reap(pid);
		SKIP("may not look into children");
	}
	ASSERT_GE(theirs, 0);
	EXPECT_EQ(fcntl(theirs, F_GETFD), FD_CLOEXEC);
	MAYBE_SAVE();
	EXPECT_EQ(read(theirs, buf, 6), 6);
	EXPECT_STREQ(buf, "inside");
	EXPECT_OK(pidfd_kill(fd, SIGKILL, NULL, 0));
	EXPECT_EQ(guest_reap(pid), 1000 + SIGKILL);
	EXPECT_ERRNO(syscall(SYS_pidfd_getfd, fd, 100, 0), ESRCH);
}

GUEST_TEST(fdinfo)
{
	pid_t pid = sleeper();
	int fd = ASSERT_OK(pidfd_open_(pid, 0));
	char path[64], text[512], want[32];

	MAYBE_SAVE();
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	snprintf(want, sizeof(want), "Pid:\t%d\n", pid);
	EXPECT_GT(guest_read_file(path, text, sizeof(text)), 0);
	EXPECT_TRUE(strstr(text, want) != NULL);
	kill(pid, SIGKILL);
	EXPECT_EQ(guest_reap(pid), 1000 + SIGKILL);
	EXPECT_GT(guest_read_file(path, text, sizeof(text)), 0);
	EXPECT_TRUE(strstr(text, "Pid:\t-1\n") != NULL);
}

/* epoll hears of the end. */
GUEST_TEST(blocked_epoll)
{
	int ep = ASSERT_OK(epoll_create1(0));
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 3}, out;
	pid_t pid = sleeper(), killer;
	int fd = ASSERT_OK(pidfd_open_(pid, 0));

	EXPECT_OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	killer = guest_fork();
	if (killer == 0) {
		guest_wait_blocked(getppid());
		MAYBE_SAVE();
		EXPECT_OK(pidfd_kill(fd, SIGKILL, NULL, 0));
		_exit(0);
	}
	EXPECT_EQ(epoll_wait(ep, &out, 1, -1), 1);
	EXPECT_EQ(out.data.u32, 3);
	EXPECT_EQ(guest_reap(killer), 0);
	EXPECT_EQ(guest_reap(pid), 1000 + SIGKILL);
}

/* The process, not its first thread: ready when the last thread has gone. */
static void *outlive(void *arg)
{
	guest_gate_wait(arg);
	return NULL;
}

GUEST_TEST(last_thread_counts)
{
	struct guest_gate go, there;
	struct pollfd p;
	pid_t pid;

	guest_gate_init(&go);
	guest_gate_init(&there);
	pid = guest_fork();
	if (pid == 0) {
		pthread_t t;

		ASSERT_EQ(pthread_create(&t, NULL, outlive, &go), 0);
		guest_gate_open(&there);
		pthread_exit(NULL);
	}
	guest_gate_wait(&there);
	p = (struct pollfd){ASSERT_OK(pidfd_open_(pid, 0)), POLLIN, 0};
	EXPECT_EQ(poll(&p, 1, 10), 0);
	MAYBE_SAVE();
	EXPECT_EQ(poll(&p, 1, 0), 0);
	guest_gate_open(&go);
	EXPECT_EQ(poll(&p, 1, -1), 1);
	EXPECT_EQ(guest_reap(pid), 0);
}

/* The group that has its number, not the one that it is in. */
GUEST_TEST(group_signals)
{
	pid_t pid = sleeper();
	int fd = ASSERT_OK(pidfd_open_(pid, 0));

	if (pidfd_kill(fd, 0, NULL, 4) < 0 && errno == EINVAL) {
		kill(pid, SIGKILL);
		guest_reap(pid);
		SKIP("a kernel without flags of pidfd_send_signal");
	}
	EXPECT_ERRNO(pidfd_kill(fd, 0, NULL, 4), ESRCH);
	EXPECT_OK(setpgid(pid, pid));
	MAYBE_SAVE();
	EXPECT_OK(pidfd_kill(fd, SIGTERM, NULL, 4));
	EXPECT_EQ(guest_reap(pid), 1000 + SIGTERM);
}
