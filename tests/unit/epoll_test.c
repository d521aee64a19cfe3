/* epoll over eventfds and pipes: triggers, nesting, files that go away, many threads. */
#include "sentry/auth/creds.h"
#include "sentry/fs/eventfd.h"
#include "sentry/fs/pipe.h"
#include "sentry/vfs/epoll.h"
#include "state/base/cleanup.h"
#include "tests/unit/mm_fixture.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

static struct world *w;
static struct mm *mm;
static struct ctx c;
static u64 buf; /* guest address for events */

static void setup(void)
{
	w = world_new();
	cr_assert_eq(mm_create(&w->kernel, &mm), 0);
	mm_use(mm);
	mm_set_mmap_base(mm, FAKE_TOP - GIB);
	world_ctx(w, mm, &c);
	c.creds = creds_new(0, 0, NULL, 0);
	buf = (u64)map_anon(mm, 0, PAGE_SIZE, PROT_READ | PROT_WRITE, 0);
}

static void teardown(void)
{
	creds_put(c.creds);
	mm_unuse(mm);
	mm_put(mm);
	world_end(w);
}
TestSuite(epoll, .init = setup, .fini = teardown);

static int ctl(struct file *ep, int op, struct file *f, u32 events, u64 data)
{
	struct epoll_event ev = {.events = events, .data.u64 = data};

	return epoll_control(ep, op, 7, f, &ev);
}

/* Events now; the first one's bits and data. */
static long look(struct file *ep, u32 *events, u64 *data)
{
	struct epoll_event ev = {0};
	long n = epoll_wait_events(ep, &c, UADDR(buf), 8, deadline_in(c.clocks, 0));

	if (n > 0)
		cr_assert_eq(user_get(&c, UADDR(buf), &ev), 0);
	if (events)
		*events = ev.events;
	if (data)
		*data = ev.data.u64;
	return n;
}

static void add(struct file *e, u64 v)
{
	struct uiter it;

	uiter_init_kernel(&it, &v, sizeof(v));
	cr_assert_eq(file_write(e, &c, &it), 8);
}

static u64 drain(struct file *e)
{
	struct uiter it;
	u64 v = 0;
	long r;

	uiter_init_kernel(&it, &v, sizeof(v));
	r = file_read(e, &c, &it);
	cr_assert(r == 8 || r == -EAGAIN);
	return v;
}

Test(epoll, level_and_edge)
{
	AUTO(file) ep = epoll_create_file(&c);
	AUTO(file) lt = eventfd_create(&c, 0, EFD_NONBLOCK);
	AUTO(file) et = eventfd_create(&c, 0, EFD_NONBLOCK);
	u32 ev;
	u64 data;

	cr_assert_eq(ctl(ep, EPOLL_CTL_ADD, lt, EPOLLIN, 11), 0);
	cr_assert_eq(ctl(ep, EPOLL_CTL_ADD, lt, EPOLLIN, 11), -EEXIST);
	cr_assert_eq(ctl(ep, EPOLL_CTL_ADD, et, EPOLLIN | EPOLLET, 22), 0);
	cr_assert_eq(look(ep, NULL, NULL), 0);
	add(lt, 1);
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(look(ep, &ev, &data), 1);
		cr_assert_eq(ev, EPOLLIN);
		cr_assert_eq(data, 11);
	}
	cr_assert_eq(drain(lt), 1);
	cr_assert_eq(look(ep, NULL, NULL), 0);
	add(et, 1);
	cr_assert_eq(look(ep, NULL, &data), 1);
	cr_assert_eq(data, 22);
	cr_assert_eq(look(ep, NULL, NULL), 0);
	add(et, 1);
	cr_assert_eq(look(ep, NULL, NULL), 1);
	cr_assert_eq(look(ep, NULL, NULL), 0);
	cr_assert_eq(ctl(ep, EPOLL_CTL_MOD, et, EPOLLIN | EPOLLET, 23), 0);
	cr_assert_eq(look(ep, NULL, &data), 1);
	cr_assert_eq(data, 23);
	cr_assert_eq(ctl(ep, EPOLL_CTL_DEL, et, 0, 0), 0);
	cr_assert_eq(ctl(ep, EPOLL_CTL_DEL, et, 0, 0), -ENOENT);
}

Test(epoll, one_shot)
{
	AUTO(file) ep = epoll_create_file(&c);
	AUTO(file) e = eventfd_create(&c, 1, EFD_NONBLOCK);

	cr_assert_eq(ctl(ep, EPOLL_CTL_ADD, e, EPOLLIN | EPOLLONESHOT, 1), 0);
	cr_assert_eq(look(ep, NULL, NULL), 1);
	add(e, 1);
	cr_assert_eq(look(ep, NULL, NULL), 0);
	cr_assert_eq(ctl(ep, EPOLL_CTL_MOD, e, EPOLLIN | EPOLLONESHOT, 1), 0);
	cr_assert_eq(look(ep, NULL, NULL), 1);
	cr_assert_eq(look(ep, NULL, NULL), 0);
}

Test(epoll, bad_events_address_loses_nothing)
{
	AUTO(file) ep = epoll_create_file(&c);
	AUTO(file) e = eventfd_create(&c, 1, EFD_NONBLOCK);

	cr_assert_eq(ctl(ep, EPOLL_CTL_ADD, e, EPOLLIN | EPOLLET | EPOLLONESHOT, 1), 0);
	cr_assert_eq(epoll_wait_events(ep, &c, UADDR(8), 8, deadline_in(c.clocks, 0)), -EFAULT);
	cr_assert_eq(look(ep, NULL, NULL), 1);
	cr_assert_eq(look(ep, NULL, NULL), 0);
}

