/*
 * What bombs_test.py runs inside: takes as much of one thing as it gets, says how much that was and
 * why it got no more ("armed COUNT ERRNO"), and holds on to it until it is killed. A second
 * argument bounds the count, so that a limit that fails does no harm to the machine.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <netinet/in.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static long bound;
static const char *dir;

/* Each takes one more; -1 with errno if it got none. */
static int one_pipe(long i)
{
	int p[2];

	return pipe(p);
}

static int one_socket(long i)
{
	return socket(AF_INET, SOCK_STREAM, 0) < 0 ? -1 : 0;
}

static int one_unix(long i)
{
	int sv[2];

	return socketpair(AF_UNIX, SOCK_DGRAM, 0, sv);
}

static int one_epoll(long i)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int fd = epoll_create1(0);

	return fd < 0 ? -1 : epoll_ctl(fd, EPOLL_CTL_ADD, 0, &ev) < 0 && errno != EPERM ? -1 : 0;
}

static int one_eventfd(long i)
{
	return eventfd(0, 0) < 0 ? -1 : 0;
}

static int one_timerfd(long i)
{
	struct itimerspec its = {.it_value = {.tv_sec = 1000 + i}};
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);

	return fd < 0 ? -1 : timerfd_settime(fd, 0, &its, NULL);
}

static int one_memfd(long i)
{
	int fd = memfd_create("bomb", 0);

	return fd < 0 || write(fd, "x", 1) != 1 ? -1 : 0;
}

static int one_file(long i)
{
	char name[512];
	int fd;

	snprintf(name, sizeof(name), "%s/f%ld", dir, i);
	fd = open(name, O_RDWR | O_CREAT, 0600);
	return fd < 0 ? -1 : 0;
}

static int one_hostfile(long i)
{
	return open("/proc/self/exe", O_RDONLY) < 0 ? -1 : 0;
}

static int one_inotify(long i)
{
	return inotify_init1(0) < 0 ? -1 : 0;
}

static int one_watch(long i)
{
	static int fd = -1;
	char name[512];

	if (fd < 0)
		fd = inotify_init1(0);
	snprintf(name, sizeof(name), "%s/w%ld", dir, i);
	if (fd < 0 || mkdir(name, 0700) < 0)
		return -1;
	return inotify_add_watch(fd, name, IN_ALL_EVENTS) < 0 ? -1 : 0;
}

static int one_pty(long i)
{
	return posix_openpt(O_RDWR | O_NOCTTY) < 0 ? -1 : 0;
}

static int one_timer(long i)
{
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 1};
	struct itimerspec its = {.it_value = {.tv_sec = 5000 + i % 100}};
	timer_t t;

	return timer_create(CLOCK_MONOTONIC, &ev, &t) < 0 ? -1 : timer_settime(t, 0, &its, NULL);
}

static int one_signal(long i)
{
	sigset_t set;

	sigfillset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	return sigqueue(getpid(), SIGRTMIN + 2, (union sigval){.sival_int = (int)i});
}

static int one_map(long i)
{
	int prot = i & 1 ? PROT_READ : PROT_READ | PROT_WRITE;
	void *p = mmap(NULL, 4096, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return -1;
	if (prot & PROT_WRITE)
		*(volatile char *)p = 1;
	return 0;
}

static int one_fork(long i)
{
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	return pid < 0 ? -1 : 0;
}

static void *sleeper(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static int one_thread(long i)
{
	static pthread_attr_t attr;
	pthread_t t;
	int r;

	if (i == 0) {
		pthread_attr_init(&attr);
		pthread_attr_setstacksize(&attr, 16384);
	}
	r = pthread_create(&t, &attr, sleeper, NULL);
	errno = r;
	return r ? -1 : 0;
}

static int one_fill(long i)
{
	static char buf[1 << 20];
	static int fd = -1;
	char name[512];

	if (fd < 0) {
		snprintf(name, sizeof(name), "%s/fill", dir);
		fd = open(name, O_RDWR | O_CREAT, 0600);
		memset(buf, 'x', sizeof(buf));
	}
	return write(fd, buf, sizeof(buf)) == sizeof(buf) ? 0 : -1;
}

static int one_deep(long i)
{
	if (i == 0 && chdir(dir) < 0)
		return -1;
	return mkdir("d", 0700) < 0 || chdir("d") < 0 ? -1 : 0;
}

static int one_unread(long i)
{
	static int sv[2] = {-1, -1};
	static char buf[65536];

	if (sv[0] < 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv) < 0)
		return -1;
	if (write(sv[0], buf, sizeof(buf)) > 0)
		return 0;
	if (errno != EAGAIN)
		return -1;
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv);
}

static int one_flight(long i)
{
	static char buf[1];
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} u;
	static int sv[2] = {-1, -1};
	struct iovec iov = {buf, 1};
	struct msghdr m = {.msg_iov = &iov,
	                   .msg_iovlen = 1,
	                   .msg_control = u.buf,
	                   .msg_controllen = sizeof(u.buf)};
	struct cmsghdr *c;
	int fd = eventfd(0, 0);

	if (fd < 0 || (sv[0] < 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv) < 0))
		return -1;
	memset(&u, 0, sizeof(u));
	c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	if (sendmsg(sv[0], &m, 0) < 0) {
		if (errno != EAGAIN)
			return -1;
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv) < 0 ||
		    sendmsg(sv[0], &m, 0) < 0)
			return -1;
	}
	return close(fd);
}

static int one_hog(long i)
{
	char *p = mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return -1;
	memset(p, (int)i + 1, 4 << 20);
	return 0;
}

