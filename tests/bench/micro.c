/*
 * Costs of single operations, for micro.py: `micro NAME` prints the median of BATCHES batches, of
 * about 0.2 s together, in ns, or in MiB/s for what moves bytes; `micro list` names all with their
 * unit. Any failure of the operation ends the program with 1, never with a number.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BATCHES  21
#define TOTAL_NS 200000000u
#define CHUNK    65536
#define PAGE     4096
#define FILES    64  /* in the directory that is created in and unlinked from */
#define AREA     512 /* pages that are touched in a row */

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* What one operation costs; it times itself, so that what prepares it stays out of the number. */
struct op {
	const char *name;
	bool bytes; /* each of the n moves CHUNK bytes: told in MiB/s */
	void (*setup)(void);
	uint64_t (*run)(long n); /* the ns that n of them took */
	void (*finish)(void);
};

/* Two ends of a connection: what is written to out of one side is read from in of the other. */
struct end {
	int in, out;
};

static struct end g_near, g_far;
static pid_t g_child;
static char g_buf[CHUNK];
static char g_dir[64];

static void connect_pipe(void)
{
	int there[2], back[2];

	must(pipe(there) == 0 && pipe(back) == 0, "pipe");
	g_near = (struct end){back[0], there[1]};
	g_far = (struct end){there[0], back[1]};
}

static void connect_unix(void)
{
	int s[2];

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0, "socketpair");
	g_near = (struct end){s[0], s[0]};
	g_far = (struct end){s[1], s[1]};
}

static void connect_tcp(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int one = 1, l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), s;

	must(l >= 0 && c >= 0, "socket");
	must(bind(l, (struct sockaddr *)&a, len) == 0 && listen(l, 1) == 0, "listen");
	must(getsockname(l, (struct sockaddr *)&a, &len) == 0, "getsockname");
	must(connect(c, (struct sockaddr *)&a, len) == 0, "connect");
	s = accept(l, NULL, NULL);
	must(s >= 0, "accept");
	must(setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0 &&
	             setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0,
	     "TCP_NODELAY");
	close(l);
	g_near = (struct end){c, c};
	g_far = (struct end){s, s};
}

static void close_end(struct end e)
{
	close(e.in);
	if (e.out != e.in)
		close(e.out);
}

/* Forks who serves the far end until the near one is closed. */
static void serve(void (*server)(void))
{
	g_child = fork();
	must(g_child >= 0, "fork");
	if (g_child == 0) {
		close_end(g_near);
		server();
		_exit(0);
	}
	close_end(g_far);
}

static void hang_up(void)
{
	int status;

	close_end(g_near);
	must(waitpid(g_child, &status, 0) == g_child && status == 0, "the other process");
}

static void echo(void)
{
	char c;
	ssize_t r;

	while ((r = read(g_far.in, &c, 1)) == 1)
		must(write(g_far.out, &c, 1) == 1, "echo");
	must(r == 0, "read");
}

/* Reads all; a byte goes back when the last CHUNK of a batch has arrived whole. */
static void drain(void)
{
	size_t have = 0;
	ssize_t r;

	while ((r = read(g_far.in, g_buf, CHUNK)) > 0)
		for (have += (size_t)r; have >= CHUNK; have -= CHUNK)
			if (g_buf[0] == 'e')
				must(write(g_far.out, "k", 1) == 1, "acknowledge");
	must(r == 0, "read");
}

static void setup_rt_pipe(void)
{
	connect_pipe();
	serve(echo);
}

static void setup_rt_unix(void)
{
	connect_unix();
	serve(echo);
}

static void setup_rt_tcp(void)
{
	connect_tcp();
	serve(echo);
}

static void setup_bw_pipe(void)
{
	connect_pipe();
	serve(drain);
}

static void setup_bw_unix(void)
{
	connect_unix();
	serve(drain);
}

static void setup_bw_tcp(void)
{
	connect_tcp();
	serve(drain);
}

