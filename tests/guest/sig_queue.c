#include "tests/guest/guest_test.h"

#include <sys/resource.h>

/* Queueing of real-time signals, sigqueue, rt_sigqueueinfo. */

enum {
	MAX = 64
};

static struct {
	int sig, code, value;
	pid_t pid;
	uid_t uid;
} log_[MAX];
static volatile int nlog;

static void on_signal(int sig, siginfo_t *si, void *uc)
{
	if (nlog < MAX) {
		log_[nlog].sig = sig;
		log_[nlog].code = si->si_code;
		log_[nlog].value = si->si_value.sival_int;
		log_[nlog].pid = si->si_pid;
		log_[nlog].uid = si->si_uid;
	}
	nlog++;
}

static void catch (int sig)
{
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};

	sigfillset(&sa.sa_mask);
	sigaction(sig, &sa, NULL);
}

static void queue(int sig, int value)
{
	union sigval v = {.sival_int = value};

	EXPECT_OK(sigqueue(getpid(), sig, v));
}

GUEST_TEST(fifo_per_signal_and_lowest_first)
{
	sigset_t all, old;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	for (int i = 0; i < 3; i++)
		catch (SIGRTMIN + i);
	catch (SIGUSR1);
	for (int i = 0; i < 5; i++) {
		queue(SIGRTMIN + 2, 200 + i);
		queue(SIGRTMIN, i);
		queue(SIGRTMIN + 1, 100 + i);
	}
	queue(SIGUSR1, 7);
	queue(SIGUSR1, 8); /* a standard signal is queued once */
	MAYBE_SAVE();
	sigprocmask(SIG_SETMASK, &old, NULL);
	ASSERT_EQ(nlog, 16);
	EXPECT_EQ(log_[0].sig, SIGUSR1);
	EXPECT_EQ(log_[0].value, 7);
	for (int i = 0; i < 15; i++) {
		EXPECT_EQ(log_[i + 1].sig, SIGRTMIN + i / 5);
		EXPECT_EQ(log_[i + 1].value, i / 5 * 100 + i % 5);
		EXPECT_EQ(log_[i + 1].code, SI_QUEUE);
		EXPECT_EQ(log_[i + 1].pid, getpid());
		EXPECT_EQ(log_[i + 1].uid, getuid());
	}
}

GUEST_TEST(pointer_value)
{
	union sigval v = {.sival_ptr = (void *)0x123456789abc};
	sigset_t set;
	siginfo_t si;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMAX);
	sigprocmask(SIG_BLOCK, &set, NULL);
	EXPECT_OK(sigqueue(getpid(), SIGRTMAX, v));
	MAYBE_SAVE();
	EXPECT_EQ(sigwaitinfo(&set, &si), SIGRTMAX);
	EXPECT_EQ(si.si_value.sival_ptr, (void *)0x123456789abc);
}

GUEST_TEST(raw_info_travels)
{
	sigset_t set;
	siginfo_t si, got;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	memset(&si, 0, sizeof(si));
	/* Of an unknown code, the 48 bytes that the kernel itself keeps are carried. */
	for (size_t i = 16; i < 48; i++)
		((unsigned char *)&si)[i] = (unsigned char)i;
	si.si_signo = 99; /* replaced */
	si.si_errno = 5;
	si.si_code = -77;
	EXPECT_OK(syscall(SYS_rt_sigqueueinfo, getpid(), SIGRTMIN, &si));
	MAYBE_SAVE();
	EXPECT_EQ(sigwaitinfo(&set, &got), SIGRTMIN);
	EXPECT_EQ(got.si_signo, SIGRTMIN);
	EXPECT_EQ(got.si_errno, 5);
	EXPECT_EQ(got.si_code, -77);
	EXPECT_EQ(memcmp((char *)&si + 16, (char *)&got + 16, 48 - 16), 0);
}

GUEST_TEST(forged_codes_are_refused)
{
	siginfo_t si = {.si_code = SI_USER};
	pid_t parent = getppid();

	EXPECT_ERRNO(syscall(SYS_rt_sigqueueinfo, parent, SIGCONT, &si), EPERM);
	si.si_code = SI_TKILL;
	EXPECT_ERRNO(syscall(SYS_rt_sigqueueinfo, parent, SIGCONT, &si), EPERM);
	si.si_code = SI_KERNEL;
	EXPECT_ERRNO(syscall(SYS_rt_sigqueueinfo, parent, SIGCONT, &si), EPERM);
}

