/* The overlay, case by case. The random comparison is in vfs_overlay_fuzz_test.c. */
#include "tests/unit/vfs_overlay_fixture.h"
#include "sentry/auth/creds.h"
#include "sentry/mm/memfile.h"
#include "sentry/vfs/flock.h"
#include "sentry/vfs/xattr.h"
#include "state/base/cleanup.h"
#include "state/registry.h"
#include "state/sample.h"
#include "state/snapshot.h"

#include <criterion/criterion.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>

static void fill(struct side *s)
{
	cr_assert_eq(vfs_mkdir(&s->c, AT_FDCWD, "/etc", 0755), 0);
	cr_assert_eq(vfs_mkdir(&s->c, AT_FDCWD, "/etc/sub", 0700), 0);
	cr_assert_eq(side_write(s, "/etc/passwd", "root"), 4);
	cr_assert_eq(side_write(s, "/etc/group", "wheel"), 5);
	cr_assert_eq(side_write(s, "/etc/sub/deep", "deep"), 4);
	cr_assert_eq(vfs_symlink(&s->c, "passwd", AT_FDCWD, "/etc/link"), 0);
	cr_assert_eq(vfs_link(&s->c, AT_FDCWD, "/etc/group", AT_FDCWD, "/etc/group2", 0), 0);
	cr_assert_eq(vfs_mkdir(&s->c, AT_FDCWD, "/empty", 0755), 0);
	cr_assert_eq(vfs_mknod(&s->c, AT_FDCWD, "/null", S_IFCHR | 0666, 0x103), 0);
}
static void begin(void)
{
	overlay_begin(fill);
}
TestSuite(overlay, .init = begin, .fini = overlay_end);

#define BOTH(call)                                            \
	do {                                                  \
		for (int k_ = 0; k_ < 2; k_++) {              \
			struct side *s = k_ ? &model : &over; \
			cr_assert_eq(call, 0);                \
		}                                             \
		overlay_compare();                            \
	} while (0)

static void check(const char *path, const char *text)
{
	AUTO_FREE char *got = side_read(&over, path);

	cr_assert(got, "%s", path);
	cr_assert_str_eq(got, text, "%s", path);
}

Test(overlay, looks_like_what_is_below)
{
	overlay_compare();
	overlay_reload(NULL, 0);
	overlay_compare();
}

Test(overlay, reading_goes_straight_below)
{
	AUTO(file) f = NULL;
	struct kstat a, b;

	cr_assert_eq(side_stat(&over, "/etc/passwd", &a), 0);
	cr_assert_eq(side_open(&over, "/etc/passwd", O_RDONLY, &f), 0);
	cr_assert_null(tmpfs_data(f->inode), "read below");
	cr_assert_eq(file_stat(f, &over.c, &b), 0);
	cr_assert_eq(a.dev, over.sb->dev);
	cr_assert_eq(a.dev, b.dev);
	cr_assert_eq(a.ino, b.ino);
}

Test(overlay, copy_up_keeps_identity)
{
	AUTO(file) old = NULL;
	AUTO(file) f = NULL;
	struct kstat a, b;
	char buf[16] = "";
	UITER(it);

	cr_assert_eq(side_stat(&over, "/etc/passwd", &a), 0);
	cr_assert_eq(side_open(&over, "/etc/passwd", O_RDONLY, &old), 0);
	cr_assert_eq(side_open(&over, "/etc/passwd", O_RDWR | O_APPEND, &f), 0);
	uiter_init_kernel(&it, (char[]){"+more"}, 5);
	cr_assert_eq(file_write(f, &over.c, &it), 5);
	cr_assert_eq(side_stat(&over, "/etc/passwd", &b), 0);
	cr_assert_eq(a.ino, b.ino);
	cr_assert_eq(a.dev, b.dev);
	cr_assert_eq(a.mode, b.mode);
	cr_assert_eq(b.size, 9);
	check("/etc/passwd", "root+more");
	check("/etc/link", "root+more");
	/* Who had it open before sees what was written. */
	uiter_init_kernel(&it, buf, sizeof(buf));
	cr_assert_eq(file_read(old, &over.c, &it), 9);
	struct file *files[] = {TAKE(old), TAKE(f)};
	overlay_reload(files, 2);
	old = files[0];
	f = files[1];
	uiter_init_kernel(&it, (char[]){"!"}, 1);
	cr_assert_eq(file_write(f, &over.c, &it), 1);
	check("/etc/passwd", "root+more!");
	uiter_init_kernel(&it, buf, sizeof(buf));
	cr_assert_eq(file_pread(old, &over.c, &it, 0), 10);
}

