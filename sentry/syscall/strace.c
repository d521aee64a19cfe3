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

#define LINE 2000

/* The call of this host thread's task. */
static __thread struct {
	char text[LINE];  /* what was known when it began */
	unsigned shown;   /* arguments in it */
	bool interrupted; /* as unfinished */
} mine;

/* Whose call was the last to begin, and is still unfinished and unwritten. */
static struct {
	pthread_mutex_t lock;
	u32 tid; /* 0: nobody's */
	const char *text;
	bool *interrupted;
} open_line = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* The lock is held: whoever's call is open yields to another line. */
static void break_open_line(u32 tid)
{
	if (!open_line.tid || open_line.tid == tid)
		return;
	log_line(LOG_ERR, "strace", "[pid %5u] %s <unfinished ...>", open_line.tid, open_line.text);
	*open_line.interrupted = true;
	open_line.tid = 0;
}

static void name_of(struct task *t, char *buf, size_t size)
{
	const char *name = syscall_name(t->sysno);

	if (name)
		snprintf(buf, size, "%s", name);
	else
		snprintf(buf, size, "syscall_%#llx", (unsigned long long)t->sysno);
}

void strace_enter(struct task *t, const struct syscall_entry *e, const struct sysargs *a)
{
	struct words w = {mine.text, 0, sizeof(mine.text)};
	struct call k = {.c = &t->ctx, .a = a};
	char name[32];
	bool more;

	name_of(t, name, sizeof(name));
	if (t->ctx.restart.active) {
		words_add(&w, "restart_syscall(<... resuming interrupted %s ...>", name);
		mine.shown = 6;
	} else {
		words_add(&w, "%s(", name);
		mine.shown = strace_args(&w, &k, strace_spec(t->sysno), 0, &more);
	}
	mine.interrupted = false;
	pthread_mutex_lock(&open_line.lock);
	break_open_line(t->tid);
	open_line.tid = t->tid;
	open_line.text = mine.text;
	open_line.interrupted = &mine.interrupted;
	pthread_mutex_unlock(&open_line.lock);
}

static void result(struct words *w, struct task *t, long ret)
{
	const char *name;

	switch (ret) {
	case -ERESTARTSYS:
		words_add(w, "? ERESTARTSYS (To be restarted if SA_RESTART is set)");
		return;
	case -ERESTARTNOINTR:
		words_add(w, "? ERESTARTNOINTR (To be restarted)");
		return;
	case -ERESTARTNOHAND:
		words_add(w, "? ERESTARTNOHAND (To be restarted if no handler)");
		return;
	case -ERESTART_RESTARTBLOCK:
		words_add(w, "? ERESTART_RESTARTBLOCK (Interrupted by signal)");
		return;
	}
	if (t->sysno == SYS_exit || t->sysno == SYS_exit_group) {
		words_add(w, "?");
	} else if (ret < 0 && ret > -4096) {
		name = strerrorname_np((int)-ret);
		words_add(w, "-1 %s (%s)", name ? name : "E?", strerror((int)-ret));
	} else if (strncmp(strace_spec(t->sysno), "X:", 2) == 0) {
		words_add(w, "%#lx", ret);
	} else {
		words_add(w, "%ld", ret);
	}
}

void strace_exit(struct task *t, const struct syscall_entry *e, const struct sysargs *a, long ret)
{
	struct call k = {.c = &t->ctx, .a = a, .ret = ret, .ended = true};
	char text[LINE], name[32];
	struct words w = {text, 0, sizeof(text)};
	bool more, interrupted;

	text[0] = 0;
	/* execve has another memory by now. */
	if (!t->ctx.mm || (t->sysno == SYS_execve && ret == 0))
		k.c = NULL;
	strace_args(&w, &k, strace_spec(t->sysno), mine.shown, &more);
	words_add(&w, ") = ");
	result(&w, t, ret);
	name_of(t, name, sizeof(name));
	pthread_mutex_lock(&open_line.lock);
	break_open_line(t->tid);
	if (open_line.tid == t->tid)
		open_line.tid = 0;
	interrupted = mine.interrupted;
	if (interrupted)
		log_line(LOG_ERR, "strace", "[pid %5u] <... %s resumed>%s", t->tid, name, text);
	else
		log_line(LOG_ERR, "strace", "[pid %5u] %s%s", t->tid, mine.text, text);
	pthread_mutex_unlock(&open_line.lock);
}

void strace_signal_taken(struct task *t, const siginfo_t *info)
{
	char text[200];
	struct words w = {text, 0, sizeof(text)};

	words_add(&w, "--- ");
	strace_signal(&w, info->si_signo);
	words_add(&w, " {si_signo=");
	strace_signal(&w, info->si_signo);
	words_add(&w, ", si_code=%d, ", info->si_code);
	if (info->si_code > 0 && info->si_signo != SIGCHLD)
		words_add(&w, "si_addr=%p} ---", info->si_addr);
	else
		words_add(&w, "si_pid=%d, si_uid=%u} ---", info->si_pid, info->si_uid);
	pthread_mutex_lock(&open_line.lock);
	break_open_line(t->tid);
	log_line(LOG_ERR, "strace", "[pid %5u] %s", t->tid, text);
	pthread_mutex_unlock(&open_line.lock);
}

void syscall_describe(struct task *t, char *buf, size_t size)
{
	const struct regs *r = &t->regs;
	const struct sysargs args = {{r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9}};
	struct words w = {buf, 0, size};
	/* Not its own thread: its memory is not ours to look at. */
	struct call k = {.a = &args};
	char name[32];
	bool more;

	buf[0] = 0;
	name_of(t, name, sizeof(name));
	words_add(&w, "%s(", name);
	if (strace_args(&w, &k, strace_spec(t->sysno), 0, &more) && more) {
		k.ended = true;
		k.ret = -1;
		w.n = 0;
		words_add(&w, "%s(", name);
		strace_args(&w, &k, strace_spec(t->sysno), 0, &more);
	}
	words_add(&w, ")");
}
