#include "tests/guest/guest_test.h"

#include <stdatomic.h>

/* F_SETLEASE and F_GETLEASE: who may have one, and what opening the file does to it. */

static const char *path;

static int make(int flags)
{
	int fd;

	path = guest_path("leased");
	fd = open(path, O_CREAT | O_RDWR | O_TRUNC, 0600);
	ASSERT_TRUE(fd >= 0);
	close(fd);
	fd = ASSERT_OK(open(path, flags));
	if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0 && (flags & O_ACCMODE) == O_RDONLY)
		SKIP("no leases on this file system");
	fcntl(fd, F_SETLEASE, F_UNLCK);
	return fd;
}

static volatile sig_atomic_t told, code, band, by_fd;

static void on_break(int sig, siginfo_t *si, void *uc)
{
	told++;
	code = si->si_code;
	band = (int)si->si_band;
	by_fd = si->si_fd;
}

static void listen_to(int sig)
{
	struct sigaction sa = {.sa_sigaction = on_break, .sa_flags = SA_SIGINFO | SA_RESTART};

	sigaction(sig, &sa, NULL);
}

GUEST_TEST(one_is_taken_changed_and_given_up)
{
	int fd = make(O_RDONLY), other;

	EXPECT_EQ(fcntl(fd, F_GETLEASE), F_UNLCK);
	EXPECT_OK(fcntl(fd, F_SETLEASE, F_RDLCK));
	EXPECT_EQ(fcntl(fd, F_GETLEASE), F_RDLCK);
	EXPECT_TRUE(fcntl(fd, F_GETFL) & O_ASYNC);
	EXPECT_EQ(fcntl(fd, F_GETOWN), getpid());
	EXPECT_OK(fcntl(fd, F_SETLEASE, F_WRLCK));
	MAYBE_SAVE();
	EXPECT_EQ(fcntl(fd, F_GETLEASE), F_WRLCK);
	EXPECT_OK(fcntl(fd, F_SETLEASE, F_RDLCK));
	other = ASSERT_OK(open(path, O_RDONLY));
	EXPECT_ERRNO(fcntl(fd, F_SETLEASE, F_WRLCK), EAGAIN);
	EXPECT_EQ(fcntl(other, F_GETLEASE), F_UNLCK);
	EXPECT_OK(fcntl(other, F_SETLEASE, F_RDLCK));
	EXPECT_OK(fcntl(other, F_SETLEASE, F_UNLCK));
	EXPECT_ERRNO(fcntl(other, F_SETLEASE, F_UNLCK), EAGAIN);
	/* A lease is the description's: a copy speaks for it. */
	EXPECT_EQ(fcntl(dup(fd), F_GETLEASE), F_RDLCK);
	EXPECT_OK(fcntl(fd, F_SETLEASE, F_UNLCK));
	EXPECT_FALSE(fcntl(fd, F_GETFL) & O_ASYNC);
	EXPECT_EQ(fcntl(fd, F_GETOWN), 0);
}

GUEST_TEST(opening_tells_the_holder_and_waits)
{
	int fd = make(O_RDONLY), status;
	pid_t pid;

	listen_to(SIGIO);
	ASSERT_OK(fcntl(fd, F_SETLEASE, F_RDLCK));
	/* A reader is no trouble. */
	close(ASSERT_OK(open(path, O_RDONLY)));
	EXPECT_EQ(told, 0);
	EXPECT_ERRNO(open(path, O_WRONLY | O_NONBLOCK), EWOULDBLOCK);
	EXPECT_EQ(told, 1);
	EXPECT_EQ(code, SI_KERNEL);
	EXPECT_EQ(fcntl(fd, F_GETLEASE), F_UNLCK);
	pid = guest_fork();
	if (pid == 0) {
		int w = open(path, O_WRONLY);

		EXPECT_TRUE(w >= 0);
		EXPECT_EQ(write(w, "new", 3), 3);
		_exit(0);
	}
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	EXPECT_EQ(waitpid(pid, &status, WNOHANG), 0);
	/* Whoever waits to write is in the way of a lease to read. */
	while (fcntl(fd, F_SETLEASE, F_RDLCK) == 0)
		guest_sleep_ms(1);
	EXPECT_EQ(errno, EAGAIN);
	/* Told once. */
	EXPECT_EQ(told, 1);
	EXPECT_OK(fcntl(fd, F_SETLEASE, F_UNLCK));
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(fcntl(fd, F_GETLEASE), F_UNLCK);
}

