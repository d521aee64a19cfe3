/* The corners of the memory calls, one by one. */
#include "tests/unit/mm_fixture.h"
#include "sentry/mm/memfile.h"
#include "sentry/mm/shmem.h"
#include "state/sample.h"
#include "state/snapshot.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static struct world *w;
static struct mm *mm;
static struct ctx c;

static void begin(void)
{
	w = world_new();
	cr_assert_eq(mm_create(&w->kernel, &mm), 0);
	mm_use(mm);
	world_ctx(w, mm, &c);
}

static void end(void)
{
	mm_unuse(mm);
	obj_put(mm);
	world_end(w);
}

TestSuite(mm, .init = begin, .fini = end);

Test(mm, one_fault_per_chunk)
{
	s64 a = map_anon(mm, 0, 64 * MIB, PROT_READ | PROT_WRITE, 0);
	u64 v;

	cr_assert_gt(a, 0);
	cr_assert_eq(a + (s64)(64 * MIB), (s64)FAKE_TOP);
	for (u64 i = 0; i < 64 * MIB; i += 64 * KIB)
		cr_assert_eq(guest_write(mm, &c, (u64)a + i, i + 1), 0);
	/* The first chunk comes in pieces that grow. */
	cr_assert_leq(w->n_maps, 33 + 3);
	cr_assert_eq(guest_read(mm, &c, (u64)a + 64 * KIB, &v), 0);
	cr_assert_eq(v, 64 * KIB + 1);
	cr_assert_eq(mm_munmap(mm, (u64)a, 64 * MIB), 0);
	cr_assert_eq(guest_mapped(mm), 0);
	cr_assert_eq(memfile_allocated(w->machine.memfile), 0);
}

/* What is gone through in a row is there before it is asked for, what lies around one page isn't.
 */
Test(mm, filled_in_a_row)
{
	s64 a = map_anon(mm, 0, 4 * MIB, PROT_READ | PROT_WRITE, 0);
	u64 before = memfile_resident(w->machine.memfile);
	u64 part = 64 * KIB;

	cr_assert_eq(guest_write(mm, &c, (u64)a + MIB, 1), 0);
	cr_assert_leq(memfile_resident(w->machine.memfile) - before, PAGE_SIZE);
	cr_assert_eq(mm_munmap(mm, (u64)a, 4 * MIB), 0);
	memfile_trim(w->machine.memfile);

	a = map_anon(mm, 0, 4 * MIB, PROT_READ | PROT_WRITE, 0);
	for (u64 i = 0; i < part; i += PAGE_SIZE)
		cr_assert_eq(guest_write(mm, &c, (u64)a + i, 1), 0);
	cr_assert_eq(memfile_resident(w->machine.memfile) - before, part);
	cr_assert_eq(guest_write(mm, &c, (u64)a + part, 1), 0);
	cr_assert_eq(memfile_resident(w->machine.memfile) - before, 4 * part);
	/* The next mapping gets the same memory, and sees nothing of it. */
	cr_assert_eq(mm_munmap(mm, (u64)a, 4 * MIB), 0);
	cr_assert_eq(memfile_resident(w->machine.memfile) - before, 4 * part);
	a = map_anon(mm, 0, 4 * MIB, PROT_READ | PROT_WRITE, 0);
	for (u64 i = 0; i < 4 * part; i += PAGE_SIZE) {
		u64 v;

		cr_assert_eq(guest_read(mm, &c, (u64)a + i, &v), 0);
		cr_assert_eq(v, 0);
	}
	cr_assert_eq(memfile_resident(w->machine.memfile) - before, 4 * part);
}

