/* The control server's thread, its connections, and what it does when somebody goes away. The
 * calls themselves are in control_ops.c. */
#define LOG_SUBSYSTEM "control"
#include "sentry/boot/control_impl.h"
#include "proto/rpc.h"
#include "state/base/cleanup.h"
#include "state/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

void conn_close(struct control *c, struct conn *k)
{
	if (k->fd < 0)
		return;
	close(k->fd);
	k->fd = -1;
	k->wait_id = 0;
	if (k->exec_id && !k->exec_detached)
		boot_exec_abandoned(c->b, k->exec_id);
	k->exec_id = 0;
	checkpoint_conn_gone(c, k);
	if (k != &c->conns[CONN_PARENT])
		return;
	/* In the foreground nobody is left who could use the result; a detached sandbox that has
	 * not told of its start has nobody who knows of it. */
	if (!c->cfg->detach || !c->b) {
		log_info("the command that started the sandbox is gone: ending");
		_exit(1);
	}
}

void conn_reply(struct control *c, struct conn *k, const Control__Reply *reply)
{
	int r;

	if (k->fd < 0)
		return;
	r = rpc_send(k->fd, &reply->base, NULL, 0, true);
	if (r < 0) {
		/* Somebody who asks but does not read is not waited for. */
		log_debug("a client does not take its reply: %s", strerror(-r));
		conn_close(c, k);
	}
}

/* An image's names are in it, of any length. */
#define WHY_MAX 1000

void conn_result(struct control *c, struct conn *k, u64 id, int r, const char *why)
{
	Control__Reply reply = CONTROL__REPLY__INIT;
	char text[WHY_MAX];

	reply.id = id;
	reply.error = r < 0 ? -r : 0;
	if (r < 0) {
		snprintf(text, sizeof(text), "%s", why ? why : strerror(-r));
		reply.why = text;
	}
	conn_reply(c, k, &reply);
}

void control_wake(struct control *c)
{
	u64 one = 1;

	if (write(c->wake_fd, &one, sizeof(one)) < 0)
		log_err("cannot wake the control thread: %s", strerror(errno));
}

/* The 9P connections that need_gofer asked for. */
static void take_attached(struct control *c, struct conn *k, int *fds, size_t n) REQUIRES(c->lock)
{
	size_t i;

	if (k == &c->conns[CONN_PARENT] && c->attach_wanted && !c->attach_done) {
		memcpy(c->attach_fds, fds, n * sizeof(fds[0]));
		c->n_attach_fds = n;
		c->attach_done = true;
		pthread_cond_signal(&c->attach_cond);
		return;
	}
	for (i = 0; i < n; i++)
		close(fds[i]);
	conn_close(c, k);
}

static void conn_read(struct control *c, struct conn *k) REQUIRES(c->lock)
{
	int fds[RPC_MAX_FDS];
	size_t n_fds = 0, i;
	ProtobufCMessage *m;
	Control__Request *req;
	int r;

	r = rpc_recv(k->fd, &control__request__descriptor, true, &m, fds, RPC_MAX_FDS, &n_fds);
	if (r == -EAGAIN)
		return;
	if (r < 0) {
		if (r != -EPIPE)
			log_warn("bad packet on the control socket: %s", strerror(-r));
		conn_close(c, k);
		return;
	}
	req = (Control__Request *)m;
	if (req->op_case == CONTROL__REQUEST__OP_ATTACHED) {
		take_attached(c, k, fds, n_fds);
	} else {
		size_t taken = control_handle(c, k, req, fds, n_fds);

		for (i = taken; i < n_fds; i++)
			close(fds[i]);
	}
	protobuf_c_message_free_unpacked(m, NULL);
}

