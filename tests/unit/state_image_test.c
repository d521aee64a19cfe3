/* The files of an image: what is written comes back; what is damaged is refused in one line. */
#include "proto/image.pb-c.h"
#include "state/base/cleanup.h"
#include "state/format.h"
#include "state/pages_write.h"
#include "tests/unit/image_fixture.h"
#include "tests/unit/sample_types.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>

static const struct obj_type *const house_root[] = {&house_type};
static const char *const features[] = {"avx", "sse4_2"};

static double ms_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

/* An image of a house and of the first n pages of the source. */
static void write_image(int fds[IMAGE_FILES], struct mem_source *m, u64 n,
                        enum image_compression compression, struct image_stats *stats)
{
	struct house *h = obj_new(house);
	void *root = h;
	struct save_params p = {.roots = &root, .n_roots = 1};
	struct snapshot snap = {0};
	struct image_info info = {
		.producer = "test 1",
		.arch = "x86_64",
		.cpu_features = features,
		.n_cpu_features = 2,
		.cpu_state = "\1\2\3",
		.cpu_state_len = 3,
		.realtime_ns = 5,
		.monotonic_ns = 6,
		.boottime_ns = 7,
		.compression = compression,
		.sandbox = "box",
		.config = "cfg",
		.config_len = 3,
	};
	char *why = NULL;

	h->src = &m->src;
	h->pages = n;
	h->dog = obj_new(dog);
	cr_assert_eq(state_save(&p, &snap, &why), 0, "%s", why);
	cr_assert_eq(image_write(fds, &snap, &info, stats, &why), 0, "%s", why);
	snapshot_finish(&snap);
	obj_put(h);
}

static struct image *open_image(const int fds[IMAGE_FILES])
{
	struct image *img = NULL;
	char *why = NULL;

	cr_assert_eq(image_open(fds, &img, &why), 0, "%s", why);
	return img;
}

static void check_pages(const struct image_pages *ip, struct mem_source *m, u64 n)
{
	u8 want[PAGE_SIZE], got[PAGE_SIZE];
	struct page_run run = {0};

	cr_assert_eq(image_pages_count(ip), n);
	for (u64 i = 0; i < n; i++) {
		cr_assert_eq(m->src.read(&m->src, i * PAGE_SIZE, want, PAGE_SIZE), 0);
		memset(got, 0xaa, sizeof(got));
		cr_assert_eq(image_pages_read(ip, i, got), 0, "page %llu", (unsigned long long)i);
		cr_assert_eq(memcmp(want, got, PAGE_SIZE), 0, "page %llu", (unsigned long long)i);
		cr_assert_eq(image_pages_lookup(ip, i, &run), 0);
		cr_assert_gt(run.count, 0);
		cr_assert_leq(i + run.count, n);
	}
	cr_assert_eq(image_pages_lookup(ip, n, &run), -EBADMSG);
	cr_assert_eq(image_pages_read(ip, n, got), -EBADMSG);
}