GUEST_TEST(thread_directed_queue)
{
	siginfo_t si = {.si_code = SI_QUEUE}, got;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 3);
	sigprocmask(SIG_BLOCK, &set, NULL);
	si.si_value.sival_int = 31;
	EXPECT_OK(syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), SIGRTMIN + 3, &si));
	EXPECT_EQ(sigwaitinfo(&set, &got), SIGRTMIN + 3);
	EXPECT_EQ(got.si_value.sival_int, 31);
}

GUEST_TEST(limit_of_the_queue)
{
	struct rlimit rl = {10, 10};
	union sigval v = {.sival_int = 1};
	sigset_t set;
	siginfo_t si;
	int queued = 0, taken = 0;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	ASSERT_OK(setrlimit(RLIMIT_SIGPENDING, &rl));
	/* The count is per user: others may already hold some of the ten. */
	while (queued < 11 && sigqueue(getpid(), SIGRTMIN, v) == 0)
		queued++;
	EXPECT_LE(queued, 10);
	EXPECT_EQ(errno, EAGAIN);
	/* kill of a standard signal always works. */
	EXPECT_OK(kill(getpid(), SIGUSR1));
	EXPECT_EQ(sigwaitinfo(&set, &si), SIGUSR1);
	for (; taken < queued; taken++)
		EXPECT_EQ(sigwaitinfo(&set, &si), SIGRTMIN);
}

GUEST_TEST(errors)
{
	union sigval v = {0};

	EXPECT_OK(sigqueue(getpid(), 0, v));
	EXPECT_ERRNO(sigqueue(getpid(), 65, v), EINVAL);
	EXPECT_ERRNO(sigqueue(getpid(), -1, v), EINVAL);
	EXPECT_ERRNO(sigqueue(999999, SIGUSR1, v), ESRCH);
}

GUEST_TEST(queue_survives_many)
{
	sigset_t set;
	siginfo_t si;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < 500; i++)
		queue(SIGRTMIN + 1, i);
	MAYBE_SAVE();
	for (int i = 0; i < 500; i++) {
		EXPECT_EQ(sigwaitinfo(&set, &si), SIGRTMIN + 1);
		EXPECT_EQ(si.si_value.sival_int, i);
	}
}

/* The limit is the user's: what one of his processes has queued, the others have no room for. */
GUEST_TEST(limit_is_of_the_user)
{
	struct rlimit lim = {8, 8};
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
	struct timespec none = {0};
	sigset_t set;
	timer_t t;
	pid_t pid;
	int status;

	if (geteuid() != 0)
		SKIP("another user's limit");
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	pid = fork();
	if (pid == 0) {
		ASSERT_EQ(sigprocmask(SIG_BLOCK, &set, NULL), 0);
		ASSERT_EQ(setrlimit(RLIMIT_SIGPENDING, &lim), 0);
		ASSERT_EQ(setresuid(54321, 54321, 54321), 0);
		for (int i = 0; i < 7; i++)
			EXPECT_EQ(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i}), 0);
		EXPECT_EQ(timer_create(CLOCK_MONOTONIC, &ev, &t), 0);
		EXPECT_ERRNO(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 8}), EAGAIN);
		MAYBE_SAVE();
		pid = fork();
		if (pid == 0) {
			timer_t other;

			EXPECT_ERRNO(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 1}),
			             EAGAIN);
			EXPECT_ERRNO(timer_create(CLOCK_MONOTONIC, &ev, &other), EAGAIN);
			/* kill(2) needs no room. */
			EXPECT_EQ(kill(getpid(), SIGRTMIN), 0);
			EXPECT_EQ(sigtimedwait(&set, NULL, &none), SIGRTMIN);
			_exit(0);
		}
		EXPECT_EQ(waitpid(pid, &status, 0), pid);
		EXPECT_EQ(status, 0);
		_exit(0);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
}
