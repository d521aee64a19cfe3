#include "tests/guest/guest_test.h"

#include <sys/sendfile.h>
#include <sys/uio.h>

/* read and write in all their forms, lseek, holes. */

#ifndef RWF_APPEND
#define RWF_APPEND 0x10
#endif

static int fresh(void)
{
	return ASSERT_OK(open(guest_path("f"), O_RDWR | O_CREAT | O_TRUNC, 0644));
}

GUEST_TEST(offsets)
{
	char buf[16] = "";
	int fd = fresh();

	EXPECT_EQ(write(fd, "abcdefgh", 8), 8);
	EXPECT_EQ(read(fd, buf, 8), 0);
	EXPECT_EQ(lseek(fd, -3, SEEK_CUR), 5);
	EXPECT_EQ(read(fd, buf, 16), 3);
	EXPECT_EQ(memcmp(buf, "fgh", 3), 0);
	EXPECT_EQ(pread(fd, buf, 2, 1), 2);
	EXPECT_EQ(memcmp(buf, "bc", 2), 0);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 8);
	MAYBE_SAVE();
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 8);
	EXPECT_EQ(pwrite(fd, "XY", 2, 3), 2);
	EXPECT_EQ(lseek(fd, -2, SEEK_END), 6);
	EXPECT_EQ(pread(fd, buf, 16, 0), 8);
	EXPECT_EQ(memcmp(buf, "abcXYfgh", 8), 0);
	EXPECT_EQ(pread(fd, buf, 16, 100), 0);
	EXPECT_ERRNO(pread(fd, buf, 1, -1), EINVAL);
	EXPECT_ERRNO(pwrite(fd, buf, 1, -1), EINVAL);
}

GUEST_TEST(lseek_errors)
{
	int fd = fresh(), fds[2];

	EXPECT_ERRNO(lseek(fd, -1, SEEK_SET), EINVAL);
	EXPECT_ERRNO(lseek(fd, 0, 99), EINVAL);
	EXPECT_ERRNO(lseek(fd, -1, SEEK_CUR), EINVAL);
	EXPECT_EQ(lseek(fd, 1l << 40, SEEK_SET), 1l << 40);
	EXPECT_EQ(lseek(fd, INT64_MAX, SEEK_CUR), -1);
	EXPECT_TRUE(errno == EOVERFLOW || errno == EINVAL);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 1l << 40);
	ASSERT_OK(pipe(fds));
	EXPECT_ERRNO(lseek(fds[0], 0, SEEK_CUR), ESPIPE);
	EXPECT_ERRNO(pread(fds[0], &fd, 1, 0), ESPIPE);
	EXPECT_ERRNO(pwrite(fds[1], &fd, 1, 0), ESPIPE);
	EXPECT_ERRNO(lseek(777, 0, SEEK_SET), EBADF);
}

GUEST_TEST(holes_read_zero)
{
	char buf[4096];
	int fd = fresh();
	struct stat st;

	EXPECT_EQ(pwrite(fd, "end", 3, 100000), 3);
	EXPECT_EQ(pwrite(fd, "mid", 3, 50000), 3);
	MAYBE_SAVE();
	EXPECT_OK(fstat(fd, &st));
	EXPECT_EQ(st.st_size, 100003);
	EXPECT_EQ(pread(fd, buf, sizeof(buf), 10), sizeof(buf));
	for (size_t i = 0; i < sizeof(buf); i++)
		EXPECT_EQ(buf[i], 0);
	EXPECT_EQ(pread(fd, buf, 6, 49999), 6);
	EXPECT_EQ(memcmp(buf, "\0mid\0\0", 6), 0);
	EXPECT_EQ(pread(fd, buf, 100, 100000), 3);
}

GUEST_TEST(seek_data_and_hole)
{
	int fd = fresh();
	off_t at;

	ASSERT_EQ(pwrite(fd, "x", 1, 1 << 20), 1);
	ASSERT_OK(ftruncate(fd, 3 << 20));
	at = lseek(fd, 0, SEEK_DATA);
	EXPECT_TRUE(at == 0 || (at > 0 && at <= 1 << 20));
	EXPECT_EQ(lseek(fd, 1 << 20, SEEK_DATA), 1 << 20);
	at = lseek(fd, 1 << 20, SEEK_HOLE);
	EXPECT_TRUE(at > 1 << 20 && at <= 3 << 20);
	EXPECT_ERRNO(lseek(fd, 3 << 20, SEEK_DATA), ENXIO);
	EXPECT_ERRNO(lseek(fd, 3 << 20, SEEK_HOLE), ENXIO);
}

