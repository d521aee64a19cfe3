#pragma once
/*
 * Calls on a sandbox's control socket.
 *
 * Locking: none. Lifetime: connections are their caller's. Saved: no.
 */
#include "cli/container.h"
#include "proto/control.pb-c.h"

#include <stdio.h>

#define CLIENT_TIMEOUT_MS 10000 /* for calls that a live sandbox answers at once */
#define CLIENT_ANSWER_MS  60000 /* for those that look at every task */

/* Sends req (its id is set here) and waits for its reply, at most timeout_ms (-1: for ever). -EPIPE
 * if the sandbox ends first, -ETIMEDOUT. A reply with an error is a success here. */
MUST_CHECK int client_call(int fd, Control__Request *req, const int *fds, size_t n_fds,
                           int timeout_ms, Control__Reply **ret);

/* The same on a connection of its own to a container that must run, with a line that begins with
 * what on any failure. ret_reply may be NULL. */
MUST_CHECK int client_request(const struct container *c, const char *what, Control__Request *req,
                              int timeout_ms, Control__Reply **ret_reply, struct error *err);
/* The same for a call whose answer goes into a file: *ret_answer, the caller's to close, stands at
 * its beginning. */
MUST_CHECK int client_request_answer(const struct container *c, const char *what,
                                     Control__Request *req, Control__Reply **ret_reply,
                                     FILE **ret_answer, struct error *err);
/* Sleeps until the sandbox, which is ending, has hung up: its state says so then. */
void client_await_stop(const struct container *c);
/* The next message of such a file: 1, 0 at its end; -EBADMSG for what is none. */
MUST_CHECK int client_next(FILE *answer, const ProtobufCMessageDescriptor *desc,
                           ProtobufCMessage **ret);
/* Text of a guest for the user's terminal: what is no printable UTF-8 is a "?". Lines: newlines
 * stay. Returns the columns of what it wrote. */
size_t print_clean(const char *text, bool lines);
/* Checks a reply: 0, or -1 and the line. */
MUST_CHECK int client_check(const struct container *c, const char *what,
                            const Control__Reply *reply, struct error *err);
