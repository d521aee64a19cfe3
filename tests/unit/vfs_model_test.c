/*
 * Random calls on names, on a tmpfs here and on the host's own file system beside it: the same
 * results, the same trees. The host is the oracle.
 */
#include "tests/unit/vfs_fixture.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct tree T, *t = &T;
static char g_host[64];
static u64 g_seed;

static u32 rnd(u32 n)
{
	g_seed = g_seed * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(g_seed >> 33) % n;
}

/* A path over few names, so that calls meet each other. */
static void random_path(char *buf, size_t size)
{
	static const char *names[] = {"a", "b", "c", "d", "..", ".", "l"};
	int depth = 1 + (int)rnd(3);

	buf[0] = 0;
	for (int i = 0; i < depth; i++) {
		const char *n = names[rnd(i ? 7 : 4)];

		snprintf(buf + strlen(buf), size - strlen(buf), "%s%s", i ? "/" : "", n);
	}
	if (rnd(8) == 0)
		strncat(buf, "/", size - strlen(buf) - 1);
}

static int host_result(int r)
{
	return r < 0 ? -errno : 0;
}

static int host_put(const char *path, int flags, const char *text)
{
	int fd = open(path, flags, 0644);

	if (fd < 0)
		return -errno;
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	return 0;
}

static int our_put(const char *path, u32 flags, const char *text)
{
	struct uiter it = {0};
	struct file *f;
	int r = t_open(t, path, flags, 0644, &f);

	if (r < 0)
		return r;
	uiter_init_kernel(&it, (void *)(uintptr_t)text, strlen(text));
	cr_assert_eq(file_write(f, &t->c, &it), (long)strlen(text));
	file_put(f);
	return 0;
}

/* The same dump of both trees: type, mode, links, size, content, sorted. */
static void host_dump(int dirfd, const char *name, int depth, char **out, size_t *len);

