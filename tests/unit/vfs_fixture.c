#include "tests/unit/vfs_fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Nobody here has signals. */
__attribute__((weak)) void ctx_signal_self(struct ctx *c, int signo)
{
	(void)c;
	(void)signo;
}

void tree_init_on(struct tree *t, struct world *w, struct super_block *sb)
{
	struct mount *m;
	struct path root;

	memset(t, 0, sizeof(*t));
	t->w = w;
	world_ctx(w, NULL, &t->c);
	t->c.creds = creds_new(0, 0, NULL, 0);
	t->c.fds = fd_table_new();
	fd_table_use(t->c.fds);
	m = mount_new(&w->kernel, sb, NULL, "none", 0);
	super_block_put(sb);
	t->ns = mount_ns_new(m);
	root = (struct path){m, m->root};
	t->c.fs = fs_context_new(t->ns, &root, &root, 022);
	mount_put(m);
}

void tree_init(struct tree *t)
{
	struct world *w = world_new();

	tree_init_on(t, w, tmpfs_new(&w->kernel, NULL, 0, 0, 0755, 0, 0));
}

void tree_drop(struct tree *t)
{
	fd_table_unuse(t->c.fds, &t->c);
	fd_table_put(t->c.fds);
	fs_context_put(t->c.fs);
	mount_ns_put(t->ns);
	creds_put(t->c.creds);
}

static void report(const struct obj_type *type, u64 count, void *arg)
{
	(void)arg;
	fprintf(stderr, "leaked: %s x %llu\n", type->name, (unsigned long long)count);
}

void tree_end(struct tree *t)
{
	tree_drop(t);
	obj_leaks(report, NULL);
	cr_assert_eq(obj_live(), 0);
	world_end(t->w);
}

int t_open(struct tree *t, const char *path, u32 flags, u32 mode, struct file **ret)
{
	struct open_how_k how = {.flags = flags, .mode = mode};

	return path_open(&t->c, AT_FDCWD, path, &how, ret);
}

int t_try(struct tree *t, const char *path, u32 flags)
{
	struct file *f;
	int r = t_open(t, path, flags, 0644, &f);

	if (r == 0)
		file_put(f);
	return r;
}

int t_write(struct tree *t, const char *path, const char *text)
{
	struct file *f;
	struct uiter it = {0};
	long n;
	int r = t_open(t, path, O_WRONLY | O_CREAT | O_TRUNC, 0644, &f);

	if (r < 0)
		return r;
	uiter_init_kernel(&it, (void *)(uintptr_t)text, strlen(text));
	n = file_write(f, &t->c, &it);
	file_put(f);
	return n == (long)strlen(text) ? 0 : n < 0 ? (int)n : -EIO;
}

const char *t_read(struct tree *t, const char *path)
{
	static char buf[4096];
	struct file *f;
	struct uiter it = {0};
	long n;
	int r = t_open(t, path, O_RDONLY, 0, &f);

	if (r < 0) {
		snprintf(buf, sizeof(buf), "(%s)", strerror(-r));
		return buf;
	}
	uiter_init_kernel(&it, buf, sizeof(buf) - 1);
	n = file_read(f, &t->c, &it);
	file_put(f);
	if (n < 0)
		snprintf(buf, sizeof(buf), "(%s)", strerror((int)-n));
	else
		buf[n] = 0;
	return buf;
}

int t_stat(struct tree *t, const char *path, bool follow, struct kstat *ret)
{
	AUTO_PATH p = {0};
	int r = path_lookup(&t->c, AT_FDCWD, path, follow ? LOOKUP_FOLLOW : 0, &p);

	return r < 0 ? r : inode_getattr(path_inode(&p), &t->c, ret);
}

struct names {
	struct dir_sink sink;
	char *v[512];
	unsigned n;
};
static bool take_name(struct dir_sink *s, const char *name, size_t len, u64 ino, u8 type, s64 off)
{
	struct names *n = container_of(s, struct names, sink);

	(void)ino;
	(void)type;
	(void)off;
	cr_assert_lt(n->n, 512);
	if (strcmp(name, ".") && strcmp(name, ".."))
		n->v[n->n++] = strndup(name, len);
	return true;
}
static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

const char *t_list(struct tree *t, const char *path)
{
	static char buf[16384];
	struct names n = {.sink.entry = take_name};
	struct file *f;
	int r = t_open(t, path, O_RDONLY | O_DIRECTORY, 0, &f);

	buf[0] = 0;
	if (r == 0) {
		r = file_iterate(f, &t->c, &n.sink);
		file_put(f);
	}
	if (r < 0) {
		snprintf(buf, sizeof(buf), "(%s)", strerror(-r));
		return buf;
	}
	qsort(n.v, n.n, sizeof(n.v[0]), by_name);
	for (unsigned i = 0; i < n.n; i++) {
		snprintf(buf + strlen(buf), sizeof(buf) - strlen(buf), "%s%s", i ? " " : "",
		         n.v[i]);
		free(n.v[i]);
	}
	return buf;
}

void t_become(struct tree *t, u32 uid, u32 gid)
{
	creds_put(t->c.creds);
	t->c.creds = creds_new(uid, gid, NULL, 0);
}

void tree_save(struct tree *t, struct snapshot *ret)
{
	void *roots[] = {t->c.fs, t->c.fds, t->ns};
	struct save_params p = {.roots = roots, .n_roots = 3, .user = &t->w->kernel};
	char *why = NULL;

	cr_assert_eq(state_save(&p, ret, &why), 0, "%s", why);
}

int tree_load(struct tree *t, struct world *w, const struct snapshot *snap, char **ret_why)
{
	const struct obj_type *types[] = {&fs_context_type, &fd_table_type, &mount_ns_type};
	struct load_params p = {.root_types = types, .n_roots = 3, .user = &w->load};
	void *roots[3];
	int r;

	w->load.in_place = &snap->pages;
	r = state_load(snap->kernel.data, snap->kernel.len, &p, roots, ret_why);
	if (r < 0)
		return r;
	memset(t, 0, sizeof(*t));
	t->w = w;
	world_ctx(w, NULL, &t->c);
	t->c.creds = creds_new(0, 0, NULL, 0);
	t->c.fs = roots[0];
	t->c.fds = roots[1];
	t->ns = roots[2];
	fd_table_use(t->c.fds);
	return 0;
}
