#include "tests/guest/guest_test.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

/* epoll: edges, one shot, exclusive, nesting, files that are dup'ed and closed, timeouts. */

static int new_ep(void)
{
	return ASSERT_OK(epoll_create1(0));
}

static int add(int ep, int fd, uint32_t events, uint32_t data)
{
	struct epoll_event ev = {.events = events, .data.u32 = data};

	return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
}

static int mod(int ep, int fd, uint32_t events, uint32_t data)
{
	struct epoll_event ev = {.events = events, .data.u32 = data};

	return epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev);
}

/* How many are ready now; the first one's data in *data. */
static int now(int ep, uint32_t *data)
{
	struct epoll_event out[8];
	int n = epoll_wait(ep, out, 8, 0);

	if (n > 0 && data)
		*data = out[0].data.u32;
	return n;
}

static void bump(int fd)
{
	uint64_t one = 1;

	EXPECT_EQ(write(fd, &one, 8), 8);
}

static uint64_t take(int fd)
{
	uint64_t v = 0;

	EXPECT_EQ(read(fd, &v, 8), 8);
	return v;
}

GUEST_TEST(every_write_is_an_edge)
{
	int ep = new_ep(), fd = ASSERT_OK(eventfd(0, EFD_NONBLOCK));

	EXPECT_OK(add(ep, fd, EPOLLIN | EPOLLET, 1));
	EXPECT_EQ(now(ep, NULL), 0);
	bump(fd);
	EXPECT_EQ(now(ep, NULL), 1);
	EXPECT_EQ(now(ep, NULL), 0);
	MAYBE_SAVE();
	EXPECT_EQ(now(ep, NULL), 0);
	/* Nothing was read, but something new came. */
	bump(fd);
	EXPECT_EQ(now(ep, NULL), 1);
	EXPECT_EQ(now(ep, NULL), 0);
	/* A look at the item with the same events is an edge as well. */
	EXPECT_OK(mod(ep, fd, EPOLLIN | EPOLLET, 2));
	EXPECT_EQ(now(ep, NULL), 1);
	EXPECT_EQ(take(fd), 2);
	EXPECT_OK(mod(ep, fd, EPOLLIN | EPOLLET, 2));
	EXPECT_EQ(now(ep, NULL), 0);
}

GUEST_TEST(one_shot_is_armed_again)
{
	int ep = new_ep(), fd = ASSERT_OK(eventfd(0, EFD_NONBLOCK));

	EXPECT_OK(add(ep, fd, EPOLLIN | EPOLLONESHOT, 1));
	bump(fd);
	EXPECT_EQ(now(ep, NULL), 1);
	bump(fd);
	EXPECT_EQ(now(ep, NULL), 0);
	MAYBE_SAVE();
	EXPECT_EQ(now(ep, NULL), 0);
	EXPECT_OK(mod(ep, fd, EPOLLIN | EPOLLONESHOT, 1));
	EXPECT_EQ(now(ep, NULL), 1);
	EXPECT_EQ(now(ep, NULL), 0);
}

GUEST_TEST(nesting_is_bounded)
{
	int ep[8], fd = ASSERT_OK(eventfd(0, EFD_NONBLOCK)), i;

	for (i = 0; i < 8; i++)
		ep[i] = new_ep();
	EXPECT_OK(add(ep[0], fd, EPOLLIN, 0));
	/* Chains of five, no longer. */
	for (i = 1; i < 5; i++)
		EXPECT_OK(add(ep[i], ep[i - 1], EPOLLIN, (uint32_t)i));
	EXPECT_ERRNO(add(ep[5], ep[4], EPOLLIN, 5), ELOOP);
	MAYBE_SAVE();
	EXPECT_ERRNO(add(ep[6], ep[4], EPOLLIN, 5), ELOOP);
	/* No circles. */
	EXPECT_ERRNO(add(ep[0], ep[4], EPOLLIN, 0), ELOOP);
	EXPECT_ERRNO(add(ep[0], ep[1], EPOLLIN, 0), ELOOP);
	EXPECT_ERRNO(add(ep[0], ep[0], EPOLLIN, 0), EINVAL);
	for (i = 0; i < 5; i++)
		EXPECT_EQ(now(ep[i], NULL), 0);
	bump(fd);
	MAYBE_SAVE();
	for (i = 4; i >= 0; i--)
		EXPECT_EQ(now(ep[i], NULL), 1);
	take(fd);
	for (i = 4; i >= 0; i--)
		EXPECT_EQ(now(ep[i], NULL), 0);
}

