/* The path walk over a tmpfs: corner cases of path_resolution(7), open(2), openat2(2). */
#include "tests/unit/vfs_fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct tree T, *t = &T;

static void begin(void)
{
	tree_init(t);
}
static void end(void)
{
	tree_end(t);
}
TestSuite(vfs_path, .init = begin, .fini = end, .timeout = 60);

#define MKDIR(p)      cr_assert_eq(vfs_mkdir(&t->c, AT_FDCWD, p, 0777), 0, "%s", p)
#define SYMLINK(a, p) cr_assert_eq(vfs_symlink(&t->c, a, AT_FDCWD, p), 0, "%s", p)
#define WRITE(p, s)   cr_assert_eq(t_write(t, p, s), 0, "%s", p)

/* The error of looking a path up, or its canonical text. */
static const char *look(const char *path, u32 flags)
{
	static char buf[PATH_TEXT_MAX];
	AUTO_PATH p = {0};
	int r = path_lookup(&t->c, AT_FDCWD, path, flags, &p);

	if (r < 0)
		snprintf(buf, sizeof(buf), "%s", strerrorname_np(-r));
	else
		path_describe(&p, &t->c, buf, sizeof(buf));
	return buf;
}
#define LOOK(path, want) \
	cr_expect_str_eq(look(path, LOOKUP_FOLLOW), want, "%s: %s", path, look(path, LOOKUP_FOLLOW))
#define LOOKN(path, want) cr_expect_str_eq(look(path, 0), want, "%s: %s", path, look(path, 0))

Test(vfs_path, walks)
{
	char longname[300], deep[5000];

	MKDIR("/a");
	MKDIR("/a/b");
	WRITE("/a/f", "hello");
	LOOK("/", "/");
	LOOK("//", "/");
	LOOK(".", "/");
	LOOK("..", "/");
	LOOK("/..", "/");
	LOOK("/../../a", "/a");
	LOOK("a//b/.", "/a/b");
	LOOK("a/b/..", "/a");
	LOOK("a/b/", "/a/b");
	LOOK("a/b/../f", "/a/f");
	LOOK("a/f/", "ENOTDIR");
	LOOK("a/f/.", "ENOTDIR");
	LOOK("a/f/..", "ENOTDIR");
	LOOK("a/f/x", "ENOTDIR");
	LOOK("a/none", "ENOENT");
	LOOK("a/none/x", "ENOENT");
	LOOK("none/..", "ENOENT");
	LOOK("", "ENOENT");
	memset(longname, 'x', sizeof(longname));
	longname[255] = 0;
	LOOK(longname, "ENOENT");
	longname[255] = 'x';
	longname[256] = 0;
	LOOK(longname, "ENAMETOOLONG");
	cr_expect_eq(t_try(t, longname, O_CREAT | O_WRONLY), -ENAMETOOLONG);
	deep[0] = 0;
	for (int i = 0; i < 2047; i++)
		strcat(deep, "./");
	LOOK(deep, "/");
	strcat(deep, "././");
	LOOK(deep, "ENAMETOOLONG");
	cr_expect_str_eq(t_read(t, "/a/f"), "hello");
}

Test(vfs_path, symlinks)
{
	char chain[32], target[32];

	MKDIR("/d");
	WRITE("/d/f", "x");
	SYMLINK("/d", "/abs");
	SYMLINK("d", "/rel");
	SYMLINK("../d/f", "/d/up");
	SYMLINK("loop2", "/loop1");
	SYMLINK("loop1", "/loop2");
	SYMLINK("nowhere", "/dangling");
	SYMLINK("d/f", "/tofile");
	LOOK("/abs/f", "/d/f");
	LOOK("/rel/f", "/d/f");
	LOOK("/rel/up", "/d/f");
	LOOK("/abs", "/d");
	LOOKN("/abs", "/abs");
	LOOKN("/abs/", "/d");
	LOOK("/loop1", "ELOOP");
	LOOKN("/loop1", "/loop1");
	LOOK("/loop1/x", "ELOOP");
	LOOK("/dangling", "ENOENT");
	LOOK("/tofile/", "ENOTDIR");
	LOOK("/tofile/x", "ENOTDIR");
	/* Forty links are fine, one more is not. */
	WRITE("/end", "");
	for (int i = 0; i <= 40; i++) {
		snprintf(chain, sizeof(chain), "/c%d", i);
		snprintf(target, sizeof(target), i ? "c%d" : "end", i - 1);
		SYMLINK(target, chain);
	}
	LOOK("/c39", "/end");
	LOOK("/c40", "ELOOP");
	cr_expect_eq(vfs_symlink(&t->c, "", AT_FDCWD, "/empty"), -ENOENT);
}

