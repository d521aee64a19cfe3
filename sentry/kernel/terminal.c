/* Job control: who may use a terminal, and who hears from it. */
#include "sentry/kernel/terminal.h"
#include "sentry/auth/creds.h"
#include "sentry/kernel/pidns.h"
#include "sentry/kernel/sighand.h"
#include "sentry/kernel/task_run.h"
#include "sentry/mm/usercopy.h"

#include "proto/tty.pb-c.h"
#include "state/fields.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <linux/capability.h>
#include <string.h>

void ttymodes_default(struct ttymodes *t)
{
	static const u8 cc[TTYMODES_NCCS] = {
		[VINTR] = 3,    [VQUIT] = 28,  [VERASE] = 127,  [VKILL] = 21, [VEOF] = 4,
		[VMIN] = 1,     [VSTART] = 17, [VSTOP] = 19,    [VSUSP] = 26, [VREPRINT] = 18,
		[VWERASE] = 23, [VLNEXT] = 22, [VDISCARD] = 15,
	};

	memset(t, 0, sizeof(*t));
	t->iflag = ICRNL | IXON;
	t->oflag = OPOST | ONLCR;
	t->cflag = B38400 | CS8 | CREAD;
	t->lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN;
	memcpy(t->cc, cc, sizeof(cc));
	t->ispeed = t->ospeed = 38400;
}

/* ---- signals ---- */

/* tasks_lock held. */
static void signal_pgrp_locked(struct pgrp *g, int signo)
{
	siginfo_t info = siginfo_kernel(signo);
	struct thread_group *m;

	TAILQ_FOREACH (m, &g->members, pgrp_link) {
		if (!m->zombie)
			signal_send_group_tasks_locked(m, &info);
	}
}

/* The foreground group, if it is still one of the session's. tasks_lock held. */
static struct pgrp *foreground_locked(struct terminal *t, struct kernel *k)
{
	struct pgrp *g = t->foreground ? pgrp_find_locked(k, t->foreground) : NULL;

	return g && t->session && g->session == t->session ? g : NULL;
}

void terminal_signal(struct terminal *t, struct kernel *k, int signo)
{
	struct pgrp *g;

	GUARD(&k->tasks_lock);
	g = foreground_locked(t, k);
	if (g)
		signal_pgrp_locked(g, signo);
}

void terminal_resize(struct terminal *t, struct kernel *k, const struct ttysize *size)
{
	bool same;

	mutex_lock(&t->lock);
	same = memcmp(&t->size, size, sizeof(*size)) == 0;
	t->size = *size;
	mutex_unlock(&t->lock);
	if (!same)
		terminal_signal(t, k, SIGWINCH);
}

/* ---- who may ---- */

bool terminal_controls_locked(const struct terminal *t, const struct thread_group *tg)
{
	return tg->pgrp && tg->pgrp->session->tty == t && !tg->no_tty;
}

static bool blocks_or_ignores(struct task *task, int signo)
{
	if (task->blocked & SIGBIT(signo))
		return true;
	return sighand_get_action(task->tg->sighand, signo).handler == (u64)(uintptr_t)SIG_IGN;
}

/* 0, or what stops the caller. *ret_deaf: the signal would not. */
static int check_foreground(struct terminal *t, struct ctx *c, int signo, bool *ret_deaf)
{
	struct task *task = ctx_task(c);
	struct thread_group *tg = task->tg;
	bool deaf;

	/* Most often: no lock, and a stale answer is one that was right a moment ago. */
	GUARD(&c->kernel->tasks_lock);
	if (!terminal_controls_locked(t, tg) || t->foreground == 0 ||
	    t->foreground == tg->pgrp->pgid)
		return 0;
	deaf = blocks_or_ignores(task, signo);
	*ret_deaf = deaf;
	if (deaf)
		return -EIO;
	if (pgrp_orphaned_locked(tg))
		return -EIO;
	signal_pgrp_locked(tg->pgrp, signo);
	return -ERESTARTSYS;
}

int terminal_check_read(struct terminal *t, struct ctx *c)
{
	bool deaf = false;

	return check_foreground(t, c, SIGTTIN, &deaf);
}

