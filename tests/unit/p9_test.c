#include "proto/p9.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t rnd_state = 88172645463325252ull;

static uint64_t rnd(void)
{
	rnd_state ^= rnd_state << 13;
	rnd_state ^= rnd_state >> 7;
	rnd_state ^= rnd_state << 17;
	return rnd_state;
}

static struct p9_str rnd_str(void)
{
	static const char text[] = "abcdefghijklmnopqrstuvwxyz.-_0123456789";
	struct p9_str s = {text, (uint16_t)(rnd() % (sizeof(text) - 1))};

	return s;
}

static struct p9_qid rnd_qid(void)
{
	struct p9_qid q = {(uint8_t)rnd(), (uint32_t)rnd(), rnd()};

	return q;
}

static struct p9_attr rnd_attr(void)
{
	struct p9_attr a;
	uint64_t *w = (uint64_t *)&a;

	for (size_t i = 0; i < sizeof(a) / 8; i++)
		w[i] = rnd();
	return a;
}

static uint8_t some_data[64];

/* One function per message: encode with random fields, decode, encode again: the same bytes; then
 * the same cut at every length and with a byte too many must be refused. */
#define U8(f)   m.f = (uint8_t)rnd();
#define U16(f)  m.f = (uint16_t)rnd();
#define U32(f)  m.f = (uint32_t)rnd();
#define U64(f)  m.f = rnd();
#define STR(f)  m.f = rnd_str();
#define QID(f)  m.f = rnd_qid();
#define ATTR(f) m.f = rnd_attr();
#define LIST_(f, max, expr)                          \
	m.f.count = (uint16_t)(rnd() % ((max) + 1)); \
	for (unsigned i = 0; i < m.f.count; i++)     \
		m.f.v[i] = expr;
#define NAMES(f) LIST_(f, P9_MAX_WALK, rnd_str())
#define FIDS(f)  LIST_(f, P9_MAX_FIDS, (uint32_t)rnd())
#define QIDS(f)  LIST_(f, P9_MAX_WALK, rnd_qid())
#define ATTRS(f) LIST_(f, P9_MAX_WALK, rnd_attr())
#define DATA(f)                                            \
	m.f.count = (uint32_t)(rnd() % sizeof(some_data)); \
	m.f.p = some_data;
