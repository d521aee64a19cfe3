/* The calls of the control socket. */
#define LOG_SUBSYSTEM "control"
#include "sentry/boot/control_impl.h"
#include "state/base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void control_reply_exit(struct control *c, struct conn *k, u64 id)
{
	Control__Reply reply = CONTROL__REPLY__INIT;
	Control__ExitStatus status = CONTROL__EXIT_STATUS__INIT;
	Control__Empty empty = CONTROL__EMPTY__INIT;

	reply.id = id;
	if (c->exit.ended) {
		reply.result_case = CONTROL__REPLY__RESULT_ENDED;
		reply.ended = &empty;
	} else {
		status.code = c->exit.code;
		status.signal = c->exit.signal;
		reply.result_case = CONTROL__REPLY__RESULT_EXIT;
		reply.exit = &status;
	}
	conn_reply(c, k, &reply);
}

void control_reply_killed(struct control *c, struct conn *k)
{
	Control__Reply reply = CONTROL__REPLY__INIT;
	Control__ExitStatus status = CONTROL__EXIT_STATUS__INIT;

	if (c->exit.ended) {
		control_reply_exit(c, k, 0);
		return;
	}
	status.signal = SIGKILL;
	reply.result_case = CONTROL__REPLY__RESULT_EXIT;
	reply.exit = &status;
	conn_reply(c, k, &reply);
}

void control_event(void *arg, u64 exec_id, const struct boot_exit *exit)
{
	struct control *c = arg;
	Control__Reply reply = CONTROL__REPLY__INIT;
	Control__ExitStatus status = CONTROL__EXIT_STATUS__INIT;
	Control__Empty empty = CONTROL__EMPTY__INIT;
	size_t i;

	GUARD(&c->lock);
	if (!exit) {
		reply.result_case = CONTROL__REPLY__RESULT_STOPPED;
		reply.stopped = &empty;
		conn_reply(c, &c->conns[CONN_PARENT], &reply);
		return;
	}
	status.code = exit->code;
	status.signal = exit->signal;
	reply.result_case = CONTROL__REPLY__RESULT_EXIT;
	reply.exit = &status;
	for (i = 0; i < MAX_CONNS; i++) {
		struct conn *k = &c->conns[i];

		if (k->fd < 0 || k->exec_id != exec_id)
			continue;
		k->exec_id = 0;
		conn_reply(c, k, &reply);
	}
}

/*
 * What changes the kernel, or would stop it, waits for no image: writing one may take long, and the
 * sandbox may be gone after it. NULL: no image is being written.
 */
static const char *busy(const struct control *c) REQUIRES(c->lock)
{
	return c->job_running ? "an image of it is being written: try again after that"
	       : c->job_held  ? "a checkpoint of it is being finished: try again after that"
	                      : NULL;
}

static size_t op_exec(struct control *c, struct conn *k, u64 id, const Control__ExecRequest *rq,
                      const int *fds, size_t n_fds) REQUIRES(c->lock)
{
	Control__Reply reply = CONTROL__REPLY__INIT;
	Control__ExecReply started = CONTROL__EXEC_REPLY__INIT;
	char *why = NULL;
	int r, command = 0;

	if (n_fds != 3 || k->exec_id) {
		conn_result(c, k, id, -EINVAL, "exec needs three files, and one per connection");
		return 0;
	}
	if (busy(c)) {
		conn_result(c, k, id, -EBUSY, busy(c));
		return 0;
	}
	reply.id = id;
	r = boot_exec(c->b, rq, fds, &k->exec_id, &started.pid, &command, &why);
	if (r < 0) {
		k->exec_id = 0;
		reply.error = -r;
		reply.why = why ? why : strerror(-r);
		reply.command_status = command;
	} else {
		k->exec_detached = rq->detach;
		reply.result_case = CONTROL__REPLY__RESULT_EXEC;
		reply.exec = &started;
	}
	conn_reply(c, k, &reply);
	free(why);
	return 3;
}

static void op_state(struct control *c, struct conn *k, u64 id) REQUIRES(c->lock)
{
	Control__Reply reply = CONTROL__REPLY__INIT;
	Control__StateReply state = CONTROL__STATE_REPLY__INIT;

	state.status = (char *)(c->exited   ? "stopped"
	                        : !c->b     ? "creating"
	                        : c->paused ? "paused"
	                                    : "running");
	reply.id = id;
	reply.result_case = CONTROL__REPLY__RESULT_STATE;
	reply.state = &state;
	conn_reply(c, k, &reply);
}

/* Answers of any length go into a file that the caller brings along; a pipe might never be read. */
static bool takes_answer(const int *fds, size_t n_fds)
{
	struct stat st;

	return n_fds == 1 && fstat(fds[0], &st) == 0 && S_ISREG(st.st_mode);
}