int terminal_check_change(struct terminal *t, struct ctx *c)
{
	bool deaf = false;
	int r = check_foreground(t, c, SIGTTOU, &deaf);

	return deaf ? 0 : r;
}

/* ---- having and losing one ---- */

void terminal_take_locked(struct terminal *t, struct thread_group *tg)
{
	struct session *s = tg->pgrp->session;

	BUG_ON(s->tty || t->session);
	s->tty = terminal_get(t);
	t->session = s;
	t->foreground = tg->pgrp->pgid;
	tg->no_tty = false;
}

/* The session's reference, for the caller to put without the lock. */
static struct terminal *release_locked(struct session *s)
{
	struct terminal *t = s->tty;

	s->tty = NULL;
	if (t) {
		t->session = NULL;
		t->foreground = 0;
	}
	return t;
}

void terminal_opened(struct terminal *t, struct ctx *c)
{
	struct thread_group *tg = ctx_task(c)->tg;
	struct session *s;

	GUARD(&c->kernel->tasks_lock);
	s = tg->pgrp->session;
	if (s->leader == tg && !s->tty && !t->session)
		terminal_take_locked(t, tg);
}

void terminal_hangup(struct terminal *t, struct kernel *k)
{
	AUTO(terminal) gone = NULL;
	struct session *s;

	GUARD(&k->tasks_lock);
	s = t->session;
	if (!s)
		return;
	if (s->leader) {
		siginfo_t hup = siginfo_kernel(SIGHUP), cont = siginfo_kernel(SIGCONT);

		signal_send_group_tasks_locked(s->leader, &hup);
		signal_send_group_tasks_locked(s->leader, &cont);
	}
	gone = release_locked(s);
}

struct terminal *terminal_leader_exits_locked(struct session *s)
{
	struct terminal *t = s->tty;
	struct pgrp *g;

	if (!t)
		return NULL;
	g = foreground_locked(t, s->leader->kernel);
	if (g)
		signal_pgrp_locked(g, SIGHUP);
	return release_locked(s);
}

struct terminal *terminal_of_caller(struct ctx *c)
{
	const struct thread_group *tg = ctx_task(c)->tg;

	GUARD(&c->kernel->tasks_lock);
	return tg->pgrp && !tg->no_tty ? terminal_get(tg->pgrp->session->tty) : NULL;
}

/* ---- ioctls ---- */

/* TIOCSCTTY: a session leader without a terminal takes this one; root may take it from others. */
static long set_controlling(struct terminal *t, struct ctx *c, u64 steal)
{
	struct thread_group *tg = ctx_task(c)->tg;
	AUTO(terminal) gone = NULL;
	struct session *s;

	GUARD(&c->kernel->tasks_lock);
	s = tg->pgrp->session;
	if (s->leader != tg)
		return -EPERM;
	if (s->tty == t)
		return 0;
	if (s->tty)
		return -EPERM;
	if (t->session) {
		if (steal != 1 || !creds_capable(c->creds, CAP_SYS_ADMIN))
			return -EPERM;
		gone = release_locked(t->session);
	}
	terminal_take_locked(t, tg);
	return 0;
}

/* TIOCNOTTY: a leader gives it up for its session, others for themselves. */
static long give_up(struct terminal *t, struct ctx *c)
{
	struct thread_group *tg = ctx_task(c)->tg;
	AUTO(terminal) gone = NULL;
	struct pgrp *g;

	GUARD(&c->kernel->tasks_lock);
	if (!terminal_controls_locked(t, tg))
		return -ENOTTY;
	if (tg->pgrp->session->leader != tg) {
		tg->no_tty = true;
		return 0;
	}
	g = foreground_locked(t, c->kernel);
	if (g) {
		signal_pgrp_locked(g, SIGHUP);
		signal_pgrp_locked(g, SIGCONT);
	}
	gone = release_locked(tg->pgrp->session);
	return 0;
}

