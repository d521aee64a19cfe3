#pragma once
/*
 * What control.c (connections) and control_ops.c (calls) share. Nobody else includes it.
 *
 * Locking: everything under control.lock except what is marked. Lifetime: see control.h.
 * Saved: no.
 */
#include "proto/rpc.h"
#include "sentry/boot/control.h"
#include "state/base/lock.h"

#define MAX_CONNS   256
#define CONN_PARENT 0 /* the command that started the sandbox */

struct conn {
	int fd;      /* -1: free */
	u64 wait_id; /* request that waits for the exit, 0: none */
	u64 exec_id; /* what it executed and wants to hear of, 0: nothing */
	bool exec_detached;
};

struct checkpoint_job {
	pthread_t thread;
	struct control *c;
	struct conn *conn; /* who asked; NULL once it is gone */
	u64 id;
	int fds[5]; /* inventory, kernel, pagemap, pages, stats; owned */
	bool lz4;
	bool was_paused;    /* before the checkpoint */
	bool leave_running; /* resume without waiting for the commit */
	bool cancel;        /* atomic; read by the worker */
	/* set by the worker, read after join */
	int result;
	char *why;
	Control__CheckpointReply reply;
};

struct control {
	const Control__BootConfig *cfg; /* immutable */
	int reserve_fd; /* closed to accept when no other number is free; -1: in use */
	int wake_fd;    /* immutable */
	pthread_t thread;
	struct mutex lock; /* RANK_CONTROL_SERVER */
	struct conn conns[MAX_CONNS];
	int gofers[RPC_MAX_FDS];
	size_t n_gofers;
	struct boot *b; /* NULL until it runs */
	const void *sandbox;
	size_t sandbox_size;
	bool paused;
	bool exited;
	struct boot_exit exit;
	/* one checkpoint at a time */
	struct checkpoint_job job;
	bool job_running; /* the worker runs */
	bool job_held;    /* written; paused until the commit */
	/* need_gofer */
	pthread_cond_t attach_cond;
	bool attach_wanted, attach_done;
	int attach_fds[RPC_MAX_FDS];
	size_t n_attach_fds;
};

void conn_close(struct control *c, struct conn *k) REQUIRES(c->lock);
/* Never blocks; a client that does not read is dropped. */
void conn_reply(struct control *c, struct conn *k, const Control__Reply *reply) REQUIRES(c->lock);
/* A reply without a result: r is 0 or -errno; why may be NULL. */
void conn_result(struct control *c, struct conn *k, u64 id, int r, const char *why)
	REQUIRES(c->lock);
/* Any thread. */
void control_wake(struct control *c);

/* Serves one request. Returns how many of the leading fds it keeps. */
size_t control_handle(struct control *c, struct conn *k, const Control__Request *req,
                      const int *fds, size_t n_fds) REQUIRES(c->lock);
void control_reply_exit(struct control *c, struct conn *k, u64 id) REQUIRES(c->lock);
/* The sandbox has ended, and with it what k executed. */
void control_reply_killed(struct control *c, struct conn *k) REQUIRES(c->lock);
/* Told by the supervisor: see boot_on_event. */
void control_event(void *arg, u64 exec_id, const struct boot_exit *exit);
/* The connection is gone: if it asked for the current checkpoint, give that up. */
void checkpoint_conn_gone(struct control *c, struct conn *k) REQUIRES(c->lock);
/* After a wake: finishes a checkpoint whose worker is done. */
void checkpoint_reap(struct control *c) REQUIRES(c->lock);
