/* Argument vectors. */
#include "sentry/loader/loader.h"
#include "sentry/mm/usercopy.h"

#include "state/base/bug.h"

#include <stdlib.h>
#include <string.h>

#define STRING_MAX (128 * KIB) /* one argument, as MAX_ARG_STRLEN */

void strings_finish(struct strings *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i]);
	free(s->v);
	*s = (struct strings){0};
}

static void push(struct strings *s, char *text, size_t len)
{
	/* Grows by doubling: a power of two of slots is always there. */
	if ((s->n & (s->n - 1)) == 0) {
		s->v = realloc(s->v, MAX(s->n * 2, (size_t)4) * sizeof(*s->v));
		BUG_ON(!s->v);
	}
	s->v[s->n++] = text;
	s->bytes += len + 1;
}

int strings_from_array(char *const *v, size_t n, struct strings *ret)
{
	struct strings s = {0};

	for (size_t i = 0; i < n; i++) {
		char *copy = strdup(v[i]);

		BUG_ON(!copy);
		push(&s, copy, strlen(copy));
	}
	*ret = s;
	return 0;
}

static int read_string(struct ctx *c, uaddr_t addr, size_t *total, char **ret, size_t *ret_len)
{
	size_t room = 256;
	char *buf = malloc(room);

	BUG_ON(!buf);
	for (;;) {
		long r = user_get_str(c, addr, buf, room);

		if (r >= 0) {
			if ((size_t)r + 1 + sizeof(u64) > *total) {
				free(buf);
				return -E2BIG;
			}
			*total -= (size_t)r + 1 + sizeof(u64);
			*ret = buf;
			*ret_len = (size_t)r;
			return 0;
		}
		if (r != -ENAMETOOLONG || room >= STRING_MAX) {
			free(buf);
			return r == -ENAMETOOLONG ? -E2BIG : (int)r;
		}
		room *= 8;
		buf = realloc(buf, room);
		BUG_ON(!buf);
	}
}

int strings_from_user(struct ctx *c, uaddr_t addr, size_t *total, struct strings *ret)
{
	struct strings s = {0};

	for (u64 i = 0; !uaddr_null(addr); i++) {
		char *text = NULL;
		size_t len = 0;
		u64 p;
		int r = user_get_u64(c, uaddr_add(addr, i * sizeof(u64)), &p);

		if (r == 0 && p == 0)
			break;
		if (r == 0)
			r = read_string(c, UADDR(p), total, &text, &len);
		if (r < 0) {
			strings_finish(&s);
			return r;
		}
		push(&s, text, len);
	}
	*ret = s;
	return 0;
}

void strings_prepend(struct strings *s, const char *text)
{
	char *copy = strdup(text);

	BUG_ON(!copy);
	push(s, copy, strlen(copy));
	memmove(s->v + 1, s->v, (s->n - 1) * sizeof(*s->v));
	s->v[0] = copy;
}