static uint64_t run_round_trip(long n)
{
	uint64_t start = now_ns();
	char c = 'x';

	for (long i = 0; i < n; i++)
		must(write(g_near.out, &c, 1) == 1 && read(g_near.in, &c, 1) == 1, "round trip");
	return now_ns() - start;
}

/* The time runs until the reader has it all: what only waits in a buffer was not moved. */
static uint64_t run_throughput(long n)
{
	uint64_t start = now_ns();
	char c;

	for (long i = 0; i < n; i++) {
		size_t at = 0;

		/* The last is of other bytes throughout: no read that ends it begins before it. */
		if (i == 0 || i == n - 1)
			memset(g_buf, i == n - 1 ? 'e' : 'd', CHUNK);
		while (at < CHUNK) {
			ssize_t w = write(g_near.out, g_buf + at, CHUNK - at);

			must(w > 0, "write");
			at += (size_t)w;
		}
	}
	must(read(g_near.in, &c, 1) == 1, "acknowledgement");
	return now_ns() - start;
}

static uint64_t run_getppid(long n)
{
	uint64_t start = now_ns();

	for (long i = 0; i < n; i++)
		syscall(SYS_getppid);
	return now_ns() - start;
}

static void reap(pid_t pid)
{
	int status;

	must(pid > 0, "fork");
	must(waitpid(pid, &status, 0) == pid && status == 0, "wait");
}

static uint64_t run_fork(long n)
{
	uint64_t start = now_ns();

	for (long i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		reap(pid);
	}
	return now_ns() - start;
}

static uint64_t run_exec(long n)
{
	uint64_t start = now_ns();

	for (long i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			execl("/bin/true", "true", (char *)NULL);
			_exit(127);
		}
		reap(pid);
	}
	return now_ns() - start;
}

static void *nothing(void *arg)
{
	return arg;
}

static uint64_t run_thread(long n)
{
	uint64_t start = now_ns();

	for (long i = 0; i < n; i++) {
		pthread_t t;

		must(pthread_create(&t, NULL, nothing, NULL) == 0 && pthread_join(t, NULL) == 0,
		     "thread");
	}
	return now_ns() - start;
}

static char *map(size_t pages)
{
	char *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
	               0);

	must(p != MAP_FAILED, "mmap");
	return p;
}

static uint64_t run_mmap(long n)
{
	uint64_t start = now_ns();

	for (long i = 0; i < n; i++) {
		char *p = map(1);

		*(volatile char *)p = 1;
		must(munmap(p, PAGE) == 0, "munmap");
	}
	return now_ns() - start;
}

/* Only the touches are timed. Without huge pages, where one touch would stand for 512. */
static uint64_t run_touch(long n)
{
	uint64_t took = 0;

	while (n > 0) {
		long pages = n < AREA ? n : AREA;
		char *p = map(AREA);
		uint64_t start;

		start = now_ns();
		for (long i = 0; i < pages; i++)
			((volatile char *)p)[i * PAGE] = 1;
		took += now_ns() - start;
		must(munmap(p, AREA * PAGE) == 0, "munmap");
		n -= pages;
	}
	return took;
}

static const char *file_name(long i)
{
	static char name[96];

	snprintf(name, sizeof(name), "%s/f%ld", g_dir, i);
	return name;
}

static void make_file(long i)
{
	int fd = open(file_name(i), O_WRONLY | O_CREAT | O_EXCL, 0600);

	must(fd >= 0 && close(fd) == 0, "create");
}

static void setup_dir(void)
{
	snprintf(g_dir, sizeof(g_dir), "micro.XXXXXX");
	must(mkdtemp(g_dir) != NULL, "mkdtemp");
}

static void setup_file(void)
{
	setup_dir();
	make_file(0);
}

static void finish_dir(void)
{
	must(rmdir(g_dir) == 0, "rmdir");
}

static void finish_file(void)
{
	must(unlink(file_name(0)) == 0, "unlink");
	finish_dir();
}

