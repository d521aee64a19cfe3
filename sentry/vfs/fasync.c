#include "sentry/vfs/fasync.h"

#include "proto/vfs.pb-c.h"
#include "sentry/auth/creds.h"
#include "sentry/kernel/kernel.h"
#include "sentry/vfs/inode.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>

struct fasync_waiter {
	struct waiter w;
	struct fasync *fa;
	struct fasync_waiter *next;
};

struct fasync_poll_table {
	struct poll_table pt;
	struct fasync *fa;
};

/* ---- what happened ---- */

static bool fasync_wake(struct waiter *w, u32 events)
{
	struct fasync *fa = container_of(w, struct fasync_waiter, w)->fa;

	if (events == ~0u)
		events = READY_IN;
	if (atomic_fetch_or(&fa->due, events) != 0)
		return true;
	fasync_get(fa);
	if (!later_add(&fa->later)) {
		atomic_store(&fa->due, 0);
		fasync_put(fa);
	}
	return true;
}

static void tell(struct fasync *fa, const struct file_owner *o, int code, int fd)
{
	static const s64 bands[] = {
		[POLL_IN] = EPOLLIN | EPOLLRDNORM,
		[POLL_OUT] = EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND,
		[POLL_ERR] = EPOLLERR,
		[POLL_PRI] = EPOLLPRI | EPOLLRDBAND,
		[POLL_HUP] = EPOLLHUP | EPOLLERR,
	};

	file_owner_signal(fa->kernel, o, code, bands[code], fd);
}

static void tell_ready(struct fasync *fa, struct file *f, const struct file_owner *o, u32 due,
                       int fd)
{
	if (S_ISSOCK(f->inode->mode)) {
		/* A wake for an end names all that may have come of it. */
		u32 ready = due & (EPOLLERR | EPOLLHUP) ? file_poll(f, NULL) & due : 0;

		if (ready & EPOLLERR) {
			tell(fa, o, POLL_ERR, fd);
			return;
		}
		if (ready & EPOLLHUP) {
			tell(fa, o, POLL_HUP, fd);
			return;
		}
	}
	/* A terminal wakes its readers for whatever may be something to read. */
	if (S_ISCHR(f->inode->mode) && (due & READY_IN)) {
		u32 ready = file_poll(f, NULL);

		/* One that was hung up tells nobody of anything any more. */
		due &= ready & EPOLLHUP ? 0 : ~READY_IN | ready;
	}
	if (due & READY_IN)
		tell(fa, o, POLL_IN, fd);
	if (due & FASYNC_OUT)
		tell(fa, o, POLL_OUT, fd);
}

/* No lock is held. */
static void fasync_run(struct later *l)
{
	struct fasync *fa = container_of(l, struct fasync, later);
	u32 due = atomic_exchange(&fa->due, 0);
	struct file_owner o;
	struct file *f;
	bool async;
	s32 fd;

	mutex_lock(&fa->lock);
	f = fa->file && obj_tryget(fa->file) ? fa->file : NULL;
	fd = fa->fd;
	mutex_unlock(&fa->lock);
	if (f) {
		async = (file_flags(f) & O_ASYNC) != 0;
		file_get_owner(f, &o);
		if ((due & EPOLLPRI) && S_ISSOCK(f->inode->mode)) {
			file_owner_urgent(fa->kernel, &o);
			/* Those that chose a signal are told by it as well. */
			if (async && o.sig)
				tell(fa, &o, POLL_PRI, fd);
		}
		if (async)
			tell_ready(fa, f, &o, due, fd);
		obj_put(f);
	}
	fasync_put(fa);
}

/* ---- having one ---- */

static void add_queue(struct poll_table *pt, struct waitq *q)
{
	struct fasync *fa = container_of(pt, struct fasync_poll_table, pt)->fa;
	struct fasync_waiter *fw = calloc(1, sizeof(*fw));

	BUG_ON(!fw);
	fw->fa = fa;
	fw->w.wake = fasync_wake;
	fw->next = fa->waiters;
	fa->waiters = fw;
	waitq_add(q, &fw->w);
}

static void attach(struct fasync *fa, struct file *f)
{
	struct fasync_poll_table pt = {.pt.add = add_queue, .fa = fa};

	(void)file_poll(f, &pt.pt);
}

