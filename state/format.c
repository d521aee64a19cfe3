#include "state/format.h"
#include "state/base/bug.h"

#include <errno.h>
#include <lz4frame.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define LZ4_RATIO_MAX 256ull /* LZ4 cannot shrink further */

void image_digest(const void *data, size_t size, u8 ret[IMAGE_DIGEST_LEN])
{
	XXH128_canonical_t c;

	XXH128_canonicalFromHash(&c, XXH3_128bits(data, size));
	memcpy(ret, c.digest, IMAGE_DIGEST_LEN);
}

int image_check_header(const struct image_header *h, const char *name, const char *kind,
                       char **ret_why)
{
	if (memcmp(h->magic, IMAGE_MAGIC, sizeof(h->magic)) != 0) {
		*ret_why = format_line("%s is no stasis image", name);
		return -EBADMSG;
	}
	if (h->format > IMAGE_FORMAT) {
		*ret_why = format_line(
			"%s is from a newer stasis (format %u, this one reads up to %u)", name,
			h->format, IMAGE_FORMAT);
		return -EBADMSG;
	}
	if (memcmp(h->kind, kind, sizeof(h->kind)) != 0) {
		*ret_why = format_line("%s is another file of a stasis image", name);
		return -EBADMSG;
	}
	if (h->format == 0 || (h->flags & ~IMAGE_FLAG_LZ4) || h->zero) {
		*ret_why = format_line("the header of %s is damaged", name);
		return -EBADMSG;
	}
	return 0;
}

int image_file_size(int fd, const char *name, u64 *ret, char **ret_why)
{
	struct stat st;

	if (fd < 0) {
		*ret_why = format_line("%s is missing", name);
		return -ENOENT;
	}
	if (fstat(fd, &st) < 0) {
		int err = -errno;

		*ret_why = format_line("%s cannot be read: %s", name, strerror(-err));
		return err;
	}
	if (!S_ISREG(st.st_mode)) {
		*ret_why = format_line("%s is no regular file", name);
		return -EBADMSG;
	}
	*ret = (u64)st.st_size;
	return 0;
}

int image_read_file(int fd, const char *name, u64 size, struct buf *ret, char **ret_why)
{
	struct buf b = {0};

	if (size > SIZE_MAX / 8) {
		*ret_why = format_line("%s is too large", name);
		return -EFBIG;
	}
	buf_reserve(&b, size + 1);
	while (b.len < size) {
		ssize_t n = pread(fd, b.data + b.len, size - b.len, (off_t)b.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int err = -errno;

			*ret_why = format_line("%s cannot be read: %s", name, strerror(-err));
			buf_finish(&b);
			return err;
		}
		if (n == 0)
			break;
		b.len += (size_t)n;
	}
	*ret = b;
	return 0;
}

static int decompress(const void *data, size_t size, u64 want, struct buf *ret)
{
	LZ4F_dctx *ctx = NULL;
	size_t in = 0, hint = 1;
	struct buf b = {0};

	if (want > size * LZ4_RATIO_MAX + 64)
		return -EBADMSG;
	BUG_ON(LZ4F_isError(LZ4F_createDecompressionContext(&ctx, LZ4F_VERSION)));
	buf_reserve(&b, want + 1);
	while (in < size && hint != 0) {
		/* One byte of room past what is wanted tells a longer frame from this one. */
		size_t out = want + 1 - b.len, take = size - in;

		hint = LZ4F_decompress(ctx, b.data + b.len, &out, (const u8 *)data + in, &take,
		                       NULL);
		if (LZ4F_isError(hint) || (out == 0 && take == 0))
			break;
		b.len += out;
		in += take;
	}
	LZ4F_freeDecompressionContext(ctx);
	if (hint != 0 || in != size || b.len != want) {
		buf_finish(&b);
		return -EBADMSG;
	}
	*ret = b;
	return 0;
}

int image_body(const struct buf *file, const char *name, const char *kind, struct buf *hold,
               const u8 **ret, size_t *ret_size, char **ret_why)
{
	struct image_header h;
	const u8 *body = file->data + sizeof(h);
	size_t size;
	int r;

	if (file->len < sizeof(h)) {
		*ret_why = format_line("%s is truncated (%zu of at least %zu bytes)", name,
		                       file->len, sizeof(h));
		return -EBADMSG;
	}
	memcpy(&h, file->data, sizeof(h));
	r = image_check_header(&h, name, kind, ret_why);
	if (r < 0)
		return r;
	size = file->len - sizeof(h);
	if (!(h.flags & IMAGE_FLAG_LZ4)) {
		if (h.body_size != size) {
			*ret_why =
				format_line("%s is %s (%zu of %llu bytes)", name,
			                    size < h.body_size ? "truncated" : "too long",
			                    file->len, (unsigned long long)h.body_size + sizeof(h));
			return -EBADMSG;
		}
	} else {
		r = decompress(body, size, h.body_size, hold);
		if (r < 0) {
			*ret_why = format_line("%s does not decompress: the file is damaged", name);
			return r;
		}
		body = hold->data;
		size = hold->len;
	}
	*ret = body;
	*ret_size = size;
	return 0;
}

int image_compress(const void *data, size_t size, struct buf *ret)
{
	LZ4F_preferences_t prefs = {
		.frameInfo = {.blockSizeID = LZ4F_max256KB, .contentSize = size},
	};
	size_t bound = LZ4F_compressFrameBound(size, &prefs), n;

	buf_reserve(ret, bound);
	n = LZ4F_compressFrame(ret->data + ret->len, bound, data, size, &prefs);
	if (LZ4F_isError(n))
		return -EIO;
	ret->len += n;
	return 0;
}