#define P9_MSG(NAME, nr, name, fields)                                                      \
	static void check_##name(void)                                                      \
	{                                                                                   \
		static uint8_t a[65536], b[65536];                                          \
		struct p9_##name m, m2;                                                     \
		struct p9_buf out = p9_buf(a, sizeof(a)), in, again = p9_buf(b, sizeof(b)); \
                                                                                            \
		memset(&m, 0, sizeof(m));                                                   \
		fields p9_put_##name(&out, &m);                                             \
		cr_assert(!out.bad);                                                        \
		in = p9_buf(a, out.pos);                                                    \
		p9_get_##name(&in, &m2);                                                    \
		cr_assert_eq(p9_done(&in), 0, #name);                                       \
		p9_put_##name(&again, &m2);                                                 \
		cr_assert_eq(again.pos, out.pos);                                           \
		cr_assert_eq(memcmp(a, b, out.pos), 0, #name);                              \
		for (size_t cut = 0; cut < out.pos; cut++) {                                \
			uint8_t *exact = malloc(cut);                                       \
                                                                                            \
			if (cut)                                                            \
				memcpy(exact, a, cut);                                      \
			in = p9_buf(exact, cut);                                            \
			p9_get_##name(&in, &m2);                                            \
			cr_assert_eq(p9_done(&in), -EBADMSG, "%s cut at %zu", #name, cut);  \
			free(exact);                                                        \
		}                                                                           \
		in = p9_buf(a, out.pos + 1);                                                \
		p9_get_##name(&in, &m2);                                                    \
		cr_assert_eq(p9_done(&in), -EBADMSG);                                       \
		for (size_t room = 0; room < out.pos; room += 7) {                          \
			again = p9_buf(b, room);                                            \
			p9_put_##name(&again, &m);                                          \
			cr_assert(again.bad);                                               \
		}                                                                           \
	}                                                                                   \
	static void noise_##name(uint8_t *p, size_t n)                                      \
	{                                                                                   \
		struct p9_##name m;                                                         \
		struct p9_buf in = p9_buf(p, n);                                            \
                                                                                            \
		p9_get_##name(&in, &m);                                                     \
		if (p9_done(&in) == 0)                                                      \
			cr_assert_leq(in.pos, n);                                           \
	}
#include "proto/p9_messages.def"
#undef P9_MSG

Test(p9, every_message_round_trips_and_is_refused_when_cut)
{
#define P9_MSG(NAME, nr, name, fields) \
	for (int i = 0; i < 3; i++)    \
		check_##name();
#include "proto/p9_messages.def"
#undef P9_MSG
}

Test(p9, noise)
{
	for (int i = 0; i < 3000; i++) {
		size_t n = rnd() % 200;
		uint8_t *p = malloc(n);

		for (size_t j = 0; j < n; j++)
			p[j] = rnd() % 3 ? (uint8_t)(rnd() % 20) : (uint8_t)rnd();
#define P9_MSG(NAME, nr, name, fields) noise_##name(p, n);
#include "proto/p9_messages.def"
#undef P9_MSG
		free(p);
	}
}

Test(p9, numbers_are_unique_and_replies_are_one_more)
{
	static const uint8_t nrs[] = {
#define P9_MSG(NAME, nr, name, fields) nr,
#include "proto/p9_messages.def"
#undef P9_MSG
	};
	bool seen[256] = {false};

	for (size_t i = 0; i < sizeof(nrs); i++) {
		cr_assert(!seen[nrs[i]]);
		seen[nrs[i]] = true;
	}
	for (unsigned i = 8; i < 256; i += 2)
		cr_assert_eq(seen[i], seen[i + 1]);
	cr_assert_eq(P9_TWALK, 110);
	cr_assert_str_eq(p9_type_name(P9_TWALK), "TWALK");
	cr_assert_str_eq(p9_type_name(250), "?");
}

Test(p9, frames)
{
	uint8_t raw[32];
	struct p9_buf b = p9_buf(raw, sizeof(raw));
	struct p9_header h;
	size_t start = p9_begin(&b, P9_RLERROR, 513);

	p9_put_u32(&b, ENOENT);
	cr_assert_eq(p9_end(&b, start), 0);
	cr_assert_eq(b.pos, 11);
	cr_assert(!p9_peek(raw, 6, &h));
	cr_assert(p9_peek(raw, 7, &h));
	cr_assert_eq(h.size, 11);
	cr_assert_eq(h.type, P9_RLERROR);
	cr_assert_eq(h.tag, 513);
	start = p9_begin(&b, P9_RLERROR, 1);
	cr_assert_not_null(p9_put_space(&b, 14));
	cr_assert_null(p9_put_space(&b, 1));
	cr_assert_eq(p9_end(&b, start), -EMSGSIZE);
	cr_assert_eq(b.pos, 11);
	cr_assert(!b.bad);
}

Test(p9, names)
{
	struct p9_str nul = {"a\0b", 3};
	char longest[257];

	memset(longest, 'x', 256);
	longest[256] = 0;
	cr_assert(!p9_name_ok(p9_str(longest)));
	longest[255] = 0;
	cr_assert(p9_name_ok(p9_str(longest)));
	cr_assert(!p9_name_ok(p9_str("")));
	cr_assert(!p9_name_ok(p9_str(".")));
	cr_assert(!p9_name_ok(p9_str("..")));
	cr_assert(p9_name_ok(p9_str("...")));
	cr_assert(!p9_name_ok(p9_str("a/b")));
	cr_assert(!p9_name_ok(nul));
}

Test(p9, directory_entries)
{
	uint8_t raw[700];
	struct p9_buf out = p9_buf(raw, sizeof(raw)), in;
	struct p9_dirent d = {.qid = rnd_qid(), .type = 4}, e;
	struct p9_dirent_plus p = {.attr = rnd_attr(), .offset = 9, .name = p9_str("hello")}, q;
	unsigned n = 0, m = 0;

	d.name = p9_str("entry");
	while (p9_put_dirent(&out, &d))
		d.offset = ++n;
	cr_assert_eq(n, sizeof(raw) / 29);
	in = p9_buf(raw, out.pos);
	while (p9_get_dirent(&in, &e))
		cr_assert_eq(e.offset, m++);
	cr_assert_eq(m, n);
	cr_assert(!in.bad);
	in = p9_buf(raw, out.pos - 1);
	while (p9_get_dirent(&in, &e))
		;
	cr_assert(in.bad);
	out = p9_buf(raw, sizeof(raw));
	for (n = 0; p9_put_dirent_plus(&out, &p);)
		n++;
	cr_assert_gt(n, 2);
	in = p9_buf(raw, out.pos);
	for (m = 0; p9_get_dirent_plus(&in, &q); m++)
		cr_assert(p9_str_is(q.name, "hello"));
	cr_assert_eq(m, n);
}
