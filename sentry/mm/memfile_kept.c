/*
 * Free runs whose content is kept, so that whoever needs memory next need not wait for the host to
 * find, clear and map some: a run costs a third of a fresh one, and giving it back costs as much
 * again. What nobody reuses goes back in the end.
 */
#include "sentry/mm/memfile_impl.h"
#include "state/base/bug.h"

#include <fcntl.h>
#include <sys/mman.h>

/* Bytes kept in all; of a memory with a limit at most this part. */
#define KEPT_MAX  (64 * MIB)
#define KEPT_PART 8
/* What stays for good: too little to be worth a timer. */
#define KEPT_IDLE (2 * MIB)
/* Runs up to this are kept without asking how much of them was ever touched. */
#define SMALL_RUN (16 * KIB)
/* Memory that nobody reused for this long goes back, bit by bit: the timer thread has other
 * things to do. */
#define IDLE_MS 1000
#define STEP_MS 5
#define STEP    (4 * MIB)

static u64 kept_max(const struct memfile *mf)
{
	u64 limit = READ_ONCE(mf->limit);

	return limit ? MIN(KEPT_MAX, limit / KEPT_PART) : KEPT_MAX;
}

static u64 kept(const struct memfile_alloc *a)
{
	return atomic_load_explicit(&a->space.dirty_bytes, memory_order_relaxed);
}

static int punch(struct memfile *mf, u64 off, u64 len)
{
	return fallocate(mf->mapfile.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off,
	                 (off_t)len);
}

bool memfile_mostly_resident(const struct memfile *mf, u64 off, u64 len)
{
	unsigned char vec[MEMFILE_HUGE / PAGE_SIZE];
	u64 n = 0;

	BUG_ON(len > MEMFILE_HUGE);
	if (mincore(memfile_at(mf, off), len, vec) < 0)
		return false;
	for (u64 i = 0; i < len / PAGE_SIZE; i++)
		n += vec[i] & 1;
	return n * 4 >= len / PAGE_SIZE * 3;
}

static void trim_after(struct memfile_alloc *a, s64 ms)
{
	/* The host's own time. */
	static const struct clocks host;

	ktimer_arm(a->timers, &a->trim, &host, deadline_in(&host, ms * NSEC_PER_MSEC));
}

static void trim_if_much(struct memfile_alloc *a)
{
	if (kept(a) > KEPT_IDLE && a->timers && !atomic_exchange(&a->trimming, true))
		trim_after(a, IDLE_MS);
}

/* room: it may be kept, and is no longer than MEMFILE_HUGE. */
static void release_piece(struct memfile *mf, u64 off, u64 len, bool room)
{
	struct memfile_alloc *a = mf->alloc;
	bool keep = room && (len <= SMALL_RUN || memfile_mostly_resident(mf, off, len));

	/* What the host does not take back still has its content. */
	if (!keep && punch(mf, off, len) < 0)
		keep = true;
	atomic_fetch_sub_explicit(&a->allocated, len, memory_order_relaxed);
	GUARD(&a->lock);
	free_space_add(&a->space, off, len, keep);
}

void memfile_release(struct memfile *mf, u64 off, u64 len)
{
	struct memfile_alloc *a = mf->alloc;
	u64 end = off + len, n;

	for (; off < end; off += n) {
		bool room;

		n = MIN(end - off, ALIGN_DOWN(off, MEMFILE_HUGE) + MEMFILE_HUGE - off);
		/* Asked once: others may make room meanwhile. */
		room = kept(a) + n <= kept_max(mf);
		/* Nothing of the rest would be kept: all of it in one call. */
		if (!room)
			n = end - off;
		release_piece(mf, off, n, room);
	}
	trim_if_much(a);
}

/* Gives up to STEP bytes back; false: there are none, or the host wants none. */
static bool trim_step(struct memfile *mf)
{
	struct memfile_alloc *a = mf->alloc;
	bool found, done;
	u64 off, len;

	mutex_lock(&a->lock);
	found = free_space_pop_dirty(&a->space, STEP, &off, &len);
	mutex_unlock(&a->lock);
	if (!found)
		return false;
	done = punch(mf, off, len) == 0;
	GUARD(&a->lock);
	free_space_add(&a->space, off, len, !done);
	return done;
}

void memfile_trim(struct memfile *mf)
{
	while (trim_step(mf))
		;
}

static void trim_expired(struct ktimer *t)
{
	struct memfile_alloc *a = container_of(t, struct memfile_alloc, trim);

	if (atomic_exchange(&a->reused, false)) {
		trim_after(a, IDLE_MS);
		return;
	}
	if (kept(a) > KEPT_IDLE && trim_step(a->mf)) {
		trim_after(a, STEP_MS);
		return;
	}
	atomic_store(&a->trimming, false);
	trim_if_much(a);
}

void memfile_trim_later(struct memfile *mf, struct timers *ts)
{
	ktimer_init(&mf->alloc->trim, trim_expired);
	mf->alloc->timers = ts;
}
