#include "tests/guest/guest_test.h"

#include <dirent.h>
#include <sys/prctl.h>

/* /proc as ps, top and lsof walk it: while processes come and go. */

static char text[65536];

/* Processes whose name is this, seen by one walk. */
static int count_named(const char *name)
{
	struct dirent *e;
	int n = 0;
	DIR *d = opendir("/proc");

	ASSERT_TRUE(d != NULL);
	while ((e = readdir(d))) {
		char path[300];

		if (e->d_name[0] < '1' || e->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/comm", e->d_name);
		if (guest_read_file(path, text, sizeof(text)) > 0) {
			text[strcspn(text, "\n")] = 0;
			n += strcmp(text, name) == 0;
		}
	}
	closedir(d);
	return n;
}

GUEST_TEST(all_children_are_listed)
{
	struct guest_gate ready, go;
	char name[16];
	pid_t pids[12];

	guest_gate_init(&ready);
	guest_gate_init(&go);
	snprintf(name, sizeof(name), "kid-%d", getpid());
	for (int i = 0; i < 12; i++) {
		pids[i] = guest_fork();
		if (pids[i] == 0) {
			prctl(PR_SET_NAME, name);
			guest_gate_open(&ready);
			guest_gate_wait(&go);
			_exit(0);
		}
	}
	for (int i = 0; i < 12; i++)
		guest_gate_wait(&ready);
	EXPECT_EQ(count_named(name), 12);
	MAYBE_SAVE();
	EXPECT_EQ(count_named(name), 12);
	for (int i = 0; i < 12; i++)
		guest_gate_open(&go);
	for (int i = 0; i < 12; i++)
		EXPECT_EQ(guest_reap(pids[i]), 0);
	EXPECT_EQ(count_named(name), 0);
}

GUEST_TEST(walk_while_forking)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		for (int i = 0; i < 60; i++) {
			pid_t kid = guest_fork();

			if (kid == 0)
				_exit(0);
			guest_reap(kid);
		}
		_exit(0);
	}
	while (waitpid(pid, NULL, WNOHANG) == 0)
		EXPECT_GE(count_named("init") + count_named("stasis") + 1, 1);
}

GUEST_TEST(open_files_of_a_dead_process)
{
	struct guest_gate go;
	char path[64];
	pid_t pid;
	int fd, dir;

	guest_gate_init(&go);
	pid = guest_fork();
	if (pid == 0) {
		guest_gate_wait(&go);
		_exit(0);
	}
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = ASSERT_OK(open(path, O_RDONLY));
	snprintf(path, sizeof(path), "/proc/%d", pid);
	dir = ASSERT_OK(open(path, O_RDONLY | O_DIRECTORY));
	MAYBE_SAVE();
	EXPECT_OK(faccessat(dir, "status", R_OK, 0));
	guest_gate_open(&go);
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_ERRNO(read(fd, text, 100), ESRCH);
	EXPECT_TRUE(openat(dir, "status", O_RDONLY) < 0);
	EXPECT_ERRNO(open(path, O_RDONLY), ENOENT);
}

GUEST_TEST(files_of_a_process)
{
	static const char *const names[] = {"auxv",   "cmdline",   "comm",   "cwd",    "environ",
	                                    "exe",    "fd",        "fdinfo", "limits", "maps",
	                                    "mounts", "mountinfo", "root",   "stat",   "statm",
	                                    "status", "task"};
	struct dirent *e;
	DIR *d = opendir("/proc/self");
	bool found[GUEST_COUNT(names)] = {false};

	ASSERT_TRUE(d != NULL);
	while ((e = readdir(d)))
		for (size_t i = 0; i < GUEST_COUNT(names); i++)
			found[i] |= strcmp(e->d_name, names[i]) == 0;
	for (size_t i = 0; i < GUEST_COUNT(names); i++)
		EXPECT_TRUE(found[i]);
	closedir(d);
}

GUEST_TEST(attributes)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d", getpid());
	EXPECT_OK(stat(path, &st));
	EXPECT_TRUE(S_ISDIR(st.st_mode));
	EXPECT_EQ(st.st_uid, geteuid());
	EXPECT_EQ(st.st_mode & 0777, 0555);
	EXPECT_OK(stat("/proc/self/stat", &st));
	EXPECT_EQ(st.st_mode, S_IFREG | 0444);
	EXPECT_EQ(st.st_size, 0);
	EXPECT_OK(stat("/proc/self/environ", &st));
	EXPECT_EQ(st.st_mode, S_IFREG | 0400);
	EXPECT_OK(lstat("/proc/self/exe", &st));
	EXPECT_EQ(st.st_mode, S_IFLNK | 0777);
}

GUEST_TEST(magic_links_work)
{
	char c[4];
	int fd = ASSERT_OK(open("/proc/self/exe", O_RDONLY));
	struct stat a, b;

	EXPECT_EQ(read(fd, c, 4), 4);
	EXPECT_EQ(memcmp(c, "\177ELF", 4), 0);
	EXPECT_OK(stat("/proc/self/root", &a));
	EXPECT_OK(stat("/", &b));
	EXPECT_EQ(a.st_ino, b.st_ino);
	ASSERT_OK(chdir(guest_tmp()));
	guest_write_file("here", "x", 0644);
	EXPECT_OK(access("/proc/self/cwd/here", R_OK));
	/* A file that has lost its name is opened through its descriptor all the same. */
	fd = ASSERT_OK(open("here", O_RDWR));
	ASSERT_OK(unlink("here"));
	snprintf(text, sizeof(text), "/proc/self/fd/%d", fd);
	fd = ASSERT_OK(open(text, O_RDONLY));
	EXPECT_EQ(read(fd, c, 4), 1);
}
