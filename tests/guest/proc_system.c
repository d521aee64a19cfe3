#include "tests/guest/guest_test.h"

#include <dirent.h>
#include <sys/utsname.h>

/* The system-wide files of /proc. */

static char text[1 << 17];

static void slurp(const char *path)
{
	ASSERT_TRUE(guest_read_file(path, text, sizeof(text)) > 0);
}

static long kb(const char *key)
{
	char *line = strstr(text, key);
	long v = -1;

	EXPECT_TRUE(line != NULL);
	if (line)
		sscanf(line + strlen(key), ": %ld kB", &v);
	return v;
}

GUEST_TEST(meminfo)
{
	slurp("/proc/meminfo");
	EXPECT_GT(kb("MemTotal"), 0);
	EXPECT_GT(kb("MemFree"), 0);
	EXPECT_GT(kb("MemAvailable"), 0);
	EXPECT_GE(kb("Buffers"), 0);
	EXPECT_GE(kb("Cached"), 0);
	EXPECT_GE(kb("SwapTotal"), 0);
	EXPECT_GE(kb("MemTotal"), kb("MemFree"));
}

GUEST_TEST(cpuinfo)
{
	int cpus = 0;

	slurp("/proc/cpuinfo");
	for (char *p = text; (p = strstr(p, "processor\t:")); p++)
		cpus++;
	EXPECT_GE(cpus, 1);
	EXPECT_EQ(cpus, sysconf(_SC_NPROCESSORS_ONLN));
	EXPECT_TRUE(strstr(text, "vendor_id\t:") != NULL);
	EXPECT_TRUE(strstr(text, "model name\t:") != NULL);
	EXPECT_TRUE(strstr(text, "flags\t\t:") != NULL);
	EXPECT_TRUE(strstr(text, " sse2 ") != NULL);
}

GUEST_TEST(stat_file)
{
	long user, nice, sys, idle, btime = 0;
	char *p;

	slurp("/proc/stat");
	EXPECT_EQ(sscanf(text, "cpu %ld %ld %ld %ld", &user, &nice, &sys, &idle), 4);
	EXPECT_TRUE(strstr(text, "\ncpu0 ") != NULL);
	p = strstr(text, "\nbtime ");
	ASSERT_TRUE(p != NULL);
	EXPECT_EQ(sscanf(p, "\nbtime %ld", &btime), 1);
	EXPECT_GT(btime, 1000000000);
	EXPECT_LE(btime, time(NULL));
	EXPECT_TRUE(strstr(text, "\nprocesses ") != NULL);
	EXPECT_TRUE(strstr(text, "\nctxt ") != NULL);
}

GUEST_TEST(uptime_and_loadavg)
{
	double up, idle, l1, l5, l15;
	int running, total, last;

	slurp("/proc/uptime");
	EXPECT_EQ(sscanf(text, "%lf %lf", &up, &idle), 2);
	EXPECT_TRUE(up > 0);
	slurp("/proc/loadavg");
	EXPECT_EQ(sscanf(text, "%lf %lf %lf %d/%d %d", &l1, &l5, &l15, &running, &total, &last), 6);
	EXPECT_GE(total, 1);
}

GUEST_TEST(version_and_kernel)
{
	struct utsname u;
	long n;

	ASSERT_OK(uname(&u));
	slurp("/proc/version");
	EXPECT_EQ(strncmp(text, "Linux version ", 14), 0);
	EXPECT_EQ(strncmp(text + 14, u.release, strlen(u.release)), 0);
	slurp("/proc/sys/kernel/osrelease");
	text[strcspn(text, "\n")] = 0;
	EXPECT_STREQ(text, u.release);
	slurp("/proc/sys/kernel/ostype");
	EXPECT_STREQ(text, "Linux\n");
	slurp("/proc/sys/kernel/hostname");
	text[strcspn(text, "\n")] = 0;
	EXPECT_STREQ(text, u.nodename);
	slurp("/proc/sys/kernel/pid_max");
	EXPECT_EQ(sscanf(text, "%ld", &n), 1);
	EXPECT_GE(n, 32768);
	slurp("/proc/sys/vm/overcommit_memory");
	EXPECT_EQ(sscanf(text, "%ld", &n), 1);
	slurp("/proc/sys/kernel/random/boot_id");
	EXPECT_EQ(strlen(text), 37);
	slurp("/proc/sys/fs/pipe-max-size");
	EXPECT_EQ(sscanf(text, "%ld", &n), 1);
	EXPECT_GE(n, 65536);
}

