#pragma once
/*
 * The inside of semaphore sets, for sem.c and sem_ctl.c.
 *
 * Locking: the namespace's lock guards all of it; *_locked wants it. Lifetime: of the set's. Saved:
 * as sem_set.
 */
#include "sentry/ipc/ipc.h"

#include <sys/sem.h>

#define VALUE_MAX 32767
#define SEMS_MAX  32000 /* of a set */
#define OPS_MAX   500u
#define UNDOS_MAX 65536u
/* Of the whole namespace; of a set: what the undos of all processes come to. */
#define SEMS_TOTAL  (1u << 20)
#define ADJUSTS_MAX (1u << 22)

struct sem_value {
	u16 val;
	u32 pid;
};
struct sem_undo {
	TAILQ_ENTRY(sem_undo) link;
	u32 tgid;
	s16 *adjust; /* one per semaphore; owned */
};
/* One call that waits, on its stack; num and zero: for which semaphore and what. */
struct sem_waiter {
	TAILQ_ENTRY(sem_waiter) link;
	u16 num;
	bool zero;
};
struct sem_set {
	struct ipc_object object;
	s64 otime;
	struct sem_value *sems;
	u32 n;
	TAILQ_HEAD(, sem_undo) undos;
	u32 n_undos;
	TAILQ_HEAD(, sem_waiter) waiting;
};

/* The set of this id, or NULL. */
struct sem_set *sem_find_locked(struct ipcns *ns, s32 id);
