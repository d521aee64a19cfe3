/* A tree of files, its mounts and what is open in it: saved, loaded, saved again. */
#include "sentry/vfs/dnotify.h"
#include "sentry/vfs/lease.h"
#include "sentry/vfs/xattr.h"
#include "tests/unit/vfs_fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

static struct tree T, *t = &T;

static void begin(void)
{
	tree_init(t);
}
TestSuite(vfs_save, .init = begin, .timeout = 60);

#define MKDIR(p)    cr_assert_eq(vfs_mkdir(&t->c, AT_FDCWD, p, 0777), 0, "%s", p)
#define WRITE(p, s) cr_assert_eq(t_write(t, p, s), 0, "%s", p)

static void mount_tmpfs(const char *at, u32 flags)
{
	struct fs_mount_args args = {.kernel = &t->w->kernel,
	                             .c = &t->c,
	                             .source = "src",
	                             .options = "size=1m,mode=711"};
	AUTO_PATH p = {0};

	cr_assert_eq(path_lookup(&t->c, AT_FDCWD, at, 0, &p), 0);
	cr_assert_eq(mount_new_fs(fs_type_find("tmpfs"), &args, flags, &p), 0);
}

static void fill(void)
{
	AUTO_PATH p = {0};
	struct file *f, *g;
	struct uiter it = {0};

	MKDIR("/d");
	MKDIR("/d/e");
	MKDIR("/mnt");
	WRITE("/d/f", "content");
	WRITE("/d/e/deep", "deep content");
	WRITE("/gone", "still here");
	cr_assert_eq(vfs_symlink(&t->c, "../d/f", AT_FDCWD, "/d/l"), 0);
	cr_assert_eq(vfs_link(&t->c, AT_FDCWD, "/d/f", AT_FDCWD, "/d/h", 0), 0);
	cr_assert_eq(vfs_mknod(&t->c, AT_FDCWD, "/d/p", S_IFIFO | 0600, 0), 0);
	mount_tmpfs("/mnt", MS_NOSUID);
	WRITE("/mnt/m", "mounted");
	cr_assert_eq(path_lookup(&t->c, AT_FDCWD, "/d/f", 0, &p), 0);
	cr_assert_eq(vfs_setxattr(&t->c, path_inode(&p), "user.x", "value", 5, 0), 0);
	path_put(&p);
	/* Two descriptors of one description, one of another; a file without a name. */
	cr_assert_eq(t_open(t, "/d/f", O_RDWR, 0, &f), 0);
	cr_assert_eq(file_llseek(f, &t->c, 3, SEEK_SET), 3);
	cr_assert_eq(fd_install(&t->c, f, 0, false), 0);
	cr_assert_eq(fd_install(&t->c, f, 0, true), 1);
	file_put(f);
	cr_assert_eq(t_open(t, "/gone", O_RDWR | O_APPEND, 0, &g), 0);
	cr_assert_eq(vfs_unlink(&t->c, AT_FDCWD, "/gone"), 0);
	uiter_init_kernel(&it, (char[]){" and more"}, 9);
	cr_assert_eq(file_write(g, &t->c, &it), 9);
	cr_assert_eq(fd_install(&t->c, g, 7, false), 7);
	file_put(g);
	/* A listing half read. */
	cr_assert_eq(t_open(t, "/d", O_RDONLY | O_DIRECTORY, 0, &f), 0);
	cr_assert_eq(file_llseek(f, &t->c, 4, SEEK_SET), 4);
	cr_assert_eq(fd_install(&t->c, f, 8, false), 8);
	file_put(f);
	/* A working directory that is gone. */
	MKDIR("/d/cwd");
	cr_assert_eq(path_lookup(&t->c, AT_FDCWD, "/d/cwd", 0, &p), 0);
	fs_set_cwd(t->c.fs, &p);
	path_put(&p);
	cr_assert_eq(vfs_rmdir(&t->c, AT_FDCWD, "/d/cwd"), 0);
	fs_set_umask(t->c.fs, 027);
}