/* What is kept is nobody's: it goes before anybody is refused, who could be one that can't wait. */
Test(mm, kept_before_refused)
{
	struct memfile *mf = w->machine.memfile;
	const u64 most = 16 * MIB - 32 * KIB;
	u64 a, b;

	cr_assert_eq(memfile_resident(mf), 0);
	mf->limit = 16 * MIB;
	cr_assert_eq(memfile_alloc(mf, most, 0, &a), 0);
	memset(memfile_at(mf, a), 1, most);
	cr_assert_lt(memfile_alloc(mf, 1 * MIB, 0, &b), 0);
	memfile_put_pages(mf, a, 2 * MIB);
	cr_assert_eq(memfile_resident(mf), most);
	cr_assert_eq(memfile_alloc(mf, 3 * MIB, 0, &b), 0);
	cr_assert_eq(memfile_resident(mf), most - 2 * MIB);
	memfile_put_pages(mf, a + 2 * MIB, most - 2 * MIB);
	memfile_put_pages(mf, b, 3 * MIB);
	mf->limit = 0;
}

Test(mm, gaps_top_down)
{
	u64 a[4];

	for (int i = 0; i < 4; i++)
		a[i] = (u64)map_anon(mm, 0, 4 * PAGE_SIZE, i & 1 ? 1 : 3, 0);
	cr_assert_eq(a[0], FAKE_TOP - 4 * PAGE_SIZE);
	cr_assert_eq(a[3], FAKE_TOP - 16 * PAGE_SIZE);
	cr_assert_eq(mm_munmap(mm, a[1] + PAGE_SIZE, 2 * PAGE_SIZE), 0);
	/* Too large for the hole, then exactly it. */
	cr_assert_eq(map_anon(mm, 0, 3 * PAGE_SIZE, 1, 0), (s64)(a[3] - 3 * PAGE_SIZE));
	cr_assert_eq(map_anon(mm, 0, 2 * PAGE_SIZE, 3, 0), (s64)(a[1] + PAGE_SIZE));
	/* A hint is taken where it is free, and ignored where it is not. */
	cr_assert_eq(mm_mmap(mm, &c,
	                     &(struct mmap_args){.addr = 0x20000000,
	                                         .len = 100,
	                                         .prot = 3,
	                                         .flags = MAP_PRIVATE,
	                                         .max_prot = 7}),
	             0x20000000);
	cr_assert_neq(mm_mmap(mm, &c,
	                      &(struct mmap_args){.addr = 0x20000000,
	                                          .len = 100,
	                                          .prot = 3,
	                                          .flags = MAP_PRIVATE,
	                                          .max_prot = 7}),
	              0x20000000);
	cr_assert_eq(mm_mmap(mm, &c,
	                     &(struct mmap_args){.addr = 0x20000000,
	                                         .len = 100,
	                                         .prot = 3,
	                                         .flags = MAP_PRIVATE | 0x100000,
	                                         .max_prot = 7}),
	             -EEXIST);
}

Test(mm, errors_of_mmap)
{
	struct mmap_args a = {.len = 0, .prot = 3, .flags = MAP_PRIVATE, .max_prot = 7};

	cr_assert_eq(mm_mmap(mm, &c, &a), -EINVAL);
	a.len = ~0ull;
	cr_assert_eq(mm_mmap(mm, &c, &a), -ENOMEM);
	a.len = 64ull << 40;
	cr_assert_eq(mm_mmap(mm, &c, &a), -ENOMEM);
	a.flags |= MAP_NORESERVE;
	cr_assert_gt(mm_mmap(mm, &c, &a), 0);
	a = (struct mmap_args){
		.len = 1, .prot = 3, .flags = MAP_PRIVATE | MAP_FIXED, .max_prot = 7, .addr = 123};
	cr_assert_eq(mm_mmap(mm, &c, &a), -EINVAL);
	a.addr = 0;
	cr_assert_eq(mm_mmap(mm, &c, &a), -EPERM);
	w->rlimits[RLIMIT_AS].rlim_cur = 1 * MIB;
	a = (struct mmap_args){.len = 2 * MIB, .prot = 3, .flags = MAP_PRIVATE, .max_prot = 7};
	cr_assert_eq(mm_mmap(mm, &c, &a), -ENOMEM);
	cr_assert_eq(mm_munmap(mm, 1, 4096), -EINVAL);
	cr_assert_eq(mm_munmap(mm, FAKE_LO, 0), -EINVAL);
	cr_assert_eq(mm_munmap(mm, FAKE_LO, ~0ull << 12), -EINVAL);
	cr_assert_eq(mm_mprotect(mm, FAKE_LO, 4096, 3), -ENOMEM);
	cr_assert_eq(mm_mremap(mm, &c, FAKE_LO, 4096, 8192, MREMAP_MAYMOVE, 0), -EFAULT);
}

