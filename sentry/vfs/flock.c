#include "sentry/vfs/flock.h"

#include "proto/leaf.pb-c.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/dnotify.h"
#include "sentry/vfs/inode.h"
#include "sentry/vfs/lease.h"
#include "sentry/vfs/stat.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

#include <stdio.h>
#include <sys/file.h>
#include <sys/sysmacros.h>

#define END_MAX ((u64)INT64_MAX)

/*
 * Who sleeps for a record lock, and for whose: so that a circle is found when it would close. An
 * edge is cut when a lock of that inode goes, even before the sleeper has looked again. Sleepers
 * are never saved, so neither is this.
 */
struct blocked {
	TAILQ_ENTRY(blocked) link;
	const struct inode_locks *on;
	const struct fd_table *who, *for_whom;
};
static TAILQ_HEAD(, blocked) blocked_list = TAILQ_HEAD_INITIALIZER(blocked_list);
static struct mutex blocked_lock;

__attribute__((constructor)) static void blocked_lock_init(void)
{
	mutex_init(&blocked_lock, RANK_LEAF);
}

struct inode_locks *inode_locks_peek(struct inode *i)
{
	return __atomic_load_n(&i->locks, __ATOMIC_ACQUIRE);
}

struct inode_locks *inode_locks_of(struct inode *i)
{
	GUARD(&i->lock);
	if (!i->locks)
		__atomic_store_n(&i->locks, obj_new(inode_locks), __ATOMIC_RELEASE);
	return i->locks;
}

static bool same_owner(const struct file_lock *a, const struct file_lock *b)
{
	return a->file == b->file && a->files == b->files;
}

static bool conflicts(const struct file_lock *a, const struct file_lock *b)
{
	if ((a->kind == LOCK_KIND_FLOCK) != (b->kind == LOCK_KIND_FLOCK) || same_owner(a, b))
		return false;
	return (a->exclusive || b->exclusive) && a->start <= b->end && b->start <= a->end;
}

static struct file_lock *find_conflict(struct inode_locks *l, const struct file_lock *want)
{
	struct file_lock *k, *first = NULL;

	TAILQ_FOREACH (k, &l->held, link)
		if (conflicts(k, want) && (!first || k->start < first->start))
			first = k;
	return first;
}

static void lock_add(struct inode_locks *l, const struct file_lock *want, u64 start, u64 end)
{
	struct file_lock *n = obj_new(file_lock);

	n->kind = want->kind;
	n->exclusive = want->exclusive;
	n->file = want->file;
	n->files = want->files;
	n->pid = want->pid;
	n->start = start;
	n->end = end;
	TAILQ_INSERT_TAIL(&l->held, n, link);
}

static void lock_drop(struct inode_locks *l, struct file_lock *k)
{
	TAILQ_REMOVE(&l->held, k, link);
	file_lock_put(k);
}

/* Something was released: sleepers for this inode wait for nobody until they have looked again. */
static void cut_edges(struct inode_locks *l)
{
	struct blocked *b;

	GUARD(&blocked_lock);
	TAILQ_FOREACH (b, &blocked_list, link)
		if (b->on == l)
			b->for_whom = NULL;
}

/*
 * Replaces what the owner of want holds in its range by want (unlock: by nothing), joining equal
 * neighbours. l->lock held. True if something was given up.
 */
static bool apply(struct inode_locks *l, const struct file_lock *want, bool unlock)
{
	struct file_lock *k, *next;
	u64 start = want->start, end = want->end;
	bool released = false;

	for (k = TAILQ_FIRST(&l->held); k; k = next) {
		bool joins = !unlock && k->exclusive == want->exclusive;

		next = TAILQ_NEXT(k, link);
		if (k->kind != want->kind || !same_owner(k, want))
			continue;
		/* Equal locks that only touch are joined too; others must overlap. */
		if (joins ? (k->start > 0 && k->start - 1 > end) ||
		                    (start > 0 && k->end < start - 1)
		          : k->start > end || k->end < start)
			continue;
		if (joins) {
			start = MIN(start, k->start);
			end = MAX(end, k->end);
		} else {
			released = true;
			if (k->start < want->start)
				lock_add(l, k, k->start, want->start - 1);
			if (k->end > want->end)
				lock_add(l, k, want->end + 1, k->end);
		}
		lock_drop(l, k);
	}
	if (!unlock)
		lock_add(l, want, start, end);
	return released;
}

