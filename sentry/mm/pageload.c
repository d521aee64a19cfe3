#include "sentry/mm/pageload.h"
#include "sentry/kernel/kernel.h"
#include "sentry/mm/imagefile.h"
#include "sentry/mm/memfile.h"
#include "state/load.h"
#include "state/page_table.h"

/* Pages of a save in memory come from the memory file or from an older image. */
static struct mapfile *source_mapfile(const struct machine *m, struct page_source *src)
{
	if (src == &m->memfile->source)
		return &m->memfile->mapfile;
	return imagefile_mapfile(imagefile_of_source(src));
}

int pageload_get(struct loader *l, u64 pgno, u64 len, struct backing *ret)
{
	const struct kernel_load *kl = loader_user(l);
	struct backing b = {.cow = true};
	struct page_source *src;
	u64 count;

	if (kl && kl->image) {
		count = imagefile_pages(kl->image);
		if (pgno >= count)
			return loader_error(l, "page %llu is not in the image",
			                    (unsigned long long)pgno);
		b.mf = imagefile_mapfile(kl->image);
		b.off = pgno * PAGE_SIZE;
		count -= pgno;
	} else {
		if (!kl || !kl->in_place ||
		    page_table_lookup(kl->in_place, pgno, &src, &b.off, &count) < 0)
			return loader_error(l, "page %llu is not in the image",
			                    (unsigned long long)pgno);
		b.mf = source_mapfile(kl->machine, src);
	}
	b.len = MIN(len, count * PAGE_SIZE);
	mapfile_get(b.mf);
	mapfile_get_pages(b.mf, b.off, b.len);
	*ret = b;
	return 0;
}

void pageload_hold(const struct machine *m, const struct page_table *t)
{
	for (size_t i = 0; i < t->n_extents; i++) {
		const struct page_extent *e = &t->extents[i];
		struct mapfile *mf = source_mapfile(m, e->src);

		mapfile_get(mf);
		mapfile_get_pages(mf, e->off, e->count * PAGE_SIZE);
	}
}

void pageload_release(const struct machine *m, const struct page_table *t)
{
	for (size_t i = 0; i < t->n_extents; i++) {
		const struct page_extent *e = &t->extents[i];
		struct mapfile *mf = source_mapfile(m, e->src);

		mapfile_put_pages(mf, e->off, e->count * PAGE_SIZE);
		mapfile_put(mf);
	}
}
