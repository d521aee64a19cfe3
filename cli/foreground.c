/* Waiting for a sandbox: its start, its end, the death of any of its processes, and signals that
 * are meant for the program in it. */
#include "cli/launch_impl.h"
#include "proto/rpc.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* How long a sentry with much memory may take to end. */
#define SENTRY_ENDS_MS 10000

static const int passed_on[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM,  SIGUSR1, SIGUSR2,
                                SIGALRM, SIGCONT, SIGTSTP, SIGWINCH, SIGIO,   SIGPWR};

int catch_signals(bool as_caller, sigset_t *ret_ignored, int *ret_fd, struct error *err)
{
	struct sigaction sa;
	sigset_t set;
	size_t i;

	sigemptyset(&set);
	sigemptyset(ret_ignored);
	for (i = 0; i < ARRAY_SIZE(passed_on); i++) {
		if (sigaction(passed_on[i], NULL, &sa) == 0 && sa.sa_handler == SIG_IGN)
			sigaddset(ret_ignored, passed_on[i]);
		/* What our caller ignores (nohup) the program of `do` ignores as well, until it
		 * says otherwise. Other programs know nothing of our caller: it does not reach
		 * them. */
		if (as_caller || !sigismember(ret_ignored, passed_on[i]))
			sigaddset(&set, passed_on[i]);
	}
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	/* Blocked, an ignored signal is dropped all the same. */
	for (i = 0; i < ARRAY_SIZE(passed_on); i++)
		if (sigismember(&set, passed_on[i]))
			signal(passed_on[i], SIG_DFL);
	*ret_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (*ret_fd < 0)
		return error_set(err, "signalfd: %s", strerror(errno));
	return 0;
}

/* Answers the wish of a restored sandbox for the image's attach points. */
static int serve_gofer(struct running *s, const Control__NeedGofer *need, struct error *err)
{
	Control__Request req = CONTROL__REQUEST__INIT;
	Control__Empty empty = CONTROL__EMPTY__INIT;
	AUTO_CLOSE int sock = -1;
	int r;

	if (s->gofer.pid || need->n_attach == 0)
		return error_set(err, "container %s asks for files twice", s->c.id);
	if (start_gofer(s, need->attach, need->n_attach, &sock, err) < 0)
		return -1;
	req.id = 1;
	req.op_case = CONTROL__REQUEST__OP_ATTACHED;
	req.attached = &empty;
	r = rpc_send(s->parent_fd, &req.base, &sock, 1, false);
	if (r < 0)
		return error_set(err, "cannot reach the sentry of container %s: %s", s->c.id,
		                 strerror(-r));
	return 0;
}

/* The sentry has hung up without a word. */
static int sentry_died(struct running *s, struct error *err)
{
	char how[128];

	child_describe(child_wait(&s->sentry), how, sizeof(how));
	return error_set(err, "container %s died: its sentry %s%s", s->c.id, how,
	                 s->l->globals->log_fd == STDERR_FILENO ? ": --log FILE --debug tells more"
	                                                        : "");
}

static int gofer_died(struct running *s, struct error *err)
{
	char how[128];

	child_describe(child_wait(&s->gofer), how, sizeof(how));
	return error_set(err, "container %s ended: its gofer %s", s->c.id, how);
}

static int failed(struct running *s, const Control__Reply *reply, struct error *err)
{
	const char *why = reply->why && *reply->why ? reply->why : strerror(reply->error);

	if (s->started)
		return error_set(err, "container %s ended: %s", s->c.id, why);
	if (s->l->restore)
		return error_set(err, "cannot restore %s: %s", s->l->image, why);
	return error_set(err, "cannot start container %s: %s", s->c.id, why);
}

/* To the whole foreground group, or to the first process alone. */
static void send_signal(struct running *s, int signo, bool group)
{
	Control__Request req = CONTROL__REQUEST__INIT;
	Control__SignalRequest sig = CONTROL__SIGNAL_REQUEST__INIT;

	if (signo == SIGTSTP || signo == SIGCONT)
		s->asked_to_stop = signo == SIGTSTP;
	sig.signal = signo;
	sig.group = group;
	req.id = 2;
	req.op_case = CONTROL__REQUEST__OP_SIGNAL;
	req.signal = &sig;
	(void)rpc_send(s->parent_fd, &req.base, NULL, 0, true);
}

