/* Vehicles: threads of a stub that a context runs as. One that is given up keeps waiting for its
 * turn, with its frame, and serves the next context. */
#include "platform/placement.h"
#include "platform/systrap/systrap.h"
#include "state/base/bug.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static int slot_alloc(struct st_platform *p, u32 *ret)
{
	GUARD(&p->lock);

	if (p->n_free)
		*ret = p->free[--p->n_free];
	else if (p->n_used < STUB_MAX_SLOTS)
		*ret = p->n_used++;
	else
		return -EAGAIN;
	return 0;
}

static void slot_free(struct st_platform *p, u32 index)
{
	GUARD(&p->lock);

	p->free[p->n_free++] = index;
}

static void vehicle_put(struct st_vehicle *v)
{
	if (atomic_fetch_sub(&v->refs, 1) != 1)
		return;
	if (v->index != ST_NO_SLOT)
		slot_free(v->platform, v->index);
	free(v);
}

/* The stub's lock is held. */
static int start(struct st_platform *p, struct st_aspace *as, struct st_vehicle *v)
{
	const u64 clone_flags =
		CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
	struct stub_call calls[2];
	u32 done;
	s64 tid;
	int r;

	v->slot_addr = stub_slot_addr(as->n_threads);
	v->slot = (struct slot *)(void *)(p->slots + (u64)v->index * STUB_SLOT_SIZE);
	memset(v->slot, 0, PAGE_SIZE);
	calls[0] = (struct stub_call){SYS_mmap,
	                              {v->slot_addr, STUB_SLOT_SIZE, PROT_READ | PROT_WRITE,
	                               MAP_FIXED | MAP_SHARED, (u64)p->slots_fd,
	                               (u64)v->index * STUB_SLOT_SIZE},
	                              0};
	/* The sixth argument is none of clone's: it tells the thread where its slot is. */
	calls[1] = (struct stub_call){SYS_clone, {clone_flags, 0, 0, 0, 0, v->slot_addr}, 0};
	__atomic_store_n(&v->slot->state, TURN_GUEST, __ATOMIC_RELEASE);
	r = stub_call(&as->stub, calls, ARRAY_SIZE(calls), &tid, &done);
	if (r < 0)
		return r;
	if (tid < 0)
		return (int)tid;
	as->n_threads++;
	v->tid = (pid_t)tid;
	v->pid = as->stub.pid;
	v->as = as;
	v->platform = p;
	v->placed = PLACEMENT_UNKNOWN;
	return 0;
}

static struct st_vehicle *find_idle(struct st_platform *p, struct st_aspace *as)
{
	struct st_vehicle *v;
	GUARD(&p->lock);

	LIST_FOREACH (v, &as->vehicles, link) {
		if (v->busy)
			continue;
		v->busy = true;
		as->n_busy++;
		atomic_fetch_add(&v->refs, 1);
		return v;
	}
	return NULL;
}

static int take(struct st_platform *p, struct st_aspace *as, struct st_vehicle **ret)
{
	struct st_vehicle *v;
	int r;
	GUARD(&as->stub.lock);

	v = find_idle(p, as);
	if (v) {
		*ret = v;
		return 0;
	}
	if (as->n_threads == STUB_MAX_SLOTS)
		return -EAGAIN;
	v = calloc(1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	r = slot_alloc(p, &v->index);
	if (r == 0) {
		r = start(p, as, v);
		if (r < 0)
			slot_free(p, v->index);
	}
	if (r < 0) {
		free(v);
		return r;
	}
	v->busy = true;
	mutex_lock(&p->lock);
	as->n_busy++;
	mutex_unlock(&p->lock);
	atomic_init(&v->refs, 2);
	LIST_INSERT_HEAD(&as->vehicles, v, link);
	*ret = v;
	return 0;
}

/* Each thread runs one context at a time. */
static _Thread_local struct st_context *current;

struct st_context *st_alone(struct st_aspace *as)
{
	struct st_context *c = current;

	if (!c || !c->v || c->v->as != as || atomic_load(&c->v->dead))
		return NULL;
	GUARD(&c->v->platform->lock);
	return as->n_busy == 1 ? c : NULL;
}

static void attach(struct st_context *c, struct st_vehicle *v)
{
	current = v ? c : NULL;
	GUARD(&c->kick_lock);
	c->v = v;
	c->kick_pid = v ? v->pid : 0;
	c->kick_tid = v ? v->tid : 0;
}

void st_vehicle_drop(struct st_context *c)
{
	struct st_vehicle *v = c->v;

	if (!v)
		return;
	attach(c, NULL);
	/* The aspace may be released at this moment, the platform may not. */
	mutex_lock(&v->platform->lock);
	if (!atomic_load(&v->dead)) {
		v->busy = false;
		v->as->n_busy--;
	}
	mutex_unlock(&v->platform->lock);
	vehicle_put(v);
}

int st_vehicle_get(struct st_context *c, struct st_aspace *as)
{
	struct st_platform *p = st_platform(c->base.platform);
	struct st_vehicle *v = c->v;
	int r;

	if (v && !atomic_load(&v->dead) && v->as == as)
		return 0;
	if (v) {
		/* The FP state moves along; that of a dead stub is lost with it. */
		st_fp_pull(c);
		c->fp_state = ST_FP_CACHE;
		st_vehicle_drop(c);
	}
	r = take(p, as, &v);
	if (r < 0)
		return r;
	attach(c, v);
	if (!v->has_frame) {
		struct regs regs;
		struct exit_info e;

		r = st_await(p, NULL, v);
		if (r == 0)
			r = st_frame_take(v);
		if (r < 0)
			return r == -EBADMSG ? -ESRCH : r;
		st_frame_get(p, v, &regs, &e);
		v->has_frame = true;
		/* Nobody has run guest code in this stub yet. */
		mutex_lock(&as->stub.lock);
		if (as->n_threads == 1)
			st_pristine_take(p, v);
		mutex_unlock(&as->stub.lock);
	}
	return 0;
}

static void mark_dead(struct st_vehicle *v)
{
	GUARD(&v->platform->lock);

	atomic_store(&v->dead, true);
}

void st_vehicles_end(struct st_aspace *as)
{
	struct st_vehicle *v;

	while ((v = LIST_FIRST(&as->vehicles))) {
		LIST_REMOVE(v, link);
		mark_dead(v);
		vehicle_put(v);
	}
}

/* A struct of its own for the thread behind v; v is only its context's any more, and the context
 * may be about to give it up: what that changes isn't copied. */
static int NO_TSAN replace(struct st_vehicle *v)
{
	struct st_vehicle *n = malloc(sizeof(*n));

	if (!n)
		return -ENOMEM;
	*n = *v;
	n->busy = false;
	atomic_init(&n->refs, 1);
	LIST_INSERT_AFTER(v, n, link);
	LIST_REMOVE(v, link);
	mark_dead(v);
	v->index = ST_NO_SLOT;
	vehicle_put(v);
	return 0;
}

int st_vehicles_detach(struct st_aspace *as)
{
	struct st_vehicle *v, *next;
	u32 n = 0;
	int r;

	for (v = LIST_FIRST(&as->vehicles); v; v = next) {
		next = LIST_NEXT(v, link);
		if (!v->has_frame || !st_is_ours(v->slot))
			return -EBUSY;
		r = replace(v);
		if (r < 0)
			return r;
		n++;
	}
	return n == as->n_threads ? 0 : -EBUSY;
}
