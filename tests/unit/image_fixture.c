#include "tests/unit/image_fixture.h"
#include "state/base/bug.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int mem_read(struct page_source *src, u64 off, void *buf, u64 len)
{
	struct mem_source *m = container_of(src, struct mem_source, src);

	return pread(m->fd, buf, len, (off_t)off) == (ssize_t)len ? 0 : -EIO;
}

static u64 mem_zero_prefix(struct page_source *src, u64 off, u64 len)
{
	struct mem_source *m = container_of(src, struct mem_source, src);
	off_t data = lseek(m->fd, (off_t)off, SEEK_DATA);

	if (data < 0)
		return errno == ENXIO ? len : 0;
	return MIN((u64)data - off, len);
}

void mem_source_init(struct mem_source *m, u64 size)
{
	*m = (struct mem_source){
		.src = {.read = mem_read, .zero_prefix = mem_zero_prefix, .size = size},
		.fd = memfd_create("source", MFD_CLOEXEC),
	};
	BUG_ON(m->fd < 0 || ftruncate(m->fd, (off_t)size) < 0);
}

void mem_source_finish(struct mem_source *m)
{
	page_source_finish(&m->src);
	close(m->fd);
}

void mem_source_fill(struct mem_source *m, u64 page, u64 seed)
{
	u64 words[PAGE_SIZE / 8], x = seed * 2654435761u + 1;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		words[i] = x;
	}
	BUG_ON(pwrite(m->fd, words, PAGE_SIZE, (off_t)(page * PAGE_SIZE)) != (ssize_t)PAGE_SIZE);
}

void mem_source_fill_text(struct mem_source *m, u64 page, u64 seed)
{
	char text[PAGE_SIZE];

	for (size_t i = 0; i < sizeof(text); i += 16)
		snprintf(text + i, 16, "line %8llu\n", (unsigned long long)(seed % 1000));
	BUG_ON(pwrite(m->fd, text, PAGE_SIZE, (off_t)(page * PAGE_SIZE)) != (ssize_t)PAGE_SIZE);
}

void image_files_open(int fds[IMAGE_FILES])
{
	for (unsigned i = 0; i < IMAGE_FILES; i++) {
		fds[i] = memfd_create(image_file_names[i], MFD_CLOEXEC);
		BUG_ON(fds[i] < 0);
	}
}

void image_files_close(int fds[IMAGE_FILES])
{
	for (unsigned i = 0; i < IMAGE_FILES; i++)
		close(fds[i]);
}

u64 file_size(int fd)
{
	struct stat st = {0};

	BUG_ON(fstat(fd, &st) < 0);
	return (u64)st.st_size;
}

int file_copy(int fd, u64 size)
{
	int to = memfd_create("copy", MFD_CLOEXEC);
	u8 chunk[4096];

	BUG_ON(to < 0);
	for (u64 off = 0; off < size;) {
		ssize_t n = pread(fd, chunk, MIN(size - off, (u64)sizeof(chunk)), (off_t)off);

		BUG_ON(n <= 0 || pwrite(to, chunk, (size_t)n, (off_t)off) != n);
		off += (u64)n;
	}
	return to;
}
