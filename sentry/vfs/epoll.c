#include "sentry/ctx/settings.h"
#include "sentry/vfs/epoll.h"

#include "proto/leaf.pb-c.h"
#include "sentry/vfs/epoll_impl.h"
#include "sentry/vfs/inode.h"
#include "state/base/cleanup.h"
#include "state/fields.h"
#include "state/registry.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>

#define EXCLUSIVE_OK \
	(EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE)
#define ALWAYS (EPOLLERR | EPOLLHUP)

struct item_waiter {
	struct waiter w;
	struct epoll_item *item;
	struct item_waiter *next;
};

static int item_cmp(const struct epoll_item *a, const struct epoll_item *b)
{
	if (a->file != b->file)
		return a->file < b->file ? -1 : 1;
	return a->fd < b->fd ? -1 : a->fd > b->fd;
}
RB_PROTOTYPE(epoll_tree, epoll_item, tree_link, item_cmp)
RB_GENERATE(epoll_tree, epoll_item, tree_link, item_cmp)

static bool item_wake(struct waiter *w, u32 events)
{
	struct epoll_item *it = container_of(w, struct item_waiter, w)->item;
	struct epoll *ep = it->ep;
	bool match, of_use = false;

	mutex_lock(&ep->ready_lock);
	match = item_armed(it) && (it->events & events) != 0;
	if (match) {
		it->wakes++;
		ready_add(it);
		/* Where nobody sleeps who is not awake already, another epoll may have use of it
		 * (EPOLLEXCLUSIVE). */
		of_use = ep->n_claimed < ep->n_sleepers;
		ep->n_claimed += of_use;
	}
	mutex_unlock(&ep->ready_lock);
	if (match)
		waitq_relay(&ep->wait, READY_IN);
	return of_use;
}

/* ---- adding and removing ---- */

struct item_poll_table {
	struct poll_table pt;
	struct epoll_item *item;
};

static void item_add_queue(struct poll_table *pt, struct waitq *q)
{
	struct epoll_item *it = container_of(pt, struct item_poll_table, pt)->item;
	struct item_waiter *iw = calloc(1, sizeof(*iw));

	BUG_ON(!iw);
	iw->item = it;
	iw->w.wake = item_wake;
	iw->w.exclusive = (it->events & EPOLLEXCLUSIVE) != 0;
	iw->next = it->waiters;
	it->waiters = iw;
	waitq_add(q, &iw->w);
}

static void item_free_waiters(struct epoll_item *it)
{
	while (it->waiters) {
		struct item_waiter *iw = it->waiters;

		it->waiters = iw->next;
		waitq_remove(&iw->w);
		free(iw);
	}
}

/* Takes the item out of everything and puts the set's reference. ep->lock held, or ep dying. */
static void item_remove(struct epoll *ep, struct epoll_item *it)
{
	struct file *f = it->file;

	RB_REMOVE(epoll_tree, &ep->tree, it);
	TAILQ_REMOVE(&ep->items, it, link);
	mutex_lock(&ep->ready_lock);
	ready_remove(it);
	it->file = NULL;
	mutex_unlock(&ep->ready_lock);
	item_free_waiters(it);
	/* Last: until then a file that is going away waits for us, so its queues are still there.
	 */
	mutex_lock(&f->ep_lock);
	TAILQ_REMOVE(&f->ep_items, it, file_link);
	mutex_unlock(&f->ep_lock);
	epoll_item_put(it);
}

void epoll_file_gone(struct file *f)
{
	for (;;) {
		struct epoll_item *it;
		struct epoll *ep;

		mutex_lock(&f->ep_lock);
		it = TAILQ_FIRST(&f->ep_items);
		if (!it) {
			mutex_unlock(&f->ep_lock);
			return;
		}
		ep = obj_tryget(it->ep) ? it->ep : NULL;
		if (ep)
			epoll_item_get(it);
		mutex_unlock(&f->ep_lock);
		if (!ep) {
			/* The epoll is dying too and is about to take its items off this file. */
			sched_yield();
			continue;
		}
		mutex_lock(&ep->lock);
		if (it->file)
			item_remove(ep, it);
		mutex_unlock(&ep->lock);
		epoll_item_put(it);
		epoll_put(ep);
	}
}

