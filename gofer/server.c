#define LOG_SUBSYSTEM "gofer"
#include "gofer/server.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_CONNS 64u
/* How long the host may refuse to carry one more descriptor (ETOOMANYREFS). */
#define FLIGHT_WAIT_MS 20000u

/*
 * Sends what is pending, a donated descriptor (or -1) with its first byte. The peer is the only one
 * who suffers when it does not read.
 */
static int flush(struct conn *c, int fd)
{
	u32 waited_ms = 0;
	size_t sent = 0;

	while (sent < c->tx_len) {
		union {
			struct cmsghdr h;
			char room[CMSG_SPACE(sizeof(int))];
		} ctl;
		struct iovec iov = {c->tx + sent, c->tx_len - sent};
		struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
		ssize_t n;

		if (fd >= 0) {
			memset(&ctl, 0, sizeof(ctl));
			m.msg_control = &ctl;
			m.msg_controllen = sizeof(ctl);
			ctl.h.cmsg_level = SOL_SOCKET;
			ctl.h.cmsg_type = SCM_RIGHTS;
			ctl.h.cmsg_len = CMSG_LEN(sizeof(int));
			memcpy(CMSG_DATA(&ctl.h), &fd, sizeof(int));
		}
		n = sendmsg(c->sock, &m, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		/* Others of our user have too many descriptors under way, for a moment. */
		if (n < 0 && errno == ETOOMANYREFS && waited_ms++ < FLIGHT_WAIT_MS) {
			(void)poll(NULL, 0, 1);
			continue;
		}
		if (n < 0)
			return -errno;
		sent += (size_t)n;
		fd = -1;
	}
	c->tx_len = 0;
	return 0;
}

static int dispatch(struct conn *c, const struct p9_header *h, struct p9_buf *in,
                    struct p9_buf *out)
{
	int r;

	if (!c->versioned && h->type != P9_TVERSION)
		return -EPROTO;
	if (h->type >= P9_FIRST_EXT && !c->ext)
		return -EOPNOTSUPP;
	switch (h->type) {
#define OP_CASE(NAME, name)                               \
	case P9_##NAME: {                                 \
		struct p9_##name t;                       \
		p9_get_##name(in, &t);                    \
		r = p9_done(in);                          \
		return r < 0 ? r : op_##name(c, &t, out); \
	}
		OPS(OP_CASE)
	default:
		/* Tauth, Trename, Tlock, Tgetlock, and what is no request at all. */
		return -EOPNOTSUPP;
	}
}

/* Answers one whole message. An error means that the connection is beyond use. */
static int handle(struct conn *c, const struct p9_header *h, u8 *msg)
{
	struct p9_buf in = p9_buf(msg + P9_HEADER_SIZE, h->size - P9_HEADER_SIZE);
	bool bulk = h->type == P9_TREAD || h->type == P9_TREADDIR || h->type == P9_TREADDIRPLUS;
	size_t need = bulk ? c->msize : TX_SLACK, start;
	struct p9_buf out;
	int r;

	/* Whatever an operation did cannot be undone for want of room for its reply. */
	if (TX_SIZE - c->tx_len < need) {
		r = flush(c, -1);
		if (r < 0)
			return r;
	}
	out = p9_buf(c->tx + c->tx_len, MIN((size_t)c->msize, TX_SIZE - c->tx_len));
	start = p9_begin(&out, (u8)(h->type + 1), h->tag);
	c->donate_fd = -1;
	r = dispatch(c, h, &in, &out);
	if (r == 0)
		r = p9_end(&out, start);
	if (r < 0) {
		struct p9_rlerror e = {(u32)-r};

		log_debug("%s: error %d", p9_type_name(h->type), -r);
		if (c->donate_fd >= 0)
			close(c->donate_fd);
		c->donate_fd = -1;
		out = p9_buf(c->tx + c->tx_len, TX_SIZE - c->tx_len);
		start = p9_begin(&out, P9_RLERROR, h->tag);
		p9_put_rlerror(&out, &e);
		r = p9_end(&out, start);
		if (r < 0)
			return r;
	}
	if (c->donate_fd >= 0) {
		int fd = c->donate_fd;

		/* The descriptor must come with the first byte of this reply, not of an earlier. */
		if (c->tx_len > 0) {
			size_t len = out.pos;
			u8 *reply = c->tx + c->tx_len;

			r = flush(c, -1);
			memmove(c->tx, reply, len);
		}
		c->tx_len = out.pos;
		if (r == 0)
			r = flush(c, fd);
		close(fd);
		c->donate_fd = -1;
		return r;
	}
	c->tx_len += out.pos;
	return 0;
}

