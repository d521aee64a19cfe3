/* What every platform must do, part 2: FP state, kicks, many threads and spaces, death. */
#include "tests/unit/platform_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

GUEST_CODE(nop_syscall, "1: syscall; jmp 1b");
GUEST_CODE(spin, "1: inc %rbx; jmp 1b");
GUEST_CODE(read_fp, "movdqu %xmm3, (%rdi); vmovdqu %ymm4, 16(%rdi); stmxcsr 48(%rdi);"
                    "fnstcw 52(%rdi); syscall");
GUEST_CODE(write_fp, "movdqu (%rdi), %xmm5; vmovdqu 16(%rdi), %ymm15; syscall; jmp *%rdi");
GUEST_CODE(count, "1: lock incq (%rdi); mov %rsi, %rax; syscall; jmp 1b");
GUEST_CODE(load_sys, "mov (%rdi), %rax; syscall");

#define XMM(n)  160 + 16 * (n)
#define YMMH(n) 576 + 16 * (n)
#define BV      512

static void set_bv(struct fpstate *fp, u64 bv)
{
	memcpy(fp->data + BV, &bv, sizeof(bv));
}

CONFORM(fresh_fp)
{
	struct fpstate fp;
	u32 mxcsr;
	u16 fcw;

	cr_assert_eq(context_pull_fpstate(w->c, &fp), 0);
	cr_assert_eq(fp.size, w->p->fpstate_size);
	memcpy(&mxcsr, fp.data + 24, 4);
	memcpy(&fcw, fp.data, 2);
	cr_assert_eq(mxcsr, 0x1f80);
	cr_assert_eq(fcw, 0x37f);
	WORLD_CODE(w, 0, read_fp);
	w->regs.rdi = DATA_AT;
	memset(w->mem + DATA_OFF, 0xff, 64);
	world_run(w, EXIT_SYSCALL);
	memcpy(&mxcsr, w->mem + DATA_OFF + 48, 4);
	memcpy(&fcw, w->mem + DATA_OFF + 52, 2);
	cr_assert_eq(mxcsr, 0x1f80);
	cr_assert_eq(fcw, 0x37f);
	cr_assert_eq(*(u64 *)(w->mem + DATA_OFF), 0);
	cr_assert_eq(*(u64 *)(w->mem + DATA_OFF + 32), 0);
}

/* Pushed state is what the guest has; garbage in it is cleaned. */
CONFORM(push_fp)
{
	struct fpstate fp, back;
	u32 mxcsr = 0xffff1fc0;
	u8 *seen = w->mem + DATA_OFF;

	cr_assert_eq(context_pull_fpstate(w->c, &fp), 0);
	memset(fp.data + XMM(3), 0x33, 16);
	memset(fp.data + XMM(4), 0x44, 16);
	memset(fp.data + YMMH(4), 0x45, 16);
	memcpy(fp.data + 24, &mxcsr, 4);
	memset(fp.data + 416, 0xee, 96);
	memset(fp.data + BV, 0xff, 64);
	set_bv(&fp, ~0ull);
	cr_assert_eq(context_push_fpstate(w->c, &fp), 0);
	cr_assert_eq(context_pull_fpstate(w->c, &back), 0);
	cr_assert_eq(memcmp(back.data + XMM(3), fp.data + XMM(3), 32), 0);
	WORLD_CODE(w, 0, read_fp);
	w->regs.rdi = DATA_AT;
	world_run(w, EXIT_SYSCALL);
	cr_assert_eq(memcmp(seen, fp.data + XMM(3), 16), 0);
	cr_assert_eq(memcmp(seen + 16, fp.data + XMM(4), 16), 0);
	cr_assert_eq(memcmp(seen + 32, fp.data + YMMH(4), 16), 0);
	memcpy(&mxcsr, seen + 48, 4);
	cr_assert_eq(mxcsr & 0x1fff, 0x1fc0);
	fp.size--;
	cr_assert_eq(context_push_fpstate(w->c, &fp), -EINVAL);
}

