#include "tests/guest/guest_test.h"

#include <mqueue.h>
#include <pthread.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/time.h>

/* signal(7), "Interruption of system calls and library functions by stop signals": which calls fail
 * when their process is stopped and continued, and that the others go on. */

struct call {
	const char *name;
	long (*fn)(void);
	bool ends;
};

static long in_epoll(void)
{
	struct epoll_event ev;

	return epoll_wait(epoll_create1(0), &ev, 1, -1);
}

static long in_epoll_pwait(void)
{
	struct epoll_event ev;
	sigset_t set;

	sigemptyset(&set);
	return epoll_pwait(epoll_create1(0), &ev, 1, 1000000, &set);
}

static long in_semop(void)
{
	struct sembuf op = {0, -1, 0};
	int id = semget(IPC_PRIVATE, 1, IPC_CREAT | 0600), e;
	long r;

	r = semop(id, &op, 1);
	e = errno;
	semctl(id, 0, IPC_RMID);
	errno = e;
	return r;
}

static long in_sigwait(void)
{
	struct timespec ts = {1000, 0};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return sigtimedwait(&set, NULL, &ts);
}

static long in_recv_timed(void)
{
	struct timeval tv = {1000, 0};
	int fds[2];
	char c;

	socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
	setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	return recv(fds[0], &c, 1, 0);
}

static long in_recv(void)
{
	int fds[2];
	char c;

	socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
	return recv(fds[0], &c, 1, 0);
}

static long in_poll(void)
{
	return poll(NULL, 0, -1);
}

static long in_select(void)
{
	return select(0, NULL, NULL, NULL, NULL);
}

static long in_pause(void)
{
	return pause();
}

static long in_sleep(void)
{
	struct timespec ts = {1000, 0};

	return nanosleep(&ts, NULL);
}

static long in_read(void)
{
	int fds[2];
	char c;

	pipe(fds);
	return read(fds[0], &c, 1);
}

static long in_wait(void)
{
	if (fork() == 0)
		for (;;)
			pause();
	return wait(NULL);
}

static const struct call calls[] = {
	{"epoll_wait", in_epoll, true},
	{"epoll_pwait", in_epoll_pwait, true},
	{"semop", in_semop, true},
	{"sigtimedwait", in_sigwait, true},
	{"recv with a time limit", in_recv_timed, true},
	{"recv", in_recv, false},
	{"poll", in_poll, false},
	{"select", in_select, false},
	{"pause", in_pause, false},
	{"nanosleep", in_sleep, false},
	{"read", in_read, false},
	{"wait", in_wait, false},
};

/* A child in the call is stopped and continued: again and again if need be, as it may not have been
 * in it yet. */
static void try_call(const struct call *c, bool save)
{
	pid_t pid = guest_fork();
	int status = 0;

	if (pid == 0) {
		long r;

		setpgid(0, 0);
		r = c->fn();
		_exit(r == -1 && errno == EINTR ? 7 : 8);
	}
	guest_wait_blocked(pid);
	for (int i = 0; c->ends || i < 3; i++) {
		pid_t got;

		kill(pid, SIGSTOP);
		got = waitpid(pid, &status, WUNTRACED);
		ASSERT_EQ(got, pid);
		if (!WIFSTOPPED(status))
			break;
		if (save && i == 0)
			MAYBE_SAVE();
		kill(pid, SIGCONT);
		guest_sleep_ms(3);
	}
	if (c->ends) {
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 7)
			guest_fail(__FILE__, __LINE__, "%s ended with %#x", c->name, status);
		return;
	}
	if (!WIFSTOPPED(status) || waitpid(pid, &status, WNOHANG) != 0)
		guest_fail(__FILE__, __LINE__, "%s ended with %#x", c->name, status);
	kill(-pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

GUEST_TEST(some_calls_end_with_a_stop_and_others_do_not)
{
	for (size_t i = 0; i < GUEST_COUNT(calls); i++)
		try_call(&calls[i], false);
}

GUEST_TEST(also_when_a_save_comes_while_it_is_stopped)
{
	try_call(&calls[0], true);
	try_call(&calls[5], true);
	try_call(&calls[2], true);
}

GUEST_TEST(a_save_alone_ends_nothing)
{
	pid_t pid[GUEST_COUNT(calls)];

	for (size_t i = 0; i < GUEST_COUNT(calls); i++) {
		pid[i] = guest_fork();
		if (pid[i] == 0) {
			setpgid(0, 0);
			calls[i].fn();
			_exit(8);
		}
		setpgid(pid[i], pid[i]);
		guest_wait_blocked(pid[i]);
	}
	MAYBE_SAVE();
	guest_sleep_ms(20);
	for (size_t i = 0; i < GUEST_COUNT(calls); i++) {
		if (waitpid(pid[i], NULL, WNOHANG) != 0)
			guest_fail(__FILE__, __LINE__, "%s ended", calls[i].name);
		kill(-pid[i], SIGKILL);
		waitpid(pid[i], NULL, 0);
	}
}

static void *stopped_with_it(void *arg)
{
	*(long *)arg = in_epoll() == -1 && errno == EINTR;
	return NULL;
}

GUEST_TEST(every_thread_of_the_process)
{
	pid_t pid = guest_fork();
	int status;

	if (pid == 0) {
		long ended[2] = {0, 0};
		pthread_t t[2];

		for (int i = 0; i < 2; i++)
			pthread_create(&t[i], NULL, stopped_with_it, &ended[i]);
		for (int i = 0; i < 2; i++)
			pthread_join(t[i], NULL);
		_exit(ended[0] && ended[1] ? 7 : 8);
	}
	guest_sleep_ms(20);
	for (;;) {
		kill(pid, SIGSTOP);
		ASSERT_EQ(waitpid(pid, &status, WUNTRACED), pid);
		if (!WIFSTOPPED(status))
			break;
		kill(pid, SIGCONT);
		guest_sleep_ms(3);
	}
	EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}
