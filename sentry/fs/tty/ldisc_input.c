/* Input: from characters typed to what reads give. */
#include "sentry/fs/tty/ldisc.h"

#include "state/base/bug.h"

#include <asm/termbits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

bool ldisc_by_lines(const struct ttymodes *tio)
{
	return (tio->lflag & ICANON) && !(tio->lflag & EXTPROC);
}

u8 ldisc_lower(u8 c)
{
	bool upper = (c >= 'A' && c <= 'Z') || (c >= 0xc0 && c <= 0xde && c != 0xd7);

	return upper ? c + 0x20 : c;
}

u8 ldisc_upper(u8 c)
{
	bool lower = (c >= 'a' && c <= 'z') || (c >= 0xdf && c != 0xf7);

	return lower ? c - 0x20 : c;
}

static void put(struct ldisc *ld, u8 c, u8 end)
{
	if (!ld->line) {
		ld->line = malloc(LDISC_SIZE);
		ld->ends = malloc(LDISC_SIZE);
		BUG_ON(!ld->line || !ld->ends);
	}
	/* A line that is too long keeps its head; what comes after it replaces its last byte, so
	 * that its end can still be typed. */
	if (ld->len == LDISC_SIZE)
		ld->len--;
	ld->line[ld->len] = c;
	ld->ends[ld->len] = end;
	ld->len++;
}

/* There is room for what one character may become. */
static bool has_room(const struct ldisc_io *io)
{
	const struct ldisc *ld = io->ld;
	u32 need = io->tio->iflag & PARMRK ? 3 : 1;

	/* Without a complete line nobody could read: then what is too long is dropped instead. */
	if (ldisc_by_lines(io->tio) && ld->canon == 0)
		return true;
	return ld->len + need < LDISC_SIZE;
}

/* c as data, doubled where PARMRK gives the byte a meaning. */
static void put_data(struct ldisc_io *io, u8 c)
{
	if ((io->tio->iflag & PARMRK) && c == 0xff)
		put(io->ld, c, END_NONE);
	put(io->ld, c, END_NONE);
}

static void end_line(struct ldisc_io *io, u8 c, u8 end)
{
	put(io->ld, c, end);
	io->ld->canon = io->ld->len;
}

/* newline: c is one that a return became, and goes to a new line; a typed one that ends no line is
 * a control character as others. */
static void echo_typed(struct ldisc_io *io, u8 c, bool newline)
{
	struct ldisc *ld = io->ld;

	if (!(io->tio->lflag & ECHO))
		return;
	ldisc_end_erasing(io);
	if (newline) {
		ldisc_echo_raw(io, c);
		return;
	}
	if (ld->canon == ld->len)
		ld->canon_column = ld->column;
	ldisc_echo(io, c);
}

static bool signal_char(struct ldisc_io *io, u8 c)
{
	const struct ttymodes *t = io->tio;
	int signo = ldisc_is(t, VINTR, c)   ? SIGINT
	            : ldisc_is(t, VQUIT, c) ? SIGQUIT
	            : ldisc_is(t, VSUSP, c) ? SIGTSTP
	                                    : 0;

	if (!signo)
		return false;
	io->ops->signal(io->owner, signo, !(t->lflag & NOFLSH));
	if (t->iflag & IXON)
		io->ops->flow(io->owner, true);
	if (t->lflag & ECHO)
		ldisc_echo(io, c);
	return true;
}

/* Shows the line being edited once more, on a line of its own. */
static void reprint(struct ldisc_io *io, u8 c)
{
	ldisc_end_erasing(io);
	ldisc_echo(io, c);
	ldisc_echo_raw(io, '\n');
	for (u32 i = io->ld->canon; i < io->ld->len; i++)
		ldisc_echo(io, io->ld->line[i]);
}

/* The characters of canonical mode. False: c is none of them. */
static bool canonical_char(struct ldisc_io *io, u8 c)
{
	const struct ttymodes *t = io->tio;
	bool ext = (t->lflag & IEXTEN) != 0;

	if (ldisc_is(t, VERASE, c) || ldisc_is(t, VKILL, c) || (ext && ldisc_is(t, VWERASE, c))) {
		ldisc_erase(io, c);
	} else if (ext && ldisc_is(t, VLNEXT, c)) {
		io->ld->lnext = true;
		if (t->lflag & ECHO) {
			ldisc_end_erasing(io);
			if (t->lflag & ECHOCTL)
				io->ops->echo(io->owner, (const u8 *)"^\b", 2);
		}
	} else if (ext && (t->lflag & ECHO) && ldisc_is(t, VREPRINT, c)) {
		reprint(io, c);
	} else if (c == '\n') {
		if (t->lflag & (ECHO | ECHONL))
			ldisc_echo_raw(io, c);
		end_line(io, c, END_LINE);
	} else if (ldisc_is(t, VEOF, c)) {
		end_line(io, 0, END_FILE);
	} else if (ldisc_is(t, VEOL, c) || (ext && ldisc_is(t, VEOL2, c))) {
		echo_typed(io, c, false);
		if ((t->iflag & PARMRK) && c == 0xff)
			put(io->ld, c, END_NONE);
		end_line(io, c, END_LINE);
	} else {
		return false;
	}
	return true;
}