static void op_ps(struct control *c, struct conn *k, u64 id, const int *fds, size_t n_fds)
	REQUIRES(c->lock)
{
	Control__PsReply ps = CONTROL__PS_REPLY__INIT;
	Control__Reply reply = CONTROL__REPLY__INIT;
	int r = takes_answer(fds, n_fds) ? boot_ps(c->b, fds[0], &ps) : -EINVAL;

	reply.id = id;
	reply.result_case = CONTROL__REPLY__RESULT_PS;
	reply.ps = &ps;
	if (r < 0)
		conn_result(c, k, id, r, NULL);
	else
		conn_reply(c, k, &reply);
}

static void op_debug(struct control *c, struct conn *k, u64 id, const int *fds, size_t n_fds)
	REQUIRES(c->lock)
{
	Control__DebugReply debug = CONTROL__DEBUG_REPLY__INIT;
	Control__Reply reply = CONTROL__REPLY__INIT;
	int r = takes_answer(fds, n_fds) ? boot_debug(c->b, fds[0], &debug) : -EINVAL;

	reply.id = id;
	reply.result_case = CONTROL__REPLY__RESULT_DEBUG;
	reply.debug = &debug;
	if (r < 0)
		conn_result(c, k, id, r, NULL);
	else
		conn_reply(c, k, &reply);
}

static void op_events(struct control *c, struct conn *k, u64 id) REQUIRES(c->lock)
{
	Control__EventsReply events = CONTROL__EVENTS_REPLY__INIT;
	Control__Reply reply = CONTROL__REPLY__INIT;
	int r = boot_events(c->b, &events);

	reply.id = id;
	reply.result_case = CONTROL__REPLY__RESULT_EVENTS;
	reply.events = &events;
	if (r < 0)
		conn_result(c, k, id, r, NULL);
	else
		conn_reply(c, k, &reply);
	for (size_t i = 0; i < events.n_syscalls; i++)
		free(events.syscalls[i]);
	free(events.syscalls);
}

static void op_pause(struct control *c, struct conn *k, u64 id, bool pause) REQUIRES(c->lock)
{
	int r;

	if (busy(c)) {
		conn_result(c, k, id, -EBUSY, busy(c));
		return;
	}
	r = pause ? boot_pause(c->b) : boot_resume(c->b);
	if (r == 0)
		c->paused = pause;
	conn_result(c, k, id, r, r == -EALREADY ? (pause ? "already paused" : "not paused") : NULL);
}

static void job_close_fds(struct checkpoint_job *job)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(job->fds); i++)
		close(job->fds[i]);
}

static void *checkpoint_worker(void *arg)
{
	struct checkpoint_job *job = arg;
	struct control *c = job->c;
	struct boot_checkpoint ck = {
		.inventory = job->fds[0],
		.kernel = job->fds[1],
		.pagemap = job->fds[2],
		.pages = job->fds[3],
		.stats = job->fds[4],
		.lz4 = job->lz4,
		.sandbox = c->sandbox,
		.sandbox_size = c->sandbox_size,
		.cancel = &job->cancel,
	};

	lock_never_queue();
	job->result = boot_checkpoint(c->b, &ck, &job->reply, &job->why);
	control_wake(c);
	return NULL;
}

static size_t op_checkpoint(struct control *c, struct conn *k, const Control__Request *req,
                            const int *fds, size_t n_fds) REQUIRES(c->lock)
{
	struct checkpoint_job *job = &c->job;
	int r;

	if (n_fds != ARRAY_SIZE(job->fds)) {
		conn_result(c, k, req->id, -EINVAL, "a checkpoint needs five files");
		return 0;
	}
	if (busy(c)) {
		conn_result(c, k, req->id, -EBUSY, busy(c));
		return 0;
	}
	*job = (struct checkpoint_job){
		.c = c,
		.conn = k,
		.id = req->id,
		.lz4 = req->checkpoint->lz4,
		.leave_running = req->checkpoint->leave_running,
		.was_paused = c->paused,
	};
	control__checkpoint_reply__init(&job->reply);
	memcpy(job->fds, fds, sizeof(job->fds));
	r = -pthread_create(&job->thread, NULL, checkpoint_worker, job);
	if (r < 0) {
		conn_result(c, k, req->id, r, NULL);
		return 0;
	}
	c->job_running = true;
	return ARRAY_SIZE(job->fds);
}

/* Lets the guest go on from a checkpoint, unless it was paused before. */
static void checkpoint_release(struct control *c) REQUIRES(c->lock)
{
	int r = 0;

	c->job_held = false;
	if (!c->job.was_paused)
		r = boot_resume(c->b);
	if (r < 0)
		log_err("cannot go on after a checkpoint: %s", strerror(-r));
	c->paused = c->job.was_paused;
}