Test(mm, many_mappings)
{
	u64 base = 0x100000000ull, v;
	struct timespec t0, t1;
	u32 n = 0;
	s64 r;

	clock_gettime(CLOCK_MONOTONIC, &t0);
	for (;; n++) {
		r = map_anon(mm, base + n * 2 * PAGE_SIZE, PAGE_SIZE, n & 1 ? 1 : 3, 0);
		if (r < 0)
			break;
	}
	cr_assert_eq(r, -ENOMEM);
	cr_assert_geq(n, 65000);
	for (u32 i = 0; i < 1000; i++) {
		cr_assert_eq(mm_munmap(mm, base + i * 2 * PAGE_SIZE, PAGE_SIZE), 0);
		cr_assert_gt(map_anon(mm, 0, 3 * PAGE_SIZE, 3, 0), 0);
	}
	clock_gettime(CLOCK_MONOTONIC, &t1);
	fprintf(stderr, "%u mappings and 2000 edits: %.1f ms\n", n,
	        (double)(t1.tv_sec - t0.tv_sec) * 1e3 + (double)(t1.tv_nsec - t0.tv_nsec) / 1e6);
	cr_assert_eq(guest_read(mm, &c, base + 4000 * PAGE_SIZE, &v), 0);
}

Test(mm, fork_copies_on_write)
{
	s64 a = map_anon(mm, 0, 1 * MIB, 3, 0);
	struct mm *child;
	struct ctx cc;
	u64 v, maps, size;

	for (u64 i = 0; i < 256; i++)
		cr_assert_eq(guest_write(mm, &c, (u64)a + i * PAGE_SIZE, i + 1), 0);
	cr_assert_eq(mm_fork(mm, &child), 0);
	mm_use(child);
	world_ctx(w, child, &cc);
	size = memfile_allocated(w->machine.memfile);
	cr_assert_eq(size, 1 * MIB);
	cr_assert_eq(w->n_protects, 1);
	cr_assert_eq(guest_write(child, &cc, (u64)a, 99), 0);
	cr_assert_eq(memfile_allocated(w->machine.memfile), size + 16 * KIB);
	cr_assert_eq(guest_read(mm, &c, (u64)a, &v), 0);
	cr_assert_eq(v, 1);
	cr_assert_eq(guest_read(child, &cc, (u64)a + 7 * PAGE_SIZE, &v), 0);
	cr_assert_eq(v, 8);
	mm_unuse(child);
	obj_put(child);
	/* Alone again: writable without a copy, in one go. */
	size = memfile_allocated(w->machine.memfile);
	maps = w->n_maps;
	for (u64 i = 0; i < 256; i++)
		cr_assert_eq(guest_write(mm, &c, (u64)a + i * PAGE_SIZE, i), 0);
	cr_assert_eq(memfile_allocated(w->machine.memfile), size);
	cr_assert_leq(w->n_maps - maps, 2);
}

/* A small run is copied whole, a large one right behind it in growing parts. */
Test(mm, fork_copies_go_on)
{
	const u64 small = 4 * PAGE_SIZE;
	u64 a = (u64)map_anon(mm, 0, 1 * MIB, 3, 0), size, v;
	struct mm *child;
	struct ctx cc;

	cr_assert_eq(mm_madvise(mm, a, small, MADV_DONTDUMP), 0);
	for (u64 i = 0; i < 256; i++)
		cr_assert_eq(guest_write(mm, &c, a + i * PAGE_SIZE, i + 1), 0);
	cr_assert_eq(mm_fork(mm, &child), 0);
	mm_use(child);
	world_ctx(w, child, &cc);
	size = memfile_allocated(w->machine.memfile);
	cr_assert_eq(guest_write(child, &cc, a + small - PAGE_SIZE, 99), 0);
	cr_assert_eq(memfile_allocated(w->machine.memfile), size + small);
	cr_assert_eq(guest_write(child, &cc, a + small, 99), 0);
	cr_assert_leq(memfile_allocated(w->machine.memfile), size + small + 32 * KIB);
	for (u64 i = 5; i < 256; i++)
		cr_assert_eq(guest_write(child, &cc, a + i * PAGE_SIZE, 99), 0);
	for (u64 i = 0; i < 256; i++) {
		cr_assert_eq(guest_read(mm, &c, a + i * PAGE_SIZE, &v), 0);
		cr_assert_eq(v, i + 1);
		cr_assert_eq(guest_read(child, &cc, a + i * PAGE_SIZE, &v), 0);
		cr_assert_eq(v, i < 3 ? i + 1 : 99);
	}
	mm_unuse(child);
	obj_put(child);
}