GUEST_TEST(random_uuid_changes)
{
	char first[64];

	slurp("/proc/sys/kernel/random/uuid");
	EXPECT_EQ(strlen(text), 37);
	snprintf(first, sizeof(first), "%.63s", text);
	slurp("/proc/sys/kernel/random/uuid");
	EXPECT_NE(strcmp(first, text), 0);
}

GUEST_TEST(filesystems)
{
	slurp("/proc/filesystems");
	EXPECT_TRUE(strstr(text, "nodev\tproc\n") != NULL);
	EXPECT_TRUE(strstr(text, "nodev\ttmpfs\n") != NULL);
}

GUEST_TEST(mounts)
{
	char dev[256], dir[256], type[64], opts[512];
	bool root = false, proc = false;

	slurp("/proc/self/mounts");
	for (char *line = text; *line; line = strchr(line, '\n') + 1) {
		EXPECT_EQ(sscanf(line, "%255s %255s %63s %511s 0 0", dev, dir, type, opts), 4);
		root |= strcmp(dir, "/") == 0;
		proc |= strcmp(dir, "/proc") == 0 && strcmp(type, "proc") == 0;
	}
	EXPECT_TRUE(root);
	EXPECT_TRUE(proc);
	slurp("/proc/mounts");
}

GUEST_TEST(mountinfo)
{
	bool root = false;

	slurp("/proc/self/mountinfo");
	for (char *line = text; *line; line = strchr(line, '\n') + 1) {
		int id, parent, major, minor;
		char mroot[256], point[256];

		EXPECT_EQ(sscanf(line, "%d %d %d:%d %255s %255s", &id, &parent, &major, &minor,
		                 mroot, point),
		          6);
		EXPECT_TRUE(strstr(line, " - ") != NULL);
		root |= strcmp(point, "/") == 0;
	}
	EXPECT_TRUE(root);
}

GUEST_TEST(process_list)
{
	bool self = false, init = false;
	struct dirent *e;
	int files = 0;
	DIR *d = opendir("/proc");

	ASSERT_TRUE(d != NULL);
	while ((e = readdir(d))) {
		self |= atoi(e->d_name) == getpid();
		init |= strcmp(e->d_name, "1") == 0;
		files += strcmp(e->d_name, "meminfo") == 0 || strcmp(e->d_name, "self") == 0;
	}
	closedir(d);
	EXPECT_TRUE(self);
	EXPECT_TRUE(init);
	EXPECT_EQ(files, 2);
}

GUEST_TEST(refusals)
{
	EXPECT_ERRNO(open("/proc/no-such-file", O_RDONLY), ENOENT);
	EXPECT_ERRNO(open("/proc/9999999/stat", O_RDONLY), ENOENT);
	EXPECT_TRUE(open("/proc/new", O_CREAT | O_WRONLY, 0644) < 0);
	EXPECT_TRUE(mkdir("/proc/newdir", 0755) < 0);
	EXPECT_TRUE(unlink("/proc/meminfo") < 0);
	guest_drop_root();
	EXPECT_ERRNO(open("/proc/meminfo", O_WRONLY), EACCES);
}

GUEST_TEST(offset_over_a_save)
{
	char first[4096], again[4096];
	int fd = ASSERT_OK(open("/proc/filesystems", O_RDONLY));
	ssize_t a, b;

	a = read(fd, first, 20);
	EXPECT_EQ(a, 20);
	MAYBE_SAVE();
	b = read(fd, first + 20, sizeof(first) - 20);
	EXPECT_GT(b, 0);
	EXPECT_EQ(lseek(fd, 0, SEEK_SET), 0);
	EXPECT_EQ(read(fd, again, sizeof(again)), a + b);
	EXPECT_EQ(memcmp(first, again, (size_t)(a + b)), 0);
}
