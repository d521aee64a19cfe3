#include "tests/guest/guest_test.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>

/* pidfds of threads. */

#define P_PIDFD_TYPE 3

static int pidfd_open_(pid_t pid, unsigned flags)
{
	return (int)syscall(SYS_pidfd_open, pid, flags);
}

static int pidfd_kill(int fd, int sig, siginfo_t *info, unsigned flags)
{
	return (int)syscall(SYS_pidfd_send_signal, fd, sig, info, flags);
}

static siginfo_t got;

static void handler(int sig, siginfo_t *info, void *uc)
{
	got = *info;
}

#define THREAD O_EXCL /* PIDFD_THREAD */

struct sibling {
	struct guest_gate there, go;
	pid_t tid;
};

static void *sibling_main(void *arg)
{
	struct sibling *s = arg;

	s->tid = (pid_t)syscall(SYS_gettid);
	guest_gate_open(&s->there);
	guest_gate_wait(&s->go);
	return NULL;
}

static struct sibling *shared(void)
{
	struct sibling *s =
		mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ASSERT_TRUE(s != MAP_FAILED);
	guest_gate_init(&s->there);
	guest_gate_init(&s->go);
	return s;
}

static struct sibling *sibling_start(pthread_t *t)
{
	struct sibling *s = shared();

	ASSERT_EQ(pthread_create(t, NULL, sibling_main, s), 0);
	guest_gate_wait(&s->there);
	return s;
}

GUEST_TEST(thread)
{
	pthread_t t;
	struct sibling *s = sibling_start(&t);
	int fd = pidfd_open_(s->tid, THREAD);
	struct pollfd p = {fd, POLLIN, 0};
	siginfo_t info;
	char path[64], text[512], want[32];

	if (fd < 0 && errno == EINVAL)
		SKIP("a kernel without pidfds of threads");
	ASSERT_GE(fd, 0);
	EXPECT_EQ(fcntl(fd, F_GETFL), O_RDWR | THREAD);
	EXPECT_TRUE(pidfd_open_(s->tid, 0) < 0);
	MAYBE_SAVE();
	EXPECT_EQ(poll(&p, 1, 0), 0);
	EXPECT_OK(pidfd_kill(fd, 0, NULL, 0));
	EXPECT_ERRNO(waitid(P_PIDFD_TYPE, (id_t)fd, &info, WEXITED), ECHILD);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	snprintf(want, sizeof(want), "Pid:\t%d\n", s->tid);
	EXPECT_GT(guest_read_file(path, text, sizeof(text)), 0);
	EXPECT_TRUE(strstr(text, want) != NULL);
	guest_gate_open(&s->go);
	EXPECT_EQ(pthread_join(t, NULL), 0);
	EXPECT_EQ(poll(&p, 1, -1), 1);
	EXPECT_EQ(p.revents, POLLIN | POLLHUP);
	MAYBE_SAVE();
	EXPECT_EQ(poll(&p, 1, -1), 1);
	EXPECT_ERRNO(pidfd_kill(fd, 0, NULL, 0), ESRCH);
	EXPECT_ERRNO(syscall(SYS_pidfd_getfd, fd, 0, 0), ESRCH);
	EXPECT_GT(guest_read_file(path, text, sizeof(text)), 0);
	EXPECT_TRUE(strstr(text, "Pid:\t-1\n") != NULL);
}

/* What it sends is for that thread, unless the caller says otherwise. */
GUEST_TEST(thread_signals)
{
	struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
	int fd = pidfd_open_(getpid(), THREAD);
	sigset_t set, pending;

	if (fd < 0 && errno == EINVAL)
		SKIP("a kernel without pidfds of threads");
	EXPECT_OK(sigaction(SIGUSR1, &sa, NULL));
	EXPECT_OK(pidfd_kill(fd, SIGUSR1, NULL, 0));
	EXPECT_EQ(got.si_code, SI_TKILL);
	MAYBE_SAVE();
	EXPECT_OK(pidfd_kill(fd, SIGUSR1, NULL, 2));
	EXPECT_EQ(got.si_code, SI_USER);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	EXPECT_OK(sigprocmask(SIG_BLOCK, &set, NULL));
	EXPECT_OK(pidfd_kill(fd, SIGUSR2, NULL, 0));
	EXPECT_OK(sigpending(&pending));
	EXPECT_TRUE(sigismember(&pending, SIGUSR2));
}

GUEST_ROLE(wait_to_be_killed)
{
	for (;;)
		pause();
	return 0;
}

static void *exec_main(void *arg)
{
	struct sibling *s = arg;

	s->tid = (pid_t)syscall(SYS_gettid);
	guest_gate_open(&s->there);
	guest_gate_wait(&s->go);
	execl("/proc/thread-self/exe", "guest", "role:wait_to_be_killed", NULL);
	return NULL;
}

/* A thread that execs has its leader's number from then on. */
GUEST_TEST(thread_execs)
{
	struct sibling *s = shared();
	struct pollfd own, first;
	pid_t pid;

	pid = guest_fork();
	if (pid == 0) {
		pthread_t t;

		ASSERT_EQ(pthread_create(&t, NULL, exec_main, s), 0);
		pthread_exit(NULL);
	}
	guest_gate_wait(&s->there);
	own = (struct pollfd){pidfd_open_(s->tid, THREAD), POLLIN, 0};
	if (own.fd < 0 && errno == EINVAL) {
		kill(pid, SIGKILL);
		guest_reap(pid);
		SKIP("a kernel without pidfds of threads");
	}
	first = (struct pollfd){ASSERT_OK(pidfd_open_(pid, THREAD)), POLLIN, 0};
	MAYBE_SAVE();
	EXPECT_EQ(poll(&own, 1, 0), 0);
	guest_gate_open(&s->go);
	EXPECT_EQ(poll(&own, 1, -1), 1);
	EXPECT_ERRNO(pidfd_kill(own.fd, 0, NULL, 0), ESRCH);
	EXPECT_EQ(poll(&first, 1, 0), 0);
	MAYBE_SAVE();
	EXPECT_OK(pidfd_kill(first.fd, SIGKILL, NULL, 0));
	EXPECT_EQ(poll(&first, 1, -1), 1);
	EXPECT_EQ(guest_reap(pid), 1000 + SIGKILL);
}
