#include "sentry/ctx/settings.h"
#include "sentry/vfs/inotify.h"

#include "proto/events.pb-c.h"
#include "sentry/auth/creds.h"
#include "sentry/vfs/fasync.h"
#include "sentry/vfs/inode.h"
#include "sentry/vfs/notify.h"
#include "sentry/vfs/super.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

/* All instances, for the limits of their users. Under notify_lock. */
static TAILQ_HEAD(, inotify) instances = TAILQ_HEAD_INITIALIZER(instances);

static int wd_cmp(const struct inotify_watch *a, const struct inotify_watch *b)
{
	return a->wd < b->wd ? -1 : a->wd > b->wd;
}

RB_PROTOTYPE(inotify_tree, inotify_watch, by_wd, wd_cmp)
RB_GENERATE(inotify_tree, inotify_watch, by_wd, wd_cmp)

static struct inotify_watch *find_wd(struct inotify *in, s32 wd)
{
	struct inotify_watch key = {.wd = wd};

	return RB_FIND(inotify_tree, &in->tree, &key);
}

/* ---- the queue ---- */

/* Bytes of the name behind an event: NULs up to a whole number of events. */
static size_t name_room(const struct inotify_item *e)
{
	size_t unit = sizeof(struct inotify_event);

	return e->name ? (strlen(e->name) + 1 + unit - 1) / unit * unit : 0;
}

static void append(struct inotify *in, s32 wd, u32 mask, u32 cookie, const char *name)
{
	struct inotify_item *e = calloc(1, sizeof(*e));

	BUG_ON(!e);
	*e = (struct inotify_item){.wd = wd, .mask = mask, .cookie = cookie};
	if (name) {
		e->name = strdup(name);
		BUG_ON(!e->name);
	}
	TAILQ_INSERT_TAIL(&in->events, e, link);
	in->n_events++;
}

static bool same_event(const struct inotify_item *e, s32 wd, u32 mask, const char *name)
{
	return e->wd == wd && e->mask == mask && !(mask & IN_IGNORED) && !e->name == !name &&
	       (!name || strcmp(e->name, name) == 0);
}

void inotify_queue(struct inotify *in, s32 wd, u32 mask, u32 cookie, const char *name)
{
	struct inotify_item *last = TAILQ_LAST(&in->events, inotify_items);

	/* The same again says nothing new. */
	if (last && same_event(last, wd, mask, name))
		return;
	if (in->n_events >= INOTIFY_MAX_EVENTS) {
		if (in->overflowed)
			return;
		in->overflowed = true;
		append(in, -1, IN_Q_OVERFLOW, 0, NULL);
	} else {
		append(in, wd, mask, cookie, name);
	}
	waitq_wake(&in->wait, READY_IN);
}

static void item_free(struct inotify_item *e)
{
	free(e->name);
	free(e);
}

struct take {
	size_t room;
	struct inotify_item *item;
};

static long try_take(struct file *f, struct ctx *c, void *arg)
{
	struct inotify *in = (struct inotify *)f;
	struct take *t = arg;
	struct inotify_item *e;
	long r = 1;

	notify_lock();
	e = TAILQ_FIRST(&in->events);
	if (!e) {
		r = -EAGAIN;
	} else if (sizeof(struct inotify_event) + name_room(e) > t->room) {
		r = -EINVAL;
	} else {
		TAILQ_REMOVE(&in->events, e, link);
		in->n_events--;
		if (e->mask & IN_Q_OVERFLOW)
			in->overflowed = false;
		t->item = e;
	}
	notify_unlock();
	return r;
}

static long put_event(struct uiter *dst, const struct inotify_item *e)
{
	size_t room = name_room(e), size = sizeof(struct inotify_event) + room;
	AUTO_FREE struct inotify_event *ev = calloc(1, size);

	if (!ev)
		return -ENOMEM;
	*ev = (struct inotify_event){e->wd, e->mask, e->cookie, (u32)room};
	if (e->name)
		memcpy(ev->name, e->name, strlen(e->name));
	return uiter_copy_out(dst, ev, size) == (long)size ? (long)size : -EFAULT;
}

