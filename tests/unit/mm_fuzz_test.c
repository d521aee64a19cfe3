/*
 * Address spaces against a model that is nothing but an array of pages: random maps, unmaps, moves,
 * protections, forks, writes by the guest and by the sentry, saves; after each step what the guest
 * sees is what the model says.
 */
#include "tests/unit/mm_fixture.h"
#include "sentry/mm/shmem.h"
#include "state/snapshot.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

#define BASE     0x7f0000000000ull
#define PAGES    1200u /* more than two chunks */
#define N_MM     4u
#define SH_PAGES 300u

struct model_page {
	bool mapped;
	int prot;
	int shared;    /* -1: private; else page of the shared memory */
	unsigned file; /* from 1: page of the file that is its content before it is written to */
	u64 val;       /* private content */
};
struct model {
	struct mm *mm;
	struct model_page pages[PAGES];
};

static struct model models[N_MM];
static u64 shared_vals[SH_PAGES];
static struct shmem *shared, *file;
static struct world *w;
static u64 rng;
static u64 next_val;

static u64 rnd(u64 n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (rng >> 11) % n;
}

/* What a page of the file holds, which nobody changes. */
static u64 file_val(unsigned page)
{
	return page ? page + (1ull << 60) : 0;
}

static void make_file(void)
{
	file = shmem_new(&w->kernel, 0);
	for (unsigned i = 1; i <= SH_PAGES; i++) {
		u64 val = file_val(i);
		UITER(it);

		uiter_init_kernel(&it, &val, sizeof(val));
		cr_assert_eq(shmem_write(file, &it, (i - 1) * PAGE_SIZE), (s64)sizeof(val));
	}
}

static u64 addr_of(unsigned page)
{
	return BASE + page * PAGE_SIZE;
}

static void check_page(struct model *m, unsigned i)
{
	struct model_page *p = &m->pages[i];
	struct ctx c;
	u64 got = 0, want = p->shared >= 0 ? shared_vals[p->shared] : p->val;
	int r;

	world_ctx(w, m->mm, &c);
	if (rnd(2)) {
		r = guest_read(m->mm, &c, addr_of(i), &got);
		cr_assert_eq(r, p->mapped && p->prot ? 0 : SIGSEGV, "page %u: read gives %d", i, r);
	} else {
		r = user_get(&c, UADDR(addr_of(i)), &got);
		cr_assert_eq(r, p->mapped && p->prot ? 0 : -EFAULT, "page %u: copy gives %d", i, r);
	}
	if (r == 0)
		cr_assert_eq(got, want, "page %u: %llu, want %llu", i, (unsigned long long)got,
		             (unsigned long long)want);
}

static void write_page(struct model *m, unsigned i)
{
	struct model_page *p = &m->pages[i];
	u64 val = ++next_val;
	bool ok = p->mapped && p->prot & PROT_WRITE;
	struct ctx c;
	int r;

	world_ctx(w, m->mm, &c);
	if (rnd(2)) {
		r = guest_write(m->mm, &c, addr_of(i), val);
		cr_assert_eq(r, ok ? 0 : SIGSEGV, "page %u: write gives %d", i, r);
	} else {
		r = user_put(&c, UADDR(addr_of(i)), &val);
		cr_assert_eq(r, ok ? 0 : -EFAULT, "page %u: copy out gives %d", i, r);
	}
	if (!ok)
		return;
	if (p->shared >= 0)
		shared_vals[p->shared] = val;
	else
		p->val = val;
}

static const int prots[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE,
                            PROT_READ | PROT_EXEC};

static void do_map(struct model *m, unsigned i, unsigned n)
{
	int prot = prots[rnd(ARRAY_SIZE(prots))];
	u64 kind = n < SH_PAGES ? rnd(4) : 3;
	bool sh = kind == 0, of_file = kind == 1;
	unsigned off = sh || of_file ? (unsigned)rnd(SH_PAGES - n) : 0;
	struct mmap_args a = {
		.addr = addr_of(i),
		.len = n * PAGE_SIZE,
		.prot = prot,
		.flags = (sh        ? MAP_SHARED
	                  : of_file ? MAP_PRIVATE
	                            : MAP_PRIVATE | MAP_ANONYMOUS) |
	                 MAP_FIXED,
		.mappable = (struct mappable *)(sh        ? shared
	                                        : of_file ? file
	                                                  : NULL),
		.off = off * PAGE_SIZE,
		.max_prot = 7,
	};

	if (rnd(8) == 0)
		a.flags |= MAP_POPULATE;
	cr_assert_eq(mm_mmap(m->mm, NULL, &a), (s64)addr_of(i));
	for (unsigned k = 0; k < n; k++)
		m->pages[i + k] = (struct model_page){
			.mapped = true,
			.prot = prot,
			.shared = sh ? (int)(off + k) : -1,
			.file = of_file ? off + k + 1 : 0,
			.val = of_file ? file_val(off + k + 1) : 0,
		};
}