/* Reads once and answers every message that is complete. -errno ends the connection. */
static int serve_input(struct conn *c)
{
	size_t at = 0;
	ssize_t n;
	int r;

	do
		n = recv(c->sock, c->rx + c->rx_len, P9_MAX_MSIZE - c->rx_len, 0);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? -errno : -EPIPE;
	c->rx_len += (size_t)n;
	for (;;) {
		struct p9_header h;

		if (!p9_peek(c->rx + at, c->rx_len - at, &h))
			break;
		if (h.size < P9_HEADER_SIZE || h.size > c->msize) {
			log_warn("message of %u bytes: the connection is closed", h.size);
			return -EBADMSG;
		}
		if (c->rx_len - at < h.size)
			break;
		r = handle(c, &h, c->rx + at);
		if (r < 0)
			return r;
		at += h.size;
	}
	memmove(c->rx, c->rx + at, c->rx_len - at);
	c->rx_len -= at;
	return flush(c, -1);
}

static void *big_buffer(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
	               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void conn_finish(struct conn *c)
{
	conn_clunk_all(c);
	if (c->rx)
		munmap(c->rx, P9_MAX_MSIZE);
	if (c->tx)
		munmap(c->tx, TX_SIZE);
	close(c->sock);
	c->sock = -1;
}

static int conn_init(struct conn *c, struct gofer *g, int sock)
{
	memset(c, 0, sizeof(*c));
	c->g = g;
	c->sock = sock;
	c->msize = P9_MIN_MSIZE;
	c->donate_fd = -1;
	RB_INIT(&c->fids);
	/* Touched only as far as messages are long. */
	c->rx = big_buffer(P9_MAX_MSIZE);
	c->tx = big_buffer(TX_SIZE);
	return c->rx && c->tx ? 0 : -ENOMEM;
}

int gofer_serve(struct gofer *g, const int *socks, size_t n)
{
	struct conn *conns;
	struct pollfd *pfd;
	size_t live = 0;
	int ret = 0;

	if (n > MAX_CONNS)
		return -EINVAL;
	conns = calloc(n, sizeof(*conns));
	pfd = calloc(n, sizeof(*pfd));
	g->dir_buffer = malloc(IO_DIR_BUFFER_SIZE);
	if (!conns || !pfd || !g->dir_buffer)
		ret = -ENOMEM;
	for (size_t i = 0; ret == 0 && i < n; i++) {
		ret = conn_init(&conns[i], g, socks[i]);
		live++;
		pfd[i].fd = socks[i];
		pfd[i].events = POLLIN;
	}
	for (size_t open = live; ret == 0 && open > 0;) {
		/* With one connection the read itself is the wait. */
		if (n > 1 && poll(pfd, n, -1) < 0) {
			if (errno != EINTR)
				ret = -errno;
			continue;
		}
		for (size_t i = 0; i < n; i++) {
			if (pfd[i].fd < 0 || (n > 1 && !pfd[i].revents))
				continue;
			if (serve_input(&conns[i]) < 0) {
				conn_finish(&conns[i]);
				pfd[i].fd = -1;
				open--;
			}
		}
	}
	for (size_t i = 0; i < live; i++)
		if (conns[i].sock >= 0)
			conn_finish(&conns[i]);
	free(conns);
	free(pfd);
	free(g->dir_buffer);
	g->dir_buffer = NULL;
	return ret;
}