Test(mm, fork_advice)
{
	u64 a = (u64)map_anon(mm, 0, 4 * PAGE_SIZE, 3, 0), v = 0;
	struct mm *child;
	struct ctx cc;

	for (u64 i = 0; i < 4; i++)
		cr_assert_eq(guest_write(mm, &c, a + i * PAGE_SIZE, 5), 0);
	cr_assert_eq(mm_madvise(mm, a, PAGE_SIZE, MADV_DONTFORK), 0);
	cr_assert_eq(mm_madvise(mm, a + PAGE_SIZE, PAGE_SIZE, MADV_WIPEONFORK), 0);
	cr_assert_eq(mm_fork(mm, &child), 0);
	world_ctx(w, child, &cc);
	cr_assert_eq(guest_read(child, &cc, a, &v), SIGSEGV);
	cr_assert_eq(guest_read(child, &cc, a + PAGE_SIZE, &v), 0);
	cr_assert_eq(v, 0);
	cr_assert_eq(guest_read(child, &cc, a + 2 * PAGE_SIZE, &v), 0);
	cr_assert_eq(v, 5);
	obj_put(child);
}

Test(mm, stack_grows_to_its_limit)
{
	u64 top = 0x7ffff0000000ull, v;
	struct mmap_args a = {.addr = top - 128 * KIB,
	                      .len = 128 * KIB,
	                      .prot = 3,
	                      .flags = MAP_PRIVATE | MAP_FIXED,
	                      .max_prot = 7,
	                      .is_stack = true};

	w->rlimits[RLIMIT_STACK].rlim_cur = 1 * MIB;
	cr_assert_eq(mm_mmap(mm, &c, &a), (s64)(top - 128 * KIB));
	cr_assert_eq(guest_write(mm, &c, top - 200 * KIB, 7), 0);
	cr_assert_eq(guest_write(mm, &c, top - 1 * MIB, 7), 0);
	cr_assert_eq(guest_write(mm, &c, top - 1 * MIB - 8, 7), SIGSEGV);
	cr_assert_eq(user_get(&c, UADDR(top - 900 * KIB), &v), 0);
	/* Nothing is placed into its guard gap. */
	mm_set_mmap_base(mm, top - 1 * MIB);
	cr_assert_leq(map_anon(mm, 0, PAGE_SIZE, 3, 0), (s64)(top - 1 * MIB - 257 * PAGE_SIZE));
	/* And a mapping below stops it. */
	w->rlimits[RLIMIT_STACK].rlim_cur = 8 * MIB;
	cr_assert_eq(guest_write(mm, &c, top - 1 * MIB - 8, 7), SIGSEGV);
}

Test(mm, brk)
{
	u64 v;

	mm_set_brk(mm, 0x500000);
	cr_assert_eq(mm_brk(mm, &c, 0), 0x500000);
	cr_assert_eq(mm_brk(mm, &c, 0x500123), 0x500123);
	cr_assert_eq(guest_write(mm, &c, 0x500ff8, 3), 0);
	cr_assert_eq(guest_write(mm, &c, 0x501000, 3), SIGSEGV);
	cr_assert_eq(mm_brk(mm, &c, 0x600000), 0x600000);
	cr_assert_eq(guest_write(mm, &c, 0x5ffff8, 3), 0);
	cr_assert_eq(mm_brk(mm, &c, 0x500800), 0x500800);
	cr_assert_eq(guest_read(mm, &c, 0x500ff8, &v), 0);
	cr_assert_eq(v, 3);
	cr_assert_eq(guest_read(mm, &c, 0x5ffff8, &v), SIGSEGV);
	cr_assert_gt(map_anon(mm, 0x510000, 4096, 3, 0), 0);
	cr_assert_eq(mm_brk(mm, &c, 0x600000), 0x500800);
}

