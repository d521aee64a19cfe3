/* fork, namespaces, exec. Between clone and exec only system calls are made. */
#include "cli/spawn.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The host user that root's sentries run as: nobody. */
#define SENTRY_UID 65534

#define SENTRY_NAMESPACES                                                                          \
	(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | \
	 CLONE_NEWCGROUP)

/* Root's gofer; an ordinary user's makes its own, and must: it maps that user alone. */
#define GOFER_NAMESPACES CLONE_NEWUSER

/* A file that only its descriptor reaches, holding the packed message. */
static int config_file(const ProtobufCMessage *config, int *ret_fd, struct error *err)
{
	AUTO_CLOSE int fd = memfd_create("stasis-config", MFD_CLOEXEC);
	size_t size = protobuf_c_message_get_packed_size(config), done = 0;
	AUTO_FREE u8 *buf = malloc(size + 1);

	if (fd < 0 || !buf)
		return error_set(err, "cannot make the configuration: %s", strerror(errno));
	protobuf_c_message_pack(config, buf);
	while (done < size) {
		ssize_t n = write(fd, buf + done, size - done);

		if (n <= 0)
			return error_set(err, "cannot write the configuration: %s",
			                 strerror(errno));
		done += (size_t)n;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* Sanitizers take their options from the environment; nothing else passes. */
static char **child_environment(void)
{
	static const char *const names[] = {
		"ASAN_OPTIONS=", "UBSAN_OPTIONS=", "TSAN_OPTIONS=", "LSAN_OPTIONS="};
	static char *env[ARRAY_SIZE(names) + 1];
	size_t n = 0, i;
	char **e;

	for (e = environ; *e; e++)
		for (i = 0; i < ARRAY_SIZE(names); i++)
			if (strncmp(*e, names[i], strlen(names[i])) == 0 && n < ARRAY_SIZE(names))
				env[n++] = *e;
	env[n] = NULL;
	return env;
}

struct plan {
	const char *argv[5];
	char **env;
	const int *fds;
	size_t n_fds;
	int config_fd;
	int go_fd;           /* a byte comes when the ids are mapped; -1: no wait */
	int (*map)(int pid); /* called if it has a user namespace */
	int report_fd;       /* gets errno if exec fails; closed by a successful exec */
};

NORETURN static void child_run(const struct plan *p)
{
	sigset_t none;
	char byte;
	int e;
	size_t i;

	/* The terminal's signals are for the command, which passes them on. */
	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (p->go_fd >= 0) {
		if (read(p->go_fd, &byte, 1) != 1)
			_exit(127);
		/* Refused to an ordinary user, who has no other groups to become. */
		(void)!syscall(SYS_setgroups, 0, NULL);
		if (syscall(SYS_setresgid, 0, 0, 0) < 0 || syscall(SYS_setresuid, 0, 0, 0) < 0)
			goto fail;
	}
	for (i = 0; i < p->n_fds; i++)
		if (fcntl(p->fds[i], F_SETFD, 0) < 0)
			goto fail;
	if (fcntl(p->config_fd, F_SETFD, 0) < 0)
		goto fail;
	execve("/proc/self/exe", (char **)p->argv, p->env);
fail:
	e = errno;
	(void)!write(p->report_fd, &e, sizeof(e));
	_exit(127);
}

static int write_proc(int pid, const char *file, const char *text)
{
	char path[64];
	AUTO_CLOSE int fd = -1;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return -errno;
	return 0;
}

/* Root of the namespace is ourselves outside. */
static int map_self(int pid)
{
	char self[32];
	int r = write_proc(pid, "setgroups", "deny");

	if (r < 0 && r != -ENOENT)
		return r;
	snprintf(self, sizeof(self), "0 %u 1\n", getegid());
	r = write_proc(pid, "gid_map", self);
	if (r < 0)
		return r;
	snprintf(self, sizeof(self), "0 %u 1\n", geteuid());
	return write_proc(pid, "uid_map", self);
}

/* Root of the namespace is nobody outside if we may choose. */
static int map_sentry_ids(int pid)
{
	char nobody[32];

	snprintf(nobody, sizeof(nobody), "0 %d 1\n", SENTRY_UID);
	if (geteuid() == 0 && write_proc(pid, "gid_map", nobody) == 0)
		return write_proc(pid, "uid_map", nobody);
	return map_self(pid);
}

/* The ids that we have, each as itself. */
static int map_same(int pid, const char *file)
{
	char path[64], own[4096], map[4096], *line, *rest = own;
	AUTO_CLOSE int fd = -1;
	unsigned first, above, count;
	size_t len = 0;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/%s", file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, own, sizeof(own) - 1);
	if (n < 0)
		return -errno;
	own[n] = 0;
	while ((line = strsep(&rest, "\n")) &&
	       sscanf(line, "%u %u %u", &first, &above, &count) == 3)
		len += (size_t)snprintf(map + len, sizeof(map) - len, "%u %u %u\n", first, first,
		                        count);
	return write_proc(pid, file, map);
}

/*
 * What root's gofer may do to files it may do by capabilities over the ids of a user namespace of
 * its own, which are all of them; over the host and whatever else that has, it has none.
 */
static int map_gofer_ids(int pid)
{
	return map_same(pid, "gid_map") == 0 ? map_same(pid, "uid_map") : map_self(pid);
}

/* Waits until exec has closed the report pipe, or for the reason why it did not. */
static int await_exec(int report_fd)
{
	int e = 0;
	ssize_t n;

	do {
		n = read(report_fd, &e, sizeof(e));
	} while (n < 0 && errno == EINTR);
	return n == sizeof(e) ? -e : 0;
}

static int spawn(struct plan *p, const char *id, u64 namespaces, struct child *ret,
                 struct error *err)
{
	AUTO_CLOSE int go_w = -1;
	AUTO_CLOSE int go_r = -1;
	AUTO_CLOSE int report_r = -1;
	AUTO_CLOSE int report_w = -1;
	struct clone_args args = {0};
	struct child c = {.pidfd = -1};
	int go[2], report[2], r;
	char number[16];

	if (pipe2(go, O_CLOEXEC) < 0 || pipe2(report, O_CLOEXEC) < 0)
		return error_set(err, "cannot make a pipe: %s", strerror(errno));
	go_r = go[0];
	go_w = go[1];
	report_r = report[0];
	report_w = report[1];
	snprintf(number, sizeof(number), "%d", p->config_fd);
	p->argv[2] = id;
	p->argv[3] = number;
	p->go_fd = namespaces ? go_r : -1;
	p->report_fd = report_w;
	args.flags = namespaces | CLONE_PIDFD;
	args.pidfd = (u64)(uintptr_t)&c.pidfd;
	args.exit_signal = SIGCHLD;
	c.pid = (int)syscall(SYS_clone3, &args, sizeof(args));
	if (c.pid == 0) {
		/* Or it would wait for its own copy. */
		close(go_w);
		child_run(p);
	}
	if (c.pid < 0)
		return error_set(
			err, "cannot start the %s of container %s: %s%s", p->argv[1], id,
			strerror(errno),
			namespaces && (errno == EPERM || errno == ENOSPC || errno == EUSERS)
				? ": this host does not let you make user namespaces"
				: "");
	close(TAKE_FD(report_w));
	r = namespaces ? p->map(c.pid) : 0;
	if (r == 0 && namespaces && write(go_w, "", 1) != 1)
		r = -errno;
	if (r == 0)
		r = await_exec(report_r);
	if (r < 0) {
		child_kill(&c);
		return error_set(err, "cannot start the %s of container %s: %s%s", p->argv[1], id,
		                 strerror(-r),
		                 r == -EACCES ? ": the stasis binary must be executable by others"
		                              : "");
	}
	*ret = c;
	return 0;
}

static int spawn_verb(struct plan p, const char *id, u64 namespaces, const ProtobufCMessage *config,
                      struct child *ret, struct error *err)
{
	AUTO_CLOSE int config_fd = -1;

	p.env = child_environment();
	if (config_file(config, &config_fd, err) < 0)
		return -1;
	p.config_fd = config_fd;
	return spawn(&p, id, namespaces, ret, err);
}

int spawn_sentry(const char *id, const ProtobufCMessage *config, const int *fds, size_t n_fds,
                 struct child *ret, struct error *err)
{
	struct plan p = {
		.argv = {"stasis", "boot"}, .fds = fds, .n_fds = n_fds, .map = map_sentry_ids};

	return spawn_verb(p, id, SENTRY_NAMESPACES, config, ret, err);
}

int spawn_gofer(const char *id, const ProtobufCMessage *config, const int *fds, size_t n_fds,
                struct child *ret, struct error *err)
{
	struct plan p = {
		.argv = {"stasis", "gofer"}, .fds = fds, .n_fds = n_fds, .map = map_gofer_ids};

	return spawn_verb(p, id, geteuid() == 0 ? GOFER_NAMESPACES : 0, config, ret, err);
}

int child_wait(struct child *c)
{
	int status = -1, r;

	if (c->pid <= 0)
		return -1;
	do {
		r = waitpid(c->pid, &status, 0);
	} while (r < 0 && errno == EINTR);
	if (c->pidfd >= 0)
		close(c->pidfd);
	*c = (struct child){.pidfd = -1};
	return r < 0 ? -1 : status;
}

void child_finish(struct child *c, int timeout_ms)
{
	struct pollfd p = {c->pidfd, POLLIN, 0};

	if (c->pid > 0)
		(void)poll(&p, 1, timeout_ms);
	child_kill(c);
}

void child_kill(struct child *c)
{
	if (c->pid <= 0)
		return;
	kill(c->pid, SIGKILL);
	child_wait(c);
}

void child_describe(int status, char *buf, size_t size)
{
	if (status != -1 && WIFSIGNALED(status)) {
		const char *name = sigabbrev_np(WTERMSIG(status));

		snprintf(buf, size, "was killed by signal %d (%s)%s", WTERMSIG(status),
		         name ? name : "?",
		         WTERMSIG(status) == SIGSYS ? ": its filter forbids a call it made" : "");
	} else if (status != -1 && WIFEXITED(status)) {
		snprintf(buf, size, "exited with status %d", WEXITSTATUS(status));
	} else {
		snprintf(buf, size, "ended");
	}
}
