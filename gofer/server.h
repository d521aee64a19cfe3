#pragma once
/*
 * What: the inside of the 9P server: attach points, connections, fids, and one function per
 * message.
 * Locking: one thread. Lifetime: fids belong to their connection, attach points to the server.
 * Saved: no.
 *
 * Every operation names files by (descriptor, one checked component) or by descriptor alone, so
 * there is no path to be tricked by. The working directory is /proc/self/fd: the relative path "N"
 * is descriptor N, for the calls that cannot take an O_PATH descriptor.
 */
#include "gofer/gofer.h"
#include "proto/p9.h"

#include <bsd/sys/tree.h>
#include <sched.h>
#include <sys/stat.h>

#define MAX_DEVS           256
#define MAX_XATTR          65536u
#define MAX_XATTR_BYTES    (4u << 20) /* held by the fids of one connection */
#define TX_SLACK           16384u     /* any reply but the data of a read fits into this */
#define IO_DIR_BUFFER_SIZE 32768u

struct attach_point {
	const char *name;
	int fd; /* O_PATH */
	bool readonly;
	unsigned flags;
};

struct gofer {
	struct attach_point *attach;
	size_t n_attach;
	u32 n_fids, max_fids;
	bool can_chown; /* else new files keep the gofer's owner, whatever was asked for */
	/* Devices seen, the index being part of qid.path; slot 0 is the first root's. */
	struct {
		bool used;
		u64 dev;
	} devs[MAX_DEVS];
	cpu_set_t cores; /* that we may run on */
	u8 *dir_buffer;  /* IO_DIR_BUFFER_SIZE, for getdents64 */
};

enum fid_kind {
	FID_PATH,
	FID_OPEN,
	FID_XATTR_READ,
	FID_XATTR_WRITE
};

struct fid {
	RB_ENTRY(fid) node;
	u32 id;
	enum fid_kind kind;
	const struct attach_point *at;
	int path_fd;  /* O_PATH; never -1 */
	int io_fd;    /* FID_OPEN, else -1 */
	mode_t type;  /* S_IFMT bits; a file's type never changes */
	int acc;      /* O_ACCMODE of io_fd */
	u64 dir_next; /* directory position that io_fd is at */
	struct {
		u8 *data;
		u32 size, done;
		int flags;
		char name[P9_MAX_NAME + 1];
	} * xattr;
};
RB_HEAD(fid_tree, fid);

struct conn {
	struct gofer *g;
	int sock;
	bool versioned, ext;
	u32 msize;
	struct fid_tree fids;
	u32 xattr_bytes;
	u8 *rx;
	size_t rx_len;
	u8 *tx;
	size_t tx_len;
	int donate_fd; /* goes out with the reply being made, then closed; -1: none */
};

#define TX_SIZE (P9_MAX_MSIZE + TX_SLACK)

/* server.c */
/* socks become the server's. 0 when all peers are gone, or -errno. */
MUST_CHECK int gofer_serve(struct gofer *g, const int *socks, size_t n);
/* Forgets every fid of the connection. */
void conn_clunk_all(struct conn *c);

/* fid.c */
MUST_CHECK int fid_get(struct conn *c, u32 id, struct fid **ret_f);
/* Takes path_fd over, also on failure. -EINVAL if the id is taken, -EMFILE at the limit. */
MUST_CHECK int fid_new(struct conn *c, u32 id, const struct attach_point *at, int path_fd,
                       mode_t type, struct fid **ret_f);
void fid_drop(struct conn *c, struct fid *f);
/* 0 if id is free to be bound. */
MUST_CHECK int fid_check_new(struct conn *c, u32 id);
/* Looks up a directory fid that is not open and copies the name out, checked. */
MUST_CHECK int fid_dir_name(struct conn *c, u32 id, struct p9_str name, struct fid **ret_f,
                            char ret_name[P9_MAX_NAME + 1]);
/* The same, for a change: -EROFS on a read-only attach point. */
MUST_CHECK int fid_dir_name_rw(struct conn *c, u32 id, struct p9_str name, struct fid **ret_f,
                               char ret_name[P9_MAX_NAME + 1]);

