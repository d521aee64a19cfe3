#include "tests/guest/guest_test.h"
#include <sys/mman.h>

#include <pthread.h>
#include <sys/resource.h>

/* wait4 and waitid with all options. */

static struct guest_gate gate;

static pid_t gated_child(int code)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		guest_gate_wait(&gate);
		_exit(code);
	}
	return pid;
}

GUEST_TEST(nohang)
{
	int status = 77;
	pid_t pid;

	guest_gate_init(&gate);
	pid = gated_child(4);
	EXPECT_EQ(waitpid(pid, &status, WNOHANG), 0);
	EXPECT_EQ(status, 77);
	EXPECT_EQ(waitpid(-1, NULL, WNOHANG), 0);
	MAYBE_SAVE();
	guest_gate_open(&gate);
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 4 << 8);
	EXPECT_ERRNO(waitpid(pid, &status, 0), ECHILD);
	EXPECT_ERRNO(waitpid(-1, &status, WNOHANG), ECHILD);
}

GUEST_TEST(zombie_stays_until_reaped)
{
	siginfo_t si = {0};
	pid_t pid = guest_fork();

	if (pid == 0)
		_exit(8);
	EXPECT_OK(waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT));
	EXPECT_EQ(si.si_pid, pid);
	MAYBE_SAVE();
	EXPECT_EQ(kill(pid, 0), 0);
	EXPECT_OK(waitid(P_ALL, 0, &si, WEXITED | WNOWAIT));
	EXPECT_EQ(si.si_status, 8);
	EXPECT_EQ(guest_reap(pid), 8);
	EXPECT_ERRNO(kill(pid, 0), ESRCH);
}

GUEST_TEST(waitid_exit_info)
{
	siginfo_t si;
	pid_t pid = guest_fork();

	memset(&si, 0xff, sizeof(si));
	if (pid == 0)
		_exit(200);
	EXPECT_OK(waitid(P_PID, (id_t)pid, &si, WEXITED));
	EXPECT_EQ(si.si_signo, SIGCHLD);
	EXPECT_EQ(si.si_code, CLD_EXITED);
	EXPECT_EQ(si.si_pid, pid);
	EXPECT_EQ(si.si_uid, getuid());
	EXPECT_EQ(si.si_status, 200);
	EXPECT_EQ(si.si_errno, 0);
	pid = guest_fork();
	if (pid == 0) {
		raise(SIGTERM);
		_exit(0);
	}
	EXPECT_OK(waitid(P_ALL, 0, &si, WEXITED));
	EXPECT_EQ(si.si_code, CLD_KILLED);
	EXPECT_EQ(si.si_status, SIGTERM);
}

GUEST_TEST(waitid_nohang_clears_info)
{
	siginfo_t si;
	pid_t pid;

	guest_gate_init(&gate);
	pid = gated_child(0);
	memset(&si, 0xff, sizeof(si));
	EXPECT_OK(waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG));
	EXPECT_EQ(si.si_pid, 0);
	EXPECT_EQ(si.si_signo, 0);
	guest_gate_open(&gate);
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(stopped_and_continued)
{
	int status;
	pid_t pid;

	guest_gate_init(&gate);
	pid = gated_child(1);
	EXPECT_OK(kill(pid, SIGSTOP));
	EXPECT_EQ(waitpid(pid, &status, WUNTRACED), pid);
	EXPECT_TRUE(WIFSTOPPED(status));
	EXPECT_EQ(WSTOPSIG(status), SIGSTOP);
	/* Reported once. */
	EXPECT_EQ(waitpid(pid, &status, WUNTRACED | WNOHANG), 0);
	MAYBE_SAVE();
	EXPECT_EQ(waitpid(pid, &status, WUNTRACED | WNOHANG), 0);
	EXPECT_OK(kill(pid, SIGCONT));
	EXPECT_EQ(waitpid(pid, &status, WCONTINUED), pid);
	EXPECT_TRUE(WIFCONTINUED(status));
	EXPECT_EQ(status, 0xffff);
	EXPECT_EQ(waitpid(pid, &status, WCONTINUED | WNOHANG), 0);
	guest_gate_open(&gate);
	EXPECT_EQ(guest_reap(pid), 1);
}

GUEST_TEST(waitid_stop_info)
{
	siginfo_t si;
	pid_t pid;

	guest_gate_init(&gate);
	pid = gated_child(0);
	/* SIGTSTP stops only a group that a parent of the same session looks after. */
	EXPECT_OK(setpgid(pid, pid));
	kill(pid, SIGTSTP);
	EXPECT_OK(waitid(P_PID, (id_t)pid, &si, WSTOPPED | WNOWAIT));
	EXPECT_EQ(si.si_code, CLD_STOPPED);
	EXPECT_EQ(si.si_status, SIGTSTP);
	EXPECT_OK(waitid(P_PID, (id_t)pid, &si, WSTOPPED));
	kill(pid, SIGCONT);
	EXPECT_OK(waitid(P_PID, (id_t)pid, &si, WCONTINUED));
	EXPECT_EQ(si.si_code, CLD_CONTINUED);
	EXPECT_EQ(si.si_status, SIGCONT);
	guest_gate_open(&gate);
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(orphaned_group_does_not_stop)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		setsid();
		raise(SIGTSTP);
		raise(SIGTTIN);
		_exit(6);
	}
	EXPECT_EQ(guest_reap(pid), 6);
}

