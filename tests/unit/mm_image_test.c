/* Memory that comes out of an image: raw, zero and compressed pages, lazily and in the background.
 */
#include "tests/unit/mm_fixture.h"
#include "sentry/mm/fill.h"
#include "sentry/mm/imagefile.h"
#include "sentry/mm/shmem.h"
#include "state/image.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PRIV     0x10000000ull
#define SHARED   0x20000000ull
#define PAGES    1024u
#define SH_PAGES 64u

/* Two address spaces that share by fork, and shared memory mapped in both. */
struct guest {
	struct world *w;
	struct shmem *s;
	struct mm *mm[2];
	struct ctx c[2];
	u64 want[2][PAGES], shared[SH_PAGES];
};

static u64 content(u64 page)
{
	/* A third zeros, a third compressible, a third not: the rest of the page tells. */
	return page % 97 < 32 ? 0 : page + 1;
}

static void fill_page(struct mm *mm, u64 addr, u64 val)
{
	u8 buf[PAGE_SIZE];
	u64 x = val * 0x9e3779b97f4a7c15ull;

	if (val == 0)
		return;
	for (size_t i = 0; i < sizeof(buf); i += 8) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(buf + i, val % 2 ? &x : &val, 8);
	}
	memcpy(buf, &val, 8);
	cr_assert_eq(mm_access(mm, addr, buf, sizeof(buf), true, false), (long)sizeof(buf));
}

static void guest_make(struct guest *g)
{
	struct mmap_args a = {.addr = SHARED,
	                      .len = SH_PAGES * PAGE_SIZE,
	                      .prot = 3,
	                      .max_prot = 7,
	                      .flags = MAP_SHARED | MAP_FIXED};

	g->w = world_new();
	cr_assert_eq(mm_create(&g->w->kernel, &g->mm[0]), 0);
	mm_use(g->mm[0]);
	g->s = shmem_new(&g->w->kernel, SH_PAGES * PAGE_SIZE);
	a.mappable = (struct mappable *)g->s;
	cr_assert_eq(mm_mmap(g->mm[0], NULL, &a), (s64)SHARED);
	cr_assert_eq(map_anon(g->mm[0], PRIV, PAGES * PAGE_SIZE, 3, 0), (s64)PRIV);
	for (u64 i = 0; i < PAGES; i++) {
		g->want[0][i] = g->want[1][i] = content(i);
		fill_page(g->mm[0], PRIV + i * PAGE_SIZE, content(i));
	}
	for (u64 i = 0; i < SH_PAGES; i++) {
		g->shared[i] = content(i + 5000);
		fill_page(g->mm[0], SHARED + i * PAGE_SIZE, content(i + 5000));
	}
	cr_assert_eq(mm_fork(g->mm[0], &g->mm[1]), 0);
	mm_use(g->mm[1]);
	for (int k = 0; k < 2; k++)
		world_ctx(g->w, g->mm[k], &g->c[k]);
}

static void guest_end(struct guest *g)
{
	for (int k = 0; k < 2; k++) {
		mm_unuse(g->mm[k]);
		obj_put(g->mm[k]);
	}
	obj_put(g->s);
	world_end(g->w);
}

static void guest_save(struct guest *g, struct snapshot *snap)
{
	void *roots[3] = {g->s, g->mm[0], g->mm[1]};
	struct save_params p = {.roots = roots, .n_roots = 3};
	char *why = NULL;

	cr_assert_eq(state_save(&p, snap, &why), 0, "%s", why);
}

static void files_open(int fds[IMAGE_FILES])
{
	for (int i = 0; i < IMAGE_FILES; i++)
		fds[i] = memfd_create("image", 0);
}

static void files_close(int fds[IMAGE_FILES])
{
	for (int i = 0; i < IMAGE_FILES; i++)
		close(fds[i]);
}

static void guest_write_image(struct guest *g, int fds[IMAGE_FILES], enum image_compression how)
{
	struct image_info info = {.producer = "test",
	                          .arch = "x86_64",
	                          .compression = how,
	                          .sandbox = "box",
	                          .config = "",
	                          .cpu_state = ""};
	struct image_stats stats = {0};
	struct snapshot snap = {0};
	char *why = NULL;

	guest_save(g, &snap);
	cr_assert_eq(image_write(fds, &snap, &info, &stats, &why), 0, "%s", why);
	snapshot_finish(&snap);
}

/* A new world with the guest as the image has it; what it must contain comes from old. */
static void guest_load(struct guest *g, const struct guest *old, const int fds[IMAGE_FILES])
{
	const struct obj_type *types[3] = {&shmem_type, &mm_type, &mm_type};
	struct load_params p = {.root_types = types, .n_roots = 3};
	void *roots[3];
	struct image *img;
	char *why = NULL;
	const void *bytes;
	size_t size;

	g->w = world_new();
	memcpy(g->want, old->want, sizeof(g->want));
	memcpy(g->shared, old->shared, sizeof(g->shared));
	cr_assert_eq(image_open(fds, &img, &why), 0, "%s", why);
	cr_assert_eq(imagefile_create(image_take_pages(img), false, g->w->machine.memfile,
	                              &g->w->load.image),
	             0);
	p.user = &g->w->load;
	bytes = image_kernel(img, &size);
	cr_assert_eq(state_load(bytes, size, &p, roots, &why), 0, "%s", why);
	image_close(img);
	mapfile_put(imagefile_mapfile(g->w->load.image));
	g->s = roots[0];
	for (int k = 0; k < 2; k++) {
		g->mm[k] = roots[1 + k];
		mm_use(g->mm[k]);
		world_ctx(g->w, g->mm[k], &g->c[k]);
	}
}

