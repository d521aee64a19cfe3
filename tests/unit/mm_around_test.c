/* What a fault brings along: the segments of a program, the mappings of a fork's child. */
#include "tests/unit/mm_fixture.h"
#include "sentry/mm/memfile.h"
#include "sentry/mm/shmem.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <sys/mman.h>

#define SEGMENTS 4
#define SEGMENT  (4 * PAGE_SIZE)
#define AT       0x7f0000000000ull

static struct world *w;
static struct mm *mm;
static struct ctx c;
static struct shmem *file;

static void put(u64 off, u64 value)
{
	UITER(it);

	uiter_init_kernel(&it, &value, sizeof(value));
	cr_assert_eq(shmem_write(file, &it, off), (s64)sizeof(value));
}

static void begin(void)
{
	w = world_new();
	cr_assert_eq(mm_create(&w->kernel, &mm), 0);
	mm_use(mm);
	world_ctx(w, mm, &c);
	file = shmem_new(&w->kernel, 0);
	for (u64 i = 0; i < SEGMENTS * SEGMENT; i += PAGE_SIZE)
		put(i, i + 1);
}

static void end(void)
{
	obj_put(file);
	mm_unuse(mm);
	obj_put(mm);
	world_end(w);
}

TestSuite(mm_around, .init = begin, .fini = end);

/* The file with the protections, side by side from at on. */
static void map_segments_at(u64 at, const int *prot, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct mmap_args a = {.addr = at + i * SEGMENT,
		                      .len = SEGMENT,
		                      .prot = prot[i],
		                      .flags = MAP_PRIVATE | MAP_FIXED,
		                      .max_prot = 7,
		                      .off = i * SEGMENT,
		                      .mappable = (struct mappable *)file};

		cr_assert_eq(mm_mmap(mm, &c, &a), (s64)a.addr);
	}
}

static void map_segments(const int *prot, size_t n)
{
	map_segments_at(AT, prot, n);
}

static u64 read_at(struct mm *m, struct ctx *ctx, u64 addr)
{
	u64 v;

	cr_assert_eq(guest_read(m, ctx, addr, &v), 0);
	return v;
}

Test(mm_around, program_comes_whole)
{
	const int prot[] = {PROT_READ, PROT_READ | PROT_EXEC, PROT_READ, PROT_READ | PROT_WRITE};
	u64 requests;

	map_segments(prot, SEGMENTS);
	map_anon(mm, AT + SEGMENTS * SEGMENT, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE, 0);
	cr_assert_eq(guest_exec(mm, &c, AT + SEGMENT + PAGE_SIZE), 0);
	requests = w->n_requests;
	for (u64 i = 0; i < SEGMENTS * SEGMENT; i += PAGE_SIZE)
		cr_assert_eq(read_at(mm, &c, AT + i), i + 1);
	cr_assert_eq(guest_write(mm, &c, AT + 3 * SEGMENT, 7), 0);
	cr_assert_eq(guest_write(mm, &c, AT + SEGMENTS * SEGMENT + PAGE_SIZE, 8), 0);
	cr_assert_eq(w->n_requests, requests);
	/* What may not be written still may not. */
	cr_assert_eq(guest_write(mm, &c, AT, 7), SIGSEGV);
	cr_assert_eq(guest_exec(mm, &c, AT + 3 * SEGMENT), SIGSEGV);
}

/* Data that is no program's is not copied before somebody writes: until then the file shows. */
Test(mm_around, data_shows_its_file)
{
	const int prot[] = {PROT_READ, PROT_READ | PROT_WRITE};

	map_segments(prot, 2);
	cr_assert_eq(read_at(mm, &c, AT), 1);
	put(SEGMENT, 77);
	cr_assert_eq(read_at(mm, &c, AT + SEGMENT), 77);
	cr_assert_eq(guest_write(mm, &c, AT + SEGMENT, 78), 0);
	put(SEGMENT, 79);
	cr_assert_eq(read_at(mm, &c, AT + SEGMENT), 78);
}

