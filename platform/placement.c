#include "platform/placement.h"
#include "platform/cpu.h"
#include "platform/runnable.h"

#include <sched.h>
#include <time.h>
#include <x86intrin.h>

/* Between looks at the clock, in switches of one core. */
#define LOOK_EACH 64u
/* How long a window is: a trial, and what it is compared with. */
#define WINDOW_NS (4 * NSEC_PER_MSEC)
/* Windows from one trial to the next; it doubles when the trial fails. */
#define WAIT_MIN 8u
#define WAIT_MAX 256u
/* Tasks that block less often than this, per ms, don't wait for each other... */
#define BLOCKS_PER_MS 4u
/* ...and if they don't switch this often either, they are left alone. */
#define SWITCHES_PER_MS 10u
/* The other way must be better by this much, in percent. */
#define GAIN    15u
#define COUNTED 64u

_Atomic u32 g_placement;
_Thread_local u32 placement_home, placement_dealt;

/* One cache line for each core; cores beyond share them. */
static struct {
	_Atomic u64 switches, blocks;
} __attribute__((aligned(64))) counts[COUNTED];

static cpu_set_t allowed;
static bool can_spin;
static bool usable;            /* there is more than one core */
static atomic_bool ever_moved; /* threads may have a placement from their maker */
static atomic_flag deciding = ATOMIC_FLAG_INIT;
/* Written by who has set deciding: */
static _Atomic s64 window_start;
static u64 seen_switches, seen_blocks;
static u64 rate_before; /* switches per second in the window before the trial */
static u32 before;      /* the placement there */
static u32 windows, wait = 1;
static bool trial;
static u32 turn, dealing;
static _Atomic u32 dealt; /* homes, so far */

static s64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

void placement_init(bool spins)
{
	can_spin = spins;
	if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0)
		usable = CPU_COUNT(&allowed) > 1;
	window_start = now_ns();
}

enum kind {
	KIND_FREE,
	KIND_TOGETHER,
	KIND_APART,
	KIND_PAIRS,
	N_KINDS
};
#define KIND(k) (1u << (k))

static enum kind kind_of(u32 where)
{
	return where == PLACEMENT_FREE   ? KIND_FREE
	       : where & PLACEMENT_APART ? KIND_APART
	       : where & PLACEMENT_PAIRS ? KIND_PAIRS
	                                 : KIND_TOGETHER;
}

static void place(u32 where)
{
	atomic_store_explicit(&ever_moved, true, memory_order_relaxed);
	atomic_store_explicit(&g_placement, where, memory_order_relaxed);
}

static u32 make_kind(enum kind k)
{
	switch (k) {
	case KIND_TOGETHER:
		return 1 + current_cpu();
	case KIND_APART:
		return PLACEMENT_APART | (1 + current_cpu());
	case KIND_PAIRS:
		dealing = (dealing + 1) % PLACEMENT_APART;
		return PLACEMENT_PAIRS | dealing;
	default:
		return PLACEMENT_FREE;
	}
}

/* What may be better than leaving it to the host: a set of kinds. */
static u32 candidates(u64 switches_per_ms, u64 blocks_per_ms)
{
	bool few = 2 * platform_runnable() <= CPU_COUNT(&allowed);

	if (blocks_per_ms >= BLOCKS_PER_MS)
		return KIND(KIND_TOGETHER) | (few ? 0 : KIND(KIND_PAIRS));
	if (switches_per_ms < SWITCHES_PER_MS)
		return 0;
	if (!can_spin)
		return KIND(KIND_TOGETHER) | (few ? 0 : KIND(KIND_PAIRS));
	return few ? KIND(KIND_APART) : KIND(KIND_PAIRS) | KIND(KIND_TOGETHER);
}

static void end_trial(u64 rate)
{
	trial = false;
	windows = 0;
	if (rate * 100 > rate_before * (100 + GAIN)) {
		wait = WAIT_MIN;
		return;
	}
	place(before);
	wait = MIN(2 * wait, WAIT_MAX);
}

