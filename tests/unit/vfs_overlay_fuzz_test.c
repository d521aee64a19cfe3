/*
 * Random calls on an overlay and on a plain tmpfs that started with the same tree: the same
 * results, the same trees, with saves, loads and emptied caches in between. The lower tree never
 * changes.
 */
#include "sentry/vfs/xattr.h"
#include "state/base/cleanup.h"
#include "tests/unit/vfs_overlay_fixture.h"

#include <criterion/criterion.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>

#define HANDLES 6u

static __thread u64 g_seed;
static struct file *g_over[HANDLES], *g_model[HANDLES]; /* the same file, open for both */

static u32 rnd(u32 n)
{
	g_seed = g_seed * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(g_seed >> 33) % n;
}

/* Few names, so that calls meet each other and what is below. */
static void random_path(char *buf, size_t size)
{
	static const char names[] = "abcde";
	unsigned depth = 1 + rnd(4);

	buf[0] = 0;
	for (unsigned i = 0; i < depth; i++)
		snprintf(buf + strlen(buf), size - strlen(buf), "/%c", names[rnd(5)]);
}

static void fill_level(struct side *s, const char *dir, unsigned depth)
{
	char path[64];

	for (char n = 'a'; n <= 'd'; n++) {
		snprintf(path, sizeof(path), "%s/%c", dir, n);
		if (n <= 'b' && depth < 3) {
			cr_assert_eq(vfs_mkdir(&s->c, AT_FDCWD, path, 0755), 0);
			fill_level(s, path, depth + 1);
		} else if (n == 'd') {
			cr_assert_eq(vfs_symlink(&s->c, "../a", AT_FDCWD, path), 0);
		} else {
			cr_assert_geq(side_write(s, path, path), 0);
		}
	}
	/* A second name for a file of the level above. */
	if (depth == 2) {
		snprintf(path, sizeof(path), "%s/e", dir);
		cr_assert_eq(vfs_link(&s->c, AT_FDCWD, "/c", AT_FDCWD, path, 0), 0);
	}
}
static void fill(struct side *s)
{
	cr_assert_geq(side_write(s, "/c", "shared"), 0);
	fill_level(s, "", 0);
}

static void put_handle(unsigned h)
{
	obj_put(TAKE(g_over[h]));
	obj_put(TAKE(g_model[h]));
}

/* What both files say of the same transfer. */
static void use_handle(unsigned h)
{
	char a[64] = "", b[64] = "";
	u32 len = rnd(sizeof(a)), off = rnd(80);
	bool write = rnd(2);
	UITER(x);
	UITER(y);

	if (!g_over[h])
		return;
	for (u32 i = 0; write && i < len; i++)
		a[i] = b[i] = (char)('a' + rnd(26));
	uiter_init_kernel(&x, a, len);
	uiter_init_kernel(&y, b, len);
	if (write) {
		cr_assert_eq(file_pwrite(g_over[h], &over.c, &x, off),
		             file_pwrite(g_model[h], &model.c, &y, off));
	} else {
		cr_assert_eq(file_pread(g_over[h], &over.c, &x, off),
		             file_pread(g_model[h], &model.c, &y, off));
		cr_assert_eq(memcmp(a, b, sizeof(a)), 0);
	}
}

static int set_xattr(struct side *s, const char *path, const char *name, bool remove)
{
	AUTO_PATH p = {0};
	int r = path_lookup(&s->c, AT_FDCWD, path, 0, &p);

	if (r < 0)
		return r;
	return remove ? vfs_removexattr(&s->c, path_inode(&p), name)
	              : vfs_setxattr(&s->c, path_inode(&p), name, path, strlen(path), 0);
}

