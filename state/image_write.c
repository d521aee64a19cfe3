#include "proto/image.pb-c.h"
#include "proto/stats.pb-c.h"
#include "state/base/bug.h"
#include "state/image.h"
#include "state/outfile.h"
#include "state/pages_write.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *const image_file_names[IMAGE_FILES] = {
	[IMAGE_INVENTORY] = "inventory.img", [IMAGE_KERNEL] = "kernel.img",
	[IMAGE_PAGEMAP] = "pagemap.img",     [IMAGE_PAGES] = "pages.img",
	[IMAGE_STATS] = "stats-dump",
};

static u64 now_ns(void)
{
	struct timespec t = {0};

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * NSEC_PER_SEC + (u64)t.tv_nsec;
}

static u32 usec(u64 ns)
{
	return (u32)MIN(ns / NSEC_PER_USEC, (u64)UINT32_MAX);
}

/* Header and body, compressed if that is wanted. */
static int put_file(struct outfile *f, const char *kind, const void *body, size_t size, bool lz4,
                    bool digest, char **ret_why)
{
	struct image_header h = {
		.magic = IMAGE_MAGIC,
		.format = IMAGE_FORMAT,
		.flags = lz4 ? IMAGE_FLAG_LZ4 : 0,
		.body_size = size,
	};
	struct buf packed = {0};
	struct iovec iov[2] = {{&h, sizeof(h)}, {(void *)(uintptr_t)body, size}};
	int r = 0;

	memcpy(h.kind, kind, sizeof(h.kind));
	if (lz4) {
		r = image_compress(body, size, &packed);
		if (r < 0)
			*ret_why = format_line("%s cannot be compressed", f->name);
		iov[1] = (struct iovec){packed.data, packed.len};
	}
	if (digest)
		image_digest(iov[1].iov_base, iov[1].iov_len, h.digest);
	if (r == 0)
		r = outfile_writev(f, iov, 2, ret_why);
	buf_finish(&packed);
	return r;
}

static int put_stats(struct outfile *f, const struct image_stats *st, char **ret_why)
{
	Stats__Dump dump = STATS__DUMP__INIT;
	Stats__Entry entry = STATS__ENTRY__INIT;
	u8 out[256];
	u32 head[3] = {STATS_MAGIC1, STATS_MAGIC2, 0};

	dump.freezing_time = usec(st->freezing_ns);
	dump.frozen_time = st->frozen_since_ns ? usec(now_ns() - st->frozen_since_ns) : 0;
	dump.memdump_time = usec(st->memwrite_ns);
	dump.memwrite_time = usec(st->memwrite_ns);
	dump.pages_scanned = st->pages;
	dump.pages_written = st->pages_written;
	entry.dump = &dump;
	head[2] = (u32)stats__entry__get_packed_size(&entry);
	BUG_ON(head[2] > sizeof(out) - sizeof(head));
	memcpy(out, head, sizeof(head));
	stats__entry__pack(&entry, out + sizeof(head));
	return outfile_write(f, out, sizeof(head) + head[2], ret_why);
}

static int put_inventory(struct outfile files[], const struct image_info *info, char **ret_why)
{
	Image__Inventory inv = IMAGE__INVENTORY__INIT;
	Image__File list[IMAGE_FILES], *ptrs[IMAGE_FILES];
	u8 digests[IMAGE_FILES][IMAGE_DIGEST_LEN];
	struct buf body = {0};
	size_t len;
	int r;

	inv.producer = (char *)(uintptr_t)(info->producer ? info->producer : "");
	inv.arch = (char *)(uintptr_t)(info->arch ? info->arch : "");
	inv.sandbox = (char *)(uintptr_t)(info->sandbox ? info->sandbox : "");
	inv.n_cpu_features = info->n_cpu_features;
	inv.cpu_features = (char **)(uintptr_t)info->cpu_features;
	inv.cpu_state.data = (u8 *)(uintptr_t)info->cpu_state;
	inv.cpu_state.len = info->cpu_state_len;
	inv.config.data = (u8 *)(uintptr_t)info->config;
	inv.config.len = info->config_len;
	inv.realtime_ns = info->realtime_ns;
	inv.monotonic_ns = info->monotonic_ns;
	inv.boottime_ns = info->boottime_ns;
	inv.compression = info->compression;
	for (unsigned i = IMAGE_INVENTORY + 1; i < IMAGE_FILES; i++) {
		Image__File *f = &list[inv.n_files];

		image__file__init(f);
		outfile_digest(&files[i], digests[i]);
		f->name = (char *)(uintptr_t)files[i].name;
		f->size = files[i].size;
		f->xxh3_128.data = digests[i];
		f->xxh3_128.len = IMAGE_DIGEST_LEN;
		ptrs[inv.n_files++] = f;
	}
	inv.files = ptrs;
	len = image__inventory__get_packed_size(&inv);
	image__inventory__pack(&inv, buf_extend(&body, len));
	r = put_file(&files[IMAGE_INVENTORY], "INVT", body.data, body.len, false, true, ret_why);
	buf_finish(&body);
	return r;
}

static int write_files(struct outfile files[], const struct snapshot *snap,
                       const struct image_info *info, struct image_stats *stats, char **ret_why)
{
	bool lz4 = info->compression == IMAGE_LZ4;
	struct buf map = {0};
	u64 start = now_ns();
	int r;

	r = pages_write(&files[IMAGE_PAGES], &snap->pages, info->compression, &map,
	                &stats->pages_written, ret_why);
	stats->memwrite_ns = now_ns() - start;
	stats->pages = snap->pages.count;
	if (r == 0)
		r = put_file(&files[IMAGE_PAGEMAP], "PMAP", map.data, map.len, false, false,
		             ret_why);
	buf_finish(&map);
	if (r == 0)
		r = put_file(&files[IMAGE_KERNEL], "KERN", snap->kernel.data, snap->kernel.len, lz4,
		             false, ret_why);
	if (r == 0)
		r = put_stats(&files[IMAGE_STATS], stats, ret_why);
	return r == 0 ? put_inventory(files, info, ret_why) : r;
}

int image_write(const int fds[IMAGE_FILES], const struct snapshot *snap,
                const struct image_info *info, struct image_stats *stats, char **ret_why)
{
	struct outfile files[IMAGE_FILES];
	int r;

	for (unsigned i = 0; i < IMAGE_FILES; i++)
		outfile_init(&files[i], fds[i], image_file_names[i]);
	r = write_files(files, snap, info, stats, ret_why);
	stats->bytes = 0;
	for (unsigned i = 0; i < IMAGE_FILES; i++) {
		stats->bytes += files[i].size;
		outfile_finish(&files[i]);
	}
	return r;
}