Test(epoll, forgets_files_that_go)
{
	AUTO(file) ep = epoll_create_file(&c);
	struct file *r = NULL, *wr = NULL;

	cr_assert_eq(pipe_create(&c, 0, &r, &wr), 0);
	cr_assert_eq(ctl(ep, EPOLL_CTL_ADD, r, EPOLLIN, 1), 0);
	file_put(wr);
	cr_assert_eq(look(ep, NULL, NULL), 1);
	file_put(r);
	cr_assert_eq(look(ep, NULL, NULL), 0);
}

Test(epoll, nests)
{
	AUTO(file) outer = epoll_create_file(&c);
	AUTO(file) inner = epoll_create_file(&c);
	AUTO(file) e = eventfd_create(&c, 0, EFD_NONBLOCK);

	cr_assert_eq(ctl(inner, EPOLL_CTL_ADD, e, EPOLLIN, 1), 0);
	cr_assert_eq(ctl(outer, EPOLL_CTL_ADD, inner, EPOLLIN, 2), 0);
	cr_assert_eq(ctl(inner, EPOLL_CTL_ADD, outer, EPOLLIN, 3), -ELOOP);
	cr_assert_eq(ctl(inner, EPOLL_CTL_ADD, inner, EPOLLIN, 3), -EINVAL);
	cr_assert_eq(look(outer, NULL, NULL), 0);
	add(e, 1);
	cr_assert_eq(look(outer, NULL, NULL), 1);
	cr_assert_eq(file_poll(outer, NULL), READY_IN);
	drain(e);
	cr_assert_eq(file_poll(outer, NULL), 0);
	cr_assert_eq(look(outer, NULL, NULL), 0);
}

Test(epoll, nests_five_deep_and_no_more)
{
	struct file *ep[6];

	for (int i = 0; i < 6; i++)
		ep[i] = epoll_create_file(&c);
	for (int i = 0; i < 4; i++)
		cr_assert_eq(ctl(ep[i], EPOLL_CTL_ADD, ep[i + 1], EPOLLIN, 1), 0);
	cr_assert_eq(ctl(ep[4], EPOLL_CTL_ADD, ep[5], EPOLLIN, 1), -ELOOP);
	cr_assert_eq(ctl(ep[5], EPOLL_CTL_ADD, ep[0], EPOLLIN, 1), -ELOOP);
	for (int i = 0; i < 6; i++)
		file_put(ep[i]);
}

/* ---- many threads ---- */

#define WAITERS 3
#define ROUNDS  20000

static struct file *shared_outer, *shared_inner, *shared_event;
static _Atomic u64 taken;
static _Atomic bool done;

static void *wait_main(void *arg)
{
	struct ctx mine;
	u64 at = buf + 64 * (u64)(uintptr_t)arg;

	world_ctx(w, mm, &mine);
	while (!atomic_load(&done)) {
		struct uiter it;
		u64 v;
		long n = epoll_wait_events(shared_outer, &mine, UADDR(at), 1,
		                           deadline_in(mine.clocks, 100 * NSEC_PER_MSEC));

		cr_assert(n == 0 || n == 1);
		uiter_init_kernel(&it, &v, sizeof(v));
		if (file_read(shared_event, &mine, &it) == 8)
			atomic_fetch_add(&taken, v);
	}
	return NULL;
}

static void *churn_main(void *arg)
{
	struct ctx mine;

	world_ctx(w, mm, &mine);
	while (!atomic_load(&done)) {
		AUTO(file) e = eventfd_create(&mine, 1, EFD_NONBLOCK);
		AUTO(file) ep = epoll_create_file(&mine);

		cr_assert_eq(ctl(shared_inner, EPOLL_CTL_ADD, e, EPOLLOUT | EPOLLET, 5), 0);
		cr_assert_eq(ctl(ep, EPOLL_CTL_ADD, e, EPOLLIN, 5), 0);
		cr_assert_eq(ctl(ep, EPOLL_CTL_ADD, shared_event, EPOLLIN, 5), 0);
		cr_assert_eq(ctl(ep, EPOLL_CTL_ADD, shared_inner, EPOLLIN, 5), 0);
	}
	return NULL;
}

Test(epoll, many_threads, .timeout = 100)
{
	pthread_t t[WAITERS + 1];
	u64 v = 1;

	shared_outer = epoll_create_file(&c);
	shared_inner = epoll_create_file(&c);
	shared_event = eventfd_create(&c, 0, EFD_NONBLOCK);
	cr_assert_eq(ctl(shared_inner, EPOLL_CTL_ADD, shared_event, EPOLLIN, 1), 0);
	cr_assert_eq(ctl(shared_outer, EPOLL_CTL_ADD, shared_inner, EPOLLIN, 2), 0);
	for (int i = 0; i < WAITERS; i++)
		pthread_create(&t[i], NULL, wait_main, (void *)(uintptr_t)i);
	pthread_create(&t[WAITERS], NULL, churn_main, NULL);
	for (int i = 0; i < ROUNDS; i++) {
		struct uiter it;

		uiter_init_kernel(&it, &v, sizeof(v));
		cr_assert_eq(file_write(shared_event, &c, &it), 8);
	}
	for (int i = 0; i < 500 && atomic_load(&taken) < ROUNDS; i++)
		usleep(10000);
	cr_assert_eq(atomic_load(&taken), ROUNDS);
	atomic_store(&done, true);
	for (int i = 0; i < WAITERS + 1; i++)
		pthread_join(t[i], NULL);
	file_put(shared_outer);
	file_put(shared_inner);
	file_put(shared_event);
}