void checkpoint_conn_gone(struct control *c, struct conn *k)
{
	if (c->job.conn != k)
		return;
	c->job.conn = NULL;
	if (c->job_running) {
		__atomic_store_n(&c->job.cancel, true, __ATOMIC_RELEASE);
	} else if (c->job_held) {
		log_warn("whoever asked for the checkpoint is gone: the sandbox goes on");
		checkpoint_release(c);
	}
}

void checkpoint_reap(struct control *c)
{
	struct checkpoint_job *job = &c->job;
	Control__Reply reply = CONTROL__REPLY__INIT;

	/* Other wakes come here too; the worker has set no flag that we could test without it. */
	if (!c->job_running)
		return;
	if (pthread_tryjoin_np(job->thread, NULL) != 0) {
		/* It has woken us and is about to return. */
		control_wake(c);
		return;
	}
	c->job_running = false;
	job_close_fds(job);
	if (job->result < 0) {
		log_warn("checkpoint: %s", job->why ? job->why : strerror(-job->result));
		if (job->conn)
			conn_result(c, job->conn, job->id, job->result, job->why);
		free(job->why);
		job->conn = NULL;
		return;
	}
	c->job_held = true;
	c->paused = true;
	if (!job->conn || job->leave_running)
		checkpoint_release(c);
	if (!job->conn)
		return;
	reply.id = job->id;
	reply.result_case = CONTROL__REPLY__RESULT_CHECKPOINT;
	reply.checkpoint = &job->reply;
	conn_reply(c, job->conn, &reply);
	/* It runs on: there is nothing to commit. */
	if (job->leave_running)
		job->conn = NULL;
}

static void op_commit(struct control *c, struct conn *k, u64 id, bool end) REQUIRES(c->lock)
{
	if (c->job.conn != k || c->job_running) {
		conn_result(c, k, id, -EINVAL, "there is no checkpoint to commit");
		return;
	}
	c->job.conn = NULL;
	if (end)
		boot_end(c->b);
	else if (c->job_held)
		checkpoint_release(c);
	conn_result(c, k, id, 0, NULL);
}

static void op_signal(struct control *c, struct conn *k, u64 id, const Control__SignalRequest *s)
	REQUIRES(c->lock)
{
	int r;

	if (s->signal < 0 || s->signal > 64 || s->pid < 0) {
		conn_result(c, k, id, -EINVAL, NULL);
		return;
	}
	if (s->exec)
		r = k->exec_id ? boot_exec_signal(c->b, k->exec_id, s->signal, s->group) : -ESRCH;
	else
		r = boot_signal(c->b, s->pid, s->signal, s->group, s->all);
	conn_result(c, k, id, r, r == -ESRCH ? "no such process" : NULL);
}

size_t control_handle(struct control *c, struct conn *k, const Control__Request *req,
                      const int *fds, size_t n_fds)
{
	u64 id = req->id;

	if (id == 0) {
		conn_close(c, k);
		return 0;
	}
	if (req->op_case == CONTROL__REQUEST__OP_STATE) {
		op_state(c, k, id);
		return 0;
	}
	if (req->op_case == CONTROL__REQUEST__OP_WAIT) {
		if (c->exited)
			control_reply_exit(c, k, id);
		else
			k->wait_id = id;
		return 0;
	}
	if (!c->b || c->exited) {
		conn_result(c, k, id, c->b ? -ESRCH : -EAGAIN,
		            c->b ? "it has ended" : "it is still starting");
		return 0;
	}
	switch (req->op_case) {
	case CONTROL__REQUEST__OP_SIGNAL:
		op_signal(c, k, id, req->signal);
		break;
	case CONTROL__REQUEST__OP_PS:
		op_ps(c, k, id, fds, n_fds);
		break;
	case CONTROL__REQUEST__OP_DEBUG:
		op_debug(c, k, id, fds, n_fds);
		break;
	case CONTROL__REQUEST__OP_EVENTS:
		op_events(c, k, id);
		break;
	case CONTROL__REQUEST__OP_PAUSE:
		op_pause(c, k, id, true);
		break;
	case CONTROL__REQUEST__OP_RESUME:
		op_pause(c, k, id, false);
		break;
	case CONTROL__REQUEST__OP_CHECKPOINT:
		return op_checkpoint(c, k, req, fds, n_fds);
	case CONTROL__REQUEST__OP_COMMIT:
		op_commit(c, k, id, req->commit->end);
		break;
	case CONTROL__REQUEST__OP_EXEC:
		return op_exec(c, k, id, req->exec, fds, n_fds);
	case CONTROL__REQUEST__OP_END:
		boot_end(c->b);
		conn_result(c, k, id, 0, NULL);
		break;
	default:
		conn_result(c, k, id, -EOPNOTSUPP, NULL);
		break;
	}
	return 0;
}
