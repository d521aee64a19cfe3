/* What of a set is ready: epoll_wait, and polling an epoll. */
#include "sentry/vfs/epoll_impl.h"
#include "state/base/cleanup.h"

#include <limits.h>

/* The kernel's struct epoll_event on x86-64 has no padding. */
_Static_assert(sizeof(struct epoll_event) == 12, "packed epoll_event");

/*
 * What one look at a ready item gives. The item was taken off the list; an edge or a wake that
 * comes meanwhile puts it there again. Called and left with ready_lock held; drops it in between.
 */
static u32 take_events(struct epoll *ep, struct epoll_item *it, struct file *f,
                       struct epoll_event *ret) NO_LOCK_ANALYSIS
{
	u32 revents;

	mutex_unlock(&ep->ready_lock);
	revents = file_poll(f, NULL);
	mutex_lock(&ep->ready_lock);
	if (!item_armed(it))
		return 0;
	revents &= it->events;
	if (!revents)
		return 0;
	ret->events = revents;
	ret->data.u64 = it->data;
	if (it->events & EPOLLONESHOT)
		it->events &= PRIVATE_BITS;
	else if (!(it->events & EPOLLET))
		ready_add(it);
	return revents;
}

/* Copies out what is ready now, at most max. 0: nothing. */
static long collect(struct epoll *ep, struct ctx *c, uaddr_t events, int max) NO_LOCK_ANALYSIS
{
	long n = 0;
	int r = 0;
	u32 budget;
	bool more;

	mutex_lock(&ep->ready_lock);
	budget = ep->n_ready;
	while (n < max && r == 0 && budget-- > 0) {
		struct epoll_item *it = TAILQ_FIRST(&ep->ready);
		struct epoll_event ev;
		struct file *f;
		u32 revents, old_events;

		if (!it)
			break;
		ready_remove(it);
		f = it->file && obj_tryget(it->file) ? it->file : NULL;
		if (!f)
			continue;
		epoll_item_get(it);
		old_events = it->events;
		revents = take_events(ep, it, f, &ev);
		mutex_unlock(&ep->ready_lock);
		if (revents) {
			r = user_copy_out(c, uaddr_add(events, (u64)n * sizeof(ev)), &ev,
			                  sizeof(ev));
			n += r == 0;
		}
		if (r < 0) {
			/* Nobody got it: as if there had been no look. */
			mutex_lock(&ep->ready_lock);
			it->events |= old_events & EPOLLONESHOT ? old_events : 0;
			if (it->file)
				ready_add(it);
			mutex_unlock(&ep->ready_lock);
		}
		file_put(f);
		epoll_item_put(it);
		mutex_lock(&ep->ready_lock);
	}
	more = ep->n_ready > 0;
	mutex_unlock(&ep->ready_lock);
	/* What is left over may be for another caller of epoll_wait. */
	if (more)
		announce(ep);
	return n > 0 ? n : r;
}

static bool maybe_ready(struct epoll *ep)
{
	GUARD(&ep->ready_lock);
	return ep->n_ready > 0;
}

/* Who looks for what is ready is not counted: he needs no wake. */
static void begin_sleep(struct epoll *ep)
{
	GUARD(&ep->ready_lock);
	ep->n_sleepers++;
}

static void end_sleep(struct epoll *ep, bool woken)
{
	GUARD(&ep->ready_lock);
	ep->n_sleepers--;
	if (woken && ep->n_claimed > 0)
		ep->n_claimed--;
	ep->n_claimed = MIN(ep->n_claimed, ep->n_sleepers);
}

long epoll_wait_events(struct file *epf, struct ctx *c, uaddr_t events, int max, struct deadline d)
{
	struct epoll *ep = obj_cast(epoll, epf);
	struct ctx_waiter cw;
	long n;
	int r = 0;

	if (max <= 0 || max > (int)(INT_MAX / sizeof(struct epoll_event)) || !ep)
		return -EINVAL;
	n = collect(ep, c, events, max);
	if (n != 0)
		return n;
	if (deadline_passed(c->clocks, d))
		return 0;
	ctx_waiter_init(&cw, c);
	cw.w.exclusive = true;
	waitq_add(&ep->wait.q, &cw.w);
	for (;;) {
		ctx_prepare(c);
		if (maybe_ready(ep)) {
			n = collect(ep, c, events, max);
			if (n != 0)
				break;
		}
		if (r < 0)
			break;
		begin_sleep(ep);
		r = ctx_sleep(c, d);
		end_sleep(ep, r == 0);
	}
	waitq_remove(&cw.w);
	/* A wake meant for one caller may have come together with the interrupt. */
	if (r < 0 && n == 0 && maybe_ready(ep))
		announce(ep);
	if (n != 0)
		return n;
	return r == -ETIMEDOUT ? 0 : -ERESTARTUNSTOPPED;
}

/* Readable: some item really is ready. Items that turn out not to be leave the list. While getting
 * onto the queue the answer may be too hopeful: that caller may hold locks and looks again. */
u32 epoll_poll(struct file *epf, struct poll_table *pt) NO_LOCK_ANALYSIS
{
	struct epoll *ep = (struct epoll *)epf;
	u32 ev = 0, budget;

	if (pt) {
		poll_add(pt, &ep->wait.q);
		return maybe_ready(ep) ? READY_IN : 0;
	}
	mutex_lock(&ep->ready_lock);
	budget = ep->n_ready + 1;
	while (ev == 0 && budget-- > 0) {
		struct epoll_item *it = TAILQ_FIRST(&ep->ready);
		struct file *f;
		u64 wakes;
		u32 revents;

		if (!it)
			break;
		f = it->file && obj_tryget(it->file) ? it->file : NULL;
		if (!f) {
			ready_remove(it);
			continue;
		}
		epoll_item_get(it);
		wakes = it->wakes;
		mutex_unlock(&ep->ready_lock);
		revents = file_poll(f, NULL);
		mutex_lock(&ep->ready_lock);
		if (item_armed(it) && (revents & it->events))
			ev = READY_IN;
		else if (it->wakes == wakes)
			ready_remove(it);
		mutex_unlock(&ep->ready_lock);
		file_put(f);
		epoll_item_put(it);
		mutex_lock(&ep->ready_lock);
	}
	mutex_unlock(&ep->ready_lock);
	return ev;
}
