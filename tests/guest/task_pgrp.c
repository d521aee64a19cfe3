#include "tests/guest/guest_test.h"

/* Process groups and sessions. */

static struct guest_gate gate;

static pid_t gated_child(void)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		guest_gate_wait(&gate);
		_exit(0);
	}
	return pid;
}

static void end(pid_t pid)
{
	guest_gate_open(&gate);
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(inherited)
{
	pid_t pgrp = getpgrp(), sid = getsid(0), pid = guest_fork();

	if (pid == 0) {
		EXPECT_EQ(getpgrp(), pgrp);
		EXPECT_EQ(getsid(0), sid);
		EXPECT_EQ(getpgid(getppid()), pgrp);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(parent_moves_a_child)
{
	pid_t a, b;

	guest_gate_init(&gate);
	a = gated_child();
	b = gated_child();
	EXPECT_OK(setpgid(a, 0));
	EXPECT_EQ(getpgid(a), a);
	EXPECT_OK(setpgid(b, a));
	MAYBE_SAVE();
	EXPECT_EQ(getpgid(b), a);
	EXPECT_OK(setpgid(b, getpgrp()));
	EXPECT_EQ(getpgid(b), getpgrp());
	guest_gate_open(&gate);
	end(a);
	EXPECT_EQ(guest_reap(b), 0);
}

GUEST_TEST(setpgid_errors)
{
	pid_t a;

	guest_gate_init(&gate);
	a = gated_child();
	EXPECT_ERRNO(setpgid(0, -1), EINVAL);
	EXPECT_ERRNO(setpgid(-1, 0), EINVAL);
	EXPECT_ERRNO(setpgid(-1, getpgrp()), ESRCH);
	EXPECT_ERRNO(setpgid(getppid(), 0), ESRCH);
	EXPECT_ERRNO(setpgid(a, 999999), EPERM);
	EXPECT_ERRNO(getpgid(999999), ESRCH);
	EXPECT_ERRNO(getsid(999999), ESRCH);
	end(a);
}

GUEST_ROLE(wait_gate)
{
	char c;

	if (write(atoi(argv[3]), "r", 1) != 1)
		return 1;
	return read(atoi(argv[2]), &c, 1) == 1 ? 0 : 1;
}

GUEST_TEST(not_after_exec)
{
	char in[16], out[16], c;
	char *argv[] = {(char *)"x", (char *)"role:wait_gate", in, out, NULL};
	int fds[2], ready[2];
	pid_t pid;

	ASSERT_OK(pipe(fds));
	ASSERT_OK(pipe(ready));
	snprintf(in, sizeof(in), "%d", fds[0]);
	snprintf(out, sizeof(out), "%d", ready[1]);
	pid = guest_fork();
	if (pid == 0) {
		execv(guest_self(), argv);
		_exit(100);
	}
	ASSERT_EQ(read(ready[0], &c, 1), 1);
	EXPECT_ERRNO(setpgid(pid, pid), EACCES);
	EXPECT_EQ(write(fds[1], "x", 1), 1);
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(session)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		pid_t self = getpid();

		EXPECT_EQ(setsid(), self);
		EXPECT_EQ(getsid(0), self);
		EXPECT_EQ(getpgrp(), self);
		MAYBE_SAVE();
		EXPECT_EQ(getsid(0), self);
		/* A group leader can't start a session, a session leader can't change its group. */
		EXPECT_ERRNO(setsid(), EPERM);
		EXPECT_ERRNO(setpgid(0, 0), EPERM);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(no_group_of_another_session)
{
	struct guest_gate ready;
	pid_t pid, mine = getpgrp();

	guest_gate_init(&ready);
	guest_gate_init(&gate);
	pid = guest_fork();
	if (pid == 0) {
		setsid();
		EXPECT_ERRNO(setpgid(0, mine), EPERM);
		guest_gate_open(&ready);
		guest_gate_wait(&gate);
		_exit(0);
	}
	guest_gate_wait(&ready);
	EXPECT_ERRNO(setpgid(pid, mine), EPERM);
	EXPECT_ERRNO(setpgid(0, pid), EPERM);
	EXPECT_EQ(getsid(pid), pid);
	end(pid);
}

static int *hits;

static void on_usr1(int sig)
{
	__atomic_fetch_add(hits, 1, __ATOMIC_SEQ_CST);
}

GUEST_TEST(kill_a_group)
{
	struct guest_gate ready;
	pid_t kids[4];

	hits = guest_map_shared(GUEST_PAGE);
	guest_gate_init(&ready);
	for (int i = 0; i < 4; i++) {
		kids[i] = guest_fork();
		if (kids[i] == 0) {
			sigset_t set, old;

			signal(SIGUSR1, on_usr1);
			sigemptyset(&set);
			sigaddset(&set, SIGUSR1);
			sigprocmask(SIG_BLOCK, &set, &old);
			guest_gate_open(&ready);
			sigsuspend(&old);
			_exit(0);
		}
		EXPECT_OK(setpgid(kids[i], kids[i == 3 ? 3 : 0]));
	}
	for (int i = 0; i < 4; i++)
		guest_gate_wait(&ready);
	MAYBE_SAVE();
	EXPECT_OK(kill(-kids[0], SIGUSR1));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(guest_reap(kids[i]), 0);
	EXPECT_EQ(*hits, 3);
	EXPECT_EQ(waitpid(kids[3], NULL, WNOHANG), 0);
	EXPECT_OK(kill(kids[3], SIGUSR1));
	EXPECT_EQ(guest_reap(kids[3]), 0);
	EXPECT_ERRNO(kill(-kids[0], 0), ESRCH);
}

GUEST_TEST(kill_own_group)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		hits = guest_map_shared(GUEST_PAGE);
		setpgid(0, 0);
		signal(SIGUSR1, on_usr1);
		EXPECT_OK(kill(0, SIGUSR1));
		EXPECT_EQ(*hits, 1);
		EXPECT_OK(killpg(getpgrp(), SIGUSR1));
		EXPECT_EQ(*hits, 2);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(group_outlives_its_leader)
{
	struct guest_gate ready;
	pid_t leader, *member = guest_map_shared(GUEST_PAGE);

	guest_gate_init(&ready);
	guest_gate_init(&gate);
	leader = guest_fork();
	if (leader == 0) {
		pid_t inner;

		setpgid(0, 0);
		inner = guest_fork();
		if (inner == 0) {
			pid_t was = getpgrp();

			guest_gate_wait(&gate);
			EXPECT_EQ(getpgrp(), was);
			guest_gate_open(&ready);
			_exit(0);
		}
		*member = inner;
		_exit(0);
	}
	EXPECT_EQ(guest_reap(leader), 0);
	MAYBE_SAVE();
	EXPECT_EQ(getpgid(*member), leader);
	EXPECT_OK(kill(-leader, 0));
	guest_gate_open(&gate);
	guest_gate_wait(&ready);
}
