#include "tests/guest/guest_test.h"

#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>

/* Everything that a task has, before and after a save. */

GUEST_TEST(identity)
{
	pid_t pid = getpid(), ppid = getppid(), pgrp = getpgrp(), sid = getsid(0);
	uid_t uid = getuid();

	MAYBE_SAVE();
	EXPECT_EQ(getpid(), pid);
	EXPECT_EQ(syscall(SYS_gettid), pid);
	EXPECT_EQ(getppid(), ppid);
	EXPECT_EQ(getpgrp(), pgrp);
	EXPECT_EQ(getsid(0), sid);
	EXPECT_EQ(getuid(), uid);
}

GUEST_TEST(settings)
{
	struct rlimit rl = {77, 88}, core = {1, 2}, got;
	char name[16] = "", cwd[64];
	int v = 0, prio;

	umask(0135);
	prctl(PR_SET_NAME, "saved name");
	prctl(PR_SET_DUMPABLE, 0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_PDEATHSIG, SIGUSR2);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	prio = getpriority(PRIO_PROCESS, 0);
	prio = prio < 19 ? prio + 1 : prio;
	setpriority(PRIO_PROCESS, 0, prio);
	setrlimit(RLIMIT_NOFILE, &rl);
	setrlimit(RLIMIT_CORE, &core);
	ASSERT_OK(chdir("/proc"));
	MAYBE_SAVE();
	prctl(PR_GET_NAME, name);
	EXPECT_STREQ(name, "saved name");
	EXPECT_EQ(prctl(PR_GET_DUMPABLE), 0);
	EXPECT_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	prctl(PR_GET_PDEATHSIG, &v);
	EXPECT_EQ(v, SIGUSR2);
	prctl(PR_GET_CHILD_SUBREAPER, &v);
	EXPECT_EQ(v, 1);
	EXPECT_EQ(getpriority(PRIO_PROCESS, 0), prio);
	getrlimit(RLIMIT_NOFILE, &got);
	EXPECT_EQ(got.rlim_cur * 1000 + got.rlim_max, 77088);
	getrlimit(RLIMIT_CORE, &got);
	EXPECT_EQ(got.rlim_cur * 1000 + got.rlim_max, 1002);
	EXPECT_EQ(umask(022), 0135);
	EXPECT_STREQ(getcwd(cwd, sizeof(cwd)), "/proc");
}

GUEST_TEST(credentials)
{
	gid_t g[2] = {5, 7}, got[4];
	uid_t r, e, s;

	if (geteuid() != 0)
		SKIP("not root");
	ASSERT_OK(setgroups(2, g));
	ASSERT_OK(setresgid(10, 20, 30));
	ASSERT_OK(setresuid(100, 200, 0));
	MAYBE_SAVE();
	EXPECT_OK(getresuid(&r, &e, &s));
	EXPECT_EQ(r, 100);
	EXPECT_EQ(e, 200);
	EXPECT_EQ(s, 0);
	EXPECT_OK(getresgid(&r, &e, &s));
	EXPECT_EQ(r * 10000 + e * 100 + s, 102030);
	EXPECT_EQ(getgroups(4, got), 2);
	EXPECT_EQ(got[0] * 10 + got[1], 57);
	EXPECT_OK(seteuid(0));
}

GUEST_TEST(registers)
{
	unsigned long io[12] = {0x1111111111111111, 0x2222222222222222, 0x3333333333333333,
	                        0x4444444444444444, 0x5555555555555555, 0x6666666666666666};

	/* init_module(NULL, 0, NULL), the call behind a marked point, in the open. */
	__asm__ volatile(
		"mov 0(%0),%%r12\n\tmov 8(%0),%%r13\n\tmov 16(%0),%%r14\n\t"
		"mov 24(%0),%%r15\n\tmov 32(%0),%%r8\n\tmov 40(%0),%%r9\n\t"
		"mov $175,%%eax\n\txor %%edi,%%edi\n\txor %%esi,%%esi\n\txor %%edx,%%edx\n\t"
		"syscall\n\t"
		"mov %%r12,48(%0)\n\tmov %%r13,56(%0)\n\tmov %%r14,64(%0)\n\t"
		"mov %%r15,72(%0)\n\tmov %%r8,80(%0)\n\tmov %%r9,88(%0)"
		:
		: "b"(io)
		: "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
		  "r15", "memory");
	EXPECT_EQ(memcmp(io, io + 6, sizeof(io) / 2), 0);
}

