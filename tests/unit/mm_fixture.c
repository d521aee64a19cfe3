#include "tests/unit/mm_fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What is mapped: a page list, sorted by address. */
struct fake_page {
	u64 addr;
	int fd;
	u64 off;
	int prot;
	bool shared;
};
struct fake_aspace {
	struct aspace as;
	struct world *w;
	struct fake_page *pages;
	size_t n, cap;
};

static struct fake_aspace *fake(struct aspace *as)
{
	return container_of(as, struct fake_aspace, as);
}

static size_t lower_bound(const struct fake_aspace *f, u64 addr)
{
	size_t lo = 0, hi = f->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (f->pages[mid].addr < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int fake_new_aspace(struct platform *p, struct aspace **ret)
{
	struct fake_aspace *f = calloc(1, sizeof(*f));

	f->as.platform = p;
	f->w = container_of(p, struct world, platform);
	*ret = &f->as;
	return 0;
}

static void fake_release(struct aspace *as)
{
	struct fake_aspace *f = fake(as);

	for (size_t i = 0; i < f->n; i++)
		close(f->pages[i].fd);
	free(f->pages);
	free(f);
}

static void remove_range(struct fake_aspace *f, u64 addr, u64 len)
{
	size_t lo = lower_bound(f, addr), hi = lower_bound(f, addr + len);

	for (size_t i = lo; i < hi; i++)
		close(f->pages[i].fd);
	if (lo == hi)
		return;
	memmove(f->pages + lo, f->pages + hi, (f->n - hi) * sizeof(*f->pages));
	f->n -= hi - lo;
}

static void map_one(struct fake_aspace *f, const struct aspace_map *m)
{
	const u64 addr = m->addr, off = m->off, len = m->len;
	const int fd = m->fd, prot = m->prot;
	size_t n = len / PAGE_SIZE, at;

	cr_assert(IS_ALIGNED(addr | off | len, PAGE_SIZE) && len > 0);
	cr_assert(addr >= FAKE_LO && range_ok(addr, len, FAKE_TOP));
	cr_assert(m->shared || !(prot & PROT_WRITE));
	f->w->n_maps++;
	remove_range(f, addr, len);
	at = lower_bound(f, addr);
	while (f->n + n > f->cap) {
		f->cap = f->cap ? 2 * f->cap : 1024;
		f->pages = realloc(f->pages, f->cap * sizeof(*f->pages));
	}
	if (f->n > at)
		memmove(f->pages + at + n, f->pages + at, (f->n - at) * sizeof(*f->pages));
	for (size_t i = 0; i < n; i++)
		f->pages[at + i] =
			(struct fake_page){addr + i * PAGE_SIZE,
		                           fd == f->w->machine.memfile->mapfile.fd ? -1 : dup(fd),
		                           off + i * PAGE_SIZE, prot, m->shared};
	f->n += n;
}

static int fake_map(struct aspace *as, const struct aspace_map *maps, u32 n, u32 *ret_done)
{
	struct world *w = fake(as)->w;
	u32 max = w->map_max ? MIN(n, w->map_max) : n;

	w->n_requests++;
	for (u32 i = 0; i < max; i++)
		map_one(fake(as), &maps[i]);
	*ret_done = max;
	return max == n ? 0 : -ENOMEM;
}

static bool fake_maps(struct aspace *as, u64 addr, u64 len)
{
	return lower_bound(fake(as), addr) < lower_bound(fake(as), addr + len);
}

static int fake_unmap(struct aspace *as, u64 addr, u64 len)
{
	fake(as)->w->n_unmaps++;
	remove_range(fake(as), addr, len);
	return 0;
}

static int fake_protect(struct aspace *as, u64 addr, u64 len, int prot)
{
	struct fake_aspace *f = fake(as);

	f->w->n_protects++;
	for (size_t i = lower_bound(f, addr); i < f->n && f->pages[i].addr < addr + len; i++)
		f->pages[i].prot = prot;
	return 0;
}

static int fake_fork(struct aspace *as)
{
	return 0;
}

static const struct platform_ops fake_ops = {
	.name = "fake",
	.new_aspace = fake_new_aspace,
	.aspace_release = fake_release,
	.map_files = fake_map,
	.maps = fake_maps,
	.unmap = fake_unmap,
	.protect = fake_protect,
	.pre_fork = fake_fork,
	.post_fork = fake_fork,
};

struct world *world_new(void)
{
	struct world *w = calloc(1, sizeof(*w));

	cr_assert_eq(usercopy_init(), 0);
	w->platform = (struct platform){
		.ops = &fake_ops, .max_user_addr = FAKE_TOP, .min_user_addr = FAKE_LO};
	w->machine.platform = &w->platform;
	cr_assert_eq(memfile_create(-1, &w->machine.memfile), 0);
	w->kernel.machine = &w->machine;
	TAILQ_INIT(&w->kernel.mms);
	mutex_init(&w->kernel.mms_lock, RANK_LEAF);
	for (size_t i = 0; i < RLIM_NLIMITS; i++)
		w->rlimits[i] = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
	w->rlimits[RLIMIT_STACK].rlim_cur = 8 * MIB;
	w->load = (struct kernel_load){.machine = &w->machine, .kernel = &w->kernel};
	return w;
}

void world_end(struct world *w)
{
	cr_assert(TAILQ_EMPTY(&w->kernel.mms));
	cr_assert_eq(memfile_allocated(w->machine.memfile), 0);
	memfile_destroy(w->machine.memfile);
	free(w);
}

void world_ctx(struct world *w, struct mm *mm, struct ctx *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->mm = mm;
	ret->kernel = &w->kernel;
	ret->clocks = &w->kernel.clocks;
	ret->rlimits = w->rlimits;
}

static int access_page(struct mm *mm, struct ctx *c, u64 addr, u32 access, struct fake_page *ret)
{
	struct fault_info info = {0};
	struct aspace *as;

	for (int i = 0; i < 4; i++) {
		struct fake_aspace *f;
		size_t at;
		int need = access == ACCESS_WRITE  ? PROT_WRITE
		           : access == ACCESS_EXEC ? PROT_EXEC
		                                   : PROT_READ;

		cr_assert_eq(mm_aspace(mm, &as), 0);
		f = fake(as);
		at = lower_bound(f, PAGE_DOWN(addr));
		if (at < f->n && f->pages[at].addr == PAGE_DOWN(addr) && f->pages[at].prot & need) {
			*ret = f->pages[at];
			return 0;
		}
		if (mm_fault(mm, c, addr, access, &info) < 0)
			return info.signo ? info.signo : -1;
	}
	cr_assert_fail("the guest faults for ever at 0x%llx", (unsigned long long)addr);
	return -1;
}

int guest_read(struct mm *mm, struct ctx *c, u64 addr, u64 *ret)
{
	struct fake_page p;
	int r = access_page(mm, c, addr, ACCESS_READ, &p);

	if (r != 0)
		return r;
	if (p.fd < 0)
		memcpy(ret,
		       (u8 *)memfile_at(c->kernel->machine->memfile, p.off) + (addr & PAGE_MASK),
		       8);
	else if (pread(p.fd, ret, 8, (off_t)(p.off + (addr & PAGE_MASK))) != 8)
		return SIGBUS;
	return 0;
}

int guest_write(struct mm *mm, struct ctx *c, u64 addr, u64 val)
{
	struct fake_page p;
	int r = access_page(mm, c, addr, ACCESS_WRITE, &p);

	if (r != 0)
		return r;
	if (p.fd < 0)
		memcpy((u8 *)memfile_at(c->kernel->machine->memfile, p.off) + (addr & PAGE_MASK),
		       &val, 8);
	else
		cr_assert_eq(pwrite(p.fd, &val, 8, (off_t)(p.off + (addr & PAGE_MASK))), 8);
	return 0;
}

int guest_exec(struct mm *mm, struct ctx *c, u64 addr)
{
	struct fake_page p;

	return access_page(mm, c, addr, ACCESS_EXEC, &p);
}

u64 guest_mapped(struct mm *mm)
{
	struct aspace *as;

	cr_assert_eq(mm_aspace(mm, &as), 0);
	return fake(as)->n;
}

s64 map_anon(struct mm *mm, u64 addr, u64 len, int prot, int flags)
{
	struct mmap_args a = {
		.addr = addr,
		.len = len,
		.prot = prot,
		.flags = MAP_PRIVATE | MAP_ANONYMOUS | (addr ? MAP_FIXED : 0) | flags,
		.max_prot = 7,
	};

	return mm_mmap(mm, NULL, &a);
}

/* The platform's own dispatch, for builds whose platform library has none. */
__attribute__((weak)) int aspace_create(struct platform *p, struct aspace **ret)
{
	return p->ops->new_aspace(p, ret);
}
__attribute__((weak)) void aspace_release(struct aspace *as)
{
	if (as)
		as->platform->ops->aspace_release(as);
}
__attribute__((weak)) int aspace_map_files(struct aspace *as, const struct aspace_map *maps, u32 n,
                                           u32 *ret_done)
{
	return as->platform->ops->map_files(as, maps, n, ret_done);
}
__attribute__((weak)) bool aspace_maps(struct aspace *as, u64 addr, u64 len)
{
	return as->platform->ops->maps(as, addr, len);
}
__attribute__((weak)) int aspace_unmap(struct aspace *as, u64 addr, u64 len)
{
	return as->platform->ops->unmap(as, addr, len);
}
__attribute__((weak)) int aspace_protect(struct aspace *as, u64 addr, u64 len, int prot)
{
	return as->platform->ops->protect(as, addr, len, prot);
}
__attribute__((weak)) int aspace_pre_fork(struct aspace *as)
{
	return as->platform->ops->pre_fork(as);
}
__attribute__((weak)) int aspace_post_fork(struct aspace *as)
{
	return as->platform->ops->post_fork(as);
}
__attribute__((weak)) void platform_runnable_add(int delta)
{
}
__attribute__((weak)) void context_kick(struct context *c)
{
}
