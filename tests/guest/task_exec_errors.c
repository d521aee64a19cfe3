#include "tests/guest/guest_test.h"

#include <sys/resource.h>

/* execve that fails must leave the caller whole; limits of arguments. */

static char *argv0[] = {(char *)"x", NULL};

static int copy_self(const char *to, mode_t mode)
{
	char buf[65536];
	int in = ASSERT_OK(open(guest_self(), O_RDONLY));
	int out = ASSERT_OK(open(to, O_WRONLY | O_CREAT | O_TRUNC, 0700));
	ssize_t n;

	while ((n = read(in, buf, sizeof(buf))) > 0)
		ASSERT_EQ(write(out, buf, (size_t)n), n);
	close(in);
	ASSERT_OK(fchmod(out, mode));
	return out;
}

GUEST_TEST(path_errors)
{
	guest_write_file(guest_path("plain"), "text", 0644);
	EXPECT_ERRNO(execve("/does/not/exist", argv0, environ), ENOENT);
	EXPECT_ERRNO(execve("", argv0, environ), ENOENT);
	EXPECT_ERRNO(execve(guest_tmp(), argv0, environ), EACCES);
	EXPECT_ERRNO(execve(guest_path("plain"), argv0, environ), EACCES);
	EXPECT_ERRNO(execve(guest_path("plain/x"), argv0, environ), ENOTDIR);
	EXPECT_ERRNO(execve("/dev/null", argv0, environ), EACCES);
	MAYBE_SAVE();
}

GUEST_TEST(enoexec)
{
	static const char *const texts[] = {"",  "\x7f", "\177ELF", "no program\n",
	                                    "#", "#!\n", "#! \n"};

	for (size_t i = 0; i < GUEST_COUNT(texts); i++) {
		guest_write_file(guest_path("f"), texts[i], 0755);
		EXPECT_ERRNO(execve(guest_path("f"), argv0, environ), ENOEXEC);
	}
}

static void damaged(size_t at, char byte, int err)
{
	int fd = copy_self(guest_path("elf"), 0755);

	ASSERT_EQ(pwrite(fd, &byte, 1, (off_t)at), 1);
	close(fd);
	EXPECT_ERRNO(execve(guest_path("elf"), argv0, environ), err);
}

GUEST_TEST(damaged_elf)
{
	damaged(0, 'x', ENOEXEC); /* magic */
	damaged(16, 77, ENOEXEC); /* e_type */
	damaged(18, 40, ENOEXEC); /* e_machine: arm */
	damaged(54, 1, ENOEXEC);  /* e_phentsize */
}

GUEST_TEST(truncated_elf)
{
	int fd = copy_self(guest_path("elf"), 0755);

	ASSERT_OK(ftruncate(fd, 60));
	close(fd);
	EXPECT_ERRNO(execve(guest_path("elf"), argv0, environ), ENOEXEC);
}

GUEST_TEST(text_file_busy)
{
	int fd = copy_self(guest_path("busy"), 0755);

	EXPECT_ERRNO(execve(guest_path("busy"), argv0, environ), ETXTBSY);
	close(fd);
}

GUEST_ROLE(count)
{
	size_t total = 0;

	for (int i = 2; i < argc; i++)
		total += strlen(argv[i]);
	return total == (size_t)atoi(getenv("TOTAL")) ? 0 : 1;
}

GUEST_TEST(large_arguments)
{
	enum {
		N = 500,
		LEN = 1000
	};
	char *argv[N + 3], total[32], *envp[] = {total, NULL};
	pid_t pid;

	argv[0] = (char *)"x";
	argv[1] = (char *)"role:count";
	for (int i = 0; i < N; i++) {
		argv[i + 2] = malloc(LEN + 1);
		memset(argv[i + 2], 'a' + i % 26, LEN);
		argv[i + 2][LEN] = 0;
	}
	argv[N + 2] = NULL;
	snprintf(total, sizeof(total), "TOTAL=%d", N * LEN);
	pid = guest_fork();
	if (pid == 0) {
		execve(guest_self(), argv, envp);
		_exit(100);
	}
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(too_large)
{
	size_t len = 128 * 1024; /* MAX_ARG_STRLEN, with its NUL */
	char *one = malloc(len + 1), *argv[80];

	memset(one, 'x', len);
	one[len] = 0;
	argv[0] = one;
	argv[1] = NULL;
	EXPECT_ERRNO(execve(guest_self(), argv, environ), E2BIG);
	EXPECT_ERRNO(execve(guest_self(), argv0, argv), E2BIG);
	/* Each is short enough, all together are not: at most 6 MiB with any stack limit. */
	one[len - 1] = 0;
	for (int i = 0; i < 79; i++)
		argv[i] = one;
	argv[79] = NULL;
	EXPECT_ERRNO(execve(guest_self(), argv, environ), E2BIG);
}

GUEST_TEST(limit_follows_the_stack)
{
	struct rlimit rl;
	char *one = malloc(100001), *argv[8];

	ASSERT_OK(getrlimit(RLIMIT_STACK, &rl));
	rl.rlim_cur = 1 << 20; /* a quarter of it for arguments */
	ASSERT_OK(setrlimit(RLIMIT_STACK, &rl));
	memset(one, 'x', 100000);
	one[100000] = 0;
	for (int i = 0; i < 7; i++)
		argv[i] = one;
	argv[7] = NULL;
	EXPECT_ERRNO(execve(guest_self(), argv, environ), E2BIG);
}

GUEST_TEST(bad_pointers)
{
	char *argv[] = {(char *)"x", (char *)8, NULL};

	EXPECT_ERRNO(execve(guest_self(), argv, environ), EFAULT);
	EXPECT_ERRNO(execve(guest_self(), (char **)8, environ), EFAULT);
	EXPECT_ERRNO(execve(guest_self(), argv0, (char **)8), EFAULT);
	EXPECT_ERRNO(execve(guest_self(), argv0, argv), EFAULT);
}

GUEST_TEST(not_executable_by_others)
{
	int fd = copy_self(guest_path("mine"), 0700);

	close(fd);
	if (geteuid() != 0)
		SKIP("not root");
	guest_drop_root();
	EXPECT_ERRNO(execve(guest_path("mine"), argv0, environ), EACCES);
}

GUEST_TEST(root_needs_an_x_bit)
{
	int fd = copy_self(guest_path("nox"), 0666);

	close(fd);
	EXPECT_ERRNO(execve(guest_path("nox"), argv0, environ), EACCES);
}
