#pragma once
/*
 * Host threads of tasks, and stopping all of them: pause, checkpoint, autosave, teardown.
 *
 * Every task's host thread runs task_run_loop. Stopping sets a flag and interrupts every task; a
 * thread parks at the top of its loop, between two run states, holding no lock and no reference
 * that is not in its task. When all are parked the object graph is at rest and may be saved.
 *
 * Locking: runtime lock (RANK_KERNEL_STATE). Lifetime: runtime belongs to its kernel.
 * Saved: no.
 */
#include "sentry/kernel/task.h"

struct kernel_runtime;

struct kernel_runtime *kernel_runtime_new(void);
/* Drops the kernel's hold; threads that are still ending keep it. NULL is fine. */
void kernel_runtime_free(struct kernel_runtime *rt);

/* A host thread for the task; counted until it ends. -EAGAIN when the host has no more threads. */
MUST_CHECK int runtime_start_task(struct task *t);
/* Starts the threads of every live task of a loaded kernel, which is paused then: kernel_resume
 * lets them go. */
MUST_CHECK int kernel_start_all(struct kernel *k);
/* Parks the caller while the kernel stops. False: the kernel is being torn down, end the thread. */
bool runtime_park(struct task *t);

/*
 * Stops everything: returns when every task is parked, timers included. Nested pauses count.
 * timeout_ns < 0: wait for ever. -ETIMEDOUT names the culprit in the log and undoes the stop.
 */
MUST_CHECK int kernel_pause(struct kernel *k, s64 timeout_ns);
void kernel_resume(struct kernel *k);
bool kernel_is_paused(struct kernel *k);
/* With everything paused: ends every host thread and waits for them. Their tasks stay as they are.
 */
void kernel_stop_threads(struct kernel *k);

/* The supervisor's wait: what it is needed for next. */
enum kernel_event {
	KERNEL_EXITED,
	KERNEL_AUTOSAVE,
	KERNEL_NOTE, /* kernel_take_note has something */
	KERNEL_POKED
};
enum kernel_event kernel_wait_event(struct kernel *k);
/* The last task is gone / somebody else (control) wants the supervisor to look. */
void kernel_poke(struct kernel *k);
/* Something about a process that the supervisor passes on. */
enum note_kind {
	NOTE_EXEC_ENDED, /* one that an exec brought in; status is that of wait(2) */
	NOTE_STOPPED     /* the container's first process */
};
struct kernel_note {
	TAILQ_ENTRY(kernel_note) link;
	enum note_kind kind;
	u64 exec_id;
	int status;
};
/* No lock of RANK_KERNEL_STATE or lower held. */
void kernel_note(struct kernel *k, enum note_kind kind, u64 exec_id, int status);
/* The oldest note; false: there is none. */
bool kernel_take_note(struct kernel *k, struct kernel_note *ret);
/* From a task at a step's end: asks the supervisor for a save and reload, and parks until then. */
void kernel_request_autosave(struct kernel *k);
