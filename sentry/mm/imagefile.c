#include "sentry/mm/imagefile.h"
#include "sentry/mm/guard.h"
#include "sentry/mm/memfile.h"
#include "state/base/bug.h"
#include "state/base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_PAGES (IMAGE_BLOCK_SIZE / PAGE_SIZE)
/* Decompressed blocks kept for others that may refer to them (forks of before the save). A block
 * that fell out is decompressed again, or, if all its users have it, becomes writable in place. */
#define CACHE_BLOCKS 128u

struct imagefile {
	struct mapfile mapfile;
	struct page_source source;
	struct image_pages *ip;
	struct memfile *memfile;
	bool own_fd;
	u8 *map; /* the whole pages file, NULL if it is empty */
	u64 map_size;
	struct mutex lock; /* guards the cache */
	struct cached {
		bool used;
		u32 block, n_pages;
		u64 off; /* one count on each page */
	} cache[CACHE_BLOCKS];
	u32 hand; /* next to be replaced */
};

static void image_destroy(struct mapfile *mf)
{
	struct imagefile *img = container_of(mf, struct imagefile, mapfile);
	int fd = img->mapfile.fd;

	for (u32 i = 0; i < CACHE_BLOCKS; i++)
		if (img->cache[i].used)
			memfile_put_pages(img->memfile, img->cache[i].off,
			                  img->cache[i].n_pages * PAGE_SIZE);
	page_source_finish(&img->source);
	if (img->map)
		munmap(img->map, img->map_size);
	image_pages_close(img->ip);
	if (img->own_fd)
		close(fd);
	free(img);
}

/* Pages of an image are settled run by run (fault.c); nothing reaches them by one pointer. */
static void *image_ptr(struct mapfile *mf, u64 off, u64 len)
{
	return NULL;
}

static const struct mapfile_ops image_ops = {
	.ptr = image_ptr,
	.destroy = image_destroy,
};

static int source_read(struct page_source *src, u64 off, void *buf, u64 len)
{
	return imagefile_read(container_of(src, struct imagefile, source), off, buf, len);
}

static u64 source_zero_prefix(struct page_source *src, u64 off, u64 len)
{
	struct imagefile *img = container_of(src, struct imagefile, source);
	struct image_place_run run;
	u64 done = 0;

	while (done < len && imagefile_find(img, off + done, len - done, &run) == 0 &&
	       run.place == IMAGE_ZERO)
		done += run.len;
	return done;
}

int imagefile_create(struct image_pages *ip, bool own_fd, struct memfile *memfile,
                     struct imagefile **ret)
{
	struct imagefile *img = calloc(1, sizeof(*img));
	struct stat st;

	if (!img)
		return -ENOMEM;
	img->mapfile = (struct mapfile){
		.ops = &image_ops,
		.refs = 1,
		.fd = image_pages_fd(ip),
		.source = &img->source,
	};
	if (fstat(img->mapfile.fd, &st) < 0) {
		free(img);
		return -errno;
	}
	img->map_size = PAGE_UP((u64)st.st_size);
	if (img->map_size > 0) {
		void *p = mmap(NULL, img->map_size, PROT_READ, MAP_SHARED | MAP_NORESERVE,
		               img->mapfile.fd, 0);

		if (p == MAP_FAILED) {
			free(img);
			return -ENOMEM;
		}
		img->map = p;
	}
	img->source.read = source_read;
	img->source.zero_prefix = source_zero_prefix;
	img->source.size = image_pages_count(ip) * PAGE_SIZE;
	img->ip = ip;
	img->own_fd = own_fd;
	img->memfile = memfile;
	mutex_init(&img->lock, RANK_IMAGE_PAGES);
	*ret = img;
	return 0;
}

struct mapfile *imagefile_mapfile(struct imagefile *img)
{
	return &img->mapfile;
}

struct imagefile *imagefile_of_source(struct page_source *src)
{
	BUG_ON(src->read != source_read);
	return container_of(src, struct imagefile, source);
}

struct imagefile *imagefile_of(struct mapfile *mf)
{
	return mf->ops == &image_ops ? container_of(mf, struct imagefile, mapfile) : NULL;
}

u64 imagefile_pages(const struct imagefile *img)
{
	return image_pages_count(img->ip);
}

int imagefile_find(struct imagefile *img, u64 off, u64 len, struct image_place_run *ret)
{
	struct page_run run;

	if (image_pages_lookup(img->ip, off / PAGE_SIZE, &run) < 0)
		return -EIO;
	ret->len = MIN(len, run.count * PAGE_SIZE);
	switch (run.kind) {
	case PAGES_RAW:
		if (!range_ok(run.offset, ret->len, img->map_size))
			return -EIO;
		ret->place = IMAGE_RAW;
		ret->raw = run.offset;
		return 0;
	case PAGES_LZ4:
		ret->place = IMAGE_BLOCK;
		ret->block = run.block;
		ret->index = run.index;
		return 0;
	case PAGES_ZERO:
		ret->place = IMAGE_ZERO;
		return 0;
	}
	return -EIO;
}

