#include "tests/guest/guest_test.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/select.h>

/* Which blocking calls are restarted after a handler with SA_RESTART, which give EINTR, and that
 * all give EINTR without it. A helper process sends the signal when this task sleeps. */

static volatile sig_atomic_t hits;

static void on_signal(int sig)
{
	hits++;
}

static void handle(int flags)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = flags};

	hits = 0;
	sigaction(SIGUSR1, &sa, NULL);
}

/* Signals the caller once, then runs the step that lets its call finish. */
static pid_t pester(void (*finish)(void *), void *arg)
{
	pid_t target = getpid(), pid;

	pid = guest_fork();
	if (pid == 0) {
		guest_wait_blocked(target);
		MAYBE_SAVE();
		guest_wait_blocked(target);
		kill(target, SIGUSR1);
		guest_sleep_ms(20);
		guest_wait_blocked(target);
		finish(arg);
		_exit(0);
	}
	return pid;
}

static void done(pid_t pid)
{
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(hits, 1);
}

/* Signals the caller until its call has ended. */
static pid_t interrupter(void)
{
	pid_t target = getpid(), pid;

	pid = guest_fork();
	if (pid == 0) {
		guest_wait_blocked(target);
		MAYBE_SAVE();
		guest_pester_with(target, SIGUSR1);
	}
	return pid;
}

static void interrupted(pid_t pid)
{
	guest_pester_end(pid);
	EXPECT_GE(hits, 1);
}

static int fds[2];

static void write_byte(void *arg)
{
	if (write(fds[1], "y", 1) != 1)
		_exit(1);
}

GUEST_TEST(read_of_a_pipe)
{
	char c = 0;
	pid_t pid;

	ASSERT_OK(pipe(fds));
	handle(SA_RESTART);
	pid = pester(write_byte, NULL);
	EXPECT_EQ(read(fds[0], &c, 1), 1);
	EXPECT_EQ(c, 'y');
	done(pid);
	handle(0);
	pid = interrupter();
	EXPECT_ERRNO(read(fds[0], &c, 1), EINTR);
	interrupted(pid);
}

static void read_all(void *arg)
{
	static char buf[65536];

	while (read(fds[0], buf, sizeof(buf)) == sizeof(buf))
		;
}

GUEST_TEST(write_to_a_full_pipe)
{
	static char buf[65536];
	pid_t pid;

	ASSERT_OK(pipe(fds));
	ASSERT_EQ(write(fds[1], buf, sizeof(buf)), sizeof(buf));
	handle(0);
	pid = interrupter();
	EXPECT_ERRNO(write(fds[1], buf, 1), EINTR);
	interrupted(pid);
	handle(SA_RESTART);
	pid = pester(read_all, NULL);
	EXPECT_EQ(write(fds[1], buf, 100), 100);
	done(pid);
}

GUEST_TEST(partial_write_counts)
{
	static char buf[200000];
	pid_t pid;
	ssize_t n;

	ASSERT_OK(pipe(fds));
	handle(SA_RESTART);
	pid = interrupter();
	n = write(fds[1], buf, sizeof(buf));
	EXPECT_EQ(n, 65536);
	interrupted(pid);
}

static void nothing(void *arg)
{
}

GUEST_TEST(wait_for_a_child)
{
	struct guest_gate g;
	pid_t pid, kid;
	int status;

	guest_gate_init(&g);
	kid = guest_fork();
	if (kid == 0) {
		guest_gate_wait(&g);
		_exit(6);
	}
	handle(0);
	pid = interrupter();
	EXPECT_ERRNO(waitpid(kid, &status, 0), EINTR);
	interrupted(pid);
	handle(SA_RESTART);
	pid = pester((void (*)(void *))guest_gate_open, &g);
	EXPECT_EQ(waitpid(kid, &status, 0), kid);
	EXPECT_EQ(status, 6 << 8);
	done(pid);
}

GUEST_TEST(poll_family_never_restarts)
{
	struct pollfd p = {.events = POLLIN};
	struct epoll_event ev;
	fd_set set;
	pid_t pid;
	int ep = epoll_create1(0);

	ASSERT_OK(pipe(fds));
	p.fd = fds[0];
	handle(SA_RESTART);
	pid = interrupter();
	EXPECT_ERRNO(poll(&p, 1, -1), EINTR);
	interrupted(pid);
	hits = 0;
	pid = interrupter();
	FD_ZERO(&set);
	FD_SET(fds[0], &set);
	EXPECT_ERRNO(select(fds[0] + 1, &set, NULL, NULL, NULL), EINTR);
	interrupted(pid);
	hits = 0;
	pid = interrupter();
	EXPECT_ERRNO(epoll_wait(ep, &ev, 1, -1), EINTR);
	interrupted(pid);
}

GUEST_TEST(sleeps_never_restart)
{
	struct timespec ts = {100, 0}, rem = {0};
	struct timespec until;
	pid_t pid;

	handle(SA_RESTART);
	pid = interrupter();
	EXPECT_ERRNO(nanosleep(&ts, &rem), EINTR);
	EXPECT_GE(rem.tv_sec, 1);
	EXPECT_LT(rem.tv_sec, 100);
	interrupted(pid);
	hits = 0;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += 100;
	pid = interrupter();
	EXPECT_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL), EINTR);
	interrupted(pid);
	hits = 0;
	pid = interrupter();
	EXPECT_EQ(pause(), -1);
	EXPECT_EQ(errno, EINTR);
	interrupted(pid);
}

