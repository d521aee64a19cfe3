#pragma once
/*
 * What one task is doing, in words, for ps and debug.
 *
 * Locking: none held. The task may go on meanwhile: what is said of it was true at some moment, of
 * parts of it at different ones. Lifetime: the caller holds the task. Saved: no.
 */
#include "sentry/kernel/task.h"

/* task_state_letter, but a task that a pause fetched out of its sleep still sleeps. */
char task_letter(struct task *t);
/* What it waits for: "read(3) pipe:[7]", "child"; empty if it does not. */
void task_waits_for(struct task *t, char *buf, size_t size);
/* Several lines: state, call, registers, where its instruction and its callers are. */
void task_in_words(struct task *t, char *buf, size_t size);
