/*
 * What the primitives of platforms cost: platform_bench [PLATFORM]... prints medians and minima of
 * batches. On a machine with other work only minima and ratios mean something.
 */
#include "platform/platform.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define CODE_AT 0x400000ull
#define DATA_AT 0x10000000ull
#define BATCHES 100

static const u8 code[] = {
	0x0f, 0x05, 0xeb, 0xfc,             /* 0: syscall; jmp 0 */
	0x90, 0x90, 0x90, 0x90,             /* */
	0x48, 0x8b, 0x07, 0x0f, 0x05,       /* 8: mov (%rdi), %rax; syscall */
	0x90, 0x90, 0x90,                   /* */
	0xff, 0xc8, 0x75, 0xfc, 0x0f, 0x05, /* 16: dec %eax; jnz 16; syscall */
	0xeb, 0xf8,
};

static struct platform *p;
static int fd;

static s64 now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "platform_bench: %s failed\n", what);
	exit(1);
}

static int compare(const void *a, const void *b)
{
	return *(const s64 *)a < *(const s64 *)b ? -1 : *(const s64 *)a > *(const s64 *)b;
}

static void print(const char *what, s64 *ns, int n, int per)
{
	qsort(ns, (size_t)n, sizeof(*ns), compare);
	printf("  %-34s min %9.0f  median %9.0f ns\n", what, (double)ns[0] / per,
	       (double)ns[n / 2] / per);
}

static void map(struct aspace *as, u64 addr, u64 off, u64 len, int prot)
{
	must(aspace_map_file(as, addr, fd, off, len, prot, true, false) == 0, "map");
}

static struct aspace *new_aspace(void)
{
	struct aspace *as = NULL;

	must(aspace_create(p, &as) == 0, "aspace");
	map(as, CODE_AT, 0, PAGE_SIZE, PROT_READ | PROT_EXEC);
	return as;
}

static struct context *new_context(void)
{
	struct context *c = NULL;

	must(context_create(p, &c) == 0, "context");
	return c;
}

static void run(struct context *c, struct aspace *as, struct regs *regs, enum exit_reason want)
{
	struct exit_info e;

	must(context_switch(c, as, regs, &e) == 0 && e.reason == want, "switch");
}

static void bench_syscall(const char *what)
{
	struct aspace *as = new_aspace();
	struct context *c = new_context();
	struct regs regs = {.rip = CODE_AT, .rax = 39};
	s64 ns[BATCHES], t;

	for (int b = 0; b < BATCHES; b++) {
		t = now();
		for (int i = 0; i < 1000; i++) {
			regs.rax = 39;
			run(c, as, &regs, EXIT_SYSCALL);
		}
		ns[b] = now() - t;
	}
	print(what, ns, BATCHES, 1000);
	context_release(c);
	aspace_release(as);
}

static void bench_fault(void)
{
	struct aspace *as = new_aspace();
	struct context *c = new_context();
	struct regs regs = {0};
	s64 ns[BATCHES], t;

	for (int b = 0; b < BATCHES; b++) {
		t = now();
		for (int i = 0; i < 50; i++) {
			regs.rip = CODE_AT + 8;
			regs.rdi = DATA_AT + (u64)i * PAGE_SIZE;
			run(c, as, &regs, EXIT_FAULT);
			map(as, DATA_AT + (u64)i * PAGE_SIZE, PAGE_SIZE, PAGE_SIZE, PROT_READ);
			run(c, as, &regs, EXIT_SYSCALL);
		}
		ns[b] = now() - t;
		must(aspace_unmap(as, DATA_AT, 50 * PAGE_SIZE) == 0, "unmap");
	}
	print("fault, map, system call", ns, BATCHES, 50);
	for (int b = 0; b < BATCHES; b++) {
		t = now();
		for (int i = 0; i < 50; i++) {
			map(as, DATA_AT, PAGE_SIZE, PAGE_SIZE, PROT_READ);
			must(aspace_unmap(as, DATA_AT, PAGE_SIZE) == 0, "unmap");
		}
		ns[b] = now() - t;
	}
	print("map and unmap", ns, BATCHES, 50);
	for (int i = 0; i < 32; i++)
		map(as, DATA_AT + (u64)i * 2 * PAGE_SIZE, PAGE_SIZE, PAGE_SIZE, PROT_READ);
	for (int b = 0; b < BATCHES; b++) {
		t = now();
		must(aspace_pre_fork(as) == 0, "pre_fork");
		for (int i = 0; i < 32; i++)
			must(aspace_protect(as, DATA_AT + (u64)i * 2 * PAGE_SIZE, PAGE_SIZE,
			                    b % 2 ? PROT_READ : PROT_NONE) == 0,
			     "protect");
		must(aspace_post_fork(as) == 0, "post_fork");
		ns[b] = now() - t;
	}
	print("protect 32 pieces around a fork", ns, BATCHES, 1);
	context_release(c);
	aspace_release(as);
}

