#include "sentry/mm/limbo.h"
#include "platform/platform.h"
#include "state/base/bug.h"

#include <stdlib.h>

struct limbo_run {
	STAILQ_ENTRY(limbo_run) link;
	struct mapfile *mf;
	u64 off, len, ticket;
};

void limbo_init(struct limbo *l)
{
	STAILQ_INIT(&l->runs);
}

void limbo_take(struct limbo *l, struct pma_tree *t, u64 start, u64 end, u64 ticket)
{
	struct pma *p, *next;

	for (p = pma_from(t, start); p && p->start < end; p = next) {
		struct limbo_run *r = malloc(sizeof(*r));

		if (!r)
			abort();
		next = pma_next(p);
		*r = (struct limbo_run){
			.mf = p->mf, .off = p->off, .len = p->end - p->start, .ticket = ticket};
		mapfile_get(r->mf);
		mapfile_get_pages(r->mf, r->off, r->len);
		STAILQ_INSERT_TAIL(&l->runs, r, link);
		pma_drop(t, p);
	}
}

void limbo_reap(struct limbo *l, struct aspace *as)
{
	struct limbo_run *r;

	while ((r = STAILQ_FIRST(&l->runs)) && (!as || aspace_settled(as, r->ticket))) {
		STAILQ_REMOVE_HEAD(&l->runs, link);
		mapfile_put_pages(r->mf, r->off, r->len);
		mapfile_put(r->mf);
		free(r);
	}
}
