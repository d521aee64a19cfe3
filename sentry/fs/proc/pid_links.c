/*
 * Links of /proc/PID: exe, cwd, root, fd/N, ns/NAME. Following one goes to the very place or file,
 * whatever its text says; that needs a path, so files without one get a nameless dentry in a super
 * block that is mounted nowhere.
 */
#include "sentry/fs/proc/proc.h"
#include "sentry/fs/proc/proc_super.h"
#include "sentry/fs/nsfs.h"
#include "sentry/kernel/pidns.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/flock.h"
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/namei.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The text of a place as c sees it. */
static int place_text(const struct path *p, struct ctx *c, char **ret)
{
	char buf[PATH_TEXT_MAX];

	path_describe(p, c, buf, sizeof(buf));
	*ret = strdup(buf);
	return *ret ? 0 : -ENOMEM;
}

/* ---- exe ---- */

static int get_exe(struct pseudo_inode *i, struct ctx *c, struct file **ret)
{
	AUTO(task) task = NULL;
	AUTO(mm) mm = NULL;
	AUTO(mapid) id = NULL;
	struct file *f;
	int r = proc_inspect(&i->key, c, &task);

	if (r < 0)
		return r;
	mm = task_get_mm(task);
	id = mm ? mm_get_exe(mm) : NULL;
	f = obj_cast(file, id);
	if (!f || !f->path.dentry)
		return -ENOENT;
	*ret = file_get(f);
	return 0;
}

PROC_LINK(proc_pid_exe)
{
	AUTO(file) f = NULL;
	int r = get_exe(i, c, &f);

	if (r < 0)
		return r;
	path_get(&f->path);
	*ret_jump = f->path;
	return 1;
}

PROC_LINK_TEXT(proc_pid_exe_text)
{
	AUTO(file) f = NULL;
	int r = get_exe(i, c, &f);

	return r < 0 ? r : place_text(&f->path, c, ret_text);
}

/* ---- cwd, root ---- */

static int get_place(struct pseudo_inode *i, struct ctx *c, bool root, struct path *ret)
{
	AUTO(task) task = NULL;
	AUTO(fs_context) fs = NULL;
	int r = proc_inspect(&i->key, c, &task);

	if (r < 0)
		return r;
	fs = task_get_fs(task);
	if (!fs)
		return -ENOENT;
	if (root)
		fs_get_root(fs, ret);
	else
		fs_get_cwd(fs, ret);
	return 0;
}

static int place_link(struct pseudo_inode *i, struct ctx *c, bool root, struct path *ret_jump)
{
	int r = get_place(i, c, root, ret_jump);

	return r < 0 ? r : 1;
}

static int place_link_text(struct pseudo_inode *i, struct ctx *c, bool root, char **ret_text)
{
	AUTO_PATH p = {0};
	int r = get_place(i, c, root, &p);

	return r < 0 ? r : place_text(&p, c, ret_text);
}

PROC_LINK(proc_pid_cwd)
{
	return place_link(i, c, false, ret_jump);
}

PROC_LINK(proc_pid_root)
{
	return place_link(i, c, true, ret_jump);
}

PROC_LINK_TEXT(proc_pid_cwd_text)
{
	return place_link_text(i, c, false, ret_text);
}

PROC_LINK_TEXT(proc_pid_root_text)
{
	return place_link_text(i, c, true, ret_text);
}

/* ---- fd ---- */

static int get_file(const struct pseudo_key *key, struct ctx *c, struct file **ret,
                    struct fd_table **ret_fds)
{
	AUTO(task) task = NULL;
	AUTO(fd_table) fds = NULL;
	int r = proc_inspect(key, c, &task);

	if (r < 0)
		return r;
	fds = task_get_fds(task);
	if (!fds || fd_table_lookup(fds, key->num, ret) < 0)
		return -ENOENT;
	if (ret_fds)
		*ret_fds = TAKE(fds);
	return 0;
}

PROC_LINK(proc_fd_link)
{
	AUTO(file) f = NULL;
	int r = get_file(&i->key, c, &f, NULL);

	if (r < 0)
		return r;
	if (f->path.dentry) {
		path_get(&f->path);
		*ret_jump = f->path;
	} else {
		proc_nameless_path(i->inode.sb, f->inode, ret_jump);
	}
	return 1;
}

PROC_LINK_TEXT(proc_fd_text)
{
	AUTO(file) f = NULL;
	char buf[FILE_LINK_NAME_MAX];
	int r = get_file(&i->key, c, &f, NULL);

	if (r < 0)
		return r;
	if (file_named(f))
		return place_text(&f->path, c, ret_text);
	file_link_name(f, buf, sizeof(buf));
	*ret_text = strdup(buf);
	return *ret_text ? 0 : -ENOMEM;
}

#define FDINFO_MAX (64 * KIB)

