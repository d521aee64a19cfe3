#include "tests/guest/guest_test.h"

/* A small shell: pipelines, redirections, background jobs, job control, run on a script. */

GUEST_ROLE(upcase)
{
	int c;

	while ((c = getchar()) != EOF)
		putchar(c >= 'a' && c <= 'z' ? c - 32 : c);
	return 0;
}

GUEST_ROLE(seq)
{
	for (int i = 1; i <= atoi(argv[2]); i++)
		printf("number %d\n", i);
	return 0;
}

GUEST_ROLE(grep)
{
	char line[256];
	int n = 0;

	while (fgets(line, sizeof(line), stdin))
		if (strstr(line, argv[2]) && ++n)
			fputs(line, stdout);
	return n ? 0 : 1;
}

GUEST_ROLE(count)
{
	int c, n = 0;

	while ((c = getchar()) != EOF)
		n += c == '\n';
	printf("%d\n", n);
	return 0;
}

GUEST_ROLE(sleeps)
{
	while (pause() < 0)
		;
	return 0;
}

static int redirect(const char *path, int flags, int to)
{
	int fd = open(path, flags, 0644);

	return fd < 0 || dup2(fd, to) < 0 ? -1 : close(fd);
}

/* Runs "cmd arg < in | cmd arg > out"; names of commands are roles. Returns the last status. */
static int run_line(const char *text)
{
	char line[256], *stage, *save = NULL;
	pid_t pids[8], pgrp = 0;
	int n = 0, in = -1, status = 0;

	snprintf(line, sizeof(line), "%s", text);
	for (stage = strtok_r(line, "|", &save); stage;) {
		char *next = strtok_r(NULL, "|", &save), role[64], *argv[8] = {NULL}, *save2 = NULL;
		const char *from = NULL, *to = NULL;
		int fds[2] = {-1, -1}, argc = 1;

		argv[0] = (char *)"shell";
		for (char *w = strtok_r(stage, " ", &save2); w; w = strtok_r(NULL, " ", &save2)) {
			if (*w == '<')
				from = guest_path(w + 1);
			else if (*w == '>')
				to = guest_path(w + 1);
			else
				argv[argc++] = w;
		}
		snprintf(role, sizeof(role), "role:%s", argv[1]);
		argv[1] = role;
		if (next)
			ASSERT_OK(pipe(fds));
		pids[n] = guest_fork();
		if (pids[n] == 0) {
			setpgid(0, pgrp);
			if (in >= 0)
				dup2(in, 0);
			if (next)
				dup2(fds[1], 1);
			if ((from && redirect(from, O_RDONLY, 0) < 0) ||
			    (to && redirect(to, O_WRONLY | O_CREAT | O_TRUNC, 1) < 0))
				_exit(99);
			for (int fd = 3; fd < 40; fd++)
				close(fd);
			execv(guest_self(), argv);
			_exit(127);
		}
		setpgid(pids[n], pgrp);
		if (pgrp == 0)
			pgrp = pids[n];
		n++;
		if (in >= 0)
			close(in);
		if (next)
			close(fds[1]);
		in = fds[0];
		stage = next;
	}
	for (int i = 0; i < n; i++)
		status = guest_reap(pids[i]);
	return status;
}

static void is(const char *name, const char *want)
{
	char got[4096] = "";

	EXPECT_GE(guest_read_file(guest_path(name), got, sizeof(got)), 0);
	EXPECT_STREQ(got, want);
}

GUEST_TEST(script)
{
	EXPECT_EQ(run_line("seq 100 >numbers"), 0);
	EXPECT_EQ(run_line("grep 9 <numbers | upcase | count >out"), 0);
	is("out", "19\n");
	MAYBE_SAVE();
	EXPECT_EQ(run_line("seq 3 | upcase >out"), 0);
	is("out", "NUMBER 1\nNUMBER 2\nNUMBER 3\n");
	EXPECT_EQ(run_line("grep xyz <numbers"), 1);
	EXPECT_EQ(run_line("upcase <missing"), 99);
	EXPECT_EQ(run_line("seq 2000 | upcase | upcase | grep 99 | count >out"), 0);
	is("out", "38\n");
}

GUEST_TEST(job_control)
{
	char *argv[] = {(char *)"x", (char *)"role:sleeps", NULL};
	pid_t job = guest_fork();
	int status;

	if (job == 0) {
		setpgid(0, 0);
		execv(guest_self(), argv);
		_exit(127);
	}
	setpgid(job, job);
	EXPECT_OK(kill(-job, SIGTSTP));
	EXPECT_EQ(waitpid(job, &status, WUNTRACED), job);
	EXPECT_EQ(WSTOPSIG(status), SIGTSTP);
	MAYBE_SAVE();
	EXPECT_OK(kill(-job, SIGCONT));
	EXPECT_EQ(waitpid(job, &status, WCONTINUED), job);
	EXPECT_TRUE(WIFCONTINUED(status));
	EXPECT_OK(kill(-job, SIGINT));
	EXPECT_EQ(guest_reap(job), 1000 + SIGINT);
}