static uint64_t run_open(long n)
{
	const char *name = file_name(0);
	uint64_t start = now_ns();

	for (long i = 0; i < n; i++) {
		int fd = open(name, O_RDONLY);

		must(fd >= 0 && close(fd) == 0, "open");
	}
	return now_ns() - start;
}

static uint64_t run_stat(long n)
{
	const char *name = file_name(0);
	uint64_t start = now_ns();
	struct stat st;

	for (long i = 0; i < n; i++)
		must(stat(name, &st) == 0, "stat");
	return now_ns() - start;
}

/* Creates and unlinks n files, at most FILES at a time; the time of the one or the other. */
static uint64_t create_unlink(long n, bool creates)
{
	uint64_t took[2] = {0, 0};

	while (n > 0) {
		long files = n < FILES ? n : FILES;
		uint64_t start = now_ns(), between;

		for (long i = 0; i < files; i++)
			make_file(i);
		between = now_ns();
		for (long i = 0; i < files; i++)
			must(unlink(file_name(i)) == 0, "unlink");
		took[0] += between - start;
		took[1] += now_ns() - between;
		n -= files;
	}
	return took[creates ? 0 : 1];
}

static uint64_t run_create(long n)
{
	return create_unlink(n, true);
}

static uint64_t run_unlink(long n)
{
	return create_unlink(n, false);
}

static const struct op ops[] = {
	{"getppid", false, NULL, run_getppid, NULL},
	{"pipe-rt", false, setup_rt_pipe, run_round_trip, hang_up},
	{"unix-rt", false, setup_rt_unix, run_round_trip, hang_up},
	{"tcp-rt", false, setup_rt_tcp, run_round_trip, hang_up},
	{"pipe-bw", true, setup_bw_pipe, run_throughput, hang_up},
	{"unix-bw", true, setup_bw_unix, run_throughput, hang_up},
	{"tcp-bw", true, setup_bw_tcp, run_throughput, hang_up},
	{"fork", false, NULL, run_fork, NULL},
	{"exec", false, NULL, run_exec, NULL},
	{"thread", false, NULL, run_thread, NULL},
	{"mmap", false, NULL, run_mmap, NULL},
	{"touch", false, NULL, run_touch, NULL},
	{"open", false, setup_file, run_open, finish_file},
	{"stat", false, setup_file, run_stat, finish_file},
	{"create", false, setup_dir, run_create, finish_dir},
	{"unlink", false, setup_dir, run_unlink, finish_dir},
};

#define OPS (sizeof(ops) / sizeof(ops[0]))

static void measure(const struct op *op)
{
	uint64_t start, wall;
	double cost[BATCHES];
	long n = 1, per;

	if (op->setup)
		op->setup();
	/* Doubled until it takes a while on the wall: that says how many fill a batch. */
	for (;; n *= 2) {
		start = now_ns();
		op->run(n);
		wall = now_ns() - start;
		if (wall >= TOTAL_NS / BATCHES)
			break;
	}
	per = (long)((double)n * (TOTAL_NS / BATCHES) / (double)wall);
	if (per < 1)
		per = 1;
	for (int b = 0; b < BATCHES; b++)
		cost[b] = (double)op->run(per) / (double)per;
	if (op->finish)
		op->finish();
	qsort(cost, BATCHES, sizeof(cost[0]), compare);
	if (op->bytes)
		printf("%.1f\n", CHUNK * 1e9 / cost[BATCHES / 2] / (1 << 20));
	else
		printf("%.1f\n", cost[BATCHES / 2]);
}

int main(int argc, char **argv)
{
	for (size_t i = 0; argc == 2 && i < OPS; i++) {
		if (strcmp(argv[1], "list") == 0)
			printf("%s %s\n", ops[i].name, ops[i].bytes ? "MiB/s" : "ns");
		else if (strcmp(argv[1], ops[i].name) == 0) {
			measure(&ops[i]);
			return 0;
		}
	}
	if (argc == 2 && strcmp(argv[1], "list") == 0)
		return 0;
	fprintf(stderr, "usage: micro list | micro NAME\n");
	return 2;
}