PROC_SHOW(proc_fdinfo)
{
	AUTO(file) f = NULL;
	AUTO(fd_table) fds = NULL;
	AUTO_FREE char *more = NULL;
	struct kstat st;
	bool cloexec;
	s64 pos;
	int r = get_file(&i->key, c, &f, &fds);

	if (r < 0)
		return r;
	cloexec = fds == c->fds && fd_get_cloexec(c, i->key.num) == 1;
	/* Not under its lock: this very read may hold it. */
	pos = READ_ONCE(f->pos);
	text_printf(t, "pos:\t%lld\nflags:\t0%o\nmnt_id:\t%u\nino:\t%llu\n", (long long)pos,
	            file_flags(f) | (cloexec ? O_CLOEXEC : 0),
	            f->path.mount ? f->path.mount->id : 0, (unsigned long long)f->inode->ino);
	more = calloc(1, FDINFO_MAX);
	if (!more)
		return -ENOMEM;
	if (__atomic_load_n(&f->inode->locks, __ATOMIC_ACQUIRE) &&
	    inode_getattr(f->inode, c, &st) == 0) {
		locks_show(f, fds, st.dev, st.ino, more, FDINFO_MAX);
		text_append(t, more, strlen(more));
	}
	if (file_ops_of(f)->fdinfo) {
		more[0] = 0;
		file_ops_of(f)->fdinfo(f, more, FDINFO_MAX);
		text_append(t, more, strlen(more));
	}
	return 0;
}

static int fd_lookup(struct pseudo_inode *dir, struct ctx *c, const char *name,
                     struct pseudo_key *ret, enum proc_template what)
{
	AUTO(task) task = NULL;
	AUTO(fd_table) fds = NULL;
	AUTO(file) f = NULL;
	u64 fd;
	int r;

	if (!pseudo_number(name, INT32_MAX, &fd))
		return -ENOENT;
	r = proc_inspect(&dir->key, c, &task);
	if (r < 0)
		return r;
	fds = task_get_fds(task);
	if (!fds || fd_table_lookup(fds, (int)fd, &f) < 0)
		return -ENOENT;
	ret->entry = proc_template(what);
	ret->num = (s32)fd;
	return 0;
}

static bool fd_next(struct pseudo_inode *dir, struct ctx *c, u64 *num, char name[24],
                    struct pseudo_key *ret, enum proc_template what)
{
	AUTO(task) task = NULL;
	AUTO(fd_table) fds = NULL;
	int fd;

	if (*num > INT32_MAX || proc_inspect(&dir->key, c, &task) < 0)
		return false;
	fds = task_get_fds(task);
	fd = fds ? fd_table_next(fds, (int)*num) : -1;
	if (fd < 0)
		return false;
	*num = (u64)fd;
	ret->entry = proc_template(what);
	ret->num = fd;
	snprintf(name, 24, "%d", fd);
	return true;
}

static int link_lookup(struct pseudo_inode *dir, struct ctx *c, const char *name,
                       struct pseudo_key *ret)
{
	return fd_lookup(dir, c, name, ret, PROC_T_FD);
}

static bool link_next(struct pseudo_inode *dir, struct ctx *c, u64 *num, char name[24],
                      struct pseudo_key *ret)
{
	return fd_next(dir, c, num, name, ret, PROC_T_FD);
}

static int info_lookup(struct pseudo_inode *dir, struct ctx *c, const char *name,
                       struct pseudo_key *ret)
{
	return fd_lookup(dir, c, name, ret, PROC_T_FDINFO);
}

static bool info_next(struct pseudo_inode *dir, struct ctx *c, u64 *num, char name[24],
                      struct pseudo_key *ret)
{
	return fd_next(dir, c, num, name, ret, PROC_T_FDINFO);
}

PSEUDO_DIR(proc_fd_dir, .id = "proc.fd", .lookup = link_lookup, .next = link_next);
PSEUDO_DIR(proc_fdinfo_dir, .id = "proc.fdinfo", .lookup = info_lookup, .next = info_next);

/* ---- ns ---- */

static int ns_of_link(struct pseudo_inode *i, struct ctx *c, struct ns_inode **ret)
{
	AUTO(task) task = NULL;
	int r = proc_inspect(&i->key, c, &task);

	return r < 0 ? r : ns_inode_of(task, i->key.entry->name, ret);
}

static int ns_text(struct pseudo_inode *i, struct ctx *c, char **ret_text)
{
	AUTO(ns_inode) n = NULL;
	char buf[64];
	int r = ns_of_link(i, c, &n);

	if (r < 0)
		return r;
	ns_inode_text(n, buf, sizeof(buf));
	*ret_text = strdup(buf);
	return *ret_text ? 0 : -ENOMEM;
}

static int ns_link(struct pseudo_inode *i, struct ctx *c, char **ret_text, struct path *ret_jump)
{
	AUTO(ns_inode) n = NULL;
	int r = ns_of_link(i, c, &n);

	if (r < 0)
		return r;
	proc_nameless_path(i->inode.sb, &n->inode, ret_jump);
	return 1;
}

#define NS(n)                                                                            \
	{                                                                                \
		.name = n, .mode = S_IFLNK | 0777, .link = ns_link, .link_text = ns_text \
	}
static const struct pseudo_entry ns_entries[] = {
	NS("cgroup"), NS("ipc"),
	NS("mnt"),    NS("net"),
	NS("pid"),    NS("pid_for_children"),
	NS("time"),   NS("time_for_children"),
	NS("user"),   NS("uts"),
};
PSEUDO_DIR(proc_ns_dir, .id = "proc.ns", PSEUDO_ENTRIES(ns_entries), .alive = proc_task_alive,
           .owner = proc_task_owner);