/* host.c: what is done to the host's files. Returned descriptors are the caller's. */
struct fd_path {
	char s[12]; /* "N", relative to the working directory */
};
struct fd_path fd_path(int fd);
/* O_PATH of one component, never following it. */
MUST_CHECK int host_walk(int dir, const char *name, int *ret_fd);
/* Attributes of an open or O_PATH descriptor. */
MUST_CHECK int host_attr(struct gofer *g, int fd, struct p9_attr *ret_attr);
/* The same for a component of a directory. */
MUST_CHECK int host_attr_at(struct gofer *g, int dir, const char *name, struct p9_attr *ret_attr);
/* Opens the file of an O_PATH descriptor; flags are 9P's. Applies the attach point's rules. */
MUST_CHECK int host_open(const struct attach_point *at, int path_fd, mode_t type, u32 flags,
                         int *ret_fd);
/* The Linux open flags that a 9P open may set; the others are ignored. */
int host_open_flags(u32 flags);
/* Creates name in dir, exclusively unless excl is false and a regular file is there. */
MUST_CHECK int host_create(struct gofer *g, int dir, const char *name, u32 flags, u32 mode, u32 uid,
                           u32 gid, int *ret_io_fd, int *ret_path_fd);
/* Gives a new file the owner asked for; P9_NOID leaves that half. */
MUST_CHECK int host_chown(struct gofer *g, int path_fd, u32 uid, u32 gid, mode_t mode);
u64 host_qid_path(struct gofer *g, u64 dev, u64 ino);

/*
 * ops_*.c: op_NAME handles message NAME: t is decoded, out takes the fields of the reply. 0 or
 * -errno, when what was written to out is thrown away and Rlerror goes out.
 */
#define OPS(X)                        \
	X(TVERSION, tversion)         \
	X(TATTACH, tattach)           \
	X(TFLUSH, tflush)             \
	X(TWALK, twalk)               \
	X(TWALKGETATTR, twalkgetattr) \
	X(TCLUNK, tclunk)             \
	X(TMULTICLUNK, tmulticlunk)   \
	X(TREMOVE, tremove)           \
	X(TLOPEN, tlopen)             \
	X(TLCREATE, tlcreate)         \
	X(TOPENFD, topenfd)           \
	X(TCREATEFD, tcreatefd)       \
	X(TREAD, tread)               \
	X(TWRITE, twrite)             \
	X(TFSYNC, tfsync)             \
	X(TREADDIR, treaddir)         \
	X(TREADDIRPLUS, treaddirplus) \
	X(TGETATTR, tgetattr)         \
	X(TSETATTR, tsetattr)         \
	X(TSTATFS, tstatfs)           \
	X(TREADLINK, treadlink)       \
	X(TSYMLINK, tsymlink)         \
	X(TMKNOD, tmknod)             \
	X(TMKDIR, tmkdir)             \
	X(TMAKENODE, tmakenode)       \
	X(TLINK, tlink)               \
	X(TRENAMEAT, trenameat)       \
	X(TRENAMEAT2, trenameat2)     \
	X(TUNLINKAT, tunlinkat)       \
	X(TXATTRWALK, txattrwalk)     \
	X(TXATTRCREATE, txattrcreate) \
	X(TPLACE, tplace)
#define OP_DECLARE(NAME, name) \
	MUST_CHECK int op_##name(struct conn *c, const struct p9_##name *t, struct p9_buf *out);
OPS(OP_DECLARE)

/* ops_xattr.c: the two halves of Tread and Twrite on an xattr fid, and its commit at clunk. */
MUST_CHECK int xattr_read(struct fid *f, u64 offset, u32 count, struct p9_buf *out);
MUST_CHECK int xattr_write(struct fid *f, u64 offset, const struct p9_data *d);
MUST_CHECK int xattr_commit(struct fid *f);

/* sandbox.c, filter.c */
/*
 * Opens the attach points into g->attach, raises the descriptor limit, then leaves every host path
 * behind: the root and working directory become /proc/self/fd, capabilities go, the seccomp filter
 * comes. keep: further descriptors to leave open (-1 allowed). -errno after a log line.
 */
MUST_CHECK int sandbox_enter(struct gofer *g, const struct gofer_config *cfg, const int *keep,
                             size_t n_keep);
MUST_CHECK int filter_load(void);
