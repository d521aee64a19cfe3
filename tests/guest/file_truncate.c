#include "tests/guest/guest_test.h"

#include <sys/statfs.h>
#include <sys/statvfs.h>

/* truncate, ftruncate, fallocate; statfs; the sync family. */

#ifndef FALLOC_FL_KEEP_SIZE
#define FALLOC_FL_KEEP_SIZE  1
#define FALLOC_FL_PUNCH_HOLE 2
#endif

static off_t size_of(const char *path)
{
	struct stat st;

	ASSERT_OK(stat(path, &st));
	return st.st_size;
}

GUEST_TEST(shrink_and_grow)
{
	const char *f = guest_path("f");
	char buf[16];
	int fd;

	guest_write_file(f, "0123456789", 0644);
	EXPECT_OK(truncate(f, 4));
	EXPECT_EQ(size_of(f), 4);
	EXPECT_OK(truncate(f, 8));
	fd = ASSERT_OK(open(f, O_RDWR));
	MAYBE_SAVE();
	EXPECT_EQ(read(fd, buf, 16), 8);
	EXPECT_EQ(memcmp(buf, "0123\0\0\0\0", 8), 0);
	EXPECT_OK(ftruncate(fd, 0));
	EXPECT_EQ(read(fd, buf, 16), 0);
	/* The offset stays where it was: a write leaves a hole. */
	EXPECT_EQ(write(fd, "x", 1), 1);
	EXPECT_EQ(size_of(f), 9);
}

GUEST_TEST(errors)
{
	const char *f = guest_path("f");
	int fds[2];

	guest_write_file(f, "x", 0644);
	EXPECT_ERRNO(truncate(f, -1), EINVAL);
	EXPECT_ERRNO(truncate(guest_path("none"), 0), ENOENT);
	EXPECT_ERRNO(truncate(guest_tmp(), 0), EISDIR);
	EXPECT_ERRNO(ftruncate(777, 0), EBADF);
	ASSERT_OK(pipe(fds));
	EXPECT_ERRNO(ftruncate(fds[1], 0), EINVAL);
}

GUEST_TEST(fallocate_extends)
{
	const char *f = guest_path("f");
	int fd = ASSERT_OK(open(f, O_RDWR | O_CREAT, 0644));
	char buf[8];

	EXPECT_OK(fallocate(fd, 0, 100, 5000));
	EXPECT_EQ(size_of(f), 5100);
	EXPECT_OK(fallocate(fd, 0, 0, 10));
	EXPECT_EQ(size_of(f), 5100);
	EXPECT_OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 5000, 100000));
	EXPECT_EQ(size_of(f), 5100);
	EXPECT_EQ(posix_fallocate(fd, 0, 6000), 0);
	EXPECT_EQ(size_of(f), 6000);
	EXPECT_EQ(pread(fd, buf, 8, 5500), 8);
	EXPECT_EQ(buf[0], 0);
	EXPECT_ERRNO(fallocate(fd, 0, 0, 0), EINVAL);
	EXPECT_ERRNO(fallocate(fd, 0, -1, 10), EINVAL);
}

GUEST_TEST(punch_hole)
{
	int fd = ASSERT_OK(open(guest_path("f"), O_RDWR | O_CREAT, 0644));
	char buf[4 * 4096];

	memset(buf, 'p', sizeof(buf));
	ASSERT_EQ(write(fd, buf, sizeof(buf)), sizeof(buf));
	EXPECT_OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4000, 8000));
	MAYBE_SAVE();
	EXPECT_EQ(pread(fd, buf, sizeof(buf), 0), sizeof(buf));
	EXPECT_EQ(buf[3999], 'p');
	EXPECT_EQ(buf[4000], 0);
	EXPECT_EQ(buf[11999], 0);
	EXPECT_EQ(buf[12000], 'p');
	EXPECT_ERRNO(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 1), EOPNOTSUPP);
}

GUEST_TEST(needs_write_permission)
{
	guest_drop_root();
	guest_write_file(guest_path("f"), "x", 0444);
	EXPECT_ERRNO(truncate(guest_path("f"), 0), EACCES);
}

GUEST_TEST(statfs_fields)
{
	struct statfs s, s2;
	struct statvfs v;
	int fd = ASSERT_OK(open(guest_tmp(), O_RDONLY));

	EXPECT_OK(statfs(guest_tmp(), &s));
	EXPECT_OK(fstatfs(fd, &s2));
	EXPECT_EQ(s.f_type, s2.f_type);
	EXPECT_EQ(s.f_bsize, 4096);
	EXPECT_GE(s.f_namelen, 255);
	EXPECT_GE(s.f_blocks, s.f_bfree);
	EXPECT_OK(statvfs(guest_tmp(), &v));
	EXPECT_EQ(v.f_namemax, s.f_namelen);
	EXPECT_OK(statfs("/proc", &s));
	EXPECT_EQ(s.f_type, 0x9fa0);
	EXPECT_ERRNO(statfs("/does/not/exist", &s), ENOENT);
}

GUEST_TEST(sync_calls)
{
	int fd = ASSERT_OK(open(guest_path("f"), O_RDWR | O_CREAT, 0644)), fds[2];

	ASSERT_EQ(write(fd, "x", 1), 1);
	EXPECT_OK(fdatasync(fd));
	EXPECT_OK(sync_file_range(fd, 0, 1, SYNC_FILE_RANGE_WRITE));
	EXPECT_ERRNO(fsync(777), EBADF);
	EXPECT_ERRNO(syncfs(777), EBADF);
	ASSERT_OK(pipe(fds));
	EXPECT_ERRNO(fsync(fds[0]), EINVAL);
	EXPECT_EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED), 0);
	EXPECT_EQ(posix_fadvise(fd, 0, 0, 77), EINVAL);
	EXPECT_EQ(posix_fadvise(fds[0], 0, 0, POSIX_FADV_NORMAL), ESPIPE);
	EXPECT_OK(readahead(fd, 0, 100));
}
