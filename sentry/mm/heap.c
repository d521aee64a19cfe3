#include "sentry/mm/heap.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/sysinfo.h>

#define HEAP_LEAST (16 * MIB)

int heap_open(void)
{
	return open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
}

void heap_look(struct memfile *mf, int fd)
{
	unsigned long long size, resident, shared;
	char text[128];
	ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return;
	text[n] = 0;
	/* What is resident and not shared with a file is anonymous: heap and stacks. */
	if (sscanf(text, "%llu %llu %llu", &size, &resident, &shared) == 3)
		atomic_store_explicit(&mf->heap,
		                      resident > shared ? (resident - shared) * PAGE_SIZE : 0,
		                      memory_order_relaxed);
}

/* How much growth may go by between two looks. */
#define LOOK_BYTES (1 * MIB)

/* One per process, as the heap is. */
static struct {
	struct memfile *mf;
	int fd;
	_Atomic u64 grown; /* bytes asked for so far */
} g_heap;

void heap_attach(struct memfile *mf, int fd)
{
	g_heap.fd = fd;
	g_heap.mf = mf;
}

bool heap_grow(u64 n)
{
	u64 before = atomic_fetch_add_explicit(&g_heap.grown, n, memory_order_relaxed);

	if (!g_heap.mf)
		return true;
	if (before / LOOK_BYTES != (before + n) / LOOK_BYTES || heap_full(g_heap.mf))
		heap_look(g_heap.mf, g_heap.fd);
	return heap_bytes(g_heap.mf) + n <= heap_max(g_heap.mf);
}

u64 heap_buffers_max(u64 most)
{
	return g_heap.mf ? MIN(most, heap_max(g_heap.mf) / 4) : most;
}

u64 heap_max(const struct memfile *mf)
{
	u64 limit = READ_ONCE(mf->limit);

	return limit ? MAX(limit / 2, HEAP_LEAST) : UINT64_MAX;
}

struct memory_use memory_use(const struct memfile *mf)
{
	struct memory_use m = {0};
	struct sysinfo si;

	m.used = mf ? memfile_resident(mf) + heap_bytes(mf) : 0;
	if (sysinfo(&si) == 0)
		m.total = (u64)si.totalram * si.mem_unit;
	if (mf && mf->limit && mf->limit < m.total)
		m.total = mf->limit;
	m.used = MIN(m.used, m.total);
	m.free = m.total - m.used;
	m.heap = mf ? MIN(heap_bytes(mf), m.used) : 0;
	return m;
}