Test(mm_around, child_sees_everything)
{
	const int prot[] = {PROT_READ, PROT_READ | PROT_EXEC, PROT_READ | PROT_WRITE, PROT_NONE};
	u64 heap = (u64)map_anon(mm, 0, 4 * PAGE_SIZE, 3, 0), requests, size;
	struct mm *child;
	struct ctx cc;

	map_segments(prot, SEGMENTS);
	mm_set_brk(mm, heap);
	cr_assert_eq(guest_write(mm, &c, heap, 5), 0);
	cr_assert_eq(guest_write(mm, &c, AT + 2 * SEGMENT, 6), 0);
	cr_assert_eq(guest_exec(mm, &c, AT + SEGMENT), 0);
	cr_assert_eq(mm_fork(mm, &child), 0);
	mm_use(child);
	world_ctx(w, child, &cc);
	size = memfile_allocated(w->machine.memfile);
	requests = w->n_requests;
	cr_assert_eq(guest_exec(child, &cc, AT + SEGMENT), 0);
	cr_assert_eq(read_at(child, &cc, AT), 1);
	cr_assert_eq(read_at(child, &cc, AT + 2 * SEGMENT), 6);
	cr_assert_eq(read_at(child, &cc, heap), 5);
	cr_assert_eq(w->n_requests, requests + 1);
	cr_assert_eq(memfile_allocated(w->machine.memfile), size);
	/* It still writes to its own pages only, and reaches what it may not no more than before.
	 */
	cr_assert_eq(guest_write(child, &cc, heap, 9), 0);
	cr_assert_eq(read_at(mm, &c, heap), 5);
	cr_assert_eq(guest_exec(child, &cc, AT + 3 * SEGMENT), SIGSEGV);
	mm_unuse(child);
	obj_put(child);
}

/* Where the host refuses more than what was asked for, the fault is solved all the same. */
Test(mm_around, alone_where_it_must)
{
	const int prot[] = {PROT_READ, PROT_READ | PROT_EXEC, PROT_READ, PROT_READ | PROT_WRITE};
	u64 maps;

	map_segments(prot, SEGMENTS);
	w->map_max = 1;
	cr_assert_eq(guest_exec(mm, &c, AT + SEGMENT), 0);
	for (u64 i = 0; i < SEGMENTS * SEGMENT; i += PAGE_SIZE)
		cr_assert_eq(read_at(mm, &c, AT + i), i + 1);
	/* And no more than that is tried again. */
	w->map_max = 0;
	maps = w->n_maps;
	cr_assert_eq(mm_munmap(mm, AT, 2 * SEGMENT), 0);
	map_segments(prot, 2);
	cr_assert_eq(guest_exec(mm, &c, AT + SEGMENT), 0);
	cr_assert_eq(w->n_maps, maps + 1);
}

/* Data that lies across the end of a chunk comes in two parts, of which the first is shown as the
 * file's when the second is copied: the guest and its kernel see the same pages all the same. */
Test(mm_around, data_across_chunks)
{
	const int prot[] = {PROT_READ, PROT_READ | PROT_EXEC, PROT_READ | PROT_WRITE};
	const u64 data = ALIGN_DOWN(AT, 2 * MIB) + 2 * MIB - 2 * PAGE_SIZE;

	map_segments_at(data - 2 * SEGMENT, prot, ARRAY_SIZE(prot));
	cr_assert_eq(read_at(mm, &c, data), 2 * SEGMENT + 1);
	for (u64 i = 0; i < SEGMENT; i += PAGE_SIZE) {
		cr_assert_eq(user_put_u64(&c, UADDR(data + i), i + 100), 0);
		cr_assert_eq(read_at(mm, &c, data + i), i + 100);
	}
}

/* Runs on both sides of a border between mappings become one when both are the guest's alone
 * again, while a fault in one of them is under way. */
Test(mm_around, alone_again_across_mappings)
{
	struct mm *child;

	map_anon(mm, AT, 4 * SEGMENT, PROT_READ | PROT_WRITE, 0);
	for (u64 i = 0; i < 4 * SEGMENT; i += PAGE_SIZE)
		cr_assert_eq(guest_write(mm, &c, AT + i, i + 1), 0);
	cr_assert_eq(mm_madvise(mm, AT + SEGMENT, SEGMENT, MADV_DONTDUMP), 0);
	cr_assert_eq(mm_madvise(mm, AT + 3 * SEGMENT, SEGMENT, MADV_DONTDUMP), 0);
	cr_assert_eq(mm_fork(mm, &child), 0);
	mm_use(child);
	mm_unuse(child);
	obj_put(child);
	cr_assert_eq(guest_write(mm, &c, AT + 2 * SEGMENT, 7), 0);
	for (u64 i = 0; i < 4 * SEGMENT; i += PAGE_SIZE) {
		cr_assert_eq(read_at(mm, &c, AT + i), i == 2 * SEGMENT ? 7 : i + 1);
		cr_assert_eq(guest_write(mm, &c, AT + i, i + 5), 0);
		cr_assert_eq(read_at(mm, &c, AT + i), i + 5);
	}
}