/* ---- looking ---- */

static size_t show_lock(const struct file_lock *k, u32 n, u64 dev, u64 ino, char *buf, size_t size)
{
	static const char *const kinds[] = {"FLOCK ", "POSIX ", "OFDLCK"};
	char end[24] = "EOF";

	if (k->end < END_MAX)
		snprintf(end, sizeof(end), "%llu", (unsigned long long)k->end);
	return (size_t)snprintf(buf, size, "lock:\t%u: %s ADVISORY  %s %d %02x:%02x:%llu %llu %s\n",
	                        n, kinds[k->kind], k->exclusive ? "WRITE" : "READ ",
	                        k->kind == LOCK_KIND_OFD ? -1 : (int)k->pid, major(dev), minor(dev),
	                        (unsigned long long)ino, (unsigned long long)k->start, end);
}

void locks_show(struct file *f, const struct fd_table *files, u64 dev, u64 ino, char *buf,
                size_t size)
{
	struct inode_locks *l = inode_locks_peek(f->inode);
	const struct file_lock *k;
	size_t at = 0;
	u32 n = 0;

	buf[0] = 0;
	if (!l)
		return;
	GUARD(&l->lock);
	/* As Linux lists them: flock(2)'s before the others. */
	for (int flock = 1; flock >= 0; flock--) {
		TAILQ_FOREACH (k, &l->held, link) {
			size_t len;

			if ((k->kind == LOCK_KIND_FLOCK) != flock ||
			    (k->kind == LOCK_KIND_POSIX ? k->files != files : k->file != f))
				continue;
			len = show_lock(k, ++n, dev, ino, buf + at, size - at);
			if (len >= size - at) {
				buf[at] = 0;
				return;
			}
			at += len;
		}
	}
}

/* ---- waiting ---- */

struct lock_wait {
	struct inode_locks *l;
	const struct file_lock *want;
	struct blocked b; /* record locks of tables only */
	bool wait, linked;
	int r;
};

/* Would who waiting for for_whom close a circle? blocked_lock held. */
static bool would_deadlock(const struct fd_table *who, const struct fd_table *for_whom)
{
	/* Bounded as in Linux: CLONE_FILES makes circles of others possible. */
	for (int i = 0; i < 10 && for_whom; i++) {
		const struct blocked *b;

		if (for_whom == who)
			return true;
		TAILQ_FOREACH (b, &blocked_list, link)
			if (b->who == for_whom && b->for_whom)
				break;
		for_whom = b ? b->for_whom : NULL;
	}
	return false;
}

static int note_blocked(struct lock_wait *w, const struct file_lock *by)
{
	GUARD(&blocked_lock);
	if (w->want->kind != LOCK_KIND_POSIX)
		return 0;
	if (by->kind == LOCK_KIND_POSIX && would_deadlock(w->want->files, by->files))
		return -EDEADLK;
	w->b.for_whom = by->kind == LOCK_KIND_POSIX ? by->files : NULL;
	if (!w->linked) {
		w->b.on = w->l;
		w->b.who = w->want->files;
		TAILQ_INSERT_TAIL(&blocked_list, &w->b, link);
		w->linked = true;
	}
	return 0;
}

static void unnote_blocked(struct lock_wait *w)
{
	if (!w->linked)
		return;
	GUARD(&blocked_lock);
	TAILQ_REMOVE(&blocked_list, &w->b, link);
}