Test(vfs_path, open_rules)
{
	struct kstat st;
	struct file *f;

	MKDIR("/d");
	WRITE("/f", "0123456789");
	SYMLINK("f", "/l");
	SYMLINK("new", "/tonew");
	cr_expect_eq(t_try(t, "/l", O_RDONLY | O_NOFOLLOW), -ELOOP);
	cr_expect_eq(t_try(t, "/l", O_PATH | O_NOFOLLOW), 0);
	cr_expect_eq(t_try(t, "/d", O_WRONLY), -EISDIR);
	cr_expect_eq(t_try(t, "/d", O_RDONLY | O_CREAT), -EISDIR);
	cr_expect_eq(t_try(t, "/d", O_RDONLY | O_DIRECTORY), 0);
	cr_expect_eq(t_try(t, "/f", O_RDONLY | O_DIRECTORY), -ENOTDIR);
	cr_expect_eq(t_try(t, "/f/", O_RDONLY), -ENOTDIR);
	cr_expect_eq(t_try(t, "/n/", O_RDWR | O_CREAT), -EISDIR);
	cr_expect_eq(t_try(t, "/f", O_RDWR | O_CREAT | O_EXCL), -EEXIST);
	cr_expect_eq(t_try(t, "/l", O_RDWR | O_CREAT | O_EXCL), -EEXIST);
	cr_expect_eq(t_try(t, "/tonew", O_RDWR | O_CREAT | O_EXCL), -EEXIST);
	cr_expect_eq(t_try(t, "/tonew", O_RDWR | O_CREAT), 0);
	cr_expect_eq(t_stat(t, "/new", false, &st), 0);
	cr_expect(S_ISREG(st.mode) && (st.mode & 0777) == 0644);
	cr_expect_eq(t_try(t, "/", O_RDONLY | O_CREAT), -EISDIR);
	cr_expect_eq(t_try(t, "/nodir/x", O_RDWR | O_CREAT), -ENOENT);
	cr_expect_eq(t_try(t, "/f/x", O_RDWR | O_CREAT), -ENOTDIR);
	cr_expect_eq(t_try(t, "/f", O_WRONLY | O_TRUNC), 0);
	cr_expect_eq(t_stat(t, "/f", false, &st), 0);
	cr_expect_eq(st.size, 0);
	cr_expect_eq(t_try(t, "/d", O_TMPFILE | O_RDONLY), -EINVAL);
	cr_assert_eq(t_open(t, "/d", O_TMPFILE | O_RDWR, 0600, &f), 0);
	cr_expect_eq(file_stat(f, &t->c, &st), 0);
	cr_expect_eq(st.nlink, 0);
	file_put(f);
	cr_expect_str_eq(t_list(t, "/d"), "");
	/* The modes of what is made: umask 022. */
	cr_assert_eq(t_open(t, "/m", O_CREAT | O_RDONLY, 06777, &f), 0);
	cr_expect_eq(file_stat(f, &t->c, &st), 0);
	cr_expect_eq(st.mode & 07777, 06755);
	file_put(f);
}

