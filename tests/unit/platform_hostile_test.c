/* A guest that does its worst with what its stub holds: it scribbles over every page that it can
 * write, jumps to every byte of the blob and of its neighbourhood, uses every way into the host's
 * kernel. Its own stub may die of it; everything else must go on. */
#include "platform/stub/stub.h"
#include "tests/unit/platform_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

GUEST_CODE(scribble,
           "mov %rax, (%rdi); mov %rax, 8(%rdi); mov $4095, %ecx; 1: mov %al, (%rdi,%rcx);"
           "dec %ecx; jnz 1b; syscall");
GUEST_CODE(jump, "jmp *%rdi");
GUEST_CODE(plain, "syscall");
GUEST_CODE(segments, "mov $0x2b, %eax; mov %eax, %ds; mov %eax, %es; xor %eax, %eax;"
                     "mov %eax, %fs; mov %eax, %gs; mov %eax, %ss; syscall");
/* To the 32-bit code segment, and system calls from there. */
GUEST_CODE(compat, "push $0x23; lea 1f(%rip), %rax; push %rax; lretq; 1: .code32; mov $20, %eax;"
                   "int $0x80; mov $20, %eax; sysenter; syscall; jmp 1b; .code64");
GUEST_CODE(vsyscall, "mov $0xffffffffff600000, %rax; call *%rax; mov $0xffffffffff600400, %rax;"
                     "call *%rax; syscall");

/* Writes the four values of rax, rbx, rdx and rsi to a word as fast as it can. */
GUEST_CODE(toggle, "1: mov %eax, (%rdi); mov %ebx, (%rdi); pause; mov %edx, (%rdi);"
                   "mov %esi, (%rdi); jmp 1b");
/* Says that it waits for its turn, and goes on. */
GUEST_CODE(pretend, "mov %ebx, 4(%rdi); mov %eax, (%rdi); 1: lock incl (%rsi); pause; jmp 1b");
GUEST_CODE(count, "1: lock incl (%rsi); syscall; jmp 1b");
GUEST_CODE(calls, "1: syscall; jmp 1b");

struct watchdog {
	struct context *c;
	atomic_bool stop;
};

/* Guests may spin in odd places: out with them every now and then. */
static void *watch(void *arg)
{
	struct watchdog *d = arg;
	const struct timespec tick = {.tv_nsec = 2000000};

	while (!atomic_load(&d->stop)) {
		nanosleep(&tick, NULL);
		context_kick(d->c);
	}
	return NULL;
}

/* A new address space in place of one that the guest broke. */
static void renew(struct world *w)
{
	int r;

	aspace_release(w->as);
	r = aspace_create(w->p, &w->as);
	cr_assert_eq(r, 0, "aspace: %s", strerror(-r));
	world_map(w, w->as, CODE_AT, 0, DATA_OFF, PROT_READ | PROT_EXEC);
	world_map(w, w->as, DATA_AT, DATA_OFF, DATA_OFF, PROT_READ | PROT_WRITE);
}

/* Runs with these registers up to n exits; true if the stub survived. */
static bool attack(struct world *w, const struct regs *regs, int n)
{
	w->regs = *regs;
	while (n-- > 0) {
		int r = context_switch(w->c, w->as, &w->regs, &w->e);

		cr_assert_eq(r, 0, "switch: %s", strerror(-r));
		if (w->e.reason == EXIT_DEAD)
			return false;
		if (w->e.reason == EXIT_FAULT)
			cr_assert_lt(w->e.addr, w->p->max_user_addr);
		if (w->e.reason == EXIT_FAULT || w->e.reason == EXIT_SIGNAL)
			return true;
	}
	return true;
}

