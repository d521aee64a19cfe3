#pragma once
/*
 * Restartable sequences (rseq(2)).
 *
 * A core number in an rseq area promises that no other thread with the same number runs at the same
 * time. A sandbox can't see when the host preempts a guest thread, so every thread of a process
 * that registers gets a number of its own while there are enough; one that comes late has none
 * (RSEQ_CPU_ID_UNINITIALIZED), and its users fall back to getcpu(2) and to locks. So a section is
 * aborted by signals only.
 *
 * Locking: the caller is the task itself; numbers are chosen under tasks_lock.
 * Lifetime: the task's. Saved: through the task.
 */
#include "sentry/kernel/task.h"

MUST_CHECK int rseq_register(struct task *t, u64 addr, u32 len, u32 sig);
MUST_CHECK int rseq_unregister(struct task *t, u64 addr, u32 len, u32 sig);
/* The caller's affinity has changed: another number may be due. */
void rseq_affinity_changed(struct task *t);
/* Before a handler's frame is built: a section that the signal interrupts goes to its abort
 * handler. Forces SIGSEGV if the guest's description of the section is no good. */
void rseq_signal_fixup(struct task *t, int signo);

/* A core that the task may be on, for getcpu(2); agrees with its rseq area. */
u32 task_cpu(struct task *t);
