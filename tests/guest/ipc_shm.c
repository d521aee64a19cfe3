#include "tests/guest/guest_test.h"

#include <sys/ipc.h>
#include <sys/shm.h>

/* System V shared memory. */

static int make(size_t size)
{
	int id = shmget(IPC_PRIVATE, size, IPC_CREAT | 0600);

	EXPECT_TRUE(id >= 0);
	return id;
}

GUEST_TEST(segment_is_shared_by_processes)
{
	int id = make(3 * GUEST_PAGE - 100);
	struct shmid_ds ds;
	char *p = shmat(id, NULL, 0), *q = shmat(id, NULL, SHM_RDONLY);
	pid_t pid;

	ASSERT_TRUE(p != (void *)-1 && q != (void *)-1);
	pid = fork();
	if (pid == 0) {
		strcpy(p + GUEST_PAGE, "from the child");
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	MAYBE_SAVE();
	EXPECT_EQ(strcmp(q + GUEST_PAGE, "from the child"), 0);
	EXPECT_OK(shmctl(id, IPC_STAT, &ds));
	EXPECT_EQ(ds.shm_segsz, 3 * GUEST_PAGE - 100);
	EXPECT_EQ(ds.shm_nattch, 2);
	EXPECT_EQ(ds.shm_cpid, getpid());
	EXPECT_EQ(ds.shm_perm.mode & 0777, 0600);
	EXPECT_ERRNO(mprotect(q, GUEST_PAGE, PROT_READ | PROT_WRITE), EACCES);
	EXPECT_OK(shmdt(q));
	EXPECT_ERRNO(shmdt(q), EINVAL);
	EXPECT_OK(shmdt(p));
	EXPECT_OK(shmctl(id, IPC_STAT, &ds));
	EXPECT_EQ(ds.shm_nattch, 0);
	EXPECT_OK(shmctl(id, IPC_RMID, NULL));
	EXPECT_ERRNO(shmctl(id, IPC_STAT, &ds), EINVAL);
}

GUEST_TEST(content_outlives_its_users)
{
	int id = make(GUEST_PAGE);
	char *p = shmat(id, NULL, 0);

	ASSERT_TRUE(p != (void *)-1);
	strcpy(p, "kept");
	ASSERT_OK(shmdt(p));
	MAYBE_SAVE();
	p = shmat(id, NULL, 0);
	ASSERT_TRUE(p != (void *)-1);
	EXPECT_EQ(strcmp(p, "kept"), 0);
	EXPECT_OK(shmctl(id, IPC_RMID, NULL));
	EXPECT_EQ(strcmp(p, "kept"), 0);
	EXPECT_OK(shmdt(p));
	EXPECT_ERRNO((long)shmat(id, NULL, 0), EINVAL);
}

GUEST_TEST(marked_segment_goes_with_its_last_user)
{
	int id = make(GUEST_PAGE), pipefd[2];
	struct shmid_ds ds;
	char *p = shmat(id, NULL, 0), c;
	pid_t pid;

	ASSERT_TRUE(p != (void *)-1);
	ASSERT_OK(pipe(pipefd));
	pid = fork();
	if (pid == 0) {
		EXPECT_EQ(read(pipefd[0], &c, 1), 1);
		_exit(0);
	}
	ASSERT_OK(shmctl(id, IPC_RMID, NULL));
	ASSERT_OK(shmdt(p));
	MAYBE_SAVE();
	EXPECT_OK(shmctl(id, IPC_STAT, &ds));
	EXPECT_EQ(ds.shm_nattch, 1);
	EXPECT_TRUE(ds.shm_perm.mode & SHM_DEST);
	EXPECT_EQ(write(pipefd[1], "x", 1), 1);
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_ERRNO(shmctl(id, IPC_STAT, &ds), EINVAL);
}

GUEST_TEST(keys)
{
	key_t key = 0x51a50000 | (getpid() & 0xffff);
	int id = shmget(key, 100, IPC_CREAT | IPC_EXCL | 0600);

	ASSERT_TRUE(id >= 0);
	EXPECT_ERRNO(shmget(key, 100, IPC_CREAT | IPC_EXCL | 0600), EEXIST);
	EXPECT_EQ(shmget(key, 50, 0600), id);
	EXPECT_EQ(shmget(key, 0, 0), id);
	EXPECT_ERRNO(shmget(key, 101, 0600), EINVAL);
	EXPECT_OK(shmctl(id, IPC_RMID, NULL));
	EXPECT_ERRNO(shmget(key, 100, 0600), ENOENT);
	EXPECT_ERRNO(shmget(IPC_PRIVATE, 0, 0600), EINVAL);
}

GUEST_TEST(where_it_may_be_attached)
{
	int id = make(2 * GUEST_PAGE);
	char *hole = guest_map(4 * GUEST_PAGE, 0), *p;

	EXPECT_ERRNO((long)shmat(id, hole, 0), EINVAL);
	EXPECT_ERRNO((long)shmat(id, hole + 1, 0), EINVAL);
	EXPECT_ERRNO((long)shmat(id, NULL, SHM_REMAP), EINVAL);
	p = shmat(id, hole + GUEST_PAGE + 5, SHM_RND | SHM_REMAP);
	EXPECT_TRUE(p == hole + GUEST_PAGE);
	p[0] = 'x';
	/* In pieces it is still one attachment. */
	ASSERT_OK(mprotect(p + GUEST_PAGE, GUEST_PAGE, PROT_READ));
	EXPECT_OK(shmdt(p));
	EXPECT_ERRNO(msync(p, GUEST_PAGE, MS_ASYNC), ENOMEM);
	EXPECT_ERRNO(msync(p + GUEST_PAGE, GUEST_PAGE, MS_ASYNC), ENOMEM);
	EXPECT_OK(msync(hole, GUEST_PAGE, MS_ASYNC));
	EXPECT_OK(shmctl(id, IPC_RMID, NULL));
	EXPECT_ERRNO((long)shmat(id, NULL, 0), EINVAL);
	EXPECT_ERRNO((long)shmat(-1, NULL, 0), EINVAL);
}

GUEST_TEST(rights)
{
	int id = shmget(IPC_PRIVATE, 100, 0600);
	struct shmid_ds ds;

	if (geteuid() != 0) {
		shmctl(id, IPC_RMID, NULL);
		return;
	}
	pid_t pid = fork();
	if (pid == 0) {
		guest_drop_root();
		EXPECT_ERRNO((long)shmat(id, NULL, SHM_RDONLY), EACCES);
		EXPECT_ERRNO(shmctl(id, IPC_STAT, &ds), EACCES);
		EXPECT_ERRNO(shmctl(id, IPC_RMID, NULL), EPERM);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	ASSERT_OK(shmctl(id, IPC_STAT, &ds));
	ds.shm_perm.mode = 0604;
	ASSERT_OK(shmctl(id, IPC_SET, &ds));
	pid = fork();
	if (pid == 0) {
		guest_drop_root();
		EXPECT_TRUE(shmat(id, NULL, SHM_RDONLY) != (void *)-1);
		EXPECT_ERRNO((long)shmat(id, NULL, 0), EACCES);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_OK(shmctl(id, IPC_RMID, NULL));
}
