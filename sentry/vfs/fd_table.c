#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/dnotify.h"

#include "proto/vfs.pb-c.h"
#include "sentry/vfs/flock.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

#define FD_MAX   (1u << 20)
#define FD_FIRST 64u

struct fd_table {
	struct obj obj;
	struct mutex lock;
	struct file **slots GUARDED_BY(lock); /* owned; size entries */
	u64 *cloexec GUARDED_BY(lock);        /* bitmap of size bits */
	u32 size GUARDED_BY(lock);            /* multiple of 64 */
	u32 next GUARDED_BY(lock);            /* no free slot below */
	u32 count GUARDED_BY(lock);
	_Atomic u32 users;
};

static bool grow(struct fd_table *t, u32 fd)
{
	u32 size = t->size ? t->size : FD_FIRST;
	struct file **slots;
	u64 *cloexec;

	while (size <= fd)
		size *= 2;
	if (size == t->size)
		return true;
	slots = calloc(size, sizeof(struct file *));
	cloexec = calloc(size / 64, sizeof(*cloexec));
	if (!slots || !cloexec) {
		free(slots);
		free(cloexec);
		return false;
	}
	if (t->size) {
		memcpy(slots, t->slots, t->size * sizeof(struct file *));
		memcpy(cloexec, t->cloexec, t->size / 8);
	}
	free(t->slots);
	free(t->cloexec);
	t->slots = slots;
	t->cloexec = cloexec;
	t->size = size;
	return true;
}

static bool get_cloexec(const struct fd_table *t, u32 fd)
{
	return t->cloexec[fd / 64] >> (fd % 64) & 1;
}
static void set_cloexec(struct fd_table *t, u32 fd, bool on)
{
	u64 bit = 1ull << (fd % 64);

	t->cloexec[fd / 64] = on ? t->cloexec[fd / 64] | bit : t->cloexec[fd / 64] & ~bit;
}

/* ---- object ---- */

static int fd_table_save_slots(struct saver *s, const struct fd_table *o, Sentry__FdTable *m)
{
	m->slots = saver_alloc(s, (o->count + 1) * sizeof(m->slots[0]));
	for (u32 fd = 0; fd < o->size; fd++) {
		Sentry__FdSlot *slot;

		if (!o->slots[fd])
			continue;
		slot = saver_msg(s, Sentry__FdSlot, sentry__fd_slot__init);
		slot->fd = fd;
		slot->file = saver_ref(s, o->slots[fd]);
		slot->cloexec = get_cloexec(o, fd);
		m->slots[m->n_slots++] = slot;
	}
	return 0;
}
static int fd_table_load_slots(struct loader *l, struct fd_table *o, const Sentry__FdTable *m)
{
	for (size_t i = 0; i < m->n_slots; i++) {
		const Sentry__FdSlot *slot = m->slots[i];
		struct file *f = NULL;
		int r;

		if (slot->fd >= FD_MAX || !grow(o, slot->fd) || o->slots[slot->fd])
			return loader_range(l, "slots");
		r = loader_ref(l, slot->file, &file_type, &f);
		if (r < 0)
			return r;
		if (!f)
			return loader_missing(l, "slots");
		o->slots[slot->fd] = f;
		o->count++;
		set_cloexec(o, slot->fd, slot->cloexec);
	}
	return 0;
}
static void fd_table_sample_slots(struct sampler *sp, struct fd_table *o)
{
	BUG_ON(!grow(o, 70));
	o->slots[0] = sampler_ref(sp, &file_type);
	o->slots[70] = sampler_ref(sp, &file_type);
	o->count = 2;
	set_cloexec(o, 70, true);
}

/* Everything but the slots is derived; users are the tasks that load. */
#define FD_TABLE_FIELDS(X)         \
	X(HDR, obj)                \
	X(SKIP, lock)              \
	X(CUSTOM, slots, fd_table) \
	X(SKIP, cloexec)           \
	X(SKIP, size)              \
	X(SKIP, next)              \
	X(SKIP, count)             \
	X(SKIP, users)

static void fd_table_init(void *p)
{
	mutex_init(&((struct fd_table *)p)->lock, RANK_FD_TABLE);
}
static void fd_table_destroy(void *p)
{
	struct fd_table *t = p;

	for (u32 fd = 0; fd < t->size; fd++)
		file_put(t->slots[fd]);
	free(TAKE(t->slots));
	free(TAKE(t->cloexec));
	t->size = 0;
}
OBJECT_TYPE(fd_table, Sentry__FdTable, sentry__fd_table__descriptor, FD_TABLE_FIELDS,
            .init = fd_table_init, .destroy = fd_table_destroy);