/* A descriptor is kept in reserve, so that there is an answer when all others are taken. */
static int accept_with_reserve(struct control *c) REQUIRES(c->lock)
{
	int fd = accept4(c->cfg->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE) && c->reserve_fd >= 0) {
		close(c->reserve_fd);
		fd = accept4(c->cfg->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		c->reserve_fd = -1;
	}
	if (c->reserve_fd < 0)
		c->reserve_fd = fcntl(c->wake_fd, F_DUPFD_CLOEXEC, 0);
	if (fd >= 0 && c->reserve_fd < 0) {
		/* The caller is told at least: it is hung up on. */
		log_warn("no descriptor is left for a control connection");
		close(fd);
		fd = -1;
		c->reserve_fd = fcntl(c->wake_fd, F_DUPFD_CLOEXEC, 0);
	}
	return fd;
}

static void accept_one(struct control *c) REQUIRES(c->lock)
{
	int fd = accept_with_reserve(c);
	size_t i;

	if (fd < 0)
		return;
	for (i = CONN_PARENT + 1; i < MAX_CONNS; i++) {
		if (c->conns[i].fd < 0) {
			c->conns[i].fd = fd;
			c->conns[i].wait_id = c->conns[i].exec_id = 0;
			return;
		}
	}
	log_warn("too many control connections");
	close(fd);
}

static void gofer_gone(struct control *c) REQUIRES(c->lock)
{
	const char *why = "the gofer died: the host's files are out of reach";

	log_info("%s", why);
	conn_result(c, &c->conns[CONN_PARENT], 0, -EPIPE, why);
	_exit(1);
}

static size_t fill_poll(struct control *c, struct pollfd *p) REQUIRES(c->lock)
{
	size_t n = 0, i;

	p[n++] = (struct pollfd){c->wake_fd, POLLIN, 0};
	p[n++] = (struct pollfd){c->cfg->listen_fd, POLLIN, 0};
	for (i = 0; i < MAX_CONNS; i++)
		p[n++] = (struct pollfd){c->conns[i].fd, POLLIN | POLLRDHUP, 0};
	for (i = 0; i < c->n_gofers; i++)
		p[n++] = (struct pollfd){c->gofers[i], POLLRDHUP, 0};
	return n;
}

static void *control_thread(void *arg)
{
	struct control *c = arg;
	struct pollfd p[2 + MAX_CONNS + RPC_MAX_FDS];

	lock_never_queue();
	for (;;) {
		size_t n, i;
		u64 woken;

		mutex_lock(&c->lock);
		n = fill_poll(c, p);
		mutex_unlock(&c->lock);
		if (poll(p, n, -1) < 0 && errno != EINTR) {
			log_err("poll: %s", strerror(errno));
			_exit(1);
		}
		mutex_lock(&c->lock);
		if (p[0].revents && read(c->wake_fd, &woken, sizeof(woken)) > 0)
			checkpoint_reap(c);
		/* A connection that is closed meanwhile has another number or none. */
		for (i = 0; i < MAX_CONNS; i++) {
			struct conn *k = &c->conns[i];
			short got = p[2 + i].revents;

			if (k->fd < 0 || k->fd != p[2 + i].fd)
				continue;
			if (got & POLLIN)
				conn_read(c, k);
			else if (got & (POLLHUP | POLLRDHUP | POLLERR | POLLNVAL))
				conn_close(c, k);
		}
		for (i = 2 + MAX_CONNS; i < n; i++)
			if (p[i].revents & (POLLHUP | POLLRDHUP | POLLERR))
				gofer_gone(c);
		if (p[1].revents & POLLIN)
			accept_one(c);
		mutex_unlock(&c->lock);
	}
	return NULL;
}

