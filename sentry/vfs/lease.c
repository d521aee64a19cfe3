#include "sentry/vfs/lease.h"

#include "proto/leaf.pb-c.h"
#include "sentry/auth/creds.h"
#include "sentry/ctx/settings.h"
#include "sentry/vfs/fasync.h"
#include "sentry/vfs/inode.h"
#include "sentry/vfs/super.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

#include <linux/capability.h>
#include <signal.h>

/* What a holder that chose a signal finds in si_band. */
#define LEASE_BAND (EPOLLIN | EPOLLRDNORM | EPOLLMSG)

static bool breaking(const struct lease *le)
{
	return le->giving_up || le->downgrading;
}

static bool any(struct inode_locks *l)
{
	GUARD(&l->lock);
	return !TAILQ_EMPTY(&l->leases);
}

static bool in_the_way(const struct lease *le, bool write)
{
	return le->write || write;
}

/* Gives le up. The owner that its file signals goes with it, as in Linux. l->lock held. */
static void drop_locked(struct inode_locks *l, struct lease *le, struct ctx *c)
{
	static const struct file_owner nobody;

	TAILQ_REMOVE(&l->leases, le, link);
	if (le->file && c) {
		file_set_owner(le->file, c, &nobody, false);
		file_set_owner_sig(le->file, 0);
		atomic_fetch_and(&le->file->flags, ~(u32)O_ASYNC);
	}
	lease_put(le);
}

/* The time of some is over. True: something changed. l->lock held. */
static bool time_out_locked(struct inode_locks *l, struct ctx *c)
{
	s64 now = clock_mono(c->clocks);
	struct lease *le, *next;
	bool changed = false;

	for (le = TAILQ_FIRST(&l->leases); le; le = next) {
		next = TAILQ_NEXT(le, link);
		if (le->downgrading && le->downgrade_at && le->downgrade_at <= now) {
			le->downgrading = false;
			le->write = false;
			changed = true;
		}
		if (le->giving_up && le->give_up_at && le->give_up_at <= now) {
			drop_locked(l, le, c);
			changed = true;
		}
	}
	return changed;
}

static struct lease *find_locked(struct inode_locks *l, const struct file *f)
{
	struct lease *le;

	TAILQ_FOREACH (le, &l->leases, link) {
		if (le->file == f)
			return le;
	}
	return NULL;
}

/* Is the file open in a way that the lease would have been broken by? */
static bool open_otherwise(const struct file *f, bool write)
{
	struct inode *i = file_place(f);
	u32 mine = file_writable(f) ? 1 : 0;

	if (!write)
		return atomic_load(&i->writers) > 0;
	return atomic_load(&i->writers) != mine || atomic_load(&i->readers) != 1 - mine;
}

static int take_locked(struct inode_locks *l, struct file *f, struct ctx *c, int fd, bool write,
                       const struct file_owner *self)
{
	struct lease *le, *mine = find_locked(l, f);

	if (open_otherwise(f, write))
		return -EAGAIN;
	TAILQ_FOREACH (le, &l->leases, link) {
		if (le != mine && (write || le->giving_up))
			return -EAGAIN;
	}
	if (!mine) {
		mine = obj_new(lease);
		mine->file = f;
		mine->fd = fd;
		TAILQ_INSERT_TAIL(&l->leases, mine, link);
		/* Before anybody can find it to be told of. */
		atomic_fetch_or(&f->flags, O_ASYNC);
		file_set_owner(f, c, self, true);
	}
	mine->write = write;
	/* One that is to be given up altogether still is. */
	if (!write) {
		mine->downgrading = false;
		mine->downgrade_at = 0;
	}
	return 0;
}

int lease_set(struct file *f, struct ctx *c, int fd, int type, const struct file_owner *self)
{
	struct inode *i = file_place(f);
	struct inode_locks *l;
	struct lease *le;
	int r = 0;

	if (type != F_RDLCK && type != F_WRLCK && type != F_UNLCK)
		return -EINVAL;
	if (c->creds->fsuid != i->uid && !creds_capable(c->creds, CAP_LEASE))
		return -EACCES;
	/* Without an inode's super block there is nothing to be opened again by name; what the host
	 * may change beneath us is nobody's to lease. */
	if (!inode_is_reg(i) || !i->sb || super_ops_of(i->sb)->changes_outside)
		return -EINVAL;
	if (type != F_UNLCK && !setting(c->kernel, leases_enable))
		return -EINVAL;
	l = inode_locks_of(i);
	mutex_lock(&l->lock);
	time_out_locked(l, c);
	if (type == F_UNLCK) {
		le = find_locked(l, f);
		if (le)
			drop_locked(l, le, c);
		r = le ? 0 : -EAGAIN;
	} else {
		r = take_locked(l, f, c, fd, type == F_WRLCK, self);
	}
	mutex_unlock(&l->lock);
	if (r == 0)
		waitq_wake(&l->changed, ~0u);
	return r;
}

int lease_type_of(struct file *f, struct ctx *c)
{
	struct inode_locks *l = file_place(f) ? inode_locks_peek(file_place(f)) : NULL;
	struct lease *le;
	bool changed;
	int r;

	if (!l)
		return F_UNLCK;
	mutex_lock(&l->lock);
	changed = time_out_locked(l, c);
	le = find_locked(l, f);
	r = !le || le->giving_up ? F_UNLCK : le->downgrading || !le->write ? F_RDLCK : F_WRLCK;
	mutex_unlock(&l->lock);
	if (changed)
		waitq_wake(&l->changed, ~0u);
	return r;
}

