#include "tests/unit/vfs_overlay_fixture.h"
#include "sentry/auth/creds.h"
#include "sentry/fs/overlay/overlay_impl.h"
#include "sentry/mm/memfile.h"
#include "sentry/vfs/xattr.h"
#include "state/base/buf.h"
#include "state/base/cleanup.h"
#include "state/snapshot.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>

struct world *overlay_world;
struct side over, model;
struct super_block *lower;
static u64 live;
static char *lower_before;

static void side_mount(struct side *s, struct super_block *sb)
{
	struct mount *m = mount_new(&overlay_world->kernel, sb, NULL, "none", 0);
	struct path root = {.mount = m, .dentry = m->root};

	world_ctx(overlay_world, NULL, &s->c);
	s->sb = sb;
	s->ns = mount_ns_new(m);
	s->fs = fs_context_new(s->ns, &root, &root, 022);
	s->c.fs = s->fs;
	s->c.creds = creds_new(0, 0, NULL, 0);
	mount_put(m);
}

static void side_end(struct side *s)
{
	obj_put(s->fs);
	obj_put(s->ns);
	obj_put(s->c.creds);
}

void overlay_begin(fill_fn fill)
{
	struct side filler;
	struct super_block *sb;

	live = obj_live();
	overlay_world = world_new();
	world_ctx(overlay_world, NULL, &filler.c);
	lower = tmpfs_new(&overlay_world->kernel, &filler.c, 0, 0, 0755, 0, 0);
	side_mount(&filler, lower);
	fill(&filler);
	cr_assert_eq(overlay_new(&overlay_world->kernel, lower, lower->root, &sb), 0);
	side_mount(&over, sb);
	super_block_put(sb);
	side_end(&filler);
	super_block_put(lower);
	sb = tmpfs_new(&overlay_world->kernel, &over.c, 0, 0, 0755, 0, 0);
	side_mount(&model, sb);
	super_block_put(sb);
	fill(&model);
	lower_before = lower_dump();
}

static void leaked(const struct obj_type *type, u64 count, void *arg)
{
	(void)arg;
	fprintf(stderr, "left: %llu of %s\n", (unsigned long long)count, type->name);
}

void overlay_end(void)
{
	char *after = lower_dump();

	cr_assert_str_eq(after, lower_before, "lower tree changed");
	free(after);
	free(lower_before);
	side_end(&over);
	side_end(&model);
	if (obj_live() != live)
		obj_leaks(leaked, NULL);
	cr_assert_eq(obj_live(), live);
	world_end(overlay_world);
}

void overlay_reload(struct file **files, unsigned n)
{
	void *roots[16] = {over.ns, over.fs}, *loaded[16];
	const struct obj_type *types[16] = {&mount_ns_type, &fs_context_type};
	struct snapshot snap = {0}, again = {0};
	struct save_params sp = {.roots = roots, .n_roots = n + 2};
	struct load_params lp = {
		.root_types = types, .n_roots = n + 2, .user = &overlay_world->load};
	struct machine *machine = &overlay_world->machine;
	char *why = NULL;

	for (unsigned i = 0; i < n; i++) {
		roots[i + 2] = files[i];
		types[i + 2] = &file_type;
	}
	super_shrink(over.sb);
	super_shrink(lower);
	cr_assert_eq(state_save(&sp, &snap, &why), 0, "%s", why);
	pageload_hold(machine, &snap.pages);
	snapshot_discard_objects(&snap);
	overlay_world->load.in_place = &snap.pages;
	cr_assert_eq(state_load(snap.kernel.data, snap.kernel.len, &lp, loaded, &why), 0, "%s",
	             why);
	pageload_release(machine, &snap.pages);
	sp.roots = loaded;
	cr_assert_eq(state_save(&sp, &again, &why), 0, "%s", why);
	cr_assert_eq(snap.kernel.len, again.kernel.len);
	cr_assert_eq(memcmp(snap.kernel.data, again.kernel.data, snap.kernel.len), 0);
	snapshot_finish(&snap);
	snapshot_finish(&again);
	over.ns = loaded[0];
	over.fs = over.c.fs = loaded[1];
	over.sb = over.ns->root->sb;
	for (unsigned i = 0; i < n; i++)
		files[i] = loaded[i + 2];
	lower = container_of(over.sb, struct overlay_super, ts.sb)->lower;
}

int side_open(struct side *s, const char *path, u32 flags, struct file **ret)
{
	struct open_how_k how = {.flags = flags, .mode = 0666};

	return path_open(&s->c, AT_FDCWD, path, &how, ret);
}

int side_write(struct side *s, const char *path, const char *text)
{
	AUTO(file) f = NULL;
	int r = side_open(s, path, O_WRONLY | O_CREAT | O_TRUNC, &f);
	UITER(it);

	if (r < 0)
		return r;
	uiter_init_kernel(&it, (void *)(uintptr_t)text, strlen(text));
	return (int)file_write(f, &s->c, &it);
}

char *side_read(struct side *s, const char *path)
{
	AUTO(file) f = NULL;
	struct buf b = {0};
	char chunk[4096];

	if (side_open(s, path, O_RDONLY, &f) < 0)
		return NULL;
	for (;;) {
		UITER(it);
		long n;

		uiter_init_kernel(&it, chunk, sizeof(chunk));
		n = file_read(f, &s->c, &it);
		if (n < 0) {
			buf_finish(&b);
			return NULL;
		}
		if (n == 0)
			break;
		for (long i = 0; i < n; i++) {
			if (!chunk[i])
				chunk[i] = '~';
		}
		buf_append(&b, chunk, (size_t)n);
	}
	buf_append(&b, "", 1);
	return (char *)b.data;
}

