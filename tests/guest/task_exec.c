#include "tests/guest/guest_test.h"

#include <pthread.h>
#include <sys/auxv.h>

/* execve: what the new image sees and what it keeps. */

static int run(const char *path, char **argv, char **envp)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		execve(path, argv, envp);
		_exit(100 + errno);
	}
	return guest_reap(pid);
}

GUEST_ROLE(args)
{
	if (argc != 5 || strcmp(argv[0], "zero") || strcmp(argv[2], "") ||
	    strcmp(argv[3], "with space") || strcmp(argv[4], "\xff\x01") || argv[5])
		return 1;
	if (!environ[0] || strcmp(environ[0], "A=1") || strcmp(environ[1], "B=") || environ[2])
		return 2;
	return 0;
}

GUEST_TEST(argv_and_envp)
{
	char *argv[] = {(char *)"zero",       (char *)"role:args", (char *)"",
	                (char *)"with space", (char *)"\xff\x01",  NULL};
	char *envp[] = {(char *)"A=1", (char *)"B=", NULL};

	EXPECT_EQ(run(guest_self(), argv, envp), 0);
}

GUEST_ROLE(noenv)
{
	return environ[0] ? 1 : 0;
}

GUEST_TEST(no_environment)
{
	char *argv[] = {(char *)"role:noenv", NULL}, *none[] = {NULL};

	EXPECT_EQ(run(guest_self(), argv, none), 0);
	EXPECT_EQ(run(guest_self(), argv, NULL), 0);
}

GUEST_ROLE(fds)
{
	/* argv[2] must be open, argv[3] closed. */
	if (fcntl(atoi(argv[2]), F_GETFD) < 0)
		return 1;
	if (fcntl(atoi(argv[3]), F_GETFD) >= 0)
		return 2;
	return lseek(atoi(argv[2]), 0, SEEK_CUR) == 4 ? 0 : 3;
}

GUEST_TEST(close_on_exec)
{
	char a[16], b[16];
	char *argv[] = {(char *)"x", (char *)"role:fds", a, b, NULL};
	int fd = ASSERT_OK(open(guest_path("f"), O_RDWR | O_CREAT, 0644));
	int gone = ASSERT_OK(open("/dev/null", O_RDONLY | O_CLOEXEC));

	ASSERT_EQ(write(fd, "four", 4), 4);
	snprintf(a, sizeof(a), "%d", fd);
	snprintf(b, sizeof(b), "%d", gone);
	EXPECT_EQ(run(guest_self(), argv, environ), 0);
	EXPECT_EQ(fcntl(gone, F_GETFD), FD_CLOEXEC);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(gone, F_SETFD, 0);
	lseek(gone, 0, SEEK_SET);
	EXPECT_EQ(run(guest_self(), argv, environ), 1);
}

GUEST_ROLE(signals)
{
	struct sigaction sa;
	sigset_t mask, pend;

	sigaction(SIGUSR1, NULL, &sa);
	if (sa.sa_handler != SIG_DFL)
		return 1;
	sigaction(SIGUSR2, NULL, &sa);
	if (sa.sa_handler != SIG_IGN)
		return 2;
	sigprocmask(SIG_BLOCK, NULL, &mask);
	if (!sigismember(&mask, SIGTERM) || sigismember(&mask, SIGINT))
		return 3;
	sigpending(&pend);
	if (!sigismember(&pend, SIGTERM))
		return 4;
	return alarm(0) > 0 ? 0 : 5;
}

static void nothing(int sig)
{
}

GUEST_TEST(signals_over_exec)
{
	char *argv[] = {(char *)"role:signals", NULL};
	pid_t pid = guest_fork();

	if (pid == 0) {
		sigset_t set;

		signal(SIGUSR1, nothing);
		signal(SIGUSR2, SIG_IGN);
		sigemptyset(&set);
		sigaddset(&set, SIGTERM);
		sigprocmask(SIG_BLOCK, &set, NULL);
		raise(SIGTERM);
		alarm(1000);
		MAYBE_SAVE();
		execv(guest_self(), argv);
		_exit(100);
	}
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_ROLE(same_pid)
{
	return getpid() == atoi(argv[2]) && syscall(SYS_gettid) == atoi(argv[2]) ? 0 : 1;
}

static void exec_same_pid(void)
{
	char pid[16];
	char *argv[] = {(char *)"x", (char *)"role:same_pid", pid, NULL};

	snprintf(pid, sizeof(pid), "%d", getpid());
	execv(guest_self(), argv);
	_exit(100);
}

static void *exec_thread(void *arg)
{
	exec_same_pid();
	return NULL;
}

static void *sleep_thread(void *arg)
{
	for (;;)
		pause();
	return NULL;
}

GUEST_TEST(from_a_thread)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		pthread_t t;

		for (int i = 0; i < 3; i++)
			pthread_create(&t, NULL, sleep_thread, NULL);
		MAYBE_SAVE();
		pthread_create(&t, NULL, exec_thread, NULL);
		for (;;)
			pause();
	}
	EXPECT_EQ(guest_reap(pid), 0);
}

