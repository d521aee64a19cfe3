/* Where platforms must run: as pid 1, in namespaces, as an ordinary user, under the filter that
 * their own list of system calls makes; what is left when we are killed; and the null platform. */
#include "platform/null/null.h"
#include "tests/unit/platform_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

GUEST_CODE(touch, "mov (%rdi), %rax; incq (%rdi); syscall");

/* Everything in short, in a process of its own, without criterion: 0 or the step that failed. */
static int scenario(const char *platform, void (*confine)(const struct platform_ops *))
{
	const struct platform_ops *ops = platform_find(platform);
	const int rw = PROT_READ | PROT_WRITE;
	struct fpstate fp;
	struct exit_info e;
	struct aspace *as[3];
	struct platform *p;
	struct context *c;
	int fd = memfd_create("guest", MFD_CLOEXEC), i, k;
	struct regs regs = {0};

	if (ftruncate(fd, 16 * PAGE_SIZE) < 0 ||
	    pwrite(fd, guest_touch, (size_t)(guest_touch_end - guest_touch), 0) < 0)
		return 1;
	if (platform_create(ops, &p) < 0)
		return 2;
	if (confine)
		confine(ops);
	if (context_create(p, &c) < 0)
		return 3;
	for (i = 0; i < 3; i++) {
		if (aspace_create(p, &as[i]) < 0)
			return 4;
		if (aspace_map_file(as[i], CODE_AT, fd, 0, PAGE_SIZE, PROT_READ | PROT_EXEC, true,
		                    false) < 0)
			return 5;
		for (k = 0; k < 20; k++) {
			regs.rip = CODE_AT;
			regs.rdi = DATA_AT;
			if (aspace_map_file(as[i], DATA_AT, fd, PAGE_SIZE, PAGE_SIZE, PROT_READ,
			                    true, true) < 0)
				return 6;
			if (context_switch(c, as[i], &regs, &e) < 0 || e.reason != EXIT_FAULT ||
			    e.access != ACCESS_WRITE)
				return 7;
			if (aspace_protect(as[i], DATA_AT, PAGE_SIZE, rw) < 0)
				return 8;
			if (context_switch(c, as[i], &regs, &e) < 0 || e.reason != EXIT_SYSCALL)
				return 9;
			if (regs.orig_rax != (u64)(i * 20 + k))
				return 10;
			if (aspace_unmap(as[i], DATA_AT, PAGE_SIZE) < 0)
				return 11;
			context_kick(c);
			if (context_switch(c, as[i], &regs, &e) < 0 || e.reason != EXIT_KICK)
				return 12;
			if (context_pull_fpstate(c, &fp) < 0 || context_push_fpstate(c, &fp) < 0)
				return 13;
		}
	}
	context_release(c);
	for (i = 0; i < 3; i++)
		aspace_release(as[i]);
	platform_destroy(p);
	if (waitpid(-1, NULL, __WALL) != -1 || errno != ECHILD)
		return 14;
	return 0;
}

/* Waits for a child that we forked and returns its status. */
static int result_of(pid_t pid)
{
	int status = 0;

	cr_assert_gt(pid, 0);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int in_pid_namespace(const char *platform, int flags)
{
	pid_t pid;
	int status;

	if (unshare(flags) < 0)
		return 100;
	pid = fork();
	if (pid == 0)
		_exit(getpid() == 1 ? scenario(platform, NULL) : 101);
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 102;
}

static void become_nobody(void)
{
	if (getuid() == 0 && (setgroups(0, NULL) < 0 || setresgid(65534, 65534, 65534) < 0 ||
	                      setresuid(65534, 65534, 65534) < 0))
		_exit(103);
}

/* The sentry's way: no privileges, not dumpable after the platform is there. */
static void hide(const struct platform_ops *ops)
{
	prctl(PR_SET_DUMPABLE, 0);
}

static void filter(const struct platform_ops *ops)
{
	/* malloc, threads, the end, and what the scenario itself uses. */
	static const int base[] = {
		SCMP_SYS(brk),     SCMP_SYS(mmap),       SCMP_SYS(munmap), SCMP_SYS(mprotect),
		SCMP_SYS(madvise), SCMP_SYS(exit_group), SCMP_SYS(wait4),
	};
	const struct platform_syscall *s;
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_KILL_PROCESS);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(base); i++)
		if (seccomp_rule_add(f, SCMP_ACT_ALLOW, base[i], 0) < 0)
			_exit(104);
	for (s = ops->syscalls; s->nr >= 0; s++) {
		const struct scmp_arg_cmp arg = {s->arg - 1, SCMP_CMP_MASKED_EQ, 0xffffffffu,
		                                 s->value};
		int r = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, s->nr, s->arg != 0, &arg);

		if (r < 0 && r != -EEXIST)
			_exit(105);
	}
	if (seccomp_load(f) < 0)
		_exit(106);
}

static void environments(const char *platform)
{
	pid_t pid;

	pid = fork();
	if (pid == 0)
		_exit(scenario(platform, NULL));
	cr_expect_eq(result_of(pid), 0, "plain");
	pid = fork();
	if (pid == 0)
		_exit(in_pid_namespace(platform, CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS));
	cr_expect_eq(result_of(pid), 0, "pid 1");
	pid = fork();
	if (pid == 0) {
		become_nobody();
		_exit(scenario(platform, hide));
	}
	cr_expect_eq(result_of(pid), 0, "nobody");
	pid = fork();
	if (pid == 0) {
		become_nobody();
		prctl(PR_SET_DUMPABLE, 1);
		_exit(in_pid_namespace(platform, CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET));
	}
	cr_expect_eq(result_of(pid), 0, "nobody as pid 1 in a user namespace");
	/* Sanitizers make calls of their own. */
	if (SANITIZED)
		return;
	pid = fork();
	if (pid == 0)
		_exit(scenario(platform, filter));
	cr_expect_eq(result_of(pid), 0, "filtered");
}

