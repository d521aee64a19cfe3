#include "tests/guest/guest_test.h"

#include <dirent.h>
#include <elf.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>

/* /proc/self as libc, ps, python and debuggers parse it. */

static char text[1 << 17];

static void slurp(const char *path)
{
	ASSERT_TRUE(guest_read_file(path, text, sizeof(text)) >= 0);
}

/* The value of a "Key:\tvalue" line. */
static const char *field(const char *key)
{
	static char value[256];
	size_t len = strlen(key);

	for (char *line = text; line && *line; line = strchr(line, '\n')) {
		if (*line == '\n')
			line++;
		if (strncmp(line, key, len) == 0 && line[len] == ':') {
			line += len + 1;
			line += strspn(line, " \t");
			snprintf(value, sizeof(value), "%.*s", (int)strcspn(line, "\n"), line);
			return value;
		}
	}
	guest_fail(__FILE__, __LINE__, "no %s in status", key);
	return "";
}

GUEST_TEST(stat_line)
{
	char comm[64], state, *close;
	long v[50] = {0};
	int pid, n = 0;

	prctl(PR_SET_NAME, "a) b (c");
	slurp("/proc/self/stat");
	close = strrchr(text, ')');
	ASSERT_TRUE(close != NULL);
	EXPECT_EQ(sscanf(text, "%d (%63[^\n]", &pid, comm), 2);
	EXPECT_EQ(pid, getpid());
	EXPECT_EQ(strncmp(comm, "a) b (c)", 8), 0);
	EXPECT_EQ(sscanf(close, ") %c %n", &state, &n), 1);
	EXPECT_EQ(state, 'R');
	close += n;
	n = 0;
	for (char *tok = strtok(close, " \n"); tok && n < 50; tok = strtok(NULL, " \n"))
		v[n++] = strtol(tok, NULL, 10);
	EXPECT_EQ(n, 49); /* fields 4 to 52 */
	EXPECT_EQ(v[0], getppid());
	EXPECT_EQ(v[1], getpgrp());
	EXPECT_EQ(v[2], getsid(0));
	EXPECT_EQ(v[16], 1); /* num_threads */
	EXPECT_GT(v[18], 0); /* starttime */
	EXPECT_GT(v[19], 0); /* vsize */
	EXPECT_GT(v[20], 0); /* rss */
}

GUEST_TEST(status_fields)
{
	char want[64];

	prctl(PR_SET_NAME, "namedone");
	umask(027);
	MAYBE_SAVE();
	slurp("/proc/self/status");
	EXPECT_STREQ(field("Name"), "namedone");
	EXPECT_STREQ(field("Umask"), "0027");
	EXPECT_EQ(field("State")[0], 'R');
	EXPECT_EQ(atoi(field("Tgid")), getpid());
	EXPECT_EQ(atoi(field("Pid")), getpid());
	EXPECT_EQ(atoi(field("PPid")), getppid());
	EXPECT_EQ(atoi(field("TracerPid")), 0);
	snprintf(want, sizeof(want), "%d\t%d\t%d\t%d", getuid(), geteuid(), geteuid(), geteuid());
	EXPECT_STREQ(field("Uid"), want);
	EXPECT_EQ(atoi(field("Threads")), 1);
	EXPECT_GT(atol(field("VmSize")), 0);
	EXPECT_GT(atol(field("VmRSS")), 0);
	EXPECT_EQ(strlen(field("SigBlk")), 16);
	EXPECT_EQ(strlen(field("CapEff")), 16);
	EXPECT_EQ(atoi(field("NoNewPrivs")), 0);
	EXPECT_TRUE(strlen(field("Cpus_allowed_list")) > 0);
}

