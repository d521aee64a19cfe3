#include "tests/guest/guest_test.h"

#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/time.h>

/* System V semaphores. */

union semun {
	int val;
	struct semid_ds *buf;
	unsigned short *array;
};

static int op(int id, unsigned short num, short by, short flags)
{
	struct sembuf b = {num, by, flags};

	return semop(id, &b, 1);
}

static int value(int id, int num)
{
	return semctl(id, num, GETVAL);
}

GUEST_TEST(values)
{
	int id = semget(IPC_PRIVATE, 3, 0600);
	unsigned short all[3] = {1, 2, 3};
	struct semid_ds ds;

	ASSERT_TRUE(id >= 0);
	EXPECT_EQ(value(id, 0), 0);
	EXPECT_OK(semctl(id, 0, SETALL, (union semun){.array = all}));
	EXPECT_OK(op(id, 1, 5, 0));
	EXPECT_OK(op(id, 2, -3, 0));
	EXPECT_OK(op(id, 2, 0, 0));
	MAYBE_SAVE();
	memset(all, 0, sizeof(all));
	EXPECT_OK(semctl(id, 0, GETALL, (union semun){.array = all}));
	EXPECT_EQ(all[0], 1);
	EXPECT_EQ(all[1], 7);
	EXPECT_EQ(all[2], 0);
	EXPECT_EQ(semctl(id, 1, GETPID), getpid());
	EXPECT_OK(semctl(id, 0, IPC_STAT, (union semun){.buf = &ds}));
	EXPECT_EQ(ds.sem_nsems, 3);
	EXPECT_TRUE(ds.sem_otime > 0);
	EXPECT_ERRNO(op(id, 0, -2, IPC_NOWAIT), EAGAIN);
	EXPECT_ERRNO(op(id, 0, 0, IPC_NOWAIT), EAGAIN);
	EXPECT_ERRNO(op(id, 3, 1, 0), EFBIG);
	EXPECT_ERRNO(op(id, 0, 32767, 0), ERANGE);
	EXPECT_ERRNO(semctl(id, 0, SETVAL, (union semun){.val = -1}), ERANGE);
	EXPECT_ERRNO(semctl(id, 3, GETVAL), EINVAL);
	EXPECT_ERRNO(semop(id, NULL, 0), EINVAL);
	EXPECT_OK(semctl(id, 0, IPC_RMID));
	EXPECT_ERRNO(value(id, 0), EINVAL);
	EXPECT_ERRNO(op(id, 0, 1, 0), EINVAL);
}

GUEST_TEST(all_or_nothing)
{
	int id = semget(IPC_PRIVATE, 2, 0600);
	struct sembuf b[2] = {{0, 4, 0}, {1, -1, IPC_NOWAIT}};

	EXPECT_ERRNO(semop(id, b, 2), EAGAIN);
	EXPECT_EQ(value(id, 0), 0);
	b[1].sem_op = 1;
	EXPECT_OK(semop(id, b, 2));
	EXPECT_EQ(value(id, 0), 4);
	EXPECT_EQ(value(id, 1), 1);
	EXPECT_OK(semctl(id, 0, IPC_RMID));
}

GUEST_TEST(waiters_are_woken)
{
	int id = semget(IPC_PRIVATE, 2, 0600), n = 0;
	pid_t pid[2];

	for (int i = 0; i < 2; i++) {
		pid[i] = fork();
		if (pid[i] == 0) {
			EXPECT_OK(i ? op(id, 1, 0, 0) : op(id, 0, -2, 0));
			_exit(0);
		}
	}
	/* The second one waits for zero of what was raised before it looks, or finds it. */
	while (semctl(id, 0, GETNCNT) != 1 && n++ < 2000)
		guest_sleep_ms(5);
	EXPECT_EQ(semctl(id, 0, GETNCNT), 1);
	EXPECT_EQ(semctl(id, 0, GETZCNT), 0);
	MAYBE_SAVE();
	EXPECT_OK(op(id, 0, 1, 0));
	EXPECT_OK(op(id, 0, 1, 0));
	EXPECT_EQ(guest_reap(pid[0]), 0);
	EXPECT_EQ(guest_reap(pid[1]), 0);
	EXPECT_EQ(value(id, 0), 0);
	EXPECT_OK(semctl(id, 0, IPC_RMID));
}

