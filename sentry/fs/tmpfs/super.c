#include "proto/files.pb-c.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/kernel/kernel.h"
#include "sentry/mm/pageload.h"
#include "sentry/mm/shmem.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sysinfo.h>

#define TMPFS_SUPER_FIELDS(X)                                      \
	X(BASE, sb, super_block)                                   \
	X(SKIP, tree)                                              \
	X(VAL, max_bytes)                                          \
	X(VAL, max_inodes)                                         \
	X(VAL, next_ino)                                           \
	X(SKIP, bytes) /* counted again by the inodes that load */ \
	X(SKIP, inodes)                                            \
	X(SKIP, machine) /* handed over at load */

static void tmpfs_super_init(void *p)
{
	mutex_init(&((struct tmpfs_super *)p)->tree, RANK_TREE);
}

/* Half of what the guest may have, or of the host's. */
static u64 half_of_memory(const struct machine *m)
{
	const struct memfile *mf = m ? m->memfile : NULL;
	struct sysinfo si;

	if (mf && mf->limit)
		return PAGE_DOWN(mf->limit / 2);
	return sysinfo(&si) < 0 ? GIB : PAGE_DOWN((u64)si.totalram * si.mem_unit / 2);
}

u64 tmpfs_max_bytes(const struct tmpfs_super *ts)
{
	return ts->max_bytes ? ts->max_bytes : half_of_memory(ts->machine);
}

u64 tmpfs_max_inodes(const struct tmpfs_super *ts)
{
	return ts->max_inodes ? ts->max_inodes : half_of_memory(ts->machine) / PAGE_SIZE;
}

static int tmpfs_statfs(struct super_block *sb, struct ctx *c, struct statfs *st)
{
	struct tmpfs_super *ts = container_of(sb, struct tmpfs_super, sb);
	u64 max = tmpfs_max_bytes(ts);
	u64 used = MIN((u64)atomic_load(&ts->bytes), max);
	u64 files = tmpfs_max_inodes(ts);

	(void)c;
	st->f_type = TMPFS_MAGIC;
	st->f_blocks = max / PAGE_SIZE;
	st->f_bfree = st->f_bavail = (max - used) / PAGE_SIZE;
	st->f_files = files;
	st->f_ffree = files - MIN((u64)atomic_load(&ts->inodes), files);
	return 0;
}

static void tmpfs_show_options(struct super_block *sb, char *buf, size_t size)
{
	struct tmpfs_super *ts = container_of(sb, struct tmpfs_super, sb);
	struct inode *root = sb->root ? sb->root->inode : NULL;
	size_t n = 0;

	if (ts->max_bytes)
		n = (size_t)snprintf(buf, size, ",size=%lluk",
		                     (unsigned long long)(ts->max_bytes / KIB));
	if (root && (root->mode & 07777) != 01777 && n < size)
		snprintf(buf + n, size - n, ",mode=%o", root->mode & 07777);
}

static const struct super_ops tmpfs_super_ops = {
	.name = "tmpfs",
	.cache = 2048,
	.statfs = tmpfs_statfs,
	.show_options = tmpfs_show_options,
};
static int tmpfs_super_after_load(struct loader *l, void *p)
{
	const struct kernel_load *kl = loader_user(l);

	((struct tmpfs_super *)p)->machine = kl ? kl->machine : NULL;
	return 0;
}
OBJECT_TYPE(tmpfs_super, Sentry__TmpfsSuper, sentry__tmpfs_super__descriptor, TMPFS_SUPER_FIELDS,
            .base = &super_block_type, .ops = &tmpfs_super_ops, .init = tmpfs_super_init,
            .after_load = tmpfs_super_after_load);

struct super_block *tmpfs_new(struct kernel *k, struct ctx *c, u64 max_bytes, u64 max_inodes,
                              u32 mode, u32 uid, u32 gid)
{
	struct tmpfs_super *ts = obj_new(tmpfs_super);
	AUTO(inode) root = NULL;

	ts->machine = k ? k->machine : NULL;
	ts->max_bytes = max_bytes;
	ts->max_inodes = max_inodes;
	BUG_ON(tmpfs_inode_new(&ts->sb, c, S_IFDIR | mode, 0, NULL, 0, &root) < 0);
	root->uid = uid;
	root->gid = gid;
	super_setup(&ts->sb, k, root);
	return &ts->sb;
}

void tmpfs_set_first_ino(struct super_block *sb, u64 first)
{
	struct tmpfs_super *ts = container_of(sb, struct tmpfs_super, sb);
	GUARD(&ts->tree);

	ts->next_ino = first - 1;
}

/* "10", "64k", "1g", "50%" (of memory). */
static int parse_size(const struct machine *m, const char *text, u64 *ret)
{
	char *end;
	u64 v, unit = 1;

	if (!text || *text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno)
		return -EINVAL;
	switch (*end) {
	case 'k':
	case 'K':
		unit = KIB;
		end++;
		break;
	case 'm':
	case 'M':
		unit = MIB;
		end++;
		break;
	case 'g':
	case 'G':
		unit = GIB;
		end++;
		break;
	case 't':
	case 'T':
		unit = 1024 * GIB;
		end++;
		break;
	case '%':
		unit = half_of_memory(m) / 50;
		end++;
		break;
	default:
		break;
	}
	if (*end || __builtin_mul_overflow(v, unit, &v) || v > INT64_MAX)
		return -EINVAL;
	*ret = v;
	return 0;
}

static int parse_u32(const char *text, int base, u32 max, u32 *ret)
{
	char *end;
	unsigned long v;

	if (!text || *text < '0' || *text > '9')
		return -EINVAL;
	v = strtoul(text, &end, base);
	if (*end || v > max)
		return -EINVAL;
	*ret = (u32)v;
	return 0;
}

static int tmpfs_mount(const struct fs_mount_args *a, struct super_block **ret)
{
	AUTO_FREE char *options = strdup(a->options);
	u64 size = half_of_memory(a->kernel->machine), blocks, inodes = 0;
	u32 mode = 01777, uid = 0, gid = 0;
	char *rest = options, *key, *value;
	int r = 0;

	while (r == 0 && mount_option_next(&rest, &key, &value)) {
		if (!strcmp(key, "size")) {
			r = parse_size(a->kernel->machine, value, &size);
			size = PAGE_UP(size);
		} else if (!strcmp(key, "nr_blocks")) {
			r = parse_size(a->kernel->machine, value, &blocks);
			if (r == 0)
				size = MIN(blocks, (u64)INT64_MAX / PAGE_SIZE) * PAGE_SIZE;
		} else if (!strcmp(key, "nr_inodes")) {
			r = parse_size(a->kernel->machine, value, &inodes);
		} else if (!strcmp(key, "mode")) {
			r = parse_u32(value, 8, 07777, &mode);
		} else if (!strcmp(key, "uid")) {
			r = parse_u32(value, 10, UINT32_MAX, &uid);
		} else if (!strcmp(key, "gid")) {
			r = parse_u32(value, 10, UINT32_MAX, &gid);
		} else if (strcmp(key, "huge") && strcmp(key, "mpol") && strcmp(key, "inode64") &&
		           strcmp(key, "inode32") && strcmp(key, "noswap")) {
			r = -EINVAL;
		}
	}
	if (r < 0)
		return r;
	*ret = tmpfs_new(a->kernel, a->c, size, inodes, mode, uid, gid);
	(*ret)->rdonly = a->rdonly;
	return 0;
}
FS_TYPE(tmpfs_fs, .name = "tmpfs", .mount = tmpfs_mount);
