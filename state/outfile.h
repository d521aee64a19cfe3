#pragma once
/*
 * One file being written from front to back, with its size and digest.
 *
 * Locking: none. Lifetime: outfile_finish frees, the descriptor stays the caller's. Saved: no.
 */
#include "state/base/types.h"
#include "state/format.h"

#include <sys/uio.h>

struct XXH3_state_s;
struct outfile {
	int fd;
	const char *name;
	u64 size;
	struct XXH3_state_s *digest;
};

void outfile_init(struct outfile *f, int fd, const char *name);
void outfile_finish(struct outfile *f);
/* Changes iov. -ENOSPC etc. with *ret_why (malloc'd) naming the file. */
MUST_CHECK int outfile_writev(struct outfile *f, struct iovec *iov, unsigned n, char **ret_why);
MUST_CHECK int outfile_write(struct outfile *f, const void *data, size_t size, char **ret_why);
void outfile_digest(const struct outfile *f, u8 ret[IMAGE_DIGEST_LEN]);
