#include "proto/p9.h"

#include <errno.h>
#include <string.h>

struct p9_str p9_str(const char *s)
{
	size_t n = strlen(s);
	struct p9_str r = {s, n > UINT16_MAX ? UINT16_MAX : (uint16_t)n};

	return r;
}

bool p9_str_is(struct p9_str a, const char *s)
{
	return a.len == strlen(s) && memcmp(a.s, s, a.len) == 0;
}

bool p9_name_ok(struct p9_str n)
{
	if (n.len == 0 || n.len > P9_MAX_NAME)
		return false;
	if (n.s[0] == '.' && (n.len == 1 || (n.len == 2 && n.s[1] == '.')))
		return false;
	return !memchr(n.s, '/', n.len) && !memchr(n.s, 0, n.len);
}

uint8_t *p9_put_space(struct p9_buf *b, size_t n)
{
	uint8_t *p;

	if (b->bad || n > b->size - b->pos) {
		b->bad = true;
		return NULL;
	}
	p = b->data + b->pos;
	b->pos += n;
	return p;
}

static const uint8_t *take(struct p9_buf *b, size_t n)
{
	return p9_put_space(b, n);
}

static void put_le(struct p9_buf *b, uint64_t v, unsigned n)
{
	uint8_t *p = p9_put_space(b, n);

	for (unsigned i = 0; p && i < n; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t get_le(struct p9_buf *b, unsigned n)
{
	const uint8_t *p = take(b, n);
	uint64_t v = 0;

	for (unsigned i = 0; p && i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

void p9_put_u8(struct p9_buf *b, uint8_t v)
{
	put_le(b, v, 1);
}

void p9_put_u16(struct p9_buf *b, uint16_t v)
{
	put_le(b, v, 2);
}

void p9_put_u32(struct p9_buf *b, uint32_t v)
{
	put_le(b, v, 4);
}

void p9_put_u64(struct p9_buf *b, uint64_t v)
{
	put_le(b, v, 8);
}

uint8_t p9_get_u8(struct p9_buf *b)
{
	return (uint8_t)get_le(b, 1);
}

uint16_t p9_get_u16(struct p9_buf *b)
{
	return (uint16_t)get_le(b, 2);
}

uint32_t p9_get_u32(struct p9_buf *b)
{
	return (uint32_t)get_le(b, 4);
}

uint64_t p9_get_u64(struct p9_buf *b)
{
	return get_le(b, 8);
}

void p9_put_str(struct p9_buf *b, struct p9_str s)
{
	uint8_t *p;

	p9_put_u16(b, s.len);
	p = p9_put_space(b, s.len);
	if (p && s.len)
		memcpy(p, s.s, s.len);
}

struct p9_str p9_get_str(struct p9_buf *b)
{
	uint16_t n = p9_get_u16(b);
	const uint8_t *p = take(b, n);
	struct p9_str s = {"", 0};

	if (!p)
		return s;
	/* A name with a NUL would mean one thing here and another to the host. */
	if (memchr(p, 0, n)) {
		b->bad = true;
		return s;
	}
	s.s = (const char *)p;
	s.len = n;
	return s;
}

void p9_put_qid(struct p9_buf *b, const struct p9_qid *q)
{
	p9_put_u8(b, q->type);
	p9_put_u32(b, q->version);
	p9_put_u64(b, q->path);
}

struct p9_qid p9_get_qid(struct p9_buf *b)
{
	struct p9_qid q;

	q.type = p9_get_u8(b);
	q.version = p9_get_u32(b);
	q.path = p9_get_u64(b);
	return q;
}

#define ATTR_WIRE(U32, U64, QID) \
	U64(valid)               \
	QID(qid)                 \
	U32(mode)                \
	U32(uid)                 \
	U32(gid)                 \
	U64(nlink)               \
	U64(rdev)                \
	U64(size)                \
	U64(blksize)             \
	U64(blocks)              \
	U64(atime_sec)           \
	U64(atime_nsec)          \
	U64(mtime_sec)           \
	U64(mtime_nsec)          \
	U64(ctime_sec)           \
	U64(ctime_nsec)          \
	U64(btime_sec)           \
	U64(btime_nsec)          \
	U64(gen)                 \
	U64(data_version)

void p9_put_attr(struct p9_buf *b, const struct p9_attr *a)
{
#define PUT32(f) p9_put_u32(b, a->f);
#define PUT64(f) p9_put_u64(b, a->f);
#define PUTQ(f)  p9_put_qid(b, &a->f);
	ATTR_WIRE(PUT32, PUT64, PUTQ)
}

struct p9_attr p9_get_attr(struct p9_buf *b)
{
	struct p9_attr a;

#define GET32(f) a.f = p9_get_u32(b);
#define GET64(f) a.f = p9_get_u64(b);
#define GETQ(f)  a.f = p9_get_qid(b);
	ATTR_WIRE(GET32, GET64, GETQ)
	return a;
}

/* Lists: the count is checked against the array before an element is touched. */
#define LIST(kind, T, max, PUT, GET)                                        \
	static void put_##kind(struct p9_buf *b, const struct p9_##kind *l) \
	{                                                                   \
		if (l->count > (max)) {                                     \
			b->bad = true;                                      \
			return;                                             \
		}                                                           \
		p9_put_u16(b, l->count);                                    \
		for (unsigned i = 0; i < l->count; i++)                     \
			PUT(b, l->v[i]);                                    \
	}                                                                   \
	static void get_##kind(struct p9_buf *b, struct p9_##kind *l)       \
	{                                                                   \
		l->count = p9_get_u16(b);                                   \
		if (l->count > (max)) {                                     \
			b->bad = true;                                      \
			l->count = 0;                                       \
		}                                                           \
		for (unsigned i = 0; i < l->count && !b->bad; i++)          \
			l->v[i] = GET(b);                                   \
		if (b->bad)                                                 \
			l->count = 0;                                       \
	}

#define PUT_QID(b, v)  p9_put_qid(b, &(v))
#define PUT_ATTR(b, v) p9_put_attr(b, &(v))
LIST(names, struct p9_str, P9_MAX_WALK, p9_put_str, p9_get_str)
LIST(qids, struct p9_qid, P9_MAX_WALK, PUT_QID, p9_get_qid)
LIST(attrs, struct p9_attr, P9_MAX_WALK, PUT_ATTR, p9_get_attr)
LIST(fids, uint32_t, P9_MAX_FIDS, p9_put_u32, p9_get_u32)

static void put_data(struct p9_buf *b, const struct p9_data *d)
{
	uint8_t *p;

	p9_put_u32(b, d->count);
	p = p9_put_space(b, d->count);
	if (p && d->count)
		memcpy(p, d->p, d->count);
}

static void get_data(struct p9_buf *b, struct p9_data *d)
{
	d->count = p9_get_u32(b);
	d->p = take(b, d->count);
	if (!d->p)
		d->count = 0;
}

#define U8(f)    p9_put_u8(b, m->f);
#define U16(f)   p9_put_u16(b, m->f);
#define U32(f)   p9_put_u32(b, m->f);
#define U64(f)   p9_put_u64(b, m->f);
#define STR(f)   p9_put_str(b, m->f);
#define QID(f)   p9_put_qid(b, &m->f);
#define ATTR(f)  p9_put_attr(b, &m->f);
#define NAMES(f) put_names(b, &m->f);
#define FIDS(f)  put_fids(b, &m->f);
#define QIDS(f)  put_qids(b, &m->f);
#define ATTRS(f) put_attrs(b, &m->f);
#define DATA(f)  put_data(b, &m->f);
#define P9_MSG(NAME, nr, name, fields)                                  \
	void p9_put_##name(struct p9_buf *b, const struct p9_##name *m) \
	{                                                               \
		fields                                                  \
	}
#include "proto/p9_messages.def"
#undef P9_MSG
#undef U8
#undef U16
#undef U32
#undef U64
#undef STR
#undef QID
#undef ATTR
#undef NAMES
#undef FIDS
#undef QIDS
#undef ATTRS
#undef DATA

#define U8(f)    ret_m->f = p9_get_u8(b);
#define U16(f)   ret_m->f = p9_get_u16(b);
#define U32(f)   ret_m->f = p9_get_u32(b);
#define U64(f)   ret_m->f = p9_get_u64(b);
#define STR(f)   ret_m->f = p9_get_str(b);
#define QID(f)   ret_m->f = p9_get_qid(b);
#define ATTR(f)  ret_m->f = p9_get_attr(b);
#define NAMES(f) get_names(b, &ret_m->f);
#define FIDS(f)  get_fids(b, &ret_m->f);
#define QIDS(f)  get_qids(b, &ret_m->f);
#define ATTRS(f) get_attrs(b, &ret_m->f);
#define DATA(f)  get_data(b, &ret_m->f);
#define P9_MSG(NAME, nr, name, fields)                                \
	void p9_get_##name(struct p9_buf *b, struct p9_##name *ret_m) \
	{                                                             \
		fields                                                \
	}
#include "proto/p9_messages.def"
#undef P9_MSG

bool p9_peek(const uint8_t *data, size_t size, struct p9_header *ret_h)
{
	if (size < P9_HEADER_SIZE)
		return false;
	ret_h->size = (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 |
	              (uint32_t)data[3] << 24;
	ret_h->type = data[4];
	ret_h->tag = (uint16_t)(data[5] | data[6] << 8);
	return true;
}

size_t p9_begin(struct p9_buf *b, uint8_t type, uint16_t tag)
{
	size_t start = b->pos;

	p9_put_u32(b, 0);
	p9_put_u8(b, type);
	p9_put_u16(b, tag);
	return start;
}

int p9_end(struct p9_buf *b, size_t start)
{
	size_t size = b->pos - start;

	if (b->bad || size > UINT32_MAX) {
		b->pos = start;
		b->bad = false;
		return -EMSGSIZE;
	}
	for (unsigned i = 0; i < 4; i++)
		b->data[start + i] = (uint8_t)(size >> (8 * i));
	return 0;
}

int p9_done(const struct p9_buf *b)
{
	return b->bad || b->pos != b->size ? -EBADMSG : 0;
}

bool p9_put_dirent(struct p9_buf *b, const struct p9_dirent *d)
{
	if (b->bad || b->size - b->pos < 13u + 8 + 1 + 2 + d->name.len)
		return false;
	p9_put_qid(b, &d->qid);
	p9_put_u64(b, d->offset);
	p9_put_u8(b, d->type);
	p9_put_str(b, d->name);
	return true;
}

bool p9_put_dirent_plus(struct p9_buf *b, const struct p9_dirent_plus *d)
{
	size_t start = b->pos;

	if (b->bad)
		return false;
	p9_put_u64(b, d->offset);
	p9_put_attr(b, &d->attr);
	p9_put_str(b, d->name);
	if (!b->bad)
		return true;
	b->bad = false;
	b->pos = start;
	return false;
}

bool p9_get_dirent(struct p9_buf *b, struct p9_dirent *ret_d)
{
	struct p9_dirent d;

	if (b->bad || b->pos == b->size)
		return false;
	d.qid = p9_get_qid(b);
	d.offset = p9_get_u64(b);
	d.type = p9_get_u8(b);
	d.name = p9_get_str(b);
	if (b->bad)
		return false;
	*ret_d = d;
	return true;
}

bool p9_get_dirent_plus(struct p9_buf *b, struct p9_dirent_plus *ret_d)
{
	struct p9_dirent_plus d;

	if (b->bad || b->pos == b->size)
		return false;
	d.offset = p9_get_u64(b);
	d.attr = p9_get_attr(b);
	d.name = p9_get_str(b);
	if (b->bad)
		return false;
	*ret_d = d;
	return true;
}

const char *p9_type_name(uint8_t type)
{
	switch (type) {
#define P9_MSG(NAME, nr, name, fields) \
	case nr:                       \
		return #NAME;
#include "proto/p9_messages.def"
	default:
		return "?";
	}
}