Test(vfs_path, permissions)
{
	MKDIR("/pub");
	MKDIR("/priv");
	WRITE("/priv/f", "x");
	WRITE("/pub/rw", "x");
	WRITE("/pub/secret", "x");
	struct iattr a = {.valid = IATTR_MODE, .mode = 0700};
	AUTO_PATH p = {0};
	cr_assert_eq(path_lookup(&t->c, AT_FDCWD, "/priv", 0, &p), 0);
	cr_assert_eq(vfs_setattr(&t->c, &p, &a), 0);
	path_put(&p);
	a = (struct iattr){.valid = IATTR_MODE, .mode = 0600};
	cr_assert_eq(path_lookup(&t->c, AT_FDCWD, "/pub/secret", 0, &p), 0);
	cr_assert_eq(vfs_setattr(&t->c, &p, &a), 0);
	path_put(&p);
	a = (struct iattr){.valid = IATTR_MODE, .mode = 01777};
	cr_assert_eq(path_lookup(&t->c, AT_FDCWD, "/pub", 0, &p), 0);
	cr_assert_eq(vfs_setattr(&t->c, &p, &a), 0);
	path_put(&p);

	t_become(t, 1000, 1000);
	LOOK("/priv", "/priv");
	LOOK("/priv/f", "EACCES");
	LOOK("/priv/..", "EACCES");
	cr_expect_eq(t_try(t, "/pub/secret", O_RDONLY), -EACCES);
	cr_expect_eq(t_try(t, "/pub/rw", O_RDONLY), 0);
	cr_expect_eq(t_try(t, "/pub/rw", O_WRONLY), -EACCES);
	cr_expect_eq(t_try(t, "/new", O_CREAT | O_WRONLY), -EACCES);
	cr_expect_eq(t_try(t, "/pub/mine", O_CREAT | O_WRONLY), 0);
	/* Sticky: not another's file, but one's own. */
	cr_expect_eq(vfs_unlink(&t->c, AT_FDCWD, "/pub/rw"), -EPERM);
	cr_expect_eq(vfs_rename(&t->c, AT_FDCWD, "/pub/rw", AT_FDCWD, "/pub/x", 0), -EPERM);
	cr_expect_eq(vfs_rename(&t->c, AT_FDCWD, "/pub/mine", AT_FDCWD, "/pub/rw", 0), -EPERM);
	cr_expect_eq(vfs_unlink(&t->c, AT_FDCWD, "/pub/mine"), 0);
	/* Only the owner may chmod; owners may not give away. */
	cr_assert_eq(path_lookup(&t->c, AT_FDCWD, "/pub/rw", 0, &p), 0);
	a = (struct iattr){.valid = IATTR_MODE, .mode = 0777};
	cr_expect_eq(vfs_setattr(&t->c, &p, &a), -EPERM);
	a = (struct iattr){.valid = IATTR_UID, .uid = 1000};
	cr_expect_eq(vfs_setattr(&t->c, &p, &a), -EPERM);
	cr_expect_eq(vfs_mknod(&t->c, AT_FDCWD, "/pub/dev", S_IFCHR | 0666, 0x103), -EPERM);
}