static void add_line(char **out, size_t *len, const char *line)
{
	size_t n = strlen(line);

	*out = realloc(*out, *len + n + 2);
	memcpy(*out + *len, line, n);
	(*out)[*len + n] = '\n';
	(*out)[*len + n + 1] = 0;
	*len += n + 1;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void host_dump(int dirfd, const char *name, int depth, char **out, size_t *len)
{
	char line[512], content[256] = "", *names[64];
	struct stat st;
	unsigned n = 0;
	int fd;

	cr_assert_eq(fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	if (S_ISREG(st.st_mode)) {
		fd = openat(dirfd, name, O_RDONLY);
		ssize_t got = read(fd, content, sizeof(content) - 1);

		content[got < 0 ? 0 : got] = 0;
		close(fd);
	} else if (S_ISLNK(st.st_mode)) {
		ssize_t got = readlinkat(dirfd, name, content, sizeof(content) - 1);

		content[got < 0 ? 0 : got] = 0;
	}
	snprintf(line, sizeof(line), "%*s%s %o %u %lld %s", depth, "", depth ? name : "",
	         st.st_mode, (unsigned)(S_ISDIR(st.st_mode) ? 0 : st.st_nlink),
	         (long long)(S_ISDIR(st.st_mode) ? 0 : st.st_size), content);
	add_line(out, len, line);
	if (!S_ISDIR(st.st_mode))
		return;
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY);
	DIR *d = fdopendir(fd);
	struct dirent *e;

	while ((e = readdir(d))) {
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			names[n++] = strdup(e->d_name);
	}
	qsort(names, n, sizeof(names[0]), by_name);
	for (unsigned i = 0; i < n; i++) {
		host_dump(fd, names[i], depth + 1, out, len);
		free(names[i]);
	}
	closedir(d);
}

static void our_dump(const char *path, const char *name, int depth, char **out, size_t *len)
{
	char line[512], content[256] = "", list[4096], *save = NULL;
	struct kstat st;

	cr_assert_eq(t_stat(t, path, false, &st), 0, "%s", path);
	if (S_ISREG(st.mode)) {
		snprintf(content, sizeof(content), "%s", t_read(t, path));
	} else if (S_ISLNK(st.mode)) {
		AUTO_PATH p = {0};
		char *text;

		cr_assert_eq(path_lookup(&t->c, AT_FDCWD, path, 0, &p), 0);
		cr_assert_eq(inode_readlink(path_inode(&p), &t->c, &text), 0);
		snprintf(content, sizeof(content), "%s", text);
		free(text);
	}
	snprintf(line, sizeof(line), "%*s%s %o %u %lld %s", depth, "", depth ? name : "", st.mode,
	         (unsigned)(S_ISDIR(st.mode) ? 0 : st.nlink),
	         (long long)(S_ISDIR(st.mode) ? 0 : st.size), content);
	add_line(out, len, line);
	if (!S_ISDIR(st.mode))
		return;
	snprintf(list, sizeof(list), "%s", t_list(t, path));
	for (char *n = strtok_r(list, " ", &save); n; n = strtok_r(NULL, " ", &save)) {
		char sub[512];

		snprintf(sub, sizeof(sub), "%s/%s", path, n);
		our_dump(sub, n, depth + 1, out, len);
	}
}

static void compare(int step, const char *what)
{
	char *ours = NULL, *host = NULL;
	size_t a = 0, b = 0;

	our_dump(".", "", 0, &ours, &a);
	host_dump(AT_FDCWD, ".", 0, &host, &b);
	cr_assert_str_eq(ours, host, "after step %d (%s):\nours\n%s\nhost\n%s", step, what, ours,
	                 host);
	free(ours);
	free(host);
}

static void one_step(int step)
{
	char p[64], q[64], what[256], text[16];
	int ours = 0, host = 0;
	u32 flags = 0;

	random_path(p, sizeof(p));
	random_path(q, sizeof(q));
	snprintf(text, sizeof(text), "%d", step);
	switch (rnd(12)) {
	case 0:
	case 1:
		snprintf(what, sizeof(what), "mkdir %s", p);
		ours = vfs_mkdir(&t->c, AT_FDCWD, p, 0755);
		host = host_result(mkdir(p, 0755));
		break;
	case 2:
		snprintf(what, sizeof(what), "rmdir %s", p);
		ours = vfs_rmdir(&t->c, AT_FDCWD, p);
		host = host_result(rmdir(p));
		break;
	case 3:
	case 4:
		snprintf(what, sizeof(what), "create %s", p);
		ours = our_put(p, O_CREAT | O_WRONLY | O_TRUNC, text);
		host = host_put(p, O_CREAT | O_WRONLY | O_TRUNC, text);
		break;
	case 5:
		snprintf(what, sizeof(what), "append %s", p);
		ours = our_put(p, O_WRONLY | O_APPEND, text);
		host = host_put(p, O_WRONLY | O_APPEND, text);
		break;
	case 6:
		snprintf(what, sizeof(what), "unlink %s", p);
		ours = vfs_unlink(&t->c, AT_FDCWD, p);
		host = host_result(unlink(p));
		break;
	case 7:
		snprintf(what, sizeof(what), "symlink %s at %s", p, q);
		ours = vfs_symlink(&t->c, p, AT_FDCWD, q);
		host = host_result(symlink(p, q));
		break;
	case 8:
		snprintf(what, sizeof(what), "link %s %s", p, q);
		ours = vfs_link(&t->c, AT_FDCWD, p, AT_FDCWD, q, 0);
		host = host_result(link(p, q));
		break;
	case 9:
		flags = rnd(2) ? RENAME_NOREPLACE : RENAME_EXCHANGE;
		FALLTHROUGH;
	default:
		snprintf(what, sizeof(what), "rename %s %s flags %u", p, q, flags);
		ours = vfs_rename(&t->c, AT_FDCWD, p, AT_FDCWD, q, flags);
		host = host_result(renameat2(AT_FDCWD, p, AT_FDCWD, q, flags));
		break;
	}
	cr_assert_eq(ours, host, "step %d: %s: ours %s, host %s", step, what,
	             ours ? strerrorname_np(-ours) : "0", host ? strerrorname_np(-host) : "0");
	compare(step, what);
}

Test(vfs_model, tmpfs_as_the_host, .timeout = 120)
{
	char cmd[128];

	/* A root user here passes every check that one without rights there would not. */
	if (geteuid() != 0)
		cr_skip_test("needs root");
	snprintf(g_host, sizeof(g_host), "/tmp/vfs_model.XXXXXX");
	cr_assert(mkdtemp(g_host));
	cr_assert_eq(chdir(g_host), 0);
	cr_assert_eq(chmod(".", 0755), 0);
	umask(022);
	tree_init(t);
	/* ".." must not lead out on either side. */
	cr_assert_eq(mkdir("in", 0755), 0);
	cr_assert_eq(chdir("in"), 0);
	cr_assert_eq(vfs_mkdir(&t->c, AT_FDCWD, "in", 0755), 0);
	AUTO_PATH in = {0};
	cr_assert_eq(path_lookup(&t->c, AT_FDCWD, "in", 0, &in), 0);
	fs_set_cwd(t->c.fs, &in);
	path_put(&in);
	g_seed = 4711;
	for (int i = 0; i < 4000; i++)
		one_step(i);
	cr_assert_eq(chdir("/"), 0);
	tree_end(t);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", g_host);
	cr_assert_eq(system(cmd), 0);
}
