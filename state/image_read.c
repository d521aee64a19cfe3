#include "proto/image.pb-c.h"
#include "state/base/bug.h"
#include "state/base/cleanup.h"
#include "state/format.h"
#include "state/image.h"
#include "state/records.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define INVENTORY_MAX (16 * MIB)

struct image {
	struct image_info info;
	Image__Inventory *inv;
	const Image__File *files[IMAGE_FILES]; /* what the inventory says of each; or NULL */
	struct buf kernel_file, kernel_hold;
	const u8 *kernel;
	size_t kernel_size;
	struct image_pages *pages;
	u64 size;
};

static int damaged(const char *name, char **ret_why)
{
	*ret_why = format_line("digest of %s does not match: the file is damaged", name);
	return -EBADMSG;
}

static int truncated(const char *name, u64 have, u64 want, char **ret_why)
{
	*ret_why = format_line("%s is %s (%llu of %llu bytes)", name,
	                       have < want ? "truncated" : "too long", (unsigned long long)have,
	                       (unsigned long long)want);
	return -EBADMSG;
}

static int read_inventory(struct image *img, int fd, char **ret_why)
{
	const char *name = image_file_names[IMAGE_INVENTORY];
	struct image_header h;
	struct buf file = {0}, hold = {0};
	u8 digest[IMAGE_DIGEST_LEN];
	const u8 *body = NULL;
	size_t len = 0;
	u64 size = 0;
	int r = image_file_size(fd, name, &size, ret_why);

	if (r == 0 && size > INVENTORY_MAX) {
		*ret_why = format_line("%s is no stasis image", name);
		r = -EBADMSG;
	}
	if (r == 0)
		r = image_read_file(fd, name, size, &file, ret_why);
	if (r == 0)
		r = image_body(&file, name, "INVT", &hold, &body, &len, ret_why);
	if (r == 0) {
		memcpy(&h, file.data, sizeof(h));
		image_digest(file.data + sizeof(h), file.len - sizeof(h), digest);
		if (memcmp(digest, h.digest, sizeof(digest)) != 0)
			r = damaged(name, ret_why);
	}
	if (r == 0) {
		img->inv = image__inventory__unpack(NULL, len, body);
		if (!img->inv)
			r = damaged(name, ret_why);
	}
	img->size = file.len;
	buf_finish(&file);
	buf_finish(&hold);
	return r;
}

static int take_inventory(struct image *img, char **ret_why)
{
	const Image__Inventory *inv = img->inv;

	if (inv->compression > IMAGE_LZ4 || inv->base.n_unknown_fields > 0 || inv->parent[0]) {
		*ret_why = format_line("inventory.img asks for what this stasis cannot do");
		return -EBADMSG;
	}
	img->info = (struct image_info){
		.producer = inv->producer,
		.arch = inv->arch,
		.cpu_features = (const char *const *)inv->cpu_features,
		.n_cpu_features = inv->n_cpu_features,
		.cpu_state = inv->cpu_state.data,
		.cpu_state_len = inv->cpu_state.len,
		.realtime_ns = inv->realtime_ns,
		.monotonic_ns = inv->monotonic_ns,
		.boottime_ns = inv->boottime_ns,
		.compression = inv->compression,
		.sandbox = inv->sandbox,
		.config = inv->config.data,
		.config_len = inv->config.len,
	};
	for (size_t i = 0; i < inv->n_files; i++) {
		const Image__File *f = inv->files[i];
		unsigned k = 1;

		while (k < IMAGE_FILES && strcmp(f->name, image_file_names[k]) != 0)
			k++;
		if (k == IMAGE_FILES || img->files[k] || f->xxh3_128.len != IMAGE_DIGEST_LEN) {
			*ret_why =
				format_line("inventory.img lists %.64s, which cannot be", f->name);
			return -EBADMSG;
		}
		img->files[k] = f;
		img->size += f->size;
	}
	for (unsigned k = IMAGE_KERNEL; k <= IMAGE_PAGES; k++) {
		if (!img->files[k]) {
			*ret_why = format_line("inventory.img lists no %s", image_file_names[k]);
			return -EBADMSG;
		}
	}
	return 0;
}

/* The start of a file is looked at before its size, so that a foreign file is called one. */
static int check_start(int fd, enum image_file which, char **ret_why)
{
	static const char *const kinds[] = {
		[IMAGE_KERNEL] = "KERN", [IMAGE_PAGEMAP] = "PMAP", [IMAGE_PAGES] = "PAGE"};
	struct image_header h;
	struct buf b = {0};
	int r = image_read_file(fd, image_file_names[which], sizeof(h), &b, ret_why);

	if (r == 0 && b.len == sizeof(h)) {
		memcpy(&h, b.data, sizeof(h));
		r = image_check_header(&h, image_file_names[which], kinds[which], ret_why);
	}
	buf_finish(&b);
	return r;
}

static int check_file(const struct image *img, const int fds[], enum image_file which,
                      char **ret_why)
{
	u64 size = 0;
	int r = image_file_size(fds[which], image_file_names[which], &size, ret_why);

	if (r == 0 && which != IMAGE_STATS)
		r = check_start(fds[which], which, ret_why);
	if (r == 0 && size != img->files[which]->size)
		r = truncated(image_file_names[which], size, img->files[which]->size, ret_why);
	return r;
}

/* Reads a file whose size has been checked, and checks its digest. */
static int read_checked(const struct image *img, const int fds[], enum image_file which,
                        struct buf *ret, char **ret_why)
{
	const char *name = image_file_names[which];
	const Image__File *f = img->files[which];
	u8 digest[IMAGE_DIGEST_LEN];
	int r = image_read_file(fds[which], name, f->size, ret, ret_why);

