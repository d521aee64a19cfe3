/* Futexes between threads that stand for tasks of one address space. */
#include "sentry/kernel/futex.h"
#include "tests/unit/mm_fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ANY FUTEX_BITSET_MATCH_ANY

static struct world *w;
static struct mm *mm;
static u64 mem;

static struct task *task_fake(u32 tid)
{
	struct task *t = calloc(1, sizeof(*t));

	t->obj.refs = 1;
	t->tid = tid;
	world_ctx(w, mm, &t->ctx);
	return t;
}

static void begin(void)
{
	w = world_new();
	cr_assert_eq(mm_create(&w->kernel, &mm), 0);
	mm_use(mm);
	mem = (u64)map_anon(mm, 0, 4 * PAGE_SIZE, 3, 0);
}

static void end(void)
{
	mm_unuse(mm);
	obj_put(mm);
	world_end(w);
}

TestSuite(futex, .init = begin, .fini = end, .timeout = 60);

static long wait_word(struct task *t, u64 addr, u32 val, u32 bitset, struct deadline d)
{
	struct futex_waiter fw = {
		.addr = UADDR(addr), .private = true, .val = val, .bitset = bitset};

	return futex_wait(&t->ctx, &fw, 1, d);
}

Test(futex, values_and_deadlines)
{
	struct task *t = task_fake(1);
	struct deadline soon = deadline_in(&w->kernel.clocks, NSEC_PER_MSEC);

	cr_assert_eq(wait_word(t, mem, 1, ANY, NEVER), -EAGAIN);
	cr_assert_eq(wait_word(t, mem + 2, 0, ANY, NEVER), -EINVAL);
	cr_assert_eq(wait_word(t, mem - 8, 0, ANY, NEVER), -EFAULT);
	cr_assert_eq(wait_word(t, mem, 0, ANY, soon), -ETIMEDOUT);
	atomic_store(&t->ctx.interrupt, INTERRUPT_STOP);
	cr_assert_eq(wait_word(t, mem, 0, ANY, NEVER), -ERESTARTSYS);
	cr_assert_eq(wait_word(t, mem, 0, ANY, soon), -ERESTART_RESTARTBLOCK);
	cr_assert_eq(futex_wake(&t->ctx, UADDR(mem), true, 1, ANY), 0);
	free(t);
}

struct sleeper {
	pthread_t thread;
	struct task *t;
	u64 addr;
	u32 bitset;
	long ret;
	_Atomic bool done;
};

static void *sleep_on(void *arg)
{
	struct sleeper *s = arg;

	s->ret = wait_word(s->t, s->addr, 0, s->bitset, NEVER);
	atomic_store(&s->done, true);
	return NULL;
}

static void sleeper_start(struct sleeper *s, u32 tid, u64 addr, u32 bitset)
{
	*s = (struct sleeper){.t = task_fake(tid), .addr = addr, .bitset = bitset};
	pthread_create(&s->thread, NULL, sleep_on, s);
}

static void sleeper_end(struct sleeper *s)
{
	pthread_join(s->thread, NULL);
	cr_assert_eq(s->ret, 0);
	cr_assert_eq(obj_refs(s->t), 1);
	free(s->t);
}

/* Wakes until n were woken in all. */
static void wake_total(struct task *t, u64 addr, long n, u32 bitset)
{
	while (n > 0) {
		long r = futex_wake(&t->ctx, UADDR(addr), true, (u32)n, bitset);

		cr_assert_geq(r, 0);
		n -= r;
		usleep(200);
	}
	cr_assert_eq(n, 0);
}

Test(futex, bitsets)
{
	struct task *t = task_fake(1);
	struct sleeper s[2];

	sleeper_start(&s[0], 2, mem, 1);
	sleeper_start(&s[1], 3, mem, 2);
	wake_total(t, mem, 1, 2);
	sleeper_end(&s[1]);
	cr_assert(!s[0].done);
	cr_assert_eq(futex_wake(&t->ctx, UADDR(mem), true, 5, 4), 0);
	wake_total(t, mem, 1, 1);
	sleeper_end(&s[0]);
	free(t);
}

Test(futex, requeue)
{
	struct sleeper s[40];
	struct task *t = task_fake(1);
	long woken = 0;

	for (u32 i = 0; i < 40; i++)
		sleeper_start(&s[i], i + 2, mem, ANY);
	usleep(20000);
	cr_assert_eq(futex_requeue(&t->ctx, UADDR(mem), UADDR(mem + 64), true, 1, 100, true, 7),
	             -EAGAIN);
	/* However far the sleepers are, each is woken or moved once. */
	while (woken < 40) {
		woken += futex_requeue(&t->ctx, UADDR(mem), UADDR(mem + 64), true, 1, 5, false, 0);
		woken += futex_wake(&t->ctx, UADDR(mem + 64), true, 100, ANY);
		usleep(100);
	}
	cr_assert_eq(woken, 40);
	for (u32 i = 0; i < 40; i++)
		sleeper_end(&s[i]);
	free(t);
}