struct fd_table *fd_table_new(void)
{
	return obj_new(fd_table);
}

struct fd_table *fd_table_copy(struct fd_table *t)
{
	struct fd_table *n = obj_new(fd_table);
	GUARD(&t->lock);

	if (t->size) {
		BUG_ON(!grow(n, t->size - 1));
		for (u32 fd = 0; fd < t->size; fd++)
			n->slots[fd] = file_get(t->slots[fd]);
		memcpy(n->cloexec, t->cloexec, t->size / 8);
	}
	n->next = t->next;
	n->count = t->count;
	return n;
}

/* ---- closing ---- */

/* A descriptor of f is gone: what close(2) does beside dropping the reference. */
static void closed(struct fd_table *t, struct ctx *c, struct file *f)
{
	locks_closed(f, t);
	dnotify_closed(f, t);
	if (file_ops_of(f)->flush && !(file_flags(f) & O_PATH))
		file_ops_of(f)->flush(f, c);
	file_put(f);
}

/* lock held. */
static struct file *take_slot(struct fd_table *t, u32 fd)
{
	struct file *f = TAKE(t->slots[fd]);

	if (f) {
		set_cloexec(t, fd, false);
		t->count--;
		if (fd < t->next)
			t->next = fd;
	}
	return f;
}

void fd_table_use(struct fd_table *t)
{
	atomic_fetch_add(&t->users, 1);
}
void fd_table_unuse(struct fd_table *t, struct ctx *c)
{
	if (atomic_fetch_sub(&t->users, 1) != 1)
		return;
	for (u32 fd = 0;; fd++) {
		struct file *f = NULL;
		bool end;

		mutex_lock(&t->lock);
		while (fd < t->size && !t->slots[fd])
			fd++;
		end = fd >= t->size;
		if (!end)
			f = take_slot(t, fd);
		mutex_unlock(&t->lock);
		if (end)
			return;
		closed(t, c, f);
	}
}
u32 fd_table_users(const struct fd_table *t)
{
	return atomic_load(&((struct fd_table *)(uintptr_t)t)->users);
}

/* ---- lookup ---- */

static int lookup(struct fd_table *t, int fd, bool path_ok, struct file **ret)
{
	struct file *f = NULL;

	mutex_lock(&t->lock);
	if ((u32)fd < t->size)
		f = file_get(t->slots[fd]);
	mutex_unlock(&t->lock);
	if (!f)
		return -EBADF;
	if (unlikely(file_flags(f) & O_PATH) && !path_ok) {
		file_put(f);
		return -EBADF;
	}
	*ret = f;
	return 0;
}

int fd_get(struct ctx *c, int fd, struct file **ret)
{
	return lookup(c->fds, fd, false, ret);
}
int fd_get_path(struct ctx *c, int fd, struct file **ret)
{
	return lookup(c->fds, fd, true, ret);
}
int fd_table_lookup(struct fd_table *t, int fd, struct file **ret)
{
	return lookup(t, fd, true, ret);
}

/* ---- installing ---- */

static u32 fd_limit(const struct ctx *c)
{
	u64 lim = c->rlimits ? c->rlimits[RLIMIT_NOFILE].rlim_cur : FD_MAX;

	return (u32)MIN(lim, (u64)FD_MAX);
}

/* The lowest free slot at or above min, below limit; lock held. */
static int find_free(struct fd_table *t, u32 min, u32 limit)
{
	u32 fd = MAX(min, t->next);

	while (fd < t->size && t->slots[fd])
		fd++;
	if (min <= t->next)
		t->next = fd;
	if (fd >= limit)
		return -EMFILE;
	return grow(t, fd) ? (int)fd : -ENOMEM;
}

static void put_slot(struct fd_table *t, u32 fd, struct file *f, bool cloexec)
{
	t->slots[fd] = file_get(f);
	t->count++;
	set_cloexec(t, fd, cloexec);
	if (fd == t->next)
		t->next++;
}

