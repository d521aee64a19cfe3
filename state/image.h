#pragma once
/*
 * The image: five files, named by image_file_names, over descriptors that the caller opened; state
 * opens no files. Whoever creates an image makes the directory under a temporary name, and syncs
 * and renames it when image_write has succeeded.
 *
 * Error lines name the file ("kernel.img is truncated (10 of 400 bytes)"); the caller puts the
 * image's name in front. They are malloc'd.
 *
 * Locking: none; one owner. Lifetime: as said per function. Saved: it is the image.
 */
#include "state/pages.h"
#include "state/snapshot.h"

enum image_file {
	IMAGE_INVENTORY,
	IMAGE_KERNEL,
	IMAGE_PAGEMAP,
	IMAGE_PAGES,
	IMAGE_STATS,
	IMAGE_FILES
};
/* "inventory.img", ... as the files are called in the image directory. */
extern const char *const image_file_names[IMAGE_FILES];

enum image_compression {
	IMAGE_NONE,
	IMAGE_LZ4
};

/* What an image says of itself. Of an open image it lives as long as the image. */
struct image_info {
	const char *producer;            /* "stasis 0.1.0" */
	const char *arch;                /* "x86_64" */
	const char *const *cpu_features; /* what the guest may rely on */
	size_t n_cpu_features;
	const void *cpu_state; /* layout of saved FP state, as the platform describes it */
	size_t cpu_state_len;
	u64 realtime_ns; /* clocks at the save */
	u64 monotonic_ns;
	u64 boottime_ns;
	enum image_compression compression;
	const char *sandbox; /* its id */
	const void *config;  /* what the caller wants to read before it loads */
	size_t config_len;
};

/* What a checkpoint cost. The caller fills the first two, image_write the rest. */
struct image_stats {
	u64 freezing_ns;     /* it took to stop everything */
	u64 frozen_since_ns; /* CLOCK_MONOTONIC when that began; 0: no time is reported */
	u64 memwrite_ns;
	u64 pages;         /* named by the save */
	u64 pages_written; /* the rest are zeros */
	u64 bytes;         /* of all files */
};

/*
 * Writes all files of an image to empty files. The guests may not change pages meanwhile.
 * -ENOSPC, -EIO, ... with *ret_why naming the file; what has been written is worthless then.
 */
MUST_CHECK int image_write(const int fds[IMAGE_FILES], const struct snapshot *snap,
                           const struct image_info *info, struct image_stats *stats,
                           char **ret_why);

struct image;
/*
 * Reads and verifies everything but the pages themselves: inventory, sizes, digests of kernel.img
 * and pagemap.img, the page map. IMAGE_STATS may be -1. The descriptors are borrowed: pages.img's
 * for the life of the pages, the others for the call. -EBADMSG, -ENOENT, -EIO with *ret_why set.
 */
MUST_CHECK int image_open(const int fds[IMAGE_FILES], struct image **ret, char **ret_why);
/* NULL is fine. */
void image_close(struct image *img);
const struct image_info *image_info(const struct image *img);
/* The snapshot for state_load; gone with image_drop_kernel or image_close. */
const void *image_kernel(const struct image *img, size_t *ret_size);
/* Frees the records once they are loaded. */
void image_drop_kernel(struct image *img);
/* The page map; image_close closes it unless image_take_pages took it. */
const struct image_pages *image_pages(const struct image *img);
struct image_pages *image_take_pages(struct image *img);
/* Bytes of all files together. */
u64 image_size(const struct image *img);
/* Reads pages.img and stats-dump whole: digests, and every block. fds as for image_open. */
MUST_CHECK int image_verify_pages(const struct image *img, const int fds[IMAGE_FILES],
                                  char **ret_why);
