#pragma once
/*
 * The ptrace platform, private parts: a context runs as a thread of the stub of its address space
 * (a vehicle), traced by the thread that owns the context, its system calls stopped by
 * PTRACE_SYSEMU.
 *
 * Locking: an aspace's list of vehicles is under its stub's lock. A context belongs to its owner
 * thread except kick_lock's fields, and a vehicle to the context that has it.
 * Lifetime: a vehicle has one reference from its aspace and one from its context; the struct stays
 * while either does. Saved: never.
 */
#include "platform/platform.h"
#include "platform/stub/stub.h"

#include <bsd/sys/queue.h>

struct pt_platform {
	struct platform base;
	struct stub_host *host;
	atomic_uint xstate_size; /* of the host's own XSAVE image, as ptrace wants it; 0: not known
	                            yet */
};

struct pt_vehicle {
	LIST_ENTRY(pt_vehicle) of_aspace;  /* under the stub's lock */
	LIST_ENTRY(pt_vehicle) of_context; /* the context's owner */
	LIST_ENTRY(pt_vehicle) of_thread;  /* the owner: what this thread traces */
	struct pt_aspace *as;              /* valid unless dead */
	pid_t pid, tid;                    /* immutable */
	u32 slot;                          /* immutable */
	atomic_uint refs;
	atomic_bool dead;   /* its aspace was released, or its stub ended */
	atomic_bool busy;   /* some context has it; set under the stub's lock */
	atomic_bool traced; /* set and cleared by the owner thread */
	u32 placed;         /* of placement_apply; the owner */
	struct regs last;   /* the registers that it has now */
};
LIST_HEAD(pt_vehicles, pt_vehicle);

struct pt_aspace {
	struct aspace base;
	struct stub stub;
	struct pt_vehicles vehicles;
	u32 n_slots;
};

enum pt_fp {
	PT_FP_CACHE,   /* fp is the only copy, to be pushed before the guest runs */
	PT_FP_BOTH,    /* fp and the vehicle agree */
	PT_FP_VEHICLE, /* the guest has run since */
};

struct pt_context {
	struct context base;
	struct mutex kick_lock; /* RANK_LEAF: the next three */
	bool kicked;
	pid_t running_pid, running_tid; /* 0: not in the guest */
	struct pt_vehicles vehicles;
	struct pt_vehicle *current; /* where the guest ran last, NULL if that is gone */
	enum pt_fp fp_state;
	struct fpstate fp;
};

/* Delivered to a vehicle to make it stop; does nothing to one that is not traced. */
#define PT_KICK SIGURG

static inline struct pt_platform *pt_platform(struct platform *p)
{
	return container_of(p, struct pt_platform, base);
}
static inline struct pt_aspace *pt_aspace(struct aspace *as)
{
	return container_of(as, struct pt_aspace, base);
}
static inline struct pt_context *pt_context(struct context *c)
{
	return container_of(c, struct pt_context, base);
}

/* The vehicle of c in as, traced by the calling thread and stopped. -EAGAIN, -ENOMEM; -ESRCH if the
 * stub is dead. */
MUST_CHECK int pt_vehicle_get(struct pt_context *c, struct pt_aspace *as, struct pt_vehicle **ret);
/* Gives up every vehicle of c: parked for others if the caller traces it. */
void pt_vehicles_drop(struct pt_context *c);
/* The aspace's side of its end: kills the stub and reaps what is traced of it. */
void pt_vehicles_end(struct pt_aspace *as);
/* For the tracer, when it has reaped v. */
void pt_vehicle_died(struct pt_vehicle *v);

/* ptrace(2) on v by its tracer. 0, or -ESRCH if it was killed. */
MUST_CHECK int pt_get_regs(struct pt_vehicle *v, struct regs *ret_regs, u64 *ret_cs);
MUST_CHECK int pt_set_regs(struct pt_vehicle *v, const struct regs *regs);
MUST_CHECK int pt_get_fp(struct pt_platform *p, struct pt_vehicle *v, struct fpstate *ret_fp);
MUST_CHECK int pt_set_fp(struct pt_platform *p, struct pt_vehicle *v, const struct fpstate *fp);
/* Waits for the next stop of v: its wait status, or -ESRCH when it ended. */
MUST_CHECK int pt_wait(struct pt_vehicle *v);

/* What the x86 exception behind the signal stop of v was; v->last are the guest's registers. Moves
 * v into the blob and spoils its registers and FP state, which the caller puts back. */
struct pt_trap {
	u64 error_code, trapno;
};
MUST_CHECK int pt_read_trap(struct pt_vehicle *v, int signo, struct pt_trap *ret_trap);

/* Makes c->fp up to date. */
MUST_CHECK int pt_fp_pull(struct pt_context *c);
void pt_kick(struct context *c);
int pt_switch(struct context *c, struct aspace *as, struct regs *regs, struct exit_info *ret_exit);
