/* Consoles as objects: the sandbox's side. */
#include "sentry/fs/tty/console.h"

#include "proto/tty.pb-c.h"
#include "sentry/fs/tty/console_impl.h"
#include "sentry/fs/tty/devpts.h"
#include "sentry/mm/pageload.h"
#include "sentry/vfs/namei.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

struct console {
	struct kernel_part part;
	struct file *master;       /* a pty_file; owned; immutable */
	u64 slot;                  /* immutable */
	struct consoles *consoles; /* immutable */
};
OBJECT_DECL(console);

int console_open(struct ctx *c, u64 slot, struct file **ret_slave)
{
	AUTO_PATH root = {0}, path = {0};
	AUTO(file) master = NULL;
	struct console *con;
	struct pty *p;
	int r;

	r = path_lookup(c, AT_FDCWD, "/dev/pts", LOOKUP_FOLLOW, &root);
	if (r < 0 || !devpts_sb(root.dentry->sb))
		return -ENODEV;
	r = pty_open_master(devpts_sb(root.dentry->sb), c, O_RDWR, &root, root.dentry->inode,
	                    &master);
	if (r < 0)
		return r;
	p = pty_file_of(master)->pty;
	p->locked = false;
	r = devpts_slave_path(c, &root, p, &path);
	if (r == 0)
		r = pty_open_slave(p, c, O_RDWR, &path, path_inode(&path), true, ret_slave);
	if (r < 0)
		return r;
	con = obj_new(console);
	con->master = TAKE(master);
	con->slot = slot;
	con->consoles = c->kernel->machine->consoles;
	mutex_lock(&c->kernel->tasks_lock);
	TAILQ_INSERT_TAIL(&c->kernel->parts, &con->part, link);
	mutex_unlock(&c->kernel->tasks_lock);
	plug_attach(con->consoles, slot, p);
	return 0;
}

void console_remove(struct kernel *k, u64 slot)
{
	struct kernel_part *part;
	struct console *con;

	mutex_lock(&k->tasks_lock);
	TAILQ_FOREACH (part, &k->parts, link) {
		con = obj_cast(console, part);
		if (con && con->slot == slot)
			break;
	}
	if (part)
		TAILQ_REMOVE(&k->parts, part, link);
	mutex_unlock(&k->tasks_lock);
	obj_put(part);
}

struct terminal *console_terminal(struct kernel *k)
{
	struct container *c;

	GUARD(&k->tasks_lock);
	c = TAILQ_FIRST(&k->containers);
	return c ? terminal_get(c->console) : NULL;
}

static void console_destroy(void *o)
{
	struct console *con = o;

	if (con->consoles && con->master && pty_file_of(con->master)->pty)
		plug_detach(con->consoles, con->slot);
	obj_put(con->master);
}

static int console_after_load(struct loader *l, void *o)
{
	struct console *con = o;
	const struct kernel_load *kl = loader_user(l);
	struct pty *p;

	if (!obj_is(con->master, &pty_file_type) || !pty_file_of(con->master)->master ||
	    !pty_file_of(con->master)->pty)
		return loader_error(l, "a console without the master of a pty");
	p = pty_file_of(con->master)->pty;
	con->consoles = kl && kl->machine ? kl->machine->consoles : NULL;
	p->vacant = !con->consoles || !plug_attach(con->consoles, con->slot, p);
	return 0;
}

static void console_sample(struct sampler *sp, void *o)
{
	struct console *con = o;
	struct pty_file *pf = sampler_ref(sp, &pty_file_type);

	pf->master = true;
	obj_put(con->master);
	con->master = &pf->file;
}

#define CONSOLE_FIELDS(F)          \
	F(BASE, part, kernel_part) \
	F(REF, master, file) F(VAL, slot) F(SKIP, consoles) /* the machine's */
OBJECT_TYPE(console, Sentry__Console, sentry__console__descriptor, CONSOLE_FIELDS,
            .base = &kernel_part_type, .destroy = console_destroy, .after_load = console_after_load,
            .sample = console_sample);
