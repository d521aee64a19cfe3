#pragma once
/*
 * Waiting for children (wait(2)), and taking dead ones out of the tree.
 *
 * Locking: kernel->tasks_lock. Lifetime, saved: no state of its own; a waiting task makes its call
 * again after a restore.
 */
#include "sentry/kernel/task.h"

enum wait_kind {
	WAIT_ALL,
	WAIT_PID,
	WAIT_PGRP,
	WAIT_GROUP /* exactly this one, whatever has its number: a pidfd's */
};
struct wait_request {
	enum wait_kind kind;
	u32 id;
	struct thread_group *group; /* borrowed */
	int options; /* WNOHANG, WEXITED, WSTOPPED, WCONTINUED, WNOWAIT, __WALL, __WCLONE */
};
struct wait_result {
	u32 pid; /* 0: nothing yet (WNOHANG) */
	u32 uid;
	int code;    /* CLD_* */
	int status;  /* exit code or signal, as in siginfo */
	int wstatus; /* wait(2)'s form */
	struct rusage usage;
};
/* 0, -ECHILD, -ERESTARTSYS. */
MUST_CHECK int task_wait_child(struct task *t, const struct wait_request *req,
                               struct wait_result *ret);
/* Takes a zombie group out of the tree; the caller drops the returned leader after tasks_lock. */
struct task *thread_group_reap_locked(struct thread_group *tg, bool waited);
