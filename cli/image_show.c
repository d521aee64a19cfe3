/* `stasis image show` and `tree`: what people want to know of an image. */
#include "cli/image_show.h"
#include "cli/imagedir.h"
#include "state/base/cleanup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static const char *human(u64 bytes, char *buf, size_t size)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double v = (double)bytes;
	size_t u = 0;

	while (v >= 1024 && u + 1 < ARRAY_SIZE(units)) {
		v /= 1024;
		u++;
	}
	snprintf(buf, size, u ? "%.1f %s" : "%.0f %s", v, units[u]);
	return buf;
}

struct page_counts {
	u64 zero, raw, packed;
};

static struct page_counts count_pages(const struct image_pages *ip)
{
	struct page_counts c = {0};
	struct page_run run;
	u64 pgno = 0, total = image_pages_count(ip);

	while (pgno < total && image_pages_lookup(ip, pgno, &run) == 0 && run.count > 0) {
		u64 n = MIN(run.count, total - pgno);

		if (run.kind == PAGES_ZERO)
			c.zero += n;
		else if (run.kind == PAGES_RAW)
			c.raw += n;
		else
			c.packed += n;
		pgno += n;
	}
	return c;
}

static void show_memory(const struct image_model *m)
{
	const struct image_pages *ip = image_pages(m->img);
	struct page_counts c = count_pages(ip);
	char all[32], stored[32];

	printf("memory      %s in %" PRIu64 " pages: %" PRIu64 " zero (not stored)",
	       human(image_pages_count(ip) * PAGE_SIZE, all, sizeof(all)), image_pages_count(ip),
	       c.zero);
	if (c.raw)
		printf(", %" PRIu64 " as they are (%s)", c.raw,
		       human(c.raw * PAGE_SIZE, stored, sizeof(stored)));
	if (c.packed)
		printf(", %" PRIu64 " in %u LZ4 blocks", c.packed, image_pages_blocks(ip));
	printf("\n");
}

static void show_files(const struct image_model *m, const int fds[IMAGE_FILES])
{
	char buf[32];
	struct stat st;
	size_t i;

	printf("size        %s:", human(image_size(m->img), buf, sizeof(buf)));
	for (i = 0; i < IMAGE_FILES; i++)
		if (fds[i] >= 0 && fstat(fds[i], &st) == 0)
			printf("%s %s %s", i ? "," : "", image_file_names[i],
			       human((u64)st.st_size, buf, sizeof(buf)));
	printf("\n");
}

static void show_taken(const struct image_model *m)
{
	const struct image_info *info = image_info(m->img);
	AUTO_FREE char *sandbox = image_printable(info->sandbox, strlen(info->sandbox));
	AUTO_FREE char *producer = image_printable(info->producer, strlen(info->producer));
	AUTO_FREE char *platform = NULL;
	time_t at = (time_t)(info->realtime_ns / NSEC_PER_SEC);
	char when[64] = "?";
	struct tm tm;

	if (localtime_r(&at, &tm))
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S %Z", &tm);
	if (m->sandbox)
		platform = image_printable(m->sandbox->platform, strlen(m->sandbox->platform));
	printf("taken       %s, of container %s%s%s\n", when, sandbox ? sandbox : "?",
	       platform && *platform ? " on platform " : "", platform ? platform : "");
	printf("by          %s, %s, compression %s\n", producer ? producer : "?", info->arch,
	       info->compression == IMAGE_LZ4 ? "lz4" : "none");
}

static void show_root(const struct image_model *m)
{
	AUTO_FREE char *path = NULL;

	if (!m->sandbox || m->sandbox->n_attach == 0)
		return;
	path = image_printable(m->sandbox->attach[0]->path, strlen(m->sandbox->attach[0]->path));
	printf("root        %s%s\n", path ? path : "?",
	       m->sandbox->overlay         ? ", what was written is in the image"
	       : m->sandbox->root_readonly ? ", read-only"
	                                   : ", written through to the host");
}

