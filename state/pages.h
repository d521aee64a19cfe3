#pragma once
/*
 * Pages between the kernel and an image. A page_source is a file of pages that the kernel maps from
 * (the memory file, or an older image's pages); image_pages is the pages file of an image that is
 * being restored, looked up lazily by page number.
 *
 * Page numbers are dense from 0 in the order in which saver_pages named them; pagemap.img says for
 * runs of them whether they are zero, raw at an offset of pages.img, or in an LZ4 block.
 *
 * Locking: image_pages is immutable after open. Lifetime: refcounted by its owner in the sentry.
 */
#include "state/base/types.h"

#define IMAGE_BLOCK_SIZE (64 * KIB) /* what one LZ4 block holds uncompressed */

struct page_source {
	/* Copies whole pages out. -EIO if the source cannot be read (a truncated image file). */
	int (*read)(struct page_source *src, u64 off, void *buf, u64 len);
	/* Says whether [off, off+len) may hold anything but zeros, without reading it if that is
	 * cheap (SEEK_DATA): returns the length of the leading part that is all zero, or 0. */
	u64 (*zero_prefix)(struct page_source *src, u64 off, u64 len);
	u64 size;        /* bytes; offsets are below */
	u64 *saved_pgno; /* by page: number+1 in save saved_epoch; made and owned by the saver */
	u64 saved_epoch;
};
/* Frees what savers left in a source. */
void page_source_finish(struct page_source *src);

enum page_kind {
	PAGES_ZERO,
	PAGES_RAW,
	PAGES_LZ4
};
struct page_run {
	enum page_kind kind;
	u64 count;  /* pages from the asked one to the end of the run; for LZ4, of the block */
	u64 offset; /* RAW: byte offset in pages.img of the asked page */
	u32 block;  /* LZ4: index of the block */
	u32 index;  /* LZ4: which page inside the block */
};

struct image_pages;
/* pages.img's descriptor (borrowed for the life of ip) and the verified bytes of pagemap.img.
 * -EBADMSG with *ret_why set to a malloc'd line; never crashes on any input. */
MUST_CHECK int image_pages_open(int fd, const void *pagemap, size_t size, struct image_pages **ret,
                                char **ret_why);
void image_pages_close(struct image_pages *ip);
int image_pages_fd(const struct image_pages *ip);
u64 image_pages_count(const struct image_pages *ip);
u32 image_pages_blocks(const struct image_pages *ip);
/* -EBADMSG if pgno is past the end. */
MUST_CHECK int image_pages_lookup(const struct image_pages *ip, u64 pgno, struct page_run *ret);
/* Decompresses and verifies (its own digest) one LZ4 block into buf (IMAGE_BLOCK_SIZE); *ret_pages
 * is how many pages it holds. -EBADMSG if damaged. */
MUST_CHECK int image_pages_read_block(const struct image_pages *ip, u32 block, void *buf,
                                      u32 *ret_pages);
/* Copies one page whatever its kind. */
MUST_CHECK int image_pages_read(const struct image_pages *ip, u64 pgno, void *buf);
