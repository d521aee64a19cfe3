#include "sentry/mm/fill.h"
#include "sentry/mm/imagefile.h"
#include "sentry/mm/mm_impl.h"
#include "sentry/mm/shmem.h"
#include "state/base/bug.h"
#include "state/base/cleanup.h"

#include <stdlib.h>

/* One run of the image at or above addr; false if there is none. */
static bool fill_step(struct mm *mm, u64 addr, u64 *ret_next)
{
	struct image_place_run run;
	struct imagefile *img = NULL;
	struct pma *p, *done;
	bool found = false;
	u64 off;

	mm_lock(mm);
	for (p = pma_from(&mm->pmas, addr); p; p = pma_next(p)) {
		img = imagefile_of(p->mf);
		if (img)
			break;
	}
	if (p) {
		addr = MAX(addr, p->start);
		off = p->off + (addr - p->start);
		found = true;
		*ret_next = p->end;
		if (imagefile_find(img, off, p->end - addr, &run) == 0) {
			*ret_next = addr + run.len;
			if (run.place == IMAGE_RAW)
				imagefile_prefetch(img, off, run.len);
			else if (run.place == IMAGE_BLOCK &&
			         mm_settle_locked(mm, p, addr, &done) == 0)
				*ret_next = MIN(done->end, *ret_next);
		}
	}
	mm_unlock(mm);
	return found;
}

/* The next mapped memory with offsets at or above addr, with a reference; NULL: none. */
static struct shmem *next_shmem(struct mm *mm, u64 *addr)
{
	struct shmem *s = NULL;

	GUARD_READ(&mm->lock);
	for (struct vma *v = vma_from(&mm->vmas, *addr); v && !s; v = vma_next(v)) {
		s = obj_get(obj_cast(shmem, v->mappable));
		*addr = v->end;
	}
	return s;
}

static void fill_mm(struct mm *mm, bool (*stop)(void *arg), void *arg)
{
	u64 at = 0;

	while (!stop(arg) && fill_step(mm, at, &at))
		continue;
	at = 0;
	while (!stop(arg)) {
		AUTO(shmem) s = next_shmem(mm, &at);
		u64 off = 0;

		if (!s)
			return;
		while (!stop(arg) && shmem_fill(s, off, &off))
			continue;
	}
}

void mm_fill(struct kernel *k, bool (*stop)(void *arg), void *arg)
{
	size_t n;
	struct mm **list = mm_list(k, &n);

	for (size_t i = 0; i < n; i++) {
		fill_mm(list[i], stop, arg);
		obj_put(list[i]);
	}
	free(list);
}
