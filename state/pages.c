#include "state/pages.h"
#include "proto/image.pb-c.h"
#include "state/base/bug.h"
#include "state/base/cleanup.h"
#include "state/format.h"
#include "state/unpack.h"

#include <errno.h>
#include <lz4.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#define PAGES_PER_BLOCK (IMAGE_BLOCK_SIZE / PAGE_SIZE)
#define COUNT_MAX       (1ull << 40) /* pages: past any address space */

struct run {
	u64 pgno;  /* of the first page */
	u64 index; /* of the first page among those of its kind, << 2 | kind */
};

struct image_pages {
	int fd;
	struct run *runs;
	size_t n_runs;
	u64 count;
	u64 raw_start;
	u64 lz4_count; /* pages in blocks */
	u32 n_blocks;
	u64 *block_off; /* n_blocks + 1 */
	u64 *block_xxh3;
};

static int take_runs(struct image_pages *ip, const Image__Pagemap *m, u64 ret_counts[3])
{
	u64 counts[3] = {0};

	ip->runs = malloc((m->n_runs + 1) * sizeof(ip->runs[0]));
	if (!ip->runs)
		return -ENOMEM;
	for (size_t i = 0; i < m->n_runs; i++) {
		u64 kind = m->runs[i] & 7, count = m->runs[i] >> 3;

		if (kind > PAGES_LZ4 || count == 0 || count > COUNT_MAX - ip->count)
			return -EBADMSG;
		ip->runs[i] = (struct run){ip->count, counts[kind] << 2 | kind};
		counts[kind] += count;
		ip->count += count;
	}
	ip->n_runs = m->n_runs;
	memcpy(ret_counts, counts, sizeof(counts));
	return 0;
}

static int take_blocks(struct image_pages *ip, const Image__Pagemap *m, u64 file_size)
{
	u64 want = ALIGN_UP(ip->lz4_count, PAGES_PER_BLOCK) / PAGES_PER_BLOCK;
	u64 at = m->blocks_start;

	if (want != m->n_block_sizes || want != m->n_block_xxh3 || want > UINT32_MAX)
		return -EBADMSG;
	if (want == 0)
		return 0;
	if (at < PAGE_SIZE || at > file_size)
		return -EBADMSG;
	ip->n_blocks = (u32)want;
	ip->block_off = malloc((want + 1) * sizeof(ip->block_off[0]));
	ip->block_xxh3 = malloc(want * sizeof(ip->block_xxh3[0]));
	if (!ip->block_off || !ip->block_xxh3)
		return -ENOMEM;
	for (u64 i = 0; i < want; i++) {
		u64 size = m->block_sizes[i];
		u64 pages = MIN(ip->lz4_count - i * PAGES_PER_BLOCK, (u64)PAGES_PER_BLOCK);

		ip->block_off[i] = at;
		if (size == 0 || size > pages * PAGE_SIZE || size > file_size - at)
			return -EBADMSG;
		at += size;
	}
	ip->block_off[want] = at;
	memcpy(ip->block_xxh3, m->block_xxh3, want * sizeof(ip->block_xxh3[0]));
	return 0;
}

static int take_map(struct image_pages *ip, const Image__Pagemap *m, u64 file_size)
{
	u64 counts[3] = {0}, raw_end;
	int r;

	if (m->base.n_unknown_fields > 0)
		return -EBADMSG;
	r = take_runs(ip, m, counts);
	if (r < 0)
		return r;
	ip->raw_start = m->raw_start;
	ip->lz4_count = counts[PAGES_LZ4];
	if (counts[PAGES_RAW] > 0) {
		if (m->raw_start < PAGE_SIZE || !IS_ALIGNED(m->raw_start, PAGE_SIZE) ||
		    !range_ok(m->raw_start, counts[PAGES_RAW] * PAGE_SIZE, file_size))
			return -EBADMSG;
	}
	r = take_blocks(ip, m, file_size);
	if (r < 0)
		return r;
	raw_end = m->raw_start + counts[PAGES_RAW] * PAGE_SIZE;
	if (counts[PAGES_RAW] > 0 && ip->n_blocks > 0 && m->blocks_start < raw_end &&
	    m->raw_start < ip->block_off[ip->n_blocks])
		return -EBADMSG;
	return 0;
}

static int check_pages_header(int fd, char **ret_why)
{
	struct image_header h;
	struct buf b = {0};
	bool zero = true;
	int r = image_read_file(fd, "pages.img", PAGE_SIZE, &b, ret_why);

	if (r < 0)
		return r;
	if (b.len < PAGE_SIZE) {
		*ret_why = format_line("pages.img is truncated (%zu of at least %llu bytes)", b.len,
		                       PAGE_SIZE);
		buf_finish(&b);
		return -EBADMSG;
	}
	memcpy(&h, b.data, sizeof(h));
	for (size_t i = offsetof(struct image_header, flags); i < PAGE_SIZE; i++)
		zero = zero && !b.data[i];
	buf_finish(&b);
	r = image_check_header(&h, "pages.img", "PAGE", ret_why);
	if (r == 0 && !zero) {
		*ret_why = format_line("the header of pages.img is damaged");
		r = -EBADMSG;
	}
	return r;
}