	if (r < 0)
		return r;
	if (ret->len != f->size)
		return truncated(name, ret->len, f->size, ret_why);
	image_digest(ret->data, ret->len, digest);
	return memcmp(digest, f->xxh3_128.data, sizeof(digest)) == 0 ? 0 : damaged(name, ret_why);
}

static int open_pages(struct image *img, const int fds[], char **ret_why)
{
	struct buf file = {0}, hold = {0};
	const u8 *body = NULL;
	size_t len = 0;
	int r = read_checked(img, fds, IMAGE_PAGEMAP, &file, ret_why);

	if (r == 0)
		r = image_body(&file, image_file_names[IMAGE_PAGEMAP], "PMAP", &hold, &body, &len,
		               ret_why);
	if (r == 0)
		r = image_pages_open(fds[IMAGE_PAGES], body, len, &img->pages, ret_why);
	buf_finish(&file);
	buf_finish(&hold);
	return r;
}

static int open_kernel(struct image *img, const int fds[], char **ret_why)
{
	struct record_reader rr = {0};
	int r = read_checked(img, fds, IMAGE_KERNEL, &img->kernel_file, ret_why);

	if (r == 0)
		r = image_body(&img->kernel_file, image_file_names[IMAGE_KERNEL], "KERN",
		               &img->kernel_hold, &img->kernel, &img->kernel_size, ret_why);
	if (r == 0)
		r = record_reader_open(&rr, img->kernel, img->kernel_size, ret_why);
	if (r < 0)
		return r;
	if (rr.header->pages != image_pages_count(img->pages)) {
		*ret_why = format_line("pagemap.img has %llu pages where kernel.img knows %llu",
		                       (unsigned long long)image_pages_count(img->pages),
		                       (unsigned long long)rr.header->pages);
		r = -EBADMSG;
	}
	record_reader_close(&rr);
	return r;
}

int image_open(const int fds[IMAGE_FILES], struct image **ret, char **ret_why)
{
	struct image *img = calloc(1, sizeof(*img));
	int r;

	BUG_ON(!img);
	r = read_inventory(img, fds[IMAGE_INVENTORY], ret_why);
	if (r == 0)
		r = take_inventory(img, ret_why);
	for (unsigned k = IMAGE_KERNEL; r == 0 && k <= IMAGE_PAGES; k++)
		r = check_file(img, fds, k, ret_why);
	if (r == 0)
		r = open_pages(img, fds, ret_why);
	if (r == 0)
		r = open_kernel(img, fds, ret_why);
	if (r < 0) {
		image_close(img);
		return r;
	}
	*ret = img;
	return 0;
}

void image_close(struct image *img)
{
	if (!img)
		return;
	image_drop_kernel(img);
	image_pages_close(img->pages);
	if (img->inv)
		image__inventory__free_unpacked(img->inv, NULL);
	free(img);
}

const struct image_info *image_info(const struct image *img)
{
	return &img->info;
}

const void *image_kernel(const struct image *img, size_t *ret_size)
{
	*ret_size = img->kernel_size;
	return img->kernel;
}

void image_drop_kernel(struct image *img)
{
	buf_finish(&img->kernel_file);
	buf_finish(&img->kernel_hold);
	img->kernel = NULL;
	img->kernel_size = 0;
}

const struct image_pages *image_pages(const struct image *img)
{
	return img->pages;
}

struct image_pages *image_take_pages(struct image *img)
{
	return TAKE(img->pages);
}

u64 image_size(const struct image *img)
{
	return img->size;
}

/* The digest of a file too large to be read at once. */
static int check_digest(const struct image *img, int fd, enum image_file which, char **ret_why)
{
	const Image__File *f = img->files[which];
	AUTO_FREE u8 *chunk = malloc(MIB);
	XXH3_state_t *state = XXH3_createState();
	XXH128_canonical_t c;
	u64 off = 0;
	int r = 0;

	BUG_ON(!chunk || !state || XXH3_128bits_reset(state) != XXH_OK);
	while (off < f->size) {
		ssize_t n = pread(fd, chunk, MIN(f->size - off, (u64)MIB), (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			r = -errno;
			*ret_why = format_line("%s cannot be read: %s", f->name, strerror(-r));
			break;
		}
		if (n == 0) {
			r = truncated(f->name, off, f->size, ret_why);
			break;
		}
		XXH3_128bits_update(state, chunk, (size_t)n);
		off += (u64)n;
	}
	XXH128_canonicalFromHash(&c, XXH3_128bits_digest(state));
	XXH3_freeState(state);
	if (r == 0 && memcmp(c.digest, f->xxh3_128.data, IMAGE_DIGEST_LEN) != 0)
		r = damaged(f->name, ret_why);
	return r;
}

static int verify_blocks(const struct image_pages *ip, char **ret_why)
{
	AUTO_FREE u8 *block = malloc(IMAGE_BLOCK_SIZE);
	u32 pages = 0;

	BUG_ON(!block);
	for (u32 i = 0; i < image_pages_blocks(ip); i++) {
		int r = image_pages_read_block(ip, i, block, &pages);

		if (r < 0) {
			*ret_why = format_line("pages.img: block %u is damaged", i);
			return r;
		}
	}
	return 0;
}

int image_verify_pages(const struct image *img, const int fds[IMAGE_FILES], char **ret_why)
{
	int r = check_digest(img, fds[IMAGE_PAGES], IMAGE_PAGES, ret_why);

	if (r == 0 && img->pages)
		r = verify_blocks(img->pages, ret_why);
	if (r == 0 && img->files[IMAGE_STATS])
		r = check_file(img, fds, IMAGE_STATS, ret_why);
	if (r == 0 && img->files[IMAGE_STATS])
		r = check_digest(img, fds[IMAGE_STATS], IMAGE_STATS, ret_why);
	return r;
}