/* Data of a program that is copied in parts, right behind some that was copied whole. */
Test(mm_around, copies_go_on)
{
	const u64 size = 128 * PAGE_SIZE, data = AT + SEGMENT, more = data + SEGMENT;
	struct mmap_args a = {.addr = AT,
	                      .len = SEGMENT,
	                      .prot = PROT_READ | PROT_EXEC,
	                      .flags = MAP_PRIVATE | MAP_FIXED,
	                      .max_prot = 7,
	                      .mappable = (struct mappable *)file};
	u64 v;

	for (u64 i = 0; i < size; i += PAGE_SIZE)
		put(i, i + 1);
	cr_assert_gt(mm_mmap(mm, &c, &a), 0);
	a.addr = data;
	a.len = size - SEGMENT;
	a.off = SEGMENT;
	a.prot = PROT_READ | PROT_WRITE;
	cr_assert_gt(mm_mmap(mm, &c, &a), 0);
	cr_assert_eq(mm_madvise(mm, data, SEGMENT, MADV_DONTDUMP), 0);
	cr_assert_eq(guest_write(mm, &c, more - PAGE_SIZE, 7), 0);
	cr_assert_eq(guest_write(mm, &c, more, 8), 0);
	for (u64 i = 1; i < (size - 2 * SEGMENT) / PAGE_SIZE; i++)
		cr_assert_eq(guest_write(mm, &c, more + i * PAGE_SIZE + 8, 9), 0);
	for (u64 i = 1; i < (size - 2 * SEGMENT) / PAGE_SIZE; i++) {
		cr_assert_eq(guest_read(mm, &c, more + i * PAGE_SIZE, &v), 0);
		cr_assert_eq(v, 2 * SEGMENT + i * PAGE_SIZE + 1);
	}
}

/* Runs that are joined when they are alone again, the faulting one among them. */
Test(mm_around, alone_again_side_by_side)
{
	const u64 pages = 48;
	u64 a = (u64)map_anon(mm, 0, pages * PAGE_SIZE, 3, 0), v;
	struct mm *child;

	for (u64 i = 0; i < pages; i++)
		cr_assert_eq(guest_write(mm, &c, a + i * PAGE_SIZE, i), 0);
	cr_assert_eq(
		mm_madvise(mm, a + pages / 3 * PAGE_SIZE, pages / 3 * PAGE_SIZE, MADV_DONTDUMP), 0);
	for (u64 at = 0; at < 3; at++) {
		cr_assert_eq(mm_fork(mm, &child), 0);
		obj_put(child);
		cr_assert_eq(guest_write(mm, &c, a + (at * pages / 3 + 5) * PAGE_SIZE, 77), 0);
		for (u64 i = 0; i < pages; i++) {
			cr_assert_eq(guest_read(mm, &c, a + i * PAGE_SIZE, &v), 0);
			cr_assert_eq(v, i % (pages / 3) == 5 && i / (pages / 3) <= at ? 77 : i);
		}
		for (u64 i = 0; i < pages; i++)
			cr_assert_eq(guest_write(mm, &c, a + i * PAGE_SIZE + 8, i), 0);
	}
}

/* A child came and went: one fault makes all that both had writable again, and nothing else. */
Test(mm_around, alone_again)
{
	const int prot[] = {PROT_READ, PROT_READ | PROT_EXEC, PROT_READ | PROT_WRITE, PROT_READ};
	u64 heap = (u64)map_anon(mm, 0, 4 * PAGE_SIZE, 3, 0), requests, size;
	struct mm *child;

	map_segments(prot, SEGMENTS);
	cr_assert_eq(guest_exec(mm, &c, AT + SEGMENT), 0);
	cr_assert_eq(guest_write(mm, &c, AT + 2 * SEGMENT, 6), 0);
	cr_assert_eq(guest_write(mm, &c, heap, 5), 0);
	cr_assert_eq(mm_fork(mm, &child), 0);
	mm_use(child);
	mm_unuse(child);
	obj_put(child);
	size = memfile_allocated(w->machine.memfile);
	cr_assert_eq(guest_write(mm, &c, heap, 7), 0);
	requests = w->n_requests;
	cr_assert_eq(guest_write(mm, &c, AT + 2 * SEGMENT, 8), 0);
	cr_assert_eq(w->n_requests, requests);
	cr_assert_eq(memfile_allocated(w->machine.memfile), size);
	cr_assert_eq(guest_write(mm, &c, AT, 7), SIGSEGV);
	/* While there is a child, each page is one side's only after a copy. */
	cr_assert_eq(mm_fork(mm, &child), 0);
	mm_use(child);
	cr_assert_eq(guest_write(mm, &c, heap, 9), 0);
	cr_assert_gt(memfile_allocated(w->machine.memfile), size);
	mm_unuse(child);
	obj_put(child);
}