Test(mm, files)
{
	int fd = memfd_create("file", 0);
	struct mapfile *mf;
	char text[3 * 4096];

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + i / 4096);
	cr_assert_eq(write(fd, text, sizeof(text)), (ssize_t)sizeof(text));
	mf = hostfile_new(fd, false);
	cr_assert_eq(memcmp(mapfile_ptr(mf, 4096, 4096), text + 4096, 4096), 0);
	/* The host cut it short: the sentry survives. */
	cr_assert_eq(ftruncate(fd, 4096), 0);
	struct shmem *s = shmem_new(&w->kernel, 4 * PAGE_SIZE);
	UITER(it);
	uiter_init_kernel(&it, mapfile_ptr(mf, 0, 8192), 8192);
	cr_assert_eq(shmem_write(s, &it, 0), 4096);
	obj_put(s);
	mapfile_put(mf);
}

Test(mm, shmem)
{
	struct shmem *s = shmem_new(&w->kernel, 0);
	char buf[10000], back[10000];
	struct mmap_args a = {.len = 4 * PAGE_SIZE,
	                      .prot = 3,
	                      .flags = MAP_SHARED,
	                      .max_prot = 7,
	                      .mappable = (struct mappable *)s};
	u64 at, v;

	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (char)(i * 7 + 1);
	UITER(it);
	uiter_init_kernel(&it, buf, sizeof(buf));
	cr_assert_eq(shmem_write(s, &it, 0), 10000);
	cr_assert_eq(shmem_size(s), 10000);
	at = (u64)mm_mmap(mm, &c, &a);
	cr_assert_eq(guest_read(mm, &c, at + 8, &v), 0);
	cr_assert_eq(memcmp(&v, buf + 8, 8), 0);
	/* Past the last page: SIGBUS; behind the end in it: zeros. */
	cr_assert_eq(guest_read(mm, &c, at + 3 * PAGE_SIZE, &v), SIGBUS);
	cr_assert_eq(user_get(&c, UADDR(at + 3 * PAGE_SIZE), &v), -EFAULT);
	cr_assert_eq(guest_read(mm, &c, at + 10008, &v), 0);
	cr_assert_eq(v, 0);
	cr_assert_eq(guest_write(mm, &c, at + 10008, 77), 0);
	/* Growing does not show what was written behind the end. */
	cr_assert_eq(shmem_truncate(s, 20000), 0);
	cr_assert_eq(guest_read(mm, &c, at + 10008, &v), 0);
	cr_assert_eq(v, 0);
	cr_assert_eq(guest_write(mm, &c, at + 3 * PAGE_SIZE, 5), 0);
	cr_assert_eq(shmem_truncate(s, 4096), 0);
	cr_assert_eq(guest_read(mm, &c, at + 3 * PAGE_SIZE, &v), SIGBUS);
	cr_assert_eq(guest_read(mm, &c, at, &v), 0);
	cr_assert_eq(shmem_truncate(s, 16384), 0);
	uiter_init_kernel(&it, back, sizeof(back));
	cr_assert_eq(shmem_read(s, &it, 4000), 10000);
	cr_assert_eq(memcmp(back, buf + 4000, 96), 0);
	for (size_t i = 96; i < sizeof(back); i++)
		cr_assert_eq(back[i], 0);
	/* Holes. */
	cr_assert_eq(shmem_seek(s, 0, true), 0);
	cr_assert_eq(shmem_seek(s, 0, false), 4096);
	cr_assert_eq(shmem_seek(s, 5000, true), -ENXIO);
	cr_assert_eq(shmem_allocate(s, 8192, 4096, true), 0);
	cr_assert_geq(shmem_seek(s, 5000, true), 4096);
	cr_assert_eq(guest_write(mm, &c, at, 5), 0);
	cr_assert_eq(mm_madvise(mm, at, PAGE_SIZE, MADV_REMOVE), 0);
	cr_assert_eq(guest_read(mm, &c, at, &v), 0);
	cr_assert_eq(v, 0);
	obj_put(s);
}

