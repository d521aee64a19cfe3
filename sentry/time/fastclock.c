#include "sentry/time/fastclock.h"
#include "sentry/time/clock.h"

#include <cpuid.h>
#include <string.h>
#include <sys/random.h>

#define SPAN_MAX     NSEC_PER_SEC
#define BASELINE_MIN NSEC_PER_MSEC
/* A look at both clocks that took longer than this was interrupted: it says too little. */
#define BRACKET_MAX_NS 2000
#define STRIKES_MAX    8

struct sample {
	u64 tsc;
	s64 host, real_off;
	bool good;
};

static s64 host_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return timespec_ns(&ts);
}

/* The TSC counts at one rate in every power state. */
static bool tsc_invariant(void)
{
	u32 a, b, c, d;

	return __get_cpuid(0x80000007, &a, &b, &c, &d) && d >> 8 & 1;
}

void fastclock_init(struct fastclock *fc, struct vvar *page)
{
	u64 seed = 0;

	memset(fc, 0, sizeof(*fc));
	pthread_mutex_init(&fc->lock, NULL);
	fc->page = page;
	fc->usable = tsc_invariant();
	fc->last_tsc = vvar_tsc();
	fc->last_host = host_ns(CLOCK_MONOTONIC);
	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		seed = fc->last_tsc;
	fc->line.seq = seed & ~1ull;
	if (page)
		page->seq = fc->line.seq;
}

static s64 ticks_ns(const struct fastclock *fc, u64 ticks)
{
	return (s64)vvar_at(ticks, fc->rate, 0);
}

/* Both clocks at one moment, as exactly as a few tries give it. */
static struct sample take_sample(const struct fastclock *fc)
{
	struct sample best = {0};
	u64 width = UINT64_MAX;
	s64 before, real, after;

	for (int i = 0; i < 4; i++) {
		u64 t0 = vvar_tsc(), t1;
		s64 host = host_ns(CLOCK_MONOTONIC);

		t1 = vvar_tsc();
		if (t1 - t0 < width) {
			width = t1 - t0;
			best.tsc = t0 + width / 2;
			best.host = host;
		}
	}
	before = host_ns(CLOCK_MONOTONIC);
	real = host_ns(CLOCK_REALTIME);
	after = host_ns(CLOCK_MONOTONIC);
	best.real_off = real - (before + (after - before) / 2) - fc->offset;
	best.good = fc->rate == 0 || ticks_ns(fc, width) <= BRACKET_MAX_NS;
	return best;
}

/* Notes the TSC's rate since the last sample. False: there is none to go by (yet). */
static bool fit_rate(struct fastclock *fc, const struct sample *s, s64 *ret_baseline)
{
	s64 ns = s->host - fc->last_host;
	u64 ticks = s->tsc - fc->last_tsc, rate;

	if (!s->good || ns < BASELINE_MIN || s->tsc <= fc->last_tsc)
		return false;
	rate = (u64)(((unsigned __int128)ns << 32) / ticks);
	fc->last_tsc = s->tsc;
	fc->last_host = s->host;
	*ret_baseline = ns;
	/* 100 MHz to 100 GHz: anything else is no clock. */
	if (rate < 1ull << 25 || rate > 10ull << 32) {
		fc->usable = false;
		return false;
	}
	if (fc->rate && (rate > fc->rate + fc->rate / 1000 || rate < fc->rate - fc->rate / 1000)) {
		/* The host slept, or was moved; or the counter is not one to rely on. */
		if (++fc->strikes >= STRIKES_MAX)
			fc->usable = false;
		fc->rate = rate;
		return false;
	}
	fc->strikes = 0;
	fc->rate = rate;
	return true;
}

