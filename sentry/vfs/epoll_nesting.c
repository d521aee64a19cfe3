/* How epolls may watch epolls: no circles, no long chains, no file that wakes too many. */
#include "sentry/vfs/epoll.h"

#include <stdlib.h>

#define NESTING_MAX 5 /* epolls in a chain */

/* Guards all nesting: no state of its own, so nothing of it is in an image. */
static struct mutex nesting_lock;
static u64 nesting_round GUARDED_BY(nesting_lock);

__attribute__((constructor)) static void nesting_lock_init(void)
{
	mutex_init(&nesting_lock, RANK_EPOLL_TREE);
}

void epoll_nesting_lock(void) NO_LOCK_ANALYSIS
{
	mutex_lock(&nesting_lock);
}

void epoll_nesting_unlock(void) NO_LOCK_ANALYSIS
{
	mutex_unlock(&nesting_lock);
}

struct epoll_list {
	struct epoll **v;
	size_t n;
};

static void epoll_list_finish(struct epoll_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		epoll_put(l->v[i]);
	free(l->v);
}

static void epoll_list_add(struct epoll_list *l, struct epoll *ep)
{
	if ((l->n & (l->n - 1)) == 0) {
		l->v = realloc(l->v, (l->n ? l->n * 2 : 1) * sizeof(*l->v));
		BUG_ON(!l->v);
	}
	l->v[l->n++] = ep;
}

/* The epolls that ep watches, with references. */
static void epoll_children(struct epoll *ep, struct epoll_list *ret)
{
	struct epoll_item *it;

	GUARD(&ep->lock);
	TAILQ_FOREACH (it, &ep->items, link) {
		struct epoll *child = obj_cast(epoll, it->file);

		if (child && obj_tryget(child))
			epoll_list_add(ret, child);
	}
}

/* The epolls that watch f, with references. */
static void watchers_of(struct file *f, struct epoll_list *ret)
{
	struct epoll_item *it;

	GUARD(&f->ep_lock);
	TAILQ_FOREACH (it, &f->ep_items, file_link)
		if (obj_tryget(it->ep))
			epoll_list_add(ret, it->ep);
}

static void epoll_parents(struct epoll *ep, struct epoll_list *ret)
{
	watchers_of(&ep->file, ret);
}

/*
 * The longest chain of epolls from ep on, in one direction; NESTING_MAX + 1 if it is longer or goes
 * in a circle, or through stop. An epoll is looked at once per round, whatever leads to it.
 */
static u32 chain_length(struct epoll *ep, void (*next)(struct epoll *, struct epoll_list *),
                        const struct epoll *stop, u32 depth)
{
	struct epoll_list l = {0};
	u32 longest = 0;

	if (ep == stop || depth > NESTING_MAX)
		return NESTING_MAX + 1;
	if (ep->check_round == nesting_round)
		return ep->check_depth;
	next(ep, &l);
	for (size_t i = 0; i < l.n && longest <= NESTING_MAX; i++)
		longest = MAX(longest, chain_length(l.v[i], next, stop, depth + 1));
	epoll_list_finish(&l);
	ep->check_round = nesting_round;
	ep->check_depth = MIN(longest + 1, NESTING_MAX + 1u);
	return ep->check_depth;
}

/* Would ep watching child make a circle or too long a chain? */
bool epoll_nesting_bad(struct epoll *ep, struct epoll *child)
{
	u32 down, up;

	nesting_round++;
	down = chain_length(child, epoll_children, ep, 1);
	nesting_round++;
	up = chain_length(ep, epoll_parents, child, 1);
	return down + up > NESTING_MAX;
}

/* ---- how many a file wakes ---- */

/*
 * A wake goes up every chain of epolls that ends at the file, each chain on its own. So the chains
 * are bounded by their length, as Linux does; those of one epoll are not, nor need they be.
 */
static const u32 paths_max[NESTING_MAX] = {UINT32_MAX, 500, 100, 50, 10};

static bool too_many_paths(struct file *f, u32 length, u32 found[NESTING_MAX])
{
	struct epoll_list l = {0};
	bool bad = false;

	if (length >= NESTING_MAX)
		return true;
	watchers_of(f, &l);
	for (size_t i = 0; i < l.n && !bad; i++) {
		if (epoll_is_watched(l.v[i]))
			bad = too_many_paths(&l.v[i]->file, length + 1, found);
		else
			bad = length > 0 && ++found[length] > paths_max[length];
	}
	epoll_list_finish(&l);
	return bad;
}

bool epoll_is_watched(struct epoll *ep)
{
	GUARD(&ep->file.ep_lock);
	return !TAILQ_EMPTY(&ep->file.ep_items);
}

struct file_list {
	struct file **v;
	size_t n;
};

static void file_list_add(struct file_list *l, struct file *f)
{
	if ((l->n & (l->n - 1)) == 0) {
		l->v = realloc(l->v, (l->n ? l->n * 2 : 1) * sizeof(struct file *));
		BUG_ON(!l->v);
	}
	l->v[l->n++] = f;
}

/* What ep watches, with references. */
static void watched_by(struct epoll *ep, struct file_list *ret)
{
	struct epoll_item *it;

	GUARD(&ep->lock);
	TAILQ_FOREACH (it, &ep->items, link)
		if (it->file && obj_tryget(it->file))
			file_list_add(ret, it->file);
}

static bool paths_bad(struct file *f)
{
	struct epoll *ep = obj_cast(epoll, f);
	struct file_list l = {0};
	bool bad = false;

	if (!ep) {
		u32 found[NESTING_MAX] = {0};

		return too_many_paths(f, 0, found);
	}
	if (ep->check_round == nesting_round)
		return false;
	ep->check_round = nesting_round;
	watched_by(ep, &l);
	for (size_t i = 0; i < l.n; i++) {
		bad = bad || paths_bad(l.v[i]);
		file_put(l.v[i]);
	}
	free(l.v);
	return bad;
}

bool epoll_paths_bad(struct file *f)
{
	nesting_round++;
	return paths_bad(f);
}

/* While loading, before any item knows its epoll: the chain downwards, by the sets alone. */
static void loaded_children(struct epoll *ep, struct epoll_list *ret)
{
	struct epoll_item *it;

	TAILQ_FOREACH (it, &ep->items, link) {
		struct epoll *child = obj_cast(epoll, it->file);

		if (child)
			epoll_list_add(ret, epoll_get(child));
	}
}

bool epoll_nesting_loaded_bad(struct epoll *ep)
{
	struct epoll_list children = {0};
	bool deep = false;

	GUARD(&nesting_lock);
	nesting_round++;
	loaded_children(ep, &children);
	for (size_t i = 0; i < children.n; i++)
		deep |= chain_length(children.v[i], loaded_children, ep, 2) > NESTING_MAX - 1;
	epoll_list_finish(&children);
	return deep;
}