Test(mm, strings_and_atomics)
{
	u64 a = (u64)map_anon(mm, 0, 2 * PAGE_SIZE, 3, 0);
	char buf[64];
	u32 old;

	cr_assert_eq(user_copy_out(&c, UADDR(a + PAGE_SIZE - 3), "hello", 6), 0);
	cr_assert_eq(user_get_str(&c, UADDR(a + PAGE_SIZE - 3), buf, sizeof(buf)), 5);
	cr_assert_str_eq(buf, "hello");
	cr_assert_eq(user_get_str(&c, UADDR(a + PAGE_SIZE - 3), buf, 5), -ENAMETOOLONG);
	cr_assert_eq(user_copy_out(&c, UADDR(a + 2 * PAGE_SIZE - 2), "xy", 2), 0);
	cr_assert_eq(user_get_str(&c, UADDR(a + 2 * PAGE_SIZE - 2), buf, sizeof(buf)), -EFAULT);
	cr_assert_eq(user_copy_in_some(&c, buf, UADDR(a + 2 * PAGE_SIZE - 2), 10), 2);
	cr_assert_eq(user_copy_in(&c, buf, UADDR(a + 2 * PAGE_SIZE - 2), 10), -EFAULT);
	cr_assert_eq(user_put_u32(&c, UADDR(a), 5), 0);
	cr_assert_eq(user_cmpxchg_u32(&c, UADDR(a), 5, 6, &old), 0);
	cr_assert_eq(old, 5);
	cr_assert_eq(user_cmpxchg_u32(&c, UADDR(a), 5, 7, &old), 0);
	cr_assert_eq(old, 6);
	cr_assert_eq(user_load_u32(&c, UADDR(a), &old), 0);
	cr_assert_eq(old, 6);
	cr_assert_eq(user_load_u32(&c, UADDR(a + 1), &old), -EINVAL);
	cr_assert_eq(user_load_u32(&c, UADDR(a - 4), &old), -EFAULT);
	cr_assert_eq(mm_mprotect(mm, a, PAGE_SIZE, PROT_READ), 0);
	cr_assert_eq(user_cmpxchg_u32(&c, UADDR(a), 6, 7, &old), -EFAULT);
	cr_assert_eq(user_zero(&c, UADDR(a + PAGE_SIZE), PAGE_SIZE), 0);
	cr_assert_eq(mm_access(mm, a, (char[]){"zz"}, 2, true, false), -EFAULT);
	cr_assert_eq(mm_access(mm, a, (char[]){"zz"}, 2, true, true), 2);
	cr_assert_eq(user_copy_in(&c, buf, UADDR(a), 2), 0);
	cr_assert_eq(memcmp(buf, "zz", 2), 0);
	cr_assert_eq(user_get_u32(&c, UADDR(~0ull - 1), &old), -EFAULT);
}

