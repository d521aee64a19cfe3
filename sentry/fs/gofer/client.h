#pragma once
/*
 * What: the sentry's end of one 9P connection: tags, fids, and one function per operation. Knows
 * proto/p9.h and nothing of the VFS. Works with any 9P2000.L server; with our gofer walks are one
 * round trip and opens donate host descriptors.
 *
 * Locking: every function may be called from any thread, holding locks ranked above RANK_GOFER. A
 * call blocks until its reply is there, which no kick interrupts; the gofer never waits for a peer,
 * so that is short. One of the threads that wait reads the socket for all of them, there is no
 * thread of the client's own. Lifetime: create to destroy, when no call may be running. Fids are
 * numbers owned by the caller until clunked. Saved: no; a restored sandbox attaches and walks anew.
 *
 * Errors: 0 or -errno as the server said it; -EIO once the connection is dead (the gofer is gone or
 * broke the protocol), which it stays; -EMFILE when the server holds as many fids as it can (the
 * calls that make one have by then sent the deferred clunks and tried again).
 */
#include "proto/p9.h"
#include "state/base/types.h"

struct p9_client;

/* For p9_client_create: do not offer the extensions. */
#define P9_CLIENT_PLAIN 0x1u

/* Agrees on a version over a connected stream socket, which is the client's on success. */
MUST_CHECK int p9_client_create(int sock, unsigned flags, struct p9_client **ret_c);
/* core says where the calling thread is kept, from 1 (0: nowhere), and the gofer is asked to be
 * there, too. Before the client is used by more than one thread. */
void p9_client_follow(struct p9_client *c, u32 (*core)(void));
/* NULL is fine. Closes the socket: the server forgets all fids. */
void p9_client_destroy(struct p9_client *c);
/* Makes every call, running or to come, fail with -EIO. */
void p9_client_shutdown(struct p9_client *c);
bool p9_client_dead(const struct p9_client *c);
/* The server is our gofer: walks are batched, descriptors donated, listings carry attributes. */
bool p9_client_extended(const struct p9_client *c);
/* The most that one read, write or listing can carry. */
size_t p9_client_max_io(const struct p9_client *c);
/* Fids that are bound or being bound, deferred clunks included. */
u32 p9_client_fid_count(const struct p9_client *c);

/* A new fid for the root of the attach point called aname. */
MUST_CHECK int p9_client_attach(struct p9_client *c, const char *aname, u32 *ret_fid,
                                struct p9_attr *ret_attr);

/* How far a walk got: see Twalkgetattr in proto/p9.h. */
struct p9_walk {
	unsigned count;        /* components reached; their attributes are in attrs */
	int err;               /* 0, or why the component after them was not (-ENOENT...) */
	u32 fids[P9_MAX_WALK]; /* P9_NOFID where none is bound */
	struct p9_attr attrs[P9_MAX_WALK];
	bool has_target; /* the last component is a symbolic link, and this is its content */
	char target[P9_MAX_LINK + 1];
};
/*
 * Walks n (1..16) names below dir, stopping at a symbolic link. each: every component reached gets
 * a fid; else only the last one of a walk that reached all names or a symbolic link. Fails only if
 * nothing can be said; a missing name is ret_w->err. The fids are the caller's.
 */
MUST_CHECK int p9_client_walk(struct p9_client *c, u32 dir, const struct p9_str *names, unsigned n,
                              bool each, struct p9_walk *ret_w);
/* One name; -ENOENT is an error here. */
MUST_CHECK int p9_client_walk1(struct p9_client *c, u32 dir, const char *name, u32 *ret_fid,
                               struct p9_attr *ret_attr);
/* Another fid, not open, for the same file. */
MUST_CHECK int p9_client_clone(struct p9_client *c, u32 fid, u32 *ret_fid);
/* Forgets a fid now; the fid is free afterwards whatever is returned. */
int p9_client_clunk(struct p9_client *c, u32 fid);
/* Forgets it with many others in one message later; may send that message. */
void p9_client_clunk_later(struct p9_client *c, u32 fid);
/* Sends the deferred ones. */
void p9_client_flush_clunks(struct p9_client *c);

