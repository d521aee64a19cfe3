/*
 * The threads' own filter: from each call instruction of the handler the one call that it is for,
 * and a trap for everything else anywhere.
 *
 * Guest code can jump to these instructions with registers of its choice. It can wake and wait
 * where it likes, return to what it likes, and unmap or write-protect what is its own: nothing of
 * ours, which lies above, and nothing that it may read may it come to write, since that may be
 * shared with others.
 */
#include "platform/systrap/systrap.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>

STUB_BLOB_SYM(systrap_wake_site);
STUB_BLOB_SYM(systrap_wait_site);
STUB_BLOB_SYM(systrap_return_site);
STUB_BLOB_SYM(systrap_unmap_site);
STUB_BLOB_SYM(systrap_protect_site);

#define DATA(field) offsetof(struct seccomp_data, field)
#define ARG_LOW(n)  (DATA(args) + 8 * (n))
#define ARG_HIGH(n) (ARG_LOW(n) + 4)

struct test {
	u32 at;    /* the word of seccomp_data */
	u16 jump;  /* what it must be: BPF_JEQ, or must not be: BPF_JGT, BPF_JSET */
	bool only; /* not a condition of its own: the next one holds only if this does */
	u32 k;
};

/* No longer than STUB_EDIT_MAX, and ends at or below the blob. */
#define BELOW_STUB                                                                     \
	{ARG_HIGH(1), BPF_JEQ, false, 0}, {ARG_LOW(1), BPF_JGT, false, STUB_EDIT_MAX}, \
		{ARG_HIGH(0), BPF_JGT, false, (u32)(STUB_BASE >> 32)},                 \
		{ARG_HIGH(0), BPF_JEQ, true, (u32)(STUB_BASE >> 32)},                  \
	{                                                                              \
		ARG_LOW(0), BPF_JGT, false, (u32)(STUB_BASE - STUB_EDIT_MAX)           \
	}

u32 st_guest_filter(struct sock_filter *f)
{
	const struct {
		const u8 *site;
		u32 nr;
		struct test tests[6];
	} sites[] = {
		{stub_blob_systrap_wake_site, SYS_futex, {{ARG_LOW(1), BPF_JEQ, false, 1}}},
		{stub_blob_systrap_wait_site, SYS_futex, {{ARG_LOW(1), BPF_JEQ, false, 0}}},
		{stub_blob_systrap_return_site, SYS_rt_sigreturn, {{0}}},
		{stub_blob_systrap_unmap_site, SYS_munmap, {BELOW_STUB}},
		{stub_blob_systrap_protect_site,
	         SYS_mprotect,
	         {BELOW_STUB, {ARG_LOW(2), BPF_JSET, false, ~(u32)(PROT_READ | PROT_EXEC)}}},
	};
	u32 n = 0;

#define EMIT(...) f[n++] = (struct sock_filter)__VA_ARGS__
	for (u32 i = 0; i < ARRAY_SIZE(sites); i++) {
		const u64 ip = STUB_ADDR(sites[i].site);
		const struct test head[] = {
			{DATA(instruction_pointer), BPF_JEQ, false, (u32)ip},
			{DATA(instruction_pointer) + 4, BPF_JEQ, false, (u32)(ip >> 32)},
			{DATA(arch), BPF_JEQ, false, AUDIT_ARCH_X86_64},
			{DATA(nr), BPF_JEQ, false, sites[i].nr},
		};
		u32 n_tests = ARRAY_SIZE(head);

		for (u32 k = 0; k < ARRAY_SIZE(sites[i].tests); k++)
			n_tests += sites[i].tests[k].jump != 0;
		for (u32 k = 0; k < n_tests; k++) {
			const struct test *t = k < ARRAY_SIZE(head)
			                               ? &head[k]
			                               : &sites[i].tests[k - ARRAY_SIZE(head)];
			/* Over the next test, or over the others and the way out. */
			u8 skip = t->only ? 2 : (u8)(2 * (n_tests - k - 1) + 1);
			bool equal = t->jump == BPF_JEQ;

			EMIT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, t->at));
			EMIT(BPF_JUMP(BPF_JMP | t->jump | BPF_K, t->k, equal ? 0 : skip,
			              equal ? skip : 0));
		}
		EMIT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	}
	EMIT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP));
#undef EMIT
	return n;
}
