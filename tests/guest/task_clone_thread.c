#include "tests/guest/guest_test.h"

#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>

/* Threads by hand: CLONE_THREAD without libc's help. They must not touch libc's TLS. */

enum {
	N = 8,
	FLAGS = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM
};

static char stacks[N][16384] __attribute__((aligned(16)));
static atomic_int tids[N], seen[N], go;

static long raw(long nr, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;

	__asm__ volatile("syscall"
	                 : "+a"(nr)
	                 : "D"(a), "S"(b), "d"(c), "r"(r10)
	                 : "rcx", "r11", "r8", "r9", "memory");
	return nr;
}

static __attribute__((no_stack_protector)) int body(void *arg)
{
	long i = (long)arg;

	while (atomic_load(&go) == 0)
		raw(SYS_futex, (long)&go, FUTEX_WAIT_PRIVATE, 0, 0);
	atomic_store(&seen[i], (int)raw(SYS_gettid, 0, 0, 0, 0));
	raw(SYS_exit, 0, 0, 0, 0);
	return 0;
}

static void await_exit(int i)
{
	int tid;

	while ((tid = atomic_load(&tids[i])) != 0)
		syscall(SYS_futex, &tids[i], FUTEX_WAIT, tid, NULL, NULL, 0);
}

GUEST_TEST(start_and_clear_tid)
{
	pid_t tid[N];

	for (long i = 0; i < N; i++) {
		atomic_store(&tids[i], -1);
		tid[i] = clone(body, stacks[i] + sizeof(stacks[i]),
		               FLAGS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID, (void *)i,
		               &tids[i], NULL, &tids[i]);
		ASSERT_TRUE(tid[i] > 0);
		EXPECT_EQ(atomic_load(&tids[i]), tid[i]);
	}
	MAYBE_SAVE();
	atomic_store(&go, 1);
	syscall(SYS_futex, &go, FUTEX_WAKE_PRIVATE, N, NULL, NULL, 0);
	for (int i = 0; i < N; i++) {
		await_exit(i);
		EXPECT_EQ(atomic_load(&seen[i]), tid[i]);
	}
	/* Threads are no children. */
	EXPECT_ERRNO(waitpid(-1, NULL, __WALL), ECHILD);
}

GUEST_TEST(own_tls)
{
	static unsigned long tls[N][8];
	static atomic_long got[2];
	long r;

	tls[0][0] = 0xabcd;
	/* The new thread reads %fs:0 and leaves; it has no stack of its own to return on. */
	__asm__ volatile("mov %4,%%r10\n\tmov %5,%%r8\n\tsyscall\n\ttest %%rax,%%rax\n\tjnz 1f\n\t"
	                 "mov %%fs:0,%%rax\n\tmov %%rax,%1\n\tmov $60,%%eax\n\txor %%edi,%%edi\n\t"
	                 "syscall\n1:"
	                 : "=a"(r), "=m"(got[0])
	                 : "0"((long)SYS_clone),
	                   "D"((long)(FLAGS | CLONE_SETTLS | CLONE_CHILD_CLEARTID)), "r"(&tids[0]),
	                   "r"(tls[0]), "S"(stacks[1] + 8192), "d"(0l)
	                 : "rcx", "r8", "r10", "r11", "memory");
	ASSERT_TRUE(r > 0);
	while (atomic_load(&got[0]) == 0)
		guest_sleep_ms(1);
	EXPECT_EQ(atomic_load(&got[0]), 0xabcd);
}
