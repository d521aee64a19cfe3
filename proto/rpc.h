#pragma once
/*
 * One protobuf message per packet of a SOCK_SEQPACKET unix socket, with the descriptors that belong
 * to it. Both ends treat the other as hostile: a packet that is too long, does not parse or carries
 * more descriptors than asked for is -EBADMSG, and its descriptors are closed.
 *
 * Locking: none; a packet is one system call. Lifetime, saved: no state.
 */
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

#define RPC_MAX_MESSAGE (64u * 1024)
#define RPC_MAX_FDS     16u

/* Sends m with n_fds descriptors (borrowed). 0, -EMSGSIZE, -EPIPE if the peer is gone, -EAGAIN if
 * dont_wait and the peer does not read. unix(7) */
int rpc_send(int sock, const ProtobufCMessage *m, const int *fds, size_t n_fds, bool dont_wait);

/* Receives one message of the type; *ret is freed with protobuf_c_message_free_unpacked. Up to
 * max_fds descriptors, close-on-exec, go to ret_fds (the caller's to close), their number to
 * *ret_n_fds; max_fds 0: both may be NULL. -EPIPE when the peer is gone, -EAGAIN if dont_wait and
 * there is nothing. */
int rpc_recv(int sock, const ProtobufCMessageDescriptor *type, bool dont_wait,
             ProtobufCMessage **ret, int *ret_fds, size_t max_fds, size_t *ret_n_fds);
