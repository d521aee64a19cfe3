#include "state/outfile.h"
#include "state/base/bug.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

void outfile_init(struct outfile *f, int fd, const char *name)
{
	*f = (struct outfile){.fd = fd, .name = name, .digest = XXH3_createState()};
	BUG_ON(!f->digest || XXH3_128bits_reset(f->digest) != XXH_OK);
}

void outfile_finish(struct outfile *f)
{
	XXH3_freeState(f->digest);
	f->digest = NULL;
}

int outfile_writev(struct outfile *f, struct iovec *iov, unsigned n, char **ret_why)
{
	for (unsigned i = 0; i < n; i++) {
		XXH3_128bits_update(f->digest, iov[i].iov_base, iov[i].iov_len);
		f->size += iov[i].iov_len;
	}
	while (n > 0) {
		ssize_t w;

		if (iov->iov_len == 0) {
			iov++;
			n--;
			continue;
		}
		w = writev(f->fd, iov, (int)n);
		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0) {
			int err = w < 0 ? -errno : -EIO;

			*ret_why = format_line("%s cannot be written: %s", f->name, strerror(-err));
			return err;
		}
		while (n > 0 && (size_t)w >= iov->iov_len) {
			w -= (ssize_t)iov->iov_len;
			iov++;
			n--;
		}
		if (n > 0) {
			iov->iov_base = (u8 *)iov->iov_base + w;
			iov->iov_len -= (size_t)w;
		}
	}
	return 0;
}

int outfile_write(struct outfile *f, const void *data, size_t size, char **ret_why)
{
	struct iovec iov = {(void *)(uintptr_t)data, size};

	return outfile_writev(f, &iov, 1, ret_why);
}

void outfile_digest(const struct outfile *f, u8 ret[IMAGE_DIGEST_LEN])
{
	XXH128_canonical_t c;

	XXH128_canonicalFromHash(&c, XXH3_128bits_digest(f->digest));
	memcpy(ret, c.digest, IMAGE_DIGEST_LEN);
}
