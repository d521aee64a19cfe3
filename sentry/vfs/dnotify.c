#include "sentry/vfs/dnotify.h"

#include "proto/leaf.pb-c.h"
#include "sentry/ctx/settings.h"
#include "sentry/kernel/kernel.h"
#include "sentry/vfs/fasync.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/inode.h"
#include "sentry/vfs/notify.h"
#include "state/base/bug.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

#include <signal.h>
#include <stdlib.h>

/* What an owner that chose a signal finds in si_band. */
#define DNOTIFY_BAND (EPOLLIN | EPOLLRDNORM | EPOLLMSG)
#define DN_ONCE_ALL  (DN_ACCESS | DN_MODIFY | DN_CREATE | DN_DELETE | DN_RENAME | DN_ATTRIB)

static void add_locked(struct inode_locks *l, struct dnotify *dn)
{
	TAILQ_INSERT_TAIL(&l->dnotifies, dn, link);
	atomic_fetch_add(&l->n_dnotifies, 1);
	atomic_fetch_add(&notify_watches, 1);
}

static void drop_locked(struct inode_locks *l, struct dnotify *dn)
{
	TAILQ_REMOVE(&l->dnotifies, dn, link);
	atomic_fetch_sub(&l->n_dnotifies, 1);
	atomic_fetch_sub(&notify_watches, 1);
	dnotify_put(dn);
}

/* fd is a descriptor of f, whose close ends what was asked for by it. */
static bool is_open_as(struct fd_table *files, int fd, const struct file *f)
{
	AUTO(file) now = NULL;

	return fd_table_lookup(files, fd, &now) == 0 && now == f;
}

static struct dnotify *find_locked(struct inode_locks *l, const struct file *f,
                                   const struct fd_table *files)
{
	struct dnotify *dn;

	TAILQ_FOREACH (dn, &l->dnotifies, link) {
		if (dn->file == f && (!files || dn->files == files))
			return dn;
	}
	return NULL;
}

int dnotify_set(struct file *f, struct ctx *c, int fd, u32 mask, bool *ret_new)
{
	struct inode *i = file_place(f);
	struct inode_locks *l;
	struct dnotify *dn;

	*ret_new = false;
	if (!setting(c->kernel, dir_notify_enable))
		return -EINVAL;
	if (!(mask & ~(u32)DN_MULTISHOT)) {
		dnotify_closed(f, c->fds);
		return 0;
	}
	if (!inode_is_dir(i))
		return -ENOTDIR;
	l = inode_locks_of(i);
	mutex_lock(&l->lock);
	dn = find_locked(l, f, c->fds);
	*ret_new = !dn;
	if (!dn) {
		dn = obj_new(dnotify);
		dn->kernel = c->kernel;
		dn->file = f;
		dn->files = c->fds;
		add_locked(l, dn);
	}
	dn->fd = fd;
	dn->mask |= mask & (DN_ONCE_ALL | DN_MULTISHOT);
	mutex_unlock(&l->lock);
	/* A close of the descriptor in another thread may have missed what was just added. */
	if (!is_open_as(c->fds, fd, f))
		dnotify_closed(f, c->fds);
	return 0;
}

/* ---- telling ---- */

struct owed {
	struct later later;
	struct kernel *kernel;
	struct file_owner owner;
	s32 fd;
};

static void send(struct later *l)
{
	struct owed *o = container_of(l, struct owed, later);

	file_owner_signal(o->kernel, &o->owner, POLL_MSG, DNOTIFY_BAND, o->fd);
	free(o);
}

static void owe(const struct dnotify *dn)
{
	struct owed *o = calloc(1, sizeof(*o));

	BUG_ON(!o);
	o->later.run = send;
	o->kernel = dn->kernel;
	o->fd = dn->fd;
	file_get_owner(dn->file, &o->owner);
	if (!later_add(&o->later))
		free(o);
}

void dnotify_event(struct inode *dir, u32 bits)
{
	struct inode_locks *l = inode_locks_peek(dir);
	struct dnotify *dn, *next;

	if (likely(!l) || !bits)
		return;
	GUARD(&l->lock);
	for (dn = TAILQ_FIRST(&l->dnotifies); dn; dn = next) {
		next = TAILQ_NEXT(dn, link);
		if (!(dn->mask & bits))
			continue;
		if (dn->file && dn->kernel)
			owe(dn);
		if (!(dn->mask & DN_MULTISHOT))
			drop_locked(l, dn);
	}
}

u32 dnotify_bits(u32 in_mask)
{
	u32 bits = 0;

	if (in_mask & IN_ACCESS)
		bits |= DN_ACCESS;
	if (in_mask & IN_MODIFY)
		bits |= DN_MODIFY;
	if (in_mask & IN_ATTRIB)
		bits |= DN_ATTRIB;
	if (in_mask & (IN_CREATE | IN_MOVED_TO))
		bits |= DN_CREATE;
	if (in_mask & (IN_DELETE | IN_MOVED_FROM))
		bits |= DN_DELETE;
	return bits;
}

void dnotify_closed(struct file *f, const struct fd_table *files)
{
	struct inode *i = file_place(f);
	struct inode_locks *l = i ? inode_locks_peek(i) : NULL;
	struct dnotify *dn;

	if (likely(!l))
		return;
	GUARD(&l->lock);
	while ((dn = find_locked(l, f, files)))
		drop_locked(l, dn);
}

/* ---- the object ---- */

void dnotify_loaded(struct inode_locks *l)
{
	struct dnotify *dn, *next;

	TAILQ_FOREACH (dn, &l->dnotifies, link) {
		atomic_fetch_add(&l->n_dnotifies, 1);
		atomic_fetch_add(&notify_watches, 1);
	}
	for (dn = TAILQ_FIRST(&l->dnotifies); dn; dn = next) {
		next = TAILQ_NEXT(dn, link);
		/* Its owner is in nobody's hands any more, or would not give it up when it goes. */
		if (!dn->files || !locks_are_of(l, dn->file) ||
		    !is_open_as(dn->files, dn->fd, dn->file))
			drop_locked(l, dn);
	}
}

void dnotify_free(struct inode_locks *l)
{
	struct dnotify *dn;

	/* A load that failed half way has not counted them. */
	if (atomic_load(&l->n_dnotifies) == 0) {
		while ((dn = TAILQ_FIRST(&l->dnotifies))) {
			TAILQ_REMOVE(&l->dnotifies, dn, link);
			dnotify_put(dn);
		}
	}
	while ((dn = TAILQ_FIRST(&l->dnotifies)))
		drop_locked(l, dn);
}

#define DNOTIFY_FIELDS(F)        \
	F(HDR, obj)              \
	F(SKIP, link)            \
	F(WEAK, kernel, kernel)  \
	F(WEAK, file, file)      \
	F(WEAK, files, fd_table) \
	F(VAL, fd)               \
	F(VAL, mask)
OBJECT_TYPE(dnotify, Sentry__Dnotify, sentry__dnotify__descriptor, DNOTIFY_FIELDS);
