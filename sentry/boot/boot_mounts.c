/* The mount tree that a sandbox starts with: its root through the gofer, then what the spec lists.
 */
#define LOG_SUBSYSTEM "boot"
#include "platform/platform.h"
#include "sentry/auth/creds.h"
#include "sentry/boot/boot_impl.h"
#include "sentry/fs/gofer/client.h"
#include "sentry/fs/gofer/gofer_fs.h"
#include "sentry/fs/overlay/overlay.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/namei.h"

#include "state/base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int boot_connect_gofers(struct boot *b, const int *fds, size_t n, char **ret_why)
{
	struct machine *m = &b->machine;
	int r;

	if (n == 0)
		return boot_why(ret_why, -EINVAL, "there is no gofer to serve the root");
	m->gofers = calloc(n, sizeof(*m->gofers));
	BUG_ON(!m->gofers);
	for (size_t i = 0; i < n; i++) {
		r = p9_client_create(fds[i], 0, &m->gofers[i]);
		if (r < 0)
			return boot_why(ret_why, r, "the gofer does not answer: %s", strerror(-r));
		p9_client_follow(m->gofers[i], platform_core);
		m->n_gofers++;
	}
	return 0;
}

static u32 mount_bits(const Control__Mount *m)
{
	return (m->readonly ? MS_RDONLY : 0) | (m->nosuid ? MS_NOSUID : 0) |
	       (m->nodev ? MS_NODEV : 0) | (m->noexec ? MS_NOEXEC : 0) | MS_RELATIME;
}

/* Makes the directories of a path that are not there; the last component is a file for file. */
static int make_place(struct ctx *c, const char *path, bool file)
{
	AUTO_FREE char *copy = strdup(path);
	int r;

	BUG_ON(!copy);
	for (char *s = copy + 1; *s; s++) {
		if (*s != '/')
			continue;
		*s = 0;
		r = vfs_mkdir(c, AT_FDCWD, copy, 0755);
		*s = '/';
		if (r < 0 && r != -EEXIST)
			return r;
	}
	r = file ? vfs_mknod(c, AT_FDCWD, copy, S_IFREG | 0644, 0)
	         : vfs_mkdir(c, AT_FDCWD, copy, 0755);
	return r == -EEXIST ? 0 : r;
}

static int find_place(struct ctx *c, const char *path, bool file, struct path *ret)
{
	int r = path_lookup(c, AT_FDCWD, path, LOOKUP_FOLLOW, ret);

	if (r != -ENOENT)
		return r;
	r = make_place(c, path, file);
	if (r < 0)
		return r;
	return path_lookup(c, AT_FDCWD, path, LOOKUP_FOLLOW, ret);
}

static int mount_bind_point(struct boot *b, struct kernel *k, struct ctx *c,
                            const Control__Mount *m)
{
	struct super_block *sb;
	struct mount *mnt;
	struct path at;
	bool file;
	int r = gofer_new(k, 0, m->attach, false, m->readonly, &sb);

	if (r < 0)
		return r;
	file = !S_ISDIR(sb->root->inode->mode);
	r = find_place(c, m->destination, file, &at);
	if (r == 0) {
		mnt = mount_new(k, sb, NULL, m->attach, mount_bits(m));
		r = mount_attach(mnt, &at);
		obj_put(mnt);
		path_put(&at);
	}
	obj_put(sb);
	return r;
}

static const char *fs_name(const char *type)
{
	if (strcmp(type, "dev") == 0)
		return "devtmpfs";
	return type;
}

static int mount_one(struct boot *b, struct kernel *k, struct ctx *c, const Control__Mount *m)
{
	const struct fs_type *type;
	struct fs_mount_args args = {
		.kernel = k,
		.source = m->type,
		.options = m->data,
		.rdonly = false,
	};
	struct path at;
	int r;

	if (strcmp(m->type, "bind") == 0)
		return mount_bind_point(b, k, c, m);
	type = fs_type_find(fs_name(m->type));
	if (!type)
		return -ENODEV;
	r = find_place(c, m->destination, false, &at);
	if (r < 0)
		return r;
	r = mount_new_fs(type, &args, mount_bits(m), &at);
	path_put(&at);
	return r;
}

static int mount_root(struct boot *b, struct kernel *k, const Control__Sandbox *sb,
                      struct mount_ns **ret)
{
	const Control__Attach *a = sb->attach[0];
	struct super_block *lower, *top;
	struct mount *m;
	int r = gofer_new(k, 0, a->name, sb->overlay, a->readonly || sb->overlay, &lower);

	if (r < 0)
		return r;
	if (sb->overlay) {
		r = overlay_new(k, lower, lower->root, &top);
		obj_put(lower);
		if (r < 0)
			return r;
	} else {
		top = lower;
	}
	m = mount_new(k, top, NULL, sb->overlay ? "overlay" : a->name,
	              MS_RELATIME | (sb->root_readonly && !sb->overlay ? MS_RDONLY : 0));
	obj_put(top);
	*ret = mount_ns_new(m);
	obj_put(m);
	return 0;
}

/* What people know as the source of a mount. */
static const char *source_of(const Control__Sandbox *sb, const Control__Mount *m)
{
	for (size_t i = 0; m->attach[0] && i < sb->n_attach; i++)
		if (strcmp(sb->attach[i]->name, m->attach) == 0)
			return sb->attach[i]->path;
	return m->type;
}

int boot_mount_all(struct boot *b, struct kernel *k, const Control__Sandbox *sb,
                   struct mount_ns **ret, char **ret_why)
{
	AUTO(creds) creds = creds_new(0, 0, NULL, 0);
	AUTO(fs_context) fs = NULL;
	AUTO(fd_table) fds = fd_table_new();
	struct ctx c = {.kernel = k, .clocks = &k->clocks, .creds = creds, .fds = fds};
	struct path root;
	int r;

	if (sb->n_attach == 0)
		return boot_why(ret_why, -EINVAL, "the sandbox has no root");
	r = mount_root(b, k, sb, ret);
	if (r < 0)
		return boot_why(ret_why, r, "cannot mount %s as root: %s", sb->attach[0]->path,
		                strerror(-r));
	root = (struct path){(*ret)->root, (*ret)->root->root};
	fs = fs_context_new((*ret), &root, &root, 022);
	c.fs = fs;
	for (size_t i = 0; i < sb->n_mounts; i++) {
		const Control__Mount *m = sb->mounts[i];

		r = mount_one(b, k, &c, m);
		if (r < 0)
			return boot_why(ret_why, r, "cannot mount %s (%s) at %s: %s",
			                source_of(sb, m), m->type, m->destination, strerror(-r));
	}
	/* Only now: mount points may have had to be made. */
	if (sb->root_readonly && sb->overlay)
		atomic_fetch_or(&(*ret)->root->flags, MS_RDONLY);
	return 0;
}