static const char *read_fd(int fd, s64 pos)
{
	static char buf[64];
	AUTO(file) f = NULL;
	struct uiter it = {0};
	long n;

	cr_assert_eq(fd_get(&t->c, fd, &f), 0);
	uiter_init_kernel(&it, buf, sizeof(buf) - 1);
	n = pos < 0 ? file_read(f, &t->c, &it) : file_pread(f, &t->c, &it, pos);
	cr_assert(n >= 0);
	buf[n] = 0;
	return buf;
}

static void check(void)
{
	char buf[64], *text;
	AUTO_PATH p = {0};
	AUTO_PATH root = {0};
	struct kstat a, b;
	AUTO(file) f = NULL;
	AUTO(file) g = NULL;

	cr_expect_str_eq(t_list(t, "/"), "d mnt");
	cr_expect_str_eq(t_list(t, "/d"), "e f h l p");
	cr_expect_str_eq(t_read(t, "/d/f"), "content");
	cr_expect_str_eq(t_read(t, "/d/l"), "content");
	cr_expect_str_eq(t_read(t, "/d/e/deep"), "deep content");
	cr_expect_str_eq(t_read(t, "/mnt/m"), "mounted");
	cr_expect_eq(t_stat(t, "/d/f", false, &a), 0);
	cr_expect_eq(t_stat(t, "/d/h", false, &b), 0);
	cr_expect(a.ino == b.ino && a.nlink == 2);
	cr_expect_eq(t_stat(t, "/d/p", false, &b), 0);
	cr_expect(S_ISFIFO(b.mode));
	cr_assert_eq(path_lookup(&t->c, AT_FDCWD, "/d/f", 0, &p), 0);
	cr_expect_eq(vfs_getxattr(&t->c, path_inode(&p), "user.x", buf, sizeof(buf)), 5);
	path_put(&p);
	cr_expect_eq(fd_get(&t->c, 0, &f), 0);
	cr_expect_eq(fd_get(&t->c, 1, &g), 0);
	cr_expect_eq(f, g);
	cr_expect_eq(fd_get_cloexec(&t->c, 1), 1);
	cr_expect_str_eq(read_fd(0, -1), "tent");
	cr_expect_str_eq(read_fd(7, 0), "still here and more");
	/* Names that came after the saved position come, each once. */
	cr_expect_eq(vfs_rmdir(&t->c, AT_FDCWD, "/mnt"), -EBUSY);
	cr_assert_eq(path_lookup(&t->c, AT_FDCWD, "/mnt", 0, &p), 0);
	cr_expect_eq(mount_flags(p.mount), MS_NOSUID);
	cr_expect_str_eq(p.mount->source, "src");
	path_put(&p);
	fs_get_cwd(t->c.fs, &p);
	fs_get_root(t->c.fs, &root);
	cr_expect_eq(path_text(&p, &root, (char[PATH_TEXT_MAX]){0}, PATH_TEXT_MAX, &text), 0);
	cr_expect(p.dentry->unlinked);
	cr_expect_eq(fs_umask(t->c.fs), 027);
	cr_expect_eq(t_try(t, "x", O_CREAT | O_RDWR), -ENOENT);
}

Test(vfs_save, a_tree_comes_back)
{
	struct snapshot one, two;
	struct tree old;
	char *why = NULL;

	fill();
	tree_save(t, &one);
	old = *t;
	cr_assert_eq(tree_load(t, old.w, &one, &why), 0, "%s", why);
	/* Nothing was touched yet: the same bytes. */
	tree_save(t, &two);
	cr_expect_eq(one.kernel.len, two.kernel.len);
	cr_expect(!memcmp(one.kernel.data, two.kernel.data, one.kernel.len));
	check();
	/* And it works on: changes here are not seen in the old tree, and the other way. */
	fs_set_umask(t->c.fs, 022);
	cr_expect_eq(t_write(t, "/d/new", "new"), 0);
	cr_expect_eq(t_write(t, "/d/f", "changed"), 0);
	cr_expect_eq(vfs_unlink(&t->c, AT_FDCWD, "/mnt/m"), 0);
	cr_expect_str_eq(t_read(&old, "/d/f"), "content");
	cr_expect_str_eq(t_read(&old, "/mnt/m"), "mounted");
	snapshot_finish(&one);
	snapshot_finish(&two);
	tree_drop(&old);
	tree_end(t);
}