static void check(struct guest *g, u64 step)
{
	u64 v;

	for (u64 i = 0; i < PAGES; i += step)
		for (int k = 0; k < 2; k++) {
			if ((i + (u64)k) & 1)
				cr_assert_eq(
					guest_read(g->mm[k], &g->c[k], PRIV + i * PAGE_SIZE, &v),
					0);
			else
				cr_assert_eq(user_get(&g->c[k], UADDR(PRIV + i * PAGE_SIZE), &v),
				             0);
			cr_assert_eq(v, g->want[k][i], "mm %d page %llu: %llu", k,
			             (unsigned long long)i, (unsigned long long)v);
		}
	for (u64 i = 0; i < SH_PAGES; i += step)
		for (int k = 0; k < 2; k++) {
			cr_assert_eq(guest_read(g->mm[k], &g->c[k], SHARED + i * PAGE_SIZE, &v), 0);
			cr_assert_eq(v, g->shared[i]);
		}
}

static void change(struct guest *g, u64 seed)
{
	for (u64 i = seed % 5; i < PAGES; i += 37) {
		int k = (int)(i & 1);

		cr_assert_eq(guest_write(g->mm[k], &g->c[k], PRIV + i * PAGE_SIZE, seed + i), 0);
		g->want[k][i] = seed + i;
	}
	for (u64 i = seed % 3; i < SH_PAGES; i += 7) {
		cr_assert_eq(guest_write(g->mm[0], &g->c[0], SHARED + i * PAGE_SIZE, seed + i), 0);
		g->shared[i] = seed + i;
	}
}

static bool never(void *arg)
{
	return false;
}

static void round_trip(enum image_compression how, bool background)
{
	struct guest *g = calloc(1, sizeof(*g)), *next = calloc(1, sizeof(*g));
	int fds[IMAGE_FILES], more[IMAGE_FILES];
	struct snapshot a = {0}, b = {0};

	guest_make(g);
	files_open(fds);
	guest_write_image(g, fds, how);
	guest_save(g, &a);
	guest_load(next, g, fds);
	/* Untouched: an image of it is the same. */
	guest_save(next, &b);
	cr_assert_eq(a.kernel.len, b.kernel.len);
	cr_assert_eq(memcmp(a.kernel.data, b.kernel.data, a.kernel.len), 0);
	cr_assert_leq(memfile_allocated(next->w->machine.memfile), 0);
	snapshot_finish(&a);
	snapshot_finish(&b);
	guest_end(g);
	check(next, 50);
	if (background)
		mm_fill(&next->w->kernel, never, NULL);
	change(next, 7);
	check(next, 1);
	change(next, 1000);
	check(next, 3);
	/* Half restored, saved again, restored from that. */
	files_open(more);
	guest_write_image(next, more, how == IMAGE_NONE ? IMAGE_LZ4 : IMAGE_NONE);
	guest_load(g, next, more);
	guest_end(next);
	files_close(fds);
	change(g, 5000);
	check(g, 1);
	guest_end(g);
	files_close(more);
	free(g);
	free(next);
}

Test(mm_image, raw)
{
	round_trip(IMAGE_NONE, false);
}

Test(mm_image, lz4)
{
	round_trip(IMAGE_LZ4, false);
}

Test(mm_image, raw_background)
{
	round_trip(IMAGE_NONE, true);
}

Test(mm_image, lz4_background)
{
	round_trip(IMAGE_LZ4, true);
}

/* Reading what is raw costs no memory of the sandbox, and few host mappings. */
Test(mm_image, raw_is_mapped_not_copied)
{
	struct guest *g = calloc(1, sizeof(*g)), *next = calloc(1, sizeof(*g));
	int fds[IMAGE_FILES];
	u64 v;

	guest_make(g);
	files_open(fds);
	guest_write_image(g, fds, IMAGE_NONE);
	guest_load(next, g, fds);
	for (u64 i = 0; i < PAGES; i++)
		if (next->want[0][i])
			cr_assert_eq(guest_read(next->mm[0], &next->c[0], PRIV + i * PAGE_SIZE, &v),
			             0);
	cr_assert_eq(memfile_allocated(next->w->machine.memfile), 0);
	cr_assert_leq(next->w->n_maps, 2 * (PAGES / 97 + 2));
	guest_end(g);
	guest_end(next);
	files_close(fds);
	free(g);
	free(next);
}

/* An image that is cut short under a running guest: SIGBUS for it, -EFAULT for the sentry. */
Test(mm_image, truncated_later)
{
	struct guest *g = calloc(1, sizeof(*g)), *next = calloc(1, sizeof(*g));
	int fds[IMAGE_FILES];
	u64 v;

	guest_make(g);
	files_open(fds);
	guest_write_image(g, fds, IMAGE_NONE);
	guest_load(next, g, fds);
	cr_assert_eq(ftruncate(fds[IMAGE_PAGES], 0), 0);
	cr_assert_eq(user_get(&next->c[0], UADDR(PRIV + 40 * PAGE_SIZE), &v), -EFAULT);
	cr_assert_eq(guest_write(next->mm[0], &next->c[0], PRIV + 41 * PAGE_SIZE, 1), SIGBUS);
	guest_end(g);
	guest_end(next);
	files_close(fds);
	free(g);
	free(next);
}
