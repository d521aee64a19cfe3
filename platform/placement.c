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
/* The first comes after as many. */
#define WAIT_NEW 1u
/* Tasks that block less often than this, per ms, don't wait for each other... */
#define BLOCKS_PER_MS 4u
/* ...and if they don't switch this often either, they are left alone; the slower figure is of
 * platforms whose switches take that long. */
#define SWITCHES_PER_MS      40u
#define SLOW_SWITCHES_PER_MS 10u
/* The other way must be better by this much, in percent. */
#define GAIN    15u
#define COUNTED 64u
/* A task keeps its core for this many switches after there are cores enough again, */
#define CALM 64u
/* and goes without for some after as many, or when it computes. */
#define STAY       4096u
#define ROAM_SHORT 4u
#define ROAM       256u
/* One that computes is not placed otherwise either, for as many. */
#define FREE 16u

/* What is tried or stays, of all tasks. */
static _Atomic u32 g_placement;

/* The calling sentry thread's task. */
static _Thread_local struct {
	u32 home;  /* 1 + the core of both its threads; 0: none */
	u32 stays; /* switches there */
	u32 roams; /* switches without */
	u32 free;  /* switches without any placement */
	u32 calm;  /* switches since cores were short */
} mine = {.roams = ROAM};

/* One cache line for each core; cores beyond share them. */
static struct {
	_Atomic u64 switches, blocks;
} __attribute__((aligned(64))) counts[COUNTED];

static cpu_set_t allowed;
static bool can_spin;
static int n_cores;
static bool usable;            /* there is more than one core */
static atomic_bool ever_moved; /* threads may have a placement from their maker */
static atomic_flag deciding = ATOMIC_FLAG_INIT;
/* Written by who has set deciding: */
static _Atomic s64 window_start;
static u64 seen_switches, seen_blocks;
static u64 rate_before; /* switches per second in the window before the trial */
static u32 before;      /* the placement there */
static u32 windows, wait = WAIT_NEW;
static bool trial;
static u32 turn;

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
		n_cores = CPU_COUNT(&allowed);
	usable = n_cores > 1;
	window_start = now_ns();
}

enum kind {
	KIND_FREE,
	KIND_TOGETHER,
	KIND_APART,
	N_KINDS
};
#define KIND(k) (1u << (k))

static enum kind kind_of(u32 where)
{
	return where == PLACEMENT_FREE   ? KIND_FREE
	       : where & PLACEMENT_APART ? KIND_APART
	                                 : KIND_TOGETHER;
}

static void place(u32 where)
{
	atomic_store_explicit(&g_placement, where, memory_order_relaxed);
}

static u32 make_kind(enum kind k)
{
	switch (k) {
	case KIND_TOGETHER:
		return 1 + current_cpu();
	case KIND_APART:
		return PLACEMENT_APART | (1 + current_cpu());
	default:
		return PLACEMENT_FREE;
	}
}

/* There are not two cores for each task that runs. */
static bool crowded(void)
{
	return 2 * platform_runnable() > n_cores;
}

/* What may be better than leaving it to the host: a set of kinds. */
static u32 candidates(u64 switches_per_ms, u64 blocks_per_ms)
{
	if (blocks_per_ms >= BLOCKS_PER_MS)
		return KIND(KIND_TOGETHER);
	if (switches_per_ms < (can_spin ? SWITCHES_PER_MS : SLOW_SWITCHES_PER_MS))
		return 0;
	return can_spin && !crowded() ? KIND(KIND_APART) : KIND(KIND_TOGETHER);
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
		wait = WAIT_NEW;
	}
	if (now == PLACEMENT_FREE && !set) {
		windows = 0;
		wait = WAIT_NEW;
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

static void count_switch(void)
{
	u64 n = atomic_fetch_add_explicit(&counts[current_cpu() % COUNTED].switches, 1,
	                                  memory_order_relaxed);

	if (unlikely(n % LOOK_EACH == 0))
		look();
}

void placement_count_block(void)
{
	atomic_fetch_add_explicit(&counts[current_cpu() % COUNTED].blocks, 1, memory_order_relaxed);
}

/* The core where both threads of the caller's task should be, from 1; 0 if the host may choose. */
static u32 home(u32 seen)
{
	if (crowded())
		mine.calm = 0;
	else if (!mine.home || ++mine.calm > CALM)
		return 0;
	if (!mine.home || ++mine.stays > STAY) {
		if (mine.home)
			mine.roams = ROAM_SHORT;
		mine.stays = 0;
		return seen < CPU_SETSIZE && CPU_ISSET(seen, &allowed) ? 1 + seen : 0;
	}
	return mine.home;
}

struct placement placement_next(u32 seen)
{
	u32 where;

	if (!usable)
		return (struct placement){PLACEMENT_FREE, PLACEMENT_FREE};
	count_switch();
	where = atomic_load_explicit(&g_placement, memory_order_relaxed);
	if (unlikely(mine.free))
		mine.free--;
	else if (where != PLACEMENT_FREE)
		return (struct placement){where, where};
	if (mine.roams) {
		mine.roams--;
		mine.home = 0;
		return (struct placement){home(seen), PLACEMENT_FREE};
	}
	mine.home = home(seen);
	return (struct placement){mine.home, mine.home};
}

void placement_computes(void)
{
	mine.roams = ROAM;
	mine.free = FREE;
	mine.home = 0;
}

u32 placement_beside(void)
{
	u32 where = atomic_load_explicit(&g_placement, memory_order_relaxed) & ~PLACEMENT_APART;

	return where ? where : mine.home;
}

u32 placement_core(void)
{
	return atomic_load_explicit(&g_placement, memory_order_relaxed) & ~PLACEMENT_APART;
}

void placement_move(pid_t tid, u32 *placed, u32 where)
{
	cpu_set_t set;
	u32 from = *placed;

	*placed = where;
	if (where != PLACEMENT_FREE)
		atomic_store_explicit(&ever_moved, true, memory_order_relaxed);
	if (from == PLACEMENT_UNKNOWN && where == PLACEMENT_FREE &&
	    !atomic_load_explicit(&ever_moved, memory_order_relaxed))
		return;
	if (where == PLACEMENT_FREE) {
		set = allowed;
	} else if (tid != 0 && where & PLACEMENT_APART) {
		set = allowed;
		CPU_CLR((where & ~PLACEMENT_APART) - 1, &set);
	} else {
		CPU_ZERO(&set);
		CPU_SET((where & ~PLACEMENT_APART) - 1, &set);
	}
	(void)sched_setaffinity(tid, sizeof(set), &set);
}