static struct guest_gate go;
static _Thread_local long tls;

static void *holds_state(void *arg)
{
	cpu_set_t set, got;
	char name[16];

	tls = (long)arg * 11;
	snprintf(name, sizeof(name), "thread-%ld", (long)arg);
	prctl(PR_SET_NAME, name);
	sched_getaffinity(0, sizeof(set), &set);
	guest_gate_wait(&go);
	EXPECT_EQ(tls, (long)arg * 11);
	memset(name, 0, sizeof(name));
	prctl(PR_GET_NAME, name);
	EXPECT_EQ(atol(name + 7), (long)arg);
	sched_getaffinity(0, sizeof(got), &got);
	EXPECT_TRUE(CPU_EQUAL(&set, &got));
	return NULL;
}

GUEST_TEST(threads)
{
	pthread_t t[6];

	guest_gate_init(&go);
	for (long i = 0; i < 6; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, holds_state, (void *)i), 0);
	MAYBE_SAVE();
	for (int i = 0; i < 6; i++)
		guest_gate_open(&go);
	for (int i = 0; i < 6; i++)
		pthread_join(t[i], NULL);
}

GUEST_TEST(family)
{
	struct guest_gate ready;
	pid_t kids[4];

	guest_gate_init(&go);
	guest_gate_init(&ready);
	for (int i = 0; i < 4; i++) {
		kids[i] = guest_fork();
		if (kids[i] == 0) {
			pid_t self, parent = getppid(), grand;

			if (i == 1)
				setpgid(0, 0);
			if (i == 2)
				setsid();
			self = getpid();
			grand = i == 3 ? guest_fork() : -1;
			if (grand == 0)
				_exit(9);
			guest_gate_open(&ready);
			guest_gate_wait(&go);
			EXPECT_EQ(getpid(), self);
			EXPECT_EQ(getppid(), parent);
			EXPECT_EQ(getpgrp() == self, i == 1 || i == 2);
			EXPECT_EQ(getsid(0) == self, i == 2);
			if (i == 3)
				EXPECT_EQ(guest_reap(grand), 9);
			_exit(i);
		}
	}
	for (int i = 0; i < 4; i++)
		guest_gate_wait(&ready);
	MAYBE_SAVE();
	for (int i = 0; i < 4; i++)
		guest_gate_open(&go);
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(guest_reap(kids[i]), i);
}

static void sleep_briefly(void *arg)
{
	guest_sleep_ms(40);
}

GUEST_TEST(waiting_in_every_call)
{
	/* One child per blocking call; all are saved in it and end well afterwards. */
	int sig;
	pid_t kids[5];
	sigset_t set;

	guest_gate_init(&go);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < 5; i++) {
		kids[i] = guest_fork();
		if (kids[i] == 0) {
			struct pollfd p = {go.fd[0], POLLIN, 0};
			char c;

			if (i == 0)
				read(go.fd[0], &c, 1);
			if (i == 1)
				poll(&p, 1, -1);
			if (i == 2)
				sigwait(&set, &sig);
			if (i == 3)
				guest_in_child(sleep_briefly, NULL);
			if (i == 4)
				guest_sleep_ms(40);
			_exit(i);
		}
	}
	for (int i = 0; i < 5; i++)
		guest_wait_blocked(kids[i]);
	MAYBE_SAVE();
	for (int i = 0; i < 2; i++)
		guest_gate_open(&go);
	kill(kids[2], SIGTERM);
	for (int i = 0; i < 5; i++)
		EXPECT_EQ(guest_reap(kids[i]), i);
}
