/* Ports that are not given out by themselves (ip_local_reserved_ports). */
#include "sentry/net/inet/ports.h"
#include "sentry/net/inet/state.h"
#include "state/base/bug.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTES (65536 / 8)

/* A number of a list; moves *s behind it. */
static bool number(const char **s, u32 *ret)
{
	char *end;
	unsigned long v = strtoul(*s, &end, 10);

	if (end == *s || **s < '0' || **s > '9' || v > 65535)
		return false;
	*s = end;
	*ret = (u32)v;
	return true;
}

/* "8080,9000-9010": a bit for each. -EINVAL. */
static int parse(const char *s, u8 *map)
{
	while (*s) {
		u32 lo, hi;

		if (!number(&s, &lo))
			return -EINVAL;
		hi = lo;
		if (*s == '-') {
			s++;
			if (!number(&s, &hi) || hi < lo)
				return -EINVAL;
		}
		if (*s == ',')
			s++;
		else if (*s)
			return -EINVAL;
		for (u32 p = lo; p <= hi; p++)
			map[p / 8] |= (u8)(1 << p % 8);
	}
	return 0;
}

int ports_reserve(struct inet_ns *ns, const char *list)
{
	u8 *map = calloc(1, BYTES), *old;
	int r;

	BUG_ON(!map);
	r = parse(list, map);
	if (r < 0) {
		free(map);
		return r;
	}
	rwlock_wrlock(&ns->lock);
	old = ns->reserved;
	ns->reserved = map;
	rwlock_unlock(&ns->lock);
	free(old);
	return 0;
}

char *ports_reserved_list(struct inet_ns *ns)
{
	size_t size;
	char *text;
	FILE *f = open_memstream(&text, &size);
	bool any = false;

	BUG_ON(!f);
	{
		GUARD_READ(&ns->lock);
		for (u32 p = 0; ns->reserved && p < 65536; p++) {
			u32 last = p;

			if (!port_is_reserved(ns, (u16)p))
				continue;
			while (last < 65535 && port_is_reserved(ns, (u16)(last + 1)))
				last++;
			fprintf(f, last > p ? "%s%u-%u" : "%s%u", any ? "," : "", p, last);
			any = true;
			p = last;
		}
	}
	BUG_ON(fclose(f) != 0);
	return text;
}

/* ---- saved as the list ---- */

int inet_ns_save_reserved(struct saver *s, const struct inet_ns *ns, Sentry__InetNs *m)
{
	char *list, *copy;
	size_t n;

	if (!ns->reserved)
		return 0;
	list = ports_reserved_list((struct inet_ns *)(uintptr_t)ns);
	n = strlen(list) + 1;
	copy = saver_alloc(s, n);
	memcpy(copy, list, n);
	free(list);
	m->reserved = copy;
	return 0;
}

int inet_ns_load_reserved(struct loader *l, struct inet_ns *ns, const Sentry__InetNs *m)
{
	return m->reserved[0] && ports_reserve(ns, m->reserved) < 0 ? loader_range(l, "reserved")
	                                                            : 0;
}

void inet_ns_sample_reserved(struct sampler *sp, struct inet_ns *ns)
{
	(void)sp;
	BUG_ON(ports_reserve(ns, "7,9-11") < 0);
}