static struct epoll_item *item_find(struct epoll *ep, struct file *f, int fd)
{
	struct epoll_item key = {.file = f, .fd = fd};

	return RB_FIND(epoll_tree, &ep->tree, &key);
}

/* Asks the file, and puts the item on the ready list if there is something. No lock held: an epoll
 * that is asked puts files, and the last put of one takes locks of epolls. */
static void item_look(struct epoll_item *it, struct file *f)
{
	struct epoll *ep = it->ep;
	u32 revents = file_poll(f, NULL);
	bool hit;

	mutex_lock(&ep->ready_lock);
	hit = item_armed(it) && (revents & it->events) != 0;
	if (hit)
		ready_add(it);
	mutex_unlock(&ep->ready_lock);
	if (hit)
		announce(ep);
}

static void item_insert(struct epoll *ep, struct epoll_item *it)
{
	it->ep = ep;
	RB_INSERT(epoll_tree, &ep->tree, it);
	mutex_lock(&it->file->ep_lock);
	TAILQ_INSERT_TAIL(&it->file->ep_items, it, file_link);
	mutex_unlock(&it->file->ep_lock);
}

static int item_add(struct epoll *ep, int fd, struct file *f, const struct epoll_event *ev,
                    struct epoll_item **ret)
{
	struct epoll_item *it;
	struct item_poll_table ipt = {.pt.add = item_add_queue};

	if (item_find(ep, f, fd))
		return -EEXIST;
	if (atomic_load_explicit(epoll_item_type.live, memory_order_relaxed) >=
	    setting_of_caller(SETTING_epoll_watches))
		return -ENOSPC;
	it = obj_new(epoll_item);
	it->file = f;
	it->fd = fd;
	it->events = ev->events | ALWAYS;
	it->data = ev->data.u64;
	ipt.item = it;
	TAILQ_INSERT_TAIL(&ep->items, it, link);
	item_insert(ep, it);
	(void)file_poll(f, &ipt.pt);
	*ret = epoll_item_get(it);
	return 0;
}

static int item_modify(struct epoll *ep, int fd, struct file *f, const struct epoll_event *ev,
                       struct epoll_item **ret)
{
	struct epoll_item *it = item_find(ep, f, fd);

	if (!it)
		return -ENOENT;
	if (it->events & EPOLLEXCLUSIVE)
		return -EINVAL;
	mutex_lock(&ep->ready_lock);
	it->events = ev->events | ALWAYS;
	it->data = ev->data.u64;
	mutex_unlock(&ep->ready_lock);
	*ret = epoll_item_get(it);
	return 0;
}

/* ---- control ---- */

/* *ret: the item to look at once no lock is held, or untouched. */
static int control_set(struct epoll *ep, int op, int fd, struct file *f,
                       const struct epoll_event *ev, struct epoll_item **ret)
{
	struct epoll_item *it;

	GUARD(&ep->lock);
	switch (op) {
	case EPOLL_CTL_ADD:
		return item_add(ep, fd, f, ev, ret);
	case EPOLL_CTL_MOD:
		return item_modify(ep, fd, f, ev, ret);
	case EPOLL_CTL_DEL:
		it = item_find(ep, f, fd);
		if (!it)
			return -ENOENT;
		item_remove(ep, it);
		return 0;
	}
	return -EINVAL;
}

/* An epoll that is watched, or watches one. */
static int nested_add(struct epoll *ep, int fd, struct file *f, const struct epoll_event *ev,
                      struct epoll_item **ret)
{
	struct epoll *child = obj_cast(epoll, f);
	int r;

	epoll_nesting_lock();
	r = child && epoll_nesting_bad(ep, child) ? -ELOOP
	                                          : control_set(ep, EPOLL_CTL_ADD, fd, f, ev, ret);
	if (r == 0 && epoll_paths_bad(f)) {
		r = control_set(ep, EPOLL_CTL_DEL, fd, f, ev, ret);
		r = r < 0 ? r : -EINVAL;
	}
	epoll_nesting_unlock();
	return r;
}

