/* What every platform must do, part 1: registers, system calls, traps, faults, maps. */
#include "tests/unit/platform_fixture.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

GUEST_CODE(syscall, "syscall; nop; syscall");
GUEST_CODE(load, "mov (%rdi), %rax; syscall");
GUEST_CODE(store, "mov %rax, (%rdi); syscall");
GUEST_CODE(jump, "jmp *%rdi");
GUEST_CODE(int80, "mov $20, %eax; int $0x80; nop");
GUEST_CODE(ud2, "nop; ud2");
GUEST_CODE(div0, "xor %edx, %edx; xor %ecx, %ecx; mov $1, %eax; div %ecx");
GUEST_CODE(int3, "int3; nop");
GUEST_CODE(noncanonical, "movabs $0x8000000000000000, %rax; mov (%rax), %rax");
GUEST_CODE(bases, "mov %fs:0, %rax; mov %gs:0, %rbx; syscall");
GUEST_CODE(hlt, "hlt");

/* Every register has its own value, comes back, and can be changed. */
CONFORM(registers)
{
	struct regs *r = &w->regs, before;
	u64 *word = (u64 *)r;
	size_t i;

	WORLD_CODE(w, 0, syscall);
	for (i = 0; i < sizeof(*r) / 8; i++)
		word[i] = 0x1111111111111111ull * (i % 15 + 1) + i;
	r->rip = CODE_AT;
	r->rflags = 0x202 | 1 | 0x80;
	r->fs_base = DATA_AT + 64;
	r->gs_base = DATA_AT + 128;
	r->rax = 39;
	before = *r;
	world_run(w, EXIT_SYSCALL);
	cr_assert_eq(r->orig_rax, 39);
	cr_assert_eq(r->rax, 39);
	cr_assert_eq(r->rip, CODE_AT + 2);
	cr_assert_eq(r->rcx, CODE_AT + 2);
	cr_assert_eq(r->r11, before.rflags);
	before.rip = before.rcx = r->rip;
	before.r11 = before.rflags;
	before.orig_rax = r->orig_rax;
	cr_assert_eq(memcmp(r, &before, sizeof(before)), 0);
	r->rax = (u64)-512; /* -ERESTARTSYS means nothing here */
	r->rcx = 7;
	r->rbx = ~0ull;
	world_run(w, EXIT_SYSCALL);
	cr_assert_eq(r->orig_rax, (u64)-512);
	cr_assert_eq(r->rip, CODE_AT + 5);
	cr_assert_eq(r->rbx, ~0ull);
}

/* Numbers that mean something inside the host: all are the guest's. */
CONFORM(odd_numbers)
{
	static const u64 odd[] = {
		(u64)-1,
		(u64)-4,
		(u64)-38,
		(u64)-512,
		(u64)-513,
		(u64)-514,
		(u64)-516,
		181 /* the stubs' report */,
		335 /* uretprobe */,
		0x80000000,
		0xfffffe00,
		0xfffffdff,
		0x40000027,
		0x100000027,
		0xffffffff00000027,
		15 /* rt_sigreturn */,
	};
	size_t i;

	WORLD_CODE(w, 0, syscall);
	for (i = 0; i < ARRAY_SIZE(odd); i++) {
		w->regs.rip = CODE_AT;
		w->regs.rax = odd[i];
		world_run(w, EXIT_SYSCALL);
		cr_assert_eq(w->regs.orig_rax, odd[i], "%lx, not %lx", w->regs.orig_rax, odd[i]);
		cr_assert_eq(w->regs.rax, odd[i]);
		cr_assert_eq(w->regs.rip, CODE_AT + 2, "%lx: rip %lx", odd[i], w->regs.rip);
	}
}

CONFORM(bases)
{
	WORLD_CODE(w, 0, bases);
	*(u64 *)(w->mem + DATA_OFF + 64) = 0xaaaa;
	*(u64 *)(w->mem + DATA_OFF + 128) = 0xbbbb;
	w->regs.fs_base = DATA_AT + 64;
	w->regs.gs_base = DATA_AT + 128;
	world_run(w, EXIT_SYSCALL);
	cr_assert_eq(w->regs.orig_rax, 0xaaaa);
	cr_assert_eq(w->regs.rbx, 0xbbbb);
}

