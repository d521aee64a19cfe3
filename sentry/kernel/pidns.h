#pragma once
/*
 * The pid table: which task, process group and session has which number.
 *
 * Locking: kernel->tasks_lock. Lifetime: the kernel's. Saved: the tasks (owned) and the last number
 * handed out; groups and sessions are found again through their members.
 */
#include "sentry/kernel/task.h"

#define PID_MAX 32768u

struct pid_slot {
	struct task *task;       /* owned until reaped */
	struct pgrp *pgrp;       /* weak: registered while it lives */
	struct session *session; /* weak */
};
struct pidns {
	struct obj obj;
	u32 last_pid;
	u32 n_tasks;
	struct pid_slot *slots;    /* PID_MAX of them */
	struct thread_group *init; /* weak: reaps orphans */
};
OBJECT_DECL(pidns);

struct pidns *pidns_new(void);
/* All with tasks_lock held. */
/* A free number, or want if that is free. -EAGAIN when all are taken, -EEXIST. */
MUST_CHECK int pid_alloc_locked(struct pidns *ns, u32 want, u32 *ret);
struct task *pid_task_locked(struct pidns *ns, u32 tid);
/* Enters the task under its tid (a reference is taken) / takes it out (and drops it). */
void pid_add_locked(struct pidns *ns, struct task *t);
struct task *pid_remove_locked(struct pidns *ns, u32 tid);
