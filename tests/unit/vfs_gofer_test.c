/* Host files through a gofer: what is cached, what is written through, what a restore checks. */
#include "sentry/fs/gofer/gofer_fs.h"
#include "tests/unit/gofer_fixture.h"
#include "tests/unit/vfs_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct fixture X, *x = &X;
static struct tree T, *t = &T;
static struct p9_client *g_client;

TestSuite(vfs_gofer, .timeout = 60);

static void begin(unsigned flags, bool exclusive)
{
	struct world *w = world_new();
	struct super_block *sb;

	fixture_init(x);
	fixture_write(x, "root/a", "first\n");
	cr_assert_eq(mkdir(fixture_path(x, "root/d"), 0755), 0);
	fixture_write(x, "root/d/b", "second\n");
	cr_assert_eq(symlink("d/b", fixture_path(x, "root/l")), 0);
	fixture_start(x);
	cr_assert_eq(p9_client_create(x->sock, flags, &g_client), 0);
	w->machine.gofers = &g_client;
	w->machine.n_gofers = 1;
	cr_assert_eq(gofer_new(&w->kernel, 0, "root", exclusive, false, &sb), 0);
	tree_init_on(t, w, sb);
}
static void end(void)
{
	tree_end(t);
	p9_client_destroy(g_client);
	x->sock = -1;
	fixture_stop(x);
}

static const char *host_read(const char *name)
{
	static char buf[256];
	int fd = open(fixture_path(x, "root/%s", name), O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);

	if (fd >= 0)
		close(fd);
	if (n < 0)
		return "(none)";
	buf[n] = 0;
	return buf;
}

static void everything(unsigned flags, bool exclusive)
{
	struct kstat st;

	begin(flags, exclusive);
	cr_expect_str_eq(t_list(t, "/"), "a d dir file l");
	cr_expect_str_eq(t_read(t, "/a"), "first\n");
	cr_expect_str_eq(t_read(t, "/l"), "second\n");
	cr_expect_str_eq(t_read(t, "/none"), "(No such file or directory)");
	cr_expect_eq(t_write(t, "/new", "written"), 0);
	cr_expect_str_eq(host_read("new"), "written");
	cr_expect_eq(t_stat(t, "/new", false, &st), 0);
	cr_expect_eq(st.size, 7);
	cr_expect_eq(vfs_mkdir(&t->c, AT_FDCWD, "/e", 0755), 0);
	cr_expect_eq(vfs_rename(&t->c, AT_FDCWD, "/new", AT_FDCWD, "/e/moved", 0), 0);
	cr_expect_str_eq(host_read("e/moved"), "written");
	cr_expect_eq(vfs_link(&t->c, AT_FDCWD, "/e/moved", AT_FDCWD, "/hard", 0), 0);
	cr_expect_eq(t_stat(t, "/hard", false, &st), 0);
	cr_expect_eq(st.nlink, 2);
	cr_expect_eq(t_write(t, "/hard", "by link"), 0);
	cr_expect_str_eq(t_read(t, "/e/moved"), "by link");
	cr_expect_eq(vfs_symlink(&t->c, "e/moved", AT_FDCWD, "/s"), 0);
	cr_expect_str_eq(t_read(t, "/s"), "by link");
	cr_expect_eq(vfs_rmdir(&t->c, AT_FDCWD, "/e"), -ENOTEMPTY);
	cr_expect_eq(vfs_rename(&t->c, AT_FDCWD, "/e", AT_FDCWD, "/f", 0), 0);
	cr_expect_str_eq(t_read(t, "/f/moved"), "by link");
	cr_expect_eq(vfs_unlink(&t->c, AT_FDCWD, "/f/moved"), 0);
	cr_expect_eq(vfs_rmdir(&t->c, AT_FDCWD, "/f"), 0);
	cr_expect_str_eq(t_list(t, "/"), "a d dir file hard l s");
	end();
}
Test(vfs_gofer, our_gofer)
{
	everything(0, true);
}
Test(vfs_gofer, our_gofer_shared)
{
	everything(0, false);
}
Test(vfs_gofer, any_9p_server)
{
	everything(P9_CLIENT_PLAIN, true);
}

/* A shared mount sees what others do to the host's files. */
Test(vfs_gofer, others_change_files)
{
	struct kstat st;

	begin(0, false);
	cr_expect_str_eq(t_read(t, "/a"), "first\n");
	cr_expect_eq(t_try(t, "/late", O_RDONLY), -ENOENT);
	fixture_write(x, "root/late", "came");
	fixture_write(x, "root/a", "first and more\n");
	cr_assert_eq(rename(fixture_path(x, "root/d"), "/dev/null"), -1);
	usleep(10000);
	cr_expect_str_eq(t_read(t, "/late"), "came");
	cr_expect_eq(t_stat(t, "/a", false, &st), 0);
	cr_expect_eq(st.size, 15);
	cr_expect_str_eq(t_read(t, "/a"), "first and more\n");
	cr_assert_eq(unlink(fixture_path(x, "root/late")), 0);
	usleep(10000);
	cr_expect_eq(t_try(t, "/late", O_RDONLY), -ENOENT);
	end();
}