int control_start(const Control__BootConfig *cfg, struct control **ret, char **ret_why)
{
	struct control *c = calloc(1, sizeof(*c));
	pthread_attr_t attr;
	size_t i;
	int r;

	if (!c)
		return -ENOMEM;
	c->cfg = cfg;
	mutex_init(&c->lock, RANK_CONTROL_SERVER);
	pthread_cond_init(&c->attach_cond, NULL);
	for (i = 0; i < MAX_CONNS; i++)
		c->conns[i].fd = -1;
	c->conns[CONN_PARENT].fd = cfg->parent_fd;
	c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	c->reserve_fd = fcntl(c->wake_fd, F_DUPFD_CLOEXEC, 0);
	if (c->wake_fd < 0) {
		r = -errno;
	} else {
		pthread_attr_init(&attr);
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
		r = -pthread_create(&c->thread, &attr, control_thread, c);
		pthread_attr_destroy(&attr);
	}
	if (r < 0) {
		if (asprintf(ret_why, "cannot start the control server: %s", strerror(-r)) < 0)
			*ret_why = NULL;
		if (c->wake_fd >= 0)
			close(c->wake_fd);
		free(c);
		return r;
	}
	*ret = c;
	return 0;
}

int control_need_gofer(struct control *c, const Control__Sandbox *sandbox, int *ret_fds,
                       size_t max_fds, size_t *ret_n_fds)
{
	Control__Reply reply = CONTROL__REPLY__INIT;
	Control__NeedGofer need = CONTROL__NEED_GOFER__INIT;
	size_t i;
	int r = 0;

	need.n_attach = sandbox->n_attach;
	need.attach = sandbox->attach;
	reply.result_case = CONTROL__REPLY__RESULT_NEED_GOFER;
	reply.need_gofer = &need;
	mutex_lock(&c->lock);
	c->attach_wanted = true;
	conn_reply(c, &c->conns[CONN_PARENT], &reply);
	while (!c->attach_done)
		pthread_cond_wait(&c->attach_cond, &c->lock.m);
	if (c->n_attach_fds == 0 || c->n_attach_fds > max_fds) {
		for (i = 0; i < c->n_attach_fds; i++)
			close(c->attach_fds[i]);
		r = -EPROTO;
	} else {
		memcpy(ret_fds, c->attach_fds, c->n_attach_fds * sizeof(int));
		*ret_n_fds = c->n_attach_fds;
	}
	mutex_unlock(&c->lock);
	return r;
}

int control_watch_gofers(struct control *c, const int *fds, size_t n_fds)
{
	size_t i;

	if (n_fds > RPC_MAX_FDS)
		return -E2BIG;
	GUARD(&c->lock);
	for (i = 0; i < n_fds; i++) {
		/* Our own number for it: whoever speaks 9P may close his when he likes. */
		int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);

		if (fd < 0)
			return -errno;
		c->gofers[c->n_gofers++] = fd;
	}
	control_wake(c);
	return 0;
}

void control_failed(struct control *c, int error, const char *why)
{
	GUARD(&c->lock);
	conn_result(c, &c->conns[CONN_PARENT], 0, error, why);
}

void control_started(struct control *c, struct boot *b, const void *sandbox, size_t sandbox_size)
{
	Control__Reply reply = CONTROL__REPLY__INIT;
	Control__Empty empty = CONTROL__EMPTY__INIT;

	reply.result_case = CONTROL__REPLY__RESULT_STARTED;
	reply.started = &empty;
	boot_on_event(b, control_event, c);
	GUARD(&c->lock);
	c->b = b;
	c->sandbox = sandbox;
	c->sandbox_size = sandbox_size;
	conn_reply(c, &c->conns[CONN_PARENT], &reply);
}

void control_exited(struct control *c, const struct boot_exit *status)
{
	size_t i;

	GUARD(&c->lock);
	c->exit = *status;
	c->exited = true;
	/* The command that started us last: when it has its word it ends, and we with it. */
	for (i = MAX_CONNS; i-- > 0;) {
		struct conn *k = &c->conns[i];

		if (k->fd < 0)
			continue;
		if (k->wait_id)
			control_reply_exit(c, k, k->wait_id);
		if (k->exec_id)
			control_reply_killed(c, k);
		if (i == CONN_PARENT)
			control_reply_exit(c, k, 0);
	}
}
