#pragma once
/*
 * System calls without a trap: hot call sites of the guest are rewritten into jumps to a thunk, a
 * few instructions made for the site, which goes on to the blob's entry for calls (guest.S). The
 * guest's memory stays as it is: what is rewritten is a copy of the page, which the stub has in its
 * place. Only pages that cannot change while they are mapped are copied: private mappings of files.
 *
 * Two kinds of sites (the jump takes five bytes, a call instruction two):
 *
 *   mov $nr, %eax; syscall    the jump is in the place of the mov. The call instruction stays, for
 *                             threads that are about to execute it and jumps that lead to it.
 *   syscall; cmp $imm, %rax   (or %eax) the jump is over the call and a part of the cmp, and the
 *                             thunk makes the comparison. The thunk's address is chosen so that
 *                             the bytes behind the place of the call are no instruction: who comes
 *                             there traps, and is sent to the thunk's comparison.
 *
 * The entry finds the thread's slot by the gs base. In a guest that wants one of its own nothing is
 * rewritten.
 *
 * Locking: lock (RANK_CODE) is held around everything that changes what the stub has mapped, and
 * guards what is not atomic; sites is appended to under it and read without. Lifetime: of the
 * address space. Saved: never; an image has the guest's own bytes.
 */
#include "platform/stub/ranges.h"
#include "state/base/lock.h"

struct st_platform;
struct st_aspace;
struct st_context;
struct regs;
struct exit_info;

#define ST_MAX_SITES  160u
#define ST_HOT_SLOTS  32u
#define ST_MAX_COPIES 48u
#define ST_N_PLACES   2u /* STUB_CODE, STUB_CODE_LOW */

struct st_site {
	u64 start; /* of the jump */
	u64 ret;   /* behind the call */
	u64 next;  /* where the thunk's comparison leads; ret if it has none */
	u64 thunk; /* address in the stub */
	u64 tail;  /* of the comparison, 0: none */
	u32 nr;    /* in eax at the call, if the site says so, else 0 */
	u32 cmp_len;
};

struct st_code {
	struct mutex lock;
	atomic_bool off;            /* written under lock; for good */
	struct ranges text;         /* under lock; what may be rewritten */
	u32 block;                  /* under lock; ST_NO_BLOCK */
	u64 copies_used;            /* under lock; bits */
	u64 copy_of[ST_MAX_COPIES]; /* under lock; guest address */
	struct {
		bool shown;    /* mapped in the stub */
		u32 next;      /* where the search for a place begins */
		u64 used[16];  /* bits */
	} thunks[ST_N_PLACES]; /* under lock */
	_Atomic u32 n_sites;
	_Atomic u64 rets; /* bits: which low six bits the ret of sites with a comparison have */
	struct st_site sites[ST_MAX_SITES];
	/* How often a call trapped; guesses. */
	_Atomic u64 hot_rip[ST_HOT_SLOTS];
	_Atomic u32 hot[ST_HOT_SLOTS];
};

#define ST_NO_BLOCK ~0u

/* The memory for all; -ENOMEM. */
MUST_CHECK int st_code_create(struct st_platform *p);
void st_code_destroy(struct st_platform *p);

void st_code_init(struct st_code *c);
/* The stub is gone. */
void st_code_finish(struct st_platform *p, struct st_code *c);
/* Nothing of the guest's is mapped in the stub any more, and no thread of it is a guest's. */
void st_code_reset(struct st_code *c);

/* The mappings of [start, end) change: nothing is rewritten there any more. With unmap what was is
 * gone from the stub, too, and faults back in as it is. The lock is held. */
void st_code_forget(struct st_aspace *as, u64 start, u64 end, bool unmap);
/* [start, end) is a private mapping of a file that cannot be written to. The lock is held. */
void st_code_text(struct st_aspace *as, u64 start, u64 end);
/* Rewrites nothing more, and takes back what was. */
void st_code_stop(struct st_aspace *as);

/* A call trapped, with rip behind it: counts, and rewrites the site when it is hot. */
void st_code_trapped(struct st_aspace *as, u64 rip);
/* Where a thread goes on that is to go on at rip. */
u64 st_code_resume(const struct st_code *c, u64 rip);
/* c's vehicle trapped in code of ours, or because of it: makes of it what the guest did. */
void st_code_settle(struct st_context *c, struct regs *r, struct exit_info *e);