Test(overlay, truncation_copies_nothing)
{
	struct iattr a = {.valid = IATTR_SIZE, .size = 2};

	BOTH(side_write(s, "/etc/passwd", ""));
	BOTH(side_setattr(s, "/etc/sub/deep", a));
	a.size = 100;
	BOTH(side_setattr(s, "/etc/group", (struct iattr){.valid = IATTR_MODE, .mode = 0600}));
	check("/etc/sub/deep", "de");
}

Test(overlay, attributes_alone_copy_nothing)
{
	struct iattr a = {.valid = IATTR_MODE | IATTR_UID, .mode = 04711, .uid = 7};
	AUTO(file) f = NULL;

	BOTH(side_setattr(s, "/etc/passwd", a));
	overlay_reload(NULL, 0);
	overlay_compare();
	cr_assert_eq(side_open(&over, "/etc/passwd", O_RDONLY, &f), 0);
	cr_assert_null(tmpfs_data(f->inode), "read below");
}

Test(overlay, whiteouts_and_opaque)
{
	BOTH(vfs_unlink(&s->c, AT_FDCWD, "/etc/passwd"));
	cr_assert_eq(side_open(&over, "/etc/passwd", O_RDONLY, &(struct file *){0}), -ENOENT);
	cr_assert_eq(vfs_rmdir(&over.c, AT_FDCWD, "/etc/sub"), -ENOTEMPTY);
	BOTH(vfs_unlink(&s->c, AT_FDCWD, "/etc/sub/deep"));
	BOTH(vfs_rmdir(&s->c, AT_FDCWD, "/etc/sub"));
	overlay_reload(NULL, 0);
	overlay_compare();
	BOTH(vfs_mkdir(&s->c, AT_FDCWD, "/etc/sub", 0700));
	AUTO_FREE char *names = side_list(&over, "/etc/sub");
	cr_assert_str_eq(names, "");
	BOTH(side_write(s, "/etc/passwd", "") < 0);
	BOTH(vfs_unlink(&s->c, AT_FDCWD, "/etc/passwd"));
	overlay_reload(NULL, 0);
	overlay_compare();
}

Test(overlay, directories_move_with_what_is_below)
{
	struct kstat a, b;

	cr_assert_eq(side_stat(&over, "/etc/sub/deep", &a), 0);
	BOTH(vfs_rename(&s->c, AT_FDCWD, "/etc", AT_FDCWD, "/etc2", 0));
	BOTH(vfs_rename(&s->c, AT_FDCWD, "/etc2/sub", AT_FDCWD, "/sub", 0));
	BOTH(vfs_mkdir(&s->c, AT_FDCWD, "/etc", 0755));
	overlay_reload(NULL, 0);
	overlay_compare();
	cr_assert_eq(side_stat(&over, "/sub/deep", &b), 0);
	cr_assert_eq(a.ino, b.ino);
	BOTH(side_write(s, "/sub/deep", "!!") != 2);
	BOTH(vfs_rename(&s->c, AT_FDCWD, "/sub", AT_FDCWD, "/empty", 0));
	cr_assert_eq(vfs_rename(&over.c, AT_FDCWD, "/etc", AT_FDCWD, "/etc2", 0), -ENOTEMPTY);
	BOTH(vfs_rename(&s->c, AT_FDCWD, "/etc2", AT_FDCWD, "/empty", RENAME_EXCHANGE));
	overlay_reload(NULL, 0);
	overlay_compare();
	cr_assert_eq(vfs_rename(&over.c, AT_FDCWD, "/empty/group", AT_FDCWD, "/x", RENAME_WHITEOUT),
	             -EINVAL);
}

