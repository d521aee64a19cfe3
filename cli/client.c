/* The client's side of the control socket. */
#include "cli/client.h"
#include "proto/rpc.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

static s64 now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int client_call(int fd, Control__Request *req, const int *fds, size_t n_fds, int timeout_ms,
                Control__Reply **ret)
{
	static u64 last_id;
	s64 deadline = now_ms() + timeout_ms;
	int r;

	req->id = ++last_id;
	r = rpc_send(fd, &req->base, fds, n_fds, false);
	if (r < 0)
		return r;
	for (;;) {
		struct pollfd p = {fd, POLLIN, 0};
		s64 left = timeout_ms < 0 ? -1 : MAX(deadline - now_ms(), (s64)0);
		ProtobufCMessage *m;
		Control__Reply *reply;

		r = poll(&p, 1, (int)left);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			return -ETIMEDOUT;
		r = rpc_recv(fd, &control__reply__descriptor, true, &m, NULL, 0, NULL);
		if (r == -EAGAIN)
			continue;
		if (r < 0)
			return r;
		reply = (Control__Reply *)m;
		if (reply->id == req->id) {
			*ret = reply;
			return 0;
		}
		control__reply__free_unpacked(reply, NULL);
	}
}

int client_check(const struct container *c, const char *what, const Control__Reply *reply,
                 struct error *err)
{
	if (!reply->error)
		return 0;
	return error_set(err, "%s container %s: %s", what, c->id,
	                 reply->why && *reply->why ? reply->why : strerror(reply->error));
}

int client_request(const struct container *c, const char *what, Control__Request *req,
                   int timeout_ms, Control__Reply **ret_reply, struct error *err)
{
	AUTO_CLOSE int fd = -1;
	Control__Reply *reply;
	int r;

	r = container_connect(c, &fd, err);
	if (r == 0)
		r = client_call(fd, req, NULL, 0, timeout_ms, &reply);
	else if (r != -ECONNREFUSED)
		return -1;
	if (r == -ECONNREFUSED || r == -EPIPE)
		return error_set(err, "%s container %s: it is not running", what, c->id);
	if (r < 0)
		return error_set(err, "%s container %s: it does not answer: %s", what, c->id,
		                 strerror(-r));
	r = client_check(c, what, reply, err);
	if (r == 0 && ret_reply)
		*ret_reply = reply;
	else
		control__reply__free_unpacked(reply, NULL);
	return r;
}
