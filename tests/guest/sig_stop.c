#include "tests/guest/guest_test.h"

#include <pthread.h>
#include <stdatomic.h>

/* Job control stops, of processes with several threads too. */

static atomic_long *ticks;

static void *ticker(void *arg)
{
	for (;;) {
		atomic_fetch_add(&ticks[(long)arg], 1);
		guest_sleep_ms(1);
	}
	return NULL;
}

static pid_t ticking_child(int threads)
{
	pid_t pid;

	ticks = guest_map_shared(GUEST_PAGE);
	pid = guest_fork();
	if (pid == 0) {
		pthread_t t;

		for (long i = 1; i < threads; i++)
			pthread_create(&t, NULL, ticker, (void *)i);
		ticker(NULL);
	}
	for (int i = 0; i < threads; i++)
		while (atomic_load(&ticks[i]) == 0)
			guest_sleep_ms(1);
	return pid;
}

static void must_advance(int threads)
{
	for (int i = 0; i < threads; i++) {
		long was = atomic_load(&ticks[i]);

		while (atomic_load(&ticks[i]) == was)
			guest_sleep_ms(1);
	}
}

static void must_stand(int threads)
{
	long was[8];

	for (int i = 0; i < threads; i++)
		was[i] = atomic_load(&ticks[i]);
	guest_sleep_ms(20);
	for (int i = 0; i < threads; i++)
		EXPECT_EQ(atomic_load(&ticks[i]), was[i]);
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	EXPECT_EQ(guest_reap(pid), 1000 + SIGKILL);
}

GUEST_TEST(all_threads_stop_and_go)
{
	pid_t pid = ticking_child(4);
	int status;

	for (int i = 0; i < 3; i++) {
		kill(pid, SIGSTOP);
		EXPECT_EQ(waitpid(pid, &status, WUNTRACED), pid);
		EXPECT_EQ(WSTOPSIG(status), SIGSTOP);
		must_stand(4);
		MAYBE_SAVE();
		must_stand(4);
		kill(pid, SIGCONT);
		EXPECT_EQ(waitpid(pid, &status, WCONTINUED), pid);
		must_advance(4);
	}
	end(pid);
}

GUEST_TEST(kill_while_stopped)
{
	pid_t pid = ticking_child(3);
	int status;

	kill(pid, SIGSTOP);
	EXPECT_EQ(waitpid(pid, &status, WUNTRACED), pid);
	MAYBE_SAVE();
	end(pid);
}

static void on_cont(int sig)
{
	atomic_store(&ticks[7], 1);
}

GUEST_TEST(cont_handler_runs_after_waking)
{
	int status;
	pid_t pid;

	ticks = guest_map_shared(GUEST_PAGE);
	pid = guest_fork();
	if (pid == 0) {
		signal(SIGCONT, on_cont);
		raise(SIGSTOP);
		_exit(atomic_load(&ticks[7]) == 1 ? 3 : 4);
	}
	EXPECT_EQ(waitpid(pid, &status, WUNTRACED), pid);
	EXPECT_EQ(atomic_load(&ticks[7]), 0);
	kill(pid, SIGCONT);
	EXPECT_EQ(guest_reap(pid), 3);
}

GUEST_TEST(cont_without_a_stop)
{
	pid_t pid = ticking_child(1);
	int status;

	kill(pid, SIGCONT);
	EXPECT_EQ(waitpid(pid, &status, WCONTINUED | WNOHANG), 0);
	must_advance(1);
	end(pid);
}

GUEST_TEST(signals_wait_for_cont)
{
	int status;
	pid_t pid = ticking_child(1);

	kill(pid, SIGSTOP);
	EXPECT_EQ(waitpid(pid, &status, WUNTRACED), pid);
	kill(pid, SIGTERM);
	kill(pid, SIGUSR1);
	must_stand(1);
	MAYBE_SAVE();
	EXPECT_EQ(waitpid(pid, NULL, WNOHANG), 0);
	kill(pid, SIGCONT);
	/* The lowest number is taken first. */
	EXPECT_EQ(guest_reap(pid), 1000 + SIGUSR1);
}

GUEST_TEST(stop_signals_can_be_handled)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		signal(SIGTSTP, SIG_IGN);
		raise(SIGTSTP);
		signal(SIGTTIN, SIG_IGN);
		raise(SIGTTIN);
		_exit(2);
	}
	EXPECT_EQ(guest_reap(pid), 2);
}

GUEST_TEST(stop_in_the_middle_of_stop)
{
	int status;
	pid_t pid = ticking_child(2);

	kill(pid, SIGSTOP);
	kill(pid, SIGSTOP);
	EXPECT_EQ(waitpid(pid, &status, WUNTRACED), pid);
	kill(pid, SIGSTOP); /* no second report */
	EXPECT_EQ(waitpid(pid, &status, WUNTRACED | WNOHANG), 0);
	kill(pid, SIGCONT);
	EXPECT_EQ(waitpid(pid, &status, WCONTINUED), pid);
	must_advance(2);
	end(pid);
}
