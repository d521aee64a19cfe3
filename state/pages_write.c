#include "state/pages_write.h"
#include "proto/image.pb-c.h"
#include "state/base/bug.h"

#include <errno.h>
#include <lz4.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define CHUNK           (512 * KIB) /* read, looked at and written while the cache has it */
#define CHUNK_PAGES     (CHUNK / PAGE_SIZE)
#define PAGES_PER_BLOCK (IMAGE_BLOCK_SIZE / PAGE_SIZE)

struct u64s {
	u64 *v;
	size_t n, cap;
};

struct pages_writer {
	struct outfile *f;
	bool lz4;
	u8 *chunk;
	struct u64s runs, digests;
	struct u64s sizes;
	enum page_kind run_kind;
	u64 run_count;
	u64 written;
	u8 *block; /* of pages being gathered */
	u32 block_pages;
	struct buf out; /* compressed blocks on their way */
	void *lz4_state;
};

bool page_is_zero(const void *page)
{
	typedef u64 v4 __attribute__((vector_size(32), may_alias));
	const v4 *p = page;

	for (size_t i = 0; i < PAGE_SIZE / sizeof(v4); i += 8) {
		v4 x = p[i] | p[i + 1] | p[i + 2] | p[i + 3] | p[i + 4] | p[i + 5] | p[i + 6] |
		       p[i + 7];

		if (x[0] | x[1] | x[2] | x[3])
			return false;
	}
	return true;
}

static void push(struct u64s *a, u64 v)
{
	if (a->n == a->cap) {
		a->cap = MAX(a->cap * 2, (size_t)64);
		a->v = reallocarray(a->v, a->cap, sizeof(a->v[0]));
		BUG_ON(!a->v);
	}
	a->v[a->n++] = v;
}

static void end_run(struct pages_writer *w)
{
	if (w->run_count > 0)
		push(&w->runs, w->run_count << 3 | w->run_kind);
	w->run_count = 0;
}

static void add_run(struct pages_writer *w, enum page_kind kind, u64 count)
{
	if (kind != w->run_kind)
		end_run(w);
	w->run_kind = kind;
	w->run_count += count;
	if (kind != PAGES_ZERO)
		w->written += count;
}

static int flush_out(struct pages_writer *w, char **ret_why)
{
	int r = outfile_write(w->f, w->out.data, w->out.len, ret_why);

	w->out.len = 0;
	return r;
}

static int end_block(struct pages_writer *w, char **ret_why)
{
	int size = (int)(w->block_pages * PAGE_SIZE), n;
	u8 *at;

	if (size == 0)
		return 0;
	at = buf_reserve(&w->out, IMAGE_BLOCK_SIZE);
	/* One byte short: what does not shrink is stored as it is. */
	n = LZ4_compress_fast_extState(w->lz4_state, (const char *)w->block, (char *)at, size,
	                               size - 1, 1);
	if (n <= 0) {
		n = size;
		memcpy(at, w->block, (size_t)n);
	}
	w->out.len += (size_t)n;
	push(&w->sizes, (u64)n);
	push(&w->digests, XXH3_64bits(at, (size_t)n));
	w->block_pages = 0;
	return w->out.len >= CHUNK ? flush_out(w, ret_why) : 0;
}