static void write_seq(struct fastclock *fc, u64 seq)
{
	__atomic_store_n(&fc->line.seq, seq, __ATOMIC_RELEASE);
	if (fc->page)
		__atomic_store_n(&fc->page->seq, seq, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void write_fields(struct vvar *v, const struct vvar *n)
{
	__atomic_store_n(&v->tsc_base, n->tsc_base, __ATOMIC_RELAXED);
	__atomic_store_n(&v->tsc_span, n->tsc_span, __ATOMIC_RELAXED);
	__atomic_store_n(&v->mult, n->mult, __ATOMIC_RELAXED);
	__atomic_store_n(&v->mono_base, n->mono_base, __ATOMIC_RELAXED);
	__atomic_store_n(&v->real_off, n->real_off, __ATOMIC_RELAXED);
}

/* n's seq is ignored. */
static void publish(struct fastclock *fc, const struct vvar *n)
{
	write_fields(&fc->line, n);
	if (fc->page)
		write_fields(fc->page, n);
}

/* A new line through the sample, from now on. Readers find none while the old one ends, so that
 * nobody's old time is later than somebody's new one. */
static void draw_line(struct fastclock *fc, const struct sample *s, s64 span)
{
	struct vvar n = fc->line;
	u64 seq = fc->line.seq;
	s64 now;

	write_seq(fc, seq + 1);
	n.tsc_base = vvar_tsc();
	if (fc->line.tsc_span) {
		u64 ticks = MIN(n.tsc_base - fc->line.tsc_base, fc->line.tsc_span);

		fc->floor = MAX(fc->floor, (s64)vvar_at(ticks, fc->line.mult, fc->line.mono_base));
	}
	now = s->host + fc->offset + ticks_ns(fc, n.tsc_base - s->tsc);
	n.mult = fc->rate;
	if (now < fc->floor) {
		/* Ahead of the host: goes slower until they meet, by 5 % at the most. */
		u64 less = (u64)((unsigned __int128)fc->rate * (u64)(fc->floor - now) / (u64)span);

		n.mult -= MIN(less, fc->rate / 20);
		now = fc->floor;
	}
	n.mono_base = (u64)now;
	n.tsc_span = (u64)(((unsigned __int128)span << 32) / fc->rate);
	/* Below the noise of the measurement it has not been set: realtime must not jitter. */
	if (!fc->line.tsc_span || s->real_off - n.real_off > NSEC_PER_USEC ||
	    n.real_off - s->real_off > NSEC_PER_USEC)
		n.real_off = s->real_off;
	publish(fc, &n);
	write_seq(fc, seq + 2);
}

/* The slow way: fits the line again. Lock held. */
static s64 refreshed_mono(struct fastclock *fc, s64 *ret_real_off)
{
	struct sample s = take_sample(fc);
	s64 baseline, now;
	u64 mono;

	if (fc->usable && fit_rate(fc, &s, &baseline)) {
		draw_line(fc, &s, MIN(2 * baseline, SPAN_MAX));
		if (vvar_read(&fc->line, &mono, ret_real_off))
			return (s64)mono;
	}
	/* The old line has ended: what it said last must not be undercut. */
	if (fc->line.tsc_span)
		fc->floor = MAX(fc->floor,
		                (s64)vvar_at(fc->line.tsc_span, fc->line.mult, fc->line.mono_base));
	now = MAX(s.host + fc->offset, fc->floor);
	fc->floor = now;
	*ret_real_off = s.real_off;
	return now;
}

static s64 fastclock_read(struct fastclock *fc, s64 *ret_real_off)
{
	u64 mono;
	s64 now;

	if (likely(vvar_read(&fc->line, &mono, ret_real_off)))
		return (s64)mono;
	pthread_mutex_lock(&fc->lock);
	if (vvar_read(&fc->line, &mono, ret_real_off))
		now = (s64)mono;
	else
		now = refreshed_mono(fc, ret_real_off);
	pthread_mutex_unlock(&fc->lock);
	return now;
}

void fastclock_set_offset(struct fastclock *fc, s64 mono_offset)
{
	struct vvar none = {0};
	u64 seq;

	pthread_mutex_lock(&fc->lock);
	seq = fc->line.seq;
	write_seq(fc, seq + 1);
	fc->offset = mono_offset;
	fc->floor = INT64_MIN;
	publish(fc, &none);
	write_seq(fc, seq + 2);
	pthread_mutex_unlock(&fc->lock);
}

s64 fastclock_mono(struct fastclock *fc)
{
	s64 off;

	return fastclock_read(fc, &off);
}

s64 fastclock_real(struct fastclock *fc)
{
	s64 off, mono = fastclock_read(fc, &off);

	return mono + off;
}
