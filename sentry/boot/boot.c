/* Making, running and ending a sandbox: what ops.h promises, short of saves (boot_save.c). */
#define LOG_SUBSYSTEM "boot"
#include "sentry/auth/creds.h"
#include "sentry/boot/boot_impl.h"
#include "sentry/fs/hostfd.h"
#include "sentry/fs/hostpoll.h"
#include "sentry/fs/tty/console.h"
#include "sentry/kernel/terminal.h"
#include "sentry/kernel/pidns.h"
#include "sentry/kernel/quiesce.h"
#include "sentry/kernel/task_run.h"
#include "sentry/kernel/utsns.h"
#include "sentry/loader/vdso.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/usercopy.h"
#include "sentry/time/timer.h"
#include "sentry/vfs/mount.h"

#include "state/base/log.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

int boot_why(char **ret_why, int err, const char *fmt, ...)
{
	va_list ap;
	char *line = NULL;

	va_start(ap, fmt);
	if (vasprintf(&line, fmt, ap) < 0)
		line = NULL;
	va_end(ap);
	*ret_why = line;
	return err;
}

static unsigned count_cpus(const Control__BootConfig *cfg)
{
	cpu_set_t set;
	unsigned n = 1;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		n = (unsigned)CPU_COUNT(&set);
	return cfg->cpus && cfg->cpus < n ? cfg->cpus : MAX(n, 1u);
}

int boot_prepare(const Control__BootConfig *cfg, const struct boot_memory *mem, struct boot **ret,
                 char **ret_why)
{
	const struct platform_ops *ops = platform_find(cfg->platform);
	struct boot *b;
	const char *why = NULL;
	int r;

	if (!ops)
		return boot_why(ret_why, -EINVAL, "platform \"%s\" is unknown", cfg->platform);
	r = ops->probe(&why);
	if (r < 0)
		return boot_why(ret_why, r, "platform %s does not run here: %s", cfg->platform,
		                why ? why : strerror(-r));
	b = calloc(1, sizeof(*b));
	BUG_ON(!b);
	b->cfg = cfg;
	mutex_init(&b->save_lock, RANK_CONTROL);
	mutex_init(&b->look_lock, RANK_LOOK);
	b->machine.ncpu = count_cpus(cfg);
	b->machine.strace = cfg->strace;
	b->machine.autosave_every = cfg->autosave_every;
	b->machine.autosave_on_request = cfg->autosave_on_request;
	for (unsigned i = 0; i < 3; i++)
		b->machine.stdio[i] = i < cfg->n_stdio_fds ? cfg->stdio_fds[i] : -1;
	r = platform_create(ops, &b->machine.platform);
	if (r < 0)
		return boot_why(ret_why, r, "cannot start platform %s: %s", cfg->platform,
		                strerror(-r));
	b->machine.platform->rewrite_after = cfg->rewrite_after;
	b->machine.statm = mem->statm;
	r = memfile_create(mem->fd, &b->machine.memfile);
	if (r < 0)
		return boot_why(ret_why, r, "cannot make the memory file: %s", strerror(-r));
	b->machine.memfile->huge_always = mem->huge;
	r = vdso_create(&b->machine);
	if (r < 0)
		return boot_why(ret_why, r, "cannot make the vDSO: %s", strerror(-r));
	r = usercopy_init();
	if (r < 0)
		return boot_why(ret_why, r, "cannot guard copies of guest memory: %s",
		                strerror(-r));
	r = hostpoll_create(&b->machine.hostpoll);
	if (r < 0)
		return boot_why(ret_why, r, "cannot watch descriptors: %s", strerror(-r));
	r = consoles_create(&b->machine.consoles);
	if (r < 0)
		return boot_why(ret_why, r, "cannot prepare consoles: %s", strerror(-r));
	r = timers_create(&b->machine.timers);
	if (r < 0)
		return boot_why(ret_why, r, "cannot start the timer thread: %s", strerror(-r));
	memfile_trim_later(b->machine.memfile, b->machine.timers);
	*ret = b;
	return 0;
}

