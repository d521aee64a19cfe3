/* `stasis debug`: what every task is doing. */
#include "cli/cli.h"
#include "cli/client.h"

#include <stdio.h>

static int print_stacks(const struct container *c, struct error *err)
{
	Control__DebugRequest debug = CONTROL__DEBUG_REQUEST__INIT;
	Control__Request req = CONTROL__REQUEST__INIT;
	Control__Reply *reply;
	ProtobufCMessage *m;
	FILE *answer;
	int r;

	req.op_case = CONTROL__REQUEST__OP_DEBUG;
	req.debug = &debug;
	if (client_request_answer(c, "debug", &req, &reply, &answer, err) < 0)
		return -1;
	if (reply->result_case == CONTROL__REPLY__RESULT_DEBUG && !reply->debug->at_rest)
		printf("(it does not stop: registers are those of the last call)\n");
	control__reply__free_unpacked(reply, NULL);
	while ((r = client_next(answer, &control__debug_task__descriptor, &m)) > 0) {
		/* Names in it are the guest's, the terminal is ours. */
		print_clean(((Control__DebugTask *)m)->text, true);
		protobuf_c_message_free_unpacked(m, NULL);
	}
	fclose(answer);
	if (r < 0)
		return error_set(err, "debug container %s: no answer that makes sense", c->id);
	return fflush(stdout) == 0 ? 0 : error_set(err, "cannot write the output");
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
