#include "sentry/kernel/oom.h"
#include "sentry/kernel/pidns.h"
#include "sentry/kernel/task_run.h"
#include "sentry/mm/heap.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/fd_table.h"

#include "state/base/log.h"

#include <errno.h>

/* How long a victim may take to give its memory back before the next is chosen. */
#define PATIENCE (2 * NSEC_PER_SEC)
/* What a descriptor and a mapping cost the sentry, about. */
#define FD_COST  1024u
#define MAP_COST 320u

#define ADJ_NEVER (-1000)

void oom_init(struct oom *o)
{
	waitq_init(&o->wait);
}

void oom_memory_freed(struct oom *o)
{
	if (unlikely(atomic_load(&o->victim) != 0))
		waitq_wake(&o->wait, ~0u);
}

/* ---- who has most ---- */

/* Any member that still has its memory: the leader may have ended before the others. */
static struct mm *mm_of_group(struct thread_group *tg, u64 *ret_fds)
{
	struct mm *mm = NULL;
	struct task *t;
	u32 at = 0;

	while (!mm && (t = task_next(tg, at))) {
		AUTO(fd_table) fds = task_get_fds(t);

		at = t->tid;
		mm = task_get_mm(t);
		*ret_fds = fds ? fd_table_count(fds) : 0;
		obj_put(t);
	}
	return mm;
}

static u64 total_pages(struct kernel *k)
{
	return MAX(k->machine->memfile->limit / PAGE_SIZE, 1ull);
}

/* Pages, as the host would count them; 0: it has no memory of its own. */
static u64 pages_of(struct thread_group *tg, u64 *ret_anon)
{
	AUTO(mm) mm = NULL;
	struct mm_stat st;
	u64 fds = 0;

	mm = mm_of_group(tg, &fds);
	if (!mm)
		return 0;
	mm_stat(mm, &st);
	*ret_anon = st.rss_anon + st.rss_shmem;
	return (*ret_anon + fds * FD_COST + mm_map_count(mm) * MAP_COST) / PAGE_SIZE + 1;
}

/* Linux's oom_badness. INT64_MIN: not to be ended. */
static s64 badness(struct thread_group *tg, u64 *ret_anon)
{
	s64 adj = READ_ONCE(tg->oom_score_adj);
	u64 pages;

	*ret_anon = 0;
	if (adj == ADJ_NEVER)
		return INT64_MIN;
	pages = pages_of(tg, ret_anon);
	if (pages == 0)
		return INT64_MIN;
	return (s64)pages + adj * (s64)total_pages(tg->kernel) / 1000;
}

u32 oom_score(struct thread_group *tg)
{
	u64 anon;
	s64 b = badness(tg, &anon), points;

	if (b == INT64_MIN)
		return 0;
	points = 1000 + b * 1000 / (s64)total_pages(tg->kernel);
	return (u32)(MAX(points, (s64)0) * 2 / 3);
}

static struct thread_group *choose(struct kernel *k, u64 *ret_anon)
{
	struct thread_group *tg, *worst = NULL;
	s64 most = INT64_MIN;
	u32 at = 0;

	while ((tg = thread_group_next(k, at))) {
		u64 anon;
		s64 b = badness(tg, &anon);

		at = tg->tgid;
		if (b > most) {
			obj_put(worst);
			worst = obj_get(tg);
			most = b;
			*ret_anon = anon;
		}
		obj_put(tg);
	}
	return worst;
}

/* ---- ending it ---- */

/* Others that run in the same memory keep it alive: they go as well. */
static void end_all_of(struct kernel *k, struct thread_group *victim)
{
	AUTO(mm) mm = NULL;
	struct thread_group *tg;
	u64 fds;
	u32 at = 0;

	mm = mm_of_group(victim, &fds);
	thread_group_exit(victim, SIGKILL);
	while (mm && (tg = thread_group_next(k, at))) {
		AUTO(mm) other = mm_of_group(tg, &fds);

		at = tg->tgid;
		if (other == mm && tg != victim)
			thread_group_exit(tg, SIGKILL);
		obj_put(tg);
	}
}

static bool victim_ended(struct kernel *k)
{
	u32 tgid = atomic_load(&k->oom.victim);
	AUTO(thread_group) tg = tgid ? thread_group_find(k, tgid) : NULL;
	AUTO(mm) mm = NULL;
	u64 fds;

	if (!tg)
		return true;
	mm = mm_of_group(tg, &fds);
	return !mm;
}

static int choose_and_end(struct kernel *k)
{
	AUTO(thread_group) tg = NULL;
	AUTO(task) leader = NULL;
	char comm[TASK_COMM_LEN] = "?";
	u64 anon = 0;

	if (!victim_ended(k) && clock_mono(&k->clocks) - k->oom.since < PATIENCE)
		return 0;
	atomic_store(&k->oom.victim, 0);
	tg = choose(k, &anon);
	if (!tg)
		return -ESRCH;
	leader = task_find(k, tg->tgid);
	if (leader)
		task_get_comm(leader, comm);
	log_warn("out of memory: killed process %u (%s), %llu KiB of %llu KiB", tg->tgid, comm,
	         (unsigned long long)(anon / KIB),
	         (unsigned long long)(k->machine->memfile->limit / KIB));
	atomic_store(&k->oom.victim, tg->tgid);
	k->oom.since = clock_mono(&k->clocks);
	atomic_fetch_add(&k->oom.kills, 1);
	end_all_of(k, tg);
	return 0;
}

/* Chooses and ends one, unless that is under way. -ESRCH: there is nobody. */
static int end_one(struct kernel *k)
{
	int r;

	if (atomic_exchange(&k->oom.choosing, true))
		return 0;
	r = choose_and_end(k);
	atomic_store(&k->oom.choosing, false);
	waitq_wake(&k->oom.wait, ~0u);
	return r;
}

static bool room_or_ended(void *arg)
{
	struct kernel *k = arg;

	return !memfile_full(k->machine->memfile, 0) ||
	       (!atomic_load(&k->oom.choosing) && victim_ended(k));
}

enum oom_result oom_make_room(struct task *t)
{
	struct kernel *k = t->kernel;
	struct memfile *mf = k->machine->memfile;
	int r;

	memfile_trim(mf);
	heap_look(mf, k->machine->statm);
	while (memfile_full(mf, 0)) {
		if (ctx_interrupted(&t->ctx))
			return OOM_STOP;
		if (end_one(k) < 0)
			return OOM_NONE;
		t->waiting_on = "memory";
		r = ctx_block(&t->ctx, &k->oom.wait, room_or_ended, k,
		              deadline_in(&k->clocks, PATIENCE));
		t->waiting_on = NULL;
		if (r < 0 && r != -ETIMEDOUT)
			return OOM_STOP;
	}
	return OOM_RETRY;
}

bool oom_retry_call(struct task *t, long r)
{
	const struct memfile *mf = t->kernel->machine->memfile;

	if (r != -ENOMEM && r != -EFAULT && r != -ENOSPC)
		return false;
	/* Host calls that read into guest memory say only EFAULT. */
	if (!memfile_was_starved(mf) && !memfile_full(mf, 0))
		return false;
	return oom_make_room(t) != OOM_NONE;
}