bool ldisc_receive(struct ldisc_io *io, u8 c)
{
	const struct ttymodes *t = io->tio;
	bool newline = false;

	if (!has_room(io))
		return false;
	if ((t->lflag & EXTPROC) && !(t->iflag & ISTRIP) &&
	    !((t->iflag & IUCLC) && (t->lflag & IEXTEN))) {
		put(io->ld, c, END_NONE);
		return true;
	}
	if (t->iflag & ISTRIP)
		c &= 0x7f;
	if ((t->iflag & IUCLC) && (t->lflag & IEXTEN))
		c = ldisc_lower(c);
	if (io->ld->lnext) {
		io->ld->lnext = false;
		echo_typed(io, c, false);
		put_data(io, c);
		return true;
	}
	if (t->iflag & IXON) {
		if (ldisc_is(t, VSTART, c) || ldisc_is(t, VSTOP, c)) {
			/* One key for both goes back and forth. */
			bool on = ldisc_is(t, VSTART, c) &&
			          (!ldisc_is(t, VSTOP, c) || io->ops->stopped(io->owner));

			io->ops->flow(io->owner, on);
			return true;
		}
	}
	if ((t->lflag & ISIG) && signal_char(io, c))
		return true;
	if ((t->iflag & IXON) && (t->iflag & IXANY) && io->ops->stopped(io->owner))
		io->ops->flow(io->owner, true);
	if (c == '\r') {
		if (t->iflag & IGNCR)
			return true;
		if (t->iflag & ICRNL)
			c = '\n';
		newline = c == '\n';
	} else if (c == '\n' && (t->iflag & INLCR)) {
		c = '\r';
	}
	if ((t->lflag & ICANON) && canonical_char(io, c))
		return true;
	echo_typed(io, c, newline);
	put_data(io, c);
	return true;
}

/* ---- reading ---- */

bool ldisc_readable(const struct ldisc *ld, const struct ttymodes *tio, bool poll)
{
	u32 need;

	if (ldisc_by_lines(tio))
		return ld->canon > 0;
	need = tio->cc[VMIN] ? tio->cc[VMIN] : 1;
	if (poll && tio->cc[VTIME])
		need = 1;
	return ld->len >= need;
}

u32 ldisc_available(const struct ldisc *ld, const struct ttymodes *tio)
{
	u32 n = 0;

	if (!ldisc_by_lines(tio))
		return ld->len;
	for (u32 i = 0; i < ld->canon; i++)
		n += ld->ends[i] != END_FILE;
	return n;
}

static void drop(struct ldisc *ld, u32 n)
{
	memmove(ld->line, ld->line + n, ld->len - n);
	memmove(ld->ends, ld->ends + n, ld->len - n);
	ld->len -= n;
	ld->canon -= MIN(n, ld->canon);
}

u32 ldisc_take(struct ldisc *ld, const struct ttymodes *tio, u8 *p, u32 n, bool *ret_eof)
{
	bool canonical = ldisc_by_lines(tio);
	u32 have = canonical ? ld->canon : ld->len, i = 0;

	*ret_eof = false;
	while (i < MIN(n, have)) {
		u8 end = canonical ? ld->ends[i] : (u8)END_NONE;

		if (end == END_FILE)
			break;
		p[i] = ld->line[i];
		i++;
		if (end == END_LINE) {
			drop(ld, i);
			return i;
		}
	}
	/* An end of file right behind goes with what it ended, also when the buffer is just full.
	 */
	if (canonical && i < have && ld->ends[i] == END_FILE) {
		*ret_eof = true;
		drop(ld, i + 1);
		return i;
	}
	if (i > 0)
		drop(ld, i);
	return i;
}

void ldisc_flush(struct ldisc *ld)
{
	ld->len = ld->canon = 0;
	ld->lnext = ld->erasing = false;
}

void ldisc_mode_changed(struct ldisc *ld, const struct ttymodes *before, const struct ttymodes *now)
{
	if (!((before->lflag ^ now->lflag) & (ICANON | EXTPROC)))
		return;
	/* To canonical: what was typed already can be read without a line end. From it: an end of
	 * file that nobody read is the NUL byte that it was. */
	ld->canon = now->lflag & ICANON ? ld->len : 0;
	for (u32 i = 0; i < ld->len; i++)
		ld->ends[i] = END_NONE;
	if ((now->lflag & ICANON) && ld->len > 0)
		ld->ends[ld->len - 1] = END_LINE;
	ld->lnext = ld->erasing = false;
}

void ldisc_finish(struct ldisc *ld)
{
	free(ld->line);
	free(ld->ends);
	ld->line = ld->ends = NULL;
	ld->len = ld->canon = 0;
}