static long get_foreground(struct terminal *t, struct ctx *c, u64 arg, bool master)
{
	u32 pgid;

	mutex_lock(&c->kernel->tasks_lock);
	if (!master && !terminal_controls_locked(t, ctx_task(c)->tg)) {
		mutex_unlock(&c->kernel->tasks_lock);
		return -ENOTTY;
	}
	pgid = t->foreground;
	mutex_unlock(&c->kernel->tasks_lock);
	return user_put_u32(c, UADDR(arg), pgid);
}

static long set_foreground(struct terminal *t, struct ctx *c, u64 arg)
{
	struct thread_group *tg = ctx_task(c)->tg;
	struct pgrp *g;
	u32 pgid = 0;
	int r = terminal_check_change(t, c);

	if (r == -EIO)
		return -ENOTTY;
	if (r == 0)
		r = user_get_u32(c, UADDR(arg), &pgid);
	if (r < 0)
		return r;
	if ((s32)pgid < 0)
		return -EINVAL;
	GUARD(&c->kernel->tasks_lock);
	if (!terminal_controls_locked(t, tg))
		return -ENOTTY;
	g = pgrp_find_locked(c->kernel, pgid);
	if (!g)
		return -ESRCH;
	if (g->session != tg->pgrp->session)
		return -EPERM;
	t->foreground = pgid;
	return 0;
}

static long get_session(struct terminal *t, struct ctx *c, u64 arg, bool master)
{
	u32 sid;

	mutex_lock(&c->kernel->tasks_lock);
	if (!t->session || (!master && !terminal_controls_locked(t, ctx_task(c)->tg))) {
		mutex_unlock(&c->kernel->tasks_lock);
		return -ENOTTY;
	}
	sid = t->session->sid;
	mutex_unlock(&c->kernel->tasks_lock);
	return user_put_u32(c, UADDR(arg), sid);
}

long terminal_ioctl(struct terminal *t, struct ctx *c, u32 cmd, u64 arg, bool master)
{
	switch (cmd) {
	case TIOCGPGRP:
		return get_foreground(t, c, arg, master);
	case TIOCSPGRP:
		return set_foreground(t, c, arg);
	case TIOCGSID:
		return get_session(t, c, arg, master);
	case TIOCSCTTY:
		return set_controlling(t, c, arg);
	case TIOCNOTTY:
		return master ? -ENOTTY : give_up(t, c);
	}
	return -ENOIOCTLCMD;
}

/* ---- the object ---- */

#define TTYMODES_FIELDS(F) \
	F(VAL, iflag)      \
	F(VAL, oflag)      \
	F(VAL, cflag)      \
	F(VAL, lflag) F(VAL, line) F(BYTES, cc) F(VAL, ispeed) F(VAL, ospeed)
STRUCT_FIELDS(ttymodes, Sentry__Ttymodes, sentry__ttymodes__descriptor, TTYMODES_FIELDS);

#define TTYSIZE_FIELDS(F) F(VAL, rows) F(VAL, cols) F(VAL, xpixel) F(VAL, ypixel)
STRUCT_FIELDS(ttysize, Sentry__Ttysize, sentry__ttysize__descriptor, TTYSIZE_FIELDS);

static void terminal_init(void *o)
{
	struct terminal *t = o;

	mutex_init(&t->lock, RANK_LEAF);
}

static int terminal_after_load(struct loader *l, void *o)
{
	struct terminal *t = o;

	if (t->foreground >= PID_MAX)
		return loader_error(l, "foreground group %u", t->foreground);
	return 0;
}

static void terminal_sample(struct sampler *sp, void *o)
{
	((struct terminal *)o)->foreground = 7;
}

#define TERMINAL_FIELDS(F)        \
	F(HDR, obj)               \
	F(WEAK, session, session) \
	F(VAL, foreground)        \
	F(VAL, rdev)              \
	F(SKIP, lock)             \
	F(SUB, termios, ttymodes) F(SUB, locked, ttymodes) F(SUB, size, ttysize)
OBJECT_TYPE(terminal, Sentry__Terminal, sentry__terminal__descriptor, TERMINAL_FIELDS,
            .abstract = true, .init = terminal_init, .after_load = terminal_after_load,
            .sample = terminal_sample);