GUEST_TEST(a_write_lease_becomes_a_read_lease_for_a_reader)
{
	int fd = make(O_RDONLY);
	pid_t pid;

	listen_to(SIGRTMIN);
	ASSERT_OK(fcntl(fd, F_SETSIG, SIGRTMIN));
	ASSERT_OK(fcntl(fd, F_SETLEASE, F_WRLCK));
	pid = guest_fork();
	if (pid == 0) {
		EXPECT_OK(open(path, O_RDONLY));
		_exit(0);
	}
	while (told == 0)
		guest_sleep_ms(1);
	EXPECT_EQ(code, POLL_MSG);
	EXPECT_EQ(band, 0x441 /* EPOLLIN | EPOLLRDNORM | EPOLLMSG */);
	EXPECT_EQ(by_fd, fd);
	MAYBE_SAVE();
	EXPECT_EQ(fcntl(fd, F_GETLEASE), F_RDLCK);
	EXPECT_EQ(waitpid(pid, NULL, WNOHANG), 0);
	EXPECT_OK(fcntl(fd, F_SETLEASE, F_RDLCK));
	EXPECT_EQ(guest_reap(pid), 0);
	/* A writer wants all of it, and making it a read lease is not enough. */
	EXPECT_ERRNO(open(path, O_RDWR | O_NONBLOCK), EWOULDBLOCK);
	EXPECT_EQ(told, 2);
	EXPECT_EQ(fcntl(fd, F_GETLEASE), F_UNLCK);
	EXPECT_OK(fcntl(fd, F_SETLEASE, F_RDLCK));
	EXPECT_EQ(fcntl(fd, F_GETLEASE), F_UNLCK);
	EXPECT_ERRNO(open(path, O_RDWR | O_NONBLOCK), EWOULDBLOCK);
	EXPECT_EQ(told, 2);
	EXPECT_OK(fcntl(fd, F_SETLEASE, F_UNLCK));
	EXPECT_EQ(fcntl(fd, F_GETSIG), 0);
}