static long in_read(struct file *f, struct ctx *c, struct uiter *dst, s64 *pos)
{
	struct inotify *in = (struct inotify *)f;
	struct take t = {.room = uiter_count(dst)};
	long done = 0, r;

	for (;;) {
		r = done ? try_take(f, c, &t) : file_block(f, c, &in->wait, READY_IN, try_take, &t);
		if (r < 0)
			break;
		r = put_event(dst, t.item);
		item_free(t.item);
		if (r < 0)
			break;
		done += r;
		t.room -= (size_t)r;
	}
	return done && r != -EFAULT ? done : r;
}

static u32 inotify_poll(struct file *f, struct poll_table *pt)
{
	struct inotify *in = (struct inotify *)f;
	u32 n;

	poll_add(pt, &in->wait);
	notify_lock();
	n = in->n_events;
	notify_unlock();
	return n ? READY_IN : 0;
}

static long inotify_ioctl(struct file *f, struct ctx *c, u32 cmd, u64 arg)
{
	struct inotify *in = (struct inotify *)f;
	struct inotify_item *e;
	u64 n = 0;

	if (cmd != FIONREAD)
		return -ENOTTY;
	notify_lock();
	TAILQ_FOREACH (e, &in->events, link)
		n += sizeof(struct inotify_event) + name_room(e);
	notify_unlock();
	return user_put_u32(c, UADDR(arg), (u32)MIN(n, (u64)INT32_MAX));
}

static void inotify_fdinfo(struct file *f, char *buf, size_t size)
{
	struct inotify *in = (struct inotify *)f;
	struct inotify_watch *w;
	size_t n = 0;

	notify_lock();
	TAILQ_FOREACH (w, &in->watches, link) {
		if (n + 100 > size)
			break;
		n += (size_t)snprintf(buf + n, size - n,
		                      "inotify wd:%x ino:%llx sdev:%x mask:%x ignored_mask:0 \n",
		                      (u32)w->wd, (unsigned long long)w->inode->ino,
		                      w->inode->sb ? w->inode->sb->dev : 0, w->mask);
	}
	notify_unlock();
}

static void inotify_link_name(struct file *f, char *buf, size_t size)
{
	snprintf(buf, size, "anon_inode:inotify");
}

static const struct file_ops inotify_ops = {
	.id = {.describe = file_describe},
	.read = in_read,
	.llseek = file_llseek_nowhere,
	.poll = inotify_poll,
	.ioctl = inotify_ioctl,
	.set_async = file_set_async,
	.fdinfo = inotify_fdinfo,
	.link_name = inotify_link_name,
};

/* ---- watches ---- */

void inotify_drop_watch(struct inotify_watch *w)
{
	struct inotify *in = w->in;

	notify_detach(w);
	RB_REMOVE(inotify_tree, &in->tree, w);
	TAILQ_REMOVE(&in->watches, w, link);
	in->n_watches--;
	inotify_queue(in, w->wd, IN_IGNORED, 0, NULL);
}

static s32 new_wd(struct inotify *in)
{
	do
		in->last_wd = in->last_wd == INT32_MAX ? 1 : in->last_wd + 1;
	while (find_wd(in, in->last_wd));
	return in->last_wd;
}

static bool too_many_watches(u32 uid)
{
	struct inotify *in;
	u32 n = 0;

	TAILQ_FOREACH (in, &instances, link)
		n += in->uid == uid ? in->n_watches : 0;
	return n >= setting_of_caller(SETTING_inotify_watches);
}

