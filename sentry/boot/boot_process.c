/* The first process: credentials, limits, standard files, program. */
#include "sentry/auth/creds.h"
#include "sentry/boot/boot_impl.h"
#include "sentry/fs/hostfd.h"
#include "sentry/kernel/task_run.h"
#include "sentry/loader/loader.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/namei.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* *ret_tty: the terminal among them, with a reference, or NULL. */
static int install_stdio(struct kernel *k, struct ctx *c, struct hosttty **ret_tty)
{
	struct file *files[HOST_SLOTS] = {0};
	AUTO_PATH console = {0};
	int r = 0;

	if (path_lookup(c, AT_FDCWD, "/dev/console", LOOKUP_FOLLOW, &console) < 0)
		console = (struct path){0};
	hostfd_open_stdio(k, 0, console.dentry ? &console : NULL, files);
	*ret_tty = hosttty_get(hostfd_terminal(files));
	for (int i = 0; i < HOST_SLOTS; i++) {
		if (files[i] && r >= 0)
			r = fd_install_at(c, files[i], i, false);
		obj_put(files[i]);
	}
	return r < 0 ? r : 0;
}

/* The terminal that the caller's program was started at controls the guest's session as well. */
static void give_terminal(struct kernel *k, struct task *t, struct hosttty *tty)
{
	struct session *s;

	GUARD(&k->tasks_lock);
	s = t->tg->pgrp->session;
	if (!s->tty)
		terminal_take_locked(&tty->term, t->tg);
}

int boot_first_process(struct boot *b, struct kernel *k, struct container *cont,
                       const Control__Process *proc, char **ret_why)
{
	AUTO(creds) creds = make_creds(proc);
	AUTO(fs_context) fs = NULL;
	AUTO(fd_table) fds = fd_table_new();
	AUTO(file) exe = NULL;
	AUTO(hosttty) tty = NULL;
	AUTO_FREE char *path = NULL;
	struct path root = {cont->root_mnt_ns->root, cont->root_mnt_ns->root->root};
	struct strings argv = {0}, envp = {0};
	struct rlimit rlimits[RLIM_NLIMITS];
	struct program prog = {0};
	struct ctx ctx = {.kernel = k, .clocks = &k->clocks, .creds = creds, .rlimits = rlimits};
	struct task *t = NULL;
	struct path cwd;
	int r;

	r = make_rlimits(proc, rlimits, ret_why);
	if (r < 0)
		return r;
	fs = fs_context_new(cont->root_mnt_ns, &root, &root, proc->umask ? proc->umask : 022);
	ctx.fs = fs;
	ctx.fds = fds;
	if (proc->cwd[0]) {
		r = path_lookup(&ctx, AT_FDCWD, proc->cwd, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &cwd);
		if (r < 0)
			return boot_why(ret_why, r, "cannot use %s as working directory: %s",
			                proc->cwd, strerror(-r));
		fs_set_cwd(fs, &cwd);
		path_put(&cwd);
	}
	r = install_stdio(k, &ctx, &tty);
	if (r < 0)
		return boot_why(ret_why, r, "cannot pass standard files on: %s", strerror(-r));
	r = open_program(&ctx, proc, &exe, &path);
	if (r < 0)
		return boot_why(ret_why, r, "cannot run %s: %s", proc->args[0], strerror(-r));
	r = strings_from_array(proc->args, proc->n_args, &argv);
	if (r == 0)
		r = strings_from_array(proc->env, proc->n_env, &envp);
	if (r == 0) {
		struct load_request rq = {
			.c = &ctx,
			.kernel = k,
			.exe = exe,
			.path = path,
			.argv = &argv,
			.envp = &envp,
		};

		r = loader_load(&rq, &prog);
	}
	strings_finish(&argv);
	strings_finish(&envp);
	if (r < 0)
		return boot_why(ret_why, r, "cannot run %s: %s", proc->args[0], strerror(-r));
	if (proc->init) {
		AUTO(creds) root_creds = creds_new(0, 0, NULL, 0);

		r = task_create_reaper(k, root_creds);
	}
	if (r == 0) {
		struct task_init init = {
			.container = cont,
			.mm = prog.mm,
			.creds = creds,
			.fs = fs,
			.fds = fds,
			.regs = program_regs(&prog),
			.comm = prog.name,
			.rlimits = rlimits,
		};

		r = task_create_init(k, &init, &t);
	}
	program_finish(&prog);
	if (r == 0 && tty)
		give_terminal(k, t, tty);
	obj_put(t);
	if (r < 0)
		return boot_why(ret_why, r, "cannot create the first process: %s", strerror(-r));
	return 0;
}
