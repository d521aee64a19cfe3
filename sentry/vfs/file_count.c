#include "sentry/vfs/file_count.h"
#include "sentry/mm/memfile.h"
#include "sentry/vfs/file.h"
#include "state/base/bug.h"
#include "state/registry.h"

#include <pthread.h>
#include <stdlib.h>

/* As Linux: a tenth of memory, at a kilobyte each. */
#define FILE_SHARE  (10 * KIB)
#define FILES_LEAST 8192u

/* The kinds of files; made once, never freed. */
static const struct obj_type **g_kinds;
static unsigned g_n_kinds;
static pthread_once_t g_once = PTHREAD_ONCE_INIT;

static bool is_file(const struct obj_type *t)
{
	while (t && t != &file_type)
		t = t->base;
	return t != NULL;
}

static void collect(void)
{
	const struct obj_type *t;
	unsigned n = 0;

	while (registry_at(n))
		n++;
	g_kinds = calloc(n + 1, sizeof(g_kinds[0]));
	BUG_ON(!g_kinds);
	for (unsigned i = 0; (t = registry_at(i)); i++) {
		if (is_file(t))
			g_kinds[g_n_kinds++] = t;
	}
}

u64 files_open(void)
{
	u64 n = 0;

	pthread_once(&g_once, collect);
	for (unsigned i = 0; i < g_n_kinds; i++)
		n += atomic_load_explicit(g_kinds[i]->live, memory_order_relaxed);
	return n;
}

u64 files_max(const struct memfile *mf)
{
	return MAX((mf->limit ? mf->limit : mf->total_ram) / FILE_SHARE, (u64)FILES_LEAST);
}