GUEST_TEST(removal_ends_a_wait)
{
	int id = semget(IPC_PRIVATE, 1, 0600), n = 0;
	pid_t pid = fork();

	if (pid == 0) {
		EXPECT_ERRNO(op(id, 0, -1, 0), EIDRM);
		_exit(0);
	}
	while (semctl(id, 0, GETNCNT) != 1 && n++ < 2000)
		guest_sleep_ms(5);
	EXPECT_OK(semctl(id, 0, IPC_RMID));
	EXPECT_EQ(guest_reap(pid), 0);
}

static void nothing(int sig)
{
}

GUEST_TEST(timeouts_and_signals)
{
	int id = semget(IPC_PRIVATE, 1, 0600);
	struct timespec ts = {0, 20 * 1000 * 1000}, bad = {0, -1};
	struct sigaction sa = {.sa_handler = nothing, .sa_flags = SA_RESTART};
	struct itimerval it = {.it_interval = {0, 100000}, .it_value = {0, 100000}};
	struct sembuf b = {0, -1, 0};

	EXPECT_ERRNO(semtimedop(id, &b, 1, &ts), EAGAIN);
	EXPECT_ERRNO(semtimedop(id, &b, 1, &bad), EINVAL);
	sigaction(SIGALRM, &sa, NULL);
	/* More than once: the first may come before the call. */
	setitimer(ITIMER_REAL, &it, NULL);
	EXPECT_ERRNO(semop(id, &b, 1), EINTR);
	EXPECT_OK(semctl(id, 0, IPC_RMID));
}

GUEST_TEST(undo_at_the_end_of_a_process)
{
	int id = semget(IPC_PRIVATE, 2, 0600), p[2];
	pid_t pid;
	char c;

	ASSERT_OK(pipe(p));
	ASSERT_OK(semctl(id, 0, SETVAL, (union semun){.val = 5}));
	pid = fork();
	if (pid == 0) {
		EXPECT_OK(op(id, 0, -3, SEM_UNDO));
		EXPECT_OK(op(id, 1, 2, SEM_UNDO));
		EXPECT_OK(op(id, 1, 4, 0));
		MAYBE_SAVE();
		EXPECT_EQ(read(p[0], &c, 1), 1);
		_exit(0);
	}
	for (int n = 0; value(id, 1) != 6 && n < 2000; n++)
		guest_sleep_ms(5);
	EXPECT_EQ(value(id, 0), 2);
	EXPECT_EQ(write(p[1], "x", 1), 1);
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(value(id, 0), 5);
	EXPECT_EQ(value(id, 1), 4);
	EXPECT_OK(semctl(id, 0, IPC_RMID));
}

/* A key that other runs of this program don't use at the same time, n of them in a row. */
static key_t first_key(int n)
{
	return (key_t)(0x5e000000 + getpid() % 4096 * n);
}

GUEST_TEST(many_sets_are_found_by_id_and_key)
{
	enum {
		N = 700
	};
	static int ids[N];
	key_t key = first_key(N);
	struct semid_ds ds;

	for (int i = 0; i < N; i++) {
		ids[i] = semget(key + i, 1, IPC_CREAT | IPC_EXCL | 0600);
		ASSERT_TRUE(ids[i] >= 0);
		EXPECT_OK(semctl(ids[i], 0, SETVAL, (union semun){.val = i}));
	}
	for (int i = 0; i < N; i += 2)
		EXPECT_OK(semctl(ids[i], 0, IPC_RMID));
	MAYBE_SAVE();
	for (int i = 0; i < N; i++) {
		if (i % 2) {
			EXPECT_EQ(semget(key + i, 0, 0), ids[i]);
			EXPECT_EQ(value(ids[i], 0), i);
		} else {
			EXPECT_ERRNO(semget(key + i, 0, 0), ENOENT);
			EXPECT_ERRNO(value(ids[i], 0), EINVAL);
		}
	}
	/* The keys are free again; what they name now has other ids. */
	for (int i = 0; i < N; i += 2) {
		int id = semget(key + i, 1, IPC_CREAT | IPC_EXCL | 0600);

		ASSERT_TRUE(id >= 0);
		EXPECT_TRUE(id != ids[i]);
		EXPECT_OK(semctl(id, 0, IPC_STAT, (union semun){.buf = &ds}));
		EXPECT_EQ(ds.sem_perm.__key, key + i);
		ids[i] = id;
	}
	for (int i = 0; i < N; i++)
		EXPECT_OK(semctl(ids[i], 0, IPC_RMID));
}