static void do_unmap(struct model *m, unsigned i, unsigned n)
{
	cr_assert_eq(mm_munmap(m->mm, addr_of(i), n * PAGE_SIZE), 0);
	for (unsigned k = 0; k < n; k++)
		m->pages[i + k] = (struct model_page){.shared = -1};
}

static bool all_mapped(struct model *m, unsigned i, unsigned n)
{
	for (unsigned k = 0; k < n; k++)
		if (!m->pages[i + k].mapped)
			return false;
	return true;
}

static void do_protect(struct model *m, unsigned i, unsigned n)
{
	int prot = prots[rnd(ARRAY_SIZE(prots))];
	int r = mm_mprotect(m->mm, addr_of(i), n * PAGE_SIZE, prot);

	cr_assert_eq(r, all_mapped(m, i, n) ? 0 : -ENOMEM);
	/* Up to the first hole. */
	for (unsigned k = 0; k < n && m->pages[i + k].mapped; k++)
		m->pages[i + k].prot = prot;
}

static void do_dontneed(struct model *m, unsigned i, unsigned n)
{
	int r = mm_madvise(m->mm, addr_of(i), n * PAGE_SIZE, MADV_DONTNEED);

	cr_assert_eq(r, all_mapped(m, i, n) ? 0 : -ENOMEM);
	for (unsigned k = 0; k < n; k++)
		if (m->pages[i + k].shared < 0)
			m->pages[i + k].val = file_val(m->pages[i + k].file);
}

/* One mapping in the model's eyes: the same protection and kind, going on. */
static bool uniform(struct model *m, unsigned i, unsigned n)
{
	struct model_page *p = m->pages + i;

	for (unsigned k = 0; k < n; k++) {
		if (!p[k].mapped || p[k].prot != p[0].prot)
			return false;
		if (p[0].shared < 0 ? p[k].shared >= 0 : p[k].shared != p[0].shared + (int)k)
			return false;
		if (p[k].file != (p[0].file ? p[0].file + k : 0))
			return false;
	}
	return true;
}

static void do_move(struct model *m, unsigned i, unsigned n)
{
	unsigned to = (unsigned)rnd(PAGES - n);
	struct model_page copy[PAGES];
	bool keep = rnd(4) == 0;
	s64 r;

	if (to < i + n && i < to + n)
		return;
	r = mm_mremap(m->mm, NULL, addr_of(i), n * PAGE_SIZE, n * PAGE_SIZE,
	              MREMAP_MAYMOVE | MREMAP_FIXED | (keep ? MREMAP_DONTUNMAP : 0), addr_of(to));
	if (!uniform(m, i, n)) {
		/* The target may have been unmapped before the source was found bad. */
		if (r < 0) {
			cr_assert_eq(r, -EFAULT);
			return;
		}
		cr_assert_fail("moved what is not one mapping");
	}
	cr_assert_eq(r, (s64)addr_of(to), "mremap gives %lld", (long long)r);
	memcpy(copy, m->pages + i, n * sizeof(copy[0]));
	for (unsigned k = 0; k < n; k++) {
		if (keep) {
			if (m->pages[i + k].shared < 0)
				m->pages[i + k].val = file_val(m->pages[i + k].file);
		} else {
			m->pages[i + k] = (struct model_page){.shared = -1};
		}
	}
	memcpy(m->pages + to, copy, n * sizeof(copy[0]));
}

static void end_mm(struct model *m)
{
	mm_unuse(m->mm);
	obj_put(m->mm);
	m->mm = NULL;
}

static void do_fork(struct model *m)
{
	struct model *child = &models[rnd(N_MM)];

	if (child == m)
		return;
	if (child->mm)
		end_mm(child);
	cr_assert_eq(mm_fork(m->mm, &child->mm), 0);
	mm_use(child->mm);
	memcpy(child->pages, m->pages, sizeof(m->pages));
}