/* ---- breaking ---- */

#define TELL_STEP 16u

struct told {
	u32 n;
	struct {
		struct file_owner owner;
		s32 fd;
	} holders[TELL_STEP];
};

/* Marks what is in the way and collects whom to tell of it. True: there is more. l->lock held. */
static bool mark_locked(struct inode_locks *l, struct ctx *c, bool write, struct told *told)
{
	u64 secs = setting(c->kernel, lease_break_time);
	s64 until = secs ? clock_mono(c->clocks) + (s64)(secs * NSEC_PER_SEC) : 0;
	struct lease *le;

	told->n = 0;
	TAILQ_FOREACH (le, &l->leases, link) {
		if (!in_the_way(le, write) || (write ? le->giving_up : breaking(le)))
			continue;
		if (told->n == TELL_STEP)
			return true;
		if (write) {
			le->giving_up = true;
			le->give_up_at = until;
		} else {
			le->downgrading = true;
			le->downgrade_at = until;
		}
		if (!le->file)
			continue;
		file_get_owner(le->file, &told->holders[told->n].owner);
		told->holders[told->n++].fd = le->fd;
	}
	return false;
}

struct break_wait {
	struct inode_locks *l;
	struct ctx *c;
	bool write;
	s64 until; /* when the next look is due; DEADLINE_NEVER */
};

static bool is_broken(void *arg)
{
	struct break_wait *w = arg;
	struct lease *le;
	GUARD(&w->l->lock);

	time_out_locked(w->l, w->c);
	w->until = DEADLINE_NEVER;
	TAILQ_FOREACH (le, &w->l->leases, link) {
		s64 at = le->giving_up ? le->give_up_at : le->downgrade_at;

		if (!in_the_way(le, w->write))
			continue;
		/* The first in the list is waited for, as it is signalled: its time is theirs. */
		w->until = at ? at : DEADLINE_NEVER;
		return false;
	}
	return true;
}

static int tell_and_wait(struct inode_locks *l, struct ctx *c, bool write, u32 flags)
{
	struct break_wait w = {.l = l, .c = c, .write = write};
	struct told told;
	bool more;
	int r = 0;

	do {
		mutex_lock(&l->lock);
		time_out_locked(l, c);
		more = mark_locked(l, c, write, &told);
		mutex_unlock(&l->lock);
		for (u32 k = 0; k < told.n; k++)
			file_owner_signal(c->kernel, &told.holders[k].owner, POLL_MSG, LEASE_BAND,
			                  told.holders[k].fd);
	} while (more);
	while (r == 0 && !is_broken(&w)) {
		if (flags & O_NONBLOCK)
			return -EWOULDBLOCK;
		r = ctx_block(c, &l->changed, is_broken, &w,
		              (struct deadline){CLOCK_MONOTONIC, w.until});
		if (r == -ETIMEDOUT)
			r = 0;
	}
	/* Others that wait may have been waiting for what ran out. */
	waitq_wake(&l->changed, ~0u);
	return r;
}

static bool for_writing(u32 flags)
{
	return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
}

void lease_opened(struct inode *i, u32 flags)
{
	if (inode_is_reg(i))
		atomic_fetch_sub(for_writing(flags) ? &i->writers : &i->readers, 1);
}

int lease_open(struct inode *i, struct ctx *c, u32 flags)
{
	struct inode_locks *l;
	int r = 0;

	if (!inode_is_reg(i))
		return 0;
	/* From here on it counts as open: either a lease is refused, or found here. And a holder
	 * can't make its lease one that would be in the way again. */
	atomic_fetch_add(for_writing(flags) ? &i->writers : &i->readers, 1);
	l = inode_locks_peek(i);
	if (unlikely(l) && any(l))
		r = tell_and_wait(l, c, for_writing(flags), flags);
	if (r < 0)
		lease_opened(i, flags);
	return r;
}

void lease_file_gone(struct file *f)
{
	struct inode_locks *l = file_place(f) ? inode_locks_peek(file_place(f)) : NULL;
	struct lease *le;

	if (likely(!l) || !any(l))
		return;
	mutex_lock(&l->lock);
	le = find_locked(l, f);
	if (le)
		drop_locked(l, le, NULL);
	mutex_unlock(&l->lock);
	if (le)
		waitq_wake(&l->changed, ~0u);
}

/* ---- the object ---- */

int leases_after_load(struct loader *ld, struct inode_locks *l)
{
	struct lease *le, *next;

	for (le = TAILQ_FIRST(&l->leases); le; le = next) {
		next = TAILQ_NEXT(le, link);
		if (le->give_up_at < 0 || le->downgrade_at < 0)
			return loader_error(ld, "a lease is over before it began");
		/* Its owner is in nobody's hands any more, or would not give it up when it goes. */
		if (!locks_are_of(l, le->file) || find_locked(l, le->file) != le)
			drop_locked(l, le, NULL);
	}
	return 0;
}

#define LEASE_FIELDS(F)     \
	F(HDR, obj)         \
	F(SKIP, link)       \
	F(WEAK, file, file) \
	F(VAL, fd)          \
	F(VAL, write)       \
	F(VAL, giving_up)   \
	F(VAL, downgrading) \
	F(VAL, give_up_at)  \
	F(VAL, downgrade_at)
OBJECT_TYPE(lease, Sentry__Lease, sentry__lease__descriptor, LEASE_FIELDS);