GUEST_TEST(signal_sets_in_status)
{
	sigset_t set;

	signal(SIGUSR1, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	kill(getpid(), SIGTERM);
	raise(SIGUSR2);
	slurp("/proc/self/status");
	EXPECT_STREQ(field("SigIgn"), "0000000000000200");
	EXPECT_STREQ(field("SigBlk"), "0000000000004800");
	EXPECT_STREQ(field("ShdPnd"), "0000000000004000");
	EXPECT_STREQ(field("SigPnd"), "0000000000000800");
}

GUEST_TEST(cmdline_and_comm)
{
	const char *base = strrchr(guest_self(), '/') + 1;
	char want[16];
	ssize_t n = guest_read_file("/proc/self/cmdline", text, sizeof(text));

	EXPECT_GT(n, 1);
	EXPECT_EQ(text[n - 1], 0);
	EXPECT_TRUE(strstr(text, base) != NULL);
	slurp("/proc/self/comm");
	snprintf(want, sizeof(want), "%.14s", base);
	EXPECT_EQ(strncmp(text, want, 14), 0);
	EXPECT_EQ(text[strlen(text) - 1], '\n');
	guest_write_file("/proc/self/comm", "renamed", 0);
	slurp("/proc/self/comm");
	EXPECT_STREQ(text, "renamed\n");
}

GUEST_ROLE(show_cmdline)
{
	static const char want[] = "x\0role:show_cmdline\0\0y z";
	ssize_t n = guest_read_file("/proc/self/cmdline", text, sizeof(text));

	if (n != sizeof(want) || memcmp(text, want, sizeof(want)) != 0)
		return 1;
	n = guest_read_file("/proc/self/environ", text, sizeof(text));
	return n == 8 && memcmp(text, "A=1\0B=2\0", 8) == 0 ? 0 : 2;
}

GUEST_TEST(cmdline_and_environ_after_exec)
{
	char *argv[] = {(char *)"x", (char *)"role:show_cmdline", (char *)"", (char *)"y z", NULL};
	char *envp[] = {(char *)"A=1", (char *)"B=2", NULL};
	pid_t pid = guest_fork();

	if (pid == 0) {
		execve(guest_self(), argv, envp);
		_exit(100);
	}
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(links)
{
	char buf[4096] = "", cwd[4096];

	EXPECT_GT(readlink("/proc/self/exe", buf, sizeof(buf) - 1), 0);
	EXPECT_STREQ(buf, guest_self());
	ASSERT_OK(chdir(guest_tmp()));
	MAYBE_SAVE();
	memset(buf, 0, sizeof(buf));
	EXPECT_GT(readlink("/proc/self/cwd", buf, sizeof(buf) - 1), 0);
	ASSERT_TRUE(getcwd(cwd, sizeof(cwd)) != NULL);
	EXPECT_STREQ(buf, cwd);
	memset(buf, 0, sizeof(buf));
	EXPECT_GT(readlink("/proc/self/root", buf, sizeof(buf) - 1), 0);
	EXPECT_STREQ(buf, "/");
	memset(buf, 0, sizeof(buf));
	EXPECT_GT(readlink("/proc/self", buf, sizeof(buf) - 1), 0);
	EXPECT_EQ(atoi(buf), getpid());
	memset(buf, 0, sizeof(buf));
	EXPECT_GT(readlink("/proc/thread-self", buf, sizeof(buf) - 1), 0);
	EXPECT_TRUE(strstr(buf, "/task/") != NULL);
	EXPECT_OK(access("/proc/self/exe", X_OK));
}

GUEST_TEST(fd_directory)
{
	char path[64], link[256] = "";
	int fds[2], fd = ASSERT_OK(open(guest_path("name"), O_RDWR | O_CREAT, 0644));
	bool seen[2] = {false, false};
	struct dirent *e;
	struct stat st;
	DIR *d;

	ASSERT_OK(pipe(fds));
	d = opendir("/proc/self/fd");
	ASSERT_TRUE(d != NULL);
	while ((e = readdir(d))) {
		seen[0] |= atoi(e->d_name) == fd;
		seen[1] |= atoi(e->d_name) == fds[1];
	}
	closedir(d);
	EXPECT_TRUE(seen[0] && seen[1]);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	EXPECT_GT(readlink(path, link, sizeof(link) - 1), 0);
	EXPECT_STREQ(link, guest_path("name"));
	EXPECT_OK(lstat(path, &st));
	EXPECT_TRUE(S_ISLNK(st.st_mode));
	EXPECT_EQ(st.st_mode & 0700, 0700);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[0]);
	memset(link, 0, sizeof(link));
	EXPECT_GT(readlink(path, link, sizeof(link) - 1), 0);
	EXPECT_EQ(strncmp(link, "pipe:[", 6), 0);
	ASSERT_OK(unlink(guest_path("name")));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	memset(link, 0, sizeof(link));
	EXPECT_GT(readlink(path, link, sizeof(link) - 1), 0);
	EXPECT_TRUE(strstr(link, " (deleted)") != NULL);
	EXPECT_ERRNO(readlink("/proc/self/fd/999", link, 10), ENOENT);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	ASSERT_OK(lseek(fd, 17, SEEK_SET));
	slurp(path);
	EXPECT_EQ(atoi(field("pos")), 17);
	EXPECT_EQ(strtol(field("flags"), NULL, 8) & O_ACCMODE, O_RDWR);
}

static struct guest_gate gate;

static void *idle(void *arg)
{
	prctl(PR_SET_NAME, "idler");
	guest_gate_open(arg);
	guest_gate_wait(&gate);
	return NULL;
}

GUEST_TEST(task_directory)
{
	struct guest_gate ready;
	struct dirent *e;
	int threads = 0, idlers = 0;
	pthread_t t[3];
	DIR *d;

	guest_gate_init(&gate);
	guest_gate_init(&ready);
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(pthread_create(&t[i], NULL, idle, &ready), 0);
		guest_gate_wait(&ready);
	}
	MAYBE_SAVE();
	d = opendir("/proc/self/task");
	ASSERT_TRUE(d != NULL);
	while ((e = readdir(d))) {
		char path[300];

		if (e->d_name[0] == '.')
			continue;
		threads++;
		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", e->d_name);
		slurp(path);
		idlers += strcmp(text, "idler\n") == 0;
	}
	closedir(d);
	EXPECT_EQ(threads, 4);
	EXPECT_EQ(idlers, 3);
	slurp("/proc/self/status");
	EXPECT_EQ(atoi(field("Threads")), 4);
	for (int i = 0; i < 3; i++)
		guest_gate_open(&gate);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
}

