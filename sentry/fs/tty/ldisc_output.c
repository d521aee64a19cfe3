/* Output processing, echo, and the rubbing out of what was typed. */
#include "sentry/fs/tty/ldisc.h"

#include <asm/termbits.h>
#include <ctype.h>
#include <string.h>

#define TAB 8u

u32 ldisc_output(struct ldisc *ld, const struct ttymodes *tio, u8 c, u8 p[LDISC_EXPANSION])
{
	u32 n;

	if (!(tio->oflag & OPOST)) {
		p[0] = c;
		return 1;
	}
	switch (c) {
	case '\n':
		if (tio->oflag & ONLRET)
			ld->column = 0;
		if (tio->oflag & ONLCR) {
			ld->column = ld->canon_column = 0;
			p[0] = '\r';
			p[1] = '\n';
			return 2;
		}
		ld->canon_column = ld->column;
		break;
	case '\r':
		if ((tio->oflag & ONOCR) && ld->column == 0)
			return 0;
		if (tio->oflag & OCRNL) {
			c = '\n';
			if (tio->oflag & ONLRET)
				ld->column = ld->canon_column = 0;
			break;
		}
		ld->column = ld->canon_column = 0;
		break;
	case '\t':
		n = TAB - ld->column % TAB;
		ld->column += n;
		if ((tio->oflag & TABDLY) == XTABS) {
			memset(p, ' ', n);
			return n;
		}
		break;
	case '\b':
		if (ld->column > 0)
			ld->column--;
		break;
	default:
		if (iscntrl(c))
			break;
		if (tio->oflag & OLCUC)
			c = ldisc_upper(c);
		if (!ldisc_continues(tio, c))
			ld->column++;
	}
	p[0] = c;
	return 1;
}

void ldisc_echo_raw(struct ldisc_io *io, u8 c)
{
	u8 out[LDISC_EXPANSION];
	u32 n = ldisc_output(io->ld, io->tio, c, out);

	io->ops->echo(io->owner, out, n);
}

void ldisc_echo(struct ldisc_io *io, u8 c)
{
	if ((io->tio->lflag & ECHOCTL) && iscntrl(c) && c != '\t') {
		u8 shown[2] = {'^', (u8)(c ^ 0100)};

		io->ld->column += 2;
		io->ops->echo(io->owner, shown, 2);
		return;
	}
	ldisc_echo_raw(io, c);
}

void ldisc_end_erasing(struct ldisc_io *io)
{
	if (!io->ld->erasing)
		return;
	ldisc_echo_raw(io, '/');
	io->ld->erasing = false;
}

/* How far the cursor goes back for a tab that is erased: the columns that it had filled. */
static u32 tab_width(const struct ldisc_io *io, u32 end)
{
	const struct ldisc *ld = io->ld;
	u32 at, width = 0;

	for (at = end; at > ld->canon; at--) {
		u8 c = ld->line[at - 1];

		if (c == '\t')
			break;
		if (iscntrl(c))
			width += io->tio->lflag & ECHOCTL ? 2 : 0;
		else if (!ldisc_continues(io->tio, c))
			width++;
	}
	/* Behind another tab the columns count from a stop, else from where the line began. */
	if (at == ld->canon)
		width += ld->canon_column;
	return TAB - width % TAB;
}

static void rub_out(struct ldisc_io *io, u32 columns, bool blank)
{
	for (u32 i = 0; i < columns; i++) {
		ldisc_echo_raw(io, '\b');
		if (blank) {
			ldisc_echo_raw(io, ' ');
			ldisc_echo_raw(io, '\b');
		}
	}
}

/* Shows that the character at [from, to) is gone. */
static void show_erased(struct ldisc_io *io, u32 from, u32 to, bool single)
{
	const struct ttymodes *t = io->tio;
	u8 c = io->ld->line[from];

	if (t->lflag & ECHOPRT) {
		if (!io->ld->erasing) {
			ldisc_echo_raw(io, '\\');
			io->ld->erasing = true;
		}
		ldisc_echo(io, c);
		for (u32 i = from + 1; i < to; i++)
			ldisc_echo_raw(io, io->ld->line[i]);
	} else if (single && !(t->lflag & ECHOE)) {
		ldisc_echo(io, t->cc[VERASE]);
	} else if (c == '\t') {
		rub_out(io, tab_width(io, from), false);
	} else if (iscntrl(c)) {
		rub_out(io, t->lflag & ECHOCTL ? 2 : 0, true);
	} else {
		rub_out(io, 1, true);
	}
}

/* KILL where the line is not rubbed out: it is crossed out at most. */
static void kill_line(struct ldisc_io *io)
{
	const struct ttymodes *t = io->tio;

	io->ld->len = io->ld->canon;
	if (!(t->lflag & ECHO))
		return;
	ldisc_end_erasing(io);
	ldisc_echo(io, t->cc[VKILL]);
	if (t->lflag & ECHOK)
		ldisc_echo_raw(io, '\n');
}

void ldisc_erase(struct ldisc_io *io, u8 c)
{
	const u32 rubs = ECHO | ECHOK | ECHOKE | ECHOE;
	const struct ttymodes *t = io->tio;
	struct ldisc *ld = io->ld;
	bool single = ldisc_is(t, VERASE, c);
	bool word = !single && ldisc_is(t, VWERASE, c);
	bool in_word = false;

	if (ld->len == ld->canon)
		return;
	if (!single && !word && (t->lflag & rubs) != rubs) {
		kill_line(io);
		return;
	}
	while (ld->len > ld->canon) {
		u32 from = ld->len, to = ld->len;

		do
			from--;
		while (from > ld->canon && ldisc_continues(t, ld->line[from]));
		if (ldisc_continues(t, ld->line[from]))
			break;
		if (word) {
			bool part = isalnum(ld->line[from]) || ld->line[from] == '_';

			if (in_word && !part)
				break;
			in_word |= part;
		}
		ld->len = from;
		if (t->lflag & ECHO)
			show_erased(io, from, to, single);
		if (single)
			break;
	}
	if (ld->len == ld->canon && (t->lflag & ECHO))
		ldisc_end_erasing(io);
}