/* Everything through a save in memory and back. */
static void do_save(void)
{
	void *roots[N_MM + 2], *loaded[N_MM + 2];
	const struct obj_type *types[N_MM + 2];
	struct snapshot snap = {0}, again = {0};
	unsigned n = 0, k = 2;
	char *why = NULL;
	struct save_params sp;
	struct load_params lp;

	roots[n] = shared;
	types[n++] = &shmem_type;
	roots[n] = file;
	types[n++] = &shmem_type;
	for (unsigned i = 0; i < N_MM; i++) {
		if (!models[i].mm)
			continue;
		roots[n] = models[i].mm;
		types[n++] = &mm_type;
	}
	sp = (struct save_params){.roots = roots, .n_roots = n};
	cr_assert_eq(state_save(&sp, &snap, &why), 0, "%s", why);
	pageload_hold(&w->machine, &snap.pages);
	for (unsigned i = 0; i < N_MM; i++)
		if (models[i].mm)
			end_mm(&models[i]);
		else
			models[i].pages[0].shared = -2;
	obj_put(shared);
	obj_put(file);
	w->load.in_place = &snap.pages;
	lp = (struct load_params){.root_types = types, .n_roots = n, .user = &w->load};
	cr_assert_eq(state_load(snap.kernel.data, snap.kernel.len, &lp, loaded, &why), 0, "%s",
	             why);
	pageload_release(&w->machine, &snap.pages);
	shared = loaded[0];
	file = loaded[1];
	for (unsigned i = 0; i < N_MM; i++) {
		if (models[i].pages[0].shared == -2)
			continue;
		models[i].mm = loaded[k++];
		mm_use(models[i].mm);
	}
	/* The same again, byte for byte. */
	sp.roots = loaded;
	cr_assert_eq(state_save(&sp, &again, &why), 0, "%s", why);
	cr_assert_eq(snap.kernel.len, again.kernel.len);
	cr_assert_eq(memcmp(snap.kernel.data, again.kernel.data, snap.kernel.len), 0);
	snapshot_finish(&snap);
	snapshot_finish(&again);
}

static void step(void)
{
	struct model *m;
	/* Often where chunks meet. */
	unsigned i =
		rnd(3) ? (unsigned)rnd(PAGES) : 512u * (1 + (unsigned)rnd(2)) - (unsigned)rnd(8);
	unsigned n;

	do
		m = &models[rnd(N_MM)];
	while (!m->mm);
	n = 1 + (unsigned)rnd(rnd(4) == 0 ? PAGES - i : MIN(PAGES - i, 12u));
	switch (rnd(40)) {
	case 0 ... 3:
		do_map(m, i, n);
		break;
	case 4:
		do_unmap(m, i, n);
		break;
	case 5 ... 6:
		do_protect(m, i, n);
		break;
	case 7:
		do_dontneed(m, i, n);
		break;
	case 8 ... 9:
		if (uniform(m, i, n))
			do_move(m, i, n);
		break;
	case 10:
		do_fork(m);
		break;
	case 11:
		mm_drop_aspace(m->mm);
		break;
	case 12:
		if (rnd(10) == 0)
			do_save();
		break;
	case 13 ... 25:
		write_page(m, i);
		break;
	default:
		check_page(m, i);
		break;
	}
}

static void run(u64 seed, unsigned steps)
{
	w = world_new();
	rng = seed;
	memset(models, 0, sizeof(models));
	memset(shared_vals, 0, sizeof(shared_vals));
	shared = shmem_new(&w->kernel, SH_PAGES * PAGE_SIZE);
	make_file();
	cr_assert_eq(mm_create(&w->kernel, &models[0].mm), 0);
	mm_use(models[0].mm);
	for (unsigned i = 0; i < PAGES; i++)
		models[0].pages[i].shared = -1;
	for (unsigned i = 0; i < steps; i++) {
		step();
		if (i % 200 == 199)
			for (unsigned k = 0; k < N_MM; k++)
				for (unsigned p = 0; models[k].mm && p < PAGES; p += 1 + rnd(8))
					check_page(&models[k], p);
	}
	for (unsigned i = 0; i < N_MM; i++)
		if (models[i].mm)
			end_mm(&models[i]);
	obj_put(shared);
	obj_put(file);
	world_end(w);
}

Test(mm_fuzz, model)
{
	for (u64 seed = 1; seed <= 12; seed++)
		run(seed * 0x9e3779b97f4a7c15ull, 4000);
}