/* What the guest can't have is cleaned, not refused. */
CONFORM(dirty_registers)
{
	WORLD_CODE(w, 0, syscall);
	w->regs.fs_base = 1ull << 63;
	w->regs.gs_base = 1ull << 47;
	w->regs.rflags = ~0x100ull;
	world_run(w, EXIT_SYSCALL);
	cr_assert_eq(w->regs.rflags & 0x3000, 0);
	cr_assert_eq(w->regs.rflags & 0x202, 0x202);
	w->regs.rflags = 0;
	w->regs.rip = 1ull << 63;
	world_run(w, EXIT_SIGNAL);
	cr_assert_eq(w->e.signo, SIGSEGV);
	/* And the context is still good. */
	w->regs.rip = CODE_AT;
	world_run(w, EXIT_SYSCALL);
}

static void expect_fault(struct world *w, u64 rip, u64 addr, u32 access, bool bus)
{
	struct regs before;

	w->regs.rip = rip;
	w->regs.rdi = addr;
	before = w->regs;
	world_run(w, EXIT_FAULT);
	cr_assert_eq(w->e.addr, addr, "addr %lx, not %lx", w->e.addr, addr);
	cr_assert_eq(w->e.access, access, "access %u, not %u", w->e.access, access);
	cr_assert_eq(w->e.bus, bus);
	cr_assert_eq(w->e.trapno, 14);
	cr_assert_eq(w->regs.rdi, addr);
	cr_assert_eq(w->regs.rsp, before.rsp);
	cr_assert_eq(w->regs.rip, access == ACCESS_EXEC ? addr : rip);
	cr_assert_eq(w->regs.orig_rax, ~0ull);
}

CONFORM(faults)
{
	u64 load = WORLD_CODE(w, 0, load), store = WORLD_CODE(w, 64, store);
	u64 jump = WORLD_CODE(w, 128, jump), ro = 0x20000000, none = 0x30000000;
	u64 top = w->p->max_user_addr - PAGE_SIZE;

	world_map(w, w->as, ro, DATA_OFF, PAGE_SIZE, PROT_READ);
	world_map(w, w->as, none, DATA_OFF, PAGE_SIZE, PROT_NONE);
	expect_fault(w, load, 0x50000000, ACCESS_READ, false);
	expect_fault(w, store, 0x50000123, ACCESS_WRITE, false);
	expect_fault(w, jump, 0x50000456, ACCESS_EXEC, false);
	expect_fault(w, store, ro + 8, ACCESS_WRITE, false);
	expect_fault(w, jump, ro, ACCESS_EXEC, false);
	expect_fault(w, jump, DATA_AT, ACCESS_EXEC, false);
	expect_fault(w, load, none, ACCESS_READ, false);
	expect_fault(w, store, none, ACCESS_WRITE, false);
	expect_fault(w, store, CODE_AT, ACCESS_WRITE, false);
	expect_fault(w, load, 0, ACCESS_READ, false);
	expect_fault(w, load, top, ACCESS_READ, false);
	/* A stack that is not there must not matter. */
	w->regs.rsp = 8;
	expect_fault(w, load, 0x50000000, ACCESS_READ, false);
	w->regs.rsp = 0;
	expect_fault(w, store, 0x50000000, ACCESS_WRITE, false);
	/* Mapped in answer to the fault, the same instruction goes on. */
	*(u64 *)(w->mem + DATA_OFF) = 4711;
	expect_fault(w, load, 0x60000000, ACCESS_READ, false);
	world_map(w, w->as, 0x60000000, DATA_OFF, PAGE_SIZE, PROT_READ);
	world_run(w, EXIT_SYSCALL);
	cr_assert_eq(w->regs.orig_rax, 4711);
}

CONFORM(bus_error)
{
	u64 load = WORLD_CODE(w, 0, load), store = WORLD_CODE(w, 64, store);

	world_map(w, w->as, 0x70000000, MEM_SIZE, PAGE_SIZE, PROT_READ | PROT_WRITE);
	expect_fault(w, load, 0x70000010, ACCESS_READ, true);
	expect_fault(w, store, 0x70000018, ACCESS_WRITE, true);
}

static void expect_signal(struct world *w, u64 rip, int signo, u32 trapno, u64 at)
{
	w->regs.rip = rip;
	world_run(w, EXIT_SIGNAL);
	cr_assert_eq(w->e.signo, signo, "signal %d", w->e.signo);
	cr_assert_eq(w->e.trapno, trapno, "trap %u", w->e.trapno);
	cr_assert_eq(w->regs.rip, at);
}