static int add_locked(struct inotify *in, const struct path *p, u32 flags)
{
	struct inode *inode = p->dentry->inode;
	u32 mask = flags & (IN_ALL_EVENTS | IN_ONESHOT | IN_EXCL_UNLINK);
	struct inotify_watch *w;

	LIST_FOREACH (w, &inode->watches, on_inode) {
		if (w->in != in)
			continue;
		if (flags & IN_MASK_CREATE)
			return -EEXIST;
		w->mask = flags & IN_MASK_ADD ? w->mask | mask : mask;
		return w->wd;
	}
	if (too_many_watches(in->uid))
		return -ENOSPC;
	w = obj_new(inotify_watch);
	w->in = in;
	w->wd = new_wd(in);
	w->mask = mask;
	w->inode = inode_get(inode);
	if (!p->dentry->unlinked)
		w->dentry = dentry_get(p->dentry);
	TAILQ_INSERT_TAIL(&in->watches, w, link);
	RB_INSERT(inotify_tree, &in->tree, w);
	in->n_watches++;
	notify_attach(w);
	return w->wd;
}

int inotify_add(struct file *f, const struct path *p, u32 mask)
{
	struct inotify *in = obj_cast(inotify, f);
	int r;

	if (!in)
		return -EINVAL;
	notify_lock();
	r = add_locked(in, p, mask);
	notify_unlock();
	/* The name may have gone between the look at it and the watch. */
	if (r >= 0 && p->dentry->unlinked)
		notify_unlinked(p->dentry);
	return r;
}

int inotify_remove(struct file *f, s32 wd)
{
	struct inotify *in = obj_cast(inotify, f);
	struct inotify_watch *w;

	if (!in)
		return -EINVAL;
	notify_lock();
	w = find_wd(in, wd);
	if (w)
		inotify_drop_watch(w);
	notify_unlock();
	inotify_watch_put(w);
	return w ? 0 : -EINVAL;
}

void notify_unmount(struct super_block *sb)
{
	struct inotify_watch *w;
	struct inotify *in;

	if (!notify_active())
		return;
	do {
		w = NULL;
		notify_lock();
		TAILQ_FOREACH (in, &instances, link) {
			TAILQ_FOREACH (w, &in->watches, link)
				if (w->inode->sb == sb)
					break;
			if (w)
				break;
		}
		if (w) {
			inotify_queue(in, w->wd, IN_UNMOUNT, 0, NULL);
			inotify_drop_watch(w);
		}
		notify_unlock();
		inotify_watch_put(w);
	} while (w);
}

/* ---- instances ---- */

static void enlist_locked(struct inotify *in)
{
	TAILQ_INSERT_TAIL(&instances, in, link);
	in->listed = true;
}

int inotify_create(struct ctx *c, u32 flags, struct file **ret)
{
	AUTO(inode) inode = anon_inode_new(c->kernel, 0600);
	u32 uid = c->creds->uid, n = 0;
	struct inotify *in, *other;
	bool full;

	in = obj_new(inotify);
	file_setup(&in->file, flags & IN_NONBLOCK, NULL, inode);
	in->uid = uid;
	notify_lock();
	TAILQ_FOREACH (other, &instances, link)
		n += other->uid == uid;
	full = n >= setting(c->kernel, inotify_instances);
	if (!full)
		enlist_locked(in);
	notify_unlock();
	if (full) {
		inotify_put(in);
		return -EMFILE;
	}
	*ret = &in->file;
	return 0;
}

static void inotify_init_object(void *o)
{
	struct inotify *in = o;

	waitq_init(&in->wait);
	TAILQ_INIT(&in->watches);
	RB_INIT(&in->tree);
	TAILQ_INIT(&in->events);
}

static void inotify_destroy(void *o)
{
	struct inotify *in = o;
	struct inotify_item *e;
	struct inotify_watch *w;

	notify_lock();
	if (in->listed)
		TAILQ_REMOVE(&instances, in, link);
	in->listed = false;
	TAILQ_FOREACH (w, &in->watches, link)
		notify_detach(w);
	notify_unlock();
	while ((w = TAILQ_FIRST(&in->watches))) {
		TAILQ_REMOVE(&in->watches, w, link);
		inotify_watch_put(w);
	}
	while ((e = TAILQ_FIRST(&in->events))) {
		TAILQ_REMOVE(&in->events, e, link);
		item_free(e);
	}
}

