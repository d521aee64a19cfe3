/* Pipes and eventfds without tasks: one thread and O_NONBLOCK, or two threads that block. */
#include "sentry/fs/eventfd.h"
#include "sentry/fs/pipe.h"
#include "tests/unit/mm_fixture.h"
#include "sentry/auth/creds.h"
#include "state/base/cleanup.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sys/eventfd.h>

static struct world *w;
static struct ctx c;

static void setup(void)
{
	w = world_new();
	world_ctx(w, NULL, &c);
	c.creds = creds_new(0, 0, NULL, 0);
}

static void teardown(void)
{
	creds_put(c.creds);
	world_end(w);
}
TestSuite(pipe, .init = setup, .fini = teardown);

static long put(struct file *f, const void *s, size_t n)
{
	struct uiter it;

	uiter_init_kernel(&it, (void *)(uintptr_t)s, n);
	return file_write(f, &c, &it);
}

static long get(struct file *f, void *s, size_t n)
{
	struct uiter it;

	uiter_init_kernel(&it, s, n);
	return file_read(f, &c, &it);
}

Test(pipe, moves_bytes_around_the_ring)
{
	AUTO(file) r = NULL;
	AUTO(file) wr = NULL;
	u8 in[3000], out[3000];
	u8 next_in = 0, next_out = 0;

	cr_assert_eq(pipe_create(&c, O_NONBLOCK, &r, &wr), 0);
	cr_assert_eq(get(r, out, 1), -EAGAIN);
	for (int round = 0; round < 200; round++) {
		for (size_t i = 0; i < sizeof(in); i++)
			in[i] = next_in++;
		cr_assert_eq(put(wr, in, sizeof(in)), sizeof(in));
		if (round % 2 == 0)
			continue;
		for (int k = 0; k < 2; k++) {
			cr_assert_eq(get(r, out, sizeof(out)), sizeof(out));
			for (size_t i = 0; i < sizeof(out); i++)
				cr_assert_eq(out[i], next_out++);
		}
	}
}

Test(pipe, is_atomic_up_to_pipe_buf)
{
	AUTO(file) r = NULL;
	AUTO(file) wr = NULL;
	static u8 big[PIPE_DEFAULT_SIZE];

	cr_assert_eq(pipe_create(&c, O_NONBLOCK, &r, &wr), 0);
	cr_assert_eq(file_poll(wr, NULL), READY_OUT);
	cr_assert_eq(put(wr, big, sizeof(big) - 100), sizeof(big) - 100);
	cr_assert_eq(file_poll(wr, NULL), 0);
	cr_assert_eq(put(wr, big, 101), -EAGAIN);
	cr_assert_eq(put(wr, big, 5000), 100);
	cr_assert_eq(put(wr, big, 1), -EAGAIN);
	cr_assert_eq(get(r, big, 4095), 4095);
	cr_assert_eq(file_poll(wr, NULL), 0);
	cr_assert_eq(get(r, big, 1), 1);
	cr_assert_eq(file_poll(wr, NULL), READY_OUT);
}

Test(pipe, keeps_packets_apart)
{
	AUTO(file) r = NULL;
	AUTO(file) wr = NULL;
	char buf[64];

	cr_assert_eq(pipe_create(&c, O_NONBLOCK | O_DIRECT, &r, &wr), 0);
	cr_assert_eq(put(wr, "hello", 5), 5);
	cr_assert_eq(put(wr, "world!", 6), 6);
	cr_assert_eq(get(r, buf, 3), 3); /* the rest of the packet is gone */
	cr_assert_eq(get(r, buf, sizeof(buf)), 6);
	cr_assert_eq(memcmp(buf, "world!", 6), 0);
	cr_assert_eq(get(r, buf, 1), -EAGAIN);
	for (int i = 0; i < 16; i++)
		cr_assert_eq(put(wr, "x", 1), 1);
	cr_assert_eq(put(wr, "x", 1), -EAGAIN);
}

