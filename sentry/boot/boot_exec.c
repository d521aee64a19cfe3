/* exec: another process in a running container. */
#define LOG_SUBSYSTEM "exec"
#include "sentry/auth/creds.h"
#include "sentry/boot/boot_impl.h"
#include "sentry/fs/hostfd.h"
#include "sentry/fs/tty/console.h"
#include "sentry/kernel/pidns.h"
#include "sentry/kernel/quiesce.h"
#include "sentry/kernel/task_run.h"
#include "sentry/kernel/terminal.h"
#include "sentry/vfs/fd_table.h"
#include "state/base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

void boot_set_defaults(struct boot *b, const Control__Process *p)
{
	b->defaults = p;
}

void boot_on_event(struct boot *b, void (*fn)(void *arg, u64 id, const struct boot_exit *exit),
                   void *arg)
{
	b->event_arg = arg;
	b->event = fn;
}

/* ---- what the process is made of ---- */

/* The request, completed; its strings are borrowed from where they came from, home and the arrays
 * are its own. */
struct wanted {
	Control__Process p;
	Control__Caps caps;
	struct user_ids user;
	bool has_user;
	char **env;
	char *home;
};

static void wanted_finish(struct wanted *w)
{
	user_ids_finish(&w->user);
	free(w->env);
	free(w->home);
}

static size_t name_length(const char *assignment)
{
	return strcspn(assignment, "=");
}

static bool same_name(const char *a, const char *b)
{
	size_t n = name_length(a);

	return n == name_length(b) && strncmp(a, b, n) == 0;
}

static void set_env(struct wanted *w, char *assignment, bool keep)
{
	for (size_t i = 0; i < w->p.n_env; i++) {
		if (!same_name(w->env[i], assignment))
			continue;
		if (!keep)
			w->env[i] = assignment;
		return;
	}
	w->env[w->p.n_env++] = assignment;
}

static void complete_env(struct wanted *w, const Control__Process *asked,
                         const Control__Process *defaults)
{
	static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	size_t n = asked->n_env + (defaults ? defaults->n_env : 0) + 2;

	w->env = calloc(n, sizeof(*w->env));
	BUG_ON(!w->env);
	w->p.env = w->env;
	for (size_t i = 0; defaults && i < defaults->n_env; i++)
		set_env(w, defaults->env[i], false);
	if (w->has_user && asprintf(&w->home, "HOME=%s", w->user.home ? w->user.home : "/") >= 0)
		set_env(w, w->home, false);
	for (size_t i = 0; i < asked->n_env; i++)
		set_env(w, asked->env[i], false);
	set_env(w, path, true);
}

/* Another user's capabilities are what execve would leave: root's are those of the bounding set. */
static void complete_user(struct wanted *w)
{
	if (!w->has_user)
		return;
	w->p.uid = w->user.uid;
	w->p.gid = w->user.gid;
	w->p.groups = w->user.groups;
	w->p.n_groups = w->user.n_groups;
	if (w->p.uid != 0)
		w->caps.permitted = w->caps.effective = w->caps.ambient = 0;
	else if (!w->caps.permitted)
		w->caps.permitted = w->caps.effective = w->caps.bounding;
}

static int complete(struct boot *b, struct container *cont, const Control__ExecRequest *rq,
                    struct wanted *w, char **ret_why)
{
	const Control__Process *d = b->defaults, *asked = rq->process;
	int r;

	if (!asked || asked->n_args == 0)
		return boot_why(ret_why, -EINVAL, "there is no command");
	control__process__init(&w->p);
	control__caps__init(&w->caps);
	if (d) {
		w->p = *d;
		if (d->caps)
			w->caps = *d->caps;
	}
	w->p.caps = &w->caps;
	w->p.args = asked->args;
	w->p.n_args = asked->n_args;
	w->p.n_env = 0;
	w->p.init = false;
	if (asked->cwd[0])
		w->p.cwd = asked->cwd;
	if (rq->user[0]) {
		struct newproc n;

		/* Looked up as root, in the container's own files. */
		r = newproc_init(&n, b->kernel, cont, &(Control__Process)CONTROL__PROCESS__INIT,
		                 ret_why);
		if (r == 0)
			r = boot_find_user(&n.ctx, rq->user, &w->user, ret_why);
		newproc_finish(&n);
		if (r < 0)
			return r;
		w->has_user = true;
	}
	complete_user(w);
	complete_env(w, asked, d);
	return 0;
}

/* ---- running it ---- */

static int plain_files(struct boot *b, struct newproc *n, u64 id, const int fds[3])
{
	struct file *files[HOST_SLOTS] = {0};
	int r = hostfd_add_exec(&b->machine, id, fds);

	if (r < 0)
		return r;
	hostfd_open_stdio(b->kernel, id, NULL, files);
	for (int i = 0; i < HOST_SLOTS; i++) {
		if (files[i] && r >= 0)
			r = fd_install_at(&n->ctx, files[i], i, false);
		obj_put(files[i]);
	}
	return r < 0 ? r : 0;
}

