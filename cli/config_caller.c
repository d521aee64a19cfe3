/* What `do` runs in: the caller's files, identity, directory, environment and limits. */
#include "cli/config.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

static int add_mounts(Control__Sandbox *sb, struct error *err)
{
	static const struct {
		const char *type, *destination, *data;
		bool readonly;
	} mounts[] = {
		{"proc", "/proc", "", false},
		{"sysfs", "/sys", "", true},
		{"dev", "/dev", "", false},
		{"devpts", "/dev/pts", "gid=5,mode=620,ptmxmode=666", false},
		{"tmpfs", "/dev/shm", "mode=1777", false},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(mounts); i++) {
		Control__Mount *m =
			config_add_mount(sb, mounts[i].type, mounts[i].destination, err);

		if (!m || config_set(&m->data, mounts[i].data, err) < 0)
			return -1;
		m->readonly = mounts[i].readonly;
		m->nosuid = true;
	}
	return 0;
}

/* "NoNewPrivs", "CapEff" and the rest of /proc/self/status: what the caller has. */
static void caller_caps(Control__Process *p)
{
	const struct {
		const char *name;
		u64 *set;
	} sets[] = {{"CapBnd:", &p->caps->bounding},
	            {"CapEff:", &p->caps->effective},
	            {"CapPrm:", &p->caps->permitted},
	            {"CapInh:", &p->caps->inheritable},
	            {"CapAmb:", &p->caps->ambient}};
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	size_t i;

	while (f && fgets(line, sizeof(line), f))
		for (i = 0; i < ARRAY_SIZE(sets); i++)
			if (strncmp(line, sets[i].name, strlen(sets[i].name)) == 0)
				*sets[i].set = strtoull(line + strlen(sets[i].name), NULL, 16);
	if (f)
		fclose(f);
}

/* What execve(2) would hand on. */
static void caller_signals(Control__Process *p)
{
	struct sigaction sa;
	sigset_t set;
	int i;

	sigemptyset(&set);
	sigprocmask(SIG_BLOCK, NULL, &set);
	for (i = 1; i < _NSIG; i++) {
		if (sigismember(&set, i) == 1)
			p->blocked |= 1ull << (i - 1);
		if (sigaction(i, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN)
			p->ignored |= 1ull << (i - 1);
	}
}

static int caller_identity(Control__Process *p, u32 mask, struct error *err)
{
	gid_t groups[256];
	int n = getgroups(ARRAY_SIZE(groups), groups), i;

	p->umask = mask;
	p->has_umask = true;
	p->nice = getpriority(PRIO_PROCESS, 0);
	caller_signals(p);
	p->uid = geteuid();
	p->gid = getegid();
	if (n > 0) {
		p->groups = calloc((size_t)n, sizeof(*p->groups));
		if (!p->groups)
			return error_set(err, "out of memory");
		p->n_groups = (size_t)n;
		for (i = 0; i < n; i++)
			p->groups[i] = groups[i];
	}
	caller_caps(p);
	return 0;
}

int config_of_caller(bool overlay, u32 mask, const char **args, int n_args, struct config *ret,
                     struct error *err)
{
	struct config c;
	struct utsname uts;
	char *cwd = NULL;
	Control__Attach *root;
	char **e;
	int i, r = -1;

	if (config_new(&c, err) < 0)
		return -1;
	cwd = getcwd(NULL, 0);
	if (!cwd || cwd[0] != '/') {
		error_set(err, "cannot tell the current directory: %s", strerror(errno));
		goto out;
	}
	root = config_add_attach(c.sandbox, "root", "/", err);
	if (!root || add_mounts(c.sandbox, err) < 0 || config_set(&c.process->cwd, cwd, err) < 0)
		goto out;
	/* With the overlay, nothing of the host's is ever written to. */
	root->readonly = overlay;
	c.sandbox->overlay = overlay;
	if (uname(&uts) == 0 && config_set(&c.sandbox->hostname, uts.nodename, err) < 0)
		goto out;
	for (i = 0; i < n_args; i++)
		if (config_add_string(&c.process->args, &c.process->n_args, args[i], err) < 0)
			goto out;
	for (e = environ; *e; e++)
		if (config_add_string(&c.process->env, &c.process->n_env, *e, err) < 0)
			goto out;
	for (i = 0; i < RLIM_NLIMITS; i++) {
		struct rlimit l;

		if (getrlimit(i, &l) == 0 &&
		    config_add_rlimit(c.process, (unsigned)i, l.rlim_cur, l.rlim_max, err) < 0)
			goto out;
	}
	if (caller_identity(c.process, mask, err) < 0)
		goto out;
	c.process->terminal = isatty(STDIN_FILENO);
	/* The program expects to be an ordinary process: somebody else reaps and is pid 1. */
	c.process->init = true;
	*ret = c;
	r = 0;
out:
	free(cwd);
	if (r < 0)
		config_free(&c);
	return r;
}
