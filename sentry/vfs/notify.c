/*
 * From changes of files to events: who watches the inode, who watches the directory that it is in.
 * The lock is one for the process: it is taken only while somebody watches.
 */
#include "sentry/vfs/notify.h"

#include "sentry/kernel/kernel.h"
#include "sentry/vfs/dnotify.h"
#include "sentry/vfs/inode.h"
#include "sentry/vfs/inotify.h"
#include "sentry/vfs/super.h"
#include "state/base/cleanup.h"

#include <string.h>

_Atomic u32 notify_watches;

/* No state of its own: nothing of it is in an image. */
static struct mutex lock;

__attribute__((constructor)) static void lock_init(void)
{
	mutex_init(&lock, RANK_NOTIFY);
}

void notify_lock(void) NO_LOCK_ANALYSIS
{
	mutex_lock(&lock);
}

void notify_unlock(void) NO_LOCK_ANALYSIS
{
	mutex_unlock(&lock);
}

void notify_attach(struct inotify_watch *w)
{
	LIST_INSERT_HEAD(&w->inode->watches, w, on_inode);
	w->attached = true;
	atomic_fetch_add(&notify_watches, 1);
}

void notify_detach(struct inotify_watch *w)
{
	if (!w->attached)
		return;
	w->attached = false;
	LIST_REMOVE(w, on_inode);
	atomic_fetch_sub(&notify_watches, 1);
}

void notify_inode_destroyed(struct inode *i)
{
	struct inotify_watch *w;

	if (likely(!LIST_FIRST(&i->watches)))
		return;
	notify_lock();
	while ((w = LIST_FIRST(&i->watches)))
		notify_detach(w);
	notify_unlock();
}

/* Watches that were dropped under the lock: put when it is free. */
struct dropped {
	struct inotify_watch *first; /* linked by link.tqe_next, which no list uses any more */
};

static void drop_locked(struct dropped *d, struct inotify_watch *w)
{
	inotify_drop_watch(w);
	w->link.tqe_next = d->first;
	d->first = w;
}

static void dropped_put(struct dropped *d)
{
	while (d->first) {
		struct inotify_watch *w = d->first;

		d->first = w->link.tqe_next;
		inotify_watch_put(w);
	}
}

/* Delivers to those who watch i. unlinked: the event is about an open file without a name. */
static void deliver_locked(struct dropped *d, struct inode *i, u32 mask, const char *name,
                           u32 cookie, bool unlinked)
{
	struct inotify_watch *w, *next;

	for (w = LIST_FIRST(&i->watches); w; w = next) {
		next = LIST_NEXT(w, on_inode);
		if (!(w->mask & mask & IN_ALL_EVENTS))
			continue;
		if (unlinked && (w->mask & IN_EXCL_UNLINK))
			continue;
		inotify_queue(w->in, w->wd, mask, cookie, name);
		if (w->mask & IN_ONESHOT)
			drop_locked(d, w);
	}
}

static u32 dir_bit(const struct inode *i)
{
	return inode_is_dir(i) ? IN_ISDIR : 0;
}

void notify_inode(struct inode *i, u32 mask)
{
	struct dropped d = {0};

	if (!notify_active())
		return;
	if (inode_is_dir(i))
		dnotify_event(i, dnotify_bits(mask));
	if (!LIST_FIRST(&i->watches))
		return;
	notify_lock();
	/* That the watched one itself moved is said without its kind, as inotify always did. */
	deliver_locked(&d, i, mask & IN_MOVE_SELF ? mask : mask | dir_bit(i), NULL, 0, false);
	notify_unlock();
	dropped_put(&d);
}

void notify_name(struct inode *dir, u32 mask, const char *name, bool isdir, u32 cookie)
{
	struct dropped d = {0};

	if (!notify_active())
		return;
	dnotify_event(dir, dnotify_bits(mask));
	if (!LIST_FIRST(&dir->watches))
		return;
	notify_lock();
	deliver_locked(&d, dir, mask | (isdir ? IN_ISDIR : 0), name, cookie, false);
	notify_unlock();
	dropped_put(&d);
}

