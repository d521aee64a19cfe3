#pragma once
/*
 * Signal actions of a thread group (sigaction(2)); shared between groups by CLONE_SIGHAND.
 *
 * Locking: own lock (RANK_LEAF). Lifetime: refcounted object. Saved: all actions.
 */
#include "sentry/kernel/signal.h"
#include "state/base/lock.h"
#include "state/object.h"

struct sighand {
	struct obj obj;
	struct mutex lock;
	struct ksigaction action[SIGNAL_MAX];
};
OBJECT_DECL(sighand);

/* Default actions; signal N is ignored if bit N-1 is set. */
struct sighand *sighand_new(u64 ignored);
struct sighand *sighand_copy(struct sighand *s);
struct ksigaction sighand_get_action(struct sighand *s, int signo);
/* Returns the old action. */
struct ksigaction sighand_set_action(struct sighand *s, int signo, const struct ksigaction *act);
/* SA_RESETHAND: back to the default if the action is still act. */
void sighand_reset(struct sighand *s, int signo);
/* execve: handlers become the default, ignored stays ignored. */
void sighand_exec(struct sighand *s);
