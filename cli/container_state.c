/* What a state directory says about its container, and what its processes say themselves. */
#include "cli/client.h"
#include "cli/container.h"
#include "cli/container_impl.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const char *const status_names[] = {"creating", "running", "paused", "stopped"};

const char *container_status_name(enum container_status status)
{
	return status_names[status];
}

u64 process_start_time(int pid)
{
	char path[64], buf[1024], *p;
	AUTO_CLOSE int fd = -1;
	ssize_t n;
	int field;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd >= 0 ? read(fd, buf, sizeof(buf) - 1) : -1;
	if (n <= 0)
		return 0;
	buf[n] = '\0';
	/* The name, field 2, is in parentheses and may hold anything. */
	p = strrchr(buf, ')');
	for (field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	return p ? strtoull(p + 1, NULL, 10) : 0;
}

int container_save(struct container *c, struct error *err)
{
	AUTO_CLOSE int fd = -1;
	json_t *o;
	int r = -1;

	if (!c->created) {
		struct timespec now;
		char buf[64], frac[16];
		struct tm tm;

		clock_gettime(CLOCK_REALTIME, &now);
		gmtime_r(&now.tv_sec, &tm);
		strftime(buf, sizeof(buf), "%Y-%m-%dT%H:%M:%S", &tm);
		snprintf(frac, sizeof(frac), ".%09ldZ", now.tv_nsec);
		if (asprintf(&c->created, "%s%s", buf, frac) < 0)
			c->created = NULL;
	}
	o = json_pack("{s:s, s:i, s:I, s:b, s:s*, s:s*, s:O*}", "id", c->id, "pid", c->pid,
	              "pidStart", (json_int_t)c->pid_start, "detached", c->detached, "bundle",
	              c->bundle, "created", c->created, "annotations", c->annotations);
	fd = openat(c->dir_fd, "state.json.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (o && fd >= 0 && json_dumpfd(o, fd, JSON_INDENT(1)) == 0 &&
	    renameat(c->dir_fd, "state.json.new", c->dir_fd, "state.json") == 0)
		r = 0;
	json_decref(o);
	if (r < 0)
		return error_set(err, "cannot write the state of container %s: %s", c->id,
		                 strerror(errno));
	return 0;
}

int container_load(struct container *c, struct error *err)
{
	AUTO_CLOSE int fd = openat(c->dir_fd, "state.json", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	const char *bundle = NULL, *created = NULL;
	json_t *o, *annotations = NULL;
	json_int_t start = 0;
	int detached = 0;

	if (fd < 0)
		return error_set(err, "container %s is still being created: %s", c->id,
		                 strerror(errno));
	o = json_loadfd(fd, 0, NULL);
	if (!o || json_unpack(o, "{s:i, s:I, s:b, s?s, s?s, s?o}", "pid", &c->pid, "pidStart",
	                      &start, "detached", &detached, "bundle", &bundle, "created", &created,
	                      "annotations", &annotations) < 0) {
		json_decref(o);
		return error_set(err, "the state.json of container %s is damaged", c->id);
	}
	c->pid_start = (u64)start;
	c->detached = detached;
	c->bundle = bundle ? strdup(bundle) : NULL;
	c->created = created ? strdup(created) : NULL;
	c->annotations = json_is_object(annotations) ? json_incref(annotations) : NULL;
	json_decref(o);
	return 0;
}

int container_status(const struct container *c, enum container_status *ret, struct error *err)
{
	AUTO_CLOSE int fd = -1;
	Control__Request req = CONTROL__REQUEST__INIT;
	Control__Empty empty = CONTROL__EMPTY__INIT;
	Control__Reply *reply;
	size_t i;
	int r;

	r = container_connect(c, &fd, err);
	if (r == -ECONNREFUSED) {
		*ret = STATUS_STOPPED;
		return 0;
	}
	if (r < 0)
		return r;
	req.op_case = CONTROL__REQUEST__OP_STATE;
	req.state = &empty;
	r = client_call(fd, &req, NULL, 0, CLIENT_TIMEOUT_MS, &reply);
	if (r == -EPIPE) {
		*ret = STATUS_STOPPED;
		return 0;
	}
	if (r < 0)
		return error_set(err, "container %s does not answer: %s", c->id, strerror(-r));
	*ret = STATUS_STOPPED;
	if (reply->result_case == CONTROL__REPLY__RESULT_STATE)
		for (i = 0; i < ARRAY_SIZE(status_names); i++)
			if (strcmp(reply->state->status, status_names[i]) == 0)
				*ret = (enum container_status)i;
	control__reply__free_unpacked(reply, NULL);
	return 0;
}

int container_exit_status(const struct container *c, int *ret_status, struct error *err)
{
	AUTO_CLOSE int fd = openat(c->dir_fd, "status", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char line[64];
	ssize_t n = fd >= 0 ? read(fd, line, sizeof(line) - 1) : -1;
	int value;

	if (n < 0)
		return error_set(err, "cannot read the exit status of container %s: %s", c->id,
		                 strerror(errno));
	line[n] = '\0';
	if (sscanf(line, "exit %d", &value) == 1)
		*ret_status = value & 0xff;
	else if (sscanf(line, "signal %d", &value) == 1)
		*ret_status = 128 + (value & 0x7f);
	else if (strncmp(line, "ended", 5) == 0)
		*ret_status = 128 + SIGKILL;
	else
		return -ENODATA;
	return 0;
}

int container_kill(const struct container *c, int timeout_ms, struct error *err)
{
	AUTO_CLOSE int pidfd = -1;
	int waited;

	/* The descriptor holds on to one process, and then we see whether it is ours. */
	pidfd = c->pid > 0 ? (int)syscall(SYS_pidfd_open, c->pid, 0) : -1;
	if (pidfd >= 0 && process_start_time(c->pid) == c->pid_start &&
	    syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
		return error_set(err, "cannot kill container %s (process %d): %s", c->id, c->pid,
		                 strerror(errno));
	for (waited = 0; container_in_use(c); waited += 5) {
		if (waited >= timeout_ms)
			return error_set(err,
			                 "container %s does not end: processes of it are "
			                 "still there",
			                 c->id);
		poll(NULL, 0, 5);
	}
	return 0;
}