/* by_file: the event comes from an open file, which may have lost its name. */
static void notify_both(struct dentry *d, u32 mask, bool by_file)
{
	AUTO(dentry) parent = NULL;
	AUTO_FREE char *name = NULL;
	bool unlinked = by_file && d->unlinked;
	struct dropped dr = {0};

	if (!d->inode)
		return;
	mask |= dir_bit(d->inode);
	if (d->parent) {
		/* A rename may be under way. */
		rwlock_rdlock(&d->sb->rename_lock);
		parent = dentry_get(d->parent);
		if (LIST_FIRST(&parent->inode->watches))
			name = strdup(d->name);
		rwlock_unlock(&d->sb->rename_lock);
		dnotify_event(parent->inode, dnotify_bits(mask));
	}
	if (inode_is_dir(d->inode))
		dnotify_event(d->inode, dnotify_bits(mask));
	if (!name && !LIST_FIRST(&d->inode->watches))
		return;
	notify_lock();
	if (name)
		deliver_locked(&dr, parent->inode, mask, name, 0, unlinked);
	deliver_locked(&dr, d->inode, mask, NULL, 0, unlinked);
	notify_unlock();
	dropped_put(&dr);
}

void notify_dentry(struct dentry *d, u32 mask)
{
	if (notify_active())
		notify_both(d, mask, false);
}

void notify_file_slow(struct file *f, u32 mask)
{
	if (file_flags(f) & O_PATH)
		return;
	if (f->path.dentry)
		notify_both(f->path.dentry, mask, true);
	else
		notify_inode(f->inode, mask);
}

void notify_attr(struct dentry *d, u32 valid)
{
	const u32 atime = IATTR_ATIME | IATTR_ATIME_NOW, mtime = IATTR_MTIME | IATTR_MTIME_NOW;
	u32 mask = 0;

	if (!notify_active())
		return;
	if (valid & (IATTR_UID | IATTR_GID | IATTR_MODE))
		mask |= IN_ATTRIB;
	if (valid & IATTR_SIZE)
		mask |= IN_MODIFY;
	if ((valid & atime) && (valid & mtime))
		mask |= IN_ATTRIB;
	else if (valid & atime)
		mask |= IN_ACCESS;
	else if (valid & mtime)
		mask |= IN_MODIFY;
	if (mask)
		notify_both(d, mask, false);
}

/* ---- names that go ---- */

/* Nothing can bring the file back: its last name is gone. */
static bool gone_for_good(const struct dentry *d)
{
	return d->unlinked && d->inode &&
	       (inode_is_dir(d->inode) || READ_ONCE(d->inode->nlink) == 0);
}

void notify_gone(struct dentry *d)
{
	struct dropped dr = {0};
	struct inotify_watch *w;

	if (likely(!d->inode || !LIST_FIRST(&d->inode->watches)) || !gone_for_good(d))
		return;
	notify_lock();
	deliver_locked(&dr, d->inode, IN_DELETE_SELF, NULL, 0, false);
	while ((w = LIST_FIRST(&d->inode->watches)))
		drop_locked(&dr, w);
	notify_unlock();
	dropped_put(&dr);
}

void notify_unlinked(struct dentry *d)
{
	struct inotify_watch *w;
	u32 pins = 0;

	if (!d->inode || !LIST_FIRST(&d->inode->watches))
		return;
	notify_lock();
	LIST_FOREACH (w, &d->inode->watches, on_inode) {
		if (w->dentry == d) {
			w->dentry = NULL;
			pins++;
		}
	}
	notify_unlock();
	while (pins-- > 0)
		dentry_put(d);
	if (obj_refs(d) == 1)
		notify_gone(d);
}

void notify_moved(struct ctx *c, struct inode *old_dir, const char *old_name, struct inode *new_dir,
                  const char *new_name, struct inode *moved, struct inode *target)
{
	bool isdir = inode_is_dir(moved);
	u32 cookie;

	if (!notify_active())
		return;
	cookie = (u32)kernel_new_id(c->kernel);
	notify_name(old_dir, IN_MOVED_FROM, old_name, isdir, cookie);
	notify_name(new_dir, IN_MOVED_TO, new_name, isdir, cookie);
	if (old_dir == new_dir)
		dnotify_event(old_dir, DN_RENAME);
	if (target)
		notify_inode(target, IN_ATTRIB);
	notify_inode(moved, IN_MOVE_SELF);
}