/* Caches, however full, change no byte of a save. */
Test(vfs_save, caches_are_not_saved)
{
	struct snapshot one, two;
	char name[32];

	fill();
	tree_save(t, &one);
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "/d/none%d", i);
		cr_expect_eq(t_try(t, name, O_RDONLY), -ENOENT);
	}
	cr_expect_str_eq(t_read(t, "/d/e/deep"), "deep content");
	tree_save(t, &two);
	cr_expect_eq(one.n_objects, two.n_objects);
	snapshot_finish(&one);
	snapshot_finish(&two);
	tree_end(t);
}

/* Records with single bytes changed: refused or loaded, never worse. */
Test(vfs_save, damaged_saves)
{
	struct snapshot one;
	struct tree other;
	u8 *bytes;
	unsigned refused = 0;

	fill();
	tree_save(t, &one);
	bytes = one.kernel.data;
	for (size_t i = 0; i < one.kernel.len; i++) {
		u8 was = bytes[i];
		char *why = NULL;

		bytes[i] ^= (u8)(1u << (i * 7 % 8));
		if (tree_load(&other, t->w, &one, &why) == 0) {
			tree_drop(&other);
		} else {
			cr_assert(why);
			free(why);
			refused++;
		}
		bytes[i] = was;
	}
	cr_expect_gt(refused, one.kernel.len / 10);
	snapshot_finish(&one);
	tree_end(t);
}

/* Whatever f's inode can be locked by, on l. */
static void lock_for(struct inode_locks *l, struct file *f, int fd)
{
	struct file_lock *ofd = obj_new(file_lock), *posix = obj_new(file_lock);
	struct dnotify *dn = obj_new(dnotify);
	struct lease *le = obj_new(lease);

	ofd->kind = LOCK_KIND_OFD;
	ofd->file = le->file = dn->file = f;
	posix->kind = LOCK_KIND_POSIX;
	posix->files = dn->files = t->c.fds;
	le->fd = dn->fd = fd;
	TAILQ_INSERT_TAIL(&l->held, ofd, link);
	TAILQ_INSERT_TAIL(&l->held, posix, link);
	TAILQ_INSERT_TAIL(&l->leases, le, link);
	TAILQ_INSERT_TAIL(&l->dnotifies, dn, link);
}

static unsigned locks_after_load(const struct snapshot *s, const char *path)
{
	struct inode_locks *l;
	struct file_lock *k;
	AUTO_PATH p = {0};
	struct tree other;
	unsigned n = 0;
	char *why = NULL;

	cr_assert_eq(tree_load(&other, t->w, s, &why), 0, "%s", why);
	cr_assert_eq(path_lookup(&other.c, AT_FDCWD, path, 0, &p), 0);
	l = inode_locks_peek(path_inode(&p));
	TAILQ_FOREACH (k, &l->held, link)
		n++;
	n += 10 * !TAILQ_EMPTY(&l->leases) + 100 * !TAILQ_EMPTY(&l->dnotifies);
	path_put(&p);
	tree_drop(&other);
	return n;
}

/* Owners are known by weak references: one that the end of would not take its lock away, which only
 * a forged save has, has none. */
Test(vfs_save, locks_are_of_who_has_the_file_open)
{
	struct snapshot one;
	struct file *a, *b;

	MKDIR("/a");
	MKDIR("/b");
	cr_assert_eq(t_open(t, "/a", O_RDONLY, 0, &a), 0);
	cr_assert_eq(t_open(t, "/b", O_RDONLY, 0, &b), 0);
	cr_assert_eq(fd_install(&t->c, a, 0, false), 0);
	lock_for(inode_locks_of(a->inode), a, 0);
	tree_save(t, &one);
	cr_expect_eq(locks_after_load(&one, "/a"), 112);
	snapshot_finish(&one);
	/* b's file is kept by a table's descriptor, but no descriptor leads to what is locked. */
	cr_assert_eq(fd_close(&t->c, 0), 0);
	cr_assert_eq(fd_install(&t->c, b, 0, false), 0);
	lock_for(inode_locks_of(a->inode), b, 0);
	tree_save(t, &one);
	cr_expect_eq(locks_after_load(&one, "/a"), 0);
	snapshot_finish(&one);
	file_put(a);
	file_put(b);
	tree_end(t);
}
