#include "tests/guest/guest_test.h"

#include <linux/sched.h>
#include <sched.h>

/* clone and clone3 with the flags that threads libraries and containers do not cover. */

static char stacks[4][65536] __attribute__((aligned(16)));

static int value;
static int fd_of_child;

static int child_sets(void *arg)
{
	value = 1;
	fd_of_child = open("/dev/null", O_RDONLY);
	return 3;
}

static pid_t start(int (*fn)(void *), int flags, void *arg)
{
	return ASSERT_OK(clone(fn, stacks[0] + sizeof(stacks[0]), flags, arg));
}

GUEST_TEST(plain)
{
	pid_t pid = start(child_sets, SIGCHLD, NULL);

	EXPECT_EQ(guest_reap(pid), 3);
	EXPECT_EQ(value, 0);
}

GUEST_TEST(share_memory)
{
	pid_t pid = start(child_sets, CLONE_VM | SIGCHLD, NULL);

	EXPECT_EQ(guest_reap(pid), 3);
	EXPECT_EQ(value, 1);
	/* The descriptor table was the child's own. */
	EXPECT_ERRNO(fcntl(fd_of_child, F_GETFD), EBADF);
}

GUEST_TEST(share_files)
{
	pid_t pid = start(child_sets, CLONE_VM | CLONE_FILES | SIGCHLD, NULL);

	EXPECT_EQ(guest_reap(pid), 3);
	EXPECT_EQ(fcntl(fd_of_child, F_GETFD), 0);
	MAYBE_SAVE();
	EXPECT_EQ(fcntl(fd_of_child, F_GETFD), 0);
}

static int child_chdir(void *arg)
{
	umask(0123);
	return chdir("/proc") < 0;
}

GUEST_TEST(share_fs)
{
	char cwd[4096];
	pid_t pid;

	ASSERT_OK(chdir("/"));
	pid = start(child_chdir, CLONE_FS | SIGCHLD, NULL);
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_TRUE(getcwd(cwd, sizeof(cwd)) != NULL);
	EXPECT_STREQ(cwd, "/proc");
	EXPECT_EQ(umask(022), 0123);
}

static void nothing(int sig)
{
}

static int child_handler(void *arg)
{
	signal(SIGUSR2, nothing);
	return 0;
}

GUEST_TEST(share_handlers)
{
	struct sigaction sa;
	pid_t pid = start(child_handler, CLONE_VM | CLONE_SIGHAND | SIGCHLD, NULL);

	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_OK(sigaction(SIGUSR2, NULL, &sa));
	EXPECT_EQ(sa.sa_handler, nothing);
}

GUEST_TEST(clear_handlers)
{
	struct clone_args args = {.flags = CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD};
	struct sigaction sa;
	long pid;

	signal(SIGUSR1, nothing);
	signal(SIGUSR2, SIG_IGN);
	pid = ASSERT_OK(syscall(SYS_clone3, &args, sizeof(args)));
	if (pid == 0) {
		sigaction(SIGUSR1, NULL, &sa);
		EXPECT_EQ(sa.sa_handler, SIG_DFL);
		sigaction(SIGUSR2, NULL, &sa);
		EXPECT_EQ(sa.sa_handler, SIG_IGN);
		_exit(0);
	}
	EXPECT_EQ(guest_reap((pid_t)pid), 0);
}

static int child_ppid(void *arg)
{
	return getppid() == *(pid_t *)arg ? 0 : 1;
}

GUEST_TEST(parent_flag)
{
	/* With CLONE_PARENT the new task is a sibling: our parent's child. */
	pid_t self = getpid(), pid = guest_fork();

	if (pid == 0) {
		pid_t inner = start(child_ppid, CLONE_PARENT | SIGCHLD, &self);

		EXPECT_ERRNO(waitpid(inner, NULL, 0), ECHILD);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(guest_reap(-1), 0);
}

GUEST_TEST(tid_pointers)
{
	pid_t ptid = 0, *ctid = guest_map_shared(GUEST_PAGE);
	long pid = ASSERT_OK(syscall(SYS_clone, CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD,
	                             0, &ptid, ctid, 0));

	if (pid == 0)
		_exit(*ctid == getpid() ? 0 : 1);
	EXPECT_EQ(ptid, pid);
	EXPECT_EQ(guest_reap((pid_t)pid), 0);
	EXPECT_EQ(*ctid, pid);
}

static int child_exit0(void *arg)
{
	return 0;
}

GUEST_TEST(exit_signal)
{
	sigset_t set;
	siginfo_t si;
	pid_t pid;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	pid = start(child_exit0, SIGUSR1, NULL);
	MAYBE_SAVE();
	EXPECT_EQ(sigwaitinfo(&set, &si), SIGUSR1);
	EXPECT_EQ(si.si_pid, pid);
	/* A child with another exit signal is a "clone" child: wait does not see it. */
	EXPECT_ERRNO(waitpid(pid, NULL, 0), ECHILD);
	EXPECT_EQ(waitpid(pid, NULL, __WCLONE), pid);
}

GUEST_TEST(no_exit_signal)
{
	pid_t pid = start(child_exit0, 0, NULL);

	EXPECT_ERRNO(waitpid(pid, NULL, 0), ECHILD);
	EXPECT_EQ(waitpid(pid, NULL, __WALL), pid);
}

GUEST_TEST(clone3_stack)
{
	struct clone_args args = {.flags = CLONE_VM | CLONE_VFORK, .exit_signal = SIGCHLD};
	long pid;

	args.stack = (uintptr_t)stacks[1];
	args.stack_size = sizeof(stacks[1]);
	/* The child may only touch registers before it leaves: its stack is empty. */
	__asm__ volatile("syscall\n\ttest %%rax,%%rax\n\tjnz 1f\n\t"
	                 "mov %%rsp,%%rdi\n\tsub %3,%%rdi\n\tneg %%rdi\n\t"
	                 "mov $60,%%eax\n\tsyscall\n1:"
	                 : "=a"(pid)
	                 : "0"((long)SYS_clone3), "D"(&args),
	                   "r"((uintptr_t)stacks[1] + sizeof(stacks[1])), "S"(sizeof(args))
	                 : "rcx", "r11", "memory");
	ASSERT_TRUE(pid > 0);
	EXPECT_EQ(guest_reap((pid_t)pid), 0);
}

GUEST_TEST(errors)
{
	struct clone_args args = {.flags = 0, .exit_signal = 200};

	EXPECT_ERRNO(syscall(SYS_clone, CLONE_SIGHAND | SIGCHLD, 0, 0, 0, 0), EINVAL);
	EXPECT_ERRNO(syscall(SYS_clone, CLONE_THREAD | CLONE_VM | SIGCHLD, 0, 0, 0, 0), EINVAL);
	EXPECT_ERRNO(syscall(SYS_clone, CLONE_FS | CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0), EINVAL);
	EXPECT_ERRNO(syscall(SYS_clone3, &args, sizeof(args)), EINVAL);
	EXPECT_ERRNO(syscall(SYS_clone3, &args, 8), EINVAL);
	EXPECT_ERRNO(syscall(SYS_clone3, NULL, sizeof(args)), EFAULT);
	args.exit_signal = SIGCHLD;
	args.stack = (uintptr_t)stacks[0];
	EXPECT_ERRNO(syscall(SYS_clone3, &args, sizeof(args)), EINVAL);
	EXPECT_ERRNO(syscall(SYS_clone3, &args, 1 << 20), E2BIG);
}