int epoll_control(struct file *epf, int op, int fd, struct file *f, const struct epoll_event *ev)
{
	struct epoll *ep = obj_cast(epoll, epf);
	struct epoll *child = obj_cast(epoll, f);
	AUTO(epoll_item) it = NULL;
	int r;

	if (!file_ops_of(f)->poll || (file_ops_of(f)->can_poll && !file_ops_of(f)->can_poll(f)))
		return -EPERM;
	if (!ep || epf == f)
		return -EINVAL;
	if (op != EPOLL_CTL_DEL && (ev->events & EPOLLEXCLUSIVE)) {
		if (op == EPOLL_CTL_MOD || child || (ev->events & ~EXCLUSIVE_OK))
			return -EINVAL;
	}
	if (op == EPOLL_CTL_ADD && (child || epoll_is_watched(ep))) {
		r = nested_add(ep, fd, f, ev, &it);
	} else {
		r = control_set(ep, op, fd, f, ev, &it);
	}
	if (it)
		item_look(it, f);
	return r;
}

/* ---- the file ---- */

static void epoll_fdinfo(struct file *f, char *buf, size_t size)
{
	struct epoll *ep = (struct epoll *)f;
	struct epoll_item *it;
	size_t n = 0;

	GUARD(&ep->lock);
	TAILQ_FOREACH (it, &ep->items, link) {
		int r = snprintf(buf + n, size - n,
		                 "tfd: %8d events: %8x data: %16llx  pos:%lld ino:%llx sdev:%x\n",
		                 it->fd, it->events, (unsigned long long)it->data, 0ll,
		                 (unsigned long long)it->file->inode->ino, 0);

		if (r < 0 || (size_t)r >= size - n) {
			buf[n] = 0;
			return;
		}
		n += (size_t)r;
	}
}

static void epoll_link_name(struct file *f, char *buf, size_t size)
{
	snprintf(buf, size, "anon_inode:[eventpoll]");
}

struct file *epoll_create_file(struct ctx *c)
{
	struct epoll *ep = obj_new(epoll);
	AUTO(inode) inode = anon_inode_new(c->kernel, 0600);

	file_setup(&ep->file, O_RDWR, NULL, inode);
	return &ep->file;
}

/* ---- objects ---- */

static void epoll_init(void *o)
{
	struct epoll *ep = o;

	mutex_init(&ep->lock, RANK_EPOLL);
	mutex_init(&ep->ready_lock, RANK_LEAF);
	TAILQ_INIT(&ep->items);
	TAILQ_INIT(&ep->ready);
	RB_INIT(&ep->tree);
	waitq_relay_init(&ep->wait);
}

/* Lets go of an item that is not watched: one of a load. */
static void item_drop(struct epoll *ep, struct epoll_item *it)
{
	TAILQ_REMOVE(&ep->items, it, link);
	epoll_item_put(it);
}

static void epoll_destroy(void *o)
{
	struct epoll *ep = o;
	struct epoll_item *it;

	while ((it = TAILQ_FIRST(&ep->items))) {
		if (it->ep)
			item_remove(ep, it);
		else
			item_drop(ep, it);
	}
	waitq_relay_finish(&ep->wait);
}

/* Checks that the ready list is of items of the set, and marks them. */
static int claim_ready(struct loader *l, struct epoll *ep)
{
	struct epoll_item *it;
	int r = 0;

	TAILQ_FOREACH (it, &ep->items, link)
		it->ep = ep;
	TAILQ_FOREACH (it, &ep->ready, ready_link) {
		if (it->ep != ep) {
			r = loader_error(l, "epoll has an item ready that it does not watch");
			break;
		}
		it->ready = true;
		ep->n_ready++;
	}
	/* Only what is watched has an epoll: destroy relies on it when this load fails. */
	TAILQ_FOREACH (it, &ep->items, link)
		it->ep = NULL;
	return r;
}