CONFORM(signals)
{
	u64 at = CODE_AT;

	WORLD_CODE(w, 0, ud2);
	expect_signal(w, at, SIGILL, 6, at + 1);
	cr_assert_eq(w->e.addr, at + 1);
	WORLD_CODE(w, 0, div0);
	expect_signal(w, at, SIGFPE, 0, at + 9);
	cr_assert_eq(w->e.code, FPE_INTDIV);
	WORLD_CODE(w, 0, int3);
	expect_signal(w, at, SIGTRAP, 3, at + 1);
	WORLD_CODE(w, 0, noncanonical);
	expect_signal(w, at, SIGSEGV, 13, at + 10);
	WORLD_CODE(w, 0, hlt);
	expect_signal(w, at, SIGSEGV, 13, at);
	WORLD_CODE(w, 0, int80);
	expect_signal(w, at, SIGSEGV, 13, at + 5);
	/* Single steps are the guest's own. */
	WORLD_CODE(w, 0, int80);
	w->regs.rflags = 0x302;
	expect_signal(w, at, SIGTRAP, 1, at + 5);
	w->regs.rflags = 0x202;
	/* Addresses that are ours or the host's are no page faults. */
	WORLD_CODE(w, 0, load);
	w->regs.rdi = 0xffffffff80000000;
	expect_signal(w, at, SIGSEGV, 14, at);
	w->regs.rdi = w->p->max_user_addr + 64 * MIB;
	expect_signal(w, at, SIGSEGV, 14, at);
	WORLD_CODE(w, 0, syscall);
	w->regs.rip = at;
	world_run(w, EXIT_SYSCALL);
}

CONFORM(arguments)
{
	const int rw = PROT_READ | PROT_WRITE;
	struct aspace *as = w->as;

	cr_assert_eq(aspace_map_file(as, 0x50000001, w->fd, 0, 4096, rw, true, false), -EINVAL);
	cr_assert_eq(aspace_map_file(as, 0x50000000, w->fd, 0, 0, rw, true, false), -EINVAL);
	cr_assert_eq(aspace_map_file(as, 0x50000000, w->fd, 1, 4096, rw, true, false), -EINVAL);
	cr_assert_eq(aspace_map_file(as, 0, w->fd, 0, 4096, rw, true, false), -EINVAL);
	cr_assert_eq(aspace_unmap(as, w->p->max_user_addr, 4096), -EINVAL);
	cr_assert_eq(aspace_protect(as, w->p->max_user_addr - 4096, 8192, rw), -EINVAL);
	cr_assert_eq(aspace_unmap(as, 65536, ~0ull << 12), -EINVAL);
	cr_assert_eq(aspace_map_file(as, 0x50000000, -1, 0, 4096, rw, true, false), -EBADF);
	/* Nothing there: fine. */
	cr_assert_eq(aspace_unmap(as, 0x50000000, 1 * GIB), 0);
	cr_assert_eq(aspace_protect(as, 0x50000000, 1 * GIB, PROT_NONE), 0);
}

static u64 load_at(struct world *w, u64 addr)
{
	w->regs.rip = CODE_AT;
	w->regs.rdi = addr;
	world_run(w, EXIT_SYSCALL);
	return w->regs.orig_rax;
}

/* Not a system call number that the host knows. */
#define PATTERN 100000

/* 2000 maps in random places and their removal, each looked at by the guest. */
CONFORM(many_maps)
{
	const u64 base = 0x100000000, n = 2000;
	u64 i;

	WORLD_CODE(w, 0, load);
	for (i = 0; i < MEM_SIZE / PAGE_SIZE; i++)
		if (i >= DATA_OFF / PAGE_SIZE)
			*(u64 *)(w->mem + i * PAGE_SIZE) = PATTERN + i;
	for (i = 0; i < n; i++)
		world_map(w, w->as, base + i * 2 * PAGE_SIZE, DATA_OFF + (i * 7 % n) * PAGE_SIZE,
		          PAGE_SIZE, PROT_READ);
	for (i = 0; i < n; i++)
		cr_assert_eq(load_at(w, base + i * 2 * PAGE_SIZE),
		             PATTERN + DATA_OFF / PAGE_SIZE + i * 7 % n);
	for (i = 0; i < n; i += 2)
		cr_assert_eq(aspace_unmap(w->as, base + i * 2 * PAGE_SIZE, PAGE_SIZE), 0);
	for (i = 1; i < n; i += 2)
		cr_assert_eq(load_at(w, base + i * 2 * PAGE_SIZE),
		             PATTERN + DATA_OFF / PAGE_SIZE + i * 7 % n);
	for (i = 0; i < n; i += 2)
		expect_fault(w, CODE_AT, base + i * 2 * PAGE_SIZE, ACCESS_READ, false);
	/* A map over all of it replaces what is left; then one unmap, holes and all. */
	world_map(w, w->as, base + n * PAGE_SIZE, DATA_OFF, 100 * PAGE_SIZE, PROT_READ);
	cr_assert_eq(load_at(w, base + (n + 99) * PAGE_SIZE), PATTERN + DATA_OFF / PAGE_SIZE + 99);
	cr_assert_eq(aspace_unmap(w->as, base, 4 * n * PAGE_SIZE), 0);
	for (i = 0; i < n; i++)
		expect_fault(w, CODE_AT, base + i * 2 * PAGE_SIZE, ACCESS_READ, false);
}