Test(overlay, hard_links)
{
	struct kstat a, b;

	/* Two names below are one file here, before and after it changes. */
	BOTH(side_write(s, "/etc/group", "changed") < 0);
	check("/etc/group2", "changed");
	super_shrink(over.sb);
	check("/etc/group2", "changed");
	overlay_reload(NULL, 0);
	overlay_compare();
	BOTH(vfs_unlink(&s->c, AT_FDCWD, "/etc/group"));
	super_shrink(over.sb);
	check("/etc/group2", "changed");
	BOTH(vfs_link(&s->c, AT_FDCWD, "/etc/group2", AT_FDCWD, "/etc/group", 0));
	BOTH(vfs_rename(&s->c, AT_FDCWD, "/etc/group2", AT_FDCWD, "/g", 0));
	BOTH(vfs_link(&s->c, AT_FDCWD, "/etc/passwd", AT_FDCWD, "/p", 0));
	overlay_reload(NULL, 0);
	BOTH(side_write(s, "/p", "both") < 0);
	check("/etc/passwd", "both");
	cr_assert_eq(side_stat(&over, "/p", &a), 0);
	cr_assert_eq(side_stat(&over, "/etc/passwd", &b), 0);
	cr_assert_eq(a.ino, b.ino);
	cr_assert_eq(a.nlink, 2);
	BOTH(vfs_unlink(&s->c, AT_FDCWD, "/etc/group"));
	BOTH(vfs_unlink(&s->c, AT_FDCWD, "/g"));
}

Test(overlay, deleted_but_open)
{
	AUTO(file) a = NULL;
	AUTO(file) b = NULL;
	char buf[16] = "";
	UITER(it);

	cr_assert_eq(side_open(&over, "/etc/passwd", O_RDONLY, &a), 0);
	cr_assert_eq(side_open(&over, "/etc/sub/deep", O_RDWR, &b), 0);
	BOTH(vfs_unlink(&s->c, AT_FDCWD, "/etc/passwd"));
	BOTH(vfs_unlink(&s->c, AT_FDCWD, "/etc/sub/deep"));
	struct file *files[] = {TAKE(a), TAKE(b)};
	overlay_reload(files, 2);
	a = files[0];
	b = files[1];
	uiter_init_kernel(&it, buf, sizeof(buf));
	cr_assert_eq(file_read(a, &over.c, &it), 4);
	cr_assert_eq(memcmp(buf, "root", 4), 0);
	uiter_init_kernel(&it, buf, sizeof(buf));
	cr_assert_eq(file_read(b, &over.c, &it), 4);
	cr_assert_eq(memcmp(buf, "deep", 4), 0);
	overlay_compare();
}

Test(overlay, locks_meet_across_a_copy_up)
{
	AUTO(file) a = NULL;
	AUTO(file) b = NULL;

	cr_assert_eq(side_open(&over, "/etc/passwd", O_RDONLY, &a), 0);
	cr_assert_eq(side_open(&over, "/etc/passwd", O_RDWR, &b), 0);
	cr_assert_eq(flock_file(a, &over.c, LOCK_EX), 0);
	cr_assert_eq(flock_file(b, &over.c, LOCK_SH | LOCK_NB), -EAGAIN);
	cr_assert_eq(flock_file(a, &over.c, LOCK_UN), 0);
	cr_assert_eq(flock_file(b, &over.c, LOCK_SH | LOCK_NB), 0);
}