/* An item belongs to the open file, not to the descriptor. */
GUEST_TEST(closed_but_dup_lives)
{
	int ep = new_ep(), fd = ASSERT_OK(eventfd(0, EFD_NONBLOCK)), copy = ASSERT_OK(dup(fd));
	uint32_t data = 0;

	EXPECT_OK(add(ep, fd, EPOLLIN, 7));
	EXPECT_OK(add(ep, copy, EPOLLIN | EPOLLET, 8));
	EXPECT_ERRNO(add(ep, fd, EPOLLIN, 7), EEXIST);
	EXPECT_OK(epoll_ctl(ep, EPOLL_CTL_DEL, copy, NULL));
	close(fd);
	bump(copy);
	MAYBE_SAVE();
	EXPECT_EQ(now(ep, &data), 1);
	EXPECT_EQ(data, 7);
	EXPECT_ERRNO(epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL), EBADF);
	EXPECT_ERRNO(epoll_ctl(ep, EPOLL_CTL_DEL, copy, NULL), ENOENT);
	/* Under its old number it can be reached again. */
	EXPECT_EQ(dup2(copy, fd), fd);
	EXPECT_OK(epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
	EXPECT_EQ(now(ep, NULL), 0);
	EXPECT_OK(add(ep, fd, EPOLLIN, 9));
	close(copy);
	EXPECT_EQ(now(ep, &data), 1);
	close(fd);
	EXPECT_EQ(now(ep, NULL), 0);
}

GUEST_TEST(number_used_again)
{
	int ep = new_ep(), fd = ASSERT_OK(eventfd(1, EFD_NONBLOCK)), other;
	uint32_t data = 0;

	EXPECT_OK(add(ep, fd, EPOLLIN, 1));
	close(fd);
	other = ASSERT_OK(eventfd(0, EFD_NONBLOCK));
	EXPECT_EQ(other, fd);
	EXPECT_EQ(now(ep, NULL), 0);
	EXPECT_OK(add(ep, other, EPOLLIN, 2));
	MAYBE_SAVE();
	bump(other);
	EXPECT_EQ(now(ep, &data), 1);
	EXPECT_EQ(data, 2);
}

GUEST_TEST(who_can_be_watched)
{
	int ep = new_ep(), f = ASSERT_OK(open(guest_path("f"), O_RDWR | O_CREAT, 0644));
	int d = ASSERT_OK(open(guest_tmp(), O_RDONLY | O_DIRECTORY)), p[2];

	EXPECT_ERRNO(add(ep, f, EPOLLIN, 0), EPERM);
	EXPECT_ERRNO(add(ep, d, EPOLLIN, 0), EPERM);
	ASSERT_EQ(pipe(p), 0);
	EXPECT_ERRNO(add(p[0], p[1], EPOLLIN, 0), EINVAL);
	EXPECT_ERRNO(add(ep, 9999, EPOLLIN, 0), EBADF);
	EXPECT_ERRNO(add(9999, p[0], EPOLLIN, 0), EBADF);
	EXPECT_ERRNO(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], NULL), EFAULT);
	EXPECT_ERRNO(epoll_ctl(ep, 77, p[0], &(struct epoll_event){0}), EINVAL);
	EXPECT_ERRNO(mod(ep, p[0], EPOLLIN, 0), ENOENT);
	EXPECT_ERRNO(epoll_create1(1), EINVAL);
	EXPECT_ERRNO(epoll_create(0), EINVAL);
}