/* The bystander's address space is as it was, and the attacker's still takes orders. */
static void check(struct world *w, struct aspace *other, struct context *c)
{
	struct regs regs = {.rip = CODE_AT + 0x800, .rax = 4711};
	struct exit_info e;
	int r;

	WORLD_CODE(w, 0x800, plain);
	do {
		cr_assert_eq(context_switch(c, other, &regs, &e), 0);
	} while (e.reason == EXIT_KICK);
	cr_assert_eq(e.reason, EXIT_SYSCALL);
	cr_assert_eq(regs.orig_rax, 4711);
	r = aspace_map_file(w->as, 0x50000000, w->fd, 0, PAGE_SIZE, PROT_READ, true, false);
	if (r == -ESRCH)
		renew(w);
	else
		cr_assert_eq(r, 0, "map: %s", strerror(-r));
}

CONFORM(hostile)
{
	struct watchdog d = {.c = w->c};
	const u64 top = w->p->max_user_addr;
	struct aspace *other;
	struct context *c;
	struct regs regs;
	pthread_t t;
	u64 a;

	cr_assert_eq(aspace_create(w->p, &other), 0);
	world_map(w, other, CODE_AT, 0, PAGE_SIZE, PROT_READ | PROT_EXEC);
	cr_assert_eq(context_create(w->p, &c), 0);
	pthread_create(&t, NULL, watch, &d);

	/* Every page of ours, with zeros, ones and addresses. */
	WORLD_CODE(w, 0, scribble);
	for (a = 0; a < 3 * 96; a++) {
		u64 page = a / 3 < 64 ? top + a / 3 * PAGE_SIZE
		                      : top + 0x10000000 + (a / 3 - 64) * PAGE_SIZE;

		regs = (struct regs){.rip = CODE_AT, .rdi = page, .rsp = DATA_AT + DATA_OFF};
		regs.rax = (u64[]){0, ~0ull, page + 64}[a % 3];
		if (!attack(w, &regs, 3))
			renew(w);
		if (a % 16 == 0)
			check(w, other, c);
	}
	/* Every byte of the blob that has code, twice with other registers. */
	WORLD_CODE(w, 0, jump);
	for (a = 0; a < 2 * 0x1000; a++) {
		memset(&regs, a & 1 ? 0xff : 0, sizeof(regs));
		regs.rip = CODE_AT;
		regs.rdi = top + a / 2;
		regs.rsp = DATA_AT + DATA_OFF / 2;
		regs.rax = a & 1 ? SYS_munmap : SYS_exit_group;
		regs.fs_base = regs.gs_base = DATA_AT;
		regs.rflags = 0x202;
		if (a % 8 >= 4) {
			regs.r14 = regs.r15 = regs.rbx = DATA_AT;
			regs.r12 = regs.r13 = 1;
		}
		if (!attack(w, &regs, 4))
			renew(w);
		if (a % 64 == 0)
			check(w, other, c);
	}
	atomic_store(&d.stop, true);
	pthread_join(t, NULL);
	check(w, other, c);
	context_release(c);
	aspace_release(other);
}

/* The calls that edit the address space, with arguments of the guest's choice: it can't come to
 * write what it may only read, nor touch what is ours. */
STUB_BLOB_SYM(systrap_protect_site);
STUB_BLOB_SYM(systrap_unmap_site);
GUEST_CODE(store, "mov %rax, (%rdi); syscall");