/* What the guest computed can be pulled, before and after a fault, and survives both. */
CONFORM(pull_fp)
{
	struct fpstate fp, again;
	u8 *data = w->mem + DATA_OFF;
	u64 bv;
	int i;

	for (i = 0; i < 48; i++)
		data[i] = (u8)(i * 5 + 1);
	WORLD_CODE(w, 0, write_fp);
	w->regs.rdi = DATA_AT;
	world_run(w, EXIT_SYSCALL);
	cr_assert_eq(context_pull_fpstate(w->c, &fp), 0);
	memcpy(&bv, fp.data + BV, 8);
	cr_assert_eq(bv & ~w->p->xfeatures, 0);
	cr_assert_eq(bv & 6, 6);
	cr_assert_eq(memcmp(fp.data + XMM(5), data, 16), 0);
	cr_assert_eq(memcmp(fp.data + XMM(15), data + 16, 16), 0);
	cr_assert_eq(memcmp(fp.data + YMMH(15), data + 32, 16), 0);
	/* The data is not executable. */
	world_run(w, EXIT_FAULT);
	cr_assert_eq(context_pull_fpstate(w->c, &again), 0);
	cr_assert_eq(memcmp(&again, &fp, sizeof(fp)), 0);
	WORLD_CODE(w, 0, read_fp);
	w->regs.rip = CODE_AT;
	world_run(w, EXIT_SYSCALL);
	cr_assert_eq(context_pull_fpstate(w->c, &again), 0);
	cr_assert_eq(memcmp(again.data + XMM(5), fp.data + XMM(5), 16), 0);
	cr_assert_eq(memcmp(again.data + YMMH(15), fp.data + YMMH(15), 16), 0);
}

/* A context takes its state along into another address space, also from one that goes if the state
 * was pulled before. */
CONFORM(change_aspace)
{
	struct aspace *first = w->as, *second;
	struct fpstate fp;
	int i;

	WORLD_CODE(w, 0, write_fp);
	WORLD_CODE(w, 64, nop_syscall);
	memset(w->mem + DATA_OFF, 0x5a, 64);
	w->regs.rdi = DATA_AT;
	world_run(w, EXIT_SYSCALL);
	for (i = 0; i < 20; i++) {
		cr_assert_eq(aspace_create(w->p, &second), 0);
		world_map(w, second, CODE_AT, 0, DATA_OFF, PROT_READ | PROT_EXEC);
		w->as = second;
		w->regs.rip = CODE_AT + 64;
		world_run(w, EXIT_SYSCALL);
		cr_assert_eq(context_pull_fpstate(w->c, &fp), 0);
		cr_assert_eq(fp.data[XMM(5)], 0x5a);
		cr_assert_eq(fp.data[YMMH(15)], 0x5a);
		w->as = first;
		w->regs.rip = CODE_AT + 64;
		world_run(w, EXIT_SYSCALL);
		cr_assert_eq(context_pull_fpstate(w->c, &fp), 0);
		w->as = i % 2 ? first : second;
		aspace_release(i % 2 ? second : first);
		first = w->as;
	}
}

CONFORM(kick_before)
{
	int i;

	WORLD_CODE(w, 0, nop_syscall);
	for (i = 0; i < 100; i++) {
		struct regs before = w->regs;

		context_kick(w->c);
		context_kick(w->c);
		world_run(w, EXIT_KICK);
		before.orig_rax = w->regs.orig_rax;
		before.rflags = w->regs.rflags;
		cr_assert_eq(memcmp(&before, &w->regs, sizeof(before)), 0);
		world_run(w, EXIT_SYSCALL);
	}
}

struct kicker {
	struct context *c;
	atomic_uint *due; /* kicks that the target has not seen */
	u32 rounds;
	u32 delay_ns;
};

static void *kick_thread(void *arg)
{
	struct kicker *k = arg;
	u32 i;

	for (i = 0; i < k->rounds; i++) {
		struct timespec ts = {.tv_nsec = k->delay_ns ? rand() % k->delay_ns : 0};

		/* One at a time: each must come out. */
		while (atomic_load(k->due) != 0)
			sched_yield();
		if (k->delay_ns)
			nanosleep(&ts, NULL);
		atomic_store(k->due, 1);
		context_kick(k->c);
	}
	return NULL;
}

/* 10000 kicks at a spinning guest: it must come out for every one, or this hangs. */
CONFORM(kick_spin)
{
	atomic_uint due = 0;
	struct kicker k = {w->c, &due, 10000, 0};
	pthread_t t;
	u32 seen = 0;
	u64 rbx = 0;

	WORLD_CODE(w, 0, spin);
	w->regs.rbx = 0;
	pthread_create(&t, NULL, kick_thread, &k);
	while (seen < k.rounds) {
		world_run(w, EXIT_KICK);
		cr_assert_geq(w->regs.rbx, rbx);
		rbx = w->regs.rbx;
		if (atomic_exchange(&due, 0))
			seen++;
	}
	pthread_join(t, NULL);
	cr_assert_gt(rbx, 0);
}

