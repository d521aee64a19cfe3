/* `stasis events`: counters, in the shape of `runc events`, with what only we count beside them. */
#include "cli/cli.h"
#include "cli/client.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static json_t *syscalls_of(const Control__EventsReply *e)
{
	json_t *o = json_object();

	for (size_t i = 0; i < e->n_syscalls; i++)
		json_object_set_new(o, e->syscalls[i]->name,
		                    json_integer((json_int_t)e->syscalls[i]->calls));
	return o;
}

#define INT(v) (json_int_t)(v)

static json_t *event_of(const struct container *c, const Control__EventsReply *e)
{
	json_t *cpu, *memory, *pids, *own;

	cpu = json_pack("{s:{s:I, s:I, s:I}}", "usage", "total", INT(e->cpu_ns), "kernel",
	                INT(e->cpu_kernel_ns), "user", INT(e->cpu_user_ns));
	memory = json_pack("{s:{s:I, s:I}, s:{s:I}, s:{s:I}}", "usage", "limit",
	                   INT(e->memory_limit), "usage", INT(e->memory_bytes + e->heap_bytes),
	                   "kernel", "usage", INT(e->heap_bytes), "raw", "rss", INT(e->rss_bytes));
	pids = json_pack("{s:I, s:I}", "current", INT(e->tasks), "limit", INT(e->pids_limit));
	own = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "processes", INT(e->processes),
	                "oom_kills", INT(e->oom_kills), "faults", INT(e->faults), "switches",
	                INT(e->switches), "kicks", INT(e->kicks), "gofer_calls",
	                INT(e->gofer_calls), "restores", INT(e->restores), "syscalls",
	                syscalls_of(e));
	return json_pack("{s:s, s:s, s:{s:o, s:o, s:o, s:o}}", "type", "stats", "id", c->id, "data",
	                 "cpu", cpu, "memory", memory, "pids", pids, "stasis", own);
}

static int print_one(const struct container *c, struct error *err)
{
	Control__Request req = CONTROL__REQUEST__INIT;
	Control__Empty empty = CONTROL__EMPTY__INIT;
	Control__Reply *reply;
	char *text = NULL;
	json_t *event;

	req.op_case = CONTROL__REQUEST__OP_EVENTS;
	req.events = &empty;
	if (client_request(c, "events", &req, CLIENT_TIMEOUT_MS, &reply, err) < 0)
		return -1;
	if (reply->result_case == CONTROL__REPLY__RESULT_EVENTS) {
		event = event_of(c, reply->events);
		text = event ? json_dumps(event, JSON_COMPACT) : NULL;
		json_decref(event);
	}
	control__reply__free_unpacked(reply, NULL);
	if (!text)
		return error_set(err, "events of container %s: no answer that makes sense", c->id);
	puts(text);
	free(text);
	return fflush(stdout) == 0 ? 0 : error_set(err, "cannot write the output");
}

/* The counters end with what they count: nothing is wrong with that. */
static bool has_ended(const struct container *c)
{
	struct error ignored = {0};
	int fd = -1, r = container_connect(c, &fd, &ignored);

	if (r >= 0)
		close(fd);
	error_finish(&ignored);
	return r == -ECONNREFUSED;
}

int cmd_events(const struct globals *g, int argc, const char **argv, struct error *err)
{
	int stats = 0, interval = 5, n, r;
	const struct poptOption table[] = {
		{"stats", 0, POPT_ARG_NONE, &stats, 0, "once, not again and again", NULL},
		{"interval", 0, POPT_ARG_INT, &interval, 0, "seconds in between (default 5)",
	         "SECONDS"},
		OPTIONS_END};
	struct container c;
	const char **args;

	if (parse_options(table, "[FLAG...] ID", 1, 1, argc, argv, &args, &n, err) < 0)
		return -1;
	if (interval < 1)
		return error_usage(err, "events: --interval %d: at least 1", interval);
	if (container_open(g, args[0], &c, err) < 0)
		return -1;
	r = print_one(&c, err);
	while (r == 0 && !stats) {
		sleep((unsigned)interval);
		if (has_ended(&c))
			break;
		r = print_one(&c, err);
		/* Or while it was asked: then it is gone in a moment. */
		for (int i = 0; r < 0 && i < 50; i++) {
			if (has_ended(&c)) {
				error_finish(err);
				r = 0;
			} else {
				usleep(20000);
			}
		}
	}
	container_finish(&c);
	return r;
}