/* ctx_block's condition: true when the lock was taken, or never will be (w->r). */
static bool try_lock(void *arg)
{
	struct lock_wait *w = arg;
	struct file_lock *by;
	bool released;

	mutex_lock(&w->l->lock);
	by = find_conflict(w->l, w->want);
	if (by) {
		w->r = w->wait ? note_blocked(w, by) : 0;
		mutex_unlock(&w->l->lock);
		return w->r < 0;
	}
	released = apply(w->l, w->want, false);
	if (released)
		cut_edges(w->l);
	mutex_unlock(&w->l->lock);
	/* An exclusive lock may have become a shared one. */
	if (released)
		waitq_wake(&w->l->changed, ~0u);
	w->r = 0;
	return true;
}

static int take(struct inode_locks *l, struct ctx *c, const struct file_lock *want, bool wait)
{
	struct lock_wait w = {.l = l, .want = want, .wait = wait};
	int r = 0;

	if (wait)
		r = ctx_block(c, &l->changed, try_lock, &w, NEVER);
	else if (!try_lock(&w))
		return -EAGAIN;
	unnote_blocked(&w);
	return r < 0 ? r : w.r;
}

static void release(struct inode_locks *l, const struct file_lock *want)
{
	bool released;

	mutex_lock(&l->lock);
	released = apply(l, want, true);
	if (released)
		cut_edges(l);
	mutex_unlock(&l->lock);
	if (released)
		waitq_wake(&l->changed, ~0u);
}

/* ---- flock(2) ---- */

/* True if f holds a lock of another kind than wanted, which is given up before waiting. */
static void give_up_other(struct inode_locks *l, const struct file_lock *want)
{
	struct file_lock *k;
	bool other = false;

	mutex_lock(&l->lock);
	TAILQ_FOREACH (k, &l->held, link)
		if (k->kind == LOCK_KIND_FLOCK && same_owner(k, want) &&
		    k->exclusive != want->exclusive)
			other = true;
	mutex_unlock(&l->lock);
	if (other)
		release(l, want);
}

int flock_file(struct file *f, struct ctx *c, int op)
{
	struct file_lock want = {
		.kind = LOCK_KIND_FLOCK, .end = END_MAX, .file = f, .pid = c->tgid};
	struct inode_locks *l;

	switch (op & ~LOCK_NB) {
	case LOCK_SH:
	case LOCK_EX:
		break;
	case LOCK_UN:
		l = inode_locks_peek(file_place(f));
		if (l)
			release(l, &want);
		return 0;
	default:
		return -EINVAL;
	}
	want.exclusive = (op & ~LOCK_NB) == LOCK_EX;
	l = inode_locks_of(file_place(f));
	give_up_other(l, &want);
	return take(l, c, &want, !(op & LOCK_NB));
}

/* ---- fcntl(2) ---- */

static int lock_range(struct file *f, struct ctx *c, const struct flock *fl, struct file_lock *ret)
{
	s64 start = 0;

	switch (fl->l_whence) {
	case SEEK_SET:
		break;
	case SEEK_CUR: {
		GUARD(&f->pos_lock);
		start = f->pos;
		break;
	}
	case SEEK_END: {
		struct kstat st;
		int r = file_stat(f, c, &st);

		if (r < 0)
			return r;
		start = (s64)st.size;
		break;
	}
	default:
		return -EINVAL;
	}
	if (__builtin_add_overflow(start, fl->l_start, &start))
		return -EOVERFLOW;
	if (start < 0)
		return -EINVAL;
	ret->start = (u64)start;
	ret->end = END_MAX;
	if (fl->l_len > 0) {
		if (fl->l_len - 1 > INT64_MAX - start)
			return -EOVERFLOW;
		ret->end = (u64)(start + fl->l_len - 1);
	} else if (fl->l_len < 0) {
		if (start + fl->l_len < 0)
			return -EINVAL;
		ret->end = (u64)(start - 1);
		ret->start = (u64)(start + fl->l_len);
	}
	return 0;
}

