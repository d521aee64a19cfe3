#pragma once
/*
 * For the tests of the image files: images in memory files, and a page source over one.
 *
 * Locking: none. Lifetime: each has its finish. Saved: no.
 */
#include "state/image.h"

struct mem_source {
	struct page_source src;
	int fd;
};

/* size bytes of zeros, sparse. */
void mem_source_init(struct mem_source *m, u64 size);
void mem_source_finish(struct mem_source *m);
/* Fills a page with bytes that do not compress, made from seed. */
void mem_source_fill(struct mem_source *m, u64 page, u64 seed);
/* The same with text that does. */
void mem_source_fill_text(struct mem_source *m, u64 page, u64 seed);

/* Empty memory files for an image; closed by image_files_close. */
void image_files_open(int fds[IMAGE_FILES]);
void image_files_close(int fds[IMAGE_FILES]);
u64 file_size(int fd);
/* A copy of the file's first size bytes. */
int file_copy(int fd, u64 size);
