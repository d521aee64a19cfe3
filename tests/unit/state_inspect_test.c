/* Images as JSON, and the check of everything in them. */
#include "state/inspect.h"
#include "state/save.h"
#include "tests/unit/image_fixture.h"
#include "tests/unit/sample.pb-c.h"
#include "tests/unit/sample_types.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void new_image(int fds[IMAGE_FILES], enum image_compression compression)
{
	struct image_info info = {.compression = compression, .arch = "x86_64", .sandbox = "a\"b"};
	struct image_stats stats = {.freezing_ns = 5000};
	struct snapshot snap = {0};
	struct mem_source m;
	struct house *h = obj_new(house);
	struct cat *c = obj_new(cat);
	void *root = h;
	struct save_params p = {.roots = &root, .n_roots = 1};
	char *why = NULL;

	mem_source_init(&m, 40 * PAGE_SIZE);
	mem_source_fill(&m, 3, 3);
	mem_source_fill_text(&m, 30, 3);
	c->animal.name = strdup("Kater \xc3\xa4 \xff\n\"");
	c->mood = -9;
	TAILQ_INSERT_TAIL(&h->cats, c, sibling);
	h->dog = obj_new(dog);
	h->src = &m.src;
	h->pages = 40;
	cr_assert_eq(state_save(&p, &snap, &why), 0, "%s", why);
	image_files_open(fds);
	cr_assert_eq(image_write(fds, &snap, &info, &stats, &why), 0, "%s", why);
	snapshot_finish(&snap);
	obj_put(h);
	mem_source_finish(&m);
}

static json_t *decode(int fd, const char *name)
{
	char *text = NULL, *why = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	json_error_t err = {0};
	json_t *j;

	cr_assert_eq(inspect_decode(fd, name, out, 4, &why), 0, "%s", why);
	fclose(out);
	j = json_loads(text, 0, &err);
	cr_assert_not_null(j, "%s, line %d: %s\n%s", name, err.line, err.text, text);
	cr_assert_str_eq(json_string_value(json_object_get(j, "file")), name);
	free(text);
	return j;
}

static void decode_all(enum image_compression compression)
{
	int fds[IMAGE_FILES];
	json_t *j, *rec;
	char *why = NULL;

	new_image(fds, compression);
	for (unsigned i = 0; i < IMAGE_FILES; i++)
		json_decref(decode(fds[i], image_file_names[i]));
	j = decode(fds[IMAGE_KERNEL], "kernel.img");
	cr_assert_eq(json_array_size(json_object_get(j, "records")), 3);
	rec = json_array_get(json_object_get(j, "records"), 1);
	cr_assert_str_eq(json_string_value(json_object_get(rec, "type")), "sample.Cat");
	rec = json_object_get(rec, "message");
	cr_assert_eq(json_integer_value(json_object_get(rec, "mood")), -9);
	cr_assert_str_eq(json_string_value(json_object_get(json_object_get(rec, "animal"), "name")),
	                 "Kater \xc3\xa4 \xc3\xbf\n\"");
	json_decref(j);
	j = decode(fds[IMAGE_INVENTORY], "inventory.img");
	rec = json_object_get(j, "message");
	cr_assert_str_eq(json_string_value(json_object_get(rec, "sandbox")), "a\"b");
	cr_assert_eq(json_array_size(json_object_get(rec, "files")), 4);
	json_decref(j);
	j = decode(fds[IMAGE_PAGEMAP], "pagemap.img");
	cr_assert_eq(json_array_size(json_object_get(j, "runs")), 5);
	json_decref(j);
	cr_assert_eq(inspect_verify(fds, &why), 0, "%s", why);
	image_files_close(fds);
}

Test(inspect, decode_uncompressed)
{
	decode_all(IMAGE_NONE);
}

Test(inspect, decode_lz4)
{
	decode_all(IMAGE_LZ4);
}

static int collect(const struct inspect_ref *ref, void *arg)
{
	u64 *sum = arg;

	*sum = *sum * 10 + ref->id;
	return 0;
}

Test(inspect, references_and_lookup)
{
	int fds[IMAGE_FILES];
	struct image *img = NULL;
	struct inspect_kernel *k = NULL;
	const struct inspect_record *rec;
	const void *kernel;
	size_t size = 0;
	char *why = NULL;
	u64 sum = 0;

	new_image(fds, IMAGE_LZ4);
	cr_assert_eq(image_open(fds, &img, &why), 0);
	kernel = image_kernel(img, &size);
	cr_assert_eq(inspect_kernel_open(kernel, size, &k, &why), 0);
	cr_assert_eq(inspect_count(k), 3);
	cr_assert_null(inspect_at(k, 3));
	cr_assert_null(inspect_find(k, 4));
	rec = inspect_find(k, 1);
	cr_assert_eq(rec, inspect_at(k, 0));
	cr_assert_eq(rec->msg->descriptor, &sample__house__descriptor);
	cr_assert_eq(inspect_refs(rec->type, rec->msg, collect, &sum), 0);
	cr_assert_eq(sum, 23);
	inspect_kernel_close(k);
	image_close(img);
	image_files_close(fds);
}

Test(inspect, foreign_files)
{
	static const char *const texts[] = {
		"",
		"hello",
		"\x40\x59\x10\x55 and no more",
		"\x89STASIS\n and no more than this, which is longer than any header is",
	};
	FILE *out = fopen("/dev/null", "w");

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		int fd = file_copy(-1, 0);
		char *why = NULL;

		cr_assert_eq(write(fd, texts[i], strlen(texts[i])), (ssize_t)strlen(texts[i]));
		cr_assert_eq(inspect_decode(fd, "x.img", out, 0, &why), -EBADMSG);
		cr_assert_eq(strncmp(why, "x.img ", 6), 0, "%s", why);
		free(why);
		close(fd);
	}
	fclose(out);
}

/* Every byte of every file changed: decoding says so or shows something, and never crashes. */
Test(inspect, damaged_files)
{
	FILE *out = fopen("/dev/null", "w");
	int fds[IMAGE_FILES];

	new_image(fds, IMAGE_NONE);
	for (unsigned k = 0; k < IMAGE_FILES; k++) {
		u64 size = MIN(file_size(fds[k]), (u64)PAGE_SIZE);

		for (u64 off = 0; off < size; off++) {
			u8 was = 0, now;
			char *why = NULL;

			cr_assert_eq(pread(fds[k], &was, 1, (off_t)off), 1);
			for (unsigned bit = 0; bit < 8; bit++) {
				now = (u8)(was ^ 1u << bit);
				cr_assert_eq(pwrite(fds[k], &now, 1, (off_t)off), 1);
				if (inspect_decode(fds[k], "x.img", out, 0, &why) < 0)
					cr_assert_not_null(why);
				free(why);
				why = NULL;
			}
			cr_assert_eq(pwrite(fds[k], &was, 1, (off_t)off), 1);
		}
	}
	image_files_close(fds);
	fclose(out);
}
