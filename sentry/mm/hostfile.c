/*
 * Host descriptors as mapfiles. The sentry reaches their bytes through windows that it maps on
 * demand and keeps as long as the file, so that a pointer stays good without a lock.
 */
#include "sentry/mm/mapfile.h"
#include "state/base/lock.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define WINDOW_SIZE (64 * MIB)
#define WINDOWS_MAX 4096u /* per file: what mmap(2) has room for beside everything else */

struct window {
	struct window *next;
	u64 off;
	u8 *base;
};
struct hostfile {
	struct mapfile mapfile;
	_Atomic(u8 *) first;           /* the window at 0, which is all that most files need */
	_Atomic(struct window *) rest; /* only ever grows, at its head */
	u32 n_windows;                 /* lock */
	struct mutex lock;             /* RANK_LEAF: mapping of windows */
};

static u8 *map_window(struct hostfile *hf, u64 off)
{
	int prot = PROT_READ | (hf->mapfile.writable ? PROT_WRITE : 0);
	void *p;

	if (hf->n_windows >= WINDOWS_MAX)
		return NULL;
	p = mmap(NULL, WINDOW_SIZE, prot, MAP_SHARED | MAP_NORESERVE, hf->mapfile.fd, (off_t)off);
	if (p == MAP_FAILED)
		return NULL;
	hf->n_windows++;
	return p;
}

static u8 *find_window(struct hostfile *hf, u64 off)
{
	struct window *w;

	if (off == 0)
		return atomic_load_explicit(&hf->first, memory_order_acquire);
	for (w = atomic_load_explicit(&hf->rest, memory_order_acquire); w; w = w->next)
		if (w->off == off)
			return w->base;
	return NULL;
}

static void *hostfile_ptr(struct mapfile *mf, u64 off, u64 len)
{
	struct hostfile *hf = container_of(mf, struct hostfile, mapfile);
	u64 at = ALIGN_DOWN(off, WINDOW_SIZE);
	u8 *base = find_window(hf, at);
	struct window *w;

	if (likely(base))
		return base + (off - at);
	GUARD(&hf->lock);
	base = find_window(hf, at);
	if (base)
		return base + (off - at);
	if (at == 0) {
		base = map_window(hf, 0);
		if (base)
			atomic_store_explicit(&hf->first, base, memory_order_release);
		return base ? base + off : NULL;
	}
	w = malloc(sizeof(*w));
	if (!w)
		return NULL;
	w->off = at;
	w->base = map_window(hf, at);
	if (!w->base) {
		free(w);
		return NULL;
	}
	w->next = atomic_load_explicit(&hf->rest, memory_order_relaxed);
	base = w->base;
	atomic_store_explicit(&hf->rest, w, memory_order_release);
	return base + (off - at);
}

static void hostfile_destroy(struct mapfile *mf)
{
	struct hostfile *hf = container_of(mf, struct hostfile, mapfile);
	struct window *w;

	if (hf->first)
		munmap(hf->first, WINDOW_SIZE);
	while ((w = hf->rest)) {
		hf->rest = w->next;
		munmap(w->base, WINDOW_SIZE);
		free(w);
	}
	close(mf->fd);
	free(hf);
}

static const struct mapfile_ops hostfile_ops = {
	.ptr = hostfile_ptr,
	.destroy = hostfile_destroy,
};

struct mapfile *hostfile_new(int fd, bool writable)
{
	struct hostfile *hf = calloc(1, sizeof(*hf));

	if (!hf)
		abort();
	hf->mapfile =
		(struct mapfile){.ops = &hostfile_ops, .refs = 1, .fd = fd, .writable = writable};
	mutex_init(&hf->lock, RANK_LEAF);
	return &hf->mapfile;
}
