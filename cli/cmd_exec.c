/* `stasis exec`: another command in a running container. */
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/console.h"
#include "cli/launch_impl.h"
#include "proto/rpc.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

struct exec_options {
	const char *user, *cwd, *pid_file, *console_socket;
	char **env; /* NULL terminated, or NULL; popt's */
	int tty, detach;
};

/* Standard files as the sandbox is to have them: a pipe or terminal is opened anew, so that it can
 * be switched to O_NONBLOCK for the sandbox alone. */
static int private_fd(int fd)
{
	char name[32];
	struct stat st;
	int flags = fcntl(fd, F_GETFL), r = -1;

	if (flags >= 0 && fstat(fd, &st) == 0 &&
	    (S_ISFIFO(st.st_mode) || (S_ISCHR(st.st_mode) && isatty(fd)))) {
		snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		r = open(name, (flags & O_ACCMODE) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	}
	return r < 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : r;
}

static int standard_files(const struct exec_options *o, int fds[3], struct error *err)
{
	int i;

	if (o->console_socket) {
		if (console_socket_send(o->console_socket, &fds[0], err) < 0)
			return -1;
		fds[1] = fcntl(fds[0], F_DUPFD_CLOEXEC, 3);
		fds[2] = fcntl(fds[0], F_DUPFD_CLOEXEC, 3);
	} else {
		for (i = 0; i < 3; i++)
			fds[i] = private_fd(i);
	}
	for (i = 0; i < 3; i++)
		if (fds[i] < 0)
			return error_set(err, "cannot pass standard files on: %s", strerror(errno));
	return 0;
}

static int write_pid(const char *path, int pid, struct error *err)
{
	FILE *f = fopen(path, "we");

	if (!f)
		return error_set(err, "cannot write %s: %s", path, strerror(errno));
	fprintf(f, "%d", pid);
	if (fclose(f) != 0)
		return error_set(err, "cannot write %s: %s", path, strerror(errno));
	return 0;
}

/* Starts it: 0 and its number, -1, or with *ret_status the exit status of a command that can't be
 * run, whose line is printed. */
static int start(const struct container *c, int conn, const struct exec_options *o,
                 const char **args, int n_args, int *ret_pid, int *ret_status, struct error *err)
{
	Control__Request req = CONTROL__REQUEST__INIT;
	Control__ExecRequest exec = CONTROL__EXEC_REQUEST__INIT;
	Control__Process process = CONTROL__PROCESS__INIT;
	Control__Reply *reply = NULL;
	char *term[2] = {NULL, NULL};
	AUTO_FREE char **env = NULL;
	int fds[3] = {-1, -1, -1}, r;
	size_t n = 0, i;

	while (o->env && o->env[n])
		n++;
	env = calloc(n + 1, sizeof(*env));
	if (!env)
		return error_set(err, "out of memory");
	if (o->tty && getenv("TERM") && asprintf(&term[0], "TERM=%s", getenv("TERM")) >= 0)
		env[process.n_env++] = term[0];
	for (i = 0; i < n; i++)
		env[process.n_env++] = o->env[i];
	process.args = (char **)(uintptr_t)args;
	process.n_args = (size_t)n_args;
	process.env = env;
	process.cwd = (char *)(uintptr_t)(o->cwd ? o->cwd : "");
	exec.process = &process;
	exec.user = (char *)(uintptr_t)(o->user ? o->user : "");
	exec.terminal = o->tty;
	exec.detach = o->detach;
	exec.watch_size = o->console_socket != NULL;
	req.op_case = CONTROL__REQUEST__OP_EXEC;
	req.exec = &exec;
	r = standard_files(o, fds, err);
	if (r == 0)
		r = client_call(conn, &req, fds, 3, CLIENT_TIMEOUT_MS, &reply);
	for (i = 0; i < 3; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(term[0]);
	if (r < 0)
		return error_set(err, "exec in container %s: %s", c->id,
		                 r == -EMSGSIZE ? "the command line is too long"
		                 : r == -EPIPE  ? "it is not running"
		                                : strerror(-r));
	if (reply->error && reply->command_status) {
		*ret_status = reply->command_status;
		fprintf(stderr, "stasis: exec in container %s: %s\n", c->id, reply->why);
		r = 1;
	} else {
		r = client_check(c, "exec in", reply, err);
	}
	if (r == 0 && reply->exec)
		*ret_pid = reply->exec->pid;
	control__reply__free_unpacked(reply, NULL);
	return r;
}

/* 1: nothing that ends the wait; 0 with the status; -1. */
static int handle(const struct container *c, int conn, const char *command, int *ret_status,
                  struct error *err)
{
	ProtobufCMessage *m;
	Control__Reply *reply;
	int r = rpc_recv(conn, &control__reply__descriptor, true, &m, NULL, 0, NULL);

	if (r == -EAGAIN)
		return 1;
	if (r < 0)
		return error_set(err, "container %s died while %s was running in it", c->id,
		                 command);
	reply = (Control__Reply *)m;
	r = 1;
	if (reply->id == 0 && reply->result_case == CONTROL__REPLY__RESULT_EXIT) {
		*ret_status = reply->exit->signal ? 128 + (reply->exit->signal & 0x7f)
		                                  : reply->exit->code & 0xff;
		r = 0;
	} else if (reply->id == 0 && reply->result_case == CONTROL__REPLY__RESULT_ENDED) {
		r = error_set(err,
		              "container %s was checkpointed and ended: %s goes on where it "
		              "is restored",
		              c->id, command);
	}
	control__reply__free_unpacked(reply, NULL);
	return r;
}

static void pass_signal(int conn, int signal_fd)
{
	Control__Request req = CONTROL__REQUEST__INIT;
	Control__SignalRequest sig = CONTROL__SIGNAL_REQUEST__INIT;
	struct signalfd_siginfo info;

	if (read(signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	sig.signal = (int)info.ssi_signo;
	sig.exec = true;
	sig.group = info.ssi_code == SI_KERNEL || info.ssi_signo == SIGCONT;
	req.id = ~0ull;
	req.op_case = CONTROL__REQUEST__OP_SIGNAL;
	req.signal = &sig;
	(void)rpc_send(conn, &req.base, NULL, 0, true);
}

static int await(const struct container *c, int conn, int signal_fd, const char *command,
                 struct error *err)
{
	struct pollfd p[] = {{conn, POLLIN, 0}, {signal_fd, POLLIN, 0}};
	int r = 1, status = 0;

	while (r == 1) {
		if (poll(p, ARRAY_SIZE(p), -1) < 0) {
			if (errno == EINTR)
				continue;
			return error_set(err, "poll: %s", strerror(errno));
		}
		if (p[1].revents)
			pass_signal(conn, signal_fd);
		if (p[0].revents)
			r = handle(c, conn, command, &status, err);
	}
	return r < 0 ? r : status;
}

static int run(const struct globals *g, const char *id, const struct exec_options *o,
               const char **args, int n_args, struct error *err)
{
	AUTO_CLOSE int signal_fd = -1;
	AUTO_CLOSE int conn = -1;
	struct saved_modes modes = {0};
	struct container c;
	int r, pid = 0, status = 0;
	sigset_t ignored;

	if (container_open(g, id, &c, err) < 0)
		return -1;
	r = container_connect(&c, &conn, err);
	if (r == -ECONNREFUSED)
		r = error_set(err, "exec in container %s: it is not running", c.id);
	if (r == 0)
		r = catch_signals(false, &ignored, &signal_fd, err);
	if (r == 0) {
		if (o->tty)
			modes_save(&modes);
		r = start(&c, conn, o, args, n_args, &pid, &status, err);
		if (r == 0 && o->pid_file)
			r = write_pid(o->pid_file, pid, err);
		if (r == 0 && !o->detach)
			r = status = await(&c, conn, signal_fd, args[0], err);
		modes_restore(&modes);
	}
	container_finish(&c);
	return r < 0 ? -1 : status;
}

int cmd_exec(const struct globals *g, int argc, const char **argv, struct error *err)
{
	struct exec_options o = {0};
	const char **args;
	const struct poptOption table[] = {
		{"tty", 't', POPT_ARG_NONE, &o.tty, 0, "give the command a terminal of its own",
	         NULL},
		{"user", 'u', POPT_ARG_STRING, &o.user, 0,
	         "who runs it, by name or number (default: as the first process)", "U[:G]"},
		{"cwd", 0, POPT_ARG_STRING, &o.cwd, 0, "its working directory", "DIR"},
		{"env", 'e', POPT_ARG_ARGV, &o.env, 0, "set in its environment; may be repeated",
	         "K=V"},
		{"detach", 'd', POPT_ARG_NONE, &o.detach, 0, "return when it runs", NULL},
		{"pid-file", 0, POPT_ARG_STRING, &o.pid_file, 0,
	         "write its process id, as the container sees it, to FILE", "FILE"},
		{"console-socket", 0, POPT_ARG_STRING, &o.console_socket, 0,
	         "with --tty: send the terminal's master to this unix socket", "PATH"},
		OPTIONS_END};
	int n;

	if (parse_options(table, "[FLAG...] ID [--] COMMAND [ARG...]", 2, -1, argc, argv, &args, &n,
	                  err) < 0)
		return -1;
	for (char **e = o.env; e && *e; e++)
		if (!strchr(*e, '=') || **e == '=')
			return error_usage(err, "exec: --env %s: NAME=VALUE is wanted", *e);
	if (o.console_socket && !o.tty)
		return error_usage(err, "exec: --console-socket needs --tty");
	if (o.tty && o.detach && !o.console_socket)
		return error_usage(err, "exec: --tty with --detach needs --console-socket");
	/* "--" between the two is for who writes it. */
	if (n > 2 && strcmp(args[1], "--") == 0)
		return run(g, args[0], &o, args + 2, n - 2, err);
	return run(g, args[0], &o, args + 1, n - 1, err);
}