GUEST_TEST(stopped_child_can_be_killed)
{
	int status;
	pid_t pid;

	guest_gate_init(&gate);
	pid = gated_child(0);
	kill(pid, SIGSTOP);
	EXPECT_EQ(waitpid(pid, &status, WUNTRACED), pid);
	MAYBE_SAVE();
	kill(pid, SIGTERM); /* stays pending while stopped */
	EXPECT_EQ(waitpid(pid, &status, WNOHANG), 0);
	kill(pid, SIGKILL);
	EXPECT_EQ(guest_reap(pid), 1000 + SIGKILL);
}

GUEST_TEST(by_process_group)
{
	pid_t a, b;
	int status;

	guest_gate_init(&gate);
	a = gated_child(1);
	b = gated_child(2);
	EXPECT_OK(setpgid(b, b));
	guest_gate_open(&gate);
	guest_gate_open(&gate);
	EXPECT_EQ(waitpid(-b, &status, 0), b);
	EXPECT_EQ(status, 2 << 8);
	EXPECT_EQ(waitpid(0, &status, 0), a);
	EXPECT_EQ(status, 1 << 8);
	EXPECT_ERRNO(waitpid(-b, &status, 0), ECHILD);
	EXPECT_ERRNO(waitid(P_PGID, (id_t)b, NULL, WEXITED), ECHILD);
}

GUEST_TEST(rusage_of_a_child)
{
	struct rusage ru;
	pid_t pid = guest_fork();
	int status;

	memset(&ru, 0xff, sizeof(ru));
	if (pid == 0)
		_exit(0);
	EXPECT_EQ(wait4(pid, &status, 0, &ru), pid);
	EXPECT_GE(ru.ru_utime.tv_sec, 0);
	EXPECT_LT(ru.ru_utime.tv_usec, 1000000);
	EXPECT_GE(ru.ru_maxrss, 0);
}

GUEST_TEST(errors)
{
	siginfo_t si;

	EXPECT_ERRNO(waitpid(-1, NULL, 0), ECHILD);
	EXPECT_ERRNO(waitpid(getpid(), NULL, 0), ECHILD);
	EXPECT_ERRNO(waitpid(1, NULL, 0), ECHILD);
	EXPECT_ERRNO(waitpid(-1, NULL, 0x1000), EINVAL);
	EXPECT_ERRNO(waitid(P_ALL, 0, &si, 0), EINVAL);
	EXPECT_ERRNO(waitid(P_ALL, 0, &si, WNOHANG), EINVAL);
	EXPECT_ERRNO(waitid((idtype_t)17, 0, &si, WEXITED), EINVAL);
	EXPECT_ERRNO(waitid(P_PID, 0, &si, WEXITED), EINVAL);
	EXPECT_ERRNO(waitpid(INT32_MIN, NULL, 0), ESRCH);
}

static void *waiter(void *arg)
{
	return (void *)(long)guest_reap(*(pid_t *)arg);
}

GUEST_TEST(threads_wait_for_each_others_children)
{
	pthread_t t;
	void *ret;
	pid_t pid;

	guest_gate_init(&gate);
	pid = gated_child(31);
	ASSERT_EQ(pthread_create(&t, NULL, waiter, &pid), 0);
	guest_sleep_ms(5);
	MAYBE_SAVE();
	guest_gate_open(&gate);
	pthread_join(t, &ret);
	EXPECT_EQ((long)ret, 31);
}

static void *forks(void *arg)
{
	*(pid_t *)arg = gated_child(32);
	return NULL;
}

GUEST_TEST(nothread_sees_own_children_only)
{
	pthread_t t;
	pid_t pid;

	guest_gate_init(&gate);
	ASSERT_EQ(pthread_create(&t, NULL, forks, &pid), 0);
	pthread_join(t, NULL);
	guest_gate_open(&gate);
	EXPECT_EQ(guest_reap(pid), 32);
	EXPECT_ERRNO(waitpid(-1, NULL, __WNOTHREAD), ECHILD);
}

GUEST_TEST(ignored_sigchld_reaps)
{
	pid_t pid;

	signal(SIGCHLD, SIG_IGN);
	pid = guest_fork();
	if (pid == 0)
		_exit(3);
	/* wait blocks until the last child is gone, then fails. */
	EXPECT_ERRNO(waitpid(pid, NULL, 0), ECHILD);
	EXPECT_ERRNO(kill(pid, 0), ESRCH);
}

GUEST_TEST(nocldwait_reaps)
{
	struct sigaction sa = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT};
	pid_t pid;

	sigaction(SIGCHLD, &sa, NULL);
	pid = guest_fork();
	if (pid == 0)
		_exit(3);
	EXPECT_ERRNO(waitpid(-1, NULL, 0), ECHILD);
	EXPECT_ERRNO(kill(pid, 0), ESRCH);
}

static void touch_memory(void *arg)
{
	size_t size = 64 << 20;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(p, 1, size);
}

static void ignore_children(void *arg)
{
	struct rusage ru;
	pid_t pid;

	signal(SIGCHLD, SIG_IGN);
	pid = guest_fork();
	if (pid == 0) {
		touch_memory(NULL);
		_exit(0);
	}
	EXPECT_EQ(waitpid(pid, NULL, 0), -1);
	EXPECT_EQ(errno, ECHILD);
	EXPECT_OK(getrusage(RUSAGE_CHILDREN, &ru));
	EXPECT_EQ(ru.ru_maxrss, 0);
}

GUEST_TEST(usage_of_ignored_children_is_not_counted)
{
	struct rusage ru;

	EXPECT_EQ(guest_in_child(ignore_children, NULL), 0);
	EXPECT_EQ(guest_in_child(touch_memory, NULL), 0);
	EXPECT_OK(getrusage(RUSAGE_CHILDREN, &ru));
	EXPECT_GE(ru.ru_maxrss, 60 << 10);
}