/* Kicks at any moment of a guest that makes system calls: seen as a kick, or spent by the exit that
 * came first, but then the next kick works. */
CONFORM(kick_any_time)
{
	atomic_uint due = 0;
	struct kicker k = {w->c, &due, 3000, 100000};
	pthread_t t;
	u32 seen = 0;

	WORLD_CODE(w, 0, nop_syscall);
	pthread_create(&t, NULL, kick_thread, &k);
	while (seen < k.rounds) {
		w->regs.rip = CODE_AT;
		cr_assert_eq(context_switch(w->c, w->as, &w->regs, &w->e), 0);
		cr_assert(w->e.reason == EXIT_SYSCALL || w->e.reason == EXIT_KICK);
		if (w->e.reason == EXIT_SYSCALL)
			cr_assert_eq(w->regs.rip, CODE_AT + 2);
		if (atomic_exchange(&due, 0))
			seen++;
	}
	pthread_join(t, NULL);
}

struct crowd {
	struct context *c;
	u32 rounds;
};

static void *crowd_thread(void *arg)
{
	struct crowd *k = arg;
	u32 i;

	for (i = 0; i < k->rounds; i++)
		context_kick(k->c);
	return NULL;
}

/* From many threads at once; afterwards the context is as usable as before. */
CONFORM(kick_crowd)
{
	struct crowd k = {w->c, 2500};
	pthread_t t[4];
	u32 i;

	WORLD_CODE(w, 0, nop_syscall);
	for (i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, crowd_thread, &k);
	for (i = 0; i < 5000; i++) {
		w->regs.rip = CODE_AT;
		cr_assert_eq(context_switch(w->c, w->as, &w->regs, &w->e), 0);
		cr_assert(w->e.reason == EXIT_SYSCALL || w->e.reason == EXIT_KICK);
	}
	for (i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	/* One kick at most is left. */
	cr_assert_eq(context_switch(w->c, w->as, &w->regs, &w->e), 0);
	for (i = 0; i < 100; i++)
		world_run(w, EXIT_SYSCALL);
}

struct runner {
	struct world *w;
	struct aspace *as;
	u32 id, rounds;
	bool release;
	pthread_t t;
};

static void *run_thread(void *arg)
{
	struct runner *n = arg;
	struct regs regs = {.rip = CODE_AT, .rdi = DATA_AT, .rsi = n->id};
	struct exit_info e;
	struct context *c;
	u32 i;

	cr_assert_eq(context_create(n->w->p, &c), 0);
	for (i = 0; i < n->rounds; i++) {
		int r = context_switch(c, n->as, &regs, &e);

		cr_assert_eq(r, 0, "switch: %s", strerror(-r));
		cr_assert_eq(e.reason, EXIT_SYSCALL, "reason %d", e.reason);
		cr_assert_eq(regs.orig_rax, n->id);
		cr_assert_eq(regs.rsi, n->id);
	}
	if (n->release) {
		context_release(c);
		c = NULL;
	}
	return c;
}

/* 64 guest threads share an address space, while it is mapped into and out of. */
CONFORM(threads)
{
	struct runner n[64];
	void *c;
	u32 i, round;

	WORLD_CODE(w, 0, count);
	for (round = 0; round < 3; round++) {
		*(u64 *)(w->mem + DATA_OFF) = 0;
		for (i = 0; i < 64; i++) {
			n[i] = (struct runner){w, w->as, i, 100, i % 2 == 0, 0};
			pthread_create(&n[i].t, NULL, run_thread, &n[i]);
		}
		for (i = 0; i < 500; i++) {
			world_map(w, w->as, 0x50000000 + i * PAGE_SIZE, DATA_OFF, PAGE_SIZE,
			          PROT_READ);
			if (i % 3 == 0)
				cr_assert_eq(aspace_unmap(w->as, 0x50000000, 1 * MIB), 0);
		}
		/* Half of the contexts outlive their threads, as the contract allows. */
		for (i = 0; i < 64; i++) {
			pthread_join(n[i].t, &c);
			context_release(c);
		}
		cr_assert_eq(*(u64 *)(w->mem + DATA_OFF), 6400);
	}
	w->regs.rdi = DATA_AT;
	world_run(w, EXIT_SYSCALL);
}

/* 64 address spaces with the same addresses and their own contents. */
CONFORM(aspaces)
{
	struct runner n[64];
	u32 i, round;

	WORLD_CODE(w, 0, count);
	for (round = 0; round < 2; round++) {
		memset(w->mem + DATA_OFF, 0, 64 * PAGE_SIZE);
		for (i = 0; i < 64; i++) {
			n[i] = (struct runner){w, NULL, i, 50, true, 0};
			cr_assert_eq(aspace_create(w->p, &n[i].as), 0);
			world_map(w, n[i].as, CODE_AT, 0, PAGE_SIZE, PROT_READ | PROT_EXEC);
			world_map(w, n[i].as, DATA_AT, DATA_OFF + i * PAGE_SIZE, PAGE_SIZE,
			          PROT_READ | PROT_WRITE);
			pthread_create(&n[i].t, NULL, run_thread, &n[i]);
		}
		for (i = 0; i < 64; i++) {
			pthread_join(n[i].t, NULL);
			cr_assert_eq(*(u64 *)(w->mem + DATA_OFF + i * PAGE_SIZE), 50);
			aspace_release(n[i].as);
		}
	}
	cr_assert_leq(count_children(), 2 + MAX_SPARE);
}

/* One context in many spaces by turns, and spaces released under contexts that live on. */
CONFORM(wandering)
{
	struct aspace *as[16];
	u32 i, round;

	WORLD_CODE(w, 0, load_sys);
	for (round = 0; round < 4; round++) {
		for (i = 0; i < 16; i++) {
			cr_assert_eq(aspace_create(w->p, &as[i]), 0);
			world_map(w, as[i], CODE_AT, 0, PAGE_SIZE, PROT_READ | PROT_EXEC);
			world_map(w, as[i], DATA_AT, DATA_OFF + i * PAGE_SIZE, PAGE_SIZE,
			          PROT_READ);
			*(u64 *)(w->mem + DATA_OFF + i * PAGE_SIZE) = i + 100;
		}
		for (i = 0; i < 64; i++) {
			w->regs.rip = CODE_AT;
			w->regs.rdi = DATA_AT;
			cr_assert_eq(context_switch(w->c, as[i * 7 % 16], &w->regs, &w->e), 0);
			cr_assert_eq(w->e.reason, EXIT_SYSCALL);
			cr_assert_eq(w->regs.orig_rax, i * 7 % 16 + 100);
		}
		for (i = 0; i < 16; i++)
			aspace_release(as[i]);
	}
}

static void *kill_thread(void *arg)
{
	usleep(50000);
	kill_stubs(arg);
	return NULL;
}

/* The host kills a stub: while its guest spins, between switches, and in the middle of maps. */
CONFORM(death)
{
	struct aspace *as = w->as;
	pthread_t t;
	int r = 0;

	WORLD_CODE(w, 0, spin);
	pthread_create(&t, NULL, kill_thread, w);
	world_run(w, EXIT_DEAD);
	pthread_join(t, NULL);
	world_run(w, EXIT_DEAD);
	cr_assert_eq(aspace_map_file(as, DATA_AT, w->fd, 0, PAGE_SIZE, PROT_READ, true, false),
	             -ESRCH);
	aspace_release(as);

	cr_assert_eq(aspace_create(w->p, &w->as), 0);
	world_map(w, w->as, CODE_AT, 0, PAGE_SIZE, PROT_READ | PROT_EXEC);
	WORLD_CODE(w, 0, nop_syscall);
	w->regs.rip = CODE_AT;
	world_run(w, EXIT_SYSCALL);
	kill_stubs(w);
	world_run(w, EXIT_DEAD);
	aspace_release(w->as);

	cr_assert_eq(aspace_create(w->p, &w->as), 0);
	world_map(w, w->as, CODE_AT, 0, PAGE_SIZE, PROT_READ | PROT_EXEC);
	w->regs.rip = CODE_AT;
	world_run(w, EXIT_SYSCALL);
	pthread_create(&t, NULL, kill_thread, w);
	while (r == 0)
		r = aspace_map_file(w->as, DATA_AT, w->fd, 0, PAGE_SIZE, PROT_READ, true, false);
	cr_assert_eq(r, -ESRCH);
	pthread_join(t, NULL);
	world_run(w, EXIT_DEAD);
	aspace_release(w->as);
	/* The platform lives on. */
	cr_assert_eq(aspace_create(w->p, &w->as), 0);
	world_map(w, w->as, CODE_AT, 0, PAGE_SIZE, PROT_READ | PROT_EXEC);
	w->regs.rip = CODE_AT;
	world_run(w, EXIT_SYSCALL);
}
