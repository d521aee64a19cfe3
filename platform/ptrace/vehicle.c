/* Vehicles: threads of a stub that a context runs as. */
#include "platform/placement.h"
#include "platform/ptrace/ptrace.h"
#include "state/base/bug.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

/* What the calling thread traces. When it ends, the host would kill those threads' stubs, so they
 * are parked before. */
static __thread struct pt_vehicles t_traced;
static pthread_key_t thread_end;
static pthread_once_t thread_end_once = PTHREAD_ONCE_INIT;

static void vehicle_put(struct pt_vehicle *v)
{
	if (atomic_fetch_sub(&v->refs, 1) == 1)
		free(v);
}

static void untrace(struct pt_vehicle *v)
{
	if (atomic_load(&v->traced))
		LIST_REMOVE(v, of_thread);
	atomic_store(&v->traced, false);
}

void pt_vehicle_died(struct pt_vehicle *v)
{
	untrace(v);
	atomic_store(&v->dead, true);
}

/* Makes v wait in the blob, no longer traced. Only its tracer can. */
static void park(struct pt_vehicle *v)
{
	struct regs regs = {.rip = STUB_ADDR(stub_blob_park), .rflags = 0x202};

	if (!atomic_load(&v->traced))
		return;
	/* If these fail, it has been killed, and whoever did that waits for its end. */
	if (!atomic_load(&v->dead) && pt_set_regs(v, &regs) == 0)
		(void)ptrace(PTRACE_DETACH, v->tid, 0, 0);
	untrace(v);
}

static void park_all(void *unused)
{
	struct pt_vehicle *v, *next;

	for (v = LIST_FIRST(&t_traced); v; v = next) {
		next = LIST_NEXT(v, of_thread);
		park(v);
	}
}

static void make_key(void)
{
	BUG_ON(pthread_key_create(&thread_end, park_all) != 0);
}

static int attach(struct pt_vehicle *v)
{
	const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;
	/* All but the synchronous ones and ours. */
	u64 mask = ~(1ull << (SIGSEGV - 1) | 1ull << (SIGBUS - 1) | 1ull << (SIGFPE - 1) |
	             1ull << (SIGILL - 1) | 1ull << (SIGTRAP - 1) | 1ull << (SIGSYS - 1) |
	             1ull << (PT_KICK - 1));
	int r;

	pthread_once(&thread_end_once, make_key);
	/* Any value makes the destructor run. */
	if (pthread_setspecific(thread_end, &t_traced) != 0)
		return -ENOMEM;
	if (ptrace(PTRACE_SEIZE, v->tid, 0, options) < 0)
		return errno == ESRCH ? -ESRCH : -EAGAIN;
	atomic_store(&v->traced, true);
	LIST_INSERT_HEAD(&t_traced, v, of_thread);
	if (ptrace(PTRACE_INTERRUPT, v->tid, 0, 0) < 0 && errno != ESRCH)
		return -EAGAIN;
	r = pt_wait(v);
	if (r < 0)
		return r;
	if (ptrace(PTRACE_SETSIGMASK, v->tid, sizeof(mask), &mask) < 0)
		return -ESRCH;
	return 0;
}

/* One that nobody uses, or a new one; marked busy. */
static int take(struct pt_aspace *as, struct pt_vehicle **ret)
{
	struct pt_vehicle *v;
	int r;
	GUARD(&as->stub.lock);

	LIST_FOREACH (v, &as->vehicles, of_aspace) {
		if (!atomic_load(&v->dead) && !atomic_exchange(&v->busy, true)) {
			atomic_fetch_add(&v->refs, 1);
			*ret = v;
			return 0;
		}
	}
	if (as->n_slots == STUB_MAX_SLOTS)
		return -EAGAIN;
	v = calloc(1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	v->placed = PLACEMENT_UNKNOWN;
	r = stub_thread(&as->stub, as->n_slots, &v->tid);
	if (r < 0) {
		free(v);
		return r;
	}
	v->slot = as->n_slots++;
	v->as = as;
	v->pid = as->stub.pid;
	atomic_init(&v->busy, true);
	atomic_init(&v->refs, 2);
	LIST_INSERT_HEAD(&as->vehicles, v, of_aspace);
	*ret = v;
	return 0;
}

/* v leaves its context; the next may take it unless it is dead. */
static void give_back(struct pt_vehicle *v)
{
	LIST_REMOVE(v, of_context);
	park(v);
	atomic_store(&v->busy, false);
	vehicle_put(v);
}

int pt_vehicle_get(struct pt_context *c, struct pt_aspace *as, struct pt_vehicle **ret)
{
	struct pt_vehicle *v, *next;
	int r;

	for (v = LIST_FIRST(&c->vehicles); v; v = next) {
		next = LIST_NEXT(v, of_context);
		/* Of an aspace that is gone: another may have its address by now. */
		if (atomic_load(&v->dead)) {
			if (c->current == v)
				c->current = NULL;
			give_back(v);
		} else if (v->as == as) {
			*ret = v;
			return 0;
		}
	}
	r = take(as, &v);
	if (r < 0)
		return r;
	LIST_INSERT_HEAD(&c->vehicles, v, of_context);
	r = attach(v);
	if (r < 0) {
		give_back(v);
		return r;
	}
	*ret = v;
	return 0;
}

void pt_vehicles_drop(struct pt_context *c)
{
	struct pt_vehicle *v;

	while ((v = LIST_FIRST(&c->vehicles)))
		give_back(v);
	c->current = NULL;
}

/* Waits for a killed thread. Not by sleeping in waitpid: measured on Linux 6.18, a sleeper is not
 * always woken when a traced thread that is no leader dies in a group exit. */
static void reap_thread(pid_t tid)
{
	struct timespec nap = {.tv_nsec = 20000};
	pid_t r;

	while ((r = waitpid(tid, NULL, __WALL | WNOHANG)) == 0 || (r < 0 && errno == EINTR)) {
		nanosleep(&nap, NULL);
		if (nap.tv_nsec < 2000000)
			nap.tv_nsec *= 2;
	}
}

void pt_vehicles_end(struct pt_aspace *as)
{
	struct pt_vehicle *v;

	/* First, so that no owner touches what is about to go. */
	LIST_FOREACH (v, &as->vehicles, of_aspace)
		atomic_store(&v->dead, true);
	stub_kill(&as->stub);
	while ((v = LIST_FIRST(&as->vehicles))) {
		LIST_REMOVE(v, of_aspace);
		/* A traced thread stays until somebody of its tracer's process waits for it, and
		 * with it the stub. Its tracer won't: it is not in switch_to. */
		if (atomic_load(&v->traced))
			reap_thread(v->tid);
		vehicle_put(v);
	}
}
