/* Messages and descriptors over a packet socket. */
#include "proto/rpc.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control_buf {
	struct cmsghdr align;
	char buf[CMSG_SPACE(sizeof(int) * RPC_MAX_FDS)];
};

int rpc_send(int sock, const ProtobufCMessage *m, const int *fds, size_t n_fds, bool dont_wait)
{
	size_t size = protobuf_c_message_get_packed_size(m);
	union control_buf control;
	struct msghdr msg = {0};
	struct iovec iov;
	uint8_t *buf;
	ssize_t n;
	int r = 0;

	if (size > RPC_MAX_MESSAGE || n_fds > RPC_MAX_FDS)
		return -EMSGSIZE;
	/* An empty message would read as the end of the connection: every message has a field. */
	if (size == 0)
		return -EINVAL;
	buf = malloc(size);
	if (!buf)
		return -ENOMEM;
	protobuf_c_message_pack(m, buf);
	iov = (struct iovec){buf, size};
	msg.msg_iov = &iov;
	msg.msg_iovlen = 1;
	if (n_fds) {
		struct cmsghdr *c;

		memset(&control, 0, sizeof(control));
		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
	}
	do {
		n = sendmsg(sock, &msg, MSG_NOSIGNAL | (dont_wait ? MSG_DONTWAIT : 0));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		r = errno == ECONNRESET || errno == ENOTCONN ? -EPIPE : -errno;
	free(buf);
	return r;
}

/* Moves the descriptors of a received packet into fds; closes those beyond max. Returns how many
 * came. */
static size_t take_fds(struct msghdr *msg, int *fds, size_t max)
{
	struct cmsghdr *c;
	size_t count = 0;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n, i;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (count < max)
				fds[count] = fd;
			else
				close(fd);
			count++;
		}
	}
	return count;
}

int rpc_recv(int sock, const ProtobufCMessageDescriptor *type, bool dont_wait,
             ProtobufCMessage **ret, int *ret_fds, size_t max_fds, size_t *ret_n_fds)
{
	union control_buf control;
	struct msghdr msg = {0};
	ProtobufCMessage *m = NULL;
	struct iovec iov;
	uint8_t *buf = malloc(RPC_MAX_MESSAGE);
	size_t n_fds, i;
	ssize_t n;
	int r = 0;

	if (!buf)
		return -ENOMEM;
	iov = (struct iovec){buf, RPC_MAX_MESSAGE};
	msg.msg_iov = &iov;
	msg.msg_iovlen = 1;
	msg.msg_control = control.buf;
	msg.msg_controllen = sizeof(control.buf);
	do {
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC | (dont_wait ? MSG_DONTWAIT : 0));
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		r = errno == ECONNRESET ? -EPIPE : -errno;
		free(buf);
		return r;
	}
	n_fds = take_fds(&msg, ret_fds, max_fds);
	if (n == 0)
		r = -EPIPE;
	else if ((msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || n_fds > max_fds)
		r = -EBADMSG;
	else if (!(m = protobuf_c_message_unpack(type, NULL, (size_t)n, buf)))
		r = -EBADMSG;
	free(buf);
	if (r < 0) {
		for (i = 0; i < n_fds && i < max_fds; i++)
			close(ret_fds[i]);
		return r;
	}
	*ret = m;
	if (ret_n_fds)
		*ret_n_fds = n_fds;
	return 0;
}