MUST_CHECK int p9_client_getattr(struct p9_client *c, u32 fid, struct p9_attr *ret_attr);
/* attr->fid is ignored; attr->valid is of P9_SETATTR_*. */
MUST_CHECK int p9_client_setattr(struct p9_client *c, u32 fid, const struct p9_tsetattr *attr);
MUST_CHECK int p9_client_statfs(struct p9_client *c, u32 fid, struct p9_rstatfs *ret_st);
/* Fills buf with at most size bytes, not terminated. */
MUST_CHECK int p9_client_readlink(struct p9_client *c, u32 fid, char *buf, size_t size,
                                  size_t *ret_len);

/* What an open gave: a host descriptor, a fid to do I/O with, or both. The caller's. */
struct p9_opened {
	int fd;  /* -1: none was donated */
	u32 fid; /* P9_NOFID: none, fd is enough */
	struct p9_attr attr;
};
/*
 * Opens the file of fid, which itself stays unopened. flags are open(2)'s on x86-64. want_fid: an
 * open fid is needed even if a descriptor comes (always so for directories).
 */
MUST_CHECK int p9_client_open(struct p9_client *c, u32 fid, u32 flags, bool want_fid,
                              struct p9_opened *ret_o);
/* Creates a regular file in dir, opened as flags say; *ret_fid is an unopened fid for it. uid or
 * gid P9_NOID: the server's choice. Without O_EXCL an existing regular file will do. */
MUST_CHECK int p9_client_create_file(struct p9_client *c, u32 dir, const char *name, u32 flags,
                                     u32 mode, u32 uid, u32 gid, u32 *ret_fid,
                                     struct p9_opened *ret_o);
/* Directory, symbolic link (to target), FIFO or socket, as the type in mode says. */
MUST_CHECK int p9_client_make(struct p9_client *c, u32 dir, const char *name, u32 mode, u32 uid,
                              u32 gid, const char *target, u32 *ret_fid, struct p9_attr *ret_attr);

/* Calls made so far, for people. */
u64 p9_client_total(const struct p9_client *c);

/* On an open fid; short counts as in pread(2) and pwrite(2), and at p9_client_max_io. */
MUST_CHECK int p9_client_read(struct p9_client *c, u32 fid, u64 offset, void *buf, size_t size,
                              size_t *ret_n);
MUST_CHECK int p9_client_write(struct p9_client *c, u32 fid, u64 offset, const void *buf,
                               size_t size, size_t *ret_n);
MUST_CHECK int p9_client_fsync(struct p9_client *c, u32 fid, bool datasync);
/* Entries after offset (0, or that of an entry) as p9_get_dirent reads them; *ret_n 0: no more.
 * -EINVAL if size cannot hold the next one. */
MUST_CHECK int p9_client_readdir(struct p9_client *c, u32 fid, u64 offset, void *buf, size_t size,
                                 size_t *ret_n);
/* The same for p9_get_dirent_plus, without "." and ".."; -EOPNOTSUPP on a plain connection. */
MUST_CHECK int p9_client_readdirplus(struct p9_client *c, u32 fid, u64 offset, void *buf,
                                     size_t size, size_t *ret_n);

MUST_CHECK int p9_client_link(struct p9_client *c, u32 fid, u32 dir, const char *name);
/* flags are renameat2(2)'s; -EINVAL for any on a plain connection. */
MUST_CHECK int p9_client_rename(struct p9_client *c, u32 olddir, const char *oldname, u32 newdir,
                                const char *newname, u32 flags);
/* flags: AT_REMOVEDIR or 0. */
MUST_CHECK int p9_client_unlink(struct p9_client *c, u32 dir, const char *name, u32 flags);

/* As getxattr(2) and its family do it, on an unopened fid; size 0 asks for the length alone. */
MUST_CHECK int p9_client_getxattr(struct p9_client *c, u32 fid, const char *name, void *buf,
                                  size_t size, size_t *ret_len);
MUST_CHECK int p9_client_listxattr(struct p9_client *c, u32 fid, char *buf, size_t size,
                                   size_t *ret_len);
MUST_CHECK int p9_client_setxattr(struct p9_client *c, u32 fid, const char *name, const void *buf,
                                  size_t size, u32 flags);
MUST_CHECK int p9_client_removexattr(struct p9_client *c, u32 fid, const char *name);