static int get_lock(struct file *f, struct ctx *c, struct file_lock *want, uaddr_t arg,
                    struct flock *fl)
{
	struct inode_locks *l = inode_locks_peek(file_place(f));
	const struct file_lock *by;

	fl->l_type = F_UNLCK;
	if (l) {
		GUARD(&l->lock);
		by = find_conflict(l, want);
		if (by) {
			fl->l_type = by->exclusive ? F_WRLCK : F_RDLCK;
			fl->l_whence = SEEK_SET;
			fl->l_start = (s64)by->start;
			fl->l_len = by->end == END_MAX ? 0 : (s64)(by->end - by->start + 1);
			fl->l_pid = by->kind == LOCK_KIND_OFD ? -1 : (pid_t)by->pid;
		}
	}
	return user_put(c, arg, fl);
}

/* A close of the descriptor in another thread may have missed the lock that was just taken. */
static void undo_if_closed(struct file *f, struct ctx *c, int fd, struct inode_locks *l,
                           const struct file_lock *want)
{
	AUTO(file) now = NULL;

	if (want->kind == LOCK_KIND_POSIX &&
	    (fd_table_lookup(want->files, fd, &now) < 0 || now != f))
		release(l, want);
}

int fcntl_lock(struct file *f, struct ctx *c, int fd, int cmd, uaddr_t arg)
{
	bool ofd = cmd >= F_OFD_GETLK;
	bool get = cmd == F_GETLK || cmd == F_OFD_GETLK;
	bool wait = cmd == F_SETLKW || cmd == F_OFD_SETLKW;
	struct file_lock want = {.kind = ofd ? LOCK_KIND_OFD : LOCK_KIND_POSIX, .pid = c->tgid};
	struct inode_locks *l;
	struct flock fl;
	int r = user_get(c, arg, &fl);

	if (r < 0)
		return r;
	if (ofd && fl.l_pid != 0)
		return -EINVAL;
	if (get ? fl.l_type != F_RDLCK && fl.l_type != F_WRLCK
	        : fl.l_type != F_RDLCK && fl.l_type != F_WRLCK && fl.l_type != F_UNLCK)
		return -EINVAL;
	r = lock_range(f, c, &fl, &want);
	if (r < 0)
		return r;
	if (ofd)
		want.file = f;
	else
		want.files = c->fds;
	want.exclusive = fl.l_type == F_WRLCK;
	if (get)
		return get_lock(f, c, &want, arg, &fl);
	if (fl.l_type == F_UNLCK) {
		l = inode_locks_peek(file_place(f));
		if (l)
			release(l, &want);
		return 0;
	}
	if (want.exclusive ? !file_writable(f) : !file_readable(f))
		return -EBADF;
	l = inode_locks_of(file_place(f));
	r = take(l, c, &want, wait);
	if (r == 0)
		undo_if_closed(f, c, fd, l, &want);
	return r;
}

/* ---- the ends of owners ---- */

void locks_closed(struct file *f, struct fd_table *files)
{
	struct inode_locks *l = inode_locks_peek(file_place(f));
	struct file_lock all = {.kind = LOCK_KIND_POSIX, .end = END_MAX, .files = files};

	if (l)
		release(l, &all);
}

void locks_file_gone(struct file *f)
{
	struct inode_locks *l = file_place(f) ? inode_locks_peek(file_place(f)) : NULL;
	struct file_lock all = {.kind = LOCK_KIND_FLOCK, .end = END_MAX, .file = f};

	if (!l)
		return;
	release(l, &all);
	all.kind = LOCK_KIND_OFD;
	release(l, &all);
}

/* ---- objects ---- */

#define FILE_LOCK_FIELDS(F) \
	F(HDR, obj)         \
	F(SKIP, link)       \
	F(VAL, kind)        \
	F(VAL, exclusive)   \
	F(VAL, start) F(VAL, end) F(WEAK, file, file) F(WEAK, files, fd_table) F(VAL, pid)
OBJECT_TYPE(file_lock, Sentry__FileLock, sentry__file_lock__descriptor, FILE_LOCK_FIELDS);