Test(overlay, extended_attributes)
{
	for (int k = 0; k < 2; k++) {
		struct side *s = k ? &model : &over;
		AUTO_PATH p = {0};
		char v[8];

		cr_assert_eq(path_lookup(&s->c, AT_FDCWD, "/etc/passwd", 0, &p), 0);
		cr_assert_eq(vfs_getxattr(&s->c, path_inode(&p), "user.a", v, 8), -ENODATA);
		cr_assert_eq(vfs_setxattr(&s->c, path_inode(&p), "user.a", "1", 1, 0), 0);
		cr_assert_eq(vfs_getxattr(&s->c, path_inode(&p), "user.a", v, 8), 1);
	}
	overlay_compare();
	overlay_reload(NULL, 0);
	overlay_compare();
	check("/etc/passwd", "root");
}

/* ---- listings ---- */

struct some {
	struct dir_sink sink;
	unsigned room;
	char text[512];
};
static bool some_entry(struct dir_sink *s, const char *name, size_t len, u64 ino, u8 type, s64 off)
{
	struct some *o = container_of(s, struct some, sink);

	if (o->room == 0)
		return false;
	o->room--;
	strncat(o->text, name, len);
	strcat(o->text, " ");
	return true;
}

Test(overlay, listing_positions_are_stable)
{
	struct some o = {.sink.entry = some_entry, .room = 3};
	AUTO(file) f = NULL;

	cr_assert_eq(side_open(&over, "/etc", O_RDONLY | O_DIRECTORY, &f), 0);
	cr_assert_eq(file_iterate(f, &over.c, &o.sink), 0);
	cr_assert_str_eq(o.text, ". .. group ");
	/* What was not given yet is given once, touched or not; what goes is gone; new names come.
	 */
	cr_assert_eq(side_write(&over, "/etc/passwd", "x"), 1);
	cr_assert_eq(side_write(&over, "/etc/group", "x"), 1);
	cr_assert_eq(vfs_unlink(&over.c, AT_FDCWD, "/etc/link"), 0);
	cr_assert_eq(side_write(&over, "/etc/aaa", "x"), 1);
	struct file *files[] = {TAKE(f)};
	overlay_reload(files, 1);
	f = files[0];
	o.room = 1;
	cr_assert_eq(file_iterate(f, &over.c, &o.sink), 0);
	cr_assert_str_eq(o.text, ". .. group group2 ");
	o.room = 100;
	cr_assert_eq(file_iterate(f, &over.c, &o.sink), 0);
	cr_assert_str_eq(o.text, ". .. group group2 passwd sub aaa ");
	cr_assert_eq(file_iterate(f, &over.c, &o.sink), 0);
	cr_assert_str_eq(o.text, ". .. group group2 passwd sub aaa ");
}

/* ---- large files ---- */

static void fill_large(struct side *s)
{
	AUTO(file) f = NULL;
	AUTO_FREE char *mib = malloc(MIB);

	cr_assert_eq(side_open(s, "/large", O_WRONLY | O_CREAT, &f), 0);
	for (int i = 0; i < 5; i++) {
		UITER(it);

		memset(mib, 'a' + i, MIB);
		uiter_init_kernel(&it, mib, i < 4 ? MIB : 77);
		cr_assert_gt(file_write(f, &s->c, &it), 0);
	}
}
static void begin_large(void)
{
	overlay_begin(fill_large);
}

TestSuite(overlay_large, .init = begin_large, .fini = overlay_end);

Test(overlay_large, an_interrupted_copy_goes_on)
{
	AUTO(file) f = NULL;
	unsigned tries = 1;

	atomic_store(&over.c.interrupt, INTERRUPT_STOP);
	while (side_open(&over, "/large", O_RDWR, &f) == -ERESTARTNOINTR) {
		tries++;
		overlay_reload(NULL, 0);
	}
	atomic_store(&over.c.interrupt, 0);
	cr_assert(f);
	cr_assert_gt(tries, 4);
	overlay_compare();
	cr_assert_eq(f->inode->sb, over.sb);
}