static void *spin_thread(void *arg)
{
	for (;;)
		__asm__ volatile("pause");
	return NULL;
}

GUEST_TEST(from_the_leader_with_threads)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		pthread_t t;

		pthread_create(&t, NULL, sleep_thread, NULL);
		pthread_create(&t, NULL, spin_thread, NULL);
		exec_same_pid();
	}
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_ROLE(keeps)
{
	char cwd[4096];

	if (!getcwd(cwd, sizeof(cwd)) || strcmp(cwd, "/proc"))
		return 1;
	if (umask(0) != 013)
		return 2;
	if (getpgrp() != getpid())
		return 3;
	return 0;
}

GUEST_TEST(cwd_umask_group)
{
	char *argv[] = {(char *)"role:keeps", NULL};
	pid_t pid = guest_fork();

	if (pid == 0) {
		if (chdir("/proc") < 0 || setpgid(0, 0) < 0)
			_exit(50);
		umask(013);
		execv(guest_self(), argv);
		_exit(100);
	}
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_ROLE(memory_is_new)
{
	unsigned char vec;

	return mincore((void *)0x10000000000, GUEST_PAGE, &vec) < 0 && errno == ENOMEM ? 0 : 1;
}

GUEST_TEST(old_memory_is_gone)
{
	char *argv[] = {(char *)"role:memory_is_new", NULL};
	pid_t pid = guest_fork();

	if (pid == 0) {
		char *p = mmap((void *)0x10000000000, GUEST_PAGE, PROT_READ | PROT_WRITE,
		               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

		p[0] = 1;
		execv(guest_self(), argv);
		_exit(100);
	}
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_ROLE(chain)
{
	int n = atoi(argv[2]);
	char text[16];
	char *next[] = {(char *)"x", (char *)"role:chain", text, NULL};

	if (n == 0)
		return 17;
	snprintf(text, sizeof(text), "%d", n - 1);
	execv(guest_self()[0] ? guest_self() : "/proc/self/exe", next);
	return 100;
}

GUEST_TEST(again_and_again)
{
	char *argv[] = {(char *)"x", (char *)"role:chain", (char *)"20", NULL};

	EXPECT_EQ(run(guest_self(), argv, environ), 17);
}

GUEST_TEST(through_a_descriptor)
{
	char *argv[] = {(char *)"x", (char *)"role:chain", (char *)"0", NULL};
	int fd = ASSERT_OK(open(guest_self(), O_RDONLY));
	pid_t pid = guest_fork();

	if (pid == 0) {
		syscall(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH);
		_exit(100);
	}
	EXPECT_EQ(guest_reap(pid), 17);
	pid = guest_fork();
	if (pid == 0) {
		syscall(SYS_execveat, AT_FDCWD, guest_self(), argv, environ, 0);
		_exit(100);
	}
	EXPECT_EQ(guest_reap(pid), 17);
	EXPECT_ERRNO(syscall(SYS_execveat, fd, "", argv, environ, 0), ENOENT);
}

GUEST_TEST(program_without_a_name)
{
	char *argv[] = {(char *)"nameless", (char *)"role:chain", (char *)"0", NULL};
	int from = open(guest_self(), O_RDONLY), fd = memfd_create("program", MFD_CLOEXEC);
	char buf[4096];
	ssize_t n;
	pid_t pid;

	ASSERT_TRUE(from >= 0 && fd >= 0);
	while ((n = read(from, buf, sizeof(buf))) > 0)
		ASSERT_EQ(write(fd, buf, (size_t)n), n);
	MAYBE_SAVE();
	pid = fork();
	if (pid == 0) {
		syscall(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH);
		_exit(1);
	}
	EXPECT_EQ(guest_reap(pid), 17);
}