int image_pages_open(int fd, const void *pagemap, size_t size, struct image_pages **ret,
                     char **ret_why)
{
	struct arena arena = {0};
	struct image_pages *ip;
	Image__Pagemap *m;
	u64 file_size = 0;
	int r = image_file_size(fd, "pages.img", &file_size, ret_why);

	if (r == 0)
		r = check_pages_header(fd, ret_why);
	if (r < 0)
		return r;
	ip = calloc(1, sizeof(*ip));
	BUG_ON(!ip);
	ip->fd = fd;
	m = unpack_message(&arena, &image__pagemap__descriptor, pagemap, size);
	r = m ? take_map(ip, m, file_size) : -EBADMSG;
	arena_finish(&arena);
	if (r < 0) {
		image_pages_close(ip);
		*ret_why = format_line("pagemap.img is damaged or does not fit pages.img");
		return r;
	}
	*ret = ip;
	return 0;
}

void image_pages_close(struct image_pages *ip)
{
	if (!ip)
		return;
	free(ip->runs);
	free(ip->block_off);
	free(ip->block_xxh3);
	free(ip);
}

int image_pages_fd(const struct image_pages *ip)
{
	return ip->fd;
}

u64 image_pages_count(const struct image_pages *ip)
{
	return ip->count;
}

u32 image_pages_blocks(const struct image_pages *ip)
{
	return ip->n_blocks;
}

int image_pages_lookup(const struct image_pages *ip, u64 pgno, struct page_run *ret)
{
	size_t lo = 0, hi = ip->n_runs;
	u64 index, end;

	if (pgno >= ip->count)
		return -EBADMSG;
	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (ip->runs[mid].pgno <= pgno)
			lo = mid;
		else
			hi = mid;
	}
	end = lo + 1 < ip->n_runs ? ip->runs[lo + 1].pgno : ip->count;
	index = (ip->runs[lo].index >> 2) + (pgno - ip->runs[lo].pgno);
	*ret = (struct page_run){.kind = ip->runs[lo].index & 3, .count = end - pgno};
	if (ret->kind == PAGES_RAW) {
		ret->offset = ip->raw_start + index * PAGE_SIZE;
	} else if (ret->kind == PAGES_LZ4) {
		ret->block = (u32)(index / PAGES_PER_BLOCK);
		ret->index = (u32)(index % PAGES_PER_BLOCK);
		ret->count = MIN(ret->count, PAGES_PER_BLOCK - ret->index);
	}
	return 0;
}

static int read_at(int fd, void *buf, size_t len, u64 off)
{
	while (len > 0) {
		ssize_t n = pread(fd, buf, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EBADMSG;
		buf = (u8 *)buf + n;
		off += (u64)n;
		len -= (size_t)n;
	}
	return 0;
}

int image_pages_read_block(const struct image_pages *ip, u32 block, void *buf, u32 *ret_pages)
{
	AUTO_FREE u8 *packed = NULL;
	u64 size, pages;
	int r;

	if (block >= ip->n_blocks)
		return -EBADMSG;
	size = ip->block_off[block + 1] - ip->block_off[block];
	pages = MIN(ip->lz4_count - block * PAGES_PER_BLOCK, (u64)PAGES_PER_BLOCK);
	packed = malloc(size);
	if (!packed)
		return -ENOMEM;
	r = read_at(ip->fd, packed, size, ip->block_off[block]);
	if (r < 0)
		return r;
	if (XXH3_64bits(packed, size) != ip->block_xxh3[block])
		return -EBADMSG;
	if (size == pages * PAGE_SIZE)
		memcpy(buf, packed, size);
	else if (LZ4_decompress_safe((const char *)packed, buf, (int)size,
	                             (int)(pages * PAGE_SIZE)) != (int)(pages * PAGE_SIZE))
		return -EBADMSG;
	*ret_pages = (u32)pages;
	return 0;
}

int image_pages_read(const struct image_pages *ip, u64 pgno, void *buf)
{
	AUTO_FREE u8 *block = NULL;
	struct page_run run = {0};
	u32 pages = 0;
	int r = image_pages_lookup(ip, pgno, &run);

	if (r < 0)
		return r;
	switch (run.kind) {
	case PAGES_ZERO:
		memset(buf, 0, PAGE_SIZE);
		return 0;
	case PAGES_RAW:
		return read_at(ip->fd, buf, PAGE_SIZE, run.offset);
	case PAGES_LZ4:
		break;
	}
	block = malloc(IMAGE_BLOCK_SIZE);
	if (!block)
		return -ENOMEM;
	r = image_pages_read_block(ip, run.block, block, &pages);
	if (r < 0)
		return r;
	memcpy(buf, block + run.index * PAGE_SIZE, PAGE_SIZE);
	return 0;
}
