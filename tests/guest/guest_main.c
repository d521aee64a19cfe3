#include "tests/guest/guest_test.h"

#include <ftw.h>
#include <grp.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/utsname.h>

struct guest_shared {
	atomic_int fails;
	atomic_int marks;
	atomic_int skips;
	char tmp[256];
};

static struct guest_case *first_case;
static struct guest_role *first_role;
static struct guest_shared local_shared;
static struct guest_shared *shared = &local_shared;
static char self_path[PATH_MAX];
static int cross_at; /* which marked point waits for a checkpoint; 0: none */

enum {
	CROSS_ALL = -1
};

void guest_add_case(struct guest_case *c)
{
	struct guest_case **p = &first_case;

	while (*p)
		p = &(*p)->next;
	*p = c;
}

void guest_add_role(struct guest_role *r)
{
	r->next = first_role;
	first_role = r;
}

static void out(const char *fmt, ...)
{
	char buf[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	if (write(1, buf, (size_t)n) != n)
		_exit(3);
}

void guest_fail(const char *file, int line, const char *fmt, ...)
{
	char buf[1024];
	const char *base = strrchr(file, '/');
	int saved = errno, n;
	va_list ap;

	atomic_fetch_add(&shared->fails, 1);
	n = snprintf(buf, sizeof(buf), "%s:%d: ", base ? base + 1 : file, line);
	va_start(ap, fmt);
	n += vsnprintf(buf + n, sizeof(buf) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	if (n > (int)sizeof(buf) - 2)
		n = (int)sizeof(buf) - 2;
	buf[n++] = '\n';
	if (write(2, buf, (size_t)n) < 0)
		_exit(1);
	errno = saved;
}

void guest_skip(const char *why)
{
	atomic_fetch_add(&shared->skips, 1);
	dprintf(2, "skip: %s\n", why);
	_exit(GUEST_SKIPPED);
}

/* The runner checkpoints when it sees the line, and restores with one byte to read on standard
 * input. */
static void cross_wait(void)
{
	struct pollfd p = {0, POLLIN, 0};
	int64_t end = guest_now(CLOCK_MONOTONIC) + 30000000000ll;
	char c;

	out("@save@\n");
	while (guest_now(CLOCK_MONOTONIC) < end) {
		p.revents = 0;
		if (poll(&p, 1, 50) <= 0)
			continue;
		if (p.revents & POLLNVAL)
			guest_sleep_ms(300);
		else if (read(0, &c, 1) < 0 && errno == EINTR)
			continue;
		break;
	}
}

void guest_save(void)
{
	int saved = errno;
	int n = atomic_fetch_add(&shared->marks, 1) + 1;

	if (n == cross_at || cross_at == CROSS_ALL)
		cross_wait();
	else
		syscall(SYS_init_module, NULL, 0, NULL);
	errno = saved;
}

bool guest_in_sandbox(void)
{
	struct utsname u;

	return uname(&u) == 0 && strstr(u.release, "-stasis");
}

const char *guest_tmp(void)
{
	const char *base = getenv("GUEST_TMP");

	if (!shared->tmp[0]) {
		char path[200];

		snprintf(path, sizeof(path), "%s/guest.XXXXXX", base ? base : "/tmp");
		if (!mkdtemp(path)) {
			guest_fail(__FILE__, __LINE__, "mkdtemp %s: errno %d", path, errno);
			_exit(1);
		}
		strcpy(shared->tmp, path);
	}
	return shared->tmp;
}

const char *guest_path(const char *name)
{
	static _Thread_local char(*bufs)[PATH_MAX]; /* not in TLS: threads may have small stacks */
	static _Thread_local unsigned next;
	char *b;

	if (!bufs && !(bufs = calloc(16, PATH_MAX)))
		_exit(1);
	b = bufs[next++ % 16];
	snprintf(b, PATH_MAX, "%s/%s", guest_tmp(), name);
	return b;
}

const char *guest_self(void)
{
	return self_path;
}

void guest_drop_root(void)
{
	guest_tmp();
	if (geteuid() != 0)
		return;
	if (chown(shared->tmp, 65534, 65534) < 0 || setgroups(0, NULL) < 0 ||
	    setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
		guest_skip("may not become another user");
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

int64_t guest_now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

void guest_sleep_ms(int ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000l};

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

void guest_wait_blocked(pid_t tid)
{
	char path[64], text[512];

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	if (access(path, R_OK) < 0)
		snprintf(path, sizeof(path), "/proc/%d/stat", tid);
	for (int i = 0; i < 1000; i++) {
		char *p;

		if (guest_read_file(path, text, sizeof(text)) <= 0) {
			guest_sleep_ms(20);
			return;
		}
		p = strrchr(text, ')');
		if (p && p[1] == ' ' && p[2] != 'R')
			break;
		guest_sleep_ms(1);
	}
	/* It may have slept in a step before the one that is meant. */
	guest_sleep_ms(3);
}

void guest_pester_with(pid_t target, int sig)
{
	for (;;) {
		guest_wait_blocked(target);
		if (kill(target, sig) < 0)
			_exit(1);
		guest_sleep_ms(20);
	}
}

pid_t guest_pester(int sig)
{
	pid_t target = getpid(), pid = guest_fork();

	if (pid == 0)
		guest_pester_with(target, sig);
	return pid;
}

void guest_pester_end(pid_t pid)
{
	kill(pid, SIGKILL);
	EXPECT_EQ(guest_reap(pid), 1000 + SIGKILL);
}

pid_t guest_fork(void)
{
	pid_t pid = fork();

	if (pid < 0) {
		guest_fail(__FILE__, __LINE__, "fork: errno %d", errno);
		_exit(1);
	}
	return pid;
}

int guest_reap(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR) {
			guest_fail(__FILE__, __LINE__, "waitpid: errno %d", errno);
			return -1;
		}
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

int guest_in_child(void (*fn)(void *), void *arg)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		fn(arg);
		_exit(0);
	}
	return guest_reap(pid);
}

void guest_gate_init(struct guest_gate *g)
{
	if (pipe2(g->fd, O_CLOEXEC) < 0) {
		guest_fail(__FILE__, __LINE__, "pipe2: errno %d", errno);
		_exit(1);
	}
}

void guest_gate_open(struct guest_gate *g)
{
	if (write(g->fd[1], "g", 1) != 1)
		guest_fail(__FILE__, __LINE__, "gate: errno %d", errno);
}

void guest_gate_wait(struct guest_gate *g)
{
	char c;
	ssize_t r;

	do
		r = read(g->fd[0], &c, 1);
	while (r < 0 && errno == EINTR);
	if (r != 1)
		guest_fail(__FILE__, __LINE__, "gate: %zd, errno %d", r, errno);
}

ssize_t guest_read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t n = 0;

	if (fd < 0)
		return -1;
	while (n < size - 1) {
		ssize_t r = read(fd, buf + n, size - 1 - n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			break;
		n += (size_t)r;
	}
	buf[n] = 0;
	close(fd);
	return (ssize_t)n;
}

void guest_write_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	size_t len = strlen(text);

	if (fd < 0 || write(fd, text, len) != (ssize_t)len) {
		guest_fail(__FILE__, __LINE__, "writing %s: errno %d", path, errno);
		_exit(1);
	}
	close(fd);
}

static void *map(size_t len, int flags)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		guest_fail(__FILE__, __LINE__, "mmap: errno %d", errno);
		_exit(1);
	}
	return p;
}

