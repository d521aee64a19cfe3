#include "sentry/mm/memfile_alloc.h"
#include "state/base/bug.h"

#include <errno.h>
#include <stdlib.h>

static int cmp_off(const struct free_run *a, const struct free_run *b)
{
	return a->off < b->off ? -1 : a->off > b->off;
}

static int cmp_size(const struct free_run *a, const struct free_run *b)
{
	if (a->len != b->len)
		return a->len < b->len ? -1 : 1;
	return cmp_off(a, b);
}

RB_GENERATE_INTERNAL(free_by_off, free_run, by_off, cmp_off, UNUSED static)
RB_GENERATE_INTERNAL(free_by_size, free_run, by_size, cmp_size, UNUSED static)

void free_space_init(struct free_space *fs, u64 end)
{
	RB_INIT(&fs->runs);
	RB_INIT(&fs->sized[0]);
	RB_INIT(&fs->sized[1]);
	fs->bump = 0;
	fs->end = end;
	fs->dirty_bytes = 0;
}

static void unlink_run(struct free_space *fs, struct free_run *r)
{
	free_by_off_RB_REMOVE(&fs->runs, r);
	free_by_size_RB_REMOVE(&fs->sized[r->dirty], r);
	if (r->dirty)
		fs->dirty_bytes -= r->len;
}

static void link_run(struct free_space *fs, struct free_run *r)
{
	BUG_ON(free_by_off_RB_INSERT(&fs->runs, r) != NULL);
	free_by_size_RB_INSERT(&fs->sized[r->dirty], r);
	if (r->dirty)
		fs->dirty_bytes += r->len;
}

void free_space_finish(struct free_space *fs)
{
	struct free_run *r;

	while ((r = RB_MIN(free_by_off, &fs->runs))) {
		unlink_run(fs, r);
		free(r);
	}
}

void free_space_add(struct free_space *fs, u64 off, u64 len, bool dirty)
{
	struct free_run key = {.off = off}, *next, *prev, *r = NULL;

	next = free_by_off_RB_NFIND(&fs->runs, &key);
	prev = next ? free_by_off_RB_PREV(next) : RB_MAX(free_by_off, &fs->runs);
	BUG_ON(next && next->off < off + len);
	BUG_ON(prev && prev->off + prev->len > off);
	if (prev && prev->dirty == dirty && prev->off + prev->len == off) {
		unlink_run(fs, prev);
		off = prev->off;
		len += prev->len;
		r = prev;
	}
	if (next && next->dirty == dirty && off + len == next->off) {
		unlink_run(fs, next);
		len += next->len;
		if (r)
			free(next);
		else
			r = next;
	}
	if (!dirty && off + len == fs->bump) {
		fs->bump = off;
		free(r);
		return;
	}
	if (!r)
		r = malloc(sizeof(*r));
	BUG_ON(!r);
	*r = (struct free_run){.off = off, .len = len, .dirty = dirty};
	link_run(fs, r);
}

/* Cuts [off, off+len) out of r. */
static void carve(struct free_space *fs, struct free_run *r, u64 off, u64 len)
{
	u64 start = r->off, end = r->off + r->len;
	bool dirty = r->dirty;

	unlink_run(fs, r);
	free(r);
	if (off > start)
		free_space_add(fs, start, off - start, dirty);
	if (off + len < end)
		free_space_add(fs, off + len, end - off - len, dirty);
}

/* The first offset at or after off that is phase modulo align. */
static u64 align_phase(u64 off, u64 align, u64 phase)
{
	return off + ((phase - off) & (align - 1));
}

int free_space_take_clean(struct free_space *fs, u64 len, u64 align, u64 phase, u64 *ret_off)
{
	struct free_run key = {.len = len}, *r;
	u64 off;
	int tries = 0;

	r = free_by_size_RB_NFIND(&fs->sized[0], &key);
	for (; r && tries < 4; r = free_by_size_RB_NEXT(r), tries++) {
		off = align_phase(r->off, align, phase);
		if (off + len <= r->off + r->len)
			goto found;
	}
	key.len = len + align;
	r = free_by_size_RB_NFIND(&fs->sized[0], &key);
	if (r) {
		off = align_phase(r->off, align, phase);
		goto found;
	}
	off = align_phase(fs->bump, align, phase);
	if (off > fs->end || len > fs->end - off)
		return -ENOMEM;
	if (off > fs->bump) {
		u64 gap = fs->bump;

		fs->bump = off + len;
		free_space_add(fs, gap, off - gap, false);
	} else {
		fs->bump = off + len;
	}
	*ret_off = off;
	return 0;
found:
	carve(fs, r, off, len);
	*ret_off = off;
	return 0;
}

int free_space_take_dirty(struct free_space *fs, u64 len, u64 *ret_off)
{
	struct free_run key = {.len = len}, *r;
	u64 off;

	r = free_by_size_RB_NFIND(&fs->sized[1], &key);
	if (!r)
		return -ENOMEM;
	off = r->off;
	carve(fs, r, off, len);
	*ret_off = off;
	return 0;
}

bool free_space_pop_dirty(struct free_space *fs, u64 max, u64 *ret_off, u64 *ret_len)
{
	struct free_run *r = RB_MAX(free_by_size, &fs->sized[1]);
	u64 off, len;

	if (!r)
		return false;
	off = r->off;
	len = MIN(r->len, max);
	carve(fs, r, off, len);
	*ret_off = off;
	*ret_len = len;
	return true;
}
