/* /proc/PID/mounts and mountinfo: the mounts that the task can reach. */
#include "sentry/fs/proc/proc.h"
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/namei.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

struct listing {
	struct text *t;
	struct path root; /* of the task: what paths are seen from */
	void (*show)(struct listing *l, struct mount *m, const char *where);
};

static int show_reachable(struct mount *m, void *arg)
{
	struct listing *l = arg;
	struct path p = {m, m->root};
	char buf[PATH_TEXT_MAX], *where;

	if (path_text(&p, &l->root, buf, sizeof(buf), &where) == 0 && where[0] == '/')
		l->show(l, m, where);
	return 0;
}

static int list_mounts(struct pseudo_inode *i, struct ctx *c, struct text *t,
                       void (*show)(struct listing *l, struct mount *m, const char *where))
{
	AUTO(task) task = proc_task(&i->key, c);
	AUTO(fs_context) fs = NULL;
	AUTO(mount_ns) ns = NULL;
	struct listing l = {.t = t, .show = show};

	if (!task)
		return -ESRCH;
	fs = task_get_fs(task);
	if (!fs)
		return -EINVAL;
	ns = fs_mount_ns(fs);
	if (!ns)
		return 0;
	fs_get_root(fs, &l.root);
	mount_ns_walk(ns, show_reachable, &l);
	path_put(&l.root);
	return 0;
}

static const char *source_of(const struct mount *m)
{
	return m->source && m->source[0] ? m->source : "none";
}

static void show_mount(struct listing *l, struct mount *m, const char *where)
{
	char options[512];

	mount_options_text(m, options, sizeof(options));
	text_escape(l->t, source_of(m));
	text_char(l->t, ' ');
	text_escape(l->t, where);
	text_printf(l->t, " %s %s 0 0\n", super_ops_of(m->sb)->name, options);
}

PROC_SHOW(proc_pid_mounts)
{
	return list_mounts(i, c, t, show_mount);
}

static void show_flags(struct text *t, u32 flags)
{
	text_printf(t, "%s%s%s%s%s%s%s%s", flags & MS_RDONLY ? "ro" : "rw",
	            flags & MS_NOSUID ? ",nosuid" : "", flags & MS_NODEV ? ",nodev" : "",
	            flags & MS_NOEXEC ? ",noexec" : "", flags & MS_NOATIME ? ",noatime" : "",
	            flags & MS_NODIRATIME ? ",nodiratime" : "",
	            flags & MS_RELATIME ? ",relatime" : "",
	            flags & MS_NOSYMFOLLOW ? ",nosymfollow" : "");
}

/* Where in its file system the mount's root is: only bind mounts have it elsewhere than "/". */
static void show_inside(struct text *t, const struct mount *m)
{
	char buf[PATH_TEXT_MAX];
	size_t at = sizeof(buf) - 1;
	const struct dentry *d;

	buf[at] = 0;
	rwlock_rdlock(&m->sb->rename_lock);
	for (d = m->root; d->parent; d = d->parent) {
		size_t len = strlen(d->name);

		if (len + 1 > at)
			break;
		at -= len + 1;
		buf[at] = '/';
		memcpy(buf + at + 1, d->name, len);
	}
	rwlock_unlock(&m->sb->rename_lock);
	text_escape(t, buf[at] ? buf + at : "/");
}

static void show_info(struct listing *l, struct mount *m, const char *where)
{
	char options[256] = "";
	u32 parent;

	mutex_lock(&m->lock);
	parent = m->parent ? m->parent->id : 0;
	mutex_unlock(&m->lock);
	text_printf(l->t, "%u %u %u:%u ", m->id, parent, major(m->sb->dev), minor(m->sb->dev));
	show_inside(l->t, m);
	text_char(l->t, ' ');
	text_escape(l->t, where);
	text_char(l->t, ' ');
	show_flags(l->t, mount_flags(m));
	text_printf(l->t, " - %s ", super_ops_of(m->sb)->name);
	text_escape(l->t, source_of(m));
	if (super_ops_of(m->sb)->show_options)
		super_ops_of(m->sb)->show_options(m->sb, options, sizeof(options));
	text_printf(l->t, " %s%s\n", m->sb->rdonly ? "ro" : "rw", options);
}

PROC_SHOW(proc_pid_mountinfo)
{
	return list_mounts(i, c, t, show_info);
}

struct mount_ns *proc_pid_mount_ns(struct pseudo_inode *i, struct ctx *c)
{
	AUTO(task) task = proc_task(&i->key, c);
	AUTO(fs_context) fs = task ? task_get_fs(task) : NULL;

	return fs ? fs_mount_ns(fs) : NULL;
}