GUEST_TEST(vectors)
{
	char a[4] = "abc", b[8] = "defg", c[16] = "";
	struct iovec out[3] = {{a, 3}, {NULL, 0}, {b, 4}};
	struct iovec in[2] = {{c, 2}, {c + 8, 8}};
	int fd = fresh();

	EXPECT_EQ(writev(fd, out, 3), 7);
	EXPECT_EQ(lseek(fd, 0, SEEK_SET), 0);
	EXPECT_EQ(readv(fd, in, 2), 7);
	EXPECT_EQ(memcmp(c, "ab", 2), 0);
	EXPECT_EQ(memcmp(c + 8, "cdefg", 5), 0);
	EXPECT_EQ(pwritev(fd, out, 3, 100), 7);
	EXPECT_EQ(preadv(fd, in, 2, 102), 5);
	EXPECT_EQ(memcmp(c, "cd", 2), 0);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 7);
	EXPECT_EQ(preadv2(fd, in, 2, -1, 0), 10);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 17);
	EXPECT_EQ(pwritev2(fd, out, 3, 0, RWF_APPEND), 7);
	EXPECT_EQ(lseek(fd, 0, SEEK_END), 114);
	EXPECT_ERRNO(preadv2(fd, in, 2, 0, 0x8000), EOPNOTSUPP);
	EXPECT_ERRNO(preadv(fd, in, 2, -2), EINVAL);
	EXPECT_ERRNO(preadv(fd, in, 2000, 0), EINVAL);
}

GUEST_TEST(megabytes)
{
	size_t len = 3 << 20;
	unsigned *buf = guest_map(len, 0), *got = guest_map(len, 0);
	int fd = fresh();

	for (size_t i = 0; i < len / 4; i++)
		buf[i] = (unsigned)(i * 2654435761u);
	EXPECT_EQ(write(fd, buf, len), len);
	MAYBE_SAVE();
	EXPECT_EQ(pread(fd, got, len, 0), len);
	EXPECT_EQ(memcmp(buf, got, len), 0);
	EXPECT_EQ(pread(fd, got, 4096, 12345), 4096);
	EXPECT_EQ(memcmp((char *)buf + 12345, got, 4096), 0);
}

GUEST_TEST(many_small_writes)
{
	char buf[32];
	int fd = fresh();

	for (int i = 0; i < 1000; i++) {
		int n = snprintf(buf, sizeof(buf), "%06d\n", i);

		if (write(fd, buf, (size_t)n) != n)
			EXPECT_OK(-1);
	}
	MAYBE_SAVE();
	for (int i = 0; i < 1000; i += 37) {
		EXPECT_EQ(pread(fd, buf, 7, i * 7), 7);
		buf[6] = 0;
		EXPECT_EQ(atoi(buf), i);
	}
}

GUEST_TEST(sendfile_and_copy)
{
	int in = fresh(), out = ASSERT_OK(open(guest_path("g"), O_RDWR | O_CREAT, 0644)), fds[2];
	char buf[16] = "";
	off_t off = 2;
	loff_t from = 1, to = 10;

	ASSERT_EQ(write(in, "0123456789", 10), 10);
	EXPECT_EQ(sendfile(out, in, &off, 5), 5);
	EXPECT_EQ(off, 7);
	EXPECT_EQ(lseek(in, 0, SEEK_CUR), 10);
	EXPECT_EQ(pread(out, buf, 16, 0), 5);
	EXPECT_EQ(memcmp(buf, "23456", 5), 0);
	ASSERT_OK(pipe(fds));
	lseek(in, 8, SEEK_SET);
	EXPECT_EQ(sendfile(fds[1], in, NULL, 100), 2);
	EXPECT_EQ(read(fds[0], buf, 16), 2);
	EXPECT_EQ(memcmp(buf, "89", 2), 0);
	EXPECT_EQ(copy_file_range(in, &from, out, &to, 3, 0), 3);
	EXPECT_EQ(from, 4);
	EXPECT_EQ(to, 13);
	EXPECT_EQ(pread(out, buf, 3, 10), 3);
	EXPECT_EQ(memcmp(buf, "123", 3), 0);
	EXPECT_ERRNO(sendfile(777, in, NULL, 1), EBADF);
}

GUEST_TEST(two_descriptions_see_each_other)
{
	int a = fresh(), b = ASSERT_OK(open(guest_path("f"), O_RDWR));
	char buf[8];

	EXPECT_EQ(write(a, "one", 3), 3);
	EXPECT_EQ(read(b, buf, 8), 3);
	EXPECT_EQ(write(b, "two", 3), 3);
	MAYBE_SAVE();
	EXPECT_EQ(read(a, buf, 8), 3);
	EXPECT_EQ(memcmp(buf, "two", 3), 0);
	EXPECT_OK(ftruncate(a, 1));
	EXPECT_EQ(pread(b, buf, 8, 0), 1);
}
