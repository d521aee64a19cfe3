#pragma once
/*
 * A gofer in a child process over a fresh directory tree, and a client that speaks raw 9P to it.
 * Locking: none. Lifetime: fixture_start to fixture_stop, one per test. Saved: no.
 */
#include "gofer/gofer.h"
#include "proto/p9.h"

#include <criterion/criterion.h>

struct fixture {
	char dir[64];  /* holds root/, ro/ and outside/ */
	char root[96]; /* attach point "root", read-write; "ro" shows the same tree read-only */
	int sock;
	pid_t pid;
	u8 *req, *rep; /* P9_MAX_MSIZE each */
	struct p9_buf out, in;
	size_t start;
	int fd;       /* what the last reply donated, or -1 */
	u32 max_fids; /* set before fixture_start */
	unsigned flags;
	bool as_nobody;
	int cleanup_dir, cleanup_parent; /* -1: none */
};

/* Makes the tree; the caller may fill it before fixture_start. */
void fixture_init(struct fixture *x);
void fixture_start(struct fixture *x);
/* Closes the socket, checks that the gofer ends well, removes the tree. */
void fixture_stop(struct fixture *x);
/* PATH below the fixture's directory, printf style, in a static buffer. */
const char *fixture_path(struct fixture *x, const char *fmt, ...) PRINTF(2, 3);
void fixture_write(struct fixture *x, const char *path, const char *text);

/* Version and attach: fid 0 is the root, fid 1 the read-only root. */
void fixture_session(struct fixture *x, const char *version);

void rpc_begin(struct fixture *x, u8 type);
/* Sends what was begun and reads the reply: 0 (x->in holds the fields) or -errno from Rlerror. */
int rpc_end(struct fixture *x, u8 type);

/* RPC(x, TWALK, twalk, rwalk, &reply, .fid = 0, ...): 0 or -errno. */
#define RPC(x, TYPE, t, r, reply, ...)                      \
	({                                                  \
		struct p9_##t rpc_t_ = {__VA_ARGS__};       \
		int rpc_r_;                                 \
		rpc_begin((x), P9_##TYPE);                  \
		p9_put_##t(&(x)->out, &rpc_t_);             \
		rpc_r_ = rpc_end((x), P9_##TYPE);           \
		if (rpc_r_ == 0) {                          \
			p9_get_##r(&(x)->in, (reply));      \
			cr_assert_eq(p9_done(&(x)->in), 0); \
		}                                           \
		rpc_r_;                                     \
	})
/* Walks one name: 0 or -errno. */
int walk1(struct fixture *x, u32 fid, u32 newfid, const char *name);
int clunk(struct fixture *x, u32 fid);
