#include "tests/guest/guest_test.h"

#include <linux/rseq.h>
#include <sched.h>
#include <sys/rseq.h>

/* Restartable sequences: libc's registration, and one by hand. */

static struct rseq mine __attribute__((aligned(32)));

static long reg(struct rseq *r, unsigned len, int flags, unsigned sig)
{
	return syscall(SYS_rseq, r, len, flags, sig);
}

GUEST_TEST(libc_registers)
{
	struct rseq *r;

	if (__rseq_size == 0)
		SKIP("libc did not register");
	r = (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
	EXPECT_GE((int)r->cpu_id, 0);
	EXPECT_LT(r->cpu_id, 4096);
	MAYBE_SAVE();
	EXPECT_GE((int)r->cpu_id, 0);
	/* A second area, or the same again, is refused. */
	EXPECT_ERRNO(reg(&mine, sizeof(mine), 0, RSEQ_SIG), EINVAL);
	EXPECT_ERRNO(reg(r, 32, 0, RSEQ_SIG), EBUSY);
	EXPECT_ERRNO(reg(r, 32, 0, 1), EPERM);
}

/* The child of a raw fork keeps libc's registration; a fresh thread of the kernel has none. */
static void without_registration(void)
{
	if (__rseq_size != 0) {
		struct rseq *r =
			(struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);

		ASSERT_OK(reg(r, 32, RSEQ_FLAG_UNREGISTER, RSEQ_SIG));
		EXPECT_EQ((int)r->cpu_id, RSEQ_CPU_ID_UNINITIALIZED);
	}
}

GUEST_TEST(register_and_unregister)
{
	without_registration();
	mine.cpu_id = (unsigned)RSEQ_CPU_ID_UNINITIALIZED;
	EXPECT_ERRNO(reg(&mine, 31, 0, 1), EINVAL);
	EXPECT_ERRNO(reg((struct rseq *)((char *)&mine + 4), 32, 0, 1), EINVAL);
	EXPECT_ERRNO(reg(&mine, 32, 4, 1), EINVAL);
	EXPECT_OK(reg(&mine, 32, 0, 0x1234));
	EXPECT_GE((int)mine.cpu_id, 0);
	EXPECT_EQ(mine.cpu_id, mine.cpu_id_start);
	EXPECT_ERRNO(reg(&mine, 32, RSEQ_FLAG_UNREGISTER, 0x1235), EPERM);
	EXPECT_OK(reg(&mine, 32, RSEQ_FLAG_UNREGISTER, 0x1234));
	EXPECT_ERRNO(reg(&mine, 32, RSEQ_FLAG_UNREGISTER, 0x1234), EINVAL);
}

extern char seq_start[], seq_end[], seq_abort[];

static void on_signal(int sig)
{
}

GUEST_TEST(interrupted_section_aborts)
{
	static struct rseq_cs cs __attribute__((aligned(32)));
	int result = 0;

	without_registration();
	ASSERT_OK(reg(&mine, 32, 0, 0x53053053));
	cs.start_ip = (uintptr_t)seq_start;
	cs.post_commit_offset = (uintptr_t)(seq_end - seq_start);
	cs.abort_ip = (uintptr_t)seq_abort;
	signal(SIGUSR1, on_signal);
	signal(SIGALRM, on_signal);
	/* The section spins until a signal (here: an alarm, which may also come too early) aborts
	 * it. */
	alarm(1);
	ualarm(2000, 2000);
	__asm__ volatile("mov %[cs],%[area]\n"
	                 ".globl seq_start\nseq_start:\n1: pause\n\tjmp 1b\n"
	                 ".globl seq_end\nseq_end:\n\tjmp 2f\n"
	                 "\t.long 0x53053053\n"
	                 ".globl seq_abort\nseq_abort:\n\tmov $7,%[res]\n2:"
	                 : [area] "=m"(mine.rseq_cs), [res] "+r"(result)
	                 : [cs] "r"((uintptr_t)&cs)
	                 : "memory");
	alarm(0);
	EXPECT_EQ(result, 7);
	EXPECT_EQ(mine.rseq_cs, 0);
	EXPECT_OK(reg(&mine, 32, RSEQ_FLAG_UNREGISTER, 0x53053053));
}

GUEST_TEST(bad_descriptor_kills)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		without_registration();
		reg(&mine, 32, 0, 1);
		mine.rseq_cs = 0x1000;
		signal(SIGUSR1, on_signal);
		raise(SIGUSR1);
		for (int i = 0; i < 1000; i++)
			sched_yield();
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 1000 + SIGSEGV);
}

GUEST_TEST(bad_memory)
{
	without_registration();
	EXPECT_ERRNO(reg((struct rseq *)0x1000, 32, 0, 1), EFAULT);
	EXPECT_OK(reg(&mine, 32, 0, 1));
	reg(&mine, 32, RSEQ_FLAG_UNREGISTER, 1);
}