Test(mm, cursors)
{
	u64 a = (u64)map_anon(mm, 0, 8 * PAGE_SIZE, 3, 0);
	struct iovec iov[3] = {{(void *)(uintptr_t)(a + 10), 5},
	                       {(void *)(uintptr_t)(a + PAGE_SIZE), 0},
	                       {(void *)(uintptr_t)(a + PAGE_SIZE - 2), 6}};
	struct uiter_pins *pins;
	struct iovec host[8];
	char buf[32];

	cr_assert_eq(user_copy_out(&c, UADDR(a + 4 * PAGE_SIZE), iov, sizeof(iov)), 0);
	UITER(it);
	cr_assert_eq(uiter_init_iov(&it, &c, UADDR(a + 4 * PAGE_SIZE), 3), 0);
	cr_assert_eq(uiter_count(&it), 11);
	cr_assert_eq(uiter_copy_out(&it, "0123456789abcdef", 16), 11);
	cr_assert_eq(uiter_count(&it), 0);
	uiter_revert(&it, 8);
	cr_assert_eq(uiter_copy_in(&it, buf, 4), 4);
	cr_assert_eq(memcmp(buf, "3456", 4), 0);
	uiter_revert(&it, 4);
	cr_assert_eq(uiter_pin(&it, 100, ACCESS_READ, host, 8, &pins), 2);
	cr_assert_eq(host[0].iov_len, 2);
	cr_assert_eq(memcmp(host[0].iov_base, "34", 2), 0);
	cr_assert_eq(memcmp(host[1].iov_base, "56789a", 6), 0);
	/* Pinned memory stays although the guest lets go of it. */
	cr_assert_eq(mm_munmap(mm, a, 2 * PAGE_SIZE), 0);
	cr_assert_eq(memcmp(host[1].iov_base, "56789a", 6), 0);
	uiter_unpin(pins);
	cr_assert_eq(uiter_copy_in(&it, buf, 4), -EFAULT);
}

Test(mm, mremap_grows_and_moves)
{
	u64 a = (u64)map_anon(mm, 0x30000000, 2 * PAGE_SIZE, 3, 0), v;
	s64 b;

	cr_assert_eq(guest_write(mm, &c, a, 11), 0);
	cr_assert_eq(mm_mremap(mm, &c, a, 2 * PAGE_SIZE, 4 * PAGE_SIZE, 0, 0), (s64)a);
	cr_assert_eq(guest_write(mm, &c, a + 3 * PAGE_SIZE, 12), 0);
	cr_assert_gt(map_anon(mm, a + 4 * PAGE_SIZE, PAGE_SIZE, 1, 0), 0);
	cr_assert_eq(mm_mremap(mm, &c, a, 4 * PAGE_SIZE, 8 * PAGE_SIZE, 0, 0), -ENOMEM);
	b = mm_mremap(mm, &c, a, 4 * PAGE_SIZE, 8 * PAGE_SIZE, MREMAP_MAYMOVE, 0);
	cr_assert_gt(b, 0);
	cr_assert_neq((u64)b, a);
	cr_assert_eq(guest_read(mm, &c, (u64)b, &v), 0);
	cr_assert_eq(v, 11);
	cr_assert_eq(guest_read(mm, &c, (u64)b + 3 * PAGE_SIZE, &v), 0);
	cr_assert_eq(v, 12);
	cr_assert_eq(guest_read(mm, &c, a, &v), SIGSEGV);
	cr_assert_eq(mm_mremap(mm, &c, (u64)b, 8 * PAGE_SIZE, PAGE_SIZE, 0, 0), b);
	cr_assert_eq(guest_read(mm, &c, (u64)b + PAGE_SIZE, &v), SIGSEGV);
}

Test(mm, copies_are_cheap)
{
	u64 a = (u64)map_anon(mm, 0, 1 * MIB, 3, 0), v = 0;
	struct timespec t0, t1;
	const int n = 200000;

	cr_assert_eq(user_put(&c, UADDR(a), &v), 0);
	clock_gettime(CLOCK_MONOTONIC, &t0);
	for (int i = 0; i < n; i++)
		cr_assert_eq(user_get(&c, UADDR(a + 64), &v), 0);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	fprintf(stderr, "user_get of 8 bytes: %.1f ns\n",
	        ((double)(t1.tv_sec - t0.tv_sec) * 1e9 + (double)(t1.tv_nsec - t0.tv_nsec)) / n);
}

static void *load_user(void *user, const struct snapshot *snap)
{
	struct kernel_load *kl = user;

	kl->in_place = &snap->pages;
	return kl;
}

Test(mm, types)
{
	struct selftest_params p = {.user = &w->load, .load_user = load_user};
	char *why = NULL;

	cr_assert_eq(state_type_selftest(&shmem_type, &p, &why), 0, "%s", why);
}
