#include "state/registry.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Bounds that the linker gives to the section; weak since a program may have no type at all. */
extern const struct obj_type *const __start_obj_types[] __attribute__((weak, visibility("hidden")));
extern const struct obj_type *const __stop_obj_types[] __attribute__((weak, visibility("hidden")));

static const struct obj_type **g_types;
static size_t g_n_types;
static pthread_once_t g_once = PTHREAD_ONCE_INIT;

static int by_name(const void *a, const void *b)
{
	const struct obj_type *const *x = a, *const *y = b;

	return strcmp((*x)->msg->name, (*y)->msg->name);
}

static void collect(void)
{
	/* As integers: whether the two are equal is what the compiler believes to know. */
	size_t bytes = (uintptr_t)__stop_obj_types - (uintptr_t)__start_obj_types;
	size_t n = bytes / sizeof(g_types[0]);

	if (n == 0)
		return;
	g_types = malloc(bytes);
	BUG_ON(!g_types);
	memcpy(g_types, (const void *)__start_obj_types, bytes);
	qsort(g_types, n, sizeof(g_types[0]), by_name);
	for (size_t i = 1; i < n; i++)
		BUG_ON(by_name(&g_types[i - 1], &g_types[i]) == 0);
	g_n_types = n;
}

const struct obj_type *registry_find(const char *msg_name)
{
	size_t lo = 0, hi;

	pthread_once(&g_once, collect);
	hi = g_n_types;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strcmp(msg_name, g_types[mid]->msg->name);

		if (c == 0)
			return g_types[mid];
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

const struct obj_type *registry_at(unsigned i)
{
	pthread_once(&g_once, collect);
	return i < g_n_types ? g_types[i] : NULL;
}