/* The next kind to try, in turn: one of the set, or none at all, but not what is. */
static enum kind next_kind(u32 set, enum kind now)
{
	set |= KIND(KIND_FREE);
	do
		turn = (turn + 1) % N_KINDS;
	while (turn == now || !(set & KIND(turn)));
	return (enum kind)turn;
}

/* A window has ended. */
static void decide(u64 rate, u64 blocks_per_ms)
{
	u32 now = atomic_load_explicit(&g_placement, memory_order_relaxed);
	u32 set = candidates(rate / 1000, blocks_per_ms);

	windows++;
	if (trial) {
		end_trial(rate);
		return;
	}
	if (now != PLACEMENT_FREE && !(set & KIND(kind_of(now)))) {
		/* The reason is gone. */
		place(PLACEMENT_FREE);
		now = PLACEMENT_FREE;
		windows = 0;
		wait = 1;
	}
	if (now == PLACEMENT_FREE && !set) {
		windows = 0;
		wait = 1;
	} else if (windows >= wait) {
		trial = true;
		before = now;
		rate_before = rate;
		place(make_kind(next_kind(set, kind_of(now))));
	}
}

static void look(void)
{
	u64 switches = 0, blocks = 0;
	s64 now = now_ns(), took = now - window_start;

	if (took < (s64)WINDOW_NS || atomic_flag_test_and_set(&deciding))
		return;
	took = now - window_start;
	if (took >= (s64)WINDOW_NS) {
		for (u32 i = 0; i < COUNTED; i++) {
			switches += atomic_load_explicit(&counts[i].switches, memory_order_relaxed);
			blocks += atomic_load_explicit(&counts[i].blocks, memory_order_relaxed);
		}
		decide((switches - seen_switches) * NSEC_PER_SEC / (u64)took,
		       (blocks - seen_blocks) * NSEC_PER_MSEC / (u64)took);
		seen_switches = switches;
		seen_blocks = blocks;
		window_start = now;
	}
	atomic_flag_clear(&deciding);
}

void placement_count_switch(void)
{
	u64 n = atomic_fetch_add_explicit(&counts[current_cpu() % COUNTED].switches, 1,
	                                  memory_order_relaxed);

	if (unlikely(n % LOOK_EACH == 0) && usable)
		look();
}

void placement_count_block(void)
{
	atomic_fetch_add_explicit(&counts[current_cpu() % COUNTED].blocks, 1, memory_order_relaxed);
}

/* The nth of the cores that we may use. */
static u32 nth_core(u32 n)
{
	u32 core = 0;

	n %= (u32)CPU_COUNT(&allowed);
	for (;; core++)
		if (CPU_ISSET(core, &allowed) && n-- == 0)
			return core;
}

void placement_deal(u32 where)
{
	placement_dealt = where;
	placement_home = nth_core(atomic_fetch_add_explicit(&dealt, 1, memory_order_relaxed));
}

void placement_move(pid_t tid, u32 *placed, u32 where)
{
	cpu_set_t set;
	u32 from = *placed;

	*placed = where;
	if (from == PLACEMENT_UNKNOWN && where == PLACEMENT_FREE &&
	    !atomic_load_explicit(&ever_moved, memory_order_relaxed))
		return;
	if (where == PLACEMENT_FREE) {
		set = allowed;
	} else if (where & PLACEMENT_PAIRS) {
		CPU_ZERO(&set);
		CPU_SET(where & ~PLACEMENT_PAIRS, &set);
	} else if (tid != 0 && where & PLACEMENT_APART) {
		set = allowed;
		CPU_CLR((where & ~PLACEMENT_APART) - 1, &set);
	} else {
		CPU_ZERO(&set);
		CPU_SET((where & ~PLACEMENT_APART) - 1, &set);
	}
	(void)sched_setaffinity(tid, sizeof(set), &set);
}
