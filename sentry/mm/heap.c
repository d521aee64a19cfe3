#include "sentry/mm/heap.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

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

u64 heap_max(const struct memfile *mf)
{
	u64 limit = READ_ONCE(mf->limit);

	return limit ? MAX(limit / 2, HEAP_LEAST) : UINT64_MAX;
}
