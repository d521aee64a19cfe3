#include "sentry/loader/stack.h"
#include "sentry/auth/creds.h"
#include "sentry/kernel/kernel.h"
#include "sentry/mm/mm.h"

#include "state/base/bug.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/random.h>

/* arch/x86/include/uapi/asm/hwcap2.h */
#define HWCAP2_FSGSBASE_BIT 2
#define STACK_TOP_GAP       (64 * KIB)
#define AUXV_MAX            48

static void aux(u64 *auxv, size_t *n, u64 key, u64 val)
{
	auxv[(*n)++] = key;
	auxv[(*n)++] = val;
}

/* The block is assembled in our memory, as it will lie in the guest's, and copied out once. */
int stack_build(struct mm *mm, struct ctx *c, const struct strings *argv,
                const struct strings *envp, const struct stack_info *info, u64 *ret_sp)
{
	static const char platform[] = "x86_64";
	const struct creds *cr = info->creds;
	size_t strings =
		argv->bytes + envp->bytes + strlen(info->execfn) + 1 + sizeof(platform) + 16;
	size_t words = 1 + argv->n + 1 + envp->n + 1 + 2 * AUXV_MAX;
	size_t room = ALIGN_UP(strings + 64, 16) + words * sizeof(u64) + 64;
	u64 top = c->kernel->machine->platform->max_user_addr - STACK_TOP_GAP, random_off = 0;
	u64 size, base, at, *w, auxv[2 * AUXV_MAX], execfn, plat, rnd;
	size_t n = 0, wi = 0;
	struct mm_layout *lay = mm_layout(mm);
	struct mmap_args args;
	char *block;
	s64 r;

	/* Spreads stacks over cache lines and makes their addresses less guessable. */
	if (getrandom(&random_off, sizeof(random_off), 0) < 0)
		random_off = 0;
	top -= (random_off & 0x3ffff) << PAGE_SHIFT;
	size = PAGE_UP(room) + 128 * KIB;
	base = top - size;
	args = (struct mmap_args){
		.addr = base,
		.len = size,
		.prot = PROT_READ | PROT_WRITE,
		.flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN,
		.max_prot = PROT_READ | PROT_WRITE | PROT_EXEC,
		.is_stack = true,
	};
	r = mm_mmap(mm, NULL, &args);
	if (r < 0)
		return (int)r;

	block = calloc(1, room);
	BUG_ON(!block);
	at = top - 8 - strings; /* the last word stays zero */
#define OFF(a) ((a) - (top - room))
	execfn = top - 8 - strlen(info->execfn) - 1;
	memcpy(block + OFF(execfn), info->execfn, strlen(info->execfn) + 1);
	plat = execfn - sizeof(platform);
	memcpy(block + OFF(plat), platform, sizeof(platform));
	rnd = ALIGN_DOWN(plat - argv->bytes - envp->bytes - 16, 16);
	if (getrandom(block + OFF(rnd), 16, 0) != 16) {
		free(block);
		return -EIO;
	}
	at = ALIGN_DOWN(rnd - words * sizeof(u64), 16);

	/* argc, argv, envp: strings lie between the random bytes and the platform's name. */
	w = (u64 *)(void *)(block + OFF(at));
	u64 s = plat - argv->bytes - envp->bytes;

	lay->arg_start = s;
	w[wi++] = argv->n;
	for (size_t i = 0; i < argv->n; i++) {
		size_t len = strlen(argv->v[i]) + 1;

		memcpy(block + OFF(s), argv->v[i], len);
		w[wi++] = s;
		s += len;
	}
	w[wi++] = 0;
	lay->arg_end = lay->env_start = s;
	for (size_t i = 0; i < envp->n; i++) {
		size_t len = strlen(envp->v[i]) + 1;

		memcpy(block + OFF(s), envp->v[i], len);
		w[wi++] = s;
		s += len;
	}
	w[wi++] = 0;
	lay->env_end = s;

	if (info->vdso)
		aux(auxv, &n, AT_SYSINFO_EHDR, info->vdso);
	aux(auxv, &n, AT_HWCAP, getauxval(AT_HWCAP));
	aux(auxv, &n, AT_PAGESZ, PAGE_SIZE);
	aux(auxv, &n, AT_CLKTCK, 100);
	aux(auxv, &n, AT_PHDR, info->phdr);
	aux(auxv, &n, AT_PHENT, info->phent);
	aux(auxv, &n, AT_PHNUM, info->phnum);
	aux(auxv, &n, AT_BASE, info->base);
	aux(auxv, &n, AT_FLAGS, 0);
	aux(auxv, &n, AT_ENTRY, info->entry);
	aux(auxv, &n, AT_UID, cr->uid);
	aux(auxv, &n, AT_EUID, cr->euid);
	aux(auxv, &n, AT_GID, cr->gid);
	aux(auxv, &n, AT_EGID, cr->egid);
	aux(auxv, &n, AT_SECURE, info->secure);
	aux(auxv, &n, AT_RANDOM, rnd);
	/* Without the word that gs may be set in user mode: a platform may need it. */
	aux(auxv, &n, AT_HWCAP2, getauxval(AT_HWCAP2) & ~(u64)HWCAP2_FSGSBASE_BIT);
	aux(auxv, &n, AT_EXECFN, execfn);
	aux(auxv, &n, AT_PLATFORM, plat);
	aux(auxv, &n, AT_MINSIGSTKSZ, c->kernel->machine->platform->fpstate_size + 1024);
	aux(auxv, &n, AT_NULL, 0);
	memcpy(w + wi, auxv, n * sizeof(u64));
	mm_set_auxv(mm, auxv, n);
	lay->start_stack = at;

	r = mm_access(mm, top - room, block, room, true, true);
	free(block);
	if (r != (s64)room)
		return r < 0 ? (int)r : -ENOMEM;
	*ret_sp = at;
	return 0;
#undef OFF
}