static void bench_aspace(void)
{
	s64 ns[BATCHES], t;

	for (int b = 0; b < BATCHES; b++) {
		struct regs regs = {.rip = CODE_AT, .rax = 39};
		struct aspace *as;
		struct context *c;

		t = now();
		as = new_aspace();
		c = new_context();
		run(c, as, &regs, EXIT_SYSCALL);
		ns[b] = now() - t;
		context_release(c);
		aspace_release(as);
	}
	print("aspace, context, first call", ns, BATCHES, 1);
	for (int b = 0; b < BATCHES; b++) {
		struct aspace *as;

		t = now();
		as = new_aspace();
		aspace_release(as);
		ns[b] = now() - t;
	}
	print("aspace, map, release", ns, BATCHES, 1);
}

struct busy {
	pthread_t t;
	u32 loops;
};

static void *busy_thread(void *arg)
{
	struct busy *n = arg;
	struct aspace *as = new_aspace();
	struct context *c = new_context();
	struct regs regs = {.rip = CODE_AT + 16, .rax = n->loops};

	platform_runnable_add(1);
	for (int i = 0; i < 5000; i++) {
		regs.rax = n->loops;
		run(c, as, &regs, EXIT_SYSCALL);
	}
	platform_runnable_add(-1);
	context_release(c);
	aspace_release(as);
	return NULL;
}

static void bench_busy(int n, u32 loops, const char *what)
{
	struct busy threads[8];
	s64 ns[5], t;

	for (int b = 0; b < 5; b++) {
		t = now();
		for (int i = 0; i < n; i++) {
			threads[i] = (struct busy){.loops = loops};
			must(pthread_create(&threads[i].t, NULL, busy_thread, &threads[i]) == 0,
			     "thread");
		}
		for (int i = 0; i < n; i++)
			pthread_join(threads[i].t, NULL);
		ns[b] = now() - t;
	}
	print(what, ns, 5, n * 5000);
}

int main(int argc, char **argv)
{
	static const char *const all[] = {"systrap", "ptrace"};
	int n = argc > 1 ? argc - 1 : (int)ARRAY_SIZE(all);
	const struct platform_ops *ops;
	const char *why = NULL;

	fd = memfd_create("guest", MFD_CLOEXEC);
	must(ftruncate(fd, 64 * PAGE_SIZE) == 0 && pwrite(fd, code, sizeof(code), 0) > 0, "memory");
	for (int i = 0; i < n; i++) {
		const char *name = argc > 1 ? argv[i + 1] : all[i];

		ops = platform_find(name);
		if (!ops || ops->probe(&why) < 0) {
			printf("%s: %s\n", name, ops ? why : "no such platform");
			continue;
		}
		printf("%s\n", name);
		must(platform_create(ops, &p) == 0, "platform");
		bench_syscall("system call");
		platform_runnable_add(64);
		bench_syscall("system call, no cores to spare");
		platform_runnable_add(-64);
		bench_fault();
		bench_aspace();
		bench_busy(1, 1, "one thread, calls only, per call");
		bench_busy(2, 1, "2 threads, calls only, per call");
		bench_busy(4, 1, "4 threads, calls only, per call");
		bench_busy(4, 10000, "4 threads, 10000 loops, per call");
		platform_destroy(p);
	}
	return 0;
}