GUEST_TEST(limits)
{
	struct rlimit rl = {123, 456};
	char *line;
	long soft, hard;

	ASSERT_OK(setrlimit(RLIMIT_NOFILE, &rl));
	slurp("/proc/self/limits");
	EXPECT_EQ(strncmp(text, "Limit ", 6), 0);
	line = strstr(text, "Max open files");
	ASSERT_TRUE(line != NULL);
	EXPECT_EQ(sscanf(line + 14, "%ld %ld", &soft, &hard), 2);
	EXPECT_EQ(soft, 123);
	EXPECT_EQ(hard, 456);
	EXPECT_TRUE(strstr(text, "Max stack size") != NULL);
	EXPECT_TRUE(strstr(text, "unlimited") != NULL);
}

GUEST_TEST(statm)
{
	long size, resident, shared;

	slurp("/proc/self/statm");
	EXPECT_EQ(sscanf(text, "%ld %ld %ld", &size, &resident, &shared), 3);
	EXPECT_GT(size, 0);
	EXPECT_GT(resident, 0);
	EXPECT_GE(size, resident);
}

GUEST_TEST(auxv_file)
{
	ssize_t n = guest_read_file("/proc/self/auxv", text, sizeof(text));
	Elf64_auxv_t *av = (Elf64_auxv_t *)text;
	bool pagesz = false;

	EXPECT_EQ(n % (ssize_t)sizeof(*av), 0);
	for (; av->a_type != AT_NULL; av++)
		pagesz |= av->a_type == AT_PAGESZ && av->a_un.a_val == 4096;
	EXPECT_TRUE(pagesz);
}

