#include "tests/guest/guest_test.h"

#include <dirent.h>
#include <sys/sendfile.h>

/* Copies of files and trees, as cp, rsync and install do them. */

static unsigned char data[200000];

static void make(const char *name, size_t len)
{
	int fd = ASSERT_OK(open(guest_path(name), O_WRONLY | O_CREAT | O_TRUNC, 0644));

	for (size_t i = 0; i < len; i++)
		data[i] = (unsigned char)(i * 17 + i / 253);
	ASSERT_EQ(write(fd, data, len), len);
	close(fd);
}

static void same(const char *name, size_t len)
{
	static unsigned char got[sizeof(data)];
	int fd = ASSERT_OK(open(guest_path(name), O_RDONLY));

	EXPECT_EQ(read(fd, got, sizeof(got)), len);
	EXPECT_EQ(memcmp(got, data, len), 0);
	close(fd);
}

static void copy(const char *from, const char *to, size_t chunk)
{
	int in = ASSERT_OK(open(guest_path(from), O_RDONLY));
	int out = ASSERT_OK(open(guest_path(to), O_WRONLY | O_CREAT | O_TRUNC, 0644));
	char *buf = malloc(chunk);
	ssize_t n;

	while ((n = read(in, buf, chunk)) > 0)
		ASSERT_EQ(write(out, buf, (size_t)n), n);
	free(buf);
	close(in);
	close(out);
}

GUEST_TEST(with_buffers_of_all_sizes)
{
	static const size_t chunks[] = {511, 4096, 5000, 65536, 131072, 1 << 20};

	make("src", sizeof(data));
	for (size_t i = 0; i < GUEST_COUNT(chunks); i++) {
		copy("src", "dst", chunks[i]);
		same("dst", sizeof(data));
		if (i == 2)
			MAYBE_SAVE();
	}
}

GUEST_TEST(in_the_kernel)
{
	int in, out;
	off_t off = 0;

	make("src", 150000);
	in = ASSERT_OK(open(guest_path("src"), O_RDONLY));
	out = ASSERT_OK(open(guest_path("a"), O_WRONLY | O_CREAT, 0644));
	while (off < 150000)
		ASSERT_TRUE(sendfile(out, in, &off, 40000) > 0);
	same("a", 150000);
	out = ASSERT_OK(open(guest_path("b"), O_WRONLY | O_CREAT, 0644));
	for (size_t done = 0; done < 150000;) {
		ssize_t n = copy_file_range(in, NULL, out, NULL, 70000, 0);

		ASSERT_TRUE(n > 0);
		done += (size_t)n;
	}
	MAYBE_SAVE();
	same("b", 150000);
}

GUEST_TEST(through_mappings)
{
	int in, out;
	char *p, *q;

	make("src", 123456);
	in = ASSERT_OK(open(guest_path("src"), O_RDONLY));
	out = ASSERT_OK(open(guest_path("m"), O_RDWR | O_CREAT, 0644));
	ASSERT_OK(ftruncate(out, 123456));
	p = mmap(NULL, 123456, PROT_READ, MAP_SHARED, in, 0);
	q = mmap(NULL, 123456, PROT_READ | PROT_WRITE, MAP_SHARED, out, 0);
	ASSERT_TRUE(p != MAP_FAILED && q != MAP_FAILED);
	memcpy(q, p, 60000);
	MAYBE_SAVE();
	memcpy(q + 60000, p + 60000, 63456);
	same("m", 123456);
	/* And straight from one mapping into the other file. */
	EXPECT_EQ(pwrite(out, p + 100, 50000, 100), 50000);
	same("m", 123456);
}

static int copy_tree(const char *from, const char *to)
{
	char a[600], b[600];
	struct dirent *e;
	int n = 0;
	DIR *d = opendir(guest_path(from));

	ASSERT_TRUE(d != NULL);
	ASSERT_OK(mkdir(guest_path(to), 0755));
	while ((e = readdir(d))) {
		struct stat st;

		if (e->d_name[0] == '.')
			continue;
		snprintf(a, sizeof(a), "%s/%s", from, e->d_name);
		snprintf(b, sizeof(b), "%s/%s", to, e->d_name);
		ASSERT_OK(lstat(guest_path(a), &st));
		if (S_ISDIR(st.st_mode)) {
			n += copy_tree(a, b);
		} else if (S_ISLNK(st.st_mode)) {
			char target[256] = "";

			ASSERT_OK(readlink(guest_path(a), target, sizeof(target) - 1));
			ASSERT_OK(symlink(target, guest_path(b)));
		} else {
			struct timespec ts[2] = {st.st_atim, st.st_mtim};

			copy(a, b, 4096);
			ASSERT_OK(chmod(guest_path(b), st.st_mode & 07777));
			ASSERT_OK(utimensat(AT_FDCWD, guest_path(b), ts, 0));
		}
		n++;
	}
	closedir(d);
	return n;
}

GUEST_TEST(a_tree)
{
	char name[64];
	struct stat a, b;

	ASSERT_OK(mkdir(guest_path("t"), 0755));
	for (int i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "t/d%d", i);
		ASSERT_OK(mkdir(guest_path(name), 0755));
		for (int j = 0; j < 5; j++) {
			snprintf(name, sizeof(name), "t/d%d/f%d", i, j);
			make(name, (size_t)(i * 1000 + j));
			ASSERT_OK(chmod(guest_path(name), (mode_t)(0600 + j)));
		}
	}
	ASSERT_OK(symlink("d0/f3", guest_path("t/link")));
	EXPECT_EQ(copy_tree("t", "u"), 25);
	MAYBE_SAVE();
	ASSERT_OK(stat(guest_path("t/d3/f4"), &a));
	ASSERT_OK(stat(guest_path("u/d3/f4"), &b));
	EXPECT_EQ(a.st_size, b.st_size);
	EXPECT_EQ(a.st_mode, b.st_mode);
	EXPECT_EQ(a.st_mtim.tv_nsec, b.st_mtim.tv_nsec);
	EXPECT_OK(access(guest_path("u/link"), R_OK));
}
