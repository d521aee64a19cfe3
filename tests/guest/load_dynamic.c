#include "tests/guest/guest_test.h"

/* Dynamic programs of the host, if there are any. */

static int run(const char *path, char **argv, char *out, size_t size)
{
	size_t n = 0;
	ssize_t r;
	int fds[2];
	pid_t pid;

	if (access(path, X_OK) < 0)
		SKIP("not on this machine");
	ASSERT_OK(pipe(fds));
	pid = guest_fork();
	if (pid == 0) {
		char *envp[] = {(char *)"PATH=/usr/bin:/bin", (char *)"LC_ALL=C", NULL};

		dup2(fds[1], 1);
		close(fds[0]);
		close(fds[1]);
		execve(path, argv, envp);
		_exit(100);
	}
	close(fds[1]);
	while (n < size - 1 && (r = read(fds[0], out + n, size - 1 - n)) > 0)
		n += (size_t)r;
	out[n] = 0;
	close(fds[0]);
	return guest_reap(pid);
}

static char out[65536];

GUEST_TEST(true_and_false)
{
	char *t[] = {(char *)"true", NULL};
	char *f[] = {(char *)"false", NULL};

	EXPECT_EQ(run("/bin/true", t, out, sizeof(out)), 0);
	EXPECT_EQ(run("/bin/false", f, out, sizeof(out)), 1);
}

GUEST_TEST(echo)
{
	char *argv[] = {(char *)"echo", (char *)"hello", (char *)"there", NULL};

	EXPECT_EQ(run("/bin/echo", argv, out, sizeof(out)), 0);
	EXPECT_STREQ(out, "hello there\n");
}

GUEST_TEST(cat_a_file)
{
	char path[512];
	char *argv[] = {(char *)"cat", path, NULL};

	guest_write_file(guest_path("f"), "contents\n", 0644);
	snprintf(path, sizeof(path), "%s", guest_path("f"));
	EXPECT_EQ(run("/bin/cat", argv, out, sizeof(out)), 0);
	EXPECT_STREQ(out, "contents\n");
}

GUEST_TEST(shell_pipeline)
{
	char *argv[] = {(char *)"sh", (char *)"-c",
	                (char *)"for i in 3 1 2; do echo line $i; done | sort | tr a-z A-Z", NULL};

	EXPECT_EQ(run("/bin/sh", argv, out, sizeof(out)), 0);
	EXPECT_STREQ(out, "LINE 1\nLINE 2\nLINE 3\n");
}

GUEST_TEST(shell_job)
{
	char *argv[] = {(char *)"sh", (char *)"-c",
	                (char *)"(exit 3) & wait $!; echo status $?; kill -TERM $$", NULL};

	EXPECT_EQ(run("/bin/sh", argv, out, sizeof(out)), 1000 + SIGTERM);
	EXPECT_STREQ(out, "status 3\n");
}

GUEST_TEST(interpreter_directly)
{
	char *argv[] = {(char *)"ld.so", (char *)"/bin/echo", (char *)"by hand", NULL};

	EXPECT_EQ(run("/lib64/ld-linux-x86-64.so.2", argv, out, sizeof(out)), 0);
	EXPECT_STREQ(out, "by hand\n");
}

GUEST_TEST(maps_of_a_dynamic_program)
{
	char *argv[] = {(char *)"cat", (char *)"/proc/self/maps", NULL};

	EXPECT_EQ(run("/bin/cat", argv, out, sizeof(out)), 0);
	EXPECT_TRUE(strstr(out, "libc.so") != NULL);
	EXPECT_TRUE(strstr(out, "ld-linux-x86-64.so") != NULL);
	EXPECT_TRUE(strstr(out, "[stack]") != NULL);
}

GUEST_TEST(exec_from_a_pipeline_end)
{
	char *argv[] = {(char *)"sh", (char *)"-c",
	                (char *)"yes | head -n 1000 | wc -l; exec echo done", NULL};

	EXPECT_EQ(run("/bin/sh", argv, out, sizeof(out)), 0);
	EXPECT_STREQ(out, "1000\ndone\n");
}
