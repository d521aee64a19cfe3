/* The timer thread: order, rearming, cancelling in every window, pausing. */
#include "sentry/time/timer.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#define COUNT 500

struct probe {
	struct ktimer kt;
	int index;
};
static const struct clocks clocks = {.mono_offset = -1000};
static struct timers *ts;
static struct probe probes[COUNT];
static _Atomic int fired, order_errors;
static s64 deadlines[COUNT];

static struct deadline in_us(s64 us)
{
	return deadline_in(&clocks, us * NSEC_PER_USEC);
}

static void wait_fired(int n)
{
	for (int i = 0; i < 5000 && fired < n; i++)
		usleep(1000);
}

static void note(struct ktimer *kt)
{
	struct probe *p = container_of(kt, struct probe, kt);
	s64 now = clock_mono(&clocks);

	if (now < deadlines[p->index])
		order_errors++;
	fired++;
}

static void setup(void)
{
	fired = order_errors = 0;
	cr_assert_eq(timers_create(&ts), 0);
}

static void teardown(void)
{
	timers_destroy(ts);
}

TestSuite(timer, .init = setup, .fini = teardown, .timeout = 30);

Test(timer, many_fire_not_early)
{
	int cancelled = 0;

	srand(1);
	for (int i = 0; i < COUNT; i++) {
		struct deadline d = in_us(rand() % 50000);

		probes[i].index = i;
		deadlines[i] = d.ns;
		ktimer_init(&probes[i].kt, note);
		ktimer_arm(ts, &probes[i].kt, &clocks, d);
		if (i % 3 == 0) {
			d = in_us(60000 + rand() % 50000);
			deadlines[i] = d.ns;
			ktimer_arm(ts, &probes[i].kt, &clocks, d);
		}
		if (i % 15 == 0) {
			ktimer_cancel(&probes[i].kt);
			cancelled++;
		}
	}
	wait_fired(COUNT - cancelled);
	usleep(60000);
	cr_assert_eq(fired, COUNT - cancelled);
	cr_assert_eq(order_errors, 0);
}

Test(timer, never_disarms)
{
	ktimer_init(&probes[0].kt, note);
	deadlines[0] = 0;
	ktimer_cancel(&probes[0].kt);
	ktimer_arm(ts, &probes[0].kt, &clocks, in_us(5000));
	ktimer_arm(ts, &probes[0].kt, &clocks, NEVER);
	usleep(15000);
	cr_assert_eq(fired, 0);
	ktimer_arm(ts, &probes[0].kt, &clocks, (struct deadline){CLOCK_REALTIME, 1});
	wait_fired(1);
	cr_assert_eq(fired, 1);
}

static void rearms_itself(struct ktimer *kt)
{
	fired++;
	ktimer_arm(ts, kt, &clocks, in_us(0));
}

Test(timer, cancel_ends_one_that_rearms_itself)
{
	for (int i = 0; i < 50; i++) {
		struct ktimer *kt = malloc(sizeof(*kt));
		int seen;

		ktimer_init(kt, rearms_itself);
		ktimer_arm(ts, kt, &clocks, in_us(0));
		while (fired < 10 * (i + 1))
			sched_yield();
		ktimer_cancel(kt);
		seen = fired;
		free(kt);
		usleep(100);
		cr_assert_eq(fired, seen);
	}
}

static void frees_itself(struct ktimer *kt)
{
	ktimer_arm(ts, kt, &clocks, in_us(100));
	ktimer_cancel(kt);
	free(kt);
	fired++;
}

Test(timer, cancel_from_the_callback)
{
	for (int i = 0; i < 100; i++) {
		struct ktimer *kt = malloc(sizeof(*kt));

		ktimer_init(kt, frees_itself);
		ktimer_arm(ts, kt, &clocks, in_us(i % 7));
	}
	wait_fired(100);
	cr_assert_eq(fired, 100);
}

Test(timer, pause_holds_expiries_back)
{
	deadlines[0] = 0;
	ktimer_init(&probes[0].kt, note);
	timers_pause(ts);
	timers_pause(ts);
	ktimer_arm(ts, &probes[0].kt, &clocks, in_us(0));
	timers_resume(ts);
	usleep(10000);
	cr_assert_eq(fired, 0);
	timers_resume(ts);
	wait_fired(1);
	cr_assert_eq(fired, 1);
}