int side_stat(struct side *s, const char *path, struct kstat *ret)
{
	AUTO_PATH p = {0};
	int r = path_lookup(&s->c, AT_FDCWD, path, 0, &p);

	return r < 0 ? r : inode_getattr(path_inode(&p), &s->c, ret);
}

int side_setattr(struct side *s, const char *path, struct iattr a)
{
	AUTO_PATH p = {0};
	int r = path_lookup(&s->c, AT_FDCWD, path, 0, &p);

	return r < 0 ? r : vfs_setattr(&s->c, &p, &a);
}

/* ---- listings ---- */

struct names {
	struct dir_sink sink;
	char *v[1000];
	u64 ino[1000];
	u8 type[1000];
	size_t n;
};

static bool names_entry(struct dir_sink *s, const char *name, size_t len, u64 ino, u8 type, s64 off)
{
	struct names *n = container_of(s, struct names, sink);

	(void)off;
	if (len <= 2 && !strncmp(name, "..", len))
		return true;
	cr_assert_lt(n->n, 1000);
	n->ino[n->n] = ino;
	n->type[n->n] = type;
	n->v[n->n++] = strndup(name, len);
	return true;
}

static int names_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int names_get(struct side *s, const char *path, struct names *n)
{
	AUTO(file) f = NULL;
	int r = side_open(s, path, O_RDONLY | O_DIRECTORY, &f);

	n->n = 0;
	n->sink.entry = names_entry;
	if (r < 0)
		return r;
	r = file_iterate(f, &s->c, &n->sink);
	cr_assert_eq(r, 0);
	for (size_t i = 0; i < n->n; i++) {
		struct kstat st;
		char *child;

		cr_assert_gt(asprintf(&child, "%s/%s", path, n->v[i]), 0);
		cr_assert_eq(side_stat(s, child, &st), 0, "%s is listed but is not there", child);
		cr_assert_eq(st.ino, n->ino[i], "%s", child);
		cr_assert_eq(IFTODT(st.mode), n->type[i], "%s", child);
		free(child);
	}
	qsort(n->v, n->n, sizeof(char *), names_compare);
	for (size_t i = 1; i < n->n; i++)
		cr_assert_str_neq(n->v[i - 1], n->v[i]);
	return 0;
}
static void names_finish(struct names *n)
{
	for (size_t i = 0; i < n->n; i++)
		free(n->v[i]);
	free(n);
}

char *side_list(struct side *s, const char *path)
{
	struct names *n = calloc(1, sizeof(*n));
	struct buf b = {0};

	cr_assert_eq(names_get(s, path, n), 0, "%s", path);
	for (size_t i = 0; i < n->n; i++) {
		buf_append(&b, n->v[i], strlen(n->v[i]));
		buf_append(&b, " ", 1);
	}
	buf_append(&b, "", 1);
	names_finish(n);
	return (char *)b.data;
}

static void dump(struct side *s, const char *path, struct buf *b)
{
	char xattrs[256] = "", *text = NULL, *line;
	AUTO_PATH p = {0};
	struct names *n;
	struct kstat st;
	long x;

	cr_assert_eq(path_lookup(&s->c, AT_FDCWD, path, 0, &p), 0, "%s", path);
	cr_assert_eq(inode_getattr(path_inode(&p), &s->c, &st), 0);
	cr_assert_eq(st.dev, s->sb->dev);
	x = vfs_listxattr(&s->c, path_inode(&p), xattrs, sizeof(xattrs));
	cr_assert_geq(x, 0);
	if (S_ISREG(st.mode))
		text = side_read(s, path);
	if (S_ISREG(st.mode))
		cr_assert_eq(text ? strlen(text) : 0, st.size, "%s: %s", path, text);
	if (S_ISLNK(st.mode))
		cr_assert_eq(inode_readlink(path_inode(&p), &s->c, &text), 0);
	x = asprintf(&line, "%s %o links %u owner %u:%u size %llu rdev %llx xattr %s: %s\n", path,
	             st.mode, st.nlink, st.uid, st.gid,
	             S_ISDIR(st.mode) ? 0ull : (unsigned long long)st.size,
	             (unsigned long long)st.rdev, xattrs, text ? text : "");
	cr_assert_gt(x, 0);
	buf_append(b, line, (size_t)x);
	free(line);
	free(text);
	if (!S_ISDIR(st.mode))
		return;
	n = calloc(1, sizeof(*n));
	cr_assert_eq(names_get(s, path, n), 0);
	for (size_t i = 0; i < n->n; i++) {
		char *child;

		cr_assert_gt(asprintf(&child, "%s/%s", path, n->v[i]), 0);
		dump(s, child, b);
		free(child);
	}
	names_finish(n);
}

char *side_dump(struct side *s, const char *path)
{
	struct buf b = {0};

	dump(s, path, &b);
	buf_append(&b, "", 1);
	return (char *)b.data;
}

void overlay_compare(void)
{
	AUTO_FREE char *a = side_dump(&over, "/");
	AUTO_FREE char *b = side_dump(&model, "/");

	if (strcmp(a, b))
		fprintf(stderr, "overlay:\n%s\nmodel:\n%s\n", a, b);
	cr_assert_str_eq(a, b);
}

char *lower_dump(void)
{
	struct side s;
	char *text;

	side_mount(&s, lower);
	text = side_dump(&s, "/");
	side_end(&s);
	return text;
}