static void round_trip(enum image_compression compression)
{
	struct load_params lp = {.root_types = house_root, .n_roots = 1};
	struct image_stats stats = {0};
	struct mem_source m;
	int fds[IMAGE_FILES];
	struct image *img;
	const struct image_info *info;
	const void *kernel;
	size_t size = 0;
	void *root = NULL;
	char *why = NULL;

	mem_source_init(&m, 256 * PAGE_SIZE);
	for (u64 i = 0; i < 100; i++)
		if (i % 7 != 0)
			(i % 3 ? mem_source_fill : mem_source_fill_text)(&m, i, i);
	mem_source_fill_text(&m, 199, 1);
	image_files_open(fds);
	write_image(fds, &m, 200, compression, &stats);
	cr_assert_eq(stats.pages, 200);
	cr_assert_eq(stats.pages_written, 86);
	img = open_image(fds);
	info = image_info(img);
	cr_assert_str_eq(info->producer, "test 1");
	cr_assert_eq(info->n_cpu_features, 2);
	cr_assert_str_eq(info->cpu_features[1], "sse4_2");
	cr_assert_eq(info->cpu_state_len, 3);
	cr_assert_eq(info->boottime_ns, 7);
	cr_assert_eq(info->config_len, 3);
	cr_assert_eq(memcmp(info->config, "cfg", 3), 0);
	cr_assert_eq(info->compression, compression);
	cr_assert_eq(image_size(img), stats.bytes);
	check_pages(image_pages(img), &m, 200);
	cr_assert_eq(image_verify_pages(img, fds, &why), 0, "%s", why);
	kernel = image_kernel(img, &size);
	cr_assert_eq(state_load(kernel, size, &lp, &root, &why), 0, "%s", why);
	cr_assert_eq(((struct house *)root)->pages, 200);
	obj_put(root);
	image_close(img);
	image_files_close(fds);
	mem_source_finish(&m);
	cr_assert_eq(obj_live(), 0);
}

Test(image, round_trip_uncompressed)
{
	round_trip(IMAGE_NONE);
}

Test(image, round_trip_lz4)
{
	round_trip(IMAGE_LZ4);
}

Test(image, zero_pages_are_not_stored)
{
	struct image_stats stats = {0};
	struct mem_source m;
	int fds[IMAGE_FILES];
	u8 zeros[PAGE_SIZE] = {0};

	mem_source_init(&m, GIB);
	/* Written zeros count as little as holes. */
	for (u64 i = 0; i < 1000; i++)
		cr_assert_eq(pwrite(m.fd, zeros, PAGE_SIZE, (off_t)(i * PAGE_SIZE)), PAGE_SIZE);
	mem_source_fill(&m, 200000, 9);
	image_files_open(fds);
	write_image(fds, &m, GIB / PAGE_SIZE, IMAGE_NONE, &stats);
	cr_assert_eq(stats.pages_written, 1);
	cr_assert_eq(file_size(fds[IMAGE_PAGES]), 2 * PAGE_SIZE);
	cr_assert_lt(stats.bytes, 10000);
	image_files_close(fds);
	mem_source_finish(&m);
}

Test(image, alternating_pages_keep_the_map_small)
{
	struct image_stats stats = {0};
	struct page_run run = {0};
	struct mem_source m;
	int fds[IMAGE_FILES];
	struct image *img;
	const u64 n = 65536;
	double t0, t1;

	mem_source_init(&m, n * PAGE_SIZE);
	for (u64 i = 0; i < n; i += 2)
		mem_source_fill_text(&m, i, i);
	image_files_open(fds);
	write_image(fds, &m, n, IMAGE_LZ4, &stats);
	cr_assert_lt(file_size(fds[IMAGE_PAGEMAP]), 100000);
	t0 = ms_now();
	img = open_image(fds);
	t1 = ms_now();
	fprintf(stderr, "65536 alternating pages: map of %llu bytes, opened in %.2f ms\n",
	        (unsigned long long)file_size(fds[IMAGE_PAGEMAP]), t1 - t0);
	cr_assert_eq(image_pages_lookup(image_pages(img), 65534, &run), 0);
	cr_assert_eq(run.kind, PAGES_LZ4);
	cr_assert_eq(run.block, 32767 / 16);
	cr_assert_eq(run.index, 32767 % 16);
	image_close(img);
	image_files_close(fds);
	mem_source_finish(&m);
}

Test(image, empty_table)
{
	struct image_stats stats = {0};
	struct mem_source m;
	int fds[IMAGE_FILES];
	struct image *img;

	mem_source_init(&m, PAGE_SIZE);
	image_files_open(fds);
	write_image(fds, &m, 0, IMAGE_LZ4, &stats);
	img = open_image(fds);
	check_pages(image_pages(img), &m, 0);
	image_close(img);
	image_files_close(fds);
	mem_source_finish(&m);
}