/* ---- permissions ---- */

Test(overlay, permissions_are_its_own)
{
	struct creds *root = over.c.creds, *user = creds_new(1000, 1000, NULL, 0);
	struct iattr a = {.valid = IATTR_MODE, .mode = 01777};

	over.c.creds = user;
	cr_assert_eq(side_write(&over, "/etc/passwd", "x"), -EACCES);
	cr_assert_eq(side_write(&over, "/etc/mine", "x"), -EACCES);
	cr_assert_eq(side_open(&over, "/etc/sub/deep", O_RDONLY, &(struct file *){0}), -EACCES);
	over.c.creds = root;
	cr_assert_eq(side_setattr(&over, "/etc", a), 0);
	over.c.creds = user;
	cr_assert_eq(side_write(&over, "/etc/mine", "x"), 1);
	cr_assert_eq(vfs_unlink(&over.c, AT_FDCWD, "/etc/passwd"), -EPERM);
	cr_assert_eq(vfs_unlink(&over.c, AT_FDCWD, "/etc/mine"), 0);
	over.c.creds = root;
	obj_put(user);
}

Test(overlay, tmpfile_and_special_files)
{
	AUTO(file) f = NULL;
	struct kstat st;

	cr_assert_eq(side_open(&over, "/etc", O_RDWR | O_TMPFILE, &f), 0);
	cr_assert_eq(file_stat(f, &over.c, &st), 0);
	cr_assert_eq(st.nlink, 0);
	cr_assert_eq(inode_ops_of(over.sb->root->inode)
	                     ->link(over.sb->root->inode, &over.c, "named", f->inode),
	             0);
	cr_assert_eq(file_stat(f, &over.c, &st), 0);
	cr_assert_eq(st.nlink, 1);
	BOTH(k_ ? side_write(s, "/named", "") : 0);
	BOTH(vfs_mknod(&s->c, AT_FDCWD, "/fifo", S_IFIFO | 0600, 0));
	BOTH(vfs_unlink(&s->c, AT_FDCWD, "/null"));
	overlay_compare();
}

/* ---- cost and form ---- */

Test(overlay, cached_walks_are_cheap)
{
	const int n = 20000;

	for (int k = 0; k < 2; k++) {
		struct side *s = k ? &model : &over;
		struct timespec t0, t1;

		clock_gettime(CLOCK_MONOTONIC, &t0);
		for (int i = 0; i < n; i++) {
			AUTO_PATH p = {0};

			cr_assert_eq(path_lookup(&s->c, AT_FDCWD, "/etc/sub/deep", 0, &p), 0);
		}
		clock_gettime(CLOCK_MONOTONIC, &t1);
		fprintf(stderr, "walk of /etc/sub/deep, %s: %.1f ns\n", k ? "tmpfs" : "overlay",
		        ((double)(t1.tv_sec - t0.tv_sec) * 1e9 +
		         (double)(t1.tv_nsec - t0.tv_nsec)) /
		                n);
	}
}

static void *load_user(void *user, const struct snapshot *snap)
{
	struct kernel_load *kl = user;

	kl->in_place = &snap->pages;
	return kl;
}

Test(overlay, types)
{
	static const struct obj_type *const types[] = {&tmpfs_super_type, &tmpfs_inode_type};
	struct selftest_params p = {.user = &overlay_world->load, .load_user = load_user};
	const struct obj_type *t;
	char *why = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		cr_assert_eq(state_type_selftest(types[i], &p, &why), 0, "%s", why);
	for (unsigned i = 0; (t = registry_at(i)); i++) {
		if (!strncmp(t->name, "overlay", 7))
			cr_assert_eq(state_type_selftest(t, &p, &why), 0, "%s", why);
	}
}
