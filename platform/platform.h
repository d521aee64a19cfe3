#pragma once
/*
 * The platform contract: address spaces, contexts, and a switch into a context that returns when
 * the guest needs its kernel. The only public header of platform/.
 *
 * Locking: each function says who may call it when. A platform takes no lock above RANK_ASPACE.
 * Lifetime: new_* to release; the platform outlives its aspaces, and an aspace outlives every
 * switch_to on it (the caller sees to that). Saved: nothing here, ever; a checkpoint drops contexts
 * and aspaces, a restore makes new ones, perhaps of another platform.
 *
 * Everything that a platform returns about the guest (registers, fault addresses, FP state) was
 * written by hostile code: any bit pattern may come out, and none may harm the sentry.
 */
#include "state/base/types.h"

struct platform;
struct aspace;
struct context;

/* General registers, in the order and meaning of the kernel's struct user_regs_struct (ptrace(2)),
 * without cs/ss/ds/es, which a 64-bit guest can't choose. orig_rax is the system call number at
 * EXIT_SYSCALL and -1 elsewhere. */
struct regs {
	u64 r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8;
	u64 rax, rcx, rdx, rsi, rdi, orig_rax;
	u64 rip, rflags, rsp;
	u64 fs_base, gs_base;
};

/* The standard (uncompacted) XSAVE layout. size is what the machine's enabled user components need
 * (CPUID 0xD.0, without AMX tile data); the same for every context of a platform. */
#define FPSTATE_MAX 4096u
struct fpstate {
	u32 size;
	u8 data[FPSTATE_MAX] __attribute__((aligned(64)));
};

enum access {
	ACCESS_READ = 1,
	ACCESS_WRITE = 2,
	ACCESS_EXEC = 4,
};

enum exit_reason {
	EXIT_SYSCALL, /* rip is past the instruction, orig_rax the number, rax = orig_rax */
	EXIT_FAULT,   /* page fault or bus error below max_user_addr: addr, access, bus */
	EXIT_SIGNAL,  /* any other trap: signo, code, trapno, addr as in siginfo */
	EXIT_KICK,    /* kick() was called; registers are those of the interrupted guest */
	EXIT_DEAD,    /* the guest broke its stub beyond use, or the host killed it */
};

struct exit_info {
	enum exit_reason reason;
	u64 addr;       /* FAULT: any 64-bit value, also non-canonical. SIGNAL: si_addr */
	u32 access;     /* FAULT: one or more of enum access */
	bool bus;       /* FAULT: the page is mapped but has nothing behind it (SIGBUS) */
	int signo;      /* SIGNAL: SIGSEGV (not a page fault), SIGFPE, SIGILL, SIGTRAP, SIGBUS */
	int code;       /* SIGNAL: si_code */
	u32 trapno;     /* x86 exception number, for the guest's sigcontext */
	u64 error_code; /* x86 error code, likewise */
};

/* What a seccomp filter must allow a process that uses this platform to call: sorted by nothing,
 * ended by nr = -1. If arg is not 0, only calls whose argument number arg (from 1) has value in its
 * low 32 bits. */
struct platform_syscall {
	int nr;
	u32 arg;
	u32 value;
};

/* One mapping of aspace_map_files. */
struct aspace_map {
	u64 addr, off, len;
	int fd, prot;
	bool shared, precommit;
};
#define ASPACE_MAPS_MAX 16u

struct platform_ops {
	const char *name; /* "ptrace", "systrap", "null", "kvm" */
	bool scripted;    /* runs what a unit test wrote down instead of guests: nobody's choice */
	/* What the sentry's own filter must allow for it. */
	const struct platform_syscall *syscalls;
	/* 0 if this machine can run it, else -errno; *ret_why is then one static line. */
	int (*probe)(const char **ret_why);
	/* Called once, before the sentry drops privileges, enters its filter or has a second
	 * thread. memfd-independent: files to map come by descriptor. */
	int (*create)(const struct platform_ops *ops, struct platform **ret);
	void (*destroy)(struct platform *p);

