#include "tests/guest/guest_test.h"

#include <pthread.h>
#include <sys/resource.h>

/* Exit codes and the ways to end. */

static int status_of(void (*fn)(void))
{
	pid_t pid = guest_fork();
	int status;

	if (pid == 0) {
		fn();
		_exit(0);
	}
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	return status;
}

GUEST_TEST(every_code)
{
	for (int i = 0; i < 256; i += 5) {
		pid_t pid = guest_fork();
		int status;

		if (pid == 0)
			_exit(i);
		EXPECT_EQ(waitpid(pid, &status, 0), pid);
		EXPECT_EQ(status, i << 8);
	}
}

static void exit_large(void)
{
	_exit(0x12345678);
}

static void exit_negative(void)
{
	_exit(-1);
}

GUEST_TEST(low_byte_only)
{
	EXPECT_EQ(status_of(exit_large), 0x78 << 8);
	EXPECT_EQ(status_of(exit_negative), 0xff << 8);
}

static int fatal_signal;

static void by_signal(void)
{
	raise(fatal_signal);
}

GUEST_TEST(by_every_fatal_signal)
{
	static const int fatal[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGILL,  SIGTRAP, SIGABRT,
	                            SIGBUS,  SIGFPE,  SIGKILL, SIGUSR1, SIGSEGV, SIGUSR2,
	                            SIGPIPE, SIGALRM, SIGTERM, SIGIO,   SIGPROF, SIGSYS,
	                            SIGXCPU, SIGXFSZ, 34,      64};

	for (size_t i = 0; i < GUEST_COUNT(fatal); i++) {
		int status;

		fatal_signal = fatal[i];
		status = status_of(by_signal);
		EXPECT_TRUE(WIFSIGNALED(status));
		EXPECT_EQ(WTERMSIG(status), fatal[i]);
	}
}

GUEST_TEST(without_a_core_no_status_says_so)
{
	static const int core[] = {SIGQUIT, SIGABRT, SIGSEGV, SIGSYS, SIGXCPU};

	ASSERT_EQ(setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}), 0);
	for (size_t i = 0; i < GUEST_COUNT(core); i++) {
		siginfo_t info;
		pid_t pid = fork();

		if (pid == 0)
			pause();
		kill(pid, core[i]);
		MAYBE_SAVE();
		EXPECT_EQ(waitid(P_PID, (id_t)pid, &info, WEXITED), 0);
		EXPECT_EQ(info.si_code, CLD_KILLED);
		EXPECT_EQ(info.si_status, core[i]);
		fatal_signal = core[i];
		EXPECT_EQ(status_of(by_signal), core[i]);
	}
}

GUEST_TEST(harmless_signals)
{
	static const int harmless[] = {SIGCHLD, SIGURG, SIGWINCH, SIGCONT};

	for (size_t i = 0; i < GUEST_COUNT(harmless); i++) {
		fatal_signal = harmless[i];
		EXPECT_EQ(status_of(by_signal), 0);
	}
}

static void aborts(void)
{
	abort();
}

GUEST_TEST(abort_call)
{
	EXPECT_EQ(status_of(aborts) & 0x7f, SIGABRT);
}

static void *thread_exit(void *arg)
{
	syscall(SYS_exit, 44);
	return NULL;
}

static void last_thread_decides(void)
{
	pthread_t t;

	pthread_create(&t, NULL, thread_exit, NULL);
	guest_sleep_ms(20);
	syscall(SYS_exit, 45);
}

GUEST_TEST(leader_status_counts)
{
	EXPECT_EQ(status_of(last_thread_decides), 45 << 8);
}

static void *thread_killed(void *arg)
{
	*(volatile int *)8 = 1;
	return NULL;
}

static void thread_faults(void)
{
	pthread_t t;

	pthread_create(&t, NULL, thread_killed, NULL);
	for (;;)
		pause();
}

GUEST_TEST(a_fault_in_a_thread_ends_all)
{
	EXPECT_EQ(status_of(thread_faults) & 0x7f, SIGSEGV);
}

static void *busy(void *arg)
{
	for (;;)
		__asm__ volatile("pause");
	return NULL;
}

static void group_exit(void)
{
	pthread_t t;

	for (int i = 0; i < 3; i++)
		pthread_create(&t, NULL, busy, NULL);
	MAYBE_SAVE();
	_exit(46);
}

GUEST_TEST(exit_group_stops_busy_threads)
{
	EXPECT_EQ(status_of(group_exit), 46 << 8);
}

GUEST_TEST(kill_stops_busy_threads)
{
	struct guest_gate g;
	pid_t pid;

	guest_gate_init(&g);
	pid = guest_fork();
	if (pid == 0) {
		pthread_t t;

		pthread_create(&t, NULL, busy, NULL);
		guest_gate_open(&g);
		busy(NULL);
	}
	guest_gate_wait(&g);
	MAYBE_SAVE();
	EXPECT_OK(kill(pid, SIGKILL));
	EXPECT_EQ(guest_reap(pid), 1000 + SIGKILL);
}

static int *order;

static void hook1(void)
{
	order[order[0]++] = 1;
}

static void hook2(void)
{
	order[order[0]++] = 2;
}

GUEST_TEST(atexit_order)
{
	pid_t pid;

	order = guest_map_shared(GUEST_PAGE);
	order[0] = 1;
	pid = guest_fork();
	if (pid == 0) {
		atexit(hook1);
		atexit(hook2);
		exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(order[1], 2);
	EXPECT_EQ(order[2], 1);
}

GUEST_TEST(pipe_closes_at_exit)
{
	int fds[2];
	char c;
	pid_t pid;

	ASSERT_OK(pipe(fds));
	pid = guest_fork();
	if (pid == 0) {
		guest_sleep_ms(5);
		kill(getpid(), SIGKILL);
	}
	close(fds[1]);
	EXPECT_EQ(read(fds[0], &c, 1), 0);
	EXPECT_EQ(guest_reap(pid), 1000 + SIGKILL);
}
