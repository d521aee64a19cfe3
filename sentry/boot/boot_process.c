/* The first process: credentials, limits, standard files, program. */
#define LOG_SUBSYSTEM "boot"
#include "sentry/auth/creds.h"
#include "sentry/boot/boot_impl.h"
#include "sentry/fs/hostfd.h"
#include "sentry/fs/tty/console.h"
#include "sentry/kernel/task_run.h"
#include "sentry/loader/loader.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/namei.h"
#include "state/base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

static struct creds *make_creds(const Control__Process *p)
{
	struct creds *c = creds_new(p->uid, p->gid, p->groups, (u32)p->n_groups);

	c->no_new_privs = p->no_new_privs;
	if (p->caps) {
		c->cap_bounding = p->caps->bounding & CAP_FULL;
		c->cap_permitted = p->caps->permitted & CAP_FULL;
		c->cap_effective = p->caps->effective & c->cap_permitted;
		c->cap_inheritable = p->caps->inheritable & CAP_FULL;
		c->cap_ambient = p->caps->ambient & c->cap_permitted & c->cap_inheritable;
	}
	return c;
}

static int make_rlimits(const Control__Process *p, struct rlimit out[RLIM_NLIMITS], char **ret_why)
{
	default_rlimits(out);
	for (size_t i = 0; i < p->n_rlimits; i++) {
		const Control__Rlimit *r = p->rlimits[i];

		if (r->resource >= RLIM_NLIMITS || r->cur > r->max)
			return boot_why(ret_why, -EINVAL,
			                "limit %u is unknown or its soft value is "
			                "above its hard one",
			                r->resource);
		out[r->resource] = (struct rlimit){r->cur, r->max};
	}
	return 0;
}

static const char *env_of(const Control__Process *p, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < p->n_env; i++) {
		if (strncmp(p->env[i], name, n) == 0 && p->env[i][n] == '=')
			return p->env[i] + n + 1;
	}
	return NULL;
}

/* A name without a slash is looked for in the guest's PATH, as execvp(3) does. */
static int open_program(struct ctx *c, const Control__Process *p, struct file **ret,
                        char **ret_path)
{
	const char *name = p->args[0], *path = env_of(p, "PATH");
	int r, last = -ENOENT;

	if (strchr(name, '/')) {
		*ret_path = strdup(name);
		return path_open_exec(c, AT_FDCWD, name, 0, ret);
	}
	if (!path)
		path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	for (;;) {
		size_t n = strcspn(path, ":");
		char *full = NULL;

		if (asprintf(&full, "%.*s/%s", n ? (int)n : 1, n ? path : ".", name) < 0)
			return -ENOMEM;
		r = path_open_exec(c, AT_FDCWD, full, 0, ret);
		if (r == 0) {
			*ret_path = full;
			return 0;
		}
		free(full);
		/* One that is there but may not be run is the better error. */
		if (r != -ENOENT && r != -ENOTDIR)
			last = r;
		if (!path[n])
			return last;
		path += n + 1;
	}
}

int newproc_init(struct newproc *n, struct kernel *k, struct container *cont,
                 const Control__Process *proc, char **ret_why)
{
	struct path root = {cont->root_mnt_ns->root, cont->root_mnt_ns->root->root}, cwd;
	int r;

	memset(n, 0, sizeof(*n));
	n->creds = make_creds(proc);
	n->fds = fd_table_new();
	r = make_rlimits(proc, n->rlimits, ret_why);
	if (r < 0)
		return r;
	n->fs = fs_context_new(cont->root_mnt_ns, &root, &root,
	                       proc->has_umask || proc->umask ? proc->umask & 0777 : 022);
	n->ctx = (struct ctx){.kernel = k,
	                      .clocks = &k->clocks,
	                      .creds = n->creds,
	                      .rlimits = n->rlimits,
	                      .fs = n->fs,
	                      .fds = n->fds};
	if (!proc->cwd[0])
		return 0;
	r = path_lookup(&n->ctx, AT_FDCWD, proc->cwd, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &cwd);
	if (r < 0)
		return boot_why(ret_why, r, "cannot use %s as working directory: %s", proc->cwd,
		                strerror(-r));
	fs_set_cwd(n->fs, &cwd);
	path_put(&cwd);
	return 0;
}

void newproc_finish(struct newproc *n)
{
	program_finish(&n->prog);
	obj_put(n->fds);
	obj_put(n->fs);
	obj_put(n->creds);
}

int newproc_load(struct newproc *n, const Control__Process *proc, int *ret_command, char **ret_why)
{
	AUTO(file) exe = NULL;
	AUTO_FREE char *path = NULL;
	struct strings argv = {0}, envp = {0};
	int r = open_program(&n->ctx, proc, &exe, &path);

	if (r == 0)
		r = strings_from_array(proc->args, proc->n_args, &argv);
	if (r == 0)
		r = strings_from_array(proc->env, proc->n_env, &envp);
	if (r == 0) {
		struct load_request rq = {
			.c = &n->ctx,
			.kernel = n->ctx.kernel,
			.exe = exe,
			.path = path,
			.argv = &argv,
			.envp = &envp,
		};

		r = loader_load(&rq, &n->prog);
	}
	strings_finish(&argv);
	strings_finish(&envp);
	if (r == 0)
		return 0;
	if (ret_command)
		*ret_command = r == -ENOENT || r == -ENOTDIR ? 127 : 126;
	return boot_why(ret_why, r, "cannot run %s: %s", proc->args[0], strerror(-r));
}

