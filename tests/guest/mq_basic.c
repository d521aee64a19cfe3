/* POSIX message queues: order, limits, blocking, notification; all of it in the middle of a save.
 */
#include "tests/guest/guest_test.h"

#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

static char name[32];

static mqd_t make(int flags, long messages, long size)
{
	struct mq_attr a = {.mq_maxmsg = messages, .mq_msgsize = size};

	snprintf(name, sizeof(name), "/stasis-%d", getpid());
	mq_unlink(name);
	return mq_open(name, O_CREAT | O_EXCL | O_RDWR | flags, 0600, &a);
}

static void expect_message(mqd_t q, const char *text, unsigned priority)
{
	char buf[64] = "";
	unsigned prio = 99;

	EXPECT_EQ(mq_receive(q, buf, sizeof(buf), &prio), (long)strlen(text));
	EXPECT_EQ(strcmp(buf, text), 0);
	EXPECT_EQ(prio, priority);
}

GUEST_TEST(priorities_then_order)
{
	mqd_t q = make(0, 8, 16);
	struct mq_attr a;

	ASSERT_TRUE(q >= 0);
	EXPECT_EQ(mq_send(q, "one", 3, 5), 0);
	EXPECT_EQ(mq_send(q, "two", 3, 9), 0);
	EXPECT_EQ(mq_send(q, "three", 5, 5), 0);
	EXPECT_EQ(mq_send(q, "", 0, 0), 0);
	MAYBE_SAVE();
	EXPECT_EQ(mq_getattr(q, &a), 0);
	EXPECT_EQ(a.mq_curmsgs, 4);
	EXPECT_EQ(a.mq_maxmsg, 8);
	EXPECT_EQ(a.mq_msgsize, 16);
	expect_message(q, "two", 9);
	expect_message(q, "one", 5);
	expect_message(q, "three", 5);
	expect_message(q, "", 0);
	mq_unlink(name);
}

GUEST_TEST(full_and_empty_without_blocking)
{
	mqd_t q = make(O_NONBLOCK, 2, 8);
	struct pollfd p = {.fd = q, .events = POLLIN | POLLOUT};
	char buf[8];

	ASSERT_TRUE(q >= 0);
	EXPECT_EQ(mq_receive(q, buf, 8, NULL), -1);
	EXPECT_EQ(errno, EAGAIN);
	EXPECT_EQ(poll(&p, 1, 0), 1);
	EXPECT_EQ(p.revents, POLLOUT);
	EXPECT_EQ(mq_send(q, "a", 1, 0), 0);
	EXPECT_EQ(poll(&p, 1, 0), 1);
	EXPECT_EQ(p.revents, POLLIN | POLLOUT);
	EXPECT_EQ(mq_send(q, "b", 1, 0), 0);
	MAYBE_SAVE();
	EXPECT_EQ(poll(&p, 1, 0), 1);
	EXPECT_EQ(p.revents, POLLIN);
	EXPECT_EQ(mq_send(q, "c", 1, 0), -1);
	EXPECT_EQ(errno, EAGAIN);
	mq_unlink(name);
}