GUEST_TEST(truncating_by_path_breaks_it_too)
{
	int fd = make(O_RDONLY);
	pid_t pid;

	listen_to(SIGIO);
	ASSERT_OK(fcntl(fd, F_SETLEASE, F_RDLCK));
	pid = guest_fork();
	if (pid == 0) {
		close(fd);
		EXPECT_OK(truncate(path, 10));
		_exit(0);
	}
	while (told == 0)
		guest_sleep_ms(1);
	MAYBE_SAVE();
	EXPECT_EQ(waitpid(pid, NULL, WNOHANG), 0);
	/* Closing the last descriptor is giving it up. */
	close(fd);
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(whoever_opened_it_is_in_the_way)
{
	int fd = make(O_RDWR);

	EXPECT_ERRNO(fcntl(fd, F_SETLEASE, F_RDLCK), EAGAIN);
	EXPECT_OK(fcntl(fd, F_SETLEASE, F_WRLCK));
	EXPECT_OK(fcntl(fd, F_SETLEASE, F_UNLCK));
	close(ASSERT_OK(open(path, O_RDONLY)));
	EXPECT_OK(fcntl(fd, F_SETLEASE, F_WRLCK));
	close(fd);
	fd = ASSERT_OK(open(path, O_RDONLY));
	close(ASSERT_OK(open(path, O_WRONLY)));
	EXPECT_OK(fcntl(fd, F_SETLEASE, F_RDLCK));
	MAYBE_SAVE();
	EXPECT_OK(fcntl(fd, F_SETLEASE, F_WRLCK));
	EXPECT_OK(fcntl(fd, F_SETLEASE, F_UNLCK));
	ASSERT_OK(open(path, O_WRONLY));
	EXPECT_ERRNO(fcntl(fd, F_SETLEASE, F_RDLCK), EAGAIN);
}

GUEST_TEST(a_signal_ends_the_opening)
{
	struct sigaction sa = {.sa_sigaction = on_break, .sa_flags = SA_SIGINFO};
	int fd = make(O_RDONLY);
	pid_t pid;

	signal(SIGIO, SIG_IGN);
	ASSERT_OK(fcntl(fd, F_SETLEASE, F_RDLCK));
	sigaction(SIGUSR1, &sa, NULL);
	pid = guest_pester(SIGUSR1);
	EXPECT_ERRNO(open(path, O_WRONLY), EINTR);
	guest_pester_end(pid);
	MAYBE_SAVE();
	EXPECT_OK(fcntl(fd, F_SETLEASE, F_UNLCK));
	EXPECT_OK(open(path, O_WRONLY));
}

static void *time_is_set(void)
{
	static char old[32];
	int fd;

	if (!guest_in_sandbox())
		SKIP("it is set for the whole machine");
	fd = open("/proc/sys/fs/lease-break-time", O_RDWR);
	if (fd < 0)
		SKIP("an ordinary user sets no times");
	ASSERT_TRUE(read(fd, old, sizeof(old) - 1) > 0);
	ASSERT_EQ(pwrite(fd, "1\n", 2, 0), 2);
	close(fd);
	return old;
}

GUEST_TEST(the_time_to_give_it_up_is_bounded)
{
	int fd = make(O_RDONLY), set;
	char *old = time_is_set();
	int64_t start = guest_now(CLOCK_MONOTONIC);
	pid_t pid;

	signal(SIGIO, SIG_IGN);
	ASSERT_OK(fcntl(fd, F_SETLEASE, F_WRLCK));
	pid = guest_fork();
	if (pid == 0) {
		EXPECT_OK(open(path, O_RDONLY));
		EXPECT_GE(guest_now(CLOCK_MONOTONIC) - start, 900000000);
		EXPECT_EQ(fcntl(fd, F_GETLEASE), F_RDLCK);
		EXPECT_OK(open(path, O_RDWR));
		EXPECT_EQ(fcntl(fd, F_GETLEASE), F_UNLCK);
		_exit(0);
	}
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_GE(guest_now(CLOCK_MONOTONIC) - start, 1900000000);
	EXPECT_ERRNO(fcntl(fd, F_SETLEASE, F_UNLCK), EAGAIN);
	set = open("/proc/sys/fs/lease-break-time", O_WRONLY);
	EXPECT_TRUE(write(set, old, strlen(old)) > 0);
}

GUEST_TEST(what_is_refused)
{
	int fd = make(O_RDONLY), p[2];

	EXPECT_ERRNO(fcntl(fd, F_SETLEASE, 7), EINVAL);
	EXPECT_ERRNO(fcntl(ASSERT_OK(open(guest_tmp(), O_RDONLY | O_DIRECTORY)), F_SETLEASE, 7),
	             EINVAL);
	ASSERT_OK(pipe(p));
	EXPECT_ERRNO(fcntl(p[0], F_SETLEASE, F_RDLCK), EINVAL);
	EXPECT_ERRNO(fcntl(ASSERT_OK(open(path, O_PATH)), F_SETLEASE, F_RDLCK), EBADF);
	EXPECT_ERRNO(fcntl(999, F_GETLEASE), EBADF);
	if (geteuid() == 0) {
		ASSERT_OK(chmod(path, 0644));
		ASSERT_OK(chown(path, 4711, 4711));
		guest_drop_root();
		EXPECT_ERRNO(fcntl(fd, F_SETLEASE, F_RDLCK), EACCES);
	}
}