static void edits_by_jump(struct world *w)
{
	const u64 page = 0x100000000, ours = STUB_BASE,
		  prot = STUB_ADDR(stub_blob_systrap_protect_site),
		  unmap = STUB_ADDR(stub_blob_systrap_unmap_site);
	const struct {
		u64 site, nr, addr, len, prot;
	} calls[] = {
		{prot, SYS_mprotect, page, PAGE_SIZE, PROT_READ | PROT_WRITE},
		{prot, SYS_mprotect, page, PAGE_SIZE, PROT_WRITE},
		{prot, SYS_mprotect, STUB_CTRL, PAGE_SIZE, PROT_READ | PROT_EXEC},
		{prot, SYS_mprotect, ours - PAGE_SIZE, 2 * PAGE_SIZE, PROT_READ},
		{prot, SYS_munmap, page, PAGE_SIZE, 0},
		{prot, SYS_mmap, page, PAGE_SIZE, PROT_READ},
		{unmap, SYS_munmap, STUB_CTRL, PAGE_SIZE, 0},
		{unmap, SYS_munmap, STUB_SLOTS, PAGE_SIZE, 0},
		{unmap, SYS_munmap, ours - PAGE_SIZE, 1 * GIB, 0},
		{unmap, SYS_munmap, 0, STUB_BASE + STUB_BLOB_SIZE, 0},
		{unmap, SYS_munmap, 1ull << 63, PAGE_SIZE, 0},
		{unmap, SYS_mprotect, page, PAGE_SIZE, PROT_READ | PROT_WRITE},
	};

	world_map(w, w->as, page, DATA_OFF, PAGE_SIZE, PROT_READ);
	WORLD_CODE(w, 0, store);
	for (u32 i = 0; i < ARRAY_SIZE(calls); i++) {
		w->regs = (struct regs){
			/* The system call instruction before it. */
			.rip = calls[i].site - 2, .rax = calls[i].nr,   .rdi = calls[i].addr,
			.rsi = calls[i].len,      .rdx = calls[i].prot, .rsp = DATA_AT + DATA_OFF,
			.rflags = 0x202,
		};
		world_run(w, EXIT_SIGNAL);
		cr_assert_eq(w->e.signo, SIGSEGV, "call %u", i);
		w->regs = (struct regs){.rip = CODE_AT, .rdi = page, .rflags = 0x202};
		world_run(w, EXIT_FAULT);
		cr_assert_eq(w->e.access, ACCESS_WRITE, "call %u", i);
	}
	world_map(w, w->as, page, DATA_OFF, PAGE_SIZE, PROT_READ);
}
CONFORM_ON(systrap, edits_by_jump)

/* Other ways into the host's kernel than SYSCALL in 64-bit mode. */
CONFORM(side_doors)
{
	struct watchdog d = {.c = w->c};
	pthread_t t;
	int i;

	pthread_create(&t, NULL, watch, &d);
	w->regs.fs_base = w->regs.gs_base = DATA_AT;
	WORLD_CODE(w, 0, segments);
	WORLD_CODE(w, 256, compat);
	WORLD_CODE(w, 512, vsyscall);
	for (i = 0; i < 300; i++) {
		struct regs regs = {.rsp = DATA_AT + DATA_OFF,
		                    .rip = CODE_AT + i % 3 * 256,
		                    .fs_base = DATA_AT,
		                    .gs_base = DATA_AT};

		/* Twice, so that a stub in a strange mode is used again. */
		if (!attack(w, &regs, 2))
			renew(w);
	}
	atomic_store(&d.stop, true);
	pthread_join(t, NULL);
	WORLD_CODE(w, 0, plain);
	do {
		w->regs = (struct regs){.rip = CODE_AT, .rax = 11};
		cr_assert_eq(context_switch(w->c, w->as, &w->regs, &w->e), 0);
	} while (w->e.reason == EXIT_KICK);
	cr_assert_eq(w->e.reason, EXIT_SYSCALL);
	cr_assert_eq(w->regs.orig_rax, 11);
}

struct toggler {
	struct world *w;
	struct context *c;
	u32 values[4];
	u64 word;
};

static s64 ms_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void *toggle(void *arg)
{
	struct toggler *t = arg;
	struct regs regs = {.rip = CODE_AT + 64, .rdi = t->word, .rsp = DATA_AT + DATA_OFF};
	struct exit_info e;

	regs.rax = t->values[0];
	regs.rbx = t->values[1];
	regs.rdx = t->values[2];
	regs.rsi = t->values[3];
	cr_assert_eq(context_switch(t->c, t->w->as, &regs, &e), 0);
	return NULL;
}

/* One thread of the guest plays with the words that another shares with us. The other's switches
 * come back anyway, and so does a kick. */