Test(image, zero_check)
{
	_Alignas(32) u8 page[PAGE_SIZE] = {0};

	cr_assert(page_is_zero(page));
	for (size_t i = 0; i < PAGE_SIZE; i++) {
		page[i] = 1;
		cr_assert_not(page_is_zero(page));
		page[i] = 0;
	}
}

Test(image, a_full_disk_names_the_file)
{
	for (unsigned k = 0; k < IMAGE_FILES; k++) {
		struct image_stats stats = {0};
		struct image_info info = {.compression = IMAGE_LZ4};
		struct mem_source m;
		struct dog *d = obj_new(dog);
		void *root = d;
		struct save_params p = {.roots = &root, .n_roots = 1};
		struct snapshot snap = {0};
		int fds[IMAGE_FILES];
		char *why = NULL, want[100];

		mem_source_init(&m, PAGE_SIZE);
		cr_assert_eq(state_save(&p, &snap, &why), 0);
		image_files_open(fds);
		close(fds[k]);
		fds[k] = open("/dev/full", O_WRONLY | O_CLOEXEC);
		cr_assert_eq(image_write(fds, &snap, &info, &stats, &why), -ENOSPC);
		snprintf(want, sizeof(want), "%s cannot be written: No space left on device",
		         image_file_names[k]);
		cr_assert_str_eq(why, want);
		free(why);
		image_files_close(fds);
		snapshot_finish(&snap);
		obj_put(d);
		mem_source_finish(&m);
	}
}

/* The line with which the image is refused; freed by the next call. */
static const char *refusal(const int fds[IMAGE_FILES])
{
	static char *why;
	struct image *img = NULL;
	int r;

	free(why);
	why = NULL;
	r = image_open(fds, &img, &why);
	if (r == 0)
		r = image_verify_pages(img, fds, &why);
	image_close(img);
	return r == 0 ? NULL : why;
}

static void poke(int fd, u64 off, const void *data, size_t n)
{
	cr_assert_eq(pwrite(fd, data, n, (off_t)off), (ssize_t)n);
}

static void flip(int fd, u64 off, u8 bits)
{
	u8 b = 0;

	cr_assert_eq(pread(fd, &b, 1, (off_t)off), 1);
	b ^= bits;
	poke(fd, off, &b, 1);
}

static void small_image(int fds[IMAGE_FILES], enum image_compression compression)
{
	struct image_stats stats = {0};
	struct mem_source m;

	mem_source_init(&m, 20 * PAGE_SIZE);
	mem_source_fill_text(&m, 0, 1);
	mem_source_fill(&m, 2, 2);
	mem_source_fill_text(&m, 19, 3);
	image_files_open(fds);
	write_image(fds, &m, 20, compression, &stats);
	mem_source_finish(&m);
}