int image_show(const struct image_model *m, const int fds[IMAGE_FILES])
{
	size_t i, files = 0;
	char virt[32], saved[32];

	for (i = 0; i < m->n_procs; i++)
		files += m->procs[i].fds ? m->procs[i].fds->n_slots : 0;
	show_taken(m);
	show_files(m, fds);
	show_memory(m);
	show_root(m);
	printf("kernel      %zu objects\n", inspect_count(m->k));
	printf("processes   %zu, with %zu threads and %zu open descriptors\n\n", m->n_procs,
	       m->n_threads, files);
	printf("%7s %7s %4s %4s %10s %10s  %s\n", "PID", "PPID", "THR", "FDS", "MAPPED", "SAVED",
	       "COMMAND");
	for (i = 0; i < m->n_procs; i++) {
		const struct image_proc *p = &m->procs[i];

		printf("%7u %7u %4u %4zu %10s %10s  %s%s\n", p->tg->tgid,
		       p->parent ? p->parent->tg->tgid : 0, p->threads,
		       p->fds ? p->fds->n_slots : 0, human(p->virt, virt, sizeof(virt)),
		       human(p->saved_pages * PAGE_SIZE, saved, sizeof(saved)),
		       p->command ? p->command : "?", p->zombie ? " (zombie)" : "");
	}
	image_show_objects(m);
	return 0;
}

static void tree_files(const struct image_model *m, const struct image_proc *p, const char *indent)
{
	size_t i;

	if (p->fs) {
		AUTO_FREE char *cwd = image_path_name(m, p->fs->cwd);

		printf("%s  cwd  %s\n", indent, cwd ? cwd : "?");
	}
	for (i = 0; p->fds && i < p->fds->n_slots; i++) {
		AUTO_FREE char *name = image_file_name(m, p->fds->slots[i]->file);

		printf("%s  %3u  %s%s\n", indent, p->fds->slots[i]->fd, name ? name : "?",
		       p->fds->slots[i]->cloexec ? "  (close-on-exec)" : "");
	}
}

/* parent NULL: the processes that have none. Depth is bounded by the number of processes: a model's
 * parents form no cycle. */
static void tree_children(const struct image_model *m, const struct image_proc *parent,
                          const char *indent)
{
	size_t i;

	for (i = 0; i < m->n_procs; i++) {
		const struct image_proc *p = &m->procs[i];
		AUTO_FREE char *deeper = NULL;

		if (p->parent != parent)
			continue;
		printf("%s%u  %s%s", indent, p->tg->tgid, p->command ? p->command : "?",
		       p->zombie ? "  (zombie)" : "");
		if (p->threads > 1)
			printf("  (%u threads)", p->threads);
		printf("\n");
		tree_files(m, p, indent);
		/* Hundreds of levels are not indented further. */
		if (strlen(indent) < 256 && asprintf(&deeper, "%s    ", indent) < 0)
			deeper = NULL;
		tree_children(m, p, deeper ? deeper : indent);
	}
}

static void tree_mounts(const struct image_model *m)
{
	size_t i;

	printf("\nmounts\n");
	for (i = 0; i < inspect_count(m->k); i++) {
		const struct inspect_record *rec = inspect_at(m->k, i);
		const Sentry__Mount *mnt = (const void *)rec->msg;
		Sentry__Path at = SENTRY__PATH__INIT;
		AUTO_FREE char *path = NULL;
		AUTO_FREE char *source = NULL;
		const struct inspect_record *sb;
		const char *kind;

		if (!mnt || mnt->base.descriptor != &sentry__mount__descriptor)
			continue;
		at.mount = rec->id;
		at.dentry = mnt->root;
		path = image_path_name(m, &at);
		source = image_printable(mnt->source, strlen(mnt->source));
		sb = inspect_find(m->k, mnt->sb);
		kind = sb ? strrchr(sb->name, '.') : NULL;
		printf("  %-24s %s%s%s\n", path ? path : "?", kind ? kind + 1 : "?",
		       source && *source ? " of " : "", source ? source : "");
	}
}

int image_tree(const struct image_model *m)
{
	tree_children(m, NULL, "");
	tree_mounts(m);
	return 0;
}
