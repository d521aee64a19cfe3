#pragma once
/*
 * Pseudo-terminals (pty(7)): a terminal whose wire ends in another file, the master.
 *
 * Bytes written to the master wait in input until the line discipline has room for them; what the
 * slave's users write and what is echoed waits in output for the master. While output is stopped
 * (^S, TCOOFF) echo is held back in echo.
 *
 * Locking: everything below under lock (RANK_FILE), termios too; files' own fields are immutable.
 * Lifetime: owned by its open files and by the session that it controls; a number in /dev/pts is
 * taken as long as the master is open. Saved: all; who has it open is counted again by the files.
 */
#include "sentry/fs/tty/ldisc.h"
#include "sentry/fs/tty/ring.h"
#include "sentry/vfs/file.h"

#define PTY_INPUT_MAX  16384u
#define PTY_OUTPUT_MAX 24576u /* of which writers use PTY_WRITE_MAX, the rest is for echo */
#define PTY_WRITE_MAX  20480u
#define PTY_ECHO_MAX   4096u
/* What the master counts as received and a flush no longer takes back. */
#define PTY_RECEIVED 4096u

struct devpts_node;
struct devpts_super;

struct pty {
	struct terminal term;
	struct devpts_super *fs;  /* owned; immutable */
	u32 index;                /* its name there; immutable */
	struct devpts_node *node; /* its inode there; owned; immutable */
	struct kernel *kernel;    /* immutable */
	struct mutex lock;
	struct ldisc ld;
	struct tty_ring input, output, echo;
	u32 hangups;               /* files that were open at an earlier one are hung up */
	bool locked;               /* TIOCSPTLCK: the slave can't be opened */
	bool stopped, tco_stopped; /* output; by TCOOFF */
	bool packet;               /* TIOCPKT */
	u32 packet_status;         /* TIOCPKT_* to tell the master */
	bool slave_opened;         /* was ever; the master hears of the last close */
	bool vacant;               /* its host side is gone for good: reads end, writes vanish */
	bool exclusive;            /* TIOCEXCL */
	bool master_stopped;       /* TCOOFF on the master: what it writes waits */
	u32 slaves;                /* open slave files */
	bool has_master;           /* the master is open */
	struct waitq slave_wait, master_wait;
	TAILQ_ENTRY(pty) link; /* these two are the file system's, under its lock */
	bool listed;
};
OBJECT_DECL(pty);

struct pty_file {
	struct file file;
	struct pty *pty; /* owned; immutable */
	bool master;     /* immutable */
	u32 hangups;     /* of the pty when it was opened; immutable */
};
OBJECT_DECL(pty_file);

static inline struct pty_file *pty_file_of(struct file *f)
{
	return (struct pty_file *)f;
}
/* Hung up since it was opened. lock held. */
static inline bool pty_file_hung(const struct pty_file *pf)
{
	return !pf->master && pf->hangups != pf->pty->hangups;
}

/* The master of a new pty in fs. c may be NULL (boot). -ENOSPC. */
MUST_CHECK int pty_open_master(struct devpts_super *fs, struct ctx *c, u32 flags,
                               const struct path *path, struct inode *inode, struct file **ret);
/* The other end. noctty: it does not become the controlling terminal; inode: what fstat shows.
 * -EIO (locked, or no master), -EBUSY. */
MUST_CHECK int pty_open_slave(struct pty *p, struct ctx *c, u32 flags, const struct path *path,
                              struct inode *inode, bool noctty, struct file **ret);

/* ---- inside: lock held ---- */

/* Lets the line discipline take what waits in input. Wakes whom that concerns after unlocking:
 * events in *ret_slave, *ret_master are poll bits. */
struct pty_wakes {
	u32 slave, master;
};
void pty_pump(struct pty *p, struct pty_wakes *w);
void pty_wake(struct pty *p, const struct pty_wakes *w);
void pty_set_stopped(struct pty *p, bool stopped, struct pty_wakes *w);
void pty_flush_input(struct pty *p, struct pty_wakes *w);
void pty_flush_output(struct pty *p, struct pty_wakes *w);
void pty_note_packet(struct pty *p, u32 set, u32 clear, struct pty_wakes *w);
/* New settings (TCSETS). */
void pty_set_termios(struct pty *p, const struct ttymodes *t, struct pty_wakes *w);

/* ---- the master's end without a file, for consoles; take the lock ---- */
/* Types n bytes; how many were taken. */
u32 pty_feed(struct pty *p, const u8 *buf, u32 n);
/* Looks at up to n bytes of output; *ret_idle: nobody has the slave open any more and nothing is
 * left. pty_shown says how many of them were passed on. */
u32 pty_look(struct pty *p, u8 *buf, u32 n, bool *ret_idle);
void pty_shown(struct pty *p, u32 n);
/* How many bytes pty_feed takes for sure. */
u32 pty_room(struct pty *p);
/* Everything open on the slave is hung up, its session hears of it. */
void pty_hangup(struct pty *p);
/* Reads end and writes vanish from now on, or no longer. */
void pty_set_vacant(struct pty *p, bool vacant);

extern const struct file_ops pty_file_ops;
long pty_slave_read(struct file *f, struct ctx *c, struct uiter *dst);
long pty_slave_write(struct file *f, struct ctx *c, struct uiter *src);
u32 pty_slave_poll(struct file *f, struct poll_table *pt);
long pty_master_read(struct file *f, struct ctx *c, struct uiter *dst);
long pty_master_write(struct file *f, struct ctx *c, struct uiter *src);
u32 pty_master_poll(struct file *f, struct poll_table *pt);
long pty_ioctl(struct file *f, struct ctx *c, u32 cmd, u64 arg);