/* A host that holds as many mappings as it wants: what is to go goes, if it is only one page out of
 * the middle of a mapping. */
CONFORM(too_many_maps)
{
	const u64 middle = 0x100000000, base = 0x200000000;
	struct aspace_map maps[ASPACE_MAPS_MAX];
	u64 max = 0;
	FILE *f = fopen("/proc/sys/vm/max_map_count", "r");
	u32 done;
	int r = 0;

	if (!f || fscanf(f, "%lu", &max) != 1 || max > 100000)
		cr_skip("the host allows too many to try");
	fclose(f);
	WORLD_CODE(w, 0, load);
	world_map(w, w->as, middle, DATA_OFF, 3 * PAGE_SIZE, PROT_READ);
	for (u64 i = 0; r == 0; i += ASPACE_MAPS_MAX) {
		cr_assert_leq(i, max);
		for (u32 j = 0; j < ASPACE_MAPS_MAX; j++)
			maps[j] = (struct aspace_map){.addr = base + (i + j) * PAGE_SIZE,
			                              .off = DATA_OFF,
			                              .len = PAGE_SIZE,
			                              .fd = w->fd,
			                              .prot = PROT_READ,
			                              .shared = true};
		r = aspace_map_files(w->as, maps, ASPACE_MAPS_MAX, &done);
	}
	cr_assert_eq(r, -ENOMEM);
	cr_assert_lt(done, ASPACE_MAPS_MAX);
	cr_assert_eq(aspace_unmap(w->as, middle + PAGE_SIZE, PAGE_SIZE), 0);
	cr_assert(!aspace_maps(w->as, middle + PAGE_SIZE, PAGE_SIZE));
	/* More may be gone, but it can be had again. */
	world_map(w, w->as, CODE_AT, 0, DATA_OFF, PROT_READ | PROT_EXEC);
	expect_fault(w, CODE_AT, middle + PAGE_SIZE, ACCESS_READ, false);
}

/* Edits that may be made by the guest's own thread: it sees all of them, in order. */
CONFORM(soon)
{
	const u64 base = 0x100000000, n = 100;
	u64 store, ticket, i;

	WORLD_CODE(w, 0, load);
	store = WORLD_CODE(w, 64, store);
	for (i = 0; i < n; i++)
		world_map(w, w->as, base + i * PAGE_SIZE, DATA_OFF + i * PAGE_SIZE, PAGE_SIZE,
		          PROT_READ | PROT_WRITE);
	(void)load_at(w, base);
	for (i = 0; i < n; i++) {
		const u64 page = base + i * PAGE_SIZE;

		if (i % 3 == 0)
			cr_assert_eq(aspace_unmap_soon(w->as, page, PAGE_SIZE, &ticket), 0);
		else if (i % 3 == 1)
			cr_assert_eq(aspace_protect_soon(w->as, page, PAGE_SIZE, PROT_READ), 0);
		/* One at a time, and several together. */
		if (i % 2 == 0)
			(void)load_at(w, base + 2 * PAGE_SIZE);
	}
	for (i = 0; i < n; i++) {
		const u64 page = base + i * PAGE_SIZE;

		if (i % 3 == 0)
			expect_fault(w, CODE_AT, page, ACCESS_READ, false);
		else
			(void)load_at(w, page);
		if (i % 3 == 1)
			expect_fault(w, store, page, ACCESS_WRITE, false);
	}
	/* The guest's thread may not give itself rights: it has them all the same. */
	cr_assert_eq(
		aspace_protect_soon(w->as, base + PAGE_SIZE, PAGE_SIZE, PROT_READ | PROT_WRITE), 0);
	w->regs.rip = store;
	w->regs.rdi = base + PAGE_SIZE;
	world_run(w, EXIT_SYSCALL);
	/* A protection, its removal, and something new in its place. */
	cr_assert_eq(aspace_protect_soon(w->as, base + 2 * PAGE_SIZE, PAGE_SIZE, PROT_READ), 0);
	cr_assert_eq(aspace_unmap_soon(w->as, base + 2 * PAGE_SIZE, PAGE_SIZE, &ticket), 0);
	*(u64 *)(w->mem + DATA_OFF + n * PAGE_SIZE) = PATTERN;
	world_map(w, w->as, base + 2 * PAGE_SIZE, DATA_OFF + n * PAGE_SIZE, PAGE_SIZE, PROT_READ);
	cr_assert(aspace_settled(w->as, ticket));
	cr_assert_eq(load_at(w, base + 2 * PAGE_SIZE), PATTERN);
	/* From another thread's point of view it is the plain call. */
	cr_assert_eq(aspace_unmap(w->as, base, n * PAGE_SIZE), 0);
	for (i = 0; i < n; i++)
		expect_fault(w, CODE_AT, base + i * PAGE_SIZE, ACCESS_READ, false);
	cr_assert_eq(aspace_unmap_soon(w->as, base, n * PAGE_SIZE, &ticket), 0);
	cr_assert(aspace_settled(w->as, ticket));
}

