/* The client's side of the control socket. */
#include "cli/client.h"
#include "proto/rpc.h"
#include "state/base/cleanup.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

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

static int request(const struct container *c, const char *what, Control__Request *req, int answer,
                   int timeout_ms, Control__Reply **ret_reply, struct error *err)
{
	AUTO_CLOSE int fd = -1;
	Control__Reply *reply;
	int r;

	r = container_connect(c, &fd, err);
	if (r == 0)
		r = client_call(fd, req, &answer, answer >= 0, timeout_ms, &reply);
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

int client_request(const struct container *c, const char *what, Control__Request *req,
                   int timeout_ms, Control__Reply **ret_reply, struct error *err)
{
	return request(c, what, req, -1, timeout_ms, ret_reply, err);
}

void client_await_stop(const struct container *c)
{
	struct error ignored = {0};
	Control__Request req = CONTROL__REQUEST__INIT;
	Control__Empty empty = CONTROL__EMPTY__INIT;
	AUTO_CLOSE int fd = -1;
	Control__Reply *reply;

	req.op_case = CONTROL__REQUEST__OP_WAIT;
	req.wait = &empty;
	/* Two waits: for the program, and for the sentry to close its connections. */
	if (container_connect(c, &fd, &ignored) == 0)
		while (client_call(fd, &req, NULL, 0, CLIENT_TIMEOUT_MS, &reply) == 0)
			control__reply__free_unpacked(reply, NULL);
	error_finish(&ignored);
}

int client_request_answer(const struct container *c, const char *what, Control__Request *req,
                          Control__Reply **ret_reply, FILE **ret_answer, struct error *err)
{
	AUTO_CLOSE int fd = memfd_create("answer", MFD_CLOEXEC);
	FILE *f;

	if (fd < 0)
		return error_set(err, "%s container %s: %s", what, c->id, strerror(errno));
	if (request(c, what, req, fd, CLIENT_ANSWER_MS, ret_reply, err) < 0)
		return -1;
	f = lseek(fd, 0, SEEK_SET) == 0 ? fdopen(fd, "r") : NULL;
	if (!f) {
		control__reply__free_unpacked(*ret_reply, NULL);
		return error_set(err, "%s container %s: %s", what, c->id, strerror(errno));
	}
	fd = -1;
	*ret_answer = f;
	return 0;
}

int client_next(FILE *answer, const ProtobufCMessageDescriptor *desc, ProtobufCMessage **ret)
{
	u8 buf[RPC_MAX_MESSAGE];
	u32 len;
	size_t n = fread(&len, 1, sizeof(len), answer);

	if (n == 0)
		return 0;
	len = le32toh(len);
	if (n < sizeof(len) || len > sizeof(buf) || fread(buf, 1, len, answer) != len)
		return -EBADMSG;
	*ret = protobuf_c_message_unpack(desc, NULL, len, buf);
	return *ret ? 1 : -EBADMSG;
}

/* The length of the UTF-8 sequence at p, of at most n bytes; 0: it is none. */
static size_t sequence(const u8 *p, u32 *ret)
{
	size_t len = p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 0;
	u32 v = p[0] & (0x7fu >> len);

	if (p[0] < 0xc2 || p[0] >= 0xf5)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		v = v << 6 | (p[i] & 0x3f);
	}
	if ((len == 3 && v < 0x800) || (len == 4 && v < 0x10000) || v > 0x10ffff ||
	    (v >= 0xd800 && v < 0xe000))
		return 0;
	*ret = v;
	return len;
}

/* Moves nothing and hides nothing: no controls, no marks that turn text around. */
static bool harmless(u32 v)
{
	return v >= 0xa0 && !(v >= 0x200b && v <= 0x200f) && !(v >= 0x2028 && v <= 0x202e) &&
	       !(v >= 0x2060 && v <= 0x206f) && v != 0xfeff && v != 0xad;
}

size_t print_clean(const char *text, bool lines)
{
	const u8 *p = (const u8 *)text;
	size_t columns = 0;

	while (*p) {
		u32 v = 0;
		size_t n;

		if (*p < 0x80) {
			putchar((*p < ' ' && !(lines && *p == '\n')) || *p == 0x7f ? '?' : *p);
			p++;
		} else if ((n = sequence(p, &v)) && harmless(v)) {
			fwrite(p, 1, n, stdout);
			p += n;
		} else {
			putchar('?');
			p += n ? n : 1;
		}
		columns++;
	}
	return columns;
}