static int put_blocks(struct pages_writer *w, const u8 *page, u64 count, char **ret_why)
{
	for (; count > 0; count--, page += PAGE_SIZE) {
		memcpy(w->block + w->block_pages * PAGE_SIZE, page, PAGE_SIZE);
		if (++w->block_pages == PAGES_PER_BLOCK) {
			int r = end_block(w, ret_why);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int put_chunk(struct pages_writer *w, u64 count, char **ret_why)
{
	struct iovec iov[CHUNK_PAGES / 2 + 1];
	unsigned n = 0;

	for (u64 i = 0; i < count;) {
		u8 *start = w->chunk + i * PAGE_SIZE;
		bool zero = page_is_zero(start);
		u64 len = 1;
		int r = 0;

		while (i + len < count && page_is_zero(start + len * PAGE_SIZE) == zero)
			len++;
		i += len;
		add_run(w, zero ? PAGES_ZERO : w->lz4 ? PAGES_LZ4 : PAGES_RAW, len);
		if (zero)
			continue;
		if (w->lz4)
			r = put_blocks(w, start, len, ret_why);
		else
			iov[n++] = (struct iovec){start, len * PAGE_SIZE};
		if (r < 0)
			return r;
	}
	return n ? outfile_writev(w->f, iov, n, ret_why) : 0;
}

static int put_extent(struct pages_writer *w, const struct page_extent *e, char **ret_why)
{
	u64 off = e->off, end = e->off + e->count * PAGE_SIZE;

	while (off < end) {
		u64 zero = e->src->zero_prefix ? e->src->zero_prefix(e->src, off, end - off) : 0;
		u64 len;
		int r;

		zero = PAGE_DOWN(MIN(zero, end - off));
		if (zero > 0) {
			add_run(w, PAGES_ZERO, zero / PAGE_SIZE);
			off += zero;
			continue;
		}
		len = MIN(end - off, (u64)CHUNK);
		r = e->src->read(e->src, off, w->chunk, len);
		if (r < 0) {
			*ret_why = format_line("memory cannot be read: %s", strerror(-r));
			return r;
		}
		r = put_chunk(w, len / PAGE_SIZE, ret_why);
		if (r < 0)
			return r;
		off += len;
	}
	return 0;
}

static void put_map(struct pages_writer *w, struct buf *ret_map)
{
	Image__Pagemap m = IMAGE__PAGEMAP__INIT;
	u32 *sizes = calloc(w->sizes.n + 1, sizeof(sizes[0]));
	size_t len;

	BUG_ON(!sizes);
	for (size_t i = 0; i < w->sizes.n; i++)
		sizes[i] = (u32)w->sizes.v[i];
	m.runs = w->runs.v;
	m.n_runs = w->runs.n;
	m.raw_start = PAGE_SIZE;
	m.blocks_start = PAGE_SIZE;
	m.block_sizes = sizes;
	m.n_block_sizes = w->sizes.n;
	m.block_xxh3 = w->digests.v;
	m.n_block_xxh3 = w->digests.n;
	len = image__pagemap__get_packed_size(&m);
	image__pagemap__pack(&m, buf_extend(ret_map, len));
	free(sizes);
}

static int write_all(struct pages_writer *w, const struct page_table *table, char **ret_why)
{
	struct image_header h = {.magic = IMAGE_MAGIC, .format = IMAGE_FORMAT, .kind = "PAGE"};
	int r;

	memset(w->chunk, 0, PAGE_SIZE);
	memcpy(w->chunk, &h, sizeof(h));
	r = outfile_write(w->f, w->chunk, PAGE_SIZE, ret_why);
	for (size_t i = 0; r == 0 && i < table->n_extents; i++)
		r = put_extent(w, &table->extents[i], ret_why);
	if (r == 0 && w->lz4)
		r = end_block(w, ret_why);
	if (r == 0)
		r = flush_out(w, ret_why);
	end_run(w);
	return r;
}

int pages_write(struct outfile *f, const struct page_table *table,
                enum image_compression compression, struct buf *ret_map, u64 *ret_written,
                char **ret_why)
{
	struct pages_writer w = {
		.f = f,
		.lz4 = compression == IMAGE_LZ4,
		.chunk = aligned_alloc(PAGE_SIZE, CHUNK),
		.block = malloc(IMAGE_BLOCK_SIZE),
		.lz4_state = malloc((size_t)LZ4_sizeofState()),
	};
	int r;

	BUG_ON(!w.chunk || !w.block || !w.lz4_state);
	r = write_all(&w, table, ret_why);
	if (r == 0) {
		put_map(&w, ret_map);
		*ret_written = w.written;
	}
	free(w.chunk);
	free(w.block);
	free(w.lz4_state);
	free(w.runs.v);
	free(w.sizes.v);
	free(w.digests.v);
	buf_finish(&w.out);
	return r;
}
