/* `stasis debug`: what every task is doing. */
#include "cli/cli.h"
#include "cli/client.h"

#include <stdio.h>

/* Names in it are the guest's, the terminal is ours. */
static void print_clean(const char *s)
{
	for (; *s; s++)
		putchar(((unsigned char)*s < ' ' && *s != '\n') || *s == 0x7f ? '?' : *s);
}

static int print_stacks(const struct container *c, struct error *err)
{
	Control__DebugRequest debug = CONTROL__DEBUG_REQUEST__INIT;
	Control__Request req = CONTROL__REQUEST__INIT;
	Control__Reply *reply;
	bool more = true;

	req.op_case = CONTROL__REQUEST__OP_DEBUG;
	req.debug = &debug;
	while (more) {
		if (client_request(c, "debug", &req, CLIENT_TIMEOUT_MS, &reply, err) < 0)
			return -1;
		more = false;
		if (reply->result_case == CONTROL__REPLY__RESULT_DEBUG) {
			if (!reply->debug->at_rest && debug.after_tid == 0)
				printf("(it does not stop: registers are those of the last "
				       "call)\n");
			for (size_t i = 0; i < reply->debug->n_tasks; i++) {
				print_clean(reply->debug->tasks[i]->text);
				/* Only ever onwards, whatever the sentry says. */
				if (reply->debug->tasks[i]->tid > debug.after_tid) {
					debug.after_tid = reply->debug->tasks[i]->tid;
					more = reply->debug->more;
				}
			}
		}
		control__reply__free_unpacked(reply, NULL);
	}
	return 0;
}

int cmd_debug(const struct globals *g, int argc, const char **argv, struct error *err)
{
	int stacks = 0, n, r;
	const struct poptOption table[] = {
		{"stacks", 0, POPT_ARG_NONE, &stacks, 0,
	         "every task's state, call, registers and callers (the default)", NULL},
		OPTIONS_END};
	struct container c;
	const char **args;

	if (parse_options(table, "[FLAG...] ID", 1, 1, argc, argv, &args, &n, err) < 0 ||
	    container_open(g, args[0], &c, err) < 0)
		return -1;
	r = print_stacks(&c, err);
	container_finish(&c);
	return r;
}
