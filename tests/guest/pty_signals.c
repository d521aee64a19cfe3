#include "tests/guest/pty_util.h"

/* Characters that are signals, and other signals of terminals. */

static int *caught; /* by signal number, shared with children */

static void on_signal(int sig)
{
	__atomic_add_fetch(&caught[sig], 1, __ATOMIC_SEQ_CST);
}

static void catch (int sig)
{
	struct sigaction sa = {.sa_handler = on_signal};

	sigaction(sig, &sa, NULL);
}

static void wait_caught(int sig, int n)
{
	while (__atomic_load_n(&caught[sig], __ATOMIC_SEQ_CST) < n)
		guest_sleep_ms(1);
	EXPECT_EQ(caught[sig], n);
}

/* A child that leads a session on the pty and sleeps, catching signals. */
static pid_t session(const struct pty_pair *p, struct guest_gate *ready)
{
	static const int sigs[] = {SIGINT, SIGQUIT, SIGTSTP, SIGWINCH};
	pid_t pid;

	caught = guest_map_shared(GUEST_PAGE);
	guest_gate_init(ready);
	pid = guest_fork();
	if (pid)
		return pid;
	for (size_t i = 0; i < GUEST_COUNT(sigs); i++)
		catch (sigs[i]);
	pty_enter_session(p);
	guest_gate_open(ready);
	for (;;)
		pause();
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	EXPECT_EQ(guest_reap(pid), 1000 + SIGKILL);
}

GUEST_TEST(keys_are_signals)
{
	struct pty_pair p = pty_open_pair();
	struct guest_gate ready;
	pid_t pid = session(&p, &ready);

	guest_gate_wait(&ready);
	pty_put(p.m, "ab");
	EXPECT_READ(p.m, "ab");
	pty_put(p.m, "\003");
	EXPECT_READ(p.m, "^C");
	wait_caught(SIGINT, 1);
	MAYBE_SAVE();
	pty_put(p.m, "\034");
	EXPECT_READ(p.m, "^\\");
	wait_caught(SIGQUIT, 1);
	pty_put(p.m, "\032");
	EXPECT_READ(p.m, "^Z");
	wait_caught(SIGTSTP, 1);
	/* What was typed before is gone. */
	pty_put(p.m, "c\n");
	EXPECT_READ(p.m, "c\r\n");
	EXPECT_ONE_READ(p.s, "c\n");
	end(pid);
}

GUEST_TEST(without_isig_they_are_data)
{
	struct pty_pair p = pty_open_pair();

	pty_flags(p.s, 0, 0, 0, 0, 0, ISIG);
	pty_put(p.m, "a\003\032\n");
	EXPECT_READ(p.m, "a^C^Z\r\n");
	EXPECT_ONE_READ(p.s, "a\003\032\n");
}

GUEST_TEST(noflsh_keeps_what_was_typed)
{
	struct pty_pair p = pty_open_pair();
	struct guest_gate ready;
	pid_t pid = session(&p, &ready);

	guest_gate_wait(&ready);
	pty_flags(p.s, 0, 0, 0, 0, NOFLSH, 0);
	pty_put(p.m, "ab\003c\n");
	EXPECT_READ(p.m, "ab^Cc\r\n");
	wait_caught(SIGINT, 1);
	MAYBE_SAVE();
	EXPECT_ONE_READ(p.s, "abc\n");
	end(pid);
}

GUEST_TEST(size_changes_are_told)
{
	struct pty_pair p = pty_open_pair();
	struct winsize w = {40, 100, 0, 0};
	struct guest_gate ready;
	pid_t pid = session(&p, &ready);

	guest_gate_wait(&ready);
	EXPECT_OK(ioctl(p.m, TIOCSWINSZ, &w));
	wait_caught(SIGWINCH, 1);
	MAYBE_SAVE();
	w.ws_col++;
	EXPECT_OK(ioctl(p.s, TIOCSWINSZ, &w));
	wait_caught(SIGWINCH, 2);
	/* No change is no news. */
	EXPECT_OK(ioctl(p.m, TIOCSWINSZ, &w));
	EXPECT_ERRNO(ioctl(p.m, TIOCSIG, SIGUSR1), EINVAL);
	EXPECT_OK(ioctl(p.m, TIOCSIG, SIGINT));
	wait_caught(SIGINT, 1);
	EXPECT_EQ(caught[SIGWINCH], 2);
	end(pid);
}

GUEST_TEST(only_the_foreground_group_hears)
{
	struct pty_pair p = pty_open_pair();
	struct guest_gate ready, done;
	pid_t leader;

	caught = guest_map_shared(GUEST_PAGE);
	guest_gate_init(&ready);
	guest_gate_init(&done);
	leader = guest_fork();
	if (leader == 0) {
		pid_t job;

		catch (SIGINT);
		signal(SIGTTOU, SIG_IGN);
		pty_enter_session(&p);
		job = guest_fork();
		if (job == 0) {
			ASSERT_OK(setpgid(0, 0));
			ASSERT_OK(tcsetpgrp(p.s, getpid()));
			signal(SIGINT, SIG_DFL);
			guest_gate_open(&ready);
			for (;;)
				pause();
		}
		EXPECT_EQ(guest_reap(job), 1000 + SIGINT);
		EXPECT_EQ(caught[SIGINT], 0);
		ASSERT_OK(tcsetpgrp(p.s, getpid()));
		guest_gate_open(&done);
		wait_caught(SIGINT, 1);
		_exit(0);
	}
	guest_gate_wait(&ready);
	MAYBE_SAVE();
	pty_put(p.m, "\003");
	guest_gate_wait(&done);
	pty_put(p.m, "\003");
	EXPECT_EQ(guest_reap(leader), 0);
}

GUEST_TEST(interrupts_a_read)
{
	struct pty_pair p = pty_open_pair();
	struct guest_gate ready;
	pid_t pid;

	caught = guest_map_shared(GUEST_PAGE);
	guest_gate_init(&ready);
	pid = guest_fork();
	if (pid == 0) {
		char buf[8];

		catch (SIGINT);
		pty_enter_session(&p);
		guest_gate_open(&ready);
		EXPECT_ERRNO(read(p.s, buf, sizeof(buf)), EINTR);
		_exit(0);
	}
	guest_gate_wait(&ready);
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	guest_wait_blocked(pid);
	/* However late it comes to read: the signal is sent until it is there. */
	while (waitpid(pid, NULL, WNOHANG) == 0) {
		pty_put(p.m, "\003");
		guest_sleep_ms(10);
	}
}