static int terminal_files(struct boot *b, struct newproc *n, u64 id, const int fds[3],
                          bool watch_size, struct terminal **ret_tty)
{
	int r = console_plug(b->machine.consoles, id, fds[0], fds[1], watch_size);

	for (int i = 0; i < 3; i++)
		close(fds[i]);
	if (r == 0)
		r = newproc_console(n, id, ret_tty);
	return r;
}

static void drop_files(struct boot *b, u64 id)
{
	console_remove(b->kernel, id);
	console_unplug(b->machine.consoles, id);
	hostfd_forget_exec(&b->machine, id);
}

static int run(struct boot *b, struct container *cont, const Control__ExecRequest *rq,
               const Control__Process *p, u64 id, const int fds[3], int *ret_pid, int *ret_command,
               char **ret_why)
{
	AUTO(terminal) tty = NULL;
	struct task *t = NULL;
	struct newproc n;
	int r;

	r = newproc_init(&n, b->kernel, cont, p, ret_why);
	if (r == 0)
		r = newproc_load(&n, p, ret_command, ret_why);
	if (r < 0) {
		for (int i = 0; i < 3; i++)
			close(fds[i]);
		newproc_finish(&n);
		return r;
	}
	r = rq->terminal ? terminal_files(b, &n, id, fds, rq->watch_size, &tty)
	                 : plain_files(b, &n, id, fds);
	if (r < 0)
		r = boot_why(ret_why, r, "cannot give it standard files: %s",
		             r == -ENODEV ? "there is no devpts on /dev/pts" : strerror(-r));
	if (r == 0) {
		r = newproc_task(&n, b->kernel, cont, id, &t);
		if (r < 0)
			boot_why(ret_why, r, "cannot make a process: %s",
			         r == -ESRCH ? "the container has ended" : strerror(-r));
	}
	newproc_finish(&n);
	if (r == 0 && tty) {
		GUARD(&b->kernel->tasks_lock);
		terminal_take_locked(tty, t->tg);
	}
	if (r == 0) {
		*ret_pid = (int)t->tid;
		r = task_start(t);
	}
	obj_put(t);
	if (r < 0)
		drop_files(b, id);
	return r;
}

int boot_exec(struct boot *b, const Control__ExecRequest *rq, const int fds[3], u64 *ret_id,
              int *ret_pid, int *ret_command, char **ret_why)
{
	struct wanted w = {0};
	struct container *cont;
	u64 id;
	int r;

	*ret_command = 0;
	GUARD(&b->save_lock);
	cont = TAILQ_FIRST(&b->kernel->containers);
	if (b->paused_by_user || !cont) {
		for (int i = 0; i < 3; i++)
			close(fds[i]);
		return boot_why(ret_why, -EBUSY, "it is paused");
	}
	id = kernel_new_id(b->kernel);
	r = complete(b, cont, rq, &w, ret_why);
	if (r == 0)
		r = run(b, cont, rq, &w.p, id, fds, ret_pid, ret_command, ret_why);
	else
		for (int i = 0; i < 3; i++)
			close(fds[i]);
	wanted_finish(&w);
	if (r == 0)
		*ret_id = id;
	return r;
}

/* ---- afterwards ---- */

void boot_exec_ended(struct boot *b, u64 id)
{
	console_drain(b->machine.consoles, id);
	GUARD(&b->save_lock);
	drop_files(b, id);
}

void boot_exec_abandoned(struct boot *b, u64 id)
{
	console_unplug(b->machine.consoles, id);
}

/* A reference, or NULL. */
static struct thread_group *find_exec(struct kernel *k, u64 id)
{
	struct thread_group *tg;
	u32 at = 0;

	while ((tg = thread_group_next(k, at))) {
		if (tg->exec_id == id)
			return tg;
		at = tg->tgid;
		obj_put(tg);
	}
	return NULL;
}

int boot_exec_signal(struct boot *b, u64 id, int signo, bool group)
{
	siginfo_t info = siginfo_user(signo, SI_USER, 0, 0);
	AUTO(thread_group) tg = NULL;
	AUTO(terminal) tty = NULL;

	if (signo < 1 || signo > SIGNAL_MAX)
		return -EINVAL;
	if (signo == SIGWINCH && consoles_look_at_sizes(b->machine.consoles))
		return 0;
	GUARD(&b->look_lock);
	tg = find_exec(b->kernel, id);
	if (!tg)
		return -ESRCH;
	if (group) {
		mutex_lock(&b->kernel->tasks_lock);
		tty = tg->pgrp ? terminal_get(tg->pgrp->session->tty) : NULL;
		mutex_unlock(&b->kernel->tasks_lock);
		if (tty) {
			terminal_signal(tty, b->kernel, signo);
			return 0;
		}
		return boot_signal_group(b->kernel, thread_group_pgid(tg), &info);
	}
	return signal_send_group(tg, &info);
}