static int inotify_save_events(struct saver *s, const struct inotify *in, Sentry__Inotify *m)
{
	struct inotify_item *e;

	m->events = saver_alloc(s, in->n_events * sizeof(*m->events));
	TAILQ_FOREACH (e, &in->events, link) {
		Sentry__InotifyEvent *me =
			saver_msg(s, Sentry__InotifyEvent, sentry__inotify_event__init);

		me->wd = e->wd;
		me->mask = e->mask;
		me->cookie = e->cookie;
		me->name.data = (u8 *)e->name;
		me->name.len = e->name ? strlen(e->name) : 0;
		m->events[m->n_events++] = me;
	}
	return 0;
}

static int inotify_load_events(struct loader *l, struct inotify *in, const Sentry__Inotify *m)
{
	if (m->n_events > INOTIFY_MAX_EVENTS + 1)
		return loader_range(l, "events");
	for (size_t i = 0; i < m->n_events; i++) {
		const Sentry__InotifyEvent *me = m->events[i];
		char name[NAME_MAX + 1];

		if (me->name.len > NAME_MAX ||
		    (me->name.len && memchr(me->name.data, 0, me->name.len)))
			return loader_range(l, "event name");
		if (me->name.len)
			memcpy(name, me->name.data, me->name.len);
		name[me->name.len] = 0;
		append(in, me->wd, me->mask, me->cookie, me->name.len ? name : NULL);
		in->overflowed |= (me->mask & IN_Q_OVERFLOW) != 0;
	}
	return 0;
}

static void inotify_sample_events(struct sampler *sp, struct inotify *in)
{
	append(in, 1, IN_CREATE, (u32)sampler_value(sp), "sample");
}

static int inotify_after_load(struct loader *l, void *o)
{
	struct inotify *in = o;
	struct inotify_watch *w;

	notify_lock();
	enlist_locked(in);
	TAILQ_FOREACH (w, &in->watches, link) {
		w->in = in;
		in->n_watches++;
		if (!w->inode || w->wd < 1 || RB_INSERT(inotify_tree, &in->tree, w)) {
			notify_unlock();
			return loader_error(l, "inotify: a watch that makes no sense");
		}
		notify_attach(w);
	}
	notify_unlock();
	return 0;
}

#define INOTIFY_FIELDS(F)                          \
	F(BASE, file, file)                        \
	F(SKIP, wait)                              \
	F(SKIP, link)                              \
	F(SKIP, listed)                            \
	F(LIST, watches, inotify_watch, link)      \
	F(SKIP, tree)      /* the watches again */ \
	F(SKIP, n_watches) /* counted again */     \
	F(CUSTOM, events, inotify)                 \
	F(SKIP, n_events)                          \
	F(SKIP, overflowed) /* with events */      \
	F(VAL, last_wd) F(VAL, uid)
OBJECT_TYPE(inotify, Sentry__Inotify, sentry__inotify__descriptor, INOTIFY_FIELDS,
            .base = &file_type, .ops = &inotify_ops, .init = inotify_init_object,
            .destroy = inotify_destroy, .after_load = inotify_after_load);

static void inotify_watch_destroy(void *o)
{
	struct inotify_watch *w = o;

	if (w->attached) {
		notify_lock();
		notify_detach(w);
		notify_unlock();
	}
	obj_put(w->dentry);
	obj_put(w->inode);
}

static void inotify_watch_sample(struct sampler *sp, void *o)
{
	struct inotify_watch *w = o;

	(void)sp;
	w->wd = (w->wd & 0xffff) + 1;
}

#define INOTIFY_WATCH_FIELDS(F)        \
	F(HDR, obj)                    \
	F(SKIP, link)                  \
	F(SKIP, by_wd)                 \
	F(SKIP, on_inode)              \
	F(SKIP, attached)              \
	F(SKIP, in) /* by its owner */ \
	F(VAL, wd)                     \
	F(VAL, mask)                   \
	F(REF, inode, inode)           \
	F(REF, dentry, dentry)
OBJECT_TYPE(inotify_watch, Sentry__InotifyWatch, sentry__inotify_watch__descriptor,
            INOTIFY_WATCH_FIELDS, .destroy = inotify_watch_destroy, .sample = inotify_watch_sample);