const struct platform_syscall *boot_platform_syscalls(const struct boot *b)
{
	return b->machine.platform->ops->syscalls;
}

int boot_plug_console(struct boot *b, char **ret_why)
{
	const Control__BootConfig *cfg = b->cfg;
	int in = cfg->has_console_fd ? cfg->console_fd : b->machine.stdio[0];
	int out = cfg->has_console_fd ? cfg->console_fd : b->machine.stdio[1];
	int r;

	if (in < 0 || out < 0)
		return 0;
	r = console_plug(b->machine.consoles, CONSOLE_FIRST, in, out, cfg->has_console_fd);
	return r < 0 ? boot_why(ret_why, r, "cannot take the terminal: %s", strerror(-r)) : 0;
}

int boot_create(struct boot *b, const int *gofer_fds, size_t n_gofers, char **ret_why)
{
	const Control__Sandbox *sb = b->cfg->sandbox;
	struct container *c;
	struct kernel *k;
	int r;

	boot_set_limits(&b->machine, b->cfg, sb);
	r = boot_connect_gofers(b, gofer_fds, n_gofers, ret_why);
	if (r == 0 && b->cfg->console)
		r = boot_plug_console(b, ret_why);
	if (r < 0)
		return r;
	k = kernel_new(&b->machine);
	b->kernel = k;
	if (sb->hostname[0]) {
		r = utsns_set_hostname(k->utsns, sb->hostname, strlen(sb->hostname));
		if (r < 0)
			return boot_why(ret_why, r, "hostname is longer than %d bytes", UTS_LEN);
	}
	c = container_new(k, b->cfg->id);
	b->machine.overlay = sb->overlay;
	r = boot_mount_all(b, k, sb, &c->root_mnt_ns, ret_why);
	if (r < 0)
		return r;
	return boot_first_process(b, k, c, b->cfg->process, ret_why);
}

int boot_start(struct boot *b, char **ret_why)
{
	int r = kernel_start_all(b->kernel);

	if (r < 0)
		return boot_why(ret_why, r, "cannot start the guest's threads: %s", strerror(-r));
	return 0;
}

void boot_go(struct boot *b)
{
	kernel_resume(b->kernel);
}

/* ---- running ---- */

static void tell(struct boot *b, const struct kernel_note *n)
{
	struct boot_exit e = {
		.code = WIFEXITED(n->status) ? WEXITSTATUS(n->status) : 0,
		.signal = WIFSIGNALED(n->status) ? WTERMSIG(n->status) : 0,
	};
	bool ended = n->kind == NOTE_EXEC_ENDED;

	if (ended)
		boot_exec_ended(b, n->exec_id);
	if (b->event)
		b->event(b->event_arg, n->exec_id, ended ? &e : NULL);
}

static void autosave(struct boot *b)
{
	struct kernel_note notes[64];
	char *why = NULL;
	size_t n = 0;
	int r;

	GUARD(&b->save_lock);
	GUARD(&b->look_lock);
	r = kernel_pause(b->kernel, -1);
	/* What is not told yet goes over to the kernel that follows. */
	while (r == 0 && n < ARRAY_SIZE(notes) && kernel_take_note(b->kernel, &notes[n]))
		n++;
	if (r == 0)
		r = boot_autosave(b, &why);
	for (size_t i = 0; r == 0 && i < n; i++)
		kernel_note(b->kernel, notes[i].kind, notes[i].exec_id, notes[i].status);
	if (r == 0)
		return;
	/* A failed one is a failed test: going on would hide it. */
	log_err("autosave failed: %s", why ? why : strerror(-r));
	free(why);
	b->ended = true;
}

static void exit_of(struct kernel *k, struct boot_exit *ret)
{
	struct container *c = TAILQ_FIRST(&k->containers);
	int st = c ? c->exit_status : SIGKILL;

	ret->code = WIFEXITED(st) ? WEXITSTATUS(st) : 0;
	ret->signal = WIFSIGNALED(st) ? WTERMSIG(st) : 0;
}

