/* The program's own seccomp: verdicts, inheritance, threads, and filters that outlive a save. */
#include "tests/guest/guest_test.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RET(v)      BPF_STMT(BPF_RET | BPF_K, (v))
#define IF_CALL(nr) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1)

#define INSTALL(flags, ...)                                                      \
	({                                                                       \
		struct sock_filter code[] = {__VA_ARGS__};                       \
		struct sock_fprog prog = {sizeof(code) / sizeof(code[0]), code}; \
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);                          \
		syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, (flags), &prog);   \
	})

/* Calls nr fail with err, or whatever action is given instead. */
static long deny(long nr, unsigned action)
{
	return INSTALL(0, LOAD(nr), IF_CALL((unsigned)nr), RET(action), RET(SECCOMP_RET_ALLOW));
}

GUEST_TEST(errno_is_returned)
{
	ASSERT_EQ(deny(SYS_getppid, SECCOMP_RET_ERRNO | ENOTTY), 0);
	EXPECT_EQ(syscall(SYS_getppid), -1);
	EXPECT_EQ(errno, ENOTTY);
	MAYBE_SAVE();
	EXPECT_EQ(syscall(SYS_getppid), -1);
	EXPECT_EQ(errno, ENOTTY);
	EXPECT_EQ(prctl(PR_GET_SECCOMP, 0, 0, 0, 0), 2);
}

GUEST_TEST(errno_of_nothing_is_success)
{
	ASSERT_EQ(deny(SYS_getppid, SECCOMP_RET_ERRNO), 0);
	EXPECT_EQ(syscall(SYS_getppid), 0);
}

GUEST_TEST(arguments_are_seen_whole)
{
	/* dup(7) fails, dup of anything else does not. */
	long r = INSTALL(
		0, LOAD(nr), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_dup, 0, 5), LOAD(args[0]),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 7, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0]) + 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 1), RET(SECCOMP_RET_ERRNO | ENODEV),
		RET(SECCOMP_RET_ALLOW));

	ASSERT_EQ(r, 0);
	EXPECT_EQ(syscall(SYS_dup, 0x100000007ul), -1);
	EXPECT_EQ(errno, ENODEV);
	EXPECT_EQ(syscall(SYS_dup, 0x700), -1);
	EXPECT_EQ(errno, EBADF);
}

GUEST_TEST(arithmetic_and_memory)
{
	/* ((nr + 3) * 2 - 6) / 2 is nr again, by way of the scratch words and X. */
	long r = INSTALL(
		0, LOAD(nr), BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, 3), BPF_STMT(BPF_LDX | BPF_IMM, 2),
		BPF_STMT(BPF_ALU | BPF_MUL | BPF_X, 0), BPF_STMT(BPF_ST, 15),
		BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0), BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_STX, 3), BPF_STMT(BPF_LD | BPF_MEM, 3),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, sizeof(struct seccomp_data), 1, 0),
		RET(SECCOMP_RET_KILL_PROCESS), BPF_STMT(BPF_LD | BPF_MEM, 15),
		BPF_STMT(BPF_ALU | BPF_SUB | BPF_K, 6), BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 1),
		IF_CALL(SYS_getppid), RET(SECCOMP_RET_ERRNO | EXDEV), RET(SECCOMP_RET_ALLOW));

	ASSERT_EQ(r, 0);
	EXPECT_EQ(syscall(SYS_getppid), -1);
	EXPECT_EQ(errno, EXDEV);
	EXPECT_TRUE(syscall(SYS_getpid) > 0);
}

GUEST_TEST(strictest_of_several_filters)
{
	ASSERT_EQ(deny(SYS_getppid, SECCOMP_RET_ERRNO | EPERM), 0);
	ASSERT_EQ(deny(SYS_getppid, SECCOMP_RET_ERRNO | ENXIO), 0);
	ASSERT_EQ(deny(SYS_getppid, SECCOMP_RET_LOG), 0);
	MAYBE_SAVE();
	/* The newest of equals. */
	EXPECT_EQ(syscall(SYS_getppid), -1);
	EXPECT_EQ(errno, ENXIO);
}