Test(vfs_path, names)
{
	struct kstat a, b;

	MKDIR("/d");
	MKDIR("/d/e");
	WRITE("/f", "one");
	WRITE("/g", "two");
	cr_expect_eq(vfs_mkdir(&t->c, AT_FDCWD, "/d", 0777), -EEXIST);
	cr_expect_eq(vfs_mkdir(&t->c, AT_FDCWD, "/", 0777), -EEXIST);
	cr_expect_eq(vfs_mkdir(&t->c, AT_FDCWD, "/d/.", 0777), -EEXIST);
	cr_expect_eq(vfs_mkdir(&t->c, AT_FDCWD, "/n/", 0777), 0);
	cr_expect_eq(vfs_mknod(&t->c, AT_FDCWD, "/x/", S_IFREG | 0644, 0), -ENOENT);
	cr_expect_eq(vfs_rmdir(&t->c, AT_FDCWD, "/d"), -ENOTEMPTY);
	cr_expect_eq(vfs_rmdir(&t->c, AT_FDCWD, "/d/."), -EINVAL);
	cr_expect_eq(vfs_rmdir(&t->c, AT_FDCWD, "/d/.."), -ENOTEMPTY);
	cr_expect_eq(vfs_rmdir(&t->c, AT_FDCWD, "/"), -EBUSY);
	cr_expect_eq(vfs_rmdir(&t->c, AT_FDCWD, "/f"), -ENOTDIR);
	cr_expect_eq(vfs_unlink(&t->c, AT_FDCWD, "/d"), -EISDIR);
	cr_expect_eq(vfs_unlink(&t->c, AT_FDCWD, "/f/"), -ENOTDIR);
	cr_expect_eq(vfs_unlink(&t->c, AT_FDCWD, "/none"), -ENOENT);
	cr_expect_eq(vfs_link(&t->c, AT_FDCWD, "/d", AT_FDCWD, "/dl", 0), -EPERM);
	cr_expect_eq(vfs_link(&t->c, AT_FDCWD, "/f", AT_FDCWD, "/g", 0), -EEXIST);
	cr_expect_eq(vfs_link(&t->c, AT_FDCWD, "/f", AT_FDCWD, "/fl", 0), 0);
	cr_expect_eq(t_stat(t, "/f", false, &a), 0);
	cr_expect_eq(t_stat(t, "/fl", false, &b), 0);
	cr_expect(a.ino == b.ino && a.nlink == 2);
	/* Two names of one file: nothing happens. */
	cr_expect_eq(vfs_rename(&t->c, AT_FDCWD, "/f", AT_FDCWD, "/fl", 0), 0);
	cr_expect_str_eq(t_list(t, "/"), "d f fl g n");
	cr_expect_eq(vfs_rename(&t->c, AT_FDCWD, "/f", AT_FDCWD, "/g", RENAME_NOREPLACE), -EEXIST);
	cr_expect_eq(vfs_rename(&t->c, AT_FDCWD, "/f", AT_FDCWD, "/d/e", 0), -EISDIR);
	cr_expect_eq(vfs_rename(&t->c, AT_FDCWD, "/d", AT_FDCWD, "/f", 0), -ENOTDIR);
	cr_expect_eq(vfs_rename(&t->c, AT_FDCWD, "/d", AT_FDCWD, "/d/e/x", 0), -EINVAL);
	cr_expect_eq(vfs_rename(&t->c, AT_FDCWD, "/n", AT_FDCWD, "/d", 0), -ENOTEMPTY);
	cr_expect_eq(vfs_rename(&t->c, AT_FDCWD, "/f", AT_FDCWD, "/x/", 0), -ENOTDIR);
	cr_expect_eq(vfs_rename(&t->c, AT_FDCWD, "/d/..", AT_FDCWD, "/x", 0), -EBUSY);
	cr_expect_eq(vfs_rename(&t->c, AT_FDCWD, "/f", AT_FDCWD, "/d", RENAME_EXCHANGE), 0);
	cr_expect_str_eq(t_read(t, "/d"), "one");
	cr_expect_str_eq(t_list(t, "/f"), "e");
	cr_expect_eq(vfs_rename(&t->c, AT_FDCWD, "/f", AT_FDCWD, "/n", 0), 0);
	cr_expect_str_eq(t_list(t, "/n"), "e");
	cr_expect_eq(vfs_rename(&t->c, AT_FDCWD, "/g", AT_FDCWD, "/fl", RENAME_WHITEOUT), 0);
	cr_expect_str_eq(t_read(t, "/fl"), "two");
	cr_expect_eq(t_stat(t, "/g", false, &a), 0);
	cr_expect(S_ISCHR(a.mode) && a.rdev == 0);
	cr_expect_eq(t_stat(t, "/d", false, &a), 0);
	cr_expect_eq(a.nlink, 1);
	/* A removed directory can't be filled. */
	AUTO_PATH gone = {0};
	cr_assert_eq(path_lookup(&t->c, AT_FDCWD, "/n/e", 0, &gone), 0);
	cr_assert_eq(vfs_rmdir(&t->c, AT_FDCWD, "/n/e"), 0);
	fs_set_cwd(t->c.fs, &gone);
	cr_expect_eq(t_try(t, "x", O_CREAT | O_WRONLY), -ENOENT);
	cr_expect_eq(vfs_mkdir(&t->c, AT_FDCWD, "x", 0777), -ENOENT);
	LOOK("..", "/n");
	LOOK(".", "/n/e (deleted)");
}

