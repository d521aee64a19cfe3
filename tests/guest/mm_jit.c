#include "tests/guest/guest_test.h"

/* Code that is written at run time: patched, moved, shared. */

static const unsigned char ret_imm[] = {0xb8, 0, 0, 0, 0, 0xc3}; /* mov $imm,%eax; ret */

static void emit(unsigned char *p, int value)
{
	memcpy(p, ret_imm, sizeof(ret_imm));
	memcpy(p + 1, &value, 4);
}

static int call(void *p)
{
	return ((int (*)(void))(uintptr_t)p)();
}

GUEST_TEST(write_then_run)
{
	unsigned char *p = guest_map(GUEST_PAGE, 0);

	emit(p, 42);
	ASSERT_OK(mprotect(p, GUEST_PAGE, PROT_READ | PROT_EXEC));
	MAYBE_SAVE();
	EXPECT_EQ(call(p), 42);
}

GUEST_TEST(patched_many_times)
{
	unsigned char *p = mmap(NULL, GUEST_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
	                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_TRUE(p != MAP_FAILED);
	for (int i = 0; i < 500; i++) {
		emit(p, i);
		EXPECT_EQ(call(p), i);
		if (i == 250)
			MAYBE_SAVE();
	}
}

GUEST_TEST(two_views)
{
	int fd = ASSERT_OK(memfd_create("jit", 0));
	unsigned char *w, *x;

	ASSERT_OK(ftruncate(fd, GUEST_PAGE));
	w = mmap(NULL, GUEST_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	x = mmap(NULL, GUEST_PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	ASSERT_TRUE(w != MAP_FAILED && x != MAP_FAILED);
	emit(w, 7);
	EXPECT_EQ(call(x), 7);
	MAYBE_SAVE();
	emit(w, 8);
	EXPECT_EQ(call(x), 8);
}

GUEST_TEST(system_call_in_jitted_code)
{
	/* mov $39,%eax; syscall; ret: getpid */
	static const unsigned char code[] = {0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xc3};
	unsigned char *p = guest_map(2 * GUEST_PAGE, 0);

	/* Also across a page border. */
	for (int at = 0; at < 2; at++) {
		unsigned char *c = at ? p + GUEST_PAGE - 6 : p;

		memcpy(c, code, sizeof(code));
	}
	ASSERT_OK(mprotect(p, 2 * GUEST_PAGE, PROT_READ | PROT_EXEC));
	for (int i = 0; i < 100; i++) {
		EXPECT_EQ(call(p), getpid());
		EXPECT_EQ(call(p + GUEST_PAGE - 6), getpid());
	}
	MAYBE_SAVE();
	/* The code reads as it was written, whatever ran it. */
	EXPECT_EQ(memcmp(p, code, sizeof(code)), 0);
	EXPECT_EQ(memcmp(p + GUEST_PAGE - 6, code, sizeof(code)), 0);
	EXPECT_EQ(call(p), getpid());
}

GUEST_TEST(child_patches_its_own)
{
	unsigned char *p = mmap(NULL, GUEST_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
	                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	emit(p, 1);
	EXPECT_EQ(call(p), 1);
	pid = guest_fork();
	if (pid == 0) {
		emit(p, 2);
		EXPECT_EQ(call(p), 2);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(call(p), 1);
}