/* Watches what the item is about again. */
static int item_loaded(struct loader *l, struct epoll *ep, struct epoll_item *it)
{
	struct item_poll_table ipt = {.pt.add = item_add_queue, .item = it};
	u32 revents;

	if (item_find(ep, it->file, it->fd))
		return loader_error(l, "epoll watches descriptor %d twice", it->fd);
	item_insert(ep, it);
	/* Host files may be ready where they were not; an edge of theirs is for their own wake to
	 * tell. Others are as they were. */
	revents = file_poll(it->file, &ipt.pt);
	if (file_ops_of(it->file)->polls_host && item_armed(it) && !(it->events & EPOLLET) &&
	    (revents & it->events))
		ready_add(it);
	return 0;
}

static int epoll_after_load(struct loader *l, void *o)
{
	struct epoll *ep = o;
	struct epoll_item *it, *next;
	int r;

	if (epoll_nesting_loaded_bad(ep))
		return loader_error(l, "epolls nested in a circle or too deeply");
	r = claim_ready(l, ep);
	for (it = TAILQ_FIRST(&ep->items); r == 0 && it; it = next) {
		next = TAILQ_NEXT(it, link);
		if (it->file && file_ops_of(it->file)->poll) {
			r = item_loaded(l, ep, it);
			continue;
		}
		/* Nothing else holds the file: it went away with the last sandbox. */
		it->ep = ep;
		ready_remove(it);
		item_drop(ep, it);
	}
	return r;
}

/* What is watched must not be this epoll itself, which is what a sampler has at hand. */
static void epoll_sample(struct sampler *sp, void *o)
{
	struct epoll *ep = o;
	struct epoll_item *it;
	const struct obj_type *t;
	unsigned i = 0;

	while ((t = registry_at(i++)))
		if (!t->abstract && t != &epoll_type && obj_type_is(t, &file_type) &&
		    ((const struct file_ops *)t->ops)->poll)
			break;
	TAILQ_FOREACH (it, &ep->items, link)
		it->file = t ? sampler_weak(sp, t) : NULL;
	/* And what is ready must be watched. */
	TAILQ_INIT(&ep->ready);
	it = TAILQ_FIRST(&ep->items);
	if (it)
		TAILQ_INSERT_TAIL(&ep->ready, it, ready_link);
}

static const struct file_ops epoll_ops = {
	.id = {.describe = file_describe},
	.poll = epoll_poll,
	.llseek = file_llseek_nowhere,
	.fdinfo = epoll_fdinfo,
	.link_name = epoll_link_name,
};

/* The tree is the items again; n_ready counts the list; the check's fields are scratch. */
#define EPOLL_FIELDS(F)                            \
	F(BASE, file, file)                        \
	F(SKIP, lock)                              \
	F(LIST, items, epoll_item, link)           \
	F(SKIP, tree)                              \
	F(SKIP, ready_lock)                        \
	F(WEAKLIST, ready, epoll_item, ready_link) \
	F(SKIP, n_ready)                           \
	F(SKIP, n_sleepers)                        \
	F(SKIP, n_claimed)                         \
	F(SKIP, wait)                              \
	F(SKIP, check_round)                       \
	F(SKIP, check_depth)
OBJECT_TYPE(epoll, Sentry__Epoll, sentry__epoll__descriptor, EPOLL_FIELDS, .base = &file_type,
            .ops = &epoll_ops, .init = epoll_init, .destroy = epoll_destroy,
            .after_load = epoll_after_load, .sample = epoll_sample);

/* ep and ready are set by the epoll that lists the item; waiters are registered again. */
#define EPOLL_ITEM_FIELDS(F) \
	F(HDR, obj)          \
	F(SKIP, link)        \
	F(SKIP, file_link)   \
	F(SKIP, ready_link)  \
	F(SKIP, tree_link)   \
	F(SKIP, ep)          \
	F(WEAK, file, file)  \
	F(VAL, fd)           \
	F(VAL, events)       \
	F(VAL, data)         \
	F(SKIP, ready)       \
	F(SKIP, wakes)       \
	F(SKIP, waiters)
OBJECT_TYPE(epoll_item, Sentry__EpollItem, sentry__epoll_item__descriptor, EPOLL_ITEM_FIELDS);