Test(vfs_path, resolve_flags)
{
	struct {
		const char *path;
		u32 resolve;
		int want;
	} cases[] = {
		{"in/f", RESOLVE_BENEATH, 0},       {"../out", RESOLVE_BENEATH, -EXDEV},
		{"/out", RESOLVE_BENEATH, -EXDEV},  {"abs", RESOLVE_BENEATH, -EXDEV},
		{"up", RESOLVE_BENEATH, -EXDEV},    {"in/../in/f", RESOLVE_BENEATH, 0},
		{"in/f", RESOLVE_NO_SYMLINKS, 0},   {"link", RESOLVE_NO_SYMLINKS, -ELOOP},
		{"abs", RESOLVE_IN_ROOT, 0},        {"up", RESOLVE_IN_ROOT, 0},
		{"/out", RESOLVE_IN_ROOT, 0},       {"../../out", RESOLVE_IN_ROOT, 0},
		{"link", RESOLVE_NO_MAGICLINKS, 0}, {"up", RESOLVE_NO_XDEV, 0},
		{"m/f", RESOLVE_NO_XDEV, -EXDEV},   {"m", RESOLVE_NO_XDEV, -EXDEV},
	};
	AUTO_PATH jail = {0};

	MKDIR("/jail");
	MKDIR("/jail/in");
	MKDIR("/jail/m");
	WRITE("/out", "outside");
	WRITE("/jail/out", "inside");
	WRITE("/jail/in/f", "x");
	SYMLINK("/out", "/jail/abs");
	SYMLINK("../out", "/jail/up");
	SYMLINK("in/f", "/jail/link");
	cr_assert_eq(path_lookup(&t->c, AT_FDCWD, "/jail/m", 0, &jail), 0);
	struct fs_mount_args args = {
		.kernel = &t->w->kernel, .c = &t->c, .source = "none", .options = ""};
	cr_assert_eq(mount_new_fs(fs_type_find("tmpfs"), &args, 0, &jail), 0);
	path_put(&jail);
	WRITE("/jail/m/f", "mounted");
	cr_assert_eq(path_lookup(&t->c, AT_FDCWD, "/jail", 0, &jail), 0);
	fs_set_cwd(t->c.fs, &jail);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct open_how_k how = {.flags = O_RDONLY, .resolve = cases[i].resolve};
		struct file *f = NULL;
		int r = path_open(&t->c, AT_FDCWD, cases[i].path, &how, &f);

		cr_expect_eq(r, cases[i].want, "%s with %x: %d", cases[i].path, cases[i].resolve,
		             r);
		file_put(f);
	}
}