Test(image, error_lines)
{
	int fds[IMAGE_FILES], keep;
	u32 newer = 7;
	char want[100];

	small_image(fds, IMAGE_NONE);
	cr_assert_null(refusal(fds));

	keep = fds[IMAGE_KERNEL];
	fds[IMAGE_KERNEL] = -1;
	cr_assert_str_eq(refusal(fds), "kernel.img is missing");
	fds[IMAGE_KERNEL] = file_copy(keep, 60);
	snprintf(want, sizeof(want), "kernel.img is truncated (60 of %llu bytes)",
	         (unsigned long long)file_size(keep));
	cr_assert_str_eq(refusal(fds), want);
	poke(fds[IMAGE_KERNEL], 0,
	     "\x7f"
	     "ELF",
	     4);
	cr_assert_str_eq(refusal(fds), "kernel.img is no stasis image");
	close(fds[IMAGE_KERNEL]);
	fds[IMAGE_KERNEL] = file_copy(keep, file_size(keep));
	poke(fds[IMAGE_KERNEL], 8, &newer, 4);
	cr_assert_str_eq(refusal(fds), "kernel.img is from a newer stasis (format 7, this one "
	                               "reads up to 1)");
	close(fds[IMAGE_KERNEL]);
	fds[IMAGE_KERNEL] = keep;

	flip(fds[IMAGE_PAGEMAP], sizeof(struct image_header), 1);
	cr_assert_str_eq(refusal(fds), "digest of pagemap.img does not match: the file is damaged");
	flip(fds[IMAGE_PAGEMAP], sizeof(struct image_header), 1);

	flip(fds[IMAGE_PAGES], PAGE_SIZE + 10, 1);
	cr_assert_str_eq(refusal(fds), "digest of pages.img does not match: the file is damaged");
	flip(fds[IMAGE_PAGES], PAGE_SIZE + 10, 1);

	flip(fds[IMAGE_INVENTORY], sizeof(struct image_header) + 3, 1);
	cr_assert_str_eq(refusal(fds),
	                 "digest of inventory.img does not match: the file is damaged");
	flip(fds[IMAGE_INVENTORY], sizeof(struct image_header) + 3, 1);
	cr_assert_eq(ftruncate(fds[IMAGE_INVENTORY], 0), 0);
	cr_assert_str_eq(refusal(fds), "inventory.img is truncated (0 of at least 48 bytes)");
	image_files_close(fds);
}

/* Damages each file in every way that one byte or one cut can, and restores it. */
static void damage(enum image_compression compression, unsigned step)
{
	int fds[IMAGE_FILES];

	small_image(fds, compression);
	for (unsigned k = 0; k < IMAGE_FILES; k++) {
		u64 size = file_size(fds[k]);

		for (u64 off = 0; off < size; off += k == IMAGE_PAGES ? step : 1) {
			flip(fds[k], off, (u8)(1u << (off % 8)));
			cr_assert_not_null(refusal(fds), "%s, byte %llu", image_file_names[k],
			                   (unsigned long long)off);
			flip(fds[k], off, (u8)(1u << (off % 8)));
		}
		for (u64 len = 0; len < size; len += k == IMAGE_PAGES ? step : 1) {
			int keep = fds[k];

			fds[k] = file_copy(keep, len);
			cr_assert_not_null(refusal(fds), "%s, %llu bytes", image_file_names[k],
			                   (unsigned long long)len);
			close(fds[k]);
			fds[k] = keep;
		}
	}
	cr_assert_null(refusal(fds));
	image_files_close(fds);
}

Test(image, every_damage_is_refused)
{
	damage(IMAGE_NONE, 97);
}

Test(image, every_damage_is_refused_lz4)
{
	damage(IMAGE_LZ4, 97);
}

/* A block that is damaged on a disk is found when it is read, without image_verify_pages. */
Test(image, damaged_blocks_are_found_when_read)
{
	int fds[IMAGE_FILES];
	struct image *img;
	u8 block[IMAGE_BLOCK_SIZE];
	u32 pages = 0;

	small_image(fds, IMAGE_LZ4);
	img = open_image(fds);
	cr_assert_eq(image_pages_read_block(image_pages(img), 0, block, &pages), 0);
	cr_assert_eq(pages, 3);
	cr_assert_eq(image_pages_read_block(image_pages(img), 1, block, &pages), -EBADMSG);
	flip(fds[IMAGE_PAGES], PAGE_SIZE + 100, 4);
	cr_assert_eq(image_pages_read_block(image_pages(img), 0, block, &pages), -EBADMSG);
	cr_assert_eq(ftruncate(fds[IMAGE_PAGES], (off_t)PAGE_SIZE + 50), 0);
	cr_assert_eq(image_pages_read_block(image_pages(img), 0, block, &pages), -EBADMSG);
	image_close(img);
	image_files_close(fds);
}

static int open_map(int fd, Image__Pagemap *m, struct image_pages **ret)
{
	u8 packed[4096];
	size_t len = image__pagemap__pack(m, packed);
	AUTO_FREE char *why = NULL;

	return image_pages_open(fd, packed, len, ret, &why);
}