Test(futex, wake_op)
{
	struct task *t = task_fake(1);
	struct sleeper s[2];
	u32 v = 10;

	cr_assert_eq(user_put_u32(&t->ctx, UADDR(mem + 4), v), 0);
	sleeper_start(&s[0], 2, mem, ANY);
	usleep(10000);
	/* Adds -3 to b, wakes a; b only if the old value was below 5. */
	cr_assert_eq(futex_wake_op(&t->ctx, UADDR(mem), UADDR(mem + 4), true, 1, 1,
	                           FUTEX_OP(FUTEX_OP_ADD, -3u, FUTEX_OP_CMP_LT, 5)),
	             1);
	sleeper_end(&s[0]);
	cr_assert_eq(user_get_u32(&t->ctx, UADDR(mem + 4), &v), 0);
	cr_assert_eq(v, 7);
	cr_assert_eq(futex_wake_op(&t->ctx, UADDR(mem), UADDR(mem + 4), true, 1, 1, 7u << 28),
	             -ENOSYS);
	free(t);
}

#define ROUNDS 3000u

/* Drepper's mutex, with kicks in between: 0 free, 1 taken, 2 taken and waited for. */
static u64 counter;

static void lock(struct task *t)
{
	u32 old;

	cr_assert_eq(user_cmpxchg_u32(&t->ctx, UADDR(mem), 0, 1, &old), 0);
	while (old != 0) {
		u32 seen;

		cr_assert_eq(user_cmpxchg_u32(&t->ctx, UADDR(mem), 1, 2, &seen), 0);
		if (seen != 0) {
			long r = wait_word(t, mem, 2, ANY, NEVER);

			cr_assert(r == 0 || r == -EAGAIN || r == -ERESTARTSYS);
			atomic_store(&t->ctx.interrupt, 0);
		}
		cr_assert_eq(user_cmpxchg_u32(&t->ctx, UADDR(mem), 0, 2, &old), 0);
	}
}

static void unlock(struct task *t)
{
	u32 old, seen;

	cr_assert_eq(user_load_u32(&t->ctx, UADDR(mem), &old), 0);
	for (;;) {
		cr_assert_eq(user_cmpxchg_u32(&t->ctx, UADDR(mem), old, 0, &seen), 0);
		if (seen == old)
			break;
		old = seen;
	}
	if (old == 2)
		cr_assert_geq(futex_wake(&t->ctx, UADDR(mem), true, 1, ANY), 0);
}

static void *count_up(void *arg)
{
	struct task *t = arg;

	for (u32 i = 0; i < ROUNDS; i++) {
		lock(t);
		counter++;
		unlock(t);
	}
	return NULL;
}

Test(futex, mutex_under_kicks)
{
	pthread_t th[4];
	struct task *t[4];

	for (u32 i = 0; i < 4; i++)
		t[i] = task_fake(i + 1);
	for (u32 i = 0; i < 4; i++)
		pthread_create(&th[i], NULL, count_up, t[i]);
	for (u32 i = 0; i < 400; i++) {
		ctx_interrupt(&t[i % 4]->ctx, INTERRUPT_STOP);
		usleep(100);
	}
	for (u32 i = 0; i < 4; i++) {
		pthread_join(th[i], NULL);
		cr_assert_eq(obj_refs(t[i]), 1);
		free(t[i]);
	}
	cr_assert_eq(counter, 4 * ROUNDS);
}

Test(futex, robust_list)
{
	struct task *t = task_fake(77);
	u64 head[3] = {mem + 64, 32, 0};
	u32 v;

	/* Two held mutexes, one of another owner, and a list that runs in a circle behind them. */
	u64 nodes[] = {mem + 64, mem + 128, mem + 192};

	for (int i = 0; i < 3; i++) {
		cr_assert_eq(user_put_u64(&t->ctx, UADDR(nodes[i]), nodes[(i + 1) % 3]), 0);
		cr_assert_eq(user_put_u32(&t->ctx, UADDR(nodes[i] + 32), i == 2 ? 5 : 77), 0);
	}
	cr_assert_eq(user_put(&t->ctx, UADDR(mem), &head), 0);
	t->robust_list = mem;
	futex_exit_robust(t);
	cr_assert_eq(user_get_u32(&t->ctx, UADDR(mem + 64 + 32), &v), 0);
	cr_assert_eq(v, FUTEX_OWNER_DIED);
	cr_assert_eq(user_get_u32(&t->ctx, UADDR(mem + 128 + 32), &v), 0);
	cr_assert_eq(v, FUTEX_OWNER_DIED);
	cr_assert_eq(user_get_u32(&t->ctx, UADDR(mem + 192 + 32), &v), 0);
	cr_assert_eq(v, 5);
	/* A list that leads nowhere ends. */
	t->robust_list = 0x1234;
	futex_exit_robust(t);
	free(t);
}
