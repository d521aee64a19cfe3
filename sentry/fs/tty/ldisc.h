#pragma once
/*
 * The line discipline of terminals, N_TTY (termios(3)): what becomes of characters typed at one end
 * and of output written at the other. Knows no files and no tasks: it is told the settings, keeps
 * the line at hand, and says what is to happen by calling back.
 *
 * The read buffer holds what can be read, oldest first: in canonical mode complete lines, then the
 * line being edited; the offsets behind which a line ends are kept beside it. An end of file is a
 * line end of its own kind: a NUL that reads don't give.
 *
 * Locking: the owner's lock, held around every call. Lifetime: embedded. Saved: all.
 */
#include "sentry/kernel/terminal.h"

#define LDISC_SIZE 4096u

struct ldisc_ops;

struct ldisc {
	u8 *line; /* owned; LDISC_SIZE bytes, NULL: nothing yet */
	u8 *ends; /* owned; one per byte of line: enum ldisc_end */
	u32 len;
	u32 canon;        /* bytes of line that are complete lines */
	u32 column;       /* of the cursor, as output goes */
	u32 canon_column; /* where the line being edited began */
	bool lnext;       /* the next character is taken as it is */
	bool erasing;     /* within \.../ of ECHOPRT */
	s64 last_input;   /* guest monotonic ns of the last byte: VTIME counts from it */
};
enum ldisc_end {
	END_NONE,
	END_LINE, /* the byte ends a line */
	END_FILE  /* the byte stands for an end of file */
};

/* What the discipline acts on, for one call: the terminal it serves. */
struct ldisc_io {
	struct ldisc *ld;
	const struct ttymodes *tio;
	const struct ldisc_ops *ops;
	void *owner;
};
struct ldisc_ops {
	/* Echo and output: bytes for whoever watches the terminal. echo never fails: what there is
	 * no room for is lost. */
	void (*echo)(void *owner, const u8 *p, u32 n);
	/* A signal character. flush: input and output are thrown away. */
	void (*signal)(void *owner, int signo, bool flush);
	/* ^S (false) and ^Q. */
	void (*flow)(void *owner, bool on);
	bool (*stopped)(void *owner);
};

/* ---- input: ldisc_input.c ---- */
/* Takes one character if there is room for what it becomes; false: not now (no room until
 * somebody reads). */
bool ldisc_receive(struct ldisc_io *io, u8 c);
/* A read may return something now; for poll: as VMIN and VTIME ask. */
bool ldisc_readable(const struct ldisc *ld, const struct ttymodes *tio, bool poll);
/* FIONREAD. */
/* Reads give lines: with EXTPROC the other end edits them and what came is given as it came. */
bool ldisc_by_lines(const struct ttymodes *tio);
/* As the kernel has them: of ISO 8859-1. */
u8 ldisc_lower(u8 c);
u8 ldisc_upper(u8 c);
u32 ldisc_available(const struct ldisc *ld, const struct ttymodes *tio);
/* Takes up to n bytes out for a read: one line at most in canonical mode. *ret_eof: an end of file
 * was met. The number may be 0. Bytes are copied to p, which has room for n. */
u32 ldisc_take(struct ldisc *ld, const struct ttymodes *tio, u8 *p, u32 n, bool *ret_eof);
void ldisc_flush(struct ldisc *ld);
/* ICANON was switched: what is there can be read as one line, or as bytes. */
void ldisc_mode_changed(struct ldisc *ld, const struct ttymodes *before,
                        const struct ttymodes *now);
void ldisc_finish(struct ldisc *ld);
/* Something is ready; what ctrl char slot holds c counts only if it is not disabled. */
static inline bool ldisc_is(const struct ttymodes *t, unsigned slot, u8 c)
{
	return t->cc[slot] == c && c != 0;
}

/* ---- output and echo: ldisc_output.c ---- */
/* At most this many bytes come from one character of output. */
#define LDISC_EXPANSION 8
/* What one character of output becomes under OPOST, into p: how many bytes; 0: nothing. */
u32 ldisc_output(struct ldisc *ld, const struct ttymodes *tio, u8 c, u8 p[LDISC_EXPANSION]);
/* Echoes c as it is shown (^X for control characters under ECHOCTL). */
void ldisc_echo(struct ldisc_io *io, u8 c);
/* Through OPOST, but with nothing made visible. */
void ldisc_echo_raw(struct ldisc_io *io, u8 c);
/* ERASE, WERASE, KILL on the line being edited. */
void ldisc_erase(struct ldisc_io *io, u8 c);
void ldisc_end_erasing(struct ldisc_io *io);
static inline bool ldisc_continues(const struct ttymodes *t, u8 c)
{
	return (t->iflag & 0040000u /* IUTF8 */) && (c & 0xc0) == 0x80;
}