/* ---- saves ---- */

/* A new caller over the same gofer, as a restore has it. */
static int reload(const struct snapshot *snap, char **ret_why)
{
	struct tree fresh;
	int r = tree_load(&fresh, t->w, snap, ret_why);

	if (r < 0)
		return r;
	tree_drop(t);
	*t = fresh;
	return 0;
}

static void open_some(void)
{
	struct file *f;

	cr_assert_eq(t_open(t, "/d/b", O_RDWR, 0, &f), 0);
	cr_assert_eq(file_llseek(f, &t->c, 3, SEEK_SET), 3);
	cr_assert_eq(fd_install(&t->c, f, 0, false), 0);
	file_put(f);
}

static const char *read_fd(int fd)
{
	static char buf[64];
	AUTO(file) f = NULL;
	struct uiter it = {0};
	long n;

	cr_assert_eq(fd_get(&t->c, fd, &f), 0);
	uiter_init_kernel(&it, buf, sizeof(buf) - 1);
	n = file_read(f, &t->c, &it);
	cr_assert(n >= 0, "%ld", n);
	buf[n] = 0;
	return buf;
}

Test(vfs_gofer, open_files_come_back)
{
	struct snapshot one, two;
	char *why = NULL;

	begin(0, true);
	open_some();
	tree_save(t, &one);
	cr_assert_eq(reload(&one, &why), 0, "%s", why);
	tree_save(t, &two);
	cr_expect(one.kernel.len == two.kernel.len &&
	          !memcmp(one.kernel.data, two.kernel.data, one.kernel.len));
	cr_expect_str_eq(read_fd(0), "ond\n");
	cr_expect_str_eq(t_list(t, "/"), "a d dir file l");
	cr_expect_eq(t_write(t, "/d/c", "x"), 0);
	cr_expect_str_eq(host_read("d/c"), "x");
	snapshot_finish(&one);
	snapshot_finish(&two);
	end();
}

Test(vfs_gofer, what_changed_is_refused)
{
	struct snapshot one;
	char *why = NULL;

	begin(0, true);
	open_some();
	tree_save(t, &one);
	fixture_write(x, "root/a", "not open: nobody minds");
	cr_assert_eq(reload(&one, &why), 0, "%s", why);
	snapshot_finish(&one);
	tree_save(t, &one);
	fixture_write(x, "root/d/b", "SECOND\n");
	cr_assert_eq(truncate(fixture_path(x, "root/d/b"), 20), 0);
	cr_expect_eq(reload(&one, &why), -ESTALE);
	cr_assert(why);
	cr_expect(strstr(why, "/d/b") && strstr(why, "changed") && !strchr(why, '\n'), "%s", why);
	free(why);
	cr_assert_eq(unlink(fixture_path(x, "root/d/b")), 0);
	cr_expect_eq(reload(&one, &why), -ESTALE);
	cr_expect(strstr(why, "/d/b") && strstr(why, "gone"), "%s", why);
	free(why);
	snapshot_finish(&one);
	end();
}

Test(vfs_gofer, deleted_files_keep_their_content)
{
	struct snapshot one, two;
	struct uiter it = {0};
	struct file *f;
	struct kstat st;
	char *why = NULL;

	begin(0, true);
	open_some();
	cr_assert_eq(vfs_unlink(&t->c, AT_FDCWD, "/d/b"), 0);
	cr_expect_str_eq(host_read("d/b"), "(none)");
	tree_save(t, &one);
	cr_expect_str_eq(read_fd(0), "ond\n", "after the save");
	cr_assert_eq(fd_get(&t->c, 0, &f), 0);
	cr_assert_eq(file_llseek(f, &t->c, 3, SEEK_SET), 3);
	file_put(f);
	cr_assert_eq(reload(&one, &why), 0, "%s", why);
	tree_save(t, &two);
	cr_expect(one.kernel.len == two.kernel.len &&
	          !memcmp(one.kernel.data, two.kernel.data, one.kernel.len));
	cr_expect_str_eq(read_fd(0), "ond\n");
	cr_assert_eq(fd_get(&t->c, 0, &f), 0);
	uiter_init_kernel(&it, (char[]){"goes on"}, 7);
	cr_expect_eq(file_write(f, &t->c, &it), 7);
	cr_expect_eq(file_stat(f, &t->c, &st), 0);
	cr_expect(st.size == 14 && st.nlink == 0);
	file_put(f);
	snapshot_finish(&one);
	snapshot_finish(&two);
	end();
}