GUEST_TEST(exclusive_rules)
{
	int ep = new_ep(), inner = new_ep(), fd = ASSERT_OK(eventfd(0, EFD_NONBLOCK));

	EXPECT_ERRNO(add(ep, fd, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT, 0), EINVAL);
	EXPECT_ERRNO(add(ep, inner, EPOLLIN | EPOLLEXCLUSIVE, 0), EINVAL);
	EXPECT_ERRNO(add(ep, fd, EPOLLPRI | EPOLLEXCLUSIVE, 0), EINVAL);
	EXPECT_OK(add(ep, fd, EPOLLIN | EPOLLEXCLUSIVE | EPOLLET, 0));
	EXPECT_ERRNO(mod(ep, fd, EPOLLIN, 0), EINVAL);
	EXPECT_OK(epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
	EXPECT_OK(add(ep, fd, EPOLLIN, 0));
	EXPECT_ERRNO(mod(ep, fd, EPOLLIN | EPOLLEXCLUSIVE, 0), EINVAL);
}

static int shared_fd;
static _Atomic int woken;

static void *exclusive_waiter(void *arg)
{
	struct epoll_event out;
	int ep = new_ep();

	EXPECT_OK(add(ep, shared_fd, EPOLLIN | EPOLLEXCLUSIVE, 0));
	guest_gate_open(arg);
	EXPECT_EQ(epoll_wait(ep, &out, 1, -1), 1);
	EXPECT_EQ(take(shared_fd), 1);
	woken++;
	return NULL;
}

/* One event wakes at least one, and every waiter gets one in the end. */
GUEST_TEST(exclusive_waiters_all_get_one)
{
	struct guest_gate ready;
	pthread_t t[4];

	guest_gate_init(&ready);
	shared_fd = ASSERT_OK(eventfd(0, EFD_SEMAPHORE));
	for (int i = 0; i < 4; i++) {
		ASSERT_EQ(pthread_create(&t[i], NULL, exclusive_waiter, &ready), 0);
		guest_gate_wait(&ready);
	}
	MAYBE_SAVE();
	for (int i = 0; i < 4; i++)
		bump(shared_fd);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	EXPECT_EQ(woken, 4);
}

/* Each with an epoll of its own: what one byte wakes is one of them, and the end all. */
GUEST_TEST(exclusive_epolls)
{
	_Atomic int *up = guest_map_shared(GUEST_PAGE);
	pid_t pid[5];
	int p[2], before;

	ASSERT_OK(pipe(p));
	for (int i = 0; i < 5; i++) {
		struct guest_gate ready;

		guest_gate_init(&ready);
		pid[i] = guest_fork();
		if (pid[i] == 0) {
			struct epoll_event out;
			int ep = new_ep();

			close(p[1]);
			EXPECT_OK(add(ep, p[0], EPOLLIN | EPOLLEXCLUSIVE, 0));
			guest_gate_open(&ready);
			EXPECT_EQ(epoll_wait(ep, &out, 1, -1), 1);
			++*up;
			_exit(0);
		}
		guest_gate_wait(&ready);
		guest_wait_blocked(pid[i]);
	}
	MAYBE_SAVE();
	for (int i = 0; i < 5; i++)
		guest_wait_blocked(pid[i]);
	EXPECT_EQ(write(p[1], "x", 1), 1);
	guest_sleep_ms(100);
	before = *up;
	EXPECT_EQ(before, 1);
	EXPECT_EQ(write(p[1], "y", 1), 1);
	guest_sleep_ms(100);
	EXPECT_EQ(*up, 2);
	close(p[1]);
	for (int i = 0; i < 5; i++)
		EXPECT_EQ(guest_reap(pid[i]), 0);
	EXPECT_EQ(*up, 5);
}

static int pwait2(int ep, struct epoll_event *out, int n, const struct timespec *ts,
                  const sigset_t *mask)
{
	return (int)syscall(SYS_epoll_pwait2, ep, out, n, ts, mask, 8);
}

static _Atomic int handled;

static void note(int sig)
{
	handled++;
}

GUEST_TEST(pwait2_times_and_masks)
{
	struct timespec zero = {0}, some = {0, 20000000}, bad = {0, 1000000000};
	int ep = new_ep(), fd = ASSERT_OK(eventfd(0, EFD_NONBLOCK));
	struct epoll_event out;
	int64_t start;
	sigset_t all, none;

	if (pwait2(ep, &out, 1, &zero, NULL) < 0 && errno == ENOSYS)
		SKIP("an old kernel");
	EXPECT_OK(add(ep, fd, EPOLLIN, 0));
	EXPECT_EQ(pwait2(ep, &out, 1, &zero, NULL), 0);
	start = guest_now(CLOCK_MONOTONIC);
	MAYBE_SAVE();
	EXPECT_EQ(pwait2(ep, &out, 1, &some, NULL), 0);
	EXPECT_GE(guest_now(CLOCK_MONOTONIC) - start, 20000000);
	EXPECT_ERRNO(pwait2(ep, &out, 1, &bad, NULL), EINVAL);
	EXPECT_ERRNO(pwait2(ep, &out, 0, &zero, NULL), EINVAL);
	EXPECT_ERRNO(pwait2(ep, &out, 1, (struct timespec *)8, NULL), EFAULT);
	/* A pending signal that the mask lets through ends the wait. */
	signal(SIGUSR1, note);
	sigfillset(&all);
	sigemptyset(&none);
	sigprocmask(SIG_BLOCK, &all, NULL);
	kill(getpid(), SIGUSR1);
	EXPECT_EQ(handled, 0);
	EXPECT_ERRNO(pwait2(ep, &out, 1, NULL, &none), EINTR);
	EXPECT_EQ(handled, 1);
}

/* Items that are ready take turns. */
GUEST_TEST(round_robin)
{
	int ep = new_ep();
	bool seen[4] = {false};

	for (uint32_t i = 0; i < 4; i++)
		EXPECT_OK(add(ep, ASSERT_OK(eventfd(1, EFD_NONBLOCK)), EPOLLIN, i));
	MAYBE_SAVE();
	for (int i = 0; i < 4; i++) {
		struct epoll_event out;

		EXPECT_EQ(epoll_wait(ep, &out, 1, 0), 1);
		EXPECT_FALSE(seen[out.data.u32]);
		seen[out.data.u32] = true;
	}
}

GUEST_TEST(fdinfo)
{
	int ep = new_ep(), fd = ASSERT_OK(eventfd(0, 0));
	char path[64], text[512], want[64];

	EXPECT_OK(add(ep, fd, EPOLLIN | EPOLLET, 0x1234));
	MAYBE_SAVE();
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", ep);
	EXPECT_GT(guest_read_file(path, text, sizeof(text)), 0);
	snprintf(want, sizeof(want), "tfd: %8d events: 80000019 data:             1234", fd);
	EXPECT_TRUE(strstr(text, want) != NULL);
}

/* How many epolls may watch the chain of n epolls whose last one watches f, at most most. */
static int crowd(int f, int n, int most)
{
	int below = f, up, i;

	while (n-- > 0) {
		up = new_ep();
		ASSERT_EQ(add(up, below, EPOLLIN, 0), 0);
		below = up;
	}
	for (i = 0; i < most; i++) {
		up = new_ep();
		if (add(up, below, EPOLLIN, 0) < 0) {
			EXPECT_EQ(errno, EINVAL);
			close(up);
			break;
		}
		if (i == most / 2)
			MAYBE_SAVE();
	}
	return i;
}

/* A wake goes up every chain that ends at a file: the longer, the fewer there may be. */
GUEST_TEST(a_file_wakes_a_bounded_number_of_chains)
{
	struct rlimit rl = {4096, 4096};
	uint32_t data;
	int top, mid, f;

	if (setrlimit(RLIMIT_NOFILE, &rl) < 0)
		SKIP("descriptors are few");
	EXPECT_EQ(crowd(ASSERT_OK(eventfd(0, 0)), 0, 600), 600);
	EXPECT_EQ(crowd(ASSERT_OK(eventfd(0, 0)), 1, 600), 500);
	EXPECT_EQ(crowd(ASSERT_OK(eventfd(0, 0)), 2, 600), 100);
	EXPECT_EQ(crowd(ASSERT_OK(eventfd(0, 0)), 3, 600), 50);
	EXPECT_EQ(crowd(ASSERT_OK(eventfd(0, 0)), 4, 600), 10);

	/* The file may come last. */
	mid = new_ep();
	for (int i = 0; i < 600; i++) {
		top = new_ep();
		ASSERT_EQ(add(top, mid, EPOLLIN, 7), 0);
	}
	f = ASSERT_OK(eventfd(1, 0));
	EXPECT_ERRNO(add(mid, f, EPOLLIN, 0), EINVAL);
	EXPECT_EQ(now(mid, NULL), 0);
	EXPECT_ERRNO(epoll_ctl(mid, EPOLL_CTL_DEL, f, NULL), ENOENT);
	for (int i = 0; i < 100; i++)
		close(top - i);
	MAYBE_SAVE();
	EXPECT_EQ(add(mid, f, EPOLLIN, 0), 0);
	EXPECT_EQ(now(top - 100, &data), 1);
	EXPECT_EQ(data, 7);
}

GUEST_TEST(what_can_be_watched)
{
	int ep = new_ep();
	int fd = ASSERT_OK(open("/dev/urandom", O_RDONLY));

	EXPECT_ERRNO(add(ep, fd, EPOLLIN, 0), EPERM);
	close(fd);
	fd = ASSERT_OK(open("/dev/random", O_RDWR));
	EXPECT_EQ(add(ep, fd, EPOLLIN | EPOLLOUT, 0), 0);
	EXPECT_EQ(now(ep, NULL), 1);
	EXPECT_EQ(lseek(ep, 10, SEEK_SET), 0);
	EXPECT_ERRNO(lseek(ep, 0, 9), EINVAL);
	EXPECT_ERRNO(write(fd, (void *)8, 8), EFAULT);
}
