#include "tests/guest/guest_test.h"

#include <mqueue.h>
#include <sched.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>

/* /proc/sys: what root may write, and that it counts. The settings of System V IPC and message
 * queues are a namespace's own, so that natively nobody else's change. */

static long long get(const char *name)
{
	char path[96], buf[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/%s", name);
	fd = open(path, O_RDONLY);
	n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);
	close(fd);
	if (n < 0)
		return -1;
	buf[n] = 0;
	return strtoll(buf, NULL, 10);
}

static int set(const char *name, const char *text)
{
	char path[96];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/%s", name);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return -1;
	n = write(fd, text, strlen(text));
	close(fd);
	return n == (ssize_t)strlen(text) ? 0 : -1;
}

static void root_only(void)
{
	if (geteuid() != 0)
		SKIP("an ordinary user");
	if (access("/proc/sys/kernel/msgmni", W_OK) < 0)
		SKIP("/proc/sys is not to be written");
	if (unshare(0x08000000 /* CLONE_NEWIPC */) < 0 && errno == EPERM)
		SKIP("no namespace of its own");
}

GUEST_TEST(limits_of_message_queues_count)
{
	char old[3][32], big[600] = "";
	struct msgbuf *m = (struct msgbuf *)(void *)big;
	int q;

	root_only();
	snprintf(old[0], 32, "%lld\n", get("kernel/msgmax"));
	snprintf(old[1], 32, "%lld\n", get("kernel/msgmnb"));
	snprintf(old[2], 32, "%lld\n", get("kernel/msgmni"));
	m->mtype = 1;
	ASSERT_OK(set("kernel/msgmax", "100\n"));
	ASSERT_OK(set("kernel/msgmnb", "300"));
	MAYBE_SAVE();
	EXPECT_EQ(get("kernel/msgmax"), 100);
	q = ASSERT_OK(msgget(IPC_PRIVATE, IPC_CREAT | 0600));
	EXPECT_ERRNO(msgsnd(q, m, 101, IPC_NOWAIT), EINVAL);
	EXPECT_OK(msgsnd(q, m, 100, IPC_NOWAIT));
	EXPECT_OK(msgsnd(q, m, 100, IPC_NOWAIT));
	EXPECT_OK(msgsnd(q, m, 100, IPC_NOWAIT));
	EXPECT_ERRNO(msgsnd(q, m, 100, IPC_NOWAIT), EAGAIN);
	ASSERT_OK(set("kernel/msgmni", "0"));
	EXPECT_ERRNO(msgget(IPC_PRIVATE, IPC_CREAT | 0600), ENOSPC);
	EXPECT_ERRNO(set("kernel/msgmax", "-1"), EINVAL);
	EXPECT_ERRNO(set("kernel/msgmax", "many"), EINVAL);
	EXPECT_EQ(get("kernel/msgmax"), 100);
	msgctl(q, IPC_RMID, NULL);
	set("kernel/msgmax", old[0]);
	set("kernel/msgmnb", old[1]);
	set("kernel/msgmni", old[2]);
}

GUEST_TEST(limits_of_shared_memory_count)
{
	char old[3][32];
	struct shminfo si;
	int id;

	root_only();
	snprintf(old[0], 32, "%llu", (unsigned long long)get("kernel/shmmni"));
	ASSERT_OK(set("kernel/shmmax", "8192"));
	ASSERT_OK(set("kernel/shmmni", "1"));
	MAYBE_SAVE();
	EXPECT_ERRNO(shmget(IPC_PRIVATE, 8193, IPC_CREAT | 0600), EINVAL);
	id = ASSERT_OK(shmget(IPC_PRIVATE, 8192, IPC_CREAT | 0600));
	EXPECT_ERRNO(shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600), ENOSPC);
	EXPECT_OK(shmctl(0, IPC_INFO, (struct shmid_ds *)(void *)&si));
	EXPECT_EQ(si.shmmax, 8192);
	EXPECT_EQ(si.shmmni, 1);
	ASSERT_OK(set("kernel/shmmni", old[0]));
	ASSERT_OK(set("kernel/shmall", "3"));
	EXPECT_ERRNO(shmget(IPC_PRIVATE, 8192, IPC_CREAT | 0600), ENOSPC);
	EXPECT_ERRNO(shmget(IPC_PRIVATE, 4097, IPC_CREAT | 0600), ENOSPC);
	shmctl(id, IPC_RMID, NULL);
	set("kernel/shmmax", "18446744073692774399");
	set("kernel/shmall", "18446744073692774399");
	EXPECT_EQ(get("kernel/shmmax"), INT64_MAX);
}

