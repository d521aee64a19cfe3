#include "tests/guest/guest_test.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>

/* Robust lists: locks whose owner dies. */

static pthread_mutex_t *mutex;

static void make_mutex(void)
{
	pthread_mutexattr_t attr;

	mutex = guest_map_shared(GUEST_PAGE);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	ASSERT_EQ(pthread_mutex_init(mutex, &attr), 0);
}

static void *lock_and_leave(void *arg)
{
	pthread_mutex_lock(mutex);
	return NULL;
}

static void recover(void)
{
	EXPECT_EQ(pthread_mutex_lock(mutex), EOWNERDEAD);
	EXPECT_EQ(pthread_mutex_consistent(mutex), 0);
	EXPECT_EQ(pthread_mutex_unlock(mutex), 0);
	EXPECT_EQ(pthread_mutex_lock(mutex), 0);
	EXPECT_EQ(pthread_mutex_unlock(mutex), 0);
}

GUEST_TEST(thread_dies)
{
	pthread_t t;

	make_mutex();
	ASSERT_EQ(pthread_create(&t, NULL, lock_and_leave, NULL), 0);
	pthread_join(t, NULL);
	recover();
}

GUEST_TEST(process_exits)
{
	pid_t pid;

	make_mutex();
	pid = guest_fork();
	if (pid == 0) {
		pthread_mutex_lock(mutex);
		MAYBE_SAVE();
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	recover();
}

GUEST_TEST(process_is_killed)
{
	struct guest_gate g;
	pid_t pid;

	guest_gate_init(&g);
	make_mutex();
	pid = guest_fork();
	if (pid == 0) {
		pthread_mutex_lock(mutex);
		guest_gate_open(&g);
		for (;;)
			pause();
	}
	guest_gate_wait(&g);
	EXPECT_EQ(pthread_mutex_trylock(mutex), EBUSY);
	MAYBE_SAVE();
	kill(pid, SIGKILL);
	EXPECT_EQ(guest_reap(pid), 1000 + SIGKILL);
	recover();
}

GUEST_TEST(waiter_is_woken)
{
	struct guest_gate g;
	pid_t owner, waiter;

	guest_gate_init(&g);
	make_mutex();
	owner = guest_fork();
	if (owner == 0) {
		pthread_mutex_lock(mutex);
		guest_gate_open(&g);
		for (;;)
			pause();
	}
	guest_gate_wait(&g);
	waiter = guest_fork();
	if (waiter == 0) {
		int r = pthread_mutex_lock(mutex);

		_exit(r == EOWNERDEAD ? 0 : 1);
	}
	guest_wait_blocked(waiter);
	MAYBE_SAVE();
	kill(owner, SIGKILL);
	EXPECT_EQ(guest_reap(owner), 1000 + SIGKILL);
	EXPECT_EQ(guest_reap(waiter), 0);
	/* The second owner died with it as well. */
	recover();
}

GUEST_ROLE(nothing)
{
	return 0;
}

GUEST_TEST(exec_releases)
{
	char *argv[] = {(char *)"role:nothing", NULL};
	pid_t pid;

	make_mutex();
	pid = guest_fork();
	if (pid == 0) {
		pthread_mutex_lock(mutex);
		execv(guest_self(), argv);
		_exit(100);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	recover();
}

struct entry {
	struct robust_list list;
	atomic_uint lock;
};

GUEST_TEST(raw_list)
{
	struct entry *e = guest_map_shared(GUEST_PAGE);
	pid_t pid = guest_fork();

	if (pid == 0) {
		static struct robust_list_head head;
		struct robust_list_head *got;
		size_t len = 0;
		unsigned tid = (unsigned)syscall(SYS_gettid);

		EXPECT_ERRNO(syscall(SYS_set_robust_list, &head, sizeof(head) - 1), EINVAL);
		head.futex_offset = offsetof(struct entry, lock);
		head.list.next = &e[0].list;
		e[0].list.next = &e[1].list;
		e[1].list.next = &head.list;
		head.list_op_pending = &e[2].list;
		atomic_store(&e[0].lock, tid);
		atomic_store(&e[1].lock, 12345); /* somebody else's */
		atomic_store(&e[2].lock, tid | FUTEX_WAITERS);
		EXPECT_OK(syscall(SYS_set_robust_list, &head, sizeof(head)));
		EXPECT_OK(syscall(SYS_get_robust_list, 0, &got, &len));
		EXPECT_EQ(got, &head);
		EXPECT_EQ(len, sizeof(head));
		MAYBE_SAVE();
		syscall(SYS_exit_group, 0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(atomic_load(&e[0].lock), FUTEX_OWNER_DIED);
	EXPECT_EQ(atomic_load(&e[1].lock), 12345);
	EXPECT_EQ(atomic_load(&e[2].lock), FUTEX_OWNER_DIED | FUTEX_WAITERS);
}

GUEST_TEST(endless_list_ends)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		static struct robust_list_head head;
		static struct entry e;

		head.list.next = &e.list;
		e.list.next = &e.list;
		syscall(SYS_set_robust_list, &head, sizeof(head));
		syscall(SYS_exit_group, 3);
	}
	EXPECT_EQ(guest_reap(pid), 3);
}

GUEST_TEST(wild_list_is_harmless)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		static struct robust_list_head head;

		head.list.next = (void *)0x1000;
		head.list_op_pending = (void *)-8l;
		syscall(SYS_set_robust_list, &head, sizeof(head));
		syscall(SYS_exit_group, 4);
	}
	EXPECT_EQ(guest_reap(pid), 4);
}

static atomic_int tid_word;

static void *spin_exit(void *arg)
{
	syscall(SYS_set_tid_address, &tid_word);
	atomic_store(&tid_word, 77);
	syscall(SYS_exit, 0);
	return NULL;
}

GUEST_TEST(clear_child_tid_wakes)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		pthread_t t;

		atomic_store(&tid_word, 77);
		pthread_create(&t, NULL, spin_exit, NULL);
		while (atomic_load(&tid_word) != 0)
			syscall(SYS_futex, &tid_word, FUTEX_WAIT, 77, NULL, NULL, 0);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
}
