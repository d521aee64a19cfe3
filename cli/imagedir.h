#pragma once
/*
 * Image directories on the host: made whole or not at all, opened for reading.
 *
 * While an image is written its files have no name (O_TMPFILE): a command that is killed leaves
 * nothing. When they are complete they are synced, linked into a new directory beside the
 * destination, and that is renamed. While that directory is there, a child process watches: it
 * removes the directory if the command is killed. A destination that exists is refused, unless it
 * is an empty directory.
 *
 * Locking: none. Lifetime: begin, then publish or abort. Saved: it is the image.
 */
#include "cli/error.h"
#include "state/image.h"

#include <sys/types.h>

struct imagedir {
	char *path; /* as given, without slashes at its end */
	char *name; /* its last part */
	int parent_fd;
	int fds[IMAGE_FILES]; /* for writing */
	char *tmp_name;       /* directory of the files, while there is one */
	pid_t guard;          /* child that removes it when guard_fd closes; 0: none */
	int guard_fd;
};

MUST_CHECK int imagedir_begin(const char *path, struct imagedir *ret, struct error *err);
/* Frees d on success and on failure; a failure leaves nothing. */
MUST_CHECK int imagedir_publish(struct imagedir *d, struct error *err);
void imagedir_abort(struct imagedir *d);

/* Opens the files of an image, -1 for a stats file that is missing. Only regular files will do. */
MUST_CHECK int imagedir_open(const char *path, int ret_fds[IMAGE_FILES], struct error *err);
void imagedir_close(int fds[IMAGE_FILES]);
