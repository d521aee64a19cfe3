/*
 * --strace: every call with its arguments and result, in the log, as strace -f prints them. A line
 * is written when its call ends; if another task has something to say before that, what is known
 * is written as "<unfinished ...>" and the rest later as "<... resumed>".
 */
#define LOG_SUBSYSTEM "strace"
#include "sentry/syscall/dispatch.h"
#include "sentry/syscall/strace_impl.h"

#include "sentry/kernel/task_run.h"
#include "state/base/cleanup.h"
#include "state/base/log.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define LINE   8192
#define RESULT 2048
#define COLUMN 40 /* where results begin, if the call is shorter */

/* The call of this host thread's task. */
static __thread struct {
	char text[LINE];  /* what was known when it began */
	unsigned shown;   /* arguments in it */
	bool interrupted; /* as unfinished */
	bool by_restart;  /* it ended in a way that restart_syscall goes on from */
	u64 before[STRACE_ARGS];
} mine;

/* Whose call was the last to begin, and is still unfinished and unwritten. */
static struct {
	pthread_mutex_t lock;
	u32 tid; /* 0: nobody's */
	const char *text;
	bool *interrupted;
} open_line = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void write_line(struct words *w)
{
	log_text(LOG_ERR, LOG_SUBSYSTEM, w->s, w->n);
}

static struct words line_of(char *buf, u32 tid)
{
	struct words w = {buf, 0, LINE + 64};

	words_add(&w, "[pid %5u] ", tid);
	return w;
}

/* The lock is held: whoever's call is open yields to another line. */
static void break_open_line(u32 tid)
{
	char buf[LINE + 64];
	struct words w;

	if (!open_line.tid || open_line.tid == tid)
		return;
	w = line_of(buf, open_line.tid);
	words_add(&w, "%s <unfinished ...>", open_line.text);
	write_line(&w);
	*open_line.interrupted = true;
	open_line.tid = 0;
}

static void name_of(u64 nr, char *buf, size_t size)
{
	const char *name = syscall_name(nr);

	if (name)
		snprintf(buf, size, "%s", name);
	else
		snprintf(buf, size, "syscall_%#llx", (unsigned long long)nr);
}

static struct call call_of(struct task *t, const struct sysargs *a)
{
	return (struct call){.c = &t->ctx, .nr = t->sysno, .a = a, .sp = t->regs.rsp};
}

void strace_enter(struct task *t, const struct sysargs *a)
{
	struct words w = {mine.text, 0, sizeof(mine.text)};
	struct call k = call_of(t, a);
	const char *spec = strace_spec(t->sysno, a);
	char name[32];
	bool more;

	name_of(t->sysno, name, sizeof(name));
	strace_remember(&k, spec, mine.before);
	if (t->ctx.restart.active && mine.by_restart) {
		words_add(&w, "restart_syscall(<... resuming interrupted %s ...>", name);
		mine.shown = STRACE_ARGS;
	} else {
		words_add(&w, "%s(", name);
		mine.shown = strace_args(&w, &k, spec, 0, &more);
	}
	mine.interrupted = false;
	pthread_mutex_lock(&open_line.lock);
	break_open_line(t->tid);
	open_line.tid = t->tid;
	open_line.text = mine.text;
	open_line.interrupted = &mine.interrupted;
	pthread_mutex_unlock(&open_line.lock);
}

void strace_exit(struct task *t, const struct sysargs *a, long ret)
{
	struct call k = call_of(t, a);
	const char *spec = strace_spec(t->sysno, a);
	char buf[LINE + 64], text[LINE], result[RESULT], name[32];
	struct words rest = {text, 0, sizeof(text)}, res = {result, 0, sizeof(result)}, w;
	bool more;

	/* It returns what the frame holds. */
	if (t->sysno == SYS_rt_sigreturn && ret >= 0)
		ret = (long)t->regs.rax;
	k.ended = true;
	k.ret = ret;
	k.before = mine.before;
	text[0] = 0;
	result[0] = 0;
	/* execve has another memory by now. */
	if (!t->ctx.mm || ((t->sysno == SYS_execve || t->sysno == SYS_execveat) && ret == 0))
		k.c = NULL;
	mine.by_restart = ret == -ERESTART_RESTARTBLOCK;
	strace_args(&rest, &k, spec, mine.shown, &more);
	words_add(&rest, ")");
	/* It dies of what interrupted the call. */
	if (!READ_ONCE(t->tg->exiting) || ret > -ERESTARTSYS || ret < -ERESTART_RESTARTBLOCK)
		strace_result(&res, &k, spec);
	else
		words_add(&res, "?");
	name_of(t->sysno, name, sizeof(name));
	pthread_mutex_lock(&open_line.lock);
	break_open_line(t->tid);
	if (open_line.tid == t->tid)
		open_line.tid = 0;
	w = line_of(buf, t->tid);
	if (mine.interrupted)
		words_add(&w, "<... %s resumed>%s", name, text);
	else
		words_add(&w, "%s%s", mine.text, text);
	words_add(&w, "%*s= %s", MAX(COLUMN - (int)w.n, 1), "", result);
	write_line(&w);
	pthread_mutex_unlock(&open_line.lock);
}

/* A line about something else than a call. */
static void event(struct task *t, const char *text)
{
	char buf[LINE + 64];
	struct words w;

	pthread_mutex_lock(&open_line.lock);
	break_open_line(t->tid);
	/* Its own call, which does not end any more. */
	if (open_line.tid == t->tid)
		break_open_line(0);
	w = line_of(buf, t->tid);
	words_add(&w, "%s", text);
	write_line(&w);
	pthread_mutex_unlock(&open_line.lock);
}

void strace_signal_taken(struct task *t, const siginfo_t *info)
{
	char text[300];
	struct words w = {text, 0, sizeof(text)};

	words_add(&w, "--- ");
	strace_signal(&w, info->si_signo);
	words_add(&w, " ");
	strace_siginfo(&w, info);
	words_add(&w, " ---");
	event(t, text);
}

void strace_stopped(struct task *t, int signo)
{
	char text[60];
	struct words w = {text, 0, sizeof(text)};

	words_add(&w, "--- stopped by ");
	strace_signal(&w, signo);
	words_add(&w, " ---");
	event(t, text);
}

void strace_ended(struct task *t, int status)
{
	char text[60];
	struct words w = {text, 0, sizeof(text)};

	if (WIFSIGNALED(status)) {
		words_add(&w, "+++ killed by ");
		strace_signal(&w, WTERMSIG(status));
		words_add(&w, "%s +++", WCOREDUMP(status) ? " (core dumped)" : "");
	} else {
		words_add(&w, "+++ exited with %d +++", WEXITSTATUS(status));
	}
	event(t, text);
}

void syscall_describe(struct task *t, char *buf, size_t size)
{
	const struct regs *r = &t->regs;
	const struct sysargs args = {{r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9}};
	struct words w = {buf, 0, size};
	/* Not its own thread: its memory is not ours to look at. As if it had failed, so that all
	 * is said. */
	struct call k = {.nr = t->sysno, .a = &args, .ended = true, .ret = -1};
	char name[32];
	bool more;

	buf[0] = 0;
	name_of(t->sysno, name, sizeof(name));
	words_add(&w, "%s(", name);
	strace_args(&w, &k, strace_spec(t->sysno, &args), 0, &more);
	words_add(&w, ")");
}