int newproc_task(struct newproc *n, struct kernel *k, struct container *cont, u64 exec_id,
                 struct task **ret)
{
	struct task_init init = {
		.container = cont,
		.mm = n->prog.mm,
		.creds = n->creds,
		.fs = n->fs,
		.fds = n->fds,
		.regs = program_regs(&n->prog),
		.comm = n->prog.name,
		.rlimits = n->rlimits,
		.exec_id = exec_id,
	};

	if (n->inherited) {
		init.ignored = n->inherited->ignored;
		init.blocked = n->inherited->blocked;
		init.nice = n->inherited->nice;
	}
	return task_create_init(k, &init, ret);
}

int newproc_console(struct newproc *n, u64 slot, struct terminal **ret_tty)
{
	AUTO(file) slave = NULL;
	int r = console_open(&n->ctx, slot, &slave);

	for (int i = 0; i < HOST_SLOTS && r >= 0; i++)
		r = fd_install_at(&n->ctx, slave, i, false);
	if (r < 0)
		return r;
	*ret_tty = terminal_get(&pty_file_of(slave)->pty->term);
	return 0;
}

/* /dev/console, where /dev is the sandbox's own, belonging to who runs there. */
static void make_console_node(struct newproc *n)
{
	AUTO(creds) root = creds_new(0, 0, NULL, 0);
	struct iattr a = {.valid = IATTR_MODE | IATTR_UID | IATTR_GID,
	                  .mode = 0620,
	                  .uid = n->creds->uid,
	                  .gid = 5};
	struct ctx c = n->ctx;
	AUTO_PATH at = {0};

	c.creds = root;
	if (vfs_mknod(&c, AT_FDCWD, "/dev/console", S_IFCHR | 0600, (u32)makedev(5, 1)) < 0 ||
	    path_lookup(&c, AT_FDCWD, "/dev/console", 0, &at) < 0)
		return;
	if (vfs_setattr(&c, &at, &a) < 0)
		log_debug("/dev/console stays root's");
}

/* Standard files as the caller has them. *ret_tty: the terminal among them, a reference, or NULL.
 */
static int install_stdio(struct newproc *n, struct terminal **ret_tty)
{
	struct machine *m = n->ctx.kernel->machine;
	struct file *files[HOST_SLOTS] = {0};
	struct hosttty *tty;
	AUTO_PATH console = {0};
	int r = 0;

	if (hostfd_any_terminal(m->stdio)) {
		make_console_node(n);
		if (path_lookup(&n->ctx, AT_FDCWD, "/dev/console", LOOKUP_FOLLOW, &console) < 0)
			console = (struct path){0};
	}
	hostfd_open_stdio(n->ctx.kernel, 0, console.dentry ? &console : NULL, files);
	tty = hostfd_terminal(files);
	if (tty)
		*ret_tty = terminal_get(&tty->term);
	for (int i = 0; i < HOST_SLOTS; i++) {
		if (files[i] && r >= 0)
			r = fd_install_at(&n->ctx, files[i], i, false);
		obj_put(files[i]);
	}
	return r < 0 ? r : 0;
}

/* The terminal that the caller's program was started at controls the guest's session as well. */
static void give_terminal(struct kernel *k, struct container *cont, struct task *t,
                          struct terminal *tty)
{
	GUARD(&k->tasks_lock);
	if (!t->tg->pgrp->session->tty)
		terminal_take_locked(tty, t->tg);
	cont->console = terminal_get(tty);
}

static int first_files(struct boot *b, struct newproc *n, struct terminal **ret_tty, char **ret_why)
{
	int r;

	if (b->cfg->console) {
		make_console_node(n);
		r = newproc_console(n, CONSOLE_FIRST, ret_tty);
		return r < 0 ? boot_why(ret_why, r, "cannot make a terminal: %s",
		                        r == -ENODEV ? "there is no devpts on /dev/pts"
		                                     : strerror(-r))
		             : 0;
	}
	r = install_stdio(n, ret_tty);
	return r < 0 ? boot_why(ret_why, r, "cannot pass standard files on: %s", strerror(-r)) : 0;
}

int boot_first_process(struct boot *b, struct kernel *k, struct container *cont,
                       const Control__Process *proc, char **ret_why)
{
	AUTO(terminal) tty = NULL;
	struct task *t = NULL;
	struct newproc n;
	int r;

	r = newproc_init(&n, k, cont, proc, ret_why);
	if (r == 0)
		r = first_files(b, &n, &tty, ret_why);
	if (r == 0)
		r = newproc_load(&n, proc, NULL, ret_why);
	if (r < 0) {
		newproc_finish(&n);
		return r;
	}
	if (proc->init) {
		AUTO(creds) root_creds = creds_new(0, 0, NULL, 0);

		r = task_create_reaper(k, root_creds);
	}
	n.inherited = proc;
	if (r == 0)
		r = newproc_task(&n, k, cont, 0, &t);
	newproc_finish(&n);
	if (r == 0 && tty)
		give_terminal(k, cont, t, tty);
	obj_put(t);
	if (r < 0)
		return boot_why(ret_why, r, "cannot create the first process: %s", strerror(-r));
	return 0;
}
