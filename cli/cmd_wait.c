/* `stasis wait` and `stasis delete`: the end of a container. */
#include "cli/cli.h"
#include "cli/client.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* Sleeps until the container has ended. Returns its exit status, or -1. */
static int wait_for_end(const struct container *c, struct error *err)
{
	Control__Request req = CONTROL__REQUEST__INIT;
	Control__Empty empty = CONTROL__EMPTY__INIT;
	AUTO_CLOSE int fd = -1;
	Control__Reply *reply;
	int r, status = 0;

	req.op_case = CONTROL__REQUEST__OP_WAIT;
	req.wait = &empty;
	r = container_connect(c, &fd, err);
	if (r < 0 && r != -ECONNREFUSED)
		return -1;
	if (r == 0 && client_call(fd, &req, NULL, 0, -1, &reply) == 0) {
		if (reply->result_case == CONTROL__REPLY__RESULT_EXIT)
			status = reply->exit->signal ? 128 + (reply->exit->signal & 0x7f)
			                             : reply->exit->code & 0xff;
		else
			status = 128 + SIGKILL;
		control__reply__free_unpacked(reply, NULL);
		return status;
	}
	r = container_exit_status(c, &status, err);
	if (r == -ENODATA)
		return error_set(err,
		                 "container %s has died without an exit status: remove it with "
		                 "stasis delete %s",
		                 c->id, c->id);
	return r < 0 ? r : status;
}

int cmd_wait(const struct globals *g, int argc, const char **argv, struct error *err)
{
	const struct poptOption table[] = {OPTIONS_END};
	struct container c;
	const char **args;
	int n, status;

	if (parse_options(table, "ID", 1, 1, argc, argv, &args, &n, err) < 0 ||
	    container_open(g, args[0], &c, err) < 0)
		return -1;
	status = wait_for_end(&c, err);
	if (status >= 0)
		printf("{\"id\":\"%s\",\"exitStatus\":%d}\n", c.id, status);
	container_finish(&c);
	return status < 0 ? -1 : 0;
}

/* Asks it to end, so that whoever started it hears of an end and not of a death. What does not
 * answer is killed after this. */
static void ask_to_end(const struct container *c)
{
	struct error ignored = {0};
	Control__Request req = CONTROL__REQUEST__INIT;
	Control__Empty empty = CONTROL__EMPTY__INIT;

	req.op_case = CONTROL__REQUEST__OP_END;
	req.end = &empty;
	if (client_request(c, "delete", &req, CLIENT_TIMEOUT_MS, NULL, &ignored) == 0)
		client_await_stop(c);
	error_finish(&ignored);
}

int cmd_delete(const struct globals *g, int argc, const char **argv, struct error *err)
{
	const char **args;
	int force = 0, n, r;
	const struct poptOption table[] = {
		{"force", 'f', POPT_ARG_NONE, &force, 0, "end it first if it runs", NULL},
		OPTIONS_END};
	enum container_status status = STATUS_STOPPED;
	struct container c;

	if (parse_options(table, "[FLAG...] ID", 1, 1, argc, argv, &args, &n, err) < 0 ||
	    container_open(g, args[0], &c, err) < 0)
		return -1;
	r = force ? 0 : container_status(&c, &status, err);
	if (r == 0 && status != STATUS_STOPPED)
		r = error_set(err, "container %s is %s: stop it first, or use --force", c.id,
		              container_status_name(status));
	if (r == 0 && force)
		ask_to_end(&c);
	if (r == 0)
		r = container_kill(&c, CLIENT_TIMEOUT_MS, err);
	if (r == 0)
		container_remove(&c);
	container_finish(&c);
	return r;
}