Test(ptrace, environments)
{
	environments("ptrace");
}

Test(systrap, environments)
{
	environments("systrap");
}

/* A process with stubs in all states is killed: they end, too. */
static void killed(const char *platform)
{
	const struct platform_ops *ops = platform_find(platform);
	pid_t pid, got;
	int ready[2], status, n = 0;
	char byte;

	/* The orphans come to us. */
	cr_assert_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	cr_assert_eq(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		static const u8 spin[] = {0xeb, 0xfe};
		struct regs regs = {.rip = CODE_AT};
		struct exit_info e;
		struct platform *p;
		struct aspace *as = NULL;
		struct context *c;
		int i, fd = memfd_create("guest", 0);

		if (ftruncate(fd, PAGE_SIZE) < 0 || pwrite(fd, spin, 2, 0) != 2 ||
		    platform_create(ops, &p) < 0 || context_create(p, &c) < 0)
			_exit(1);
		for (i = 0; i < 5; i++)
			if (aspace_create(p, &as) < 0)
				_exit(2);
		if (aspace_map_file(as, CODE_AT, fd, 0, PAGE_SIZE, PROT_READ | PROT_EXEC, true,
		                    false) < 0 ||
		    write(ready[1], "x", 1) != 1)
			_exit(3);
		(void)!context_switch(c, as, &regs, &e);
		_exit(4);
	}
	cr_assert_eq(read(ready[0], &byte, 1), 1);
	usleep(20000);
	kill(pid, SIGKILL);
	/* Hangs if one of them goes on. */
	while ((got = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR) {
		cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		n++;
	}
	cr_assert_eq(n, 7, "%d", n);
}

Test(ptrace, killed, .timeout = 30)
{
	killed("ptrace");
}

Test(systrap, killed, .timeout = 30)
{
	killed("systrap");
}

/* Without descriptors or processes to be had: an error, and all is well once there are some. */
static void no_room(const char *platform)
{
	struct rlimit files = {100, 100};
	struct aspace *as[100];
	struct platform *p;
	int i, round, n = 0, r = 0;

	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
	cr_assert_eq(platform_create(platform_find(platform), &p), 0);
	for (round = 0; round < 3; round++) {
		for (n = 0; n < 100; n++) {
			r = aspace_create(p, &as[n]);
			if (r < 0)
				break;
		}
		cr_assert_eq(r, -EAGAIN, "%d", r);
		cr_assert_gt(n, 50);
		for (i = 0; i < n; i++)
			aspace_release(as[i]);
		cr_assert_leq(count_children(), 1 + MAX_SPARE);
	}
	platform_destroy(p);
	cr_assert_eq(count_children(), 0);
}

Test(ptrace, no_room, .timeout = 30)
{
	no_room("ptrace");
}

Test(systrap, no_room, .timeout = 30)
{
	no_room("systrap");
}

Test(null, script)
{
	const struct null_exit script[] = {
		{.exit = {.reason = EXIT_SYSCALL}},
		{.exit = {.reason = EXIT_FAULT, .addr = 4711, .access = ACCESS_WRITE}},
		{.exit = {.reason = EXIT_SYSCALL},
	         .set_regs = true,
	         .regs = {.orig_rax = 60, .rdi = 3}},
	};
	struct regs regs = {.rax = 39, .rip = 1};
	struct exit_info e;
	struct null_map m;
	struct platform *p;
	struct aspace *as;
	struct context *c;

	cr_assert_eq(platform_create(platform_find("null"), &p), 0);
	cr_assert_eq(aspace_create(p, &as), 0);
	cr_assert_eq(context_create(p, &c), 0);
	null_script(p, script, 3);
	cr_assert_eq(context_switch(c, as, &regs, &e), 0);
	cr_assert_eq(e.reason, EXIT_SYSCALL);
	cr_assert_eq(regs.orig_rax, 39);
	context_kick(c);
	cr_assert_eq(context_switch(c, as, &regs, &e), 0);
	cr_assert_eq(e.reason, EXIT_KICK);
	cr_assert_eq(context_switch(c, as, &regs, &e), 0);
	cr_assert_eq(e.addr, 4711);
	cr_assert_eq(null_pending(p), 1);
	cr_assert_eq(context_switch(c, as, &regs, &e), 0);
	cr_assert_eq(regs.rdi, 3);
	cr_assert_eq(context_switch(c, as, &regs, &e), 0);
	cr_assert_eq(e.reason, EXIT_DEAD);

	cr_assert_eq(aspace_map_file(as, 0x100000, 9, 0, 0x10000, PROT_READ, true, false), 0);
	cr_assert_eq(aspace_protect(as, 0x102000, 0x1000, PROT_NONE), 0);
	cr_assert_eq(null_map_count(as), 3);
	cr_assert(null_map_at(as, 0x102fff, &m));
	cr_assert_eq(m.prot, PROT_NONE);
	cr_assert_eq(m.off, 0x2000);
	cr_assert_eq(aspace_unmap(as, 0x101000, 0x3000), 0);
	cr_assert(!null_map_at(as, 0x101000, &m));
	cr_assert(null_map_at(as, 0x104000, &m));
	cr_assert_eq(m.off, 0x4000);
	cr_assert_eq(m.len, 0xc000);
	cr_assert_eq(aspace_map_file(as, 0x100000, 9, 0, 0x100000, PROT_READ, true, false), 0);
	cr_assert_eq(null_map_count(as), 1);
	context_release(c);
	aspace_release(as);
	platform_destroy(p);
}
