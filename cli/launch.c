/* Starting a sandbox: state directory, descriptors, sentry, gofer. */
#include "cli/launch.h"
#include "cli/launch_impl.h"
#include "cli/console.h"
#include "cli/host_share.h"
#include "proto/rpc.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_ATTACH 64
/* What a sandbox with a few hundred open files and processes needs. */
#define FDS_WANTED 4096
/* And what its memory file must be able to grow to (sentry/mm/memfile.c). */
#define LEAST_MEMORY (1 * GIB)
/* gofer/gofer.h GOFER_ALLOW_DEV, GOFER_ALLOW_FIFO: what an OCI mount with "dev" asks for. */
#define ATTACH_DEVICES 0x1u

struct fd_list {
	int fds[MAX_ATTACH + 16];
	size_t n;
};

static void fd_add(struct fd_list *l, int fd)
{
	if (fd >= 0 && l->n < ARRAY_SIZE(l->fds))
		l->fds[l->n++] = fd;
}

static int socket_pair(int type, int *ret_ours, int *ret_theirs, struct error *err)
{
	int sv[2];

	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, sv) < 0)
		return error_set(err, "cannot make a socket pair: %s", strerror(errno));
	*ret_ours = sv[0];
	*ret_theirs = sv[1];
	return 0;
}

static const char *const foreground_cleanup[] = {"lock", "control.sock", "state.json", "status",
                                                 "state.json.new"};

/* Opens the host's files of the attach points; the gofer gets them as descriptors. */
static int open_attach(struct running *s, Control__Attach **attach, size_t n,
                       Control__GoferAttach *out, struct fd_list *opened, struct error *err)
{
	size_t i;

	if (n > MAX_ATTACH)
		return error_set(err, "container %s has more than %d mounts from the host", s->c.id,
		                 MAX_ATTACH);
	for (i = 0; i < n; i++) {
		int fd = open(attach[i]->path, O_PATH | O_CLOEXEC);

		if (fd < 0)
			return error_set(err, "cannot open %s for container %s: %s",
			                 attach[i]->path, s->c.id, strerror(errno));
		fd_add(opened, fd);
		control__gofer_attach__init(&out[i]);
		out[i].name = attach[i]->name;
		out[i].fd = fd;
		out[i].readonly = attach[i]->readonly;
		out[i].flags = attach[i]->devices ? ATTACH_DEVICES : 0;
	}
	return 0;
}

int start_gofer(struct running *s, Control__Attach **attach, size_t n_attach, int *ret_sock,
                struct error *err)
{
	Control__GoferConfig cfg = CONTROL__GOFER_CONFIG__INIT;
	Control__GoferAttach points[MAX_ATTACH], *point_refs[MAX_ATTACH];
	AUTO_CLOSE int ours = -1;
	AUTO_CLOSE int theirs = -1;
	struct fd_list opened = {.n = 0}, inherit;
	int32_t sock;
	size_t i;
	int r;

	if (socket_pair(SOCK_STREAM, &ours, &theirs, err) < 0)
		return -1;
	r = open_attach(s, attach, n_attach, points, &opened, err);
	if (r == 0) {
		for (i = 0; i < n_attach; i++)
			point_refs[i] = &points[i];
		cfg.n_attach = n_attach;
		cfg.attach = point_refs;
		sock = theirs;
		cfg.n_socks = 1;
		cfg.socks = &sock;
		cfg.log_fd = s->l->globals->log_fd;
		cfg.log_level = s->l->globals->log_level;
		cfg.lock_fd = s->c.lock_fd;
		cfg.cleanup_fd = cfg.parent_fd = -1;
		inherit = opened;
		fd_add(&inherit, theirs);
		fd_add(&inherit, cfg.log_fd);
		fd_add(&inherit, s->c.lock_fd);
		if (!s->l->detach) {
			cfg.cleanup_fd = s->c.dir_fd;
			cfg.parent_fd = s->c.root_fd;
			cfg.cleanup_name = s->c.id;
			cfg.n_cleanup_files = ARRAY_SIZE(foreground_cleanup);
			cfg.cleanup_files = (char **)foreground_cleanup;
			fd_add(&inherit, cfg.cleanup_fd);
			fd_add(&inherit, cfg.parent_fd);
		}
		r = spawn_gofer(s->c.id, &cfg.base, inherit.fds, inherit.n, &s->gofer, err);
	}
	for (i = 0; i < opened.n; i++)
		close(opened.fds[i]);
	if (r == 0)
		*ret_sock = TAKE_FD(ours);
	return r;
}

