#include "tests/guest/guest_test.h"

#include <utime.h>

/* F_NOTIFY: signals for changes of a directory. */

static volatile sig_atomic_t told, code, by_fd;

static void on_change(int sig, siginfo_t *si, void *uc)
{
	told++;
	code = si->si_code;
	by_fd = si->si_fd;
}

static const char *dir;

/* Queued signals: none of them is lost in another. */
static int listen_to(unsigned long mask)
{
	struct sigaction sa = {.sa_sigaction = on_change, .sa_flags = SA_SIGINFO | SA_RESTART};
	int fd;

	dir = guest_path("watched");
	mkdir(dir, 0777);
	sigaction(SIGRTMIN, &sa, NULL);
	fd = ASSERT_OK(open(dir, O_RDONLY | O_DIRECTORY));
	ASSERT_OK(fcntl(fd, F_SETSIG, SIGRTMIN));
	if (fcntl(fd, F_NOTIFY, mask) < 0)
		SKIP("a kernel without directory notification");
	return fd;
}

static const char *in(const char *name)
{
	static char buf[4][256];
	static int at;

	at = (at + 1) % 4;
	snprintf(buf[at], sizeof(buf[at]), "%s/%s", dir, name);
	return buf[at];
}

/* The signal of a call of our own has come when the call is over. */
#define TELLS(n, call)                                                                        \
	({                                                                                    \
		told = 0;                                                                     \
		EXPECT_OK(call);                                                              \
		if (told != (n))                                                              \
			guest_fail(__FILE__, __LINE__, "%s told %d times", #call, (int)told); \
	})

GUEST_TEST(every_kind_of_change_is_told)
{
	int fd =
		listen_to(DN_MULTISHOT | DN_CREATE | DN_DELETE | DN_MODIFY | DN_ACCESS | DN_ATTRIB);
	const char *beside = guest_path("beside");
	char c;
	int f;

	EXPECT_EQ(fcntl(fd, F_GETOWN), getpid());
	TELLS(1, f = open(in("x"), O_CREAT | O_RDWR, 0600));
	EXPECT_EQ(code, POLL_MSG);
	EXPECT_EQ(by_fd, fd);
	TELLS(1, write(f, "a", 1));
	TELLS(1, pread(f, &c, 1, 0));
	MAYBE_SAVE();
	TELLS(1, fchmod(f, 0644));
	TELLS(1, utime(in("x"), NULL));
	TELLS(1, chmod(dir, 0755));
	TELLS(2, rename(in("x"), in("y")));
	TELLS(1, rename(in("y"), beside));
	TELLS(0, chmod(beside, 0600));
	TELLS(1, rename(beside, in("y")));
	TELLS(1, mkdir(in("d"), 0700));
	TELLS(1, rmdir(in("d")));
	TELLS(1, unlink(in("y")));
	TELLS(0, fcntl(fd, F_NOTIFY, 0));
	TELLS(0, open(in("z"), O_CREAT, 0600));
}

GUEST_TEST(once_unless_told_otherwise)
{
	int fd = listen_to(DN_CREATE);

	MAYBE_SAVE();
	TELLS(1, open(in("a"), O_CREAT, 0600));
	TELLS(0, open(in("b"), O_CREAT, 0600));
	/* Masks add up. */
	EXPECT_OK(fcntl(fd, F_NOTIFY, DN_RENAME | DN_MULTISHOT));
	TELLS(1, rename(in("a"), in("c")));
	TELLS(0, rename(in("c"), guest_path("beside")));
	EXPECT_OK(fcntl(fd, F_NOTIFY, DN_DELETE));
	MAYBE_SAVE();
	TELLS(1, unlink(in("b")));
}

GUEST_TEST(others_changes_are_told_and_any_close_ends_it)
{
	int fd = listen_to(DN_MULTISHOT | DN_CREATE);
	pid_t pid = guest_fork();

	if (pid == 0) {
		/* Its copies of the descriptor are not ours. */
		close(fd);
		EXPECT_OK(open(in("a"), O_CREAT, 0600));
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	while (told == 0)
		guest_sleep_ms(1);
	MAYBE_SAVE();
	TELLS(1, open(in("b"), O_CREAT, 0600));
	close(dup(fd));
	TELLS(0, open(in("c"), O_CREAT, 0600));
	EXPECT_OK(fcntl(fd, F_NOTIFY, DN_CREATE | DN_MULTISHOT));
	close(fd);
	TELLS(0, open(in("d"), O_CREAT, 0600));
}

GUEST_TEST(only_directories)
{
	int fd = listen_to(DN_CREATE), f = ASSERT_OK(open(in("f"), O_CREAT | O_RDWR, 0600));

	EXPECT_ERRNO(fcntl(f, F_NOTIFY, DN_CREATE), ENOTDIR);
	EXPECT_OK(fcntl(f, F_NOTIFY, 0));
	EXPECT_OK(fcntl(fd, F_NOTIFY, DN_MULTISHOT));
	EXPECT_ERRNO(fcntl(999, F_NOTIFY, DN_CREATE), EBADF);
}