GUEST_TEST(limits_of_semaphores_count)
{
	struct sembuf ops[3] = {{0, 1, 0}, {0, 1, 0}, {0, 1, 0}};
	char text[64] = "";
	int id, fd;

	root_only();
	ASSERT_OK(set("kernel/sem", "5\t20 2"));
	MAYBE_SAVE();
	fd = open("/proc/sys/kernel/sem", O_RDONLY);
	EXPECT_TRUE(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	EXPECT_STREQ(text, "5\t20\t2\t32000\n");
	EXPECT_ERRNO(semget(IPC_PRIVATE, 6, IPC_CREAT | 0600), EINVAL);
	id = ASSERT_OK(semget(IPC_PRIVATE, 5, IPC_CREAT | 0600));
	EXPECT_OK(semop(id, ops, 2));
	EXPECT_ERRNO(semop(id, ops, 3), E2BIG);
	ASSERT_OK(set("kernel/sem", "32000 4"));
	EXPECT_ERRNO(semget(IPC_PRIVATE, 5, IPC_CREAT | 0600), ENOSPC);
	semctl(id, 0, IPC_RMID);
	set("kernel/sem", "32000 1024000000 500 32000");
}

GUEST_TEST(limits_of_posix_queues_count)
{
	struct mq_attr a = {.mq_maxmsg = 12, .mq_msgsize = 64}, got;
	char name[32];
	mqd_t q;

	root_only();
	snprintf(name, sizeof(name), "/set-%d", getpid());
	ASSERT_OK(set("fs/mqueue/msg_default", "4"));
	ASSERT_OK(set("fs/mqueue/msgsize_default", "256"));
	MAYBE_SAVE();
	q = mq_open(name, O_CREAT | O_RDWR, 0600, NULL);
	ASSERT_TRUE(q >= 0);
	EXPECT_OK(mq_getattr(q, &got));
	EXPECT_EQ(got.mq_maxmsg, 4);
	EXPECT_EQ(got.mq_msgsize, 256);
	mq_close(q);
	mq_unlink(name);
	EXPECT_ERRNO(set("fs/mqueue/msg_max", "0"), EINVAL);
	EXPECT_ERRNO(set("fs/mqueue/msgsize_max", "127"), EINVAL);
	ASSERT_OK(set("fs/mqueue/msg_max", "11"));
	guest_drop_root();
	EXPECT_EQ(mq_open(name, O_CREAT | O_RDWR, 0600, &a), (mqd_t)-1);
	EXPECT_EQ(errno, EINVAL);
	a.mq_maxmsg = 11;
	q = mq_open(name, O_CREAT | O_RDWR, 0600, &a);
	EXPECT_TRUE(q >= 0);
	mq_unlink(name);
}

GUEST_TEST(the_next_id_can_be_chosen)
{
	int a, b, want;

	root_only();
	if (access("/proc/sys/kernel/msg_next_id", F_OK) < 0)
		SKIP("a kernel that can't be told");
	EXPECT_EQ(get("kernel/msg_next_id"), -1);
	a = ASSERT_OK(msgget(IPC_PRIVATE, IPC_CREAT | 0600));
	want = (77 << 15) + (a & 0x7fff);
	ASSERT_OK(set("kernel/msg_next_id", "2523136"));
	EXPECT_EQ(get("kernel/msg_next_id"), 77 << 15);
	MAYBE_SAVE();
	msgctl(a, IPC_RMID, NULL);
	b = ASSERT_OK(msgget(IPC_PRIVATE, IPC_CREAT | 0600));
	EXPECT_EQ(b, want);
	EXPECT_EQ(get("kernel/msg_next_id"), -1);
	a = ASSERT_OK(msgget(IPC_PRIVATE, IPC_CREAT | 0600));
	EXPECT_NE(a, b);
	msgctl(a, IPC_RMID, NULL);
	/* The place is taken: the next free one. */
	ASSERT_OK(set("kernel/msg_next_id", "2523136"));
	a = ASSERT_OK(msgget(IPC_PRIVATE, IPC_CREAT | 0600));
	EXPECT_EQ(a, want + 1);
	msgctl(a, IPC_RMID, NULL);
	msgctl(b, IPC_RMID, NULL);
	EXPECT_ERRNO(set("kernel/shm_next_id", "-1"), EINVAL);
	/* The highest serial number that an id has room for. */
	ASSERT_OK(set("kernel/msg_next_id", "2147450883"));
	a = ASSERT_OK(msgget(IPC_PRIVATE, IPC_CREAT | 0600));
	EXPECT_EQ(a, 2147450883);
	msgctl(a, IPC_RMID, NULL);
}

/* However much a queue may have, what is in it can be saved. */
GUEST_TEST(a_full_queue_can_be_saved)
{
	static struct {
		long type;
		char text[16 << 20];
	} m = {.type = 1};
	int q, n = 0;

	root_only();
	if (!guest_in_sandbox())
		SKIP("it is ours that is bounded");
	ASSERT_OK(set("kernel/msgmax", "16777216"));
	ASSERT_OK(set("kernel/msgmnb", "1000000000"));
	q = ASSERT_OK(msgget(IPC_PRIVATE, IPC_CREAT | 0600));
	while (n < 8 && msgsnd(q, &m, sizeof(m.text), IPC_NOWAIT) == 0)
		n++;
	EXPECT_EQ(errno, ENOMEM);
	EXPECT_TRUE(n > 0 && n < 4);
	MAYBE_SAVE();
	for (; n > 0; n--)
		EXPECT_EQ(msgrcv(q, &m, sizeof(m.text), 0, IPC_NOWAIT), sizeof(m.text));
	msgctl(q, IPC_RMID, NULL);
	ASSERT_OK(set("kernel/msgmax", "8192"));
	ASSERT_OK(set("kernel/msgmnb", "16384"));
}

/* Of the whole machine: natively only what they are is written. */
GUEST_TEST(other_settings_take_what_they_are)
{
	static const char *const names[] = {
		"vm/max_map_count",
		"fs/pipe-max-size",
		"fs/nr_open",
		"fs/lease-break-time",
		"fs/leases-enable",
		"fs/dir-notify-enable",
		"fs/inotify/max_user_watches",
		"fs/inotify/max_user_instances",
		"fs/epoll/max_user_watches",
	};

	root_only();
	for (size_t i = 0; i < GUEST_COUNT(names); i++) {
		char text[32];
		long long v = get(names[i]);

		EXPECT_TRUE(v >= 0);
		snprintf(text, sizeof(text), "%lld\n", v);
		EXPECT_OK(set(names[i], text));
		EXPECT_EQ(get(names[i]), v);
		EXPECT_ERRNO(set(names[i], "x"), EINVAL);
	}
	EXPECT_ERRNO(set("fs/nr_open", "1"), EINVAL);
}

GUEST_TEST(the_domain_is_the_callers_namespaces)
{
	char name[65], text[80] = "";
	int fd;

	root_only();
	ASSERT_OK(unshare(0x04000000 /* CLONE_NEWUTS */));
	ASSERT_OK(set("kernel/domainname", "example.org\n"));
	ASSERT_OK(set("kernel/hostname", "here\n"));
	MAYBE_SAVE();
	EXPECT_OK(getdomainname(name, sizeof(name)));
	EXPECT_STREQ(name, "example.org");
	EXPECT_OK(gethostname(name, sizeof(name)));
	EXPECT_STREQ(name, "here");
	fd = open("/proc/sys/kernel/hostname", O_RDONLY);
	EXPECT_TRUE(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	EXPECT_STREQ(text, "here\n");
}

GUEST_TEST(an_ordinary_user_writes_nothing)
{
	guest_drop_root();
	EXPECT_ERRNO(open("/proc/sys/kernel/msgmax", O_WRONLY), EACCES);
	EXPECT_ERRNO(open("/proc/sys/fs/nr_open", O_WRONLY), EACCES);
	EXPECT_OK(open("/proc/sys/fs/nr_open", O_RDONLY));
}