GUEST_TEST(other_processes)
{
	struct guest_gate g;
	char path[64];
	pid_t pid;

	guest_gate_init(&g);
	pid = guest_fork();
	if (pid == 0) {
		guest_gate_wait(&g);
		_exit(0);
	}
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	slurp(path);
	EXPECT_EQ(atoi(field("PPid")), getpid());
	guest_wait_blocked(pid);
	slurp(path);
	EXPECT_EQ(field("State")[0], 'S');
	kill(pid, SIGSTOP);
	waitpid(pid, NULL, WUNTRACED);
	MAYBE_SAVE();
	slurp(path);
	EXPECT_EQ(field("State")[0], 'T');
	kill(pid, SIGCONT);
	guest_gate_open(&g);
	waitid(P_PID, (id_t)pid, NULL, WEXITED | WNOWAIT);
	slurp(path);
	EXPECT_EQ(field("State")[0], 'Z');
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_ERRNO(open(path, O_RDONLY), ENOENT);
}

/* ---- io, coredump_filter ---- */

struct io {
	long rchar, wchar, syscr, syscw;
};

static struct io read_io(const char *path)
{
	struct io io = {0};

	slurp(path);
	EXPECT_EQ(sscanf(text, "rchar: %ld wchar: %ld syscr: %ld syscw: %ld", &io.rchar, &io.wchar,
	                 &io.syscr, &io.syscw),
	          4);
	return io;
}

/* Bytes of reads and writes, of threads and children that are gone too. */
static void *write_some(void *arg)
{
	int fd = *(int *)arg;

	EXPECT_EQ(write(fd, "12345", 5), 5);
	return NULL;
}

GUEST_TEST(io_is_counted)
{
	int fd = ASSERT_OK(open(guest_path("f"), O_RDWR | O_CREAT, 0600));
	struct io a = read_io("/proc/self/io"), b;
	char buf[3000] = "";
	pthread_t t;
	pid_t pid;

	EXPECT_EQ(write(fd, buf, 3000), 3000);
	EXPECT_EQ(pwrite(fd, buf, 1000, 0), 1000);
	EXPECT_ERRNO(write(-1, buf, 10), EBADF);
	MAYBE_SAVE();
	EXPECT_EQ(pthread_create(&t, NULL, write_some, &fd), 0);
	EXPECT_EQ(pthread_join(t, NULL), 0);
	pid = ASSERT_OK(fork());
	if (pid == 0) {
		write_some(&fd);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	b = read_io("/proc/self/io");
	EXPECT_EQ(b.wchar - a.wchar, 4010);
	EXPECT_EQ(b.syscw - a.syscw, 4);
	a = b;
	MAYBE_SAVE();
	EXPECT_EQ(pread(fd, buf, 100, 0), 100);
	EXPECT_EQ(lseek(fd, 0, SEEK_SET), 0);
	EXPECT_EQ(read(fd, buf, 50), 50);
	b = read_io("/proc/self/io");
	/* What was read of io itself comes on top. */
	EXPECT_GT(b.rchar - a.rchar, 150);
	EXPECT_LT(b.rchar - a.rchar, 150 + 512);
	EXPECT_GE(b.syscr - a.syscr, 3);
	EXPECT_EQ(b.wchar, a.wchar);
	a = read_io("/proc/thread-self/io");
	EXPECT_LE(a.wchar, b.wchar - 10);
}

static long dump_filter(void)
{
	slurp("/proc/self/coredump_filter");
	return strtol(text, NULL, 16);
}

static long set_dump_filter(const char *to)
{
	int fd = ASSERT_OK(open("/proc/self/coredump_filter", O_WRONLY));
	long r = write(fd, to, strlen(to));
	int e = errno;

	close(fd);
	errno = e;
	return r;
}

GUEST_TEST(coredump_filter)
{
	pid_t pid;

	EXPECT_EQ(set_dump_filter("0x7"), 3);
	EXPECT_EQ(dump_filter(), 7);
	MAYBE_SAVE();
	EXPECT_EQ(dump_filter(), 7);
	pid = ASSERT_OK(fork());
	if (pid == 0) {
		EXPECT_EQ(dump_filter(), 7);
		EXPECT_EQ(set_dump_filter("51"), 2);
		EXPECT_EQ(dump_filter(), 0x33);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(dump_filter(), 7);
	EXPECT_EQ(set_dump_filter("0xfff"), 5);
	EXPECT_EQ(dump_filter(), 0x1ff);
	EXPECT_ERRNO(set_dump_filter("x"), EINVAL);
}
