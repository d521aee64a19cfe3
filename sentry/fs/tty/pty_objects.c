/* Ptys and their files as saved objects. */
#include "sentry/fs/tty/devpts.h"
#include "sentry/fs/tty/pty_impl.h"
#include "sentry/kernel/kernel.h"
#include "sentry/mm/pageload.h"

#include "proto/tty.pb-c.h"
#include "state/fields.h"

#include <string.h>

/* The tables of terminal.c; the base's own fields go through terminal_type. */

static int ring_save(struct saver *s, const struct tty_ring *r, Sentry__TtyRing **ret)
{
	Sentry__TtyRing *m = saver_msg(s, Sentry__TtyRing, sentry__tty_ring__init);

	m->data.data = saver_alloc(s, r->len + 1);
	m->data.len = tty_ring_peek(r, m->data.data, r->len);
	*ret = m;
	return 0;
}

static int ring_load(struct loader *l, struct tty_ring *r, const Sentry__TtyRing *m,
                     const char *what)
{
	if (!m)
		return loader_missing(l, what);
	if (m->data.len > r->max)
		return loader_range(l, what);
	tty_ring_put(r, m->data.data, (u32)m->data.len);
	return 0;
}

#define RING(f)                                                                        \
	static int pty_save_##f(struct saver *s, const struct pty *p, Sentry__Pty *m)  \
	{                                                                              \
		return ring_save(s, &p->f, &m->f);                                     \
	}                                                                              \
	static int pty_load_##f(struct loader *l, struct pty *p, const Sentry__Pty *m) \
	{                                                                              \
		return ring_load(l, &p->f, m->f, #f);                                  \
	}                                                                              \
	static void pty_sample_##f(struct sampler *sp, struct pty *p)                  \
	{                                                                              \
		u8 v = (u8)sampler_value(sp);                                          \
                                                                                       \
		tty_ring_put(&p->f, &v, 1);                                            \
	}
RING(input)
RING(output)
RING(echo)

/* Line ends as pairs: offset and kind, three bytes each. */
#define END_BYTES 3u

static int pty_save_ld(struct saver *s, const struct pty *p, Sentry__Pty *m)
{
	const struct ldisc *ld = &p->ld;
	Sentry__Ldisc *d = saver_msg(s, Sentry__Ldisc, sentry__ldisc__init);
	u8 *e = saver_alloc(s, ld->canon * END_BYTES + 1);
	size_t n = 0;

	d->line.data = ld->line;
	d->line.len = ld->len;
	for (u32 i = 0; i < ld->canon; i++) {
		if (ld->ends[i] == END_NONE)
			continue;
		e[n++] = (u8)i;
		e[n++] = (u8)(i >> 8);
		e[n++] = ld->ends[i];
	}
	d->ends.data = e;
	d->ends.len = n;
	d->column = ld->column;
	d->canon_column = ld->canon_column;
	d->lnext = ld->lnext;
	d->erasing = ld->erasing;
	d->last_input = ld->last_input;
	m->ld = d;
	return 0;
}

static int pty_load_ld(struct loader *l, struct pty *p, const Sentry__Pty *m)
{
	const Sentry__Ldisc *d = m->ld;
	struct ldisc *ld = &p->ld;

	if (!d)
		return loader_missing(l, "ld");
	if (d->line.len > LDISC_SIZE || d->ends.len % END_BYTES)
		return loader_range(l, "line");
	if (d->line.len > 0) {
		ld->line = malloc(LDISC_SIZE);
		ld->ends = calloc(1, LDISC_SIZE);
		BUG_ON(!ld->line || !ld->ends);
		memcpy(ld->line, d->line.data, d->line.len);
		ld->len = (u32)d->line.len;
	}
	for (size_t i = 0; i < d->ends.len; i += END_BYTES) {
		const u8 *e = d->ends.data + i;
		u32 at = (u32)(e[0] | e[1] << 8);

		if (at >= ld->len || at < ld->canon || (e[2] != END_LINE && e[2] != END_FILE))
			return loader_range(l, "ends");
		ld->ends[at] = e[2];
		ld->canon = at + 1;
	}
	ld->column = d->column;
	ld->canon_column = d->canon_column;
	ld->lnext = d->lnext;
	ld->erasing = d->erasing;
	ld->last_input = d->last_input;
	return 0;
}

static void pty_sample_ld(struct sampler *sp, struct pty *p)
{
	struct ldisc *ld = &p->ld;

	ld->line = calloc(1, LDISC_SIZE);
	ld->ends = calloc(1, LDISC_SIZE);
	BUG_ON(!ld->line || !ld->ends);
	memcpy(ld->line, "ab\nc", 4);
	ld->ends[2] = END_LINE;
	ld->len = 4;
	ld->canon = 3;
	ld->column = (u32)sampler_value(sp);
	ld->canon_column = (u32)sampler_value(sp);
	ld->lnext = ld->erasing = true;
	ld->last_input = (s64)sampler_value(sp);
}

static void pty_init(void *o)
{
	struct pty *p = o;

	mutex_init(&p->lock, RANK_FILE);
	waitq_init(&p->slave_wait);
	waitq_init(&p->master_wait);
	p->input.max = PTY_INPUT_MAX;
	p->output.max = PTY_OUTPUT_MAX;
	p->echo.max = PTY_ECHO_MAX;
}

static void pty_destroy(void *o)
{
	struct pty *p = o;

	ldisc_finish(&p->ld);
	tty_ring_finish(&p->input);
	tty_ring_finish(&p->output);
	tty_ring_finish(&p->echo);
	/* Only a load that failed, or a teardown, ends one whose master is open. */
	if (p->fs)
		devpts_remove(p->fs, p);
	obj_put(p->node);
	obj_put(p->fs);
}

static int pty_after_load(struct loader *l, void *o)
{
	struct pty *p = o;
	const struct kernel_load *kl = loader_user(l);

	if (!p->fs || !p->node)
		return loader_missing(l, "fs or node");
	p->kernel = kl ? kl->kernel : NULL;
	return 0;
}

#define PTY_FIELDS(F)                                       \
	F(BASE, term, terminal)                             \
	F(REF, fs, devpts_super)                            \
	F(VAL, index)                                       \
	F(REF, node, devpts_node)                           \
	F(SKIP, kernel) /* the load's */                    \
	F(SKIP, lock)                                       \
	F(CUSTOM, ld, pty)                                  \
	F(CUSTOM, input, pty)                               \
	F(CUSTOM, output, pty)                              \
	F(CUSTOM, echo, pty)                                \
	F(VAL, hangups)                                     \
	F(VAL, locked)                                      \
	F(VAL, stopped)                                     \
	F(VAL, tco_stopped)                                 \
	F(VAL, packet)                                      \
	F(VAL, packet_status)                               \
	F(VAL, slave_opened)                                \
	F(VAL, vacant)                                      \
	F(VAL, exclusive)                                   \
	F(VAL, master_stopped)                              \
	F(SKIP, slaves) /* these two: by the files again */ \
	F(SKIP, has_master)                                 \
	F(SKIP, slave_wait) F(SKIP, master_wait) F(SKIP, link) F(SKIP, listed)
OBJECT_TYPE(pty, Sentry__Pty, sentry__pty__descriptor, PTY_FIELDS, .base = &terminal_type,
            .init = pty_init, .destroy = pty_destroy, .after_load = pty_after_load);

/* ---- files ---- */

static void pty_file_destroy(void *o)
{
	struct pty_file *pf = o;

	/* With references left everything is being thrown away together (after an autosave, or a
	 * load that failed): nobody is there to hear of a hangup. */
	if (obj_refs(o) > 0)
		pty_put(TAKE(pf->pty));
	else
		pty_file_closed(pf);
}

static int pty_file_after_load(struct loader *l, void *o)
{
	struct pty_file *pf = o;
	struct pty *p = pf->pty;

	if (!p)
		return loader_missing(l, "pty");
	if (!pf->master) {
		p->slaves++;
		return 0;
	}
	if (p->has_master)
		return loader_error(l, "a pty has two masters");
	if (!p->fs)
		return loader_missing(l, "fs");
	if (devpts_add_loaded(p->fs, p) < 0)
		return loader_error(l, "two ptys have number %u", p->index);
	p->has_master = true;
	return 0;
}

#define PTY_FILE_FIELDS(F) F(BASE, file, file) F(REF, pty, pty) F(VAL, master) F(VAL, hangups)
OBJECT_TYPE(pty_file, Sentry__PtyFile, sentry__pty_file__descriptor, PTY_FILE_FIELDS,
            .base = &file_type, .ops = &pty_file_ops, .destroy = pty_file_destroy,
            .after_load = pty_file_after_load);