static void free_waiters(struct fasync *fa)
{
	while (fa->waiters) {
		struct fasync_waiter *fw = fa->waiters;

		fa->waiters = fw->next;
		waitq_remove(&fw->w);
		free(fw);
	}
}

/* The file's, made at the first need. */
static struct fasync *fasync_of(struct file *f, struct ctx *c)
{
	struct fasync *fa = __atomic_load_n(&f->fasync, __ATOMIC_ACQUIRE), *mine;

	if (fa)
		return fa;
	mine = obj_new(fasync);
	mine->kernel = c->kernel;
	mine->file = f;
	attach(mine, f);
	if (__atomic_compare_exchange_n(&f->fasync, &fa, mine, false, __ATOMIC_ACQ_REL,
	                                __ATOMIC_ACQUIRE))
		return mine;
	/* Another thread was first. */
	free_waiters(mine);
	mutex_lock(&mine->lock);
	mine->file = NULL;
	mutex_unlock(&mine->lock);
	fasync_put(mine);
	return fa;
}

void fasync_file_gone(struct file *f)
{
	struct fasync *fa = f->fasync;
	bool mine;

	if (!fa)
		return;
	mutex_lock(&fa->lock);
	mine = fa->file == f;
	if (mine)
		fa->file = NULL;
	mutex_unlock(&fa->lock);
	if (mine)
		free_waiters(fa);
}

void file_get_owner(struct file *f, struct file_owner *ret)
{
	GUARD(&f->ep_lock);
	*ret = (struct file_owner){
		.type = f->owner_type,
		.pid = f->owner_pid,
		.since = f->owner_since,
		.uid = f->owner_uid,
		.euid = f->owner_euid,
		.sig = f->owner_sig,
	};
}

void file_set_owner(struct file *f, struct ctx *c, const struct file_owner *o, bool only_first)
{
	if (o->pid && file_ops_of(f)->set_async)
		(void)fasync_of(f, c);
	GUARD(&f->ep_lock);
	if (only_first && f->owner_pid)
		return;
	f->owner_type = o->type;
	f->owner_pid = o->pid;
	f->owner_since = o->since;
	f->owner_uid = c->creds->uid;
	f->owner_euid = c->creds->euid;
}

void file_set_owner_sig(struct file *f, s32 sig)
{
	GUARD(&f->ep_lock);
	f->owner_sig = sig;
}

void file_async_on(struct file *f, struct ctx *c, int fd)
{
	struct fasync *fa = fasync_of(f, c);

	GUARD(&fa->lock);
	fa->fd = fd;
}

void file_set_async(struct file *f, struct ctx *c, bool on)
{
	(void)f, (void)c, (void)on;
}

/* ---- the object ---- */

static void fasync_init(void *p)
{
	struct fasync *fa = p;

	mutex_init(&fa->lock, RANK_LEAF);
	fa->later.run = fasync_run;
}

static void fasync_destroy(void *p)
{
	free_waiters(p);
}

void fasync_file_loaded(struct file *f)
{
	struct fasync *fa = f->fasync;

	if (!fa)
		return;
	/* No image of ours names one twice; it stays the first file's. Without a kernel it is never
	 * attached, and so never says anything. */
	if (fa->file)
		return;
	fa->file = f;
	if (fa->kernel)
		TAILQ_INSERT_TAIL(&fa->kernel->fasyncs, fa, link);
}

void fasync_attach_loaded(struct kernel *k)
{
	struct fasync *fa;

	while ((fa = TAILQ_FIRST(&k->fasyncs))) {
		TAILQ_REMOVE(&k->fasyncs, fa, link);
		attach(fa, fa->file);
	}
}

/* file: it says so itself; link, waiters: only while and after a load; later, due: nothing is owed
 * while everybody is parked. */
#define FASYNC_FIELDS(F)        \
	F(HDR, obj)             \
	F(WEAK, kernel, kernel) \
	F(SKIP, link)           \
	F(SKIP, lock)           \
	F(SKIP, file)           \
	F(VAL, fd)              \
	F(SKIP, waiters)        \
	F(SKIP, later)          \
	F(SKIP, due)
OBJECT_TYPE(fasync, Sentry__Fasync, sentry__fasync__descriptor, FASYNC_FIELDS, .init = fasync_init,
            .destroy = fasync_destroy);