Test(pipe, ends_and_hangs_up)
{
	AUTO(file) r = NULL;
	struct file *wr = NULL;
	char ch;

	cr_assert_eq(pipe_create(&c, 0, &r, &wr), 0);
	cr_assert_eq(put(wr, "a", 1), 1);
	file_put(wr);
	cr_assert_eq(file_poll(r, NULL), READY_IN | EPOLLHUP);
	cr_assert_eq(get(r, &ch, 1), 1);
	cr_assert_eq(get(r, &ch, 1), 0);
	cr_assert_eq(file_poll(r, NULL), EPOLLHUP);
}

Test(pipe, resizes)
{
	AUTO(file) r = NULL;
	AUTO(file) wr = NULL;
	static u8 big[3 * PAGE_SIZE];
	struct pipe *p;

	cr_assert_eq(pipe_create(&c, O_NONBLOCK, &r, &wr), 0);
	p = pipe_of(r);
	cr_assert_eq(pipe_get_size(p), PIPE_DEFAULT_SIZE);
	cr_assert_eq(put(wr, big, sizeof(big)), sizeof(big));
	cr_assert_eq(pipe_set_size(p, &c, 5000), -EBUSY);
	cr_assert_eq(pipe_set_size(p, &c, 3 * PAGE_SIZE), 4 * PAGE_SIZE);
	cr_assert_eq(put(wr, big, sizeof(big)), PAGE_SIZE);
	cr_assert_eq(get(r, big, sizeof(big)), sizeof(big));
}

#define STREAM (8 * MIB)

static void *pump(void *arg)
{
	static u8 chunk[70000];
	struct ctx mine;
	u64 at = 0;

	world_ctx(w, NULL, &mine);
	while (at < STREAM) {
		struct uiter it;
		size_t n = MIN(STREAM - at, (u64)(1 + at * 31 % sizeof(chunk)));

		for (size_t i = 0; i < n; i++)
			chunk[i] = (u8)((at + i) * 7 >> 3);
		uiter_init_kernel(&it, chunk, n);
		if (file_write(arg, &mine, &it) != (long)n)
			break;
		at += n;
	}
	file_put(arg);
	return NULL;
}

Test(pipe, two_threads, .timeout = 60)
{
	AUTO(file) r = NULL;
	struct file *wr = NULL;
	static u8 buf[33333];
	pthread_t t;
	u64 at = 0;

	cr_assert_eq(pipe_create(&c, 0, &r, &wr), 0);
	cr_assert_eq(pthread_create(&t, NULL, pump, wr), 0);
	for (;;) {
		long n = get(r, buf, 1 + at * 17 % sizeof(buf));

		if (n == 0)
			break;
		cr_assert_gt(n, 0);
		for (long i = 0; i < n; i++)
			cr_assert_eq(buf[i], (u8)((at + (u64)i) * 7 >> 3));
		at += (u64)n;
	}
	pthread_join(t, NULL);
	cr_assert_eq(at, STREAM);
}

Test(pipe, eventfd_counts)
{
	AUTO(file) e = eventfd_create(&c, 2, EFD_NONBLOCK);
	AUTO(file) s = eventfd_create(&c, 2, EFD_NONBLOCK | EFD_SEMAPHORE);
	u64 v = 3;

	cr_assert_eq(put(e, &v, 8), 8);
	cr_assert_eq(get(e, &v, 8), 8);
	cr_assert_eq(v, 5);
	cr_assert_eq(get(e, &v, 8), -EAGAIN);
	cr_assert_eq(get(e, &v, 7), -EINVAL);
	v = UINT64_MAX - 1;
	cr_assert_eq(put(e, &v, 8), 8);
	cr_assert_eq(file_poll(e, NULL), EPOLLIN);
	v = 1;
	cr_assert_eq(put(e, &v, 8), -EAGAIN);
	v = UINT64_MAX;
	cr_assert_eq(put(e, &v, 8), -EINVAL);
	cr_assert_eq(get(s, &v, 8), 8);
	cr_assert_eq(v, 1);
	cr_assert_eq(file_poll(s, NULL), EPOLLIN | EPOLLOUT);
}