Test(vfs_path, mounts_and_roots)
{
	AUTO_PATH p = {0};
	AUTO_PATH q = {0};
	struct mount *m = NULL;
	struct fs_mount_args args = {.kernel = &t->w->kernel,
	                             .c = &t->c,
	                             .source = "none",
	                             .options = "size=64k,mode=700"};

	MKDIR("/mnt");
	WRITE("/mnt/covered", "x");
	MKDIR("/b");
	cr_assert_eq(path_lookup(&t->c, AT_FDCWD, "/mnt", 0, &p), 0);
	cr_assert_eq(mount_new_fs(fs_type_find("tmpfs"), &args, MS_NOSUID, &p), 0);
	cr_expect_str_eq(t_list(t, "/mnt"), "");
	MKDIR("/mnt/sub");
	WRITE("/mnt/sub/f", "deep");
	LOOK("/mnt/sub/../..", "/");
	LOOK("/mnt/..", "/");
	LOOK("/mnt/sub/f", "/mnt/sub/f");
	cr_expect_eq(vfs_rmdir(&t->c, AT_FDCWD, "/mnt"), -EBUSY);
	cr_expect_eq(vfs_rename(&t->c, AT_FDCWD, "/mnt", AT_FDCWD, "/mnt2", 0), -EBUSY);
	cr_expect_eq(vfs_rename(&t->c, AT_FDCWD, "/mnt/sub", AT_FDCWD, "/sub", 0), -EXDEV);
	cr_expect_eq(vfs_link(&t->c, AT_FDCWD, "/mnt/sub/f", AT_FDCWD, "/f", 0), -EXDEV);
	/* A bind of a directory inside it. */
	path_put(&p);
	cr_assert_eq(path_lookup(&t->c, AT_FDCWD, "/mnt/sub", 0, &p), 0);
	cr_assert_eq(path_lookup(&t->c, AT_FDCWD, "/b", 0, &q), 0);
	cr_assert_eq(mount_bind(&t->w->kernel, &p, false, &m), 0);
	cr_assert_eq(mount_attach(m, &q), 0);
	mount_put(m);
	cr_expect_str_eq(t_read(t, "/b/f"), "deep");
	LOOK("/b/f", "/b/f");
	LOOK("/b/..", "/");
	/* Read-only by the mount. */
	path_put(&q);
	cr_assert_eq(path_lookup(&t->c, AT_FDCWD, "/b", 0, &q), 0);
	atomic_store(&q.mount->flags, MS_RDONLY);
	cr_expect_eq(t_write(t, "/b/f", "no"), -EROFS);
	cr_expect_eq(t_try(t, "/b/new", O_CREAT | O_WRONLY), -EROFS);
	cr_expect_eq(vfs_mkdir(&t->c, AT_FDCWD, "/b/new", 0777), -EROFS);
	cr_expect_eq(vfs_mkdir(&t->c, AT_FDCWD, "/b/f", 0777), -EEXIST);
	cr_expect_eq(vfs_unlink(&t->c, AT_FDCWD, "/b/f"), -EROFS);
	cr_expect_eq(t_write(t, "/mnt/sub/f", "yes"), 0);
	/* The size limit. */
	char big[70 * 1024];
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	cr_expect_eq(t_write(t, "/mnt/big", big), -EIO, "written short");
	cr_expect_eq(t_write(t, "/mnt/sub/more", "x"), -ENOSPC);
	cr_expect_eq(vfs_unlink(&t->c, AT_FDCWD, "/mnt/big"), 0);
	cr_expect_eq(t_write(t, "/mnt/sub/more", "x"), 0);
	/* Busy, then detached, still usable. */
	cr_expect_eq(mount_detach(q.mount, 0), 0, "only this walk holds it");
	cr_expect_str_eq(t_list(t, "/b"), "");
	m = mount_get(p.mount);
	cr_expect_eq(mount_detach(m, 0), -EBUSY);
	cr_expect_eq(mount_detach(m, MNT_DETACH), 0);
	cr_expect_eq(mount_detach(m, 0), -EINVAL);
	mount_put(m);
	cr_expect_str_eq(t_list(t, "/mnt"), "covered");
	fs_set_cwd(t->c.fs, &p);
	cr_expect_str_eq(t_read(t, "f"), "yes");
	LOOK(".", "/sub");
	LOOK("..", "/");
	/* chroot */
	path_put(&p);
	cr_assert_eq(path_lookup(&t->c, AT_FDCWD, "/mnt", 0, &p), 0);
	fs_set_root(t->c.fs, &p);
	LOOK("/..", "/");
	LOOK("/covered", "/covered");
}

