#pragma once
/*
 * An image as people think of it: processes with their threads, memory, command lines and open
 * files. Built from records that nobody has checked: whatever does not fit is left out.
 *
 * Locking: none. Lifetime: a model lives as long as the image and the records it was made of.
 * Saved: no.
 */
#include "cli/error.h"
#include "state/inspect.h"

#include "proto/control.pb-c.h"
#include "proto/task.pb-c.h"
#include "proto/vfs.pb-c.h"

struct image_proc {
	const Sentry__ThreadGroup *tg;
	const Sentry__Task *leader;
	const Sentry__FdTable *fds;  /* or NULL */
	const Sentry__FsContext *fs; /* or NULL */
	u64 id;                      /* of tg's record */
	struct image_proc *parent;   /* or NULL; there are no cycles */
	unsigned threads;
	u64 virt;        /* bytes mapped */
	u64 saved_pages; /* private memory that is in the image */
	char *command;   /* printable */
	bool zombie;
};

struct image_model {
	const struct image *img;
	struct inspect_kernel *k;
	struct image_proc *procs; /* by pid */
	size_t n_procs;
	size_t n_threads;
	Control__Sandbox *sandbox; /* or NULL */
};

MUST_CHECK int image_model_make(const struct image *img, struct image_model *ret,
                                struct error *err);
void image_model_finish(struct image_model *m);

/* The message of type d that the id names, or NULL. */
const void *image_find(const struct image_model *m, u64 id, const ProtobufCMessageDescriptor *d);
/* msg itself or the base that is embedded in it (the first field of its first field, ...). */
const void *image_base(const ProtobufCMessage *msg, const ProtobufCMessageDescriptor *d);
/* What an open file is: a path, or "pipe:[12]". Malloc'd, printable. */
char *image_file_name(const struct image_model *m, u64 file_id);
/* What a socket is: "tcp 127.0.0.1:80, listening". Malloc'd, printable; NULL: it is none. */
char *image_socket_name(const struct image_model *m, u64 sock_id);
/* Malloc'd, printable, from the mount namespace's root. */
char *image_path_name(const struct image_model *m, const Sentry__Path *path);
/* Bytes that may hold anything, for a terminal. Malloc'd. */
char *image_printable(const char *s, size_t len);
