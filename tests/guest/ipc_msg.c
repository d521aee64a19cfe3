#include "tests/guest/guest_test.h"

#include <sys/ipc.h>
#include <sys/msg.h>
#include <stdio.h>
#include <sys/shm.h>
#include <sys/sem.h>

#ifndef MSG_COPY
#define MSG_COPY 040000
#endif

/* System V message queues. */

struct message {
	long type;
	char text[8192];
};

static int send_text(int id, long type, const char *text, int flags)
{
	struct message m = {.type = type};

	strcpy(m.text, text);
	return msgsnd(id, &m, strlen(text), flags);
}

static void expect_text(int id, long type, int flags, const char *text, long got)
{
	struct message m;
	ssize_t n = msgrcv(id, &m, sizeof(m.text), type, flags);

	EXPECT_EQ(n, (ssize_t)strlen(text));
	EXPECT_EQ(m.type, got);
	EXPECT_TRUE(n >= 0 && memcmp(m.text, text, (size_t)n) == 0);
}

GUEST_TEST(order_and_types)
{
	int id = msgget(IPC_PRIVATE, 0600);
	struct msqid_ds ds;
	struct message m;

	ASSERT_TRUE(id >= 0);
	EXPECT_OK(send_text(id, 3, "three", 0));
	EXPECT_OK(send_text(id, 1, "one", 0));
	EXPECT_OK(send_text(id, 2, "two", 0));
	EXPECT_OK(send_text(id, 3, "again", 0));
	EXPECT_OK(send_text(id, 9, "", 0));
	MAYBE_SAVE();
	EXPECT_OK(msgctl(id, IPC_STAT, &ds));
	EXPECT_EQ(ds.msg_qnum, 5);
	EXPECT_EQ(ds.msg_lspid, getpid());
	/* A look without taking it, where the kernel has that. */
	if (msgrcv(id, &m, 99, 2, MSG_COPY | IPC_NOWAIT) >= 0 || errno != ENOSYS) {
		expect_text(id, 2, MSG_COPY | IPC_NOWAIT, "two", 2);
		EXPECT_ERRNO(msgrcv(id, &m, 99, 5, MSG_COPY | IPC_NOWAIT), ENOMSG);
		EXPECT_ERRNO(msgrcv(id, &m, 99, 0, MSG_COPY), EINVAL);
	}
	expect_text(id, 2, 0, "two", 2);
	expect_text(id, -3, 0, "one", 1);
	expect_text(id, 3, MSG_EXCEPT, "", 9);
	expect_text(id, 0, 0, "three", 3);
	EXPECT_ERRNO(msgrcv(id, &m, 2, 0, 0), E2BIG);
	EXPECT_EQ(msgrcv(id, &m, 2, 0, MSG_NOERROR), 2);
	EXPECT_ERRNO(msgrcv(id, &m, 2, 0, IPC_NOWAIT), ENOMSG);
	EXPECT_ERRNO(send_text(id, 0, "x", 0), EINVAL);
	EXPECT_ERRNO(msgsnd(id, &m, 8193, 0), EINVAL);
	EXPECT_OK(msgctl(id, IPC_RMID, NULL));
	EXPECT_ERRNO(send_text(id, 1, "x", 0), EINVAL);
}

GUEST_TEST(full_queue_blocks_the_sender)
{
	int id = msgget(IPC_PRIVATE, 0600), n = 0;
	struct message m = {.type = 1};
	pid_t pid;

	while (msgsnd(id, &m, 4096, IPC_NOWAIT) == 0)
		n++;
	EXPECT_EQ(errno, EAGAIN);
	EXPECT_TRUE(n > 0);
	pid = fork();
	if (pid == 0) {
		EXPECT_OK(send_text(id, 7, "late", 0));
		_exit(0);
	}
	guest_sleep_ms(20);
	MAYBE_SAVE();
	while (n-- > 0)
		EXPECT_EQ(msgrcv(id, &m, 4096, 1, 0), 4096);
	expect_text(id, 0, 0, "late", 7);
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_OK(msgctl(id, IPC_RMID, NULL));
}

GUEST_TEST(receiver_waits)
{
	int id = msgget(IPC_PRIVATE, 0600);
	pid_t pid = fork();

	if (pid == 0) {
		struct message m;

		expect_text(id, 5, 0, "for you", 5);
		EXPECT_EQ(msgrcv(id, &m, 8, 5, 0), -1);
		EXPECT_TRUE(errno == EIDRM || errno == EINVAL);
		_exit(0);
	}
	guest_sleep_ms(20);
	MAYBE_SAVE();
	EXPECT_OK(send_text(id, 4, "for nobody", 0));
	EXPECT_OK(send_text(id, 5, "for you", 0));
	for (int n = 0; n < 2000; n++) {
		struct msqid_ds ds;

		EXPECT_OK(msgctl(id, IPC_STAT, &ds));
		if (ds.msg_qnum == 1)
			break;
		guest_sleep_ms(5);
	}
	/* Ends the second wait with EIDRM or, before it began, with EINVAL. */
	EXPECT_OK(msgctl(id, IPC_RMID, NULL));
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(parts_are_not_copied)
{
	struct {
		long type;
		char text[8];
	} m = {1, "1234567"};
	int q = msgget(IPC_PRIVATE, 0600);

	ASSERT_OK(q);
	ASSERT_OK(msgsnd(q, &m, 8, 0));
	if (msgrcv(q, &m, 8, 0, 040000 | IPC_NOWAIT) < 0 && errno == ENOSYS)
		SKIP("this kernel has no MSG_COPY");
	EXPECT_EQ(msgrcv(q, &m, 4, 0, 040000 | IPC_NOWAIT), -1);
	EXPECT_EQ(errno, E2BIG);
	EXPECT_EQ(msgrcv(q, &m, 4, 0, 040000 | IPC_NOWAIT | MSG_NOERROR), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_OK(msgctl(q, IPC_RMID, NULL));
}

/* Lines of the table that are this object's. */
static int lines_of(const char *file, int key, int id)
{
	char line[512];
	FILE *f = fopen(file, "r");
	int n = 0, k, i;

	ASSERT_TRUE(f != NULL);
	while (fgets(line, sizeof(line), f))
		n += sscanf(line, "%d %d", &k, &i) == 2 && k == key && i == id;
	fclose(f);
	return n;
}

GUEST_TEST(tables)
{
	int key = 0x5a000000 | (getpid() & 0xffffff);
	int q = msgget(key, IPC_CREAT | 0640), s = semget(key, 3, IPC_CREAT | 0600);
	int m = shmget(key, 8192, IPC_CREAT | 0600);

	ASSERT_OK(q);
	ASSERT_OK(s);
	ASSERT_OK(m);
	MAYBE_SAVE();
	EXPECT_EQ(lines_of("/proc/sysvipc/msg", key, q), 1);
	EXPECT_EQ(lines_of("/proc/sysvipc/sem", key, s), 1);
	EXPECT_EQ(lines_of("/proc/sysvipc/shm", key, m), 1);
	EXPECT_OK(msgctl(q, IPC_RMID, NULL));
	EXPECT_OK(semctl(s, 0, IPC_RMID));
	EXPECT_OK(shmctl(m, IPC_RMID, NULL));
	EXPECT_EQ(lines_of("/proc/sysvipc/msg", key, q), 0);
}