static int one_call(struct side *s, u32 op, u32 arg, const char *a, const char *b, unsigned h)
{
	static const u32 how[] = {0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
	struct iattr attr = {0};
	struct kstat st;

	switch (op) {
	case 0 ... 2:
		return vfs_rename(&s->c, AT_FDCWD, a, AT_FDCWD, b, how[arg % 4]);
	case 3:
		return vfs_mkdir(&s->c, AT_FDCWD, a, 0755);
	case 4:
		return vfs_rmdir(&s->c, AT_FDCWD, a);
	case 5 ... 6:
		return vfs_unlink(&s->c, AT_FDCWD, a);
	case 7:
		return vfs_link(&s->c, AT_FDCWD, a, AT_FDCWD, b, 0);
	case 8:
		return vfs_symlink(&s->c, b, AT_FDCWD, a);
	case 9:
		return side_write(s, a, b);
	case 10:
		return vfs_mknod(&s->c, AT_FDCWD, a, S_IFSOCK | 0644, 0);
	case 11:
		attr = (struct iattr){.valid = IATTR_MODE, .mode = 0700 | (arg & 077)};
		return side_setattr(s, a, attr);
	case 12:
		attr = (struct iattr){.valid = IATTR_UID | IATTR_GID, .uid = arg & 7, .gid = 3};
		return side_setattr(s, a, attr);
	case 13:
		attr = (struct iattr){.valid = IATTR_SIZE, .size = arg % 12};
		if (side_stat(s, a, &st) == 0 && !S_ISREG(st.mode))
			return -EINVAL;
		return side_setattr(s, a, attr);
	case 14:
		return set_xattr(s, a, arg & 1 ? "user.x" : "user.y", arg % 4 == 0);
	default:
		if (side_stat(s, a, &st) == 0 && !S_ISREG(st.mode))
			return -EINVAL;
		return side_open(s, a, O_RDWR | (arg & 1 ? O_CREAT : 0),
		                 s == &over ? &g_over[h] : &g_model[h]);
	}
}

static void step(void)
{
	u32 op = rnd(20), arg = rnd(1000), h = rnd(HANDLES);
	char a[32], b[32];
	int x, y;

	if (op >= 17) {
		use_handle(h);
		return;
	}
	random_path(a, sizeof(a));
	random_path(b, sizeof(b));
	if (op >= 15)
		put_handle(h);
	x = one_call(&over, op, arg, a, b, h);
	y = one_call(&model, op, arg, a, b, h);
	cr_assert_eq(x, y, "call %u on %s, %s: %d, the model says %d", op, a, b, x, y);
}

/* Handles that are NULL cannot be roots of a save. */
static void reload(void)
{
	struct file *files[HANDLES];
	unsigned n = 0;

	for (unsigned h = 0; h < HANDLES; h++) {
		if (g_over[h])
			files[n++] = g_over[h];
	}
	overlay_reload(files, n);
	n = 0;
	for (unsigned h = 0; h < HANDLES; h++) {
		if (g_over[h])
			g_over[h] = files[n++];
	}
}

static void run(u64 seed, unsigned rounds)
{
	g_seed = seed;
	overlay_begin(fill);
	overlay_compare();
	for (unsigned i = 0; i < rounds; i++) {
		for (unsigned k = 0; k < 40; k++)
			step();
		if (rnd(3) == 0)
			super_shrink(over.sb);
		if (rnd(4) == 0)
			reload();
		overlay_compare();
	}
	for (unsigned h = 0; h < HANDLES; h++)
		put_handle(h);
	overlay_end();
}

Test(overlay_fuzz, same_as_tmpfs)
{
	const char *seed = getenv("SEED"), *rounds = getenv("ROUNDS");

	for (u64 i = 0; i < 20; i++)
		run(seed ? strtoull(seed, NULL, 10) + i : i + 1,
		    rounds ? (unsigned)atoi(rounds) : 12);
}

/* ---- threads: no crash, no lock out of order, and a tree that is sane in the end ---- */

static void *stress(void *arg)
{
	struct side mine = over;

	g_seed = (u64)(uintptr_t)arg;
	for (unsigned i = 0; i < 3000; i++) {
		u32 op = rnd(17), n = rnd(1000);
		char a[32], b[32];

		random_path(a, sizeof(a));
		random_path(b, sizeof(b));
		if (op < 15) {
			(void)one_call(&mine, op, n, a, b, 0);
		} else {
			AUTO(file) f = NULL;

			(void)side_open(&mine, a, O_RDWR | O_NONBLOCK, &f);
		}
		if (n < 3)
			super_shrink(over.sb);
	}
	return NULL;
}

Test(overlay_fuzz, threads)
{
	pthread_t t[4];

	overlay_begin(fill);
	for (uintptr_t i = 0; i < ARRAY_SIZE(t); i++)
		cr_assert_eq(pthread_create(&t[i], NULL, stress, (void *)(i + 1)), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(t); i++)
		pthread_join(t[i], NULL);
	/* Listings agree with lookups, and so after a save. */
	AUTO_FREE char *before = side_dump(&over, "/");
	super_shrink(over.sb);
	AUTO_FREE char *shrunk = side_dump(&over, "/");
	overlay_reload(NULL, 0);
	AUTO_FREE char *after = side_dump(&over, "/");
	cr_assert_str_eq(before, shrunk);
	cr_assert_str_eq(before, after);
	overlay_end();
}
