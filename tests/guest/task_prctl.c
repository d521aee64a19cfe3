#include "tests/guest/guest_test.h"

#include <asm/prctl.h>
#include <pthread.h>
#include <sys/prctl.h>

/* prctl and arch_prctl as libc and runtimes use them. */

GUEST_TEST(name)
{
	char got[16];
	pid_t pid;

	EXPECT_OK(prctl(PR_SET_NAME, "short"));
	memset(got, 'x', sizeof(got));
	EXPECT_OK(prctl(PR_GET_NAME, got));
	EXPECT_STREQ(got, "short");
	EXPECT_OK(prctl(PR_SET_NAME, "longer-than-fifteen"));
	MAYBE_SAVE();
	EXPECT_OK(prctl(PR_GET_NAME, got));
	EXPECT_STREQ(got, "longer-than-fif");
	pid = guest_fork();
	if (pid == 0) {
		prctl(PR_GET_NAME, got);
		EXPECT_STREQ(got, "longer-than-fif");
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_ERRNO(prctl(PR_SET_NAME, (char *)8), EFAULT);
	EXPECT_ERRNO(prctl(PR_GET_NAME, (char *)8), EFAULT);
}

GUEST_TEST(name_after_exec_is_the_file)
{
	char want[16], got[16];
	const char *base = strrchr(guest_self(), '/');

	snprintf(want, sizeof(want), "%.15s", base + 1);
	prctl(PR_GET_NAME, got);
	EXPECT_STREQ(got, want);
}

static void *thread_name(void *arg)
{
	char got[16];

	EXPECT_EQ(pthread_setname_np(pthread_self(), "worker"), 0);
	prctl(PR_GET_NAME, got);
	EXPECT_STREQ(got, "worker");
	return NULL;
}

GUEST_TEST(name_is_per_thread)
{
	char got[16];
	pthread_t t;

	prctl(PR_SET_NAME, "leader");
	ASSERT_EQ(pthread_create(&t, NULL, thread_name, NULL), 0);
	pthread_join(t, NULL);
	prctl(PR_GET_NAME, got);
	EXPECT_STREQ(got, "leader");
}

GUEST_TEST(dumpable)
{
	EXPECT_EQ(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 1);
	EXPECT_OK(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
	MAYBE_SAVE();
	EXPECT_EQ(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
	EXPECT_ERRNO(prctl(PR_SET_DUMPABLE, 2, 0, 0, 0), EINVAL);
	EXPECT_OK(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

GUEST_ROLE(has_nnp)
{
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
}

GUEST_TEST(no_new_privs)
{
	char *argv[] = {(char *)"role:has_nnp", NULL};
	pid_t pid;

	EXPECT_ERRNO(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), EINVAL);
	EXPECT_ERRNO(prctl(PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0), EINVAL);
	EXPECT_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	MAYBE_SAVE();
	EXPECT_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	pid = guest_fork();
	if (pid == 0) {
		execv(guest_self(), argv);
		_exit(100);
	}
	EXPECT_EQ(guest_reap(pid), 1);
}

GUEST_TEST(keepcaps)
{
	EXPECT_EQ(prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0), 0);
	EXPECT_OK(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
	EXPECT_EQ(prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0), 1);
	EXPECT_ERRNO(prctl(PR_SET_KEEPCAPS, 2, 0, 0, 0), EINVAL);
}

GUEST_TEST(timer_slack)
{
	EXPECT_GT(prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0), 0);
	EXPECT_OK(prctl(PR_SET_TIMERSLACK, 12345, 0, 0, 0));
	EXPECT_EQ(prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0), 12345);
}

GUEST_ROLE(no_huge_pages)
{
	return prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0);
}

GUEST_TEST(huge_pages_are_refused_for_good)
{
	char *argv[] = {(char *)"role:no_huge_pages", NULL};
	pid_t pid;

	EXPECT_EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 0);
	EXPECT_ERRNO(prctl(PR_GET_THP_DISABLE, 1, 0, 0, 0), EINVAL);
	EXPECT_ERRNO(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 1), EINVAL);
	EXPECT_OK(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	MAYBE_SAVE();
	EXPECT_EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 1);
	pid = guest_fork();
	if (pid == 0) {
		execv(guest_self(), argv);
		_exit(100);
	}
	EXPECT_EQ(guest_reap(pid), 1);
	EXPECT_OK(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0));
	EXPECT_EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 0);
}

GUEST_TEST(unknown)
{
	EXPECT_ERRNO(prctl(123456, 0, 0, 0, 0), EINVAL);
	EXPECT_ERRNO(syscall(SYS_arch_prctl, 0x7777, 0), EINVAL);
}

GUEST_TEST(fs_base)
{
	unsigned long fs = 0, self;

	EXPECT_OK(syscall(SYS_arch_prctl, ARCH_GET_FS, &fs));
	__asm__("mov %%fs:0,%0" : "=r"(self));
	EXPECT_EQ(fs, self);
	EXPECT_OK(syscall(SYS_arch_prctl, ARCH_SET_FS, fs));
	EXPECT_ERRNO(syscall(SYS_arch_prctl, ARCH_SET_FS, 0xffff800000000000), EPERM);
	EXPECT_ERRNO(syscall(SYS_arch_prctl, ARCH_GET_FS, 8), EFAULT);
}

GUEST_TEST(gs_base)
{
	static unsigned long area[4] = {0x11, 0x22, 0x33, 0x44};
	unsigned long gs = 0, v;
	pid_t pid;

	EXPECT_OK(syscall(SYS_arch_prctl, ARCH_SET_GS, area));
	EXPECT_OK(syscall(SYS_arch_prctl, ARCH_GET_GS, &gs));
	EXPECT_EQ(gs, area);
	__asm__ volatile("mov %%gs:8,%0" : "=r"(v));
	EXPECT_EQ(v, 0x22);
	MAYBE_SAVE();
	__asm__ volatile("mov %%gs:16,%0" : "=r"(v));
	EXPECT_EQ(v, 0x33);
	pid = guest_fork();
	if (pid == 0) {
		__asm__ volatile("mov %%gs:24,%0" : "=r"(v));
		_exit(v == 0x44 ? 0 : 1);
	}
	EXPECT_EQ(guest_reap(pid), 0);
}