static long futex(int *word, int op, int val, struct timespec *ts)
{
	return syscall(SYS_futex, word, op, val, ts, NULL, -1);
}

static int *word;

static void wake(void *arg)
{
	*word = 1;
	futex(word, FUTEX_WAKE, 1, NULL);
}

GUEST_TEST(futex_wait)
{
	pid_t pid;

	word = guest_map_shared(GUEST_PAGE);
	handle(0);
	pid = interrupter();
	EXPECT_ERRNO(futex(word, FUTEX_WAIT, 0, NULL), EINTR);
	interrupted(pid);
	handle(SA_RESTART);
	pid = pester(wake, NULL);
	EXPECT_EQ(futex(word, FUTEX_WAIT, 0, NULL), 0);
	done(pid);
}

static int *lock_fd;

static void unlock_it(void *arg)
{
	flock(*lock_fd, LOCK_UN);
}

GUEST_TEST(file_locks)
{
	struct flock fl = {.l_type = F_WRLCK};
	const char *path = guest_path("f");
	struct guest_gate ready, go;
	int fd = ASSERT_OK(open(path, O_RDWR | O_CREAT, 0644));
	int other = ASSERT_OK(open(path, O_RDWR));
	pid_t pid, holder;

	lock_fd = &other;
	ASSERT_OK(flock(other, LOCK_EX));
	handle(0);
	pid = interrupter();
	EXPECT_ERRNO(flock(fd, LOCK_EX), EINTR);
	interrupted(pid);
	handle(SA_RESTART);
	pid = pester(unlock_it, NULL);
	EXPECT_OK(flock(fd, LOCK_EX));
	done(pid);
	guest_gate_init(&ready);
	guest_gate_init(&go);
	holder = guest_fork();
	if (holder == 0) {
		EXPECT_OK(fcntl(other, F_SETLK, &fl));
		guest_gate_open(&ready);
		guest_gate_wait(&go);
		_exit(0);
	}
	guest_gate_wait(&ready);
	handle(0);
	pid = interrupter();
	EXPECT_ERRNO(fcntl(fd, F_SETLKW, &fl), EINTR);
	interrupted(pid);
	handle(SA_RESTART);
	pid = pester((void (*)(void *))guest_gate_open, &go);
	EXPECT_OK(fcntl(fd, F_SETLKW, &fl));
	done(pid);
	EXPECT_EQ(guest_reap(holder), 0);
}

GUEST_TEST(waiting_for_signals)
{
	sigset_t none, set;
	pid_t pid;

	sigemptyset(&none);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	handle(SA_RESTART);
	pid = interrupter();
	EXPECT_ERRNO(sigsuspend(&none), EINTR);
	interrupted(pid);
	hits = 0;
	pid = interrupter();
	EXPECT_ERRNO(sigwaitinfo(&set, NULL), EINTR);
	interrupted(pid);
}

GUEST_TEST(open_of_a_fifo)
{
	const char *path = guest_path("fifo");
	pid_t pid;

	ASSERT_OK(mkfifo(path, 0644));
	handle(0);
	pid = interrupter();
	EXPECT_ERRNO(open(path, O_RDONLY), EINTR);
	interrupted(pid);
}

GUEST_TEST(ignored_signals_do_not_interrupt)
{
	char c;
	pid_t pid;

	ASSERT_OK(pipe(fds));
	signal(SIGUSR1, SIG_IGN);
	pid = pester(write_byte, NULL);
	EXPECT_EQ(read(fds[0], &c, 1), 1);
	EXPECT_EQ(guest_reap(pid), 0);
	nothing(NULL);
}

static void stop_and_go(void *arg)
{
	pid_t target = *(pid_t *)arg;

	kill(target, SIGSTOP);
	guest_sleep_ms(10);
	kill(target, SIGCONT);
	guest_sleep_ms(10);
	write_byte(NULL);
}

GUEST_TEST(stop_and_continue_is_invisible)
{
	struct pollfd p = {.events = POLLIN};
	struct timespec ts = {0, 30000000};
	pid_t self = getpid(), pid;
	int64_t start;

	ASSERT_OK(pipe(fds));
	p.fd = fds[0];
	signal(SIGUSR1, SIG_IGN);
	pid = pester(stop_and_go, &self);
	EXPECT_EQ(poll(&p, 1, 30000), 1);
	EXPECT_EQ(guest_reap(pid), 0);
	pid = guest_fork();
	if (pid == 0) {
		kill(self, SIGSTOP);
		kill(self, SIGCONT);
		_exit(0);
	}
	start = guest_now(CLOCK_MONOTONIC);
	EXPECT_EQ(nanosleep(&ts, NULL), 0);
	EXPECT_GE(guest_now(CLOCK_MONOTONIC) - start, 30000000);
	EXPECT_EQ(guest_reap(pid), 0);
}
