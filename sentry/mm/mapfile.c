#include "sentry/mm/mapfile.h"
#include "state/base/bug.h"

#include <stdatomic.h>

void mapfile_get(struct mapfile *mf)
{
	BUG_ON(atomic_fetch_add_explicit(&mf->refs, 1, memory_order_relaxed) == 0);
}

void mapfile_put(struct mapfile *mf)
{
	if (mf && atomic_fetch_sub_explicit(&mf->refs, 1, memory_order_acq_rel) == 1)
		mf->ops->destroy(mf);
}
