#include "tests/guest/guest_test.h"

/* #! scripts. */

static int run(const char *path, char **argv)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		execve(path, argv, environ);
		_exit(100 + errno);
	}
	return guest_reap(pid);
}

static void script(const char *name, const char *fmt, const char *interp)
{
	char text[8192];

	snprintf(text, sizeof(text), fmt, interp);
	guest_write_file(guest_path(name), text, 0755);
}

/* What this program sees as an interpreter: argv[1] is the optional argument of the #! line. */
GUEST_ROLE(interp)
{
	const char *want = getenv("WANT");
	char got[8192] = "";

	for (int i = 2; i < argc; i++) {
		strcat(got, argv[i]);
		strcat(got, "|");
	}
	if (want && strcmp(got, want) != 0) {
		dprintf(2, "got %s, want %s\n", got, want);
		return 1;
	}
	return 33;
}

static void want(const char *path, const char *rest)
{
	char text[8192];

	snprintf(text, sizeof(text), "%s|%s", path, rest);
	setenv("WANT", text, 1);
}

GUEST_TEST(with_argument)
{
	char *argv[] = {(char *)"dropped", (char *)"a", (char *)"b c", NULL};

	script("s", "#!%s role:interp\nignored\n", guest_self());
	want(guest_path("s"), "a|b c|");
	EXPECT_EQ(run(guest_path("s"), argv), 33);
}

GUEST_TEST(blanks_and_tabs)
{
	char *argv[] = {(char *)"x", NULL};

	script("s", "#! \t %s \t role:interp \t \nrest", guest_self());
	want(guest_path("s"), "");
	EXPECT_EQ(run(guest_path("s"), argv), 33);
	/* No newline at the end of the file. */
	script("s", "#!%s role:interp", guest_self());
	EXPECT_EQ(run(guest_path("s"), argv), 33);
}

GUEST_TEST(empty_argv)
{
	char *argv[] = {NULL};

	script("s", "#!%s role:interp\n", guest_self());
	want(guest_path("s"), "");
	EXPECT_EQ(run(guest_path("s"), argv), 33);
}

GUEST_TEST(interpreter_is_a_script)
{
	char *argv[] = {(char *)"x", (char *)"z", NULL};
	char rest[4200];

	script("inner", "#!%s role:interp\n", guest_self());
	script("outer", "#!%s arg\n", guest_path("inner"));
	snprintf(rest, sizeof(rest), "arg|%s|z|", guest_path("outer"));
	want(guest_path("inner"), rest);
	EXPECT_EQ(run(guest_path("outer"), argv), 33);
}

GUEST_TEST(too_deep)
{
	char *argv[] = {(char *)"x", NULL};
	char name[8], prev[8];

	script("s0", "#!%s role:interp\n", guest_self());
	unsetenv("WANT");
	for (int i = 1; i < 8; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		snprintf(prev, sizeof(prev), "s%d", i - 1);
		script(name, "#!%s\n", guest_path(prev));
	}
	EXPECT_EQ(run(guest_path("s3"), argv), 33);
	EXPECT_EQ(run(guest_path("s7"), argv), 100 + ELOOP);
	script("self", "#!%s\n", guest_path("self"));
	EXPECT_EQ(run(guest_path("self"), argv), 100 + ELOOP);
}

GUEST_TEST(interpreter_errors)
{
	char *argv[] = {(char *)"x", NULL};

	script("s", "#!%s\n", "/does/not/exist");
	EXPECT_EQ(run(guest_path("s"), argv), 100 + ENOENT);
	guest_write_file(guest_path("plain"), "x", 0644);
	script("s", "#!%s\n", guest_path("plain"));
	EXPECT_EQ(run(guest_path("s"), argv), 100 + EACCES);
	script("s", "#!%s\n", guest_tmp());
	EXPECT_EQ(run(guest_path("s"), argv), 100 + EACCES);
}

GUEST_TEST(shell_script)
{
	char *argv[] = {(char *)"x", (char *)"7", NULL};

	if (access("/bin/sh", X_OK) < 0)
		SKIP("no shell");
	guest_write_file(guest_path("s"), "#!/bin/sh\nexit $(($1 + 1))\n", 0755);
	EXPECT_EQ(run(guest_path("s"), argv), 8);
}

GUEST_TEST(over_long_line)
{
	char *argv[] = {(char *)"x", NULL};
	char text[600] = "#!/";

	/* A path cut off by the 256 byte buffer is no interpreter. */
	memset(text + 3, 'p', 500);
	strcpy(text + 503, "\n");
	guest_write_file(guest_path("s"), text, 0755);
	EXPECT_EQ(run(guest_path("s"), argv), 100 + ENOEXEC);
}