	int (*new_aspace)(struct platform *p, struct aspace **ret);
	/* No context may be inside switch_to on it. May be called from any thread. */
	void (*aspace_release)(struct aspace *as);
	int (*map_files)(struct aspace *as, const struct aspace_map *maps, u32 n, u32 *ret_done);
	bool (*maps)(struct aspace *as, u64 addr, u64 len);
	int (*unmap)(struct aspace *as, u64 addr, u64 len);
	int (*protect)(struct aspace *as, u64 addr, u64 len, int prot);
	/* NULL: unmap and protect serve. */
	int (*unmap_soon)(struct aspace *as, u64 addr, u64 len, u64 *ret_ticket);
	int (*protect_soon)(struct aspace *as, u64 addr, u64 len, int prot);
	bool (*settled)(struct aspace *as, u64 ticket);
	int (*pre_fork)(struct aspace *as);
	int (*post_fork)(struct aspace *as);

	/* ns of CPU time that the host gave the guest's threads in as, give or take a tick of its;
	 * -errno. May be NULL: not known. */
	s64 (*cpu_time)(struct aspace *as);

	int (*new_context)(struct platform *p, struct context **ret);
	void (*context_release)(struct context *c);
	int (*switch_to)(struct context *c, struct aspace *as, struct regs *regs,
	                 struct exit_info *ret_exit);
	void (*kick)(struct context *c);
	void (*rest)(struct context *c); /* may be NULL */
	int (*pull_fpstate)(struct context *c, struct fpstate *ret_fp);
	int (*push_fpstate)(struct context *c, const struct fpstate *fp);
};

struct platform {
	const struct platform_ops *ops;
	u64 max_user_addr; /* first address that a guest can't have; page aligned */
	u64 min_user_addr; /* as vm.mmap_min_addr */
	u32 fpstate_size;  /* immutable: struct fpstate.size of every context */
	u64 xfeatures;     /* immutable: XCR0 bits that fpstate carries */
	/* How often a system call may trap before a platform that can rewrite it does so; 0: never.
	 * Set before the first aspace. What it rewrites are copies, of mappings that are private,
	 * executable and not writable; the guest runs and sees them until the range is mapped anew,
	 * unmapped, or protected otherwise. */
	u32 rewrite_after;
};
struct aspace {
	struct platform *platform;
	_Atomic u64 charged; /* of its CPU time, by aspace_charge */
};
struct context {
	struct platform *platform;
};

/* The platform called name, or NULL. */
const struct platform_ops *platform_find(const char *name);
/* The names that users may choose from: i from 0, NULL at the end. */
const char *platform_name(unsigned i);

MUST_CHECK int platform_create(const struct platform_ops *ops, struct platform **ret);
void platform_destroy(struct platform *p);

/* A fresh, empty address space. -ENOMEM or -EAGAIN when the host has no room. Any thread. */
MUST_CHECK int aspace_create(struct platform *p, struct aspace **ret);
/* Frees it; NULL is fine. No context is inside switch_to on it, none will use it again. */
void aspace_release(struct aspace *as);

/*
 * Maps [off, off+len) of the host descriptor fd at addr, replacing what was there. Page aligned;
 * inside [min_user_addr, max_user_addr). prot is PROT_READ|WRITE|EXEC; shared chooses MAP_SHARED
 * (the memory file, writable host files) or MAP_PRIVATE (never written: clean file pages; a write
 * faults to the sentry, since prot then lacks PROT_WRITE). precommit: fill page tables now.
 * The descriptor is borrowed for the call. Any thread; may run while contexts are in the guest.
 * -ENOMEM (too many mappings), -EACCES/-EPERM (descriptor does not allow prot), -ENODEV, -ESRCH
 * (the stub is dead).
 */
MUST_CHECK int aspace_map_file(struct aspace *as, u64 addr, int fd, u64 off, u64 len, int prot,
                               bool shared, bool precommit);
/*
 * The same for n mappings, 1 to ASPACE_MAPS_MAX, in order, for little more than the price of one.
 * *ret_done: how many there are now. Less than n: the first that is missing failed with what is
 * returned, in its place is nothing, and the rest was not tried.
 */
MUST_CHECK int aspace_map_files(struct aspace *as, const struct aspace_map *maps, u32 n,
                                u32 *ret_done);