u64 imagefile_raw_before(struct imagefile *img, u64 off, u64 max)
{
	static const u64 tries[] = {~0ull, 512, 64, 16, 4, 1};
	struct page_run run;

	for (size_t i = 0; i < ARRAY_SIZE(tries); i++) {
		u64 d = MIN(tries[i], MIN(max, off) / PAGE_SIZE);

		/* A run that starts d pages earlier and is longer than that holds off as well. */
		if (d > 0 && image_pages_lookup(img->ip, off / PAGE_SIZE - d, &run) == 0 &&
		    run.kind == PAGES_RAW && run.count > d)
			return d * PAGE_SIZE;
	}
	return 0;
}

void *imagefile_raw_ptr(struct imagefile *img, u64 raw)
{
	return img->map + raw;
}

/* A count for the caller on a cached block's pages; false if it is not there. */
static bool cache_get(struct imagefile *img, u32 block, u32 index, u32 n, u64 *ret_off)
{
	for (u32 i = 0; i < CACHE_BLOCKS; i++) {
		struct cached *c = &img->cache[i];

		if (c->used && c->block == block && index + n <= c->n_pages) {
			*ret_off = c->off + index * PAGE_SIZE;
			memfile_get_pages(img->memfile, *ret_off, n * PAGE_SIZE);
			return true;
		}
	}
	return false;
}

int imagefile_block(struct imagefile *img, u32 block, u32 index, u32 n, u64 *ret_off)
{
	struct cached old = {0}, fresh = {.used = true, .block = block};
	u32 n_pages = 0;
	bool found;
	int r;

	mutex_lock(&img->lock);
	found = cache_get(img, block, index, n, ret_off);
	mutex_unlock(&img->lock);
	if (found)
		return 0;
	r = memfile_alloc(img->memfile, IMAGE_BLOCK_SIZE, 0, &fresh.off);
	if (r < 0)
		return r;
	/* It is unpacked without a guard. */
	r = memfile_commit(img->memfile, fresh.off, IMAGE_BLOCK_SIZE);
	if (r < 0) {
		memfile_put_pages(img->memfile, fresh.off, IMAGE_BLOCK_SIZE);
		return r;
	}
	r = image_pages_read_block(img->ip, block, memfile_at(img->memfile, fresh.off), &n_pages);
	if (r < 0 || n_pages > BLOCK_PAGES || index + n > n_pages) {
		memfile_put_pages(img->memfile, fresh.off, IMAGE_BLOCK_SIZE);
		return -EIO;
	}
	if (n_pages < BLOCK_PAGES)
		memfile_put_pages(img->memfile, fresh.off + n_pages * PAGE_SIZE,
		                  IMAGE_BLOCK_SIZE - n_pages * PAGE_SIZE);
	fresh.n_pages = n_pages;
	mutex_lock(&img->lock);
	if (cache_get(img, block, index, n, ret_off)) {
		/* Somebody else was faster. */
		old = fresh;
	} else {
		old = img->cache[img->hand];
		img->cache[img->hand] = fresh;
		img->hand = (img->hand + 1) % CACHE_BLOCKS;
		*ret_off = fresh.off + index * PAGE_SIZE;
		memfile_get_pages(img->memfile, *ret_off, n * PAGE_SIZE);
	}
	mutex_unlock(&img->lock);
	if (old.used)
		memfile_put_pages(img->memfile, old.off, old.n_pages * PAGE_SIZE);
	return 0;
}

int imagefile_read(struct imagefile *img, u64 off, void *buf, u64 len)
{
	struct image_place_run run;
	u64 done = 0, at;

	while (done < len) {
		u64 page = PAGE_DOWN(off + done), skip = off + done - page;
		u8 *to = (u8 *)buf + done;
		u64 n;
		int r = imagefile_find(img, page, PAGE_UP(skip + len - done), &run);

		if (r < 0)
			return r;
		n = MIN(run.len - skip, len - done);
		switch (run.place) {
		case IMAGE_ZERO:
			if (guard_zero(to, n) != 0)
				return -EIO;
			break;
		case IMAGE_RAW:
			if (guard_copy(to, img->map + run.raw + skip, n) != 0)
				return -EIO;
			break;
		case IMAGE_BLOCK:
			r = imagefile_block(img, run.block, run.index, (u32)(run.len / PAGE_SIZE),
			                    &at);
			if (r < 0)
				return r;
			r = guard_copy(to, (u8 *)memfile_at(img->memfile, at) + skip, n) ? -EIO : 0;
			memfile_put_pages(img->memfile, at, run.len);
			if (r < 0)
				return r;
			break;
		}
		done += n;
	}
	return 0;
}

void imagefile_prefetch(struct imagefile *img, u64 off, u64 len)
{
	struct image_place_run run;

	if (imagefile_find(img, off, len, &run) == 0 && run.place == IMAGE_RAW)
		posix_fadvise(img->mapfile.fd, (off_t)run.raw, (off_t)run.len, POSIX_FADV_WILLNEED);
}
