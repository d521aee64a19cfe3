#include "tests/guest/guest_test.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* /proc/PID/loginuid and sessionid, as PAM writes and others read them. */

#define UNSET "4294967295"

static const char *number(const char *path)
{
	static char text[64];

	EXPECT_OK(guest_read_file(path, text, sizeof(text)));
	return text;
}

/* 0 or errno of writing len bytes of text at pos. */
static int write_at(const char *path, const char *text, size_t len, off_t pos)
{
	int fd = open(path, O_RDWR | O_NOFOLLOW), r = 0;

	if (fd < 0)
		return errno;
	if (pwrite(fd, text, len, pos) != (ssize_t)len)
		r = errno;
	close(fd);
	return r;
}

static int login(const char *text)
{
	return write_at("/proc/self/loginuid", text, strlen(text), 0);
}

/* Where a login has set it already, the kernel may not let it be changed. */
static void need_unset(void)
{
	if (access("/proc/self/loginuid", F_OK) < 0)
		SKIP("a kernel without CONFIG_AUDIT");
	if (geteuid() != 0)
		SKIP("the file is root's");
	if (strcmp(number("/proc/self/loginuid"), UNSET) != 0 || login("0") != 0 ||
	    login(UNSET) != 0)
		SKIP("here is a login already");
}

GUEST_TEST(set_and_inherited)
{
	char session[64], child_session[64];
	struct guest_gate gate;
	pid_t pid;

	need_unset();
	guest_gate_init(&gate);
	ASSERT_EQ(login("1000"), 0);
	EXPECT_STREQ(number("/proc/self/loginuid"), "1000");
	snprintf(session, sizeof(session), "%s", number("/proc/self/sessionid"));
	EXPECT_TRUE(strcmp(session, UNSET) != 0);
	pid = fork();
	if (pid == 0) {
		EXPECT_STREQ(number("/proc/self/loginuid"), "1000");
		EXPECT_STREQ(number("/proc/self/sessionid"), session);
		EXPECT_EQ(login("1001\n"), 0);
		snprintf(child_session, sizeof(child_session), "%s",
		         number("/proc/self/sessionid"));
		EXPECT_TRUE(strcmp(child_session, session) != 0);
		guest_gate_wait(&gate);
		_exit(0);
	}
	MAYBE_SAVE();
	EXPECT_STREQ(number("/proc/self/loginuid"), "1000");
	EXPECT_STREQ(number("/proc/self/sessionid"), session);
	guest_gate_open(&gate);
	EXPECT_EQ(waitpid(pid, NULL, 0), pid);
	EXPECT_EQ(login("7"), 0);
	EXPECT_TRUE(strcmp(number("/proc/self/sessionid"), session) != 0);
	EXPECT_EQ(login(UNSET), 0);
	EXPECT_STREQ(number("/proc/self/loginuid"), UNSET);
	EXPECT_STREQ(number("/proc/self/sessionid"), UNSET);
}

GUEST_TEST(what_is_no_number)
{
	static const struct {
		const char *text;
		int err;
	} cases[] = {
		{"x", EINVAL},
		{"", EINVAL},
		{"-1", EINVAL},
		{" 5", EINVAL},
		{"5 ", EINVAL},
		{"5\n\n", EINVAL},
		{"0x10", EINVAL},
		{"+", EINVAL},
		{"4294967296", ERANGE},
		{"99999999999999999999", ERANGE},
		{"99999999999999999999x", ERANGE},
		{"4294967296x", EINVAL},
		{"+17\n", 0},
		{"0000000000000000000000000000000018", 0},
	};
	const char *path = "/proc/self/loginuid";

	need_unset();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (login(cases[i].text) != cases[i].err)
			guest_fail(__FILE__, __LINE__, "\"%s\": not error %d", cases[i].text,
			           cases[i].err);
	}
	EXPECT_STREQ(number(path), "18");
	EXPECT_EQ(write_at(path, "5\0x", 3, 0), 0);
	EXPECT_STREQ(number(path), "5");
	EXPECT_EQ(write_at(path, "6", 1, 1), EINVAL);
	/* What comes after the longest number is not looked at. */
	EXPECT_EQ(write_at(path, "0000000000000000000000000000000019 and more", 43, 0), 0);
	EXPECT_STREQ(number(path), "19");
}

GUEST_TEST(twice_through_one_file)
{
	int fd;

	need_unset();
	fd = open("/proc/self/loginuid", O_WRONLY);
	ASSERT_OK(fd);
	EXPECT_EQ(write(fd, "20", 2), 2);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 0);
	EXPECT_EQ(write(fd, "21", 2), 2);
	EXPECT_STREQ(number("/proc/self/loginuid"), "21");
}

static void *thread(void *arg)
{
	/* The file in the process's directory is its first thread's. */
	EXPECT_EQ(login("30"), EPERM);
	EXPECT_EQ(write_at("/proc/thread-self/loginuid", "31", 2, 0), 0);
	EXPECT_STREQ(number("/proc/thread-self/loginuid"), "31");
	EXPECT_STREQ(number("/proc/self/loginuid"), "29");
	return arg;
}

GUEST_TEST(of_others)
{
	char path[64];
	pthread_t t;

	need_unset();
	snprintf(path, sizeof(path), "/proc/%d/loginuid", getppid());
	EXPECT_EQ(write_at(path, "1", 1, 0), EPERM);
	EXPECT_EQ(login("29"), 0);
	ASSERT_EQ(pthread_create(&t, NULL, thread, NULL), 0);
	pthread_join(t, NULL);
}

GUEST_TEST(without_the_capability)
{
	need_unset();
	ASSERT_EQ(login("40"), 0);
	guest_drop_root();
	EXPECT_EQ(login("41"), EPERM);
	EXPECT_EQ(login("x"), EINVAL);
	EXPECT_ERRNO(open("/proc/self/sessionid", O_WRONLY), EACCES);
	EXPECT_STREQ(number("/proc/self/loginuid"), "40");
}
