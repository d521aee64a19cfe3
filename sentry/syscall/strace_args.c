#include "sentry/syscall/strace_impl.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STRING_MAX 32 /* bytes of memory that are shown, as strace(1) does */
#define PATH_SHOWN 256

void words_add(struct words *w, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (w->n + 1 >= w->size)
		return;
	va_start(ap, fmt);
	n = vsnprintf(w->s + w->n, w->size - w->n, fmt, ap);
	va_end(ap);
	if (n > 0)
		w->n = MIN(w->n + (size_t)n, w->size - 1);
}

void strace_quote(struct words *w, const u8 *p, size_t len, bool more)
{
	words_add(w, "\"");
	for (size_t i = 0; i < len; i++) {
		static const char from[] = "\n\t\r\v\f\"\\", to[] = "ntrvf\"\\";
		const char *e = p[i] ? strchr(from, p[i]) : NULL;

		if (e)
			words_add(w, "\\%c", to[e - from]);
		else if (p[i] >= ' ' && p[i] < 0x7f)
			words_add(w, "%c", p[i]);
		else if (i + 1 < len && p[i + 1] >= '0' && p[i + 1] <= '7')
			words_add(w, "\\%03o", p[i]);
		else
			words_add(w, "\\%o", p[i]);
	}
	words_add(w, more ? "\"..." : "\"");
}

static void pointer(struct words *w, u64 v)
{
	if (v)
		words_add(w, "%#llx", (unsigned long long)v);
	else
		words_add(w, "NULL");
}

void strace_memory(struct words *w, const struct call *k, u64 addr, u64 len)
{
	u8 buf[STRING_MAX];
	u64 n = MIN(len, (u64)sizeof(buf));

	if (!addr || !k->c || user_copy_in(k->c, buf, UADDR(addr), n) < 0)
		pointer(w, addr);
	else
		strace_quote(w, buf, n, n < len);
}

void strace_path(struct words *w, const struct call *k, u64 addr)
{
	char buf[PATH_SHOWN + 1];
	long n;

	if (!addr || !k->c) {
		pointer(w, addr);
		return;
	}
	memset(buf, 0, sizeof(buf));
	n = user_get_str(k->c, UADDR(addr), buf, sizeof(buf));
	if (n < 0 && n != -ENAMETOOLONG)
		pointer(w, addr);
	else
		strace_quote(w, (u8 *)buf, strnlen(buf, PATH_SHOWN), n < 0);
}

static void descriptor(struct words *w, int fd, bool directory)
{
	if (directory && fd == AT_FDCWD)
		words_add(w, "AT_FDCWD");
	else
		words_add(w, "%d", fd);
}

/* "name3" into name and the value of argument 3; without a number 1. */
static u64 split_count(const char *word, const struct call *k, char name[24])
{
	size_t n = strcspn(word, "0123456789");

	n = MIN(n, (size_t)23);
	memcpy(name, word, n);
	name[n] = 0;
	return word[n] ? k->a->a[(word[n] - '0') % 6] : 1;
}

static void one(struct words *w, const struct call *k, const char *word, unsigned i)
{
	u64 v = k->a->a[i], n;
	char name[24];

	switch (word[0]) {
	case 'd':
		words_add(w, "%d", (int)v);
		break;
	case 'u':
		words_add(w, "%llu", (unsigned long long)v);
		break;
	case 'l':
		words_add(w, "%lld", (long long)v);
		break;
	case 'x':
		words_add(w, "%#llx", (unsigned long long)v);
		break;
	case 'o':
		words_add(w, "0%03o", (unsigned)v);
		break;
	case 'f':
		descriptor(w, (int)v, false);
		break;
	case 'D':
		descriptor(w, (int)v, true);
		break;
	case 's':
		strace_path(w, k, v);
		break;
	case 'w':
		strace_memory(w, k, v, k->a->a[(word[1] - '0') % 6]);
		break;
	case 'r':
		n = k->a->a[(word[1] - '0') % 6];
		if (k->ret > 0)
			strace_memory(w, k, v, MIN((u64)k->ret, n));
		else
			pointer(w, v);
		break;
	case '#':
		strace_bits(w, word + 1, v);
		break;
	case '=':
		strace_value(w, word + 1, v);
		break;
	case '&':
	case '*':
		n = split_count(word + 1, k, name);
		if (!v || !k->c || (word[0] == '*' && k->ret < 0))
			pointer(w, v);
		else
			strace_struct(w, k, name, v, n, i);
		break;
	default:
		pointer(w, v);
		break;
	}
}

static bool creates_nothing(const char *spec, u64 flags)
{
	return strstr(spec, "#open o") && !(flags & O_CREAT) && (flags & O_TMPFILE) != O_TMPFILE;
}

unsigned strace_args(struct words *w, const struct call *k, const char *spec, unsigned first,
                     bool *ret_more)
{
	const char *spec_start = spec;
	unsigned i = 0;

	*ret_more = false;
	if (spec[0] == 'X' && spec[1] == ':')
		spec += 2;
	while (*spec && i < 6) {
		char word[32];
		size_t n = strcspn(spec, " ");

		memcpy(word, spec, MIN(n, sizeof(word) - 1));
		word[MIN(n, sizeof(word) - 1)] = 0;
		spec += n;
		while (*spec == ' ')
			spec++;
		/* open's mode, when nothing is made. */
		if (word[0] == 'o' && i > 0 && creates_nothing(spec_start, k->a->a[i - 1]))
			break;
		if (i >= first) {
			if (!k->ended && (word[0] == 'r' || word[0] == '*')) {
				*ret_more = true;
				break;
			}
			words_add(w, "%s", i ? ", " : "");
			one(w, k, word, i);
		}
		i++;
	}
	return i;
}
