/*
 * What hostile_image_test.py makes its images whole with: puts the sizes and digests that a
 * directory's files have now into its inventory.img, as somebody would who changed an image on
 * purpose. The body of inventory.img is the file "inventory" there if that exists, else as it was.
 */
#include "proto/image.pb-c.h"
#include "state/base/buf.h"
#include "state/format.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool whole(const char *name, struct buf *ret)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	char *why = NULL;
	u64 size = 0;
	bool good = fd >= 0 && image_file_size(fd, name, &size, &why) == 0 &&
	            image_read_file(fd, name, size, ret, &why) == 0;

	if (fd >= 0)
		close(fd);
	free(why);
	return good;
}

static bool describe(Image__File *f, u8 digest[IMAGE_DIGEST_LEN])
{
	struct buf b = {0};
	bool good = whole(f->name, &b);

	if (good) {
		image_digest(b.data, b.len, digest);
		f->size = b.len;
		f->xxh3_128.data = digest;
		f->xxh3_128.len = IMAGE_DIGEST_LEN;
	}
	buf_finish(&b);
	return good;
}

int main(int argc, char **argv)
{
	struct image_header h;
	struct buf file = {0}, body = {0};
	Image__Inventory *inv;
	u8(*digests)[IMAGE_DIGEST_LEN];
	FILE *out;
	size_t len;

	if (argc != 2 || chdir(argv[1]) < 0 || !whole("inventory.img", &file) ||
	    file.len < sizeof(h))
		return 2;
	memcpy(&h, file.data, sizeof(h));
	if (!whole("inventory", &body))
		buf_append(&body, file.data + sizeof(h), file.len - sizeof(h));
	inv = image__inventory__unpack(NULL, body.len, body.data);
	/* One that does not even unpack is sealed as it is. */
	if (inv) {
		digests = calloc(inv->n_files + 1, sizeof(*digests));
		/* What names no file keeps the digest that it has. */
		for (size_t i = 0; i < inv->n_files; i++)
			(void)describe(inv->files[i], digests[i]);
		len = image__inventory__get_packed_size(inv);
		body.len = 0;
		image__inventory__pack(inv, buf_extend(&body, len));
	}
	h.body_size = body.len;
	image_digest(body.data, body.len, h.digest);
	out = fopen("inventory.new", "w");
	if (!out || fwrite(&h, sizeof(h), 1, out) != 1 ||
	    fwrite(body.data, 1, body.len, out) != body.len || fclose(out) != 0 ||
	    rename("inventory.new", "inventory.img") < 0)
		return 1;
	unlink("inventory");
	return 0;
}
