/* The nodes of /dev that lead to a terminal: tty, console, ptmx. */
#include "sentry/fs/hostfd.h"
#include "sentry/fs/tty/console.h"
#include "sentry/fs/tty/devpts.h"
#include "sentry/vfs/inode.h"
#include "sentry/vfs/namei.h"
#include "state/base/cleanup.h"

#include <sys/sysmacros.h>

#define TTYAUX_MAJOR 5

enum ttyaux_minor {
	MINOR_TTY = 0,
	MINOR_CONSOLE = 1,
	MINOR_PTMX = 2
};

/* Opens t, whatever drives it, under the name at path. */
static int open_terminal(struct terminal *t, struct ctx *c, const struct path *path,
                         struct inode *inode, u32 flags, bool noctty, struct file **ret)
{
	struct pty *p = obj_cast(pty, t);
	struct hosttty *h = obj_cast(hosttty, t);

	if (p)
		return pty_open_slave(p, c, flags, path, inode, noctty, ret);
	if (h)
		return hostfd_open_terminal(h, c, path, flags, ret);
	return -ENXIO;
}

static int open_tty(struct inode *inode, struct ctx *c, const struct path *path, u32 flags,
                    struct file **ret)
{
	AUTO(terminal) t = terminal_of_caller(c);

	return t ? open_terminal(t, c, path, inode, flags, true, ret) : -ENXIO;
}

/* The terminal that the container was started with. */
static int open_console(struct inode *inode, struct ctx *c, const struct path *path, u32 flags,
                        struct file **ret)
{
	AUTO(terminal) t = console_terminal(c->kernel);

	return t ? open_terminal(t, c, path, inode, flags, true, ret) : -ENXIO;
}

static int open_ptmx(struct inode *inode, struct ctx *c, const struct path *path, u32 flags,
                     struct file **ret)
{
	AUTO_PATH root = {0};
	int r = devpts_of(c, path, &root);

	if (r < 0)
		return r;
	return pty_open_master(devpts_sb(root.dentry->sb), c, flags, path, inode, ret);
}

static int ttyaux_open(struct inode *inode, struct ctx *c, const struct path *path, u32 flags,
                       struct file **ret)
{
	switch (minor(inode->rdev)) {
	case MINOR_TTY:
		return open_tty(inode, c, path, flags, ret);
	case MINOR_CONSOLE:
		return open_console(inode, c, path, flags, ret);
	case MINOR_PTMX:
		return open_ptmx(inode, c, path, flags, ret);
	}
	return -ENXIO;
}
SPECIAL_FILE(ttyaux_special, .type = S_IFCHR, .major = TTYAUX_MAJOR, .open = ttyaux_open);
