/* mq_notify(3) by thread: what the library makes of it, and the netlink cookies beneath. */
#include "tests/guest/guest_test.h"

#include <linux/netlink.h>
#include <mqueue.h>
#include <semaphore.h>
#include <sys/socket.h>

#define COOKIE  32
#define WOKENUP 1
#define REMOVED 2

static char name[32];

static mqd_t make(void)
{
	struct mq_attr a = {.mq_maxmsg = 4, .mq_msgsize = 16};
	mqd_t q;

	snprintf(name, sizeof(name), "/stasis-n%d", getpid());
	mq_unlink(name);
	q = mq_open(name, O_CREAT | O_EXCL | O_RDWR, 0600, &a);
	ASSERT_TRUE(q >= 0);
	return q;
}

static sem_t told;
static int value;

static void on_message(union sigval v)
{
	value = v.sival_int;
	sem_post(&told);
}

GUEST_TEST(a_thread_is_started_for_an_arrival)
{
	struct sigevent sev = {.sigev_notify = SIGEV_THREAD};
	char buf[16];
	mqd_t q = make();

	sem_init(&told, 0, 0);
	sev.sigev_notify_function = on_message;
	for (int i = 1; i <= 3; i++) {
		sev.sigev_value.sival_int = i;
		ASSERT_OK(mq_notify(q, &sev));
		MAYBE_SAVE();
		ASSERT_OK(mq_send(q, "x", 1, 0));
		while (sem_wait(&told) < 0)
			;
		EXPECT_EQ(value, i);
		EXPECT_EQ(mq_receive(q, buf, sizeof(buf), NULL), 1);
	}
	/* Once per registration. */
	ASSERT_OK(mq_send(q, "y", 1, 0));
	guest_sleep_ms(5);
	EXPECT_ERRNO(sem_trywait(&told), EAGAIN);
	mq_unlink(name);
}

static long notify(mqd_t q, int how, int fd, const char *cookie)
{
	struct sigevent sev = {.sigev_notify = how, .sigev_signo = fd};

	sev.sigev_value.sival_ptr = (void *)(uintptr_t)cookie;
	return syscall(SYS_mq_notify, q, &sev);
}

static void expect_cookie(int fd, const char *text, char what)
{
	struct sockaddr_nl from = {0};
	socklen_t len = sizeof(from);
	char got[64] = "";

	EXPECT_EQ(recvfrom(fd, got, sizeof(got), MSG_DONTWAIT, (struct sockaddr *)&from, &len),
	          COOKIE);
	EXPECT_EQ(memcmp(got, text, COOKIE - 1), 0);
	EXPECT_EQ(got[COOKIE - 1], what);
	EXPECT_EQ(from.nl_family, AF_NETLINK);
	EXPECT_EQ(from.nl_pid, 0);
}

GUEST_TEST(cookies_say_what_became_of_it)
{
	char cookie[COOKIE] = "what it is for", buf[16], text[128] = "";
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
	mqd_t q = make(), again = mq_open(name, O_RDWR);

	ASSERT_TRUE(fd >= 0 && again >= 0);
	ASSERT_OK(notify(q, SIGEV_THREAD, fd, cookie));
	EXPECT_ERRNO(notify(q, SIGEV_NONE, 0, NULL), EBUSY);
	EXPECT_TRUE(pread(q, text, sizeof(text) - 1, 0) > 0);
	EXPECT_TRUE(strstr(text, "NOTIFY:2     SIGNO:0 ") != NULL);
	EXPECT_ERRNO(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
	MAYBE_SAVE();
	ASSERT_OK(mq_send(q, "x", 1, 0));
	expect_cookie(fd, cookie, WOKENUP);
	EXPECT_EQ(mq_receive(q, buf, sizeof(buf), NULL), 1);
	/* Given up. */
	ASSERT_OK(notify(q, SIGEV_THREAD, fd, cookie));
	ASSERT_OK(syscall(SYS_mq_notify, q, NULL));
	MAYBE_SAVE();
	expect_cookie(fd, cookie, REMOVED);
	/* Any close of the queue gives it up. */
	ASSERT_OK(notify(q, SIGEV_THREAD, fd, cookie));
	mq_close(again);
	expect_cookie(fd, cookie, REMOVED);
	/* A reader that waits is no arrival. */
	EXPECT_ERRNO(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
	mq_unlink(name);
}

GUEST_TEST(another_process_sends_and_the_socket_is_closed)
{
	char cookie[COOKIE] = "another";
	int fd = socket(AF_NETLINK, SOCK_RAW, 0), copy = dup(fd);
	mqd_t q = make();
	pid_t pid;

	ASSERT_OK(notify(q, SIGEV_THREAD, fd, cookie));
	pid = guest_fork();
	if (pid == 0) {
		/* Only the registered may give it up. */
		EXPECT_OK(syscall(SYS_mq_notify, q, NULL));
		EXPECT_OK(mq_send(q, "x", 1, 0));
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	expect_cookie(copy, cookie, WOKENUP);
	close(fd);
	ASSERT_OK(syscall(SYS_mq_notify, q, NULL));
	ASSERT_OK(notify(q, SIGEV_THREAD, copy, cookie));
	close(copy);
	/* Nobody can read it any more; the registration holds all the same. */
	MAYBE_SAVE();
	EXPECT_ERRNO(notify(q, SIGEV_NONE, 0, NULL), EBUSY);
	EXPECT_OK(syscall(SYS_mq_notify, q, NULL));
	EXPECT_OK(notify(q, SIGEV_NONE, 0, NULL));
	mq_unlink(name);
}

GUEST_TEST(what_is_refused)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), nl = socket(AF_NETLINK, SOCK_RAW, 0);
	char cookie[COOKIE] = "";
	mqd_t q = make();

	EXPECT_ERRNO(notify(q, SIGEV_THREAD, 999, cookie), EBADF);
	EXPECT_ERRNO(notify(q, SIGEV_THREAD, q, cookie), ENOTSOCK);
	EXPECT_ERRNO(notify(q, SIGEV_THREAD, fd, cookie), EINVAL);
	EXPECT_ERRNO(notify(q, SIGEV_THREAD, nl, (char *)8), EFAULT);
	EXPECT_ERRNO(notify(nl, SIGEV_THREAD, nl, cookie), EBADF);
	EXPECT_ERRNO(notify(q, 77, nl, cookie), EINVAL);
	EXPECT_OK(notify(q, SIGEV_THREAD, nl, cookie));
	mq_unlink(name);
}

GUEST_TEST(a_reader_that_never_reads_is_promised_no_more)
{
	int fd = ASSERT_OK(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)), small = 1, n = 0;
	char cookie[COOKIE] = "unread";
	mqd_t q = make();

	if (!guest_in_sandbox())
		SKIP("Linux waits for the reader");
	ASSERT_OK(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)));
	while (n < 10000 && notify(q, SIGEV_THREAD, fd, cookie) == 0) {
		ASSERT_OK(mq_notify(q, NULL));
		n++;
	}
	EXPECT_EQ(errno, EAGAIN);
	EXPECT_TRUE(n > 0 && n < 10000);
	MAYBE_SAVE();
	EXPECT_ERRNO(notify(q, SIGEV_THREAD, fd, cookie), EAGAIN);
	while (recv(fd, cookie, sizeof(cookie), MSG_DONTWAIT) > 0)
		n--;
	EXPECT_EQ(n, 0);
	EXPECT_OK(notify(q, SIGEV_THREAD, fd, cookie));
	mq_unlink(name);
}