/* What the sentry says unasked. 1: nothing that ends the wait; 0 with the exit status; -1. */
static int handle_reply(struct running *s, int *ret_status, struct error *err)
{
	ProtobufCMessage *m;
	Control__Reply *reply;
	int r;

	r = rpc_recv(s->parent_fd, &control__reply__descriptor, true, &m, NULL, 0, NULL);
	if (r == -EAGAIN)
		return 1;
	if (r == -EPIPE)
		return sentry_died(s, err);
	if (r < 0)
		return error_set(err, "the sentry of container %s talks nonsense: %s", s->c.id,
		                 strerror(-r));
	reply = (Control__Reply *)m;
	r = 1;
	if (reply->id != 0) {
		/* A signal found nobody: the end is about to be told. */
	} else if (reply->error) {
		r = failed(s, reply, err);
	} else if (reply->result_case == CONTROL__REPLY__RESULT_STARTED) {
		s->started = true;
		if (s->stop_early)
			send_signal(s, SIGTSTP, true);
	} else if (reply->result_case == CONTROL__REPLY__RESULT_NEED_GOFER) {
		r = serve_gofer(s, reply->need_gofer, err) < 0 ? -1 : 1;
	} else if (reply->result_case == CONTROL__REPLY__RESULT_EXIT) {
		*ret_status = reply->exit->signal ? 128 + (reply->exit->signal & 0x7f)
		                                  : reply->exit->code & 0xff;
		r = 0;
	} else if (reply->result_case == CONTROL__REPLY__RESULT_ENDED) {
		*ret_status = 128 + SIGKILL;
		s->ended = true;
		r = 0;
	} else if (reply->result_case == CONTROL__REPLY__RESULT_STOPPED &&
	           (s->asked_to_stop || isatty(STDIN_FILENO))) {
		/* Whoever stopped us, or our caller's shell, is to see it stopped, and the shell
		 * gets its terminal back. Without either the guest's stops are its own business. */
		raise(SIGSTOP);
	}
	control__reply__free_unpacked(reply, NULL);
	return r;
}

/* Before the start nobody is there to take a signal: one that would end most programs ends the
 * attempt, and a wish to stop waits for somebody who can. Results as handle_reply. */
static int early_signal(struct running *s, int signo, struct error *err)
{
	if (signo == SIGTSTP || signo == SIGCONT)
		s->stop_early = signo == SIGTSTP;
	if (signo == SIGCONT || signo == SIGWINCH || signo == SIGTSTP ||
	    sigismember(&s->ignored, signo))
		return 1;
	return error_set(err, "interrupted by signal %d (%s) while starting", signo,
	                 sigabbrev_np(signo));
}

/* Results as handle_reply. */
static int pass_signal(struct running *s, int *ret_status, struct error *err)
{
	struct pollfd p = {s->parent_fd, POLLIN, 0};
	struct signalfd_siginfo info;
	int r = 1;

	/* Who signals because of what the program did must not be too early for us: the word of
	 * the start was sent before the program's first step. */
	while (r == 1 && !s->started && poll(&p, 1, 0) > 0)
		r = handle_reply(s, ret_status, err);
	if (r != 1 || read(s->signal_fd, &info, sizeof(info)) != sizeof(info))
		return r;
	if (!s->started)
		return early_signal(s, (int)info.ssi_signo, err);
	/* From the terminal it would reach the whole foreground group; from kill(2) one process. */
	send_signal(s, (int)info.ssi_signo,
	            info.ssi_code == SI_KERNEL || info.ssi_signo == SIGCONT);
	return 1;
}

/* The gofer ends by itself, with status 0, when the sentry's end of their connection is closed. */
static bool gofer_left(const struct running *s)
{
	siginfo_t info = {0};

	return waitid(P_PIDFD, (id_t)s->gofer.pidfd, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_code == CLD_EXITED && info.si_status == 0;
}

/* One round of waiting; results as handle_reply. */
static int wait_round(struct running *s, int *ret_status, struct error *err)
{
	struct pollfd p[] = {
		{s->parent_fd, POLLIN, 0}, {s->gofer.pidfd, POLLIN, 0}, {s->signal_fd, POLLIN, 0}};
	int r;

	if (poll(p, ARRAY_SIZE(p), -1) < 0)
		return errno == EINTR ? 1 : error_set(err, "poll: %s", strerror(errno));
	if (p[0].revents) {
		r = handle_reply(s, ret_status, err);
		if (r != 1)
			return r;
	} else if (p[1].revents) {
		/* The other end of a sentry that is ending may be closed before ours. */
		if (!gofer_left(s) || poll(p, 1, SENTRY_ENDS_MS) <= 0)
			return gofer_died(s, err);
		r = handle_reply(s, ret_status, err);
		if (r != 1)
			return r;
	}
	return p[2].revents ? pass_signal(s, ret_status, err) : 1;
}

int await_start(struct running *s, struct error *err)
{
	int r = 1, status = 0;

	while (r == 1 && !s->started)
		r = wait_round(s, &status, err);
	return r < 0 ? r : 0;
}

int await_end(struct running *s, struct error *err)
{
	int r = 1, status = 0;

	while (r == 1)
		r = wait_round(s, &status, err);
	return r < 0 ? r : status;
}
