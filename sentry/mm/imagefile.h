#pragma once
/*
 * The pages of an image as a mapfile: offsets are page numbers times 4096. Where a page lies is
 * looked up when it is needed, so a restore costs per mapping, not per page. Raw pages are mapped
 * from the image itself and shared through the host's page cache; LZ4 blocks are decompressed once
 * into the memory file and shared copy-on-write; zero pages become fresh memory.
 *
 * Locking: RANK_IMAGE_PAGES inside, never held while decompressing. Lifetime: a mapfile; every run
 * that still lies in the image holds a reference, so it goes when nothing needs it any more.
 * Saved: its pages, through its page source.
 */
#include "sentry/mm/mapfile.h"
#include "state/pages.h"

struct imagefile;
struct memfile;

/* Takes over ip, and its descriptor if own_fd. One reference for the caller. -ENOMEM. */
MUST_CHECK int imagefile_create(struct image_pages *ip, bool own_fd, struct memfile *memfile,
                                struct imagefile **ret);
struct mapfile *imagefile_mapfile(struct imagefile *img);
struct imagefile *imagefile_of_source(struct page_source *src);
/* The image that mf is, or NULL. */
struct imagefile *imagefile_of(struct mapfile *mf);
u64 imagefile_pages(const struct imagefile *img);

enum image_place {
	IMAGE_ZERO,
	IMAGE_RAW,
	IMAGE_BLOCK,
};
struct image_place_run {
	enum image_place place;
	u64 len;          /* bytes from the asked offset on that lie there side by side */
	u64 raw;          /* RAW: offset in the image's descriptor */
	u32 block, index; /* BLOCK: which, and which page of it */
};
/* Where [off, off+len) lies: a prefix. -EIO past the image's end. */
MUST_CHECK int imagefile_find(struct imagefile *img, u64 off, u64 len, struct image_place_run *ret);
/* How many bytes before off (at most max) lie side by side with the raw run at off. */
u64 imagefile_raw_before(struct imagefile *img, u64 off, u64 max);
/* Sentry's view of a raw run; guarded access only. */
void *imagefile_raw_ptr(struct imagefile *img, u64 raw);
/* Memory file offset of a block's pages [index, index+n), with a count on each for the caller.
 * -EIO if the block is damaged, -ENOMEM. */
MUST_CHECK int imagefile_block(struct imagefile *img, u32 block, u32 index, u32 n, u64 *ret_off);
/* Copies bytes out, whatever their kind. -EIO. */
MUST_CHECK int imagefile_read(struct imagefile *img, u64 off, void *buf, u64 len);
/* Asks the host to read [off, off+len) ahead. */
void imagefile_prefetch(struct imagefile *img, u64 off, u64 len);