static int start_sentry(struct running *s, int gofer_sock, int parent_fd, struct error *err)
{
	Control__BootConfig cfg = CONTROL__BOOT_CONFIG__INIT;
	Control__ImageFds image = CONTROL__IMAGE_FDS__INIT;
	const struct launch *l = s->l;
	int32_t gofer = gofer_sock, stdio[3];
	struct fd_list inherit = {.n = 0};
	struct host_share share;
	size_t i;

	cfg.id = s->c.id;
	cfg.platform = (char *)l->globals->platform;
	cfg.rewrite_after = l->globals->rewrite_after;
	cfg.sandbox = l->sandbox;
	cfg.process = l->process;
	if (l->restore) {
		image.inventory = l->image_fds[0];
		image.kernel = l->image_fds[1];
		image.pagemap = l->image_fds[2];
		image.pages = l->image_fds[3];
		cfg.restore = &image;
		for (i = 0; i < ARRAY_SIZE(l->image_fds); i++)
			fd_add(&inherit, l->image_fds[i]);
	}
	cfg.background = l->background;
	cfg.detach = l->detach;
	cfg.autosave_every = l->autosave_every;
	cfg.autosave_on_request = l->autosave_on_request;
	host_share(&share);
	cfg.memory_limit = l->memory_limit;
	cfg.pids_limit = l->pids_limit;
	cfg.memory_share = share.memory;
	cfg.pids_share = share.pids;
	cfg.pids_most = share.pids_most;
	cfg.strace = l->globals->strace;
	cfg.debug = l->globals->debug;
	cfg.log_fd = l->globals->log_fd;
	cfg.log_level = l->globals->log_level;
	cfg.parent_fd = parent_fd;
	cfg.listen_fd = s->c.listen_fd;
	cfg.status_fd = s->c.status_fd;
	cfg.lock_fd = s->c.lock_fd;
	if (gofer_sock >= 0) {
		cfg.n_gofer_fds = 1;
		cfg.gofer_fds = &gofer;
		fd_add(&inherit, gofer_sock);
	}
	cfg.console = l->console;
	cfg.console_fd = s->console_fd;
	cfg.has_console_fd = s->console_fd >= 0;
	fd_add(&inherit, s->console_fd);
	for (i = 0; i < ARRAY_SIZE(stdio); i++)
		stdio[i] = l->as_caller && (l->globals->closed >> i & 1) ? -1 : (int32_t)i;
	cfg.n_stdio_fds = ARRAY_SIZE(stdio);
	cfg.stdio_fds = stdio;
	fd_add(&inherit, cfg.log_fd);
	fd_add(&inherit, parent_fd);
	fd_add(&inherit, cfg.listen_fd);
	fd_add(&inherit, cfg.status_fd);
	fd_add(&inherit, cfg.lock_fd);
	return spawn_sentry(s->c.id, &cfg.base, inherit.fds, inherit.n, &s->sentry, err);
}

/*
 * Our caller's limits are the program's (config_caller.c), not the sandbox's own: its memory is a
 * file, its address space that of many processes. Root raises them; others get what they may have.
 */