void *guest_map(size_t len, int extra_flags)
{
	return map(len, MAP_PRIVATE | extra_flags);
}

void *guest_map_shared(size_t len)
{
	return map(len, MAP_SHARED);
}

static int open_dir_up(const char *path, const struct stat *st, int type, struct FTW *f)
{
	if (type == FTW_D || type == FTW_DNR)
		chmod(path, 0700);
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
	remove(path);
	return 0;
}

static void remove_tmp(void)
{
	if (!shared->tmp[0])
		return;
	nftw(shared->tmp, open_dir_up, 16, FTW_PHYS);
	nftw(shared->tmp, remove_one, 16, FTW_PHYS | FTW_DEPTH);
	shared->tmp[0] = 0;
}

static bool run_case(const struct guest_case *c)
{
	int status;
	bool good;
	pid_t pid;

	atomic_store(&shared->fails, 0);
	pid = guest_fork();
	if (pid == 0) {
		c->fn();
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	remove_tmp();
	good = atomic_load(&shared->fails) == 0 && WIFEXITED(status);
	if (good && WEXITSTATUS(status) == GUEST_SKIPPED) {
		out("skip %s\n", c->name);
		return true;
	}
	good = good && WEXITSTATUS(status) == 0;
	out("%s %s\n", good ? "ok" : "not ok", c->name);
	if (WIFSIGNALED(status))
		dprintf(2, "%s: killed by signal %d\n", c->name, WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		dprintf(2, "%s: exit status %d\n", c->name, WEXITSTATUS(status));
	return good;
}

static const struct guest_role *find_role(int argc, char **argv)
{
	for (int i = 0; i < 2 && i < argc; i++) {
		if (strncmp(argv[i], "role:", 5) != 0)
			continue;
		for (const struct guest_role *r = first_role; r; r = r->next)
			if (strcmp(r->name, argv[i] + 5) == 0)
				return r;
	}
	return NULL;
}

/* Arguments are names of the cases to run; none: all. */
int main(int argc, char **argv)
{
	const struct guest_role *role = find_role(argc, argv);
	const char *cross = getenv("GUEST_CROSS");
	ssize_t n = readlink("/proc/self/exe", self_path, sizeof(self_path) - 1);
	bool good = true;
	sigset_t none;

	if (n <= 0 && argc > 0 && !realpath(argv[0], self_path))
		self_path[0] = 0;
	if (role)
		return role->fn(argc, argv);
	shared = map(sizeof(*shared), MAP_SHARED);
	if (cross)
		cross_at = strcmp(cross, "all") == 0 ? CROSS_ALL : atoi(cross);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* Whoever runs the tests may ignore some (nohup). */
	for (int sig = 1; sig < SIGRTMIN; sig++)
		signal(sig, SIG_DFL);
	umask(022);
	for (const struct guest_case *c = first_case; c; c = c->next) {
		bool wanted = argc < 2;

		for (int i = 1; i < argc; i++)
			wanted |= strcmp(argv[i], c->name) == 0;
		if (wanted)
			good &= run_case(c);
	}
	out("marked points %d\n", atomic_load(&shared->marks));
	return good ? 0 : 1;
}
