#pragma once
/*
 * The systrap platform, private parts: a context runs as a thread of the stub of its address space
 * (a vehicle). System calls and faults become signals in that thread; the host's kernel writes its
 * registers into a frame on a stack that we share, and a word beside it says whose turn it is.
 *
 * Locking: an aspace's list of vehicles is under its stub's lock. A context belongs to its owner
 * thread, but what kick reads. A vehicle belongs to the context that has it. Lifetime: a vehicle
 * has one reference from its aspace and one from its context. Saved: never.
 */
#include "platform/platform.h"
#include "platform/stub/stub.h"
#include "platform/systrap/code.h"
#include "platform/systrap/slot.h"

#include <bsd/sys/queue.h>

struct st_platform {
	struct platform base;
	struct stub_host *host;
	int slots_fd;      /* memfd of all slots, mapped into each stub slot by slot */
	u8 *slots;         /* immutable; the same, mapped whole */
	struct mutex lock; /* RANK_PLATFORM: the next six, busy and dead of vehicles */
	u32 *free;         /* slots */
	u32 n_free, n_used;
	LIST_HEAD(, st_aspace) pool; /* released, without anything of the guest's */
	u32 n_pool;
	struct st_pristine *pristine; /* immutable once set */
	int code_fd;                  /* memfd of all blocks of rewritten code */
	u8 *code;                     /* immutable; the same, mapped whole */
	u32 *free_blocks;             /* under lock, with the next two */
	u32 n_free_blocks, n_used_blocks;
	/* Immutable: cores that we may use, and what a loop of pauses makes of time. */
	unsigned ncpu;
	u32 tsc_per_us, looks_per_us;
};

struct st_vehicle {
	LIST_ENTRY(st_vehicle) link; /* of the aspace; under the stub's lock */
	struct st_aspace *as;        /* valid unless dead */
	struct st_platform *platform;
	pid_t pid, tid; /* immutable */
	u32 index;      /* of its slot; ST_NO_SLOT: somebody else's now */
	struct slot *slot;
	u64 slot_addr; /* immutable: where the stub sees the slot */
	atomic_uint refs;
	atomic_bool dead; /* of an aspace that was released; set under the platform's lock */
	bool busy;        /* under the platform's lock */
	bool has_frame;   /* it has trapped and waits for its turn */
	/* The frame that was checked, and where its parts are in the slot. */
	u64 frame;
	u32 uc_off, fp_off;
	u32 fp_size;       /* what the host's kernel restores */
	struct regs last;  /* the registers that are in the frame; orig_rax is nothing */
	struct regs given; /* last before that, if the thread was in our code */
	u64 gs_base;       /* what the slot has; 0 is the slot's address there */
	u32 go;            /* likewise */
	bool by_call;      /* it waits after a call, and its registers are in slot->regs */
	bool fp_saved;     /* and then its FP state is in the frame all the same */
	bool odd_segments; /* the frame has other code and stack segments than ours */
	u32 spin;          /* what the slot's word is */
	u32 placed;        /* of placement_apply; belongs to the context */
};
LIST_HEAD(st_vehicles, st_vehicle);

struct st_aspace {
	struct aspace base;
	struct stub stub;
	struct st_vehicles vehicles;
	u32 n_threads;              /* under the stub's lock */
	u32 n_busy;                 /* under the platform's lock; vehicles that contexts have */
	LIST_ENTRY(st_aspace) link; /* of the pool */
	u64 nonce;                  /* in the pool: what its threads must answer with */
	struct st_code code;
};

#define ST_NO_SLOT ~0u

/* A first frame, made by the host in a stub that had not yet run any guest code. */
struct st_pristine {
	u32 off, fp_off, fp_size; /* in the slot */
	u8 bytes[STUB_SLOT_SIZE]; /* from off on */
};

enum st_fp {
	ST_FP_CACHE,   /* fp is the only copy, to be pushed before the guest runs */
	ST_FP_BOTH,    /* fp and the vehicle agree */
	ST_FP_VEHICLE, /* the guest has run since */
};

struct st_context {
	struct context base;
	struct mutex kick_lock; /* RANK_LEAF: kick_* */
	atomic_bool kicked;
	atomic_bool in_guest;     /* written by the owner */
	pid_t kick_pid, kick_tid; /* those of v; 0: none */
	struct st_vehicle *v;
	enum st_fp fp_state;
	struct fpstate fp;
	bool edits;   /* the stub has some to show; the owner */
	u64 wait_avg; /* of the guest's turns, in TSC ticks, long ones cut off */
};