int fd_install(struct ctx *c, struct file *f, int min, bool cloexec)
{
	struct fd_table *t = c->fds;
	u32 limit = fd_limit(c);
	int fd;

	if (min < 0 || (min > 0 && (u32)min >= limit))
		return -EINVAL;
	GUARD(&t->lock);
	fd = find_free(t, (u32)min, limit);
	if (fd >= 0)
		put_slot(t, (u32)fd, f, cloexec);
	return fd;
}

bool fd_table_full(struct ctx *c)
{
	GUARD(&c->fds->lock);
	return find_free(c->fds, 0, fd_limit(c)) < 0;
}

int fd_install_at(struct ctx *c, struct file *f, int fd, bool cloexec)
{
	struct fd_table *t = c->fds;
	struct file *old;

	if (fd < 0 || (u32)fd >= fd_limit(c))
		return -EBADF;
	mutex_lock(&t->lock);
	if (!grow(t, (u32)fd)) {
		mutex_unlock(&t->lock);
		return -ENOMEM;
	}
	old = take_slot(t, (u32)fd);
	put_slot(t, (u32)fd, f, cloexec);
	mutex_unlock(&t->lock);
	if (old)
		closed(t, c, old);
	return fd;
}

int fd_install_pair(struct ctx *c, struct file *a, struct file *b, bool cloexec, int ret_fds[2])
{
	struct fd_table *t = c->fds;
	u32 limit = fd_limit(c);
	int fd_a, fd_b;
	GUARD(&t->lock);

	fd_a = find_free(t, 0, limit);
	if (fd_a < 0)
		return fd_a;
	put_slot(t, (u32)fd_a, a, cloexec);
	fd_b = find_free(t, (u32)fd_a + 1, limit);
	if (fd_b < 0) {
		file_put(take_slot(t, (u32)fd_a)); /* the caller has another reference */
		return fd_b;
	}
	put_slot(t, (u32)fd_b, b, cloexec);
	ret_fds[0] = fd_a;
	ret_fds[1] = fd_b;
	return 0;
}

int fd_close(struct ctx *c, int fd)
{
	struct fd_table *t = c->fds;
	struct file *f = NULL;

	mutex_lock(&t->lock);
	if ((u32)fd < t->size)
		f = take_slot(t, (u32)fd);
	mutex_unlock(&t->lock);
	if (!f)
		return -EBADF;
	closed(t, c, f);
	return 0;
}

int fd_close_range(struct ctx *c, u32 first, u32 last, bool cloexec_only)
{
	struct fd_table *t = c->fds;

	for (u32 fd = first; fd <= last; fd++) {
		struct file *f = NULL;
		bool end;

		mutex_lock(&t->lock);
		while (fd < t->size && fd < last && !t->slots[fd])
			fd++;
		end = fd >= t->size;
		if (!end && cloexec_only) {
			if (t->slots[fd])
				set_cloexec(t, fd, true);
		} else if (!end) {
			f = take_slot(t, fd);
		}
		mutex_unlock(&t->lock);
		if (f)
			closed(t, c, f);
		if (end || fd == UINT32_MAX)
			break;
	}
	return 0;
}

int fd_get_cloexec(struct ctx *c, int fd)
{
	struct fd_table *t = c->fds;
	GUARD(&t->lock);

	if ((u32)fd >= t->size || !t->slots[fd])
		return -EBADF;
	return get_cloexec(t, (u32)fd);
}
int fd_set_cloexec(struct ctx *c, int fd, bool on)
{
	struct fd_table *t = c->fds;
	GUARD(&t->lock);

	if ((u32)fd >= t->size || !t->slots[fd])
		return -EBADF;
	set_cloexec(t, (u32)fd, on);
	return 0;
}

void fd_close_on_exec(struct ctx *c)
{
	struct fd_table *t = c->fds;

	for (u32 fd = 0;; fd++) {
		struct file *f = NULL;
		bool end;

		mutex_lock(&t->lock);
		while (fd < t->size && !(t->slots[fd] && get_cloexec(t, fd)))
			fd++;
		end = fd >= t->size;
		if (!end)
			f = take_slot(t, fd);
		mutex_unlock(&t->lock);
		if (end)
			return;
		closed(t, c, f);
	}
}

int fd_table_next(struct fd_table *t, int fd)
{
	GUARD(&t->lock);

	for (u32 i = fd < 0 ? 0 : (u32)fd; i < t->size; i++) {
		if (t->slots[i])
			return (int)i;
	}
	return -1;
}

u32 fd_table_count(struct fd_table *t)
{
	GUARD(&t->lock);
	return t->count;
}