static void on_sigsys(int signo, siginfo_t *info, void *uc)
{
	ucontext_t *c = uc;

	EXPECT_EQ(signo, SIGSYS);
	EXPECT_EQ(info->si_code, 1);
	EXPECT_EQ(info->si_errno, 77);
	EXPECT_EQ(info->si_syscall, SYS_getppid);
	EXPECT_EQ((unsigned)info->si_arch, AUDIT_ARCH_X86_64);
	EXPECT_EQ((unsigned long)info->si_call_addr, (unsigned long)c->uc_mcontext.gregs[REG_RIP]);
	EXPECT_EQ(c->uc_mcontext.gregs[REG_RAX], SYS_getppid);
	c->uc_mcontext.gregs[REG_RAX] = 4711;
}

GUEST_TEST(trap_lets_the_handler_answer)
{
	struct sigaction sa = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO};

	ASSERT_EQ(sigaction(SIGSYS, &sa, NULL), 0);
	ASSERT_EQ(deny(SYS_getppid, SECCOMP_RET_TRAP | 77), 0);
	EXPECT_EQ(syscall(SYS_getppid), 4711);
	MAYBE_SAVE();
	EXPECT_EQ(syscall(SYS_getppid), 4711);
}

static int ends_with(long nr, unsigned action)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (deny(nr, action) < 0)
			_exit(99);
		syscall(nr);
		_exit(0);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	return status & ~0x80;
}

GUEST_TEST(kills)
{
	EXPECT_EQ(ends_with(SYS_getppid, SECCOMP_RET_KILL_PROCESS), SIGSYS);
	EXPECT_EQ(ends_with(SYS_getppid, SECCOMP_RET_KILL_THREAD), SIGSYS);
	EXPECT_EQ(ends_with(SYS_getppid, SECCOMP_RET_TRAP), SIGSYS);
	EXPECT_EQ(ends_with(SYS_getppid, SECCOMP_RET_ALLOW), 0);
	/* An action that does not exist kills too. */
	EXPECT_EQ(ends_with(SYS_getppid, 0x00020000), SIGSYS);
}

GUEST_TEST(trace_without_tracer)
{
	ASSERT_EQ(deny(SYS_getppid, SECCOMP_RET_TRACE), 0);
	EXPECT_EQ(syscall(SYS_getppid), -1);
	EXPECT_EQ(errno, ENOSYS);
}

GUEST_TEST(strict_mode)
{
	int status, fds[2];
	char c = 0;
	pid_t pid;

	ASSERT_EQ(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) < 0)
			_exit(99);
		if (write(fds[1], "x", 1) == 1)
			syscall(SYS_getpid);
		syscall(SYS_exit, 5);
	}
	EXPECT_EQ(read(fds[0], &c, 1), 1);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, SIGKILL);
	pid = fork();
	if (pid == 0) {
		if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) < 0)
			syscall(SYS_exit, 99);
		syscall(SYS_exit, 5);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 5 << 8);
}

