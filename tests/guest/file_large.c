#include "tests/guest/guest_test.h"

/* Offsets beyond 4 GiB, thousands of files, names, descriptors. */

GUEST_TEST(beyond_four_gib)
{
	int fd = ASSERT_OK(open(guest_path("big"), O_RDWR | O_CREAT, 0644));
	off_t at = (5l << 30) + 123;
	struct stat st;
	char buf[8], *p;

	EXPECT_EQ(pwrite(fd, "far", 3, at), 3);
	EXPECT_EQ(pwrite(fd, "near", 4, 0), 4);
	EXPECT_OK(fstat(fd, &st));
	EXPECT_EQ(st.st_size, at + 3);
	EXPECT_LT(st.st_blocks, 50000); /* sparse, whatever the grain */
	MAYBE_SAVE();
	EXPECT_EQ(lseek(fd, -3, SEEK_END), at);
	EXPECT_EQ(read(fd, buf, 8), 3);
	EXPECT_EQ(memcmp(buf, "far", 3), 0);
	p = mmap(NULL, 2 * GUEST_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 5l << 30);
	ASSERT_TRUE(p != MAP_FAILED);
	EXPECT_EQ(memcmp(p + 123, "far", 3), 0);
	p[0] = 'm';
	EXPECT_EQ(pread(fd, buf, 1, 5l << 30), 1);
	EXPECT_EQ(buf[0], 'm');
	EXPECT_EQ(pread(fd, buf, 4, 3l << 30), 4);
	EXPECT_EQ(buf[0], 0);
	EXPECT_OK(ftruncate(fd, 6l << 30));
	EXPECT_OK(ftruncate(fd, 10));
	EXPECT_OK(fstat(fd, &st));
	EXPECT_EQ(st.st_size, 10);
}

GUEST_TEST(five_hundred_files)
{
	enum {
		N = 500
	};
	char name[32];

	for (int i = 0; i < N; i++) {
		int fd;

		snprintf(name, sizeof(name), "f%d", i);
		fd = ASSERT_OK(open(guest_path(name), O_WRONLY | O_CREAT, 0644));
		ASSERT_EQ(write(fd, &i, sizeof(i)), sizeof(i));
		close(fd);
	}
	MAYBE_SAVE();
	for (int i = 0; i < N; i += 7) {
		int v = -1, fd;

		snprintf(name, sizeof(name), "f%d", i);
		fd = ASSERT_OK(open(guest_path(name), O_RDONLY));
		ASSERT_EQ(read(fd, &v, sizeof(v)), sizeof(v));
		EXPECT_EQ(v, i);
		close(fd);
	}
}

GUEST_TEST(six_hundred_open)
{
	enum {
		N = 600
	};
	static int fds[N];
	char name[32];

	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "o%d", i % 50);
		fds[i] = ASSERT_OK(open(guest_path(name), O_RDWR | O_CREAT, 0644));
		ASSERT_EQ(lseek(fds[i], i, SEEK_SET), i);
	}
	MAYBE_SAVE();
	for (int i = 0; i < N; i++)
		EXPECT_EQ(lseek(fds[i], 0, SEEK_CUR), i);
	for (int i = 0; i < N; i++) {
		ASSERT_EQ(write(fds[i], "x", 1), 1);
		close(fds[i]);
	}
}

GUEST_TEST(write_in_odd_pieces)
{
	int fd = ASSERT_OK(open(guest_path("odd"), O_RDWR | O_CREAT, 0644));
	static unsigned char buf[70000], got[70000];
	size_t total = 0;
	off_t at = 0;

	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (unsigned char)(i * 31 + (i >> 8));
	for (size_t len = 1; total + len <= sizeof(buf); len = len * 3 / 2 + 1) {
		ASSERT_EQ(write(fd, buf + total, len), len);
		total += len;
	}
	MAYBE_SAVE();
	for (size_t len = 777; (size_t)at < total; at += (off_t)len) {
		ssize_t n = pread(fd, got + at, len, at);

		ASSERT_TRUE(n > 0);
	}
	EXPECT_EQ(memcmp(buf, got, total), 0);
}

GUEST_TEST(overwrite_and_extend)
{
	int fd = ASSERT_OK(open(guest_path("e"), O_RDWR | O_CREAT, 0644));
	char page[4096], c;

	for (int i = 0; i < 20; i++) {
		memset(page, 'a' + i, sizeof(page));
		ASSERT_EQ(pwrite(fd, page, sizeof(page), i * 2048), sizeof(page));
	}
	MAYBE_SAVE();
	for (int i = 0; i < 20; i++) {
		ASSERT_EQ(pread(fd, &c, 1, i * 2048 + 100), 1);
		EXPECT_EQ(c, 'a' + i);
	}
}