void boot_wait(struct boot *b, struct boot_exit *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (;;) {
		enum kernel_event ev = kernel_wait_event(b->kernel);

		if (b->ended) {
			ret->ended = true;
			return;
		}
		if (ev == KERNEL_AUTOSAVE) {
			autosave(b);
			if (b->ended) {
				ret->signal = SIGABRT;
				return;
			}
		} else if (ev == KERNEL_NOTE) {
			struct kernel_note n;

			while (kernel_take_note(b->kernel, &n))
				tell(b, &n);
		} else if (ev == KERNEL_EXITED) {
			console_drain(b->machine.consoles, CONSOLE_FIRST);
			exit_of(b->kernel, ret);
			return;
		}
	}
}

void boot_end(struct boot *b)
{
	b->ended = true;
	GUARD(&b->look_lock);
	if (b->kernel)
		kernel_poke(b->kernel);
}

/* ---- control ---- */

/* The foreground group of the first process's terminal; without one its own group. */
static u32 foreground_group(struct kernel *k, struct thread_group *init)
{
	u32 pgid;

	GUARD(&k->tasks_lock);
	if (!init->pgrp)
		return 0;
	pgid = init->pgrp->session->tty ? init->pgrp->session->tty->foreground : 0;
	return pgid ? pgid : init->pgrp->pgid;
}

int boot_signal_group(struct kernel *k, u32 pgid, const siginfo_t *info)
{
	struct thread_group *tg;
	u32 at = 0;
	bool any = false;

	while ((tg = thread_group_next(k, at))) {
		at = tg->tgid;
		if (thread_group_pgid(tg) == pgid && signal_send_group(tg, info) == 0)
			any = true;
		obj_put(tg);
	}
	return any ? 0 : -ESRCH;
}

/* All at once: nobody forks meanwhile. */
static int signal_all(struct kernel *k, const siginfo_t *info)
{
	GUARD(&k->tasks_lock);
	for (u32 i = 1; i < PID_MAX; i++) {
		struct task *t = pid_task_locked(k->pidns, i);

		if (t && t->tg->leader == t && signal_send_group_tasks_locked(t->tg, info) < 0)
			log_debug("signal %d to %u is not queued", info->si_signo, t->tg->tgid);
	}
	return 0;
}

static struct thread_group *first_process(struct kernel *k)
{
	struct container *c;
	struct thread_group *tg = NULL;

	mutex_lock(&k->tasks_lock);
	c = TAILQ_FIRST(&k->containers);
	if (c && c->init)
		tg = obj_get(c->init);
	mutex_unlock(&k->tasks_lock);
	return tg;
}

int boot_signal(struct boot *b, int pid, int signo, bool group, bool all)
{
	siginfo_t info = siginfo_user(signo, SI_USER, 0, 0);
	AUTO(thread_group) tg = NULL;

	if (signo < 0 || signo > SIGNAL_MAX || pid < 0)
		return -EINVAL;
	GUARD(&b->look_lock);
	if (pid == 0)
		tg = first_process(b->kernel);
	else
		tg = thread_group_find(b->kernel, (u32)pid);
	if (!tg)
		return -ESRCH;
	if (signo == 0)
		return 0;
	if (all)
		return signal_all(b->kernel, &info);
	if (group && signo == SIGWINCH && consoles_look_at_sizes(b->machine.consoles))
		return 0;
	if (group)
		return boot_signal_group(b->kernel, foreground_group(b->kernel, tg), &info);
	return signal_send_group(tg, &info);
}

int boot_pause(struct boot *b)
{
	int r;

	GUARD(&b->save_lock);
	if (b->paused_by_user)
		return -EALREADY;
	r = kernel_pause(b->kernel, 20 * NSEC_PER_SEC);
	if (r == 0)
		b->paused_by_user = true;
	return r;
}

int boot_resume(struct boot *b)
{
	GUARD(&b->save_lock);
	if (!b->paused_by_user)
		return -EALREADY;
	b->paused_by_user = false;
	kernel_resume(b->kernel);
	return 0;
}