Test(image, hostile_page_maps)
{
	struct image_pages *ip = NULL;
	int fds[IMAGE_FILES];
	u64 runs[3], xxh[2] = {0};
	u32 sizes[2] = {10, 10};
	Image__Pagemap m = IMAGE__PAGEMAP__INIT;

	small_image(fds, IMAGE_NONE);
	m.runs = runs;
	m.block_sizes = sizes;
	m.block_xxh3 = xxh;

	m.n_runs = 1; /* 3 raw pages are there */
	runs[0] = 4 << 3 | PAGES_RAW;
	m.raw_start = PAGE_SIZE;
	cr_assert_eq(open_map(fds[IMAGE_PAGES], &m, &ip), -EBADMSG);
	runs[0] = 3 << 3 | PAGES_RAW;
	cr_assert_eq(open_map(fds[IMAGE_PAGES], &m, &ip), 0);
	image_pages_close(ip);
	m.raw_start = 0;
	cr_assert_eq(open_map(fds[IMAGE_PAGES], &m, &ip), -EBADMSG);
	m.raw_start = PAGE_SIZE + 1;
	cr_assert_eq(open_map(fds[IMAGE_PAGES], &m, &ip), -EBADMSG);
	m.raw_start = ~PAGE_MASK;
	cr_assert_eq(open_map(fds[IMAGE_PAGES], &m, &ip), -EBADMSG);
	m.raw_start = PAGE_SIZE;
	runs[0] = 3 << 3 | 5;
	cr_assert_eq(open_map(fds[IMAGE_PAGES], &m, &ip), -EBADMSG);
	runs[0] = PAGES_RAW;
	cr_assert_eq(open_map(fds[IMAGE_PAGES], &m, &ip), -EBADMSG);
	m.n_runs = 2;
	runs[0] = runs[1] = (~0ull >> 3) << 3;
	cr_assert_eq(open_map(fds[IMAGE_PAGES], &m, &ip), -EBADMSG);

	runs[0] = 17 << 3 | PAGES_LZ4; /* two blocks */
	runs[1] = 1 << 3 | PAGES_ZERO;
	cr_assert_eq(open_map(fds[IMAGE_PAGES], &m, &ip), -EBADMSG);
	m.n_block_sizes = 2;
	m.n_block_xxh3 = 2;
	m.blocks_start = PAGE_SIZE;
	cr_assert_eq(open_map(fds[IMAGE_PAGES], &m, &ip), 0);
	image_pages_close(ip);
	m.n_block_xxh3 = 1;
	cr_assert_eq(open_map(fds[IMAGE_PAGES], &m, &ip), -EBADMSG);
	m.n_block_xxh3 = 2;
	sizes[1] = PAGE_SIZE + 1; /* the last block has one page */
	cr_assert_eq(open_map(fds[IMAGE_PAGES], &m, &ip), -EBADMSG);
	sizes[1] = 0;
	cr_assert_eq(open_map(fds[IMAGE_PAGES], &m, &ip), -EBADMSG);
	sizes[1] = 10;
	m.blocks_start = file_size(fds[IMAGE_PAGES]) - 19;
	cr_assert_eq(open_map(fds[IMAGE_PAGES], &m, &ip), -EBADMSG);
	m.blocks_start = ~0ull;
	cr_assert_eq(open_map(fds[IMAGE_PAGES], &m, &ip), -EBADMSG);

	m.n_runs = 2; /* raw pages and blocks on top of each other */
	runs[1] = 1 << 3 | PAGES_RAW;
	m.blocks_start = PAGE_SIZE + 5;
	cr_assert_eq(open_map(fds[IMAGE_PAGES], &m, &ip), -EBADMSG);
	m.blocks_start = 2 * PAGE_SIZE;
	cr_assert_eq(open_map(fds[IMAGE_PAGES], &m, &ip), 0);
	image_pages_close(ip);
	image_files_close(fds);
}