/* One that fills what it took without anybody's being asked. Tells of the one that died of it. */
static int one_sparse(long i)
{
	const size_t size = 1ul << 30;
	int status;
	pid_t pid;
	char *p;

	if (i == 1) {
		errno = EINTR;
		return -1;
	}
	pid = fork();
	if (pid == 0) {
		p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		for (size_t at = 0; p != MAP_FAILED && at < size; at += 2 << 20)
			p[at] = 1;
		for (size_t at = 0; p != MAP_FAILED && at < size; at += 4096)
			p[at] = 1;
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? 0 : -1;
}

/* Children that breed too. */
static int one_breed(long i)
{
	pid_t pid = fork();

	if (pid == 0) {
		for (;;)
			if (fork() < 0)
				usleep(200000);
	}
	return i == 20 || pid < 0 ? -1 : 0;
}

/* A terminal that nobody reads. */
static int one_silent(long i)
{
	static int tty = -1;
	static char buf[4096];
	int m;

	if (tty < 0) {
		m = posix_openpt(O_RDWR | O_NOCTTY);
		if (m < 0 || grantpt(m) < 0 || unlockpt(m) < 0)
			return -1;
		tty = open(ptsname(m), O_RDWR | O_NOCTTY | O_NONBLOCK);
		if (tty < 0)
			return -1;
	}
	return write(tty, buf, sizeof(buf)) > 0 ? 0 : -1;
}

/* Periodic timers whose signals nobody takes, and some that somebody does. */
static void on_timer(int signo)
{
}

static int one_firing(long i)
{
	int signo = i % 2 ? SIGRTMIN + 1 : SIGRTMIN + 3;
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = signo};
	struct itimerspec its = {{0, 5000000}, {0, 5000000}};
	struct sigaction sa = {.sa_handler = on_timer, .sa_flags = SA_RESTART};
	sigset_t set;
	timer_t t;

	if (i == 0) {
		sigaction(SIGRTMIN + 3, &sa, NULL);
		sigemptyset(&set);
		sigaddset(&set, SIGRTMIN + 1);
		/* Once its handler takes all there is of a period, no further timer would be armed:
		 * it stays out until all are. */
		sigaddset(&set, SIGRTMIN + 3);
		sigprocmask(SIG_BLOCK, &set, NULL);
	}
	return timer_create(CLOCK_MONOTONIC, &ev, &t) < 0 ? -1 : timer_settime(t, 0, &its, NULL);
}

/* Pipes with as much in them as they take. */
static int one_pipedata(long i)
{
	static char buf[65536];
	int p[2];

	if (pipe2(p, O_NONBLOCK) < 0)
		return -1;
	return write(p[1], buf, sizeof(buf)) > 0 ? 0 : -1;
}

/* The pipes are all there before anything goes into them. */
static int one_stuffed(long i)
{
	static char buf[65536];
	static int p[2000][2];

	if (i < 2000)
		return pipe2(p[i], O_NONBLOCK);
	return i < 4000 && write(p[i - 2000][1], buf, sizeof(buf)) > 0 ? 0 : -1;
}

static int one_locks(long i)
{
	static int fd = -1;
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = i * 2, .l_len = 1};
	char name[512];

	if (fd < 0) {
		snprintf(name, sizeof(name), "%s/locks", dir);
		fd = open(name, O_RDWR | O_CREAT, 0600);
	}
	return fcntl(fd, F_SETLK, &l);
}

static int one_xattr(long i)
{
	static char value[4096];
	char name[64], path[512];
	static int fd = -1;

	if (i % 8 == 0) {
		snprintf(path, sizeof(path), "%s/x%ld", dir, i);
		if (fd >= 0)
			close(fd);
		fd = open(path, O_RDWR | O_CREAT, 0600);
	}
	snprintf(name, sizeof(name), "user.n%ld", i);
	return fsetxattr(fd, name, value, sizeof(value), 0);
}

static const struct {
	const char *name;
	int (*one)(long i);
} bombs[] = {
#define B(n)                \
	{                   \
#n, one_##n \
	}
	B(breed),  B(deep),    B(epoll),  B(eventfd), B(file),     B(fill),
	B(firing), B(flight),  B(fork),   B(hog),     B(hostfile), B(inotify),
	B(locks),  B(map),     B(memfd),  B(pipe),    B(pipedata), B(pty),
	B(signal), B(silent),  B(socket), B(sparse),  B(stuffed),  B(thread),
	B(timer),  B(timerfd), B(unix),   B(unread),  B(watch),    B(xattr),
};

int main(int argc, char **argv)
{
	struct rlimit fds;
	sigset_t set;
	long i = 0;

	if (argc < 4)
		return 2;
	bound = atol(argv[2]);
	dir = argv[3];
	if (getrlimit(RLIMIT_NOFILE, &fds) == 0) {
		fds.rlim_cur = fds.rlim_max = 1048576;
		if (setrlimit(RLIMIT_NOFILE, &fds) < 0)
			getrlimit(RLIMIT_NOFILE, &fds);
		fds.rlim_cur = fds.rlim_max;
		setrlimit(RLIMIT_NOFILE, &fds);
	}
	for (size_t k = 0; k < ARRAY_SIZE(bombs); k++) {
		if (strcmp(bombs[k].name, argv[1]) != 0)
			continue;
		errno = 0;
		while (i < bound && bombs[k].one(i) == 0) {
			errno = 0;
			i++;
		}
		printf("armed %ld %s\n", i,
		       strcmp(argv[1], "sparse") == 0 && errno == EINTR ? "SIGKILL"
		       : errno                                          ? strerrorname_np(errno)
		                                                        : "bound");
		fflush(stdout);
		sigemptyset(&set);
		sigaddset(&set, SIGRTMIN + 3);
		sigprocmask(SIG_UNBLOCK, &set, NULL);
		for (;;)
			pause();
	}
	return 2;
}