static inline struct st_platform *st_platform(struct platform *p)
{
	return container_of(p, struct st_platform, base);
}
static inline struct st_aspace *st_aspace(struct aspace *as)
{
	return container_of(as, struct st_aspace, base);
}
static inline struct st_context *st_context(struct context *c)
{
	return container_of(c, struct st_context, base);
}

/* vehicle.c: the vehicle of c in as, waiting with a frame. -EAGAIN, -ENOMEM, -ESRCH (stub dead). */
MUST_CHECK int st_vehicle_get(struct st_context *c, struct st_aspace *as);
/* The context that the calling thread runs, if it runs in as and nothing else does; else NULL. */
struct st_context *st_alone(struct st_aspace *as);
/* Gives c's vehicle up, for others to take. FP state must have been fetched. */
void st_vehicle_drop(struct st_context *c);
/* The stub was killed: no vehicle of as is used any more. */
void st_vehicles_end(struct st_aspace *as);
/* Takes as's vehicles from the contexts that have them. -ENOMEM, -EBUSY: one is not ours. */
MUST_CHECK int st_vehicles_detach(struct st_aspace *as);

/* pool.c: takes as, which nobody uses, into the pool; false: it must be destroyed. */
bool st_pool_put(struct st_platform *p, struct st_aspace *as);
/* One whose threads have shown that they wait in our code with nothing of their past, or NULL. */
struct st_aspace *st_pool_get(struct st_platform *p);
/* Destroys what is in the pool. */
void st_pool_drain(struct st_platform *p);
/* Kills and frees as. */
void st_aspace_destroy(struct st_aspace *as);
/* Keeps a copy of v's first frame if it can be trusted. The stub runs nothing else. */
void st_pristine_take(struct st_platform *p, struct st_vehicle *v);

/* guest_filter.c: what guest threads add to the stub's filter, at most CTRL_GUEST_INSNS. Returns
 * its length. */
u32 st_guest_filter(struct sock_filter *ret_prog);

/* edits.c: see platform.h. */
MUST_CHECK int st_unmap_soon(struct aspace *a, u64 addr, u64 len, u64 *ret_ticket);
MUST_CHECK int st_protect_soon(struct aspace *a, u64 addr, u64 len, int prot);
bool st_settled(struct aspace *a, u64 ticket);
/* Tells c's vehicle, which is about to get its turn, of the edits. */
void st_edits_show(struct st_context *c);
/* What it was told may not have been done. */
void st_edits_again(struct st_context *c);

/* handover.c: hands the turn to the guest. */
void st_give(struct st_platform *p, struct st_vehicle *v);
/* The same for a vehicle that may sleep or not: wakes it anyway. */
void st_give_and_wake(struct st_vehicle *v);
/* Its turn will not come soon: it need not look for it. */
void st_let_rest(struct st_vehicle *v);
/* Waits for the turn. 0, or -ESRCH if the stub is dead; it is killed if it did not react to a kick
 * in time, or played with the state. c is NULL for a first frame. */
MUST_CHECK int st_await(struct st_platform *p, struct st_context *c, struct st_vehicle *v);
/* Whether it is our turn; waits up to ms for it. */
bool st_is_ours(const struct slot *slot);
bool st_await_ms(struct st_vehicle *v, u32 ms);
bool st_stub_ended(const struct stub *s);
/* Measures what spinning costs. */
void st_calibrate(struct st_platform *p);

/* frame.c: finds and checks the frame after a turn. -EBADMSG: the guest spoiled it. */
MUST_CHECK int st_frame_take(struct st_vehicle *v);
void st_frame_get(const struct st_platform *p, struct st_vehicle *v, struct regs *ret_regs,
                  struct exit_info *ret_exit);
/* regs are clean (regs_clean), and rip is canonical. new_fp: st_frame_set_fp was called. */
void st_frame_set(struct st_vehicle *v, const struct regs *regs, bool new_fp);
/* Puts the pristine frame with these registers in the place of all that the slot holds. */
void st_frame_reset(const struct st_platform *p, struct st_vehicle *v, const struct regs *regs);
void st_frame_get_fp(struct st_platform *p, struct st_vehicle *v, struct fpstate *ret_fp);
void st_frame_set_fp(struct st_platform *p, struct st_vehicle *v, const struct fpstate *fp);
/* Makes c->fp up to date: what the vehicle has, or a fresh state if that is gone. */
void st_fp_pull(struct st_context *c);
