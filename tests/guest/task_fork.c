#include "tests/guest/guest_test.h"

#include <sys/resource.h>

/* fork: what is inherited, what is not. */

GUEST_TEST(ids)
{
	pid_t self = getpid(), parent = getppid(), pid;

	EXPECT_EQ(self, syscall(SYS_gettid));
	pid = guest_fork();
	if (pid == 0) {
		EXPECT_NE(getpid(), self);
		EXPECT_EQ(getppid(), self);
		EXPECT_EQ(getpid(), syscall(SYS_gettid));
		MAYBE_SAVE();
		EXPECT_EQ(getppid(), self);
		_exit(0);
	}
	EXPECT_GT(pid, 0);
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(getpid(), self);
	EXPECT_EQ(getppid(), parent);
}

GUEST_TEST(file_offset_is_shared)
{
	int fd = ASSERT_OK(open(guest_path("f"), O_RDWR | O_CREAT, 0644));
	pid_t pid;

	ASSERT_EQ(write(fd, "0123456789", 10), 10);
	pid = guest_fork();
	if (pid == 0) {
		EXPECT_EQ(lseek(fd, 3, SEEK_SET), 3);
		MAYBE_SAVE();
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 3);
}

GUEST_TEST(descriptors_are_own)
{
	int fd = ASSERT_OK(open("/dev/null", O_RDONLY));
	pid_t pid = guest_fork();

	if (pid == 0) {
		EXPECT_OK(close(fd));
		EXPECT_ERRNO(fcntl(fd, F_GETFD), EBADF);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(fcntl(fd, F_GETFD), 0);
}

GUEST_TEST(cwd_umask_are_own)
{
	char was[4096], now[4096];
	pid_t pid;

	ASSERT_TRUE(getcwd(was, sizeof(was)) != NULL);
	umask(027);
	pid = guest_fork();
	if (pid == 0) {
		EXPECT_EQ(umask(077), 027);
		EXPECT_OK(chdir("/proc"));
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(umask(022), 027);
	ASSERT_TRUE(getcwd(now, sizeof(now)) != NULL);
	EXPECT_STREQ(now, was);
}

GUEST_TEST(pending_signals_are_not_inherited)
{
	sigset_t set, pend;
	pid_t pid;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	raise(SIGUSR1);
	kill(getpid(), SIGUSR1);
	pid = guest_fork();
	if (pid == 0) {
		sigset_t mask;

		EXPECT_OK(sigpending(&pend));
		EXPECT_FALSE(sigismember(&pend, SIGUSR1));
		sigprocmask(SIG_BLOCK, NULL, &mask);
		EXPECT_TRUE(sigismember(&mask, SIGUSR1));
		_exit(0);
	}
	MAYBE_SAVE();
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_OK(sigpending(&pend));
	EXPECT_TRUE(sigismember(&pend, SIGUSR1));
}

GUEST_TEST(alarms_and_limits)
{
	struct rlimit rl = {100, 100}, got;
	pid_t pid;

	ASSERT_OK(setrlimit(RLIMIT_NOFILE, &rl));
	alarm(1000);
	pid = guest_fork();
	if (pid == 0) {
		EXPECT_EQ(alarm(0), 0);
		EXPECT_OK(getrlimit(RLIMIT_NOFILE, &got));
		EXPECT_EQ(got.rlim_cur, 100);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_GT(alarm(0), 0);
}

GUEST_TEST(many_one_after_another)
{
	for (int i = 0; i < 100; i++) {
		pid_t pid = guest_fork();

		if (pid == 0)
			_exit(i);
		EXPECT_EQ(guest_reap(pid), i);
	}
}

GUEST_TEST(many_at_once)
{
	enum {
		N = 40
	};
	pid_t pids[N];
	struct guest_gate g;

	guest_gate_init(&g);
	for (int i = 0; i < N; i++) {
		pids[i] = guest_fork();
		if (pids[i] == 0) {
			guest_gate_wait(&g);
			_exit(i);
		}
	}
	MAYBE_SAVE();
	for (int i = 0; i < N; i++)
		guest_gate_open(&g);
	for (int i = N - 1; i >= 0; i--)
		EXPECT_EQ(guest_reap(pids[i]), i);
}

GUEST_TEST(registers_survive)
{
	/* Callee-saved and caller-saved registers, seen on both sides of a raw fork. */
	long pid, b = 0x1111, r8 = 0, r9 = 0, r10 = 0, rdx = 0;

	__asm__ volatile("mov $0x2222,%%r8\n\tmov $0x3333,%%r9\n\tmov $0x4444,%%r10\n\t"
	                 "mov $0x5555,%%rdx\n\tsyscall\n\t"
	                 "mov %%r8,%1\n\tmov %%r9,%2\n\tmov %%r10,%3\n\tmov %%rdx,%4"
	                 : "=a"(pid), "=&r"(r8), "=&r"(r9), "=&r"(r10), "=&r"(rdx), "+b"(b)
	                 : "0"(57l)
	                 : "rcx", "r11", "r8", "r9", "r10", "rdx", "memory");
	EXPECT_EQ(b, 0x1111);
	EXPECT_EQ(r8, 0x2222);
	EXPECT_EQ(r9, 0x3333);
	EXPECT_EQ(r10, 0x4444);
	EXPECT_EQ(rdx, 0x5555);
	if (pid == 0)
		_exit(0);
	EXPECT_EQ(guest_reap((pid_t)pid), 0);
}