static int raise_limits(struct error *err)
{
	static const int limits[] = {RLIMIT_FSIZE, RLIMIT_AS, RLIMIT_DATA, RLIMIT_CPU,
	                             RLIMIT_NOFILE};
	struct rlimit r, all;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(limits); i++) {
		if (getrlimit(limits[i], &r) < 0)
			continue;
		all.rlim_cur = all.rlim_max = limits[i] == RLIMIT_NOFILE
		                                      ? MAX(r.rlim_max, (rlim_t)FDS_WANTED)
		                                      : RLIM_INFINITY;
		r.rlim_cur = r.rlim_max;
		if (setrlimit(limits[i], &all) < 0)
			(void)setrlimit(limits[i], &r);
	}
	for (i = 0; i < 2; i++)
		if (getrlimit(limits[i], &r) == 0 && r.rlim_cur < LEAST_MEMORY)
			return error_set(err,
			                 "cannot start a sandbox, whose memory is a file, with %s "
			                 "limited to less than 1G: see ulimit %s",
			                 i ? "memory" : "files", i ? "-v" : "-f");
	return 0;
}

static int start(struct running *s, struct error *err)
{
	AUTO_CLOSE int gofer_sock = -1;
	AUTO_CLOSE int theirs = -1;

	if (raise_limits(err) < 0)
		return -1;
	if (socket_pair(SOCK_SEQPACKET, &s->parent_fd, &theirs, err) < 0)
		return -1;
	if (s->l->sandbox &&
	    start_gofer(s, s->l->sandbox->attach, s->l->sandbox->n_attach, &gofer_sock, err) < 0)
		return -1;
	if (start_sentry(s, gofer_sock, theirs, err) < 0)
		return -1;
	s->c.pid = s->sentry.pid;
	s->c.pid_start = process_start_time(s->sentry.pid);
	s->c.detached = s->l->detach;
	s->c.bundle = s->l->bundle ? strdup(s->l->bundle) : NULL;
	s->c.annotations = s->l->annotations ? json_incref(s->l->annotations) : NULL;
	/* The sentry alone must hold them, for others to see when it is gone. */
	close(TAKE_FD(s->c.listen_fd));
	close(TAKE_FD(s->c.status_fd));
	return container_save(&s->c, err);
}

int launch(const struct launch *l, struct error *err)
{
	struct running s = {.l = l,
	                    .sentry.pidfd = -1,
	                    .gofer.pidfd = -1,
	                    .parent_fd = -1,
	                    .signal_fd = -1,
	                    .console_fd = -1};
	struct saved_modes modes;
	int r;

	if (l->console && l->detach && !l->console_socket)
		return error_set(err,
		                 "container %s: process.terminal with --detach needs "
		                 "--console-socket",
		                 l->id);
	if (l->console_socket && console_socket_send(l->console_socket, &s.console_fd, err) < 0)
		return -1;
	modes_save(&modes);

	if (catch_signals(l->as_caller, &s.ignored, &s.signal_fd, err) < 0) {
		close(s.console_fd);
		return -1;
	}
	if (container_create(l->globals, l->id, &s.c, err) < 0) {
		close(s.signal_fd);
		close(s.console_fd);
		return -1;
	}
	r = start(&s, err);
	/* The sandbox alone holds it, so that whoever has the master sees it go. */
	if (s.console_fd >= 0)
		close(s.console_fd);
	if (r == 0)
		r = await_start(&s, err);
	if (r == 0 && !l->detach)
		r = await_end(&s, err);
	if (r < 0 || !l->detach) {
		child_kill(&s.sentry);
		/* Its connections are closed now: it cleans up and ends by itself. */
		child_finish(&s.gofer, 2000);
		container_remove(&s.c);
	}
	if (!l->detach && (l->restore_modes || s.ended))
		modes_restore(&modes);
	close(s.signal_fd);
	if (s.parent_fd >= 0)
		close(s.parent_fd);
	container_finish(&s.c);
	return r;
}
