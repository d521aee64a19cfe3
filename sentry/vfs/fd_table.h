#pragma once
/*
 * Descriptors: small integers for open file descriptions, per task or shared (CLONE_FILES).
 *
 * Locking: RANK_FD_TABLE inside; lookups take a reference under it. Files are put after it is
 * dropped. Lifetime: refcounted object; the last user's exit closes all. Saved: slots and flags.
 */
#include "sentry/vfs/file.h"

struct fd_table;
OBJECT_DECL(fd_table);

struct fd_table *fd_table_new(void);
/* fork: the same files and flags. below_only etc. as close_range's callers need. */
struct fd_table *fd_table_copy(struct fd_table *t);
/* A task starts / stops using the table; the last one closes every descriptor (flush with c). */
void fd_table_use(struct fd_table *t);
void fd_table_unuse(struct fd_table *t, struct ctx *c);
u32 fd_table_users(const struct fd_table *t);

/* A reference for the caller. -EBADF (also for O_PATH files unless path_ok). */
MUST_CHECK int fd_get(struct ctx *c, int fd, struct file **ret);
MUST_CHECK int fd_get_path(struct ctx *c, int fd, struct file **ret);
MUST_CHECK int fd_table_lookup(struct fd_table *t, int fd, struct file **ret);
/* Puts f (a reference is taken) into the lowest free slot at or above min. The descriptor, -EMFILE
 * against RLIMIT_NOFILE of c, -EINVAL if min is at or past the limit. */
MUST_CHECK int fd_install(struct ctx *c, struct file *f, int min, bool cloexec);
/* No descriptor is free: fd_install would say -EMFILE. */
bool fd_table_full(struct ctx *c);
/* dup2/dup3: into exactly fd, closing what was there. fd, -EBADF past the limit. */
MUST_CHECK int fd_install_at(struct ctx *c, struct file *f, int fd, bool cloexec);
/* Two at once (pipe, socketpair): both or none. */
MUST_CHECK int fd_install_pair(struct ctx *c, struct file *a, struct file *b, bool cloexec,
                               int ret_fds[2]);
MUST_CHECK int fd_close(struct ctx *c, int fd);
MUST_CHECK int fd_close_range(struct ctx *c, u32 first, u32 last, bool cloexec_only);
MUST_CHECK int fd_get_cloexec(struct ctx *c, int fd);
MUST_CHECK int fd_set_cloexec(struct ctx *c, int fd, bool on);
/* execve: closes what is marked. */
void fd_close_on_exec(struct ctx *c);
/* The lowest used descriptor at or above fd, or -1: for /proc/PID/fd. */
int fd_table_next(struct fd_table *t, int fd);
u32 fd_table_count(struct fd_table *t);