static void inode_locks_init(void *o)
{
	struct inode_locks *l = o;

	mutex_init(&l->lock, RANK_FLOCK);
	TAILQ_INIT(&l->held);
	TAILQ_INIT(&l->leases);
	TAILQ_INIT(&l->dnotifies);
	waitq_init(&l->changed);
}

static void inode_locks_destroy(void *o)
{
	struct inode_locks *l = o;
	struct file_lock *k;
	struct lease *le;

	while ((k = TAILQ_FIRST(&l->held)))
		lock_drop(l, k);
	while ((le = TAILQ_FIRST(&l->leases))) {
		TAILQ_REMOVE(&l->leases, le, link);
		lease_put(le);
	}
	dnotify_free(l);
}

bool locks_are_of(const struct inode_locks *l, const struct file *f)
{
	struct inode *i = f ? file_place(f) : NULL;

	return i && inode_locks_peek(i) == l;
}

/* A descriptor of the table leads here: its close ends what the table has of l. */
static bool leads_here(struct fd_table *t, const struct inode_locks *l)
{
	for (int fd = t ? fd_table_next(t, 0) : -1; fd >= 0; fd = fd_table_next(t, fd + 1)) {
		AUTO(file) f = NULL;

		if (fd_table_lookup(t, fd, &f) == 0 && locks_are_of(l, f))
			return true;
	}
	return false;
}

static int inode_locks_after_load(struct loader *ld, void *o)
{
	struct inode_locks *l = o;
	struct file_lock *k, *next;
	struct fd_table *known = NULL; /* leads here, as most of them do that come next */

	for (k = TAILQ_FIRST(&l->held); k; k = next) {
		next = TAILQ_NEXT(k, link);
		if (k->kind > LOCK_KIND_OFD || k->start > k->end || k->end > END_MAX)
			return loader_error(ld, "file lock out of range");
		/* Its owner is in nobody's hands any more, or would not give it up when it goes. */
		if (k->kind != LOCK_KIND_POSIX) {
			k->files = NULL;
			if (!locks_are_of(l, k->file))
				lock_drop(l, k);
			continue;
		}
		k->file = NULL;
		if (k->files == known || leads_here(k->files, l))
			known = k->files;
		else
			lock_drop(l, k);
	}
	dnotify_loaded(l);
	return leases_after_load(ld, l);
}

/* Owners have the file open. */
static void sample_place(struct inode_locks *l, struct file *f)
{
	struct inode *i = file_place(f);

	GUARD(&i->lock);
	obj_put(i->locks);
	i->locks = obj_get(l);
}

static void inode_locks_sample(struct sampler *sp, void *o)
{
	struct inode_locks *l = o;
	struct file_lock *k;
	struct dnotify *dn;
	struct lease *le;

	TAILQ_FOREACH (le, &l->leases, link)
		sample_place(l, le->file);
	TAILQ_FOREACH (dn, &l->dnotifies, link) {
		sample_place(l, dn->file);
		dn->fd = fd_table_next(dn->files, 1);
	}
	TAILQ_FOREACH (k, &l->held, link) {
		sample_place(l, k->file);
		k->files = NULL;
		k->kind = LOCK_KIND_OFD;
		k->start = 1;
		k->end = 2;
	}
}

#define INODE_LOCKS_FIELDS(F)             \
	F(HDR, obj)                       \
	F(SKIP, lock)                     \
	F(LIST, held, file_lock, link)    \
	F(LIST, leases, lease, link)      \
	F(LIST, dnotifies, dnotify, link) \
	F(SKIP, n_dnotifies)              \
	F(SKIP, changed)
OBJECT_TYPE(inode_locks, Sentry__InodeLocks, sentry__inode_locks__descriptor, INODE_LOCKS_FIELDS,
            .init = inode_locks_init, .destroy = inode_locks_destroy,
            .after_load = inode_locks_after_load, .sample = inode_locks_sample);