/* Takes one entry at a time. */
struct one {
	struct dir_sink s;
	char name[16];
	bool got;
};
static bool take_one(struct dir_sink *s, const char *n, size_t len, u64 ino, u8 type, s64 off)
{
	struct one *self = container_of(s, struct one, s);

	(void)ino;
	(void)type;
	(void)off;
	if (self->got)
		return false;
	snprintf(self->name, sizeof(self->name), "%.*s", (int)len, n);
	self->got = true;
	return true;
}

Test(vfs_path, listings_are_stable)
{
	struct one o;
	char name[16];
	MKDIR("/d");
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "/d/%02d", i);
		WRITE(name, "");
	}
	/* Remove what was listed, as rm -r does, one by one: each name comes once. */
	struct file *f;
	int seen = 0;
	cr_assert_eq(t_open(t, "/d", O_RDONLY | O_DIRECTORY, 0, &f), 0);
	for (;;) {
		o = (struct one){.s.entry = take_one};
		cr_assert_eq(file_iterate(f, &t->c, &o.s), 0);
		if (!o.got)
			break;
		if (o.name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "/d/%s", o.name);
		cr_expect_eq(vfs_unlink(&t->c, AT_FDCWD, name), 0, "%s", name);
		seen++;
	}
	file_put(f);
	cr_expect_eq(seen, 100);
	cr_expect_eq(vfs_rmdir(&t->c, AT_FDCWD, "/d"), 0);
}

Test(vfs_path, deep_trees_need_no_stack)
{
	AUTO_PATH p = {0};

	for (int i = 0; i < 100000; i++) {
		cr_assert_eq(vfs_mkdir(&t->c, AT_FDCWD, "d", 0777), 0);
		cr_assert_eq(path_lookup(&t->c, AT_FDCWD, "d", 0, &p), 0);
		fs_set_cwd(t->c.fs, &p);
		path_put(&p);
	}
}

Test(vfs_path, descriptors)
{
	struct file *f, *g = NULL;
	struct rlimit *lim = &t->w->rlimits[RLIMIT_NOFILE];

	WRITE("/f", "x");
	cr_assert_eq(t_open(t, "/f", O_RDONLY, 0, &f), 0);
	cr_expect_eq(fd_install(&t->c, f, 0, false), 0);
	cr_expect_eq(fd_install(&t->c, f, 0, true), 1);
	cr_expect_eq(fd_install(&t->c, f, 70, false), 70);
	cr_expect_eq(fd_install(&t->c, f, 0, false), 2);
	cr_expect_eq(fd_close(&t->c, 1), 0);
	cr_expect_eq(fd_close(&t->c, 1), -EBADF);
	cr_expect_eq(fd_install(&t->c, f, 0, true), 1);
	cr_expect_eq(fd_get_cloexec(&t->c, 1), 1);
	cr_expect_eq(fd_install_at(&t->c, f, 5, false), 5);
	*lim = (struct rlimit){6, 6};
	cr_expect_eq(fd_install(&t->c, f, 0, false), 3);
	cr_expect_eq(fd_install(&t->c, f, 0, false), 4);
	cr_expect_eq(fd_install(&t->c, f, 0, false), -EMFILE);
	cr_expect_eq(fd_install(&t->c, f, 6, false), -EINVAL);
	cr_expect_eq(fd_install_at(&t->c, f, 6, false), -EBADF);
	fd_close_on_exec(&t->c);
	cr_expect_eq(fd_get(&t->c, 1, &g), -EBADF);
	struct fd_table *copy = fd_table_copy(t->c.fds);
	cr_expect_eq(fd_table_count(copy), 6);
	fd_table_put(copy);
	cr_expect_eq(fd_close_range(&t->c, 2, 4, false), 0);
	cr_expect_eq(fd_table_next(t->c.fds, 1), 5);
	cr_expect_eq(fd_close_range(&t->c, 0, UINT32_MAX, false), 0);
	cr_expect_eq(fd_table_count(t->c.fds), 0);
	file_put(f);
}