CONFORM(words)
{
	static const u32 values[][4] = {
		{1, 2, 1, 2},   {1, 0x101, 2, 0x102}, {2, 0x102, 2, 0x102},
		{2, 0, 2, ~0u}, {0x102, 0, 5, 0},
	};
	const u64 slots = w->p->max_user_addr + 0x10000000;
	struct exit_info e;
	struct context *c;
	struct toggler t;
	struct watchdog d;
	pthread_t th, dog;

	for (size_t i = 0; i < 2 * ARRAY_SIZE(values); i++) {
		struct regs regs = {.rip = CODE_AT, .rsp = DATA_AT + DATA_OFF, .rax = 500};
		s64 start;

		WORLD_CODE(w, 0, calls);
		WORLD_CODE(w, 64, toggle);
		cr_assert_eq(context_create(w->p, &c), 0);
		/* The first thread has the first slot. */
		cr_assert_eq(context_switch(c, w->as, &regs, &e), 0);
		cr_assert_eq(e.reason, EXIT_SYSCALL);
		t = (struct toggler){.w = w, .c = w->c, .word = slots + i % 2 * 4};
		memcpy(t.values, values[i / 2], sizeof(t.values));
		pthread_create(&th, NULL, toggle, &t);
		d = (struct watchdog){.c = c};
		pthread_create(&dog, NULL, watch, &d);
		start = ms_now();
		do {
			cr_assert_eq(context_switch(c, w->as, &regs, &e), 0);
		} while (e.reason != EXIT_DEAD && ms_now() - start < 300);
		atomic_store(&d.stop, true);
		pthread_join(dog, NULL);
		context_kick(w->c);
		pthread_join(th, NULL);
		context_release(c);
		renew(w);
		cr_assert_lt(ms_now() - start, 15000);
	}
}

struct pretender {
	struct world *w;
	struct context *c;
	u64 slot;
};

static void *pretend(void *arg)
{
	struct pretender *t = arg;
	struct regs regs = {.rip = CODE_AT + 64,
	                    .rdi = t->slot,
	                    .rsi = DATA_AT,
	                    .rax = 1,
	                    .rbx = SIGSYS,
	                    .rsp = DATA_AT + DATA_OFF};
	struct exit_info e;

	cr_assert_eq(context_switch(t->c, t->w->as, &regs, &e), 0);
	return NULL;
}

/* Threads that still run when their address space goes, though they said that they wait, do nothing
 * to those who come after them. */
CONFORM(stale_threads)
{
	const u64 slots = w->p->max_user_addr + 0x10000000;
	u32 *counter = (u32 *)(w->mem + DATA_OFF);
	struct pretender t[2];
	pthread_t th[2];
	struct exit_info e;
	int i, k, n;

	context_release(w->c);
	for (i = 0; i < 60; i++) {
		struct regs regs = {.rip = CODE_AT, .rsi = DATA_AT, .rsp = DATA_AT + DATA_OFF};

		WORLD_CODE(w, 0, count);
		WORLD_CODE(w, 64, pretend);
		n = 1 + i % 2;
		for (k = 0; k < n; k++) {
			/* In this order they have the first slots. */
			t[k] = (struct pretender){.w = w, .slot = slots + (u64)k * 0x4000};
			cr_assert_eq(context_create(w->p, &t[k].c), 0);
			cr_assert_eq(context_switch(t[k].c, w->as, &regs, &e), 0);
			regs.rip = CODE_AT;
		}
		for (k = 0; k < n; k++)
			pthread_create(&th[k], NULL, pretend, &t[k]);
		usleep(i % 3 * 300);
		for (k = 0; k < n; k++) {
			context_kick(t[k].c);
			pthread_join(th[k], NULL);
			context_release(t[k].c);
		}
		renew(w);
		*counter = 0;
		cr_assert_eq(context_create(w->p, &w->c), 0);
		regs.rip = CODE_AT;
		for (k = 0; k < 100; k++) {
			cr_assert_eq(context_switch(w->c, w->as, &regs, &e), 0);
			cr_assert_eq(e.reason, EXIT_SYSCALL);
			cr_assert_eq(*counter, (u32)k + 1);
		}
		context_release(w->c);
	}
	cr_assert_eq(context_create(w->p, &w->c), 0);
}
