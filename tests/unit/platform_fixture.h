#pragma once
/*
 * What the conformance tests of platforms share: a platform, one address space with some code and
 * data in a memfd, one context, and pieces of guest code.
 *
 * Locking: none. Lifetime: world_init to world_finish. Saved: no.
 */
#include "platform/platform.h"

#include <criterion/criterion.h>
#include <sys/mman.h>

/* Stubs that a platform may keep for later. */
#define MAX_SPARE 8

#define CODE_AT  0x400000ull
#define DATA_AT  0x10000000ull
#define MEM_SIZE (64 * MIB)
#define DATA_OFF (1 * MIB)

/* A piece of guest code: guest_NAME to guest_NAME_end. */
#define GUEST_CODE(name, text)                                                          \
	__asm__(".pushsection .rodata\n.globl guest_" #name "\nguest_" #name ":\n" text \
	        "\n.globl guest_" #name "_end\nguest_" #name "_end:\n.popsection");     \
	extern const u8 guest_##name[], guest_##name##_end[]

struct world {
	struct platform *p;
	struct aspace *as;
	struct context *c;
	int fd; /* guest memory: code from 0, data from DATA_OFF */
	u8 *mem;
	struct regs regs;
	struct exit_info e;
	pid_t first_child; /* the platform's own helper, 0 if it has none */
};

void world_init(struct world *w, const char *platform);
void world_finish(struct world *w);
/* Copies code to CODE_AT + at and returns its address. */
u64 world_code(struct world *w, u64 at, const u8 *start, const u8 *end);
#define WORLD_CODE(w, at, name) world_code(w, at, guest_##name, guest_##name##_end)
/* Maps memory of the file into as. */
void world_map(struct world *w, struct aspace *as, u64 addr, u64 off, u64 len, int prot);
/* Runs w->c in w->as and asserts the reason. */
void world_run(struct world *w, enum exit_reason reason);
/* Processes whose parent we are, zombies included; threads of ours don't count. */
int count_children(void);
/* SIGKILLs every child but the first made, which is the template. */
void kill_stubs(struct world *w);

/* One criterion test per platform; the body gets a world. */
#define CONFORM_ON(platform, name)                 \
	Test(platform, name, .timeout = 120)       \
	{                                          \
		struct world w;                    \
		world_init(&w, #platform);         \
		name(&w);                          \
		world_finish(&w);                  \
		cr_assert_eq(count_children(), 0); \
	}
#define CONFORM(name)                      \
	static void name(struct world *w); \
	CONFORM_ON(ptrace, name)           \
	CONFORM_ON(systrap, name)          \
	static void name(struct world *w)