CONFORM(protect)
{
	const u64 base = 0x100000000;
	u64 load = WORLD_CODE(w, 0, load), store = WORLD_CODE(w, 64, store), i;

	/* Mappings with holes between them. */
	for (i = 0; i < 64; i++)
		world_map(w, w->as, base + i * 2 * PAGE_SIZE, DATA_OFF + i * PAGE_SIZE, PAGE_SIZE,
		          PROT_READ | PROT_WRITE);
	cr_assert_eq(aspace_protect(w->as, base - PAGE_SIZE, 130 * PAGE_SIZE, PROT_READ), 0);
	for (i = 0; i < 64; i++) {
		(void)load_at(w, base + i * 2 * PAGE_SIZE);
		expect_fault(w, store, base + i * 2 * PAGE_SIZE, ACCESS_WRITE, false);
	}
	cr_assert_eq(aspace_protect(w->as, base, 128 * PAGE_SIZE, PROT_NONE), 0);
	for (i = 0; i < 64; i++)
		expect_fault(w, load, base + i * 2 * PAGE_SIZE, ACCESS_READ, false);
	cr_assert_eq(aspace_protect(w->as, base, 128 * PAGE_SIZE, PROT_READ | PROT_WRITE), 0);
	w->regs.rip = store;
	w->regs.rax = 99;
	w->regs.rdi = base;
	world_run(w, EXIT_SYSCALL);
	cr_assert_eq(*(u64 *)(w->mem + DATA_OFF), 99);
}

/* Protections around a fork, more than fit into one request. */
CONFORM(forked)
{
	const u64 base = 0x100000000, n = 50;
	u64 load = WORLD_CODE(w, 0, load), store = WORLD_CODE(w, 64, store), i;

	for (i = 0; i < n; i++)
		world_map(w, w->as, base + i * 2 * PAGE_SIZE, DATA_OFF + i * PAGE_SIZE, PAGE_SIZE,
		          PROT_READ | PROT_WRITE);
	cr_assert_eq(aspace_pre_fork(w->as), 0);
	for (i = 0; i < n; i += 2)
		cr_assert_eq(
			aspace_protect(w->as, base + i * 2 * PAGE_SIZE, 3 * PAGE_SIZE, PROT_READ),
			0);
	cr_assert_eq(aspace_post_fork(w->as), 0);
	for (i = 0; i < n; i++) {
		expect_fault(w, store, base + i * 2 * PAGE_SIZE, ACCESS_WRITE, false);
		w->regs.rip = load;
		world_run(w, EXIT_SYSCALL);
	}
	/* A map in between is not undone by a protection from before it. */
	cr_assert_eq(aspace_pre_fork(w->as), 0);
	cr_assert_eq(aspace_protect(w->as, base, PAGE_SIZE, PROT_NONE), 0);
	world_map(w, w->as, base, DATA_OFF, PAGE_SIZE, PROT_READ | PROT_WRITE);
	cr_assert_eq(aspace_post_fork(w->as), 0);
	w->regs.rip = store;
	w->regs.rdi = base;
	world_run(w, EXIT_SYSCALL);
}

CONFORM(private_file)
{
	WORLD_CODE(w, 0, load);
	*(u64 *)(w->mem + DATA_OFF) = 123;
	cr_assert_eq(aspace_map_file(w->as, 0x50000000, w->fd, DATA_OFF, PAGE_SIZE, PROT_READ,
	                             false, true),
	             0);
	cr_assert_eq(load_at(w, 0x50000000), 123);
}
