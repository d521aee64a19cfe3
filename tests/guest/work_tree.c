#include "tests/guest/guest_test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/file.h>

/* The large one: 32 processes with 100 threads in all, busy with every kind of object at once, over
 * ten rounds. Nothing may be lost, whatever is saved and reloaded between or in the rounds. */

enum {
	PROCS = 32,
	ROUNDS = 10,
	TOTAL_THREADS = 100,
	STEPS = 20
};

struct board {
	pthread_barrier_t start, end; /* all processes and the conductor */
	pthread_mutex_t lock;         /* guards plain */
	long plain;
	atomic_long atomic, signals, tokens;
	struct {
		atomic_long steps;
	} thread[TOTAL_THREADS];
};

static struct board *b;
static int ring[PROCS][2];
static int my_index;

/* Process i has its main thread; the first 68 of them that fit have two or three more. */
static int helpers_of(int proc)
{
	return (TOTAL_THREADS - PROCS) / PROCS + (proc < (TOTAL_THREADS - PROCS) % PROCS);
}

static int first_helper(int proc)
{
	int n = PROCS;

	for (int i = 0; i < proc; i++)
		n += helpers_of(i);
	return n;
}

static void on_signal(int sig, siginfo_t *si, void *uc)
{
	atomic_fetch_add(&b->signals, si->si_value.sival_int);
}

static void work(int id, unsigned *memory)
{
	for (int i = 0; i < STEPS; i++) {
		memory[i] = memory[i] * 1664525u + 1013904223u + (unsigned)id;
		atomic_fetch_add(&b->atomic, 1);
		pthread_mutex_lock(&b->lock);
		b->plain++;
		pthread_mutex_unlock(&b->lock);
		if (i % 8 == 0)
			sched_yield();
	}
	atomic_fetch_add(&b->thread[id].steps, STEPS);
}

static pthread_barrier_t inside;

static void *helper(void *arg)
{
	int id = (int)(long)arg;
	unsigned *memory = guest_map(GUEST_PAGE, 0);

	for (int round = 0; round < ROUNDS; round++) {
		pthread_barrier_wait(&inside);
		work(id, memory);
		pthread_barrier_wait(&inside);
	}
	return (void *)(long)memory[0];
}

static void pass_token(void)
{
	int from = my_index, to = (my_index + 1) % PROCS;
	char c;

	if (my_index == 0 && write(ring[1][1], "t", 1) != 1)
		_exit(2);
	if (read(ring[from][0], &c, 1) != 1)
		_exit(3);
	atomic_fetch_add(&b->tokens, 1);
	if (my_index != 0 && write(ring[to][1], &c, 1) != 1)
		_exit(4);
}

static void use_file(int fd, int round)
{
	char line[32];
	int n = snprintf(line, sizeof(line), "%02d %02d\n", my_index, round);

	while (flock(fd, LOCK_EX) < 0)
		;
	if (write(fd, line, (size_t)n) != n)
		_exit(5);
	flock(fd, LOCK_UN);
}

static int process(int index, const char *path)
{
	int helpers = helpers_of(index), fd = open(path, O_WRONLY | O_APPEND);
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
	unsigned *memory = guest_map(GUEST_PAGE, 0);
	pthread_t t[8];

	my_index = index;
	sigaction(SIGRTMIN, &sa, NULL);
	pthread_barrier_init(&inside, NULL, (unsigned)helpers + 1);
	for (int i = 0; i < helpers; i++)
		if (pthread_create(&t[i], NULL, helper, (void *)(long)(first_helper(index) + i)) !=
		    0)
			return 6;
	for (int round = 0; round < ROUNDS; round++) {
		union sigval one = {.sival_int = 1};

		pthread_barrier_wait(&b->start);
		pthread_barrier_wait(&inside);
		work(index, memory);
		pass_token();
		use_file(fd, round);
		sigqueue(getpid(), SIGRTMIN, one);
		pthread_barrier_wait(&inside);
		pthread_barrier_wait(&b->end);
	}
	for (int i = 0; i < helpers; i++)
		pthread_join(t[i], NULL);
	return 0;
}

static void shared_barrier(pthread_barrier_t *bar, unsigned n)
{
	pthread_barrierattr_t attr;

	pthread_barrierattr_init(&attr);
	pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	ASSERT_EQ(pthread_barrier_init(bar, &attr, n), 0);
}

static void check_log(const char *path)
{
	static char text[PROCS * ROUNDS * 8];
	int seen[PROCS] = {0}, proc, round;

	EXPECT_EQ(guest_read_file(path, text, sizeof(text)), PROCS * ROUNDS * 6);
	for (char *p = text; sscanf(p, "%d %d", &proc, &round) == 2; p += 6)
		EXPECT_EQ(round, seen[proc]++);
	for (int i = 0; i < PROCS; i++)
		EXPECT_EQ(seen[i], ROUNDS);
}

GUEST_TEST(ten_rounds)
{
	pthread_mutexattr_t attr;
	const char *path = guest_path("log");
	pid_t pids[PROCS];

	b = guest_map_shared(sizeof(*b));
	shared_barrier(&b->start, PROCS + 1);
	shared_barrier(&b->end, PROCS + 1);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&b->lock, &attr);
	guest_write_file(path, "", 0644);
	for (int i = 0; i < PROCS; i++)
		ASSERT_OK(pipe(ring[i]));
	for (int i = 0; i < PROCS; i++) {
		pids[i] = guest_fork();
		if (pids[i] == 0)
			_exit(process(i, path));
	}
	for (int round = 0; round < ROUNDS; round++) {
		pthread_barrier_wait(&b->start);
		MAYBE_SAVE(); /* all of them are at work */
		pthread_barrier_wait(&b->end);
		EXPECT_EQ(atomic_load(&b->atomic), (round + 1) * TOTAL_THREADS * STEPS);
		EXPECT_EQ(b->plain, (round + 1) * TOTAL_THREADS * STEPS);
		EXPECT_EQ(atomic_load(&b->tokens), (round + 1) * PROCS);
		EXPECT_EQ(atomic_load(&b->signals), (round + 1) * PROCS);
	}
	for (int i = 0; i < PROCS; i++)
		EXPECT_EQ(guest_reap(pids[i]), 0);
	for (int i = 0; i < TOTAL_THREADS; i++)
		EXPECT_EQ(atomic_load(&b->thread[i].steps), ROUNDS * STEPS);
	check_log(path);
}