/* Something is mapped in [addr, addr+len), as far as the guest did not undo it. Any thread. */
bool aspace_maps(struct aspace *as, u64 addr, u64 len);
/* When it returns no guest thread can reach the range any more, whatever the guest does: the pages
 * behind it may be reused. Unmapped holes inside are fine. Any thread. */
MUST_CHECK int aspace_unmap(struct aspace *as, u64 addr, u64 len);
/* Changes the protection of what is mapped in the range; holes are fine. As strict as unmap: when
 * it returns no guest thread has more than prot. */
MUST_CHECK int aspace_protect(struct aspace *as, u64 addr, u64 len, int prot);
/*
 * The same, where only the guest itself depends on the effect: it is there for every thread that
 * keeps to the rules before the caller's context runs guest code again, and for one that doesn't
 * once aspace_settled says so of the ticket (0: at once), which any map_file, unmap or pre_fork
 * .. post_fork of this aspace brings about. Pages behind an unmapped range may be reused then, or
 * when the aspace is released. For the thread of a context whose last switch was to as; from others
 * it is aspace_unmap and aspace_protect.
 */
MUST_CHECK int aspace_unmap_soon(struct aspace *as, u64 addr, u64 len, u64 *ret_ticket);
MUST_CHECK int aspace_protect_soon(struct aspace *as, u64 addr, u64 len, int prot);
/* Any thread, cheap. */
bool aspace_settled(struct aspace *as, u64 ticket);
/* Around copying an address space for fork: what aspace_protect does in between may become true
 * only when post_fork returns, which then also tells its errors. The caller lets nobody else change
 * the address space meanwhile. */
MUST_CHECK int aspace_pre_fork(struct aspace *as);
MUST_CHECK int aspace_post_fork(struct aspace *as);

/* A context of as was in the guest for ns of real time: how many of them it really ran, going by
 * the CPU time that the host gave as and nobody has been charged for yet. alone: nor will anybody
 * be, since no other context runs there. A system call: not for every switch. */
MUST_CHECK u64 aspace_charge(struct aspace *as, u64 ns, bool alone);

/* A context is one guest thread's vehicle. It is used by one thread at a time (kick apart), and
 * always by the same thread: the one that first calls switch_to. */
MUST_CHECK int context_create(struct platform *p, struct context **ret);
/* From the thread that used it, or after that thread ended. NULL is fine. */
void context_release(struct context *c);

/*
 * Runs the guest from *regs until it needs its kernel; *regs are then its registers and *ret_exit
 * says why. Invalid bits in *regs (non-canonical addresses, flags the guest can't own) are cleaned
 * here. 0, or -errno when the host has no room for a stub thread (nothing ran). A context may
 * change its aspace from one call to the next (execve, vfork).
 */
MUST_CHECK int context_switch(struct context *c, struct aspace *as, struct regs *regs,
                              struct exit_info *ret_exit);
/* Any thread, any time between create and release: the current switch, or else the next one,
 * returns EXIT_KICK (or another reason that came first; then the kick is spent too). Sticky: a kick
 * is never lost in a window. */
void context_kick(struct context *c);
/* The next switch will not come soon: what waits for it awake need not. From the thread that uses
 * c, outside switch_to; cheap. */
void context_rest(struct context *c);
/* FP/vector state of the guest as of the last switch; the owner thread, outside switch_to. A
 * context that has never run has the state of a fresh process (FCW 0x37f, MXCSR 0x1f80); so may one
 * whose last aspace was released, unless this was called before. */
MUST_CHECK int context_pull_fpstate(struct context *c, struct fpstate *ret_fp);
/* Replaces it; taken over before the next instruction. Reserved bits are hostile and are cleaned:
 * XSTATE_BV outside xfeatures, MXCSR outside its mask. -EINVAL if fp->size does not match. */
MUST_CHECK int context_push_fpstate(struct context *c, const struct fpstate *fp);

/* The core, from 1, that threads of the sentry are kept on at the moment; 0: none. Whoever works
 * for them while they wait is best there. Any thread, cheap. */
u32 platform_core(void);

/* Tells the platforms how many guest threads want a core now (the sentry counts tasks that are not
 * blocked); spinning stops when it exceeds the cores. Any thread, cheap. */
void platform_runnable_add(int delta);