GUEST_TEST(errors)
{
	mqd_t q = make(0, 2, 8);
	struct timespec past = {1, 0}, bad = {0, 1000000000};
	char buf[16];
	mqd_t r;

	ASSERT_TRUE(q >= 0);
	EXPECT_EQ(mq_receive(q, buf, 7, NULL), -1);
	EXPECT_EQ(errno, EMSGSIZE);
	EXPECT_EQ(mq_send(q, buf, 9, 0), -1);
	EXPECT_EQ(errno, EMSGSIZE);
	EXPECT_EQ(mq_send(q, buf, 1, 32768), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(mq_timedreceive(q, buf, 8, NULL, &past), -1);
	EXPECT_EQ(errno, ETIMEDOUT);
	EXPECT_EQ(mq_timedreceive(q, buf, 8, NULL, &bad), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(mq_open(name, O_CREAT | O_EXCL | O_RDWR, 0600, NULL), -1);
	EXPECT_EQ(errno, EEXIST);
	EXPECT_EQ(mq_open("/stasis-none", O_RDWR), -1);
	EXPECT_EQ(errno, ENOENT);
	EXPECT_EQ(mq_unlink("/stasis-none"), -1);
	EXPECT_EQ(errno, ENOENT);
	EXPECT_EQ(syscall(SYS_mq_open, "a/b", O_RDWR, 0, NULL), -1);
	EXPECT_EQ(errno, EACCES);
	r = mq_open(name, O_RDONLY);
	ASSERT_TRUE(r >= 0);
	EXPECT_EQ(mq_send(r, "x", 1, 0), -1);
	EXPECT_EQ(errno, EBADF);
	EXPECT_EQ(mq_send(0, "x", 1, 0), -1);
	EXPECT_EQ(errno, EBADF);
	EXPECT_EQ(mq_send(q, "x", 1, 0), 0);
	EXPECT_EQ(mq_timedreceive(q, buf, 8, NULL, &past), 1);
	mq_unlink(name);
}

GUEST_TEST(limits_of_the_unprivileged)
{
	mqd_t q;

	guest_drop_root();
	q = make(0, 11, 16);
	EXPECT_EQ(q, -1);
	EXPECT_EQ(errno, EINVAL);
	q = make(0, 10, 8193);
	EXPECT_EQ(q, -1);
	EXPECT_EQ(errno, EINVAL);
	q = make(0, 0, 16);
	EXPECT_EQ(errno, EINVAL);
	q = make(0, 10, 8192);
	EXPECT_TRUE(q >= 0);
	mq_unlink(name);
}

GUEST_TEST(receiver_waits_across_a_save)
{
	mqd_t q = make(0, 2, 16);
	pid_t pid;

	ASSERT_TRUE(q >= 0);
	pid = guest_fork();
	if (pid == 0) {
		expect_message(q, "late", 3);
		_exit(0);
	}
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	EXPECT_EQ(mq_send(q, "late", 4, 3), 0);
	EXPECT_EQ(guest_reap(pid), 0);
	mq_unlink(name);
}

GUEST_TEST(sender_waits_across_a_save)
{
	mqd_t q = make(0, 1, 16);
	pid_t pid;

	ASSERT_TRUE(q >= 0);
	EXPECT_EQ(mq_send(q, "first", 5, 0), 0);
	pid = guest_fork();
	if (pid == 0) {
		EXPECT_EQ(mq_send(q, "second", 6, 1), 0);
		_exit(0);
	}
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	expect_message(q, "first", 0);
	EXPECT_EQ(guest_reap(pid), 0);
	expect_message(q, "second", 1);
	mq_unlink(name);
}

GUEST_TEST(unlinked_queue_lives_while_open)
{
	mqd_t q = make(0, 4, 16);

	ASSERT_TRUE(q >= 0);
	EXPECT_EQ(mq_send(q, "kept", 4, 0), 0);
	EXPECT_EQ(mq_unlink(name), 0);
	EXPECT_EQ(mq_open(name, O_RDWR), -1);
	EXPECT_EQ(errno, ENOENT);
	MAYBE_SAVE();
	expect_message(q, "kept", 0);
}

GUEST_TEST(closed_queue_keeps_its_messages)
{
	mqd_t q = make(0, 4, 16);

	ASSERT_TRUE(q >= 0);
	EXPECT_EQ(mq_send(q, "kept", 4, 0), 0);
	mq_close(q);
	MAYBE_SAVE();
	q = mq_open(name, O_RDWR);
	ASSERT_TRUE(q >= 0);
	expect_message(q, "kept", 0);
	mq_unlink(name);
}

GUEST_TEST(notification_by_signal_once)
{
	mqd_t q = make(0, 4, 16);
	struct sigevent sev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct timespec zero = {0};
	siginfo_t info;
	sigset_t set;

	ASSERT_TRUE(q >= 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sev.sigev_value.sival_int = 4711;
	EXPECT_EQ(mq_notify(q, &sev), 0);
	EXPECT_EQ(mq_notify(q, &sev), -1);
	EXPECT_EQ(errno, EBUSY);
	MAYBE_SAVE();
	EXPECT_EQ(mq_send(q, "x", 1, 0), 0);
	EXPECT_EQ(sigtimedwait(&set, &info, &zero), SIGUSR1);
	EXPECT_EQ(info.si_code, SI_MESGQ);
	EXPECT_EQ(info.si_pid, getpid());
	EXPECT_EQ(info.si_value.sival_int, 4711);
	/* Told once; and only of an arrival in an empty queue. */
	EXPECT_EQ(mq_notify(q, &sev), 0);
	EXPECT_EQ(mq_send(q, "y", 1, 0), 0);
	EXPECT_EQ(sigtimedwait(&set, &info, &zero), -1);
	EXPECT_EQ(mq_notify(q, NULL), 0);
	EXPECT_EQ(mq_notify(q, &sev), 0);
	mq_unlink(name);
}

GUEST_TEST(closing_ends_the_registration)
{
	mqd_t q = make(0, 4, 16), other;
	struct sigevent sev = {.sigev_notify = SIGEV_NONE};

	ASSERT_TRUE(q >= 0);
	other = mq_open(name, O_RDWR);
	ASSERT_TRUE(other >= 0);
	EXPECT_EQ(mq_notify(q, &sev), 0);
	EXPECT_EQ(mq_notify(other, &sev), -1);
	EXPECT_EQ(errno, EBUSY);
	mq_close(other);
	EXPECT_EQ(mq_notify(q, &sev), 0);
	mq_unlink(name);
}

GUEST_TEST(status_is_read)
{
	mqd_t q = make(0, 4, 16);
	struct stat st;
	char text[128] = "";

	ASSERT_TRUE(q >= 0);
	EXPECT_EQ(mq_send(q, "12345", 5, 0), 0);
	EXPECT_EQ(fstat(q, &st), 0);
	EXPECT_TRUE(S_ISREG(st.st_mode));
	EXPECT_EQ(st.st_mode & 0777, 0600);
	EXPECT_EQ(st.st_size, 80);
	MAYBE_SAVE();
	EXPECT_TRUE(read(q, text, sizeof(text) - 1) > 0);
	EXPECT_EQ(strcmp(text, "QSIZE:5          NOTIFY:0     SIGNO:0     NOTIFY_PID:0     \n"), 0);
	mq_unlink(name);
}

static void as_somebody_else(void *unused)
{
	(void)unused;
	guest_drop_root();
	EXPECT_EQ(mq_open(name, O_RDWR), -1);
	EXPECT_EQ(errno, EACCES);
	EXPECT_TRUE(mq_unlink(name) < 0);
}

GUEST_TEST(mode_and_owner_rule)
{
	mqd_t q = make(0, 4, 16);

	ASSERT_TRUE(q >= 0);
	if (getuid() != 0) {
		mq_unlink(name);
		SKIP("needs root");
	}
	EXPECT_EQ(guest_in_child(as_somebody_else, NULL), 0);
	EXPECT_EQ(mq_unlink(name), 0);
}