GUEST_ROLE(after_exec)
{
	if (syscall(SYS_getppid) != -1 || errno != ENOTTY)
		_exit(1);
	_exit(prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
}

GUEST_TEST(children_and_execve_keep_filters)
{
	int status;
	pid_t pid;

	ASSERT_EQ(deny(SYS_getppid, SECCOMP_RET_ERRNO | ENOTTY), 0);
	MAYBE_SAVE();
	pid = fork();
	if (pid == 0) {
		execl("/proc/self/exe", "x", "role:after_exec", NULL);
		_exit(98);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 2 << 8);
}

static struct guest_gate gate_ready, gate_go;

static void *thread_under_filter(void *arg)
{
	guest_gate_open(&gate_ready);
	guest_gate_wait(&gate_go);
	EXPECT_EQ(syscall(SYS_getppid), -1);
	EXPECT_EQ(errno, ENOTTY);
	EXPECT_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	return NULL;
}

GUEST_TEST(tsync_reaches_other_threads)
{
	pthread_t th;

	guest_gate_init(&gate_ready);
	guest_gate_init(&gate_go);
	ASSERT_EQ(pthread_create(&th, NULL, thread_under_filter, NULL), 0);
	guest_gate_wait(&gate_ready);
	ASSERT_EQ(INSTALL(SECCOMP_FILTER_FLAG_TSYNC, LOAD(nr), IF_CALL(SYS_getppid),
	                  RET(SECCOMP_RET_ERRNO | ENOTTY), RET(SECCOMP_RET_ALLOW)),
	          0);
	MAYBE_SAVE();
	guest_gate_open(&gate_go);
	pthread_join(th, NULL);
}

static void *thread_with_own(void *arg)
{
	*(pid_t *)arg = (pid_t)syscall(SYS_gettid);
	ASSERT_EQ(deny(SYS_getppid, SECCOMP_RET_ERRNO | EPERM), 0);
	guest_gate_open(&gate_ready);
	guest_gate_wait(&gate_go);
	return NULL;
}

GUEST_TEST(tsync_names_who_cannot_follow)
{
	pthread_t th;
	pid_t tid = 0;

	guest_gate_init(&gate_ready);
	guest_gate_init(&gate_go);
	ASSERT_EQ(pthread_create(&th, NULL, thread_with_own, &tid), 0);
	guest_gate_wait(&gate_ready);
	EXPECT_EQ(INSTALL(SECCOMP_FILTER_FLAG_TSYNC, RET(SECCOMP_RET_ALLOW)), tid);
	EXPECT_EQ(INSTALL(SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH,
	                  RET(SECCOMP_RET_ALLOW)),
	          -1);
	EXPECT_EQ(errno, ESRCH);
	EXPECT_EQ(prctl(PR_GET_SECCOMP, 0, 0, 0, 0), 0);
	guest_gate_open(&gate_go);
	pthread_join(th, NULL);
}

GUEST_TEST(bad_programs_are_refused)
{
	EXPECT_EQ(INSTALL(0, LOAD(nr)), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(INSTALL(0, BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64), RET(0)), -1);
	EXPECT_EQ(INSTALL(0, BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2), RET(0)), -1);
	EXPECT_EQ(INSTALL(0, BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 0), RET(0)), -1);
	EXPECT_EQ(INSTALL(0, BPF_STMT(BPF_LD | BPF_MEM, 0), RET(0)), -1);
	EXPECT_EQ(INSTALL(0, BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), RET(0)), -1);
	EXPECT_EQ(INSTALL(0, BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 32), RET(0)), -1);
	EXPECT_EQ(INSTALL(0, BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0), RET(0)), -1);
	EXPECT_EQ(INSTALL(0, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 1), RET(0)), -1);
	/* Stored on one way only. */
	EXPECT_EQ(INSTALL(0, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1), BPF_STMT(BPF_ST, 1),
	                  BPF_STMT(BPF_LD | BPF_MEM, 1), RET(0)),
	          -1);
	EXPECT_EQ(prctl(PR_GET_SECCOMP, 0, 0, 0, 0), 0);
}

GUEST_TEST(unprivileged_must_renounce)
{
	struct sock_filter code[] = {RET(SECCOMP_RET_ALLOW)};
	struct sock_fprog prog = {1, code};

	guest_drop_root();
	EXPECT_EQ(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog), -1);
	EXPECT_EQ(errno, EACCES);
	EXPECT_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog), -1);
	EXPECT_EQ(errno, EACCES);
	ASSERT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	EXPECT_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog), 0);
	EXPECT_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT), -1);
	EXPECT_EQ(errno, EINVAL);
}

GUEST_TEST(what_there_is)
{
	unsigned action = SECCOMP_RET_ERRNO;

	EXPECT_EQ(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action), 0);
	action = 0x00020000;
	EXPECT_EQ(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action), -1);
	EXPECT_EQ(errno, EOPNOTSUPP);
	EXPECT_EQ(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 1 << 20, NULL), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL), -1);
	EXPECT_EQ(errno, EFAULT);
}

GUEST_TEST(status_tells)
{
	char text[4096];
	FILE *f;
	int seen = 0;

	ASSERT_EQ(deny(SYS_getppid, SECCOMP_RET_ERRNO | EPERM), 0);
	ASSERT_EQ(deny(SYS_getppid, SECCOMP_RET_ERRNO | EPERM), 0);
	MAYBE_SAVE();
	f = fopen("/proc/self/status", "r");
	ASSERT_TRUE(f != NULL);
	while (fgets(text, sizeof(text), f)) {
		seen += strcmp(text, "Seccomp:\t2\n") == 0;
		seen += strcmp(text, "NoNewPrivs:\t1\n") == 0;
	}
	fclose(f);
	EXPECT_EQ(seen, 2);
}
